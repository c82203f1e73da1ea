"""The camera: its errors of place, its blur, its detectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from affine import Affine
from numpy.polynomial import chebyshev

from changedetect.core.grid import Grid
from changedetect.simulate.farmland.place import OVERHANG_PX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.simulate.farmland.place import Place
    from changedetect.simulate.params import SimulateParams

_LATTICE_PX = 8
_DEGREE = 5


@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """A scene's error of place: ground at G is drawn at G + e(G); e is a shift, a rotation and a smooth polynomial."""

    shift_m: tuple[float, float] = (0.0, 0.0)
    """East and south."""
    rotation_rad: float = 0.0
    warp_m: tuple[tuple[tuple[float, ...], ...], ...] = ()
    """Chebyshev coefficients (degree x, degree y) of the east and of the south part, metres."""
    centre: tuple[float, float] = (0.0, 0.0)
    reach_m: float = 1.0
    """Distance from the centre to the edge of the world."""

    def error_at(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return e at ground positions, metres east and south."""
        dx, dy = x - self.centre[0], self.centre[1] - y
        east = self.shift_m[0] - self.rotation_rad * dy
        south = self.shift_m[1] + self.rotation_rad * dx
        if self.warp_m:
            u, v = dx / self.reach_m, dy / self.reach_m
            east = east + chebyshev.chebval2d(u, v, np.asarray(self.warp_m[0]))
            south = south + chebyshev.chebval2d(u, v, np.asarray(self.warp_m[1]))
        return east, south

    def ground_of(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ground drawn at map positions."""
        ground_x, ground_y = x, y
        for _ in range(5):  # e changes by less than a hundredth per metre: each round gains two digits
            east, south = self.error_at(ground_x, ground_y)
            ground_x, ground_y = x - east, y + south
        return ground_x, ground_y


def draw_aim(rng: np.random.Generator, params: SimulateParams, place: Place, gsd_m: float) -> Aim:
    """Return a random error of place within the limits of the settings."""
    limit = params.shift_px if params.shift_px is not None else (3.0 if gsd_m < 2 else 2.0)
    half = place.size_m / 2
    angle, length = float(rng.uniform(0, 2 * math.pi)), float(np.sqrt(rng.uniform(0, 1))) * limit * gsd_m
    rotation = float(rng.uniform(-1, 1)) * params.rotation_mrad * 1e-3
    order = np.add.outer(np.arange(_DEGREE), np.arange(_DEGREE))
    parts = []
    for _ in range(2):
        weights = rng.normal(0, 1, (_DEGREE, _DEGREE)) * ((order >= 2) & (order <= 5)) / np.maximum(order, 1)
        t = np.linspace(-1, 1, 25)
        largest = float(np.abs(chebyshev.chebgrid2d(t, t, weights)).max())
        weights *= float(rng.uniform(0.35, 1.0)) * params.warp_px * gsd_m / max(largest, 1e-9)
        parts.append(tuple(tuple(map(float, row)) for row in weights))
    return Aim(
        (length * math.cos(angle), length * math.sin(angle)),
        rotation,
        tuple(parts),
        (place.left + half, place.top - half),
        half + place.margin_m,
    )


def find_displacement(moving: Aim, reference: Aim, grid: Grid) -> NDArray[np.float32]:
    """Return u of `core.results.Warp` on a grid, (2, row, col) float32: (u_row, u_col) in pixels of the grid."""
    x, y = np.meshgrid(*grid.pixel_centres())
    ground_x, ground_y = reference.ground_of(x, y)
    east, south = moving.error_at(ground_x, ground_y)
    return np.stack([(y - ground_y + south) / grid.gsd_m, (ground_x + east - x) / grid.gsd_m]).astype(np.float32)


def draw_grid(rng: np.random.Generator, place: Place, gsd_m: float) -> Grid:
    """Return a scene's own grid over a place: each begins somewhere else."""
    before = OVERHANG_PX * rng.uniform(0.7, 1.0, 2)
    after = OVERHANG_PX * rng.uniform(0.7, 1.0, 2)
    left, top = place.left - float(before[0]) * gsd_m, place.top + float(before[1]) * gsd_m
    cols, rows = (math.ceil(place.size_m / gsd_m + before[k] + after[k]) for k in (0, 1))
    return Grid(place.crs, Affine(gsd_m, 0.0, left, 0.0, -gsd_m, top), (rows, cols))


def gather_light(
    light: NDArray[np.float32], place: Place, grid: Grid, aim: Aim, optics: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Return what each pixel gathers, (row, col, band).

    `optics` is (smear of the flight, blur of the lens, misregistration of the bands), pixels.
    """
    cell_m = place.cell_m
    fold = max(1, math.floor(grid.gsd_m / cell_m / 2 + 1e-6))
    if fold > 1:
        rows, cols = (n // fold * fold for n in light.shape[:2])
        size = (cols // fold, rows // fold)
        light = np.asarray(cv2.resize(light[:rows, :cols], size, interpolation=cv2.INTER_AREA), np.float32)
        cell_m *= fold
    per_pixel = grid.gsd_m / cell_m
    smear, lens, off_px = optics
    across, along = _line_kernel(per_pixel, 0.0, lens), _line_kernel(per_pixel, smear, lens)
    stray = [(_odd(2.2 * per_pixel),) * 2, (_odd(1.6 * per_pixel),) * 2]
    col, row = _trace(place, grid, aim, cell_m)
    image = np.empty((*grid.shape, 4), np.float32)
    swing = off_px * per_pixel
    # the bands are imaged one after the other: the inner two and the outer two lie on either side of the truth
    for band, part in enumerate((0.6, -0.8, -0.4, 0.6)):
        plane = np.ascontiguousarray(light[..., band])
        sharp = np.asarray(cv2.sepFilter2D(plane, -1, across, along, borderType=cv2.BORDER_REFLECT_101), np.float32)
        # an eighth of the light strays to pixels around
        wide = cv2.addWeighted(sharp, 0.88, cv2.blur(cv2.blur(sharp, stray[0]), stray[1]), 0.12, 0.0)
        # twice as fine, then linear: a cubic kernel of few taps would move edges by hundredths of a pixel
        finer = cv2.resize(wide, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
        at = [2.0 * (c + np.float32(part * swing * side)) + 0.5 for c, side in ((col, 0.7), (row, 1.0))]
        image[..., band] = cv2.remap(finer, at[0], at[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return image


def _odd(value: float) -> int:
    return max(2 * round((value - 1) / 2) + 1, 3)


def _line_kernel(width: float, smear_px: float, lens_px: float) -> NDArray[np.float32]:
    """Return a detector's width, convolved with the smear of its travel and the lens's blur, sampled finely."""
    step = 1.0 / 16
    reach = math.ceil(width * (1 + smear_px) / 2 + 3 * lens_px * width) + 1
    t = np.arange(-reach - 0.5 + step / 2, reach + 0.5, step)
    response = (np.abs(t) <= width / 2).astype(float)
    if smear_px > 0:
        box = (np.abs(t) <= width * smear_px / 2).astype(float)
        response = np.convolve(response, box / box.sum(), mode="same")
    blur = np.exp(-(np.abs(t / max(lens_px * width, 1e-3)) ** 1.5))  # steeper at its heart than a Gaussian
    response = np.convolve(response, blur / blur.sum(), mode="same")
    kernel = response.reshape(-1, 16).sum(axis=1)
    kernel += kernel[::-1]
    return np.asarray(kernel / kernel.sum(), np.float32)


def _trace(place: Place, grid: Grid, aim: Aim, cell_m: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the world coordinates (col, row) that pixel centres see; worked out on every eighth pixel."""
    rows, cols = grid.shape
    at_col = np.arange(0, cols + 2 * _LATTICE_PX, _LATTICE_PX)
    at_row = np.arange(0, rows + 2 * _LATTICE_PX, _LATTICE_PX)
    x, y = np.meshgrid(grid.transform.c + (at_col + 0.5) * grid.gsd_m, grid.transform.f - (at_row + 0.5) * grid.gsd_m)
    ground_x, ground_y = aim.ground_of(x, y)
    left, top = place.left - place.margin_m, place.top + place.margin_m
    step = np.arange(max(rows, cols), dtype=np.float32) / np.float32(_LATTICE_PX)
    lookup = (np.tile(step[None, :cols], (rows, 1)), np.tile(step[:rows, None], (1, cols)))
    seen = []
    for values, straight in (
        ((ground_x - left) / cell_m - 0.5, (grid.gsd_m / cell_m, 0.0)),
        ((top - ground_y) / cell_m - 0.5, (0.0, grid.gsd_m / cell_m)),
    ):
        # the straight part is added in full precision; only the gentle rest is interpolated
        rest = values - (at_col[None, :] * straight[0] + at_row[:, None] * straight[1])
        offset = float(rest.mean())
        gentle = cv2.remap(
            (rest - offset).astype(np.float32), *lookup, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        plain = np.arange(cols)[None, :] * straight[0] + np.arange(rows)[:, None] * straight[1] + offset
        seen.append((gentle + plain).astype(np.float32))
    return seen[0], seen[1]


def read_out(
    image: NDArray[np.float32], rng: np.random.Generator, gain_spread: float, noise: float
) -> NDArray[np.uint16]:
    """Return digital numbers, (band, row, col) uint16, reflectance x 10,000, never 0.

    Each band has its gain and offset, each detector its own, so that faint stripes run along the flight; noise is that
    of counted light, a little smeared by the resampling of the product, and the numbers come from eleven bits.
    """
    rows, cols = image.shape[:2]
    lean = float(rng.uniform(-0.25, 0.25))
    detector = (np.arange(cols)[None, :] + lean * np.arange(rows)[:, None]).astype(np.float32)
    detector -= float(detector.min())
    count = int(detector.max()) + 2
    smear = float(rng.uniform(0.0, 0.22))
    kernel = np.array([smear / 2, 1.0 - smear / 2, smear / 2], np.float32)
    step = float(rng.choice([2.0, 4.0, 6.0]))
    numbers = np.empty((4, rows, cols), np.uint16)
    for band in range(4):
        values = image[..., band] * np.float32(1.0 + gain_spread * rng.uniform(-1, 1))
        values += np.float32(gain_spread * rng.uniform(-0.03, 0.05))
        if noise > 0.0:
            chips = np.repeat(rng.normal(0, 0.0025, count // 97 + 2), 97)[:count]
            stripes = (1.0 + noise * (chips + rng.normal(0, 0.0022, count))).astype(np.float32)
            values *= stripes[detector.astype(np.int32)]
            grain = cv2.sepFilter2D(rng.standard_normal((rows, cols), dtype=np.float32), -1, kernel, kernel)
            grain *= np.sqrt(np.float32(1.1e-6) + np.float32(1.6e-5) * np.maximum(values, 0.0))
            values += np.float32(noise) * grain
        values *= np.float32(10000.0 / step)
        np.rint(values, out=values)
        values *= np.float32(step)
        numbers[band] = np.clip(values, 1, 65535, out=values)
    return numbers

"""The sensor: where a pixel looks (misregistration, its own grid), blur, gains, noise and quantisation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from affine import Affine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.grid import Grid
    from changedetect.simulate.params import SimulateParams

OVERHANG_PX = 10
"""Scenes reach past the simulated square by about this much on each side."""
READ_NOISE = 0.001
"""Standard deviation, reflectance."""
SHOT_NOISE = 1e-5
"""Variance per unit of reflectance."""
PSF_PX = 0.42
"""Gaussian blur on top of the pixel's own box: about .5 px in all."""


@dataclass(frozen=True, slots=True)
class Pointing:
    """A scene's error of place: the ground seen at map position M is M - d(M), d smooth, in metres."""

    shift_m: tuple[float, float] = (0.0, 0.0)
    """East and south."""
    rotation_rad: float = 0.0
    warp_m: tuple[tuple[float, ...], ...] = ()
    """Rows of (east, south, wave_x, wave_y, phase): sine waves across the square, cycles per metre."""
    centre: tuple[float, float] = (0.0, 0.0)

    def error_at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Return d at map positions, metres (east, south)."""
        dx, dy = x - self.centre[0], self.centre[1] - y
        east = self.shift_m[0] - self.rotation_rad * dy
        south = self.shift_m[1] + self.rotation_rad * dx
        for amount_x, amount_y, wave_x, wave_y, phase in self.warp_m:
            wave = np.sin(2 * math.pi * (wave_x * dx + wave_y * dy) + phase)
            east, south = east + amount_x * wave, south + amount_y * wave
        return east, south

    def errors_on(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float32], ...]:
        """Return d on a lattice of map x (col,) and y (row,), (row, col) float32 metres: the waves factor exactly."""
        dx, dy = x - self.centre[0], self.centre[1] - y
        shape = (len(y), len(x))
        east = np.broadcast_to((self.shift_m[0] - self.rotation_rad * dy)[:, None], shape).astype(np.float32)
        south = np.broadcast_to((self.shift_m[1] + self.rotation_rad * dx)[None, :], shape).astype(np.float32)
        for amount_x, amount_y, wave_x, wave_y, phase in self.warp_m:
            a, b = 2 * math.pi * wave_x * dx + phase, 2 * math.pi * wave_y * dy
            wave = np.stack([np.cos(b), np.sin(b)], 1) @ np.stack([np.sin(a), np.cos(a)])
            wave = wave.astype(np.float32)
            east += np.float32(amount_x) * wave
            south += np.float32(amount_y) * wave
        return east, south


def draw_pointing(
    rng: np.random.Generator, params: SimulateParams, shift_px: float, gsd_m: float, centre: tuple[float, float]
) -> Pointing:
    """Return a random error of place within the limits of `params` for a pixel of `gsd_m`."""
    size_m = params.size_m or 500.0
    shift = rng.uniform(-1, 1, 2) * shift_px * gsd_m
    rotation = float(rng.uniform(-1, 1)) * params.rotation_mrad * 1e-3
    waves = []
    for angle in (rng.uniform(0, math.pi), rng.uniform(0, math.pi)):
        cycles = 1.0 / (size_m / 4 * rng.uniform(0.9, 1.6))
        amount = rng.uniform(-1, 1, 2) * params.warp_px * gsd_m / 2
        waves.append((*map(float, amount), cycles * math.cos(angle), cycles * math.sin(angle), rng.uniform(0, 6.28)))
    return Pointing((float(shift[0]), float(shift[1])), rotation, tuple(waves), centre)


def find_displacement(moving: Pointing, reference: Pointing, grid: Grid) -> NDArray[np.float32]:
    """Return u of `core.results.Warp` on a grid, (2, row, col) float32: (u_row, u_col) in pixels of the grid."""
    x, y = np.meshgrid(*grid.pixel_centres())
    east, south = reference.error_at(x, y)
    ground_x, ground_y = x - east, y + south
    seen_x, seen_y = ground_x, ground_y
    for _ in range(6):  # the errors vary by less than a percent per pixel: each round gains two digits
        east, south = moving.error_at(seen_x, seen_y)
        seen_x, seen_y = ground_x + east, ground_y - south
    return np.stack([(y - seen_y) / grid.gsd_m, (seen_x - x) / grid.gsd_m]).astype(np.float32)


def sample_world(
    radiance: NDArray[np.float32], world: tuple[float, float, float], grid: Grid, pointing: Pointing
) -> NDArray[np.float32]:
    """Return what the sensor gathers per pixel of its grid, (row, col, band): blur, then area averages.

    `world` is (left, top, pixel_m) of the radiance (row, col, band). Positions are exact; each pixel averages a
    lattice of samples, so that interpolation quantises to less than 1/64 of a pixel.
    """
    left, top, pixel_m = world
    per_pixel = grid.gsd_m / pixel_m
    reduce = max(1, math.floor(per_pixel / 2 + 1e-6))
    if reduce > 1:
        rows, cols = (n // reduce * reduce for n in radiance.shape[:2])
        smaller = (cols // reduce, rows // reduce)
        radiance = np.asarray(cv2.resize(radiance[:rows, :cols], smaller, interpolation=cv2.INTER_AREA), np.float32)
        pixel_m, per_pixel = pixel_m * reduce, per_pixel / reduce
    radiance = np.asarray(cv2.GaussianBlur(radiance, (0, 0), PSF_PX * per_pixel), np.float32)
    taps = max(2, math.ceil(per_pixel - 1e-6))
    rows, cols = grid.shape
    x = grid.transform.c + (np.arange(cols * taps) + 0.5) * grid.gsd_m / taps
    y = grid.transform.f - (np.arange(rows * taps) + 0.5) * grid.gsd_m / taps
    col, row = pointing.errors_on(x, y)
    for error, place in ((col, ((x - left) / pixel_m - 0.5)[None, :]), (row, ((top - y) / pixel_m - 0.5)[:, None])):
        error *= np.float32(-1.0 / pixel_m)
        error += place.astype(np.float32)
    seen = cv2.remap(radiance, col, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.resize(seen, (cols, rows), interpolation=cv2.INTER_AREA))


def measure_dn(
    image: NDArray[np.float32], rng: np.random.Generator, gain_spread: float, noise: float
) -> NDArray[np.uint16]:
    """Return digital numbers, (band, row, col) uint16, reflectance x 10,000, never 0: gains, offsets and noise."""
    gains = 1.0 + rng.uniform(-gain_spread, gain_spread, 4)
    offsets = rng.uniform(-0.04, 0.06, 4) * gain_spread
    numbers = np.empty((4, *image.shape[:2]), np.uint16)
    for k in range(4):
        values = image[..., k] * np.float32(gains[k]) + np.float32(offsets[k])
        if noise > 0.0:
            grain = rng.standard_normal(values.shape, dtype=np.float32)
            grain *= np.sqrt(np.float32(READ_NOISE**2) + np.float32(SHOT_NOISE) * np.maximum(values, np.float32(0.0)))
            values += np.float32(noise) * grain
        values *= np.float32(10000.0)
        numbers[k] = np.clip(np.rint(values, out=values), 1, 65535, out=values)
    return numbers


def make_scene_grid(
    rng: np.random.Generator, crs: str, bounds: tuple[float, float, float, float], gsd_m: float
) -> tuple[str, Affine, tuple[int, int]]:
    """Return (crs, transform, shape) of a scene's own grid: off by a part of a pixel, each of its own size."""
    left, bottom, right, top = bounds
    before = OVERHANG_PX - 2 + rng.integers(0, 4, 2) + rng.uniform(0, 1, 2)
    after = OVERHANG_PX - 2 + rng.integers(0, 4, 2)
    cols = math.ceil((right - left) / gsd_m + before[0]) + int(after[0])
    rows = math.ceil((top - bottom) / gsd_m + before[1]) + int(after[1])
    transform = Affine(gsd_m, 0.0, left - before[0] * gsd_m, 0.0, -gsd_m, top + before[1] * gsd_m)
    return crs, transform, (rows, cols)

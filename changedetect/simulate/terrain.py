"""The ground: land covers with texture, season and height, in a local frame of metres."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.errors import ChangeDetectError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BANDS = ("blue", "green", "red", "nir")

GRASS, SOIL, FLOOR, CROWN, CONIFER, TRACK, ASPHALT, CONCRETE, WATER, SCRUB = range(10)
PARCEL0 = 20
"""Covers from here on are field parcels, whose spectrum changes when they are mown, ploughed or harvested."""

# (summer, late autumn) reflectance of blue, green, red, near infrared; texture amplitude; amplitude of greenness
SPECTRA = {
    GRASS: ((0.045, 0.085, 0.068, 0.33), (0.085, 0.125, 0.160, 0.27), 0.10, 0.30),
    SOIL: ((0.100, 0.135, 0.175, 0.25), (0.095, 0.130, 0.170, 0.24), 0.08, 0.2),
    FLOOR: ((0.030, 0.050, 0.040, 0.22), (0.050, 0.065, 0.075, 0.17), 0.14, 0.3),
    CROWN: ((0.028, 0.058, 0.036, 0.40), (0.058, 0.078, 0.098, 0.24), 0.10, 0.35),
    CONIFER: ((0.022, 0.038, 0.028, 0.26), (0.024, 0.040, 0.031, 0.25), 0.10, 0.2),
    TRACK: ((0.125, 0.160, 0.200, 0.27), (0.120, 0.155, 0.195, 0.26), 0.09, 0.2),
    ASPHALT: ((0.085, 0.095, 0.102, 0.12), (0.085, 0.095, 0.102, 0.12), 0.05, 0.0),
    CONCRETE: ((0.190, 0.220, 0.240, 0.27), (0.190, 0.220, 0.240, 0.27), 0.05, 0.0),
    WATER: ((0.040, 0.046, 0.032, 0.014), (0.042, 0.046, 0.034, 0.014), 0.03, 0.0),
    SCRUB: ((0.038, 0.070, 0.050, 0.30), (0.070, 0.090, 0.105, 0.22), 0.14, 0.35),
}
PARCEL_STATES = {
    "crop": ((0.04, 0.085, 0.055, 0.38), (0.075, 0.12, 0.14, 0.27), 0.06),
    "ripe": ((0.08, 0.125, 0.15, 0.30), (0.095, 0.14, 0.18, 0.29), 0.05),
    "stubble": ((0.12, 0.16, 0.20, 0.28), (0.12, 0.16, 0.20, 0.28), 0.07),
    "ploughed": ((0.06, 0.08, 0.105, 0.15), (0.06, 0.08, 0.105, 0.15), 0.12),
    "mown": ((0.075, 0.125, 0.105, 0.32), (0.10, 0.145, 0.165, 0.27), 0.06),
}


def make_fractal(
    rng: np.random.Generator, shape: tuple[int, int], coarsest_px: float, finest_px: float = 1.0, slope: float = 0.5
) -> NDArray[np.float32]:
    """Return 1/f-like noise of unit standard deviation, (row, col) float32: a sum of octaves."""
    rows, cols = shape
    total = np.zeros(shape, np.float32)
    power = 0.0
    scale = float(finest_px)
    while scale <= max(coarsest_px, finest_px):
        size = (max(int(np.ceil(rows / scale)) + 2, 3), max(int(np.ceil(cols / scale)) + 2, 3))
        octave = rng.standard_normal(size, dtype=np.float32)
        if scale > 1.0:
            octave = np.asarray(cv2.resize(octave, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.float32)
        amplitude = scale**slope
        total += np.float32(amplitude) * octave[:rows, :cols]
        power += amplitude**2 * (1.0 if scale == 1.0 else 0.6)
        scale *= 2.0
    return total / np.float32(np.sqrt(power))


@dataclass(slots=True)
class Parcel:
    """A field: its cover code and what it looks like over time."""

    code: int
    states: list[tuple[float, str]]
    """(day of year from which, state), sorted; a change of state is a confounder, not truth."""


@dataclass(slots=True)
class Terrain:
    """Static ground arrays in world pixels; the frame starts `margin_m` outside the simulated extent."""

    pixel_m: float
    margin_m: float
    size_m: float
    cover: NDArray[np.uint8]
    height: NDArray[np.float32]
    """Metres above ground, trees only; objects are drawn per date."""
    lightness: NDArray[np.float32]
    """Multiplier per pixel of single trees and the like."""
    rows: NDArray[np.float32]
    """-1..1 pattern of the rows of field parcels."""
    parcels: list[Parcel] = field(default_factory=list)
    texture: NDArray[np.float32] | None = None
    """(row, col, band) multiplier, made by `finish_terrain`."""
    greenness: NDArray[np.float32] | None = None
    """Local offset of the season, (row, col)."""
    drift: NDArray[np.float32] | None = None
    """Unit noise that says where snow and waves lie, (row, col)."""

    def to_px(self, xy_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return world pixel coordinates (corner convention) of metres east and south of the extent's corner."""
        return (np.asarray(xy_m, np.float64) + self.margin_m) / self.pixel_m

    def cover_at(self, xy_m: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the cover codes at points, metres."""
        px = np.floor(self.to_px(xy_m)).astype(int)
        rows, cols = self.cover.shape
        return np.asarray(self.cover[np.clip(px[:, 1], 0, rows - 1), np.clip(px[:, 0], 0, cols - 1)])

    def scale_noise(
        self, rng: np.random.Generator, coarsest_m: float, finest_m: float, slope: float = 0.7
    ) -> NDArray[np.float32]:
        """Return unit fractal noise between two scales in metres, (row, col)."""
        finest_px = max(finest_m / self.pixel_m, 1.0)
        return make_fractal(rng, self.cover.shape, coarsest_m / self.pixel_m, finest_px, slope)


def make_terrain(size_m: float, margin_m: float, pixel_m: float, cover: int = GRASS) -> Terrain:
    """Return flat ground of one cover."""
    n = round((size_m + 2 * margin_m) / pixel_m)
    shape = (n, n)
    return Terrain(
        pixel_m,
        margin_m,
        size_m,
        np.full(shape, cover, np.uint8),
        np.zeros(shape, np.float32),
        np.ones(shape, np.float32),
        np.zeros(shape, np.float32),
    )


def paint_polygon(terrain: Terrain, xy_m: NDArray[np.float64], cover: int) -> None:
    """Set the cover inside a polygon."""
    points = np.round((terrain.to_px(xy_m) - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(terrain.cover, [points], int(cover), shift=4)


def paint_line(terrain: Terrain, xy_m: NDArray[np.float64], width_m: float, cover: int) -> None:
    """Set the cover along a line."""
    points = np.round((terrain.to_px(xy_m) - 0.5) * 16).astype(np.int32)
    width_px = max(1, round(width_m / terrain.pixel_m))
    cv2.polylines(terrain.cover, [points], False, int(cover), thickness=width_px, shift=4)


def wander(
    rng: np.random.Generator, start: tuple[float, float], end: tuple[float, float], sway_m: float
) -> NDArray[np.float64]:
    """Return a smooth winding line between two points, (n, 2) metres."""
    t = np.linspace(0, 1, 60)
    a, b = np.asarray(start, float), np.asarray(end, float)
    normal = np.array([-(b - a)[1], (b - a)[0]]) / max(float(np.hypot(*(b - a))), 1e-9)
    sway = sum(rng.normal() / k * np.sin(np.pi * k * t) for k in (1, 2, 3))
    return np.asarray(a + (b - a) * t[:, None] + normal * (sway_m * np.asarray(sway))[:, None])


def add_parcel(
    terrain: Terrain,
    rng: np.random.Generator,
    corners_m: NDArray[np.float64],
    states: list[tuple[float, str]],
    row_spacing_m: float = 2.2,
) -> None:
    """Add a field parcel with rows along its longer side."""
    code = PARCEL0 + len(terrain.parcels)
    paint_polygon(terrain, corners_m, code)
    terrain.parcels.append(Parcel(code, states))
    side = corners_m[1] - corners_m[0]
    other = corners_m[2] - corners_m[1]
    along = side if np.hypot(*side) >= np.hypot(*other) else other
    across = np.array([-along[1], along[0]]) / np.hypot(*along)
    inside = np.nonzero(terrain.cover == code)
    spacing = max(row_spacing_m, 2.5 * terrain.pixel_m)
    phase = (inside[1] * across[0] + inside[0] * across[1]) * terrain.pixel_m / spacing
    jitter = 0.15 * np.sin(phase * 0.37 + rng.uniform(0, 6))
    terrain.rows[inside] = np.sin(2 * np.pi * (phase + jitter)).astype(np.float32)


def add_trees(
    terrain: Terrain, rng: np.random.Generator, centres_m: NDArray[np.float64], height_m: float, conifer: float = 0.25
) -> None:
    """Draw tree crowns, each with its own size, height, lightness and kind."""
    rows, cols = terrain.cover.shape
    px = terrain.to_px(centres_m)
    for (x, y), draw in zip(px, rng.random((len(px), 4)), strict=True):
        radius_px = (1.6 + 1.6 * draw[0]) / terrain.pixel_m
        top_m = height_m * (0.65 + 0.6 * draw[1])
        r0, c0 = int(np.floor(y - radius_px)), int(np.floor(x - radius_px))
        r1, c1 = int(np.ceil(y + radius_px)) + 1, int(np.ceil(x + radius_px)) + 1
        r0, c0, r1, c1 = max(r0, 0), max(c0, 0), min(r1, rows), min(c1, cols)
        if r0 >= r1 or c0 >= c1:
            continue
        dy = (np.arange(r0, r1) + 0.5 - y)[:, None] / radius_px
        dx = (np.arange(c0, c1) + 0.5 - x)[None, :] / radius_px
        away = dx * dx + dy * dy
        crown = np.where(away < 1.0, top_m * (1.0 - 0.55 * away), 0.0).astype(np.float32)
        window = (slice(r0, r1), slice(c0, c1))
        higher = crown > terrain.height[window]
        terrain.height[window][higher] = crown[higher]
        terrain.cover[window][higher] = CONIFER if draw[2] < conifer else CROWN
        terrain.lightness[window][higher] = 0.75 + 0.5 * draw[3]


def add_forest(
    terrain: Terrain, rng: np.random.Generator, inside: NDArray[np.bool_], spacing_m: float = 4.2, height_m: float = 8.5
) -> None:
    """Turn part of the ground into forest: a dark floor and single crowns."""
    inside = inside & np.isin(terrain.cover, (GRASS, SCRUB, SOIL))
    terrain.cover[inside] = FLOOR
    rows, cols = terrain.cover.shape
    step = spacing_m / terrain.pixel_m
    grid_y, grid_x = np.mgrid[0 : rows / step, 0 : cols / step]
    points = np.stack([grid_x.ravel(), grid_y.ravel()], 1) + rng.uniform(-0.4, 1.4, (grid_x.size, 2))
    px = points * step
    keep = (px[:, 0] >= 0) & (px[:, 1] >= 0) & (px[:, 0] < cols) & (px[:, 1] < rows)
    px = px[keep]
    px = px[inside[px[:, 1].astype(int), px[:, 0].astype(int)]]
    add_trees(terrain, rng, px * terrain.pixel_m - terrain.margin_m, height_m)


def finish_terrain(terrain: Terrain, rng: np.random.Generator) -> Terrain:
    """Return the terrain with its texture and its local offsets of season drawn."""
    amplitude = np.zeros(256, np.float32)
    green = np.zeros(256, np.float32)
    for code, (_, _, grain, spread) in SPECTRA.items():
        amplitude[code], green[code] = grain, spread
    amplitude[PARCEL0:], green[PARCEL0:] = 0.06, 0.15
    common = terrain.scale_noise(rng, 64.0, 0.0, 0.35)
    texture = np.empty((*terrain.cover.shape, 4), np.float32)
    strength = amplitude[terrain.cover]
    own = terrain.scale_noise(rng, 24.0, 0.0, 0.35)
    for k in range(4):
        # one field shifted by a different amount per band is as good as four, and three times cheaper
        band_own = np.roll(own, (37 * (k + 1), 91 * (k + 1)), (0, 1))
        texture[..., k] = terrain.lightness * np.maximum(1.0 + strength * (0.9 * common + 0.35 * band_own), 0.3)
    terrain.texture = texture
    terrain.drift = terrain.scale_noise(rng, 96.0, 1.0, 0.8)
    terrain.greenness = green[terrain.cover] * terrain.drift
    return terrain


def season_of(day: float) -> float:
    """Return senescence, 0 (summer green) to 1 (all turned), of a day of the year at 43-48 degrees north."""
    if day < 105.0:
        return 1.0
    if day < 150.0:
        return (150.0 - day) / 45.0
    return float(1.0 / (1.0 + np.exp(-(day - 281.0) / 10.0)))


def ground_reflectance(terrain: Terrain, day: float, wet: float = 0.0) -> NDArray[np.float32]:
    """Return reflectance of the bare ground and plants on one day of the year, (row, col, band) float32."""
    if terrain.texture is None or terrain.greenness is None:
        finish_terrain(terrain, np.random.default_rng(0))
    texture, greenness = terrain.texture, terrain.greenness
    if texture is None or greenness is None:
        raise ChangeDetectError("the terrain has no texture")
    first, drift, row_gain = _spectra_on(terrain, day)
    damp = _dampness(wet)
    first, drift = first * damp[:, None], drift * damp[:, None]
    out = np.empty_like(texture)
    season = np.float32(season_of(day))
    for rows in row_strips(len(out)):  # strips that fit the cache: three times faster than whole arrays
        cover = terrain.cover[rows]
        turned = np.clip(greenness[rows] + season, 0.0, 1.0)
        strip = np.take(drift, cover, axis=0)
        strip *= turned[..., None]
        strip += np.take(first, cover, axis=0)
        strip *= texture[rows]
        if terrain.parcels:
            strip *= (1.0 + np.take(row_gain, cover) * terrain.rows[rows])[..., None]
        out[rows] = strip
    return out


def row_strips(rows: int, height: int = 64) -> list[slice]:
    """Return slices of rows that tile an array."""
    return [slice(r, min(r + height, rows)) for r in range(0, rows, height)]


def _dampness(wet: float) -> NDArray[np.float32]:
    """Return by how much rain darkens each cover."""
    damp = np.ones(256, np.float32)
    damp[[SOIL, TRACK]] = 1.0 - 0.35 * wet
    damp[[GRASS, SCRUB]] = 1.0 - 0.10 * wet
    damp[[ASPHALT, CONCRETE]] = 1.0 - 0.30 * wet
    damp[PARCEL0:] = 1.0 - 0.2 * wet
    return damp


def _spectra_on(terrain: Terrain, day: float) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    first = np.zeros((256, 4), np.float32)
    last = np.zeros((256, 4), np.float32)
    row_gain = np.zeros(256, np.float32)
    for code, (summer, autumn, _, _) in SPECTRA.items():
        first[code], last[code] = summer, autumn
    for parcel in terrain.parcels:
        state = [name for since, name in parcel.states if since <= day] or [parcel.states[0][1]]
        summer, autumn, rows = PARCEL_STATES[state[-1]]
        first[parcel.code], last[parcel.code], row_gain[parcel.code] = summer, autumn, rows
    return first, last - first, row_gain

"""A small deterministic ground, evaluated at any position: no interpolation kernel stands in for the truth."""

from __future__ import annotations

import numpy as np
from affine import Affine

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.core.raster import Raster

BANDS = ("blue", "green", "red", "nir")
GSD_M = 0.5


def make_grid(side_px, gsd_m=GSD_M):
    return Grid("EPSG:32652", Affine(gsd_m, 0, 700_000, 0, -gsd_m, 4_900_000), (side_px, side_px))


def hash_unit(i, j, seed):
    """A fixed random number in [0, 1) for each whole-number pair."""
    n = (i.astype(np.int64) * 73856093) ^ (j.astype(np.int64) * 19349663) ^ (seed * 83492791)
    n = (n ^ (n >> 13)) * 1274126177 & 0x7FFFFFFF
    n = (n ^ (n >> 16)) * 1103515245 & 0x7FFFFFFF
    return ((n >> 7) & 0xFFFF).astype(np.float32) / 65536.0


def smooth_noise(y, x, size_px, seed):
    """Noise that is smooth between lattice points `size_px` apart, -0.5 to 0.5."""
    y, x = y / size_px, x / size_px
    i, j = np.floor(y), np.floor(x)
    fy, fx = (t * t * t * (t * (t * 6 - 15) + 10) for t in (y - i, x - j))
    i, j = i.astype(np.int64), j.astype(np.int64)
    top = hash_unit(i, j, seed) * (1 - fx) + hash_unit(i, j + 1, seed) * fx
    bottom = hash_unit(i + 1, j, seed) * (1 - fx) + hash_unit(i + 1, j + 1, seed) * fx
    return top * (1 - fy) + bottom * fy - 0.5


def ground(y, x, seed=1, season=0.0):
    """Reflectance (band, ...) of fields with sharp borders, texture of four octaves and small bright roofs."""
    # the lattices turn and move with the seed: two seeds share no border
    angle = 0.4 + 0.37 * seed
    y, x = y + 7.3 * seed, x - 11.9 * seed
    v, w = y * np.cos(angle) - x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)
    fields = hash_unit(np.floor(v / 41.0), np.floor(w / 57.0), seed) - 0.5
    growth = hash_unit(np.floor(v / 41.0), np.floor(w / 57.0), seed + 50) - 0.5
    octaves = ((40, 1.0), (17, 0.8), (7, 0.6), (3, 0.5))
    texture = sum(smooth_noise(y, x, size, seed + k) * share for k, (size, share) in enumerate(octaves))
    cell_v, cell_w = np.floor(v / 23.0), np.floor(w / 23.0)
    inside = (np.abs(v - 23 * cell_v - 11) < 4) & (np.abs(w - 23 * cell_w - 11) < 6)
    roofs = inside & (hash_unit(cell_v, cell_w, seed + 9) > 0.8)
    base = 0.12 + 0.06 * fields + 0.04 * texture + 0.15 * roofs
    nir = 0.28 - 0.12 * fields + 0.08 * texture + 0.02 * roofs + season * 0.25 * growth
    return np.stack([0.7 * base, 0.9 * base, base + season * 0.05 * growth, nir]).astype(np.float32)


def render(grid, displacement=None, seed=1, season=0.0, noise=0.003, noise_seed=0, gain=1.0, offset=0.0):
    """A raster whose pixel p shows the ground at p + displacement(p), averaged over 3 x 3 points of the pixel."""
    total = 0.0
    for dy in (-1 / 3, 0.0, 1 / 3):
        for dx in (-1 / 3, 0.0, 1 / 3):
            y, x = np.indices(grid.shape, np.float64)
            y, x = y + 0.5 + dy, x + 0.5 + dx
            if displacement is not None:
                v, w = displacement(y, x)
                y, x = y + v, x + w
            total = total + ground(y, x, seed, season)
    data = total / 9.0 * gain + offset
    data = data + np.random.default_rng(noise_seed).normal(0, noise, data.shape)
    return Raster.make(data, grid, BANDS, "reflectance")


def true_u(grid, displacement):
    """u with q + u + displacement(q + u) = q at the pixel centres, by fixed point, (2, row, col)."""
    y, x = np.indices(grid.shape, np.float64) + 0.5
    u = np.zeros((2, *grid.shape))
    for _ in range(30):
        u = -np.stack(np.broadcast_arrays(*displacement(y + u[0], x + u[1])))
    return u


def with_quality(raster, where, bit=Quality.CLOUD):
    quality = raster.quality.copy()
    quality[where] |= np.uint16(bit)
    return Raster(raster.data.copy(), quality, raster.grid, raster.bands, raster.unit)


def cloud_mask(grid, share, size_px=60, seed=5):
    y, x = np.indices(grid.shape, np.float64)
    field = smooth_noise(y, x, size_px, seed) + 0.3 * smooth_noise(y, x, size_px / 3, seed + 1)
    return field > np.quantile(field, 1 - share)


def error_px(warp, u, edge=8):
    """|estimated - true| in px, away from the edge."""
    found = warp.displacement_px(warp.grid)
    return np.hypot(*(found - u))[edge:-edge, edge:-edge]

"""Pairs made of patterns: repeated, one-dimensional or of the sensor, to be matched rightly or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from affine import Affine

from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.simulate.terrain import make_fractal


@dataclass(frozen=True, eq=False)
class Case:
    """A pair with what is true of it."""

    moving: Raster
    reference: Raster
    truth: np.ndarray | None
    """(2, row, col) px; None where no answer can be right."""
    land: np.ndarray
    """(row, col) True where the error is judged: land, clear in both."""


def north_up(left: float, top: float, gsd_m: float) -> Affine:
    """Return the transform of a grid with north at the top."""
    return Affine(gsd_m, 0.0, left, 0.0, -gsd_m, top)


_MADE_GRID = Grid("EPSG:32652", north_up(700_000, 4_900_000, 0.5), (512, 512))
_LIGHT = np.array([700.0, 900.0, 1000.0, 2200.0], np.float32)[:, None, None]


def _pattern(seed: int, draw: Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]) -> Case:
    """Return a pair of scenes that share a pattern, moved by up to 20 px, and nothing else but slow brightness."""
    rng = np.random.default_rng([seed, 11])
    shift = rng.uniform(-20, 20, 2)
    y, x = np.indices(_MADE_GRID.shape, np.float64)
    state = rng.integers(1 << 31)
    rasters = []
    for v, w in ((0.0, 0.0), tuple(shift)):
        # the moving scene shows at p what the reference has at p - shift
        shape = draw(np.random.default_rng(state), y - v, x - w)
        own = 0.10 * make_fractal(rng, _MADE_GRID.shape, 256, 16, 0.8) + 0.04 * make_fractal(
            rng, _MADE_GRID.shape, 8, 1, 0.3
        )
        data = _LIGHT * (1.0 + 0.25 * shape + own)[None].astype(np.float32)
        rasters.append(
            Raster.make(
                data + rng.normal(0, 12, (4, *_MADE_GRID.shape)), _MADE_GRID, ("blue", "green", "red", "nir"), "dn"
            )
        )
    truth = np.ones((2, *_MADE_GRID.shape), np.float32) * shift.astype(np.float32)[:, None, None]
    land = np.zeros(_MADE_GRID.shape, bool)
    land[40:-40, 40:-40] = True
    return Case(rasters[1], rasters[0], truth, land)


def _furrows(seed: int) -> Case:
    def draw(rng: np.random.Generator, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        angle, spacing = rng.uniform(0, np.pi), rng.uniform(4, 14)
        return np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / spacing)

    return _pattern(seed, draw)


def _orchard(seed: int) -> Case:
    def draw(rng: np.random.Generator, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        angle, spacing = rng.uniform(0, np.pi / 2), rng.uniform(8, 24)
        a, b = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        rows = np.cos(2 * np.pi * a / spacing), np.cos(2 * np.pi * b / (spacing * rng.uniform(0.8, 1.25)))
        return 2.0 * np.clip(rows[0] + rows[1] - 0.8, 0, None)

    return _pattern(seed, draw)


def _parade_lines(seed: int) -> Case:
    def draw(rng: np.random.Generator, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        angle, spacing = rng.uniform(0, np.pi / 2), rng.uniform(16, 60)
        a, b = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        away = np.minimum(*(np.abs((c / spacing + 0.5) % 1.0 - 0.5) * spacing for c in (a, b)))
        return 1.5 * np.clip(1.5 - away, 0.0, 1.0)

    return _pattern(seed, draw)


def _road(seed: int) -> Case:
    """One straight edge: the shift along it cannot be told."""

    def draw(rng: np.random.Generator, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        angle = rng.uniform(0, np.pi)
        away = (x - 256) * np.cos(angle) + (y - 256) * np.sin(angle)
        return 1.5 * np.clip(6.0 - np.abs(away), 0.0, 1.0) + 0.6 * np.clip(away, 0.0, 1.0)

    return _pattern(seed, draw)


def _waves(seed: int) -> Case:
    """Open water: every look has its own waves and glint."""
    rng = np.random.default_rng([seed, 12])
    rasters = []
    for _ in range(2):
        wave = make_fractal(rng, _MADE_GRID.shape, 128, 2, 0.5)
        data = _LIGHT * 0.3 * (1.0 + rng.uniform(0.02, 0.3) * wave)[None]
        rasters.append(
            Raster.make(
                data + rng.normal(0, 12, (4, *_MADE_GRID.shape)), _MADE_GRID, ("blue", "green", "red", "nir"), "dn"
            )
        )
    return Case(*rasters, None, np.ones(_MADE_GRID.shape, bool))


def _fixed_pattern(seed: int) -> Case:
    """Two places, with the same stripes of a detector and blocks of a compression on both: what agrees is no ground."""
    rng = np.random.default_rng([seed, 13])
    column = rng.normal(0, 0.01, _MADE_GRID.shape[1])
    block = 0.01 * ((np.arange(512) % 8 == 0)[:, None] | (np.arange(512) % 8 == 0)[None, :])
    rasters = []
    for _ in range(2):
        own = 0.25 * make_fractal(rng, _MADE_GRID.shape, 256, 1, 0.6)
        data = _LIGHT * (1.0 + own + column[None, :] + block)[None]
        rasters.append(
            Raster.make(
                data + rng.normal(0, 12, (4, *_MADE_GRID.shape)), _MADE_GRID, ("blue", "green", "red", "nir"), "dn"
            )
        )
    return Case(*rasters, None, np.ones(_MADE_GRID.shape, bool))


PATTERNS = {
    "furrows": _furrows,
    "orchard": _orchard,
    "parade-lines": _parade_lines,
    "one-road": _road,
    "water": _waves,
    "fixed-pattern": _fixed_pattern,
}

"""What one look shows at the place of one outline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from changedetect.core.quality import is_valid

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.grid import Grid
    from changedetect.core.results import Look
    from changedetect.series.link.params import LinkParams

_LEAST_PART_PX = 4
"""Side of the smallest part of a pattern that is judged by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """Sample points under an outline and the score it had there on its own look."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    score: NDArray[np.float64] | None
    """Signed sigma at the points, 0 where unseen; None if that look was not differenced."""

    @property
    def rms(self) -> float:
        """Root mean square of the pattern in sigma; 0 without one."""
        return 0.0 if self.score is None else float(np.sqrt(np.mean(self.score**2)))


@dataclass(frozen=True, slots=True)
class Observation:
    """What a look shows of a pattern."""

    clear_share: float
    """Share of the points that were seen, 0 to 1."""
    strength: float
    """Mean score along the pattern, sigma; the pattern's own rms on its own look, about 0 where nothing changed."""


def sample_pattern(geometry: BaseGeometry, look: Look, max_points: int) -> Pattern:
    """Return the pixel centres of `look` inside `geometry` (thinned to `max_points`) and the scores there."""
    x, y = points_inside(geometry, look.grid, max_points)
    if look.score is None:
        return Pattern(x, y, None)
    values, seen = _sample(look, x, y)
    return Pattern(x, y, np.where(seen, values, 0.0))


def points_inside(
    geometry: BaseGeometry, grid: Grid, max_points: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y (n,) of the lattice points of `grid`'s pixel size inside `geometry`, at least one, metres."""
    left, bottom, right, top = geometry.bounds
    step = grid.gsd_m * max(1, math.ceil(math.sqrt(geometry.area / grid.gsd_m**2 / max_points)))
    x0, y0 = grid.transform.c + step / 2, grid.transform.f - step / 2
    columns = np.arange(math.floor((left - x0) / step), math.ceil((right - x0) / step) + 1)
    rows = np.arange(math.floor((y0 - top) / step), math.ceil((y0 - bottom) / step) + 1)
    x, y = (axis.ravel() for axis in np.meshgrid(x0 + columns * step, y0 - rows * step))
    shapely.prepare(geometry)
    inside = shapely.contains_xy(geometry, x, y)
    if not inside.any():
        point = geometry.representative_point()
        return np.array([point.x]), np.array([point.y])
    return x[inside], y[inside]


def observe(look: Look, pattern: Pattern) -> Observation:
    """Return how much of the pattern the look shows, and how strongly it is there.

    Notes
    -----
    With the pattern's scores s0 and the look's s over the seen points, strength = sum(s s0) / sqrt(n sum(s0^2)):
    a change of mixed sign (a trench is a dark slot beside bright spoil) does not cancel, and the opposite change is
    negative.
    """
    values, seen = _sample(look, pattern.x, pattern.y)
    clear_share = float(seen.mean())
    if pattern.score is None or look.score is None or not seen.any():
        return Observation(clear_share, 0.0)
    own = pattern.score[seen]
    power = float(np.sum(own**2))
    if power == 0.0:
        return Observation(clear_share, 0.0)
    return Observation(clear_share, float(np.sum(values[seen] * own) / math.sqrt(own.size * power)))


def strongest_part(look: Look, pattern: Pattern, part_m: float) -> float:
    """Return the greatest strength of the pattern within square parts of it, sigma.

    Parts that were mostly unseen, or hold little of the pattern themselves, do not count.
    """
    values, seen = _sample(look, pattern.x, pattern.y)
    if pattern.score is None or look.score is None or not seen.any():
        return 0.0
    side = max(part_m, _LEAST_PART_PX * look.grid.gsd_m)
    cells = np.stack([np.floor(pattern.x / side), np.floor(pattern.y / side)], axis=1)
    _, part = np.unique(cells, axis=0, return_inverse=True)
    part = part.ravel()
    n = np.bincount(part, seen)
    power = np.bincount(part, np.where(seen, pattern.score**2, 0.0))
    common = np.bincount(part, np.where(seen, values * pattern.score, 0.0))
    whole = (2 * n >= np.bincount(part)) & (n >= 0.5 * _LEAST_PART_PX**2) & (power >= 0.25 * n * pattern.rms**2)
    whole &= power > 0
    return float((common[whole] / np.sqrt(n[whole] * power[whole])).max()) if whole.any() else 0.0


def kept_limit(pattern: Pattern, params: LinkParams) -> float:
    """Return the strength in sigma from which a change counts as still there without a detection."""
    return max(params.min_kept_sigma, params.min_kept_share * pattern.rms)


def _sample(
    look: Look, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    grid = look.grid
    col = np.floor((x - grid.transform.c) / grid.gsd_m).astype(np.int64)
    row = np.floor((grid.transform.f - y) / grid.gsd_m).astype(np.int64)
    inside = (row >= 0) & (row < grid.shape[0]) & (col >= 0) & (col < grid.shape[1])
    seen = np.zeros(x.size, bool)
    values = np.zeros(x.size)
    if not look.used:
        return values, seen
    at = (row[inside], col[inside])
    seen[inside] = is_valid(look.quality[at])
    if look.score is not None:
        values[inside] = look.score[at]
        seen &= np.isfinite(values)
    return np.where(seen, values, 0.0), seen

"""Where people may stand: dark patches on ground that is judged by what lies around it on the same look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from pydantic import Field

from changedetect.steps.classify.patch import VISIBLE, ramp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.classify.patch import Patch

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

WAVES: tuple[str, ...] = ("coastal", "blue", "green", "red", "rededge", "nir")
"""Bands that tell shade from ground by its colour, shortest waves first."""
Positive = Annotated[float, Field(gt=0.0)]
_LEVELS = 251
"""Levels that a running median tells apart."""
_HELD = 0.5
"""Share of a patch that labels there already are must hold to stand for it."""
_DEEP = 0.003
"""Share of a look that lies in its deepest shadows."""
_DARK = 0.4
"""Share of the median brightness that deep shadows stay below."""
_DARKEST = 0.05
"""Share of the scene's median brightness below which a ratio means nothing."""


@dataclass(frozen=True, slots=True)
class MusterParams:
    """How the empty ground of a look is known, and what stands out from it."""

    window_m: Positive = 50.0
    """Side of the running median: more than twice the depth of a formation and the gaps beside it."""
    cell_m: Positive = 2.0
    """Cells that the ground's change is told in: people fill no half of most of them where a window is half full."""
    smooth_m: Positive = 2.5
    """Side of the mean over which darkening is judged: several people and what lies between them."""
    seed_darkening: Positive = 0.15
    """A patch needs this loss of light somewhere: loose groups have .2 and more ..."""
    grow_darkening: Positive = 0.08
    """... and goes on to this one."""
    seed_sigma: Positive = 6.0
    """The same in units of the ground's own unevenness around it."""
    noise_floor: Positive = 0.012
    """Least unevenness, relative: paving has stains."""
    least_m: Positive = 3.0
    """What an opening of this diameter cuts is no patch."""
    max_unevenness: Positive = 0.25
    """People gather on open ground: standard deviation of the baseline's brightness under a patch, over its mean.
    Paving has .01 to .05, grass .1; woods, roofs with their shadows and yards have more."""
    even_ground: Positive = 0.3
    """Range of the empty ground's brightness (90 % less 10 % quantile, over the median) up to which it is open: paving
    has .02 to .2, a field of grass .3 ..."""
    uneven_ground: Positive = 0.6
    """... and from which it is woods, roofs, or a yard full of things."""
    shown_share: Positive = 0.65
    """Share of the baseline's brightness that the empty ground now has, from which on it is the same ground ..."""
    hidden_share: Positive = 0.5
    """... and below which the baseline shows the snow that lay on it: what always stands there is unknown."""
    least_darker: Positive = 0.12
    """Loss of light against the baseline itself: a patch that is no darker than the ground was before may be that
    ground, coming out from under snow; it must have the colour of shade."""
    shade_tint: float = -0.04
    """Log ratio of what is left of the light in the longest and the shortest wave: the sky lights shadows, so they are
    bluer than the ground; melting snow shows ground that is redder ..."""
    bare_tint: float = 0.01
    """... than this."""
    max_tint: Positive = 0.2
    """Whatever lost so much more of the blue is no shade, however dark: ground that got wet, grass for asphalt."""
    haze_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """The darkest things of a look, shadows in woods, have this share of its median brightness; what they have more
    is light of the air, which people do not take away."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """The ground of a look as it would be without anything new on it."""

    expected: dict[str, Plane]
    """(row, col) per band."""
    visible: Plane
    """Mean of the visible bands (of all bands without any)."""
    usual: Plane
    """The baseline's, likewise."""
    air: float
    """Visible light that the air adds."""


def expect_ground(raster: Raster, baseline: Baseline, params: MusterParams, without: Mask | None = None) -> Ground:
    """Return the baseline as the look would show it: times the running median of the change around every place.

    Parameters
    ----------
    raster, baseline : Raster, Baseline
        On one grid, in one unit.
    params : MusterParams
        Size of the window.
    without : ndarray, optional
        (row, col) what is no ground, though it may fill the window; the ground around stands for it.

    Notes
    -----
    Wet ground, snow that lies, snow that was cleared, haze and the light of the season change ground as a whole: the
    median of the ratio of both dates over a window follows them, and what fills less than half of it does not count.
    """
    valid = np.asarray(raster.valid & baseline.valid)
    bare = valid if without is None else valid & ~without
    names = [name for name in raster.bands if name in baseline.bands]
    expected = {
        name: _expect(raster.band(name), baseline.band(name), bare, raster.grid.gsd_m, params) for name in names
    }
    visible, usual = _visible(expected), _visible({name: baseline.band(name) for name in names})
    now = _visible({name: raster.band(name) for name in names})
    return Ground(expected, visible, usual, _light_of_air(now[valid], usual[valid], params))


def _light_of_air(now: Plane, then: Plane, params: MusterParams) -> float:
    """Return what the deepest shadows of the baseline are brighter by on the look, 0 where it has none; (pixel,) each.

    Those of the look itself may be people.
    """
    if not then.size:
        return 0.0
    deep, middle = np.quantile(then, (_DEEP, 0.5))
    if deep > _DARK * middle:
        return 0.0
    darkest = float(np.median(now[then <= deep]))
    return max(0.0, darkest - params.haze_share * float(np.median(now)))


def _visible(planes: dict[str, Plane]) -> Plane:
    chosen = [planes[name] for name in VISIBLE if name in planes] or list(planes.values())
    return np.asarray(np.mean(chosen, axis=0), np.float32)


def _expect(now: Plane, then: Plane, valid: Mask, gsd_m: float, params: MusterParams) -> Plane:
    if not valid.any():
        return then
    side = max(1, round(params.cell_m / gsd_m))
    weight = _cells(valid.astype(np.float32), side)
    known = weight > 0.3
    after, before = (
        _cells(np.where(valid, plane, np.float32(0)), side) / np.maximum(weight, 1e-6) for plane in (now, then)
    )
    least = np.float32(max(_DARKEST * float(np.median(before[known])) if known.any() else 0.0, 1e-6))
    ratio = np.log(np.maximum(after, least) / np.maximum(before, least)).astype(np.float32)
    middle = float(np.median(ratio[known])) if known.any() else 0.0
    ratio = _filled(ratio, known, middle, params.window_m / params.cell_m / 4)
    level = _running_median(ratio, 2 * round(params.window_m / params.cell_m / 2) + 1)
    rows, cols = now.shape
    wide = cv2.resize(level, (level.shape[1] * side, level.shape[0] * side), interpolation=cv2.INTER_LINEAR)
    return np.asarray(then * np.exp(wide[:rows, :cols]), np.float32)


def _running_median(plane: Plane, side: int) -> Plane:
    """Return the median over squares of `side` pixels, to a 250th of what the plane holds: medians know ranks alone."""
    levels = np.unique(np.quantile(plane, np.linspace(0.0, 1.0, _LEVELS), method="nearest"))
    ranks = np.clip(np.searchsorted(levels, plane, side="right") - 1, 0, levels.size - 1).astype(np.uint8)
    return np.asarray(levels[cv2.medianBlur(ranks, side)], np.float32)


def _cells(plane: Plane, side: int) -> Plane:
    """Return the means of square cells, the last ones of repeated rims."""
    rows, cols = (-(-size // side) * side for size in plane.shape)
    grown = np.pad(plane, ((0, rows - plane.shape[0]), (0, cols - plane.shape[1])), mode="edge")
    return np.asarray(grown.reshape(rows // side, side, cols // side, side).mean(axis=(1, 3)), np.float32)


def _filled(plane: Plane, known: Mask, level: float, sigma: float) -> Plane:
    """Return the plane with what is unknown as the known cells around it are, `level` far from all."""
    if known.all():
        return plane
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), sigma)
    around = cv2.GaussianBlur(np.where(known, plane - np.float32(level), np.float32(0)), (0, 0), sigma)
    return np.asarray(np.where(known, plane, level + around / np.maximum(weight, np.float32(1e-3))), np.float32)


def mark_dark_patches(
    raster: Raster, baseline: Baseline, sizes_m2: tuple[float, float], params: MusterParams
) -> NDArray[np.int32]:
    """Return the labels of patches darker than the ground around them lets expect, (row, col) int32, 8-connected.

    Parameters
    ----------
    sizes_m2 : tuple of float
        Least and largest area.
    """
    gsd_m = raster.grid.gsd_m
    ground = expect_ground(raster, baseline, params)
    valid = np.asarray(raster.valid & baseline.valid)
    now = _visible({name: raster.band(name) for name in ground.expected})
    darker = np.where(valid, 1.0 - now / np.maximum(ground.visible, np.float32(1e-6)), 0.0).astype(np.float32)
    box = (2 * round(params.smooth_m / gsd_m / 2) + 1,) * 2
    weight = cv2.blur(valid.astype(np.float32), box)
    mean = cv2.blur(darker, box) / np.maximum(weight, np.float32(1e-3))
    side = max(1, round(params.cell_m / gsd_m))
    kernel = 2 * round(params.window_m / params.cell_m / 2) + 1
    spread = np.float32(1.4826) * _running_median(_cells(np.abs(mean), side), kernel)
    rows, cols = valid.shape
    wide = cv2.resize(spread, (spread.shape[1] * side, spread.shape[0] * side))[:rows, :cols]
    noise = np.maximum(wide, np.float32(params.noise_floor))
    seed = (mean > np.float32(params.seed_darkening)) & (mean > np.float32(params.seed_sigma) * noise) & valid
    grown = (mean > np.maximum(np.float32(params.grow_darkening), np.float32(params.seed_sigma / 2) * noise)) & valid
    radius = max(1, round(params.least_m / 2 / gsd_m))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    opened = cv2.morphologyEx(np.pad(grown, radius, mode="edge").astype(np.uint8), cv2.MORPH_OPEN, disc)
    opened = np.ascontiguousarray(opened[radius:-radius, radius:-radius])
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA] * gsd_m**2
    keep = np.zeros(count, bool)
    keep[np.unique(labels[seed])] = True
    keep &= (area >= sizes_m2[0]) & (area <= sizes_m2[1])
    keep &= _unevenness(ground.usual, np.asarray(labels, np.int32), count) <= params.max_unevenness
    keep[0] = False
    names = np.cumsum(keep) * keep
    return np.asarray(names[labels], np.int32)


def _unevenness(usual: Plane, labels: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """Return the standard deviation over the mean of the baseline's brightness under each label."""
    flat, value = labels.ravel(), usual.ravel().astype(np.float64)
    n = np.maximum(np.bincount(flat, minlength=count), 1)
    mean = np.bincount(flat, weights=value, minlength=count) / n
    square = np.bincount(flat, weights=value * value, minlength=count) / n
    return np.asarray(np.sqrt(np.maximum(square - mean * mean, 0.0)) / np.maximum(mean, 1e-9))


def add_gatherings(
    labels: NDArray[np.int32], raster: Raster, baseline: Baseline, sizes_m2: tuple[float, float], params: MusterParams
) -> NDArray[np.int32]:
    """Return the labels with the dark patches on open ground that hardly any of them holds, numbered after them.

    Where snow, haze or a season changed all else, the score's noise hides what stands out from the ground around it.
    """
    patches = mark_dark_patches(raster, baseline, sizes_m2, params)
    count = int(patches.max()) + 1
    if count <= 1:
        return labels
    held = np.bincount(patches.ravel(), weights=labels.ravel() > 0, minlength=count)
    free = held < _HELD * np.bincount(patches.ravel(), minlength=count)
    free[0] = False
    names = np.cumsum(free) * free
    added = names[patches]
    return np.where(added > 0, added + int(labels.max()), labels).astype(np.int32)


def is_open(patch: Patch, ground: Ground, params: MusterParams) -> float:
    """Return 1 where the ground of the baseline under a patch is even, 0 where things stood there or snow hid it."""
    usual = ground.usual[patch.window][patch.inside]
    low, middle, high = np.quantile(usual, (0.1, 0.5, 0.9))
    level = max(float(middle), 1e-9)
    shown = float(np.median(ground.visible[patch.window][patch.inside])) / level
    even = ramp(float(high - low) / level, params.uneven_ground, params.even_ground)
    return even * ramp(shown, params.hidden_share, params.shown_share)


def is_shade(patch: Patch, ground: Ground, params: MusterParams) -> float:
    """Return 1 where a patch has the colour of people and their shadows, 0 where it has that of ground laid bare."""
    usual, now = ground.usual[patch.window][patch.inside], patch.visible[1][patch.inside]
    darker = float(now.mean()) <= (1.0 - params.least_darker) * float(usual.mean())
    bands = [name for name in WAVES if name in patch.after]
    if len(bands) < 2:
        return float(darker)
    short, long = (
        float(patch.after[name][patch.inside].mean())
        / max(float(ground.expected[name][patch.window][patch.inside].mean()), 1e-9)
        for name in (bands[0], bands[-1])
    )
    tint = math.log(max(long, 1e-3) / max(short, 1e-3))
    if darker:
        return ramp(tint, params.max_tint, 0.5 * params.max_tint)
    return ramp(tint, params.bare_tint, params.shade_tint)

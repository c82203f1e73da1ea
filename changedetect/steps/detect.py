"""Detect: cut the score into labelled objects."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from pydantic import Field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline

    Mask = NDArray[np.bool_]
    Labels = NDArray[np.int32]

_BOX = np.ones((3, 3), np.uint8)
_LEAST_KM2 = 0.01
"""Less ground than this says nothing of rates."""
_MOST_RISE = 5.0
"""Thresholds rise by at most this: what is left then is for the rules of the classes."""
_WEAK_SHARE = 0.6
"""Objects from this share of the thresholds on are looked at for the background's tail."""
_VISIBLE = ("blue", "green", "red", "pan")


@dataclass(frozen=True, slots=True)
class DetectParams:
    """Thresholds on the score, in sigma, and sizes on the ground."""

    seed_sigma: Annotated[float, Field(gt=0.0)] = 8.0
    """An object needs a pixel this strong: model errors reach 5 to 6 sigma, real objects 10 and more."""
    grow_sigma: Annotated[float, Field(gt=0.0)] = 4.0
    """It extends over connected pixels this strong: half the seed keeps weak flanks and stops at texture."""
    object_sigma: Annotated[float, Field(ge=0.0)] = 9.5
    """95 % quantile of an object's |score|: one odd pixel is no object."""
    closing_m: Annotated[float, Field(ge=0.0)] = 1.0
    """Gaps up to twice this are bridged: the flanks of one trench, the panels of one roof."""
    max_hole_m2: Annotated[float, Field(ge=0.0)] = 400.0
    """Holes up to this are filled: a roof whose middle kept its colour; larger ones are yards."""
    min_area_m2: Annotated[float, Field(ge=0.0)] = 6.0
    """Half a van; smaller patches are people, glints and noise."""
    min_area_px: Annotated[int, Field(ge=1)] = 4
    """Fewer pixels than this are no object at any resolution."""
    max_false_alarms_per_km2: Annotated[float, Field(gt=0.0)] | None = None
    """Objects per km2 that the scene's own background may put above the thresholds; where more are expected they rise
    until no more are. None leaves the thresholds as set."""
    max_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    """If more of the valid ground fires it is not a set of objects (snow, haze): thresholds rise until no more does."""
    shadow_darkening: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25
    """Loss of light that counts as darkened."""
    sliver_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    """An object darkened over more than this share may be the edge of a moved shadow ..."""
    sliver_reach_m: Annotated[float, Field(ge=0.0)] = 4.0
    """... if ground that is dark on both dates lies this near ..."""
    sliver_width_m: Annotated[float, Field(ge=0.0)] = 4.0
    """... it is narrower than this (the sun moves a 10 m thing's shadow by that in three weeks of autumn) ..."""
    sliver_area_m2: Annotated[float, Field(ge=0.0)] = 60.0
    """... smaller than this ..."""
    sliver_sigma: Annotated[float, Field(ge=0.0)] = 20.0
    """... and weaker than this: what light explains only in part."""
    dark_min_area_m2: Annotated[float, Field(ge=0.0)] = 25.0
    """Dark things away from old shadows: two vehicles and their shadow; less is the shadow of a small thing."""
    cast_gap_m: Annotated[float, Field(ge=0.0)] = 1.5
    """A shadow begins this near the thing that casts it."""
    cast_ratio: Annotated[float, Field(gt=0.0)] = 1.6
    """A shadow covers at most this many times its hut (sun at 25 degrees); more is a dark thing with bright spots."""
    cast_support: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    """What casts a new shadow needs only this share of the thresholds: roofs in the colour of the ground."""
    compact_support: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6
    """Even rectangles of a building's size need only this share of the thresholds, over half of their pixels ..."""
    compact_area_m2: Annotated[float, Field(ge=0.0)] = 40.0
    """... from this area ..."""
    compact_width_m: Annotated[float, Field(ge=0.0)] = 4.5
    """... and width on, ..."""
    compact_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.75
    """... filling this much of their rectangle: fields and wet ground are ragged."""
    dark_ratio: Annotated[float, Field(gt=0.0, le=1.0)] = 0.62
    """Dark: below this share of the scene's 60th percentile (near infrared, else visible)."""


def detect(score: Raster, baseline: Baseline, raster: Raster, params: DetectParams) -> Labels:
    """Return the labels of changed objects, int32 (row, col), 0 for background, 8-connected.

    Parameters
    ----------
    score : Raster
        Bands "score", "light" and (else the score stands for it) "free", from `change_score`.
    baseline : Baseline
        On the same grid.
    raster : Raster
        The scene itself.
    params : DetectParams
        Thresholds and sizes.

    Returns
    -------
    ndarray
        Labels count from 1 in the row-major order of each object's first pixel. No change is all zeros.
    """
    score.grid.require_same(baseline.grid, "detect")
    score.grid.require_same(raster.grid, "detect")
    usable = score.valid & raster.valid & baseline.valid
    strength = np.where(usable, np.abs(score.band("score")), np.float32(0))
    light = score.band("light")
    free = np.where(usable, np.abs(score.band("free")), np.float32(0)) if "free" in score.bands else strength
    seed, grow = _thresholds(strength, usable, params)
    scale = score.grid.gsd_m
    if params.max_false_alarms_per_km2 is not None:
        rise = _rise(background_tail(score, baseline, raster, params), params)
        seed, grow = seed * rise, grow * math.sqrt(rise)
        params = replace(params, object_sigma=params.object_sigma * rise)
    bright = _objects(free, usable, (seed, grow), params.min_area_m2, scale, params)
    fine = scale <= params.sliver_width_m / 2 and len(raster.bands) > 1
    if fine:
        core = _dark_twice(baseline, raster, params)
        bright = bright & ~_slivers(bright, free, light, core, scale, params)
    darkened = np.where(light < -params.shadow_darkening, strength, np.float32(0))
    dark = _objects(darkened, usable, (seed, grow), params.dark_min_area_m2, scale, params)
    if fine:
        dark = dark & ~_slivers(dark, strength, light, core, scale, params)
        bright = bright | _casting(free, dark, usable, (seed, grow), scale, params)
    mask = _without_cast_shadows(bright, dark, scale, params)
    mask = mask | _compact(free, mask, usable, (seed, grow), scale, params)
    count, labels = _components(mask)
    return _number(labels, np.arange(count) > 0)


@dataclass(frozen=True, slots=True)
class Tail:
    """How many objects the background puts above a strength: `per_km2` from `base` on, falling by e per e^`scale`."""

    per_km2: float
    base: float
    scale: float

    def beyond(self, sigma: float) -> float:
        """Return the objects per km2 that are expected to be stronger than `sigma`."""
        return float(self.per_km2 * max(sigma / self.base, 1.0) ** (-1.0 / self.scale))


def background_tail(score: Raster, baseline: Baseline, raster: Raster, params: DetectParams) -> Tail | None:
    """Return the tail of the strengths of what the scene's background makes of objects; None with too little ground.

    Notes
    -----
    Objects are cut at lower thresholds. Those too weak for the thresholds in force are background, but for a few; a
    power law fitted to them, cut off where the others begin, says how many of the others are background too (rims of
    cloud and crowns have no lighter tail). One object more than was seen is counted, so that a small calm scene does
    not promise what it cannot know.
    """
    usable = score.valid & raster.valid & baseline.valid
    km2 = float(usable.sum()) * score.grid.gsd_m**2 / 1e6
    if km2 < _LEAST_KM2:
        return None
    strength = np.abs(score.band("score"))
    if "free" in score.bands:
        darkened = score.band("light") < -params.shadow_darkening
        strength = np.maximum(np.abs(score.band("free")), np.where(darkened, strength, np.float32(0)))
    strength = np.where(usable, strength, np.float32(0))
    seed, grow = _thresholds(strength, usable, params)
    base, reach = params.object_sigma * _WEAK_SHARE, -math.log(_WEAK_SHARE)
    weak = (seed * _WEAK_SHARE, grow)
    mask = _objects(strength, usable, weak, params.min_area_m2, score.grid.gsd_m, params, base)
    count, labels = _components(mask)
    high = _quantile_by_label(labels, strength, np.arange(count) > 0, 0.95)[1:]
    excess = np.log(np.maximum(high[high < params.object_sigma], base) / base)
    scale = _cut_scale(float(np.append(excess, reach / 2).mean()), reach)
    return Tail((excess.size + 1) / -math.expm1(-reach / scale) / km2, base, scale)


def expected_false_alarms(
    score: Raster, baseline: Baseline, raster: Raster, params: DetectParams
) -> tuple[float, float | None]:
    """Return the strength an object needs (sigma) and the objects per km2 that the background puts above it.

    Classes and what explains a change come after, and only lower the figure. None with too little ground to tell.
    """
    tail = background_tail(score, baseline, raster, params)
    needed = params.object_sigma * _rise(tail, params)
    return needed, None if tail is None else tail.beyond(needed)


def _cut_scale(mean: float, reach: float) -> float:
    """Return the scale of an exponential whose values below `reach` have a mean, by bisection."""
    low, high = 0.02 * reach, 3.0 * reach
    for _ in range(40):
        middle = 0.5 * (low + high)
        if middle - reach / math.expm1(reach / middle) < mean:
            low = middle
        else:
            high = middle
    return low


def _rise(tail: Tail | None, params: DetectParams) -> float:
    """Return the factor by which thresholds must rise to leave at most the false alarms that are allowed."""
    if tail is None or params.max_false_alarms_per_km2 is None:
        return 1.0
    needed = tail.base * max(tail.per_km2 / params.max_false_alarms_per_km2, 1.0) ** tail.scale
    return float(min(max(needed / params.object_sigma, 1.0), _MOST_RISE))


def _objects(
    strength: NDArray[np.float32],
    usable: Mask,
    thresholds: tuple[float, float],
    min_area_m2: float,
    gsd_m: float,
    params: DetectParams,
    object_sigma: float | None = None,
) -> Mask:
    """Return the pixels of closed, filled, large and strong enough objects."""
    mask = _hysteresis(strength, *thresholds)
    mask = _close(mask, round(params.closing_m / gsd_m), usable)
    mask = _fill_holes(mask, params.max_hole_m2 / gsd_m**2)
    count, labels = _components(mask)
    if count <= 1:
        return mask
    area = np.bincount(labels.ravel(), minlength=count)
    keep = area >= max(params.min_area_px, min_area_m2 / gsd_m**2)
    keep[0] = False
    high = _quantile_by_label(labels, strength, keep, 0.95)
    least = params.object_sigma if object_sigma is None else object_sigma
    return np.asarray((keep & (high >= least))[labels])


def _casting(
    free: NDArray[np.float32],
    dark: Mask,
    usable: Mask,
    thresholds: tuple[float, float],
    gsd_m: float,
    params: DetectParams,
) -> Mask:
    """Return the pixels of objects that are weak by themselves but cast a new shadow: two signs of one thing."""
    if not dark.any():
        return dark
    share = params.cast_support
    weak = (thresholds[0] * share, max(thresholds[1] * share, 0.5))
    mask = _objects(free, usable, weak, params.dark_min_area_m2, gsd_m, params, params.object_sigma * share)
    count, labels = _components(mask)
    near = cv2.dilate(dark.astype(np.uint8), disc(max(1, round(params.cast_gap_m / gsd_m)))) > 0
    touching = np.zeros(count, bool)
    touching[labels[near & mask]] = True
    touching[0] = False
    # What is dark itself is no sunlit top.
    area = np.bincount(labels.ravel(), minlength=count)
    dark_area = np.bincount(labels.ravel(), weights=dark.ravel(), minlength=count)
    return np.asarray((touching & (dark_area < 0.5 * area))[labels])


def _compact(
    free: NDArray[np.float32],
    taken: Mask,
    usable: Mask,
    thresholds: tuple[float, float],
    gsd_m: float,
    params: DetectParams,
) -> Mask:
    """Return the pixels of weak but even rectangles of a building's size: roofs replaced in a like colour."""
    share = params.compact_support
    seed, grow = (value * share for value in thresholds)
    mask = (free > grow) & usable & ~taken
    # Links to texture are thinner than a roof.
    side = 2 * round(params.compact_width_m / 4 / gsd_m) + 1
    mask = cv2.morphologyEx(np.pad(mask, side).astype(np.uint8), cv2.MORPH_OPEN, np.ones((side, side), np.uint8)) > 0
    count, labels = _components(mask[side:-side, side:-side])
    area = np.bincount(labels.ravel(), minlength=count) * gsd_m**2
    keep = (area >= params.compact_area_m2) & (area <= params.max_hole_m2)
    keep[0] = False
    keep &= _quantile_by_label(labels, free, keep, 0.5) >= seed
    touch = cv2.dilate(taken.astype(np.uint8), disc(max(1, round(params.cast_gap_m / gsd_m)))) > 0
    keep[np.unique(labels[touch])] = False
    for label in np.flatnonzero(keep):
        rows, cols = np.nonzero(labels == label)
        sides = np.array(cv2.minAreaRect(np.stack([cols, rows], axis=1).astype(np.float32))[1]) + 1.0
        fills = rows.size / float(sides.prod()) >= params.compact_fill
        keep[label] = fills and float(sides.min()) * gsd_m >= params.compact_width_m
    return np.asarray(keep[labels])


def _without_cast_shadows(bright: Mask, dark: Mask, gsd_m: float, params: DetectParams) -> Mask:
    """Return both kinds of object less the shadows that the bright ones cast.

    A dark object that touches bright ones and is not much larger than they are is their shadow; a much larger one is a
    thing itself (vehicles and what lies between them), and the bright spots belong to it.
    """
    count, labels = _components(dark)
    if count <= 1 or not bright.any():
        return np.asarray(bright | dark)
    reach = max(1, round(params.cast_gap_m / gsd_m))
    n_bright, names = _components(bright)
    near = cv2.dilate(bright.astype(np.uint8), disc(reach)) > 0
    # Every bright object hands its area to the dark ones within reach.
    grown = cv2.dilate(names.astype(np.float32), disc(reach)).astype(np.int32)
    pairs = np.unique(np.stack([labels[near & dark], grown[near & dark]], axis=1), axis=0)
    area_bright = np.bincount(names.ravel(), minlength=n_bright)
    area_dark = np.bincount(labels[dark & ~bright], minlength=count)
    owned = np.bincount(pairs[:, 0], weights=area_bright[pairs[:, 1]], minlength=count)
    keep = area_dark > params.cast_ratio * owned
    keep[0] = False
    return np.asarray(bright | keep[labels])


def _components(mask: Mask) -> tuple[int, Labels]:
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return count, np.asarray(labels, np.int32)


def _thresholds(strength: NDArray[np.float32], usable: Mask, params: DetectParams) -> tuple[float, float]:
    """Return seed and grow threshold, raised together until at most `max_share` of the valid ground grows."""
    n_usable = int(usable.sum())
    share = float((strength > params.grow_sigma).sum()) / max(n_usable, 1)
    if share <= params.max_share:
        return params.seed_sigma, params.grow_sigma
    grow = float(np.quantile(strength[usable], 1 - params.max_share))
    return params.seed_sigma * grow / params.grow_sigma, grow


def _hysteresis(strength: NDArray[np.float32], seed: float, grow: float) -> Mask:
    count, labels = cv2.connectedComponents((strength > grow).astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    seeded = np.zeros(count, bool)
    seeded[labels[strength > seed]] = True
    seeded[0] = False
    return np.asarray(seeded[labels])


def disc(radius_px: int) -> NDArray[np.uint8]:
    """Return a disc-shaped structuring element of side 2 * radius + 1."""
    y, x = np.ogrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    return np.asarray(x * x + y * y <= radius_px * radius_px + 0.5, np.uint8)


def _close(mask: Mask, radius_px: int, usable: Mask) -> Mask:
    if radius_px < 1:
        return mask
    border = np.pad(mask, radius_px).astype(np.uint8)
    closed = cv2.morphologyEx(border, cv2.MORPH_CLOSE, disc(radius_px))
    return (closed[radius_px:-radius_px, radius_px:-radius_px] > 0) & usable


def _fill_holes(mask: Mask, max_hole_px: float) -> Mask:
    """Return the mask with background parts that touch no border filled, up to `max_hole_px`."""
    _, holes, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    fill = stats[:, cv2.CC_STAT_AREA] <= max_hole_px
    fill[0] = False
    edge = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])
    fill[edge] = False
    return np.asarray(mask | fill[holes])


def _quantile_by_label(
    labels: Labels, values: NDArray[np.float32], wanted: Mask, quantile: float
) -> NDArray[np.float64]:
    """Return the quantile of `values` in each wanted label, (label,) float64; 0 elsewhere."""
    result = np.zeros(wanted.size)
    at = np.nonzero(wanted[labels])
    if at[0].size == 0:
        return result
    label, value = labels[at], values[at]
    order = np.lexsort((value, label))
    label, value = label[order], value[order]
    starts = np.flatnonzero(np.r_[True, label[1:] != label[:-1]])
    sizes = np.diff(np.r_[starts, label.size])
    result[label[starts]] = value[starts + np.floor((sizes - 1) * quantile + 0.5).astype(np.intp)]
    return result


def _dark_twice(baseline: Baseline, raster: Raster, params: DetectParams) -> Mask:
    """Return where both dates are dark: the lasting core of a tall thing's shadow."""
    valid = raster.valid & baseline.valid
    names = [name for name in raster.bands if name in baseline.bands]
    chosen = ["nir"] if "nir" in names else [name for name in names if name in _VISIBLE] or names
    dark = valid
    for planes in ([baseline.band(n) for n in chosen], [raster.band(n) for n in chosen]):
        plane = np.mean(planes, axis=0)
        sample = plane[valid]
        if sample.size == 0:
            return np.zeros(valid.shape, bool)
        bright = np.quantile(sample[:: max(1, sample.size // 200_000)], 0.6)
        dark = dark & (plane < params.dark_ratio * bright)
    return np.asarray(dark)


def _slivers(
    mask: Mask,
    strength: NDArray[np.float32],
    light: NDArray[np.float32],
    dark_twice: Mask,
    gsd_m: float,
    params: DetectParams,
) -> Mask:
    """Return the pixels of objects that are the thin edge of a shadow that moved or grew."""
    count, labels = _components(mask)
    flat = labels.ravel()
    area = np.bincount(flat, minlength=count).astype(np.float64)
    darkened = np.bincount(flat, weights=(light < -params.shadow_darkening).ravel(), minlength=count)
    small = (area * gsd_m**2 < params.sliver_area_m2) & (darkened > params.sliver_share * area)
    small[0] = False
    near = cv2.dilate(dark_twice.astype(np.uint8), disc(max(1, round(params.sliver_reach_m / gsd_m)))) > 0
    touching = np.zeros(count, bool)
    touching[labels[near]] = True
    candidate = small & touching
    inside = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    width = np.zeros(count)
    np.maximum.at(width, labels[mask], (2 * inside[mask] - 1) * gsd_m)
    weak = _quantile_by_label(labels, strength, candidate, 0.95) < params.sliver_sigma
    return np.asarray((candidate & (width < params.sliver_width_m) & weak)[labels])


def _number(labels: Labels, keep: Mask) -> Labels:
    """Return the kept labels numbered from 1 by the row-major order of their first pixel."""
    kept = keep[labels]
    at = np.flatnonzero(kept.ravel())
    flat = labels.ravel()[at]
    names, first = np.unique(flat, return_index=True)
    number = np.zeros(keep.size, np.int32)
    number[names[np.argsort(first, kind="stable")]] = np.arange(1, names.size + 1, dtype=np.int32)
    return np.asarray(np.where(kept, number[labels], 0), np.int32)

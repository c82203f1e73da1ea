"""How many objects a scene's own background makes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from changedetect.steps.detect.masks import components, objects, quantile_by_label, thresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.detect.params import DetectParams

    Mask = NDArray[np.bool_]

_LEAST_KM2 = 0.01
"""Less ground than this says nothing of rates."""
_MOST_RISE = 5.0
"""Thresholds rise by at most this: what is left then is for the rules of the classes."""
_WEAK_SHARE = 0.6
"""Objects from this share of the thresholds on are looked at for the background's tail."""


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
    strength = np.abs(score.band("score"))
    if "free" in score.bands:
        darkened = score.band("light") < -params.shadow_darkening
        strength = np.maximum(np.abs(score.band("free")), np.where(darkened, strength, np.float32(0)))
    strength = np.where(usable, strength, np.float32(0))
    return _tail_of(strength, usable, thresholds(strength, usable, params), score.grid.gsd_m, params)


def contrast_tail(score: Raster, baseline: Baseline, raster: Raster, params: DetectParams) -> Tail | None:
    """Return the same of local contrast; None where it is not asked for."""
    if params.local_seed_sigma is None or "local" not in score.bands:
        return None
    usable = score.valid & raster.valid & baseline.valid
    strength = np.where(usable, score.band("local"), np.float32(0))
    asked = (params.local_seed_sigma, params.local_grow_sigma)
    return _tail_of(strength, usable, asked, score.grid.gsd_m, replace(params, object_sigma=params.local_object_sigma))


def _tail_of(
    strength: NDArray[np.float32], usable: Mask, asked: tuple[float, float], gsd_m: float, params: DetectParams
) -> Tail | None:
    km2 = float(usable.sum()) * gsd_m**2 / 1e6
    if km2 < _LEAST_KM2:
        return None
    base, reach = params.object_sigma * _WEAK_SHARE, -math.log(_WEAK_SHARE)
    weak = (asked[0] * _WEAK_SHARE, asked[1])
    mask = objects(strength, usable, weak, params.min_area_m2, gsd_m, params, base)
    count, labels = components(mask)
    high = quantile_by_label(labels, strength, np.arange(count) > 0, 0.95)[1:]
    excess = np.log(np.maximum(high[high < params.object_sigma], base) / base)
    scale = _cut_scale(float(np.append(excess, reach / 2).mean()), reach)
    return Tail((excess.size + 1) / -math.expm1(-reach / scale) / km2, base, scale)


def expected_false_alarms(
    score: Raster, baseline: Baseline, raster: Raster, params: DetectParams
) -> tuple[float, float | None]:
    """Return the strength an object needs (sigma) and the objects per km2 that the background puts above it.

    What stands out by local contrast is counted too. Classes and what explains a change come after, and only lower the
    figure. None with too little ground to tell.
    """
    tail = background_tail(score, baseline, raster, params)
    needed = params.object_sigma * rise_of(tail, params)
    if tail is None:
        return needed, None
    rate = tail.beyond(needed)
    local = contrast_tail(score, baseline, raster, params)
    if local is not None:
        least = params.local_object_sigma
        rate += local.beyond(least * rise_of(local, replace(params, object_sigma=least)))
    return needed, rate


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


def rise_of(tail: Tail | None, params: DetectParams) -> float:
    """Return the factor by which thresholds must rise to leave at most the false alarms that are allowed."""
    if tail is None or params.max_false_alarms_per_km2 is None:
        return 1.0
    allowed = params.max_false_alarms_per_km2 / (1 if params.local_seed_sigma is None else 2)
    needed = tail.base * max(tail.per_km2 / allowed, 1.0) ** tail.scale
    return float(min(max(needed / params.object_sigma, 1.0), _MOST_RISE))


def rises(score: Raster, baseline: Baseline, raster: Raster, params: DetectParams) -> tuple[float, float]:
    """Return the factors by which the thresholds on the score and on local contrast must rise."""
    local = contrast_tail(score, baseline, raster, params)
    return (
        rise_of(background_tail(score, baseline, raster, params), params),
        rise_of(local, replace(params, object_sigma=params.local_object_sigma)),
    )

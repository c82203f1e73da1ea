"""Cut the score into labelled objects."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.steps.detect.light import casting, dark_twice, slivers, without_cast_shadows
from changedetect.steps.detect.masks import (
    components,
    disc,
    number,
    objects,
    quantile_by_label,
    thresholds,
    which_rectangles,
)
from changedetect.steps.detect.roofs import recoloured
from changedetect.steps.detect.stands import standing_out
from changedetect.steps.detect.tail import rises

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.colour import Colours
    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.detect.params import DetectParams

    Mask = NDArray[np.bool_]
    Labels = NDArray[np.int32]

_BOX = np.ones((3, 3), np.uint8)


def detect(
    score: Raster, baseline: Baseline, raster: Raster, params: DetectParams, colours: Colours | None = None
) -> Labels:
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
    colours : Colours, optional
        Of this pair, for whoever needs them again.

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
    seed, grow = thresholds(strength, usable, params)
    scale = score.grid.gsd_m
    rise = (1.0, 1.0)
    if params.max_false_alarms_per_km2 is not None:
        rise = rises(score, baseline, raster, params)
        seed, grow = seed * rise[0], grow * math.sqrt(rise[0])
        params = replace(params, object_sigma=params.object_sigma * rise[0])
    bright = objects(free, usable, (seed, grow), params.min_area_m2, scale, params)
    fine = scale <= params.sliver_width_m / 2 and len(raster.bands) > 1
    if fine:
        core = dark_twice(baseline, raster, params)
        bright = bright & ~slivers(bright, free, light, core, scale, params)
    darkened = np.where(light < -params.shadow_darkening, strength, np.float32(0))
    dark = objects(darkened, usable, (seed, grow), params.dark_min_area_m2, scale, params)
    if fine:
        dark = dark & ~slivers(dark, strength, light, core, scale, params)
        bright = bright | casting(free, dark, usable, (seed, grow), scale, params)
    mask = without_cast_shadows(bright, dark, scale, params)
    mask = mask | compact(free, mask, usable, (seed, grow), scale, params)
    if params.local_seed_sigma is not None and "local" in score.bands:
        mask = standing_out(mask, score, (baseline, raster), usable, rise[1], params)
    if "compact" in score.bands:
        cores = _cores(usable & (score.band("compact") > 0), scale, params)
        # They stand apart from what they lie in: a field that was worked, the thing next to them.
        mask = cores | (mask & ~(cv2.dilate(cores.astype(np.uint8), _BOX) > 0))
    elif params.local_seed_sigma is not None:
        mask = mask | recoloured(baseline, raster, mask, params.roofs, colours)
    count, labels = components(mask)
    return number(labels, np.arange(count) > 0)


def compact(
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
    count, labels = components(mask[side:-side, side:-side])
    area = np.bincount(labels.ravel(), minlength=count) * gsd_m**2
    keep = (area >= params.compact_area_m2) & (area <= params.max_hole_m2)
    keep[0] = False
    keep &= quantile_by_label(labels, free, keep, 0.5) >= seed
    touch = cv2.dilate(taken.astype(np.uint8), disc(max(1, round(params.cast_gap_m / gsd_m)))) > 0
    keep[np.unique(labels[touch])] = False
    return np.asarray(which_rectangles(labels, keep, gsd_m, params)[labels])


def _cores(mask: Mask, gsd_m: float, params: DetectParams) -> Mask:
    """Return the pixels of compact things of a hut's size."""
    count, labels = components(mask)
    area = np.bincount(labels.ravel(), minlength=count) * gsd_m**2
    keep = (area >= params.core_min_area_m2) & (area <= params.max_hole_m2)
    keep[0] = False
    return np.asarray(keep[labels])

"""Cut the shadow that a dark object casts off its outline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.core.quality import is_valid
from changedetect.steps.explain.shadows import kept_along, light_change, tints_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.explain.params import ExplainParams
    from changedetect.steps.explain.view import View

    Labels = NDArray[np.int32]
    Mask = NDArray[np.bool_]

_LEAST_REST = 0.25
"""What remains of an object without its shadow is at least this share of it."""
_MARGIN_M = 6.0


def trim_shadows(
    labels: Labels,
    raster: Raster,
    baseline: Baseline,
    views: tuple[View, View],
    params: ExplainParams,
    shade: Mapping[str, float] | None = None,
) -> Labels:
    """Return the labels with the far rim of dark objects cut off: the shadow they cast; numbers stay as they are.

    Parameters
    ----------
    labels : ndarray
        int32 (row, col), from `detect`.
    raster, baseline
        The scene and what it was compared with, on one grid.
    views : tuple of View
        Angles of the scene and of the baseline; without the scene's sun nothing is cut.
    params : ExplainParams
        Heights, and what light does to colours.
    shade : mapping of str to float, optional
        Share of the light that is left in this scene's shadows, per band; without it shadow is grey.

    Notes
    -----
    Dark paint cannot be told from shadow by its colour, but what is shadow lies away from the sun: a thing of height h
    with its shadow is what everything from a pixel to h times the shadow's step beyond it belongs to.
    """
    from scipy import ndimage  # scipy is slow to import: only where it is used

    step, gsd_m = views[0].shadow, raster.grid.gsd_m
    if step is None or gsd_m > params.max_gsd_m or not labels.any():
        return labels
    names = [name for name in raster.bands if name in baseline.bands]
    after, before = raster.select(names).data, baseline.select(names).centre
    tints = tints_of(shade or {}, names)[:1]
    tip = (step[0] * params.vehicle_height_m / gsd_m, step[1] * params.vehicle_height_m / gsd_m)
    margin = max(4, round(_MARGIN_M / gsd_m))
    result = labels.copy()
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        rows, cols = (
            slice(max(p.start - margin, 0), min(p.stop + margin, n)) for p, n in zip(box, labels.shape, strict=True)
        )
        mask = labels[rows, cols] == label
        wide = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        if _is_line(mask, gsd_m, params):
            continue
        ring = ~wide & is_valid(raster.quality[rows, cols]) & (labels[rows, cols] == 0)
        common, alike = light_change(before[:, rows, cols], after[:, rows, cols], ring, tints, params)
        shadow = alike & (common < -params.min_darkening)
        if (mask & shadow).sum() > params.dark_object_share * mask.sum():
            result[rows, cols][mask & ~_without_rim(mask, tip, gsd_m, params)] = 0
    return result


def _is_line(mask: Mask, gsd_m: float, params: ExplainParams) -> bool:
    """Return whether an object is long and thinner than vehicles are: a slot is dark all over, and casts nothing."""
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)
    width = (2 * float(inside.max()) - 1) * gsd_m
    return width < params.line_width_m and float(mask.sum()) * gsd_m**2 > params.line_aspect * width**2


def _without_rim(mask: Mask, tip: tuple[float, float], gsd_m: float, params: ExplainParams) -> Mask:
    """Return the object without its rim on the far side; the gaps between vehicles belong to the group."""
    reach = max(1, round(params.group_gap_m / 2 / gsd_m))
    pad = 2 * reach
    box = np.ones((2 * reach + 1,) * 2, np.uint8)
    whole = np.asarray(cv2.morphologyEx(np.pad(mask.astype(np.uint8), pad), cv2.MORPH_CLOSE, box), np.uint8)
    rest = mask & (kept_along(whole, tip)[pad:-pad, pad:-pad] > 0)
    return np.asarray(rest if rest.sum() >= _LEAST_REST * mask.sum() else mask)

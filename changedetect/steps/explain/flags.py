"""Flag the detections that light, view or misregistration explain."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from rasterio import Env
from rasterio.features import geometry_mask

from changedetect.core.comparable import PICTURE
from changedetect.core.quality import is_valid
from changedetect.core.tables import MEASURE_COLUMNS, as_objects, require_columns
from changedetect.steps.explain.shadows import Reach, casts_shadow, light_change, shadow_reach, stood_tall, tints_of
from changedetect.steps.explain.shifts import along, around, shift_gain
from changedetect.steps.explain.slopes import slope_gain, turned_light
from changedetect.steps.explain.view import View, differ

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import geopandas as gpd
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.explain.params import ExplainParams
    from changedetect.steps.explain.shifts import Shift
    from changedetect.steps.explain.view import Step

    Plane = NDArray[np.float32]

EXPLAINED_FLAGS = (
    "explained_by_shadow",
    "explained_by_slope",
    "explained_by_lean",
    "explained_by_misregistration",
)
"""Detections with one of these are listed, but are no changes and are not counted."""

_MARGIN_M = 6.0
_BLACKS = (0.0, 0.2, 0.4, 0.6)
"""A picture's black may be that of its shadows: what lies below it, as a share of the usual brightness."""
_ROOF_MARGIN_M = 15.0
"""The opposite slope of a barrack lies within it."""


def explain(
    detections: gpd.GeoDataFrame,
    raster: Raster,
    baseline: Baseline,
    views: tuple[View, View],
    params: ExplainParams,
    shade: Mapping[str, float] | None = None,
) -> gpd.GeoDataFrame:
    """Return the detections with the flags of what explains them, and the shares in their features.

    Parameters
    ----------
    detections : GeoDataFrame
        From `measure`.
    raster, baseline
        The scene and what it was compared with, on one grid.
    views : tuple of View
        Angles of the scene and of the baseline. Without sun angles no shadow explains anything, without view angles
        no lean does.
    params : ExplainParams
        How much must be explained.
    shade : mapping of str to float, optional
        Share of the light that is left in this scene's shadows, per band; without it shadow is grey.

    Returns
    -------
    GeoDataFrame
        `flags` with those of `EXPLAINED_FLAGS` that hold; `features` with `moved_shadow` (share of the object that may
        be shadow that moved), `casts` and `cast_before` (how much more of the ground away from the sun than of that
        towards it darkened, and was dark before), `slope_gain` (share of the squared change that the sun's way takes
        away from a roof that stood before), `shift_gain` and `lean_gain` (share of the squared difference that a shift
        of the older image takes away), 0 where unknown.
    """
    require_columns(detections, MEASURE_COLUMNS, "detections")
    gsd_m = raster.grid.gsd_m
    if not len(detections) or gsd_m > params.max_gsd_m:
        return detections
    moved = differ(views[0].shadow, views[1].shadow)
    reach = shadow_reach(raster, baseline, moved, params, shade or {}) if moved is not None else None
    leans = _leans(views, gsd_m, params)
    images = _images(raster, baseline, shade or {})
    heights = (params.cast_height_m, params.crown_height_m)
    casts = tuple(_tip(view.shadow, height / gsd_m) for view, height in zip(views, heights, strict=True))
    flags, features = [], []
    with Env():  # one for all: drawing an outline opens its own otherwise, which takes longer than the drawing
        for row in detections.to_dict("records"):
            shares = _explain_one(row["geometry"], (raster, images), reach, leans, params, casts)
            # What was not built before has no slopes whose light could change.
            built = row["status"] == "modified"
            shares["slope_gain"] = _slope(row["geometry"], (raster, images), views) if built else 0.0
            flags.append(tuple(dict.fromkeys((*row["flags"], *_flags(shares, params)))))
            features.append({**row["features"], **{name: round(value, 6) for name, value in shares.items()}})
    return detections.assign(flags=as_objects(flags), features=as_objects(features))


def _images(raster: Raster, baseline: Baseline, shade: Mapping[str, float]) -> tuple[Plane, Plane, Plane]:
    """Return both dates, (band, row, col), and the tints shadow may have in their bands."""
    names = [name for name in raster.bands if name in baseline.bands]
    return baseline.select(names).centre, raster.select(names).data, tints_of(shade, names)


def _tip(step: Step | None, height_px: float) -> Step | None:
    return None if step is None else (step[0] * height_px, step[1] * height_px)


def _leans(views: tuple[View, View], gsd_m: float, params: ExplainParams) -> list[Shift]:
    tilt = differ(views[0].lean, views[1].lean)
    if tilt is None:
        return []
    tip = (tilt[0] * params.max_roof_m / gsd_m, tilt[1] * params.max_roof_m / gsd_m)
    return along(tip) if math.hypot(*tip) >= params.min_lean_px else []


def _explain_one(
    geometry: Any,
    images: tuple[Raster, tuple[Plane, Plane, Plane]],
    reach: Reach | None,
    leans: list[Shift],
    params: ExplainParams,
    casts: Sequence[Step | None],
) -> dict[str, float]:
    raster, (before, after, tints) = images
    rows, cols = _window(geometry, raster)
    grid = raster.grid.crop(rows, cols)
    mask = geometry_mask([geometry], grid.shape, grid.transform, invert=True)
    if not mask.any():
        return {"moved_shadow": 0.0, "shift_gain": 0.0, "lean_gain": 0.0, "casts": 0.0, "cast_before": 0.0}
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    ring = ~wide & is_valid(raster.quality[rows, cols])
    then, now = before[:, rows, cols], after[:, rows, cols]
    shadow = 0.0
    if reach is not None:
        common, alike = light_change(then, now, ring, tints, params)
        may = alike & np.where(common < 0, reach.come[rows, cols], reach.gone[rows, cols])
        shadow = float(may[mask].mean())
    return {
        "moved_shadow": shadow,
        "shift_gain": shift_gain(then, now, wide, ring, around(params.max_shift_px)),
        "lean_gain": shift_gain(then, now, wide, ring, leans) if leans else 0.0,
        "casts": casts_shadow((then, now), mask, ring, casts[0], params) if casts[0] is not None else 0.0,
        "cast_before": stood_tall(then, mask, ring, casts[1], params) if casts[1] is not None else 0.0,
    }


def _slope(geometry: Any, images: tuple[Raster, tuple[Plane, Plane, Plane]], views: tuple[View, View]) -> float:
    raster, (before, after, _) = images
    rows, cols = _window(geometry, raster, _ROOF_MARGIN_M)
    grid = raster.grid.crop(rows, cols)
    mask = geometry_mask([geometry], grid.shape, grid.transform, invert=True)
    cut = (before[:, rows, cols], after[:, rows, cols])
    gain = slope_gain(cut, mask, views)
    # how much light a picture shows, its stretch decides: that it is light must do
    return max(gain, turned_light(cut, mask, _BLACKS)) if raster.unit == PICTURE else gain


def _window(geometry: Any, raster: Raster, margin_m: float = _MARGIN_M) -> tuple[slice, slice]:
    return raster.grid.window_around(geometry.bounds, max(4, round(margin_m / raster.grid.gsd_m)))


def _flags(shares: dict[str, float], params: ExplainParams) -> list[str]:
    found = []
    if shares["moved_shadow"] >= params.min_shadow_share:
        found.append("explained_by_shadow")
    if shares["slope_gain"] >= params.min_slope_gain:
        found.append("explained_by_slope")
    if shares["shift_gain"] >= params.min_shift_gain:
        found.append("explained_by_misregistration")
    elif shares["lean_gain"] >= params.min_shift_gain:
        found.append("explained_by_lean")
    return found

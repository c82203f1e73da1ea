"""Outlines of what was named, spread over what belongs to it: spoil beside a floor, gaps between parked vehicles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from rasterio.features import geometry_mask, shapes
from shapely.geometry import shape
from shapely.ops import unary_union

from changedetect.core.quality import is_valid
from changedetect.steps.classify.patch import VISIBLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import geopandas as gpd
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

_MOST_GSD_M = 0.75
_FLOOR_SHARE, _BANK_SHARE = 0.6, 0.15
"""A floor alone: this much of its outline is a dark line, and no more of it brightened. Others have their spoil."""
_BANK_M = 4.0
"""Spoil lies no farther from a floor than this."""
_GROUND_M = (6.0, 11.0)
"""Distances at which there is ground that was not dug, ..."""
_AROUND_M = 15.0
"""... of which the part this near counts: fields beyond a border changed otherwise."""
_SIGMA, _LEAST = 3.0, 0.06
"""What differs from it by this many times its scatter, and by this (logarithm), is spoil or floor."""
_SMOOTH_M = 0.4
_DARKEST = 0.02
_LEAST_PX = 30


def spread_outlines(named: gpd.GeoDataFrame, raster: Raster, baseline: Baseline, gap_m: float) -> gpd.GeoDataFrame:
    """Return the detections, floors of trenches spread over their spoil, sets of vehicles over the gaps between them.

    Parameters
    ----------
    named : GeoDataFrame
        With class, features, area_m2, length_m, width_m.
    raster, baseline
        The scene and what it was compared with, on one grid.
    gap_m : float
        Gaps between parts of a set up to this belong to it.

    Returns
    -------
    GeoDataFrame
        The same rows; geometry, area_m2 and the width of trenches are new where they spread.
    """
    result = named.copy()
    for at in result.index[result["class"].isin(("trench", "equipment"))]:
        outline, features = result.at[at, "geometry"], result.at[at, "features"]
        if result.at[at, "class"] == "equipment":
            if "group_parts" not in features:
                continue
            wide = outline.buffer(gap_m / 2).buffer(-gap_m / 2).union(outline)
        elif raster.grid.gsd_m <= _MOST_GSD_M and _is_floor_alone(features):
            wide = _with_spoil(outline, raster, baseline)
        else:
            continue
        if wide.area > outline.area:
            result.at[at, "geometry"] = wide
            result.at[at, "area_m2"] = round(wide.area, 2)
            if result.at[at, "class"] == "trench":
                result.at[at, "width_m"] = min(wide.area / result.at[at, "length_m"], result.at[at, "length_m"])
    return result


def _is_floor_alone(features: Mapping[str, float]) -> bool:
    return features.get("slot_fraction", 0.0) >= _FLOOR_SHARE and features["bright_fraction"] < _BANK_SHARE


def _with_spoil(outline: BaseGeometry, raster: Raster, baseline: Baseline) -> BaseGeometry:
    gsd_m = raster.grid.gsd_m
    rows, cols = raster.grid.window_around(outline.bounds, round((_GROUND_M[1] + _AROUND_M / 2) / gsd_m))
    grid = raster.grid.crop(rows, cols)
    mask = geometry_mask([outline], grid.shape, grid.transform, invert=True)
    far = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) * gsd_m
    known = is_valid(raster.quality[rows, cols])
    ground = known & (far >= _GROUND_M[0]) & (far <= _GROUND_M[1])
    if not mask.any() or ground.sum() < _LEAST_PX:
        return outline
    names = [name for name in raster.bands if name in baseline.bands]
    kinds = [[name for name in names if name in VISIBLE] or names, [name for name in names if name == "nir"]]
    differs = np.zeros(mask.shape, bool)
    for kind in filter(None, kinds):
        then, now = (np.mean([image.band(name)[rows, cols] for name in kind], axis=0) for image in (baseline, raster))
        differs |= _differs(np.asarray(then), np.asarray(now), ground, gsd_m)
    body = mask | (differs & known & (far <= _BANK_M))
    # Links to what lies beyond are thinner than spoil.
    body = mask | (cv2.morphologyEx(body.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0)
    _, labels = cv2.connectedComponents(body.astype(np.uint8), connectivity=4)
    own = np.isin(labels, np.unique(labels[mask])) & body & ~mask
    drawn = [shape(item) for item, _ in shapes(own.astype(np.uint8), mask=own, transform=grid.transform)]
    return unary_union([outline, *drawn])


def _differs(then: Plane, now: Plane, ground: Mask, gsd_m: float) -> Mask:
    floor = max(_DARKEST * float(np.median(now[ground])), 1e-6)
    change = np.log(np.maximum(now, floor) / np.maximum(then, floor)).astype(np.float32)
    change = np.asarray(cv2.GaussianBlur(change, (0, 0), max(_SMOOTH_M / gsd_m, 0.6)), np.float32)
    side = 2 * round(_AROUND_M / 2 / gsd_m) + 1
    weight = cv2.boxFilter(ground.astype(np.float32), -1, (side, side), borderType=cv2.BORDER_CONSTANT)
    total = cv2.boxFilter(np.where(ground, change, np.float32(0)), -1, (side, side), borderType=cv2.BORDER_CONSTANT)
    apart = np.abs(change - total / np.maximum(weight, np.float32(1e-6)))
    noise = 1.4826 * float(np.median(apart[ground]))
    return np.asarray((apart > max(_SIGMA * noise, _LEAST)) & (weight > 0))

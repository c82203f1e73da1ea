"""What lies inside an outline on the new date: the floor of a pit within its wall, or like things side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
from pydantic import Field
from rasterio import Env
from rasterio.features import geometry_mask

from changedetect.core.tables import as_objects
from changedetect.steps.classify.patch import VISIBLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import geopandas as gpd
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

_MARGIN_PX = 4
_LEAST_AREA_M2, _MOST_AREA_M2 = 40.0, 1500.0
"""Of pits with their walls, and of rows of vehicles."""
_MOST_GSD_M = 0.75
"""Coarser pixels show neither a floor of 4 m nor a vehicle of 2.5 m apart from what is beside it."""
_RIM_M = 1.0
_DARKEST = 0.02
_STEP = 0.15
"""Parts differ from the middle of their object by this at least (logarithm) ..."""
_PART_M2 = (5.0, 45.0)
"""... and are of a vehicle's size, ..."""
_PART_LENGTH_M = 11.0
_PART_RATIO = 2.0
"""... within this factor of the median."""


@dataclass(frozen=True, slots=True)
class InsideParams:
    """What pits and rows of vehicles look like inside."""

    pit_chance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.9
    """How often something like it is a pit that was dug: 6 of 6 among 1210 candidates, and less believed elsewhere."""
    pit_widths_m: tuple[float, float] = (6.0, 18.0)
    """Shorter side of a pit for a vehicle or a dugout, with its wall of spoil."""
    pit_max_aspect: Annotated[float, Field(ge=1.0)] = 2.2
    """Longer ones are trenches."""
    pit_min_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.7
    """They are dug with straight sides."""
    pit_floors: tuple[float, float] = (0.1, 0.45)
    """Share of it that its floor is (.17 to .30) ..."""
    pit_min_depth: Annotated[float, Field(ge=0.0)] = 0.35
    """... and how much darker it is than the wall (logarithm; .44 to 1.25): less sky is seen from there."""
    pit_min_wall: Annotated[float, Field(ge=0.0, le=1.0)] = 0.72
    """Share of the rim that is wall: .75 to 1; of a roof with a dark slope, half and a bit more."""
    pit_max_middle: float = -0.1
    """The middle line darkened against the flanks by this (logarithm; -.13 to -.68)."""
    row_chance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.9
    """How often like things side by side are vehicles: 14 of 14 joined rows, 20 of 20 sets of four parts and more."""
    row_min_parts: Annotated[int, Field(ge=3)] = 5
    """Of one object that they make together ..."""
    row_max_wall: Annotated[float, Field(ge=0.0, le=1.0)] = 0.75
    """... whose rim is dark over the rest: what lies between them, and their shadows, reach it (spoil does not: .9)."""
    row_min_middle: float = -0.15
    """No dark floor runs along it."""
    row_min_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    """They stand in a rectangle; trenches bend."""
    set_min_parts: Annotated[int, Field(ge=3)] = 4
    """Of a set of like parts that are apart."""
    set_min_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.7
    """Vehicles fill their rectangles (.74 to .88); lit parts of crowns do not (.61)."""
    set_max_edges_before: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Bare ground was there before: .06 at most, .11 and more of crowns, ruts and yards."""
    set_max_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.55
    """Greener ones are shrubs that came into leaf."""
    min_edges: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    """Share of the outline that is an edge now ..."""
    max_edges_before: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    """... and was one before: nothing stood there."""


def is_pit(row: Mapping[str, Any], params: InsideParams) -> bool:
    """Return whether a measured object is a dark floor in the middle of a wall that was thrown up around it."""
    f = row["features"]
    return bool(
        _came(row, params)
        and "floor_share" in f
        and params.pit_widths_m[0] <= f["rect_width_m"] <= params.pit_widths_m[1]
        and f["rect_length_m"] <= params.pit_max_aspect * f["rect_width_m"]
        and f["fill"] >= params.pit_min_fill
        and params.pit_floors[0] <= f["floor_share"] <= params.pit_floors[1]
        and f["floor_depth"] >= params.pit_min_depth
        and f["wall_share"] >= params.pit_min_wall
        and f["middle_change"] <= params.pit_max_middle
        and f["ndvi_after"] <= params.set_max_ndvi
    )


def is_row_of_like(row: Mapping[str, Any], params: InsideParams) -> bool:
    """Return whether a measured object is several like things that came to stand side by side."""
    f = row["features"]
    if not _came(row, params):
        return False
    if "group_parts" in f:
        return bool(
            f["group_parts"] >= params.set_min_parts
            and f["part_fill"] >= params.set_min_fill
            and f["edges_before"] <= params.set_max_edges_before
            and f["ndvi_after"] <= params.set_max_ndvi
        )
    return bool(
        "parts" in f
        and f["parts"] >= params.row_min_parts
        and f["wall_share"] <= params.row_max_wall
        and f["middle_change"] >= params.row_min_middle
        and f["fill"] >= params.row_min_fill
    )


def _came(row: Mapping[str, Any], params: InsideParams) -> bool:
    f = row["features"]
    return bool(
        row["status"] == "appeared"
        and f["edges_after"] >= params.min_edges
        and f["edges_before"] <= params.max_edges_before
    )


def look_inside(detections: gpd.GeoDataFrame, raster: Raster) -> gpd.GeoDataFrame:
    """Return the detections with `floor_share`, `floor_depth`, `wall_share` and `parts` among their features.

    Parameters
    ----------
    detections : GeoDataFrame
        From `measure`.
    raster : Raster
        The scene.

    Returns
    -------
    GeoDataFrame
        Of what appeared and is neither small nor huge: the share of it that its largest dark part is, how much darker
        that is than the rest (logarithm), the share of the outline's rim that is not dark, and the number of like parts
        of a vehicle's size. The others are as they were.
    """
    if raster.grid.gsd_m > _MOST_GSD_M:
        return detections
    names = [name for name in raster.bands if name in VISIBLE] or list(raster.bands)
    features = list(detections["features"])
    with Env():
        for k, (status, area_m2, shape) in enumerate(
            zip(detections["status"], detections["area_m2"], detections.geometry, strict=True)
        ):
            if status != "appeared" or not _LEAST_AREA_M2 <= area_m2 <= _MOST_AREA_M2:
                continue
            rows, cols = raster.grid.window_around(shape.bounds, _MARGIN_PX)
            part = raster.grid.crop(rows, cols)
            mask = geometry_mask([shape], part.shape, part.transform, invert=True)
            if mask.any():
                bright = np.mean([raster.band(name)[rows, cols] for name in names], axis=0)
                features[k] = {**features[k], **_describe(np.asarray(bright, np.float32), mask, part.gsd_m)}
    return detections.assign(features=as_objects(features))


def _describe(bright: Plane, mask: Mask, gsd_m: float) -> dict[str, float]:
    usual = float(np.median(bright[mask]))
    level = np.log(np.maximum(bright, max(_DARKEST * usual, 1e-6)))
    return {**_floor(level, mask, gsd_m), "parts": float(_parts(level, mask, gsd_m))}


def _floor(level: Plane, mask: Mask, gsd_m: float) -> dict[str, float]:
    low, high = np.quantile(level[mask], [0.04, 0.75])
    dark = (level < 0.5 * (low + high)) & mask
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark.astype(np.uint8), connectivity=4)
    if count <= 1:
        return {"floor_share": 0.0, "floor_depth": 0.0, "wall_share": 0.0}
    floor = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    radius = max(1, round(_RIM_M / gsd_m))
    kernel = np.ones((2 * radius + 1,) * 2, np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), kernel, borderValue=0) > 0
    rim = mask & ~inner
    return {
        "floor_share": float(floor.sum()) / float(mask.sum()),
        "floor_depth": float(np.median(level[mask & ~dark]) - np.median(level[floor])),
        "wall_share": float((~dark)[rim].mean()),
    }


def _parts(level: Plane, mask: Mask, gsd_m: float) -> int:
    middle = float(np.median(level[mask]))
    best = 0
    for side in (level > middle + _STEP, level < middle - _STEP):
        _, _, stats, _ = cv2.connectedComponentsWithStats((side & mask).astype(np.uint8), connectivity=4)
        areas = stats[1:, cv2.CC_STAT_AREA] * gsd_m**2
        length = np.hypot(stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT]) * gsd_m
        fits = areas[(areas >= _PART_M2[0]) & (areas <= _PART_M2[1]) & (length <= _PART_LENGTH_M)]
        if fits.size:
            usual = np.median(fits)
            best = max(best, int(((fits <= _PART_RATIO * usual) & (fits >= usual / _PART_RATIO)).sum()))
    return best

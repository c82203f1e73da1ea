"""The table of measured objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from rasterio import Env
from rasterio import features as rasterio_features
from shapely.geometry import MultiPolygon, Polygon, shape
from shapely.ops import unary_union
from shapely.validation import make_valid

from changedetect.core.tables import MEASURE_COLUMNS, geo_table
from changedetect.steps.measure import around, looks
from changedetect.steps.measure.crop import Crop, cut_objects
from changedetect.steps.measure.shape import Rectangle, Skeleton, even_sides, fit_rectangle, thick_share, trace_skeleton

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import geopandas as gpd
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.measure.params import MeasureParams

_MAX_SKELETON_PX = 1_000_000


def measure(
    labels: NDArray[np.int32],
    score: Raster,
    raster: Raster,
    baseline: Baseline,
    params: MeasureParams,
    *,
    scene_id: str,
    acquired: datetime,
    worth: tuple[NDArray[np.bool_], Callable[[BaseGeometry], bool]] | None = None,
    drawn: NDArray[np.bool_] | None = None,
) -> gpd.GeoDataFrame:
    """Return one row per label with its outline, size, orientation, status and features.

    Parameters
    ----------
    labels : ndarray
        int32 (row, col), 0 for background, from `detect`.
    score, raster, baseline
        As given to `detect`.
    params : MeasureParams
        How outlines are drawn.
    scene_id, acquired
        The scene the objects are seen on; time in UTC.
    worth : tuple, optional
        Where, (row, col), an object must have a pixel, and what tells from its outline, for it to be measured; default
        all are.
    drawn : ndarray, optional
        Where, (row, col), labels are outlined already: no roof, shadow or half level is sought in them.

    Returns
    -------
    GeoDataFrame
        `tables.MEASURE_COLUMNS`, in the order of the labels; no object is no row. Outlines follow pixels and are valid.
    """
    rows = []
    compact = score.band("compact") if "compact" in score.bands else None
    with Env():  # one for all: following an outline opens its own otherwise, which takes longer than following it
        for label, crop in cut_objects(
            labels, score, raster, baseline, params, None if worth is None else worth[0], drawn
        ):
            geometry = outline(crop, raster.grid.transform)
            if worth is not None and not worth[1](geometry):
                continue
            row = measure_object(crop, raster.unit, params)
            if compact is not None:
                part = slice(crop.row, crop.row + crop.mask.shape[0]), slice(crop.col, crop.col + crop.mask.shape[1])
                own = labels[part] == label
                row["features"]["compact_sigma"] = round(float(compact[part][own].max()), 6)
                row["features"]["compact_area_m2"] = float(own.sum()) * crop.gsd_m**2
            row |= {"scene_id": scene_id, "acquired": acquired, "gsd_m": raster.grid.gsd_m}
            row["geometry"] = geometry
            rows.append(row)
    return geo_table(rows, MEASURE_COLUMNS, raster.grid.crs)


def measure_object(crop: Crop, unit: str, params: MeasureParams) -> dict[str, Any]:
    """Return the measured columns of one object, without scene and geometry."""
    gsd_m = crop.gsd_m
    rectangle = fit_rectangle(crop.mask)
    skeleton = _skeleton(crop.mask, rectangle)
    area_px = float(crop.mask.sum())
    features = _shape_features(crop, rectangle, skeleton, params)
    features |= looks.describe_light(crop, params)
    features |= looks.describe_slot(crop, rectangle, skeleton, params)
    features |= around.describe_evidence(crop) | around.describe_colour(crop) | around.describe_rim(crop, params)
    features |= around.describe_local(crop, params)
    features |= around.describe_outline(crop, skeleton)
    line = features["elongation"] >= params.line_elongation and features["fill"] < 0.85
    length = max(skeleton.longest_px, rectangle.length_px) if line else features["even_length_m"] / gsd_m
    width = area_px / max(length, 1.0) if line else features["even_width_m"] / gsd_m
    features["line"] = float(line)
    flags = [] if unit == "reflectance" else [f"{unit}_data"]
    if crop.touches_edge:
        flags.append("edge_of_image")
    return {
        "status": looks.tell_status(features, params),
        "score": features["peak_sigma"],
        "area_m2": area_px * gsd_m**2,
        "length_m": length * gsd_m,
        "width_m": min(width, length) * gsd_m,
        "orientation_deg": rectangle.orientation_deg,
        "flags": tuple(flags),
        "features": {name: round(float(value), 6) for name, value in features.items()},
    }


def _skeleton(mask: NDArray[np.bool_], rectangle: Rectangle) -> Skeleton:
    if mask.size <= _MAX_SKELETON_PX:
        return trace_skeleton(mask)
    # Kilometres of change are no line anyone follows.
    return Skeleton(rectangle.length_px, rectangle.length_px, rectangle.width_px, np.zeros_like(mask))


def _shape_features(crop: Crop, rectangle: Rectangle, skeleton: Skeleton, params: MeasureParams) -> dict[str, float]:
    gsd_m = crop.gsd_m
    area_px = float(crop.mask.sum())
    mean_width = area_px / max(skeleton.total_px, 1.0)
    even_length, even_width = even_sides(crop.mask, rectangle)
    return {
        "even_length_m": even_length * gsd_m,
        "even_width_m": even_width * gsd_m,
        "rect_length_m": rectangle.length_px * gsd_m,
        "rect_width_m": rectangle.width_px * gsd_m,
        "fill": min(area_px / (rectangle.length_px * rectangle.width_px), 1.0),
        "skeleton_m": skeleton.total_px * gsd_m,
        "path_m": skeleton.longest_px * gsd_m,
        "mean_width_m": mean_width * gsd_m,
        "inner_width_m": skeleton.inner_width_px * gsd_m,
        "elongation": skeleton.longest_px / max(mean_width, 1.0),
        "aspect": rectangle.length_px / rectangle.width_px,
        "thickness": thick_share(crop.mask, params.thick_m / gsd_m),
    }


def outline(crop: Crop, transform: Affine) -> Polygon | MultiPolygon:
    """Return the outline of an object along its pixels, valid, in map coordinates."""
    place = transform @ Affine.translation(crop.col, crop.row)
    mask = crop.mask.astype(np.uint8)
    parts = [shape(part) for part, _ in rasterio_features.shapes(mask, mask=crop.mask, connectivity=4, transform=place)]
    union = make_valid(unary_union(parts))
    return union if isinstance(union, Polygon | MultiPolygon) else union.buffer(0)

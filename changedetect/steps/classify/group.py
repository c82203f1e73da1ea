"""Groups: like small parts that stand together are one thing; and what stands near each candidate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon

from changedetect.core.tables import MEASURE_COLUMNS, geo_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import geopandas as gpd

    from changedetect.steps.classify.ground import GroundParams


def prepare(detections: gpd.GeoDataFrame, params: GroundParams, grouped: bool = True) -> gpd.GeoDataFrame:
    """Return the detections, like parts merged into groups if asked for, each with what stands near it."""
    return add_company(group_parts(detections, params) if grouped else detections, params)


def add_company(detections: gpd.GeoDataFrame, params: GroundParams) -> gpd.GeoDataFrame:
    """Return the detections with `near_count`, `like_count` and `near_gap_m` among their features.

    Things of one kind stand together, and so do the remains of haze, harvest and moved shadows.
    """
    if detections.empty:
        return detections
    shapes = detections.geometry.to_numpy()
    areas = detections["area_m2"].to_numpy(float)
    tree = shapely.STRtree(shapes)
    one, other = tree.query(shapes, predicate="dwithin", distance=params.company_m)
    apart = one != other
    one, other = one[apart], other[apart]
    gap = shapely.distance(shapes[one], shapes[other])
    ratio = areas[other] / np.maximum(areas[one], 1e-9)
    like = (ratio < params.group_area_ratio) & (ratio > 1.0 / params.group_area_ratio)
    n = len(shapes)
    nearest = np.full(n, params.company_m)
    np.minimum.at(nearest, one, gap)
    near, alike = np.bincount(one, minlength=n), np.bincount(one[like], minlength=n)
    company = [
        {"near_count": float(a), "like_count": float(b), "near_gap_m": round(float(c), 3)}
        for a, b, c in zip(near, alike, nearest, strict=True)
    ]
    features = detections["features"].copy()
    for i, more in enumerate(company):
        features.iat[i] = {**features.iat[i], **more}
    return detections.assign(features=features)


def group_parts(detections: gpd.GeoDataFrame, params: GroundParams) -> gpd.GeoDataFrame:
    """Return the detections with every set of like small parts that stand together merged into one.

    A merged row keeps the strongest score, sums areas, takes the rectangle around all, and has `group_parts` among its
    features; the rest pass unchanged, in the order of their first part.
    """
    rows = detections.to_dict("records")
    small = [i for i, row in enumerate(rows) if _may_be_part(row, params)]
    sets = _neighbours([rows[i]["geometry"] for i in small], params.group_gap_m)
    merged: dict[int, dict[str, Any]] = {}
    gone: set[int] = set()
    for members in sets:
        chosen = _alike([small[k] for k in members], rows, params)
        if len(chosen) >= params.group_min_parts:
            merged[chosen[0]] = _merge([rows[i] for i in chosen])
            gone.update(chosen[1:])
    if not merged:
        return detections
    kept = [merged.get(i, row) for i, row in enumerate(rows) if i not in gone]
    return geo_table(kept, MEASURE_COLUMNS, str(detections.crs))


def _may_be_part(row: dict[str, Any], params: GroundParams) -> bool:
    f = row["features"]
    return bool(
        params.part_min_area_m2 <= row["area_m2"] <= params.part_max_area_m2
        and f["rect_length_m"] <= params.part_max_length_m
        and f["rect_width_m"] <= params.part_max_width_m
    )


def _neighbours(shapes: Sequence[Polygon], gap_m: float) -> list[list[int]]:
    """Return sets of shapes linked by gaps of at most `gap_m`."""
    if not shapes:
        return []
    tree = shapely.STRtree(list(shapes))
    pairs = tree.query(list(shapes), predicate="dwithin", distance=gap_m)
    group = list(range(len(shapes)))

    def root(i: int) -> int:
        while group[i] != i:
            i = group[i]
        return i

    for a, b in zip(*pairs, strict=True):
        low, high = sorted((root(int(a)), root(int(b))))
        group[high] = low
    sets: dict[int, list[int]] = {}
    for i in range(len(shapes)):
        sets.setdefault(root(i), []).append(i)
    return [sets[key] for key in sorted(sets)]


def _alike(members: list[int], rows: list[dict[str, Any]], params: GroundParams) -> list[int]:
    areas = np.array([rows[i]["area_m2"] for i in members])
    middle = float(np.median(areas))
    ratio = params.group_area_ratio
    return [i for i, area in zip(members, areas, strict=True) if middle / ratio <= area <= middle * ratio]


def _merge(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    areas = np.array([row["area_m2"] for row in parts])
    features = {
        name: float(np.average([row["features"].get(name, 0.0) for row in parts], weights=areas))
        for name in parts[0]["features"]
    }
    geometry = MultiPolygon(list(_polygons(row["geometry"] for row in parts)))
    length, width, orientation = smallest_rectangle(geometry)
    features |= {
        "group_parts": float(len(parts)),
        "part_fill": features["fill"],
        "rect_length_m": length,
        "rect_width_m": width,
        "fill": float(areas.sum()) / max(length * width, 1e-9),
        "aspect": length / max(width, 1e-9),
        "peak_sigma": max(row["features"]["peak_sigma"] for row in parts),
        "high_sigma": max(row["features"]["high_sigma"] for row in parts),
    }
    strongest = max(parts, key=lambda row: row["score"])
    flags = dict.fromkeys(flag for row in parts for flag in row["flags"])
    return strongest | {
        "area_m2": float(areas.sum()),
        "length_m": length,
        "width_m": width,
        "orientation_deg": orientation,
        "flags": tuple(flags),
        "features": features,
        "geometry": geometry,
    }


def _polygons(shapes: Iterable[Polygon | MultiPolygon]) -> Iterable[Polygon]:
    for item in shapes:
        if isinstance(item, MultiPolygon):
            yield from item.geoms
        else:
            yield item


def smallest_rectangle(geometry: Polygon | MultiPolygon) -> tuple[float, float, float]:
    """Return length, width (m) and orientation (deg clockwise from north) of the smallest rotated rectangle."""
    corners = np.asarray(geometry.minimum_rotated_rectangle.exterior.coords)
    edges = np.diff(corners[:3], axis=0)
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    longer = edges[int(np.argmax(lengths))]
    orientation = math.degrees(math.atan2(float(longer[0]), float(longer[1]))) % 180.0
    return float(lengths.max()), float(lengths.min()), orientation

"""Things on the ground: trenches (lines), huts (compact), equipment (rows of vehicles and what stands beside them)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import shapely
from pydantic import Field
from shapely.geometry import MultiPolygon, Polygon

from changedetect.core.tables import MEASURE_COLUMNS, geo_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import geopandas as gpd

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline


@dataclass(frozen=True, slots=True)
class GroundParams:
    """Sizes and shares that tell a trench, a hut and a row of vehicles from each other."""

    coarsest_gsd_m: Annotated[float, Field(gt=0.0)] = 3.5
    """Pixel size beyond which nothing here is named: a hut is one to four pixels, and so is a corner of a field."""
    trench_min_length_m: Annotated[float, Field(gt=0.0)] = 16.0
    """A squad's trench is 50 m; shorter lines than a third of that are kerbs, shadows and tracks."""
    trench_max_width_m: Annotated[float, Field(gt=0.0)] = 10.5
    """Slot of 1 to 2 m and a bank of 2 to 4 m on each side."""
    trench_min_elongation: Annotated[float, Field(gt=0.0)] = 3.0
    """Way along the line over its greatest width."""
    trench_max_fill: Annotated[float, Field(gt=0.0, le=1.0)] = 0.80
    """Zig-zags leave much of their rectangle empty; a straight one fills it and is told by its aspect."""
    trench_min_aspect: Annotated[float, Field(gt=0.0)] = 5.5
    """Length over width from which a filled rectangle is a line, not a building."""
    hut_min_fill: Annotated[float, Field(gt=0.0, le=1.0)] = 0.62
    """Roofs are rectangles; ragged patches are not."""
    hut_min_width_m: Annotated[float, Field(gt=0.0)] = 3.6
    """Narrower than any hut: cars and containers are 2 to 2.4 m, tents 4.9 m."""
    hut_min_area_m2: Annotated[float, Field(gt=0.0)] = 24.0
    """The smallest tent is 24 m2; two cars side by side are 20."""
    hut_max_length_m: Annotated[float, Field(gt=0.0)] = 50.0
    """Barracks and warehouses are 10 to 40 m."""
    hut_max_width_m: Annotated[float, Field(gt=0.0)] = 22.0
    """Broader changes are yards and fields."""
    hut_max_aspect: Annotated[float, Field(gt=0.0)] = 5.0
    """Longer ones are walls, lines and rows."""
    hut_min_colour: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    """A dark roof without a row of peaks differs in colour over this share at least; shadows do not."""
    equipment_min_dark: Annotated[float, Field(ge=0.0, le=1.0)] = 0.45
    """Share darkened: vehicles are dark paint, and half of what is seen of them is their shadow."""
    equipment_min_length_m: Annotated[float, Field(gt=0.0)] = 8.0
    """One lorry is 7.4 m."""
    equipment_min_area_m2: Annotated[float, Field(gt=0.0)] = 30.0
    """Two lorries with their shadows; single small things are not called equipment."""
    equipment_sure_area_m2: Annotated[float, Field(gt=0.0)] = 110.0
    """A dark thing this large needs no row of peaks: vehicles stand close; smaller ones may be a hut or its shadow."""
    equipment_min_width_m: Annotated[float, Field(gt=0.0)] = 5.2
    """Largest disc inside: a lorry is 7.4 m long; thinner dark things are the edges of shadows that grew."""
    equipment_min_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    """Vehicles are parked in rectangles; shadows of trees are ragged."""
    equipment_max_area_m2: Annotated[float, Field(gt=0.0)] = 4000.0
    """A battalion's park; larger dark areas are wet fields and burns."""
    row_min_peaks: Annotated[int, Field(ge=2)] = 3
    """Regular peaks along the object make a row."""
    row_min_spacing_m: Annotated[float, Field(gt=0.0)] = 2.8
    """Vehicles parked side by side stand at least this far apart, centre to centre."""
    row_max_spacing_m: Annotated[float, Field(gt=0.0)] = 14.0
    """And at most this far: end to end, with a gap."""
    min_sharpness: Annotated[float, Field(ge=0.0, le=1.0)] = 0.17
    """Gradient of the change per pixel at the outline, over the change: built things have .2 to .4, haze and rims of
    unmasked cloud .1 and less."""
    row_depth_m: Annotated[float, Field(gt=0.0)] = 10.5
    """Depth of one row of lorries with its shadow and the lane behind it."""
    item_area_m2: Annotated[float, Field(gt=0.0)] = 40.0
    """Ground changed per lorry in a park: 7.4 m x 2.5 m, a shadow of about the same, and what lies between."""
    part_max_area_m2: Annotated[float, Field(gt=0.0)] = 75.0
    """Parts up to this may be single vehicles of one group."""
    part_min_area_m2: Annotated[float, Field(gt=0.0)] = 6.0
    """A car seen from above, less its rim."""
    part_max_length_m: Annotated[float, Field(gt=0.0)] = 16.0
    """The longest launcher."""
    part_max_width_m: Annotated[float, Field(gt=0.0)] = 7.5
    """A vehicle and its shadow."""
    group_gap_m: Annotated[float, Field(gt=0.0)] = 6.0
    """Parts no farther apart than this stand together."""
    group_min_parts: Annotated[int, Field(ge=2)] = 3
    """Two of a kind are chance."""
    group_area_ratio: Annotated[float, Field(gt=1.0)] = 3.5
    """Like parts: the areas of most lie within this factor of the median."""
    evidence_sigma: Annotated[float, Field(gt=0.0)] = 10.0
    """Evidence at which confidence reaches 63 % of what the shape alone would give."""
    small_area_m2: Annotated[float, Field(ge=0.0)] = 25.0
    """Smaller detections are flagged `small`: their shape is a handful of pixels."""
    shadow_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.8
    """Darkened over more than this share: flagged `explained_by_shadow`."""


def propose_trench(detections: gpd.GeoDataFrame, _r: Raster, _b: Baseline, params: GroundParams) -> pd.DataFrame:
    """Return how well each detection fits a trench: a line with banks, not a filled rectangle."""
    return _propose(detections, trench_margins, params)


def propose_hut(detections: gpd.GeoDataFrame, _r: Raster, _b: Baseline, params: GroundParams) -> pd.DataFrame:
    """Return how well each detection fits a hut: a compact rectangle, not mostly darkened."""
    return _propose(detections, hut_margins, params)


def propose_equipment(detections: gpd.GeoDataFrame, _r: Raster, _b: Baseline, params: GroundParams) -> pd.DataFrame:
    """Return how well each detection fits equipment: dark blobs, rows of peaks, or groups of like parts."""
    return _propose(detections, equipment_margins, params, count_items)


def trench_margins(row: dict[str, Any], params: GroundParams) -> list[float]:
    """Return the margin of each rule, in units of its softness; negative fails."""
    f = row["features"]
    straight = _over(f["aspect"], params.trench_min_aspect, 1.0)
    return [
        _over(f["path_m"], params.trench_min_length_m, 3.0),
        _under(f["inner_width_m"], params.trench_max_width_m, 1.5),
        _over(f["path_m"] / max(f["inner_width_m"], 0.1), params.trench_min_elongation, 0.5),
        max(_under(f["fill"], params.trench_max_fill, 0.06), straight),
        _under(max(own_darkness(row), f["shadow_fraction"]), 0.6, 0.1),
        _sharp(f, params),
        _under(f.get("group_parts", 0.0), 1.0, 0.5),
    ]


def hut_margins(row: dict[str, Any], params: GroundParams) -> list[float]:
    """Return the margin of each rule, in units of its softness; negative fails."""
    f = row["features"]
    colour = f.get("colour_fraction", 0.0) if f["row_peaks"] < params.row_min_peaks else 0.0
    return [
        _over(f["fill"], params.hut_min_fill, 0.05),
        _over(min(f["rect_width_m"], 1.15 * f["inner_width_m"]), params.hut_min_width_m, 0.4),
        _over(row["area_m2"], params.hut_min_area_m2, 4.0),
        _under(f["rect_length_m"], params.hut_max_length_m, 4.0),
        _under(f["rect_width_m"], params.hut_max_width_m, 2.0),
        _under(f["aspect"], params.hut_max_aspect, 0.5),
        max(_under(own_darkness(row), 0.55, 0.1), _over(colour, params.hut_min_colour, 0.1)),
        _sharp(f, params),
        _under(f.get("group_parts", 0.0), 1.0, 0.5),
    ]


def equipment_margins(row: dict[str, Any], params: GroundParams) -> list[float]:
    """Return the margin of each rule, in units of its softness; negative fails."""
    f = row["features"]
    parts = _over(f.get("group_parts", 0.0), params.group_min_parts - 0.5, 0.5)
    dark = _over(own_darkness(row), params.equipment_min_dark, 0.08)
    spaced = params.row_min_spacing_m <= f["row_spacing_m"] <= params.row_max_spacing_m
    row_of = _over(f["row_peaks"] if spaced else 0.0, params.row_min_peaks - 0.5, 0.5)
    large = _over(row["area_m2"], params.equipment_sure_area_m2, 20.0)
    return [
        max(dark, parts),
        max(row_of, parts, large),
        max(_over(f["inner_width_m"], params.equipment_min_width_m, 0.4), parts),
        max(_over(f["fill"], params.equipment_min_fill, 0.04), parts),
        _over(f["rect_length_m"], params.equipment_min_length_m, 1.5),
        _over(row["area_m2"], params.equipment_min_area_m2, 6.0),
        _under(row["area_m2"], params.equipment_max_area_m2, 400.0),
        _sharp(f, params),
    ]


def _sharp(features: dict[str, float], params: GroundParams) -> float:
    sharpness = features.get("sharpness", 0.0)
    # 0: too little ground around it to tell.
    return _over(sharpness, params.min_sharpness, 0.02) if sharpness > 0 else 1.0


def own_darkness(row: dict[str, Any]) -> float:
    """Return the share of the object that is dark in its own right: when it was there, and not before or after."""
    f = row["features"]
    if row["status"] == "disappeared":
        return float(min(f["dark_before"], f["bright_fraction"]))
    return float(min(f["dark_after"], f["dark_fraction"]))


def count_items(row: dict[str, Any], params: GroundParams) -> tuple[int, int, int]:
    """Return the number of vehicles and its 90 % interval, from parts, else peaks in a row, else area."""
    f = row["features"]
    by_area = max(row["area_m2"] / params.item_area_m2, 1.0)
    spaced = params.row_min_spacing_m <= f["row_spacing_m"] <= params.row_max_spacing_m
    if f.get("group_parts", 0.0) >= params.group_min_parts:
        best = f["group_parts"]
    elif f["row_peaks"] >= params.row_min_peaks and spaced:
        # Rows side by side show as one profile.
        best = f["row_peaks"] * max(1, round(f["rect_width_m"] / params.row_depth_m))
    else:
        best = by_area
    count = max(round(best), 1)
    # The two ways of counting bound it; a quarter either way is what shape alone can promise.
    low = max(1, math.floor(0.75 * min(best, by_area)))
    high = max(count, math.ceil(1.3 * max(best, by_area)))
    return count, min(low, count), high


def _one_item(_row: dict[str, Any], _params: GroundParams) -> tuple[int, int, int]:
    return 1, 1, 1


def _propose(detections: gpd.GeoDataFrame, margins: Any, params: GroundParams, count: Any = _one_item) -> pd.DataFrame:
    rows = []
    for row in detections.to_dict("records"):
        confidence = 0.0
        if row["gsd_m"] <= params.coarsest_gsd_m:
            confidence = confidence_of(row["features"]["high_sigma"], margins(row, params), params)
        number, low, high = count(row, params)
        flags = _flags(row, params)
        rows.append({"confidence": confidence, "count": number, "count_low": low, "count_high": high, "flags": flags})
    columns = ["confidence", "count", "count_low", "count_high", "flags"]
    return pd.DataFrame(rows, index=detections.index, columns=columns)


def confidence_of(evidence_sigma: float, margins: Sequence[float], params: GroundParams) -> float:
    """Return 0 to 1, rising with the evidence and with the rule that is closest to failing.

    A rule met exactly gives one half; beyond two softnesses on the wrong side the class is ruled out.
    """
    least = min(margins)
    if least < -2.0:
        return 0.0
    membership = 1.0 / (1.0 + math.exp(-2.0 * least))
    return (1.0 - math.exp(-evidence_sigma / params.evidence_sigma)) * membership


def _over(value: float, limit: float, softness: float) -> float:
    return (value - limit) / softness


def _under(value: float, limit: float, softness: float) -> float:
    return (limit - value) / softness


def _flags(row: dict[str, Any], params: GroundParams) -> tuple[str, ...]:
    flags = []
    if row["area_m2"] < params.small_area_m2:
        flags.append("small")
    if row["features"]["shadow_fraction"] > params.shadow_share:
        flags.append("explained_by_shadow")
    return tuple(flags)


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
    length, width, orientation = _rectangle(geometry)
    features |= {
        "group_parts": float(len(parts)),
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


def _rectangle(geometry: MultiPolygon) -> tuple[float, float, float]:
    """Return length, width (m) and orientation (deg clockwise from north) of the smallest rotated rectangle."""
    corners = np.asarray(geometry.minimum_rotated_rectangle.exterior.coords)
    edges = np.diff(corners[:3], axis=0)
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    longer = edges[int(np.argmax(lengths))]
    orientation = math.degrees(math.atan2(float(longer[0]), float(longer[1]))) % 180.0
    return float(lengths.max()), float(lengths.min()), orientation

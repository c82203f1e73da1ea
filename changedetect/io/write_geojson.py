"""Tables of objects as GeoJSON (RFC 7946) and, from the same features, as GeoPackage, Parquet or FlatGeobuf."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry.polygon import orient

from changedetect.core.tables import TIME
from changedetect.core.times import to_iso
from changedetect.errors import OutputError
from changedetect.io.write_json import rounded, to_plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import geopandas as gpd
    import pandas as pd
    from shapely.geometry.base import BaseGeometry

COORDINATE_DECIMALS = 7
"""About 1 cm on the ground: finer than any measurement here, and what RFC 7946 suggests as enough."""

DECIMALS = {
    "score": 3,
    "confidence": 3,
    "clear_fraction": 4,
    "area_m2": 1,
    "length_m": 2,
    "width_m": 2,
    "orientation_deg": 1,
    "gsd_m": 4,
}
"""Decimals of each measured property: below them lies nothing that was measured."""

CHANGE_PROPERTIES = (
    *("id", "aoi", "zone", "class", "status", "absent_until", "first_seen", "last_seen", "gone_by"),
    *("n_seen", "n_clear", "count", "looks", "score", "confidence"),
    *("area_m2", "length_m", "width_m", "orientation_deg", "flags"),
)
"""Properties of changes.geojson, in order; `simulated` follows."""

DETECTION_PROPERTIES = (
    *("change_id", "scene_id", "acquired", "zone", "class", "status", "confidence"),
    *("count", "count_low", "count_high", "score", "area_m2", "length_m", "width_m", "orientation_deg"),
    *("gsd_m", "flags", "features"),
)
"""Properties of detections.geojson, in order; `simulated` follows."""

ZONE_PROPERTIES = ("name", "kind", "targets")
"""Properties of zones.geojson, in order; `simulated` follows."""

TIMES = ("absent_until", "first_seen", "last_seen", "gone_by", "acquired")
"""Properties that are times."""

COUNTS = ("n_seen", "n_clear", "count", "count_low", "count_high")
"""Properties that are whole numbers."""

DRIVERS = {"gpkg": "GPKG", "fgb": "FlatGeobuf", "parquet": "Parquet"}
"""Formats beside GeoJSON."""


def to_features(table: gpd.GeoDataFrame, properties: Sequence[str], simulated: bool) -> list[dict[str, Any]]:
    """Return the rows as GeoJSON features in WGS 84: plain values, rounded, in the order of the table.

    Polygons have 7 decimals, closed rings, exteriors counter-clockwise, a canonical first vertex, and are valid.
    """
    shapes = table.geometry.to_crs(4326)
    columns = {name: list(table[name]) for name in properties}
    features = []
    for i, shape in enumerate(shapes):
        values = {name: plain_property(name, column[i]) for name, column in columns.items()}
        if values.get("orientation_deg") == 180.0:
            values["orientation_deg"] = 0.0
        values["simulated"] = bool(simulated)
        features.append({"type": "Feature", "properties": values, "geometry": to_geometry(shape)})
    return features


def write_geojson(path: Path, features: Sequence[Mapping[str, Any]], **members: Any) -> None:
    """Write a FeatureCollection, one feature per line, `members` (foreign members) before the features."""
    head = {"type": "FeatureCollection", **members}
    lines = ["{"]
    lines += [f"{_dump(key)}: {_value(value)}," for key, value in head.items()]
    lines += ['"features": [', ",\n".join(_dump(feature) for feature in features), "]", "}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def plain_property(name: str, value: Any) -> Any:
    """Return one value of a table as it is written: rounded by `DECIMALS`, times ISO 8601 in UTC, missing None."""
    if name in DECIMALS:
        return rounded(value, DECIMALS[name])
    if name == "looks":
        return [[to_iso(moment), state] for moment, state in value or ()]
    if name == "features":
        return {key: _significant(item) for key, item in sorted((value or {}).items())}
    if name == "flags":
        return [str(flag) for flag in value or ()]
    return to_plain(value)


def to_geometry(shape: BaseGeometry | None) -> dict[str, Any] | None:
    """Return a WGS 84 shape as a GeoJSON geometry as RFC 7946 wants it; None if it has no area at 7 decimals."""
    if shape is None or shape.is_empty:
        return None
    if shape.geom_type == "Point":
        return {"type": "Point", "coordinates": [round(v, COORDINATE_DECIMALS) for v in (shape.x, shape.y)]}
    parts = _polygons(_rounded_valid(_cut_at_antimeridian(shape)))
    if not parts:
        return None
    rings = [_rings(part) for part in parts]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings[0]}
    return {"type": "MultiPolygon", "coordinates": rings}


def write_vector(path: Path, features: Sequence[Mapping[str, Any]], properties: Sequence[str]) -> None:
    """Write the features in the format of the suffix of `path`; lists become JSON text, times become date-times.

    Raises
    ------
    OutputError
        The format needs an extra that is not installed.
    """
    frame = _frame(features, properties)
    if path.suffix == ".parquet":
        require_parquet()
        # 1.1: a bounding box per row, by which readers skip what they do not show
        frame.to_parquet(path, index=False, schema_version="1.1.0", write_covering_bbox=True)
    else:
        frame.to_file(path, driver=DRIVERS[path.suffix[1:]], engine="pyogrio", geometry_type="MultiPolygon")


def write_package(
    path: Path, tables: Mapping[str, tuple[Sequence[Mapping[str, Any]], Sequence[str]]], activity: pd.DataFrame
) -> None:
    """Write one GeoPackage with a layer per table and the counts as an attribute table `activity`.

    Parameters
    ----------
    tables : mapping
        Name of each layer to its features and their properties.
    """
    from pyogrio import write_dataframe

    for layer, (features, properties) in tables.items():
        _frame(features, properties).to_file(
            path, layer=layer, driver="GPKG", engine="pyogrio", geometry_type="MultiPolygon"
        )
    write_dataframe(activity, path, layer="activity", driver="GPKG")


def _frame(features: Sequence[Mapping[str, Any]], properties: Sequence[str]) -> gpd.GeoDataFrame:
    import geopandas as gpd  # slow to import: not before there is a table

    columns = {
        name: _column(name, [feature["properties"][name] for feature in features])
        for name in (*properties, "simulated")
    }
    return gpd.GeoDataFrame(columns, geometry=[_multi(feature["geometry"]) for feature in features], crs=4326)


def _column(name: str, values: Sequence[Any]) -> pd.Series:
    import pandas as pd  # slow to import: not before there is a table

    if name in TIMES:
        return pd.Series(pd.to_datetime(list(values), utc=True, format="ISO8601")).astype(TIME)
    if name in DECIMALS:
        return pd.Series(values, dtype="float64")
    if name in COUNTS:
        return pd.Series(values, dtype="Int64")
    if name == "simulated":
        return pd.Series(values, dtype="bool")
    return pd.Series([_dump(v) if isinstance(v, (list, dict)) else v for v in values], dtype="str")


def require_parquet() -> None:
    """Raise `OutputError` unless pyarrow is installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise OutputError(
            "the format parquet needs pyarrow, which is not installed", hint="pip install changedetect[parquet]"
        ) from None


def _rounded_valid(shape: BaseGeometry) -> BaseGeometry:
    out = shapely.transform(shape, _round)
    for _ in range(4):
        if out.is_valid:
            return out
        out = shapely.transform(MultiPolygon(_polygons(shapely.make_valid(out))), _round)
    return shapely.set_precision(shapely.make_valid(out), 10.0**-COORDINATE_DECIMALS)


def _round(coordinates: np.ndarray) -> np.ndarray:
    return np.round(coordinates, COORDINATE_DECIMALS) + 0.0


def _polygons(shape: BaseGeometry) -> list[Polygon]:
    parts = getattr(shape, "geoms", [shape])
    flat = [piece for part in parts for piece in (_polygons(part) if hasattr(part, "geoms") else [part])]
    return [part for part in flat if isinstance(part, Polygon) and part.area > 0]


def _rings(polygon: Polygon) -> list[list[list[float]]]:
    oriented = orient(polygon.normalize(), sign=1.0)
    rings = [oriented.exterior, *oriented.interiors]
    return [[[round(float(x), 7), round(float(y), 7)] for x, y in np.asarray(ring.coords)[:, :2]] for ring in rings]


def _cut_at_antimeridian(shape: BaseGeometry) -> BaseGeometry:
    left, _, right, _ = shape.bounds
    if right - left <= 180:
        return shape
    around = shapely.transform(shape, lambda xy: np.column_stack([np.mod(xy[:, 0], 360.0), xy[:, 1]]))
    east, west = around.intersection(box(0, -90, 180, 90)), around.intersection(box(180, -90, 360, 90))
    back = shapely.transform(west, lambda xy: np.column_stack([xy[:, 0] - 360.0, xy[:, 1]]))
    return MultiPolygon(_polygons(east) + _polygons(back))


def _significant(value: Any) -> Any:
    plain = to_plain(value)
    return float(f"{plain:.6g}") if isinstance(plain, float) else plain


def _multi(geometry: dict[str, Any] | None) -> BaseGeometry | None:
    if geometry is None:
        return None
    shape = shapely.geometry.shape(geometry)
    return MultiPolygon([shape]) if isinstance(shape, Polygon) else shape


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[\n" + ",\n".join(_dump(to_plain(row)) for row in value) + "\n]"
    return _dump(to_plain(value))

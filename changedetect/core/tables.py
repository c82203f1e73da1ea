"""Tables: detections, changes and activity, with declared columns, dtypes and units."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from changedetect.errors import ChangeDetectError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import geopandas as gpd
    import pandas as pd
    from numpy import object_
    from numpy.typing import NDArray

TIME = "datetime64[us, UTC]"

TRUTH_COLUMNS = (
    "class",
    "status",
    "start",
    "end",
    "zone",
    "count",
    "area_m2",
    "length_m",
    "width_m",
    "orientation_deg",
)
"""Properties of an object of truth.geojson, in order; `simulated` follows."""

MEASURE_COLUMNS = {
    "scene_id": "object",
    "acquired": TIME,
    "gsd_m": "float64",  # of the grid the pixels were compared on
    "status": "object",  # appeared | modified | disappeared
    "score": "float64",  # peak |score|, sigma
    "area_m2": "float64",
    "length_m": "float64",  # along the object: trenches along their line, aircraft nose to tail, others the longer side
    "width_m": "float64",
    "orientation_deg": "float64",  # of the longer side, 0 to 180 clockwise from north
    "flags": "object",  # tuple of str
    "features": "object",  # dict str -> float: what the rules looked at, kept for review
}
"""Columns `measure` fills, with geometry in the grid's reference system."""

CLASS_COLUMNS = {
    "class": "object",
    "confidence": "float64",  # 0 to 1
    "count": "Int64",  # items in a group (equipment, crowd), 1 for single objects
    "count_low": "Int64",  # 90 % interval of the count
    "count_high": "Int64",
}
"""Columns `classify` adds."""

LINK_COLUMNS = {"zone": "object", "change_id": "object"}
"""Columns `link` adds: None outside zones, None while unlinked."""

DETECTION_COLUMNS = MEASURE_COLUMNS | CLASS_COLUMNS | LINK_COLUMNS

CHANGE_COLUMNS = {
    "id": "object",
    "aoi": "object",
    "zone": "object",
    "class": "object",
    "status": "object",
    "absent_until": TIME,
    "first_seen": TIME,
    "last_seen": TIME,
    "gone_by": TIME,
    "n_seen": "int64",
    "n_clear": "int64",
    "count": "Int64",
    "looks": "object",  # list of (datetime, present | absent | unclear)
    "score": "float64",
    "confidence": "float64",
    "area_m2": "float64",
    "length_m": "float64",
    "width_m": "float64",
    "orientation_deg": "float64",
    "flags": "object",
}

ACTIVITY_COLUMNS = {
    "datetime": TIME,
    "aoi": "object",
    "zone": "object",
    "class": "object",
    "count": "Int64",  # <NA> where obscured: an unseen place is unknown, not zero
    "area_m2": "float64",
    "status": "object",  # clear | partial | obscured
    "clear_fraction": "float64",
    "scene_id": "object",
}


def geo_table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str], crs: str) -> gpd.GeoDataFrame:
    """Return a GeoDataFrame with exactly the declared `columns` and a geometry, in `crs`; no rows is an empty table."""
    records = list(rows)
    if not records:
        return _empty(tuple(columns.items()), crs).copy()
    return _placed(records, columns, crs)


@lru_cache(maxsize=16)
def _empty(columns: tuple[tuple[str, str], ...], crs: str) -> gpd.GeoDataFrame:
    """Return the table without rows, made once: most sheets and looks have nothing to tell."""
    return _placed([], dict(columns), crs)


def _placed(records: Sequence[Mapping[str, Any]], columns: Mapping[str, str], crs: str) -> gpd.GeoDataFrame:
    import geopandas as gpd  # slow to import: not before there is a table

    frame = _typed(records, {**columns, "geometry": "object"})
    return gpd.GeoDataFrame(frame, geometry="geometry", crs=crs)


def table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Return a DataFrame with exactly the declared `columns`; no rows is an empty table."""
    return _typed(rows, columns)


def join_tables(parts: Sequence[gpd.GeoDataFrame], columns: Mapping[str, str], crs: str) -> gpd.GeoDataFrame:
    """Return the rows of several geo tables below each other, as one table with the declared `columns`."""
    rows = [row for part in parts for row in part[[*columns, "geometry"]].to_dict("records")]
    return geo_table(rows, columns, crs)


def as_objects(values: Sequence[Any]) -> NDArray[object_]:
    """Return values as a column that holds each as it is: tuples and shapes too, which numpy would take apart."""
    import numpy as np  # tables are declared where no table is made

    column = np.empty(len(values), object)
    for i, value in enumerate(values):
        column[i] = value
    return column


def _typed(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd  # slow to import: not before there is a table

    records = list(rows)
    for record in records[:1]:
        if set(record) != set(columns):
            odd = sorted(set(record) ^ set(columns))
            raise ChangeDetectError("a table row does not have the declared columns", found=odd)
    data: dict[str, pd.Series] = {}
    for name, dtype in columns.items():
        values = [record[name] for record in records]
        if dtype == "object":
            series = pd.Series(as_objects(values), dtype="object", name=name)
        elif dtype == TIME:
            series = pd.Series(pd.to_datetime(values, utc=True), name=name).astype(TIME)
        else:
            series = pd.Series(values, dtype=dtype, name=name)
        data[name] = series
    return pd.DataFrame(data, columns=list(columns))


def require_columns(frame: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Raise unless `frame` has the `columns`."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ChangeDetectError(f"{what} lacks columns", found=list(frame.columns), needed=missing)

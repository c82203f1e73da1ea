"""What is compared: an output folder and a file of truth, in one metric reference system."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from pyogrio.errors import DataSourceError
from shapely.geometry import MultiPolygon, Polygon, box, shape

from changedetect.core.geometry import to_crs
from changedetect.core.times import from_iso
from changedetect.errors import DataError
from changedetect.evaluation.files import read_json

TRUTH_COLUMNS = ("class", "status", "start", "end", "zone")
"""Properties of truth that are compared; each may be missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """An output folder as evaluation needs it."""

    changes: gpd.GeoDataFrame
    """Properties of changes.geojson with times as datetimes, `gsd_m`, and geometry in a metric reference system."""
    activity: pd.DataFrame
    """Rows of the foreign member `activity`, `datetime` as datetimes."""
    scenes: tuple[dict[str, Any], ...]
    """Scenes of run.json."""
    area: Polygon | MultiPolygon | None
    """The part of the AOI that was worked on, None if run.json does not tell."""
    aoi_name: str
    simulated: bool
    detections: gpd.GeoDataFrame
    """acquired, class, count, count_low, count_high, gsd_m and geometry of detections.geojson; empty without it."""
    n_explained: int = 0
    """Changes left out because the outputs themselves explain them by shadow or lean: they are in no count either."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """A file of truth."""

    objects: gpd.GeoDataFrame
    """`TRUTH_COLUMNS` (None where unknown) and polygons, in the reference system of the outputs."""
    activity: pd.DataFrame | None
    """True counts: datetime, zone, class, count, hidden_fraction; None if the file has none."""
    missing: tuple[str, ...]
    """Columns no object has."""
    shifts: dict[str, tuple[float, float]] | None = None
    """True shift of each scene, metres east and north, by the scene's id; None if the file tells none."""


def read_outputs(out_dir: str | Path) -> Outputs:
    """Return the outputs of a run.

    Raises
    ------
    DataError
        The folder has no changes.geojson, or it is not JSON.
    """
    folder = Path(out_dir)
    data = read_json(folder / "changes.geojson", "not an output folder of changedetect")
    run = read_json(folder / "run.json") if (folder / "run.json").is_file() else {}
    crs = (run.get("grid") or {}).get("crs")
    features = data.get("features", [])
    counted = [feature for feature in features if not _is_explained(feature)]
    changes = _frame(counted, crs)
    for name in ("absent_until", "first_seen", "last_seen", "gone_by"):
        times = [_time(value, folder / "changes.geojson") for value in _column(changes, name)]
        changes[name] = pd.Series(times, dtype="object")  # keeps None, which pandas would make NaT
    changes["gsd_m"] = _finest_gsd(folder, changes, (run.get("grid") or {}).get("gsd_m"))
    activity = pd.DataFrame(data.get("activity") or [], columns=_ACTIVITY)
    activity["datetime"] = pd.to_datetime(activity["datetime"], utc=True, format="ISO8601")
    name = (run.get("aoi") or {}).get("name") or next(iter(_column(changes, "aoi")), "")
    area = _area(run, str(changes.crs))
    return Outputs(
        changes,
        activity,
        tuple(run.get("scenes") or ()),
        area,
        name,
        bool(run.get("simulated") or data.get("simulated")),
        _detections(folder, str(changes.crs)),
        len(features) - len(counted),
    )


def read_truth(path: str | Path, outputs: Outputs) -> Truth:
    """Return the polygons of a vector file that lie in the area worked on, with what it says about them.

    Raises
    ------
    DataError
        The file cannot be read, or has no polygons.
    """
    file = Path(path)
    data: dict[str, Any] = {}
    if file.suffix.lower() in (".geojson", ".json"):
        data = read_json(file, "truth cannot be read")
        frame = _frame(data.get("features") or [], str(outputs.changes.crs))
    else:
        frame = _read_vector(file).to_crs(outputs.changes.crs)
    if not data and frame.empty:
        raise DataError("truth has no polygons", where=str(path))
    is_area = [isinstance(g, (Polygon, MultiPolygon)) and not g.is_empty for g in frame.geometry]
    frame = frame[np.array(is_area, dtype=bool)]
    if frame.empty and data.get("features"):
        raise DataError("truth has no polygons", where=str(path))
    if outputs.area is not None:
        frame = frame[frame.geometry.representative_point().intersects(outputs.area)]
    frame = frame.reset_index(drop=True)
    shifts = _true_shifts(data)
    # Outlines are as well placed as the scene that the run took for its reference, and no better.
    east, north = origin_of(outputs.scenes, shifts)
    frame["geometry"] = frame.geometry.make_valid().translate(-east, -north)
    missing = tuple(name for name in TRUTH_COLUMNS if all(pd.isna(v) for v in _column(frame, name)))
    for name in TRUTH_COLUMNS:
        values = [None if pd.isna(value) else value for value in _column(frame, name)]
        frame[name] = pd.Series(
            [_time(v, path) for v in values] if name in ("start", "end") else values, dtype="object"
        )
    return Truth(frame, _true_activity(data, outputs), missing, shifts)


def origin_of(scenes: Iterable[dict[str, Any]], shifts: dict[str, tuple[float, float]] | None) -> tuple[float, float]:
    """Return the true shift of the run's own reference scene onto the truth's frame, metres; 0 where none is told."""
    ids = (s.get("id") for s in scenes if (s.get("registration") or {}).get("status") == "reference")
    return next(((shifts or {})[key] for key in ids if key in (shifts or {})), (0.0, 0.0))


_ACTIVITY = ["datetime", "aoi", "zone", "class", "count", "area_m2", "status", "clear_fraction", "scene_id"]


def _frame(features: list[dict[str, Any]], crs: str | None) -> gpd.GeoDataFrame:
    shapes = [shape(feature["geometry"]) if feature.get("geometry") else Polygon() for feature in features]
    rows = [feature.get("properties") or {} for feature in features]
    frame = gpd.GeoDataFrame(pd.DataFrame(rows, index=range(len(rows)), dtype="object"), geometry=shapes, crs=4326)
    if crs is None:
        crs = str(frame.estimate_utm_crs()) if not frame.empty else "EPSG:3857"
    return frame.to_crs(crs)


def _read_vector(file: Path) -> gpd.GeoDataFrame:
    try:
        return gpd.read_file(file)
    except (DataSourceError, OSError) as error:
        raise DataError(f"truth cannot be read ({error})", where=str(file)) from None


def _finest_gsd(folder: Path, changes: gpd.GeoDataFrame, fallback: float | None) -> list[float]:
    """Return for each change the finest pixel size it was detected at."""
    path = folder / "detections.geojson"
    found: dict[str, float] = {}
    for feature in read_json(path).get("features", []) if path.is_file() else []:
        values = feature["properties"]
        if values.get("gsd_m"):
            key = str(values.get("change_id"))
            found[key] = min(found.get(key, float("inf")), float(values["gsd_m"]))
    return [found.get(str(key), fallback or 0.0) for key in _column(changes, "id")]


def _is_explained(feature: dict[str, Any]) -> bool:
    flags = (feature.get("properties") or {}).get("flags") or ()
    return any(str(flag).startswith("explained_by") for flag in flags)


def _detections(folder: Path, crs: str) -> gpd.GeoDataFrame:
    """Return what was detected on each look, with the counts it states."""
    path = folder / "detections.geojson"
    frame = _frame(read_json(path).get("features", []) if path.is_file() else [], crs)
    for name in ("class", "count", "count_low", "count_high", "gsd_m"):
        frame[name] = pd.Series(_column(frame, name), dtype="object")
    frame["acquired"] = pd.Series([_time(value, path) for value in _column(frame, "acquired")], dtype="object")
    return frame


def _true_shifts(data: dict[str, Any]) -> dict[str, tuple[float, float]] | None:
    rows = data.get("registration") or []
    return {str(row["scene_id"]): (float(row["dx_m"]), float(row["dy_m"])) for row in rows} or None


def _area(run: dict[str, Any], crs: str) -> Polygon | MultiPolygon | None:
    place, grid = (run.get("aoi") or {}).get("geometry"), run.get("grid") or {}
    if not place or "transform" not in grid:
        return None
    a, _, left, _, e, top = grid["transform"]
    rows, cols = grid["shape"]
    extent = box(left, top + e * rows, left + a * cols, top)
    return to_crs(shape(place), crs).intersection(extent)


def _true_activity(data: dict[str, Any], outputs: Outputs) -> pd.DataFrame | None:
    rows = data.get("activity")
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    for name in ("datetime", "zone", "class", "count"):
        if name not in frame:
            raise DataError("the activity of the truth lacks a key", found=list(frame.columns), needed=name)
    if "hidden_fraction" not in frame:
        frame["hidden_fraction"] = float("nan")
    frame["zone"] = [outputs.aoi_name if pd.isna(zone) else zone for zone in frame["zone"]]
    frame["datetime"] = pd.to_datetime(frame["datetime"], utc=True, format="ISO8601")
    return frame


def _column(frame: pd.DataFrame, name: str) -> list[Any]:
    return list(frame[name]) if name in frame else [None] * len(frame)


def _time(value: Any, where: str | Path) -> datetime | None:
    if value is None or pd.isna(value):
        return None
    try:
        return from_iso(str(value))
    except ValueError:
        raise DataError("a time is not ISO 8601", where=str(where), found=value) from None

"""Write what a run found: all of it or nothing, into one folder."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapely.geometry import mapping

import changedetect
from changedetect.core.run import RunResults, WriteParams
from changedetect.core.tables import ACTIVITY_COLUMNS
from changedetect.errors import UsageError
from changedetect.io.folder import MARKER, PROGRAM, replaced_folder
from changedetect.io.write_geojson import (
    CHANGE_PROPERTIES,
    DETECTION_PROPERTIES,
    DRIVERS,
    ZONE_PROPERTIES,
    plain_property,
    require_parquet,
    to_features,
    to_geometry,
    write_geojson,
    write_package,
    write_vector,
)
from changedetect.io.write_json import write_json
from changedetect.io.write_raster import score_names, write_score

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("geojson", *DRIVERS)
"""What `--format` takes; GeoJSON is always written."""

Extra = Callable[[Path], None]
"""Writes something more (pictures, a report) into the folder it is given."""


def write_outputs(
    folder: str | Path,
    results: RunResults,
    formats: Sequence[str] = (),
    params: WriteParams | None = None,
    *,
    extras: Iterable[Extra] = (),
    inputs: Iterable[str | Path] = (),
) -> None:
    """Write every output of a run into `folder`, which is replaced once all of them are complete.

    Parameters
    ----------
    formats : sequence of str
        Any of `FORMATS`, beside GeoJSON.
    extras : iterable of callable
        Called with the temporary folder before it is swapped in, so that their files belong to the whole.
    inputs : iterable of path
        Files the run has read; a folder that holds one of them is not replaced.

    Raises
    ------
    UsageError
        An unknown format.
    OutputError
        The folder was not written by this program or cannot be written; earlier outputs stay as they were.
    """
    params = params or WriteParams()
    require_formats(formats)
    with replaced_folder(folder, inputs=inputs) as fresh:
        _write_tables(fresh, results, formats)
        if params.score:
            _write_scores(fresh / "score", results, params)
        write_json(fresh / "summary.json", {**results.summary, "simulated": results.simulated})
        write_json(fresh / MARKER, _run_record(results))
        for extra in extras:
            extra(fresh)


def require_formats(formats: Sequence[str]) -> None:
    """Raise unless every format is known and its library installed; ask before the work."""
    for name in formats:
        if name not in FORMATS:
            raise UsageError("unknown format", where="--format", found=name, needed=f"any of {', '.join(FORMATS)}")
    if "parquet" in formats:
        require_parquet()


def activity_rows(activity: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of activity.csv as plain values, None where a count is unknown."""
    columns = {name: list(activity[name]) for name in ACTIVITY_COLUMNS}
    return [{name: plain_property(name, values[i]) for name, values in columns.items()} for i in range(len(activity))]


def zone_features(results: RunResults) -> list[dict[str, Any]]:
    """Return the AOI, under its own name, and its zones as GeoJSON features."""
    return [
        {
            "type": "Feature",
            "properties": {
                "name": zone.name,
                "kind": "zone" if place else "aoi",
                "targets": list(zone.targets),
                "simulated": results.simulated,
            },
            "geometry": to_geometry(zone.geometry),
        }
        for place, zone in enumerate(results.aoi.all_zones)
    ]


def _write_tables(folder: Path, results: RunResults, formats: Sequence[str]) -> None:
    rows = activity_rows(results.activity)
    changes = to_features(results.changes, CHANGE_PROPERTIES, results.simulated)
    detections = to_features(results.detections, DETECTION_PROPERTIES, results.simulated)
    write_geojson(folder / "changes.geojson", changes, simulated=results.simulated, activity=rows)
    write_geojson(folder / "detections.geojson", detections, simulated=results.simulated)
    zones = zone_features(results)
    write_geojson(folder / "zones.geojson", zones, simulated=results.simulated)
    _write_csv(folder / "activity.csv", rows)
    tables = {"changes": (changes, CHANGE_PROPERTIES), "detections": (detections, DETECTION_PROPERTIES)}
    for name in dict.fromkeys(formats):
        if name == "gpkg":
            write_package(folder / "changes.gpkg", {**tables, "zones": (zones, ZONE_PROPERTIES)}, results.activity)
        elif name in DRIVERS:
            for table, (features, properties) in tables.items():
                write_vector(folder / f"{table}.{name}", features, properties)


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(ACTIVITY_COLUMNS), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)


def _write_scores(folder: Path, results: RunResults, params: WriteParams) -> None:
    looks = [look for look in results.looks if look.score is not None]
    folder.mkdir()
    for name, look in zip(score_names(looks), looks, strict=True):
        write_score(folder / name, look, step_sigma=params.score_step_sigma, simulated=results.simulated)


def _run_record(results: RunResults) -> dict[str, Any]:
    aoi, grid = results.aoi, results.grid
    place = {"name": aoi.name, "title": aoi.title, "location": aoi.location, "geometry": mapping(aoi.geometry)}
    return {
        "program": PROGRAM,
        "version": changedetect.__version__,
        "simulated": results.simulated,
        "aoi": place,
        "grid": {"crs": grid.crs, "transform": list(grid.transform)[:6], "shape": grid.shape, "gsd_m": grid.gsd_m},
        **results.provenance,
        "scenes": list(results.scene_records),
    }

"""The page of the outputs: every file, and every column of the tables."""

from __future__ import annotations

from collections.abc import Mapping

from changedetect.core.tables import (
    ACTIVITY_COLUMNS,
    CHANGE_COLUMNS,
    CLASS_COLUMNS,
    LINK_COLUMNS,
    MEASURE_COLUMNS,
    TIME,
    TRUTH_COLUMNS,
)

FILES = {
    "changes.geojson": "One feature per change over the whole series; its `activity` holds the rows of activity.csv.",
    "detections.geojson": "One feature per object and date, linked to its change by `change_id`.",
    "zones.geojson": "The place and its zones.",
    "activity.csv": "One row per scene date, zone and class.",
    "summary.json": "The headline per zone and class, in words and numbers.",
    "run.json": "Where it comes from: inputs with sha256, settings in full, versions, timings, each scene's fate.",
    "report.html": "One page that opens from disk: map, timeline, table, pictures, quality.",
    "report/*": "What the page is made from.",
    "overview.png": "The whole place with everything that was found.",
    "quicklooks/*.png": "Each change before and after, with the same stretch.",
    "score/*.tif": "Change in sigma, a Cloud Optimized GeoTIFF: positive brighter, negative darker, NaN unseen.",
    "imagery/*": "The place before and after, registered, for a GIS.",
    "truth.geojson": "What was planted; simulated scenes only.",
    "project.qgz": "A QGIS project with all of it, styled, with the dates in its temporal controller.",
    "*.qml": "The styles of each layer and score, which QGIS takes up by itself.",
    "changes.kmz": "The changes for Google Earth, with time spans, and the detections by date.",
    "stac-item.json": "The run as a STAC item.",
    "changes.gpkg": "Changes, detections, zones, activity and styles in one GeoPackage, with `--format gpkg`.",
    "*.fgb": "FlatGeobuf, with `--format fgb`.",
    "*.parquet": "GeoParquet, with `--format parquet`.",
}
"""Every file of an output folder, as a pattern, and what it is."""

WORDS = {
    "id": "The same inputs and settings give the same id.",
    "aoi": "Name of the place.",
    "zone": "Name of the zone; null outside zones. In activity.csv the place itself is a zone under its own name.",
    "class": "trench, hut, vessel, equipment, aircraft, crowd, or other: change that fits no named class.",
    "status": "appeared, modified or disappeared; in activity.csv clear (at least 95 % of the zone seen), partial, or "
    "obscured (under 5 %).",
    "absent_until": "Last clear look without it; null if there is none.",
    "first_seen": "First look with it: it began after `absent_until` and no later than this.",
    "last_seen": "Last look with it.",
    "gone_by": "First clear look without it again; null if it was still there at the last clear look.",
    "n_seen": "Looks on which it was seen.",
    "n_clear": "Clear looks at it since it was first seen.",
    "count": "Items in a group, for equipment and crowd; in activity.csv the number in the zone, empty where it was "
    "obscured: unknown, not zero.",
    "count_low": "Lower end of the 90 % interval of the count.",
    "count_high": "Its upper end.",
    "looks": "Every look as present, absent or unclear, with its time.",
    "score": "The strongest pixel, in multiples of the noise.",
    "confidence": "How sure, from 0 to 1.",
    "area_m2": "Area on the ground.",
    "length_m": "Along the object: trenches along their line, aircraft from nose to tail, others the longer side.",
    "width_m": "Across it: of aircraft the span, which may be the longer one.",
    "orientation_deg": "Of the longer side, 0 to 180 clockwise from north.",
    "flags": "Doubts, by name; what geometry explains is `explained_by_...` and is not told as a change.",
    "simulated": "Whether it was found on generated scenes.",
    "datetime": "Time of the look.",
    "clear_fraction": "Share of the zone that was seen.",
    "scene_id": "The scene of the look.",
    "acquired": "Time of the look.",
    "gsd_m": "Pixel size at which the scenes were compared.",
    "features": "The numbers that the rules of class looked at, for those who check them.",
    "change_id": "The change it belongs to; null if it is not believed enough to be told as one.",
    "start": "Day on which it was planted, and",
    "end": "the day on which it was gone; null: none.",
}
"""Every column, in words."""

_KINDS = {"object": "text or list", "float64": "number", "int64": "whole number", "Int64": "whole number or empty"}

_INTRO = """# Outputs

*Written from the code by `scripts/make_reference.py`.*

A run writes into `outputs/<name>/`, or into `--out DIR`. The folder is replaced once everything is complete: a reader
never sees half a file, and a run that fails leaves the last outputs as they were. The same inputs, settings and version
give byte-identical tables. All times are UTC, all positions WGS 84. How to read them:
[start](../index.md#how-to-read-a-change); how to look at them: [the report](../report.md), [a GIS](../gis.md)."""

_REVIEW = (
    """What reviewers said is appended as `review` by `changedetect review`: see [the report](../report.md#review)."""
)

_RUN = """## run.json

`scenes` has one entry per scene: `id`, `datetime`, `sensor`, `gsd_m`, `clear_fraction`, `used` and, where it was not,
the `reason`; `registration` with its `status` (`reference`, `ok` or `abstained`), the shift `dx_m` and `dy_m` east and
north at the place's centre, `ce90_m` (nine of ten pixels are better placed than this) and `reason`; `noise` with the
threshold in force and `false_alarms_per_km2`, what the background alone should yield, before the rules of class.
A scene whose registration abstains is not compared: its rows in activity.csv are `obscured`."""


def outputs_page() -> str:
    """Return the page."""
    detections = MEASURE_COLUMNS | CLASS_COLUMNS | LINK_COLUMNS | {"simulated": "bool"}
    truth = dict.fromkeys(TRUTH_COLUMNS, "")
    parts = [
        _INTRO,
        "## Files",
        _table(("file", "what"), [(f"`{name}`", words) for name, words in FILES.items()]),
        "## changes.geojson",
        _columns(CHANGE_COLUMNS | {"simulated": "bool"}),
        _REVIEW,
        "## detections.geojson",
        _columns(detections),
        "## activity.csv",
        _columns(ACTIVITY_COLUMNS),
        "## truth.geojson",
        _columns(truth | {"simulated": "bool"}),
        _RUN,
    ]
    return "\n\n".join(parts) + "\n"


def _columns(columns: Mapping[str, str]) -> str:
    """Return columns as a definition list; one without words is an error, so that none goes undescribed."""
    kinds = _KINDS | {TIME: "time", "bool": "true or false", "": ""}
    items = []
    for name, dtype in columns.items():
        if name not in WORDS:
            raise KeyError(f"scripts/reference/outputs.py has no words for the column {name}")
        items.append(f"`{name}`{' · ' if dtype else ''}{kinds[dtype]}\n\n:   {WORDS[name]}")
    return "\n\n".join(items)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

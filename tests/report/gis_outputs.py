"""Outputs of a made-up run, written whole, for the tests of what a GIS opens."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
from affine import Affine
from shapely.geometry import box

from changedetect.core.aoi import Aoi, Location, Zone
from changedetect.core.grid import Grid
from changedetect.core.results import Look
from changedetect.core.run import RunResults
from changedetect.core.tables import ACTIVITY_COLUMNS, CHANGE_COLUMNS, DETECTION_COLUMNS, geo_table, table
from changedetect.io.write import write_outputs
from changedetect.io.write_raster import score_names, write_picture
from changedetect.report.gis import write_kmz, write_project, write_sidecars, write_stac_item

GRID = Grid("EPSG:32652", Affine(0.5, 0, 720000, 0, -0.5, 4880000), (400, 500))
BEFORE, DURING, AFTER = (datetime(2024, month, 5, 2, 20, tzinfo=UTC) for month in (9, 10, 11))
TITLE = 'Ground <of> "tests" & more'
TRENCH, HUT = box(720040, 4879850, 720090, 4879854), box(720150, 4879900, 720165, 4879912)


def change(name, kind, shape, **values):
    row = dict.fromkeys(CHANGE_COLUMNS)
    row |= {"id": name, "aoi": "place", "class": kind, "status": "appeared", "absent_until": BEFORE}
    row |= {"first_seen": DURING, "last_seen": AFTER, "n_seen": 2, "n_clear": 2, "count": 1}
    row |= {"looks": [(BEFORE, "absent"), (DURING, "present"), (AFTER, "present")], "score": 12.5, "confidence": 0.9}
    row |= {"area_m2": shape.area, "length_m": 50.0, "width_m": 4.0, "orientation_deg": 90.0, "flags": ("seen_once",)}
    return row | {"geometry": shape} | values


def detection(name, kind, shape, when):
    row = dict.fromkeys(DETECTION_COLUMNS)
    row |= {"scene_id": "s", "acquired": when, "gsd_m": 0.5, "status": "appeared", "score": 12.0, "flags": ()}
    row |= {"area_m2": shape.area, "length_m": 50.0, "width_m": 4.0, "orientation_deg": 90.0, "features": {}}
    row |= {"class": kind, "confidence": 0.8, "count": 1, "count_low": 1, "count_high": 1, "change_id": name}
    return row | {"geometry": shape}


def make_results(*, simulated=True, changes=True) -> RunResults:
    rows = [change("t1", "trench", TRENCH), change("h1", "hut", HUT, gone_by=AFTER, last_seen=DURING, n_seen=1)]
    seen = [detection("t1", "trench", TRENCH, DURING), detection("t1", "trench", TRENCH, AFTER)]
    score = np.random.default_rng(3).normal(size=GRID.shape).astype(np.float32)
    quality = np.zeros(GRID.shape, np.uint16)
    area, part = gpd.GeoSeries([GRID.extent.buffer(-5), HUT.buffer(9)], crs=GRID.crs).to_crs(4326)
    activity = {"datetime": DURING, "aoi": "place", "zone": "place", "class": "trench", "count": 1, "area_m2": 200.0}
    return RunResults(
        aoi=Aoi("place", TITLE, Location("a <source>", 25.0), area, ("trench",), None, (Zone("yard", part, ("hut",)),)),
        grid=GRID,
        changes=geo_table(rows if changes else [], CHANGE_COLUMNS, GRID.crs),
        detections=geo_table(seen if changes else [], DETECTION_COLUMNS, GRID.crs),
        activity=table([activity | {"status": "clear", "clear_fraction": 1.0, "scene_id": "s"}], ACTIVITY_COLUMNS),
        summary={"headline": ["1 trench", "1 hut"]},
        looks=(
            Look("b", BEFORE, quality, None, GRID),
            Look("s", DURING, quality, score, GRID),
            Look("t", AFTER, quality, score, GRID),
        ),
        scene_records=({"id": "b", "gsd_m": 0.5}, {"id": "s", "gsd_m": 0.5}, {"id": "t", "gsd_m": 0.5}),
        provenance={"inputs": [{"path": "/imagery/2024 a.tif"}]},
        simulated=simulated,
    )


def write_all(folder: Path, results: RunResults) -> Path:
    scores = score_names([look for look in results.looks if look.score is not None])
    shown = {"After": "imagery/after.tif", "Before": "imagery/before.tif"}

    def write_images(out: Path) -> None:
        for path in shown.values():
            write_picture(out / path, GRID, paint, {"acquired": "then"})

    def write_rest(out: Path) -> None:
        write_sidecars(out, scores)
        write_project(out, results, shown, scores)
        write_kmz(out, results)
        write_stac_item(out, results)

    write_outputs(folder, results, ("gpkg",), extras=[write_images, write_rest])
    return folder


def paint(grid: Grid) -> np.ndarray:
    """Green ground; nothing in the westernmost 20 columns."""
    picture = np.zeros((4, *grid.shape), np.uint8)
    picture[1], picture[3] = 120, 255
    picture[3, :, :20] = 0
    return picture

"""Small series by hand: looks of 40 x 40 pixels of 3 m, detections as boxes in pixels."""

from __future__ import annotations

import datetime as dt

import geopandas as gpd
import numpy as np
from affine import Affine
from shapely.geometry import box

from changedetect.core.aoi import Aoi, Location
from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.core.results import Look
from changedetect.core.tables import DETECTION_COLUMNS, geo_table

GRID = Grid("EPSG:32652", Affine(3.0, 0.0, 500_000.0, 0.0, -3.0, 4_900_000.0), (40, 40))
START = dt.datetime(2023, 9, 1, 2, 0, tzinfo=dt.UTC)
AOI = Aoi("test", "Test", Location("made up"), box(130, 42, 130.1, 42.1), ("trench", "hut", "vessel"), None)


def day(n: float) -> dt.datetime:
    return START + dt.timedelta(days=n)


def pixels(row: float, col: float, height: float, width: float, grid: Grid = GRID):
    """A box in pixels of `grid`, in map coordinates."""
    x, y, g = grid.transform.c, grid.transform.f, grid.gsd_m
    return box(x + col * g, y - (row + height) * g, x + (col + width) * g, y - row * g)


def look(n: float, *, cloud=None, used: bool = True, score=None, grid: Grid = GRID, name: str | None = None) -> Look:
    """The look of day `n`; `cloud` is a pair of slices or True for all; `score` an array or None for zeros."""
    quality = np.zeros(grid.shape, np.uint16)
    if cloud is True:
        quality[:] = Quality.CLOUD
    elif cloud is not None:
        quality[cloud] = Quality.CLOUD
    values = np.zeros(grid.shape, np.float32) if score is None else np.array(score, np.float32)
    values[quality > 0] = np.nan
    reason = None if used else "registration abstained"
    return Look(name or f"s{n:g}", day(n), quality, values if used else None, grid, used, reason)


def detection(n: float, geometry, kind: str = "vessel", **more):
    """A detection on day `n` with the measures of its minimum rotated rectangle's upright stand-in."""
    left, bottom, right, top = geometry.bounds
    sides = sorted((right - left, top - bottom))
    row = dict.fromkeys(DETECTION_COLUMNS)
    row |= {
        "scene_id": f"s{n:g}",
        "acquired": day(n),
        "gsd_m": 3.0,
        "status": "appeared",
        "score": 8.0,
        "area_m2": geometry.area,
        "length_m": sides[1],
        "width_m": sides[0],
        "orientation_deg": 90.0 if right - left >= top - bottom else 0.0,
        "flags": (),
        "features": {},
        "class": kind,
        "confidence": 0.8,
        "count": 1,
        "count_low": 1,
        "count_high": 1,
        "geometry": geometry,
    }
    return row | more


def detections(*rows) -> gpd.GeoDataFrame:
    return geo_table(rows, DETECTION_COLUMNS, GRID.crs)


def states(change) -> str:
    """The states of a change as letters: p, a, u."""
    return "".join(state[0] for _, state in change["looks"])

"""Inside outlines: a pit is a dark floor within a wall, a row is like things side by side; a roof is neither."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
from score_scenes import make_grid
from shapely.geometry import box

from changedetect.core.raster import Raster
from changedetect.steps.classify.inside import InsideParams, is_pit, is_row_of_like, look_inside

PARAMS = InsideParams()
SIDE = 96
CAME = {"edges_before": 0.0, "edges_after": 0.9, "ndvi_after": 0.2, "middle_change": -0.3}


def seen(plane: np.ndarray, rows: slice, cols: slice, status: str = "appeared") -> dict:
    """Return one detection, a box of pixels of 0.5 m, with what lies inside it."""
    grid = make_grid(SIDE)
    left, top = grid.transform @ (cols.start, rows.start)
    right, bottom = grid.transform @ (cols.stop, rows.stop)
    shape = box(left, bottom, right, top)
    sides = sorted([right - left, top - bottom])
    features = CAME | {"rect_width_m": sides[0], "rect_length_m": sides[1], "fill": 1.0}
    table = {"status": [status], "area_m2": [shape.area], "features": [features]}
    frame = gpd.GeoDataFrame(table, geometry=[shape], crs=grid.crs)
    raster = Raster.make(np.stack([plane] * 3).astype(np.float32), grid, ("blue", "green", "red"), "reflectance")
    return look_inside(frame, raster).iloc[0].to_dict()


@pytest.fixture
def pit() -> np.ndarray:
    plane = np.full((SIDE, SIDE), 0.12)
    plane[30:54, 30:58] = 0.25
    plane[37:47, 36:52] = 0.08
    return plane


@pytest.fixture
def row() -> np.ndarray:
    plane = np.full((SIDE, SIDE), 0.12)
    plane[40:54, 20:76] = 0.06  # their shadows and what lies between
    for k in range(7):
        plane[40:54, 20 + 8 * k : 25 + 8 * k] = 0.2
    return plane


def test_a_dark_floor_within_a_wall_is_a_pit(pit: np.ndarray) -> None:
    thing = seen(pit, slice(30, 54), slice(30, 58))
    assert thing["features"]["floor_share"] == pytest.approx(10 * 16 / (24 * 28))
    assert thing["features"]["floor_depth"] == pytest.approx(np.log(0.25 / 0.08), rel=1e-5)
    assert thing["features"]["wall_share"] == 1.0
    assert is_pit(thing, PARAMS)
    assert not is_row_of_like(thing, PARAMS)


def test_a_roof_with_a_dark_slope_is_none(pit: np.ndarray) -> None:
    pit[30:54, 30:58] = 0.25
    pit[42:54, 30:58] = 0.12
    assert not is_pit(seen(pit, slice(30, 54), slice(30, 58)), PARAMS)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "modified"},
        {"edges_before": 0.5},
        {"ndvi_after": 0.7},
        {"rect_width_m": 30.0},
        {"rect_length_m": 40.0},
        {"middle_change": 0.0},
    ],
)
def test_a_pit_came_to_bare_ground_and_is_no_larger_than_one(pit: np.ndarray, change: dict) -> None:
    thing = seen(pit, slice(30, 54), slice(30, 58))
    thing["status"] = change.pop("status", thing["status"])
    thing["features"] |= change
    assert not is_pit(thing, PARAMS)


def test_like_things_side_by_side_are_a_row(row: np.ndarray) -> None:
    thing = seen(row, slice(40, 54), slice(20, 76))
    thing["features"]["middle_change"] = 0.1
    assert thing["features"]["parts"] == 7.0
    assert is_row_of_like(thing, PARAMS)
    thing["features"]["middle_change"] = -0.5  # a floor runs along it
    assert not is_row_of_like(thing, PARAMS)


def test_a_set_of_parts_is_a_row_where_nothing_stood_and_nothing_grows() -> None:
    parts = CAME | {"group_parts": 4.0, "part_fill": 0.8}
    assert is_row_of_like({"status": "appeared", "features": parts}, PARAMS)
    for wrong in ({"part_fill": 0.6}, {"edges_before": 0.2}, {"ndvi_after": 0.7}, {"group_parts": 3.0}):
        assert not is_row_of_like({"status": "appeared", "features": parts | wrong}, PARAMS)


def test_what_went_and_what_is_small_is_not_looked_into(pit: np.ndarray) -> None:
    assert "parts" not in seen(pit, slice(30, 54), slice(30, 58), "disappeared")["features"]
    assert "parts" not in seen(pit, slice(30, 40), slice(30, 40))["features"]

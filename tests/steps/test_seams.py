"""What two sheets both saw is told once."""

import pytest
from affine import Affine
from shapely.geometry import box

from changedetect.core.grid import Grid
from changedetect.core.sheets import Sheet
from changedetect.core.tables import DETECTION_COLUMNS, geo_table
from changedetect.steps.seams import join_at_seams, touching_core

GRID = Grid("EPSG:32652", Affine(1.0, 0, 0, 0, -1.0, 100), (100, 300))
LEFT, MIDDLE, RIGHT = (Sheet(GRID, slice(0, 100), slice(left, left + 100), 20) for left in (0, 100, 200))
"""Cores of 100 m, windows of 20 m more."""


def table(*shapes, **values):
    row = dict.fromkeys(DETECTION_COLUMNS) | {
        "scene_id": "a",
        "flags": (),
        "features": {},
        "class": "trench",
        "score": 5.0,
    }
    rows = [row | values | {"geometry": shape, "area_m2": shape.area} for shape in shapes]
    return geo_table(rows, DETECTION_COLUMNS, GRID.crs)


def joined(left, middle):
    parts = [(LEFT, touching_core(left, LEFT)), (MIDDLE, touching_core(middle, MIDDLE))]
    return join_at_seams(parts, GRID.crs)


def test_what_lies_in_one_core_is_told_by_its_sheet_alone():
    seen_by_both = box(85, 10, 95, 20)
    found = joined(table(seen_by_both, score=7.0), table(seen_by_both))
    assert list(found["score"]) == [7.0]


def test_what_lies_across_is_told_once_by_the_sheet_that_has_most_of_it():
    found = joined(table(box(90, 10, 104, 20), score=4.0), table(box(90.5, 10, 104, 20), score=6.0))
    assert list(found["score"]) == [4.0]
    found = joined(table(box(97, 10, 111, 20), score=4.0), table(box(97, 10, 110, 20), score=6.0))
    assert list(found["score"]) == [6.0]


def test_what_only_one_sheet_believes_is_kept():
    assert len(joined(table(box(95, 10, 105, 20)), table())) == 1
    assert len(joined(table(), table(box(95, 10, 105, 20)))) == 1


def test_neighbours_stay_two():
    assert len(joined(table(box(95, 10, 101, 20)), table(box(100.9, 10, 110, 20)))) == 2


def test_the_entire_outline_goes_before_one_that_the_window_cuts():
    whole, cut = box(60, 10, 110, 20), box(80, 10, 110, 20)
    found = joined(table(whole), table(cut))
    assert list(found.geometry.area) == [whole.area]


def test_what_every_window_cuts_is_the_union_of_its_pieces():
    found = joined(table(box(30, 10, 120, 20), score=-4.0), table(box(80, 10, 220, 20), score=9.0))
    (row,) = found.to_dict("records")
    assert row["geometry"].equals(box(30, 10, 220, 20))
    assert row["score"] == 9.0
    assert row["area_m2"] == pytest.approx(1900)
    assert (row["length_m"], row["width_m"]) == (pytest.approx(190), pytest.approx(10))
    assert row["orientation_deg"] == pytest.approx(90)


def test_items_of_a_gathering_in_two_windows_are_not_counted_twice():
    pieces = (
        table(box(0, 10, 120, 20), **{"class": "crowd", "count": 120}),
        table(box(80, 10, 220, 20), **{"class": "crowd", "count": 140}),
    )
    (row,) = joined(*pieces).to_dict("records")
    assert row["count"] == 120 * 100 / 120 + 140 * 100 / 140

"""Sheets tile a grid, and their margins reach as far as it does."""

import numpy as np
import pytest
from affine import Affine
from shapely.geometry import box

from changedetect.core.grid import Grid
from changedetect.core.sheets import plan_sheets
from changedetect.errors import GridError

GRID = Grid("EPSG:32652", Affine(2.0, 0, 500_000, 0, -2.0, 4_800_000), (250, 131))


def test_a_grid_that_fits_is_one_sheet():
    (sheet,) = plan_sheets(GRID, 250, 20)
    assert sheet.is_whole
    assert sheet.grid == GRID
    assert sheet.inside == (slice(0, 250), slice(0, 131))
    assert not sheet.is_cut(box(*GRID.bounds))


@pytest.mark.parametrize(("side", "margin"), [(60, 10), (97, 3), (131, 64), (50, 0)])
def test_cores_tile_the_grid_once_and_windows_hold_them(side, margin):
    times = np.zeros(GRID.shape, int)
    for sheet in plan_sheets(GRID, side, margin):
        times[sheet.rows, sheet.cols] += 1
        assert max(sheet.grid.shape) <= side
        inside = sheet.grid.crop(*sheet.inside)
        assert inside == GRID.crop(sheet.rows, sheet.cols)
    assert (times == 1).all()


def test_only_an_edge_beyond_which_the_grid_goes_on_cuts():
    first, *_, last = plan_sheets(GRID, 100, 10)
    left, bottom, right, top = first.grid.bounds
    assert first.is_cut(box(right - 9, bottom + 20, right, bottom + 30))
    assert not first.is_cut(box(left, top - 9, left + 9, top))
    assert not first.is_cut(box(right - 9, bottom + 20, right - 2, bottom + 30))
    left, bottom, right, top = last.grid.bounds
    assert last.is_cut(box(left, bottom + 20, left + 9, bottom + 30))
    assert not last.is_cut(box(right - 9, bottom, right, bottom + 9))


def test_margins_must_leave_something():
    with pytest.raises(GridError, match="more than its margins"):
        plan_sheets(GRID, 40, 20)


def test_windows_are_of_one_size_as_sheets_at_the_edge_answer_for_more():
    tall = Grid("EPSG:32652", Affine(2.0, 0, 500_000, 0, -2.0, 4_800_000), (300, 100))
    # 300 px and two margins twice over: 380 in three windows of at most 128
    sheets = plan_sheets(tall, 128, 20)
    assert [sheet.rows for sheet in sheets] == [slice(0, 106), slice(106, 193), slice(193, 300)]
    assert {sheet.grid.shape for sheet in sheets} == {(126, 100), (127, 100)}

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from changedetect.core.grid import Grid
from changedetect.errors import GridError

UTM = "EPSG:32652"


def test_from_bounds_snaps_outwards_to_whole_pixels():
    grid = Grid.from_bounds(UTM, (10.2, 20.1, 12.9, 22.0), 0.5)
    assert grid.bounds == (10.0, 20.0, 13.0, 22.0)
    assert grid.shape == (4, 6)


@given(
    st.floats(-1e6, 1e6),
    st.floats(-1e7, 1e7),
    st.floats(1, 5000),
    st.floats(1, 5000),
    st.sampled_from([0.3, 0.5, 0.6, 3.0, 10.0, 30.0]),
)
def test_from_bounds_covers_and_any_two_align(left, bottom, width, height, gsd_m):
    bounds = (left, bottom, left + width, bottom + height)
    grid = Grid.from_bounds(UTM, bounds, gsd_m)
    slack = 1e-6 * gsd_m + 1e-6
    assert grid.bounds[0] <= bounds[0] + slack
    assert grid.bounds[1] <= bounds[1] + slack
    assert grid.bounds[2] >= bounds[2] - slack
    assert grid.bounds[3] >= bounds[3] - slack
    assert grid.aligned_with(Grid.from_bounds(UTM, (0, 0, 7, 7), gsd_m))


def test_a_grid_contains_windows_of_its_own_lattice_alone():
    grid = Grid.from_bounds(UTM, (0, 0, 50, 40), 1.0)
    assert grid.contains(grid)
    assert grid.contains(grid.crop(slice(5, 25), slice(7, 50)))
    assert not grid.contains(grid.pad(1))
    assert not grid.contains(Grid.from_bounds(UTM, (10, 10, 20, 20), 2.0))
    assert not grid.contains(Grid(UTM, Affine(1, 0, 10.5, 0, -1, 20), (5, 5)))


def test_crop_pad_and_offset_are_inverse():
    grid = Grid.from_bounds(UTM, (0, 0, 50, 40), 1.0)
    part = grid.crop(slice(5, 25), slice(7, 30))
    assert part.shape == (20, 23)
    assert grid.offset_of(part) == (5, 7)
    assert part.pad(3).pad(-3) == part
    assert grid.offset_of(part.pad(3)) == (2, 4)


def test_coarsen_covers_and_is_snapped_to_its_own_multiples():
    grid = Grid.from_bounds(UTM, (1, 1, 20, 20), 0.5)
    coarse = grid.coarsen(6)
    assert coarse.gsd_m == 3.0
    assert coarse.bounds == (0, 0, 21, 21)
    assert grid.coarsen(1) is grid


def test_pixel_centres_are_half_a_pixel_in():
    x, y = Grid.from_bounds(UTM, (100, 200, 104, 206), 2.0).pixel_centres()
    np.testing.assert_allclose(x, [101, 103])
    np.testing.assert_allclose(y, [205, 203, 201])


@pytest.mark.parametrize("block_px", [1, 3, 64])
def test_blocks_tile_the_grid_once(block_px):
    grid = Grid.from_bounds(UTM, (0, 0, 7, 5), 1.0)
    seen = np.zeros(grid.shape, int)
    for window in grid.blocks(block_px):
        seen[window] += 1
    assert (seen == 1).all()


def test_refuses_what_does_not_align():
    grid = Grid.from_bounds(UTM, (0, 0, 10, 10), 1.0)
    shifted = Grid(UTM, Affine(1, 0, 0.25, 0, -1, 10), (10, 10))
    with pytest.raises(GridError, match="do not share a pixel lattice"):
        grid.offset_of(shifted)
    with pytest.raises(GridError, match="grids differ"):
        grid.require_same(grid.crop(slice(0, 5), slice(0, 5)), "test")
    with pytest.raises(GridError, match="north-up square"):
        Grid(UTM, Affine(1, 0.1, 0, 0, -1, 0), (5, 5))
    with pytest.raises(GridError, match="finite and not empty"):
        Grid.from_bounds(UTM, (0, 0, 0, 10), 1.0)
    with pytest.raises(GridError, match="positive pixel size"):
        Grid.from_bounds(UTM, (0, 0, 5, 10), 0.0)
    with pytest.raises(GridError, match="crop is empty"):
        grid.crop(slice(5, 5), slice(0, 3))


def test_the_window_around_bounds_keeps_to_the_grid():
    grid = Grid("EPSG:32652", Affine(2.0, 0, 100.0, 0, -2.0, 200.0), (50, 40))
    assert grid.window_around((110.0, 180.0, 121.0, 190.0), 0) == (slice(5, 10), slice(5, 11))
    assert grid.window_around((110.0, 180.0, 121.0, 190.0), 3) == (slice(2, 13), slice(2, 14))
    assert grid.window_around((90.0, 90.0, 500.0, 500.0), 3) == (slice(0, 50), slice(0, 40))

import numpy as np
import pytest

from changedetect.core.grid import Grid
from changedetect.core.quality import UNUSABLE, Quality, is_valid
from changedetect.core.raster import Raster
from changedetect.core.results import Warp, bspline_basis
from changedetect.core.tables import ACTIVITY_COLUMNS, CHANGE_COLUMNS, geo_table, join_tables, table
from changedetect.errors import ChangeDetectError, DataError, GridError

GRID = Grid.from_bounds("EPSG:32652", (0, 0, 4, 3), 1.0)


def test_make_turns_what_is_not_finite_into_nodata():
    data = np.ones((2, 3, 4))
    data[0, 1, 1], data[1, 2, 2] = np.nan, np.inf
    raster = Raster.make(data, GRID, ("red", "nir"), "reflectance")
    assert raster.quality[1, 1] == Quality.NODATA == raster.quality[2, 2]
    assert raster.valid.sum() == 10
    assert np.isfinite(raster.data).all()
    assert raster.clear_fraction == pytest.approx(10 / 12)


def test_raster_is_read_only_and_checked():
    raster = Raster.make(np.ones((1, 3, 4)), GRID, ("red",), "dn")
    with pytest.raises(ValueError, match="read-only"):
        raster.data[0, 0, 0] = 2
    with pytest.raises(GridError, match="differ in shape"):
        Raster.make(np.ones((1, 3, 3)), GRID, ("red",), "dn", np.zeros((3, 4), np.uint16))
    with pytest.raises(GridError, match="distinct name"):
        Raster.make(np.ones((2, 3, 4)), GRID, ("red", "red"), "dn")
    with pytest.raises(GridError, match="no such band"):
        raster.band("nir")


def test_crop_and_select_keep_place():
    raster = Raster.make(np.arange(24).reshape(2, 3, 4), GRID, ("red", "nir"), "dn")
    part = raster.crop(slice(1, 3), slice(2, 4))
    assert part.grid.bounds == (2, 0, 4, 2)
    np.testing.assert_array_equal(part.band("nir"), [[18, 19], [22, 23]])
    assert raster.select(("nir",)).bands == ("nir",)


def test_snow_and_water_describe_but_do_not_hide():
    for bit in Quality:
        assert bool(is_valid(np.array([bit], np.uint16))[0]) == (bit not in UNUSABLE)


def test_bspline_reproduces_a_line_and_sums_to_one():
    position = np.linspace(0, 1, 23)
    basis = bspline_basis(position, 5)
    np.testing.assert_allclose(basis.sum(axis=1), 1.0)
    greville = (np.arange(8) - 1) / 5
    np.testing.assert_allclose(basis @ greville, position, atol=1e-12)


def test_displacement_follows_the_map_not_the_pixels():
    ramp = np.broadcast_to((np.arange(7) - 1.0) / 4, (7, 7))
    zero = np.zeros((7, 7))
    as_tuple = tuple(tuple(tuple(row) for row in plane) for plane in (zero, ramp))
    warp = Warp("ok", grid=GRID, coefficients=as_tuple)
    u = warp.displacement_px(GRID)
    np.testing.assert_allclose(u[1, 0], [0.125, 0.375, 0.625, 0.875], atol=1e-6)
    part = warp.displacement_px(GRID.crop(slice(1, 3), slice(2, 4)))
    np.testing.assert_allclose(part, u[:, 1:3, 2:4], atol=1e-6)
    fine = warp.displacement_px(Grid.from_bounds(GRID.crs, GRID.bounds, 0.5))
    assert fine[1, 0, 0] == pytest.approx(2 * 0.0625)


def test_empty_tables_have_their_columns():
    empty = geo_table([], CHANGE_COLUMNS, "EPSG:32652")
    assert list(empty.columns) == [*CHANGE_COLUMNS, "geometry"]
    assert str(empty["first_seen"].dtype) == "datetime64[us, UTC]"
    assert len(join_tables([empty, empty], CHANGE_COLUMNS, "EPSG:32652")) == 0
    with pytest.raises(ChangeDetectError, match="declared columns"):
        table([{"datetime": None}], ACTIVITY_COLUMNS)


def test_an_error_says_what_where_found_needed_and_what_to_try():
    error = DataError("has no CRS", where="a.tif", found="none", needed="one", hint="crs: EPSG:32652")
    assert str(error) == "a.tif: has no CRS; found none; needed one; try: crs: EPSG:32652"
    assert error.exit_code == 3
    assert error.details["where"] == "a.tif"

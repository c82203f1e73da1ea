"""Coordinate images: pixels that store their own map x and y, so that a misplacement is a number."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasters import UTM, X0, Y0, coordinate_image, grid_at, make_scene, write_raster

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.core.results import Warp
from changedetect.core.scene import Asset, MaskSource, Scene
from changedetect.errors import DataError
from changedetect.io.place import transform_points
from changedetect.io.read import ReadParams, read

STEP_PX = 1 / 32


def misplaced_px(raster, shift_m=(0.0, 0.0)):
    """Return the largest misplacement of usable pixels, px; there must be some."""
    x, y = raster.grid.pixel_centres()
    dx = raster.data[0] - (x[None, :] - X0) - shift_m[0]
    dy = raster.data[1] - (y[:, None] - Y0) - shift_m[1]
    assert raster.valid.mean() > 0.2
    return np.hypot(dx, dy)[raster.valid].max() / raster.grid.gsd_m


FILE = Affine(3, 0, X0 - 90, 0, -3, Y0 + 90)


@pytest.mark.parametrize("kernel", ["cubic", "lanczos", "bilinear"])
@pytest.mark.parametrize("part", [0.0, 0.25, 0.37, 0.5, 0.81])
def test_fractional_offset_in_the_same_crs(tmp_path, kernel, part):
    scene = make_scene(coordinate_image(tmp_path / "a.tif", (140, 150), FILE))
    raster = read(scene, grid_at(3 * part, -3 * part), params=ReadParams(resampling=kernel))
    assert raster.valid.all()
    assert misplaced_px(raster) < STEP_PX * 1.5


def test_same_lattice_is_copied_exactly(tmp_path):
    scene = make_scene(coordinate_image(tmp_path / "a.tif", (140, 150), FILE))
    raster = read(scene, grid_at())
    assert misplaced_px(raster) < 1e-6


def test_geographic_file(tmp_path):
    lon, lat = transform_points(UTM, "EPSG:4326", np.array([X0 - 100]), np.array([Y0 + 100]))
    transform = Affine(4e-5, 0, float(lon[0]), 0, -3e-5, float(lat[0]))
    scene = make_scene(coordinate_image(tmp_path / "a.tif", (160, 140), transform, "EPSG:4326"))
    assert misplaced_px(read(scene, grid_at())) < 1.5 * STEP_PX * 4e-5 * 111e3 / 3


def test_rotated_file(tmp_path):
    transform = Affine.translation(X0 - 60, Y0 + 250) @ Affine.rotation(-30) @ Affine.scale(3, -3)
    scene = make_scene(coordinate_image(tmp_path / "a.tif", (200, 200), transform))
    assert misplaced_px(read(scene, grid_at())) < 2 * STEP_PX


@pytest.mark.parametrize("gsd_m", [0.5, 0.75, 1.0, 1.3, 2.1])
def test_finer_file_is_averaged_in_place(tmp_path, gsd_m):
    transform = Affine(gsd_m, 0, X0 - 31.3, 0, -gsd_m, Y0 + 30.7)
    shape = (round(250 / gsd_m), round(280 / gsd_m))
    scene = make_scene(coordinate_image(tmp_path / "a.tif", shape, transform))
    raster = read(scene, grid_at())
    assert raster.valid.all()
    assert misplaced_px(raster) < STEP_PX * 1.5


def test_averaging_cells_are_the_grids_own(tmp_path):
    # 3 x 3 file pixels per grid pixel, file origin not on the grid's: the mean of exactly those nine.
    rng = np.random.default_rng(1)
    values = rng.uniform(0, 100, (94, 95)).astype(np.float32)
    scene = make_scene(write_raster(tmp_path / "a.tif", values, UTM, Affine(1, 0, X0 - 2, 0, -1, Y0 + 1)), ("pan",))
    raster = read(scene, grid_at(shape=(30, 30)))
    expected = values[1:91, 2:92].reshape(30, 3, 30, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(raster.data[0], expected, rtol=1e-5)


def test_coarser_file_is_interpolated(tmp_path):
    transform = Affine(10, 0, X0 - 101, 0, -10, Y0 + 103)
    scene = make_scene(coordinate_image(tmp_path / "a.tif", (50, 50), transform))
    assert misplaced_px(read(scene, grid_at())) < 1.5 * STEP_PX * 10 / 3


@pytest.mark.parametrize("kernel", ["cubic", "lanczos"])
def test_constant_warp_is_followed(tmp_path, kernel):
    grid = grid_at()
    u_row, u_col = 1.3, -2.45
    knots = np.ones((2, 4, 4)) * np.array([u_row, u_col])[:, None, None]
    warp = Warp("ok", grid=grid, coefficients=tuple(tuple(tuple(r) for r in k) for k in knots.tolist()))
    scene = make_scene(coordinate_image(tmp_path / "a.tif", (140, 150), FILE))
    raster = read(scene, grid, warp=warp, params=ReadParams(resampling=kernel))
    assert misplaced_px(raster, (u_col * 3, -u_row * 3)) < STEP_PX * 1.5


@pytest.mark.parametrize("gsd_m", [0.75, 1.0, 1.7, 10.0])
def test_warp_of_finer_and_coarser_files(tmp_path, gsd_m):
    grid = grid_at()
    knots = np.ones((2, 4, 4)) * np.array([-1.9, 0.85])[:, None, None]
    warp = Warp("ok", grid=grid, coefficients=tuple(tuple(tuple(r) for r in k) for k in knots.tolist()))
    transform = Affine(gsd_m, 0, X0 - 41.3, 0, -gsd_m, Y0 + 40.7)
    shape = (round(290 / gsd_m), round(320 / gsd_m))
    raster = read(make_scene(coordinate_image(tmp_path / "a.tif", shape, transform)), grid, warp=warp)
    assert misplaced_px(raster, (0.85 * 3, 1.9 * 3)) < STEP_PX * 1.5 * max(1, gsd_m / 3)


def smooth_warp(grid):
    rng = np.random.default_rng(3)
    knots = rng.uniform(-3, 3, (2, 6, 7))
    return Warp("ok", grid=grid, coefficients=tuple(tuple(tuple(r) for r in k) for k in knots.tolist()))


def geographic(tmp_path):
    lon, lat = transform_points(UTM, "EPSG:4326", np.array([X0 - 100]), np.array([Y0 + 100]))
    transform = Affine(3.2e-5, 0, float(lon[0]), 0, -2.4e-5, float(lat[0]))
    return coordinate_image(tmp_path / "geo.tif", (200, 220), transform, "EPSG:4326")


def rotated(tmp_path):
    transform = Affine.translation(X0 - 100, Y0 + 250) @ Affine.rotation(-30) @ Affine.scale(3, -3)
    return coordinate_image(tmp_path / "rot.tif", (300, 300), transform)


def straight(tmp_path):
    return coordinate_image(tmp_path / "a.tif", (200, 200), FILE)


@pytest.mark.parametrize("make", [straight, rotated, geographic])
def test_smooth_warp_is_followed_pixel_by_pixel(tmp_path, make):
    grid = grid_at(shape=(100, 110))
    warp = smooth_warp(grid)
    raster = read(make_scene(make(tmp_path)), grid, warp=warp)
    u = warp.displacement_px(grid)
    x, y = grid.pixel_centres()
    dx = (raster.data[0] - (x[None, :] - X0)) / 3 - u[1]
    dy = (raster.data[1] - (y[:, None] - Y0)) / 3 + u[0]
    assert np.hypot(dx, dy)[raster.valid].max() < 1.5 * STEP_PX
    assert raster.valid.mean() > 0.9


def test_blocks_give_what_the_whole_gives(tmp_path):
    rng = np.random.default_rng(2)
    lon, lat = transform_points(UTM, "EPSG:4326", np.array([X0 - 100]), np.array([Y0 + 100]))
    values = rng.uniform(1, 100, (2, 300, 300)).astype(np.float32)
    values[:, 60:64, 80:90] = np.nan
    path = write_raster(
        tmp_path / "a.tif", values, "EPSG:4326", Affine(1.3e-5, 0, float(lon[0]), 0, -9e-6, float(lat[0]))
    )
    grid = grid_at(shape=(90, 100))
    whole = read(make_scene(path), grid, warp=smooth_warp(grid))
    assert 0.3 < whole.clear_fraction < 1
    for rows, cols in grid.blocks(37):
        part = read(make_scene(path), grid.crop(rows, cols), warp=smooth_warp(grid))
        np.testing.assert_array_equal(part.quality, whole.quality[rows, cols])
        np.testing.assert_array_equal(part.data[:, part.valid], whole.data[:, rows, cols][:, part.valid])


@pytest.mark.parametrize("gsd_m", [1.0, 0.9, 0.37])
@pytest.mark.parametrize("warped", [False, True])
def test_blocks_of_an_averaged_file_give_what_the_whole_gives(tmp_path, gsd_m, warped):
    rng = np.random.default_rng(4)
    side = round(330 / gsd_m)
    values = rng.uniform(1, 100, (1, side, side)).astype(np.float32)
    values[:, side // 3, side // 4 : side // 2] = np.nan
    scene = make_scene(
        write_raster(tmp_path / "a.tif", values, UTM, Affine(gsd_m, 0, X0 - 17.3, 0, -gsd_m, Y0 + 15.9)), ("pan",)
    )
    grid = grid_at(shape=(90, 95))
    warp = smooth_warp(grid) if warped else None
    whole = read(scene, grid, warp=warp)
    assert whole.clear_fraction > 0.9
    for rows, cols in grid.blocks(41):
        part = read(scene, grid.crop(rows, cols), warp=warp)
        np.testing.assert_array_equal(part.quality, whole.quality[rows, cols])
        np.testing.assert_array_equal(part.data[:, part.valid], whole.data[:, rows, cols][:, part.valid])


def test_gcp_only_file(tmp_path):
    transform = Affine.translation(X0 - 60, Y0 + 250) @ Affine.rotation(-20) @ Affine.scale(3, -3)
    coordinate_image(tmp_path / "a.tif", (200, 200), transform)
    with rasterio.open(tmp_path / "a.tif") as src:
        data = src.read()
    corners = [(0, 0), (0, 200), (200, 0), (200, 200), (100, 100)]
    gcps = [GroundControlPoint(r, c, *(transform @ (c, r)), 0.0) for r, c in corners]
    path = str(tmp_path / "gcp.tif")
    with rasterio.open(
        path, "w", driver="GTiff", count=2, height=200, width=200, dtype="float32", gcps=gcps, crs=UTM
    ) as dst:
        dst.write(data)
    assert misplaced_px(read(make_scene(path), grid_at())) < 2 * STEP_PX


def test_nodata_does_not_bleed(tmp_path):
    values = np.full((40, 40), 500, np.uint16)
    values[20, 20] = 0
    path = write_raster(tmp_path / "a.tif", values, UTM, Affine(3, 0, X0, 0, -3, Y0), nodata=0)
    raster = read(make_scene(path, ("red",)), grid_at(10 * 3 + 1, -10 * 3 - 1, shape=(20, 20)))
    np.testing.assert_allclose(raster.data[0][raster.valid], 500, rtol=1e-6)
    bad = ~raster.valid
    assert 9 <= bad.sum() <= 16
    assert (raster.quality[bad] & Quality.NODATA).any()
    assert np.all(raster.data[0][(raster.quality & Quality.NODATA) != 0] == 0)
    near = (raster.quality & Quality.EDGE) != 0
    np.testing.assert_allclose(raster.data[0][near], 500, rtol=1e-5)


def test_a_pixel_on_a_pixel_loses_no_neighbour(tmp_path):
    values = np.full((20, 20), 7, np.uint8)
    values[5, 6] = 0
    path = write_raster(tmp_path / "a.tif", values, UTM, Affine(3, 0, X0, 0, -3, Y0), nodata=0)
    raster = read(make_scene(path, ("red",), unit="display"), grid_at(shape=(20, 20)))
    assert np.argwhere(~raster.valid).tolist() == [[5, 6]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite_is_nodata(tmp_path, bad):
    values = np.ones((20, 20), np.float32)
    values[5, 6] = bad
    path = write_raster(tmp_path / "a.tif", values, UTM, Affine(3, 0, X0, 0, -3, Y0))
    raster = read(make_scene(path, ("red",)), grid_at(shape=(20, 20)))
    assert np.argwhere(~raster.valid).tolist() == [[5, 6]]
    assert np.isfinite(raster.data).all()


def test_alpha_is_validity(tmp_path):
    values = np.full((4, 20, 20), 200, np.uint8)
    values[3, :, :5] = 0
    path = write_raster(tmp_path / "a.tif", values, UTM, Affine(3, 0, X0, 0, -3, Y0), photometric="RGB", alpha="yes")
    raster = read(make_scene(path, ("red", "green", "blue"), unit="display"), grid_at(shape=(20, 20)))
    assert (~raster.valid).sum() == 100
    assert not raster.valid[:, :5].any()


def test_dark_near_infrared_marked_as_alpha_hides_nothing(tmp_path):
    values = np.full((4, 20, 20), 200, np.uint8)
    values[3, :, :5] = 0
    colours = ("red", "green", "blue", "nir")
    path = write_raster(tmp_path / "a.tif", values, UTM, Affine(3, 0, X0, 0, -3, Y0), photometric="RGB", alpha="yes")
    raster = read(make_scene(path, colours, unit="display"), grid_at(shape=(20, 20)))
    assert raster.valid.all()
    assert not raster.band("nir")[:, :4].any()
    with rasterio.open(path, "r+") as dst:
        dst.descriptions = colours
    assert read(make_scene(path, colours[:3], unit="display"), grid_at(shape=(20, 20))).valid.all()


def test_internal_mask_is_validity(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(
        path, "w", driver="GTiff", count=1, height=20, width=20, dtype="uint8", crs=UTM,
        transform=Affine(3, 0, X0, 0, -3, Y0),
    ) as dst:  # fmt: skip
        dst.write(np.full((1, 20, 20), 9, np.uint8))
        mask = np.full((20, 20), 255, np.uint8)
        mask[2, 3] = 0
        dst.write_mask(mask)
    raster = read(make_scene(str(path), ("red",)), grid_at(shape=(20, 20)))
    assert np.argwhere(~raster.valid).tolist() == [[2, 3]]


def test_scale_and_offset_make_values(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.full((20, 20), 3000, np.uint16), UTM, Affine(3, 0, X0, 0, -3, Y0))
    raster = read(make_scene(path, ("red",), "reflectance", scale=1e-4, offset=-0.1), grid_at(shape=(20, 20)))
    np.testing.assert_allclose(raster.data, 0.2, rtol=1e-6)


def test_black_is_a_colour_in_display_images(tmp_path):
    values = np.full((3, 20, 20), 90, np.uint8)
    values[0, 4, 4] = 0
    values[:, 8, 8] = 0
    path = write_raster(tmp_path / "a.tif", values, UTM, Affine(3, 0, X0, 0, -3, Y0), nodata=0)
    bands = ("red", "green", "blue")
    assert np.argwhere(~read(make_scene(path, bands, "display"), grid_at(shape=(20, 20))).valid).tolist() == [[8, 8]]
    assert (~read(make_scene(path, bands, "dn"), grid_at(shape=(20, 20))).valid).sum() == 2
    red_alone = read(make_scene(path, bands, "display"), grid_at(shape=(20, 20)), ["red"])
    assert np.argwhere(~red_alone.valid).tolist() == [[8, 8]], "whichever bands are asked for"


def test_tiles_join_without_seam(tmp_path):
    whole = coordinate_image(tmp_path / "w.tif", (140, 150), FILE)
    left = coordinate_image(tmp_path / "l.tif", (140, 70), FILE)
    right = coordinate_image(tmp_path / "r.tif", (140, 85), FILE @ Affine.translation(65, 0))
    grid = grid_at(1.3, 0.7)
    one, two = read(make_scene(whole), grid), read(make_scene((left, right)), grid)
    np.testing.assert_array_equal(one.data, two.data)
    np.testing.assert_array_equal(one.quality, two.quality)


def test_tiles_of_different_lattices_join(tmp_path):
    left = coordinate_image(tmp_path / "l.tif", (140, 70), FILE)
    other = coordinate_image(tmp_path / "r.tif", (140, 95), FILE @ Affine.translation(55.4, 0.3))
    raster = read(make_scene((left, other)), grid_at(1.3, 0.7))
    assert raster.valid.all()
    assert misplaced_px(raster) < 2 * STEP_PX


def test_bands_of_different_resolution(tmp_path):
    fine = coordinate_image(tmp_path / "f.tif", (140, 150), FILE)
    coarse = coordinate_image(tmp_path / "c.tif", (70, 75), FILE @ Affine.scale(2))
    scene = make_scene(fine)
    scene = Scene("s", scene.acquired, (Asset("x", (fine,), 1), Asset("y", (coarse,), 2)), 3.0, scene.footprint)
    assert misplaced_px(read(scene, grid_at())) < 2 * 2 * STEP_PX


def test_a_scene_elsewhere_is_all_invalid(tmp_path):
    scene = make_scene(coordinate_image(tmp_path / "a.tif", (40, 50), FILE))
    raster = read(scene, grid_at(50_000, 0))
    assert raster.clear_fraction == 0
    assert np.all(raster.quality == Quality.NODATA)


def test_large_grids_are_read_in_windows(tmp_path):
    path = coordinate_image(tmp_path / "a.tif", (900, 800), Affine(1, 0, X0 - 9, 0, -1, Y0 + 9))
    grid = grid_at(gsd_m=2.0, shape=(400, 380))
    small, big = (read(make_scene(path), grid, params=ReadParams(window_px=n)) for n in (65536, 1 << 24))
    np.testing.assert_array_equal(small.quality, big.quality)
    np.testing.assert_array_equal(small.data, big.data)


def test_users_mask(tmp_path):
    path = coordinate_image(tmp_path / "a.tif", (140, 150), FILE)
    mask = np.zeros((140, 150), np.uint8)
    mask[50, 60] = 1
    mask_path = write_raster(tmp_path / "m.tif", mask, UTM, FILE)
    raster = read(make_scene(path, masks=(MaskSource(mask_path),)), grid_at())
    assert np.argwhere((raster.quality & Quality.MASKED) != 0).tolist() == [[20, 30]]
    assert (~raster.valid).sum() > 1, "the kernel's reach around a mask is EDGE"
    assert misplaced_px(raster) < 1e-6


def test_mask_moves_with_the_warp(tmp_path):
    path = coordinate_image(tmp_path / "a.tif", (140, 150), FILE)
    mask = np.zeros((140, 150), np.uint8)
    mask[50, 60] = 1
    mask_path = write_raster(tmp_path / "m.tif", mask, UTM, FILE)
    grid = grid_at()
    knots = np.ones((2, 4, 4)) * np.array([4.0, -5.0])[:, None, None]
    warp = Warp("ok", grid=grid, coefficients=tuple(tuple(tuple(r) for r in k) for k in knots.tolist()))
    raster = read(make_scene(path, masks=(MaskSource(mask_path),)), grid, warp=warp)
    assert np.argwhere((raster.quality & Quality.MASKED) != 0).tolist() == [[16, 35]]


def test_a_missing_band_is_refused(tmp_path):
    scene = make_scene(coordinate_image(tmp_path / "a.tif", (40, 50), FILE))
    with pytest.raises(DataError, match="scene lacks a band"):
        read(scene, grid_at(), ["nir"])


def test_bands_come_in_the_order_asked(tmp_path):
    scene = make_scene(coordinate_image(tmp_path / "a.tif", (140, 150), FILE))
    both, swapped = read(scene, grid_at()), read(scene, grid_at(), ["y", "x"])
    np.testing.assert_array_equal(both.data, swapped.data[::-1])
    assert swapped.bands == ("y", "x")


def test_a_geographic_file_across_the_antimeridian(tmp_path):
    utm, x0, y0 = "EPSG:32660", 736_000.0, 5_000_000.0
    path = write_raster(
        tmp_path / "a.tif", np.ones((1, 900, 900), np.uint8), "EPSG:4326", Affine(2e-4, 0, 179.9, 0, -2e-4, 45.2)
    )
    grid = Grid(utm, Affine(100, 0, x0 - 3000, 0, -100, y0 + 3000), (50, 60))
    lon, _ = transform_points(utm, "EPSG:4326", *grid.pixel_centres()[:1], np.full(60, y0))
    assert lon.min() < -179, "the grid reaches over"
    assert lon.max() > 179
    assert read(make_scene(path, ("red",)), grid).valid.all()


def test_threads_read_the_same(tmp_path):
    path = coordinate_image(tmp_path / "a.tif", (140, 150), FILE)
    scene = make_scene(path)
    with ThreadPoolExecutor(4) as pool:
        rasters = list(pool.map(lambda _: read(scene, grid_at(1, 2)), range(12)))
    for raster in rasters[1:]:
        np.testing.assert_array_equal(raster.data, rasters[0].data)

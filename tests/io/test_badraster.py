"""Odd and broken files: each reads, or is refused in one sentence that names it; GDAL itself says nothing."""

import hashlib
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasters import UTM, X0, Y0, grid_at, make_scene, write_raster

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.errors import ChangeDetectError, DataError
from changedetect.io.files import hash_file, read_header
from changedetect.io.find import find_scenes
from changedetect.io.place import transform_points
from changedetect.io.read import read

REAL = Path(os.environ.get("CHANGEDETECT_REAL", Path(__file__).parents[2] / "../shared/real"))
ODD = sorted((REAL / "rasterio-tests").glob("*")) if REAL.is_dir() else []
WHEN = "2024-09-12T02:20:00Z"
PLACE = Affine(3, 0, X0, 0, -3, Y0)

real = pytest.mark.real
needs_real = pytest.mark.skipif(not ODD, reason="no real imagery beside the checkout (../shared/real)")


def grid_over(scene, side=64):
    """Return a small UTM grid over the middle of a scene at its own resolution."""
    lon, lat = scene.footprint.centroid.coords[0]
    utm = f"EPSG:{32600 + int((lon + 180) // 6) + 1}"
    x, y = transform_points("EPSG:4326", utm, np.array([lon]), np.array([lat]))
    half = side / 2 * scene.gsd_m
    return Grid.from_bounds(utm, (x[0] - half, y[0] - half, x[0] + half, y[0] + half), scene.gsd_m)


def find_and_read(path, side=64, **keys):
    (scene,) = find_scenes([{"path": str(path), "datetime": WHEN, **keys}], path.parent)
    return read(scene, grid_over(scene, side))


@real
@needs_real
@pytest.mark.parametrize("path", ODD, ids=lambda path: path.name)
def test_every_odd_file_reads_or_is_refused_in_one_sentence(path, capfd, caplog):
    caplog.set_level(logging.ERROR)
    refusal = None
    try:
        raster = find_and_read(path)
    except ChangeDetectError as err:
        refusal = err
    if refusal is None:
        assert np.isfinite(raster.data).all()
    else:
        assert path.name in str(refusal)
        assert "\n" not in str(refusal)
        assert refusal.exit_code == 3
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert not caplog.records


REFUSED = {
    "README.md": "cannot be read as a raster",
    "RGB.byte.tif.aux.xml": "cannot be read as a raster",
    "corrupt.tif": "cannot be read as a raster",
    "float_nan.tif": "has no reference system; try: add `crs:",
    "rotated.tif": "has no reference system; try: add `crs:",
}


@real
@needs_real
@pytest.mark.parametrize("path", ODD, ids=lambda path: path.name)
def test_which_odd_files_are_refused_and_why(path):
    if path.name in REFUSED:
        with pytest.raises(DataError, match=REFUSED[path.name]):
            find_and_read(path)
    else:
        clear = find_and_read(path).clear_fraction
        assert clear == 0 if path.name in ("all-nodata.tif", "test_esri_wkt.tif") else clear > 0


@real
@needs_real
def test_a_rotated_file_with_a_crs_is_read():
    assert find_and_read(REAL / "rasterio-tests/rotated.tif", crs="EPSG:32652").clear_fraction > 0


@real
@needs_real
def test_gcps_and_rpc_of_one_place_agree():
    # The same picture, placed once by four corners and once by its RPC.
    rasters = []
    for name in ("RGB.byte.gcp.vrt", "RGB.byte.rpc.vrt"):
        (scene,) = find_scenes([{"path": str(REAL / "rasterio-tests" / name), "datetime": WHEN}], REAL)
        rasters.append(scene.footprint)
    overlap = rasters[0].intersection(rasters[1]).area / rasters[0].union(rasters[1]).area
    assert overlap > 0.9


def refused(path, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        find_and_read(path)
    text = str(caught.value)
    assert path.name in text
    assert "\n" not in text
    assert caught.value.exit_code == 3


def test_missing_empty_and_text_files(tmp_path, capfd):
    refused(tmp_path / "none.tif", "no such file")
    (tmp_path / "empty.tif").write_bytes(b"")
    refused(tmp_path / "empty.tif", "the file is empty")
    (tmp_path / "text.tif").write_text("I am not a picture\n" * 100)
    refused(tmp_path / "text.tif", "cannot be read as a raster")
    (tmp_path / "half.tif").write_bytes(b"II*\0" + b"\xff" * 300)
    refused(tmp_path / "half.tif", "cannot be read as a raster")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("profile", [{}, {"compress": "deflate"}, {"compress": "lzw", "tiled": True}])
def test_truncated_files(tmp_path, keep, profile, capfd):
    values = np.random.default_rng(0).integers(1, 4000, (2, 300, 300)).astype(np.uint16)
    path = tmp_path / "cut.tif"
    write_raster(path, values, UTM, PLACE, **profile)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(DataError, match=r"cut\.tif: cannot be read as a raster") as caught:
        find_and_read(path, 300)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_no_place_and_no_crs_say_what_to_add(tmp_path):
    values = np.ones((3, 30, 30), np.uint8)
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write_raster(tmp_path / "screenshot.tif", values, None, Affine.identity())
    refused(tmp_path / "screenshot.tif", r"has no place on the map: .*; try: add a world file")
    write_raster(tmp_path / "nocrs.tif", values, None, PLACE)
    refused(tmp_path / "nocrs.tif", "has no reference system; try: add `crs: EPSG:...` to the scene")
    assert find_and_read(tmp_path / "nocrs.tif", crs=UTM).clear_fraction > 0
    refused_crs = [{"path": "nocrs.tif", "datetime": WHEN, "crs": "EPSG:99999"}]
    with pytest.raises(DataError, match="reference system not understood; found EPSG:99999"):
        find_scenes(refused_crs, tmp_path)


def test_a_world_file_is_a_place(tmp_path):
    import cv2

    assert cv2.imwrite(str(tmp_path / "shot.png"), np.full((40, 40, 3), 90, np.uint8))
    (tmp_path / "shot.pgw").write_text(f"3\n0\n0\n-3\n{X0 + 1.5}\n{Y0 - 1.5}\n")
    raster = find_and_read(tmp_path / "shot.png", crs=UTM)
    assert raster.clear_fraction > 0


def test_a_prj_beside_a_file_is_its_reference(tmp_path):
    write_raster(tmp_path / "a.tif", np.ones((3, 30, 30), np.uint8), None, PLACE)
    (tmp_path / "a.prj").write_text(rasterio.crs.CRS.from_string(UTM).to_wkt())
    assert find_and_read(tmp_path / "a.tif").clear_fraction > 0
    (tmp_path / "a.prj").write_text("nonsense")
    os.utime(tmp_path / "a.tif")
    refused(tmp_path / "a.tif", "has no reference system")


def test_control_points_that_cannot_be_used(tmp_path):
    gcps = [rasterio.control.GroundControlPoint(row, 0, X0, Y0, 0) for row in (0, 10)]
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=30, height=30, count=1, dtype="uint8", gcps=gcps, crs=UTM
    ) as dst:
        dst.write(np.ones((1, 30, 30), np.uint8))
    refused(tmp_path / "a.tif", "control points or RPC cannot be used|no sensible size|nowhere on Earth")


def test_a_palette_is_refused(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.ones((1, 30, 30), np.uint8), UTM, PLACE, photometric="PALETTE")
    with rasterio.open(path, "r+") as dst:
        dst.write_colormap(1, {1: (255, 0, 0, 255)})
    refused(tmp_path / "a.tif", "colours are kept in a palette; try: gdal_translate -expand rgb")


def test_local_and_degenerate_references_are_refused(tmp_path):
    values = np.ones((1, 30, 30), np.uint8)
    local = 'LOCAL_CS["site",UNIT["metre",1]]'
    write_raster(tmp_path / "local.tif", values, rasterio.crs.CRS.from_wkt(local), PLACE)
    refused(tmp_path / "local.tif", "reference system")
    write_raster(tmp_path / "flat.tif", values, UTM, Affine(3, 0, X0, 0, 0, Y0))
    refused(tmp_path / "flat.tif", "geotransform is degenerate")
    write_raster(tmp_path / "lost.tif", values, "EPSG:4326", Affine(1e-5, 0, 10, 0, -1e-5, 5000))
    refused(tmp_path / "lost.tif", "leads nowhere on Earth|no sensible size")


def test_complex_pixels_are_refused(tmp_path):
    write_raster(tmp_path / "slc.tif", np.ones((1, 30, 30), np.complex64), UTM, PLACE)
    refused(tmp_path / "slc.tif", "complex pixels are not supported")


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_any_pixel_type(tmp_path, dtype):
    values = np.full((1, 30, 30), 100, dtype)
    values[0, 3, 4] = 7
    write_raster(tmp_path / "a.tif", values, UTM, PLACE, nodata=7)
    (scene,) = find_scenes([{"path": "a.tif", "datetime": WHEN}], tmp_path)
    raster = read(scene, grid_at(shape=(30, 30)))
    assert np.argwhere(~raster.valid).tolist() == [[3, 4]]
    assert np.all(raster.data[0][raster.valid] == 100)


@pytest.mark.parametrize("nodata", [np.nan, -9999.0, 70000.0])
def test_a_nodata_number_the_type_cannot_hold_is_no_nodata(tmp_path, nodata):
    path = write_raster(tmp_path / "a.tif", np.full((1, 30, 30), 100, np.uint16), UTM, PLACE)
    raster = read(make_scene(path, ("red",), nodata=nodata), grid_at(shape=(30, 30)))
    assert raster.valid.all()


@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf, -3.4e38])
def test_all_nodata_is_all_invalid(tmp_path, fill):
    path = write_raster(tmp_path / "a.tif", np.full((1, 30, 30), fill, np.float32), UTM, PLACE, nodata=-3.4e38)
    raster = read(make_scene(path, ("red",)), grid_at(1, 1, shape=(30, 30)))
    assert raster.clear_fraction == 0
    assert not raster.data.any()
    assert np.all(raster.quality & Quality.NODATA)


def test_huge_numbers_do_not_spoil_their_neighbours_or_warn(tmp_path):
    values = np.ones((1, 30, 30), np.float64)
    values[0, 10, 10] = 1e300
    path = write_raster(tmp_path / "a.tif", values, UTM, PLACE)
    raster = read(make_scene(path, ("red",)), grid_at(1, -1, shape=(25, 25)))
    assert np.isfinite(raster.data).all()
    np.testing.assert_allclose(raster.data[0][raster.valid], 1, rtol=1e-6)


def test_a_file_that_disappears_between_finding_and_reading(tmp_path):
    path = Path(write_raster(tmp_path / "a.tif", np.ones((1, 30, 30), np.uint8), UTM, PLACE))
    (scene,) = find_scenes([{"path": "a.tif", "datetime": WHEN}], tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"a\.tif: no such file"):
        read(scene, grid_at())


@pytest.mark.parametrize("name", ["x" * 3000, "a\0b.tif", "GTIFF_DIR:1:a.tif", "/vsimem/none.tif", "../../etc"])
def test_paths_that_cannot_be(tmp_path, name):
    for block in (
        [{"path": name, "datetime": WHEN}],
        [{"assets": {"red": name + "#1"}, "datetime": WHEN}],
        {"files": name},
    ):
        with pytest.raises(DataError) as caught:
            find_scenes(block, tmp_path)
        assert len(str(caught.value)) < 500


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(DataError, match="is neither a file nor a folder"):
        read_header(str(tmp_path / "a.tif"))


def test_a_vrt_fetches_nothing(tmp_path):
    source = "<SimpleSource><SourceFilename>/vsicurl/http://127.0.0.1:9/x.tif</SourceFilename></SimpleSource>"
    (tmp_path / "a.vrt").write_text(
        f'<VRTDataset rasterXSize="60" rasterYSize="60"><SRS>{UTM}</SRS><GeoTransform>{X0},3,0,{Y0},0,-3</GeoTransform>'
        f'<VRTRasterBand dataType="Byte" band="1">{source}</VRTRasterBand></VRTDataset>'
    )
    with pytest.raises(DataError, match=r"a\.vrt: cannot be read as a raster") as caught:
        find_and_read(tmp_path / "a.vrt")
    assert "connect" not in str(caught.value).lower()


@pytest.mark.parametrize(("a", "e", "x", "y"), [(3, 3, 0, -180), (-3, -3, 180, 0), (-3, 3, 180, -180)])
def test_files_that_run_the_other_way(tmp_path, a, e, x, y):
    transform = Affine(a, 0, X0 + x, 0, e, Y0 + y)
    rows, cols = np.mgrid[:60, :60] + 0.5
    values = np.stack([a * cols + x, e * rows + y]).astype(np.float32)
    path = write_raster(tmp_path / "a.tif", values, UTM, transform)
    raster = read(make_scene(path), grid_at(31, -31, shape=(30, 30)))
    east, north = raster.grid.pixel_centres()
    assert raster.valid.all()
    assert np.abs(raster.data[0] - (east[None, :] - X0)).max() < 0.1
    assert np.abs(raster.data[1] - (north[:, None] - Y0)).max() < 0.1


def test_a_folder_is_no_raster(tmp_path):
    with pytest.raises(DataError, match="cannot be read as a raster"):
        read_header(str(tmp_path))


def test_hashes(tmp_path):
    data = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(data)
    assert hash_file(tmp_path / "a") == hashlib.sha256(data).hexdigest()
    with pytest.raises(DataError, match="cannot be read"):
        hash_file(tmp_path / "none")

import os
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasters import UTM, X0, Y0, grid_at, make_scene, write_raster

from changedetect.core.quality import Quality
from changedetect.errors import DataError
from changedetect.io.decibel import average_looks, power_or_db, to_decibel
from changedetect.io.find import find_scenes
from changedetect.io.read import ReadParams, read

REAL = Path(os.environ.get("CHANGEDETECT_REAL", Path(__file__).parents[2] / "../shared/real")).resolve()
PLACE = Affine(3, 0, X0, 0, -3, Y0)


def numbers(tmp_path, low, high, nodata=None, hole=None):
    data = np.linspace(low, high, 60 * 70, dtype=np.float32).reshape(1, 60, 70)
    if hole is not None:
        data[0, :20] = hole
    return write_raster(tmp_path / "a.tif", data, UTM, PLACE, nodata=nodata)


@pytest.mark.parametrize(
    ("low", "high", "nodata", "hole", "unit"),
    [
        (1e-4, 0.9, None, None, "sigma0"),
        (1e-4, 0.9, -32768, -32768, "sigma0"),
        (1e-4, 0.9, None, np.nan, "sigma0"),
        (1e-4, 0.9, None, 0.0, "sigma0"),
        (-28, 6, None, None, "db"),
        (-28, 6, 0, 0, "db"),
        (-28, 6, None, np.nan, "db"),
    ],
)
def test_power_and_decibel_are_told_by_their_numbers(tmp_path, low, high, nodata, hole, unit):
    assert power_or_db(numbers(tmp_path, low, high, nodata, hole)) == unit


@pytest.mark.parametrize(("low", "high"), [(10, 3000), (-5000, 3000)])
def test_what_is_neither_is_refused(tmp_path, low, high):
    with pytest.raises(DataError, match="neither linear power nor decibel; found 1 % below"):
        power_or_db(numbers(tmp_path, low, high))


def test_an_empty_file_tells_nothing(tmp_path):
    with pytest.raises(DataError, match="no valid number tells whether it is power or decibel"):
        power_or_db(write_raster(tmp_path / "a.tif", np.zeros((1, 8, 8), np.float32), UTM, PLACE))


def test_decibel_of_each_unit():
    data = np.array([[[1.0, 10.0, 0.0]]], np.float32)
    assert to_decibel(data, "sigma0")[0, 0] == pytest.approx([0.0, 10.0, -70.0])
    assert to_decibel(data, "amplitude")[0, 0] == pytest.approx([0.0, 20.0, -70.0])
    assert to_decibel(data, "db") is data


def test_looks_are_averaged_over_what_is_valid():
    data = np.array([[[0, 3, 6], [9, 90, 12], [15, 18, 21]]], np.float32)
    valid = np.ones((3, 3), bool)
    valid[1, 1] = False
    assert average_looks(data, valid, 3)[0, 1, 1] == pytest.approx(10.5)
    assert average_looks(data, valid, 3)[0, 0, 0] == pytest.approx(4)
    assert average_looks(data, valid, 1) is data


@pytest.mark.parametrize(("unit", "value"), [("sigma0", 0.1), ("amplitude", 0.1**0.5), ("db", -10.0)])
def test_every_kind_of_radar_is_read_as_decibel(tmp_path, unit, value):
    data = np.full((1, 60, 70), value, np.float32)
    data[0, :, :20] = -99
    scene = make_scene(write_raster(tmp_path / "a.tif", data, UTM, PLACE, nodata=-99), ("vv",), unit)
    raster = read(scene, grid_at())
    assert raster.unit == "db"
    assert raster.data[0][:, 25:65] == pytest.approx(-10.0, abs=1e-4)
    assert (raster.quality[:, :20] & Quality.NODATA).all()
    assert not raster.data[0][:, :20].any()


def test_blocks_of_a_grid_are_read_as_the_whole(tmp_path):
    data = np.random.default_rng(1).gamma(4.4, 0.02, (1, 60, 70)).astype(np.float32)
    scene = make_scene(write_raster(tmp_path / "a.tif", data, UTM, PLACE), ("vv",), "sigma0")
    whole = read(scene, grid_at())
    part = read(scene, grid_at().crop(slice(10, 40), slice(20, 60)))
    np.testing.assert_allclose(part.data, whole.data[:, 10:40, 20:60], atol=1e-4)
    single = read(scene, grid_at(), params=ReadParams(radar_looks_px=1)).data
    assert single[0, 5:55, 5:65] == pytest.approx(10 * np.log10(data[0, 5:55, 5:65]), abs=0.01)
    assert whole.data.std() < 0.5 * single.std()


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="no real imagery beside the checkout (../shared/real)")
def test_a_real_scene_in_decibel():
    path = next((REAL / "sen1floods11-sample").rglob("*_S1Hand.tif"))
    entry = {"path": str(path), "datetime": "2019-09-17", "sensor": "sentinel-1-rtc", "bands": ["vv", "vh"]}
    (scene,) = find_scenes([entry], REAL)
    assert (scene.unit, scene.bands) == ("db", ("vv", "vh"))

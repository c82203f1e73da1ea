import time

import pytest

from changedetect.errors import ConfigError
from changedetect.io.sensors import UNITS, load_sensors


def write(tmp_path, text):
    path = tmp_path / "sensors.yaml"
    path.write_text(text)
    return path


GOOD = "sensors: {a: {unit: dn, bands: [red]}}\nmasks: {m: {rules: [{bit: 1, quality: cloud}]}}\n"


def test_the_shipped_table_loads():
    table = load_sensors()
    assert {"sentinel-2-l2a", "planetscope-8b", "naip", "landsat-tm"} <= set(table.sensors)
    assert {"nonzero", "scl", "udm2", "qa_pixel"} <= set(table.masks)
    assert all(sensor.unit in UNITS for sensor in table.sensors.values())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD.replace("unit", "unity"), "sensors.a.unit"),
        (GOOD.replace("dn", "metres"), "sensors.a.unit"),
        (GOOD.replace("red", "Red Band"), "sensors.a.bands.0"),
        (GOOD.replace("bit: 1", "bit: 99"), "masks.m.rules.0.bit"),
        (GOOD.replace("bit: 1,", ""), "exactly one of values, bit, other_than"),
        (GOOD.replace("bands: [red]", "names: ['(']"), "not a regular expression"),
        (GOOD.replace("bands: [red]", "mask_files: {X: nosuch}"), "no such mask kind"),
        ("[", "is not YAML"),
        ("3", "valid dictionary"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_sensors(write(tmp_path, text))


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_sensors(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("name", "sensor", "stamp"),
    [
        ("S2A_MSIL2A_20230714T105031_N0509_R051_T31UDQ_20230714T150000/x", "sentinel-2-l2a", "20230714T105031"),
        ("S2A_31UDQ_20230714_0_L2A/B02.tif", "sentinel-2-l2a", "20230714"),
        ("T31UDQ_20170829T105019_B04_10m.jp2", "sentinel-2-l2a", "20170829T105019"),
        ("T31UDQ_20170829T105019_B04.tif", "sentinel-2-l1c", "20170829T105019"),
        ("20220605_124027_64_242b_3B_AnalyticMS_SR_8b_harmonized_clip.tif", "planetscope-8b", "20220605_124027"),
        ("20220605_124027_1010_3B_AnalyticMS_SR.tif", "planetscope-4b", "20220605_124027"),
        ("20220605_124027_1010_3B_AnalyticMS.tif", "planetscope-4b-radiance", "20220605_124027"),
        ("20190101_101010_ssc12_u0001_analytic.tif", "skysat", "20190101_101010"),
        ("LC09_L2SP_113030_20241005_20241006_02_T1_SR_B4.TIF", "landsat-c2-l2-oli", "20241005"),
        ("LE07_L2SP_113030_20011005_20241006_02_T1_SR_B4.TIF", "landsat-c2-l2-tm", "20011005"),
        ("L71119038_03820000317_MTL.txt", "landsat-tm", "20000317"),
        ("m_4709963_se_14_060_20200831_20201101.tif", "naip", "20200831"),
        ("2024-10-05/10300100ABCDEF01-visual.tif", "maxar-visual", "2024-10-05"),
    ],
)
def test_products_are_recognised_by_name(name, sensor, stamp):
    found, match = load_sensors().named_in(name)[0]
    assert (found, match["date"]) == (sensor, stamp)


@pytest.mark.parametrize("name", ["port.tif", "tile_337-10160.tif", "ortho_b.tif", "S2Hand.tif"])
def test_other_names_are_no_product(name):
    assert load_sensors().named_in(name) == []


def test_name_patterns_take_no_time():
    table = load_sensors()
    start = time.perf_counter()
    for text in ("S2A_MSIL2A_" * 40, "20220605_124027_" * 40, "_" * 400, "a1" * 200, "0" * 400):
        table.named_in(text)
    assert time.perf_counter() - start < 1


def test_no_sensor_is_named_with_what_there_is():
    with pytest.raises(ConfigError, match="no such sensor; found sentinel; needed one of sentinel-2-l2a"):
        load_sensors().sensor("sentinel")

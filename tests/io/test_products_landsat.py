"""Landsat Collection 2 Level 2: names, MTL groups and keys as in the real LC08_L2SP_008059_20191201 of
stactools-packages/landsat (scale 2.75e-05, offset -0.2, QA_PIXEL bits by the same)."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from delivered import pixels, text
from rasters import UTM, X0, Y0

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.errors import DataError
from changedetect.io.find import find_scenes
from changedetect.io.read import read

REAL = Path(os.environ.get("CHANGEDETECT_REAL", Path(__file__).parents[2] / "../shared/real")).resolve()
NAME = "LC08_L2SP_114029_20240901_20240907_02_T1"
GROUPS = {
    "PRODUCT_CONTENTS": {"LANDSAT_PRODUCT_ID": NAME, "PROCESSING_LEVEL": "L2SP"},
    "IMAGE_ATTRIBUTES": {"WRS_PATH": "114", "DATE_ACQUIRED": "2024-09-01", "SCENE_CENTER_TIME": "02:13:51.8610990Z",
                         "SUN_AZIMUTH": "149.31696044", "SUN_ELEVATION": "51.08727307"},
    "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": {f"REFLECTANCE_{what}_BAND_{i}": value for i in range(1, 8)
                                              for what, value in (("MULT", "2.75e-05"), ("ADD", "-0.2"))},
    "LEVEL1_RADIOMETRIC_RESCALING": {f"REFLECTANCE_{what}_BAND_{i}": value for i in range(1, 8)
                                     for what, value in (("MULT", "2.0000E-05"), ("ADD", "-0.100000"))},
}  # fmt: skip


def mtl(form):
    if form == "txt":
        lines = ["GROUP = LANDSAT_METADATA_FILE"]
        for group, pairs in GROUPS.items():
            lines += [f"  GROUP = {group}", *(f'    {k} = "{v}"' for k, v in pairs.items()), f"  END_GROUP = {group}"]
        return "\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE", "END"])
    if form == "json":
        return json.dumps({"LANDSAT_METADATA_FILE": GROUPS})
    inner = "".join(f"<{g}>{''.join(f'<{k}>{v}</{k}>' for k, v in p.items())}</{g}>" for g, p in GROUPS.items())
    return f"<?xml version='1.0' encoding='UTF-8'?><LANDSAT_METADATA_FILE>{inner}</LANDSAT_METADATA_FILE>"


def product(base, form="txt", codes=("SR_B2", "SR_B4", "SR_B5", "ST_B10", "QA_PIXEL", "QA_RADSAT")):
    for code in codes:
        pixels(base / f"{NAME}_{code}.TIF", 1, 0b1000 if code == "QA_PIXEL" else 9000, 30, (40, 40), nodata=0)
    text(base / f"{NAME}_MTL.{form}", mtl(form))
    text(base / f"{NAME}_thumb_small.jpeg", "x")
    return base


@pytest.mark.parametrize("form", ["txt", "xml", "json"])
def test_all_three_forms_of_its_metadata_say_the_same(tmp_path, form):
    product(tmp_path, form)
    for files in (".", "*.TIF", f"{NAME}_MTL.{form}"):
        (scene,) = find_scenes({"files": files}, tmp_path)
        assert (scene.id, scene.sensor, scene.bands) == (NAME, "landsat-c2-l2-oli", ("blue", "red", "nir"))
        assert scene.acquired == datetime(2024, 9, 1, 2, 13, 51, tzinfo=UTC)
        assert {(asset.scale, asset.offset) for asset in scene.assets} == {(2.75e-5, -0.2)}, "not those of Level 1"
        assert (scene.unit, scene.relative_orbit, scene.gsd_m) == ("reflectance", 114, 30)
        assert (scene.sun_azimuth_deg, scene.sun_elevation_deg) == (149.31696044, 51.08727307)
    grid = Grid.from_bounds(UTM, (X0 + 60, Y0 - 1140, X0 + 1140, Y0 - 60), 30.0)
    raster = read(scene, grid, ["nir"])
    assert raster.data == pytest.approx(0.0475, abs=1e-6)
    assert (raster.quality & Quality.CLOUD).all(), "bit 3 of QA_PIXEL"


def test_metadata_that_cannot_be_read_are_an_error(tmp_path):
    product(tmp_path)
    text(tmp_path / f"{NAME}_MTL.txt", "x")
    with pytest.raises(DataError, match="the Landsat metadata cannot be read; needed DATE_ACQUIRED"):
        find_scenes({"files": "."}, tmp_path)


def test_a_product_without_surface_reflectance_is_an_error(tmp_path):
    product(tmp_path, codes=("ST_B10", "QA_PIXEL"))
    with pytest.raises(DataError, match=r"Landsat product holds no band that is read; needed .*_SR_B4\.TIF"):
        find_scenes({"files": "."}, tmp_path)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="no real imagery beside the checkout (../shared/real)")
def test_a_real_product():
    (scene,) = find_scenes({"files": "landsat-c2-stactools/assets3"}, REAL)
    assert (scene.id, scene.bands) == ("LC08_L2SP_008059_20191201_20200825_02_T1",
                                       ("blue", "green", "red", "nir", "swir16"))  # fmt: skip
    assert scene.acquired == datetime(2019, 12, 1, 15, 13, 51, tzinfo=UTC)
    assert (scene.sun_elevation_deg, scene.relative_orbit) == (57.08727307, 8)
    assert scene.footprint.bounds == pytest.approx((-76.1, 0.39, -74.0, 2.49), abs=0.1)

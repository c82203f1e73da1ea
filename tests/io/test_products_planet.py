"""PlanetScope and SkySat: names by sertit/eoreader and public descriptions of orders, band orders and UDM2 by
docs.planet.com (PSScene), XML elements as in the real 20170831_172754_101c_3B_AnalyticMS_metadata.xml and properties as
in the JSON of real items (stactools-packages/planet, Pabna-SuperDove); `ground_control: false` means not aligned:
support.planet.com 360016420313. SkySat's reflectance_coefficients in TIFFTAG_IMAGEDESCRIPTION: general knowledge.
"""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from delivered import pixels, text
from rasters import UTM, X0, Y0

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.errors import DataError
from changedetect.io.find import find_scenes
from changedetect.io.read import read

ID = "20240901_022030_64_242b"
FACTORS = (1.8e-05, 1.9e-05, 2.1e-05, 3.2e-05)


def metadata_xml(factors=FACTORS):
    bands = "".join(
        f"<ps:bandSpecificMetadata><ps:bandNumber>{i + 1}</ps:bandNumber><ps:radiometricScaleFactor>0.01"
        f"</ps:radiometricScaleFactor><ps:reflectanceCoefficient>{factor}</ps:reflectanceCoefficient></ps:bandSpecificMetadata>"
        for i, factor in enumerate(factors)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ps:EarthObservation xmlns:ps="http://schemas.planet.com/ps/v1/planet_product_metadata_geocorrected_level"
 xmlns:eop="http://earth.esa.int/eop" xmlns:opt="http://earth.esa.int/opt"><ps:Acquisition>
 <eop:orbitDirection>DESCENDING</eop:orbitDirection><eop:incidenceAngle uom="deg">4.9</eop:incidenceAngle>
 <opt:illuminationAzimuthAngle uom="deg">145.42</opt:illuminationAzimuthAngle>
 <opt:illuminationElevationAngle uom="deg">51.12</opt:illuminationElevationAngle>
 <ps:azimuthAngle uom="deg">98.5</ps:azimuthAngle><ps:spaceCraftViewAngle uom="deg">4.5</ps:spaceCraftViewAngle>
 <ps:acquisitionDateTime>2024-09-01T02:20:30+00:00</ps:acquisitionDateTime></ps:Acquisition>{bands}</ps:EarthObservation>"""


def order(folder, suffixes, properties=None, xml=None):
    for suffix in suffixes:
        count, dtype = (3, "uint8") if "Visual" in suffix else (8 if "_8b" in suffix else 4, "uint16")
        pixels(folder / f"{ID}_3B_{suffix}.tif", count, 30 if count == 3 else 3000, 3.0, dtype=dtype)
    if properties is not None:
        plain = {"id": ID, "type": "Feature", "properties": properties}
        text(folder / f"{ID}_metadata.json", json.dumps(plain))
    if xml is not None:
        text(folder / f"{ID}_3B_AnalyticMS_metadata_clip.xml", xml)
    return folder


def one(base, files="."):
    (scene,) = find_scenes({"files": files}, base)
    return scene


PROPERTIES = {"acquired": "2024-09-01T02:20:30.530000Z", "ground_control": True, "quality_category": "standard",
              "sun_elevation": 51.0, "sun_azimuth": 145.0, "view_angle": 4.4, "satellite_azimuth": 98.0}  # fmt: skip


@pytest.mark.parametrize(
    "suffix", ["AnalyticMS_SR_8b", "AnalyticMS_SR_8b_harmonized_clip", "AnalyticMS_SR", "AnalyticMS_SR_clip"]
)
def test_surface_reflectance_in_four_and_eight_bands(tmp_path, suffix):
    order(tmp_path / "PSScene", [suffix, "Visual"], PROPERTIES)
    scene = one(tmp_path)
    eight = ("coastal", "blue", "green1", "green", "yellow", "red", "rededge", "nir")
    assert scene.bands == (eight if "8b" in suffix else ("blue", "green", "red", "nir"))
    assert {(asset.scale, asset.offset, scene.unit) for asset in scene.assets} == {(1e-4, 0.0, "reflectance")}
    assert scene.acquired == datetime(2024, 9, 1, 2, 20, 30, tzinfo=UTC)
    assert (scene.sun_elevation_deg, scene.view_azimuth_deg, scene.off_nadir_deg) == (51.0, 98.0, 4.4)
    assert scene.is_placed
    assert scene.cautions == ()


def test_the_best_of_several_images_is_read(tmp_path):
    names = ["Visual", "AnalyticMS", "AnalyticMS_SR", "AnalyticMS_SR_harmonized"]
    order(tmp_path, names, PROPERTIES, metadata_xml())
    assert one(tmp_path).id == f"{ID}_3B_AnalyticMS_SR_harmonized"
    assert one(tmp_path, f"{ID}_3B_AnalyticMS_SR.tif").id == f"{ID}_3B_AnalyticMS_SR", "unless one is named"
    visual = one(tmp_path, "*Visual.tif")
    assert (visual.unit, visual.sensor, visual.bands) == ("display", "planetscope-visual", ("red", "green", "blue"))


def test_harmonised_numbers_are_not_mixed_silently(tmp_path, caplog):
    order(tmp_path / "a", ["AnalyticMS_SR_harmonized"], PROPERTIES)
    order(tmp_path / "b", ["AnalyticMS_SR"], PROPERTIES | {"acquired": "2024-09-09T02:20:30Z"})
    find_scenes({"files": "."}, tmp_path)
    assert "harmonised to Sentinel-2 are mixed with such as are not" in caplog.text


def test_an_image_of_ones_own_beside_a_product_is_itself(tmp_path):
    order(tmp_path, ["AnalyticMS_SR"], PROPERTIES)
    pixels(tmp_path / f"{ID}_index.tif", 1, 7, 3.0)
    assert one(tmp_path, f"{ID}_index.tif").bands == ("pan",)
    (scene,) = find_scenes([{"path": f"{ID}_index.tif", "datetime": "2024-09-01T00:00:00Z"}], tmp_path)
    assert scene.paths == (str(tmp_path / f"{ID}_index.tif"),)
    assert one(tmp_path).bands == ("blue", "green", "red", "nir"), "by its folder it is the product"


def test_radiance_becomes_reflectance_by_its_coefficients(tmp_path):
    order(tmp_path, ["AnalyticMS_clip"], None, metadata_xml())
    scene = one(tmp_path)
    assert (scene.sensor, scene.unit) == ("planetscope-4b-radiance", "reflectance")
    assert [asset.scale for asset in scene.assets] == list(FACTORS)
    assert (scene.sun_azimuth_deg, scene.off_nadir_deg, scene.orbit_state) == (145.42, 4.5, "descending")


def test_radiance_without_coefficients_stays_radiance(tmp_path):
    order(tmp_path, ["AnalyticMS"], PROPERTIES)
    scene = one(tmp_path)
    assert (scene.unit, scene.assets[0].scale) == ("radiance", 0.01)
    order(tmp_path, [], None, metadata_xml(FACTORS[:3]))
    with pytest.raises(DataError, match="its reflectance coefficients do not fit its bands; found 3; needed 4"):
        one(tmp_path)


def test_both_masks(tmp_path):
    order(tmp_path, ["AnalyticMS_SR"], PROPERTIES)
    grid = Grid.from_bounds(UTM, (X0, Y0 - 36, X0 + 42, Y0), 3.0)
    pixels(tmp_path / f"{ID}_3B_AnalyticMS_DN_udm.tif", 1, 0b10, 3.0, dtype="uint8")
    assert [mask.kind for mask in one(tmp_path).masks] == ["udm"]
    assert (read(one(tmp_path), grid, ["red"]).quality & Quality.CLOUD).all()
    udm2 = np.zeros((8, 12, 14), np.uint8)
    udm2[0], udm2[4, :, :3] = 1, 1
    pixels(tmp_path / f"{ID}_3B_udm2.tif", 8, udm2, 3.0, dtype="uint8")
    assert [mask.kind for mask in one(tmp_path).masks] == ["udm2"], "the newer one"
    quality = read(one(tmp_path), grid, ["red"]).quality
    assert (quality[:, :3] & Quality.HAZE).all()
    assert not (quality[:, 6:] & Quality.HAZE).any()


def test_without_ground_control_nothing_ties_it_to_the_ground(tmp_path):
    order(tmp_path, ["AnalyticMS_SR"], PROPERTIES | {"ground_control": False, "quality_category": "test"})
    scene = one(tmp_path)
    assert not scene.is_placed
    assert any("no ground control" in caution for caution in scene.cautions)
    assert any("`test`" in caution for caution in scene.cautions)


def skysat(folder, kind, count=4, dtype="uint16", **tags):
    path = folder / f"20240901_022030_ssc12_u0001_{kind}.tif"
    pixels(path, count, 100, 0.5, dtype=dtype)
    if tags:
        with rasterio.open(path, "r+") as dst:
            dst.update_tags(**tags)
    properties = {
        "acquired": "2024-09-01T02:20:30.5Z",
        "ground_control": True,
        "view_angle": 12.3,
        "pixel_resolution": 0.5,
    }
    text(folder / "20240901_022030_ssc12_u0001_metadata.json", json.dumps({"properties": properties}))


def test_skysat_in_every_form(tmp_path):
    skysat(tmp_path / "sr", "analytic_sr")
    scene = one(tmp_path, "sr")
    assert (scene.bands, scene.unit, scene.assets[0].scale) == (("blue", "green", "red", "nir"), "reflectance", 1e-4)
    assert (scene.sensor, scene.off_nadir_deg, scene.gsd_m) == ("skysat", 12.3, 0.5)
    skysat(tmp_path / "radiance", "analytic")
    assert (one(tmp_path, "radiance").unit, one(tmp_path, "radiance").assets[0].scale) == ("radiance", 0.01)
    tag = json.dumps({"properties": {"reflectance_coefficients": list(FACTORS)}})
    skysat(tmp_path / "toa", "analytic", TIFFTAG_IMAGEDESCRIPTION=tag)
    assert [asset.scale for asset in one(tmp_path, "toa").assets] == list(FACTORS)
    skysat(tmp_path / "visual", "visual", 3, "uint8")
    assert one(tmp_path, "visual").unit == "display"
    skysat(tmp_path / "pan", "panchromatic", 1)
    assert one(tmp_path, "pan").bands == ("pan",)
    pixels(tmp_path / "sr" / "20240901_022030_ssc12_u0001_udm2.tif", 8, 0, 0.5, dtype="uint8")
    assert [mask.kind for mask in one(tmp_path, "sr").masks] == ["udm2"]

"""STAC items with files beside them. Asset keys, raster:bands, eo:bands and properties as in real items of Element 84's
earth-search (sentinel-2-l2a, c1) and of the Planetary Computer (odc-stac's test data); that earth-search subtracts the
offset, says so in earthsearch:boa_offset_applied, may keep raster:bands offset -0.1, and is wrong on many items:
Element84/earth-search README and issues 9, 66, 71, cirrus-earth-search 33. Landsat: stactools-packages/landsat.
"""

import json
from datetime import UTC, datetime

import pytest
from delivered import pixels

from changedetect.errors import DataError
from changedetect.io.find import find_scenes

ID = "S2B_52TFP_20240901_0_L2A"
KEYS = {"blue": ("B02", 10), "red": ("B04", 10), "nir": ("B08", 10), "nir08": ("B8A", 20)}


def item(folder, assets, name=ID, **properties):
    folder.mkdir(parents=True, exist_ok=True)
    plain = {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [], "id": name, "links": [], "geometry": None,
        "properties": {"datetime": "2024-09-01T02:20:30.500000Z", **properties}, "assets": assets,
    }  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(plain))
    return folder


def asset(name, offset=None, scale=0.0001, **fields):
    raster = {} if offset is None else {"raster:bands": [{"nodata": 0, "scale": scale, "offset": offset}]}
    return {"href": f"./{name}", "roles": ["data", "reflectance"], **raster, **fields}


def earth_search(folder, value=1400, offset=-0.1, **properties):
    """Make an item as earth-search gives it, COG file names and all; the JPEG 2000 originals stay in the cloud."""
    folder = folder / ID
    assets = {key: asset(f"{code}.tif", offset) for key, (code, _) in KEYS.items()}
    assets |= {f"{key}-jp2": {"href": f"s3://sentinel-s2-l2a/x/{code}.jp2"} for key, (code, _) in KEYS.items()}
    assets |= {"scl": {"href": "SCL.tif", "roles": ["data"]}, "visual": {"href": "TCI.tif", "roles": ["visual"]},
               "thumbnail": {"href": "thumbnail.jpg", "roles": ["thumbnail"]}, "aot": asset("AOT.tif", 0)}  # fmt: skip
    for code, gsd_m in KEYS.values():
        pixels(folder / f"{code}.tif", 1, value, gsd_m, (60, 60))
    pixels(folder / "SCL.tif", 1, 4, 20, (30, 30), "uint8")
    pixels(folder / "TCI.tif", 3, 9, 10, (60, 60), "uint8")
    pixels(folder / "AOT.tif", 1, 100, 20, (30, 30))
    return item(folder, assets, **{"s2:processing_baseline": "05.11", "view:sun_elevation": 41.5,
                "view:sun_azimuth": 160.0, "sat:relative_orbit": 3, **properties})  # fmt: skip


def one(base, **options):
    (scene,) = find_scenes({"files": "."}, base, **options)
    return scene


def test_bands_mask_angles_and_orbit_by_the_item(tmp_path):
    earth_search(tmp_path, 400, **{"earthsearch:boa_offset_applied": True})
    scene = one(tmp_path)
    assert (scene.id, scene.sensor, scene.unit) == (ID, "sentinel-2-l2a", "reflectance")
    assert scene.bands == ("blue", "red", "nir", "nir08")
    assert scene.acquired == datetime(2024, 9, 1, 2, 20, 30, tzinfo=UTC)
    assert [mask.kind for mask in scene.masks] == ["scl"]
    assert (scene.sun_elevation_deg, scene.sun_azimuth_deg, scene.relative_orbit) == (41.5, 160.0, 3)
    assert {(asset.scale, asset.offset) for asset in scene.assets} == {(1e-4, 0.0)}, "raster:bands is not believed"


@pytest.mark.parametrize(
    ("darkest", "properties", "offset", "warning"),
    [
        (400, {"earthsearch:boa_offset_applied": True}, 0.0, None),
        (1400, {"earthsearch:boa_offset_applied": False}, -0.1, None),
        (1400, {}, -0.1, None),
        (
            400,
            {"earthsearch:boa_offset_applied": False},
            0.0,
            "still in the numbers, yet the darkest are 400; taken as",
        ),
        (1400, {"earthsearch:boa_offset_applied": True}, 0.0, "taken off, yet the darkest numbers are 1400; believed"),
    ],
)
def test_metadata_are_checked_against_the_darkest_pixels(tmp_path, darkest, properties, offset, warning):
    earth_search(tmp_path, darkest, **properties)
    scene = one(tmp_path)
    assert scene.assets[0].offset == offset
    assert [warning in caution for caution in scene.cautions] == ([True] if warning else [])
    assert one(tmp_path, s2_offset="applied").assets[0].offset == 0.0
    assert one(tmp_path, s2_offset="raw").assets[0].offset == -0.1
    assert one(tmp_path, s2_offset="raw").cautions == (), "who overrules is not warned"


@pytest.mark.parametrize(("baseline", "offset"), [("03.01", 0.0), ("05.11", -0.1)])
def test_planetary_computer_says_the_baseline_alone(tmp_path, baseline, offset):
    name = "S2B_MSIL2A_20240901T022030_R003_T52TFP_20240901T060000"
    for code in ("B02", "B04", "SCL"):
        pixels(tmp_path / name / f"T52TFP_20240901T022030_{code}_10m.tif", 1, 1400, shape=(60, 60))
    assets = {code: {"href": f"T52TFP_20240901T022030_{code}_10m.tif"} for code in ("B02", "B04", "SCL")}
    item(tmp_path / name, assets, name, **{"s2:processing_baseline": baseline})
    scene = one(tmp_path)
    assert (scene.sensor, scene.bands, [mask.kind for mask in scene.masks]) == (
        "sentinel-2-l2a",
        ("blue", "red"),
        ["scl"],
    )
    assert {asset.offset for asset in scene.assets} == {offset}


def test_landsat_of_a_catalogue_has_the_names_of_a_delivery(tmp_path):
    name = "LC09_L2SP_114029_20240901_02_T1"
    for code in ("SR_B4", "SR_B5", "QA_PIXEL"):
        pixels(tmp_path / f"{name}_{code}.TIF", 1, 9000, 30)
    common = {"SR_B4": "red", "SR_B5": "nir08"}
    assets = {
        key: asset(f"{name}_{code}.TIF", -0.2, 2.75e-5, **{"eo:bands": [{"name": code, "common_name": key}]})
        for code, key in common.items()
    }
    item(tmp_path, assets | {"qa_pixel": {"href": f"{name}_QA_PIXEL.TIF"}}, name)
    scene = one(tmp_path)
    assert (scene.sensor, scene.bands) == ("landsat-c2-l2-oli", ("red", "nir"))
    assert {(asset.scale, asset.offset) for asset in scene.assets} == {(2.75e-5, -0.2)}
    assert [mask.kind for mask in scene.masks] == ["qa_pixel"]


def test_a_picture_is_a_picture(tmp_path):
    pixels(tmp_path / "a" / "TCI.tif", 3, 9, dtype="uint8", photometric="RGB")
    item(tmp_path / "a", {"visual": {"href": "TCI.tif", "roles": ["visual"]}}, "a")
    scene = one(tmp_path)
    assert (scene.unit, scene.bands) == ("display", ("red", "green", "blue"))


def test_files_that_lie_elsewhere_in_the_tree_are_one_scene(tmp_path):
    pixels(tmp_path / "data" / "x.tif", 4, 9)
    names = ("blue", "green", "red", "nir")
    bands = [{"name": f"B{i}", "eo:common_name": name} for i, name in enumerate(names)]
    item(tmp_path / "items", {"bands": {"href": "../data/x.tif", "bands": bands}}, "x")
    scene = one(tmp_path)
    assert (scene.id, scene.bands, [asset.index for asset in scene.assets]) == ("x", names, [1, 2, 3, 4])


def test_what_an_item_does_not_say_is_not_guessed(tmp_path):
    for name in ("one.tif", "two.tif"):
        pixels(tmp_path / name, 1, 9)
    item(tmp_path, {"one": {"href": "one.tif"}, "two": {"href": "two.tif"}}, "x")
    with pytest.raises(DataError, match="does not say which file holds which band; found one, two"):
        one(tmp_path)

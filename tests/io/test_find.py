import json
from datetime import UTC, date, datetime

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasters import UTM, X0, Y0, write_raster

from changedetect.errors import ConfigError, DataError, NotYetError
from changedetect.io.find import find_scenes

PLACE = Affine(3, 0, X0, 0, -3, Y0)
WHEN = "2024-09-12T02:20:00Z"


def image(path, count=4, dtype="uint16", descriptions=None, tags=None, transform=PLACE, crs=UTM, value=1, **profile):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_raster(path, np.full((count, 12, 14), value, dtype), crs, transform, **profile)
    if descriptions or tags:
        with rasterio.open(path, "r+") as dst:
            dst.update_tags(**(tags or {}))
            if descriptions:
                dst.descriptions = descriptions
    return path


def one(block, base):
    (scene,) = find_scenes(block, base)
    return scene


def test_a_listed_scene(tmp_path):
    image(tmp_path / "a.tif")
    image(tmp_path / "m.tif", 1, "uint8")
    entry = {
        "path": "a.tif", "datetime": WHEN, "mask": "m.tif", "sensor": "planetscope-4b", "sun_azimuth_deg": 163,
        "sun_elevation_deg": 39.0, "off_nadir_deg": 4, "view_azimuth_deg": 100.5, "id": "first",
    }  # fmt: skip
    scene = one([entry], tmp_path)
    assert (scene.id, scene.sensor, scene.unit) == ("first", "planetscope-4b", "reflectance")
    assert scene.acquired == datetime(2024, 9, 12, 2, 20, tzinfo=UTC)
    assert scene.bands == ("blue", "green", "red", "nir")
    assert {(asset.scale, asset.offset, asset.nodata) for asset in scene.assets} == {(1e-4, 0.0, 0.0)}
    assert [(mask.path, mask.kind) for mask in scene.masks] == [(str(tmp_path / "m.tif"), "nonzero")]
    assert (scene.sun_azimuth_deg, scene.sun_elevation_deg, scene.off_nadir_deg) == (163, 39, 4)
    assert scene.gsd_m == 3
    assert scene.footprint.area > 0
    assert not scene.simulated
    assert set(scene.paths) == {str(tmp_path / "a.tif"), str(tmp_path / "m.tif")}


def test_assets_one_file_per_band(tmp_path):
    image(tmp_path / "x_B04.tif", 1)
    image(tmp_path / "rgb.tif", 3, "uint16")
    scene = one([{"assets": {"red": "x_B04.tif", "blue": "rgb.tif#3"}, "datetime": WHEN}], tmp_path)
    assert [(a.band, a.paths, a.index) for a in scene.assets] == [
        ("red", (str(tmp_path / "x_B04.tif"),), 1),
        ("blue", (str(tmp_path / "rgb.tif"),), 3),
    ]
    with pytest.raises(ConfigError, match="asset blue asks for a band the file lacks; found 4; needed 1 to 3"):
        find_scenes([{"assets": {"blue": "rgb.tif#4"}, "datetime": WHEN}], tmp_path)


def test_band_files_name_their_scene_by_what_they_share(tmp_path):
    for code in ("B02", "B04"):
        image(tmp_path / f"T52TFP_20240901_{code}.tif", 1)
        image(tmp_path / f"{code}.tif", 1)
    entry = {"assets": {"blue": "T52TFP_20240901_B02.tif", "red": "T52TFP_20240901_B04.tif"}, "datetime": WHEN}
    assert one([entry], tmp_path).id == "T52TFP_20240901"
    assert one([{"assets": {"blue": "B02.tif", "red": "B04.tif"}, "datetime": WHEN}], tmp_path).id == "B02"


def test_a_stack_of_a_known_product_keeps_its_scale(tmp_path, caplog):
    image(tmp_path / "S2A_MSIL2A_20210901T022000_N0301_R003_T52TFP_20210901T060000_stack.tif", 4)
    scene = one({"files": "*.tif"}, tmp_path)
    assert (scene.sensor, scene.unit, scene.assets[0].scale) == ("sentinel-2-l2a", "reflectance", 1e-4)
    assert "nothing says which band is which" in caplog.text


def test_tiles_are_one_scene(tmp_path):
    image(tmp_path / "a.tif")
    image(tmp_path / "b.tif", transform=PLACE @ Affine.translation(14, 0))
    scene = one([{"path": ["a.tif", "b.tif"], "datetime": WHEN}], tmp_path)
    assert all(len(asset.paths) == 2 for asset in scene.assets)
    single = one([{"path": "a.tif", "datetime": WHEN}], tmp_path)
    assert scene.footprint.area == pytest.approx(2 * single.footprint.area, rel=1e-2)


def test_tiles_with_other_bands_are_refused(tmp_path):
    image(tmp_path / "a.tif")
    image(tmp_path / "b.tif", 3)
    with pytest.raises(DataError, match=r"b\.tif: the tiles of a mosaic have different bands"):
        find_scenes([{"path": ["a.tif", "b.tif"], "datetime": WHEN}], tmp_path)


def test_overrides_win(tmp_path):
    image(tmp_path / "a.tif", 3, crs=None)
    entry = {"path": "a.tif", "datetime": date(2024, 9, 1), "crs": 32652, "bands": ["nir", "red", "pan"],
             "scale": 0.5, "offset": 3, "nodata": 9}  # fmt: skip
    scene = one([entry], tmp_path)
    assert scene.bands == ("nir", "red", "pan")
    assert {(asset.scale, asset.offset, asset.nodata) for asset in scene.assets} == {(0.5, 3.0, 9.0)}
    assert scene.crs == "EPSG:32652"


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"pth": "a.tif"}, r"scenes\[0\]: unknown key; found pth; needed one of id, path, assets"),
        ({"datetime": WHEN}, "a scene needs either `path` or `assets`"),
        ({"path": "a.tif", "assets": {"red": "a.tif"}}, "a scene needs either `path` or `assets`"),
        ({"path": 3}, r"scenes\[0\]: path: .*found 3"),
        ({"path": []}, r"scenes\[0\]: path"),
        ({"path": "a.tif", "sun_elevation_deg": 120}, "sun_elevation_deg: Input should be less"),
        ({"path": "a.tif", "sensor": "sputnik"}, "no such sensor; found sputnik; needed one of sentinel-2-l2a"),
        ({"path": "a.tif", "sensor": "planetscope-8b"}, "does not have the bands of sensor planetscope-8b; found 4"),
        ({"path": "a.tif", "bands": ["red"]}, "`bands` does not fit the file; found 4 bands; needed 1"),
        ({"path": "a.tif", "bands": ["red", "red", "nir", "pan"]}, "`bands` names each band of `path` once"),
        ({"path": "a.tif", "datetime": "2024-09-12T02:20:00"}, "datetime has no time zone.*add Z"),
        ({"path": "a.tif", "mask": {"path": "a.tif", "kind": "clouds"}}, "no such mask kind; found clouds"),
        ("a.tif", "a scene is a mapping of keys; found str"),
        (None, "a scene is a mapping of keys"),
    ],
)
def test_wrong_entries_are_refused(tmp_path, entry, sentence):
    image(tmp_path / "a.tif")
    if isinstance(entry, dict) and "datetime" not in entry and "path" in entry:
        entry = {**entry, "datetime": WHEN}
    with pytest.raises(ConfigError, match=sentence) as caught:
        find_scenes([entry], tmp_path)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("block", "kind", "sentence"),
    [
        ([], DataError, "no scene is listed"),
        ({}, ConfigError, "does not say where scenes are"),
        ("a.tif", ConfigError, "does not say where scenes are"),
        ({"files": "a.tif", "datetime": 3}, ConfigError, "unknown key; found datetime; needed one of files, crs"),
        ({"files": 3}, ConfigError, "is not a file, folder or glob"),
        ({"files": "none/*.tif"}, DataError, r"no image files found; found nothing like none/\*.tif"),
        ([{"path": "https://example.org/a.tif", "datetime": WHEN}], NotYetError, "on the network is not read yet"),
    ],
)
def test_wrong_blocks_are_refused(tmp_path, block, kind, sentence):
    with pytest.raises(kind, match=sentence):
        find_scenes(block, tmp_path)


@pytest.mark.parametrize(("mark", "folder"), [("MTD_MSIL2A.xml", "GRANULE/L2A/IMG_DATA"), ("DIM_PHR1A.XML", ".")])
def test_broken_metadata_of_a_product_are_an_error_not_a_guess(tmp_path, mark, folder):
    image(tmp_path / "product" / folder / "a_20240101.tif")
    (tmp_path / "product" / mark).write_text("x")
    for block in ([{"path": "product", "datetime": WHEN}], {"files": "product"}):
        with pytest.raises(DataError, match=r"metadata cannot be read as XML; try: deliver it again") as caught:
            find_scenes(block, tmp_path)
        assert caught.value.exit_code == 3


def test_a_folder_as_path_says_what_to_write(tmp_path):
    image(tmp_path / "folder" / "a.tif")
    with pytest.raises(ConfigError, match=r"no product that is known; needed .*SAFE.*try: scenes: \{files: <folder>\}"):
        find_scenes([{"path": "folder", "datetime": WHEN}], tmp_path)


def test_an_archive_is_to_be_unpacked(tmp_path):
    (tmp_path / "S2A_MSIL2A_x.zip").write_text("x")
    for block in ([{"path": "S2A_MSIL2A_x.zip", "datetime": WHEN}], {"files": "S2A_MSIL2A_x.zip"}):
        with pytest.raises(DataError, match="is an archive; try: unpack it and give the folder"):
            find_scenes(block, tmp_path)


def test_scenes_are_sorted_and_ids_unique(tmp_path):
    for folder in ("a", "b", "c"):
        image(tmp_path / folder / "x.tif")
    scenes = find_scenes(
        [
            {"path": "a/x.tif", "datetime": "2024-10-02T00:00:00Z"},
            {"path": "b/x.tif", "datetime": "2024-10-01T00:00:00Z"},
            {"path": "c/x.tif", "datetime": "2024-10-01T00:00:00Z"},
        ],
        tmp_path,
    )
    assert [scene.acquired.day for scene in scenes] == [1, 1, 2]
    assert [scene.id for scene in scenes] == ["x", "x_2", "x_3"]


def test_the_same_scene_twice_is_refused(tmp_path):
    image(tmp_path / "a.tif")
    entries = [{"path": "a.tif", "datetime": WHEN, "id": name} for name in ("one", "two")]
    with pytest.raises(DataError, match="one and two: the same files are listed twice for one time"):
        find_scenes(entries, tmp_path)


def test_band_files_come_together(tmp_path):
    folder = tmp_path / "imagery"
    for stamp in ("20240901T022000", "20241001T022000"):
        for code in ("B02", "B03", "B04", "B08", "TCI"):
            image(folder / f"T52TFP_{stamp}_{code}.tif", 1)
    for files in ("imagery", "imagery/*.tif", "imagery/**/*.tif", ["imagery/*0901*.tif", "imagery/*1001*.tif"]):
        scenes = find_scenes({"files": files}, tmp_path)
        assert [scene.id for scene in scenes] == ["T52TFP_20240901T022000", "T52TFP_20241001T022000"]
        assert scenes[0].bands == ("blue", "green", "red", "nir")
        assert scenes[0].sensor == "sentinel-2-l1c"
        assert scenes[0].acquired == datetime(2024, 9, 1, 2, 20, tzinfo=UTC)


def test_three_resolutions_are_one_scene(tmp_path):
    product = tmp_path / "S2A_MSIL2A_20240901T022000_N0511_R003_T52TFP_20240901T060000"
    for gsd_m, codes in ((10, ("B02", "B04", "TCI")), (20, ("B02", "B8A", "SCL")), (60, ("B01", "B04", "SCL"))):
        for code in codes:
            path = product / f"R{gsd_m}m" / f"T52TFP_20240901T022000_{code}_{gsd_m}m.tif"
            image(path, 1, transform=Affine(gsd_m, 0, X0, 0, -gsd_m, Y0))
    scene = one({"files": "**/*.tif"}, tmp_path)
    assert scene.bands == ("coastal", "blue", "red", "nir08")
    assert [asset.paths[0][-7:] for asset in scene.assets] == ["60m.tif", "10m.tif", "10m.tif", "20m.tif"]
    assert [(mask.kind, mask.path[-7:]) for mask in scene.masks] == [("scl", "20m.tif")]
    assert scene.gsd_m == 10


def test_brackets_in_folder_names_are_plain(tmp_path):
    base = tmp_path / "scans [2024]"
    image(base / "a_20240901.tif")
    for files in ("*.tif", str(base), "a_20240901.tif", "."):
        assert len(find_scenes({"files": files}, base)) == 1


def test_planet_files_find_their_mask_and_not_the_picture(tmp_path):
    stem = "20240901_022000_64_242b_3B"
    image(tmp_path / f"{stem}_AnalyticMS_SR_8b.tif", 8)
    image(tmp_path / f"{stem}_udm2.tif", 8, "uint8")
    image(tmp_path / f"{stem}_Visual.tif", 3, "uint8")
    scene = one({"files": "*.tif"}, tmp_path)
    assert scene.sensor == "planetscope-8b"
    assert scene.bands[5] == "red"
    assert [mask.kind for mask in scene.masks] == ["udm2"]


def test_a_mask_beside_an_image(tmp_path):
    image(tmp_path / "rason_20240901.tif")
    image(tmp_path / "rason_20240901_mask.tif", 1, "uint8")
    image(tmp_path / "rason_20241001.tif")
    scenes = find_scenes({"files": str(tmp_path)}, tmp_path)
    assert [len(scene.masks) for scene in scenes] == [1, 0]


def test_product_name_of_a_mask_tells_its_kind(tmp_path):
    image(tmp_path / "a.tif")
    image(tmp_path / "T52TFP_20240901T022000_SCL_20m.tif", 1, "uint8")
    entry = {
        "path": "a.tif",
        "datetime": WHEN,
        "sensor": "planetscope-4b",
        "mask": "T52TFP_20240901T022000_SCL_20m.tif",
    }
    assert (
        one([{**entry, "sensor": "sentinel-2-l2a", "bands": ["blue", "green", "red", "nir"]}], tmp_path).masks[0].kind
        == "scl"
    )
    entry["mask"] = {"path": entry["mask"], "kind": "nonzero"}
    assert one([entry], tmp_path).masks[0].kind == "nonzero"


def test_band_names_from_descriptions_colours_and_guess(tmp_path, caplog):
    image(tmp_path / "a.tif", 4, descriptions=("NIR", "Red", "green", "Blue"))
    image(tmp_path / "b.tif", 4, "uint8", photometric="RGB", alpha="yes")
    image(
        tmp_path / "c.tif",
        13,
        descriptions=("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12"),
    )
    assert one([{"path": "a.tif", "datetime": WHEN}], tmp_path).bands == ("nir", "red", "green", "blue")
    scene = one([{"path": "b.tif", "datetime": WHEN}], tmp_path)
    assert (scene.bands, scene.unit) == (("red", "green", "blue"), "display")
    scene = one([{"path": "c.tif", "datetime": WHEN}], tmp_path)
    assert (scene.sensor, scene.bands[7:9], scene.unit) == ("sentinel-2-l1c", ("nir", "nir08"), "reflectance")
    assert "which band is which" not in caplog.text
    image(tmp_path / "d.tif", 4)
    scene = one([{"path": "d.tif", "datetime": WHEN}], tmp_path)
    assert (scene.bands, scene.unit) == (("blue", "green", "red", "nir"), "dn")
    assert "nothing says which band is which; taken as blue, green, red, nir" in caplog.text


def test_near_infrared_that_gdal_marks_as_alpha_is_read(tmp_path):
    image(tmp_path / "a.tif", 4, "uint8", ("red", "green", "blue", "nir"), photometric="RGB", alpha="yes")
    image(tmp_path / "b.tif", 4, "uint8", photometric="RGB", alpha="yes")
    named = ["red", "green", "blue", "nir"]
    assert one([{"path": "a.tif", "datetime": WHEN}], tmp_path).bands == tuple(named)
    assert one([{"path": "b.tif", "datetime": WHEN, "bands": named}], tmp_path).bands == tuple(named)
    assert one([{"path": "b.tif", "datetime": WHEN, "bands": named[:3]}], tmp_path).bands == tuple(named[:3])


def test_scale_and_offset_from_tags(tmp_path):
    path = image(tmp_path / "a.tif", 1)
    with rasterio.open(path, "r+") as dst:
        dst.scales, dst.offsets = (2e-4,), (-0.05,)
    scene = one([{"path": "a.tif", "datetime": WHEN}], tmp_path)
    assert (scene.assets[0].scale, scene.assets[0].offset, scene.unit) == (2e-4, -0.05, "reflectance")


@pytest.mark.parametrize(("baseline", "offset"), [("N0301", 0.0), ("N0400", -0.1), ("N0510", -0.1)])
def test_sentinel_baseline_in_the_product_name(tmp_path, baseline, offset):
    product = f"S2A_MSIL2A_20240901T022000_{baseline}_R003_T52TFP_20240901T060000"
    image(tmp_path / product / "T52TFP_20240901T022000_B04_10m.tif", 1, value=1400)
    scene = one({"files": "**/*.tif"}, tmp_path)
    assert scene.assets[0].offset == pytest.approx(offset)


def item(path, assets=("B04.tif",), **properties):
    plain = {"type": "Feature", "properties": properties, "assets": {name: {"href": f"./{name}"} for name in assets}}
    path.write_text(json.dumps(plain))


@pytest.mark.parametrize(("applied", "offset"), [(True, 0.0), (False, -0.1)])
def test_sentinel_baseline_in_a_stac_item(tmp_path, applied, offset):
    folder = tmp_path / "S2B_52TFP_20240901_0_L2A"
    image(folder / "B04.tif", 1, value=1400)
    item(folder / "item.json", **{"datetime": "2024-09-01T02:20:30.5Z", "s2:processing_baseline": "05.11",
         "earthsearch:boa_offset_applied": applied, "view:sun_elevation": 41.5})  # fmt: skip
    scene = one({"files": "**/*.tif"}, tmp_path)
    assert scene.assets[0].offset == pytest.approx(offset)
    assert scene.acquired == datetime(2024, 9, 1, 2, 20, 30, tzinfo=UTC)
    assert scene.sun_elevation_deg == 41.5


def test_an_unknown_baseline_is_said(tmp_path):
    image(tmp_path / "T52TFP_20240901T022000_B04_10m.tif", 1)
    scene = one({"files": "*.tif"}, tmp_path)
    assert scene.assets[0].offset == 0
    assert "processing baseline unknown" in scene.cautions[0]


def dated(tmp_path, name, tags=None):
    image(tmp_path / name, tags=tags, descriptions=("blue", "green", "red", "nir"))
    return one({"files": name}, tmp_path).acquired


def test_dates_come_from_the_best_source(tmp_path, caplog):
    written = {"TIFFTAG_DATETIME": "2024:09:20 11:12:13"}
    assert dated(tmp_path, "a_20240901.tif", written) == datetime(2024, 9, 1, tzinfo=UTC), "name before time of writing"
    assert dated(tmp_path, "b.tif", written) == datetime(2024, 9, 20, 11, 12, 13, tzinfo=UTC)
    tagged = {"ACQUISITIONDATETIME": "2024-08-30T01:02:03Z"}
    assert dated(tmp_path, "c_20240901.tif", tagged) == datetime(2024, 8, 30, 1, 2, 3, tzinfo=UTC)
    assert dated(tmp_path, "d_2024.tif", written) == datetime(2024, 9, 20, 11, 12, 13, tzinfo=UTC)
    assert not caplog.records
    assert dated(tmp_path, "e_2024.tif") == datetime(2024, 1, 1, tzinfo=UTC)
    assert "only the year is known" in caplog.text
    (tmp_path / "f_20240901.IMD").write_text(
        "BEGIN_GROUP = IMAGE_1\n  firstLineTime = 2024-08-29T03:04:05.678Z;\n  meanSunEl = 41.2;\n"
    )
    assert dated(tmp_path, "f_20240901.tif") == datetime(2024, 8, 29, 3, 4, 5, tzinfo=UTC)
    (tmp_path / "g_20240901.xml").write_text(
        "<a xmlns:eop='e'><eop:acquisitionDateTime>2024-08-28T03:04:05+00:00</eop:acquisitionDateTime></a>"
    )
    assert dated(tmp_path, "g_20240901.tif") == datetime(2024, 8, 28, 3, 4, 5, tzinfo=UTC)
    folder = "20240715_site/image.tif"
    assert dated(tmp_path, folder) == datetime(2024, 7, 15, tzinfo=UTC)


def test_dates_that_are_not_believed(tmp_path):
    edited = {"TIFFTAG_DATETIME": "2024:09:20 11:12:13", "TIFFTAG_SOFTWARE": "Adobe Photoshop CC"}
    with pytest.raises(DataError, match="nothing tells when it was acquired; try: list it with its `datetime:`"):
        dated(tmp_path, "a.tif", edited)
    image(tmp_path / "S2A_OPER_MSI_L1C_TL_EPA__20160706T155721_A000849_T30UWU_B04.tif", 1)
    with pytest.raises(DataError, match="carries the time of processing, not of acquisition"):
        find_scenes({"files": "*B04.tif"}, tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"properties": 3}', "[" * 100_000, '{"datetime": {"a": 1}}'])
def test_broken_sidecars_are_passed_over(tmp_path, text):
    (tmp_path / "a_20240901.json").write_text(text)
    (tmp_path / "a_20240901.xml").write_text(text)
    assert dated(tmp_path, "a_20240901.tif") == datetime(2024, 9, 1, tzinfo=UTC)


def test_simulated_files_say_so(tmp_path):
    image(tmp_path / "a.tif", tags={"CHANGEDETECT_SIMULATED": "yes"})
    assert one([{"path": "a.tif", "datetime": WHEN}], tmp_path).simulated


def test_gsd_of_a_geographic_file_is_in_metres(tmp_path):
    image(tmp_path / "a.tif", crs="EPSG:4326", transform=Affine(1e-4, 0, 132, 0, -1e-4, 60))
    scene = one([{"path": "a.tif", "datetime": WHEN}], tmp_path)
    assert scene.gsd_m == pytest.approx(np.sqrt(11.14 * 0.5015 * 11.14), rel=0.01)


def test_gsd_of_web_mercator_is_what_it_is_on_the_ground(tmp_path):
    image(tmp_path / "a.tif", crs="EPSG:3857", transform=Affine(10, 0, 14_000_000, 0, -10, 8_399_737))
    assert one([{"path": "a.tif", "datetime": WHEN}], tmp_path).gsd_m == pytest.approx(5, rel=0.01)


def test_a_footprint_across_the_antimeridian_is_split(tmp_path):
    image(tmp_path / "a.tif", crs="EPSG:32660", transform=Affine(1000, 0, 730_000, 0, -1000, 5_000_000))
    footprint = one([{"path": "a.tif", "datetime": WHEN}], tmp_path).footprint
    assert footprint.geom_type == "MultiPolygon"
    assert footprint.area < 0.1
    assert footprint.bounds[0] == -180
    assert footprint.bounds[2] == 180

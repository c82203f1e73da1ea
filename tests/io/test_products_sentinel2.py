"""Sentinel-2 SAFE: names, elements and the offset rule by ESA's product specification, as met in the real L1C product
of eodag's tests (general info, tile geocoding, angles) and told by sertit/eoreader (layout of L2A, masks), EnMAP-Box
issue 1524 (BOA_ADD_OFFSET), ESA's text in safe_to_netcdf issue 26 (offset from baseline 04.00 on), torchgeo issue 3224
(by baseline, never by date). MSK_CLASSI_B00 in three bands: opaque clouds, cirrus, snow, as in real products.
"""

from datetime import UTC, datetime

import numpy as np
import pytest
from delivered import pixels, text
from rasters import UTM, X0, Y0

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.errors import ConfigError, DataError, NotYetError
from changedetect.io.find import find_scenes
from changedetect.io.read import read

GENERAL = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level}.xsd">
<n1:General_Info><Product_Info>
 <PRODUCT_START_TIME>2019-09-01T02:20:31.024Z</PRODUCT_START_TIME>
 <PRODUCT_URI>{name}.SAFE</PRODUCT_URI><PROCESSING_LEVEL>Level-{level}</PROCESSING_LEVEL>
 <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
 <Datatake datatakeIdentifier="GS2A_20190901T022031_013204_N{baseline}"><SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
  <SENSING_ORBIT_NUMBER>3</SENSING_ORBIT_NUMBER><SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION></Datatake>
</Product_Info><Product_Image_Characteristics>{quantification}{offsets}</Product_Image_Characteristics></n1:General_Info>
</n1:Level-{level}_User_Product>"""

TILE = """<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-1C_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-1C_Tile_Metadata.xsd">
<n1:General_Info><SENSING_TIME metadataLevel="Standard">2019-09-01T02:24:35.457Z</SENSING_TIME></n1:General_Info>
<n1:Geometric_Info><Tile_Geocoding><HORIZONTAL_CS_CODE>EPSG:32652</HORIZONTAL_CS_CODE>
 <Geoposition resolution="10"><ULX>700000</ULX><ULY>4850000</ULY><XDIM>10</XDIM><YDIM>-10</YDIM></Geoposition>
 <Geoposition resolution="20"><ULX>700000</ULX><ULY>4850000</ULY><XDIM>20</XDIM><YDIM>-20</YDIM></Geoposition>
 <Geoposition resolution="60"><ULX>700000</ULX><ULY>4850000</ULY><XDIM>60</XDIM><YDIM>-60</YDIM></Geoposition>
</Tile_Geocoding><Tile_Angles>
 <Mean_Sun_Angle>
  <ZENITH_ANGLE unit="deg">37.5</ZENITH_ANGLE><AZIMUTH_ANGLE unit="deg">150.25</AZIMUTH_ANGLE></Mean_Sun_Angle>
 <Mean_Viewing_Incidence_Angle_List>
  <Mean_Viewing_Incidence_Angle bandId="0">
   <ZENITH_ANGLE>9.3</ZENITH_ANGLE><AZIMUTH_ANGLE>288</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle>
  <Mean_Viewing_Incidence_Angle bandId="3">
   <ZENITH_ANGLE>9.2</ZENITH_ANGLE><AZIMUTH_ANGLE>287</AZIMUTH_ANGLE></Mean_Viewing_Incidence_Angle>
 </Mean_Viewing_Incidence_Angle_List></Tile_Angles></n1:Geometric_Info></n1:Level-1C_Tile_ID>"""


def safe(base, level="2A", baseline="05.00", end=".SAFE", crs=UTM, value=1400):
    """Make a SAFE of few bands; returns its folder."""
    name = f"S2A_MSIL{level}_20190901T022031_N{baseline.replace('.', '')}_R003_T52TFP_20230301T060000"
    granule = base / (name + end) / "GRANULE" / f"L{level}_T52TFP_A013204_20190901T022435"
    shifted = float(baseline) >= 4
    tag = "BOA_ADD_OFFSET" if level == "2A" else "RADIO_ADD_OFFSET"
    offsets = "".join(f'<{tag} band_id="{i}">-1000</{tag}>' for i in range(13)) if shifted else ""
    whole = "BOA_QUANTIFICATION_VALUE" if level == "2A" else "QUANTIFICATION_VALUE"
    quantification = f'<{whole} unit="none">10000</{whole}>'
    main = GENERAL.format(level=level, name=name, baseline=baseline, quantification=quantification, offsets=offsets)
    text(base / (name + end) / f"MTD_MSIL{level}.xml", main)
    text(granule / "MTD_TL.xml", TILE)
    stem = "T52TFP_20190901T022031"
    if level == "2A":
        for gsd_m, codes in ((10, ("B02", "B04", "B08", "TCI", "AOT")), (20, ("B02", "B8A")), (60, ("B01", "B04"))):
            for code in codes:
                path, tci = granule / f"IMG_DATA/R{gsd_m}m/{stem}_{code}_{gsd_m}m.jp2", code == "TCI"
                pixels(path, 1 + 2 * tci, 9 if tci else value, gsd_m, dtype="uint8" if tci else "uint16", crs=crs)
        for gsd_m in (20, 60):
            pixels(granule / f"IMG_DATA/R{gsd_m}m/{stem}_SCL_{gsd_m}m.jp2", 1, 4, gsd_m, dtype="uint8", crs=crs)
    else:
        for code, gsd_m in (("B02", 10), ("B04", 10), ("B11", 20), ("B10", 60)):
            pixels(granule / f"IMG_DATA/{stem}_{code}.jp2", 1, value, gsd_m, crs=crs)
        pixels(granule / f"IMG_DATA/{stem}_TCI.jp2", 3, 9, 10, dtype="uint8", crs=crs)
    return base / (name + end), granule


def one(block, base, **options):
    (scene,) = find_scenes(block, base, **options)
    return scene


def grid_of(gsd_m=10.0, shape=(12, 14)):
    return Grid.from_bounds(UTM, (X0, Y0 - shape[0] * gsd_m, X0 + shape[1] * gsd_m, Y0), gsd_m)


def test_surface_reflectance_by_its_own_metadata(tmp_path, caplog):
    folder, _ = safe(tmp_path)
    scene = one({"files": str(tmp_path)}, tmp_path)
    assert (scene.id, scene.sensor, scene.unit) == (folder.name[:-5], "sentinel-2-l2a", "reflectance")
    assert scene.acquired == datetime(2019, 9, 1, 2, 24, 35, tzinfo=UTC), "the tile's time, not the datatake's"
    assert scene.bands == ("coastal", "blue", "red", "nir", "nir08")
    assert [asset.paths[0][-11:] for asset in scene.assets][:3] == ["B01_60m.jp2", "B02_10m.jp2", "B04_10m.jp2"]
    assert {(asset.scale, asset.offset) for asset in scene.assets} == {(1e-4, -0.1)}
    assert [(mask.kind, mask.path[-11:]) for mask in scene.masks] == [("scl", "SCL_20m.jp2")]
    assert (scene.sun_elevation_deg, scene.sun_azimuth_deg) == (52.5, 150.25)
    assert (scene.off_nadir_deg, scene.view_azimuth_deg) == (9.2, 287)
    assert (scene.relative_orbit, scene.orbit_state, scene.gsd_m) == (3, "descending", 10)
    assert not caplog.records
    assert read(scene, grid_of(), ["red"]).data == pytest.approx(0.04)


def test_every_way_of_naming_it_is_the_same_scene(tmp_path):
    folder, _ = safe(tmp_path)
    ways = [{"files": name} for name in (folder.name, "*.SAFE", f"{folder.name}/MTD_MSIL2A.xml", "**/*.jp2", ".")]
    ways += [[{"path": folder.name}], [{"path": f"{folder.name}/MTD_MSIL2A.xml"}]]
    scenes = [one(way, tmp_path) for way in ways]
    assert all(scene == scenes[0] for scene in scenes[1:])


def test_band_files_named_one_by_one_are_the_bands(tmp_path):
    safe(tmp_path)
    scene = one({"files": "**/*_B0[24]_10m.jp2"}, tmp_path)
    assert scene.bands == ("blue", "red")
    assert {asset.offset for asset in scene.assets} == {-0.1}, "the rest is still told by the product"


@pytest.mark.parametrize(("baseline", "offset"), [("02.14", 0.0), ("03.01", 0.0), ("04.00", -0.1), ("05.11", -0.1)])
@pytest.mark.parametrize("level", ["1C", "2A"])
def test_the_baseline_decides_and_the_date_does_not(tmp_path, level, baseline, offset):
    safe(tmp_path, level, baseline)
    scene = one({"files": "."}, tmp_path)
    assert scene.acquired.year == 2019, "before the offset came into use"
    assert {asset.offset for asset in scene.assets} == {offset}
    assert one({"files": "."}, tmp_path, s2_offset="applied").assets[0].offset == 0
    assert one({"files": "."}, tmp_path, s2_offset="raw").assets[0].offset == -0.1


def test_top_of_atmosphere_with_the_cloud_masks_of_both_formats(tmp_path):
    _, granule = safe(tmp_path / "new", "1C", "05.00")
    classes = np.zeros((3, 4, 4), np.uint8)
    classes[0, 0, 0] = classes[2, 3, 3] = 1
    pixels(granule / "QI_DATA/MSK_CLASSI_B00.jp2", 3, classes, 60, dtype="uint8")
    scene = one({"files": "new"}, tmp_path)
    assert scene.sensor == "sentinel-2-l1c"
    assert scene.bands == ("blue", "red", "cirrus", "swir16")
    quality = read(scene, grid_of(shape=(24, 24)), ["red"]).quality
    assert quality[0, 0] & Quality.CLOUD
    assert quality[23, 23] & Quality.SNOW
    _, granule = safe(tmp_path / "old", "1C", "02.07")
    text(granule / "QI_DATA/MSK_CLOUDS_B00.gml", OUTLINE.format(kind="OPAQUE"))
    scene = one({"files": "old"}, tmp_path)
    quality = read(scene, grid_of(), ["red"]).quality
    assert quality[0, 0] & Quality.CLOUD
    assert not quality[11, 13] & Quality.CLOUD


OUTLINE = """<?xml version="1.0" encoding="UTF-8"?>
<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="M">
<gml:name>MSK_CLOUDS</gml:name><eop:maskMembers>
 <eop:MaskFeature gml:id="OPAQUE.0"><eop:maskType codeSpace="urn:gs2:S2PDGS:maskType">{kind}</eop:maskType>
 <eop:extentOf><gml:Polygon gml:id="OPAQUE.0_Polygon" srsName="urn:ogc:def:crs:EPSG::32652"><gml:exterior>
 <gml:LinearRing><gml:posList srsDimension="2">
 700000 4850000 700020 4850000 700020 4849980 700000 4849980 700000 4850000</gml:posList>
 </gml:LinearRing></gml:exterior></gml:Polygon></eop:extentOf></eop:MaskFeature></eop:maskMembers></eop:Mask>"""


def test_a_clear_scene_has_an_empty_mask_of_outlines(tmp_path):
    _, granule = safe(tmp_path, "1C", "02.07")
    text(granule / "QI_DATA/MSK_CLOUDS_B00.gml", OUTLINE[: OUTLINE.index("<eop:maskMembers>")] + "</eop:Mask>")
    assert read(one({"files": "."}, tmp_path), grid_of(), ["red"]).valid.all()


def test_files_without_a_place_lie_where_the_tile_says(tmp_path):
    safe(tmp_path, "1C", "02.04", crs=None)
    scene = one({"files": "."}, tmp_path)
    assert scene.gsd_m == 10
    assert read(scene, grid_of(20, (6, 7)), ["swir16"]).valid.all()


def test_an_image_somebody_put_into_the_folder_is_itself(tmp_path):
    folder, _ = safe(tmp_path)
    pixels(folder / "stack_20190901.tif", 4, 9)
    entry = {"path": f"{folder.name}/stack_20190901.tif", "datetime": "2019-09-01T00:00:00Z", "scale": 1, "offset": 0}
    assert one([entry], tmp_path).paths == (str(folder / "stack_20190901.tif"),)


def test_what_is_broken_is_one_clear_sentence(tmp_path):
    folder, granule = safe(tmp_path)
    (granule.parent / "L2A_T52TFQ_A1_20190901T022435").mkdir()
    with pytest.raises(NotYetError, match="Sentinel-2 products of several tiles are not read; found 2"):
        find_scenes({"files": "."}, tmp_path)
    (granule.parent / "L2A_T52TFQ_A1_20190901T022435").rmdir()
    (folder / "MTD_MSIL1C.xml").write_text("<a/>")
    with pytest.raises(DataError, match=r"two products; found MTD_MSIL1C\.xml and MTD_MSIL2A\.xml"):
        find_scenes({"files": "."}, tmp_path)
    for name in ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml"):
        (folder / name).unlink()
    with pytest.raises(DataError, match=r"the product lacks its metadata; needed MTD_MSIL1C\.xml or MTD_MSIL2A\.xml"):
        find_scenes({"files": "."}, tmp_path)


def test_an_entry_is_one_product_and_may_overrule_it(tmp_path):
    safe(tmp_path, "2A")
    safe(tmp_path, "1C")
    with pytest.raises(ConfigError, match="holds 2 products, and an entry is one scene"):
        find_scenes([{"path": "."}], tmp_path)
    name = next(tmp_path.glob("*MSIL2A*")).name
    entry = {
        "path": name,
        "datetime": "2019-09-02T00:00:00Z",
        "id": "mine",
        "scale": 1,
        "offset": 0,
        "sun_azimuth_deg": 9,
    }
    scene = one([entry], tmp_path)
    assert (scene.id, scene.acquired.day, scene.sun_azimuth_deg, scene.sun_elevation_deg) == ("mine", 2, 9, 52.5)
    assert {(asset.scale, asset.offset) for asset in scene.assets} == {(1.0, 0.0)}


def test_entities_in_metadata_are_not_expanded(tmp_path):
    folder, _ = safe(tmp_path)
    text(folder / "MTD_MSIL2A.xml", '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>')
    with pytest.raises(DataError, match="cannot be read as XML"):
        find_scenes({"files": "."}, tmp_path)

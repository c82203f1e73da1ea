"""Maxar deliveries and open data. IMD and TIL keys, groups and values as in real GeoEye-1 and WorldView-2 orders
(Terradue/Stars test data); the same names in the XML, and radiance = DN absCalFactor / effectiveBandwidth: by the
same; tile names: sertit/eoreader. Open data and ARD: opengeos/maxar-open-data, ard.maxar.com/docs; that their
view:incidence_angle is the satellite's elevation: seen in those items.
"""

import json
from datetime import UTC, datetime

import geopandas as gpd
import pytest
from affine import Affine
from delivered import pixels, text
from rasters import UTM, X0, Y0
from shapely.geometry import box

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.errors import DataError
from changedetect.io.find import find_scenes
from changedetect.io.read import read

STEM = "16AUG31104614-S3DS-056956784010_01_P001"
BAND_GROUPS = {"B": (8.919e-03, 6e-02), "G": (7.0945e-03, 7e-02), "R": (5.667901e-03, 3.5e-02), "N": (7.987e-03, 0.14)}


def imd(letters="BGRN", descriptor="OrthoRectified3", enhancement="Off"):
    bands = "".join(
        f"BEGIN_GROUP = BAND_{name}\n\tULLon =   15.27;\n\tabsCalFactor = {BAND_GROUPS[name][0]:e};\n"
        f"\teffectiveBandwidth = {BAND_GROUPS[name][1]:e};\nEND_GROUP = BAND_{name}\n"
        for name in letters
    )
    return f"""version = "28.3";
generationTime = 2017-08-30T08:04:32.000000Z;
productCatalogId = "20700102E4CBC400";
imageDescriptor = "{descriptor}";
bandId = "{letters if len(letters) > 1 else "P"}";
radiometricEnhancement = "{enhancement}";
bitsPerPixel = 16;
{bands}BEGIN_GROUP = IMAGE_1
\tsatId = "GE01";
\tfirstLineTime = 2016-08-31T10:46:08.484783Z;
\tmeanSunAz = 176.0;
\tmeanSunEl =  39.9;
\tmeanSatAz = 270.1;
\tmeanSatEl =  60.0;
\tmeanOffNadirViewAngle =  26.9;
END_GROUP = IMAGE_1
BEGIN_GROUP = MAP_PROJECTED_PRODUCT
\tearliestAcqTime = 2016-08-31T10:46:14.025591Z;
\tmapProjParam = (
\t  0.000000000,
\t  0.000000000 );
END_GROUP = MAP_PROJECTED_PRODUCT
END;
"""


XML = """<?xml version="1.0" encoding="UTF-8"?><isd><IMD><BANDID>BGRN</BANDID>
<IMAGEDESCRIPTOR>ORStandard2A</IMAGEDESCRIPTOR>
<RADIOMETRICENHANCEMENT>Off</RADIOMETRICENHANCEMENT>{bands}<IMAGE><SATID>GE01</SATID>
<FIRSTLINETIME>2016-08-31T10:46:08.484783Z</FIRSTLINETIME><MEANSUNAZ>176.0</MEANSUNAZ><MEANSUNEL>39.9</MEANSUNEL>
<MEANSATAZ>270.1</MEANSATAZ><MEANOFFNADIRVIEWANGLE>26.9</MEANOFFNADIRVIEWANGLE></IMAGE></IMD></isd>""".format(
    bands="".join(
        f"<BAND_{name}><ABSCALFACTOR>{factor}</ABSCALFACTOR><EFFECTIVEBANDWIDTH>{width}</EFFECTIVEBANDWIDTH></BAND_{name}>"
        for name, (factor, width) in BAND_GROUPS.items()
    )
)


def delivery(base, metadata="IMD", tiles=2, **options):
    folder = base / "056956784010_01" / "056956784010_01_P001_PSH"
    names = [STEM.replace("-0569", f"_R1C{i + 1}-0569") + ".TIF" for i in range(tiles)]
    for i, name in enumerate(names):
        pixels(folder / name, 4, 100 + i, 0.5, transform=Affine(0.5, 0, X0 + 7 * i, 0, -0.5, Y0))
    lines = [
        f'BEGIN_GROUP = TILE_{i + 1}\n\tfilename = "{name}";\nEND_GROUP = TILE_{i + 1}' for i, name in enumerate(names)
    ]
    text(folder / f"{STEM}.TIL", f'bandId = "BGRN";\nnumTiles = {tiles};\n' + "\n".join(lines) + "\nEND;")
    text(folder / f"{STEM}.{metadata}", imd(**options) if metadata == "IMD" else XML)
    text(folder / f"{STEM}-BROWSE.JPG", "a small picture that is not looked at")
    text(base / "056956784010_01" / "056956784010_01_README.XML", "<isd/>")
    return folder


def one(base, files="."):
    (scene,) = find_scenes({"files": files}, base)
    return scene


@pytest.mark.parametrize("metadata", ["IMD", "XML"])
def test_tiles_become_one_image_by_either_metadata(tmp_path, metadata):
    delivery(tmp_path, metadata)
    for files in (".", "**/*.TIF", f"**/{STEM}.TIL"):
        scene = one(tmp_path, files)
        assert (scene.id, scene.sensor, scene.bands) == (STEM, "worldview-4b", ("blue", "green", "red", "nir"))
        assert [len(asset.paths) for asset in scene.assets] == [2] * 4
        assert scene.unit == "radiance"
        assert [asset.scale for asset in scene.assets] == [pytest.approx(f / w) for f, w in BAND_GROUPS.values()]
        assert scene.acquired == datetime(2016, 8, 31, 10, 46, 8, tzinfo=UTC)
        assert (scene.sun_azimuth_deg, scene.sun_elevation_deg) == (176.0, 39.9)
        assert (scene.view_azimuth_deg, scene.off_nadir_deg) == (270.1, 26.9)
    assert bool(scene.cautions) == (metadata == "XML"), "ORStandard2A is not orthorectified"
    grid = Grid.from_bounds(UTM, (X0, Y0 - 6, X0 + 14, Y0), 0.5)
    assert read(scene, grid, ["red"]).valid.all()


def test_a_missing_tile_is_an_error(tmp_path):
    folder = delivery(tmp_path)
    next(folder.glob("*_R1C2-*.TIF")).unlink()
    with pytest.raises(DataError, match=r"a tile that its TIL lists is missing; found 1 of 2; needed .*_R1C2-"):
        one(tmp_path)


def test_compensated_numbers_are_not_taken_for_radiance(tmp_path):
    delivery(tmp_path, enhancement="ACOMP")
    assert (one(tmp_path).unit, one(tmp_path).assets[0].scale) == ("dn", 1.0)


def test_metadata_that_cannot_be_read_are_an_error(tmp_path):
    text(delivery(tmp_path) / f"{STEM}.IMD", "")
    with pytest.raises(DataError, match="neither its IMD nor its XML metadata can be read"):
        one(tmp_path)


CAT, DAY = "10300100EC0F0E00", "2023-08-20"


def open_data(base, kinds=("visual",), quadkeys=("031311313322", "031311313323"), properties=True):
    for i, quadkey in enumerate(quadkeys):
        folder = base / "ard" / "34" / quadkey / DAY
        for kind in kinds:
            count, dtype = {"visual": (3, "uint8"), "ms": (8, "uint16"), "pan": (1, "uint16")}[kind]
            place = Affine(0.5, 0, X0 + 7 * i, 0, -0.5, Y0)
            pixels(folder / f"{CAT}-{kind}.tif", count, 90, 0.5, dtype=dtype, transform=place)
        if properties:
            told = {"datetime": "2023-08-20T09:24:17Z", "view:off_nadir": 27.0, "view:azimuth": 45.9,
                    "view:incidence_angle": 59.3, "view:sun_azimuth": 157.3, "view:sun_elevation": 34.3}  # fmt: skip
            plain = {"type": "Feature", "stac_version": "1.0.0", "id": f"34/{quadkey}/{CAT}", "links": [],
                     "geometry": None, "properties": told,
                     "assets": {"visual": {"href": f"./{CAT}-visual.tif"}}}  # fmt: skip
            text(folder / f"{CAT}.json", json.dumps(plain))
    return base


def test_tiles_of_one_acquisition_are_one_scene(tmp_path):
    open_data(tmp_path)
    scene = one(tmp_path)
    assert (scene.sensor, scene.unit, scene.bands) == ("maxar-visual", "display", ("red", "green", "blue"))
    assert len(scene.assets[0].paths) == 2
    assert scene.acquired == datetime(2023, 8, 20, 9, 24, 17, tzinfo=UTC)
    assert (scene.off_nadir_deg, scene.view_azimuth_deg, scene.sun_elevation_deg) == (27.0, 45.9, 34.3)


def test_without_an_item_the_folder_tells_the_day(tmp_path):
    open_data(tmp_path, properties=False)
    assert one(tmp_path).acquired == datetime(2023, 8, 20, tzinfo=UTC)


def test_multispectral_comes_before_the_picture_and_brings_its_cloud_outlines(tmp_path):
    open_data(tmp_path, ("visual", "ms", "pan"), ("031311313322",))
    folder = tmp_path / "ard/34/031311313322" / DAY
    for what, left in (("cloud", 0), ("cloud-shadow", 4)):
        shape = box(X0 + left, Y0 - 6, X0 + left + 1, Y0)
        gpd.GeoDataFrame(geometry=[shape], crs=UTM).to_file(folder / f"{CAT}-{what}-mask.gpkg")
    scene = one(tmp_path)
    assert (scene.sensor, scene.unit, len(scene.bands)) == ("maxar-ms-8b", "dn", 8)
    assert [mask.kind for mask in scene.masks] == ["cloud_outlines", "shadow_outlines"]
    quality = read(scene, Grid.from_bounds(UTM, (X0, Y0 - 6, X0 + 7, Y0), 0.5), ["red"]).quality
    assert (quality[:, 0] & Quality.CLOUD).all()
    assert (quality[:, 9] & Quality.SHADOW).all()
    assert one(tmp_path, "**/*-pan.tif").bands == ("pan",)

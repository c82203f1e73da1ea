"""Pleiades and Pleiades Neo DIMAP 2: elements, names and values as in the real PHR1A ORT of 2021-08-15 and PNEO4 ORT of
2023-07-26 (Terradue/Stars test data); L = DN / GAIN + BIAS is stated in those files. That the file order of Pleiades
without Raster_Index_List is red, green, blue, near infrared: general knowledge, as its Band_Display_Order has it.
"""

import math
from datetime import UTC, datetime

import pytest
from delivered import pixels, text
from rasters import UTM, X0, Y0

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.errors import DataError
from changedetect.io.find import find_scenes
from changedetect.io.read import read

NAME = "PHR1A_PMS_202108151541301_ORT_5881313101"
GAINS = {"B0": (8.91, 1915.0), "B1": (8.89, 1831.0), "B2": (9.95, 1594.0), "B3": (15.24, 1060.0)}


def dim(
    name=NAME, ids=GAINS, index=None, level="ORTHO", radiometry="BASIC", version="2.15", tiles=("R1C1",), end="JP2"
):
    calibration = "".join(
        f"<Band_Radiance><BAND_ID>{b}</BAND_ID><GAIN>{g}</GAIN><BIAS>0</BIAS></Band_Radiance>"
        f"<Band_Solar_Irradiance><BAND_ID>{b}</BAND_ID><VALUE>{e}</VALUE></Band_Solar_Irradiance>"
        for b, (g, e) in ids.items()
    )
    files = "".join(f'<Data_File><DATA_FILE_PATH href="IMG_{name}_{tile}.{end}"/></Data_File>' for tile in tiles)
    listed = "".join(
        f"<Raster_Index><BAND_ID>{band}</BAND_ID><BAND_INDEX>{i + 1}</BAND_INDEX></Raster_Index>"
        for i, band in enumerate(index or ())
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<?xml-stylesheet href="LIBRARY/STYLE.XSL" type="text/xsl"?><Dimap_Document>
<Metadata_Identification><METADATA_FORMAT version="{version}">DIMAP</METADATA_FORMAT></Metadata_Identification>
<Coordinate_Reference_System><Projected_CRS>
 <PROJECTED_CRS_CODE>urn:ogc:def:crs:EPSG::32652</PROJECTED_CRS_CODE></Projected_CRS></Coordinate_Reference_System>
<Geoposition><Geoposition_Insert><ULXMAP>700000</ULXMAP><ULYMAP>4850000</ULYMAP><XDIM>0.5</XDIM><YDIM>0.5</YDIM>
</Geoposition_Insert></Geoposition>
<Processing_Information><Product_Settings><PROCESSING_LEVEL>{level}</PROCESSING_LEVEL>
 <SPECTRAL_PROCESSING>PMS</SPECTRAL_PROCESSING>
 <Radiometric_Settings><RADIOMETRIC_PROCESSING>{radiometry}</RADIOMETRIC_PROCESSING></Radiometric_Settings>
</Product_Settings></Processing_Information>
<Raster_Data><Data_Access><Data_Files>{files}{f"<Raster_Index_List>{listed}</Raster_Index_List>" if listed else ""}
 </Data_Files></Data_Access><Raster_Dimensions><NBANDS>{len(ids)}</NBANDS></Raster_Dimensions></Raster_Data>
<Radiometric_Data>{calibration}</Radiometric_Data>
<Geometric_Data><Use_Area>
 <Located_Geometric_Values><LOCATION_TYPE>Top Center</LOCATION_TYPE><INCIDENCE_ANGLE>1</INCIDENCE_ANGLE>
  <SUN_AZIMUTH>1</SUN_AZIMUTH><SUN_ELEVATION>1</SUN_ELEVATION></Located_Geometric_Values>
 <Located_Geometric_Values><LOCATION_TYPE>Center</LOCATION_TYPE><TIME>2021-08-15T15:41:30.906Z</TIME>
  <Acquisition_Angles><AZIMUTH_ANGLE>179.9</AZIMUTH_ANGLE><VIEWING_ANGLE>16.6</VIEWING_ANGLE>
  <INCIDENCE_ANGLE>18.4</INCIDENCE_ANGLE></Acquisition_Angles>
  <Solar_Incidences><SUN_AZIMUTH>101.0</SUN_AZIMUTH><SUN_ELEVATION>71.3</SUN_ELEVATION></Solar_Incidences>
 </Located_Geometric_Values></Use_Area></Geometric_Data>
<Dataset_Sources><Strip_Source><IMAGING_DATE>2021-08-15</IMAGING_DATE><IMAGING_TIME>15:41:30.1Z</IMAGING_TIME></Strip_Source>
</Dataset_Sources></Dimap_Document>"""


def product(base, name=NAME, tiles=("R1C1",), end="JP2", crs=UTM, dtype="uint16", **options):
    folder = base / "5881313101" / "IMG_PHR1A_PMS_001"
    for tile in tiles:
        pixels(folder / f"IMG_{name}_{tile}.{end}", 4, 100, 0.5, (40, 40), dtype, crs=crs)
    text(folder / f"DIM_{name}.XML", dim(name, tiles=tiles, end=end, **options))
    text(base / "5881313101" / "VOL_PHR.XML", "<Dimap_Document/>")
    text(folder / "LINEAGE" / "STRIP_DS_PHR1A_DIM.XML", "<Dimap_Document/>")
    return folder


def one(base, files="."):
    (scene,) = find_scenes({"files": files}, base)
    return scene


@pytest.mark.parametrize("crs", [UTM, None])
def test_a_pleiades_ortho_by_its_own_metadata(tmp_path, crs):
    product(tmp_path, crs=crs)
    for files in (".", "**/*.JP2", "**/DIM_*.XML", "5881313101/VOL_PHR.XML"):
        scene = one(tmp_path, files)
        assert (scene.id, scene.sensor, scene.unit) == (NAME, "pleiades", "reflectance")
        assert [(asset.band, asset.index) for asset in scene.assets] == [
            ("red", 1),
            ("green", 2),
            ("blue", 3),
            ("nir", 4),
        ]
        assert scene.acquired == datetime(2021, 8, 15, 15, 41, 30, tzinfo=UTC)
        assert (scene.sun_azimuth_deg, scene.sun_elevation_deg, scene.off_nadir_deg) == (101.0, 71.3, 18.4)
        assert scene.view_azimuth_deg is None, "AZIMUTH_ANGLE is the direction of scanning"
        assert (scene.gsd_m, scene.cautions) == (0.5, ())
    # 1.0128 astronomical units on 15 August (Astronomical Almanac).
    expected = math.pi * 1.0128**2 / (9.95 * 1594.0 * math.sin(math.radians(71.3)))
    assert scene.assets[0].scale == pytest.approx(expected, rel=1e-3)


def test_the_raster_index_list_gives_the_order(tmp_path):
    ids = {"R": (9.9, 1594.0), "G": (8.8, 1831.0), "B": (8.7, 1915.0), "NIR": (15.0, 1060.0)}
    product(tmp_path, "PNEO4_202307260722045_PMS_ORT_PWOI_000115104_1_1_F_1", ids=ids, index=("B", "G", "R", "NIR"))
    assert one(tmp_path).bands == ("blue", "green", "red", "nir")


def test_six_bands_in_two_files_each_with_its_list(tmp_path):
    name = "PNEO4_202111151358313_MS-FS_ORT_PWOI_000071864_1_1_F_1"
    folder = tmp_path / "IMG_01_PNEO4_MS-FS"
    groups = []
    for part, ids in (("RGB", ("R", "G", "B")), ("NED", ("NIR", "RE", "DB"))):
        pixels(folder / f"IMG_{name}_{part}_R1C1.TIF", 3, 100, 1.2, (40, 40))
        listed = "".join(
            f"<Raster_Index><BAND_ID>{band}</BAND_ID><BAND_INDEX>{i + 1}</BAND_INDEX></Raster_Index>"
            for i, band in enumerate(ids)
        )
        groups.append(
            f'<Data_Files><Data_File><DATA_FILE_PATH href="IMG_{name}_{part}_R1C1.TIF"/></Data_File><Raster_Display>'
            f"<Raster_Index_List>{listed}</Raster_Index_List></Raster_Display></Data_Files>"
        )
    plain = dim(name)
    start, end = plain.index("<Data_Files>"), plain.index("</Data_Files>") + len("</Data_Files>")
    text(folder / f"DIM_{name}.XML", plain[:start] + "".join(groups) + plain[end:])
    scene = one(tmp_path)
    found = {asset.band: (asset.index, asset.paths[0][-12:-9]) for asset in scene.assets}
    assert found["red"] == (1, "RGB")
    assert found["coastal"] == (3, "NED")
    assert len(found) == 6
    assert scene.unit == "dn", "its calibration is of other bands: no number is made up"


def test_stretched_products_are_pictures_and_primary_ones_are_warned_of(tmp_path):
    product(tmp_path / "a", radiometry="DISPLAY", dtype="uint8", end="TIF")
    assert one(tmp_path, "a").unit == "display"
    product(tmp_path / "b", level="SENSOR", end="TIF")
    assert any("not orthorectified" in caution for caution in one(tmp_path, "b").cautions)


def test_clouds_come_as_outlines(tmp_path):
    folder = product(tmp_path)
    text(folder / "MASKS" / f"CLD_{NAME}_MSK.GML", """<?xml version="1.0"?><Mask xmlns="m"
 xmlns:gml="http://www.opengis.net/gml/3.2"><maskMembers><MaskFeature gml:id="a"><extentOf>
 <gml:Polygon gml:id="p" srsName="urn:ogc:def:crs:EPSG::32652"><gml:exterior><gml:LinearRing><gml:posList>
 700000 4850000 700002 4850000 700002 4849990 700000 4849990 700000 4850000</gml:posList></gml:LinearRing>
 </gml:exterior></gml:Polygon></extentOf></MaskFeature></maskMembers></Mask>""")  # fmt: skip
    scene = one(tmp_path)
    assert [mask.kind for mask in scene.masks] == ["cloud_outlines"]
    grid = Grid.from_bounds(UTM, (X0, Y0 - 20, X0 + 20, Y0), 0.5)
    assert (read(scene, grid, ["red"]).quality[:, :4] & Quality.CLOUD).any(axis=0).all()


def test_what_is_wrong_is_one_clear_sentence(tmp_path):
    folder = product(tmp_path)
    next(folder.glob("*.JP2")).rename(folder / "other.JP2")
    with pytest.raises(
        DataError, match=r"an image file its metadata name is missing; found 0 of 1; needed IMG_PHR1A_PMS_"
    ):
        one(tmp_path)
    text(folder / f"DIM_{NAME}.XML", dim(version="1.1"))
    with pytest.raises(DataError, match="is not DIMAP version 2"):
        one(tmp_path)

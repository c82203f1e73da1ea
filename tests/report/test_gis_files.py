"""The files a GIS opens: styles, KMZ, STAC Item, pictures of the place, the project as a document."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from contextlib import closing
from itertools import pairwise

import numpy as np
import pystac
import pytest
import rasterio
from defusedxml.ElementTree import fromstring, parse
from gis_outputs import AFTER, DURING, GRID, TITLE, make_results, write_all
from pystac.validation import JsonSchemaSTACValidator
from rio_cogeo.cogeo import cog_validate

from changedetect.core.aoi import TARGETS
from changedetect.core.times import to_iso
from changedetect.errors import OutputError
from changedetect.io.write_raster import write_picture
from changedetect.report.gis.symbols import SCORE_RAMP
from changedetect.report.images import CLASS_COLOURS

KML = {"k": "http://www.opengis.net/kml/2.2"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("gis") / "out", make_results())


def test_every_layer_has_its_style_beside_it(folder):
    for name in ("changes", "detections", "zones"):
        assert (folder / f"{name}.geojson").exists()
        style = parse(folder / f"{name}.qml").getroot()
        assert style.tag == "qgis"
        assert style.find("renderer-v2") is not None
    scores = sorted((folder / "score").glob("*.tif"))
    assert len(scores) == 2
    assert all(score.with_suffix(".qml").exists() for score in scores)


def test_each_class_has_a_colour_of_its_own_in_the_styles(folder):
    assert set(CLASS_COLOURS) == set(TARGETS)
    style = parse(folder / "changes.qml").getroot()
    categories = {item.get("value"): item.get("symbol") for item in style.iter("category")}
    drawn = {symbol.get("name"): symbol.findall("layer")[-1] for symbol in style.iter("symbol")}
    told = {}
    for kind, symbol in categories.items():
        option = drawn[symbol].find("Option/Option[@name='outline_color']")
        told[kind] = tuple(map(int, option.get("value").split(",")))[:3]
    assert told == CLASS_COLOURS


def test_noise_is_clear_in_the_score_ramp():
    values = [value for value, _, _ in SCORE_RAMP]
    assert values == sorted(values)
    assert [alpha for value, _, alpha in SCORE_RAMP if abs(value) <= 3] == [0, 0]
    assert all(alpha > 0 for value, _, alpha in SCORE_RAMP if abs(value) > 3)


def test_the_geopackage_carries_the_styles(folder):
    with closing(sqlite3.connect(folder / "changes.gpkg")) as connection:
        rows = connection.execute("SELECT f_table_name, f_geometry_column, styleQML, useAsDefault FROM layer_styles")
        styles = {name: (column, text, default) for name, column, text, default in rows}
        registered = connection.execute("SELECT data_type FROM gpkg_contents WHERE table_name='layer_styles'")
        assert registered.fetchone() == ("attributes",)
    assert set(styles) == {"changes", "detections", "zones"}
    assert styles["changes"][1] == (folder / "changes.qml").read_text()
    assert all(default == 1 for _, _, default in styles.values())


def test_placemarks_say_when_and_what(folder):
    with zipfile.ZipFile(folder / "changes.kmz") as archive:
        assert archive.namelist() == ["doc.kml"]
        document = fromstring(archive.read("doc.kml"))
    assert document.findtext("k:Document/k:name", None, KML) == f"{TITLE} (SIMULATED)"
    assert "a <source>; accuracy 25 m" in document.findtext("k:Document/k:description", None, KML)
    marks = {mark.get("id"): mark for mark in document.iter(f"{{{KML['k']}}}Placemark") if mark.get("id")}
    assert set(marks) == {"t1", "h1"}
    assert marks["t1"].findtext("k:name", None, KML) == "trench appeared 0.90"
    assert marks["t1"].findtext("k:TimeSpan/k:begin", None, KML) == to_iso(DURING)
    assert marks["t1"].find("k:TimeSpan/k:end", KML) is None  # still there
    assert marks["h1"].findtext("k:TimeSpan/k:end", None, KML) == to_iso(AFTER)
    told = {item.get("name"): item.findtext("k:value", None, KML) for item in marks["t1"].iter(f"{{{KML['k']}}}Data")}
    assert told["absent_until"] == "2024-09-05T02:20:00Z"
    assert told["area_m2"] == "200.0 m²"
    assert told["gone_by"] == ""
    points = marks["t1"].findtext(".//k:coordinates", None, KML).split()
    longitude, latitude = map(float, points[0].split(","))
    assert len(points) == 5
    assert (round(longitude, 1), round(latitude, 1)) == (131.7, 44.0)


def test_detections_have_a_folder_per_date_hidden_until_it_is_ticked(folder):
    with zipfile.ZipFile(folder / "changes.kmz") as archive:
        document = fromstring(archive.read("doc.kml"))
    (seen,) = (item for item in document.findall("k:Document/k:Folder", KML) if item.find("k:Folder", KML) is not None)
    assert seen.findtext("k:name", None, KML) == "Detections, per date (2)"
    assert [item.text for item in seen.iter(f"{{{KML['k']}}}visibility")] == ["0"] * 5
    assert [item.text for item in seen.iter(f"{{{KML['k']}}}when")] == [to_iso(DURING), to_iso(AFTER)]
    mark = seen.find("k:Folder/k:Placemark", KML)
    told = {item.get("name"): item.findtext("k:value", None, KML) for item in mark.iter(f"{{{KML['k']}}}Data")}
    assert (mark.findtext("k:name", None, KML), mark.findtext("k:styleUrl", None, KML)) == ("trench 0.80", "#trench")
    assert (told["change_id"], told["length_m"]) == ("t1", "50.0 m")
    with zipfile.ZipFile(write_all(folder.parent / "empty", make_results(changes=False)) / "changes.kmz") as archive:
        assert b"<Placemark" not in archive.read("doc.kml")


def test_google_earth_colours_are_blue_green_red(folder):
    with zipfile.ZipFile(folder / "changes.kmz") as archive:
        document = fromstring(archive.read("doc.kml"))
    style = document.find("k:Document/k:Style[@id='trench']/k:LineStyle/k:color", KML)
    assert style.text == "ff009fe6"  # (230, 159, 0)


def test_the_stac_item_is_valid_and_lists_what_is_there(folder):
    item = pystac.Item.from_file(str(folder / "stac-item.json"))
    JsonSchemaSTACValidator().validate_core(item.to_dict(), pystac.STACObjectType.ITEM, "1.1.0")
    assert item.id == "place-2024-09-05T022000Z-2024-11-05T022000Z"
    assert item.datetime is None
    assert item.properties["proj:code"] == "EPSG:32652"
    for asset in item.assets.values():
        assert (folder / asset.href).exists(), asset.href
    named = {asset.href.removeprefix("./") for asset in item.assets.values()}
    data = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix not in (".qml",)}
    missing = {path for path in data - named - {"stac-item.json"} if (folder / path).is_file()}
    assert missing == set()
    ring = item.geometry["coordinates"][0]
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))
    assert area > 0  # RFC 7946: counter-clockwise


def test_an_item_of_real_scenes_is_derived_from_them(tmp_path):
    folder = write_all(tmp_path / "out", make_results(simulated=False))
    links = json.loads((folder / "stac-item.json").read_text())["links"]
    assert [(link["rel"], link["href"]) for link in links] == [("derived_from", "file:///imagery/2024%20a.tif")]


def test_the_project_points_only_at_what_is_in_the_folder(folder):
    with zipfile.ZipFile(folder / "project.qgz") as archive:
        document = fromstring(archive.read("project.qgs"))
    sources = [element.text for element in document.iter("datasource")]
    assert len(sources) == 7
    for source in sources:
        assert source.startswith("./")
        assert (folder / source).exists(), source
    ids = [layer.get("id") for layer in document.iter("layer-tree-layer")]
    assert ids == [element.findtext("id") for element in document.iter("maplayer")]
    assert len(set(ids)) == len(ids)
    assert document.findtext("title") == f"{TITLE} (SIMULATED)"


def test_twice_are_the_same_bytes(folder, tmp_path):
    again = write_all(tmp_path / "again", make_results())
    for name in ("project.qgz", "changes.kmz", "stac-item.json", "zones.geojson", "changes.qml", "imagery/after.tif"):
        assert (folder / name).read_bytes() == (again / name).read_bytes(), name


def test_pictures_of_the_place_are_cogs_with_a_mask(folder):
    path = folder / "imagery/after.tif"
    assert cog_validate(path)[0]
    with rasterio.open(path) as dataset:
        assert dataset.crs.to_epsg() == 32652
        assert dataset.transform == GRID.transform
        assert dataset.tags()["acquired"] == "then"
        mask = dataset.read_masks(1)
        assert not mask[:, :20].any()
        assert mask[:, 20:].all()
        green = dataset.read(2)[:, 40:]
    assert abs(int(np.median(green)) - 120) <= 3
    assert not list((folder / "imagery").glob("*.plain.tif"))


def test_a_picture_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "imagery").write_text("a file where the folder should be")
    with pytest.raises((OutputError, FileExistsError, NotADirectoryError)):
        write_picture(tmp_path / "imagery/after.tif", GRID, lambda part: np.zeros((4, *part.shape), np.uint8), {})

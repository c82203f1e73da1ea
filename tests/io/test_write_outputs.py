"""What the writers leave on disk: RFC 7946, COG, CSV, provenance, other formats."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
from affine import Affine
from rio_cogeo.cogeo import cog_validate
from shapely.geometry import MultiPolygon, Polygon, box, shape

from changedetect.core.aoi import Aoi, Location, Zone
from changedetect.core.grid import Grid
from changedetect.core.results import Look
from changedetect.core.run import RunResults, WriteParams
from changedetect.core.tables import ACTIVITY_COLUMNS, CHANGE_COLUMNS, DETECTION_COLUMNS, geo_table, table
from changedetect.errors import OutputError, UsageError
from changedetect.io import write_geojson
from changedetect.io.provenance import describe_inputs, library_versions
from changedetect.io.write import write_outputs
from changedetect.io.write_geojson import CHANGE_PROPERTIES, to_features, to_geometry
from changedetect.io.write_json import to_plain

GRID = Grid("EPSG:32652", Affine(0.5, 0, 720000, 0, -0.5, 4880000), (700, 600))
FIRST, SECOND = datetime(2024, 9, 12, 2, 20, tzinfo=UTC), datetime(2024, 10, 5, 2, 20, tzinfo=UTC)


def change_row(shape_m, **values):
    row = dict.fromkeys(CHANGE_COLUMNS) | {
        "id": "c1",
        "aoi": "place",
        "class": "trench",
        "status": "appeared",
        "absent_until": FIRST,
        "first_seen": SECOND,
        "last_seen": SECOND,
        "n_seen": 1,
        "n_clear": 1,
        "count": 1,
        "looks": [(FIRST, "absent"), (SECOND, "present")],
        "score": 12.34567,
        "confidence": 0.87654,
        "area_m2": 99.9999,
        "length_m": 25.0,
        "width_m": np.nan,
        "orientation_deg": 179.99,
        "flags": ("small",),
        "geometry": shape_m,
    }
    return row | values


def detection_row(shape_m, **values):
    row = dict.fromkeys(DETECTION_COLUMNS) | {
        "scene_id": "b",
        "acquired": SECOND,
        "gsd_m": 0.5,
        "status": "appeared",
        "score": 12.3,
        "area_m2": 100.0,
        "length_m": 25.0,
        "width_m": 4.0,
        "orientation_deg": 10.0,
        "flags": (),
        "features": {"b": np.float32(1.23456789), "a": float("nan")},
        "class": "trench",
        "confidence": 0.8,
        "count": 1,
        "count_low": 1,
        "count_high": 1,
        "change_id": "c1",
        "geometry": shape_m,
    }
    return row | values


def activity_row(**values):
    row = {"datetime": SECOND, "aoi": "place", "zone": "place", "class": "trench", "count": 1, "area_m2": 100.04}
    return row | {"status": "clear", "clear_fraction": 0.99996, "scene_id": "b"} | values


def make_results(n=1, **values) -> RunResults:
    shapes = [box(720010 + 40 * i, 4879900, 720035 + 40 * i, 4879904) for i in range(n)]
    rng = np.random.default_rng(3)
    score = rng.normal(size=GRID.shape).astype(np.float32)
    score[:50] = np.nan
    quality = np.zeros(GRID.shape, np.uint16)
    area = gpd.GeoSeries([GRID.extent], crs=GRID.crs).to_crs(4326).iloc[0]
    results = RunResults(
        aoi=Aoi("place", "A <place>", Location("nowhere"), area, ("trench",), None),
        grid=GRID,
        changes=geo_table([change_row(s, id=f"c{i}") for i, s in enumerate(shapes)], CHANGE_COLUMNS, GRID.crs),
        detections=geo_table(
            [detection_row(s, change_id=f"c{i}") for i, s in enumerate(shapes)], DETECTION_COLUMNS, GRID.crs
        ),
        activity=table(
            [activity_row(), activity_row(count=None, area_m2=np.nan, status="obscured", clear_fraction=0.0)],
            ACTIVITY_COLUMNS,
        ),
        summary={"headline": ["1 trench"]},
        looks=(
            Look("b", SECOND, quality, score, GRID),
            Look("b2", SECOND, quality, score, GRID),
            Look("a", FIRST, quality, None, GRID),
        ),
        scene_records=({"id": "a"}, {"id": "b"}),
        provenance={"settings": {"detect": {"seed_sigma": 8.0}}, "timings_s": {"read": 1.5}},
    )
    return replace(results, **values)


def test_every_file_of_the_contract_is_written(tmp_path):
    write_outputs(tmp_path / "out", make_results(), ("gpkg", "fgb"))
    names = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert names == [
        "activity.csv",
        *("changes.fgb", "changes.geojson", "changes.gpkg"),
        *("detections.fgb", "detections.geojson"),
        *("run.json", "score/2024-10-05T022000Z-2.tif", "score/2024-10-05T022000Z.tif", "summary.json"),
        "zones.geojson",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_changes_carry_the_properties_of_the_contract(tmp_path):
    write_outputs(tmp_path / "out", make_results(simulated=True))
    data = json.loads((tmp_path / "out/changes.geojson").read_text())
    assert set(data) == {"type", "simulated", "activity", "features"}
    (feature,) = data["features"]
    assert feature["properties"] == {
        "id": "c0",
        "aoi": "place",
        "zone": None,
        "class": "trench",
        "status": "appeared",
        "absent_until": "2024-09-12T02:20:00Z",
        "first_seen": "2024-10-05T02:20:00Z",
        "last_seen": "2024-10-05T02:20:00Z",
        "gone_by": None,
        "n_seen": 1,
        "n_clear": 1,
        "count": 1,
        "looks": [["2024-09-12T02:20:00Z", "absent"], ["2024-10-05T02:20:00Z", "present"]],
        "score": 12.346,
        "confidence": 0.877,
        "area_m2": 100.0,
        "length_m": 25.0,
        "width_m": None,
        "orientation_deg": 0.0,
        "flags": ["small"],
        "simulated": True,
    }
    assert list(data["activity"][0]) == list(ACTIVITY_COLUMNS)
    assert data["activity"][1]["count"] is None


def test_activity_leaves_an_unseen_count_empty(tmp_path):
    write_outputs(tmp_path / "out", make_results())
    assert (tmp_path / "out/activity.csv").read_bytes().decode() == (
        "datetime,aoi,zone,class,count,area_m2,status,clear_fraction,scene_id\n"
        "2024-10-05T02:20:00Z,place,place,trench,1,100.0,clear,1.0,b\n"
        "2024-10-05T02:20:00Z,place,place,trench,,,obscured,0.0,b\n"
    )


def test_detections_are_linked_and_keep_what_the_rules_saw(tmp_path):
    write_outputs(tmp_path / "out", make_results())
    (feature,) = json.loads((tmp_path / "out/detections.geojson").read_text())["features"]
    values = feature["properties"]
    assert values["change_id"] == "c0"
    assert values["acquired"] == "2024-10-05T02:20:00Z"
    assert values["features"] == {"a": None, "b": 1.23457}


def test_same_results_twice_are_the_same_bytes(tmp_path):
    for name in ("x", "y"):
        write_outputs(tmp_path / name, make_results(3))
    files = [p.relative_to(tmp_path / "x") for p in (tmp_path / "x").rglob("*") if p.is_file()]
    assert files
    for file in files:
        assert (tmp_path / "x" / file).read_bytes() == (tmp_path / "y" / file).read_bytes(), file


def test_nothing_found_is_an_empty_collection_in_every_format(tmp_path):
    empty = make_results(0, activity=table([], ACTIVITY_COLUMNS), looks=(), scene_records=())
    write_outputs(tmp_path / "out", empty, ("gpkg", "fgb"))
    assert json.loads((tmp_path / "out/changes.geojson").read_text())["features"] == []
    for layer in ("changes", "detections", "activity"):
        assert len(gpd.read_file(tmp_path / "out/changes.gpkg", layer=layer)) == 0
        assert layer == "activity" or len(gpd.read_file(tmp_path / f"out/{layer}.fgb")) == 0
    assert (tmp_path / "out/activity.csv").read_text().count("\n") == 1


def test_other_formats_hold_the_same_features(tmp_path):
    write_outputs(tmp_path / "out", make_results(2), ("gpkg", "fgb"))
    for suffix in ("gpkg", "fgb"):
        layer = {"layer": "changes"} if suffix == "gpkg" else {}
        frame = gpd.read_file(tmp_path / f"out/changes.{suffix}", **layer).sort_values("id")
        assert list(frame["id"]) == ["c0", "c1"]
        assert frame["first_seen"].iloc[0] == SECOND
        assert json.loads(frame["flags"].iloc[0]) == ["small"]
        assert frame.crs.to_epsg() == 4326
        assert list(frame.columns) == [*CHANGE_PROPERTIES, "simulated", "geometry"]


def test_a_geopackage_tells_the_whole_story(tmp_path):
    pier = Zone("pier-1", box(131.7, 44.0, 131.8, 44.1), ("trench",))
    results = make_results(2)
    write_outputs(tmp_path / "out", replace(results, aoi=replace(results.aoi, zones=(pier,))), ("gpkg",))
    package = tmp_path / "out/changes.gpkg"
    assert [name for name, _ in pyogrio.list_layers(package)] == ["changes", "detections", "zones", "activity"]
    assert list(gpd.read_file(package, layer="detections")["change_id"]) == ["c0", "c1"]
    zones = gpd.read_file(package, layer="zones")
    assert list(zones["name"]) == ["place", "pier-1"]
    assert list(zones["kind"]) == ["aoi", "zone"]
    assert zones.geometry.iloc[1].equals(MultiPolygon([pier.geometry]))
    activity = pyogrio.read_dataframe(package, layer="activity", datetime_as_string=True)
    assert list(activity["status"]) == ["clear", "obscured"]
    assert activity["count"].isna().tolist() == [False, True]  # an unseen place is unknown, not zero
    zones_told = json.loads((tmp_path / "out/zones.geojson").read_text())["features"]
    assert [zone["properties"]["targets"] for zone in zones_told] == [["trench"], ["trench"]]


def test_parquet_is_written_or_names_the_extra(tmp_path):
    try:
        import pyarrow.parquet
    except ImportError:
        with pytest.raises(OutputError, match=r"pip install changedetect\[parquet\]"):
            write_outputs(tmp_path / "out", make_results(), ("parquet",))
        assert not (tmp_path / "out").exists()
        return
    write_outputs(tmp_path / "out", make_results(), ("parquet",))
    assert list(gpd.read_parquet(tmp_path / "out/changes.parquet")["id"]) == ["c0"]
    told = json.loads(pyarrow.parquet.read_schema(tmp_path / "out/changes.parquet").metadata[b"geo"])
    assert told["version"] == "1.1.0"
    assert "bbox" in told["columns"]["geometry"]["covering"]


def test_unknown_format_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UsageError, match="unknown format; found shp; needed any of geojson, gpkg, fgb, parquet"):
        write_outputs(tmp_path / "out", make_results(), ("shp",))
    assert not (tmp_path / "out").exists()


def test_score_is_a_valid_cog_that_keeps_place_values_and_gaps(tmp_path):
    results = make_results(simulated=True)
    write_outputs(tmp_path / "out", results)
    path = tmp_path / "out/score/2024-10-05T022000Z.tif"
    valid, errors, warnings = cog_validate(path)
    assert (valid, errors, warnings) == (True, [], [])
    with rasterio.open(path) as dataset:
        score = dataset.read(1)
        assert dataset.dtypes == ("float32",)
        assert np.isnan(dataset.nodata)
        assert dataset.overviews(1)
        assert dataset.transform == GRID.transform
        assert dataset.crs.to_epsg() == 32652
        assert dataset.tags()["simulated"] == "SIMULATED"
        assert dataset.tags()["acquired"] == "2024-10-05T02:20:00Z"
    assert np.array_equal(np.isnan(score), np.isnan(results.looks[0].score))
    assert np.nanmax(np.abs(score - results.looks[0].score)) <= 1 / 128


def test_scores_can_be_left_out(tmp_path):
    write_outputs(tmp_path / "out", make_results(), params=WriteParams(score=False))
    assert not (tmp_path / "out/score").exists()


def test_run_json_says_where_the_result_comes_from(tmp_path):
    write_outputs(tmp_path / "out", make_results())
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["program"] == "changedetect"
    assert record["simulated"] is False
    assert record["settings"] == {"detect": {"seed_sigma": 8.0}}
    assert record["scenes"] == [{"id": "a"}, {"id": "b"}]
    assert record["aoi"]["location"] == {"source": "nowhere", "accuracy_m": None, "verified": False}
    assert record["grid"]["gsd_m"] == 0.5


@pytest.mark.parametrize("suffix", ["geojson", "gpkg"])
def test_gdal_reads_the_outputs(tmp_path, suffix):
    write_outputs(tmp_path / "out", make_results(2), ("gpkg",))
    said = subprocess.run(
        ["ogrinfo", "-so", str(tmp_path / f"out/changes.{suffix}"), "changes"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Feature Count: 2" in said.stdout
    assert "first_seen: DateTime" in said.stdout
    assert "ERROR" not in said.stderr


def ring_area(ring):
    x, y = np.array(ring).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


def check_rfc7946(geometry):
    polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    for polygon in polygons:
        for i, ring in enumerate(polygon):
            assert ring[0] == ring[-1]
            assert len(ring) >= 4
            assert (ring_area(ring) > 0) == (i == 0), "exterior counter-clockwise, holes clockwise"
            for x, y in ring:
                assert -180 <= x <= 180
                assert -90 <= y <= 90
                assert (round(x, 7), round(y, 7)) == (x, y)
    assert shape(geometry).is_valid


def test_rings_follow_the_right_hand_rule_whatever_they_came_as():
    clockwise = Polygon([(0, 0), (0, 1), (1, 1), (1, 0)], [[(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)]])
    geometry = to_geometry(clockwise)
    check_rfc7946(geometry)
    assert geometry == to_geometry(clockwise.reverse()), "the same shape has the same bytes"
    both = to_geometry(MultiPolygon([clockwise, box(3, 3, 4, 4)]))
    assert both["type"] == "MultiPolygon"
    check_rfc7946(both)


def test_a_shape_that_rounding_makes_invalid_is_repaired():
    # a notch 4e-8 degrees wide closes on rounding: the ring then touches itself along a line
    notch = Polygon(
        [(0, 0), (1, 0), (1, 1), (0.50000002, 1), (0.50000002, 0.1), (0.49999998, 0.1), (0.49999998, 1), (0, 1)]
    )
    geometry = to_geometry(notch)
    check_rfc7946(geometry)
    assert shape(geometry).area == pytest.approx(1.0, abs=1e-6)
    bow_tie = to_geometry(Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]))
    check_rfc7946(bow_tie)
    assert shape(bow_tie).area == pytest.approx(0.5)


def test_a_shape_smaller_than_the_rounding_has_no_geometry():
    assert to_geometry(box(0, 0, 1e-9, 1e-9)) is None


def test_a_shape_across_the_antimeridian_is_cut():
    geometry = to_geometry(Polygon([(179.9, 0), (-179.9, 0), (-179.9, 1), (179.9, 1)]))
    check_rfc7946(geometry)
    assert geometry["type"] == "MultiPolygon"
    assert shape(geometry).area == pytest.approx(0.2)


def test_features_lie_where_the_pixels_were():
    results = make_results()
    (feature,) = to_features(results.changes, CHANGE_PROPERTIES, simulated=False)
    back = gpd.GeoSeries([shape(feature["geometry"])], crs=4326).to_crs(GRID.crs).iloc[0]
    assert back.hausdorff_distance(results.changes.geometry.iloc[0]) < 0.02


def test_numbers_that_json_lacks_become_null():
    assert to_plain({"a": float("inf"), "b": np.float32("nan"), "c": (np.int64(3), FIRST)}) == {
        "a": None,
        "b": None,
        "c": [3, "2024-09-12T02:20:00Z"],
    }
    with pytest.raises(OutputError, match="no plain form for JSON; found object"):
        to_plain(object())


def test_inputs_are_identified_by_content(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"abc")
    inputs = describe_inputs([tmp_path / "a.txt", str(tmp_path / "a.txt"), "https://example.org/x.tif"])
    assert [entry["size_bytes"] for entry in inputs] == [3, None]
    assert inputs[0]["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert set(library_versions()) >= {"changedetect", "python", "numpy", "rasterio"}


def test_decimals_are_declared_for_every_measured_property():
    measured = {name for name, kind in (CHANGE_COLUMNS | DETECTION_COLUMNS).items() if kind == "float64"}
    assert measured <= set(write_geojson.DECIMALS)

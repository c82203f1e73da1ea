import json
from pathlib import Path

import pytest
import yaml

from changedetect.core.aoi import Aoi
from changedetect.errors import ConfigError
from changedetect.io.aoi_file import load_aoi

ROOT = Path(__file__).parents[2]
SQUARE = {"type": "Polygon", "coordinates": [[[131, 44], [131.01, 44], [131.01, 44.01], [131, 44.01], [131, 44]]]}
GOOD = {
    "name": "place",
    "location": {"source": "test"},
    "geometry": SQUARE,
    "targets": ["trench", "hut"],
    "scenes": {"files": "*.tif"},
}


def write(tmp_path: Path, change: dict) -> Path:
    path = tmp_path / "aoi.yaml"
    data = {k: v for k, v in (GOOD | change).items() if v is not None}
    path.write_text(yaml.safe_dump(json.loads(json.dumps(data))))  # a copy, so that nothing becomes an alias
    return path


@pytest.mark.parametrize("path", sorted((ROOT / "aoi").glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_places_load_and_admit_what_is_not_known(path):
    aoi = load_aoi(path)
    assert aoi.name == path.stem
    assert aoi.location.source
    assert not aoi.location.verified


def test_lifarevka_never_presents_a_guess_as_a_place():
    aoi = load_aoi(ROOT / "aoi" / "lifarevka.yaml")
    assert "stand-in" in aoi.location.source
    assert aoi.location.accuracy_m is None


def test_defaults(tmp_path):
    aoi = load_aoi(write(tmp_path, {}))
    assert isinstance(aoi, Aoi)
    assert aoi.title == "place"
    assert aoi.zones == ()
    assert aoi.baseline_until is None
    assert [z.name for z in aoi.all_zones] == ["place"]


def test_a_baseline_date_lasts_to_its_end(tmp_path):
    aoi = load_aoi(write(tmp_path, {"baseline": {"until": "2024-09-30"}}))
    assert aoi.baseline_until.isoformat().startswith("2024-09-30T23:59:59")
    unquoted = tmp_path / "b.yaml"
    unquoted.write_text(write(tmp_path, {}).read_text() + "baseline: {until: 2024-09-30}\n")
    assert load_aoi(unquoted).baseline_until == aoi.baseline_until


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"titel": "x"}, "aoi.yaml: unknown key 'titel'; needed one of .*title.*try: title"),
        ({"name": "../evil"}, r"name: has a wrong value; found '\.\./evil'; needed 1 to 64 of a-z"),
        ({"name": "a/b"}, "name: has a wrong value"),
        ({"name": 7}, "name: has a wrong value; found 7"),
        ({"location": None}, "'location' is missing"),
        ({"location": {"source": "x", "acuracy_m": 3}}, "location: unknown key 'acuracy_m'"),
        ({"targets": ["trench", "tank"]}, "targets.1: has a wrong value; found 'tank'; needed 'trench', 'hut'"),
        ({"targets": []}, "targets: is empty"),
        ({"scenes": None}, "'scenes' is missing"),
        ({"geometry": {"type": "Point", "coordinates": [131, 44]}}, "must be a polygon with an area; found Point"),
        ({"geometry": {"type": "Polygon"}}, "is not a GeoJSON geometry"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}}, "Self-inter"),
        ({"geometry": {"type": "Polygon", "coordinates": []}}, "must be a polygon with an area"),
        (
            {"geometry": {"type": "Polygon", "coordinates": [[[179, 1], [-179, 1], [-179, 2], [179, 2], [179, 1]]]}},
            "crosses the antimeridian",
        ),
        (
            {"geometry": {"type": "Polygon", "coordinates": [[[44, 131], [45, 131], [45, 132], [44, 132], [44, 131]]]}},
            "is not longitude and latitude",
        ),
        ({"geometry": "missing.gpkg"}, "no such file"),
        ({"baseline": {"until": "September"}}, "baseline.until: is not a date; found September"),
        ({"baseline": {"until": "2024-09-30T01:00:00"}}, "needs a time zone; .*try: 2024-09-30T01:00:00Z"),
        ({"zones": [{"name": "place", "geometry": SQUARE}]}, r"zones\[0\].name: has a wrong value.*not used before"),
        ({"zones": [{"name": "z", "geom": SQUARE}]}, r"zones\[0\]: unknown key 'geom'"),
    ],
)
def test_refusals_name_file_key_and_what_is_allowed(tmp_path, change, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_aoi(write(tmp_path, change))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: &x [1]\nb: *x\n", r"line 2, column 4: is not plain YAML: aliases \(\*x\) are not allowed"),
        ("a: !!python/object/apply:os.system ['true']\n", "is not plain YAML: could not determine a constructor"),
        ("a: 1\na: 2\n", "the key 'a' is given twice"),
        ("a: [1\n", "is not plain YAML"),
        ("[1, 2]", "is a mapping of keys"),
        ("", "is a mapping of keys"),
        ("name: .inf\ntargets: []", "numbers must be finite"),
        ("? [a, b]\n: 1\n", "keys must be plain text"),
        ("a: " + "[" * 3000 + "]" * 3000, "is not plain YAML"),
    ],
)
def test_yaml_that_means_more_than_it_says_is_refused(tmp_path, text, sentence):
    path = tmp_path / "aoi.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        load_aoi(path)


def test_files_that_are_no_files(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_aoi(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        load_aoi(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_aoi(tmp_path / "bytes.yaml")


def test_geometry_from_a_vector_file(tmp_path):
    import geopandas as gpd
    from shapely.geometry import shape

    gpd.GeoDataFrame(geometry=[shape(SQUARE)], crs=4326).to_crs(32652).to_file(tmp_path / "area.gpkg")
    aoi = load_aoi(write(tmp_path, {"geometry": "area.gpkg"}))
    assert aoi.geometry.symmetric_difference(shape(SQUARE)).area < 1e-9

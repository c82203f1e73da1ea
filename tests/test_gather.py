from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from shapely.geometry import box

from changedetect.core.aoi import Aoi, Location
from changedetect.core.scene import Scene
from changedetect.errors import ConfigError, DataError, NothingToDoError
from changedetect.gather import RunOptions, load_place, split_baseline

AREA = box(131.0, 44.0, 131.02, 44.01)
AOI = Aoi("a", "A", Location("test"), AREA, ("trench",), [])
START = datetime(2024, 9, 1, tzinfo=UTC)


def scenes(*days):
    return [Scene(str(d), START + timedelta(days=d), (), 3.0, AREA) for d in days]


def write_aoi(tmp_path, scenes="{simulate: {scenario: training-ground}}"):
    path = tmp_path / "a.yaml"
    path.write_text(
        "name: a\nlocation: {source: test}\ntargets: [trench]\n"
        "geometry: {type: Polygon, "
        "coordinates: [[[131, 44], [131.02, 44], [131.02, 44.01], [131, 44.01], [131, 44]]]}\n"
        f"scenes: {scenes}\n"
    )
    return path


def test_the_first_scene_is_the_baseline_by_default():
    assert split_baseline(AOI, scenes(0, 1, 2)) == [True, False, False]


def test_all_scenes_up_to_the_date_are_the_baseline():
    until = replace(AOI, baseline_until=START + timedelta(days=1))
    assert split_baseline(until, scenes(0, 1, 2)) == [True, True, False]


def test_scenes_on_one_side_of_the_baseline():
    early, late = START - timedelta(days=9), START + timedelta(days=9)
    with pytest.raises(
        DataError, match=r"no scene was acquired up to baseline\.until; found the first is of 2024-09-01"
    ):
        split_baseline(replace(AOI, baseline_until=early), scenes(0, 1))
    with pytest.raises(NothingToDoError, match="no scene was acquired after the baseline"):
        split_baseline(replace(AOI, baseline_until=late), scenes(0, 1))
    with pytest.raises(NothingToDoError, match="after the baseline"):
        split_baseline(AOI, scenes(0))


def test_scenes_on_the_command_line_replace_the_block(tmp_path):
    path = write_aoi(tmp_path)
    aoi, _ = load_place(path, RunOptions(scenes=str(tmp_path)))
    assert aoi.scenes == {"files": str(tmp_path)}
    other = tmp_path / "other.yaml"
    other.write_text("scenes: [{path: x.tif}]\n")
    aoi, _ = load_place(path, RunOptions(scenes=str(other)))
    assert aoi.scenes == [{"path": "x.tif"}]
    aoi, _ = load_place(path, RunOptions(scenes="https://example.org/stac"))
    assert aoi.scenes == {"stac": "https://example.org/stac"}


def test_simulation_settings_on_the_command_line(tmp_path):
    aoi, _ = load_place(write_aoi(tmp_path), RunOptions(sets=("simulate.seed=11",)))
    assert aoi.scenes["simulate"] == {"scenario": "training-ground", "seed": 11}


@pytest.mark.parametrize(
    ("block", "sets", "sentence"),
    [
        ("{simulate: {scenario: circus}}", (), "simulate.*scenario: has a wrong value; found 'circus'"),
        ("{simulate: {scenario: training-ground, sed: 1}}", (), "simulate: unknown key 'sed'"),
        ("{simulate: {scenario: training-ground}, files: x}", (), "has keys beside 'simulate'"),
        ("{folder: x}", (), "scenes: has a wrong value; .*needed a list of scenes"),
        ("3", (), "scenes: has a wrong value; found int"),
        ("{files: x}", ("simulate.seed=3",), "--set simulate: applies to simulated scenes alone"),
    ],
)
def test_refusals(tmp_path, block, sets, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_place(write_aoi(tmp_path, block), RunOptions(sets=sets))

from pathlib import Path

import pytest
from shapely.geometry import box

from changedetect.config import Config, configs_dir, load_config, parse_sets, preset_name
from changedetect.core.aoi import Aoi, Location
from changedetect.core.validate import validated
from changedetect.errors import ConfigError


def aoi(targets=("trench",), **other):
    return Aoi("a", "A", Location("test"), box(131, 44, 131.1, 44.1), targets, [], source_path="a.yaml", **other)


@pytest.mark.parametrize(
    ("targets", "preset"),
    [
        (("vessel", "equipment"), "port"),
        (("trench", "hut", "equipment"), "training-ground"),
        (("aircraft",), "airfield"),
        (("crowd",), "parade-ground"),
        (("other",), "general"),
    ],
)
def test_targets_choose_the_preset(targets, preset):
    assert preset_name(aoi(targets)) == preset
    assert load_config(aoi(targets)) == load_config(aoi(targets, preset=preset))


@pytest.mark.parametrize("path", sorted(configs_dir().glob("*.yaml")), ids=lambda p: p.stem)
def test_every_preset_loads(path):
    if path.stem != "sensors":
        assert isinstance(load_config(aoi(preset=path.stem)), Config)


def test_the_last_of_preset_aoi_and_set_wins():
    place = aoi(settings={"grid": {"gsd_m": 2.0, "halo_m": 5.0}})
    config = load_config(place, ["grid.gsd_m=4", "detect.seed_sigma=11"])
    assert config.grid.gsd_m == 4.0
    assert config.grid.halo_m == 5.0
    assert config.detect.seed_sigma == 11.0


def test_nested_settings_are_reached():
    config = load_config(aoi(), ["classify.ground.hut_min_fill=0.7"])
    assert config.classify.ground.hut_min_fill == 0.7
    assert parse_sets(["a.b=[1, 2]", "a.c=x"]) == {"a": {"b": [1, 2], "c": "x"}}


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        (["grid.gsd=4"], "--set: grid: unknown key 'gsd'; needed one of .*gsd_m.*try: gsd_m"),
        (["gird.gsd_m=4"], "--set: unknown key 'gird'; .*try: grid"),
        (["grid.gsd_m=-1"], "--set: grid.gsd_m.*: has a wrong value; found -1; needed greater than 0"),
        (["grid.halo_m=wide"], "--set: grid.halo_m: has a wrong value; found 'wide'"),
        (["grid.halo_m=yes"], "--set: grid.halo_m: has a wrong value; found True"),
        (["grid.halo_m"], "--set: is not a setting; found grid.halo_m; needed step.key=value"),
        (["grid=3"], "--set: is not a setting"),
        (["grid.halo_m=[1"], "--set grid.halo_m.*is not plain YAML"),
        (["grid.halo_m=.nan"], "numbers must be finite; found nan"),
    ],
)
def test_refusals_name_key_and_what_is_allowed(sets, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_config(aoi(), sets)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"a\.yaml: preset: no such preset; found harbour; needed airfield, general"):
        load_config(aoi(preset="harbour"))


def test_a_wrong_setting_in_the_aoi_file_names_that_file():
    with pytest.raises(ConfigError, match=r"a\.yaml: settings: detect: unknown key 'seed'"):
        load_config(aoi(settings={"detect": {"seed": 9}}))


def test_settings_are_plain_data_for_provenance():
    import json

    data = json.loads(json.dumps(load_config(aoi()).as_dict()))
    assert data["grid"]["halo_m"] == 30.0


def test_validated_wants_a_mapping():
    with pytest.raises(ConfigError, match="must be a mapping"):
        validated(Config, [1], "x")


def test_presets_lie_beside_the_package():
    assert (configs_dir() / "sensors.yaml").is_file()
    assert isinstance(configs_dir(), Path)

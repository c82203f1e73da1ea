from datetime import UTC, datetime

import pytest
from shapely.geometry import box

from changedetect.core.comparable import colours_of, is_structure_only, why_not_compared
from changedetect.core.scene import Asset, Scene


def scene(unit="sigma0", sensor="sentinel-1-rtc", **fields):
    return Scene("s", datetime(2024, 9, 1, tzinfo=UTC), (), 10.0, box(0, 0, 1, 1), sensor=sensor, unit=unit, **fields)


def test_optical_scenes_are_compared():
    assert why_not_compared(scene("reflectance", "a"), scene("display", "b")) is None
    assert is_structure_only(scene("reflectance"), scene("display"))
    assert not is_structure_only(scene("display"), scene("display"))
    assert not is_structure_only(scene("dn"), scene("reflectance"))


def test_the_same_relative_orbit_alone():
    reference = scene(relative_orbit=61)
    assert why_not_compared(scene("db", relative_orbit=61), reference) is None, "power and decibel are one"
    assert why_not_compared(scene(relative_orbit=134), reference) == (
        "not comparable: radar of another relative orbit (134 against 61)"
    )
    assert "relative orbit of the radar is not known" in why_not_compared(scene(), reference)
    assert "radar and optical images" in why_not_compared(scene("reflectance"), reference)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"look_side": "right"}, None),
        ({"look_side": "right", "orbit_state": "ascending", "off_nadir_deg": 44}, None),
        ({}, "the look side of the radar is not known"),
        ({"look_side": "left"}, r"looking to the other side (left against right)"),
        ({"look_side": "right", "orbit_state": "descending"}, "the other direction of flight (descending)"),
        ({"look_side": "right", "off_nadir_deg": 60}, "at another incidence (20 degrees apart)"),
        ({"look_side": "right", "sensor": "capella-geo"}, "another kind (capella-geo against umbra-gec)"),
    ],
)
def test_the_same_look_side_alone(fields, sentence):
    reference = scene("amplitude", "umbra-gec", look_side="right", orbit_state="ascending", off_nadir_deg=40)
    reason = why_not_compared(scene("amplitude", **{"sensor": "umbra-gec", **fields}), reference)
    assert reason is None if sentence is None else sentence in reason


def test_colours_are_those_that_every_scene_has():
    colours = ("red", "green", "blue")
    full, grey = (
        Scene(
            "s",
            datetime(2024, 9, 1, tzinfo=UTC),
            tuple(Asset(band, ("a.tif",)) for band in bands),
            10.0,
            box(0, 0, 1, 1),
        )
        for bands in (("nir", *colours), ("pan",))
    )
    assert colours_of([full, full]) == colours
    assert colours_of([full, grey]) is None

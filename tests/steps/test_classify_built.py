"""A bare rectangle that came and throws a new shadow is a building; what lacks any of it is not told by this."""

from __future__ import annotations

import pytest

from changedetect.steps.classify.built import BuiltParams, is_newly_built, is_tip_of_shadow

HUT = {
    "fill": 0.9,
    "rect_width_m": 7.0,
    "inner_width_m": 6.5,
    "casts": 0.75,
    "edges_before": 0.0,
    "edges_after": 0.84,
    "ndvi_after": 0.17,
    "moved_shadow": 0.0,
}


def told(status: str = "appeared", **changes: float) -> bool:
    return is_newly_built({"status": status, "features": HUT | changes}, BuiltParams())


def test_a_hut_in_the_colour_of_the_field_is_told_by_its_shadow() -> None:
    assert told()


@pytest.mark.parametrize(
    "change",
    [
        {"fill": 0.7},  # ragged
        {"casts": 0.2},  # flat: a plot that was worked
        {"casts": -0.5},  # the shade lies towards the sun
        {"cast_before": 0.88},  # a crown that turned: it threw one before
        {"edges_before": 0.8},  # it stood there
        {"ndvi_after": 0.7},  # a crown in leaf
        {"inner_width_m": 2.4},  # a lorry
        {"moved_shadow": 0.8},
    ],
)
def test_what_is_no_new_building_is_not(change: dict[str, float]) -> None:
    assert not told(**change)


def test_only_what_appeared_was_built() -> None:
    assert not told("modified")
    assert not told("disappeared")


def test_without_sun_angles_nothing_is_told() -> None:
    unknown = {name: value for name, value in HUT.items() if name not in ("casts", "moved_shadow")}
    assert not is_newly_built({"status": "appeared", "features": unknown}, BuiltParams())


@pytest.mark.parametrize(
    ("change", "is_tip"),
    [
        ({}, True),
        ({"casts": 0.75}, False),  # it throws its own, away from the sun
        ({"shadow_fraction": 0.8}, False),  # part of it has another colour
    ],
)
def test_shade_that_goes_on_towards_the_sun_is_the_tip_of_a_shadow(change: dict[str, float], is_tip: bool) -> None:
    tip = HUT | {"casts": -0.35, "shadow_fraction": 1.0} | change
    assert is_tip_of_shadow({"status": "appeared", "features": tip}, BuiltParams()) == is_tip
    assert not is_tip_of_shadow({"status": "modified", "features": tip}, BuiltParams())

"""An even change all over a bare rectangle that was built before is a new cover; anything less is not."""

from __future__ import annotations

import pytest

from changedetect.steps.classify.cover import CoverParams, is_covered_anew, is_recoloured, is_reshaded, is_same_roof

ROOF = {
    "fill": 0.9,
    "rect_length_m": 14.0,
    "rect_width_m": 7.0,
    "visible_change": -0.6,
    "evenness": 12.0,
    "ndvi_before": 0.08,
    "ndvi_after": 0.3,
    "local_sigma": 8.0,
    "patch_sigma": 20.0,
    "moved_shadow": 0.0,
    "contrast_before": 0.1,
    "contrast_after": 0.1,
}


def told(status: str = "modified", **changes: float) -> bool:
    return is_covered_anew({"status": status, "features": ROOF | changes}, CoverParams())


def test_darker_and_lighter_sheets_are_told() -> None:
    assert told()
    assert told(visible_change=0.5)


@pytest.mark.parametrize(
    "change",
    [
        {"fill": 0.75},  # a crown
        {"rect_length_m": 5.5},  # another car
        {"rect_width_m": 3.5},  # a track in shadow
        {"visible_change": 0.2},  # the sun's way
        {"evenness": 3.0},  # half of it in shadow
        {"ndvi_before": 0.7},  # a plot that was ploughed
        {"ndvi_after": 0.6},
        {"ndvi_before": -0.21},  # a pond that froze
        {"local_sigma": 4.0},
        {"patch_sigma": 4.0},
        {"moved_shadow": 0.6},
        {"status": "appeared"},
        {"status": "disappeared"},
    ],
)
def test_less_than_that_is_not(change: dict) -> None:
    assert not told(**change)


@pytest.mark.parametrize(
    ("visible", "nir", "red_blue", "same"), [(0.19, 0.04, 0.1, True), (0.17, 0.26, 0.0, False), (-0.1, 0.0, 0.4, False)]
)
def test_a_roof_a_little_brighter_in_every_band_is_the_same(
    visible: float, nir: float, red_blue: float, same: bool
) -> None:
    features = {"visible_change": visible, "nir_change": nir, "red_blue_change": red_blue}
    row = {"status": "modified", "gsd_m": 0.5, "features": features}
    assert is_same_roof(row, CoverParams()) == same
    assert not is_same_roof(row | {"status": "appeared"}, CoverParams())
    assert not is_same_roof(row | {"gsd_m": 3.0}, CoverParams())


RECOLOURED = ROOF | {"visible_change": 0.05, "evenness": 0.5, "own_colour": 0.13, "own_colour_evenness": 12.0}


@pytest.mark.parametrize(
    "change",
    [
        {"own_colour": 0.05},  # another light
        {"own_colour_evenness": 3.0},  # half of it in shadow
        {"ndvi_before": 0.25, "ndvi_after": 0.45},  # a patch that came up
        {"ndvi_before": -0.2},  # a pond
        {"rect_length_m": 8.5},
        {"rect_length_m": 22.8, "rect_width_m": 5.9},  # a piece of a road
        {"rect_width_m": 3.5},
        {"fill": 0.7},
        {"moved_shadow": 0.5},
    ],
)
def test_a_roof_of_another_colour_is_told_though_it_is_as_bright_against_the_ground(change: dict) -> None:
    assert is_recoloured({"status": "modified", "features": RECOLOURED}, CoverParams())
    assert told(**RECOLOURED)
    assert not is_recoloured({"status": "modified", "features": RECOLOURED | change}, CoverParams())
    assert not is_recoloured({"status": "appeared", "features": RECOLOURED}, CoverParams())


def test_a_roof_of_another_colour_is_not_the_same_in_another_light() -> None:
    features = RECOLOURED | {"nir_change": 0.1, "red_blue_change": 0.15}
    row = {"status": "modified", "gsd_m": 0.5, "features": features}
    assert not is_same_roof(row, CoverParams())
    assert is_same_roof(row | {"features": features | {"own_colour": 0.03}}, CoverParams())


def test_a_roof_that_became_brighter_is_told_though_the_fields_did_too() -> None:
    lit = {"visible_change": 0.1, "own_light": 0.6, "own_light_evenness": 10.0}
    assert told(**lit)
    assert not told(**lit | {"own_light": 0.2})
    assert not told(**lit | {"own_light_evenness": 2.0})


RESHADED = ROOF | {
    "visible_change": 0.1,
    "local_sigma": 1.0,
    "own_light": 0.45,
    "own_light_evenness": 7.0,
    "own_colour": 0.02,
    "own_colour_evenness": 2.0,
    "contrast_before": 0.6,
    "contrast_after": 0.4,
}


@pytest.mark.parametrize(
    "change",
    [
        {"own_light": 0.3},  # the sun's way
        {"own_light_evenness": 3.0},
        {"contrast_after": 0.1},  # bare ground
        {"contrast_before": 0.06},
        {"own_light": -0.6, "own_colour": 0.09},  # in shade, and as much bluer
        {"own_colour": 0.07},  # out of shade
        {"rect_length_m": 8.5},
        {"fill": 0.7},
        {"moved_shadow": 0.5},
    ],
)
def test_a_roof_of_another_shade_is_told_though_it_stands_out_as_it_did(change: dict) -> None:
    params = CoverParams()
    assert is_reshaded({"status": "modified", "features": RESHADED}, params)
    assert told(**RESHADED)
    assert not is_reshaded({"status": "modified", "features": RESHADED | change}, params)
    assert not is_reshaded({"status": "appeared", "features": RESHADED}, params)


@pytest.mark.parametrize("colour", [0.03, 0.17])
def test_a_darker_roof_that_is_not_as_much_bluer_as_shade_is_was_covered_anew(colour: float) -> None:
    assert is_reshaded(
        {"status": "modified", "features": RESHADED | {"own_light": -0.6, "own_colour": colour}}, CoverParams()
    )


def test_a_roof_of_another_shade_is_not_the_same_in_another_light() -> None:
    features = RESHADED | {"nir_change": 0.1, "red_blue_change": 0.15}
    assert not is_same_roof({"status": "modified", "gsd_m": 0.5, "features": features}, CoverParams())

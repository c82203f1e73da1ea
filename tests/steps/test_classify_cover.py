"""An even change all over a bare rectangle that was built before is a new cover; anything less is not."""

from __future__ import annotations

import pytest

from changedetect.steps.classify.cover import CoverParams, is_covered_anew, is_same_roof

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

"""A trench has a floor: in its banks, beside them, or bending alone; bare strips and straight shadows have none."""

from __future__ import annotations

import pytest

from changedetect.steps.classify.dug import DugParams, is_dug

BANKS = {
    "inner_width_m": 7.0,
    "slot_fraction": 0.24,
    "slot_depth": -0.6,
    "edges_after": 0.95,
    "bright_fraction": 0.7,
    "dark_fraction": 0.1,
    "fill": 0.65,
    "rim_dark": 0.0,
}
FLOOR = BANKS | {"inner_width_m": 1.7, "slot_fraction": 0.95, "bright_fraction": 0.0, "dark_fraction": 0.95}


def dug(features: dict[str, float], status: str = "appeared", gsd_m: float = 0.5) -> bool:
    return is_dug({"status": status, "gsd_m": gsd_m, "features": features}, DugParams())


@pytest.mark.parametrize(
    "features",
    [
        BANKS,
        BANKS | {"slot_fraction": 0.0, "slot_depth": 0.2},  # one bank: the floor runs along its rim
        BANKS | {"slot_fraction": 0.0, "slot_depth": 0.08, "rim_dark": 0.46},  # the floor was cut off as its shadow
        BANKS | {"slot_depth": 0.0},  # the floor runs along the middle of neither
        FLOOR | {"fill": 0.3},  # a floor alone, in legs
        FLOOR | {"fill": 0.7, "bright_fraction": 0.2},  # straight, with earth beside it
        FLOOR | {"fill": 0.7, "dark_fraction": 0.3},  # a bank alone
    ],
)
def test_what_has_a_floor_may_be_a_trench(features: dict[str, float]) -> None:
    assert dug(features)


@pytest.mark.parametrize(
    "features",
    [
        BANKS | {"slot_fraction": 0.0, "slot_depth": 0.01, "rim_dark": 0.05},  # a strip that was ploughed
        BANKS | {"edges_after": 0.07},  # soil that dried
        FLOOR | {"fill": 0.67},  # the shadow of a hedge that grew
    ],
)
def test_what_lacks_one_is_none(features: dict[str, float]) -> None:
    assert not dug(features)
    assert dug(features, status="disappeared")
    assert dug(features, gsd_m=3.0)

"""At 3 m what is broad and changed alike all over is a field: trenches have floors, vehicles have gaps between them."""

from __future__ import annotations

import numpy as np
import pytest

from changedetect.steps.classify import ground
from changedetect.steps.classify.even import EvenParams, is_even
from changedetect.steps.classify.forest import load_forest
from changedetect.steps.classify.ground import GroundParams, learned_confidence
from changedetect.steps.classify.learned import MEASURED

STRIP = {"inner_width_m": 10.18, "change_spread": 0.06, "slot_depth": 0.05}


def even(gsd_m: float = 3.0, **changes: float) -> bool:
    return is_even({"gsd_m": gsd_m, "features": STRIP | changes}, EvenParams())


def test_a_strip_that_was_sown_is_even() -> None:
    assert even()


@pytest.mark.parametrize(
    "changes",
    [
        {"change_spread": 0.13},  # a trench that broad: its floor is darker than its banks
        {"slot_depth": -0.16},  # vehicles: their middle and their flanks differ
        {"inner_width_m": 9.0},  # three pixels: all are mixed with the ground beside them
        {"gsd_m": 0.5},  # other rules look for the floor itself
        {"gsd_m": 1.0, "inner_width_m": 3.9},  # no broader than one bank
    ],
)
def test_what_shows_parts_or_could_not_is_not(changes: dict[str, float]) -> None:
    assert not even(**changes)


def test_an_even_strip_is_neither_trench_nor_equipment(monkeypatch: pytest.MonkeyPatch) -> None:
    forest = load_forest("ground")
    equal = np.full((2, len(forest.classes)), 1 / len(forest.classes))
    monkeypatch.setattr(ground, "class_shares", lambda *_: equal)
    monkeypatch.setattr(ground, "calibrate", lambda *_: equal)
    strip = dict.fromkeys(MEASURED, 0.0) | STRIP | {
        "rect_length_m": 60.0, "rect_width_m": 11.0, "path_m": 57.0, "aspect": 5.4, "fill": 0.7, "sharpness": 0.4,
        "edges_after": 0.9, "high_sigma": 7.0, "ndvi_before": 0.3, "ndvi_after": 0.3,
    }  # fmt: skip
    row = {"gsd_m": 3.0, "area_m2": 510.0, "status": "appeared", "flags": (), "features": strip}
    floor = row | {"features": strip | {"change_spread": 0.2}}
    (as_strip, as_trench) = learned_confidence([row, floor], GroundParams(min_chance=0.0))
    assert as_strip is not None
    assert as_trench is not None
    assert as_strip["trench"] == as_strip["equipment"] == 0.0
    assert min(as_trench["trench"], as_trench["equipment"]) > 0.2

"""Aircraft: winged outlines on an apron."""

import numpy as np
import pytest
from presence_kit import CONCRETE, GRASS, WHITE, airframe, grid, outlines, paint, pair
from shapely.geometry import box

from changedetect.steps.classify.aircraft import AircraftParams, propose

GRID = grid()
PARAMS = AircraftParams()


def judged(outline, *layers, ground=CONCRETE, score=20.0):
    before = paint(GRID, (None, ground))
    after = paint(GRID, (None, ground), *layers, rng=np.random.default_rng(6))
    return propose(outlines(outline).assign(score=score), *pair(GRID, before, after), PARAMS).iloc[0]


@pytest.mark.parametrize("turn_deg", [0.0, 30.0, 75.0])
@pytest.mark.parametrize("size_m", [28.0, 46.0, 70.0])
def test_a_transport_on_the_apron_is_an_aircraft(size_m, turn_deg):
    plane = airframe(150, 150, size_m, 1.07 * size_m, turn_deg)
    row = judged(plane.buffer(1.0), (plane, WHITE))
    assert row["confidence"] > 0.5
    assert (row["count"], row["flags"]) == (1, ())


def test_two_that_touch_are_two():
    row_of_two = airframe(120, 150).union(airframe(172, 150)).buffer(1.5)
    row = judged(row_of_two, (row_of_two, WHITE))
    assert (row["count"], row["count_low"], row["count_high"]) == (2, 1, 3)
    assert row["flags"] == ("touching",)
    assert row["confidence"] > 0.5
    assert judged(row_of_two, (row_of_two, WHITE), score=8.0)["confidence"] == 0


def test_a_solid_square_a_lorry_and_a_runway_repair_are_not():
    hangar, lorry, strip = box(120, 120, 165, 160), box(150, 150, 162, 153), box(20, 150, 280, 165)
    for thing in (hangar, lorry, strip):
        assert judged(thing, (thing, WHITE))["confidence"] < 0.1


def test_on_grass_it_is_not_parked():
    plane = airframe(150, 150)
    assert judged(plane, (plane, WHITE), ground=GRASS)["confidence"] == 0


def test_no_change_of_brightness_is_no_aircraft():
    assert judged(airframe(150, 150))["confidence"] < 0.2

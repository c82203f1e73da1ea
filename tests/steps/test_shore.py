"""Shores beside ships: bared banks, reeds and dams are none; what lies at a quay, or is plainly a hull, may be one."""

import numpy as np
import pytest
from presence_kit import CONCRETE, GRASS, HULL, WATER, grid, hull, outlines, paint, pair
from shapely.geometry import LineString, Polygon, box

from changedetect.steps.classify.shore import ShoreParams, look_at_shores, tell_ship_from_shore
from changedetect.steps.classify.vessel import VesselParams, propose
from changedetect.steps.classify.water import WaterParams, look_at_water

GRID = grid(px=160)
MUD = (0.16, 0.19, 0.21, 0.22)
SOIL = (0.15, 0.18, 0.2, 0.21)
X = np.arange(-60, 560, 5.0)
BANK = 340 + 25 * np.sin(X / 35.0)
"""Water's edge of a natural shore, which winds; land lies north of it."""
SHORE = Polygon([*zip(X, BANK, strict=True), (560, 600), (-60, 600)])
STRAIGHT = box(-10, 340, 500, 500)


def bared(low: float, high: float, width_m: float):
    """A strip of bank between two eastings."""
    at = np.abs(X - (low + high) / 2) <= (high - low) / 2
    return LineString(list(zip(X[at], BANK[at], strict=True))).buffer(width_m, cap_style="flat").difference(SHORE)


def judged(thing, colour, land=SHORE, ground=SOIL, more=()):
    before = ((None, WATER), (land, ground))
    first, after = paint(GRID, *before), paint(GRID, *before, *more, (thing, colour), rng=np.random.default_rng(6))
    raster, baseline = pair(GRID, first, after)
    return propose(outlines(thing.buffer(1.0)), raster, baseline, VesselParams()).iloc[0]["confidence"]


def may_be_ship(thing, colour, land, ground=SOIL, sides=(120.0, 20.0, 0.85)):
    before = ((None, WATER), (land, ground))
    first, after = paint(GRID, *before), paint(GRID, *before, (thing, colour), rng=np.random.default_rng(6))
    raster, baseline = pair(GRID, first, after)
    shores = look_at_shores(raster, baseline, look_at_water(raster, baseline, WaterParams()), ShoreParams())
    rows, cols = np.nonzero(paint(GRID, (None, (0.0,) * 4), (thing, (1.0,) * 4))[0] > 0.5)
    return tell_ship_from_shore(np.stack([rows, cols], axis=1), sides, shores, ShoreParams())


@pytest.mark.parametrize("low", [60.0, 140.0, 250.0])
def test_a_bared_bank_is_no_vessel(low):
    assert judged(bared(low, low + 90, 18), MUD) < 0.3


def test_a_bank_bared_all_around_is_no_vessel_even_where_it_has_the_shape_of_one():
    everywhere = ((bared(-60, 560, 16), MUD),)
    ship = hull(240, 300, 110, 18)
    assert judged(ship, MUD, more=everywhere) < 0.3
    assert judged(ship, HULL) > 0.6


def test_reeds_at_a_straight_shore_are_no_vessel():
    assert judged(box(180, 322, 290, 340), GRASS, STRAIGHT) == 0
    assert judged(box(180, 322, 290, 340), HULL, STRAIGHT, CONCRETE) > 0.8


def test_a_dam_is_no_vessel_and_a_ship_between_the_same_shores_is():
    land = box(-10, -10, 150, 500).union(box(330, -10, 500, 500))
    assert may_be_ship(box(150, 230, 330, 252), MUD, land) == 0
    assert may_be_ship(hull(240, 240, 120, 20), HULL, land) > 0.6


def test_a_ship_lies_along_a_quay_or_with_the_stern_to_it():
    assert may_be_ship(hull(240, 328, 120, 20), HULL, STRAIGHT) == 1
    assert may_be_ship(hull(240, 276, 120, 20, 90.0), HULL, STRAIGHT) == 1


@pytest.mark.parametrize("length_m", [117.0, 120.0])
def test_a_quay_is_straight_beside_odd_and_even_numbers_of_pixels(length_m):
    # hulls without a bow: their long axis runs along the pixels, the middle of the even one between two of them
    assert may_be_ship(box(180, 321, 180 + length_m, 339), MUD, STRAIGHT, sides=(length_m, 18.0, 1.0)) == 1


@pytest.mark.parametrize(
    ("length_m", "width_m", "may_be"),
    [(66.0, 14.0, 1.0), (66.0, 25.0, 0.0), (110.0, 38.0, 0.7)],  # slender; a strip of dry shore; long and blurred
)
def test_at_a_quay_only_a_hull_s_shape_in_the_shore_s_colours_is_a_ship(length_m, width_m, may_be):
    thing = box(240 - length_m / 2, 340 - width_m, 240 + length_m / 2, 340)
    sides = (length_m, width_m, 1.0)
    assert may_be_ship(thing, SOIL, STRAIGHT, sides=sides) == pytest.approx(may_be, abs=0.1)
    assert may_be_ship(thing, HULL, STRAIGHT, sides=sides) > 0.9


def test_a_ship_needs_room_beside_it():
    creek = STRAIGHT.union(box(-10, -10, 500, 318))
    assert may_be_ship(box(180, 319, 300, 339), HULL, creek) == 0


def test_off_the_quay_only_the_shape_of_a_hull_will_do():
    ship = hull(240, 200, 120, 20)
    assert may_be_ship(ship, HULL, STRAIGHT) == 1
    assert may_be_ship(ship, HULL, STRAIGHT, sides=(40.0, 30.0, 0.9)) == 0
    assert may_be_ship(ship, HULL, STRAIGHT, sides=(120.0, 20.0, 0.55)) == 0


def test_a_hull_as_grey_as_the_shore_is_half_a_ship_with_water_all_around_and_none_at_the_bank():
    assert may_be_ship(hull(240, 250, 120, 20), SOIL, SHORE) == ShoreParams().alone
    assert may_be_ship(bared(200, 320, 20), SOIL, SHORE) == 0


def test_with_water_all_around_a_hull_of_few_pixels_may_fill_less_of_its_rectangle():
    ship = hull(240, 200, 120, 20)
    assert may_be_ship(ship, HULL, STRAIGHT, sides=(120.0, 20.0, 0.68)) > 0.9

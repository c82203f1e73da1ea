"""Aircraft: winged outlines on an apron."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from affine import Affine
from presence_kit import CONCRETE, GRASS, WHITE, airframe, grid, outlines, paint, pair
from shapely import affinity
from shapely.geometry import Point, box

from changedetect.steps.classify.aircraft import AircraftParams, _look_at, _window, chance, propose, weigh

GRID = grid()
PARAMS = AircraftParams()


def judged_all(found, *layers, ground=CONCRETE, on=GRID):
    before = paint(on, (None, ground))
    after = paint(on, (None, ground), *layers, rng=np.random.default_rng(6))
    return propose(outlines(*found), *pair(on, before, after), PARAMS)


def judged(outline, *layers, ground=CONCRETE, on=GRID):
    return judged_all([outline], *layers, ground=ground, on=on).iloc[0]


@pytest.mark.parametrize("turn_deg", [0.0, 30.0, 75.0])
@pytest.mark.parametrize("size_m", [28.0, 46.0, 70.0])
def test_a_transport_on_the_apron_is_an_aircraft(size_m, turn_deg):
    plane = airframe(150, 150, size_m, 1.07 * size_m, turn_deg)
    row = judged(plane.buffer(1.0), (plane, WHITE))
    assert row["confidence"] > 0.5
    assert (row["count"], row["flags"]) == (1, ())
    if size_m == 46.0:  # the others have wings and tails of this size on bodies of theirs
        assert row["measured"]["length_m"] == pytest.approx(46.0, rel=0.08)
        assert row["measured"]["width_m"] == pytest.approx(49.2, rel=0.1)


@pytest.mark.parametrize("gsd_m", [0.5, 0.7])
def test_in_fine_pixels_wings_are_told_and_what_fills_its_outline_is_none(gsd_m):
    fine = grid(gsd_m=gsd_m, px=round(300 / gsd_m))
    plane = airframe(150, 150, 46.0, 50.0, 30.0)
    row = judged(plane.buffer(0.5), (plane, WHITE), on=fine)
    assert row["confidence"] > 0.5
    assert row["measured"]["width_m"] == pytest.approx(50.0, rel=0.1)
    assert row["measured"]["geometry"].intersection(plane).area > 0.8 * plane.area
    wet = Point(150, 150).buffer(42).intersection(box(100, 125, 200, 175))
    dark = tuple(0.6 * value for value in CONCRETE)
    assert judged(wet, (wet, dark), on=fine)["confidence"] < 0.2


def test_an_outline_that_holds_the_middle_alone_still_gives_the_whole_aircraft():
    plane = airframe(150, 150, 46.0, 50.0, 105.0)
    told = judged(plane.intersection(box(134, 134, 166, 166)), (plane, WHITE))["measured"]
    assert told["geometry"].intersection(plane).area > 0.8 * plane.area
    assert told["orientation_deg"] == pytest.approx(75.0, abs=6.0)
    assert told["area_m2"] == pytest.approx(plane.area, rel=0.25)


def test_wings_darker_than_the_body_are_found_on_it():
    plane = airframe(150, 150, 46.0, 50.0, 40.0)
    body = affinity.rotate(box(147.4, 127, 152.6, 173), 40.0, origin=(150, 150))
    told = judged(plane.buffer(1.0), (plane, (0.30, 0.33, 0.35, 0.36)), (body, WHITE))
    assert told["confidence"] > 0.5
    assert told["measured"]["length_m"] == pytest.approx(46.0, rel=0.06)


def test_a_long_soft_bright_patch_is_a_cloud():
    rims = [box(120, 140, 180, 160).buffer(reach) for reach in (12, 9, 6, 3, 0)]
    veil = [(rim, tuple(value * (1 + 0.15 * k) for value in CONCRETE)) for k, rim in enumerate(rims, 1)]
    assert judged(rims[1], *veil)["confidence"] < 0.2


def test_two_that_touch_are_two():
    row_of_two = airframe(120, 150).union(airframe(172, 150)).buffer(1.5)
    row = judged(row_of_two, (row_of_two, WHITE))
    assert (row["count"], row["count_low"], row["count_high"]) == (2, 1, 3)
    assert row["flags"] == ("touching",)
    assert row["confidence"] > 0.5


def test_a_body_as_short_as_one_is_not_two():
    plane = airframe(150, 150, 35.0, 29.0).intersection(box(141, 142, 159, 157))
    assert judged(plane.buffer(1.5), (plane.buffer(1.5), WHITE))["count"] == 1


@pytest.mark.parametrize("strip_m", [500.0, 24.0])
def test_pavement_lies_around_an_aircraft(strip_m):
    plane = airframe(150, 150)
    pavement = box(150 - strip_m / 2, 0, 150 + strip_m / 2, 300)
    before = paint(GRID, (None, GRASS), (pavement, CONCRETE))
    after = paint(GRID, (None, GRASS), (pavement, CONCRETE), (plane, WHITE), rng=np.random.default_rng(6))
    row = propose(outlines(plane.buffer(1.0)), *pair(GRID, before, after), PARAMS).iloc[0]
    assert (row["confidence"] > 0.5) == (strip_m == 500.0)


@pytest.mark.parametrize("paint_of_it", [WHITE, (0.1, 0.12, 0.11, 0.17)])
def test_a_fighter_of_seven_pixels_is_an_aircraft_in_light_and_dark_paint_and_a_bus_is_none(paint_of_it):
    fighter, bus = airframe(150, 150, 20.0, 15.0), box(144, 148.6, 156, 151.4)
    assert judged(fighter.buffer(1.0), (fighter, paint_of_it))["confidence"] > 0.5
    assert judged(bus.buffer(1.5), (bus, paint_of_it))["confidence"] < 0.4


def test_a_part_cut_off_by_the_outline_does_not_count_twice():
    plane = airframe(150, 150)
    tail, rest = plane.intersection(box(100, 120, 200, 133)), plane.intersection(box(100, 135, 200, 200))
    found = judged_all([tail.buffer(1.0), rest.buffer(1.0)], (plane, WHITE))
    assert list(found["confidence"] > 0.5) == [False, True]


def test_shadows_are_explained_by_the_sun_of_the_moment():
    plane = airframe(150, 150, 46.0, 50.0)
    # 41.5 N, 127 E at 03:30 UTC in March: the sun stands in the south at half height, shadows fall to the north
    shadow = affinity.translate(plane, 0, 6.0).difference(plane)
    when = pd.Timestamp("2024-03-20T03:30Z")
    dark = tuple(0.5 * value for value in CONCRETE)
    before = paint(GRID, (None, CONCRETE))
    after = paint(GRID, (None, CONCRETE), (shadow, dark), (plane, WHITE), rng=np.random.default_rng(6))
    found = outlines(plane.union(shadow).buffer(1.0)).assign(acquired=when)
    on = replace(GRID, transform=Affine.translation(500_000 - 166_000, 4_596_000) @ GRID.transform)
    moved = found.set_geometry(found.translate(334_000, 4_596_000)).set_crs("EPSG:32652", allow_override=True)
    apron = _look_at(moved, *pair(on, before, after), PARAMS)
    assert apron.sun_deg is not None
    assert apron.sun_deg[0] == pytest.approx(180, abs=10)
    with_sun = weigh(1, apron, _window(apron, 1, 9.0), PARAMS)
    without = weigh(1, replace(apron, sun_deg=None), _window(apron, 1, 9.0), PARAMS)
    assert with_sun.explained > without.explained + 0.02
    grey = paint(GRID, (None, CONCRETE), (shadow, dark), rng=np.random.default_rng(6))
    apron = _look_at(moved, *pair(on, before, grey), PARAMS)
    # nothing of it shows but its shadow
    assert chance(weigh(1, apron, _window(apron, 1, 9.0), PARAMS), PARAMS) > 0.5


def test_a_solid_square_a_lorry_and_a_runway_repair_are_not():
    hangar, lorry, strip = box(120, 120, 165, 160), box(150, 150, 162, 153), box(20, 150, 280, 165)
    for thing in (hangar, lorry, strip):
        assert judged(thing, (thing, WHITE))["confidence"] < 0.1


def test_on_grass_it_is_not_parked():
    plane = airframe(150, 150)
    assert judged(plane, (plane, WHITE), ground=GRASS)["confidence"] == 0


def test_no_change_of_brightness_is_no_aircraft():
    assert judged(airframe(150, 150))["confidence"] < 0.2

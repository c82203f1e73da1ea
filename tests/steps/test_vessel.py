"""Vessels: hulls on what the baseline shows as water, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from presence_kit import BANDS, CONCRETE, HULL, WATER, WHITE, grid, hull, outlines, paint, pair
from shapely.geometry import LineString, box

from changedetect.core.quality import Quality
from changedetect.steps.classify.vessel import VesselParams, propose

GRID = grid()
QUAY = box(0, 140, 300, 165)
BERTHED = hull(150, 130, 115, 18)
PARAMS = VesselParams()
PORT = ((None, WATER), (QUAY, CONCRETE))


def judged(outline, *layers, before=PORT, bands=BANDS, on=GRID):
    first = paint(on, *before, bands=bands)
    after = paint(on, *before, *layers, rng=np.random.default_rng(6), bands=bands)
    return propose(outlines(outline), *pair(on, first, after, bands), PARAMS).iloc[0]


@pytest.mark.parametrize("length_m", [45.0, 60.0, 115.0, 200.0])
@pytest.mark.parametrize("turn_deg", [0.0, 35.0])
def test_a_hull_on_open_water_is_a_vessel(length_m, turn_deg):
    ship = hull(150, 60, length_m, length_m / 6.5, turn_deg)
    row = judged(ship.buffer(1.5), (ship, HULL))
    assert row["confidence"] > 0.8
    assert (row["count"], row["count_low"], row["count_high"], row["flags"]) == (1, 1, 1, ())


def test_a_ship_at_the_quay_whose_outline_takes_in_part_of_the_quay_is_a_vessel():
    row = judged(BERTHED.buffer(1.5).union(box(100, 139, 200, 150)), (BERTHED, HULL), (box(100, 139, 200, 150), WHITE))
    assert row["confidence"] > 0.4
    assert row["count"] == 1


def test_a_stack_on_the_quay_is_not():
    stack = box(100, 143, 190, 160)
    assert judged(stack, (stack, WHITE))["confidence"] == 0


def test_two_ships_side_by_side_are_counted_as_two_with_a_range():
    raft = hull(150, 60, 110, 17).union(hull(150, 78, 110, 17)).buffer(1.5)
    row = judged(raft, (raft, HULL))
    assert (row["count"], row["count_low"], row["count_high"]) == (2, 1, 2)
    assert row["flags"] == ("rafted",)
    assert row["confidence"] > 0.6


def test_water_that_brightens_all_over_is_no_ship():
    glint = tuple(c + 0.08 for c in WATER)
    patch = box(100, 40, 200, 60)
    row = judged(patch, (None, glint), (patch, tuple(c + 0.01 for c in glint)), (QUAY, CONCRETE))
    assert row["confidence"] == 0


def test_foam_without_near_infrared_is_no_ship():
    wake = LineString([(60, 40), (220, 60)]).buffer(12)
    foam = (0.16, 0.17, 0.15, 0.02)
    assert judged(wake, (wake, foam))["confidence"] < 0.1


def test_a_long_thin_strip_and_an_ice_field_are_no_ships():
    boom = LineString([(20, 30), (280, 70)]).buffer(4)
    ice = box(20, 10, 280, 120)
    assert judged(boom, (boom, WHITE))["confidence"] == 0
    assert judged(ice, (ice, WHITE))["confidence"] == 0


def test_water_that_only_darkened_is_no_ship():
    shade = hull(150, 60, 100, 16)
    assert judged(shade, (shade, tuple(0.5 * c for c in WATER)))["confidence"] == 0


def test_the_bright_rim_of_a_cloud_is_no_ship():
    rim = LineString([(60, 40), (160, 55)]).buffer(10)
    before = paint(GRID, *PORT)
    after = paint(GRID, *PORT, (rim, (0.12, 0.12, 0.12, 0.1)), rng=np.random.default_rng(6))
    raster, baseline = pair(GRID, before, after)
    cloud = Quality.CLOUD * (np.arange(100) > 82)[:, None] * np.ones((1, 100), np.uint16)
    hidden = replace(raster, quality=cloud.astype(np.uint16))
    sure, unsure = (propose(outlines(rim), image, baseline, PARAMS).iloc[0]["confidence"] for image in (raster, hidden))
    assert unsure < 0.3
    assert unsure < sure


def test_among_ice_floes_the_even_bright_ones_are_no_ships_and_the_hull_still_is():
    rng = np.random.default_rng(1)
    floes = [
        hull(x, y, 40, 25, t) for x, y, t in zip(*rng.uniform((10, 5, 0), (290, 100, 180), (25, 3)).T, strict=True)
    ]
    ice = (0.42, 0.42, 0.38, 0.30)
    ship = hull(150, 128, 110, 17)
    bridge = box(110, 121, 122, 135)
    layers = (*((floe, ice) for floe in floes), (ship, (0.05, 0.06, 0.1, 0.2)), (bridge, WHITE))
    before, after = paint(GRID, *PORT), paint(GRID, *PORT, *layers, rng=np.random.default_rng(6))
    result = propose(outlines(ship, *floes), *pair(GRID, before, after), PARAMS)["confidence"]
    assert result.iloc[0] > 0.5
    assert (result.iloc[1:] < 0.3).mean() > 0.9


def test_without_near_infrared_dark_smooth_ground_stands_in_and_is_flagged():
    ship = hull(150, 60, 100, 16)
    land = ((None, CONCRETE), (box(0, 0, 300, 130), WATER))
    row = judged(ship, (ship, HULL), before=land, bands=("blue", "green", "red"))
    assert row["flags"] == ("water_without_nir",)
    assert 0.5 < row["confidence"] < judged(ship, (ship, HULL), before=land)["confidence"]


def test_a_stranger_outside_the_grid_or_under_cloud_cannot_be_judged():
    assert judged(box(-500, -500, -400, -480))["confidence"] == 0


def test_index_and_columns_are_those_of_the_detections():
    before = paint(GRID, *PORT)
    table = outlines(BERTHED, QUAY).set_index(np.array([7, 3]))
    result = propose(table, *pair(GRID, before, before), PARAMS)
    assert list(result.index) == [7, 3]
    assert list(result.columns) == ["confidence", "count", "count_low", "count_high", "flags"]
    assert (result["confidence"] == 0).all()


def test_nothing_detected_is_an_empty_table():
    before = paint(GRID, *PORT)
    assert len(propose(outlines(), *pair(GRID, before, before), PARAMS)) == 0


def test_what_brightens_the_near_infrared_alone_is_no_ship():
    """Mud and plants just under the surface; a dark hull has a bridge or a deck that is brighter than water."""
    ship = hull(150, 128, 110, 17)
    murky = (0.045, 0.05, 0.04, 0.07)  # the visible of the water itself
    under_water = judged(ship, (ship, murky))
    assert under_water["confidence"] < 0.3
    with_bridge = judged(ship, (ship, murky), (box(110, 121, 122, 135), WHITE))
    assert with_bridge["confidence"] > 0.6


def test_a_sliver_of_few_pixels_is_no_ship_and_the_same_in_finer_pixels_is():
    coarse = judged(hull(150, 130, 32, 10), (hull(150, 130, 32, 10), WHITE), on=grid(gsd_m=8.0, px=38))
    fine = judged(hull(150, 130, 32, 10), (hull(150, 130, 32, 10), WHITE))
    assert coarse["confidence"] < 0.3 < fine["confidence"]

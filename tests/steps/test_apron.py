"""Aprons: what stands out from pavement, and plan forms fitted to fractions of a pixel."""

import numpy as np
import pytest
from presence_kit import CONCRETE, GRASS, airframe, grid, paint, pair
from shapely.geometry import box

from changedetect.steps.classify.airframe import Pose
from changedetect.steps.classify.apron import ApronParams, add_parked, find_paved, look_at_pavement
from changedetect.steps.classify.pose import draw_pose, left_over, look_around, refine

GRID = grid(px=60)
PARAMS = ApronParams()
DARKER = tuple(0.75 * value for value in CONCRETE)
"""Paint that darkens all bands alike, as a shadow does."""
NOTHING = np.zeros(GRID.shape, np.int32)
FIGHTER = Pose("delta", 12.3, 11.6, 40.0, 17.3, 0.66, 1.9)
LORRY = Pose("box", 12.4, 11.8, 25.0, 11.0, 2.6, 3.0)
FRAME = (3.0, (160.0, 40.0))


def looked(*layers, ground=CONCRETE):
    after = paint(GRID, (None, ground), *layers, rng=np.random.default_rng(6))
    return pair(GRID, paint(GRID, (None, ground)), after)


def test_a_fighter_in_shadow_s_colours_is_marked_on_pavement_and_on_nothing_else():
    fighter = airframe(90, 90, 20.0, 15.0)
    assert add_parked(NOTHING, *looked((fighter, DARKER)), PARAMS)[29, 29] == 1
    assert not add_parked(NOTHING, *looked((fighter, DARKER), ground=GRASS), PARAMS).any()
    assert not add_parked(NOTHING, *looked(), PARAMS).any()
    assert not add_parked(NOTHING, *looked((box(0, 60, 180, 120), DARKER)), PARAMS).any()


def test_a_patch_takes_the_place_of_the_part_that_it_holds_and_leaves_two_apart():
    raster, baseline = looked((box(75, 75, 105, 99), DARKER))
    part, parts = NOTHING.copy(), NOTHING.copy()
    part[29:31, 26:29] = 4
    parts[29:31, 26:29], parts[29:31, 31:34] = 4, 2
    whole = add_parked(part, raster, baseline, PARAMS)
    assert set(np.unique(whole)) == {0, 4}
    assert (whole == 4).sum() > 5 * (part == 4).sum()
    np.testing.assert_array_equal(add_parked(parts, raster, baseline, PARAMS), parts)


def test_pavement_is_grey_and_its_change_relative():
    bands = {"red": np.full((1, 9), 0.2), "nir": np.full((1, 9), 0.22)}
    bands["red"][:, 5:], bands["nir"][:, 5:] = 0.05, 0.4
    # the mean over 9 m mixes one pixel either side of the edge
    assert find_paved(bands, 3.0, PARAMS).tolist() == [[True] * 4 + [False] * 5]
    change, paved, valid = look_at_pavement(*looked((box(60, 60, 120, 120), DARKER)), PARAMS)
    assert paved.all()
    assert valid.all()
    assert change[25:35, 25:35].mean() == pytest.approx(-0.25, abs=0.01)


def test_a_tan_apron_under_noise_is_pavement_and_soil_is_none():
    noise = np.random.default_rng(3).normal(1.0, 0.03, (3, 40, 40))
    colours = {"tan": (0.175, 0.215, 0.25), "soil": (0.100, 0.135, 0.175)}
    for name, colour in colours.items():
        bands = dict(zip(("blue", "green", "red"), np.array(colour)[:, None, None] * noise, strict=True))
        share = find_paved(bands, 3.0, PARAMS).mean()
        assert share > 0.98 if name == "tan" else share == 0.0, name


@pytest.mark.parametrize("true", [FIGHTER, LORRY])
def test_fitted_poses_tell_a_fighter_from_a_lorry(true):
    body, shadow, sides = draw_pose(true, (24, 24), FRAME)
    noise = 0.005 * np.random.default_rng(2).standard_normal(body.shape)
    change = np.asarray(-0.4 * body - 0.5 * shadow + 0.3 * sides + noise, np.float32)
    weight = np.ones_like(change)
    starts = [Pose(name, 12, 12, 30.0, 14.0, breadth, 1.6) for name, breadth in (("delta", 0.7), ("swept", 0.8))]
    left, _ = refine(change, weight, starts, FRAME, (11.0, 80.0))
    left_box, _ = refine(change, weight, [Pose("box", 12, 12, 30.0, 12.0, 4.8, 3.8)], FRAME, (11.0, 80.0))
    assert (left < left_box) == (true is FIGHTER)
    assert min(left, left_box) < 0.5 * max(left, left_box)


def test_a_shadow_is_no_deeper_than_a_full_one_and_the_sunny_side_no_darker_than_the_other():
    body, shadow, sides = np.eye(3, dtype=np.float32)[:, None, :]
    weight = np.ones_like(body)
    assert left_over(-shadow, weight, (body, shadow, sides)) == pytest.approx(0.04)
    assert left_over(0.5 * sides, weight, (body, shadow, sides)) == pytest.approx(0.0, abs=1e-9)
    assert left_over(-0.5 * sides, weight, (body, shadow, sides)) == pytest.approx(0.25)


def test_sides_are_lit_from_the_sun_and_the_back_throws_its_shadow_on_the_wings():
    north = Pose("box", 11.5, 11.5, 90.0, 18.0, 9.0, 3.0)
    body, shadow, sides = draw_pose(north, (24, 24), (3.0, (180.0, 45.0)))
    assert sides[13].sum() > 1.0 > -1.0 > sides[9].sum()
    assert shadow[body > 0.9].max() < 0.1
    body, shadow, _ = draw_pose(Pose("swept", 31.5, 31.5, 0.0, 60.0, 1.0, 6.0), (64, 64), (1.0, (90.0, 45.0)))
    lit, shaded = body[25:31, 38:43] > 0.9, body[25:31, 22:27] > 0.9
    assert shadow[25:31, 22:27][shaded].max() > 0.6 > 0.1 > shadow[25:31, 38:43][lit].max()


def test_no_start_gives_no_pose():
    assert refine(np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32), [], FRAME, (11.0, 80.0)) is None


def test_fighters_turned_to_any_side_are_drawn_with_the_same_area():
    areas = [float(draw_pose(fighter_at(turn), (24, 24), FRAME)[0].sum()) for turn in (0.0, 33.0, 90.0)]
    assert max(areas) < 1.1 * min(areas)


def test_starts_are_sought_nose_to_tail_and_at_other_lengths():
    body, shadow, _ = draw_pose(FIGHTER, (24, 24), FRAME)
    change, weight = np.asarray(0.6 * body - 0.5 * shadow, np.float32), np.ones((24, 24), np.float32)
    wrong = Pose("delta", 12.3, 11.6, 220.0, 12.5, 0.66, 1.4)
    around = look_around(change, weight, [wrong], FRAME)
    assert len(around) == 2
    assert around[0].turn_deg == pytest.approx(400.0)
    assert abs(around[0].length_m - 17.3) < 2.5


def fighter_at(turn_deg: float) -> Pose:
    return Pose("delta", 11.5, 11.5, turn_deg, 17.3, 0.66, 1.9)

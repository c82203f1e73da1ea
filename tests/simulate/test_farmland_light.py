"""The light, the lean and the camera of the second world, each by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from changedetect.simulate import SimulateParams
from changedetect.simulate.farmland.covers import N_VARIANTS, OAK, SPRUCE, leaf_tables
from changedetect.simulate.farmland.place import Place
from changedetect.simulate.farmland.sensor import Aim, draw_aim, draw_grid, find_displacement, gather_light, read_out
from changedetect.simulate.farmland.sun import face_sun, find_lean, find_shade, locate_sun
from changedetect.simulate.farmland.weather import HIDDEN_CLOUD, Weather, draw_mask, make_sky


@pytest.mark.parametrize(
    ("when", "place", "azimuth", "elevation"),
    [
        (datetime(2024, 6, 21, 12, 0, tzinfo=UTC), (0.0, 51.48), 178.7, 61.9),
        (datetime(2024, 12, 21, 12, 0, tzinfo=UTC), (0.0, 51.48), 180.4, 15.1),
        (datetime(2024, 3, 20, 9, 0, tzinfo=UTC), (0.0, 0.0), 90.0, 43.2),
    ],
)
def test_sun_stands_where_the_almanac_says(when, place, azimuth, elevation):
    found = locate_sun(when, *place)
    assert found[0] == pytest.approx(azimuth, abs=0.8)
    assert found[1] == pytest.approx(elevation, abs=0.3)


@pytest.mark.parametrize("azimuth", [20.0, 75.0, 135.0, 160.0, 200.0, 260.0, 310.0])
def test_shadows_point_away_from_the_sun(azimuth):
    height = np.zeros((160, 160), np.float32)
    height[76:84, 76:84] = 6.0
    shade = find_shade(height, height, 0.5, (azimuth, 35.0)) * (height == 0)
    rows, cols = np.nonzero(shade > 0.5)
    to_east, to_north = (cols.mean() - 79.5), -(rows.mean() - 79.5)
    away = np.degrees(np.arctan2(to_east, to_north)) % 360
    assert abs((away - azimuth) % 360 - 180) < 6
    reach = np.hypot(cols - 79.5, rows - 79.5).max() * 0.5
    assert 6.0 / np.tan(np.radians(35)) < reach < 6.0 / np.tan(np.radians(35)) + 4.5


def test_flat_ground_has_no_shade_and_slopes_to_the_sun_are_brighter():
    flat = np.zeros((40, 50), np.float32)
    assert not find_shade(flat, flat, 0.5, (150.0, 40.0)).any()
    tilt = np.full((2, 2), 0.2, np.float32)
    none = np.zeros((2, 2), np.float32)
    assert face_sun(none, none, (180.0, 45.0)) == pytest.approx(np.ones((2, 2)))
    # rising to the north is facing south: rows run south, so the rise per metre south is negative
    assert (face_sun(none, -tilt, (180.0, 45.0)) > 1.1).all()
    assert (face_sun(none, tilt, (180.0, 45.0)) < 0.9).all()


def test_lean_grows_with_height_and_angle_and_points_away_from_the_sensor():
    height = np.zeros((120, 120), np.float32)
    height[50:70, 50:70] = 8.0
    col = np.arange(120, dtype=np.float32)[None, :]
    reach = {}
    for tall, angle in ((8.0, 8.0), (8.0, 16.0), (4.0, 16.0)):
        lean = find_lean(height * np.float32(tall / 8.0), 0.5, angle, 270.0)  # the sensor stands in the west
        moved = (col - lean[0])[height > 0]
        reach[tall, angle] = float(np.median(moved[moved > 0]))
        assert reach[tall, angle] == pytest.approx(tall * np.tan(np.radians(angle)) / 0.5, abs=0.55)
        assert np.abs(lean[1] - np.arange(120)[:, None]).max() < 1e-3
    assert reach[8.0, 16.0] > reach[8.0, 8.0] > 1
    assert reach[8.0, 16.0] > 1.7 * reach[4.0, 16.0]
    assert find_lean(height, 0.5, 0.1, 270.0) is None


def test_true_displacement_recovers_coordinates():
    # light that stores its own place on the ground, seen through two errors of place
    params = SimulateParams("training-ground", world="farmland", size_m=100.0, gsd_m=0.5, warp_px=1.0)
    place = Place("EPSG:32652", 1000.0, 1100.0, 100.0, 0.5, 0.25, 20.0, 131.0, 44.0)
    rng = np.random.default_rng(1)
    grid = draw_grid(rng, place, 0.5)
    reference, moving = draw_aim(rng, params, place, 0.5), draw_aim(rng, params, place, 0.5)
    n = place.cells
    at = ((np.arange(n) + 0.5) * 0.25).astype(np.float32)
    ground = np.stack([*np.broadcast_arrays(at[None, :], at[:, None])] * 2, -1).astype(np.float32)
    seen = [gather_light(ground, place, grid, aim, (0.3, 0.3, 0.0)) for aim in (reference, moving)]
    u = find_displacement(moving, reference, grid)
    assert np.abs(u).max() > 0.5
    row, col = np.mgrid[0 : grid.shape[0], 0 : grid.shape[1]].astype(np.float32)
    matched = cv2.remap(seen[1], col + u[1], row + u[0], cv2.INTER_LINEAR)
    error_px = (matched - seen[0])[14:-14, 14:-14, :2] / 0.5
    assert np.abs(error_px).max() < 0.05
    same = find_displacement(reference, reference, grid)
    assert np.abs(same).max() < 1e-3


def test_shadow_of_a_slot_lies_in_the_slot():
    height = np.zeros((60, 60), np.float32)
    height[28:32] = -1.5  # a slot of 1 m from west to east, the sun in the south at 45 degrees: it never sees the floor
    shade = find_shade(height, height, 0.25, (180.0, 45.0))
    assert (shade[28:32, 10:-10] == 1).all()
    assert not shade[:28].any()
    assert not shade[32:].any()


def test_leaves_fall_and_needles_stay():
    summer, autumn, winter = (leaf_tables(day, 1) for day in (230.0, 292.0, 330.0))
    oak, spruce = slice(OAK * N_VARIANTS, (OAK + 1) * N_VARIANTS), slice(SPRUCE * N_VARIANTS, (SPRUCE + 1) * N_VARIANTS)
    assert (summer[1][oak] > 0.9).all()
    assert (winter[1][oak] < 0.55).all()
    assert np.array_equal(summer[0][spruce], winter[0][spruce])
    # turning leaves redden before they fall
    assert autumn[0][oak, 2].mean() > 1.4 * summer[0][oak, 2].mean()
    assert winter[0][oak, 3].mean() < 0.7 * summer[0][oak, 3].mean()


def test_clouds_hide_the_share_asked_for_and_masks_nearly_know_it():
    rng = np.random.default_rng(3)
    sky = make_sky(rng, ((600, 600), 1.0, 0.0, 600.0), Weather(cloud=0.3), (160.0, 40.0))
    assert (sky.cloud > HIDDEN_CLOUD).mean() == pytest.approx(0.3, abs=0.02)
    x, y = np.meshgrid(np.arange(600) + 0.5, 600 - np.arange(600) - 0.5)
    hidden = sky.hides(x.ravel(), y.ravel()).reshape(600, 600)
    mask = draw_mask(sky, Weather(cloud=0.3), (600, 600), rng)
    assert 0.3 < hidden.mean() < 0.7
    assert ((mask > 0) == hidden).mean() > 0.93
    assert not draw_mask(
        make_sky(rng, ((90, 90), 1.0, 0.0, 90.0), Weather(), (160.0, 40.0)), Weather(), (90, 90), rng
    ).any()


def test_detectors_stripe_and_numbers_are_coarse():
    flat = np.full((300, 300, 4), 0.2, np.float32)
    numbers = read_out(flat, np.random.default_rng(5), 0.0, 1.0).astype(float)
    step = np.diff(np.unique(numbers[0])).min()
    assert step in (2.0, 4.0, 6.0)
    assert np.abs(numbers.mean(axis=(1, 2)) / 2000 - 1).max() < 0.01
    still = read_out(flat, np.random.default_rng(5), 0.0, 0.0)
    assert (still == still[0, 0, 0]).all()


def test_an_aim_is_no_error_until_drawn():
    assert Aim().warp_m == ()
    east, south = Aim().error_at(np.array([3.0]), np.array([4.0]))
    assert (east, south) == (0.0, 0.0)

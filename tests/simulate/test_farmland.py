"""Laws of the second world: determinism, truth on changed pixels, quiet that is quiet, light and lean by geometry."""

from __future__ import annotations

from datetime import UTC, datetime

import cv2
import numpy as np
import pytest
from shapely import contains_xy

from changedetect.errors import ConfigError
from changedetect.simulate import SimulateParams, simulate
from changedetect.simulate.farmland.place import Place
from changedetect.simulate.farmland.sensor import Aim, draw_aim, draw_grid, find_displacement, gather_light
from changedetect.simulate.farmland.sun import face_sun, find_lean, find_shade, locate_sun

CLEAN = {"noise": 0.0, "cloud": 0.0, "gain_spread": 0.0, "shift_px": 0.0, "rotation_mrad": 0.0, "warp_px": 0.0}


def farmland(make_aoi, **settings):
    scenario = settings.pop("scenario", "training-ground")
    return simulate(make_aoi(), SimulateParams(scenario, world="farmland", **settings))


@pytest.fixture(scope="module")
def small(make_aoi):
    return farmland(make_aoi, size_m=200.0, n_scenes=3, seed=3)


def test_same_seed_gives_same_bytes_in_any_order(make_aoi, small):
    again = farmland(make_aoi, size_m=200.0, n_scenes=3, seed=3)
    forward = [scene.render() for scene in small.scenes]
    backward = [scene.render() for scene in reversed(again.scenes)][::-1]
    for (dn, mask, transform, crs), (dn2, mask2, transform2, crs2) in zip(forward, backward, strict=True):
        assert np.array_equal(dn, dn2)
        assert np.array_equal(mask, mask2)
        assert (transform, crs) == (transform2, crs2)
        assert dn.dtype == np.uint16
        assert dn.min() > 0
    assert small.truth.equals(again.truth)
    assert small.activity.equals(again.activity)


def test_worlds_and_seeds_differ(make_aoi, small):
    other = farmland(make_aoi, size_m=200.0, n_scenes=3, seed=4)
    steppe = simulate(make_aoi(), SimulateParams("training-ground", size_m=200.0, n_scenes=3, seed=3))
    dn = small.scenes[0].render()[0]
    for simulation in (other, steppe):
        dn2 = simulation.scenes[0].render()[0]
        rows, cols = min(dn.shape[1], dn2.shape[1]), min(dn.shape[2], dn2.shape[2])
        assert abs(np.corrcoef(dn[0, :rows, :cols].ravel(), dn2[0, :rows, :cols].ravel())[0, 1]) < 0.5


def test_stories_not_told_here_are_refused(make_aoi):
    with pytest.raises(ConfigError, match="not told on farmland"):
        farmland(make_aoi, scenario="airfield")


def test_truth_lies_on_changed_pixels_and_nothing_else_changes(make_aoi):
    common = {"size_m": 320.0, "n_scenes": 5, "seed": 5, **CLEAN}
    planted, bare = farmland(make_aoi, **common), farmland(make_aoi, planted=False, **common)
    assert len(bare.truth) == 0
    assert len(planted.truth) >= 6
    scene = planted.scenes[3]
    there = (planted.truth["start"] <= scene.acquired) & ~(planted.truth["end"] <= scene.acquired)
    shapes = planted.truth[there].to_crs(scene.grid.crs).geometry
    dn, dn_bare = (s.scenes[3].render()[0].astype(float) for s in (planted, bare))
    x, y = np.meshgrid(*scene.grid.pixel_centres())
    differs = np.abs(np.log(dn / dn_bare)).max(axis=0) > 0.08
    for shape in shapes:
        assert differs[contains_xy(shape, x, y)].mean() > 0.6
    far = ~contains_xy(shapes.union_all().buffer(12.0), x, y)
    assert differs[far].mean() < 0.005  # traffic that made room


def test_quiet_is_quiet_in_truth_and_in_counts(make_aoi):
    quiet = farmland(make_aoi, size_m=200.0, planted=False, seed=6)
    assert len(quiet.truth) == 0
    assert (quiet.activity["count"] == 0).all()
    assert len(quiet.scenes) == 9
    assert quiet.scenes[0].acquired <= quiet.aoi.baseline_until < quiet.scenes[-1].acquired


def test_no_truth_outside_the_square(small):
    assert small.aoi.geometry.buffer(1e-7).covers(small.truth.geometry.union_all())
    assert set(small.truth["class"]) <= {"trench", "hut", "equipment"}


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


def test_true_displacement_recovers_coordinates(make_aoi):
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


def test_first_scene_is_the_frame_of_the_truth(small):
    grid = small.scenes[0].grid
    assert np.abs(small.scenes[0].true_displacement_px(grid)).max() < 1e-6
    assert np.abs(small.scenes[1].true_displacement_px(grid)).max() > 0.05
    assert Aim().warp_m == ()


def test_mean_reflectance_does_not_depend_on_the_pixel(make_aoi):
    fine, coarse = (
        farmland(make_aoi, size_m=300.0, gsd_m=g, n_scenes=2, seed=8, planted=False, **CLEAN) for g in (0.5, 2.5)
    )
    means = [s.scenes[0].render()[0].reshape(4, -1).mean(1) for s in (fine, coarse)]
    assert means[1] == pytest.approx(means[0], rel=0.08)

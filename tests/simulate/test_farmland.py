"""Laws of the second world: determinism, truth on changed pixels, quiet that is quiet."""

from __future__ import annotations

import numpy as np
import pytest
from shapely import contains_xy

from changedetect.errors import ConfigError
from changedetect.simulate import SimulateParams, simulate

CLEAN = {"noise": 0.0, "cloud": 0.0, "gain_spread": 0.0, "shift_px": 0.0, "rotation_mrad": 0.0, "warp_px": 0.0}


def farmland(make_aoi, **settings):
    scenario = settings.pop("scenario", "training-ground")
    return simulate(make_aoi(), SimulateParams(scenario, world="farmland", **settings))


@pytest.fixture(scope="module")
def small(make_aoi):
    return farmland(make_aoi, size_m=160.0, n_scenes=3, seed=3)


def test_same_seed_gives_same_bytes_in_any_order(make_aoi, small):
    again = farmland(make_aoi, size_m=160.0, n_scenes=3, seed=3)
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
    other = farmland(make_aoi, size_m=160.0, n_scenes=3, seed=4)
    steppe = simulate(make_aoi(), SimulateParams("training-ground", size_m=160.0, n_scenes=3, seed=3))
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


def test_first_scene_is_the_frame_of_the_truth(small):
    grid = small.scenes[0].grid
    assert np.abs(small.scenes[0].true_displacement_px(grid)).max() < 1e-6
    assert np.abs(small.scenes[1].true_displacement_px(grid)).max() > 0.05

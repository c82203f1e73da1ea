"""Farmland's stories and seasons, and one land at every pixel size."""

from __future__ import annotations

import numpy as np
import pytest

from changedetect.simulate import SimulateParams, simulate
from changedetect.simulate.farmland.stories import STORIES, plan_looks

CLEAN = {"noise": 0.0, "cloud": 0.0, "gain_spread": 0.0, "shift_px": 0.0, "rotation_mrad": 0.0, "warp_px": 0.0}


def farmland(make_aoi, **settings):
    scenario = settings.pop("scenario", "training-ground")
    return simulate(make_aoi(), SimulateParams(scenario, world="farmland", **settings))


def test_mean_reflectance_does_not_depend_on_the_pixel(make_aoi):
    fine, coarse = (
        farmland(make_aoi, size_m=240.0, gsd_m=g, n_scenes=2, seed=8, planted=False, **CLEAN) for g in (0.5, 2.5)
    )
    means = [s.scenes[0].render()[0].reshape(4, -1).mean(1) for s in (fine, coarse)]
    assert means[1] == pytest.approx(means[0], rel=0.08)


def test_huts_are_renovated_in_turn_seen_by_two_sensors(make_aoi):
    huts = farmland(make_aoi, scenario="huts-renovated", size_m=320.0, seed=3)
    assert len(huts.scenes) == 12
    assert {scene.gsd_m for scene in huts.scenes} == {0.5, 3.0}
    status = huts.truth[huts.truth["class"] == "hut"]["status"].value_counts()
    assert status["modified"] == 4
    assert status["disappeared"] == 1
    # what has been pulled down is not there
    gone = huts.activity[huts.activity["class"] == "hut"]["count"]
    assert gone.max() == status["modified"] + status["appeared"]


def test_one_land_at_ten_metres_too(make_aoi):
    quiet = farmland(make_aoi, size_m=1200.0, gsd_m=10.0, n_scenes=2, seed=4, planted=False)
    dn, mask, _, _ = quiet.scenes[1].render()
    assert 120 <= dn.shape[1] <= 146
    assert mask.shape == dn.shape[1:]
    assert len(quiet.truth) == 0
    assert dn[3].std() > 200


def test_snow_and_frost_keep_to_the_cold_months():
    for seed in (116, 117, 118):
        cold = []
        for dates in ({}, {"start": "2024-05-20", "end": "2024-07-20"}):
            params = SimulateParams("training-ground", world="farmland", seed=seed, **dates)
            _, looks = plan_looks(STORIES["training-ground"], params, (131.0, 44.0), np.random.default_rng(seed))
            cold.append([(look.weather.snow, look.weather.frost) for look in looks])
        assert np.sum(cold[0]) > 0
        assert np.sum(cold[1]) == 0


def test_fields_have_a_spring_of_their_own(make_aoi):
    dates = {"start": "2024-03-20", "end": "2024-06-18"}
    spring = farmland(make_aoi, size_m=240.0, seed=9, planted=False, n_scenes=2, **dates, **CLEAN)
    before, after = (s.render()[0][:, 40:440, 40:440].astype(float) for s in spring.scenes)
    greenness = [((dn[3] - dn[2]) / (dn[3] + dn[2])) for dn in (before, after)]
    assert (greenness[1] - greenness[0] > 0.1).mean() > 0.1  # sown fields come up and leaves come out
    assert (np.abs(np.log(after[2] / before[2])) > 0.3).mean() > 0.1

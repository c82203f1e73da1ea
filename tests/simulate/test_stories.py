"""What each story promises: airfield, parade ground, renovated huts, training ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from shapely import contains_xy

from changedetect.core.aoi import TARGETS
from changedetect.errors import ConfigError
from changedetect.simulate import SimulateParams, simulate
from changedetect.simulate.params import SCENARIO_NAMES
from changedetect.simulate.scenarios import BUILDERS

CLEAN = {"noise": 0.0, "cloud": 0.0, "gain_spread": 0.0, "shift_px": 0.0, "rotation_mrad": 0.0, "warp_px": 0.0}


@pytest.fixture(scope="module")
def airfield(make_aoi):
    return simulate(make_aoi(targets=("aircraft",), lon=125.676, lat=39.2448), SimulateParams("airfield"))


@pytest.fixture(scope="module")
def parade(make_aoi):
    params = SimulateParams("parade-ground", size_m=120.0, people=130, **CLEAN)
    return simulate(make_aoi(targets=("crowd",)), params)


@pytest.fixture(scope="module")
def huts(make_aoi):
    return simulate(make_aoi(targets=("hut",)), SimulateParams("huts-renovated", size_m=256.0, **CLEAN))


def counts(simulation, target, zone=None):
    table = simulation.activity[simulation.activity["class"] == target]
    return table[table["zone"] == (zone or simulation.aoi.name)].set_index("datetime")["count"]


def test_every_scenario_has_a_builder():
    assert set(SCENARIO_NAMES) == set(BUILDERS)


def test_the_apron_is_never_empty(airfield):
    on_apron = counts(airfield, "aircraft")
    assert len(on_apron) == 16
    assert on_apron.min() >= 4
    assert on_apron.max() <= 10
    assert on_apron.nunique() >= 3
    assert (airfield.truth["zone"] == "apron").all()
    assert airfield.truth["length_m"].between(15.0, 54.0).all()


def test_all_but_two_stands_are_seen_empty_in_the_baseline(airfield):
    baseline = [scene.acquired for scene in airfield.scenes if scene.acquired <= airfield.aoi.baseline_until]
    assert len(baseline) >= 4
    shapes = airfield.truth.to_crs("EPSG:32651")
    always = 0
    for _, plane in shapes.iterrows():
        near = shapes[shapes.geometry.centroid.distance(plane.geometry.centroid) < 20.0]
        taken = [
            ((near["start"] <= when) & ((near["end"] > when) | near["end"].isna())).any()
            for when in map(pd.Timestamp, baseline)
        ]
        stays_through = plane["start"] <= pd.Timestamp(baseline[0]) and all(taken)
        always += bool(stays_through)
    assert 1 <= always <= 2


def test_aircraft_do_not_touch(airfield):
    shapes = airfield.truth.to_crs("EPSG:32651")
    for scene in airfield.scenes:
        when = pd.Timestamp(scene.acquired)
        here = shapes[(shapes["start"] <= when) & ((shapes["end"] > when) | shapes["end"].isna())].geometry
        assert here.area.sum() == pytest.approx(here.union_all().area, rel=1e-6)


def test_people_stand_on_two_dates_and_nobody_on_the_others(parade):
    assert list(counts(parade, "crowd")) == [0, 0, 130, 130, 0]
    assert list(counts(parade, "crowd", "parade-ground")) == [0, 0, 130, 130, 0]
    for _, day in parade.truth.groupby(parade.truth["start"].dt.date):
        assert day["count"].sum() == 130


def test_people_and_their_shadows_darken_the_ground(parade):
    empty, crowded = parade.scenes[1], parade.scenes[2]
    here = parade.truth[parade.truth["start"].dt.date == crowded.acquired.date()].to_crs(crowded.grid.crs)
    blocks, levels = here.geometry.union_all(), []
    for scene in (empty, crowded):
        x, y = np.meshgrid(*scene.grid.pixel_centres())
        red = scene.render()[0][2].astype(float)
        ring = contains_xy(blocks.buffer(8.0), x, y) & ~contains_xy(blocks.buffer(4.0), x, y)
        levels.append((red[contains_xy(blocks, x, y)] / np.median(red[ring])).mean())
    assert levels[0] == pytest.approx(1.0, abs=0.05)
    assert levels[1] < 0.85


def test_people_stand_apart_and_on_the_ground(make_aoi):
    params = SimulateParams("parade-ground", people=1000, n_scenes=3)
    simulation = simulate(make_aoi(targets=("crowd",)), params)
    blocks = simulation.truth.to_crs("EPSG:32652")
    ground = simulation.aoi.zones[-1].geometry.buffer(1e-7)
    assert all(ground.covers(shape) for shape in simulation.truth.geometry)
    for _, day in blocks.groupby(blocks["start"].dt.date):
        assert day["count"].sum() == 1000
        assert day.geometry.area.sum() == pytest.approx(
            day.geometry.buffer(1.0).union_all().buffer(-1.0).area, rel=0.02
        )


def test_more_people_than_the_ground_holds_are_refused(make_aoi):
    with pytest.raises(ConfigError, match="do not fit"):
        simulate(make_aoi(), SimulateParams("parade-ground", size_m=100.0, people=2000))


def test_no_people_is_nobody(make_aoi):
    params = SimulateParams("parade-ground", size_m=120.0, people=0)
    assert len(simulate(make_aoi(targets=("crowd",)), params).truth) == 0


def test_huts_are_renovated_between_two_sensors(huts):
    status = huts.truth[huts.truth["class"] == "hut"]["status"].value_counts().to_dict()
    assert status == {"modified": 4, "appeared": 2}
    trenches = huts.truth[huts.truth["class"] == "trench"]
    assert len(trenches) >= 2
    assert (trenches["start"].dt.date.astype(str) == "2024-10-24").all()
    assert {scene.gsd_m for scene in huts.scenes} == {0.5, 3.0}
    assert (huts.truth["start"] > pd.Timestamp(huts.aoi.baseline_until)).all()


def test_a_new_roof_keeps_its_place_and_changes_its_colour(huts):
    first, last = huts.scenes[0], huts.scenes[-1]
    roofs = huts.truth[huts.truth["status"] == "modified"].to_crs(first.grid.crs).geometry
    colours = []
    for scene in (first, last):
        dn = scene.render()[0].astype(float)
        x, y = np.meshgrid(*scene.grid.pixel_centres())
        colours.append([dn[:, contains_xy(roof.buffer(-1.0), x, y)].mean(axis=1) for roof in roofs])
    apart = np.abs(np.log(np.array(colours[1]) / np.array(colours[0]))).max(axis=1)
    assert (apart > 0.25).all()


def test_both_sensors_see_one_place(huts):
    fine, coarse = huts.scenes[0], huts.scenes[1]
    assert (fine.gsd_m, coarse.gsd_m) == (0.5, 3.0)
    from changedetect.core.grid import Grid

    seen = {}
    for scene in (fine, coarse):
        values = scene.render()[0][3].astype(np.float64)
        sums = np.cumsum(np.cumsum(np.pad(values, ((1, 0), (1, 0))), 0), 1)
        seen[scene.gsd_m] = (scene.grid, sums)
    grid = Grid.from_bounds(fine.grid.crs, coarse.grid.bounds, 3.0).pad(-5)
    x, y = grid.pixel_centres()
    boxes = []
    for gsd in (0.5, 3.0):
        own, sums = seen[gsd]
        col, row = (x - own.transform.c) / gsd, (own.transform.f - y) / gsd
        half = 4.5 / gsd
        r0, r1 = np.rint(row - half).astype(int), np.rint(row + half).astype(int)
        c0, c1 = np.rint(col - half).astype(int), np.rint(col + half).astype(int)
        inside = (r0 >= 0) & (r1 < sums.shape[0]), (c0 >= 0) & (c1 < sums.shape[1])
        boxes.append((inside, (sums, r0, r1, c0, c1)))
    rows = boxes[0][0][0] & boxes[1][0][0]
    cols = boxes[0][0][1] & boxes[1][0][1]
    means = []
    for _, (sums, r0, r1, c0, c1) in boxes:
        a = [np.ix_(r[rows], c[cols]) for r, c in ((r1, c1), (r0, c1), (r1, c0), (r0, c0))]
        size = (r1 - r0)[rows][:, None] * (c1 - c0)[cols][None, :]
        means.append((sums[a[0]] - sums[a[1]] - sums[a[2]] + sums[a[3]]) / size)
    assert np.corrcoef(means[0].ravel(), means[1].ravel())[0, 1] > 0.8


def test_training_ground_follows_the_reports(make_aoi):
    simulation = simulate(make_aoi(targets=("trench", "hut", "equipment")), SimulateParams("training-ground"))
    found = simulation.truth["class"].value_counts()
    assert 5 <= found["trench"] <= 6
    assert 3 <= found["hut"] <= 4
    assert 2 <= found["equipment"] <= 3
    trenches = simulation.truth[simulation.truth["class"] == "trench"]
    assert trenches["start"].between("2024-10-02", "2024-10-09").all()
    assert trenches["length_m"].between(28, 95).all()
    trucks = counts(simulation, "equipment")
    assert (trucks[trucks.index < "2024-10-17"] == 0).all()
    assert trucks[trucks.index > "2024-10-24"].iloc[0] >= 10
    assert trucks.iloc[-1] == 0
    south = simulation.aoi.geometry.centroid.y
    parks = simulation.truth[simulation.truth["class"] == "equipment"]
    assert (parks.geometry.bounds["maxy"] < south).all()
    cloud = [scene.cloud_fraction for scene in simulation.scenes]
    assert sum(share > 0.8 for share in cloud) == 1
    assert sum(0.1 < share < 0.7 for share in cloud) == 1
    until = simulation.aoi.baseline_until
    assert sum(s.cloud_fraction == 0 for s in simulation.scenes if s.acquired <= until) == 2


@pytest.mark.parametrize("scenario", SCENARIO_NAMES)
def test_quiet_scenarios_plant_nothing_and_every_class_is_known(make_aoi, scenario):
    size = {"airfield": 900.0, "port-season": 400.0, "parade-ground": 100.0}.get(scenario, 160.0)
    params = SimulateParams(scenario, size_m=size, n_scenes=3, planted=False, people=0)
    quiet = simulate(make_aoi(), params)
    assert len(quiet.truth) == 0
    assert (quiet.activity["count"] == 0).all()
    assert set(quiet.aoi.all_targets) <= set(TARGETS)
    assert len(quiet.scenes) == 3
    assert quiet.scenes[0].acquired <= quiet.aoi.baseline_until < quiet.scenes[-1].acquired


def test_the_sun_is_up_all_over_the_world(make_aoi):
    for lon in (-120.0, -10.0, 20.0, 175.0):
        simulation = simulate(make_aoi(lon=lon, lat=20.0), SimulateParams("airfield", size_m=300.0, n_scenes=3))
        assert all(scene.sun_elevation_deg > 35 for scene in simulation.scenes)


def test_dates_move_with_start_and_end(make_aoi):
    params = SimulateParams("airfield", size_m=900.0, start="2025-03-01", end="2025-04-15")
    simulation = simulate(make_aoi(), params)
    assert str(simulation.scenes[0].acquired.date()) == "2025-03-01"
    assert str(simulation.scenes[-1].acquired.date()) == "2025-04-15"
    with pytest.raises(ConfigError, match="end after"):
        simulate(make_aoi(), replace(params, end="2025-02-01"))

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from shapely import contains_xy
from shapely.geometry import box

from changedetect.core.aoi import Zone
from changedetect.errors import ConfigError
from changedetect.simulate import SimulateParams, simulate

SMALL = SimulateParams("port-season", size_m=750.0)


@pytest.fixture(scope="module")
def season(make_aoi):
    return simulate(make_aoi(targets=("vessel", "equipment"), lon=130.3, lat=42.2333), SMALL)


def days_with_ships(simulation, column):
    vessels = simulation.activity[simulation.activity["class"] == "vessel"]
    whole = vessels[vessels["zone"] == simulation.aoi.name]
    return set(whole.loc[whole[column] > 0, "datetime"].dt.date)


def test_ships_are_in_sight_on_exactly_34_days(season):
    assert len(days_with_ships(season, "visible")) == 34
    assert len(days_with_ships(season, "count")) >= 34


@pytest.mark.parametrize("seed", [1, 2])
def test_that_holds_for_other_seeds_and_numbers(make_aoi, seed):
    aoi = make_aoi(targets=("vessel",))
    params = replace(SMALL, size_m=400.0, seed=seed, start="2024-10-01", end="2024-11-15", n_days=6 + seed)
    assert len(days_with_ships(simulate(aoi, params), "visible")) == 6 + seed


def test_a_ship_is_plainly_in_sight_or_plainly_hidden(season):
    for _, row in season.activity[season.activity["class"] == "vessel"].iterrows():
        assert row["visible"] <= row["count"]
        if row["zone"] == season.aoi.name and row["hidden_fraction"] > 0.6:
            assert row["visible"] == 0


def test_the_season_looks_as_reported(season):
    acquired = [scene.acquired for scene in season.scenes]
    assert str(acquired[0].date()) == "2023-08-25"
    assert str(acquired[-1].date()) == "2024-02-15"
    assert 140 <= len(acquired) <= 175
    usable = np.mean([scene.cloud_fraction < 0.5 for scene in season.scenes])
    assert 0.40 <= usable <= 0.65
    assert str(season.aoi.baseline_until.date()) == "2023-09-05"
    baseline = [scene for scene in season.scenes if scene.acquired <= season.aoi.baseline_until]
    assert sum(scene.cloud_fraction < 0.1 for scene in baseline) >= 2
    assert (season.truth["start"] > pd.Timestamp(season.aoi.baseline_until)).all()


def test_ships_lie_in_their_zones_and_stay_a_day_or_two(season):
    ships = season.truth[season.truth["class"] == "vessel"]
    assert ships["zone"].isin(["pier-1", "pier-2", "pier-3"]).all()
    assert ((ships["end"] - ships["start"]) < pd.Timedelta(hours=56)).all()
    assert ((ships["end"] - ships["start"]) > pd.Timedelta(hours=23)).all()
    zones = {zone.name: zone.geometry for zone in season.aoi.zones}
    for _, ship in ships.iterrows():
        assert zones[ship["zone"]].buffer(1e-6).covers(ship.geometry)


def test_piers_follow_the_zones_of_the_aoi(make_aoi):
    zones = (
        Zone("north", box(130.2990, 42.2320, 130.3010, 42.2355), ("vessel", "equipment")),
        Zone("south", box(130.3030, 42.2320, 130.3050, 42.2355), ("vessel",)),
    )
    aoi = make_aoi(targets=("vessel",), lon=130.3, lat=42.2333, zones=zones)
    params = SimulateParams("port-season", start="2023-08-25", end="2023-09-20", n_days=2, cloud=0.0, seed=1)
    simulation = simulate(aoi, params)
    assert [zone.name for zone in simulation.aoi.zones] == ["north", "south"]
    for given, kept in zip(zones, simulation.aoi.zones, strict=True):
        assert kept.geometry.symmetric_difference(given.geometry).area < 1e-10
    stacks = simulation.truth[simulation.truth["class"] == "equipment"]
    assert set(stacks["zone"]) == {"north"}
    scene = simulation.scenes[0]
    nir = scene.render()[0][3].astype(float)
    x, y = np.meshgrid(*scene.grid.pixel_centres())
    import geopandas as gpd

    place = gpd.GeoSeries([zones[0].geometry], crs="EPSG:4326").to_crs(scene.grid.crs).iloc[0]
    x0, y0, x1, y1 = place.bounds
    middle = contains_xy(box((x0 + x1) / 2 - 12, y0 + 60, (x0 + x1) / 2 + 12, y1 - 60), x, y)
    berth = contains_xy(box(x0 + 3, y0 + 60, x0 + 18, y1 - 90), x, y)
    assert np.median(nir[middle]) > 1000
    assert np.median(nir[berth]) < 600


def test_a_ship_is_seen_where_truth_says(season, make_aoi):
    clean = replace(SMALL, noise=0.0, gain_spread=0.0, shift_px=0.0, rotation_mrad=0.0, warp_px=0.0)
    with_ships = simulate(make_aoi(targets=("vessel",), lon=130.3, lat=42.2333), clean)
    bare = simulate(make_aoi(targets=("vessel",), lon=130.3, lat=42.2333), replace(clean, planted=False))
    activity = with_ships.activity
    seen = activity[(activity["class"] == "vessel") & (activity["visible"] == 1) & (activity["hidden_fraction"] == 0)]
    index = next(s.index for s in with_ships.scenes if s.id == seen.iloc[0]["scene_id"])
    scene = with_ships.scenes[index]
    present = with_ships.truth[
        (with_ships.truth["start"] <= scene.acquired) & (with_ships.truth["end"] > scene.acquired)
    ]
    hulls = present[present["class"] == "vessel"].to_crs(scene.grid.crs).geometry.union_all()
    x, y = np.meshgrid(*scene.grid.pixel_centres())
    inside = contains_xy(hulls.buffer(-2.0), x, y)
    difference = np.abs(scene.render()[0].astype(float) - bare.scenes[index].render()[0]).max(0)
    assert (difference[inside] > 150).mean() > 0.9
    everything = present.to_crs(scene.grid.crs).geometry.union_all()
    assert (difference[~contains_xy(everything.buffer(45.0), x, y)] > 150).mean() < 0.002


def test_stacks_grow_and_go(season):
    stacks = season.activity[(season.activity["class"] == "equipment") & (season.activity["zone"] == "pier-1")]
    counts = stacks["count"].to_numpy()
    assert counts.max() >= 40
    assert (counts[:5] == 0).all()
    assert (np.diff(counts) > 0).sum() > 10
    assert (np.diff(counts) < 0).sum() > 10


def test_too_many_days_are_refused(make_aoi):
    params = replace(SMALL, size_m=400.0, start="2023-08-25", end="2023-09-15", n_days=60)
    with pytest.raises(ConfigError, match="too few clear looks"):
        simulate(make_aoi(), params)

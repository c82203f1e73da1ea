"""Laws of every simulation: determinism, exact places, truth that is really there."""

from __future__ import annotations

from datetime import UTC, datetime

import cv2
import geopandas as gpd
import numpy as np
import pytest
from shapely import contains_xy
from shapely.geometry import LineString, box

from changedetect.core.grid import Grid
from changedetect.errors import ConfigError
from changedetect.simulate import SimulateParams, simulate
from changedetect.simulate.atmosphere import (
    HIDDEN_SHADOW,
    HIDDEN_THICKNESS,
    add_thin_cloud,
    apply_sky,
    make_product_mask,
    make_sky,
)
from changedetect.simulate.light import cast_shadows, find_sun, illuminate
from changedetect.simulate.objects import make_airframe, make_hull, make_rectangle, make_trench, rasterize
from changedetect.simulate.sensor import Pointing, find_displacement, sample_world
from changedetect.simulate.simulation import measure_shape
from changedetect.simulate.terrain import make_terrain, season_of

TINY = SimulateParams("training-ground", size_m=160.0, n_scenes=3, seed=3)
CLEAN = {"noise": 0.0, "cloud": 0.0, "gain_spread": 0.0, "shift_px": 0.0, "rotation_mrad": 0.0, "warp_px": 0.0}


@pytest.fixture(scope="module")
def tiny(make_aoi):
    return simulate(make_aoi(), TINY)


def test_same_seed_gives_same_bytes_in_any_order(make_aoi, tiny):
    again = simulate(make_aoi(), TINY)
    forward = [scene.render() for scene in tiny.scenes]
    backward = [scene.render() for scene in reversed(again.scenes)][::-1]
    for (dn, mask, transform, crs), (dn2, mask2, transform2, crs2) in zip(forward, backward, strict=True):
        assert np.array_equal(dn, dn2)
        assert np.array_equal(mask, mask2)
        assert (transform, crs) == (transform2, crs2)
    assert tiny.truth.equals(again.truth)
    assert tiny.activity.equals(again.activity)


def test_another_seed_gives_another_place(make_aoi, tiny):
    other = simulate(make_aoi(), SimulateParams("training-ground", size_m=160.0, n_scenes=3, seed=4))
    dn, dn2 = tiny.scenes[0].render()[0], other.scenes[0].render()[0]
    rows, cols = min(dn.shape[1], dn2.shape[1]), min(dn.shape[2], dn2.shape[2])
    assert np.corrcoef(dn[0, :rows, :cols].ravel(), dn2[0, :rows, :cols].ravel())[0, 1] < 0.5


def test_scenes_are_reflectance_on_their_own_grids(tiny):
    shapes = set()
    for scene in tiny.scenes:
        dn, mask, transform, crs = scene.render()
        assert (dn.dtype, mask.dtype, dn.shape) == (np.uint16, np.uint8, (4, *mask.shape))
        assert dn.min() > 0
        assert crs == "EPSG:32652"
        shapes.add((transform.c % 0.5, transform.f % 0.5))
        left, bottom, right, top = scene.grid.bounds
        extent = tiny.aoi.geometry
        assert right - left > 160.0
        assert top - bottom > 160.0
        assert extent.area > 0
    assert len(shapes) == len(tiny.scenes)
    assert [s.acquired for s in tiny.scenes] == sorted(s.acquired for s in tiny.scenes)


def test_no_truth_outside_the_extent(tiny):
    assert len(tiny.truth) > 2
    assert tiny.aoi.geometry.buffer(1e-7).covers(tiny.truth.geometry.union_all())


def test_truth_is_where_clean_renders_differ(make_aoi):
    common = {"size_m": 192.0, "n_scenes": 4, "seed": 5, **CLEAN}
    with_truth = simulate(make_aoi(), SimulateParams("training-ground", **common))
    scene, before = with_truth.scenes[-1], with_truth.scenes[0]
    item = with_truth.truth[with_truth.truth["class"].isin(["trench", "hut"])]
    assert (item["start"] > before.acquired).all()
    shapes = item.to_crs(scene.grid.crs).geometry
    bare = simulate(make_aoi(), SimulateParams("training-ground", planted=False, **common)).scenes[-1]
    assert len(simulate(make_aoi(), SimulateParams("training-ground", planted=False, **common)).truth) == 0
    dn, dn_bare = scene.render()[0].astype(float), bare.render()[0].astype(float)
    x, y = np.meshgrid(*scene.grid.pixel_centres())
    inside = contains_xy(shapes.union_all(), x, y)
    differs = np.abs(dn - dn_bare).max(axis=0) > 250
    assert differs[inside].mean() > 0.85
    # beside the truth only its shadow may differ
    far = ~contains_xy(shapes.union_all().buffer(9.0), x, y)
    equipment = with_truth.truth[with_truth.truth["class"] == "equipment"].to_crs(scene.grid.crs).geometry
    far &= ~contains_xy(equipment.union_all().buffer(9.0), x, y)
    assert differs[far].mean() < 0.02


def test_truth_frame_is_the_first_scene(tiny):
    grid = tiny.scenes[0].grid
    assert np.abs(tiny.scenes[0].true_displacement_px(grid)).max() == 0.0
    assert np.abs(tiny.scenes[1].true_displacement_px(grid)).max() > 0.05


def test_true_displacement_recovers_coordinates():
    # pixels that store their own ground position, rendered through two errors of place
    grid = Grid("EPSG:32652", Grid.from_bounds("EPSG:32652", (1000, 1000, 1064, 1064), 0.5).transform, (128, 128))
    reference = Pointing((0.4, -0.2), 1e-4, ((0.1, 0.05, 0.02, 0.01, 0.3),), (1032.0, 1032.0))
    moving = Pointing((-1.3, 0.9), -2e-4, ((0.15, -0.1, 0.03, 0.0, 1.0),), (1032.0, 1032.0))
    left, top, pixel = 980.0, 1084.0, 0.25
    n = int(104 / pixel)
    x = left + (np.arange(n) + 0.5) * pixel
    y = top - (np.arange(n) + 0.5) * pixel
    ground = np.stack([*np.broadcast_arrays(x[None, :] - 1000, 1064 - y[:, None])], -1).astype(np.float32)
    ground = np.concatenate([ground, ground], -1)
    seen_a = sample_world(ground, (left, top, pixel), grid, reference)
    seen_b = sample_world(ground, (left, top, pixel), grid, moving)
    u = find_displacement(moving, reference, grid)
    col, row = np.meshgrid(np.arange(128, dtype=np.float32), np.arange(128, dtype=np.float32))
    matched = cv2.remap(seen_b, col + u[1], row + u[0], cv2.INTER_LINEAR)
    inner = (slice(8, -8), slice(8, -8))
    error_px = (matched - seen_a)[inner][..., :2] / 0.5
    assert np.abs(error_px).max() < 0.05
    assert np.sqrt((error_px**2).mean()) < 0.02


def test_shadows_fall_away_from_the_sun():
    height = np.zeros((80, 80), np.float32)
    height[38:42, 38:42] = 5.0
    shadow = cast_shadows(height, 1.0, 160.0, 30.0)
    rows, cols = np.nonzero(shadow & (height == 0))
    assert rows.mean() < 38
    assert cols.mean() < 38
    length = 40 - rows.min()
    assert length == pytest.approx(5.0 / np.tan(np.radians(30)) * np.cos(np.radians(20)) + 2, abs=1.6)


def test_flat_ground_is_left_alone_and_shadow_is_blue():
    reflectance = np.full((40, 40, 4), 0.1, np.float32)
    assert np.array_equal(illuminate(reflectance.copy(), np.zeros((40, 40), np.float32), 1.0, (160, 40)), reflectance)
    height = np.zeros((40, 40), np.float32)
    height[25:30, 10:30] = 8.0
    lit = illuminate(reflectance.copy(), height, 1.0, (180.0, 45.0))
    dark = lit[21, 20] / 0.1
    assert dark[0] > dark[1] > dark[2] > dark[3]
    assert 0.25 < dark[3] < dark[0] < 0.5


@pytest.mark.parametrize(
    ("day", "azimuth", "elevation"), [((2024, 10, 1), 158, 39), ((2024, 12, 21), 157, 20), ((2023, 8, 25), 146, 52)]
)
def test_sun_stands_where_the_tables_say(day, azimuth, elevation):
    found = find_sun(datetime(*day, 2, 5, tzinfo=UTC), 131.67, 44.33)
    assert found[0] == pytest.approx(azimuth, abs=12)
    assert found[1] == pytest.approx(elevation, abs=4)


def test_seasons_turn():
    assert season_of(240) < 0.05
    assert season_of(250) < season_of(282) < season_of(305)
    assert season_of(330) > 0.95
    assert season_of(20) == 1.0


def test_shares_are_areas():
    terrain = make_terrain(40.0, 4.0, 0.25)
    for shape in (
        make_rectangle(20, 20, 7.4, 2.5, 33.0),
        make_rectangle(12, 11, 0.5, 0.3, 10.0),
        make_trench(LineString([(8, 8), (20, 14), (33, 9)]), 5.0, "both"),
    ):
        _, share = rasterize(terrain, shape)
        assert share.sum() * 0.25**2 == pytest.approx(shape.area, rel=0.12)


def test_outlines_have_their_sizes():
    hull, airframe = make_hull(115, 17), make_airframe(46.6, 50.5)
    assert measure_shape(hull)[:2] == pytest.approx((115, 17), rel=0.01)
    x0, y0, x1, y1 = airframe.bounds
    assert (y1 - y0, x1 - x0) == pytest.approx((47.1, 50.5), rel=0.02)
    assert measure_shape(make_rectangle(0, 0, 20, 6, 33.0))[2] == pytest.approx(33.0)


def test_hidden_fraction_is_what_the_cloud_hides(make_aoi):
    params = SimulateParams("training-ground", size_m=200.0, seed=6)
    cloudy = simulate(make_aoi(), params)
    clear = simulate(make_aoi(), SimulateParams("training-ground", size_m=200.0, seed=6, cloud=0.0))
    hidden = cloudy.activity.groupby("scene_id")["hidden_fraction"].first()
    assert hidden.max() > 0.8
    assert (hidden < 0.1).sum() >= 4
    assert (clear.activity["hidden_fraction"] == 0).all()
    scene = cloudy.scenes[4]
    dn, mask, _, _ = scene.render()
    inner = tuple(slice(12, -12) for _ in range(2))
    assert (mask[inner] > 0).mean() == pytest.approx(hidden[scene.id], abs=0.08)
    bright = dn[0].astype(float) > np.median(dn[0][mask == 0]) * 2.5
    assert (mask[bright] > 0).mean() > 0.8
    assert not clear.scenes[4].render()[1].any()


def test_masks_miss_some_of_the_rims_of_clouds_and_no_more():
    sky = make_sky(np.random.default_rng(4), (500, 500), 1.0, 0.35, (160.0, 40.0))
    mask = make_product_mask(sky, (500, 500), np.random.default_rng(5))
    thick, shadow = sky.at("thickness", mask.shape), sky.at("shadow", mask.shape)
    hidden = (thick > HIDDEN_THICKNESS) | (shadow > HIDDEN_SHADOW)
    assert 0.005 < (hidden & (mask == 0)).sum() / hidden.sum() < 0.08
    assert (~hidden & (mask > 0)).sum() / hidden.sum() < 0.08
    assert (mask[thick > 0.6] == 1).mean() > 0.995


def test_thin_cloud_veils_without_hiding():
    clear = make_sky(np.random.default_rng(1), (200, 200), 0.5, 0.0, (160.0, 40.0))
    sky = add_thin_cloud(clear, np.random.default_rng(2), 0.15)
    assert 0.05 < sky.thickness.mean() < 0.15
    assert not sky.hidden.any()
    assert not make_product_mask(sky, (200, 200), np.random.default_rng(3)).any()
    ground = np.full((200, 200, 4), 0.08, np.float32)
    seen = apply_sky(ground.copy(), sky, 0.0, np.random.default_rng(4))
    assert seen.mean() > 0.1


def test_cloud_shadow_falls_away_from_the_sun():
    sky = make_sky(np.random.default_rng(4), (400, 400), 1.0, 0.2, (180.0, 45.0), base_m=60.0)
    thick, shadow = sky.thickness, sky.shadow
    # sun in the south: the shadow is the cloud moved 60 m, or 15 cells, to the north
    assert np.abs(shadow[:-15] - thick[15:])[20:-20, 20:-20].max() < 0.02


def test_dates_that_cannot_be_used_are_refused(make_aoi):
    with pytest.raises(ConfigError, match="dates as YYYY-MM-DD"):
        simulate(make_aoi(), SimulateParams("training-ground", start="October"))
    with pytest.raises(ConfigError, match="must end after it starts"):
        simulate(make_aoi(), SimulateParams("training-ground", start="2024-10-02", end="2024-10-01"))


def test_aoi_keeps_its_name_and_gets_what_the_story_needs(tiny, make_aoi):
    assert tiny.aoi.name == "test"
    assert tiny.aoi.targets == ("other", "trench", "hut", "equipment")
    assert tiny.aoi.baseline_until is not None
    assert make_aoi().geometry.centroid.distance(tiny.aoi.geometry.centroid) < 2e-4
    assert set(tiny.activity["class"]) == {"trench", "hut", "equipment"}


def test_extent_is_square_in_metres(tiny):
    outline = gpd.GeoSeries([tiny.aoi.geometry], crs="EPSG:4326").to_crs("EPSG:32652").iloc[0]
    assert outline.symmetric_difference(box(*outline.bounds)).area < 1.0
    assert outline.area == pytest.approx(160.0**2, rel=1e-4)

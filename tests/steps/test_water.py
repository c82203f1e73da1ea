"""Water: hulls stand out from what a look's own water does; what could hide one is said to be unseen."""

from dataclasses import replace
from datetime import UTC, datetime

import cv2
import geopandas as gpd
import numpy as np
import pytest
from geopandas.testing import assert_geodataframe_equal
from presence_kit import BANDS, CONCRETE, HULL, WATER, grid, hull, outlines, paint, pair
from rasterio.features import rasterize
from shapely import contains_xy
from shapely.geometry import LineString, Point, box
from shapely.ops import unary_union

from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.steps.classify import ClassifyParams, classify, worth_measuring
from changedetect.steps.classify import water as water_module
from changedetect.steps.classify.steepest import steepest
from changedetect.steps.classify.veil import tell_water
from changedetect.steps.classify.vessel import VesselParams, look_at_sea, propose
from changedetect.steps.classify.water import (
    WaterParams,
    find_water,
    look_at_water,
    mark_hulls,
    widens_hulls,
)
from changedetect.steps.measure import MeasureParams, measure

GRID = grid(px=160)
QUAY = box(0, 400, 480, 480)
SHIP = hull(240, 389, 110, 17)
PORT = ((None, WATER), (QUAY, CONCRETE))
ICE = (0.34, 0.36, 0.35, 0.27)
DARK = (0.045, 0.05, 0.06, 0.07)
BRIDGE = hull(195, 389, 16, 15)
PARAMS = WaterParams()


def season_of_ice(share: float, seed: int = 3):
    """Floes over a share of the open water."""
    rng = np.random.default_rng(seed)
    floes, area = [], 0.0
    while area < share * 480 * 400:
        floes.append(Point(*rng.uniform((0, 0), (480, 360))).buffer(rng.uniform(10, 30)))
        area = unary_union(floes).area
    return unary_union(floes)


def look(*layers, bands=BANDS, on=GRID):
    first = paint(on, *PORT, bands=bands)
    return pair(on, first, paint(on, *PORT, *layers, rng=np.random.default_rng(6), bands=bands), bands)


def marked(raster, baseline, labels=None):
    labels = np.zeros(raster.grid.shape, np.int32) if labels is None else labels
    return mark_hulls(labels, raster, baseline, look_at_water(raster, baseline, PARAMS), PARAMS)


def told(raster, baseline, vessels=()):
    return tell_water(raster, baseline, look_at_water(raster, baseline, PARAMS), vessels, PARAMS)


def ships_in(raster, baseline):
    labels = marked(raster, baseline)
    shapes = [outline_of(labels == k, raster.grid) for k in range(1, labels.max() + 1)]
    found = propose(outlines(*shapes), raster, baseline, VesselParams()) if shapes else None
    return shapes, [] if found is None else list(found["confidence"])


def outline_of(mask, on):
    from rasterio.features import shapes
    from shapely.geometry import shape

    return unary_union([shape(s) for s, v in shapes(mask.astype(np.uint8), mask=mask, transform=on.transform) if v])


def test_an_unchanged_look_holds_no_hull_and_hides_none():
    raster, baseline = look()
    assert marked(raster, baseline).max() == 0
    bits = told(raster, baseline)
    water = find_water(baseline, PARAMS)
    assert ((bits & Quality.WATER) > 0).tolist() == water.tolist()
    assert not (bits & Quality.HAZE).any()
    assert 0.7 < water.mean() < 0.95


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.4])
def test_a_dark_ship_is_found_among_ice_and_no_floe_is_one(share):
    layers = [(season_of_ice(share), ICE)] if share else []
    shapes, confidence = ships_in(*look(*layers, (SHIP, DARK), (BRIDGE, (0.4, 0.4, 0.4, 0.4))))
    sure = [shape for shape, value in zip(shapes, confidence, strict=True) if value > 0.4]
    assert len(sure) == 1
    assert sure[0].intersection(SHIP).area > 0.8 * SHIP.area
    assert sure[0].area < 1.8 * SHIP.area


def test_a_ship_that_lies_in_a_floe_is_cut_out_of_it():
    floe = box(170, 330, 330, 392)
    shapes, confidence = ships_in(*look((floe, ICE), (SHIP, HULL), (BRIDGE, (0.4, 0.4, 0.4, 0.4))))
    sure = [shape for shape, value in zip(shapes, confidence, strict=True) if value > 0.4]
    assert len(sure) == 1
    assert sure[0].area < 2.0 * SHIP.area


def test_the_edge_of_a_quay_seen_a_pixel_away_is_no_hull():
    moved = (box(0, 397, 480, 480), CONCRETE)
    raster, baseline = look(moved)
    assert marked(raster, baseline).max() == 0


def test_glint_over_all_water_is_what_water_does():
    raster, baseline = look((None, tuple(c + 0.06 for c in WATER)), (QUAY, CONCRETE))
    afloat = look_at_water(raster, baseline, PARAMS)
    assert np.allclose(afloat.model.level, 0.06, atol=0.003)
    assert np.quantile(afloat.sigma, 0.999) < PARAMS.grow_sigma


def test_a_wake_is_no_vessel():
    wake = LineString([(40, 100), (400, 160)]).buffer(9)
    _, confidence = ships_in(*look((wake, (0.16, 0.17, 0.15, 0.05))))
    assert max(confidence, default=0.0) < 0.4


def test_a_large_floe_at_the_berth_hides_what_lies_there_and_a_ship_does_not():
    floe = Point(240, 370).buffer(35).intersection(box(0, 0, 480, 400))
    raster, baseline = look((floe, ICE), (SHIP.difference(floe), HULL))
    hidden = (told(raster, baseline) & Quality.HAZE) > 0
    told_of = (told(raster, baseline, [SHIP]) & Quality.HAZE) > 0
    x, y = np.meshgrid(*GRID.pixel_centres())
    inside = (x > 225) & (x < 255) & (y > 345) & (y < 375)
    assert hidden[inside].mean() > 0.9
    assert hidden.sum() > told_of.sum() > 0.3 * inside.sum()


def test_water_so_uneven_that_no_dark_hull_would_show_is_not_seen():
    raster, baseline = look()
    rng = np.random.default_rng(1)
    rough = raster.data + 0.03 * rng.standard_normal(raster.data.shape).astype(np.float32)
    bits = told(raster.with_data(rough), baseline)
    assert ((bits & Quality.HAZE) > 0).tolist() == find_water(baseline, PARAMS).tolist()


def test_without_open_water_in_sight_labels_stay_and_the_water_is_unseen():
    raster, baseline = look((SHIP, HULL))
    _, y = np.meshgrid(*GRID.pixel_centres())
    cloud = np.where(y < 395, np.uint16(Quality.CLOUD), np.uint16(0))
    raster = replace(raster, quality=cloud)
    labels = np.zeros(GRID.shape, np.int32)
    labels[10:12, 10:12] = 1
    assert marked(raster, baseline, labels) is labels
    assert ((told(raster, baseline) & Quality.HAZE) > 0)[find_water(baseline, PARAMS)].all()
    assert propose(outlines(SHIP), raster, baseline, VesselParams())["confidence"].iloc[0] == 0


def test_labels_on_land_stay_and_are_cut_at_the_shore():
    raster, baseline = look((SHIP, HULL))
    x, y = np.meshgrid(*GRID.pixel_centres())
    labels = ((y > 390) & (y < 415) & (x < 60)).astype(np.int32)
    found = marked(raster, baseline, labels)
    assert found.max() == 2
    water = find_water(baseline, PARAMS)
    assert not (found[water] == 1).any()
    assert (found[(labels == 1) & ~water] == 1).all()
    assert (found == 2)[water].sum() * 9.0 > 0.8 * SHIP.area


def test_at_ten_metres_ice_at_a_berth_is_unseen_and_a_ship_on_open_water_is_found():
    coarse = grid(gsd_m=10.0, px=60)
    port = ((None, WATER), (box(0, 400, 600, 600), CONCRETE))
    ship = hull(300, 389, 120, 18)
    first = paint(coarse, *port)

    def seen(*layers):
        return pair(coarse, first, paint(coarse, *port, *layers, rng=np.random.default_rng(6)))

    _, confidence = ships_in(*seen((ship, HULL)))
    assert max(confidence) > 0.6
    floes = unary_union([Point(x, y).buffer(35) for x in range(0, 600, 120) for y in range(20, 420, 120)])
    hidden = (told(*seen((floes.intersection(box(0, 0, 600, 400)), ICE))) & Quality.HAZE) > 0
    x, y = np.meshgrid(*coarse.pixel_centres())
    inside = contains_xy(floes.buffer(-15), x, y) & (y < 400)
    assert hidden[inside].mean() > 0.95
    assert not hidden[contains_xy(box(0, 0, 600, 380).difference(floes.buffer(15)), x, y)].any()


def test_at_ten_metres_a_narrow_ship_at_the_quay_stands_out_and_a_shore_seen_elsewhere_does_not():
    coarse = grid(gsd_m=10.0, px=60)
    port = ((None, WATER), (box(0, 403, 600, 600), CONCRETE))
    moved = ((None, WATER), (box(0, 400, 600, 600), CONCRETE))
    first = paint(coarse, *port)
    rng = np.random.default_rng(6)
    # as grey as the quay, and darker: the colour of water and quay in one pixel
    grey = tuple(0.3 * quay + 0.7 * water for quay, water in zip(CONCRETE, WATER, strict=True))
    still, at_berth, shifted = (
        look_at_water(*pair(coarse, first, paint(coarse, *layers, rng=rng)), PARAMS).sigma
        for layers in (port, (*port, (hull(300, 393, 100, 15), grey)), moved)
    )
    x, y = np.meshgrid(*coarse.pixel_centres())
    ship = (abs(x - 300) < 35) & (y > 385) & (y < 400)
    assert still.max() < PARAMS.grow_sigma
    assert at_berth[ship].min() > PARAMS.grow_sigma
    assert at_berth[~(abs(x - 300) < 70)].max() < PARAMS.grow_sigma
    assert shifted.max() < PARAMS.grow_sigma


def test_evidence_is_averaged_over_neighbours_only_where_a_hull_is_wider_than_pixels():
    assert [widens_hulls(gsd_m, PARAMS) for gsd_m in (0.5, 3.0, 5.0, 10.0)] == [True, True, True, False]


def test_what_is_not_worth_measuring_for_vessels_is_nothing_that_would_be_named_one():
    stack, floe = box(40, 430, 90, 460), box(300, 100, 420, 220)
    raster, baseline = look((SHIP, HULL), (stack, WATER), (floe, ICE))
    zones = gpd.GeoDataFrame({"name": ["port"], "targets": [("vessel",)]}, geometry=[box(0, 0, 480, 480)], crs=GRID.crs)
    afloat = look_at_water(raster, baseline, PARAMS)
    sea = look_at_sea(raster, baseline, VesselParams(), afloat)
    labels = mark_hulls(cv2.connectedComponents(drawn(stack, on=GRID))[1], raster, baseline, afloat, PARAMS)
    planes = np.stack([afloat.sigma, np.zeros_like(afloat.sigma)])
    score = Raster(planes, raster.quality, GRID, ("score", "light"), "sigma")
    when = datetime(2024, 10, 1, tzinfo=UTC)
    every, chosen = (
        measure(labels, score, raster, baseline, MeasureParams(), scene_id="s", acquired=when, worth=worth)
        for worth in (None, worth_measuring(raster, baseline, zones, ClassifyParams(), sea))
    )
    assert len(every) == 3
    assert len(chosen) == 1
    named = classify(every, raster, baseline, zones, ClassifyParams())
    assert_geodataframe_equal(classify(chosen, raster, baseline, zones, ClassifyParams(), sea), named)
    assert list(named["class"]) == ["vessel"]
    assert worth_measuring(raster, baseline, zones.assign(targets=[("vessel", "other")]), ClassifyParams(), sea) is None


def drawn(shape, on):
    return rasterize([shape], on.shape, transform=on.transform, dtype=np.uint8)


def test_what_the_baseline_alone_decides_is_worked_out_once_a_look(monkeypatch):
    counts = dict.fromkeys(("find_water", "_away_from_land", "steepest"), 0)

    def counted(name, function):
        def call(*args):
            counts[name] += 1
            return function(*args)

        return call

    for name in counts:
        monkeypatch.setattr(water_module, name, counted(name, getattr(water_module, name)))
    coarse = grid(gsd_m=10.0, px=60)
    port = ((None, WATER), (box(0, 403, 600, 600), CONCRETE))
    first, second = (paint(coarse, *port, rng=np.random.default_rng(seed)) for seed in (5, 6))
    look_at_water(*pair(coarse, first, second), PARAMS)
    assert counts == dict.fromkeys(counts, 1)


@pytest.mark.parametrize("shape", [(3, 2, 2), (4, 7, 5), (1, 6, 9)])
def test_the_steeper_side_is_that_of_the_neighbour_that_differs_more(shape):
    planes = np.random.default_rng(3).integers(0, 4, shape).astype(np.float32)  # small numbers: many are equal
    for axis, slope in enumerate(steepest(planes), start=1):
        for row, col in np.ndindex(shape[1:]):
            here = (row, col)[axis - 1]
            line = planes[:, :, col] if axis == 1 else planes[:, row]
            sides = [line[:, k + 1] - line[:, k] for k in (here - 1, here) if 0 <= k < shape[axis] - 1]
            steeper = max(sides, key=lambda side: float((side**2).sum()))  # the first of equals
            assert slope.at(np.array([row]), np.array([col]))[:, 0].tolist() == steeper.tolist()

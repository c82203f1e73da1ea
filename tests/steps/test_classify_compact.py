"""Huts of a few pixels: features by hand, and the forests that are shipped."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
from score_scenes import GRASS, make_grid, paint
from shapely.geometry import box

from changedetect.core.raster import Raster
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.classify import compact
from changedetect.steps.classify.compact import (
    CLASSES,
    FEATURES,
    OUTLINE,
    add_outlines,
    chances_of_huts,
    describe_compact,
    own_change,
)
from changedetect.steps.classify.forest import load_forest
from changedetect.steps.classify.ground import GroundParams

BANDS = ("blue", "green", "red", "nir")
SIDE = 48
ROOF = np.array([0.42, 0.44, 0.45, 0.48], np.float32)
PLACE = np.broadcast_to(GRASS[:, None, None], (4, SIDE, SIDE)).copy()
HUT = (20, 22, 24, 29)
PARAMS = GroundParams()


def raster_of(values: np.ndarray, gsd_m: float = 3.0) -> Raster:
    return Raster.make(values, make_grid(values.shape[1], gsd_m), BANDS, "reflectance")


def row_of(gsd_m: float = 3.0, **features: float) -> dict:
    r0, r1, c0, c1 = HUT
    x, y = 480_000.0, 4_800_000.0
    shape = box(x + c0 * gsd_m, y - r1 * gsd_m, x + c1 * gsd_m, y - r0 * gsd_m)
    return {"geometry": shape, "gsd_m": gsd_m, "area_m2": shape.area, "status": "appeared", "features": features}


def described(before: np.ndarray, after: np.ndarray, **features: float) -> dict[str, float] | None:
    baseline = fit_baseline([raster_of(before)], BaselineParams())
    (values,) = describe_compact([row_of(**features)], raster_of(after), baseline)
    return None if values is None else dict(zip(FEATURES + OUTLINE, values, strict=False))


def test_contrasts_are_those_of_each_date_against_the_ground_around() -> None:
    values = described(PLACE, paint(PLACE, HUT, ROOF), compact_sigma=20.0, compact_area_m2=90.0)
    assert values is not None
    assert values["compact_sigma"] == 20.0
    assert values["red_before"] == pytest.approx(0.0, abs=1e-6)
    assert values["red_after"] == pytest.approx(np.log(0.47 / 0.08), abs=1e-5)
    assert values["nir_after"] == pytest.approx(np.log(0.50 / 0.36), abs=1e-5)
    assert values["ndvi_before"] == pytest.approx(0.28 / 0.40, abs=1e-5)
    assert values["ndvi_after"] == pytest.approx(0.03 / 0.93, abs=1e-5)
    assert values["uneven_after"] == pytest.approx(0.0, abs=1e-6)
    assert "sharp_fill" not in values


def test_without_evidence_of_compact_things_nothing_is_said() -> None:
    assert described(PLACE, PLACE) is None
    baseline = fit_baseline([raster_of(PLACE)], BaselineParams())
    assert chances_of_huts([row_of()], raster_of(PLACE), baseline, PARAMS) == [None]


def test_a_finer_date_shows_the_outline() -> None:
    fine = np.broadcast_to(GRASS[:, None, None], (4, 6 * SIDE, 6 * SIDE)).copy()
    r0, r1, c0, c1 = (6 * n for n in HUT)
    sharp = raster_of(paint(fine, (r0, r1, c0, c1), ROOF), 0.5)
    table = gpd.GeoDataFrame([row_of(compact_sigma=9.0)], geometry="geometry", crs="EPSG:32652")
    (features,) = add_outlines(table, sharp)["features"]
    # 12 by 30 pixels of .5 m, less what smoothing takes off the corners
    assert features["sharp_area_m2"] == pytest.approx(90.0, rel=0.05)
    assert features["sharp_fill"] > 0.9
    assert (features["sharp_width_m"], features["sharp_length_m"]) == pytest.approx((6.0, 15.0), abs=0.6)
    assert features["sharp_off_m"] < 0.5
    plain = table.assign(features=[{}])
    assert add_outlines(plain, sharp)["features"].iloc[0] == {}


@pytest.mark.parametrize(("name", "features"), [("compact", FEATURES), ("compact_outline", FEATURES + OUTLINE)])
def test_the_forests_ask_for_what_is_described(name: str, features: tuple[str, ...]) -> None:
    forest = load_forest(name)
    assert (forest.classes, forest.features) == (CLASSES, features)
    assert forest.feature.max() < len(features)
    assert (np.diff(forest.knots[1]) >= -1e-6).all()


def test_a_new_white_roof_is_a_hut_and_a_field_that_only_changed_is_none() -> None:
    baseline, after = fit_baseline([raster_of(PLACE)], BaselineParams()), raster_of(paint(PLACE, HUT, ROOF))
    rows = [row_of(compact_sigma=s, compact_area_m2=a) for s, a in ((25.0, 90.0), (0.0, 3600.0))]
    seen = chances_of_huts(rows, after, baseline, PARAMS)
    assert seen[0] is not None
    assert seen[0] > 0.7
    assert seen[1] == 0.0


@pytest.mark.parametrize(("painted", "change"), [(1.0, 0.0), (0.5, float(np.log(0.50 / 0.26)))])
def test_a_shed_amid_crops_that_came_up_is_the_same_unless_its_own_roof_changed(painted: float, change: float) -> None:
    soil = np.broadcast_to(np.array([0.1, 0.13, 0.17, 0.22], np.float32)[:, None, None], PLACE.shape).copy()
    before, after = paint(soil, HUT, ROOF), raster_of(paint(PLACE, HUT, painted * ROOF))
    row = row_of(compact_sigma=25.0, compact_area_m2=90.0) | {"status": "modified"}
    baseline = fit_baseline([raster_of(before)], BaselineParams())
    told, lenient = (
        chances_of_huts([row], after, baseline, GroundParams(compact_min_chance=0.0, compact_min_change=least))[0]
        for least in (PARAMS.compact_min_change, 0.0)
    )
    assert own_change(row, after, baseline) == pytest.approx(change, abs=1e-5)
    assert lenient
    assert told == (lenient if change else 0.0)


SHOWN = {
    "sharp_area_m2": 100.0,
    "sharp_fill": 0.88,
    "sharp_width_m": 7.5,
    "sharp_length_m": 14.5,
    "sharp_contrast": 0.9,
    "sharp_spread": 0.15,
    "sharp_off_m": 1.0,
}


def told_by_outline(monkeypatch: pytest.MonkeyPatch, before: float, **changes: float) -> float | None:
    """Return the chance of a hut that the trees think nothing of, by its share of the roof's reflectance before."""
    monkeypatch.setattr(compact, "class_shares", lambda _, rows: np.tile([0.8, 0.2], (len(rows), 1)))
    baseline = fit_baseline([raster_of(paint(PLACE, HUT, before * ROOF))], BaselineParams())
    row = row_of(**({"compact_sigma": 8.0, "compact_area_m2": 90.0} | SHOWN | changes))
    return chances_of_huts([row], raster_of(paint(PLACE, HUT, ROOF)), baseline, PARAMS)[0]


def test_a_roof_s_outline_on_the_finer_date_and_a_change_of_its_own_are_a_hut(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told_by_outline(monkeypatch, 0.6) == PARAMS.outline.chance
    assert told_by_outline(monkeypatch, 0.9) == 0.0  # the same roof


@pytest.mark.parametrize(
    "change",
    [
        {"sharp_fill": 0.79},  # a crown
        {"sharp_spread": 0.35},
        {"sharp_contrast": 0.3},
        {"sharp_width_m": 4.0},  # a track
        {"sharp_width_m": 14.0},  # a plot
        {"sharp_length_m": 9.0},
        {"sharp_length_m": 50.0},  # a strip of a field
        {"sharp_off_m": 6.0},
        {"compact_sigma": 0.0},
    ],
)
def test_what_has_no_roof_s_outline_is_left_to_the_trees(monkeypatch: pytest.MonkeyPatch, change: dict) -> None:
    assert told_by_outline(monkeypatch, 0.6, **change) == 0.0

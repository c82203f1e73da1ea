"""A roof's slopes under another sun are explained; new paint, new roofs and unknown suns are not."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from score_scenes import make_grid
from shapely.geometry import box

from changedetect.core.raster import Raster
from changedetect.core.tables import MEASURE_COLUMNS, geo_table
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.explain import ExplainParams, View, explain
from changedetect.steps.explain.slopes import slope_gain, turned_light

BANDS = ("blue", "green", "red", "nir")
GROUND = np.array([0.06, 0.09, 0.10, 0.30])
SHEETS = np.array([0.20, 0.16, 0.11, 0.22])
SEPTEMBER, OCTOBER = View(162.0, 50.0), View(169.0, 33.0)
SOUTH, NORTH = (slice(30, 38), slice(20, 50)), (slice(22, 30), slice(20, 50))
"""The two slopes of a house whose ridge runs east to west."""
SKY = 0.25


def facing(view: View, facing_deg: float, slope_deg: float) -> float:
    """Direct light on a slope as a share of that on flat ground, by vectors."""
    azimuth, high = math.radians(view.sun_azimuth_deg or 0), math.radians(view.sun_elevation_deg or 0)
    sun = np.array([math.sin(azimuth) * math.cos(high), math.cos(azimuth) * math.cos(high), math.sin(high)])
    way, slope = math.radians(facing_deg), math.radians(slope_deg)
    up = np.array([math.sin(way) * math.sin(slope), math.cos(way) * math.sin(slope), math.cos(slope)])
    return max(float(sun @ up), 0.0) / float(sun[2])


def gable(view: View, slope_deg: float = 22.0, paint: np.ndarray = SHEETS, gain: float = 1.0) -> np.ndarray:
    """Return an image, (band, row, col), of a gable roof on flat ground."""
    image = np.broadcast_to(GROUND[:, None, None], (4, 64, 64)).copy()
    for part, way in ((SOUTH, 180.0), (NORTH, 0.0)):
        lit = SKY + (1 - SKY) * facing(view, way, slope_deg)
        image[:, part[0], part[1]] = (gain * paint * lit)[:, None, None]
    return image.astype(np.float32)


def on(part: tuple[slice, slice]) -> np.ndarray:
    mask = np.zeros((64, 64), bool)
    mask[part] = True
    return mask


@pytest.mark.parametrize("part", [SOUTH, NORTH])
@pytest.mark.parametrize("gain", [1.0, 1.12])
def test_the_sinking_sun_brightens_one_slope_and_darkens_the_other(part: tuple[slice, slice], gain: float) -> None:
    images = gable(SEPTEMBER), gable(OCTOBER, gain=gain)
    assert slope_gain(images, on(part), (OCTOBER, SEPTEMBER)) > 0.9


def test_both_slopes_found_as_one_are_explained_too() -> None:
    both = on(SOUTH) | on(NORTH)
    assert slope_gain((gable(SEPTEMBER), gable(OCTOBER)), both, (OCTOBER, SEPTEMBER)) > 0.9
    assert slope_gain((gable(SEPTEMBER), gable(OCTOBER, paint=SHEETS * 1.8)), both, (OCTOBER, SEPTEMBER)) < 0.6


@pytest.mark.parametrize("factor", [0.6, 1.3, 1.8])
def test_paint_on_both_slopes_is_not_explained(factor: float) -> None:
    images = gable(SEPTEMBER), gable(SEPTEMBER, paint=SHEETS * factor)
    assert slope_gain(images, on(SOUTH), (OCTOBER, SEPTEMBER)) < 0.3


def test_another_colour_is_not_explained() -> None:
    rust = np.array([0.09, 0.11, 0.21, 0.27])
    assert slope_gain((gable(SEPTEMBER), gable(OCTOBER, paint=rust)), on(SOUTH), (OCTOBER, SEPTEMBER)) < 0.6


def test_a_flat_roof_that_brightened_is_not_explained() -> None:
    images = [np.broadcast_to(GROUND[:, None, None], (4, 64, 64)).astype(np.float32).copy() for _ in range(2)]
    for image, factor in zip(images, (1.0, 1.3), strict=True):
        image[:, SOUTH[0], SOUTH[1]] = (factor * SHEETS)[:, None, None]
    assert slope_gain((images[0], images[1]), on(SOUTH), (OCTOBER, SEPTEMBER)) == 0.0


def test_without_the_sun_nothing_is_explained() -> None:
    images = gable(SEPTEMBER), gable(OCTOBER)
    assert slope_gain(images, on(SOUTH), (OCTOBER, View())) == 0.0
    assert slope_gain(images, on(SOUTH), (View(sun_azimuth_deg=170.0), SEPTEMBER)) == 0.0


def stretched(image: np.ndarray) -> np.ndarray:
    """Return an image as a picture shows it whose black takes a third of the ground's brightness away."""
    return image - 0.33 * GROUND[:, None, None].astype(np.float32)


BLACKS = (0.0, 0.2, 0.33)


def test_a_picture_shows_light_that_one_slope_alone_lost_whatever_its_stretch() -> None:
    images = stretched(gable(SEPTEMBER)), stretched(gable(OCTOBER))
    assert turned_light(images, on(NORTH), BLACKS) > 0.85
    assert turned_light(images, on(SOUTH) | on(NORTH), BLACKS) > 0.85
    assert turned_light(images, on(NORTH), (0.0,)) < turned_light(images, on(NORTH), BLACKS)


@pytest.mark.parametrize("paint", [0.6 * SHEETS, 1.6 * SHEETS, np.array([0.09, 0.11, 0.21, 0.27])])
def test_a_picture_of_new_paint_is_not_explained_by_light(paint: np.ndarray) -> None:
    for later in (SEPTEMBER, OCTOBER):
        images = stretched(gable(SEPTEMBER)), stretched(gable(later, paint=paint))
        assert turned_light(images, on(NORTH), BLACKS) < 0.85
    assert turned_light((gable(SEPTEMBER), gable(SEPTEMBER)), on(NORTH), BLACKS) == 0.0


@pytest.mark.parametrize(("status", "flagged"), [("modified", True), ("appeared", False)])
def test_only_what_stood_before_is_flagged(status: str, flagged: bool) -> None:
    grid = make_grid(64)
    before, after = (Raster.make(gable(view), grid, BANDS, "reflectance") for view in (SEPTEMBER, OCTOBER))
    left, top = grid.transform @ (SOUTH[1].start, SOUTH[0].start)
    right, bottom = grid.transform @ (SOUTH[1].stop, SOUTH[0].stop)
    row = dict.fromkeys(MEASURE_COLUMNS, 1.0)
    row |= {"scene_id": "s", "acquired": pd.Timestamp("2024-10-24", tz="UTC"), "status": status, "flags": ()}
    row |= {"features": {}, "geometry": box(left, bottom, right, top)}
    found = geo_table([row], MEASURE_COLUMNS, grid.crs)
    baseline = fit_baseline([before], BaselineParams())
    told = explain(found, after, baseline, (OCTOBER, SEPTEMBER), ExplainParams())
    assert ("explained_by_slope" in told["flags"].iloc[0]) == flagged
    assert (told["features"].iloc[0]["slope_gain"] > 0.85) == flagged

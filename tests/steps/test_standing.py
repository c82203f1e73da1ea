"""Outlines of people who stand, from ground that is dark with their shadows too."""

import numpy as np
import pytest
from affine import Affine
from shapely import affinity
from shapely.geometry import box

from changedetect.steps.classify.crowd import CrowdParams
from changedetect.steps.classify.standing import Shade, look_at_shade, measure_stand

PLACE = Affine(0.5, 0, 1000.0, 0, -0.5, 2030.0)
STAND = box(1010, 2010, 1020, 2018)


def swept(azimuth_deg: float, length_m: float, begins: float) -> np.ndarray:
    """What is dark of people on `STAND`: it and their shadows, (row, col) at .5 m."""
    rows, cols = np.mgrid[0:60, 0:60]
    x, y = PLACE @ (cols + 0.5, rows + 0.5)
    dark = np.zeros(x.shape, bool)
    left, bottom, right, top = STAND.bounds
    for far in np.arange(begins * length_m, (1 - begins) * length_m + 0.01, 0.05):
        east, north = -np.sin(np.radians(azimuth_deg)) * far, -np.cos(np.radians(azimuth_deg)) * far
        dark |= (x > left + east) & (x < right + east) & (y > bottom + north) & (y < top + north)
    return dark


@pytest.mark.parametrize("azimuth_deg", [180.0, 160.0, 225.0, 90.0])
def test_shadows_behind_the_last_rank_are_taken_off(azimuth_deg):
    dark = swept(azimuth_deg, 3.0, 0.25)
    told = measure_stand(dark, 0.5, PLACE, Shade((azimuth_deg,), 30.0, 3.0, 0.6, 0.25))
    assert told is not None
    # bodies, and the ground around the outermost
    true = STAND.buffer(0.15, join_style="mitre")
    found = told["geometry"]
    assert found.intersection(true).area / found.union(true).area > 0.9
    assert dark.sum() * 0.25 > 1.05 * STAND.area
    assert told["area_m2"] == pytest.approx(true.area, rel=0.08)
    assert told["length_m"] == pytest.approx(10.3, abs=0.6)
    assert told["width_m"] == pytest.approx(8.3, abs=0.6)  # one pixel and a little
    offset = np.subtract(found.centroid.coords[0], true.centroid.coords[0])
    assert np.hypot(*offset) < 0.3


def test_an_unknown_sun_leaves_the_outline_as_it_was():
    dark = swept(180.0, 3.0, 0.25)
    shade = look_at_shade(np.where(dark, 0.3, 0.0).astype(np.float32), dark, None, CrowdParams())
    assert measure_stand(dark, 0.5, PLACE, shade) is None


def test_a_strip_thinner_than_its_shadow_is_left_alone():
    dark = swept(180.0, 3.0, 0.25) & (np.arange(60) % 60 == 30)[:, None]
    assert measure_stand(dark, 0.5, PLACE, Shade((180.0,), 30.0, 3.0, 0.6, 0.25)) is None


def test_the_outline_is_no_wider_for_where_the_grid_lies():
    """The same ground moved on the map is the same outline moved."""
    dark = swept(160.0, 2.4, 0.3)
    shade = Shade((160.0,), 35.0, 2.4, 0.6, 0.3)
    here = measure_stand(dark, 0.5, PLACE, shade)
    there = measure_stand(dark, 0.5, Affine.translation(7.25, -3.5) @ PLACE, shade)
    assert here is not None
    assert there is not None
    assert affinity.translate(here["geometry"], 7.25, -3.5).symmetric_difference(there["geometry"]).area < 0.01

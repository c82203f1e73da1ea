"""Hulls are as broad as the sum of what stands out across them, whichever way they lie."""

import cv2
import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from rasterio.features import shapes
from shapely.geometry import box, shape
from shapely.ops import unary_union

from changedetect.core.grid import Grid
from changedetect.steps.classify.hulls import narrow_hulls

GSD_M, SIDE = 3.0, 120
GRID = Grid("EPSG:32652", Affine(GSD_M, 0, 600_000, 0, -GSD_M, 4_680_000), (SIDE, SIDE))
LENGTH_PX, BREADTH_PX = 44.0, 7.0


def ship(turn_deg: float, centre=(60.5, 60.5)) -> np.ndarray:
    """Return evidence of 40 sigma, blurred as sensors do, with a hold as dark as the water."""
    fine = 8
    drawn = np.zeros((SIDE * fine, SIDE * fine), np.uint8)

    def fill(along, length, breadth, value):
        t = np.deg2rad(turn_deg)
        middle = (centre[1] + along * np.cos(t), centre[0] + along * np.sin(t))
        corners = cv2.boxPoints(((middle[0] * fine, middle[1] * fine), (length * fine, breadth * fine), turn_deg))
        cv2.fillPoly(drawn, [np.rint(corners).astype(np.int32)], value)

    fill(0, LENGTH_PX, BREADTH_PX, 200)
    fill(8, 6, BREADTH_PX - 2, 10)
    whole = drawn.reshape(SIDE, fine, SIDE, fine).mean(axis=(1, 3)).astype(np.float32) / 5
    return cv2.GaussianBlur(whole, (0, 0), 0.9)


def found(sigma: np.ndarray, name: str = "vessel") -> gpd.GeoDataFrame:
    grown = cv2.morphologyEx((sigma > 4).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    outline = max((shape(g) for g, v in shapes(grown, transform=GRID.transform) if v), key=lambda s: s.area)
    return gpd.GeoDataFrame(
        {"class": [name], "area_m2": [outline.area], "width_m": [(BREADTH_PX + 3) * GSD_M]},
        geometry=[outline],
        crs=GRID.crs,
        index=[7],
    )


@pytest.mark.parametrize("turn_deg", [0.0, 90.0, 30.0, 77.0, -20.0])
def test_a_hull_is_as_broad_as_it_is_and_as_long_as_it_was(turn_deg):
    sigma = ship(turn_deg)
    before = found(sigma)
    after = narrow_hulls(before, sigma, GRID)
    assert after.loc[7, "width_m"] == pytest.approx(BREADTH_PX * GSD_M, rel=0.09)
    assert after.area.iloc[0] == pytest.approx(after.loc[7, "area_m2"], abs=0.01)
    assert after.area.iloc[0] < 0.9 * before.area.iloc[0]
    long_before, long_after = (
        max(np.hypot(*np.diff(np.array(g.minimum_rotated_rectangle.exterior.coords)[:3], axis=0).T))
        for g in (before.geometry.iloc[0], after.geometry.iloc[0])
    )
    assert long_after == pytest.approx(long_before, rel=0.05)
    middle = before.geometry.iloc[0].centroid
    assert after.geometry.iloc[0].centroid.distance(middle) < GSD_M


def test_what_is_no_vessel_or_has_no_sides_stays_as_it_is():
    sigma = ship(30.0)
    other = found(sigma, "equipment")
    assert narrow_hulls(other, sigma, GRID).equals(other)
    spot = np.zeros((SIDE, SIDE), np.float32)
    spot[50:60, 50:60] = 40
    round_thing = found(cv2.GaussianBlur(spot, (0, 0), 0.9))
    assert narrow_hulls(round_thing, spot, GRID).equals(round_thing)
    none = other.iloc[:0]
    assert narrow_hulls(none, sigma, GRID).empty


def test_a_hull_at_the_rim_of_the_grid_is_told_from_what_is_there():
    sigma = ship(0.0, centre=(3.5, 60.5))
    after = narrow_hulls(found(sigma), sigma, GRID)
    assert after.loc[7, "width_m"] <= BREADTH_PX * GSD_M * 1.09


@pytest.mark.parametrize("turn_deg", [0.0, 90.0])
def test_what_only_touches_the_hull_leaves_no_lines_and_no_points(turn_deg):
    """Pixels at the corners of a hull that lies along the grid: their edge is all they share with its strip."""
    sigma = ship(turn_deg)
    before = found(sigma)
    left, bottom, right, top = narrow_hulls(before, sigma, GRID).geometry.iloc[0].bounds
    spots = [(right, top), (left - 3, bottom - 3), (left - 3, top), (right, bottom - 3)]
    whole = unary_union([box(left, bottom, right, top), *(box(x, y, x + 3, y + 3) for x, y in spots)])
    before = before.set_geometry([whole]).assign(width_m=60.0)
    after = narrow_hulls(before, sigma, GRID).geometry.iloc[0]
    assert after.geom_type == "Polygon"
    assert after.area < whole.area


@pytest.mark.parametrize("turn_deg", [0.0, 33.0])
def test_a_pointed_bow_is_no_part_of_a_rectangle(turn_deg):
    """The area is that of the hull, whose bow tapers over a fifth of its length, not length times breadth."""
    half, beam, fine = LENGTH_PX / 2, BREADTH_PX / 2, 8
    points = np.array([(half, 0), (half - 9, beam), (-half, beam), (-half, -beam), (half - 9, -beam)])
    t = np.deg2rad(turn_deg)
    turned = points @ np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]]) + 60.5
    drawn = np.zeros((SIDE * fine, SIDE * fine), np.uint8)
    cv2.fillPoly(drawn, [np.rint(turned * fine).astype(np.int32)], 200)
    whole = drawn.reshape(SIDE, fine, SIDE, fine).mean(axis=(1, 3)).astype(np.float32) / 5
    sigma = cv2.GaussianBlur(whole, (0, 0), 0.9)
    after = narrow_hulls(found(sigma), sigma, GRID)
    true_m2 = (LENGTH_PX * BREADTH_PX - 9 * beam) * GSD_M**2
    assert after.loc[7, "area_m2"] == pytest.approx(true_m2, rel=0.09)  # as its breadth
    assert after.geometry.iloc[0].is_valid

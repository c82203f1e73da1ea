"""Woods that the views move: seen as crowns, and kept from bending the ground, even where they are all of an edge."""

import numpy as np
import pytest
from affine import Affine

from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.steps.explain import View, lean_px
from changedetect.steps.register.canopy import SIDE, canopy_at, map_canopy, merge_canopies
from changedetect.steps.register.field import Ties, fit_field
from changedetect.steps.register.heights import Tall, fit_ground, fit_seen_ground, see_tall, trust_less

INTERVALS, TIES = (12, 12), 20
STEP_PX = (0.12, -0.16)
"""Per metre of height: woods of 15 m lean by 3 px, with a direction of (.6, -.8)."""


def scene_of(bands=("red", "nir"), gsd_m=0.5, side=192):
    """Half crowns (uneven, green), a quarter a smooth crop, a quarter uneven bare soil."""
    rng = np.random.default_rng(3)
    data = np.full((2, side, side), 0.05, np.float32)
    data[1] = 0.4
    lumps = np.kron(rng.uniform(0.2, 0.6, (side // 6, side // 6)), np.ones((6, 6))).astype(np.float32)
    data[1, :, : side // 2] = lumps[:, : side // 2]
    data[:, side // 2 :, side // 2 :] = lumps[side // 2 :, side // 2 :]
    grid = Grid("EPSG:32652", Affine(gsd_m, 0, 0, 0, -gsd_m, 0), (side, side))
    return Raster(data, np.zeros((side, side), np.uint16), grid, bands, "reflectance")


def test_crowns_are_green_and_uneven():
    canopy = map_canopy(scene_of())
    assert canopy.shape == (SIDE, SIDE)
    inner = slice(6, SIDE // 2 - 6)
    far = slice(SIDE // 2 + 6, SIDE - 6)
    assert canopy[:, inner].mean() > 0.9
    assert canopy[inner, far].max() == 0.0  # a crop is even
    assert canopy[far, far].max() == 0.0  # soil is not green
    assert canopy_at(canopy, np.array([[0.5, 0.2], [0.2, 0.8]])) == pytest.approx([1.0, 0.0], abs=0.1)


@pytest.mark.parametrize("told", [{"bands": ("red", "green")}, {"gsd_m": 3.0}])
def test_crowns_that_cannot_be_told_are_not_guessed(told):
    assert map_canopy(scene_of(**told)) is None


def test_crowns_of_either_date_count():
    one, other = np.zeros((SIDE, SIDE), np.float32), np.eye(SIDE, dtype=np.float32)
    assert merge_canopies(one, None, other).tolist() == other.tolist()
    assert merge_canopies(None, None) is None


def edge_wood(step_px=STEP_PX):
    """Where a wood fills the upper third of the scene."""
    canopy = np.zeros((SIDE, SIDE), np.float32)
    canopy[: SIDE // 3] = 1.0
    return Tall(step_px, canopy)


def gentle(position):
    row, col = position.T
    return 0.5 * np.stack([np.sin(2 * np.pi * row + 1.0), np.cos(2 * np.pi * col)], axis=1)


def patches(position):
    """Where woods stand in patches of 6 x 6 ties, a third of the scene."""
    row, col = (position * TIES).astype(int).T
    return (row % 10 > 3) & (col % 10 < 6)


def make_ties(height_m, stands=lambda position: position[:, 0] < 1 / 3, warp=gentle):
    at = (np.arange(TIES) + 0.5) / TIES
    position = np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).reshape(-1, 2)
    rng = np.random.default_rng(0)
    height = stands(position) * height_m * rng.uniform(0.7, 1.2, len(position))
    value = warp(position) + height[:, None] * np.array(STEP_PX) + rng.normal(0, 0.03, position.shape)
    k = np.arange(len(position))
    group = (k // TIES // 2) * TIES + k % TIES // 2
    return Ties(position, value, np.tile(np.eye(2) / 0.03**2, (len(position), 1, 1)), group)


def open_error(field):
    """90 % of the error over open ground, a row of ties away from the wood."""
    ties = make_ties(0.0)
    away = ties.position[:, 0] > 1 / 3 + 1 / TIES
    miss = field.at_points(ties.position) - gentle(ties.position)
    return float(np.quantile(np.hypot(*miss[away].T), 0.9))


def test_a_wood_at_the_edge_does_not_bend_the_ground_beside_it():
    tall = edge_wood()
    ties = make_ties(height_m=15.0)
    bent, _ = fit_ground(ties, INTERVALS, fit_field(ties, INTERVALS))
    trusted = trust_less(ties, tall)
    fit, lean = fit_seen_ground(trusted, INTERVALS, fit_field(trusted, INTERVALS), tall)
    assert lean is None  # of what is still believed, a bent field explains everything
    assert open_error(fit.field) < 0.05
    assert open_error(fit.field) < 0.5 * open_error(bent.field)


def test_woods_all_over_the_scene_do_not_bend_the_ground():
    cells = (np.arange(SIDE) + 0.5) / SIDE
    lattice = np.stack(np.meshgrid(cells, cells, indexing="ij"), axis=-1).reshape(-1, 2)
    tall = Tall(STEP_PX, patches(lattice).reshape(SIDE, SIDE).astype(np.float32))
    # hedges and crops that no one sees as crowns lean too
    ties = make_ties(8.0, lambda position: patches(position) | (np.arange(len(position)) % 3 == 0))
    trusted = trust_less(ties, tall)
    fit, _ = fit_seen_ground(trusted, INTERVALS, fit_field(trusted, INTERVALS), tall)
    bent, _ = fit_ground(ties, INTERVALS, fit_field(ties, INTERVALS))
    for field, least, most in ((fit.field, 0.0, 0.2), (bent.field, 1.0, 2.0)):
        miss = field.at_points(ties.position) - gentle(ties.position)
        assert least < np.quantile(np.hypot(*miss.T), 0.9) < most


def test_things_lean_the_way_the_views_say():
    cells = (np.arange(SIDE) + 0.5) / SIDE
    lattice = np.stack(np.meshgrid(cells, cells, indexing="ij"), axis=-1).reshape(-1, 2)
    tall = Tall(STEP_PX, patches(lattice).reshape(SIDE, SIDE).astype(np.float32))
    ties = make_ties(8.0, lambda position: patches(position) | (np.arange(len(position)) % 3 == 0), np.zeros_like)
    trusted = trust_less(ties, tall)
    fit, lean = fit_seen_ground(trusted, INTERVALS, fit_field(trusted, INTERVALS), tall)
    assert lean.towards == pytest.approx((0.6, -0.8))
    assert np.quantile(np.hypot(*fit.field.at_points(ties.position).T), 0.9) < 0.05


def test_ties_under_crowns_count_less_along_the_lean_alone():
    ties = make_ties(height_m=15.0)
    trusted = trust_less(ties, edge_wood())
    under = ties.position[:, 0] < 1 / 3 - 1 / SIDE
    d, across = np.array([0.6, -0.8]), np.array([0.8, 0.6])
    assert d @ trusted.info[under][0] @ d == pytest.approx(d @ ties.info[0] @ d / 3001.0, rel=1e-3)
    assert across @ trusted.info[under][0] @ across == pytest.approx(across @ ties.info[0] @ across, rel=1e-3)
    away = ties.position[:, 0] > 1 / 3 + 1 / SIDE
    assert trusted.info[away] == pytest.approx(ties.info[away], rel=1e-4)
    assert trusted.value is ties.value


@pytest.mark.parametrize("step_px", [None, (0.01, 0.0), (0.0, -0.019)])
def test_no_woods_are_looked_for_where_views_move_a_tree_by_less_than_a_third_of_a_pixel(step_px):
    assert see_tall(scene_of(), None, step_px) is None


def test_woods_of_either_date_are_tall():
    other = np.ones((SIDE, SIDE), np.float32)
    tall = see_tall(scene_of(), other, (-0.016, 0.012))
    assert tall.towards == pytest.approx((-0.8, 0.6))
    assert tall.canopy.tolist() == other.tolist()
    assert see_tall(scene_of(gsd_m=3.0), None, (-0.016, 0.012)) is None


def test_open_ground_changes_nothing():
    tall = Tall(STEP_PX, np.zeros((SIDE, SIDE), np.float32))
    ties = make_ties(height_m=0.0)
    fit = fit_field(ties, INTERVALS)
    assert trust_less(ties, tall) is ties
    assert fit_seen_ground(ties, INTERVALS, fit, tall) == (fit, None)


def test_what_the_views_move_is_told_in_pixels():
    east, west = View(view_azimuth_deg=90.0, off_nadir_deg=45.0), View(view_azimuth_deg=270.0, off_nadir_deg=45.0)
    assert lean_px(west, east, gsd_m=0.5) == pytest.approx((0.0, 4.0))
    assert lean_px(west, View(), gsd_m=0.5) is None

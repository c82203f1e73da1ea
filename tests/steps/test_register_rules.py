"""Registration's conventions, and the rules by which it abstains."""

import numpy as np
import pytest
from register_scenes import BANDS, make_grid, render, with_quality

from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.errors import GridError
from changedetect.steps.register import RegisterParams, estimate_shift
from changedetect.steps.register.exact import resample_exactly
from changedetect.steps.register.field import (
    Field,
    Ties,
    affine_field,
    constant_field,
    fit_field,
    measure_disagreement,
)
from changedetect.steps.register.prepare import cell_size_px
from changedetect.steps.register.spline import Design

GRID = make_grid(256)
P = RegisterParams()


@pytest.fixture(scope="module")
def reference():
    return render(GRID, noise_seed=1)


def noise(grid, seed, sigma=0.003, level=0.05):
    data = level + np.random.default_rng(seed).normal(0, sigma, (4, *grid.shape))
    return Raster.make(data, grid, BANDS, "reflectance")


def test_sign_of_the_shift_by_a_hand_moved_image():
    # content of the moving scene lies 3 px too far east and 2 px too far south: it must go 1.5 m west and 1 m north
    big = render(make_grid(288), noise=0.0)
    reference = Raster.make(big.data[:, 16:272, 16:272], GRID, BANDS, "reflectance")
    moving = Raster.make(big.data[:, 14:270, 13:269], GRID, BANDS, "reflectance")
    warp = estimate_shift(moving, reference, P)
    assert (warp.dx_m, warp.dy_m) == pytest.approx((-1.5, 1.0), abs=0.01)
    u = warp.displacement_px(GRID)
    assert u[:, 128, 128] == pytest.approx((2.0, 3.0), abs=0.02)
    row, col = 100, 90
    at = (0, row + round(float(u[0, row, col])), col + round(float(u[1, row, col])))
    assert moving.data[at] == reference.data[0, row, col]


def test_displacement_on_a_crop_is_the_crop_of_the_displacement(reference):
    moving = render(GRID, lambda y, x: (np.sin(x / 60), np.cos(y / 50)), noise_seed=2)
    warp = estimate_shift(moving, reference, P)
    rows, cols = slice(37, 101), slice(60, 200)
    part = warp.displacement_px(GRID.crop(rows, cols))
    np.testing.assert_allclose(part, warp.displacement_px(GRID)[:, rows, cols], atol=1e-4)
    assert np.ptp(part[0]) > 0.3


@pytest.mark.parametrize("seed", [31, 77, 123])
def test_unrelated_scenes_abstain(reference, seed):
    warp = estimate_shift(render(GRID, seed=seed, noise_seed=2), reference, P)
    assert warp.status == "abstained"
    assert not warp.usable
    assert "needs" in warp.reason
    assert not warp.displacement_px(GRID).any()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_water_alone_abstains_and_names_the_rule(seed):
    warp = estimate_shift(noise(GRID, 10 + seed), noise(GRID, 20 + seed), P)
    assert warp.status == "abstained"
    assert "no texture in common" in warp.reason or "ambiguous" in warp.reason


def test_constant_scenes_abstain():
    flat = noise(GRID, 0, sigma=0.0)
    assert estimate_shift(flat, flat, P).status == "abstained"


def test_almost_all_unusable_abstains_and_gives_the_numbers(reference):
    hidden = np.ones(GRID.shape, bool)
    hidden[:, :25] = False
    warp = estimate_shift(with_quality(render(GRID, noise_seed=2), hidden), reference, P)
    assert warp.status == "abstained"
    assert warp.reason == "too little is usable in both scenes: 10% of the grid, needs 15%"
    nothing = with_quality(reference, np.ones(GRID.shape, bool), Quality.NODATA)
    assert estimate_shift(nothing, reference, P).status == "abstained"


def painted(seed, spacing=54.0, angle=0.35):
    """Lines that repeat in both directions, moved by (6, -8) px, on ground that has nothing else in common."""
    rng = np.random.default_rng(seed)
    made = []
    for dy, dx in ((0.0, 0.0), (6.0, -8.0)):
        y, x = np.indices(GRID.shape) - np.array([dy, dx])[:, None, None]
        a, b = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        away = np.minimum(*(np.abs((c / spacing + 0.5) % 1.0 - 0.5) * spacing for c in (a, b)))
        shape = 0.1 * (1.0 + 0.4 * np.clip(1.5 - away, 0.0, 1.0) + rng.normal(0, 0.03, GRID.shape))
        data = np.repeat(shape[None], len(BANDS), axis=0) + rng.normal(0, 0.001, (len(BANDS), *GRID.shape))
        made.append(Raster.make(data.astype(np.float32), GRID, BANDS, "reflectance"))
    return made


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_pattern_that_repeats_is_ambiguous_however_little_of_it_overlaps(seed):
    reference, moving = painted(seed)
    warp = estimate_shift(moving, reference, P)
    assert warp.status == "abstained"
    assert "ambiguous" in warp.reason


def test_a_shift_beyond_the_search_radius_abstains(reference):
    moving = render(GRID, lambda y, x: (30.0 + 0 * y, 0 * x), noise_seed=2)
    assert estimate_shift(moving, reference, P).dy_m == pytest.approx(-15.0, abs=0.05)
    near = estimate_shift(moving, reference, RegisterParams(max_shift_m=5.0))
    assert near.status == "abstained"
    assert "ambiguous" in near.reason or "no texture" in near.reason


def test_what_repeats_beyond_the_search_radius_is_no_other_answer():
    # six equal piers 48 px (24 m) apart: moved by one spacing, five of them still fit
    made = []
    for seed, by in ((1, 16), (2, 14)):
        big = render(make_grid(288), noise_seed=seed)
        piers = sum(np.roll(big.data, 48 * k, axis=2) for k in range(6)) / 6
        made.append(Raster.make(piers[:, by : by + 256, by : by + 256], GRID, BANDS, "reflectance"))
    reference, moving = made
    wide = estimate_shift(moving, reference, P)
    assert wide.status == "abstained"
    assert "ambiguous" in wide.reason
    near = estimate_shift(moving, reference, RegisterParams(max_shift_m=15.0))
    assert (near.dx_m, near.dy_m) == pytest.approx((-1.0, 1.0), abs=0.05)
    # one spacing off, what is found within reach is not the highest
    far = Raster.make(np.roll(moving.data, 48, axis=2), GRID, BANDS, "reflectance")
    assert estimate_shift(far, reference, RegisterParams(max_shift_m=15.0)).status == "abstained"


def test_a_tighter_limit_in_metres_abstains_but_says_how_exact_it_was(reference):
    moving = render(GRID, noise_seed=2)
    limit_m = estimate_shift(moving, reference, P).ce90_m * 0.9
    warp = estimate_shift(moving, reference, RegisterParams(max_ce90_m=limit_m))
    assert warp.status == "abstained"
    assert "not exact enough: CE90 is" in warp.reason
    assert warp.ce90_m > limit_m
    assert not warp.displacement_px(GRID).any()


def test_a_scene_of_which_half_moved_otherwise_abstains(reference):
    torn = render(GRID, lambda y, x: (np.where(x > 128, 6.0, 0.0), 0 * y), noise_seed=2)
    warp = estimate_shift(torn, reference, P)
    assert warp.status == "abstained"
    assert "correlation windows, needs 6 and 65% of them" in warp.reason


def test_cells_are_smaller_on_small_images_but_not_of_fine_pixels():
    sizes = {
        (side, gsd_m): cell_size_px((side, side + 9), gsd_m) for side in (150, 256, 500, 1024) for gsd_m in (0.5, 3)
    }
    assert sizes == {
        (150, 0.5): 6, (256, 0.5): 12, (500, 0.5): 12, (1024, 0.5): 24,
        (150, 3): 6, (256, 3): 8, (500, 3): 12, (1024, 3): 24,
    }  # fmt: skip


def test_exact_resampling_puts_a_wave_where_it_belongs():
    def wave(y, x):
        return np.sin(0.7 * y + 0.9 * x) + np.cos(1.1 * x - 0.4 * y)

    row, col = np.indices((90, 110), np.float64)
    plane = np.stack([wave(row, col), 2 * wave(row, col)]).astype(np.float32)
    y, x = (k[:50, :60] + shift for k, shift in ((row, 20.37), (col, 20.61)))
    y += 0.1 * np.sin(x / 30)
    moved = resample_exactly(plane, y.astype(np.float32), x.astype(np.float32))
    inner = (slice(2, -2), slice(2, -2))
    for plane_moved, height in zip(moved, (1, 2), strict=True):
        np.testing.assert_allclose(plane_moved[inner], height * wave(y, x)[inner], atol=0.04 * height)
    assert abs(np.mean((moved[0] - wave(y, x)) * np.gradient(wave(y, x), axis=1))) < 2e-3
    beyond = resample_exactly(plane, y.astype(np.float32) + 200, x.astype(np.float32))
    assert not beyond.any()


def test_a_grid_too_small_abstains():
    small = render(make_grid(40))
    assert "too small" in estimate_shift(small, small, P).reason


def test_scenes_on_two_grids_are_refused(reference):
    with pytest.raises(GridError, match="registration: grids differ"):
        estimate_shift(render(make_grid(128)), reference, P)


def test_inputs_are_left_alone(reference):
    moving = render(GRID, noise_seed=2)
    before = (moving.data.copy(), reference.data.copy())
    estimate_shift(moving, reference, P)
    np.testing.assert_array_equal(moving.data, before[0])
    np.testing.assert_array_equal(reference.data, before[1])


def test_affine_and_constant_fields_are_exact():
    share = np.array([0.0, 0.25, 0.5, 1.0])
    field = affine_field(np.array([[1.0, 2.0, -3.0], [0.5, 0.0, 4.0]]))
    row, col = np.meshgrid(share, share, indexing="ij")
    np.testing.assert_allclose(field.at(share, share)[0], 1 + 2 * row - 3 * col, atol=1e-12)
    np.testing.assert_allclose(field.at(share, share)[1], 0.5 + 4 * col, atol=1e-12)
    np.testing.assert_allclose(constant_field((2.0, -1.0)).at(share, share)[1], -1.0, atol=1e-12)


def make_ties(value, info, side=8):
    r, c = (index.ravel() for index in np.indices((side, side)))
    position = np.stack([(r + 0.5) / side, (c + 0.5) / side], axis=1)
    return Ties(position, value(position), info(position), (r // 2) * side + c // 2)


def test_field_follows_the_model_the_ties_have():
    rng = np.random.default_rng(3)
    jitter = rng.normal(0, 0.02, (64, 2))
    sharp = lambda p: np.tile(np.eye(2), (len(p), 1, 1))  # noqa: E731
    still = fit_field(make_ties(lambda p: np.array([1.0, -2.0]) + jitter, sharp), (6, 6)).field
    tilted = fit_field(make_ties(lambda p: 5 * p[:, ::-1] + jitter, sharp), (6, 6)).field
    bent = fit_field(make_ties(lambda p: np.sin(5 * p) + jitter, sharp), (6, 6)).field
    assert (still.model, tilted.model, bent.model) == ("shift", "affine", "field")
    assert tilted.at(np.array([0.2]), np.array([0.9]))[:, 0, 0] == pytest.approx((4.5, 1.0), abs=0.05)


def test_ties_that_see_one_direction_only_are_used_in_that_direction():
    # alternate ties know only the row or only the column of u, the other component is nonsense
    def one_way(position):
        odd = (np.arange(len(position)) % 2).astype(float)
        return np.stack([np.diag((a, 1 - a)) for a in odd])

    def value(position):
        odd = np.arange(len(position)) % 2 == 1
        return np.where(np.stack([odd, ~odd], axis=1), [1.5, -0.5], 40.0)

    found = fit_field(make_ties(value, one_way), (4, 4)).field.at(np.array([0.5]), np.array([0.5]))
    assert found[:, 0, 0] == pytest.approx((1.5, -0.5), abs=1e-3)


def test_two_ties_at_one_place_count_as_one_that_knows_twice_as_much():
    rng = np.random.default_rng(1)
    place, value = np.repeat(rng.random((40, 2)), 2, axis=0), np.repeat(rng.normal(0.0, 1.0, (40, 2)), 2, axis=0)
    info = np.tile(np.diag([1.0, 3.0]), (80, 1, 1))
    twice = Design(Ties(place, value, info, np.arange(80)), (5, 7))
    once = Design(Ties(place[::2], value[::2], 2.0 * info[::2], np.arange(40)), (5, 7))
    found, known = (d.solve(d.sum_equations(np.ones((n, 1)))[0], 0.1) for d, n in ((twice, 80), (once, 40)))
    assert found == pytest.approx(known, abs=1e-9)
    field = Field(found, 0.1)
    assert twice.predict(found) == pytest.approx(np.stack([field.at(p[:1], p[1:])[:, 0, 0] for p in place]), abs=1e-9)


def test_outlying_ties_do_not_move_the_field():
    def value(position):
        out = np.tile([0.5, 0.25], (len(position), 1))
        out[::5] += 6.0
        return out

    field = fit_field(make_ties(value, lambda p: np.tile(np.eye(2), (len(p), 1, 1))), (4, 4)).field
    assert field.at(np.array([0.5]), np.array([0.5]))[:, 0, 0] == pytest.approx((0.5, 0.25), abs=0.05)


def test_kinds_of_evidence_that_contradict_each_other_are_told():
    middle = (np.arange(8) + 0.5) / 8
    position = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 2)
    info, group = np.broadcast_to(np.eye(2), (64, 2, 2)), np.arange(64) // 4

    def shifted(col_px):
        return Ties(position, np.tile([0.0, col_px], (64, 1)), info, group)

    fit = fit_field(shifted(0.5), (4, 4))
    alike = measure_disagreement(fit, (shifted(0.5), shifted(0.5)), (0.5, 0.5), position)
    apart = measure_disagreement(fit, (shifted(0.2), shifted(0.8)), (0.5, 0.5), position)
    np.testing.assert_allclose(alike, 0.0, atol=1e-6)
    np.testing.assert_allclose(apart, 0.3, atol=1e-6)

"""The warp of a large scene from those of its parts."""

import dataclasses

import numpy as np
import pytest
from affine import Affine

from changedetect.core.grid import Grid
from changedetect.core.results import Warp
from changedetect.steps.register import RegisterParams, join_warps, part_params, sample_parts
from changedetect.steps.register.field import affine_field

GRID = Grid("EPSG:32652", Affine(0.5, 0, 500_000, 0, -0.5, 4_800_000), (6000, 9000))
PARAMS = RegisterParams()
PARTS = sample_parts(GRID, PARAMS)


def warp_of(part, row, col, ce90_px=0.1):
    """A warp of constant displacement (row, col), px."""
    field = affine_field(np.array([[row, 0, 0], [col, 0, 0]]))
    coefficients = tuple(tuple(map(tuple, plane)) for plane in field.coefficients.tolist())
    return Warp(
        "ok", ce90_m=ce90_px * 0.5, rmse_m=0.05, n_tie_points=50, model="shift", grid=part, coefficients=coefficients
    )


def warps_of(u, parts=PARTS, **values):
    middles = [GRID.offset_of(part) for part in parts]
    return [warp_of(part, *u(r + 320, c + 320), **values) for part, (r, c) in zip(parts, middles, strict=True)]


def test_parts_are_few_and_spread_over_the_scene():
    assert len(PARTS) == 9
    offsets = np.array([GRID.offset_of(part) for part in PARTS])
    assert {tuple(part.shape) for part in PARTS} == {(640, 640)}
    assert sorted(set(offsets[:, 0])) == [680, 2680, 4680]
    small = GRID.crop(slice(0, 2000), slice(0, 2000))
    assert sample_parts(small, PARAMS) == [small]
    assert part_params(PARAMS).max_intervals == 6 < PARAMS.max_intervals
    assert part_params(RegisterParams(max_intervals=4)).max_intervals == 4


def test_as_many_parts_on_a_scene_sixteen_times_as_large():
    large = Grid(GRID.crs, GRID.transform, (24_000, 36_000))
    assert len(sample_parts(large, PARAMS)) == len(PARTS)


def test_one_shift_is_one_shift():
    rng = np.random.default_rng(5)
    warp = join_warps(warps_of(lambda r, c: np.array([1.25, -0.5]) + rng.normal(0, 0.03, 2)), PARTS, GRID, PARAMS)
    assert (warp.status, warp.model) == ("ok", "shift")
    assert (warp.dx_m, warp.dy_m) == (pytest.approx(0.25, abs=0.015), pytest.approx(0.625, abs=0.015))
    assert 0.05 <= warp.ce90_m < 0.065
    corner = GRID.crop(slice(5990, 6000), slice(0, 10))
    np.testing.assert_allclose(warp.displacement_px(corner)[:, 3, 3], [1.25, -0.5], atol=0.03)


def test_a_smooth_field_is_followed_between_the_parts():
    def u(r, c):
        return 0.8 * np.sin(r / 6000 * 2.0), 0.6 * np.cos(c / 9000 * 2.0)

    warp = join_warps(warps_of(u), PARTS, GRID, PARAMS)
    between = GRID.crop(slice(2000, 2004), slice(3000, 3004))
    np.testing.assert_allclose(warp.displacement_px(between)[:, 2, 2], u(2002, 3002), atol=0.15)
    assert warp.ce90_m >= 0.05


def test_one_part_that_errs_is_left_out_and_many_are_a_reason_to_abstain():
    def u(r, c):
        return 0.5, 0.5

    warps = warps_of(u)
    warps[4] = warp_of(PARTS[4], 12.0, -7.0)
    warp = join_warps(warps, PARTS, GRID, PARAMS)
    assert warp.usable
    assert warp.diagnostics["parts_odd"] == 1
    assert (warp.dx_m, warp.dy_m) == (pytest.approx(-0.25, abs=0.01), pytest.approx(0.25, abs=0.01))
    rng = np.random.default_rng(3)
    scattered = [warp_of(part, *rng.uniform(-40, 40, 2)) for part in PARTS]
    warp = join_warps(scattered, PARTS, GRID, PARAMS)
    assert not warp.usable
    assert "contradict" in warp.reason or "CE90" in warp.reason


def test_parts_that_abstain_say_nothing_until_too_few_are_left():
    warps = warps_of(lambda r, c: (0.2, 0.3))
    none = Warp("abstained", "too little is usable in both scenes: 3% of the grid, needs 15%")
    some = [none if k % 2 else warp for k, warp in enumerate(warps)]
    assert join_warps(some, PARTS, GRID, PARAMS).diagnostics["parts_registered"] == 5
    few = [none] * 7 + warps[7:]
    warp = join_warps(few, PARTS, GRID, PARAMS)
    assert warp.reason == f"only 2 of 9 parts of it could be registered: {none.reason}"


def test_it_is_no_more_exact_than_its_parts():
    warp = join_warps(warps_of(lambda r, c: (0, 0), ce90_px=0.9), PARTS, GRID, PARAMS)
    assert not warp.usable
    assert warp.reason.startswith("not exact enough: CE90 is 0.90 px")
    loose = dataclasses.replace(PARAMS, max_ce90_px=2.0)
    assert join_warps(warps_of(lambda r, c: (0, 0), ce90_px=0.9), PARTS, GRID, loose).usable

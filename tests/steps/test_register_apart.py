"""Windows that see woods lean with the view and contradict nothing; windows that differ any other way do."""

import numpy as np
import pytest
from register_scenes import make_grid, render

from changedetect.steps.register import RegisterParams, estimate_shift
from changedetect.steps.register.apart import find_ground
from changedetect.steps.register.windows import WindowTies, fit_consensus

STEP = (0.3, -0.4)
"""Half a pixel for each metre."""
EXTENT = 800.0
GROUND = np.array([3.0, -2.0])
LEAST = 6


def ties(*kinds: tuple[int, tuple[float, float]], seed: int = 1) -> WindowTies:
    """Return windows all over a scene, so many of each kind, off the ground by so much."""
    rng = np.random.default_rng(seed)
    off = np.concatenate([np.tile(np.array(shift), (n, 1)) for n, shift in kinds])
    position = rng.uniform(0, EXTENT, off.shape)
    return WindowTies(position, GROUND + off + rng.normal(0, 0.1, off.shape), np.full(len(off), 100.0), 128)


def sort(windows: WindowTies, step: tuple[float, float] | None = STEP):
    return find_ground(windows, *fit_consensus(windows, EXTENT), step, EXTENT, LEAST)


def shift_of(affine: np.ndarray) -> np.ndarray:
    return np.asarray(affine @ np.array([1.0, EXTENT / 2, EXTENT / 2]))


def test_windows_that_lean_as_woods_do_stand_above_the_ground_that_most_see():
    affine, on_ground, above = sort(ties((24, (0.0, 0.0)), (16, (3.6, -4.8))))
    np.testing.assert_allclose(shift_of(affine), GROUND, atol=0.2)
    assert on_ground.tolist() == [True] * 24 + [False] * 16
    assert above.tolist() == [False] * 24 + [True] * 16


def test_where_most_see_woods_the_lower_ones_are_the_ground():
    affine, on_ground, above = sort(ties((14, (0.0, 0.0)), (26, (3.6, -4.8))))
    np.testing.assert_allclose(shift_of(affine), GROUND, atol=0.2)
    assert on_ground.tolist() == [True] * 14 + [False] * 26
    assert above.tolist() == [False] * 14 + [True] * 26


@pytest.mark.parametrize("off", [(4.8, 3.6), (15.0, -20.0)])
def test_what_moved_another_way_or_farther_than_anything_stands_contradicts(off: tuple[float, float]):
    windows = ties((24, (0.0, 0.0)), (16, off))
    affine, on_ground, above = sort(windows)
    assert on_ground.tolist() == [True] * 24 + [False] * 16
    assert not above.any()
    np.testing.assert_array_equal(affine, fit_consensus(windows, EXTENT)[0])


def test_few_lower_windows_are_no_ground():
    affine, on_ground, above = sort(ties((5, (0.0, 0.0)), (26, (3.6, -4.8))))
    np.testing.assert_allclose(shift_of(affine), GROUND + np.array([3.6, -4.8]), atol=0.2)
    assert on_ground.sum() == 26
    assert not above.any()


@pytest.mark.parametrize("step", [None, (0.0, 0.0), (0.03, 0.03)])
def test_views_from_one_side_or_of_unknown_angles_tell_no_heights(step: tuple[float, float] | None):
    windows = ties((24, (0.0, 0.0)), (16, (3.6, -4.8)))
    _, on_ground, above = sort(windows, step)
    assert on_ground.sum() == 24
    assert not above.any()


def test_a_scene_half_under_woods_is_registered_by_its_ground_where_the_views_are_known():
    grid = make_grid(512)
    patches = [(slice(y, y + 170), slice(x, x + 170)) for y, x in ((0, 0), (0, 342), (200, 170), (342, 0), (342, 342))]

    def seen(y, x):
        height_m = np.zeros(np.broadcast(y, x).shape)
        for metres, (rows, cols) in zip((6, 8, 10, 12, 9), patches, strict=True):
            height_m += metres * ((y >= rows.start) & (y < rows.stop) & (x >= cols.start) & (x < cols.stop))
        # `render` takes what lies at p + v: the way back
        return 1.0 - STEP[0] * height_m, -1.0 - STEP[1] * height_m

    reference, moving = render(grid, noise_seed=1), render(grid, seen, noise_seed=2)
    unknown = estimate_shift(moving, reference, RegisterParams())
    assert unknown.status == "abstained"
    assert "too few places agree" in (unknown.reason or "")
    warp = estimate_shift(moving, reference, RegisterParams(), STEP)
    assert warp.status == "ok"
    bare = np.ones(grid.shape, bool)
    for rows, cols in patches:
        bare[rows, cols] = False
    off_px = np.hypot(*(warp.displacement_px(grid) - np.array([-1.0, 1.0])[:, None, None]))[bare]
    assert np.quantile(off_px, 0.9) < warp.ce90_m / grid.gsd_m

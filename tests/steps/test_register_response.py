"""Steps that are too long, as on texture as fine as the pixels, are shortened by what the last one changed."""

import numpy as np
import pytest
from affine import Affine
from scipy.ndimage import gaussian_filter

from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.steps.register import RegisterParams, estimate_shift
from changedetect.steps.register.field import Ties, affine_field
from changedetect.steps.register.response import rescaled, step_gain

TRUE_PX = np.array([0.6, -0.9])


def flat(u):
    return affine_field(np.column_stack([u, np.zeros((2, 2))]))


def measured(u, gain, rng, n=100, noise_px=0.0):
    """Return ties as measured at u, by steps that are `gain` times too long."""
    place = np.stack(np.meshgrid(np.linspace(0, 1, n // 10), np.linspace(0, 1, 10)), axis=-1).reshape(-1, 2)
    value = np.asarray(u) + gain * (TRUE_PX - u) + rng.normal(0, noise_px, (len(place), 2))
    return flat(u), Ties(place, value, np.broadcast_to(np.eye(2), (len(place), 2, 2)), np.arange(len(place)))


@pytest.mark.parametrize("gain", [1.0, 1.5, 2.0])
def test_the_gain_is_told_from_two_steps(gain):
    rng = np.random.default_rng(1)
    first, second = measured((0.3, -0.6), gain, rng, noise_px=0.02), measured((0.8, -1.1), gain, rng, noise_px=0.02)
    told = step_gain(first, second)
    assert told == pytest.approx(gain, abs=0.05)
    reached = rescaled(second[1], second[0], told).value.mean(axis=0)
    assert np.hypot(*(reached - TRUE_PX)) < 0.02


def test_steps_are_never_lengthened_and_short_ones_left_alone():
    rng = np.random.default_rng(2)
    far, near = (0.2, -0.5), (0.58, -0.88)
    assert step_gain(measured(far, 0.7, rng), measured((0.5, -0.8), 0.7, rng)) == 1.0
    assert step_gain(measured(far, 1.6, rng), measured(near, 1.6, rng)) == 1.0
    assert step_gain(None, measured(far, 1.6, rng)) == 1.0


@pytest.mark.parametrize(("shift_px", "least_gain"), [((0.5, -0.5), 1.0), ((0.75, -1.25), 1.2), ((3.25, 1.75), 1.2)])
def test_a_shift_of_texture_as_fine_as_the_pixels(shift_px, least_gain):
    finer, side = 4, 512
    rng = np.random.default_rng(3)
    blocks = sum(
        rng.normal(0, 0.1, (side * finer // k,) * 2).repeat(k, axis=0).repeat(k, axis=1) for k in (4, 16, 64, 256)
    )
    fine = gaussian_filter(blocks, 0.4 * finer, mode="wrap")

    def scene(shift, seed):
        moved = np.roll(fine, [round(s * finer) for s in shift], axis=(0, 1))
        pixels = 0.1 * (1 + moved.reshape(side, finer, side, finer).mean(axis=(1, 3)))
        pixels = pixels + np.random.default_rng(seed).normal(0, 0.001, pixels.shape)
        grid = Grid("EPSG:32652", Affine(0.5, 0, 4e5, 0, -0.5, 4.8e6), (side, side))
        return Raster(pixels[None].astype(np.float32), np.zeros((side, side), np.uint16), grid, ("red",), "reflectance")

    warp = estimate_shift(scene(shift_px, 4), scene((0, 0), 5), RegisterParams())
    assert warp.status == "ok"
    assert warp.diagnostics["step_gain"] >= least_gain
    told = np.median(warp.displacement_px(warp.grid), axis=(1, 2))
    assert np.hypot(*(told - shift_px)) < 0.035

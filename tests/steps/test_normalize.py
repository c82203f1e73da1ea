from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from score_scenes import ground, make_grid, paint, shot

from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.errors import GridError
from changedetect.steps.normalize import NormalizeParams, apply_gain, estimate_gain


def test_known_gain_and_offset_are_recovered() -> None:
    place = ground()
    reference = shot(place, 1)
    factor, offset = np.array([1.2, 0.9, 1.1, 0.8]), np.array([0.02, -0.01, 0.0, 0.03])
    moved = reference.with_data(((reference.data - offset[:, None, None]) / factor[:, None, None]).astype(np.float32))
    gain = estimate_gain(moved, reference, NormalizeParams())
    assert gain.reason is None
    np.testing.assert_allclose(gain.gain, factor, rtol=5e-3)
    np.testing.assert_allclose(gain.offset, offset, atol=1e-3)
    np.testing.assert_allclose(apply_gain(moved, gain).data, reference.data, atol=2e-3)


def test_noise_on_both_dates_does_not_bias_the_gain() -> None:
    place = ground()
    gain = estimate_gain(shot(place * 1.25, 2), shot(place, 1), NormalizeParams(max_ndvi=1.0))
    np.testing.assert_allclose(gain.gain, 0.8, rtol=0.03)


def test_changes_do_not_move_the_fit() -> None:
    place = ground()
    changed = paint(place, (20, 90, 30, 110), np.array([0.5, 0.5, 0.5, 0.5]))
    gain = estimate_gain(shot(changed, 2), shot(place, 1), NormalizeParams(max_ndvi=1.0))
    np.testing.assert_allclose(gain.gain, 1.0, atol=0.05)
    np.testing.assert_allclose(gain.offset, 0.0, atol=0.008)


def test_display_numbers_are_fitted_too() -> None:
    place = ground()[:3] * 400
    reference = Raster.make(np.round(place), make_grid(), ("red", "green", "blue"), "display")
    moved = Raster.make(np.round(place * 0.7 + 12), make_grid(), ("red", "green", "blue"), "display")
    gain = estimate_gain(moved, reference, NormalizeParams())
    np.testing.assert_allclose(gain.gain, 1 / 0.7, rtol=0.03)
    longer = estimate_gain(moved, reference, NormalizeParams(iterations=100))
    assert longer == gain, "it had settled"


def test_too_few_shared_pixels_give_the_identity_and_say_so() -> None:
    bits = np.full((256, 256), int(Quality.CLOUD), np.uint16)
    bits[:10, :10] = 0
    gain = estimate_gain(shot(ground(), 1, quality=bits), shot(ground(), 2), NormalizeParams())
    assert gain.gain == (1.0,) * 4
    assert gain.offset == (0.0,) * 4
    assert gain.reason == "only 64 clear pixels are shared, 500 are needed"


def test_unrelated_scenes_keep_their_reflectance() -> None:
    gain = estimate_gain(shot(ground(seed=1), 1), shot(ground(seed=77), 2), NormalizeParams(max_ndvi=1.0))
    np.testing.assert_allclose(gain.gain, 1.0, atol=0.05)
    np.testing.assert_allclose(gain.offset, 0.0, atol=0.008)


def test_what_was_ploughed_does_not_bend_single_bands() -> None:
    place = ground()
    ploughed = paint(place, (0, 150, 0, 256), np.array([0.06, 0.08, 0.105, 0.15]))
    gain = estimate_gain(shot(ploughed, 2), shot(place, 1), NormalizeParams(max_ndvi=1.0))
    np.testing.assert_allclose(gain.gain, 1.0, atol=0.05)
    np.testing.assert_allclose(gain.offset, 0.0, atol=0.008)


def test_reflectances_without_any_agreement_give_the_identity_and_say_so() -> None:
    gain = estimate_gain(shot(ground() + 0.5, 1), shot(ground(), 2), NormalizeParams(max_ndvi=1.0))
    assert gain.gain == (1.0,) * 4
    assert gain.reason is not None
    assert "of the bare ground agrees" in gain.reason


def test_unrelated_numbers_give_the_identity_and_say_so() -> None:
    one, other = (replace(shot(ground(seed=seed), 1), unit="dn") for seed in (1, 77))
    gain = estimate_gain(one, other, NormalizeParams(max_ndvi=1.0))
    assert gain.gain == (1.0,) * 4
    assert gain.reason is not None
    assert "correlates only" in gain.reason


def test_no_data_stays_zero() -> None:
    bits = np.zeros((256, 256), np.uint16)
    bits[5, 7] = Quality.NODATA
    raster = shot(ground(), 1, quality=bits)
    gain = estimate_gain(raster, shot(ground() + 0.05, 2), NormalizeParams())
    assert (apply_gain(raster, gain).data[:, 5, 7] == 0).all()


def test_other_grids_are_refused() -> None:
    with pytest.raises(GridError, match="normalize: grids differ"):
        estimate_gain(shot(ground(128), 1), shot(ground(256), 1), NormalizeParams())

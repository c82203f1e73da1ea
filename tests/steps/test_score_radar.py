"""The ratio of two radar dates against speckle: gamma-distributed power of a few looks, averaged in decibel."""

import numpy as np
import pytest
from affine import Affine

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.errors import DataError
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.score import ScoreParams, change_score, estimate_noise

SIDE = 160
GRID = Grid("EPSG:32652", Affine(10, 0, 500_000, 0, -10, 4_800_000), (SIDE, SIDE))


def speckled(seed, level_db=-10.0, looks=4.4, side=5):
    """Radar in decibel, `side` x `side` independent looks averaged, on ground of one level or of a plane of levels."""
    rng = np.random.default_rng(seed)
    db = 10 * np.log10(rng.gamma(looks, 1 / looks, (2, SIDE + side, SIDE + side)))
    kernel = np.ones(side) / side
    for axis in (1, 2):
        db = np.apply_along_axis(np.convolve, axis, db, kernel, mode="valid")
    return (db[:, :SIDE, :SIDE] + level_db).astype(np.float32)


def raster(data, quality=None):
    return Raster.make(data, GRID, ("vv", "vh"), "db", quality)


def score_of(after, before, ce90_px=0.3):
    params = ScoreParams()
    baseline = fit_baseline([before], BaselineParams())
    noise = estimate_noise(after, baseline, ce90_px, params)
    return change_score(after, baseline, noise, params), noise


def test_equal_dates_give_nothing():
    one = raster(speckled(1))
    score, _ = score_of(one, one)
    assert not score.data.any()


def test_speckle_alone_is_a_normal_of_one_sigma():
    score, noise = score_of(raster(speckled(1)), raster(speckled(2)))
    assert noise.model["sigma_db"] == pytest.approx([0.68, 0.68], abs=0.1), "3.4 dB of a pixel's ratio, 25 looks"
    assert np.abs(score.band("score")).max() < 5.5
    assert np.mean(np.abs(score.band("score")) > 3) < 0.01


def test_what_appears_is_positive_and_swapped_dates_mirror():
    after = speckled(1)
    after[:, 40:50, 60:75] += 8
    ship, empty = raster(after), raster(speckled(2))
    appeared, gone = (score_of(*dates, 0.0)[0].band("score") for dates in ((ship, empty), (empty, ship)))
    assert np.median(appeared[41:49, 61:74]) > 8
    np.testing.assert_allclose(appeared, -gone, atol=1e-3)


def test_another_level_of_the_whole_image_is_no_change():
    score, noise = score_of(raster(speckled(1) + 3.0), raster(speckled(2)))
    assert noise.model["level_db"] == pytest.approx([3.0, 3.0], abs=0.1)
    assert np.abs(score.band("score")).max() < 5.5


def test_edges_count_less_where_registration_is_uncertain():
    shore = np.where(np.arange(SIDE) < 80, -20.0, -8.0)
    moved = np.where(np.arange(SIDE) < 81, -20.0, -8.0)
    exact, _ = score_of(raster(speckled(1, moved)), raster(speckled(2, shore)), 0.1)
    loose, _ = score_of(raster(speckled(1, moved)), raster(speckled(2, shore)), 2.0)
    assert np.abs(exact.band("score"))[:, 79:82].max() > 2 * np.abs(loose.band("score"))[:, 79:82].max()


def test_what_is_not_seen_is_not_scored():
    hidden = np.zeros(GRID.shape, np.uint16)
    hidden[:50] = Quality.MASKED
    after = speckled(1)
    after[:, 20:30] += 10
    score, _ = score_of(raster(after, hidden), raster(speckled(2)))
    assert not score.band("score")[:50].any()
    hidden[:] = Quality.MASKED
    with pytest.raises(DataError, match="too few clear pixels"):
        score_of(raster(after, hidden), raster(speckled(2)))

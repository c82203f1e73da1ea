import numpy as np
import pytest

from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.core.results import Baseline
from changedetect.errors import GridError
from changedetect.steps.describe import spread_to

FINE = Grid.from_bounds("EPSG:32652", (1.0, 1.5, 13.0, 13.0), 0.5)
COARSE = FINE.coarsen(6)


def coordinates(grid):
    """A raster whose pixels store their own map x and y."""
    x, y = grid.pixel_centres()
    return np.stack(np.broadcast_arrays(x[None, :], y[:, None])).astype(np.float32)


def test_each_fine_pixel_gets_the_coarse_pixel_over_its_ground():
    there = coordinates(COARSE)
    score = Raster.make(there, COARSE, ("x", "y"), "sigma", np.full(COARSE.shape, 2, np.uint16))
    looks = np.ones(COARSE.shape, np.uint16)
    baseline = Baseline(there.copy(), np.zeros_like(there), looks, COARSE, ("x", "y"), "dn")
    labels = np.arange(COARSE.shape[0] * COARSE.shape[1], dtype=np.int32).reshape(COARSE.shape)
    fine_labels, fine_score, fine_baseline = spread_to(FINE, labels, score, baseline)
    assert np.abs(fine_score.data - coordinates(FINE)).max() < COARSE.gsd_m / 2
    np.testing.assert_array_equal(fine_baseline.centre, fine_score.data)
    assert (fine_score.quality == 2).all()
    assert fine_labels.shape == FINE.shape
    left_top = COARSE.offset_of(COARSE)
    assert fine_labels[0, 0] == labels[left_top]
    # The whole inner ground of one coarse pixel carries its label.
    inside = np.abs(coordinates(FINE) - there[:, 1, 1][:, None, None]).max(axis=0) < COARSE.gsd_m / 2
    assert set(fine_labels[inside]) == {labels[1, 1]}
    assert inside.sum() == 36


def test_refuses_a_fine_grid_that_reaches_beyond():
    score = Raster.make(np.zeros((1, *COARSE.shape)), COARSE, ("s",), "sigma")
    zero = np.zeros((1, *COARSE.shape), np.float32)
    baseline = Baseline(zero, zero, np.ones(COARSE.shape, np.uint16), COARSE, ("s",), "dn")
    with pytest.raises(GridError, match="reaches beyond"):
        spread_to(FINE.pad(8), np.zeros(COARSE.shape, np.int32), score, baseline)

from __future__ import annotations

import numpy as np
import pytest

from changedetect.core.near import within


@pytest.mark.parametrize("radius_px", [0.0, 1.0, 1.5, 4.001, 6.67, 12.0, 12.5, 20.0])
def test_it_is_what_the_distance_of_each_pair_of_pixels_says(radius_px: float) -> None:
    marked = np.random.default_rng(1).random((40, 50)) < 0.004
    row, col = np.indices(marked.shape)
    away = [np.hypot(row - r, col - c) for r, c in zip(*np.nonzero(marked), strict=True)]
    np.testing.assert_array_equal(within(marked, radius_px), np.min(away, axis=0) <= radius_px)


@pytest.mark.parametrize("radius_px", [3.0, 30.0])
def test_nothing_is_near_to_nothing(radius_px: float) -> None:
    assert not within(np.zeros((20, 20), bool), radius_px).any()

"""Medians and quantiles are numpy's own, bit for bit."""

import numpy as np
import pytest

from changedetect.core.robust import median, quantile


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_medians_and_quantiles_are_those_of_numpy(dtype) -> None:
    rng = np.random.default_rng(1)
    for size in (1, 2, 3, 4, 5, 10, 11, 257, 1000):
        values = rng.normal(size=size).astype(dtype)
        assert median(values) == np.median(values)
        assert median(values).dtype == dtype
        for share in (0.0, 0.1, 0.25, 0.5, 0.7, 0.75, 0.8, 0.9, 0.95, 1.0):
            assert quantile(values, share) == np.quantile(values, share)


def test_by_hand() -> None:
    values = np.array([[4.0, 1.0, 3.0], [2.0, 8.0, 6.0]], np.float32)
    assert median(values) == 3.5
    assert median(values, along_rows=True).tolist() == [3.0, 6.0]
    assert quantile(np.array([0.0, 10.0, 20.0]), 0.75) == 15.0


def test_no_values_have_no_median() -> None:
    with pytest.raises(ValueError, match="no median"):
        median(np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="no quantile"):
        quantile(np.zeros(0, np.float32), 0.5)

"""Peaks of a profile: by hand, and against the library's."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from changedetect.steps.measure.peaks import find_peaks


@pytest.mark.parametrize(
    ("profile", "prominence", "expected"),
    [
        ([0, 2, 0, 1, 0, 3, 0], 1.0, [1, 3, 5]),
        ([0, 2, 0, 1, 0, 3, 0], 1.5, [1, 5]),
        ([0, 1, 1, 1, 0], 1.0, [2]),  # the middle of a flat top
        ([3, 1, 2, 1, 0], 1.0, [2]),
        ([3, 2, 1], 0.1, []),  # ends are no peaks
        ([1, 1, 1], 0.0, []),
    ],
)
def test_by_hand(profile, prominence, expected):
    assert find_peaks(np.array(profile, float), prominence).tolist() == expected


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=40), st.sampled_from([0.0, 1.0, 2.0]))
def test_the_same_as_scipys(profile, prominence):
    values = np.array(profile, float)
    np.testing.assert_array_equal(
        find_peaks(values, prominence), scipy.signal.find_peaks(values, prominence=prominence)[0]
    )

"""Confidence is moved towards how often it was right, by as much as was seen, and never across what is told."""

from __future__ import annotations

import calibrate_ground
import numpy as np
import pytest


def test_many_right_raise_what_is_stated_and_few_hardly_do() -> None:
    many, few = (np.array([[n, 0.8 * n, n]]) for n in (60.0, 6.0))
    # 60 right of 60, and 60 believed at .8; 6 of 6, and 60
    assert np.interp(0.8, *calibrate_ground.fit(many, 0.5)) == pytest.approx(0.9)
    assert np.interp(0.8, *calibrate_ground.fit(few, 0.5)) == pytest.approx((6 + 48) / 66)


def test_what_is_not_told_stays_untold_and_order_stays() -> None:
    total = np.array([[40.0, 22.0, 0.0], [40.0, 26.0, 40.0], [40.0, 38.0, 30.0]])
    at, should = calibrate_ground.fit(total, 0.5)
    assert np.interp(0.5, at, should) == 0.5
    assert np.interp(0.3, at, should) == pytest.approx(0.3)
    assert np.all(np.diff(should) >= 0)


def test_error_is_weighted_by_number() -> None:
    total = np.array([[30.0, 18.0, 15.0], [10.0, 9.0, 10.0]])
    assert calibrate_ground.error(total, (np.array([0.0, 1.0]), np.array([0.0, 1.0]))) == pytest.approx(4.0 / 40.0)

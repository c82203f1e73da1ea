from __future__ import annotations

import numpy as np
import pytest
from score_scenes import make_grid

from changedetect.core.raster import Raster
from changedetect.errors import DataError
from changedetect.steps.baseline import BaselineParams, fit_baseline

BANDS = ("red", "nir")


def look(red: object, nir: object, cloud: object = None) -> Raster:
    data = np.array([red, nir], np.float32)
    bits = None if cloud is None else (np.array(cloud) * 2).astype(np.uint16)
    return Raster.make(data, make_grid(2), BANDS, "reflectance", bits)


LOOKS = [
    look([[1, 5], [3, 9]], [[10, 1], [1, 1]]),
    look([[2, 5], [3, 9]], [[20, 1], [1, 1]], [[0, 1], [0, 1]]),
    look([[9, 7], [3, 9]], [[30, 3], [1, 1]], [[0, 0], [0, 1]]),
    look([[4, 6], [7, 9]], [[40, 2], [5, 1]], [[0, 0], [0, 1]]),
]


def test_one_look_is_its_own_centre() -> None:
    baseline = fit_baseline(LOOKS[:1], BaselineParams())
    np.testing.assert_array_equal(baseline.centre, LOOKS[0].data)
    assert (baseline.spread == 0).all()
    assert (baseline.looks == 1).all()


def test_median_spread_and_looks_by_hand() -> None:
    baseline = fit_baseline(LOOKS, BaselineParams())
    np.testing.assert_array_equal(baseline.looks, [[4, 3], [4, 1]])
    np.testing.assert_array_equal(baseline.band("red"), [[3, 6], [3, 9]])
    # |1-3|, |2-3|, |9-3|, |4-3| -> median 1.5; |5-6|, |7-6|, 0 -> 1; one look has no spread
    np.testing.assert_allclose(baseline.spread[0], 1.4826 * np.array([[1.5, 1], [0, 0]]), rtol=1e-6)


def test_emptiest_takes_one_look_whole() -> None:
    baseline = fit_baseline(LOOKS, BaselineParams(centre="emptiest", emptiest_percentile=0))
    # At (0, 0) red is darkest in the first look, so nir is that look's 10, not its own lowest by chance.
    np.testing.assert_array_equal(baseline.centre[:, 0, 0], [1, 10])
    np.testing.assert_array_equal(baseline.centre[:, 0, 1], [5, 1])


def test_emptiest_is_not_moved_by_a_frequent_visitor() -> None:
    water, ship = 0.03, 0.3
    looks = [look(np.full((2, 2), ship if i % 5 < 3 else water), np.full((2, 2), 0.1)) for i in range(20)]
    empty = fit_baseline(looks, BaselineParams(centre="emptiest"))
    usual = fit_baseline(looks, BaselineParams())
    np.testing.assert_allclose(empty.band("red"), water, rtol=1e-6)
    np.testing.assert_allclose(usual.band("red"), ship, rtol=1e-6)


def test_never_clear_is_unknown() -> None:
    clouded = [look(np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2))) for _ in range(4)]
    baseline = fit_baseline(clouded, BaselineParams())
    assert (baseline.looks == 0).all()
    assert not baseline.valid.any()
    assert np.isfinite(baseline.centre).all()


def test_no_scene_is_refused() -> None:
    with pytest.raises(DataError, match="a baseline needs at least one scene"):
        fit_baseline([], BaselineParams())


def test_differing_bands_are_refused() -> None:
    with pytest.raises(DataError, match="baseline scenes differ in bands or unit"):
        fit_baseline([LOOKS[0], LOOKS[1].select(("red",))], BaselineParams())

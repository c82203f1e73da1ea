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


SIZE = 120
BLOCK = np.s_[56:64, 56:64]


def apron(standing: float | None, where: tuple[slice, slice] = BLOCK, seed: int = 0) -> Raster:
    """Return smooth ground of 0.22 with rough ground right of column 90, and a block that stands on it."""
    rng = np.random.default_rng(seed)
    plane = np.full((SIZE, SIZE), 0.22) * (1 + 0.01 * rng.standard_normal((SIZE, SIZE)))
    plane[:, 90:] *= 1 + 0.4 * np.random.default_rng(99).standard_normal((SIZE, SIZE - 90))
    if standing is not None:
        plane[where] = standing
    return Raster.make(
        np.stack([plane, 1.1 * plane]).astype(np.float32), make_grid(SIZE, 3.0), BANDS, "reflectance", None
    )


def clearing(size_m: float = 40.0) -> BaselineParams:
    return BaselineParams(centre="emptiest", emptiest_percentile=0.0, clear_objects_m=size_m)


@pytest.mark.parametrize("standing", [0.40, 0.08])
def test_what_always_stands_on_an_apron_is_cleared(standing: float) -> None:
    looks = [apron(standing, seed=i) for i in range(4)]
    bare = fit_baseline([apron(None, seed=i) for i in range(4)], clearing())
    cleared = fit_baseline(looks, clearing())
    np.testing.assert_allclose(cleared.centre[:, 50:70, 50:70], bare.centre[:, 50:70, 50:70], rtol=0.06)
    # a spread of none, as something that never moves has, would be a claim about the ground beneath
    assert (cleared.spread[:, 50:70, 50:70] > 0).all()


def test_a_look_that_shows_the_apron_is_taken_whole() -> None:
    looks = [apron(0.10, seed=i) for i in range(3)] + [apron(None, seed=3)]
    cleared = fit_baseline(looks, clearing())
    np.testing.assert_array_equal(cleared.centre[:, 58:62, 58:62], looks[3].data[:, 58:62, 58:62])


@pytest.mark.parametrize("where", [np.s_[30:70, 20:60], np.s_[50:58, 84:92]])
def test_large_blocks_and_those_at_the_edge_of_rough_ground_stay(where: tuple[slice, slice]) -> None:
    looks = [apron(0.40, where, seed=i) for i in range(4)]
    kept = fit_baseline(looks, BaselineParams(centre="emptiest", emptiest_percentile=0.0))
    cleared = fit_baseline(looks, clearing())
    np.testing.assert_array_equal(cleared.centre[:, *where], kept.centre[:, *where])


def test_rough_and_green_ground_is_not_touched() -> None:
    looks = [apron(0.40, seed=i) for i in range(4)]
    kept = fit_baseline(looks, BaselineParams(centre="emptiest", emptiest_percentile=0.0))
    cleared = fit_baseline(looks, clearing())
    np.testing.assert_array_equal(cleared.centre[:, :, 92:], kept.centre[:, :, 92:])
    green = [
        Raster.make(r.data * np.array([1, 3], np.float32)[:, None, None], r.grid, BANDS, r.unit, None) for r in looks
    ]
    np.testing.assert_array_equal(
        fit_baseline(green, clearing()).centre,
        fit_baseline(green, BaselineParams(centre="emptiest", emptiest_percentile=0.0)).centre,
    )


def test_nothing_is_cleared_unless_asked_for() -> None:
    looks = [apron(0.40, seed=i) for i in range(4)]
    assert BaselineParams().clear_objects_m == 0
    block = fit_baseline(looks, BaselineParams(centre="emptiest", emptiest_percentile=0.0)).centre[0][BLOCK]
    np.testing.assert_allclose(block, 0.40, rtol=1e-6)
    median = fit_baseline(looks, BaselineParams(centre="median", clear_objects_m=40.0)).centre[0][BLOCK]
    np.testing.assert_allclose(median, 0.40, rtol=1e-6)


def test_light_strips_on_dark_ground_are_no_things() -> None:
    """The end of a taxiway on a runway is enclosed by the runway and by itself."""
    plane = np.full((SIZE, SIZE), 0.10, np.float32)
    plane[50:62, 60:] = 0.22
    looks = [Raster.make(np.stack([plane, plane]), make_grid(SIZE, 3.0), BANDS, "reflectance", None)] * 3
    np.testing.assert_array_equal(fit_baseline(looks, clearing()).centre, looks[0].data)


def test_the_spread_of_one_look_takes_no_room_and_what_it_did_not_see_is_nought() -> None:
    baseline = fit_baseline(LOOKS[1:2], BaselineParams())
    assert baseline.spread.strides == (0, 0, 0)
    np.testing.assert_array_equal(baseline.band("red"), [[2, 0], [3, 0]])
    np.testing.assert_array_equal(baseline.looks, [[1, 0], [1, 0]])

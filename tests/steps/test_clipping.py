"""Clipping: what a picture's white and black hide is no change; what it shows stays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.core.results import Baseline
from changedetect.steps.clipping import clip_alike, clip_pair, shown_range

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 60
GRID = Grid.from_bounds("EPSG:32652", (0.0, 0.0, SIDE * 0.5, SIDE * 0.5), 0.5)
GROUND = np.random.default_rng(5).normal(100, 12, (SIDE, SIDE))
ROOF, NEW = np.s_[10:20, 10:20], np.s_[40:50, 40:50]


def picture(gain: float, offset: float = 0.0, *, new: bool = False, unit: str = "display") -> Raster:
    """Return ground, a bright roof, a dark pond and perhaps a new roof, stretched and clipped to eight bits."""
    truth = GROUND.copy()
    truth[ROOF] = 200
    truth[40:50, 10:20] = 20
    if new:
        truth[NEW] = 300
    shown = np.clip(np.round(gain * truth + offset), 0, 255)
    return Raster.make((shown - offset)[None] / gain, GRID, ("pan",), unit)


def as_baseline(raster: Raster) -> Baseline:
    looks = np.ones(GRID.shape, np.uint16)
    return Baseline(raster.data, np.zeros_like(raster.data), looks, GRID, raster.bands, raster.unit)


def differences(before: Raster, after: Raster) -> NDArray[np.float32]:
    now, then = clip_pair(after, as_baseline(before))
    return (now.data - then.centre)[0]


def test_white_and_black_are_found_where_pixels_pile_up() -> None:
    shown = shown_range(picture(1.6, -50).data, np.ones(GRID.shape, bool))
    assert shown[:, 0] == pytest.approx((50 / 1.6, 305 / 1.6), abs=4)
    gentle = Raster.make(GROUND[None], GRID, ("pan",), "display")
    assert np.isinf(shown_range(gentle.data, np.ones(GRID.shape, bool))).all()


@pytest.mark.parametrize("bright_first", [True, False])
def test_a_roof_that_was_clipped_in_one_picture_did_not_change(bright_first: bool) -> None:
    pair = (picture(1.6, -50), picture(0.9, 4))
    before, after = pair if bright_first else pair[::-1]
    assert np.abs(after.data - before.data)[0][ROOF].max() > 8
    left = differences(before, after)
    assert np.abs(left[ROOF]).max() <= 3
    assert np.abs(left[40:50, 10:20]).max() <= 3


def test_a_new_roof_keeps_its_brightness() -> None:
    left = differences(picture(1.6, -50), picture(0.8, 4, new=True))
    assert left[NEW].mean() == pytest.approx(300 - GROUND[NEW].mean(), abs=5)


def test_numbers_that_are_measured_are_left_alone() -> None:
    before, after = (picture(gain, unit="reflectance") for gain in (1.6, 0.9))
    now, then = clip_pair(after, as_baseline(before))
    assert now is after
    assert then.centre is before.data
    assert clip_alike([before, after]) == [before, after]


def test_many_pictures_share_the_lowest_white() -> None:
    pictures = clip_alike([picture(1.6), picture(0.9), replace(picture(1.2))])
    assert {round(float(p.data.max())) for p in pictures} == {round(float(pictures[0].data.max()))}
    assert pictures[0].data.max() == pytest.approx(255 / 1.6, abs=3)
    assert clip_alike([]) == []


def test_what_is_unknown_stays_nothing() -> None:
    data, quality = picture(1.6, -50).data.copy(), np.zeros(GRID.shape, np.uint16)
    data[:, :5], quality[:5] = 0, 1
    hidden = Raster(data, quality, GRID, ("pan",), "display")
    assert not clip_alike([hidden, picture(0.9, 30)])[0].data[:, :5].any()
    assert not clip_pair(hidden, as_baseline(picture(0.9, 30)))[0].data[:, :5].any()

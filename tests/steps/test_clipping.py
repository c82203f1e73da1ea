"""Clipping: what a picture's white and black hide is no change; what it shows stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.core.results import Baseline, Gain
from changedetect.steps.clipping import clip_alike, clip_pair, shared_range, shown_range, through_gain
from changedetect.steps.normalize import apply_gain

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 60
GRID = Grid.from_bounds("EPSG:32652", (0.0, 0.0, SIDE * 0.5, SIDE * 0.5), 0.5)
GROUND = np.random.default_rng(5).normal(100, 12, (SIDE, SIDE))
ROOF, POND, NEW = np.s_[:, 10:20, 10:20], np.s_[:, 40:50, 10:20], np.s_[:, 40:50, 40:50]
COLOURS = ("red", "green", "blue")
OPEN = ([-np.inf], [np.inf])


def make_picture(
    gain: float, offset: float = 0.0, *, new: bool = False, unit: str = "display", tint: float = 0.0
) -> tuple[Raster, Gain]:
    """Return ground, a bright roof, a dark pond and perhaps a new roof in eight bits, and what brings them to truth."""
    truth = np.stack([GROUND] * 3)
    truth[ROOF], truth[POND] = 200, 20
    truth[2, 10:20, 10:20] -= tint
    if new:
        truth[NEW] = 300
    shown = np.clip(np.round(gain * truth + offset), 0, 255)
    return Raster.make(shown, GRID, COLOURS, unit), Gain(COLOURS, (1 / gain,) * 3, (-offset / gain,) * 3)


def as_baseline(raster: Raster) -> Baseline:
    looks = np.ones(GRID.shape, np.uint16)
    return Baseline(raster.data, np.zeros_like(raster.data), looks, GRID, raster.bands, raster.unit)


def differences(before: tuple[Raster, Gain], after: tuple[Raster, Gain]) -> NDArray[np.float32]:
    then, now = (through_gain(shown_range(raster), gain, COLOURS) for raster, gain in (before, after))
    scene, baseline = clip_pair(apply_gain(*after), as_baseline(apply_gain(*before)), now, then)
    return scene.data - baseline.centre


def test_white_and_black_are_found_where_the_eight_bits_end() -> None:
    shown = shown_range(make_picture(1.6, -50)[0])
    assert shown[0] == pytest.approx([2] * 3)
    assert shown[1] == pytest.approx([253] * 3)
    assert through_gain(shown, make_picture(1.6, -50)[1], COLOURS)[:, 0] == pytest.approx((32.5, 189.4), abs=0.1)


def test_what_is_dark_of_itself_was_not_clipped() -> None:
    # a lake of its own brightness is no black
    truth = np.stack([GROUND])
    truth[:, :30] = np.random.default_rng(6).normal(18, 3, (1, 30, SIDE))
    assert shown_range(Raster.make(truth, GRID, ("pan",), "display")).tolist() == list(map(list, OPEN))
    measured = make_picture(1.6, -50, unit="reflectance")[0]
    assert np.isinf(shown_range(measured)).all()


@pytest.mark.parametrize("bright_first", [True, False])
def test_a_roof_that_was_clipped_in_one_picture_did_not_change(bright_first: bool) -> None:
    pair = (make_picture(1.6, -50), make_picture(0.9, 4))
    before, after = pair if bright_first else pair[::-1]
    assert np.abs(apply_gain(*after).data - apply_gain(*before).data)[ROOF].max() > 8
    left = differences(before, after)
    assert np.abs(left[ROOF]).max() <= 5
    assert np.abs(left[POND]).max() <= 5


def test_a_new_roof_keeps_its_brightness() -> None:
    left = differences(make_picture(1.6, -50), make_picture(0.8, 4, new=True))
    assert left[NEW].mean() == pytest.approx(300 - GROUND[NEW[1:]].mean(), abs=5)


def test_a_roof_that_is_white_in_most_bands_has_no_colour() -> None:
    # its third band is below white on both dates, and differs by rust that the other bands cannot confirm
    left = differences(make_picture(1.6, -50, tint=30), make_picture(0.9, 4, tint=60))
    assert np.abs(left[2, 10:20, 10:20]).max() < 1


def test_many_pictures_share_the_lowest_white_and_the_highest_black() -> None:
    many = [make_picture(1.6, -50), make_picture(0.9), make_picture(1.2)]
    shown = shared_range([through_gain(shown_range(raster), gain, COLOURS) for raster, gain in many])
    alike = clip_alike([apply_gain(*one) for one in many], shown)
    assert {round(float(p.data.max())) for p in alike} == {round((253 + 50) / 1.6)}
    assert {round(float(p.data.min())) for p in alike} == {32}
    assert clip_alike([], np.array(OPEN)) == []
    assert np.isinf(shared_range([np.array([[9.0], [50.0]]), np.array([[60.0], [90.0]])])).all()


def test_what_is_unknown_stays_nothing() -> None:
    raster, gain = make_picture(1.6, -50)
    data, quality = raster.data.copy(), np.zeros(GRID.shape, np.uint16)
    data[:, :5], quality[:5] = 0, 1
    hidden = apply_gain(Raster(data, quality, GRID, COLOURS, "display"), gain)
    shown = through_gain(shown_range(raster), gain, COLOURS)
    assert not clip_alike([hidden], shown)[0].data[:, :5].any()
    beside = as_baseline(apply_gain(*make_picture(0.9, 30)))
    assert not clip_pair(hidden, beside, shown, shown)[0].data[:, :5].any()

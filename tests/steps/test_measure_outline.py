from __future__ import annotations

import numpy as np
import pytest

from changedetect.steps.measure import MeasureParams
from changedetect.steps.measure.crop import compact_core, fill_of, refine
from changedetect.steps.measure.shape import even_sides, fit_rectangle, trace_skeleton

PARAMS = MeasureParams()


def slanting(shape: tuple[int, int], length: float, width: float, angle_deg: float) -> np.ndarray:
    rows, cols = np.indices(shape) + 0.5
    y, x = rows - shape[0] / 2, cols - shape[1] / 2
    angle = np.radians(angle_deg)
    along, across = x * np.sin(angle) - y * np.cos(angle), x * np.cos(angle) + y * np.sin(angle)
    return (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)


@pytest.mark.parametrize("angle_deg", [0.0, 17.0, 45.0, 71.0])
def test_moments_give_the_sides_of_a_rectangle(angle_deg: float) -> None:
    mask = slanting((80, 80), 40.0, 12.0, angle_deg)
    length, width = even_sides(mask, fit_rectangle(mask))
    assert length == pytest.approx(40.0, rel=0.02)
    assert width == pytest.approx(12.0, rel=0.03)


def test_a_rough_edge_makes_moments_little_longer_and_the_smallest_rectangle_much() -> None:
    mask = slanting((60, 60), 30.0, 10.0, 90.0)
    mask[24, 20:23] = True
    mask[35, 30:33] = True
    rectangle = fit_rectangle(mask)
    length, width = even_sides(mask, rectangle)
    assert width == pytest.approx(10.0, rel=0.04)
    assert rectangle.width_px >= 11.0
    assert length == pytest.approx(30.0, rel=0.04)


@pytest.mark.parametrize("angle_deg", [0.0, 22.0, 45.0, 60.0])
def test_a_line_is_as_long_in_every_direction(angle_deg: float) -> None:
    mask = slanting((120, 120), 90.0, 5.0, angle_deg)
    assert trace_skeleton(mask).longest_px == pytest.approx(90.0, rel=0.04)


def test_a_building_is_cut_out_of_the_haze_and_shadow_it_was_joined_to() -> None:
    roof = slanting((60, 60), 24.0, 14.0, 30.0)
    rows, cols = np.indices(roof.shape)
    haze = (rows - 14) ** 2 + (cols - 46) ** 2 < 13**2
    free = np.where(roof, 20.0, np.where(haze, 3.0, 0.5)).astype(np.float32)
    core = compact_core(roof | haze, free, 0.5, PARAMS)
    assert (core & roof).sum() / (core | roof).sum() > 0.9


def test_a_line_with_its_banks_is_no_building() -> None:
    rows, cols = np.indices((80, 80))
    line = (np.abs(rows - 40 - 12 * np.sin(cols / 9.0)) < 4) & (cols > 8) & (cols < 72)
    free = np.where(line, 15.0, 0.5).astype(np.float32)
    np.testing.assert_array_equal(compact_core(line, free, 0.5, PARAMS), line)


def test_what_light_explains_wholly_keeps_its_outline() -> None:
    ragged = slanting((60, 60), 40.0, 8.0, 30.0) | slanting((60, 60), 8.0, 30.0, 30.0)
    nothing = np.zeros(ragged.shape, np.float32)
    np.testing.assert_array_equal(compact_core(ragged, nothing, 0.5, PARAMS), ragged)


def test_the_edge_lies_at_half_of_each_colour_s_own_contrast() -> None:
    rng = np.random.default_rng(4)
    roof = slanting((60, 60), 26.0, 14.0, 90.0)
    before = np.full((3, 60, 60), 0.2, np.float32) + rng.normal(0, 0.002, (3, 60, 60)).astype(np.float32)
    # A bright and a dull side, and a rim of mixed pixels on the dull one that belongs less than half to the roof.
    gain = np.where(roof, 0.3, 0.0)
    gain[30:37, 17:43] = 0.08
    gain[37, 17:43] = 0.035
    after = (before + gain).astype(np.float32)
    wide = slanting((60, 60), 30.0, 18.0, 90.0)
    ring = ~slanting((60, 60), 34.0, 22.0, 90.0)
    found = refine(wide, (np.zeros_like(wide), ring), np.ones_like(wide), (before, after), PARAMS)
    np.testing.assert_array_equal(found, roof)
    assert fill_of(found) == pytest.approx(1.0)

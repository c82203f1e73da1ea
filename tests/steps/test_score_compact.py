"""Evidence of compact things at 3 m: laws on a small made-up place."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from score_scenes import SOIL, ground, make_grid, paint, shot

from changedetect.core.raster import Raster
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.detect import DetectParams, detect
from changedetect.steps.score import ScoreParams, change_score, estimate_noise, halo_px
from changedetect.steps.score.coarse_compact import CompactParams, compact_evidence
from changedetect.steps.score.predict import Pair

PARAMS = CompactParams(wanted=True)
SIDE, GSD_M = 96, 3.0
ROOF = 2.5 * SOIL
HUT = (40, 42, 50, 55)


def pair_of(before: np.ndarray, after: np.ndarray) -> Pair:
    planes = [[cv2.GaussianBlur(p.astype(np.float32), (0, 0), 0.5) for p in date] for date in (before, after)]
    valid = np.ones(before.shape[1:], bool)
    return Pair(("blue", "green", "red", "nir"), *planes, [np.zeros_like(p) for p in planes[0]], valid)


def even() -> np.ndarray:
    return np.broadcast_to(SOIL[:, None, None], (4, SIDE, SIDE)).copy()


def evidence(before: np.ndarray, after: np.ndarray, tolerance_px: float = 0.3) -> np.ndarray:
    return compact_evidence(pair_of(before, after), tolerance_px, GSD_M, PARAMS)


def test_equal_images_give_nothing() -> None:
    place = paint(ground(SIDE), HUT, ROOF)
    assert evidence(place, place, 0.0).max() == 0.0
    assert evidence(place, place).max() < 1.0


def test_a_hut_of_two_by_five_pixels_stands_out_and_changed_fields_do_not() -> None:
    hut = evidence(even(), paint(even(), HUT, ROOF))
    assert hut[40:42, 50:55].min() > 8.0
    field = evidence(even(), paint(even(), (20, 70, 30, 96), ROOF))
    strip = evidence(even(), paint(even(), (40, 43, 0, 96), ROOF))
    # Corners of a field stick out a little.
    assert field[30:60].max() < 3.0
    assert strip.max() < 3.0


def test_a_hut_stands_out_from_a_field_that_changed_with_it() -> None:
    after = paint(paint(even(), (20, 70, 30, 96), 0.5), HUT, ROOF)
    assert evidence(even(), after)[40:42, 50:55].min() > 8.0


def test_what_was_and_what_is_mirror_each_other() -> None:
    before, after = ground(SIDE), paint(ground(SIDE), HUT, ROOF)
    np.testing.assert_array_equal(evidence(before, after, 0.0), evidence(after, before, 0.0))


def test_a_shift_within_the_tolerance_takes_most_of_a_standing_hut_away() -> None:
    place = paint(even(), HUT, ROOF)
    step = np.float32([[1, 0, 0.6], [0, 1, 0.0]])
    moved = np.stack([cv2.warpAffine(p, step, (SIDE, SIDE), flags=cv2.INTER_LINEAR) for p in place])
    strict, tolerant = (evidence(place, moved, reach)[30:60, 40:70].max() for reach in (0.0, 0.6))
    assert strict > 6.0
    assert tolerant < 0.7 * strict


def test_what_was_not_seen_makes_nothing_of_its_edge() -> None:
    pair = pair_of(even(), paint(even(), (10, 80, 48, 60), ROOF))
    hidden = np.zeros((SIDE, SIDE), bool)
    hidden[:, 44:52] = True
    found = compact_evidence(replace(pair, valid=~hidden), 0.3, GSD_M, PARAMS)
    assert found[20:70, 40:56].max() < 3.0


@pytest.mark.parametrize("wanted", [True, False])
def test_the_score_has_the_band_at_3_m_where_it_is_wanted(wanted: bool) -> None:
    params = ScoreParams(compact=CompactParams(wanted=wanted))
    for gsd_m in (0.5, 3.0):
        raster, baseline = shot(ground(128), 1, gsd_m), fit_baseline([shot(ground(128), 2, gsd_m)], BaselineParams())
        noise = estimate_noise(raster, baseline, 0.4, params)
        score = change_score(raster, baseline, noise, params)
        assert ("compact" in score.bands) == (wanted and gsd_m == 3.0)
        assert noise.model["tolerance_px"] == pytest.approx(0.28 if "compact" in score.bands else 0.0)


def test_blocks_with_halo_equal_the_whole_bit_for_bit() -> None:
    params = ScoreParams(compact=PARAMS)
    raster = shot(paint(ground(200), HUT, ROOF), 1, GSD_M)
    baseline = fit_baseline([shot(ground(200), 2, GSD_M)], BaselineParams())
    noise = estimate_noise(raster, baseline, 0.4, params)
    whole = change_score(raster, baseline, noise, params).band("compact")
    halo = halo_px(params, GSD_M)
    rows, cols = slice(60, 131), slice(40, 97)
    wide = tuple(slice(max(s.start - halo, 0), min(s.stop + halo, 200)) for s in (rows, cols))
    part = change_score(raster.crop(*wide), baseline.crop(*wide), noise, params).band("compact")
    inner = part[rows.start - wide[0].start :, cols.start - wide[1].start :][:71, :57]
    np.testing.assert_array_equal(inner, whole[rows, cols])


def test_neighbours_are_cut_apart() -> None:
    after = paint(paint(even(), HUT, ROOF), (40, 42, 57, 62), 1.6 * SOIL)
    cores = evidence(even(), after) > 0
    count, _ = cv2.connectedComponents(cores.astype(np.uint8), connectivity=8)
    assert count - 1 == 2


def test_cores_are_objects_of_their_own() -> None:
    planes = np.zeros((4, SIDE, SIDE), np.float32)
    planes[[0, 2], 20:60, 20:60] = 12.0
    planes[3, 40:42, 50:55] = 20.0
    planes[3, 10, 10] = 30.0
    image = Raster.make(even(), make_grid(SIDE, GSD_M), ("blue", "green", "red", "nir"), "reflectance")
    baseline = fit_baseline([image], BaselineParams())
    bands = ("score", "light", "free", "compact")
    labels = detect(Raster.make(planes, image.grid, bands, "sigma"), baseline, image, DetectParams())
    assert labels.max() == 2
    assert labels[41, 52] != labels[25, 25]
    assert (labels == labels[41, 52]).sum() == 10

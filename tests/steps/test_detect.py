from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from score_scenes import ground, make_grid, paint, shot

from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.errors import GridError
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.detect import DetectParams, detect, expected_false_alarms
from changedetect.steps.detect.masks import fill_holes

SIDE = 64
PLAIN = np.full((4, SIDE, SIDE), 0.2, np.float32)
PARAMS = DetectParams()


def labels_of(
    score: np.ndarray, params: DetectParams = PARAMS, light: np.ndarray | None = None, **options
) -> np.ndarray:
    gsd_m = options.get("gsd_m", 0.5)
    planes = np.stack([score, np.zeros_like(score) if light is None else light, options.get("free", score)])
    raster = Raster.make(planes, make_grid(SIDE, gsd_m), ("score", "light", "free"), "sigma", options.get("quality"))
    image = Raster.make(
        options.get("image", PLAIN), make_grid(SIDE, gsd_m), ("blue", "green", "red", "nir"), "reflectance"
    )
    baseline = fit_baseline([image], BaselineParams())
    return detect(raster, baseline, image, params)


def patch(*boxes: tuple[int, int, int, int, float]) -> np.ndarray:
    score = np.zeros((SIDE, SIDE), np.float32)
    for r0, r1, c0, c1, value in boxes:
        score[r0:r1, c0:c1] = value
    return score


def test_nothing_gives_no_label() -> None:
    labels = labels_of(patch())
    assert labels.dtype == np.int32
    assert labels.max() == 0


def test_weak_flanks_are_kept_only_with_a_seed() -> None:
    labels = labels_of(patch((10, 20, 10, 20, 5.0), (14, 17, 14, 17, 15.0), (40, 50, 40, 50, 7.0)))
    assert (labels[10:20, 10:20] == 1).all()
    assert (labels > 0).sum() == 100


def test_both_signs_count_and_numbers_follow_the_rows() -> None:
    labels = labels_of(patch((40, 50, 5, 15, 20.0), (5, 15, 40, 50, -20.0), (5, 15, 5, 15, 20.0)))
    assert (labels[5, 5], labels[5, 40], labels[40, 5]) == (1, 2, 3)


def test_corners_touch() -> None:
    labels = labels_of(patch((10, 20, 10, 20, 20.0), (20, 30, 20, 30, 20.0)), DetectParams(closing_m=0.0))
    assert labels.max() == 1


def test_gaps_close_and_holes_fill() -> None:
    score = patch((10, 30, 10, 30, 20.0))
    score[18:20, 10:30] = 0
    score[24:26, 24:26] = 0
    # The gap stays open at its two ends.
    assert (labels_of(score)[10:30, 13:27] == 1).all()


def test_small_and_feeble_objects_are_dropped() -> None:
    # 4 x 5 px of 0.25 m2 are 5 m2; and an object whose 95 % quantile misses the mark by one odd pixel
    weak = patch((40, 50, 40, 50, 6.0))
    weak[45, 45] = 12.0
    assert labels_of(patch((10, 14, 10, 15, 30.0))).max() == 0
    assert labels_of(patch((10, 15, 10, 15, 30.0))).max() == 1
    assert labels_of(weak).max() == 0


def test_pixels_unfit_on_either_date_do_not_fire() -> None:
    bits = np.zeros((SIDE, SIDE), np.uint16)
    bits[:, 20:] = Quality.CLOUD
    labels = labels_of(patch((10, 30, 10, 30, 20.0)), quality=bits)
    assert (labels[10:30, 10:20] == 1).all()
    assert (labels[:, 20:] == 0).all()


def test_a_scene_that_changed_all_over_is_not_a_set_of_objects() -> None:
    rng = np.random.default_rng(1)
    score = (9 + rng.standard_normal((SIDE, SIDE))).astype(np.float32)
    score[10:20, 10:20] = 60.0
    labels = labels_of(score)
    assert labels.max() == 1
    assert (labels[11:19, 11:19] == 1).all()
    assert (labels > 0).mean() < 0.25


def test_the_edge_of_a_moved_shadow_is_dropped_and_the_same_thing_in_the_open_is_not() -> None:
    image = PLAIN.copy()
    image[:, 10:30, 10:20] *= 0.3
    sliver = patch((10, 30, 20, 24, -12.0))
    light = np.where(sliver != 0, -0.6, 0.0).astype(np.float32)
    assert labels_of(sliver, light=light, image=image).max() == 0
    assert labels_of(sliver, light=light).max() == 1
    assert labels_of(sliver, image=image).max() == 1


def test_a_new_hut_is_cut_without_the_shadow_it_casts() -> None:
    hut, shadow = (10, 30, 10, 30), (10, 30, 30, 42)
    free = patch((*hut, 40.0))
    score = free + patch((*shadow, -12.0))
    light = np.where(score < 0, -0.6, 0.0).astype(np.float32)
    labels = labels_of(score, light=light, free=free)
    assert (labels[10:30, 10:30] == 1).all()
    assert (labels[:, 32:] == 0).all()


def test_a_feeble_hut_is_believed_for_the_shadow_it_casts() -> None:
    hut, shadow = patch((10, 22, 10, 22, 7.5)), patch((10, 22, 22, 32, -20.0))
    light = np.where(shadow < 0, -0.6, 0.0).astype(np.float32)
    alone = labels_of(hut, free=hut)
    beside = labels_of(hut + shadow, light=light, free=hut)
    assert alone.max() == 0
    assert (beside[10:22, 10:22] == 1).all()
    assert (beside[:, 24:] == 0).all()


def test_an_even_rectangle_of_a_buildings_size_needs_less() -> None:
    roof = patch((10, 30, 10, 30, 5.5))
    triangle = roof * (np.indices(roof.shape).sum(axis=0) < 40)
    assert (labels_of(roof)[10:30, 10:30] == 1).all()
    assert labels_of(triangle.astype(np.float32)).max() == 0
    assert labels_of(patch((10, 20, 10, 20, 5.5))).max() == 0


def test_a_large_dark_thing_keeps_its_bright_spots() -> None:
    free = patch((20, 24, 20, 32, 20.0))
    score = patch((10, 34, 10, 40, -15.0))
    score[free > 0] = 20.0
    light = np.where(score < 0, -0.6, 0.0).astype(np.float32)
    labels = labels_of(score, light=light, free=free)
    assert labels.max() == 1
    assert (labels[11:33, 11:39] == 1).all()


def test_metres_follow_the_grid() -> None:
    # 3 x 3 px are 81 m2 at 3 m, and 2.25 m2 at 0.5 m
    score = patch((10, 13, 10, 13, 20.0))
    assert labels_of(score, gsd_m=3.0).max() == 1
    assert labels_of(score, gsd_m=0.5).max() == 0


def test_other_grids_are_refused() -> None:
    raster = shot(ground(64), 1)
    score = Raster.make(np.zeros((2, 32, 32)), make_grid(32), ("score", "light"), "sigma")
    with pytest.raises(GridError, match="detect: grids differ"):
        detect(score, fit_baseline([raster], BaselineParams()), shot(paint(ground(64), (1, 5, 1, 5), 2.0), 1), PARAMS)


def quiet(seed: int, side: int = 512) -> tuple[Raster, Raster]:
    """A scene without change whose score has a heavy tail of blobs, and the image itself."""
    rng = np.random.default_rng(seed)
    score = np.zeros((side, side), np.float32)
    for row, col, strength in zip(*rng.integers(10, side - 20, (2, 90)), 3 * rng.random(90) ** -0.35, strict=True):
        score[row : row + 8, col : col + 8] = strength
    grid = make_grid(side)
    flat = np.full((4, side, side), 0.2, np.float32)
    planes = np.stack([score, np.zeros_like(score), score])
    return (
        Raster.make(planes, grid, ("score", "light", "free"), "sigma"),
        Raster.make(flat, grid, ("blue", "green", "red", "nir"), "reflectance"),
    )


def test_the_stated_rate_is_the_rate_and_a_limit_is_kept() -> None:
    stated, found, kept, limit = 0.0, 0, 0, 60.0
    params = DetectParams(seed_sigma=6.0, grow_sigma=2.5, object_sigma=6.0, max_hole_m2=0.0)
    for seed in range(8):
        score, image = quiet(seed)
        baseline = fit_baseline([image], BaselineParams())
        needed, rate = expected_false_alarms(score, baseline, image, params)
        assert needed == 6.0
        stated += rate * 512**2 * 0.25e-6
        found += detect(score, baseline, image, params).max()
        strict = replace(params, max_false_alarms_per_km2=limit)
        kept += detect(score, baseline, image, strict).max()
        assert expected_false_alarms(score, baseline, image, strict)[0] > 6.0
    assert found > 50
    assert 0.7 * found < stated < 1.8 * found
    assert 0 < kept < limit * 8 * 512**2 * 0.25e-6 * 1.5


def test_too_little_ground_states_no_rate_and_keeps_the_thresholds() -> None:
    image = Raster.make(PLAIN, make_grid(SIDE), ("blue", "green", "red", "nir"), "reflectance")
    score = Raster.make(np.zeros((1, SIDE, SIDE), np.float32), make_grid(SIDE), ("score",), "sigma")
    strict = replace(PARAMS, max_false_alarms_per_km2=0.5)
    baseline = fit_baseline([image], BaselineParams())
    assert expected_false_alarms(score, baseline, image, strict) == (PARAMS.object_sigma, None)


def test_many_holes_are_filled_as_few_are_and_only_small_enclosed_ones() -> None:
    mask = np.ones((90, 90), bool)
    mask[1::2, 1::2] = False  # 1936 holes of a pixel each, those of the last row and column open to the border
    mask[3:6, 3:6] = False
    whole, part = fill_holes(mask, 4.0), fill_holes(mask[:40, :40], 4.0)
    np.testing.assert_array_equal(whole[:39, :39], part[:39, :39])
    assert not whole[3:6, 3:6].any()
    assert whole[1, 1]
    assert not whole[89, 1]

"""The empty ground of a look, and what stands out from it: snow, haze, wet ground and people on them."""

import numpy as np
import pytest
from presence_kit import grid, outlines, pair

from changedetect.steps.classify.crowd import CrowdParams, add_crowds, propose
from changedetect.steps.classify.muster import MusterParams, expect_ground, mark_dark_patches

BANDS = ("blue", "green", "red", "nir")
PAVED = np.array([0.125, 0.142, 0.158, 0.185], np.float32)
SNOW = np.array([0.74, 0.74, 0.73, 0.66], np.float32)
SKY = np.array([0.46, 0.40, 0.35, 0.30], np.float32)
GSD_M = 0.5
SIDE = 200
ON = grid(GSD_M, SIDE)
PARAMS = CrowdParams()
MUSTER = MusterParams()
SIZES = (PARAMS.min_area_m2, PARAMS.max_area_m2)
BLOCK = (slice(90, 114), slice(80, 106))
"""12 m by 13 m."""


def flat(colour):
    rng = np.random.default_rng(1)
    plane = np.broadcast_to(np.asarray(colour, np.float32)[:, None, None], (4, SIDE, SIDE))
    return (plane * (1 + rng.normal(0, 0.01, (1, SIDE, SIDE)))).astype(np.float32)


def with_people(image, share=0.75):
    """Shadows of people over part of the ground, person by person (one in every 2 x 2 pixels)."""
    rng = np.random.default_rng(2)
    result = image.copy()
    rows, cols = BLOCK
    cover = np.clip(rng.normal(share, 0.18, (rows.stop - rows.start, cols.stop - cols.start)), 0, 1)
    result[:, rows, cols] *= 1 - cover[None] * (1 - SKY[:, None, None])
    return result.astype(np.float32)


def crowds(before, after):
    """Confidence of every patch that is marked, as the product judges it."""
    scene, baseline = pair(ON, before, after, BANDS)
    labels = add_crowds(np.zeros(ON.shape, np.int32), scene, baseline, PARAMS)
    found = [_outline(labels == k) for k in range(1, labels.max() + 1)]
    return propose(outlines(*found), scene, baseline, PARAMS) if found else None


def _outline(mask):
    from rasterio.features import shapes
    from shapely.geometry import shape

    return next(shape(geometry) for geometry, value in shapes(mask.astype(np.uint8), transform=ON.transform) if value)


@pytest.mark.parametrize("now", [PAVED, 0.7 * PAVED, SNOW, PAVED + 0.03], ids=["dry", "wet", "snow", "haze"])
def test_the_empty_ground_is_what_the_look_shows_beside(now):
    before, after = flat(PAVED), with_people(flat(now))
    ground = expect_ground(*pair(ON, before, after, BANDS), MUSTER)
    for name, level in zip(BANDS, now, strict=True):
        assert np.median(ground.expected[name][BLOCK]) == pytest.approx(level, rel=0.02)


def test_cleared_ground_in_snow_is_told_from_the_snow_beside_it():
    before, after = flat(PAVED), flat(SNOW)
    after[:, 30:170, 40:160] = flat(PAVED)[:, 30:170, 40:160]  # 70 m by 60 m
    ground = expect_ground(*pair(ON, before, after, BANDS), MUSTER)
    assert np.median(ground.expected["blue"][BLOCK]) == pytest.approx(PAVED[0], rel=0.02)
    assert np.median(ground.expected["blue"][:10]) == pytest.approx(SNOW[0], rel=0.02)


def test_what_fills_the_window_is_left_out_where_it_is_known():
    before, after = flat(PAVED), flat(PAVED)
    after[:, 50:150, 50:150] *= 0.5
    large = np.zeros(ON.shape, bool)
    large[48:152, 48:152] = True
    scene, baseline = pair(ON, before, after, BANDS)
    assert np.median(expect_ground(scene, baseline, MUSTER).visible[90:110, 90:110]) < 0.6 * PAVED[:3].mean()
    kept = expect_ground(scene, baseline, MUSTER, large)
    assert np.median(kept.visible[90:110, 90:110]) == pytest.approx(PAVED[:3].mean(), rel=0.05)


@pytest.mark.parametrize("now", [PAVED, SNOW], ids=["bare", "snow"])
def test_people_are_found_on_bare_ground_and_on_snow(now):
    found = crowds(flat(PAVED), with_people(flat(now)))
    assert len(found) == 1
    assert found["confidence"].iloc[0] > 0.5
    assert found["count_low"].iloc[0] <= 156 <= found["count_high"].iloc[0]


def test_people_are_found_on_cleared_ground_in_snow():
    after = flat(SNOW)
    after[:, 30:170, 40:160] = flat(PAVED)[:, 30:170, 40:160]
    found = crowds(flat(PAVED), with_people(after))
    assert (found["confidence"] > 0.5).sum() == 1


@pytest.mark.parametrize("seed", range(4))
def test_snow_that_melts_in_patches_is_no_crowd(seed):
    import cv2

    rng = np.random.default_rng(seed)
    rough = sum(
        s**0.6 * cv2.resize(rng.normal(size=(SIDE // s + 1,) * 2).astype(np.float32), (SIDE, SIDE)) for s in (2, 8, 32)
    )
    bare = np.clip(1.2 * (rough / rough.std() - 1.0), 0, 1)[None]  # in patches of all sizes, half-melted at their rims
    found = crowds(flat(PAVED), (flat(SNOW) * (1 - bare) + 0.8 * flat(PAVED) * bare).astype(np.float32))
    assert found is not None
    assert (found["confidence"] < 0.3).all()


def test_an_empty_snowy_ground_and_one_ploughed_clear_hold_no_crowd():
    empty = crowds(flat(PAVED), flat(SNOW))
    assert empty is None
    ploughed = flat(SNOW)
    ploughed[:, 80:104, :] = flat(PAVED)[:, 80:104, :]  # a lane of 12 m ...
    ploughed[:, 104:110, :] = 0.8 * flat(SNOW)[:, 104:110, :]  # ... and its bank
    found = crowds(flat(PAVED), ploughed)
    assert found is None or (found["confidence"] < 0.3).all()


def test_what_comes_out_from_under_the_snow_of_the_baseline_is_no_crowd():
    found = crowds(flat(SNOW), with_people(flat(PAVED)))
    assert (found["confidence"] == 0).all()


def test_tyre_tracks_in_snow_are_no_crowd():
    after = flat(SNOW)
    for row in range(60, 130, 12):
        after[:, row : row + 2, 20:180] = flat(PAVED)[:, row : row + 2, 20:180]
    found = crowds(flat(PAVED), after)
    assert found is None or (found["confidence"] < 0.3).all()


def test_patches_where_the_baseline_was_rough_are_not_marked():
    before = flat(PAVED)
    rng = np.random.default_rng(5)
    before *= rng.choice([0.4, 1.6], (SIDE // 8, SIDE // 8)).repeat(8, 0).repeat(8, 1)[None].astype(np.float32)
    scene, baseline = pair(ON, before, with_people(before), BANDS)
    assert not mark_dark_patches(scene, baseline, SIZES, MUSTER).any()


def test_labels_that_hold_a_patch_stay_as_they_are():
    scene, baseline = pair(ON, flat(PAVED), with_people(flat(PAVED)), BANDS)
    labels = np.zeros(ON.shape, np.int32)
    labels[BLOCK] = 1
    assert np.array_equal(add_crowds(labels, scene, baseline, PARAMS), labels)
    added = add_crowds(np.zeros(ON.shape, np.int32), scene, baseline, PARAMS)
    assert added.max() == 1
    assert (added[BLOCK] > 0).mean() > 0.8

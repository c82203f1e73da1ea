"""Snow that lies in patches, told from what was built."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from presence_kit import BANDS, grid, pair

from changedetect import examine
from changedetect.config import Config
from changedetect.errors import DataError
from changedetect.steps.patches import find_patches

SOIL = np.array([0.06, 0.09, 0.12, 0.22], np.float32)
SNOW = np.array([0.72, 0.73, 0.71, 0.66], np.float32)
SHADE = np.array([0.27, 0.25, 0.22, 0.15], np.float32)
GREEN = np.array([0.10, 0.16, 0.11, 0.60], np.float32)
PX = 400


def scene(seed=0):
    rng = np.random.default_rng(seed)
    return SOIL[:, None, None] * (1 + 0.05 * rng.standard_normal((4, PX, PX)).astype(np.float32))


def ragged(share, seed=1):
    """Patches with edges like those of melting snow, (row, col)."""
    rng = np.random.default_rng(seed)
    field = sum(cv2.GaussianBlur(rng.standard_normal((PX, PX)), (0, 0), s) * s for s in (1.5, 4.0))
    return field > np.quantile(field, 1 - share)


def found(after, gsd_m=0.5):
    return find_patches(*pair(grid(gsd_m, PX), scene(), after))


@pytest.mark.parametrize("gsd_m", [0.5, 3.0])
@pytest.mark.parametrize("colour", [SNOW, SHADE])
def test_snow_in_patches_is_told_in_the_sun_and_in_the_shade(colour, gsd_m):
    after = np.where(ragged(0.12), colour[:, None, None], scene(2))
    told = found(after, gsd_m)
    assert told.are_snow
    assert told.share == pytest.approx(0.12, abs=0.02)


def test_a_camp_of_white_tents_is_no_snow():
    after = scene(2)
    for r in range(10, PX - 12, 16):
        for c in range(10, PX - 16, 20):
            after[:, r : r + 8, c : c + 12] = SNOW[:, None, None]
    told = found(after)
    assert told.share > 0.2
    assert told.per_km2 > 1000
    assert not told.are_snow


def test_crops_that_came_up_in_patches_are_no_snow():
    after = np.where(ragged(0.12), GREEN[:, None, None], scene(2))
    assert found(after).share < 0.01


def test_what_was_white_before_did_not_turn_white():
    white = np.where(ragged(0.12), SNOW[:, None, None], scene(2))
    assert find_patches(*pair(grid(0.5, PX), white, white)).share == 0.0


def test_pixels_of_ten_metres_and_grey_ones_tell_nothing():
    after = np.where(ragged(0.12), SNOW[:, None, None], scene(2))
    assert found(after, 10.0) is None
    gray = pair(grid(0.5, PX), scene()[:1], after[:1], ("pan",))
    assert find_patches(*gray) is None
    assert BANDS == ("blue", "green", "red", "nir")


def test_a_scene_with_snow_in_patches_says_so_and_can_be_compared_all_the_same():
    snowy = pair(grid(0.5, PX), scene(), np.where(ragged(0.12), SNOW[:, None, None], scene(2)))
    with pytest.raises(DataError, match=r"snow lies in patches.*found 1.% of the ground.*needed 6% at most"):
        examine._require_no_patches(*snowy, Config())
    config = Config()
    config = replace(config, detect=replace(config.detect, max_white_share=1.0))
    examine._require_no_patches(*snowy, config)

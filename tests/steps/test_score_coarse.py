from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest
from score_scenes import ROOF, ground, paint, shot

from changedetect.blocks import map_blocks
from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.core.results import Baseline, Noise
from changedetect.errors import DataError, GridError
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.detect import DetectParams, detect
from changedetect.steps.score import ScoreParams, change_score, estimate_noise, halo_px
from changedetect.steps.score.coarse_cloud import find_clouds, find_leaks
from changedetect.steps.score.coarse_fit import fit_clusters, fit_gain
from changedetect.steps.score.coarse_params import CoarseParams
from changedetect.steps.score.coarse_state import CoarseModel, PackedMask

# Fewer kinds of ground than in a real town: this one has four.
AUTO = ScoreParams(method="auto", coarse=CoarseParams(clusters=8, samples=8000))
DETECT = DetectParams(compact_support=1.0)
GSD_M = 10.0
TOWN_SIDE = 256
SITE = (100, 112, 120, 140)


def town(seed: int = 1) -> np.ndarray:
    """Return soil and grass with streets and roofs, (4, row, col) reflectance."""
    place = ground(TOWN_SIDE, seed)
    rng = np.random.default_rng(seed)
    for row, col in rng.integers(8, TOWN_SIDE - 16, (260, 2)):
        place = paint(place, (row, row + 3, col, col + 4), ROOF * rng.uniform(0.6, 1.3))
    return place


PLACE = town()


def baseline_of(*rasters: Raster) -> Baseline:
    return fit_baseline(rasters, BaselineParams())


def score_of(raster: Raster, baseline: Baseline, params: ScoreParams = AUTO) -> Raster:
    return change_score(raster, baseline, estimate_noise(raster, baseline, 0.2, params), params)


def season(values: np.ndarray) -> np.ndarray:
    """Return the place in another season: grass dries, soil is wet, the sensor has another gain."""
    red, nir = values[2], values[3]
    green = np.clip((nir - red) / (nir + red) - 0.2, 0, 1)
    return values * (0.92 - 0.15 * green * np.array([0, 0, -1, 1])[:, None, None]) + 0.004


BEFORE = baseline_of(shot(PLACE, 1, GSD_M))


def test_identical_images_score_nothing() -> None:
    found = score_of(shot(PLACE, 1, GSD_M), BEFORE)
    assert found.bands == ("score", "light", "free")
    assert found.unit == "sigma"
    assert np.abs(found.band("score")).max() < AUTO.coarse.grow_sigma


@pytest.mark.parametrize("seed", [2, 3])
def test_a_season_is_no_change(seed: int) -> None:
    raster = shot(season(PLACE), seed, GSD_M)
    assert not detect(score_of(raster, BEFORE), BEFORE, raster, DETECT).any()


def test_a_building_site_is_found_whole_and_alone_through_a_season() -> None:
    raster = shot(paint(season(PLACE), SITE, ROOF * 1.4), 2, GSD_M)
    labels = detect(score_of(raster, BEFORE), BEFORE, raster, DETECT)
    truth = np.zeros(labels.shape, bool)
    truth[SITE[0] : SITE[1], SITE[2] : SITE[3]] = True
    assert labels.max() == 1
    shared = (truth & (labels > 0)).sum()
    assert shared / truth.sum() > 0.8
    assert shared / (labels > 0).sum() > 0.6


def test_the_sign_is_that_of_the_brightening() -> None:
    bright = score_of(shot(paint(PLACE, SITE, ROOF * 1.4), 2, GSD_M), BEFORE).band("score")
    dark = score_of(shot(paint(PLACE, SITE, 0.3), 2, GSD_M), BEFORE).band("score")
    assert bright[104:108, 126:134].min() > AUTO.coarse.grow_sigma
    assert dark[104:108, 126:134].max() < 0


def test_ground_that_ends_green_counts_less_than_ground_that_ends_bare() -> None:
    grass, soil = np.array([0.03, 0.07, 0.04, 0.40]), np.array([0.12, 0.15, 0.2, 0.28])
    green, bare = paint(PLACE, SITE, grass), paint(PLACE, SITE, soil)
    middle = (slice(104, 108), slice(126, 134))
    built = score_of(shot(bare, 3, GSD_M), baseline_of(shot(green, 1, GSD_M))).band("score")[middle]
    grown = score_of(shot(green, 3, GSD_M), baseline_of(shot(bare, 1, GSD_M))).band("score")[middle]
    assert np.abs(built).mean() > np.abs(grown).mean()


def test_blocks_and_their_size_do_not_change_a_byte() -> None:
    raster = shot(paint(season(PLACE), SITE, ROOF), 2, GSD_M)
    noise = estimate_noise(raster, BEFORE, 0.2, AUTO)
    work = partial(change_score, noise=noise, params=AUTO)
    whole = work(raster, BEFORE)
    halo = halo_px(AUTO, GSD_M)
    for block in (61, 100):
        parts = map_blocks(work, (raster, BEFORE), halo, block_px=block)
        assert parts.data.tobytes() == whole.data.tobytes()
        assert parts.quality.tobytes() == whole.quality.tobytes()


def test_the_model_survives_json_and_is_small() -> None:
    raster = shot(paint(PLACE, SITE, ROOF), 2, GSD_M)
    noise = estimate_noise(raster, BEFORE, 0.2, AUTO)
    text = json.dumps(noise.model)
    assert len(text) < 100_000
    again = Noise(noise.bands, json.loads(text))
    assert CoarseModel.from_dict(again.model) == CoarseModel.from_dict(noise.model)
    assert (
        change_score(raster, BEFORE, again, AUTO).data.tobytes()
        == change_score(raster, BEFORE, noise, AUTO).data.tobytes()
    )


def test_large_scenes_are_estimated_on_tiles_with_like_results() -> None:
    big = np.tile(PLACE, (1, 3, 3))[:, :560, :560]
    before, raster = baseline_of(shot(big, 1, GSD_M)), shot(paint(big, SITE, ROOF * 1.4), 2, GSD_M)
    whole = score_of(raster, before).band("score")
    tiled = replace(AUTO, coarse=replace(AUTO.coarse, max_estimate_px=300_000))
    parts = score_of(raster, before, tiled).band("score")
    assert whole[104:108, 126:134].min() > AUTO.coarse.grow_sigma
    assert parts[104:108, 126:134].min() > AUTO.coarse.grow_sigma


def test_pairs_without_lasting_detail_need_stronger_evidence() -> None:
    other = shot(paint(ground(TOWN_SIDE, 9), SITE, ROOF), 2, GSD_M)
    lost = CoarseModel.from_dict(estimate_noise(other, BEFORE, 0.2, AUTO).model)
    kept = CoarseModel.from_dict(estimate_noise(shot(PLACE, 2, GSD_M), BEFORE, 0.2, AUTO).model)
    assert kept.penalty == 0.0
    assert lost.penalty > 1.0


@pytest.mark.parametrize(
    ("method", "gsd_m", "coarse"),
    [("auto", 0.5, False), ("auto", 1.5, True), ("physical", 10.0, False), ("coarse", 0.5, True)],
)
def test_method_and_pixel_size_choose_the_score(method: str, gsd_m: float, coarse: bool) -> None:
    params = ScoreParams(method=method)
    before, raster = baseline_of(shot(PLACE, 1, gsd_m)), shot(PLACE, 2, gsd_m)
    assert (estimate_noise(raster, before, 0.2, params).model.get("kind") == "coarse") is coarse


def test_refuses_what_cannot_be_compared() -> None:
    hidden = np.full((TOWN_SIDE, TOWN_SIDE), int(Quality.CLOUD), np.uint16)
    hidden[:10, :10] = 0
    with pytest.raises(DataError, match="too few clear pixels"):
        score_of(shot(PLACE, 2, GSD_M, quality=hidden), BEFORE)
    with pytest.raises(GridError, match="share no band"):
        score_of(shot(PLACE[:1], 2, GSD_M, bands=("vv",)), BEFORE)


def test_unseen_scores_nothing_and_stays_unseen() -> None:
    hidden = np.zeros((TOWN_SIDE, TOWN_SIDE), np.uint16)
    hidden[90:130, 100:160] = int(Quality.CLOUD)
    found = score_of(shot(paint(PLACE, SITE, ROOF), 2, GSD_M, quality=hidden), BEFORE)
    assert not found.valid[90:130, 100:160].any()
    assert not found.band("score")[90:130, 100:160].any()


def clouded(values: np.ndarray) -> np.ndarray:
    """Return the place under a soft white cloud of 36 ha and its shadow."""
    result = values.copy()
    rows, cols = np.mgrid[:TOWN_SIDE, :TOWN_SIDE]
    for row, col, light in ((80, 80, None), (140, 140, 0.45)):
        thick = np.clip(1.6 - np.hypot(rows - row, cols - col) / 30, 0, 1)
        target = np.full((4, 1, 1), 0.45) if light is None else values * light
        result = result * (1 - thick) + target * thick
    return result


def test_an_untold_cloud_and_its_shadow_are_unseen_and_ground_is_not() -> None:
    found = score_of(shot(clouded(PLACE), 2, GSD_M), BEFORE)
    hidden = (found.quality & int(Quality.CLOUD)) > 0
    assert hidden[70:90, 70:90].all()
    assert hidden[130:150, 130:150].all()
    rows, cols = np.mgrid[:TOWN_SIDE, :TOWN_SIDE]
    far = (np.hypot(rows - 80, cols - 80) > 66) & (np.hypot(rows - 140, cols - 140) > 66)
    assert not hidden[far].any()
    labels = detect(found, BEFORE, shot(clouded(PLACE), 2, GSD_M), DETECT)
    assert not labels[hidden].any()


@pytest.mark.parametrize("colour", [np.array([0.12, 0.17, 0.24, 0.34]), np.array([0.03, 0.05, 0.06, 0.12])])
def test_a_field_is_no_cloud(colour: np.ndarray) -> None:
    field = paint(PLACE, (60, 110, 60, 110), colour)
    valid = np.ones((TOWN_SIDE, TOWN_SIDE), bool)
    planes = [[np.asarray(p, np.float32) for p in side] for side in (PLACE, field)]
    assert not find_clouds(*planes, valid=valid, bands=("blue", "green", "red", "nir"), gsd_m=GSD_M).any()


WHITE = np.array([0.24, 0.25, 0.26, 0.4])
EARTH = np.array([0.12, 0.17, 0.24, 0.34])
SEA = np.array([0.06, 0.05, 0.03, 0.01])
FAR_M = 120.0


@pytest.mark.parametrize(
    ("ground_there", "colour", "masked_at", "hidden"),
    [
        pytest.param(None, WHITE, 20, True, id="white, near masked cloud"),
        pytest.param(None, WHITE, None, False, id="white, but no mask tells of cloud"),
        pytest.param(None, WHITE, 230, False, id="white, and masked cloud 16 km away"),
        pytest.param(None, EARTH, 20, False, id="bare earth is redder than cloud"),
        pytest.param(SEA, WHITE, 20, False, id="a ship is white too"),
    ],
)
@pytest.mark.parametrize("later", [True, False])
def test_what_masks_of_cloud_leak_is_not_seen(ground_there, colour, masked_at, hidden, later) -> None:
    box = (80, 83, 80, 83)
    empty = PLACE if ground_there is None else paint(PLACE, (70, 95, 70, 95), ground_there)
    planes = [[np.asarray(p, np.float32) for p in side] for side in (empty, paint(empty, box, colour))]
    veil, none = np.zeros((TOWN_SIDE, TOWN_SIDE), bool), np.zeros((TOWN_SIDE, TOWN_SIDE), bool)
    if masked_at is not None:
        veil[masked_at : masked_at + 4, 78:84] = True
    veils = (none, veil)
    if not later:
        planes, veils = planes[::-1], veils[::-1]
    found = find_leaks(*planes, ~veil, veils, ("blue", "green", "red", "nir"), FAR_M)
    assert found[80:83, 80:83].all() == hidden
    assert found.sum() <= 25 * hidden


def test_packed_masks_unpack_to_themselves() -> None:
    mask = cv2.circle(np.zeros((37, 53), np.uint8), (20, 12), 7, 1, -1) > 0
    assert (PackedMask.pack(mask).unpack() == mask).all()


def test_gain_is_that_of_what_did_not_change() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(0.2, 0.05, 4000)
    after = (before - 0.01) / 1.2
    after[:400] += 0.3
    gain, offset = fit_gain(before, after)
    assert gain == pytest.approx(1.2, abs=0.02)
    assert offset == pytest.approx(0.01, abs=0.005)


def test_kinds_of_ground_learn_their_own_season() -> None:
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 2, 4000)
    before = np.where(kind, 3.0, -3.0) + 0.1 * rng.standard_normal(4000)
    after = np.where(kind, 5.0, -3.0) + 0.1 * rng.standard_normal(4000)
    clusters = fit_clusters(before[:, None], after[:, None], 2)
    for centre, lines in zip(clusters.centres, clusters.coefficients, strict=True):
        expected = lines[0][0] + lines[1][0] * centre[0]
        assert expected == pytest.approx(5.0 if centre[0] > 0 else -3.0, abs=0.2)

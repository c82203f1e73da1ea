from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.optimize import nnls
from score_scenes import ROOF, ground, paint, shot

from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.core.results import Baseline, Noise
from changedetect.errors import DataError, GridError
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.score import ScoreParams, change_score, estimate_noise, halo_px, predict, score_whole
from changedetect.steps.score.fits import robust_regression, solve_non_negative, trimmed_nnls
from changedetect.steps.score.predict import floor_variance
from changedetect.steps.score.state import CoarseField

PARAMS = ScoreParams()
PLACE = ground()
HUT = (100, 112, 120, 140)


def baseline_of(*rasters: Raster) -> Baseline:
    return fit_baseline(rasters, BaselineParams())


def score_of(raster: Raster, baseline: Baseline, ce90_px: float = 0.3) -> Raster:
    return change_score(raster, baseline, estimate_noise(raster, baseline, ce90_px, PARAMS), PARAMS)


def inside(box: tuple[int, int, int, int], margin: int = 3) -> tuple[slice, slice]:
    return slice(box[0] + margin, box[1] - margin), slice(box[2] + margin, box[3] - margin)


BEFORE = baseline_of(shot(PLACE, 1))


def test_identical_images_score_nothing() -> None:
    assert np.abs(score_of(shot(PLACE, 1), BEFORE).band("score")).max() < 1.0


@pytest.mark.parametrize(
    "after",
    [PLACE, PLACE * 1.4 + 0.05, PLACE * np.array([1.1, 1.05, 1.4, 0.7])[:, None, None]],
    ids=["noise alone", "gain and haze", "season by band"],
)
def test_what_is_no_change_stays_below_the_growing_threshold(after: np.ndarray) -> None:
    assert np.abs(score_of(shot(after, 2), BEFORE).band("score")).max() < 4.0


def test_a_hut_is_far_above_its_surroundings() -> None:
    score = score_of(shot(paint(PLACE, HUT, ROOF), 2), BEFORE).band("score")
    assert score[inside(HUT)].min() > 20
    far = np.ones(score.shape, bool)
    far[HUT[0] - 10 : HUT[1] + 10, HUT[2] - 10 : HUT[3] + 10] = False
    assert np.abs(score[far]).max() < 4.0


def test_the_least_contrast_is_what_a_grey_thing_needs_to_reach_a_threshold() -> None:
    noise = estimate_noise(shot(PLACE, 2), BEFORE, 0.3, PARAMS)
    wanted = 12.0
    grey = wanted * noise.sigma_contrast * 0.12
    after = PLACE.copy()
    after[:, HUT[0] : HUT[1], HUT[2] : HUT[3]] += grey
    score = score_of(shot(after, 2), BEFORE).band("score")[inside(HUT)]
    np.testing.assert_allclose(np.median(score), wanted, rtol=0.25)
    assert replace(noise, threshold_sigma=5.0).least_contrast == 5.0 * noise.sigma_contrast


def test_ground_that_became_another_place_hides_what_was_built_on_it() -> None:
    alike, other = (estimate_noise(shot(place, 2), BEFORE, 0.3, PARAMS) for place in (PLACE, ground(seed=9) * 1.5))
    assert other.sigma_contrast > 2.5 * alike.sigma_contrast


def test_swapped_dates_flip_the_sign() -> None:
    bare, built = shot(PLACE, 1), shot(paint(PLACE, HUT, ROOF), 2)
    there = score_of(built, baseline_of(bare)).band("score")[inside(HUT)]
    gone = score_of(bare, baseline_of(built)).band("score")[inside(HUT)]
    assert there.min() > 0
    assert gone.max() < 0


def test_the_growth_of_a_shadow_is_explained_by_light() -> None:
    old, grown = (100, 140, 110, 120), (100, 140, 110, 130)
    result = score_of(shot(paint(PLACE, grown, 0.4), 2), baseline_of(shot(paint(PLACE, old, 0.4), 1)))
    light = result.band("light")[102:138, 122:128]
    np.testing.assert_allclose(light.mean(), -0.6, atol=0.12)
    assert np.abs(result.band("score")).max() < 4.0


SKY = np.array([0.8, 0.62, 0.48, 0.36], np.float32)


def lit_by_the_sky(box: tuple[int, int, int, int]) -> np.ndarray:
    place = PLACE.copy()
    place[:, box[0] : box[1], box[2] : box[3]] *= SKY[:, None, None]
    return place


def test_the_colour_of_shadow_is_learned_where_shadows_grew() -> None:
    old, grown = (60, 180, 110, 120), (60, 180, 110, 130)
    raster, baseline = shot(lit_by_the_sky(grown), 2), baseline_of(shot(lit_by_the_sky(old), 1))
    grey = replace(PARAMS, min_shadow_pixels=100_000)
    learned, blind = (estimate_noise(raster, baseline, 0.3, params) for params in (PARAMS, grey))
    # Of blue and green a part counts as haze in front of light and shadow alike.
    np.testing.assert_allclose(learned.model["shadow"][2:], SKY[2:], atol=0.03)
    assert (np.diff(learned.model["shadow"]) < -0.04).all()
    assert blind.model["shadow"] == ()
    strip = (slice(64, 176), slice(122, 128))
    told = np.abs(change_score(raster, baseline, learned, PARAMS).band("score")[strip])
    untold = np.abs(change_score(raster, baseline, blind, grey).band("score")[strip])
    assert told.mean() < 1.0
    assert untold.mean() > 3 * told.mean()


def test_darkening_far_from_any_shadow_is_a_change_that_light_alone_would_explain() -> None:
    box = (100, 140, 120, 135)
    result = score_of(shot(paint(PLACE, box, 0.4), 2), BEFORE)
    assert result.band("score")[inside(box)].max() < -8
    assert np.abs(result.band("free")).max() < 4.0


def shaded(width_px: int) -> np.ndarray:
    """Return the place under twelve shadows, whose far sides move with the sun."""
    place = PLACE
    for row in (20, 84, 148, 212):
        for col in (20, 100, 180):
            place = paint(place, (row, row + 24, col, col + width_px), 0.4)
    return place


@pytest.mark.parametrize(("width_px", "explained"), [(20, False), (30, True)])
def test_what_darkens_beside_shadows_is_their_doing_only_as_far_as_they_moved(width_px: int, explained: bool) -> None:
    parked = (90, 100, 133, 146)  # 6.5 m of lit ground lie between
    after = paint(shaded(width_px), parked, 0.4)
    score = score_of(shot(after, 2), baseline_of(shot(shaded(20), 1))).band("score")[inside(parked)]
    assert (np.abs(score).max() < 4.0) == explained
    assert explained or score.max() < -8


@pytest.mark.parametrize(("width_px", "explained"), [(20, False), (8, True)])
def test_what_brightens_was_in_shadow_only_where_shadows_left(width_px: int, explained: bool) -> None:
    gone = (240, 252, 60, 84)
    before = paint(shaded(20), gone, 0.4)
    score = score_of(shot(shaded(width_px), 2), baseline_of(shot(before, 1))).band("score")[inside(gone)]
    assert (np.abs(score).max() < 4.0) == explained
    assert explained or score.min() > 8


def test_a_dark_thing_of_another_colour_is_not() -> None:
    score = score_of(shot(paint(PLACE, HUT, np.array([0.02, 0.05, 0.01, 0.03])), 2), BEFORE).band("score")
    assert score[inside(HUT)].max() < -4
    assert score[inside(HUT)].mean() < -6


def test_a_known_shift_fires_less_when_it_is_declared() -> None:
    sharp = paint(paint(PLACE, (60, 80, 60, 90), ROOF), (150, 180, 100, 130), 0.4)
    moved = shot(np.roll(sharp, 1, axis=2), 2)
    before = baseline_of(shot(sharp, 1))
    told = np.abs(score_of(moved, before, ce90_px=2.5).band("score")).max()
    untold = np.abs(score_of(moved, before, ce90_px=0.0).band("score")).max()
    assert told < 0.9 * untold


@pytest.mark.parametrize("side", [64, 257])
def test_blocks_with_halo_equal_the_whole_bit_for_bit(side: int) -> None:
    # what is unknown is filled from the ground around it, which is part of the reach
    bits = np.zeros((300, 300), np.uint16)
    bits[150:190, 60:250] = Quality.CLOUD
    raster = shot(paint(ground(300, 4), HUT, ROOF), 2, quality=bits)
    baseline = baseline_of(shot(ground(300, 4), 1))
    noise = estimate_noise(raster, baseline, 0.3, PARAMS)
    noise = replace(noise, model=json.loads(json.dumps(noise.model)))
    whole = change_score(raster, baseline, noise, PARAMS).data
    halo = halo_px(PARAMS, raster.grid.gsd_m)
    assert np.abs(whole).max() > 10
    for rows, cols in raster.grid.blocks(side):
        wide = tuple(slice(max(s.start - halo, 0), min(s.stop + halo, 300)) for s in (rows, cols))
        part = change_score(raster.crop(*wide), baseline.crop(*wide), noise, PARAMS).data
        r, c = rows.start - wide[0].start, cols.start - wide[1].start
        kept = part[:, r : r + rows.stop - rows.start, c : c + cols.stop - cols.start]
        np.testing.assert_array_equal(kept, whole[:, rows, cols])


@pytest.mark.parametrize("gsd_m", [0.5, 3.0, 10.0])
def test_what_is_learned_and_scored_at_once_is_what_is_learned_and_then_scored(gsd_m: float) -> None:
    bits = np.zeros((300, 300), np.uint16)
    bits[150:190, 60:250] = Quality.CLOUD
    dull = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.2) for plane in paint(ground(300, 4), HUT, ROOF)])
    raster = shot(dull, 2, gsd_m, quality=bits)
    baseline = baseline_of(*(shot(ground(300, 4), seed, gsd_m) for seed in (1, 5, 6)))
    noise, score = score_whole(raster, baseline, 0.3, PARAMS)
    plain = estimate_noise(raster, baseline, 0.3, PARAMS)
    assert (noise.model, noise.sigma_contrast) == (plain.model, plain.sigma_contrast)
    wanted = change_score(raster, baseline, plain, PARAMS)
    assert (score.bands, score.unit, score.grid) == (wanted.bands, wanted.unit, wanted.grid)
    np.testing.assert_array_equal(score.quality, wanted.quality)
    # blocks are padded on the right before they are blurred: the scene's last columns differ, and medians carry it on
    inner = slice(None, -(halo_px(PARAMS, gsd_m) + predict.TAIL_PX))
    np.testing.assert_array_equal(score.data[:, :, inner], wanted.data[:, :, inner])
    assert np.isclose(score.data, wanted.data, rtol=1e-4, atol=1e-4).mean() > 0.99


@pytest.mark.parametrize("bands", [("pan",), ("red", "green", "blue"), ("a", "b", "c", "d", "e", "f")])
def test_any_number_of_bands_and_any_unit(bands: tuple[str, ...]) -> None:
    pick = [i % 4 for i in range(len(bands))]
    options = {"bands": bands, "unit": "display" if len(bands) < 6 else "dn", "factor": 500.0}
    before = baseline_of(shot(PLACE[pick], 1, **options))
    quiet = score_of(shot(PLACE[pick] * 1.2, 2, **options), before).band("score")
    built = score_of(shot(paint(PLACE, HUT, ROOF)[pick], 2, **options), before).band("score")
    assert np.abs(quiet).max() < 4.5
    assert np.quantile(built[inside(HUT)], 0.1) > 10


@pytest.mark.parametrize("gsd_m", [0.3, 3.0, 10.0, 30.0])
def test_any_resolution(gsd_m: float) -> None:
    before = baseline_of(shot(PLACE, 1, gsd_m))
    raster = shot(paint(PLACE, HUT, ROOF), 2, gsd_m)
    score = score_of(raster, before).band("score")
    assert score[inside(HUT)].min() > 20
    assert np.abs(score[:80]).max() < 4.0


def test_invalid_pixels_score_zero_keep_their_bits_and_disturb_nobody() -> None:
    bits = np.zeros((256, 256), np.uint16)
    bits[:, :60] = Quality.CLOUD
    values = shot(PLACE, 2).data.copy()
    values[:, :, :60] = 5.0
    clouded = replace(shot(PLACE, 2, quality=bits), data=values)
    result = score_of(clouded, BEFORE)
    assert (result.data[:, :, :60] == 0).all()
    assert (result.quality[:, :60] == Quality.CLOUD).all()
    assert np.abs(result.band("score")).max() < 4.0
    assert np.isfinite(result.data).all()


def test_where_the_baseline_was_never_clear_is_no_data() -> None:
    bits = np.zeros((256, 256), np.uint16)
    bits[10:20, 10:20] = Quality.CLOUD
    result = score_of(shot(PLACE, 2), baseline_of(shot(PLACE, 1, quality=bits)))
    assert not result.valid[10:20, 10:20].any()
    assert result.valid[30:, 30:].all()


def test_ground_that_varies_over_the_baseline_needs_more_to_fire() -> None:
    rng = np.random.default_rng(5)
    flicker = (40, 120, 40, 120)
    looks = [shot(paint(PLACE, flicker, float(f)), i) for i, f in enumerate(rng.uniform(0.7, 1.3, 7))]
    colour = paint(PLACE, flicker, 1.0)
    colour[0, 40:120, 40:120] *= 1.5
    many = score_of(shot(colour, 50), baseline_of(*looks)).band("score")[
        flicker[0] : flicker[1], flicker[2] : flicker[3]
    ]
    one = score_of(shot(colour, 50), baseline_of(looks[3])).band("score")[
        flicker[0] : flicker[1], flicker[2] : flicker[3]
    ]
    assert np.abs(many).mean() < np.abs(one).mean() + 0.5


def test_too_little_clear_ground_is_refused() -> None:
    bits = np.full((256, 256), int(Quality.CLOUD), np.uint16)
    bits[:5] = 0
    noise = Noise(BEFORE.bands)
    assert noise.model == {}
    with pytest.raises(DataError, match="too few clear pixels are shared with the baseline"):
        estimate_noise(
            shot(PLACE, 2, quality=bits), baseline_of(shot(PLACE, 1, quality=bits[::-1].copy())), 0.3, PARAMS
        )


def test_no_shared_band_is_refused() -> None:
    with pytest.raises(GridError, match="scene and baseline share no band"):
        estimate_noise(shot(PLACE[:1], 1, bands=("vv",)), BEFORE, 0.3, PARAMS)


def test_coarse_fields_survive_packing() -> None:
    field = np.array([[0.0, -0.5], [1.25, 3.0]])
    np.testing.assert_allclose(CoarseField.pack(field).unpack(), field, atol=1e-4)


def test_what_changed_bends_neither_the_prediction_nor_the_variance():
    rng = np.random.default_rng(8)
    x = rng.uniform(0.0, 1.0, 20_000)
    noise = rng.normal(0.0, 0.1 + 0.2 * x)
    changed = rng.random(x.size) < 0.1
    columns = np.stack([np.ones_like(x), x])
    fit = robust_regression(columns, 1.0 + 2.0 * x + noise + 3.0 * changed, 10)
    assert fit == pytest.approx([1.0, 2.0], abs=0.01)
    weights = trimmed_nnls(np.stack([np.ones_like(x), (0.1 + 0.2 * x) ** 2]), (noise + 3.0 * changed) ** 2)
    assert weights == pytest.approx([0.0, 1.0], abs=0.1)


def test_weights_that_may_not_be_negative_are_those_that_scipy_finds() -> None:
    random = np.random.default_rng(2)
    for n in range(1, 9):
        columns = random.normal(1.0, 1.0, (40, n)) * random.uniform(0.1, 3.0, n)
        wanted = columns @ np.maximum(random.normal(size=n), 0.0) + random.normal(0.0, 1.0, 40)
        found = solve_non_negative(columns.T @ columns, columns.T @ wanted)
        np.testing.assert_allclose(found, nnls(columns, wanted)[0], atol=1e-8)
    assert (solve_non_negative(np.eye(3), np.full(3, -1.0)) == 0).all()


def test_a_stretch_may_bend_what_is_far_brighter_than_the_ground() -> None:
    models = {
        unit: estimate_noise(shot(PLACE, 2, unit=unit), baseline_of(shot(PLACE, 1, unit=unit)), 0.3, PARAMS)
        for unit in ("display", "reflectance")
    }
    assert models["display"].model["bend"] == PARAMS.bend > 0 == models["reflectance"].model["bend"]
    ground, level = np.array([[0.12, 0.15, 0.36]], np.float32), 0.12
    error = np.sqrt(floor_variance(ground, np.zeros_like(ground), level, 0.0, PARAMS.bend))[0]
    tangent = level + (ground[0] - level) * 1.25
    np.testing.assert_allclose(error, np.abs(level * (ground[0] / level) ** 1.25 - tangent), atol=0.005)
    assert error[0] == 0 < error[1] < 0.01 * level < 0.3 * level < error[2]
    assert not floor_variance(ground, np.zeros_like(ground), level, 0.06, 0.0).any()

"""Local contrast: what stands out from its surroundings as it did not before, whatever fields did as wholes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from score_scenes import ground, paint, shot

from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.score import ScoreParams, change_score, estimate_noise

PARAMS = ScoreParams()
FIELD = (0, 256, 0, 128)
HUT = (120, 136, 40, 58)
ROAD = (60, 70, 0, 128)


def planes_of(before: Raster, after: Raster) -> dict[str, np.ndarray]:
    baseline = fit_baseline([before], BaselineParams())
    score = change_score(after, baseline, estimate_noise(after, baseline, 0.3, PARAMS), PARAMS)
    return {name: score.band(name) for name in score.bands}


def part(box: tuple[int, int, int, int], margin: int = 3) -> tuple[slice, slice]:
    return slice(box[0] + margin, box[1] - margin), slice(box[2] + margin, box[3] - margin)


def test_what_did_not_change_has_no_contrast() -> None:
    scene = shot(ground(), 1)
    found = planes_of(scene, scene)
    assert found["local"].max() == 0
    assert found["kept"].max() == 0


def test_a_field_ploughed_as_a_whole_stands_out_nowhere_but_a_hut_on_it_does() -> None:
    ploughed = paint(ground(), FIELD, 0.6)
    found = planes_of(shot(ground(), 1), shot(paint(ploughed, HUT, np.array([0.3, 0.3, 0.3, 0.3])), 2))
    inside = found["local"][100:240, 10:118].copy()
    inside[15:41, 25:53] = 0
    assert np.quantile(inside[:, :98], 0.95) < 2.5
    assert np.median(found["local"][part(HUT)]) > 5
    assert np.median(found["contrast"][part(HUT)]) > 0.5


def test_a_road_through_a_ploughed_field_keeps_its_numbers_and_so_does_not_stand_out() -> None:
    road = paint(ground(), ROAD, np.array([0.15, 0.16, 0.17, 0.18]))
    ploughed = paint(paint(road, FIELD, 0.5), ROAD, np.array([0.15, 0.16, 0.17, 0.18]))
    found = planes_of(shot(road, 1), shot(ploughed, 2))
    assert np.median(found["local"][part(ROAD)]) < 1.5
    assert np.median(found["kept"][part(ROAD)]) < 2
    assert np.median(found["kept"][100:240, 10:118]) > 5


def test_the_unknown_is_zero_and_casts_no_edge() -> None:
    quality = np.zeros((256, 256), np.uint16)
    quality[:, 150:] = Quality.CLOUD
    values = ground(seed=3)
    found = planes_of(shot(values, 1), shot(values, 2, quality=quality))
    assert not found["local"][:, 150:].any()
    assert np.quantile(found["local"][:, 140:150], 0.99) < 4


def test_how_many_times_darker_a_thing_near_black_is_says_nothing_in_a_picture() -> None:
    pond = [paint(ground(), HUT, np.full(4, level)) for level in (0.016, 0.008)]
    measured = planes_of(*(shot(values, k) for k, values in enumerate(pond)))
    shown = planes_of(*(replace(shot(values, k), unit="display") for k, values in enumerate(pond)))
    assert np.median(measured["contrast"][part(HUT)]) < -0.2
    assert abs(np.median(shown["contrast"][part(HUT)])) < 0.02


def test_coarse_scenes_have_no_local_contrast() -> None:
    before, after = shot(ground(), 1, gsd_m=3.0), shot(ground(), 2, gsd_m=3.0)
    assert "local" not in planes_of(before, after)

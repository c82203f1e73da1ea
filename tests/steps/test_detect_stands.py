"""Objects that stand out by local contrast."""

from __future__ import annotations

import numpy as np
from score_scenes import make_grid

from changedetect.core.raster import Raster
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.detect import DetectParams, detect, expected_false_alarms

SIDE = 128
PARAMS = DetectParams(local_seed_sigma=5.0)
BANDS = ("score", "light", "free", "local", "contrast", "kept")
Box = tuple[slice, slice]
THING: Box = (slice(40, 60), slice(40, 56))


def image(*boxes: tuple[Box, float]) -> np.ndarray:
    plane = np.full((4, SIDE, SIDE), 0.1, np.float32)
    for where, value in boxes:
        plane[(slice(None), *where)] = value
    return plane


def score_of(**planes: list[tuple[Box, float]]) -> Raster:
    data = np.zeros((len(BANDS), SIDE, SIDE), np.float32)
    for name, boxes in planes.items():
        for where, value in boxes:
            data[(BANDS.index(name), *where)] = value
    return Raster.make(data, make_grid(SIDE), BANDS, "sigma")


def found(score: Raster, before: np.ndarray, after: np.ndarray, params: DetectParams = PARAMS) -> np.ndarray:
    bands = ("blue", "green", "red", "nir")
    old, new = (Raster.make(v, make_grid(SIDE), bands, "reflectance") for v in (before, after))
    return detect(score, fit_baseline([old], BaselineParams()), new, params)


def test_a_new_thing_below_every_threshold_of_the_score_is_found() -> None:
    score = score_of(local=[(THING, 8.0)], contrast=[(THING, 0.4)], score=[(THING, 3.0)])
    labels = found(score, image(), image((THING, 0.2)))
    assert (labels[THING] == 1).all()
    assert labels.max() == 1


def test_it_is_not_looked_for_unless_asked() -> None:
    score = score_of(local=[(THING, 8.0)], contrast=[(THING, 0.4)])
    assert not found(score, image(), image((THING, 0.2)), DetectParams()).any()


def test_what_was_there_before_is_looked_at_again_only_if_it_is_a_rectangle() -> None:
    rows, cols = np.indices((SIDE, SIDE))
    star = np.hypot(rows - 50, cols - 48) < 8 + 3 * np.sin(5 * np.arctan2(rows - 50, cols - 48))
    roof = np.zeros_like(star)
    roof[THING] = True
    for shape in (roof, star):
        data = np.array(score_of().data)
        data[BANDS.index("local")][shape], data[BANDS.index("contrast")][shape] = 8.0, 0.4
        dull, bright = (image() + np.float32(level) * shape for level in (0.1, 0.12))
        labels = found(score_of().with_data(data), dull, bright)
        np.testing.assert_array_equal(labels, shape if shape is roof else 0)


def test_of_a_field_with_a_thing_in_it_the_thing_is_kept() -> None:
    field = (slice(10, 100), slice(10, 100))
    score = score_of(score=[(field, 12.0)], free=[(field, 12.0)], local=[(THING, 8.0)], contrast=[(THING, 0.4)])
    labels = found(score, image(), image((THING, 0.2)))
    assert (labels[THING] > 0).all()
    assert labels[20, 20] == 0


def test_pieces_of_a_trench_become_one() -> None:
    trench = (slice(60, 66), slice(10, 110))
    pieces = [((slice(61, 65), slice(c, c + 14)), 15.0) for c in (15, 50, 80)]
    score = score_of(score=pieces, free=pieces, local=[(trench, 8.0)], contrast=[(trench, 0.4)])
    labels = found(score, image(), image((trench, 0.2)))
    assert (labels[trench] == 1).all()


def test_a_slot_is_kept_with_its_bank_but_a_shadow_is_not() -> None:
    bank, slot = (slice(50, 58), slice(10, 90)), (slice(58, 61), slice(10, 90))
    score = score_of(local=[(bank, 8.0), (slot, 8.0)], contrast=[(bank, 0.4), (slot, -0.6)])
    assert (found(score, image(), image((bank, 0.2), (slot, 0.05)))[slot] > 0).all()
    hut, shadow = THING, (slice(60, 70), slice(40, 56))
    score = score_of(local=[(hut, 8.0), (shadow, 8.0)], contrast=[(hut, 0.4), (shadow, -0.6)])
    labels = found(score, image(), image((hut, 0.2), (shadow, 0.05)))
    assert (labels[hut] == 1).all()
    assert not labels[62:70, 40:56].any()


def test_the_background_of_local_contrast_counts_as_false_alarms() -> None:
    rng = np.random.default_rng(1)
    spots = [((slice(r, r + 8), slice(c, c + 8)), 4.0 + rng.random()) for r in (8, 40, 72) for c in (8, 40, 72)]
    score = score_of(local=spots, contrast=[(where, 0.4) for where, _ in spots])
    old = Raster.make(image(), make_grid(SIDE, 2.0), ("blue", "green", "red", "nir"), "reflectance")
    wide = Raster.make(score.data, make_grid(SIDE, 2.0), BANDS, "sigma")
    baseline = fit_baseline([old], BaselineParams())
    _, asked = expected_false_alarms(wide, baseline, old, PARAMS)
    _, alone = expected_false_alarms(wide, baseline, old, DetectParams())
    assert asked is not None
    assert alone is not None
    assert asked > alone + 10


def test_a_trench_of_which_a_spot_stands_out_is_no_field() -> None:
    trench: Box = (slice(10, 110), slice(40, 56))
    spot: Box = (slice(50, 58), slice(43, 51))
    field: Box = (slice(10, 110), slice(30, 90))
    for where, kept in ((trench, True), (field, False)):
        score = score_of(score=[(where, 12.0)], free=[(where, 12.0)], local=[(spot, 8.0)], contrast=[(spot, 0.4)])
        labels = found(score, image(), image((where, 0.2), (spot, 0.4)))
        assert (labels[where] > 0).all() == kept
        assert (labels[spot] > 0).all()

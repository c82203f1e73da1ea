from __future__ import annotations

import numpy as np
import pytest

from changedetect.steps.classify import ground
from changedetect.steps.classify.dug import DugParams
from changedetect.steps.classify.forest import (
    Forest,
    calibrate,
    class_shares,
    load_forest,
    pack,
    read_forest,
    unpack,
)
from changedetect.steps.classify.ground import GroundParams, learned_confidence
from changedetect.steps.classify.learned import CLASSES, DERIVED, FEATURES, MEASURED


def by_hand() -> Forest:
    """One tree: left of 0.5 on feature 1 all is 'none'; right of it feature 0 decides; and a tree of one leaf."""
    return Forest(
        classes=("none", "hut"),
        features=("a", "b"),
        roots=np.array([0, 5], np.int32),
        feature=np.array([1, -1, 0, -1, -1, -1], np.int16),
        threshold=np.array([0.5, 0, 2.0, 0, 0, 0], np.float32),
        left=np.array([1, 0, 3, 0, 0, 0], np.int32),
        right=np.array([2, 0, 4, 0, 0, 0], np.int32),
        share=np.array([[0, 0], [1, 0], [0, 0], [0.4, 0.6], [0, 1], [0.5, 0.5]], np.float32),
        knots=np.array([[0.0, 0.5, 1.0], [0.0, 0.2, 0.9]], np.float32),
    )


def test_a_tree_by_hand() -> None:
    shares = class_shares(by_hand(), np.array([[9, 0.5], [2, 0.6], [3, 0.6]], np.float32))
    np.testing.assert_allclose(shares, [[0.75, 0.25], [0.45, 0.55], [0.25, 0.75]], atol=1e-7)
    np.testing.assert_allclose(calibrate(by_hand(), shares)[:, 1], [0.1, 0.27, 0.55], atol=1e-6)


def test_what_is_saved_is_read_again(tmp_path) -> None:
    np.savez_compressed(tmp_path / "f.npz", **pack(by_hand()))
    again = read_forest(tmp_path / "f.npz")
    values = np.random.default_rng(0).normal(1, 2, (50, 2)).astype(np.float32)
    np.testing.assert_array_equal(class_shares(again, values), class_shares(by_hand(), values))
    assert unpack(pack(again)).classes == ("none", "hut")


def test_trees_give_what_scikit_learn_gives() -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    train_ground = pytest.importorskip("train_ground")
    rng = np.random.default_rng(3)
    values = rng.normal(0, 1, (400, len(FEATURES))).astype(np.float32)
    truth = (values[:, 0] > 0).astype(int) + 2 * (values[:, 1] > 0.3).astype(int)
    trees = ensemble.RandomForestClassifier(12, max_leaf_nodes=30, random_state=1).fit(values, truth)
    asked = np.concatenate([rng.normal(0, 1, (200, len(FEATURES))).astype(np.float32), values])
    np.testing.assert_allclose(
        class_shares(train_ground.as_forest(trees), asked), trees.predict_proba(asked), atol=1e-6
    )


def test_the_shipped_forest_is_of_these_features_and_rises() -> None:
    forest = load_forest("ground")
    assert forest.features == FEATURES
    assert forest.classes == CLASSES
    assert (np.diff(forest.knots[1]) >= 0).all()
    assert 0.9 < forest.knots[1, -1] <= 1.0


def candidate(**changes: float) -> dict:
    roof = dict.fromkeys(MEASURED, 0.0) | {
        "rect_length_m": 14.0, "rect_width_m": 7.0, "fill": 0.95, "path_m": 14.0, "mean_width_m": 7.0,
        "inner_width_m": 7.0, "elongation": 2.0, "aspect": 2.0, "sharpness": 0.3, "high_sigma": 40.0,
        "ndvi_after": 0.0,
    }  # fmt: skip
    row = {"gsd_m": 0.5, "area_m2": 98.0, "status": "appeared", "features": roof}
    return row | {k: v for k, v in changes.items() if k in row} | {"features": roof | changes}


def test_what_is_too_large_or_seen_too_coarsely_is_never_named() -> None:
    params = GroundParams()
    vast = candidate(area_m2=90_000.0, rect_length_m=400.0, rect_width_m=300.0, inner_width_m=280.0, path_m=500.0)
    coarse = candidate(gsd_m=10.0)
    for found in learned_confidence([vast, coarse], params):
        assert found is not None
        assert max(found.values()) == 0.0


def test_a_crown_that_came_into_leaf_is_no_hut() -> None:
    params = GroundParams()
    crown = {"ndvi_after": 0.62, "ndvi_before": 0.3, "local_sigma": 11.0, "inner_width_m": 7.0}
    green = candidate(**crown)
    gone = green | {"status": "disappeared"}
    narrow = candidate(**crown | {"inner_width_m": 1.0})
    told, left, thin = learned_confidence([green, gone, narrow], params)
    assert told is not None
    assert told["hut"] == told["trench"] == 0.0
    assert told["equipment"] == learned_confidence([green], GroundParams(bare_max_ndvi=1.0))[0]["equipment"]
    assert left == learned_confidence([gone], GroundParams(bare_max_ndvi=1.0))[0]
    assert thin == learned_confidence([narrow], GroundParams(bare_max_ndvi=1.0))[0]


def test_a_roof_covered_anew_is_a_hut_unless_its_size_forbids_it() -> None:
    even = {"visible_change": -0.6, "evenness": 12.0, "local_sigma": 8.0, "patch_sigma": 20.0}
    roof = candidate(**even) | {"status": "modified"}
    vast = candidate(**even, rect_length_m=90.0, rect_width_m=60.0) | {"status": "modified"}
    told, never = learned_confidence([roof, vast], GroundParams())
    assert told is not None
    assert never is not None
    assert told["hut"] >= GroundParams().cover.chance
    assert never["hut"] == 0.0


@pytest.mark.parametrize(("cast_before", "ndvi_before"), [(0.7, 0.7), (0.7, 0.3), (0.0, 0.7)])
def test_a_crown_that_turned_is_no_hut(cast_before: float, ndvi_before: float) -> None:
    turned = candidate(ndvi_after=0.46, ndvi_before=ndvi_before, cast_before=cast_before, local_sigma=15.0)
    by_green = learned_confidence([turned], GroundParams())[0]
    crown = cast_before > 0.5 and ndvi_before > 0.6
    expected = dict.fromkeys(("trench", "hut"), 0.0) if crown else {}
    assert by_green == learned_confidence([turned], GroundParams(bare_max_ndvi=1.0))[0] | expected


def test_the_tip_of_a_shadow_is_no_hut() -> None:
    roof = candidate(local_sigma=11.0, shadow_fraction=1.0)
    tip = candidate(local_sigma=11.0, shadow_fraction=1.0, casts=-0.3)
    told, never = learned_confidence([roof, tip], GroundParams(min_chance=0.0))
    assert told is not None
    assert never is not None
    assert told["hut"] > 0.0
    assert never["hut"] == 0.0


def test_a_line_without_a_floor_loses_its_chance_of_a_trench_alone() -> None:
    bare = candidate(path_m=40.0, rect_length_m=40.0, slot_depth=0.01, edges_after=0.9)
    told = learned_confidence([bare], GroundParams(min_chance=0.0))[0]
    lenient = learned_confidence([bare], GroundParams(min_chance=0.0, dug=DugParams(max_gsd_m=0.1)))[0]
    assert lenient is not None
    assert lenient["trench"] > 0.0
    assert told == lenient | {"trench": 0.0}


@pytest.mark.parametrize(
    ("trench", "hut", "none", "told"),
    [
        (0.45, 0.30, 0.10, {"trench": 0.45}),  # it surely came: one of them it is
        (0.35, 0.20, 0.40, {}),
        (0.60, 0.20, 0.15, {"trench": 0.60}),
        (0.55, 0.05, 0.40, {"trench": 0.55}),
    ],
)
def test_what_surely_came_is_told_though_its_class_is_not_sure(
    monkeypatch: pytest.MonkeyPatch, trench: float, hut: float, none: float, told: dict[str, float]
) -> None:
    chances = {"trench": trench, "hut": hut, "none": none, "equipment": 1.0 - trench - hut - none}
    monkeypatch.setattr(ground, "calibrate", lambda forest, _: np.array([[chances[name] for name in forest.classes]]))
    row = candidate(path_m=40.0, rect_length_m=40.0, rect_width_m=5.0, inner_width_m=3.0, slot_depth=1.0)
    params = GroundParams(dug=DugParams(max_gsd_m=0.1))
    assert learned_confidence([row], params) == [dict.fromkeys(("trench", "hut", "equipment"), 0.0) | told]


def test_without_its_features_or_its_leave_nothing_learned_is_said() -> None:
    bare = candidate()
    del bare["features"]["rim_dark"]
    assert learned_confidence([bare], GroundParams()) == [None]
    assert learned_confidence([candidate()], GroundParams(learned=False)) == [None]
    assert len(ground.describe(candidate(), GroundParams()) or ()) == len(FEATURES)
    assert set(DERIVED) <= set(FEATURES)

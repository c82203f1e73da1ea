from __future__ import annotations

import pytest

from changedetect.steps.classify.compact import OUTLINE
from changedetect.steps.classify.ground import (
    GroundParams,
    chance_by_shape,
    confidence_of,
    count_items,
    own_darkness,
)

PARAMS = GroundParams()


def features(**changes: float) -> dict:
    plain = {"row_peaks": 0.0, "row_spacing_m": 0.0, "rect_width_m": 9.0, "dark_before": 0.1, "dark_after": 0.8}
    return plain | {"dark_fraction": 0.7, "bright_fraction": 0.05} | changes


def test_a_rule_met_exactly_gives_half_of_what_the_evidence_gives() -> None:
    assert confidence_of(1e6, [0.0, 5.0], PARAMS) == pytest.approx(0.5)
    assert confidence_of(PARAMS.evidence_sigma, [9.0], PARAMS) == pytest.approx(0.632, abs=0.001)


def test_a_rule_clearly_broken_rules_the_class_out() -> None:
    assert confidence_of(1e6, [5.0, -2.1], PARAMS) == 0.0


def test_confidence_never_falls_with_evidence_or_margin() -> None:
    values = [confidence_of(s, [m], PARAMS) for m in (-1.5, 0.0, 0.5, 2.0) for s in (5.0, 10.0, 50.0)]
    by_evidence = [values[i : i + 3] for i in range(0, 12, 3)]
    assert all(row == sorted(row) for row in by_evidence)
    assert all(list(column) == sorted(column) for column in zip(*by_evidence, strict=True))


def test_vehicles_are_counted_by_parts_then_rows_then_area() -> None:
    parts = {"area_m2": 100.0, "features": features(group_parts=4.0, row_peaks=9.0, row_spacing_m=4.0)}
    row = {"area_m2": 200.0, "features": features(row_peaks=5.0, row_spacing_m=4.5)}
    rows = {"area_m2": 450.0, "features": features(row_peaks=6.0, row_spacing_m=4.5, rect_width_m=20.0)}
    blob = {"area_m2": 200.0, "features": features()}
    assert [count_items(item, PARAMS)[0] for item in (parts, row, rows, blob)] == [4, 5, 12, 5]
    for item in (parts, row, rows, blob):
        count, low, high = count_items(item, PARAMS)
        assert 1 <= low <= count <= high


def test_darkness_is_the_thing_s_own() -> None:
    assert own_darkness({"status": "appeared", "features": features()}) == 0.7
    # A bright roof that went leaves dark ground: the roof itself was not dark.
    gone = features(dark_before=0.0, dark_after=0.9, bright_fraction=0.0, dark_fraction=0.9)
    assert own_darkness({"status": "disappeared", "features": gone}) == 0.0


def test_between_two_resolutions_a_sure_shape_is_a_hut_whatever_its_few_pixels_say() -> None:
    row = {"features": dict.fromkeys(OUTLINE, 1.0)}
    assert chance_by_shape(row, {"hut": 0.95}, PARAMS) == 0.95
    assert chance_by_shape(row, {"hut": 0.8}, PARAMS) == 0.0
    assert chance_by_shape(row, None, PARAMS) == 0.0
    # both dates are coarse: no outline
    assert chance_by_shape({"features": {}}, {"hut": 0.95}, PARAMS) == 0.0

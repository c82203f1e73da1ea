from __future__ import annotations

from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import pytest
from score_scenes import ROOF, SOIL, ground, paint, paint_turned, shot

from changedetect.core.tables import MEASURE_COLUMNS
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.detect import DetectParams, detect
from changedetect.steps.measure import MeasureParams, measure
from changedetect.steps.measure.shape import fit_rectangle, trace_skeleton
from changedetect.steps.score import ScoreParams, change_score, estimate_noise

ACQUIRED = datetime(2024, 10, 12, 2, 20, tzinfo=UTC)
PLACE = ground()
BARE = shot(PLACE, 1)


def found(after, before=BARE, drawn=None) -> gpd.GeoDataFrame:
    baseline = fit_baseline([before], BaselineParams())
    noise = estimate_noise(after, baseline, 0.3, ScoreParams())
    score = change_score(after, baseline, noise, ScoreParams())
    labels = detect(score, baseline, after, DetectParams())
    told = {"scene_id": "s1", "acquired": ACQUIRED}
    return measure(
        labels, score, after, baseline, MeasureParams(), **told, drawn=None if drawn is None else drawn(labels)
    )


def test_no_object_is_an_empty_table_with_every_column() -> None:
    table = found(shot(PLACE, 2))
    assert len(table) == 0
    assert set(MEASURE_COLUMNS) <= set(table.columns)
    assert table.crs == "EPSG:32652"


@pytest.mark.parametrize("angle_deg", [0.0, 35.0, 90.0, 120.0])
def test_a_rectangle_is_measured(angle_deg: float) -> None:
    table = found(shot(paint_turned(PLACE, (130, 120), (36, 16), angle_deg, ROOF), 2))
    assert len(table) == 1
    row = table.iloc[0]
    assert row["area_m2"] == pytest.approx(36 * 16 / 4, rel=0.05)
    assert row["length_m"] == pytest.approx(18.0, abs=0.5)
    assert row["width_m"] == pytest.approx(8.0, abs=0.5)
    assert min(abs(row["orientation_deg"] - angle_deg), 180 - abs(row["orientation_deg"] - angle_deg)) <= 2
    assert row["status"] == "appeared"
    assert row["scene_id"] == "s1"
    assert row["gsd_m"] == 0.5


def test_the_outline_follows_the_pixels_where_they_are() -> None:
    table = found(shot(paint(PLACE, (100, 112, 40, 60), ROOF), 2))
    outline = table.geometry.iloc[0]
    assert outline.is_valid
    left, bottom, right, top = outline.bounds
    x0, y1 = BARE.grid.transform.c, BARE.grid.transform.f
    assert (left - x0, right - x0) == pytest.approx((20, 30), abs=0.5)
    assert (y1 - top, y1 - bottom) == pytest.approx((50, 56), abs=0.5)
    assert outline.area == pytest.approx(table["area_m2"].iloc[0])
    offsets = (np.asarray(outline.exterior.coords) - [x0, y1]) / 0.5
    np.testing.assert_allclose(offsets, np.round(offsets), atol=1e-6)


def test_a_line_with_a_bend_is_measured_along_itself() -> None:
    bent = paint(paint(PLACE, (60, 66, 40, 120), SOIL * 1.9), (60, 140, 114, 120), SOIL * 1.9)
    row = found(shot(bent, 2)).iloc[0]
    assert row["length_m"] == pytest.approx((80 + 80 - 6) / 2, rel=0.06)
    assert row["width_m"] == pytest.approx(3.0, abs=0.5)


def test_status_tells_new_changed_and_gone() -> None:
    box = (100, 116, 120, 144)
    other_roof = np.array([0.10, 0.12, 0.34, 0.30], np.float32)
    blue_roof = np.array([0.40, 0.30, 0.12, 0.15], np.float32)
    new = found(shot(paint(PLACE, box, ROOF), 2))
    changed = found(shot(paint(PLACE, box, blue_roof), 2), shot(paint(PLACE, box, other_roof), 1))
    gone = found(shot(PLACE, 2), shot(paint(PLACE, box, ROOF), 1))
    assert [t["status"].tolist() for t in (new, changed, gone)] == [["appeared"], ["modified"], ["disappeared"]]


def test_a_hut_is_measured_without_the_shadow_it_casts() -> None:
    shadowed = paint(PLACE, (90, 100, 122, 146), 0.35)
    row = found(shot(paint(shadowed, (100, 114, 120, 144), ROOF), 2)).iloc[0]
    assert row["area_m2"] == pytest.approx(14 * 24 / 4, rel=0.08)
    assert row["width_m"] == pytest.approx(7.0, abs=0.6)


@pytest.mark.parametrize(("share", "kept"), [(1.0, True), (0.6, True), (0.4, False)])
def test_what_is_outlined_already_keeps_its_outline(share: float, kept: bool) -> None:
    shadowed = shot(paint(paint(PLACE, (90, 100, 122, 146), 0.35), (100, 114, 120, 144), ROOF), 2)
    areas: list[float] = []

    def drawn(labels):
        rows, cols = np.nonzero(labels)
        areas.append(len(rows) / 4)
        place = np.zeros(labels.shape, bool)
        place[rows[: round(share * len(rows))], cols[: round(share * len(rows))]] = True
        return place

    area = found(shadowed, drawn=drawn)["area_m2"].sum()
    assert (area == areas[0]) == kept
    assert area <= areas[0]


def test_haze_has_no_sharp_edge() -> None:
    rows, cols = np.mgrid[:256, :256]
    puff = 0.12 * np.exp(-((rows - 120) ** 2 + (cols - 130) ** 2) / (2 * 9.0**2))
    soft = found(shot(PLACE + puff, 2))
    sharp = found(shot(paint(PLACE, (100, 116, 120, 144), ROOF), 2))
    assert max(f["sharpness"] for f in soft["features"]) < 0.17 < min(f["sharpness"] for f in sharp["features"])


def test_display_data_and_the_edge_are_flagged() -> None:
    box = (0, 14, 100, 124)
    before = shot(PLACE, 1, unit="display", factor=500.0)
    table = found(shot(paint(PLACE, box, ROOF), 2, unit="display", factor=500.0), before)
    assert table["flags"].tolist() == [("display_data", "edge_of_image")]


def test_rectangles_by_hand() -> None:
    mask = np.zeros((9, 9), bool)
    mask[2:5, 1:8] = True
    rectangle = fit_rectangle(mask)
    assert (rectangle.length_px, rectangle.width_px, rectangle.orientation_deg) == pytest.approx((7, 3, 90))
    upright = fit_rectangle(mask.T)
    assert (upright.length_px, upright.width_px, upright.orientation_deg % 180) == pytest.approx((7, 3, 0))
    dot = fit_rectangle(np.eye(1, dtype=bool))
    assert (dot.length_px, dot.width_px) == (1, 1)


def test_a_skeleton_by_hand() -> None:
    mask = np.zeros((5, 24), bool)
    mask[1:4, 2:22] = True
    skeleton = trace_skeleton(mask)
    assert skeleton.longest_px == pytest.approx(20, abs=2)
    assert skeleton.inner_width_px == pytest.approx(3, abs=0.2)

"""The finer figures of evaluation: confidence, sizes, counts of groups, kinds of false alarms, shifts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely.geometry import box
from test_evaluation import CRS, DAYS, HOUR, HUT, X, Y, change, feature, judged, row, true_row, truth_of

from changedetect.core.times import to_iso
from changedetect.errors import DataError
from changedetect.evaluation import as_tables, evaluate
from changedetect.evaluation.confidence import reliability, summarize_deciles
from changedetect.evaluation.stats import middle


def test_confidence_is_compared_with_what_was_right_decile_by_decile():
    stated = [0.95, 0.95, 0.95, 0.95, 0.62, 0.68, 1.0]
    right = [True, True, True, False, True, False, True]
    part = reliability(stated, right, [True] * 7)
    assert [d["n"] for d in part["deciles"]] == [0, 0, 0, 0, 0, 0, 2, 0, 0, 5]
    # 5 of .96 on average, 4 right; 2 of .65, 1 right: (|4.8 - 4| + |1.3 - 1|) / 7
    assert part["error"] == pytest.approx(1.1 / 7, abs=1e-4)
    assert part["error_on_object"] == pytest.approx((0.2 + 0.7) / 7, abs=1e-4)


def test_deciles_of_many_runs_add_up():
    one, two = reliability([0.8, 0.8], [True, False], [True] * 2), reliability([0.8, 0.8], [True, True], [True] * 2)
    rows = [
        {**a, **{key: a[key] + b[key] for key in ("n", "sum_confidence", "right", "on_object")}}
        for a, b in zip(one["deciles"], two["deciles"], strict=True)
    ]
    assert one["error"] == pytest.approx(0.3)
    assert summarize_deciles(rows)["error"] == pytest.approx(0.05)
    assert summarize_deciles([])["error"] is None


def test_confidence_of_changes_is_right_on_an_object_of_the_class(tmp_path):
    away = box(300, 300, 308, 306)
    changes = [
        change(HUT, 0, confidence=0.9),
        change(box(200, 200, 208, 206), 1, confidence=0.5, **{"class": "trench"}),
        change(away, 2, confidence=0.5),
    ]
    part = judged(tmp_path, changes, [truth_of(HUT), truth_of(box(200, 200, 208, 206))])["confidence"]
    middle_row = part["deciles"][5]
    assert (middle_row["n"], middle_row["right"], middle_row["on_object"]) == (2, 0, 1)
    assert part["error"] == pytest.approx((0.1 + 1.0) / 3, abs=1e-4)
    assert judged(tmp_path, [change(HUT)], [truth_of(HUT)])["confidence"] is None


def test_the_middle_has_an_interval_from_six_values_on():
    assert middle([]) == {"n": 0, "median": None, "low": None, "high": None}
    assert middle([1, 2, 3, 4, 5]) == {"n": 5, "median": 3, "low": None, "high": None}
    assert middle([6, 5, 4, 3, 2, 1]) == {"n": 6, "median": 3.5, "low": 1, "high": 6}
    # of ten, P(fewer than 2 of them below the median) = 11 / 1024
    assert middle(list(range(1, 11))) == {"n": 10, "median": 5.5, "low": 2, "high": 9}


def test_sizes_are_said_over_true_for_what_is_large_enough(tmp_path):
    sized = {"area_m2": 48.0, "length_m": 8.0, "width_m": 6.0}
    said = change(HUT, area_m2=60.0, length_m=8.4, width_m=6.0)
    at_half = judged(tmp_path, [said], [truth_of(HUT, **sized)])["sizes"]
    assert {part["size"]: part["median"] for part in at_half} == {"area_m2": 1.25, "length_m": 1.05, "width_m": 1.0}
    # at 1.5 m the hut is 5.3 px long and 4 px wide: only its length can be asked
    coarse = judged(tmp_path, [said], [truth_of(HUT, **sized)], gsd_m=1.5)["sizes"]
    assert [part["size"] for part in coarse] == ["length_m"]


def test_sizes_are_not_asked_of_pieces_and_mergers(tmp_path):
    sized = {"area_m2": 48.0, "length_m": 8.0, "width_m": 6.0}
    halves = [change(box(100, 100, 104, 106), 0, area_m2=24.0), change(box(104, 100, 108, 106), 1, area_m2=24.0)]
    assert judged(tmp_path, halves, [truth_of(HUT, **sized)])["sizes"] == []
    beside = box(109, 100, 117, 106)
    both = change(box(100, 100, 117, 106), 0, area_m2=102.0)
    assert judged(tmp_path, [both], [truth_of(HUT, **sized), truth_of(beside, **sized)])["sizes"] == []


def detection(shape_m, day, **values):
    return feature(
        shape_m, **{"class": "crowd", "change_id": "c0", "acquired": to_iso(DAYS[day]), "gsd_m": 0.5} | values
    )


def test_groups_are_counted_in_clusters_and_their_intervals_asked(tmp_path):
    judged(tmp_path, [], [])
    block, other, third = box(100, 100, 120, 110), box(130, 100, 150, 110), box(300, 100, 320, 110)
    detections = [
        detection(box(99, 99, 151, 111), 1, count=190, count_low=150, count_high=210),  # two blocks in one outline
        detection(box(300, 100, 310, 110), 1, count=40, count_low=35, count_high=45),  # one block in two halves
        detection(box(310, 100, 320, 110), 1, count=30, count_low=25, count_high=34),
        detection(block, 2, count=100, count_low=90, count_high=110),  # nobody is there any more
    ]
    (tmp_path / "out" / "detections.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": detections})
    )
    there = {"class": "crowd", "start": to_iso(DAYS[1] - HOUR), "end": to_iso(DAYS[1] + HOUR), "count": 100}
    truths = [truth_of(shape, **there) for shape in (block, other, third)]
    (tmp_path / "truth.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": truths}))
    (part,) = evaluate(tmp_path / "out", tmp_path / "truth.geojson")["groups"]
    assert part["n"] == 2
    assert part["interval_holds"]["right"] == 1  # 150 <= 200 <= 210, but not 60 <= 100 <= 79
    assert part["close"]["right"] == 1  # 190 of 200, but 70 of 100
    assert part["median_relative_error"] == pytest.approx((-0.05 - 0.3) / 2)


def test_false_alarms_are_named_by_kind_over_the_ground_that_was_seen(tmp_path):
    changes = [change(HUT, 0), change(box(200, 200, 208, 206), 1, status="modified"), change(box(300, 0, 308, 6), 2)]
    alarms = judged(tmp_path, changes, [truth_of(HUT)])["false_alarms"]
    assert alarms["kinds"] == [
        {"class": "hut", "status": "appeared", "n": 1},
        {"class": "hut", "status": "modified", "n": 1},
    ]
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    for scene, clear in zip(run["scenes"], (1.0, 0.2, 0.4, 0.3), strict=True):
        scene["clear_fraction"] = clear
    (tmp_path / "out" / "run.json").write_text(json.dumps(run))
    alarms = evaluate(tmp_path / "out", tmp_path / "truth.geojson")["false_alarms"]
    assert alarms["seen_km2"] == pytest.approx(0.1)  # four tenths of a quarter; the baseline's own look shows no change


def test_what_is_explained_by_a_shadow_is_no_change(tmp_path):
    shadow = change(box(200, 200, 208, 206), 1, flags=["explained_by_shadow"])
    result = judged(tmp_path, [change(HUT, flags=["faint"]), shadow], [truth_of(HUT)])
    assert (result["n_changes"], result["n_explained"], result["false_alarms"]["n"]) == (1, 1, 0)
    assert judged(tmp_path, [shadow], [truth_of(box(200, 200, 208, 206))])["overall"]["recall"]["right"] == 0


def test_f1_is_the_harmonic_mean(tmp_path):
    result = judged(tmp_path, [change(HUT)], [truth_of(HUT), truth_of(box(200, 200, 208, 206))])
    assert result["overall"]["f1"] == pytest.approx(2 / 3, abs=1e-4)
    assert judged(tmp_path, [], [truth_of(HUT)])["overall"]["f1"] is None


def test_dating_is_told_by_class(tmp_path):
    ship = {"class": "vessel", "start": to_iso(DAYS[0] + HOUR), "end": to_iso(DAYS[3] + HOUR)}
    other = box(200, 200, 300, 220)
    late = change(other, 1, **{"class": "vessel", "gone_by": to_iso(DAYS[3])})
    dating = judged(tmp_path, [change(HUT), late], [truth_of(HUT), truth_of(other, **ship)])["dating"]
    assert {kind: (p["start"]["right"], p["end"]["right"]) for kind, p in dating["classes"].items()} == {
        "hut": (1, 1),
        "vessel": (1, 0),
    }
    assert (dating["end"]["right"], dating["end"]["n"]) == (1, 2)


def test_counts_close_to_the_truth(tmp_path):
    rows = [row(day, kind="crowd", count=n) for day, n in ((0, 0), (1, 320), (2, 290), (3, 390))]
    true_rows = [true_row(day, kind="crowd", count=n) for day, n in ((0, 0), (1, 400), (2, 400), (3, 400))]
    (counted,) = judged(tmp_path, [], [], rows, true_rows)["counting"]
    assert (counted["close"]["right"], counted["close"]["n"]) == (2, 3)


def test_shifts_are_compared_with_the_true_ones_from_the_same_reference(tmp_path):
    judged(tmp_path, [change(HUT, confidence=0.9, area_m2=48.0)], [truth_of(HUT, width_m=6.0)])
    path = tmp_path / "out" / "run.json"
    run = json.loads(path.read_text())
    found = [("ok", 0.0, 0.0, 0.1), ("reference", 0, 0, None), ("ok", 1.0, 1.0, 0.3), ("abstained", 0, 0, None)]
    for k, (scene, (status, east, north, ce90)) in enumerate(zip(run["scenes"], found, strict=True)):
        scene["id"] = f"s{k}"
        scene["registration"] = {"status": status, "dx_m": east, "dy_m": north, "ce90_m": ce90}
    path.write_text(json.dumps(run))
    truth = json.loads((tmp_path / "truth.geojson").read_text())
    true = [(0.0, 0.0), (0.2, 0.0), (1.2, 1.4), (9.0, 9.0)]
    truth["registration"] = [{"scene_id": f"s{k}", "dx_m": east, "dy_m": north} for k, (east, north) in enumerate(true)]
    (tmp_path / "truth.geojson").write_text(json.dumps(truth))
    result = evaluate(tmp_path / "out", tmp_path / "truth.geojson")
    part = result["registration"]
    assert (part["n"], part["abstained"]) == (2, 1)
    assert part["median_error_m"] == pytest.approx(0.3)  # 0.2 and 0.4
    assert part["largest_error_m"] == pytest.approx(0.4)
    assert part["within_ce90"]["right"] == 0
    titles = [title for title, _, _ in as_tables(result)]
    assert "Said over true size" in titles
    assert any(title.startswith("Confidence") for title in titles)


def test_true_outlines_are_looked_for_where_the_reference_scene_shows_them(tmp_path):
    """A reference that is 20 m off draws everything 20 m off: no change can be better placed than it."""
    moved = box(80, 100, 88, 106)  # the hut at 100, less a shift of 20 m east
    assert judged(tmp_path, [change(moved)], [truth_of(HUT)])["overall"]["recall"]["right"] == 0
    path = tmp_path / "out" / "run.json"
    run = json.loads(path.read_text())
    for k, scene in enumerate(run["scenes"]):
        scene["id"], scene["registration"] = f"s{k}", {"status": "reference" if k == 0 else "ok", "dx_m": 0, "dy_m": 0}
        scene["registration"]["ce90_m"] = None
    path.write_text(json.dumps(run))
    truth = json.loads((tmp_path / "truth.geojson").read_text())
    truth["registration"] = [{"scene_id": f"s{k}", "dx_m": 20.0, "dy_m": 0.0} for k in range(len(run["scenes"]))]
    (tmp_path / "truth.geojson").write_text(json.dumps(truth))
    result = evaluate(tmp_path / "out", tmp_path / "truth.geojson")
    assert result["overall"]["recall"]["right"] == 1
    assert result["registration"]["largest_error_m"] == pytest.approx(0.0)


def write_mask(path, changed, **profile):
    place = {"crs": CRS, "transform": Affine(2.0, 0, X + 100, 0, -2.0, Y + 110)} | profile
    rows, cols = changed.shape
    with rasterio.open(path, "w", driver="GTiff", height=rows, width=cols, count=1, dtype="uint8", **place) as dst:
        dst.write(changed, 1)
    return path


def test_a_mask_of_pixels_is_truth_too(tmp_path):
    judged(tmp_path, [change(box(100, 100, 108, 106))], [])  # four by three pixels of 2 m
    changed = np.zeros((5, 6), np.uint8)
    changed[2:4, 2:6] = 255  # two rows of it, its right half and two pixels beyond
    changed[0, 0] = 7  # not labelled
    result = evaluate(tmp_path / "out", write_mask(tmp_path / "mask.tif", changed, nodata=7))
    assert result["pixels"] == {
        "labelled": 29,
        "said": 12,
        "true": 8,
        "hit": 4,
        "precision": pytest.approx(1 / 3, abs=1e-4),
        "recall": 0.5,
        "f1": 0.4,
    }
    ((_, _, rows),) = as_tables(result)
    assert rows[0][:4] == [29, 8, 12, 4]
    judged(tmp_path, [], [])
    nothing = evaluate(tmp_path / "out", tmp_path / "mask.tif")["pixels"]
    assert (nothing["said"], nothing["precision"], nothing["recall"], nothing["f1"]) == (0, None, 0.0, 0.0)


def test_a_mask_that_lies_nowhere_is_refused(tmp_path):
    judged(tmp_path, [], [])
    (tmp_path / "bad.tif").write_text("no raster")
    with pytest.raises(DataError, match="truth cannot be read"):
        evaluate(tmp_path / "out", tmp_path / "bad.tif")
    write_mask(tmp_path / "mask.tif", np.zeros((5, 6), np.uint8), crs=None)
    with pytest.raises(DataError, match="no georeference"):
        evaluate(tmp_path / "out", tmp_path / "mask.tif")

"""Evaluation by hand-made outputs and truths: every number can be counted on one's fingers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import geopandas as gpd
import pytest
from shapely.affinity import translate
from shapely.geometry import Point, Polygon, box, mapping

from changedetect.core.times import to_iso
from changedetect.errors import DataError
from changedetect.evaluation import EvaluateParams, as_tables, evaluate
from changedetect.evaluation.stats import poisson_upper, share, wilson

CRS = "EPSG:32652"
X, Y = 720_000.0, 4_880_000.0
DAYS = [datetime(2024, 10, day, 2, 20, tzinfo=UTC) for day in (1, 5, 10, 15)]
HOUR = timedelta(hours=1)


def lonlat(shape_m):
    """Metres east and north of the corner, as GeoJSON."""
    return mapping(gpd.GeoSeries([translate(shape_m, X, Y)], crs=CRS).to_crs(4326).iloc[0])


def feature(shape_m, **values):
    return {"type": "Feature", "properties": values, "geometry": lonlat(shape_m)}


def change(shape_m, number=0, **values):
    made = {
        "id": f"c{number}",
        "class": "hut",
        "status": "appeared",
        "absent_until": to_iso(DAYS[0]),
        "first_seen": to_iso(DAYS[1]),
        "last_seen": to_iso(DAYS[3]),
        "gone_by": None,
        "looks": [[to_iso(DAYS[0]), "absent"], *([to_iso(day), "present"] for day in DAYS[1:])],
    }
    return feature(shape_m, **made | values)


def truth_of(shape_m, **values):
    made = {"class": "hut", "status": "appeared", "start": to_iso(DAYS[0] + HOUR), "end": None, "zone": None}
    return feature(shape_m, **made | values)


def row(day, zone="place", kind="vessel", count=0, status="clear", clear_fraction=1.0, **values):
    made = {"datetime": to_iso(DAYS[day]), "aoi": "place", "zone": zone, "class": kind, "count": count}
    return made | {"area_m2": 0.0, "status": status, "clear_fraction": clear_fraction, "scene_id": f"s{day}"} | values


def true_row(day, zone="place", kind="vessel", count=0, hidden_fraction=0.0):
    made = {"datetime": to_iso(DAYS[day]), "zone": zone, "class": kind}
    return made | {"count": count, "hidden_fraction": hidden_fraction}


def judged(tmp_path, changes, truths, rows=(), true_rows=None, gsd_m=0.5, params=None):
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    whole = box(0, 0, 500, 500)
    scenes = [{"datetime": to_iso(day), "used": True, "baseline": i == 0} for i, day in enumerate(DAYS)]
    run = {
        "program": "changedetect",
        "simulated": True,
        "aoi": {"name": "place", "geometry": lonlat(whole)},
        "grid": {
            "crs": CRS,
            "transform": [gsd_m, 0, X, 0, -gsd_m, Y + 500],
            "shape": [500 / gsd_m] * 2,
            "gsd_m": gsd_m,
        },
        "scenes": scenes,
    }
    (out / "run.json").write_text(json.dumps(run))
    data = {"type": "FeatureCollection", "activity": list(rows), "features": changes}
    (out / "changes.geojson").write_text(json.dumps(data))
    members = {} if true_rows is None else {"activity": true_rows}
    (tmp_path / "truth.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": truths, **members}))
    return evaluate(out, tmp_path / "truth.geojson", params)


HUT = box(100, 100, 108, 106)


def test_a_perfect_answer_is_perfect(tmp_path):
    result = judged(tmp_path, [change(HUT)], [truth_of(HUT)])
    for key in ("recall", "precision", "class_accuracy"):
        assert result["overall"][key]["share"] == 1.0
        assert result["classes"]["hut"][key]["share"] == 1.0
    assert result["status"]["share"] == 1.0
    assert result["dating"]["start"]["share"] == 1.0
    assert result["dating"]["end"]["share"] == 1.0
    assert result["dating"]["start_interval_days_median"] == 4.0
    assert result["false_alarms"]["n"] == 0


def test_nothing_found_and_nothing_true(tmp_path):
    result = judged(tmp_path, [], [truth_of(HUT)])
    assert result["overall"]["recall"] == {"n": 1, "right": 0, "share": 0.0, "low": 0.0, "high": 0.7935}
    assert result["overall"]["precision"]["share"] is None
    quiet = judged(tmp_path, [change(HUT)], [])
    assert quiet["false_alarms"]["n"] == 1
    assert quiet["false_alarms"]["per_km2"] == 4.0  # one in a quarter of a square kilometre
    assert quiet["false_alarms"]["per_km2_upper"] == pytest.approx(4 * 4.744, abs=0.01)
    assert "recall: no true object lies in the area worked on" in quiet["not_evaluated"]


@pytest.mark.parametrize(
    ("said", "found", "on_truth"),
    [
        (box(100, 100, 108, 101.9), True, True),  # covers 32 % of it
        (box(100, 100, 108, 101.7), False, True),  # covers 28 % of it
        (box(102, 102, 104, 104), False, True),  # on it but too small
        (box(110.5, 100, 118.5, 106), False, False),  # beside it, 2.5 m off
        (box(104, 90, 108, 116), True, True),  # 10 of its 26 m are within 2 m of the hut, and cover half of it
        (box(104, 40, 108, 116), False, False),  # 10 of its 76 m are
    ],
)
def test_found_is_covered_by_changes_that_are_on_it(tmp_path, said, found, on_truth):
    result = judged(tmp_path, [change(said)], [truth_of(HUT)])
    assert result["overall"]["recall"]["right"] == int(found)
    assert result["overall"]["precision"]["right"] == int(on_truth)


def test_a_blanket_over_everything_finds_nothing(tmp_path):
    result = judged(tmp_path, [change(box(0, 0, 500, 500))], [truth_of(HUT)])
    assert result["overall"]["recall"]["right"] == 0
    assert result["overall"]["precision"]["right"] == 0


def test_pieces_find_an_object_together(tmp_path):
    pieces = [change(box(100 + 2 * i, 100, 101 + 2 * i, 106), i) for i in range(3)]  # each covers 12.5 %
    assert judged(tmp_path, pieces[:2], [truth_of(HUT)])["overall"]["recall"]["right"] == 0
    result = judged(tmp_path, pieces, [truth_of(HUT)])
    assert result["overall"]["recall"]["right"] == 1
    assert result["overall"]["precision"]["right"] == 3


def test_the_tolerance_grows_with_the_pixel(tmp_path):
    beside = change(box(111, 100, 117, 106))  # 3 m off a hut of 8 m
    assert judged(tmp_path, [beside], [truth_of(HUT)])["overall"]["precision"]["right"] == 0
    assert judged(tmp_path, [beside], [truth_of(HUT)], gsd_m=4.0)["overall"]["precision"]["right"] == 1
    own = EvaluateParams(tolerance_m=6.0)
    assert judged(tmp_path, [beside], [truth_of(HUT)], params=own)["overall"]["precision"]["right"] == 1


def test_a_wrong_class_is_found_but_counted_as_wrong(tmp_path):
    result = judged(tmp_path, [change(HUT, **{"class": "trench", "status": "modified"})], [truth_of(HUT)])
    assert result["overall"]["recall"]["share"] == 1.0
    assert result["overall"]["class_accuracy"]["share"] == 0.0
    assert result["classes"]["trench"]["precision"]["share"] == 1.0
    assert result["confusion"] == [{"truth": "hut", "called": "trench", "n": 1}]
    assert result["status"]["share"] == 0.0


@pytest.mark.parametrize(
    ("start", "right"),
    [
        (DAYS[0], False),  # it was there on the last look that is said to be without it
        (DAYS[0] + HOUR, True),
        (DAYS[1], True),
        (DAYS[1] + HOUR, False),
    ],
)
def test_a_start_is_right_inside_its_interval(tmp_path, start, right):
    result = judged(
        tmp_path, [change(HUT, **{"class": "vessel"})], [truth_of(HUT, start=to_iso(start), **{"class": "vessel"})]
    )
    assert result["dating"]["start"]["right"] == int(right)


@pytest.mark.parametrize(
    ("end", "values", "right"),
    [
        (None, {}, True),
        (None, {"last_seen": to_iso(DAYS[2]), "gone_by": to_iso(DAYS[3])}, False),
        (DAYS[2] + HOUR, {"last_seen": to_iso(DAYS[2]), "gone_by": to_iso(DAYS[3])}, True),
        (DAYS[2], {"last_seen": to_iso(DAYS[2]), "gone_by": to_iso(DAYS[3])}, False),
        (DAYS[3] + HOUR, {}, True),  # it left after the last look
        (DAYS[2] + HOUR, {}, False),  # said to be there on a look after its end
        (DAYS[2] + HOUR, {"last_seen": to_iso(DAYS[2]), "looks": [[to_iso(DAYS[3]), "unclear"]]}, True),
    ],
)
def test_an_end_is_right_inside_its_interval(tmp_path, end, values, right):
    result = judged(tmp_path, [change(HUT, **values)], [truth_of(HUT, end=end and to_iso(end))])
    assert result["dating"]["end"]["right"] == int(right)


def test_dates_that_one_change_has_and_another_lacks(tmp_path):
    other = box(200, 200, 208, 206)
    gone = change(other, 1, last_seen=to_iso(DAYS[1]), gone_by=to_iso(DAYS[2]), absent_until=None)
    truths = [truth_of(HUT), truth_of(other, end=to_iso(DAYS[2]))]
    dating = judged(tmp_path, [change(HUT), gone], truths)["dating"]
    assert (dating["start"]["right"], dating["end"]["right"]) == (2, 2)
    assert dating["start_interval_days_median"] == 4.0


def test_what_comes_and_goes_must_match_in_time_too(tmp_path):
    ship = {"class": "vessel", "start": to_iso(DAYS[0] + HOUR), "end": to_iso(DAYS[1] + HOUR)}
    late = change(HUT, **{"class": "vessel", "first_seen": to_iso(DAYS[2])})
    result = judged(tmp_path, [late], [truth_of(HUT, **ship)])
    assert result["overall"]["recall"]["right"] == 0
    assert result["false_alarms"]["n"] == 1
    in_time = change(HUT, **{"class": "vessel", "last_seen": to_iso(DAYS[1])})
    assert judged(tmp_path, [in_time], [truth_of(HUT, **ship)])["overall"]["recall"]["right"] == 1


def test_recall_is_asked_only_of_what_a_look_could_show(tmp_path):
    always = truth_of(HUT, start=to_iso(DAYS[0] - HOUR))
    later = truth_of(HUT, start=to_iso(DAYS[3] + HOUR))
    between = truth_of(HUT, start=to_iso(DAYS[1] + HOUR), end=to_iso(DAYS[2] - HOUR))
    result = judged(tmp_path, [], [always, later, between, truth_of(HUT)])
    assert result["overall"]["n_truth"] == 4
    assert result["overall"]["recall"]["n"] == 1
    cloudy = [row(day, status="obscured", count=None, clear_fraction=0.0) for day in (1, 2, 3)]
    assert judged(tmp_path, [], [truth_of(HUT)], cloudy)["overall"]["recall"]["n"] == 0


def test_counts_on_clear_looks_alone(tmp_path):
    rows = [row(0, count=2), row(1, count=3), row(2, count=0, status="partial", clear_fraction=0.5), row(3, count=5)]
    true_rows = [true_row(0, count=2), true_row(1, count=4), true_row(2, count=9), true_row(3, count=7)]
    (counted,) = judged(tmp_path, [], [], rows, true_rows)["counting"]
    assert (counted["exact"]["right"], counted["exact"]["n"]) == (1, 3)
    assert counted["mean_absolute_error"] == 1.0
    assert counted["mean_error"] == -1.0
    assert counted["median_relative_error"] == 0.25


def test_days_present_are_counted_as_right_missed_false_and_not_seen(tmp_path):
    rows = [
        row(0, count=1),
        row(1, count=0),
        row(2, count=1),
        row(3, count=None, status="obscured", clear_fraction=0.0),
    ]
    true_rows = [true_row(0, count=2), true_row(1, count=1), true_row(2, count=0), true_row(3, count=1)]
    (days,) = judged(tmp_path, [], [], rows, true_rows)["days"]
    assert days == {
        "zone": "place",
        "class": "vessel",
        "days_looked_at": 4,
        "days_seen": 3,
        "days_present": 3,
        "said_present": 2,
        "right": 1,
        "missed": 1,
        "false": 1,
        "not_seen": 1,
    }


def test_an_unseen_place_called_empty_is_named(tmp_path):
    rows = [
        row(0),
        row(1, status="partial", clear_fraction=0.3),
        row(2, count=None, status="obscured"),
        row(3, count=1),
    ]
    true_rows = [
        true_row(i, count=c, hidden_fraction=h) for i, (c, h) in enumerate([(1, 1), (0, 0.96), (1, 1), (1, 0.9)])
    ]
    unseen = judged(tmp_path, [], [], rows, true_rows)["unseen_as_empty"]
    expected = {"n_hidden": 3, "called_seen": 2, "called_clear": 1, "called_empty": 2, "empty_but_occupied": 1}
    assert unseen == expected


def test_truth_without_properties_is_enough_for_recall(tmp_path):
    result = judged(tmp_path, [change(HUT)], [feature(HUT)])
    assert result["overall"]["recall"]["share"] == 1.0
    assert result["classes"] == {}
    assert result["status"] is None
    assert result["dating"] is None
    assert result["counting"] is None
    assert [reason.split(":")[0] for reason in result["not_evaluated"]] == [
        "recall and precision per class, and class accuracy",
        "status",
        "dating",
        "counting and days present",
        "registration",
    ]
    assert as_tables(result)


def test_truth_in_another_format_and_reference_system(tmp_path):
    judged(tmp_path, [change(HUT)], [])
    frame = gpd.GeoDataFrame({"class": ["hut"]}, geometry=[translate(HUT, X, Y)], crs=CRS)
    frame.to_file(tmp_path / "truth.gpkg")
    assert evaluate(tmp_path / "out", tmp_path / "truth.gpkg")["classes"]["hut"]["recall"]["share"] == 1.0


def test_truth_outside_the_area_is_left_out(tmp_path):
    result = judged(tmp_path, [], [truth_of(HUT), truth_of(box(900, 900, 910, 910))])
    assert result["overall"]["n_truth"] == 1


def test_what_cannot_be_read_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"changes\.geojson: not an output folder of changedetect"):
        evaluate(tmp_path, tmp_path / "truth.geojson")
    judged(tmp_path, [], [])
    with pytest.raises(DataError, match=r"nowhere\.geojson: truth cannot be read; found No such file"):
        evaluate(tmp_path / "out", tmp_path / "nowhere.geojson")
    (tmp_path / "bad.geojson").write_text("{")
    with pytest.raises(DataError, match="truth cannot be read; found not JSON"):
        evaluate(tmp_path / "out", tmp_path / "bad.geojson")
    (tmp_path / "bad.gpkg").write_text("{")
    with pytest.raises(DataError, match="truth cannot be read"):
        evaluate(tmp_path / "out", tmp_path / "bad.gpkg")
    with pytest.raises(DataError, match="truth has no polygons"):
        judged(tmp_path, [], [feature(Point(1, 1))])
    with pytest.raises(DataError, match="a time is not ISO 8601; found soon"):
        judged(tmp_path, [], [truth_of(HUT, start="soon")])


def test_a_bow_tie_in_the_truth_is_repaired(tmp_path):
    bow = Polygon([(100, 100), (110, 110), (110, 100), (100, 110)])
    result = judged(tmp_path, [change(box(100, 100, 110, 110))], [truth_of(bow)])
    assert result["overall"]["recall"]["share"] == 1.0


def test_intervals_by_known_values():
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 0) is None
    assert share(10, 10)["low"] == pytest.approx(0.7225, abs=1e-4)
    assert poisson_upper(0) == pytest.approx(2.9957, abs=1e-4)
    assert poisson_upper(3) == pytest.approx(7.7537, abs=1e-4)

"""Timelines by hand, and the laws of linking."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from series_kit import AOI, GRID, day, detection, detections, look, pixels, states

from changedetect.core.tables import CHANGE_COLUMNS, DETECTION_COLUMNS
from changedetect.errors import ChangeDetectError
from changedetect.series.link import LinkParams, link

PARAMS = LinkParams()
BERTH = pixels(10, 10, 6, 30)
SHIP = pixels(10, 5, 6, 25)
CLOUD_ON_BERTH = (slice(8, 20), slice(0, 40))


def test_a_ship_of_one_day_is_dated_by_the_looks_around_it():
    looks = [look(0), look(1), look(2, cloud=True), look(3), look(4, cloud=CLOUD_ON_BERTH), look(5), look(6)]
    changes, linked = link(detections(detection(3, SHIP)), looks, AOI, PARAMS)
    change = changes.iloc[0]
    assert states(change) == "aaupuaa"
    assert change["absent_until"] == day(1)
    assert change["first_seen"] == day(3) == change["last_seen"]
    assert change["gone_by"] == day(5)
    assert (change["n_seen"], change["n_clear"]) == (1, 3)
    assert list(linked["change_id"]) == [change["id"]]


def test_a_ship_seen_on_two_looks_is_one_change_even_with_a_cloudy_look_between():
    looks = [look(0), look(1), look(2, cloud=True), look(3), look(4)]
    changes, _ = link(detections(detection(1, SHIP), detection(3, SHIP, confidence=0.6)), looks, AOI, PARAMS)
    change = changes.iloc[0]
    assert len(changes) == 1
    assert states(change) == "apupa"
    assert (change["n_seen"], change["n_clear"]) == (2, 3)
    assert change["confidence"] == pytest.approx(1 - 0.2 * (1 - 0.5 * 0.6))


def test_many_looks_never_make_certain():
    seen = [detection(n, TRENCH, "trench", confidence=0.9) for n in range(1, 9)]
    changes, _ = link(detections(*seen), [look(n) for n in range(9)], AOI, PARAMS)
    assert list(changes["confidence"]) == [PARAMS.max_confidence] == [0.98]


def test_two_ships_after_an_empty_look_at_one_berth_are_two_changes():
    looks = [look(n) for n in range(5)]
    changes, _ = link(detections(detection(1, SHIP), detection(3, SHIP)), looks, AOI, PARAMS)
    assert [states(change) for _, change in changes.iterrows()] == ["apaua", "auapa"]
    assert changes["gone_by"].iloc[0] == day(2)
    assert changes["absent_until"].iloc[1] == day(2)


def test_a_longer_ship_takes_the_berth_on_the_next_look():
    looks = [look(n) for n in range(4)]
    longer = pixels(10, 2, 6, 37)
    changes, _ = link(detections(detection(1, SHIP), detection(2, longer)), looks, AOI, PARAMS)
    assert [states(change) for _, change in changes.iterrows()] == ["apaa", "aapa"]


def test_a_ship_lying_across_is_another_one():
    looks = [look(n) for n in range(3)]
    across = pixels(0, 14, 25, 6)
    changes, _ = link(detections(detection(1, SHIP), detection(2, across)), looks, AOI, PARAMS)
    assert len(changes) == 2


def test_after_a_long_time_out_of_sight_it_may_be_another_ship_and_neither_is_called_absent():
    looks = [look(0), look(1), *(look(n, cloud=True) for n in range(2, 10)), look(10), look(11)]
    changes, _ = link(detections(detection(1, SHIP), detection(10, SHIP)), looks, AOI, PARAMS)
    assert [states(change) for _, change in changes.iterrows()] == ["apuuuuuuuuua", "auuuuuuuuupa"]


def test_a_like_ship_days_later_is_told_as_another_and_both_dates_stay_inside_their_intervals():
    looks = [look(n) for n in (0, 1, 4, 5)]
    changes, _ = link(detections(detection(1, SHIP), detection(4, SHIP)), looks, AOI, PARAMS)
    assert [states(change) for _, change in changes.iterrows()] == ["apua", "aupa"]
    assert list(changes["absent_until"]) == [day(0), day(0)]
    assert list(changes["gone_by"]) == [day(5), day(5)]


def test_two_consecutive_clear_looks_far_apart_show_the_same_aircraft():
    looks = [look(0), look(1), look(12)]
    plane = detection(1, SHIP, "aircraft"), detection(12, SHIP, "aircraft")
    changes, _ = link(detections(*plane), looks, AOI, PARAMS)
    assert [states(change) for _, change in changes.iterrows()] == ["app"]


def test_a_part_of_an_aircraft_does_not_show_that_it_left_and_an_empty_stand_does():
    part = pixels(12, 8, 5, 9)
    rows = detection(1, SHIP, "aircraft"), detection(2, part, "aircraft"), detection(3, SHIP, "aircraft")
    changes, _ = link(detections(*rows), [look(n) for n in range(5)], AOI, PARAMS)
    assert [states(change) for _, change in changes.iterrows()] == ["apupa", "aupua"]


def test_linking_is_one_to_one_for_rafted_ships():
    inner, outer = pixels(10, 5, 6, 25), pixels(16, 5, 6, 25)
    rows = [detection(n, hull) for n in (1, 2) for hull in (inner, outer)]
    changes, linked = link(detections(*rows), [look(n) for n in range(4)], AOI, PARAMS)
    assert list(changes["n_seen"]) == [2, 2]
    assert linked.groupby(["change_id", "scene_id"]).size().max() == 1


def test_an_unused_look_says_nothing_and_its_detections_are_dropped():
    looks = [look(0), look(1), look(2, used=False), look(3)]
    changes, linked = link(detections(detection(1, SHIP), detection(2, BERTH)), looks, AOI, PARAMS)
    assert [states(change) for _, change in changes.iterrows()] == ["apua"]
    assert list(linked["scene_id"]) == ["s1"]


def test_a_look_too_coarse_to_tell_a_class_says_nothing_of_it():
    looks = [replace(look(n), untold=("vessel",) if n in (0, 2, 4) else ("crowd",)) for n in range(6)]
    changes, _ = link(detections(detection(3, SHIP)), looks, AOI, PARAMS)
    assert states(changes.iloc[0]) == "uaupua"
    assert (changes.iloc[0]["absent_until"], changes.iloc[0]["gone_by"]) == (day(1), day(5))


TRENCH = pixels(20, 5, 3, 30)


def trench_score(peak: float) -> np.ndarray:
    """A dark slot beside bright spoil: the mean over the outline is 0."""
    score = np.zeros(GRID.shape, np.float32)
    score[20, 5:35], score[22, 5:35] = -peak, peak
    return score


def test_a_trench_without_a_detection_is_still_there_while_the_score_shows_its_pattern():
    scores = [0, 8, 6, 2.0, 0, 8]
    looks = [look(n, score=trench_score(s)) for n, s in enumerate(scores)]
    looks[5] = look(5, score=trench_score(8), cloud=True)
    changes, _ = link(detections(detection(1, TRENCH, "trench")), looks, AOI, PARAMS)
    # rms of the pattern is 6.5; the limit .35 of it is 2.3: 4.9 is there, 1.6 undecided, 0 gone.
    assert states(changes.iloc[0]) == "appuau"
    assert changes.iloc[0]["gone_by"] == day(4)


def test_the_opposite_pattern_is_not_the_trench():
    looks = [look(0), look(1, score=trench_score(8)), look(2, score=-trench_score(8))]
    changes, _ = link(detections(detection(1, TRENCH, "trench")), looks, AOI, PARAMS)
    assert states(changes.iloc[0]) == "apa"


def test_before_its_first_detection_a_trench_in_the_score_is_unclear_not_absent():
    looks = [look(0), look(1, score=trench_score(6)), look(2, score=trench_score(8))]
    changes, _ = link(detections(detection(2, TRENCH, "trench")), looks, AOI, PARAMS)
    assert states(changes.iloc[0]) == "aup"
    assert changes.iloc[0]["absent_until"] == day(0)


def test_a_structure_links_over_a_cloudy_look_and_over_an_absent_one():
    looks = [look(0), look(1), look(2, cloud=True), look(3), look(4)]
    rows = [detection(n, TRENCH, "trench") for n in (1, 4)]
    changes, _ = link(detections(*rows), looks, AOI, PARAMS)
    assert [states(change) for _, change in changes.iterrows()] == ["apuap"]
    assert changes.iloc[0]["gone_by"] is pd.NaT


def test_a_structure_seen_once_and_then_clearly_absent_is_doubted():
    looks = [look(n) for n in range(5)]
    keep = replace(PARAMS, keep_seen_once=True)
    once, _ = link(detections(detection(1, TRENCH, "trench")), looks, AOI, keep)
    last, _ = link(detections(detection(4, TRENCH, "trench")), looks, AOI, PARAMS)
    assert once.iloc[0]["flags"] == ("seen_once",)
    assert last.iloc[0]["flags"] == ()
    assert once.iloc[0]["confidence"] == pytest.approx(0.8 * np.sqrt(2 / 5))
    assert last.iloc[0]["confidence"] == pytest.approx(0.8)


def test_a_structure_that_one_look_made_and_the_next_ones_unmade_is_not_told():
    looks = [look(n) for n in range(5)]
    changes, left = link(detections(detection(1, TRENCH, "trench")), looks, AOI, PARAMS)
    assert len(changes) == 0
    assert list(left["change_id"]) == [None]
    ship, _ = link(detections(detection(1, TRENCH, "vessel")), looks, AOI, PARAMS)
    assert len(ship) == 1


def test_what_is_not_sure_enough_is_not_told_but_kept_as_a_detection():
    looks = [look(n) for n in range(3)]
    rows = detections(detection(2, TRENCH, "trench", confidence=0.39), detection(2, pixels(30, 4, 30, 20), "trench"))
    changes, left = link(rows, looks, AOI, PARAMS)
    assert len(changes) == 1
    assert list(left["change_id"].isna()) == [True, False]


def test_what_light_view_or_registration_explains_is_kept_as_a_detection_but_is_no_change():
    looks = [look(n) for n in range(3)]
    for flag in PARAMS.left_out_flags:
        changes, left = link(detections(detection(2, TRENCH, "trench", flags=("small", flag))), looks, AOI, PARAMS)
        assert len(changes) == 0
        assert list(left["change_id"]) == [None]


def test_class_is_the_vote_by_confidence_and_measures_are_those_of_the_finest_sure_look():
    coarse = detection(1, pixels(20, 4, 4, 32), "other", confidence=0.5)
    fine = [detection(n, TRENCH, "trench", confidence=c, gsd_m=0.5, flags=("a",)) for n, c in ((2, 0.4), (3, 0.7))]
    changes, _ = link(detections(coarse, *fine), [look(n) for n in range(4)], AOI, PARAMS)
    change = changes.iloc[0]
    assert (len(changes), change["class"], change["flags"]) == (1, "trench", ("a",))
    assert change["area_m2"] == pytest.approx(TRENCH.area)


def test_pieces_join_the_whole_in_either_order():
    whole = detection(2, TRENCH, "trench")
    left, right = (pixels(20, col, 3, 14) for col in (5, 21))
    for n in (1, 3):
        rows = [whole, detection(n, left, "trench"), detection(n, right, "trench")]
        changes, linked = link(detections(*rows), [look(k) for k in range(5)], AOI, PARAMS)
        assert len(changes) == 1
        assert changes.iloc[0]["n_seen"] == 2
        assert len(linked) == 3


def test_a_coarse_blur_over_two_huts_does_not_make_them_one():
    huts = [detection(n, pixels(5, col, 4, 6), "hut", gsd_m=0.5) for n in (2, 4) for col in (5, 13)]
    blur = detection(1, pixels(4, 4, 6, 16), "hut", gsd_m=3.0, confidence=0.5)
    changes, _ = link(detections(blur, *huts), [look(k) for k in range(5)], AOI, PARAMS)
    assert len(changes) == 2
    assert sorted(changes["n_seen"]) == [2, 3]


def test_structures_on_baseline_scenes_are_dropped_but_presences_are_not():
    rows = [detection(0, TRENCH, "trench"), detection(0, SHIP)]
    changes, linked = link(detections(*rows), [look(0), look(1)], AOI, PARAMS, baseline_ids=("s0",))
    assert list(changes["class"]) == ["vessel"]
    assert len(linked) == 1


def test_a_group_that_grows_is_one_change_and_its_count_is_that_of_its_best_look():
    rows = [
        detection(1, pixels(5, 5, 6, 6), "equipment", count=4, confidence=0.6),
        detection(2, pixels(5, 5, 6, 20), "equipment", count=12, confidence=0.9),
    ]
    changes, _ = link(detections(*rows), [look(n) for n in range(4)], AOI, PARAMS)
    assert list(changes["count"]) == [12]
    assert [states(change) for _, change in changes.iterrows()] == ["appa"]


def test_people_at_one_place_on_two_days_are_two_gatherings():
    looks = [look(0), look(1), look(1.1), look(2), look(3)]
    rows = [detection(n, pixels(5, 5, 6, 8), "crowd", count=250) for n in (1, 1.1, 2)]
    changes, _ = link(detections(*rows), looks, AOI, PARAMS)
    assert [states(change) for _, change in changes.iterrows()] == ["appaa", "aaapa"]


STACK = pixels(20, 5, 3, 30)


def test_a_stack_out_of_sight_for_long_may_be_another_one():
    looks = [look(0), look(1), *(look(n, cloud=True) for n in range(2, 9)), look(9), look(10)]
    rows = [detection(n, STACK, "equipment", count=8) for n in (1, 9)]
    changes, _ = link(detections(*rows), looks, AOI, PARAMS)
    assert [states(change) for _, change in changes.iterrows()] == ["apuuuuuuuua", "auuuuuuuupa"]


def test_a_stack_in_the_score_alone_is_present_only_until_it_is_lost_from_sight_for_long():
    there = trench_score(8)
    days = [0, 1, 2, *range(3, 10), 10]
    looks = [look(n, score=there if n in (1, 2, 10) else None, cloud=True if 2 < n < 10 else None) for n in days]
    changes, _ = link(detections(detection(1, STACK, "equipment")), looks, AOI, PARAMS)
    assert states(changes.iloc[0]) == "appuuuuuuuu"


def test_the_first_part_of_a_stack_leaves_the_look_before_undecided():
    scores = np.zeros((4, *GRID.shape), np.float32)
    scores[2, 20:23, 5:9] = 7.0  # a tenth of it
    scores[1, 20:23, 34] = 7.0  # a pixel's width is no part
    scores[3, 20:23, 5:35] = 8.0
    looks = [look(n, score=score) for n, score in enumerate(scores)]
    for kind, told in (("equipment", "aaup"), ("hut", "aaap")):
        changes, _ = link(detections(detection(3, STACK, kind, count=80)), looks, AOI, PARAMS)
        assert states(changes.iloc[0]) == told
    assert changes.iloc[0]["absent_until"] == day(2)


def test_nothing_found_is_an_empty_table():
    changes, linked = link(detections(), [look(0), look(1)], AOI, PARAMS)
    assert list(changes.columns) == [*CHANGE_COLUMNS, "geometry"]
    assert set(DETECTION_COLUMNS) < set(linked.columns)
    assert len(changes) == len(linked) == 0


def test_a_detection_of_an_unknown_scene_is_refused():
    with pytest.raises(ChangeDetectError, match="scenes that are not among the looks; found \\['s7'\\]"):
        link(detections(detection(7, SHIP)), [look(0)], AOI, PARAMS)


def test_changes_at_one_place_and_date_get_distinct_ids():
    rows = [detection(1, pixels(10, col, 1, 1), "hut") for col in (5, 6.5)]
    changes, _ = link(detections(*rows), [look(0), look(1)], AOI, replace(PARAMS, quantum_m=500.0))
    first, second = sorted(changes["id"])
    assert second == f"{first}-2"


boxes = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(2, 9), st.integers(2, 9))
finds = st.lists(
    st.tuples(st.integers(0, 5), boxes, st.sampled_from(["hut", "trench", "vessel", "equipment"])), max_size=8
)


@settings(max_examples=60, deadline=None)
@given(finds, st.lists(st.sampled_from(["clear", "cloud", "part", "unused"]), min_size=6, max_size=6), st.randoms())
def test_laws_of_time_and_order(found, weather, random):
    cloud = {"clear": None, "unused": None, "cloud": True, "part": (slice(0, 20), slice(0, 40))}
    looks = [look(n, cloud=cloud[w], used=w != "unused") for n, w in enumerate(weather)]
    rows = [detection(n, pixels(*place), kind) for n, place, kind in found]
    changes, linked = link(detections(*rows), looks, AOI, PARAMS)
    for _, change in changes.iterrows():
        assert change["n_seen"] <= change["n_clear"]
        assert change["absent_until"] is pd.NaT or change["absent_until"] < change["first_seen"]
        assert change["first_seen"] <= change["last_seen"]
        assert change["gone_by"] is pd.NaT or change["last_seen"] < change["gone_by"]
        assert 0 <= change["confidence"] <= 1
        assert len(change["looks"]) == 6
    assert set(linked["change_id"].dropna()) == set(changes["id"])
    everything = replace(PARAMS, keep_seen_once=True, min_confidence=0.0)
    assert link(detections(*rows), looks, AOI, everything)[1]["change_id"].notna().all()
    assert changes["id"].is_unique
    random.shuffle(rows)
    again, _ = link(detections(*rows), looks[::-1], AOI, PARAMS)
    pd.testing.assert_frame_equal(
        changes.drop(columns="geometry"), again.drop(columns="geometry"), check_dtype=True, obj="shuffled"
    )


def test_a_duplicate_time_never_breaks_the_order_of_dates():
    looks = [look(1, name="a"), look(1, name="s1"), look(1 + 1e-9, name="c")]
    looks = [replace(item, acquired=day(1)) for item in looks]
    changes, _ = link(detections(detection(1, SHIP)), looks, AOI, PARAMS)
    change = changes.iloc[0]
    assert change["absent_until"] is pd.NaT
    assert change["gone_by"] is pd.NaT
    assert isinstance(change["looks"][0][0], dt.datetime)

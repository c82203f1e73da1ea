"""What was there, with how much was seen: an unseen place is never an empty one."""

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from series_kit import AOI, GRID, day, detection, detections, look, pixels

from changedetect.core.aoi import TARGETS
from changedetect.core.quality import Quality
from changedetect.core.tables import ACTIVITY_COLUMNS
from changedetect.series.activity import ActivityParams, clear_fractions, count_activity, summarize
from changedetect.series.link import LinkParams, link

SHIP = pixels(10, 5, 6, 25)
PIER = pixels(5, 0, 20, 40)


def zones(**named):
    targets = named.pop("targets", ("vessel",))
    geometry = [pixels(0, 0, 40, 40), *named.values()]
    names = [AOI.name, *named]
    return gpd.GeoDataFrame({"name": names, "targets": [targets] * len(names)}, geometry=geometry, crs=GRID.crs)


def counted(rows, looks, places=None):
    changes, linked = link(detections(*rows), looks, AOI, LinkParams())
    places = zones() if places is None else places
    return count_activity(changes, linked, looks, AOI, places, ActivityParams()), changes


def test_one_row_per_look_zone_and_class_in_a_fixed_order():
    activity, _ = counted([], [look(0), look(1)], zones(pier=PIER, targets=("vessel", "trench")))
    assert list(activity.columns) == list(ACTIVITY_COLUMNS)
    assert list(zip(activity["scene_id"], activity["zone"], activity["class"], strict=True)) == [
        (scene, zone, kind) for scene in ("s0", "s1") for zone in ("test", "pier") for kind in ("trench", "vessel")
    ]
    assert TARGETS.index("trench") < TARGETS.index("vessel")
    assert list(activity["count"]) == [0] * 8


def test_an_obscured_zone_has_no_count_and_an_abstained_look_is_obscured():
    looks = [look(0), look(1, cloud=True), look(2, used=False)]
    activity, _ = counted([], looks)
    assert list(activity["status"]) == ["clear", "obscured", "obscured"]
    assert activity["count"].isna().tolist() == [False, True, True]
    assert activity["clear_fraction"].tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(activity["area_m2"].iloc[1])


def test_a_partly_seen_zone_counts_what_is_seen():
    looks = [look(0), look(1, cloud=(slice(20, 40), slice(0, 40)))]
    activity, _ = counted([detection(1, SHIP)], looks, zones(pier=PIER))
    last = activity[activity["scene_id"] == "s1"].set_index("zone")
    assert last.loc["test", ["status", "clear_fraction", "count"]].tolist() == ["partial", 0.5, 1]
    assert last.loc["pier", "clear_fraction"] == pytest.approx(15 / 20)
    assert last.loc["pier", "area_m2"] == pytest.approx(SHIP.area)


def test_vessels_are_seen_as_far_as_the_water_of_their_zone_is():
    water = np.zeros(GRID.shape, np.uint16)
    water[:, 20:] = Quality.WATER
    on_land, at_sea = look(0, cloud=np.s_[:, :20]), look(1, cloud=np.s_[:, 20:])
    looks = [replace(item, quality=item.quality | water) for item in (on_land, at_sea)]
    activity, _ = counted([], looks, zones(pier=PIER, targets=("vessel", "equipment")))
    pier = activity[activity["zone"] == "pier"].set_index(["scene_id", "class"])["clear_fraction"]
    assert [pier["s0", "vessel"], pier["s1", "vessel"]] == [1.0, 0.0]
    assert [pier["s0", "equipment"], pier["s1", "equipment"]] == [0.5, 0.5]


def test_what_lies_beyond_the_grid_is_unseen():
    wide = pixels(0, 0, 40, 80)
    activity, _ = counted([], [look(0)], zones(quay=wide))
    assert activity.set_index("zone").loc["quay", ["clear_fraction", "status"]].tolist() == [0.5, "partial"]
    far, _ = counted([], [look(0)], zones(quay=pixels(100, 100, 5, 5)))
    assert far.set_index("zone").loc["quay", "status"] == "obscured"


def test_a_zone_narrower_than_a_pixel_is_seen_where_its_pixels_are():
    thin = pixels(10.1, 5, 0.2, 0.3)
    clear, _ = counted([], [look(0)], zones(line=thin))
    hidden, _ = counted([], [look(0, cloud=True)], zones(line=thin))
    assert clear.set_index("zone").loc["line", "status"] == "clear"
    assert hidden.set_index("zone").loc["line", "status"] == "obscured"


def test_a_ship_that_stays_two_looks_is_counted_on_both_and_only_in_its_zone():
    other = pixels(30, 0, 8, 40)
    rows = [detection(1, SHIP), detection(2, SHIP, count=2)]
    activity, _ = counted(rows, [look(n) for n in range(4)], zones(pier=PIER, other=other))
    by_zone = {zone: list(part["count"]) for zone, part in activity.groupby("zone")}
    assert by_zone == {"test": [0, 1, 2, 0], "pier": [0, 1, 2, 0], "other": [0, 0, 0, 0]}


def test_groups_are_counted_by_their_items():
    rows = [detection(1, pixels(5, c, 4, 4), "crowd", count=n) for c, n in ((5, 120), (20, 130))]
    activity, _ = counted(rows, [look(0), look(1)], zones(targets=("crowd",)))
    assert list(activity["count"]) == [0, 250]


def test_structures_count_while_present_without_a_detection_on_each_look():
    score = np.zeros(GRID.shape, np.float32)
    score[20:23, 5:35] = 6.0
    looks = [look(0), look(1, score=score), look(2, score=score), look(3)]
    activity, _ = counted([detection(1, pixels(20, 5, 3, 30), "trench")], looks, zones(targets=("trench",)))
    assert list(activity["count"]) == [0, 1, 1, 0]


def test_what_geometry_explains_or_has_disappeared_is_not_counted():
    rows = [
        detection(1, pixels(2, 2, 4, 6), "hut", flags=("explained_by_shadow",)),
        detection(1, pixels(12, 2, 4, 6), "hut", status="disappeared"),
        detection(1, pixels(22, 2, 4, 6), "hut"),
    ]
    activity, _ = counted(rows, [look(0), look(1)], zones(targets=("hut",)))
    assert list(activity["count"]) == [0, 1]


def season():
    looks = [look(0), look(0.2), look(1, cloud=True), look(2, cloud=(slice(0, 25), slice(0, 40))), look(3), look(4)]
    rows = [detection(0.2, SHIP), detection(3, SHIP), detection(3, pixels(30, 5, 6, 25))]
    return counted(rows, looks)


def test_summary_counts_days_not_looks_and_says_what_was_not_seen():
    activity, changes = season()
    summary = summarize(activity, changes, AOI)
    entry = summary["zones"][0]
    assert (entry["looks"], entry["days"], entry["span_days"]) == (6, 5, 5)
    assert (entry["days_clear"], entry["days_partial"], entry["days_obscured"]) == (3, 1, 1)
    assert (entry["days_present"], entry["days_present_clear"], entry["largest_count"]) == (2, 2, 2)
    assert entry["largest_count_on"] == day(3).replace(tzinfo=None).isoformat() + "Z"
    assert summary["headline"] == [
        "ships on 2 of 3 clear days (6 looks, 5 days); on 0 of 1 partly seen; 1 not seen; "
        "at most 2 at once, on 2023-09-04"
    ]


def test_summary_never_says_none_where_nothing_was_seen():
    activity, changes = counted([], [look(0, cloud=True), look(1, used=False)])
    summary = summarize(activity, changes, AOI)
    assert summary["headline"] == ["ships: the place could not be seen on any of 2 days (2 looks, 2 days)"]
    assert summary["zones"][0]["largest_count"] is None


def test_summary_of_an_empty_but_seen_place():
    activity, changes = counted([], [look(0), look(1, cloud=True)], zones(pier=PIER))
    assert summarize(activity, changes, AOI)["headline"] == [
        "no ships on 1 clear day (2 looks, 2 days); 1 not seen",
        "pier: no ships on 1 clear day (2 looks, 2 days); 1 not seen",
    ]


def test_what_pixels_are_too_coarse_to_tell_is_unknown_and_not_none():
    looks = [look(0), replace(look(1), untold=("crowd", "vessel")), replace(look(2), untold=("crowd",))]
    activity, changes = counted([detection(2, SHIP)], looks, zones(targets=("vessel", "crowd")))
    told = activity.set_index(["class", "scene_id"])
    assert told.loc["vessel", "status"].tolist() == ["clear", "obscured", "clear"]
    assert told.loc["vessel", "count"].isna().tolist() == [False, True, False]
    assert told.loc["crowd", "status"].tolist() == ["clear", "obscured", "obscured"]
    assert summarize(activity, changes, AOI, looks)["headline"] == [
        "ships on 1 of 2 clear days (3 looks, 3 days); 1 too coarse to tell; at most 1 at once, on 2023-09-03",
        "no people on 1 clear day (3 looks, 3 days); 2 too coarse to tell",
    ]
    coarse = [replace(one, untold=("crowd",)) for one in looks]
    activity, changes = counted([], coarse, zones(targets=("crowd",)))
    entry = summarize(activity, changes, AOI, coarse)["zones"][0]
    assert entry["headline"] == "people: pixels were too coarse to tell on all of 3 days (3 looks, 3 days)"
    assert (entry["days_obscured"], entry["days_too_coarse"]) == (3, 3)


def test_presences_are_not_counted_on_a_look_that_was_compared_with_nothing():
    looks = [replace(look(0), score=None), look(1), look(2, cloud=True)]
    places = zones(targets=("hut", "vessel"))
    activity, changes = counted([detection(1, SHIP)], looks, places)
    told = activity.set_index(["class", "scene_id"])
    assert told.loc["hut", "status"].tolist() == ["clear", "clear", "obscured"]
    assert told.loc["vessel", "status"].tolist() == ["obscured", "clear", "obscured"]
    assert told.loc["vessel", "count"].isna().tolist() == [True, False, True]
    summary = summarize(activity, changes, AOI, looks)
    assert summary["headline"][1] == (
        "ships on 1 of 1 clear day (3 looks, 3 days); 1 not seen; "
        "1 not counted, being what the others are compared with; at most 1 at once, on 2023-09-02"
    )
    assert summary["zones"][0]["days_not_compared"] == 0
    # it is still what shows that the ship came after it
    assert changes.iloc[0]["absent_until"] == day(0)
    assert clear_fractions(activity, looks, places, ActivityParams()) == {"s0": 1.0, "s1": 1.0, "s2": 0.0}


def test_summary_of_structures_dates_them():
    rows = [detection(2, pixels(20, 5, 3, 30), "trench")]
    activity, changes = counted(rows, [look(n) for n in range(3)], zones(targets=("trench",)))
    assert summarize(activity, changes, AOI)["headline"] == [
        "trenches: 1 appeared; first seen 2023-09-03, not yet there 2023-09-02 (3 clear days; 3 looks, 3 days)"
    ]


def test_counts_are_nullable_integers():
    activity, _ = counted([], [look(0, cloud=True)])
    assert activity["count"].dtype == pd.Int64Dtype()

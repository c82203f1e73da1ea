"""Which items are one look: duplicates, clouds, tiles and swaths of one day, by hand-made items."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from shapely.geometry import box

from changedetect.core.times import solar_day
from changedetect.io.assemble import Draft
from changedetect.io.sidecar import Facts
from changedetect.io.stac.choose import Found, fuse, without_clouds, without_duplicates

MORNING = datetime(2023, 8, 10, 9, 58, tzinfo=UTC)
AREA = box(15.4, 45.4, 15.6, 45.6)
WEST, EAST = box(15, 45, 15.55, 46), box(15.45, 45, 16, 46)


def found(name, when=MORNING, outline=WEST, sensor="sentinel-2-l2a", facts=None, **properties):
    draft = Draft(name, name, band_paths={"red": ((f"{name}/red.tif",), 1)}, sensor=sensor, facts=facts or Facts(),
                  masks=((f"{name}/scl.tif", "scl"),))  # fmt: skip
    return Found(draft, when, outline, {"platform": "sentinel-2b", "grid:code": "MGRS-33TWL", **properties}, {})


def names(items):
    return [one.draft.name for one in items]


def test_clouds_leave_out_with_a_reason_and_what_states_none_stays():
    items = [found("a", **{"eo:cloud_cover": 69.3}), found("b", **{"eo:cloud_cover": 60}), found("c")]
    kept, reasons = without_clouds(items, 60)
    assert names(kept) == ["b", "c"]
    assert reasons == {0: "69 % cloud, more than max_cloud 60"}
    assert names(without_clouds(items, None)[0]) == ["a", "b", "c"]


def test_of_two_processings_the_newest_is_kept():
    old = found("old", **{"s2:generation_time": "2023-08-10T13:00:00Z"}, facts=Facts(baseline=509))
    new = found("new", MORNING + timedelta(seconds=11), **{"s2:generation_time": "2024-10-01T00:00:00Z"},
                facts=Facts(baseline=510))  # fmt: skip
    for order in ([old, new], [new, old]):
        kept, reasons = without_duplicates(order)
        assert names(kept) == ["new"]
        assert list(reasons.values()) == ["an older processing of new"]


def test_a_later_baseline_comes_before_a_later_date_and_the_surface_before_the_top_of_the_air():
    late = found("late", created="2025-01-01T00:00:00Z", facts=Facts(baseline=300))
    good = found("good", created="2023-01-01T00:00:00Z", facts=Facts(baseline=510))
    top = found("top", sensor="sentinel-2-l1c", facts=Facts(baseline=511))
    assert names(without_duplicates([late, good, top])[0]) == ["good"]


@pytest.mark.parametrize(
    "other",
    [
        found("b", outline=EAST),
        found("b", **{"grid:code": "MGRS-33TWM"}),
        found("b", platform="sentinel-2a"),
        found("b", MORNING + timedelta(minutes=100)),
    ],
    ids=["half of a tile that was cut in two", "the next tile", "another satellite", "the next orbit"],
)
def test_what_is_no_duplicate_is_kept(other):
    kept, reasons = without_duplicates([found("a"), other])
    assert (len(kept), reasons) == (2, {})


def test_platforms_are_compared_as_catalogues_write_them():
    assert len(without_duplicates([found("a"), found("b", platform="Sentinel-2B")])[0]) == 1


def test_without_a_tile_system_outlines_tell_duplicates():
    one, other = (replace(found(name), properties={"platform": "x"}) for name in "ab")
    assert len(without_duplicates([one, other])[0]) == 1
    assert len(without_duplicates([one, replace(other, outline=EAST)])[0]) == 2


def test_tiles_and_swaths_of_a_day_are_one_look_the_one_that_shows_most_first():
    west, east = found("west"), found("east", MORNING + timedelta(minutes=98), EAST, **{"grid:code": "MGRS-33TXL"})
    whole = found("whole", MORNING + timedelta(days=1), box(15, 45, 16, 46))
    looks = fuse([whole, east, west], AREA, "solar_day")
    assert [sorted(names(look)) for look in looks] == [["east", "west"], ["whole"]]
    more = replace(east, outline=box(15.41, 45, 16, 46))
    assert names(fuse([west, more], AREA, "solar_day")[0]) == ["east", "west"]
    assert [names(look) for look in fuse([west, east], AREA, "overpass")] == [["west"], ["east"]]
    assert len(fuse([west, found("twin", outline=EAST)], AREA, "overpass")) == 1
    assert len(fuse([west, found("twin", outline=EAST)], AREA, "none")) == 2


def test_numbers_that_mean_different_things_are_not_mixed():
    raw = found("raw", outline=EAST, facts=Facts(offset_applied=False))
    taken_off = found("off", facts=Facts(offset_applied=True))
    assert len(fuse([raw, taken_off], AREA, "solar_day")) == 2
    more = replace(raw.draft, facts=Facts(offset_applied=True), band_paths={"nir": (("n.tif",), 1)})
    assert len(fuse([replace(raw, draft=more), taken_off], AREA, "solar_day")) == 2


def test_radar_of_two_tracks_is_not_mixed():
    up, down = (found(name, sensor="sentinel-1-rtc", facts=Facts(relative_orbit=orbit)) for name, orbit in
                (("up", 7), ("down", 80)))  # fmt: skip
    assert len(fuse([up, down], AREA, "solar_day")) == 2


def test_the_local_day_is_that_of_the_sun():
    late, early = datetime(2024, 9, 30, 23, 40, tzinfo=UTC), datetime(2024, 10, 1, 0, 20, tzinfo=UTC)
    assert solar_day(late, 135.0) == solar_day(early, 135.0) == datetime(2024, 10, 1, tzinfo=UTC).date()
    assert solar_day(late, 0.0) != solar_day(early, 0.0)
    assert solar_day(early, -120.0).isoformat() == "2024-09-30"
    looks = fuse([found("a", late), found("b", early, EAST)], box(134.9, 45, 135.1, 46), "solar_day")
    assert len(looks) == 1

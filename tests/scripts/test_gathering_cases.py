"""Crowds and aircraft of outputs are judged against the truth look by look: counted on one's fingers."""

from __future__ import annotations

import json

import gathering_cases as gatherings
import pytest
from shapely.geometry import box, mapping

DAYS = ("2024-10-03T02:00:00Z", "2024-10-16T02:00:00Z", "2024-10-18T02:00:00Z")
HERE, FAR = box(131.95, 43.80, 131.9501, 43.8001), box(131.96, 43.80, 131.9601, 43.8001)


def _feature(place, **properties):
    return {"type": "Feature", "properties": properties, "geometry": mapping(place)}


def _written(folder, kind, counts, found, planted):
    """Write outputs and truth: `counts` per day (said, true, status), `found` and `planted` features."""
    said, true = [], []
    for day, (n, n_true, status) in zip(DAYS, counts, strict=True):
        for zone in ("ground", "place"):
            row = {"datetime": day, "zone": zone, "class": kind, "scene_id": day[:10]}
            said.append(row | {"aoi": "place", "count": n, "status": status})
            true.append(row | {"count": n_true})
    (folder / "changes.geojson").write_text(json.dumps({"activity": said}))
    (folder / "detections.geojson").write_text(json.dumps({"features": found}))
    (folder / "truth.geojson").write_text(json.dumps({"activity": true, "features": planted}))
    return folder, folder / "truth.geojson"


def _seen(place, day, kind, low=0, high=0, change="c1"):
    told = {"class": kind, "scene_id": day[:10], "acquired": day, "zone": "ground", "change_id": change}
    return _feature(place, count_low=low, count_high=high, **told)


def test_crowds_are_judged_on_clear_looks_with_people(tmp_path):
    planted = [_feature(HERE, **{"class": "crowd", "start": "2024-10-16T01:00:00Z", "end": "2024-10-16T03:00:00Z"})]
    found = [
        _seen(HERE, DAYS[1], "crowd", 60, 90),
        _seen(HERE, DAYS[1], "crowd", 20, 40),
        _seen(FAR, DAYS[1], "crowd", 1, 2),  # nobody stands there
        _seen(HERE, DAYS[2], "crowd", 9, 9),  # nobody stands there by then
        _seen(FAR, DAYS[0], "crowd", 1, 2, change=None),  # what became of no change was not reported
    ]
    counts = [(0, 0, "clear"), (115, 120, "clear"), (9, 100, "hidden")]
    told = gatherings.count_crowds(*_written(tmp_path, "crowd", counts, found, planted))
    assert told == {
        "true": [120],
        "count": [115],
        "low": [81],
        "high": [132],
        "false": 2,
        "close": {"right": 1, "n": 1},
        "held": {"right": 1, "n": 1},
    }


@pytest.mark.parametrize(("count", "close"), [(75, 1), (74, 0), (125, 1), (126, 0)])
def test_a_quarter_off_is_the_limit_and_a_missed_crowd_has_no_interval(tmp_path, count, close):
    counts = [(count, 100, "clear"), (0, 0, "clear"), (0, 0, "clear")]
    told = gatherings.count_crowds(*_written(tmp_path, "crowd", counts, [], []))
    assert told["close"] == {"right": close, "n": 1}
    assert told["held"] == {"right": 0, "n": 1}


def test_aircraft_are_judged_on_clear_looks_empty_or_not(tmp_path):
    planted = [_feature(HERE, **{"class": "aircraft", "start": None, "end": "2024-10-17T00:00:00Z"})]
    found = [_seen(HERE, day, "aircraft") for day in DAYS]
    counts = [(1, 1, "clear"), (1, 1, "clear"), (1, 0, "clear")]
    told = gatherings.count_aircraft(*_written(tmp_path, "aircraft", counts, found, planted))
    assert told == {"true": [1, 1, 0], "count": [1, 1, 1], "exact": {"right": 2, "n": 3}, "false": 1}

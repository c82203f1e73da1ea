"""What differs between two outputs, on features made by hand."""

from __future__ import annotations

import json

import pytest
from shapely.geometry import box, mapping

from changedetect.errors import DataError
from changedetect.evaluation import compare_features, compare_outputs


def feature(name="t1", kind="trench", at=0.0, size=1e-4, **properties):
    told = {"id": name, "class": kind, "status": "appeared", "zone": None, "absent_until": "2024-09-01T00:00:00Z"}
    told |= {"first_seen": "2024-10-01T00:00:00Z", "last_seen": "2024-10-01T00:00:00Z", "gone_by": None, "count": 1}
    told |= {"confidence": 0.8, "area_m2": 100.0, "looks": [["2024-10-01T00:00:00Z", "present"]]}
    return {
        "type": "Feature",
        "properties": told | properties,
        "geometry": mapping(box(131 + at, 44, 131 + at + size, 44 + size)),
    }


def ids(items):
    return [item["id"] for item in items]


def test_equal_outputs_do_not_differ():
    told = compare_features([feature()], [feature()])
    assert (told.new, told.gone, told.altered, told.n_same) == ((), (), (), 1)


def test_new_and_gone_mirror_each_other():
    old, new = [feature("a")], [feature("a"), feature("b", at=1.0), feature("c", at=2.0, confidence=0.9)]
    forth, back = compare_features(old, new), compare_features(new, old)
    assert ids(forth.new) == ["c", "b"]  # the surest first
    assert forth.gone == ()
    assert ids(back.gone) == ["c", "b"]
    assert back.new == ()
    assert forth.new[0]["lon_lat"] == [133.00005, 44.00005]
    assert "looks" not in forth.new[0]


def test_seen_again_is_no_news():
    later = feature(last_seen="2024-11-01T00:00:00Z", confidence=0.85, area_m2=105.0)
    assert compare_features([feature()], [later]).n_same == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gone_by", "2024-11-01T00:00:00Z"),
        ("status", "modified"),
        ("count", 4),
        ("confidence", 0.6),
        ("area_m2", 120.0),
        ("absent_until", None),
    ],
)
def test_what_is_told_otherwise_is_altered(name, value):
    told = compare_features([feature()], [feature(**{name: value})])
    assert ids(told.altered) == ["t1"]
    assert told.altered[0]["was"] == {name: feature()["properties"][name]}
    assert told.altered[0][name] == value


def test_one_object_under_another_id_is_known_by_place_and_time():
    moved = compare_features([feature("a")], [feature("b", at=0.5e-4)])  # half of it shared
    assert (moved.new, moved.gone, moved.n_same) == ((), (), 1)
    far = compare_features([feature("a")], [feature("b", at=0.8e-4)])
    assert (ids(far.new), ids(far.gone)) == (["b"], ["a"])


def test_another_ship_at_the_same_pier_is_new():
    first = feature("a", "vessel", gone_by="2024-10-03T00:00:00Z")
    second = feature("b", "vessel", first_seen="2024-10-09T00:00:00Z")
    told = compare_features([first], [first, second])
    assert ids(told.new) == ["b"]
    told = compare_features([first], [second])
    assert (ids(told.new), ids(told.gone)) == (["b"], ["a"])


def test_another_class_at_one_place_is_another_thing():
    told = compare_features([feature("a", "hut")], [feature("b", "trench")])
    assert (ids(told.new), ids(told.gone)) == (["b"], ["a"])


def test_of_two_candidates_the_one_that_shares_more_is_the_same():
    told = compare_features([feature("a")], [feature("far", at=0.6e-4), feature("near", at=0.1e-4)])
    assert ids(told.new) == ["far"]


def test_a_folder_without_outputs_is_refused(tmp_path):
    with pytest.raises(DataError, match="not an output folder"):
        compare_outputs(tmp_path, tmp_path)
    (tmp_path / "changes.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature()]}))
    assert compare_outputs(tmp_path, tmp_path).n_same == 1

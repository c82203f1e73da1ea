"""Reviews: appended, never overwritten, and refused with the entry named where they are no reviews."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from page_place import results_of, write_place

from changedetect.cli.main import main
from changedetect.errors import DataError
from changedetect.pictures import carry_reviews
from changedetect.report.review import load_review, merge_reviews

SAID = {"verdict": "accept", "note": "clear", "who": "Ann", "when": "2024-01-02T03:04:05Z"}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("review") / "out"
    write_place(folder, results_of(6, 4))
    return folder


def feature(name, **values):
    return {"type": "Feature", "properties": {"id": name, "class": "hut"} | values, "geometry": None}


def file_of(path, *reviews, **values):
    head = {"program": "changedetect", "kind": "review", "version": 1, "aoi": "place"}
    path.write_text(json.dumps(head | {"reviews": list(reviews)} | values))
    return path


def test_a_review_is_appended_to_its_change_alone():
    other = {**SAID, "verdict": "reject", "who": "Bob"}
    merged = merge_reviews([feature("a", review=[SAID]), feature("b")], [("a", other), ("b", SAID)])
    assert merged.features[0]["properties"]["review"] == [SAID, other]
    assert merged.features[1]["properties"]["review"] == [SAID]
    assert (merged.added, merged.known, merged.strangers) == (2, 0, ())


def test_the_same_review_twice_is_one_and_the_given_features_stay_as_they_are():
    features = [feature("a", review=[SAID])]
    merged = merge_reviews(features, [("a", SAID), ("gone", SAID), ("gone", SAID)])
    assert merged.features == features
    assert (merged.added, merged.known, merged.strangers) == (0, 1, ("gone",))
    merge_reviews(features, [("a", {**SAID, "note": "again"})])
    assert features[0]["properties"]["review"] == [SAID]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "no review of changedetect"),
        ("[]", "needed a JSON object"),
        ("nonsense", "cannot be read"),
        ('{"program": "changedetect", "kind": "review", "reviews": 3}', "no list of reviews"),
    ],
)
def test_a_file_that_is_no_review_is_refused(tmp_path, text, said):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError, match=said):
        load_review(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"id": "a", "verdict": "maybe"}, "reviews[1].verdict: is no verdict"),
        ({"verdict": "accept"}, "reviews[1].id: must be a text"),
        ({"id": "a", "verdict": "accept", "note": 3}, "reviews[1].note"),
        ({"id": "a", "verdict": "accept", "when": "yesterday"}, "reviews[1].when: is no ISO 8601 time"),
        ("a", "reviews[1]: is no review"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, entry, said):
    with pytest.raises(DataError) as caught:
        load_review(file_of(tmp_path / "r.json", {"id": "a", **SAID}, entry))
    assert said in str(caught.value)


def test_the_command_merges_and_shows_and_changes_no_other_byte(outputs, tmp_path):
    path = outputs / "changes.geojson"
    before = path.read_text().splitlines()
    name = json.loads(path.read_text())["features"][2]["properties"]["id"]
    review = file_of(tmp_path / "r.json", {"id": name, **SAID}, {"id": "gone", **SAID})
    done = CliRunner().invoke(main, ["review", str(outputs), str(review), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["added"], told["known"], told["strangers"]) == (1, 0, ["gone"])
    after = path.read_text().splitlines()
    assert len(after) == len(before)
    assert [a == b for a, b in zip(before, after, strict=True)].count(False) == 1
    kept = json.loads(path.read_text())["features"][2]["properties"]
    assert kept["review"] == [SAID]
    assert '"note":"clear"' in (outputs / "report.html").read_text()

    again = CliRunner().invoke(main, ["report", str(outputs), "--review", str(review)])
    assert "Reviews added to changes.geojson: 0, 1 known already" in again.stdout
    assert path.read_text().splitlines() == after


def test_a_review_of_another_place_is_refused_and_nothing_is_written(outputs, tmp_path):
    before = (outputs / "changes.geojson").read_bytes()
    review = file_of(tmp_path / "r.json", aoi="elsewhere")
    done = CliRunner().invoke(main, ["review", str(outputs), str(review)])
    assert done.exit_code == 3
    assert "is a review of another place; found elsewhere; needed place" in done.stderr
    assert (outputs / "changes.geojson").read_bytes() == before


def test_the_report_of_no_outputs_is_refused(tmp_path):
    done = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert done.exit_code == 3
    assert "no output folder of changedetect" in done.stderr


def test_reviews_outlive_the_run_they_were_made_of(tmp_path):
    earlier, fresh, third = (tmp_path / name for name in ("earlier", "fresh", "third"))
    for folder, features in (
        (earlier, [feature("a", review=[SAID]), feature("b", review=[{**SAID, "who": "Bob"}]), feature("c")]),
        (fresh, [feature("a"), feature("d")]),
        (third, [feature("b")]),
    ):
        folder.mkdir()
        head = {"type": "FeatureCollection", "simulated": False, "activity": []}
        (folder / "changes.geojson").write_text(json.dumps(head | {"features": features}))
    carry_reviews(fresh, earlier, "place")
    changes = json.loads((fresh / "changes.geojson").read_text())
    assert {f["properties"]["id"]: f["properties"].get("review") for f in changes["features"]} == {
        "a": [SAID],
        "d": None,
    }
    assert (changes["simulated"], changes["activity"]) == (False, [])
    kept = load_review(fresh / "review.json")  # b is no longer found
    assert kept.reviews == (("b", {**SAID, "who": "Bob"}),)
    carry_reviews(third, fresh, "place")  # b is found again, a is not
    (back,) = json.loads((third / "changes.geojson").read_text())["features"]
    assert back["properties"]["review"] == [{**SAID, "who": "Bob"}]
    assert load_review(third / "review.json").reviews == (("a", SAID),)


def test_outputs_without_reviews_are_left_as_they_are(tmp_path):
    (tmp_path / "earlier").mkdir()
    carry_reviews(tmp_path / "fresh", tmp_path / "earlier", "place")
    (tmp_path / "earlier/changes.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature("a")]})
    )
    carry_reviews(tmp_path / "fresh", tmp_path / "earlier", "place")
    assert not (tmp_path / "fresh").exists()

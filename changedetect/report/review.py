"""Reviews: what people said of changes, read from review.json and added to what was said before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from changedetect.core.times import from_iso, to_iso
from changedetect.errors import DataError
from changedetect.report.page.outputs import read_json

VERDICTS = ("accept", "reject", "unsure")

KEYS = ("verdict", "note", "who", "when")
"""Of one review, as it stands in changes.geojson: a list of them is the property `review`, the oldest first."""


@dataclass(frozen=True, slots=True)
class ReviewFile:
    """A review.json, checked."""

    aoi: str
    digest: str | None
    """Of the results that were reviewed, where told."""
    reviews: tuple[tuple[str, dict[str, Any]], ...]
    """Identifier of a change, and what was said of it."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Features with reviews."""

    features: list[dict[str, Any]]
    added: int
    known: int
    """Reviews that were there already."""
    strangers: tuple[str, ...]
    """Identifiers that name no change of these results."""


def load_review(path: str | Path) -> ReviewFile:
    """Return a review.json as the report exports it.

    Raises
    ------
    DataError
        There is no such file, or an entry is not what it should be; it is named.
    """
    data = read_json(Path(path))
    if data.get("program") != "changedetect" or data.get("kind") != "review":
        raise DataError("is no review of changedetect", where=str(path), hint="Export review.json in report.html")
    entries = data.get("reviews")
    if not isinstance(entries, list):
        raise DataError("has no list of reviews", where=f"{path}: reviews", found=type(entries).__name__)
    reviews = tuple(_checked(entry, f"{path}: reviews[{number}]") for number, entry in enumerate(entries))
    return ReviewFile(str(data.get("aoi")), data.get("digest"), reviews)


def merge_reviews(features: Sequence[Mapping[str, Any]], reviews: Sequence[tuple[str, dict[str, Any]]]) -> Merged:
    """Return the features with each review appended to those of its change; nothing said before is touched.

    A review that is there already, by the same person at the same time in the same words, is not added again.
    """
    merged = [{**feature, "properties": dict(feature["properties"])} for feature in features]
    by_id = {feature["properties"]["id"]: feature["properties"] for feature in merged}
    added = known = 0
    strangers = []
    for name, review in reviews:
        if name not in by_id:
            strangers.append(name)
            continue
        said = by_id[name].get("review") or []
        if review in said:
            known += 1
            continue
        by_id[name]["review"] = [*said, review]
        added += 1
    return Merged(merged, added, known, tuple(dict.fromkeys(strangers)))


def collect_reviews(features: Sequence[Mapping[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Return every review of some features, with the identifier of its change."""
    told = [(feature["properties"]["id"], feature["properties"].get("review") or ()) for feature in features]
    return [(str(name), dict(review)) for name, reviews in told for review in reviews]


def to_review_file(aoi: str, reviews: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return reviews as the content of a review.json."""
    entries = [{"id": name, **review} for name, review in reviews]
    return {"program": "changedetect", "kind": "review", "version": 1, "aoi": aoi, "reviews": entries}


def _checked(entry: Any, where: str) -> tuple[str, dict[str, Any]]:
    if not isinstance(entry, dict):
        raise DataError("is no review", where=where, found=type(entry).__name__, needed="an object")
    for key in ("id", "verdict"):
        if not isinstance(entry.get(key), str):
            raise DataError("must be a text", where=f"{where}.{key}", found=entry.get(key))
    if entry["verdict"] not in VERDICTS:
        raise DataError("is no verdict", where=f"{where}.verdict", found=entry["verdict"], needed=", ".join(VERDICTS))
    for key in ("note", "who", "when"):
        if not isinstance(entry.get(key), str | None):
            raise DataError("must be a text or null", where=f"{where}.{key}", found=entry[key])
    try:
        when = to_iso(from_iso(entry.get("when")))
    except ValueError:
        raise DataError("is no ISO 8601 time", where=f"{where}.when", found=entry["when"]) from None
    said = {"verdict": entry["verdict"], "note": entry.get("note") or "", "who": entry.get("who"), "when": when}
    return entry["id"], said

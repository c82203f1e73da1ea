"""What differs between the changes of two outputs: new, gone, altered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from changedetect.core.times import from_iso
from changedetect.evaluation.files import read_json

SAME_SHARE = 0.3
"""Of the smaller outline: two outlines of one object that share less are of two objects."""

TOLD = ("class", "status", "zone", "absent_until", "first_seen", "gone_by", "count")
"""Properties whose change is news; `last_seen` moves with every look at a thing that stays."""

_AREA_SHARE, _CONFIDENCE = 0.1, 0.1
"""Area (relative) and confidence that differ by less say the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Changes of two outputs, matched; properties as in changes.geojson."""

    new: tuple[dict[str, Any], ...] = ()
    gone: tuple[dict[str, Any], ...] = ()
    altered: tuple[dict[str, Any], ...] = ()
    """The newer properties, with `was`: the older values of what differs."""
    n_same: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"new": list(self.new), "gone": list(self.gone), "altered": list(self.altered), "n_same": self.n_same}


def compare_outputs(old: str | Path, new: str | Path) -> Difference:
    """Return what differs between the changes of two output folders.

    Raises
    ------
    DataError
        One of them has no changes.geojson, or it is not JSON.
    """
    return compare_features(*(read_features(folder) for folder in (old, new)))


def read_features(folder: str | Path) -> list[dict[str, Any]]:
    """Return the features of the changes.geojson in a folder."""
    data = read_json(Path(folder) / "changes.geojson", "not an output folder of changedetect")
    return list(data.get("features") or [])


def compare_features(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Difference:
    """Return what differs between two lists of changes.

    One object keeps its `id` while the same looks tell of it; failing that it is known by its class, its place and
    its time.
    """
    pairs, lost, fresh = _match(old, new)
    altered = []
    for before, after in pairs:
        was = _altered(before["properties"], after["properties"])
        if was:
            altered.append({**_short(after), "was": was})
    return Difference(
        tuple(sorted((_short(item) for item in fresh), key=_by_confidence)),
        tuple(sorted((_short(item) for item in lost), key=_by_confidence)),
        tuple(sorted(altered, key=_by_confidence)),
        len(pairs) - len(altered),
    )


def _match(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> tuple[list[tuple[Mapping[str, Any], Mapping[str, Any]]], list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    known = {item["properties"]["id"]: item for item in new}
    pairs = [(item, known[item["properties"]["id"]]) for item in old if item["properties"]["id"] in known]
    done = {item["properties"]["id"] for item, _ in pairs}
    lost = [item for item in old if item["properties"]["id"] not in done]
    fresh = [item for item in new if item["properties"]["id"] not in done]
    shapes = {id(item): _outline(item) for item in (*lost, *fresh)}
    alike = sorted(
        (
            (-_shared(shapes[id(a)], shapes[id(b)]), i, j)
            for i, a in enumerate(lost)
            for j, b in enumerate(fresh)
            if a["properties"]["class"] == b["properties"]["class"] and _in_one_time(a["properties"], b["properties"])
        ),
    )
    used_old: set[int] = set()
    used_new: set[int] = set()
    for share, i, j in alike:
        if -share >= SAME_SHARE and i not in used_old and j not in used_new:
            used_old.add(i)
            used_new.add(j)
            pairs.append((lost[i], fresh[j]))
    return (
        pairs,
        [item for i, item in enumerate(lost) if i not in used_old],
        [item for j, item in enumerate(fresh) if j not in used_new],
    )


def _outline(feature: Mapping[str, Any]) -> BaseGeometry | None:
    return shape(feature["geometry"]) if feature.get("geometry") else None


def _shared(a: BaseGeometry | None, b: BaseGeometry | None) -> float:
    if a is None or b is None or not a.intersects(b):
        return 0.0
    return float(a.intersection(b).area / max(min(a.area, b.area), 1e-18))


def _in_one_time(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    (start_a, end_a), (start_b, end_b) = _span(a), _span(b)
    return (end_b is None or start_a <= end_b) and (end_a is None or start_b <= end_a)


def _span(properties: Mapping[str, Any]) -> tuple[datetime, datetime | None]:
    start = from_iso(properties["first_seen"])
    if start is None:
        raise ValueError("a change has no first_seen")
    return start, from_iso(properties.get("gone_by"))


def _altered(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    was = {name: before.get(name) for name in TOLD if before.get(name) != after.get(name)}
    for name, least in (
        ("confidence", _CONFIDENCE),
        ("area_m2", _AREA_SHARE * abs(before.get("area_m2") or 0.0)),
    ):
        one, other = before.get(name), after.get(name)
        if one is not None and other is not None and abs(one - other) > least:
            was[name] = one
    return was


def _short(feature: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties without the list of looks, and a point to look at."""
    outline = _outline(feature)
    told = {name: value for name, value in feature["properties"].items() if name != "looks"}
    point = None if outline is None else [round(value, 6) for value in outline.representative_point().coords[0]]
    return told | {"lon_lat": point}


def _by_confidence(properties: Mapping[str, Any]) -> tuple[float, str]:
    return -float(properties.get("confidence") or 0.0), str(properties.get("id"))

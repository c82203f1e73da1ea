"""The result in words: what appeared, where, between which dates, how sure; and what could not be seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from changedetect.core.aoi import STRUCTURES
from changedetect.core.times import from_iso

PLURALS = {
    "trench": "trenches",
    "hut": "huts",
    "vessel": "ships",
    "equipment": "groups of equipment",
    "aircraft": "aircraft",
    "crowd": "crowds",
    "other": "other changes",
}
SINGULARS = PLURALS | {
    "trench": "trench",
    "hut": "hut",
    "vessel": "ship",
    "equipment": "group of equipment",
    "crowd": "crowd",
    "other": "other change",
}

_MIDDLE = 0.22
"""Within this share of the place's half width from its middle a change lies in the middle."""

_MOST_NAMED = 6
"""Dates or scenes that are listed one by one; beyond that their number says more."""


def sector(x: float, y: float, size: tuple[float, float]) -> str:
    """Return in which part of the place the point (x, y), metres from its lower left corner, lies."""
    east, north = x / size[0] * 2 - 1, y / size[1] * 2 - 1
    if max(abs(east), abs(north)) < _MIDDLE:
        return "middle"
    steep, flat = abs(north) > 2.4 * abs(east), abs(east) > 2.4 * abs(north)
    parts = ("" if flat else ("north" if north > 0 else "south"), "" if steep else ("east" if east > 0 else "west"))
    return "-".join(filter(None, parts))


def found(changes: Sequence[Mapping[str, Any]], summary: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    """Return what was found as sentences: built things by class and status, what comes and goes by days.

    Each is `{"text": ..., "zone": ...}`, zone None where it speaks of the whole place. `changes` have the properties of
    changes.geojson and `where`, the zone or part of the place.
    """
    sentences: list[dict[str, Any]] = []
    for kind in SINGULARS:
        mine = [change for change in changes if change["class"] == kind]
        if kind in STRUCTURES:
            for status in ("appeared", "modified", "disappeared"):
                same = [change for change in mine if change["status"] == status]
                if same:
                    sentences.append({"text": _built(kind, status, same), "zone": None})
        sentences += [
            _counted(entry, mine, place)
            for entry in summary.get("zones", [])
            if entry["class"] == kind and (kind not in STRUCTURES or not entry["n_changes"])
        ]
    return sentences or [{"text": "Nothing that was looked for changed where the place could be seen.", "zone": None}]


def _built(kind: str, status: str, changes: Sequence[Mapping[str, Any]]) -> str:
    n = len(changes)
    what = f"{n} {PLURALS[kind] if n > 1 else SINGULARS[kind]} {status if status != 'modified' else _were(n)}"
    where = _listed(_by_number(change["where"] for change in changes))
    firsts = sorted({change["first_seen"][:10] for change in changes if change["first_seen"]})
    before = sorted({change["absent_until"][:10] for change in changes if change["absent_until"]})
    seen = f"first seen {_span(firsts)}" if firsts else "never seen well enough to be dated"
    still = "as before" if status == "modified" else "still there" if status == "disappeared" else "without"
    clear = f", last seen {still} {_span(before)}" if before else ""
    return f"{what} ({where}): {seen}{clear}; {_sure(changes)}."


def _were(n: int) -> str:
    return "were modified" if n > 1 else "was modified"


def _counted(entry: Mapping[str, Any], changes: Sequence[Mapping[str, Any]], place: str) -> dict[str, Any]:
    zone = None if entry["zone"] == place else str(entry["zone"])
    sentence = str(entry["headline"]).removeprefix(f"{zone}: ")
    own = [change for change in changes if entry["zone"] in (place, change["zone"])]
    sure = f"; {_sure(own)}" if own else ""
    return {"text": f"{sentence[0].upper()}{sentence[1:]}{sure}.", "zone": zone}


def _sure(changes: Iterable[Mapping[str, Any]]) -> str:
    values = sorted(change["confidence"] for change in changes if change["confidence"] is not None)
    if not values:
        return "no confidence stated"
    low, high = f"{values[0]:.2f}", f"{values[-1]:.2f}"
    return f"confidence {low}" if low == high else f"confidence {low} to {high}"


def unseen(
    scenes: Sequence[Mapping[str, Any]], statuses: Mapping[str, str], never: float | None, area_km2: float
) -> list[str]:
    """Return what could not be seen as sentences.

    Parameters
    ----------
    statuses : mapping
        clear, partial or obscured of each scene, by id, for the whole place.
    never : float or None
        Share of the place that is clear on no look after the baseline.
    """
    sentences = []
    unused = [scene for scene in scenes if not scene["used"]]
    hidden = [s for s in scenes if s["used"] and statuses.get(s["id"]) == "obscured"]
    partly = [s for s in scenes if s["used"] and statuses.get(s["id"]) == "partial"]
    if unused:
        reasons = _listed(_by_number(str(scene["reason"]).split(":")[0] for scene in unused))
        sentences.append(f"{_of(unused, scenes)} could not be used ({reasons}): {_dates(unused)}.")
    if hidden:
        sentences.append(f"{_of(hidden, scenes)} show next to nothing of the place: {_dates(hidden)}.")
    if partly:
        sentences.append(f"{_of(partly, scenes)} show part of the place: {_dates(partly)}.")
    gap = _longest_gap([s for s in scenes if s["used"] and statuses.get(s["id"]) == "clear"])
    if gap:
        sentences.append(gap)
    if never is not None and never >= 0.0005:
        sentences.append(
            f"{never:.1%} of the place ({never * area_km2:.2g} km²) is clear on no look after the baseline."
        )
    return sentences or ["Every look shows the whole place; between looks nothing is known."]


def _of(some: Sequence[Any], scenes: Sequence[Any]) -> str:
    return f"{len(some)} of {len(scenes)} looks"


def _dates(scenes: Sequence[Mapping[str, Any]]) -> str:
    days = sorted({scene["datetime"][:10] for scene in scenes})
    return ", ".join(days) if len(days) <= _MOST_NAMED else f"between {days[0]} and {days[-1]}"


def _longest_gap(clear: Sequence[Mapping[str, Any]]) -> str | None:
    times: list[datetime] = sorted(time for time in (from_iso(scene["datetime"]) for scene in clear) if time)
    gaps = [(later - earlier, earlier, later) for earlier, later in pairwise(times)]
    if not gaps:
        return None
    length, earlier, later = max(gaps)
    return (
        f"The longest time without a look that shows the whole place is {length.days} days, "
        f"{earlier:%Y-%m-%d} to {later:%Y-%m-%d}: what came and went between two looks is not known."
    )


def _span(days: Sequence[str]) -> str:
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


def _by_number(items: Iterable[str]) -> list[str]:
    counts: dict[str, int] = {}
    for item in items:
        counts[item] = counts.get(item, 0) + 1
    ranked = sorted(counts, key=lambda item: -counts[item])
    return [f"{item} {counts[item]}" if len(counts) > 1 else item for item in ranked]


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items)

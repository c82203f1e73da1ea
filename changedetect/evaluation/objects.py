"""Recall, precision, class, status and dating of changes against true objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from statistics import median
from typing import TYPE_CHECKING, Any

from changedetect.core.aoi import TARGETS
from changedetect.core.times import from_iso
from changedetect.evaluation.stats import poisson_upper, share

if TYPE_CHECKING:
    from changedetect.evaluation.match import Match
    from changedetect.evaluation.read import Outputs, Truth


def score_classes(outputs: Outputs, truth: Truth, matched: Match) -> dict[str, Any]:
    """Return recall, precision and class accuracy, overall and per class, and the confusion of found objects."""
    true_class, said = list(truth.objects["class"]), list(outputs.changes.get("class", []))
    result: dict[str, Any] = {
        "overall": {
            "n_truth": len(true_class),
            "recall": share(sum(i in matched.found for i in matched.observable), len(matched.observable)),
            "precision": share(len(matched.on_truth), len(said)),
        },
        "classes": {},
    }
    _add_f1(result["overall"])
    if "class" in truth.missing:
        return result
    right = [i for i, j in matched.found.items() if said[j] == true_class[i]]
    result["overall"]["class_accuracy"] = share(len(right), len(matched.found))
    for kind in _ordered({*true_class, *said}):
        mine = [i for i in matched.observable if true_class[i] == kind]
        found = [i for i in matched.found if true_class[i] == kind]
        called = [j for j, name in enumerate(said) if name == kind]
        result["classes"][kind] = {
            "n_truth": true_class.count(kind),
            "recall": share(sum(i in matched.found for i in mine), len(mine)),
            "precision": share(sum(j in matched.on_truth for j in called), len(called)),
            "class_accuracy": share(sum(i in right for i in found), len(found)),
        }
        _add_f1(result["classes"][kind])
    pairs = Counter((true_class[i] or "unnamed", said[j]) for i, j in matched.found.items())
    result["confusion"] = [{"truth": a, "called": b, "n": n} for (a, b), n in sorted(pairs.items())]
    return result


def _add_f1(part: dict[str, Any]) -> None:
    """Add the harmonic mean of recall and precision, None where either is unknown."""
    recall, precision = part["recall"]["share"], part["precision"]["share"]
    known = recall is not None and precision is not None and recall + precision > 0
    part["f1"] = round(2 * recall * precision / (recall + precision), 4) if known else None


def score_false_alarms(outputs: Outputs, matched: Match) -> dict[str, Any]:
    """Return changes on no object: what they are called, and per square kilometre with the exact Poisson bound.

    `seen_km2` is the part of the area that the clearest look after the baseline shows: what rates of many runs may be
    added up over.
    """
    changes = outputs.changes.to_dict("records")
    false = [change for j, change in enumerate(changes) if j not in matched.on_truth]
    n, kinds = len(false), Counter((str(c.get("class")), str(c.get("status"))) for c in false)
    result: dict[str, Any] = {
        "n": n,
        "kinds": [{"class": a, "status": b, "n": m} for (a, b), m in sorted(kinds.items())],
    }
    result |= {"area_km2": None, "seen_km2": None, "per_km2": None, "per_km2_upper": None}
    if outputs.area is not None and outputs.area.area > 0:
        km2 = outputs.area.area / 1e6
        looks = [scene for scene in outputs.scenes if scene.get("used") and not scene.get("baseline")]
        clear = max((float(scene.get("clear_fraction") or 0.0) for scene in looks), default=0.0)
        result |= {"area_km2": round(km2, 6), "seen_km2": round(km2 * min(clear, 1.0), 6), "per_km2": round(n / km2, 3)}
        result |= {"per_km2_upper": round(poisson_upper(n) / km2, 3), "n_looks": len(looks)}
        result["per_km2_and_look"] = round(n / km2 / len(looks), 4) if looks else None
    return result


def score_status(outputs: Outputs, truth: Truth, matched: Match) -> dict[str, Any]:
    """Return the share of found objects whose status is right."""
    said, true = list(outputs.changes.get("status", [])), list(truth.objects["status"])
    told = [(said[j], true[i]) for i, j in matched.found.items() if true[i] is not None]
    return share(sum(a == b for a, b in told), len(told))


def score_dating(outputs: Outputs, truth: Truth, matched: Match) -> dict[str, Any]:
    """Return the shares of found objects whose true start and end lie in the intervals given for them.

    Start: in (absent_until, first_seen]. End: in (last_seen, gone_by]; without a `gone_by` the object must last, or
    no look after its end may have been able to tell.
    """
    objects, changes = truth.objects.to_dict("records"), outputs.changes.to_dict("records")
    starts: dict[Any, list[bool]] = {}
    ends: dict[Any, list[bool]] = {}
    widths = []
    for i, j in matched.found.items():
        item, change = objects[i], changes[j]
        if item["start"] is not None:
            starts.setdefault(item["class"], []).append(_start_is_right(item, change))
            if change["absent_until"] is not None:
                widths.append((change["first_seen"] - change["absent_until"]).total_seconds() / 86400)
        if item["start"] is not None or item["end"] is not None:
            ends.setdefault(item["class"], []).append(_end_is_right(item, change))
    kinds = _ordered({*starts, *ends})
    return {
        "start": _share_of([right for part in starts.values() for right in part]),
        "end": _share_of([right for part in ends.values() for right in part]),
        "start_interval_days_median": round(median(widths), 3) if widths else None,
        "classes": {
            kind: {"start": _share_of(starts.get(kind, [])), "end": _share_of(ends.get(kind, []))} for kind in kinds
        },
    }


def _share_of(answers: list[bool]) -> dict[str, Any]:
    return share(sum(answers), len(answers))


def _start_is_right(item: dict[str, Any], change: dict[str, Any]) -> bool:
    late_enough = change["absent_until"] is None or change["absent_until"] < item["start"]
    return bool(late_enough and item["start"] <= change["first_seen"])


def _end_is_right(item: dict[str, Any], change: dict[str, Any]) -> bool:
    end, gone_by = item["end"], change["gone_by"]
    if end is None:
        return gone_by is None
    if gone_by is not None:
        return bool(change["last_seen"] < end <= gone_by)
    after = [state for time, state in change.get("looks") or () if (from_iso(time) or end) >= end]
    return bool(change["last_seen"] < end and all(state == "unclear" for state in after))


def _ordered(names: Iterable[Any]) -> list[str]:
    named = {name for name in names if isinstance(name, str)}
    return [name for name in TARGETS if name in named] + sorted(named - set(TARGETS))

"""Whether areas, lengths and widths are right: the middle of said over true, for objects large enough to measure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from changedetect.evaluation.stats import middle

if TYPE_CHECKING:
    from changedetect.evaluation.match import EvaluateParams, Match
    from changedetect.evaluation.read import Outputs, Truth

ACROSS = {"area_m2": "width_m", "length_m": "length_m", "width_m": "width_m"}
"""Each size, and the true one that must span `measurable_px` pixels for it to be asked."""


def score_sizes(outputs: Outputs, truth: Truth, matched: Match, params: EvaluateParams) -> list[dict[str, Any]]:
    """Return per class and size the median of said over true, its 95 % interval, and the single ratios.

    Asked only where one change lies on one object alone and is called by its class: pieces and mergers are errors of
    another kind. The true sizes are those the truth states; its outline gives the area where it states none.
    """
    ratios: dict[tuple[str, str], list[float]] = {}
    objects, changes = truth.objects.to_dict("records"), outputs.changes.to_dict("records")
    for i, j in _one_to_one(matched):
        item, change = objects[i], changes[j]
        if item["class"] != change.get("class"):
            continue
        true = {name: _number(item.get(name)) for name in ACROSS}
        true["area_m2"] = true["area_m2"] or item["geometry"].area
        for name, across in ACROSS.items():
            said, size, span = _number(change.get(name)), true[name], true[across]
            if said and size and span and span >= params.measurable_px * change["gsd_m"]:
                ratios.setdefault((item["class"], name), []).append(round(said / size, 4))
    return [
        {"class": kind, "size": name, **middle(values), "ratios": values}
        for (kind, name), values in sorted(ratios.items(), key=lambda entry: (entry[0][0] or "", entry[0][1]))
    ]


def _one_to_one(matched: Match) -> list[tuple[int, int]]:
    owners = Counter(j for changes in matched.by_object.values() for j in changes)
    return [(i, j) for i, j in sorted(matched.found.items()) if len(matched.by_object[i]) == 1 and owners[j] == 1]


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value == value else None

"""How well groups are counted, each on its own: the count of a detection, and whether its interval holds the truth."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Any

from changedetect.evaluation.match import tolerance_of
from changedetect.evaluation.stats import share

if TYPE_CHECKING:
    from datetime import datetime

    from changedetect.evaluation.match import EvaluateParams
    from changedetect.evaluation.read import Outputs, Truth


def score_groups(outputs: Outputs, truth: Truth, params: EvaluateParams) -> list[dict[str, Any]] | None:
    """Return per class how detections count what stands there, look by look; None where nothing is told.

    Detections and true objects of one class and look that touch are compared together: their counts and the ends of
    their intervals are added up, so that a group cut in two or two groups in one outline are no error of counting.
    """
    if outputs.detections.empty or "count" not in truth.objects:
        return None
    pairs: dict[str, list[dict[str, float]]] = defaultdict(list)
    standing = [item for item in truth.objects.to_dict("records") if _told(item.get("count"))]
    for (moment, kind), group in outputs.detections.groupby(["acquired", "class"], sort=True):
        said = [row for row in group.to_dict("records") if _told(row["count"])]
        there = [item for item in standing if item["class"] == kind and _stands(item, moment)]
        pairs[kind] += _compare(said, there, params)
    return [_summarize(kind, rows, params) for kind, rows in sorted(pairs.items()) if rows] or None


def _compare(said: list[dict[str, Any]], there: list[dict[str, Any]], params: EvaluateParams) -> list[dict[str, float]]:
    """Return said and true counts of every cluster of detections and objects that touch."""
    clusters: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]] = [([row], []) for row in said]
    for item in there:
        touched = [c for c in clusters if any(_touch(row, item, params) for row in c[0])]
        if touched:
            merged = ([row for c in touched for row in c[0]], [*(i for c in touched for i in c[1]), item])
            clusters = [c for c in clusters if c not in touched] + [merged]
    return [
        {
            "said": sum(float(row["count"]) for row in rows),
            "low": sum(float(row["count_low"] if _told(row["count_low"]) else row["count"]) for row in rows),
            "high": sum(float(row["count_high"] if _told(row["count_high"]) else row["count"]) for row in rows),
            "true": float(sum(float(item["count"]) for item in items)),
        }
        for rows, items in clusters
        if items
    ]


def _touch(row: dict[str, Any], item: dict[str, Any], params: EvaluateParams) -> bool:
    near = item["geometry"].buffer(tolerance_of(row["gsd_m"] or 0.0, params))
    return bool(row["geometry"].intersection(near).area >= params.min_share * row["geometry"].area)


def _summarize(kind: str, rows: list[dict[str, float]], params: EvaluateParams) -> dict[str, Any]:
    errors = [row["said"] / row["true"] - 1 for row in rows]
    close = sum(abs(error) <= params.count_error for error in errors)
    held = sum(row["low"] <= row["true"] <= row["high"] for row in rows)
    return {
        "class": kind,
        "n": len(rows),
        "close": share(close, len(rows)),
        "interval_holds": share(held, len(rows)),
        "median_relative_error": round(median(errors), 4),
    }


def _stands(item: dict[str, Any], moment: datetime) -> bool:
    return (item["start"] is None or item["start"] <= moment) and (item["end"] is None or moment < item["end"])


def _told(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == value and value > 0

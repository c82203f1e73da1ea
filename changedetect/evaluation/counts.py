"""Counts per look and zone, days present, and unseen places called empty, against the true activity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from changedetect.core.aoi import PRESENCES
from changedetect.evaluation.stats import share

if TYPE_CHECKING:
    from changedetect.evaluation.match import EvaluateParams

_KEY = ["datetime", "zone", "class"]


def join_activity(said: pd.DataFrame, true: pd.DataFrame) -> pd.DataFrame:
    """Return the rows both have: one per look, zone and class, with `count`, `true_count` and `hidden_fraction`."""
    left = said.drop_duplicates(_KEY)
    right = true.drop_duplicates(_KEY)[[*_KEY, "count", "hidden_fraction"]].rename(columns={"count": "true_count"})
    both = left.merge(right, on=_KEY, how="inner", validate="one_to_one")
    both["count"] = pd.to_numeric(both["count"])
    return both


def score_counting(both: pd.DataFrame, params: EvaluateParams) -> list[dict[str, Any]]:
    """Return per zone and class how well items are counted on clear looks: exact share, close ones, errors.

    `close` is asked of looks with something there: the share of counts within `count_error` of the truth.
    """
    rows = []
    for (zone, kind), group in both[both["status"] == "clear"].groupby(["zone", "class"], sort=True):
        error = group["count"] - group["true_count"]
        there = group["true_count"] > 0
        off = error[there].abs() / group.loc[there, "true_count"]
        relative = off.median() if there.any() else None
        rows.append(
            {
                "zone": zone,
                "class": kind,
                "exact": share(int((error == 0).sum()), len(group)),
                "close": share(int((off <= params.count_error).sum()), int(there.sum())),
                "mean_absolute_error": round(float(error.abs().mean()), 3),
                "mean_error": round(float(error.mean()), 3),
                "median_relative_error": None if relative is None else round(float(relative), 3),
            }
        )
    return rows


def score_days(both: pd.DataFrame) -> list[dict[str, Any]]:
    """Return per zone and class of what comes and goes the days present: right, missed, false, and not seen.

    A day is a UTC date with at least one look that was not obscured; it is present if any of its looks is.
    """
    rows = []
    for (zone, kind), group in both[both["class"].isin(PRESENCES)].groupby(["zone", "class"], sort=True):
        day = group["datetime"].dt.date
        seen = group["status"] != "obscured"
        said = set(day[seen & (group["count"] > 0)])
        true_seen, true_all = set(day[seen & (group["true_count"] > 0)]), set(day[group["true_count"] > 0])
        rows.append(
            {
                "zone": zone,
                "class": kind,
                "days_looked_at": len(set(day)),
                "days_seen": len(set(day[seen])),
                "days_present": len(true_all),
                "said_present": len(said),
                "right": len(said & true_seen),
                "missed": len(true_seen - said),
                "false": len(said - true_seen),
                "not_seen": len(true_all - set(day[seen])),
            }
        )
    return rows


def score_unseen(both: pd.DataFrame, params: EvaluateParams) -> dict[str, Any]:
    """Return how many rows call a hidden place seen (clear or partial), clear, and seen and empty."""
    hidden = both[both["hidden_fraction"] > params.hidden]
    wrong = hidden[hidden["status"] != "obscured"]
    return {
        "n_hidden": len(hidden),
        "called_seen": len(wrong),
        "called_clear": int((wrong["status"] == "clear").sum()),
        "called_empty": int((wrong["count"] == 0).sum()),
        "empty_but_occupied": int(((wrong["count"] == 0) & (wrong["true_count"] > 0)).sum()),
    }

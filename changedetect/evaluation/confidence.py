"""Whether confidence means what it says: of changes called 80 % sure, 80 % should be right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changedetect.evaluation.match import Match
    from changedetect.evaluation.read import Outputs, Truth

DECILES = 10


def score_confidence(outputs: Outputs, truth: Truth, matched: Match) -> dict[str, Any] | None:
    """Return the reliability of the stated confidence; None where no change states any.

    A change is right if it lies on a true object and, where the truth names classes, is called by its class.
    """
    stated = [float("nan") if value is None else float(value) for value in outputs.changes.get("confidence", [])]
    if not np.isfinite(stated).any():
        return None
    said, true = list(outputs.changes.get("class", [])), list(truth.objects["class"])
    named = "class" not in truth.missing
    on_object = [j in matched.on_truth for j in range(len(stated))]
    right = [on and (not named or said[j] == true[matched.on_truth[j]]) for j, on in enumerate(on_object)]
    kept = [j for j, value in enumerate(stated) if np.isfinite(value)]
    return reliability([stated[j] for j in kept], [right[j] for j in kept], [on_object[j] for j in kept])


def reliability(stated: Sequence[float], right: Sequence[bool], on_object: Sequence[bool]) -> dict[str, Any]:
    """Return counts per decile of the stated confidence, and the reliability error over them.

    Notes
    -----
    error = sum over deciles of n_k / n |mean confidence - share right|, the expected calibration error; also with
    `on_object`, what lies on any true object, for `right`.

    References
    ----------
    Naeini, Cooper and Hauskrecht, AAAI 2015: Obtaining well calibrated probabilities using Bayesian binning.
    """
    bins = np.clip((np.asarray(stated) * DECILES).astype(int), 0, DECILES - 1)
    rows = []
    for k in range(DECILES):
        here = bins == k
        rows.append(
            {
                "low": k / DECILES,
                "high": (k + 1) / DECILES,
                "n": int(here.sum()),
                "sum_confidence": round(float(np.asarray(stated)[here].sum()), 4),
                "right": int(np.asarray(right, bool)[here].sum()),
                "on_object": int(np.asarray(on_object, bool)[here].sum()),
            }
        )
    return summarize_deciles(rows)


def summarize_deciles(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the reliability of counts per decile, of one run or added up over many."""
    n = sum(row["n"] for row in rows)

    def error(key: str) -> float | None:
        return round(sum(abs(row["sum_confidence"] - row[key]) for row in rows) / n, 4) if n else None

    return {"n": n, "error": error("right"), "error_on_object": error("on_object"), "deciles": list(rows)}

"""Outputs against truth, with intervals; parts that the truth does not tell are named, not guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from changedetect.evaluation.confidence import score_confidence
from changedetect.evaluation.counts import join_activity, score_counting, score_days, score_unseen
from changedetect.evaluation.groups import score_groups
from changedetect.evaluation.match import EvaluateParams, match
from changedetect.evaluation.objects import score_classes, score_dating, score_false_alarms, score_status
from changedetect.evaluation.pixels import is_mask, score_pixels
from changedetect.evaluation.read import Outputs, Truth, read_outputs, read_truth
from changedetect.evaluation.shifts import score_shifts
from changedetect.evaluation.sizes import score_sizes

_NEEDS = {
    "class": "recall and precision per class, and class accuracy: no `class` in the truth",
    "status": "status: no `status` in the truth",
    "start": "dating: no `start` in the truth",
}


def evaluate(out_dir: str | Path, truth_path: str | Path, params: EvaluateParams | None = None) -> dict[str, Any]:
    """Return how the outputs of a run compare with truth, as plain data.

    Parameters
    ----------
    out_dir : path
        A folder written by `run`.
    truth_path : path
        Polygons in any vector format, with optional properties class, status, start, end, zone, count, area_m2,
        length_m, width_m; GeoJSON may carry
        the foreign members `activity` (rows of datetime, zone, class, count, hidden_fraction) and `registration`
        (rows of scene_id, dx_m, dy_m: the shift that brings a scene onto the first one at the area's middle).
        Or a georeferenced raster, not 0 where changed and nodata where not labelled: then pixels are compared.

    Raises
    ------
    DataError
        One of them cannot be read.
    """
    params = params or EvaluateParams()
    outputs = read_outputs(out_dir)
    if is_mask(truth_path):
        return _evaluate_mask(outputs, out_dir, truth_path)
    truth = read_truth(truth_path, outputs)
    matched = match(outputs, truth, params)
    dated = not {"start", "end"} <= set(truth.missing)
    result: dict[str, Any] = {
        "out_dir": str(out_dir),
        "truth": str(truth_path),
        "simulated": outputs.simulated,
        "n_changes": len(outputs.changes),
        "n_explained": outputs.n_explained,
        "n_observable": len(matched.observable),
        **score_classes(outputs, truth, matched),
        "false_alarms": score_false_alarms(outputs, matched),
        "status": None if "status" in truth.missing else score_status(outputs, truth, matched),
        "dating": score_dating(outputs, truth, matched) if dated else None,
        "confidence": score_confidence(outputs, truth, matched),
        "sizes": score_sizes(outputs, truth, matched, params),
        "groups": score_groups(outputs, truth, params),
        "registration": score_shifts(outputs, truth),
        **_score_activity(outputs, truth, params),
    }
    return result | {"not_evaluated": _not_evaluated(outputs, truth)}


def _evaluate_mask(outputs: Outputs, out_dir: str | Path, truth_path: str | Path) -> dict[str, Any]:
    return {
        "out_dir": str(out_dir),
        "truth": str(truth_path),
        "simulated": outputs.simulated,
        "n_changes": len(outputs.changes),
        "n_explained": outputs.n_explained,
        "pixels": score_pixels(outputs, truth_path),
        "not_evaluated": ["objects, classes, dates and counts: the truth is a mask of pixels"],
    }


def _score_activity(outputs: Outputs, truth: Truth, params: EvaluateParams) -> dict[str, Any]:
    if truth.activity is None or outputs.activity.empty:
        return {"counting": None, "days": None, "unseen_as_empty": None}
    both = join_activity(outputs.activity, truth.activity)
    told = both["hidden_fraction"].notna().any()
    return {
        "counting": score_counting(both, params),
        "days": score_days(both),
        "unseen_as_empty": score_unseen(both, params) if told else None,
    }


def _not_evaluated(outputs: Outputs, truth: Truth) -> list[str]:
    empty = truth.objects.empty
    reasons = [text for name, text in _NEEDS.items() if name in truth.missing and not empty]
    if empty:
        reasons.append("recall: no true object lies in the area worked on")
    if outputs.area is None:
        reasons.append("false alarms per km2: run.json does not tell the area")
    if truth.activity is None:
        reasons.append("counting and days present: no `activity` in the truth")
    elif truth.activity["hidden_fraction"].isna().all():
        reasons.append("unseen places called empty: no `hidden_fraction` in the truth's activity")
    if truth.shifts is None:
        reasons.append("registration: no `registration` in the truth")
    return reasons

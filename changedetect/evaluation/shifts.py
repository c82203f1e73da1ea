"""Registration against true shifts: the error at the middle of the area, and whether the stated CE90 holds it."""

from __future__ import annotations

from math import hypot
from statistics import median
from typing import TYPE_CHECKING, Any

from changedetect.evaluation.read import origin_of
from changedetect.evaluation.stats import share

if TYPE_CHECKING:
    from changedetect.evaluation.read import Outputs, Truth


def score_shifts(outputs: Outputs, truth: Truth) -> dict[str, Any] | None:
    """Return the error of the shifts that were applied, metres; None where the truth tells no shift.

    The truth's are relative to any common reference: the one of the run's own reference scene is taken off.
    """
    if truth.shifts is None:
        return None
    by_scene = {scene["id"]: scene for scene in outputs.scenes if scene["id"] in truth.shifts}
    origin = origin_of(outputs.scenes, truth.shifts)
    rows = []
    for key, scene in by_scene.items():
        if _status(scene) != "ok":
            continue
        found, (east, north) = scene["registration"], truth.shifts[key]
        error = hypot(found["dx_m"] - (east - origin[0]), found["dy_m"] - (north - origin[1]))
        rows.append((error, found["ce90_m"]))
    errors = [error for error, _ in rows]
    stated = [(error, ce90) for error, ce90 in rows if ce90 is not None]
    return {
        "n": len(rows),
        "abstained": sum(_status(scene) == "abstained" for scene in by_scene.values()),
        "median_error_m": round(median(errors), 4) if errors else None,
        "largest_error_m": round(max(errors), 4) if errors else None,
        "within_ce90": share(sum(error <= ce90 for error, ce90 in stated), len(stated)),
    }


def _status(scene: dict[str, Any]) -> str | None:
    return (scene.get("registration") or {}).get("status")

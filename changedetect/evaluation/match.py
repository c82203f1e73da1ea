"""Which changes lie on which true objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from shapely import union_all

from changedetect.core.aoi import PRESENCES
from changedetect.core.times import from_iso

if TYPE_CHECKING:
    import pandas as pd
    from shapely.geometry.base import BaseGeometry

    from changedetect.evaluation.read import Outputs, Truth


@dataclass(frozen=True, slots=True)
class EvaluateParams:
    """When a true object counts as found."""

    tolerance_m: Annotated[float, Field(ge=0, le=1000)] = 2.0
    """Least distance within which a change counts as on an object: the error of outlines drawn at 0.5 m."""
    tolerance_px: Annotated[float, Field(ge=0, le=10)] = 1.5
    """The same in pixels of the compared images, for coarse ones: half a pixel of outline, one of registration."""
    min_share: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Share of a change that must be on the object, and share of the object that such changes must cover."""
    min_clear: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Clear share of the zone from which a look would rather have shown an object than not."""
    hidden: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Hidden share of a zone beyond which calling it seen and empty is an error."""
    measurable_px: Annotated[float, Field(ge=1, le=1000)] = 5.0
    """True size from which outlines are asked to be right: below, a pixel more or less is a fifth and more."""
    count_error: Annotated[float, Field(gt=0, le=10)] = 0.25
    """Relative error up to which the count of a group is close enough."""


@dataclass(frozen=True, slots=True)
class Match:
    """How true objects and changes fall together; indices are positions in their tables."""

    found: dict[int, int]
    """Found object: the change that covers most of it."""
    on_truth: dict[int, int]
    """Change on some object: the object it overlaps most."""
    observable: tuple[int, ...]
    """Objects that some used look could show."""
    by_object: dict[int, list[int]] = field(default_factory=dict)
    """Object: all changes on it."""


def match(outputs: Outputs, truth: Truth, params: EvaluateParams) -> Match:
    """Return which objects are found by which changes.

    Notes
    -----
    A change is on an object if at least `min_share` of its area is within the tolerance of it; what comes and goes
    must overlap in time too. An object is found if the changes on it cover at least `min_share` of it.
    """
    found: dict[int, int] = {}
    by_object: dict[int, list[int]] = {}
    overlaps: dict[int, dict[int, float]] = {}
    changes = outputs.changes.to_dict("records")
    for i, item in enumerate(truth.objects.to_dict("records")):
        near = _changes_near(item, outputs, params)
        on = [j for j in near if _is_on(changes[j], item, params)]
        if not on:
            continue
        by_object[i] = on
        area = {j: changes[j]["geometry"].intersection(item["geometry"]).area for j in on}
        for j in on:
            overlaps.setdefault(j, {})[i] = area[j]
        covered = union_all([changes[j]["geometry"] for j in on]).intersection(item["geometry"]).area
        if covered >= params.min_share * item["geometry"].area:
            found[i] = max(on, key=lambda j: (area[j], -j))
    on_truth = {j: max(areas, key=lambda i: (areas[i], -i)) for j, areas in overlaps.items()}
    return Match(found, on_truth, _observable(outputs, truth, params), by_object)


def tolerance_of(gsd_m: float, params: EvaluateParams) -> float:
    """Return the distance within which a change counts as on an object, metres."""
    return max(params.tolerance_m, params.tolerance_px * gsd_m)


def _changes_near(item: dict[str, Any], outputs: Outputs, params: EvaluateParams) -> list[int]:
    if outputs.changes.empty:
        return []
    reach = tolerance_of(float(outputs.changes["gsd_m"].max()), params)
    hits = outputs.changes.sindex.query(item["geometry"].buffer(reach), predicate="intersects")
    return sorted(int(j) for j in hits if outputs.changes.geometry.iloc[int(j)].area > 0)


def _is_on(change: dict[str, Any], item: dict[str, Any], params: EvaluateParams) -> bool:
    if item["class"] in PRESENCES and not _overlap_in_time(change, item):
        return False
    grown: BaseGeometry = item["geometry"].buffer(tolerance_of(change["gsd_m"], params))
    return bool(change["geometry"].intersection(grown).area >= params.min_share * change["geometry"].area)


def _overlap_in_time(change: dict[str, Any], item: dict[str, Any]) -> bool:
    """Return whether [first_seen, last_seen] meets [start, end); what is not told does not separate."""
    starts_in_time = item["start"] is None or change["last_seen"] is None or change["last_seen"] >= item["start"]
    ends_in_time = item["end"] is None or change["first_seen"] is None or change["first_seen"] < item["end"]
    return starts_in_time and ends_in_time


def _observable(outputs: Outputs, truth: Truth, params: EvaluateParams) -> tuple[int, ...]:
    """Return the objects that stand on at least one used look after the baseline that shows their zone.

    A structure that stood on the first look already is no change, and not counted.
    """
    used = [scene for scene in outputs.scenes if scene.get("used") and scene.get("datetime")]
    looks = sorted((time, bool(s.get("baseline"))) for s in used if (time := from_iso(s["datetime"])) is not None)
    if not looks:
        return tuple(range(len(truth.objects)))
    baseline = [time for time, is_baseline in looks if is_baseline] or [looks[0][0]]
    clear = _clear_by_look(outputs.activity)
    kept = []
    for i, item in enumerate(truth.objects.to_dict("records")):
        before = item["start"] is not None and item["start"] <= looks[0][0]
        zone = item["zone"] or outputs.aoi_name
        times = [time for time, _ in looks if time > max(baseline) and _stands(item, time)]
        shown = [time for time in times if clear.get((time, zone), 1.0) >= params.min_clear]
        if shown and (item["class"] in PRESENCES or not before):
            kept.append(i)
    return tuple(kept)


def _stands(item: dict[str, Any], time: datetime) -> bool:
    return (item["start"] is None or item["start"] <= time) and (item["end"] is None or time < item["end"])


def _clear_by_look(activity: pd.DataFrame) -> dict[tuple[datetime, str], float]:
    columns = zip(activity["datetime"], activity["zone"], activity["clear_fraction"], strict=True)
    return {(time.to_pydatetime(), zone): float(clear) for time, zone, clear in columns}

"""Changes: dated objects out of the detections of a series."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

from changedetect.core.aoi import STRUCTURES
from changedetect.core.tables import CHANGE_COLUMNS, DETECTION_COLUMNS, geo_table, require_columns
from changedetect.errors import ChangeDetectError
from changedetect.series.link.observe import kept_limit, sample_pattern, strongest_part
from changedetect.series.link.tracks import Item, build_tracks, in_touch, judge

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    import geopandas as gpd

    from changedetect.core.aoi import Aoi
    from changedetect.core.results import Look
    from changedetect.series.link.params import LinkParams
    from changedetect.series.link.tracks import State, Track

GROWING = ("equipment", "trench")
"""Set up part by part, over days: the first part is less than a tenth of the whole."""


def link(
    detections: gpd.GeoDataFrame,
    looks: Sequence[Look],
    aoi: Aoi,
    params: LinkParams,
    *,
    baseline_ids: Collection[str] = (),
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Return (changes, detections): dated changes, and the detections with the `change_id` each belongs to.

    Parameters
    ----------
    detections : GeoDataFrame
        `DETECTION_COLUMNS`, in the looks' reference system, any order of rows.
    looks : sequence of Look
        All looks, used or not; put into time order here.
    baseline_ids : collection of str
        Scenes of the baseline: structures detected on them are dropped (they are what changes are measured against).

    Returns
    -------
    tuple of GeoDataFrame
        `CHANGE_COLUMNS`, sorted by first seen and identifier, and the linked detections in their own order, their
        `change_id` None where no change was believed. What lies on looks that were not used is dropped.

    Raises
    ------
    ChangeDetectError
        A detection of a scene that is not among the looks, or missing columns.

    Notes
    -----
    Structures link over all dates. Presences link only until a clear look shows them away. Per look a change is
    `present` (detected, or for structures and equipment still clearly in the score), `unclear` (not seen, or not
    decided), else `absent`. Before its first detection a change is never `present` by its score alone.

    Confidence: the best look's c grows with every other look that detects it, 1 - (1 - c) prod(1 - g c_i) with
    g = `persistence_gain`; for structures it is scaled by sqrt((n_seen + 1) / (n_clear + 1)); it never exceeds
    `max_confidence`.
    """
    require_columns(detections, DETECTION_COLUMNS, "detections")
    looks = sorted(looks, key=lambda look: (look.acquired, look.scene_id))
    kept = _usable(detections, looks, baseline_ids)
    items = [item for item in _items(kept, looks) if not _is_left_out(kept["flags"].iloc[item.row], params)]
    tracks = build_tracks(items, looks, params)
    by_look: list[list[Item]] = [[item for item in items if item.look == index] for index in range(len(looks))]
    table = kept.to_dict("records")
    records = [_record(track, table, looks, by_look, params) for track in tracks]
    believed = [i for i, record in enumerate(records) if _is_believed(record, params)]
    tracks, records = [tracks[i] for i in believed], [records[i] for i in believed]
    named = _with_ids(records, aoi, params)
    change_of = {item.row: record["id"] for track, record in zip(tracks, named, strict=True) for item in track.items}
    linked = kept.assign(change_id=[change_of.get(row) for row in range(len(kept))])
    linked["change_id"] = linked["change_id"].astype("object")
    rows = sorted(named, key=lambda record: (record["first_seen"], record["id"]))
    return geo_table(rows, CHANGE_COLUMNS, str(detections.crs)), linked


def _is_believed(record: dict[str, Any], params: LinkParams) -> bool:
    """Return whether a change is told: sure enough, and no structure that one look made and the next ones unmade."""
    passing = "seen_once" in record["flags"] and not params.keep_seen_once
    return not passing and record["confidence"] >= params.min_confidence


def _is_left_out(flags: Collection[str] | None, params: LinkParams) -> bool:
    return bool(set(flags or ()) & set(params.left_out_flags))


def _usable(detections: gpd.GeoDataFrame, looks: Sequence[Look], baseline_ids: Collection[str]) -> gpd.GeoDataFrame:
    used = {look.scene_id: look.used for look in looks}
    unknown = sorted(set(detections["scene_id"]) - set(used))
    if unknown:
        raise ChangeDetectError("detections of scenes that are not among the looks", found=unknown[:3])
    structure = detections["class"].isin(STRUCTURES) & detections["scene_id"].isin(list(baseline_ids))
    return detections[detections["scene_id"].map(used).astype(bool) & ~structure].copy()


def _items(detections: gpd.GeoDataFrame, looks: Sequence[Look]) -> list[Item]:
    position = {look.scene_id: index for index, look in enumerate(looks)}
    return [
        Item(
            row=row,
            look=position[record["scene_id"]],
            kind=record["class"],
            gone=record["status"] == "disappeared",
            geometry=record["geometry"],
            gsd_m=float(record["gsd_m"]),
            confidence=float(record["confidence"]),
            length_m=float(record["length_m"]),
            width_m=float(record["width_m"]),
            orientation_deg=float(record["orientation_deg"]),
            area_m2=float(record["area_m2"]),
        )
        for row, record in enumerate(detections.to_dict("records"))
    ]


def _record(
    track: Track, table: list[dict[str, Any]], looks: Sequence[Look], by_look: list[list[Item]], params: LinkParams
) -> dict[str, Any]:
    kind = _vote(track, "kind")
    states = _states(track, kind, looks, by_look, params)
    times = [look.acquired for look in looks]
    first = states.index("present")
    last = _last_present(states)
    absent = [time for time, state in zip(times, states, strict=True) if state == "absent"]
    before = [time for time in absent if time < times[first]]
    after = [time for time in absent if time > times[last]]
    n_seen = states.count("present")
    n_clear = sum(state != "unclear" for state in states[first:])
    best = table[track.best.row]
    rows = [table[item.row] for item in track.items]
    flags = {flag for row in rows for flag in (row["flags"] or ())}
    lasting = kind in STRUCTURES
    if lasting and n_seen == 1 and len(after) >= params.min_absent_once:
        flags.add("seen_once")
    return {
        "zone": best["zone"],
        "class": kind,
        "status": best["status"],
        "absent_until": before[-1] if before else None,
        "first_seen": times[first],
        "last_seen": times[last],
        "gone_by": after[0] if after else None,
        "n_seen": n_seen,
        "n_clear": n_clear,
        "count": best["count"],
        "looks": [(time, state) for time, state in zip(times, states, strict=True)],
        "score": max(float(row["score"]) for row in rows),
        "confidence": _confidence(track, n_seen, n_clear, lasting, params),
        **{name: float(best[name]) for name in ("area_m2", "length_m", "width_m", "orientation_deg")},
        "flags": tuple(sorted(flags)),
        "geometry": best["geometry"],
    }


def _vote(track: Track, attribute: str) -> str:
    weight: dict[str, float] = {}
    for item in track.items:
        value = getattr(item, attribute)
        weight[value] = weight.get(value, 0.0) + item.confidence
    return max(sorted(weight), key=lambda value: weight[value])


def _states(
    track: Track, kind: str, looks: Sequence[Look], by_look: list[list[Item]], params: LinkParams
) -> list[State]:
    """Return what each look says of a change of class `kind`; the outline nearest in time is looked for."""
    detected = {item.look: item for item in reversed(track.items)}
    patterns = {
        index: sample_pattern(item.geometry, looks[index], params.max_points) for index, item in detected.items()
    }
    lasting = track.first.kind in STRUCTURES
    states: list[State] = []
    for index, look in enumerate(looks):
        if index in detected:
            states.append("present")
            continue
        if kind in look.untold:
            states.append("unclear")
            continue
        near = track.best.look if lasting else min(detected, key=lambda at: (abs(at - index), at))
        pattern = patterns.get(near) or next(iter(patterns.values()))
        state = judge(detected.get(near, track.best), pattern, look, by_look[index], params)
        outside = index < track.first.look or (not lasting and index > track.last.look)
        # Without a detection the score alone neither begins a change nor brings a presence back.
        if (
            state == "present"
            and outside
            and not (
                _running_on(track, index, states)
                and in_touch(track.first.kind, _last_present(states), index, looks, params)
            )
        ):
            state = "unclear"
        if state == "absent" and index < track.first.look and track.first.kind in GROWING:
            begun = strongest_part(look, pattern, params.part_m) >= kept_limit(pattern, params)
            state = "unclear" if begun else state
        states.append(state)
    return states


def _running_on(track: Track, index: int, states: list[State]) -> bool:
    """Return whether a presence seen last on its final detection has not been absent since."""
    return index > track.last.look and "absent" not in states[track.last.look :]


def _last_present(states: list[State]) -> int:
    return len(states) - 1 - states[::-1].index("present")


def _confidence(track: Track, n_seen: int, n_clear: int, lasting: bool, params: LinkParams) -> float:
    best_per_look: dict[int, float] = {}
    for item in track.items:
        best_per_look[item.look] = max(best_per_look.get(item.look, 0.0), item.confidence)
    top, *others = sorted(best_per_look.values(), reverse=True)
    doubt = 1.0 - top
    for confidence in others:
        doubt *= 1.0 - params.persistence_gain * confidence
    support = math.sqrt((n_seen + 1) / (n_clear + 1)) if lasting else 1.0
    return min(params.max_confidence, max(0.0, (1.0 - doubt) * support))


def _with_ids(records: list[dict[str, Any]], aoi: Aoi, params: LinkParams) -> list[dict[str, Any]]:
    """Return the records with `id` and `aoi`; equal places and dates are told apart by their exact position."""

    def order(index: int) -> tuple[Any, ...]:
        centre = records[index]["geometry"].centroid
        return (records[index]["first_seen"], centre.x, centre.y, records[index]["area_m2"], records[index]["score"])

    used: dict[str, int] = {}
    named: list[dict[str, Any]] = [{} for _ in records]
    for index in sorted(range(len(records)), key=order):
        record = records[index]
        base = _hash(aoi.name, record["class"], record["geometry"].centroid, record["first_seen"], params.quantum_m)
        used[base] = used.get(base, 0) + 1
        name = base if used[base] == 1 else f"{base}-{used[base]}"
        named[index] = {"id": name, "aoi": aoi.name, **record}
    return named


def _hash(aoi: str, kind: str, centre: Any, first_seen: datetime, quantum_m: float) -> str:
    x, y = round(centre.x / quantum_m), round(centre.y / quantum_m)
    text = f"{aoi}|{kind}|{x}|{y}|{first_seen.isoformat(timespec='seconds')}"
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

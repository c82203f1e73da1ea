"""Activity: how many of each class were there on each date, in each zone, with how much of the zone was seen."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from affine import Affine
from pydantic import Field
from rasterio.features import geometry_mask

from changedetect.core.aoi import PRESENCES, STRUCTURES, TARGETS
from changedetect.core.quality import Quality, is_valid
from changedetect.core.tables import ACTIVITY_COLUMNS, table
from changedetect.core.times import to_iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    import geopandas as gpd
    import pandas as pd
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.aoi import Aoi
    from changedetect.core.grid import Grid
    from changedetect.core.results import Look

_MOST_ZONE_PX = 40_000_000
"""Zones of more pixels are told from a lattice of them."""

PLURALS = {"hut": "huts", "trench": "trenches", "vessel": "ships", "aircraft": "aircraft", "other": "other changes"}
PLURALS |= {"equipment": "items of equipment", "crowd": "people"}


@dataclass(frozen=True, slots=True)
class ActivityParams:
    """When a zone counts as seen, and what is counted."""

    min_clear: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    """Clear share of a zone from which its status is `clear` (fixed by the contract; lower it at your own risk)."""
    min_seen: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05
    """Clear share below which a zone is `obscured` and its count unknown."""
    min_water: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """Share of a zone from which the seen share of its water alone says how well vessels were seen."""
    uncounted_flags: tuple[str, ...] = ("explained_by_shadow", "explained_by_slope", "explained_by_lean")
    """Changes with one of these flags are listed but not counted: geometry explains them."""


@dataclass(frozen=True, slots=True, eq=False)
class _ZoneOnGrid:
    rows: slice
    cols: slice
    mask: NDArray[np.bool_]
    """True inside the zone, of the window's shape."""
    n_pixels: float
    """Pixels of the whole zone, those beyond the grid included."""


def count_activity(
    changes: gpd.GeoDataFrame,
    detections: gpd.GeoDataFrame,
    looks: Sequence[Look],
    aoi: Aoi,
    zones: gpd.GeoDataFrame,
    params: ActivityParams,
) -> pd.DataFrame:
    """Return `ACTIVITY_COLUMNS`: one row per look, zone (the AOI first) and class of that zone.

    Parameters
    ----------
    changes, detections : GeoDataFrame
        As `link` returns them.
    looks : sequence of Look
        All of them; one that was not used is `obscured`.
    zones : GeoDataFrame
        Columns name, targets, geometry, in the looks' reference system; the AOI is one of them.

    Notes
    -----
    A structure counts on a look whose state is `present`. A presence counts by the items of its detections on that
    look, or by its own count where only the score still shows it. What has disappeared is not counted as there. A
    zone is seen in the share of its pixels that are valid, with what lies beyond the grid as unseen; for vessels, of
    its water; for a class that the look's pixels are too coarse to tell, not at all, nor for presences on a look of the
    baseline that was compared with nothing: what stood there is unknown. A zone that is obscured has no count: an
    unseen place is unknown, not empty.
    """
    looks = sorted(looks, key=lambda look: (look.acquired, look.scene_id))
    present = _present_by_look(changes, detections, looks, params)
    order = [aoi.name, *(name for name in zones["name"] if name != aoi.name)]
    by_name = {row["name"]: row for row in zones.to_dict("records")}
    masks: dict[tuple[str, Grid], _ZoneOnGrid | None] = {}
    rows: list[dict[str, Any]] = []
    for index, look in enumerate(looks):
        for name in order:
            zone = by_name[name]
            key = (name, look.grid)
            if key not in masks:
                masks[key] = _zone_on_grid(zone["geometry"], look.grid)
            here = [item for item in present[index] if item["point"].intersects(zone["geometry"])]
            kinds = [target for target in TARGETS if target in zone["targets"]]
            rows += [
                _row(look, aoi, name, kind, _clear_fraction(look, masks[key], kind, params), here, params)
                for kind in kinds
            ]
    return table(rows, ACTIVITY_COLUMNS)


def _row(
    look: Look,
    aoi: Aoi,
    zone: str,
    kind: str,
    clear_fraction: float,
    here: list[dict[str, Any]],
    params: ActivityParams,
) -> dict[str, Any]:
    status = "clear" if clear_fraction >= params.min_clear else "partial"
    status = "obscured" if clear_fraction < params.min_seen else status
    mine = [item for item in here if item["class"] == kind]
    unseen = status == "obscured"
    return {
        "datetime": look.acquired,
        "aoi": aoi.name,
        "zone": zone,
        "class": kind,
        "count": None if unseen else sum(item["count"] for item in mine),
        "area_m2": float("nan") if unseen else float(sum(item["area_m2"] for item in mine)),
        "status": status,
        "clear_fraction": clear_fraction,
        "scene_id": look.scene_id,
    }


def _present_by_look(
    changes: gpd.GeoDataFrame, detections: gpd.GeoDataFrame, looks: Sequence[Look], params: ActivityParams
) -> list[list[dict[str, Any]]]:
    """Return for each look what is there: class, representative point, items and area of each change."""
    detected: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in detections.to_dict("records"):
        detected.setdefault((record["change_id"], record["scene_id"]), []).append(record)
    present: list[list[dict[str, Any]]] = [[] for _ in looks]
    for change in changes.to_dict("records"):
        explained = set(change["flags"] or ()) & set(params.uncounted_flags)
        gone = change["status"] == "disappeared" and change["class"] != "other"
        for index, (_, state) in enumerate(change["looks"]):
            if state == "present" and not explained and not gone:
                mine = detected.get((change["id"], looks[index].scene_id), [])
                present[index].append(_presence(change, mine))
    return present


def _presence(change: dict[str, Any], mine: list[dict[str, Any]]) -> dict[str, Any]:
    import pandas as pd  # slow to import: not before there is a table

    kind = change["class"]
    items = [change["count"]] if not mine else [record["count"] for record in mine]
    count = 1 if kind in STRUCTURES else sum(1 if pd.isna(item) else int(item) for item in items)
    shown = max(mine, key=lambda record: record["area_m2"]) if mine and kind not in STRUCTURES else change
    area_m2 = sum(record["area_m2"] for record in mine) if mine else change["area_m2"]
    return {"class": kind, "point": shown["geometry"].representative_point(), "count": count, "area_m2": area_m2}


def _zone_on_grid(geometry: BaseGeometry, grid: Grid) -> _ZoneOnGrid | None:
    """Return the pixels of a zone on a grid; None where the grid holds none of it."""
    inside = geometry.intersection(grid.extent)
    if inside.is_empty or inside.area == 0:
        return None
    left, bottom, right, top = inside.bounds
    gsd = grid.gsd_m
    row0, row1 = int((grid.transform.f - top) // gsd), int(-((bottom - grid.transform.f) // gsd))
    col0, col1 = int((left - grid.transform.c) // gsd), int(-((grid.transform.c - right) // gsd))
    rows, cols = slice(max(row0, 0), min(row1, grid.shape[0])), slice(max(col0, 0), min(col1, grid.shape[1]))
    part = grid.crop(rows, cols)
    thin = max(1, math.ceil(math.sqrt(part.shape[0] * part.shape[1] / _MOST_ZONE_PX)))
    if thin > 1:
        return _thinned_zone(geometry, inside, part, (rows, cols, thin))
    mask = geometry_mask([inside], part.shape, part.transform, invert=True)
    if not mask.any():  # narrower than a pixel
        mask = geometry_mask([inside], part.shape, part.transform, invert=True, all_touched=True)
    beyond_m2 = max(0.0, geometry.area - inside.area)
    return _ZoneOnGrid(rows, cols, np.asarray(mask, bool), float(mask.sum()) + beyond_m2 / gsd**2)


def _thinned_zone(
    geometry: BaseGeometry, inside: BaseGeometry, part: Grid, lattice: tuple[slice, slice, int]
) -> _ZoneOnGrid:
    """Return a large zone by every so many of its pixels: shares are as exact, memory is bounded."""
    thin = lattice[2]
    rows, cols = (slice(way.start, way.stop, thin) for way in lattice[:2])
    shape = (len(range(0, part.shape[0], thin)), len(range(0, part.shape[1], thin)))
    # pixels of the lattice are the first of each cell
    first = part.transform @ Affine.translation(0.5 - thin / 2, 0.5 - thin / 2) @ Affine.scale(thin)
    mask = geometry_mask([inside], shape, first, invert=True)
    beyond_m2 = max(0.0, geometry.area - inside.area)
    return _ZoneOnGrid(rows, cols, np.asarray(mask, bool), float(mask.sum()) + beyond_m2 / (part.gsd_m * thin) ** 2)


def _clear_fraction(look: Look, zone: _ZoneOnGrid | None, kind: str, params: ActivityParams) -> float:
    if zone is None or kind in look.untold or (kind in PRESENCES and look.score is None):
        return 0.0
    return _seen_share(look, zone, kind, params)


def clear_fractions(
    activity: pd.DataFrame, looks: Sequence[Look], zones: gpd.GeoDataFrame, params: ActivityParams
) -> dict[str, float]:
    """Return by scene the share (0 to 1) of the AOI, the first of the zones, that it shows, whatever it tells of it."""
    told: dict[str, float] = {}
    rows = activity[activity["zone"] == zones["name"].iloc[0]]
    for look in looks:
        seen = rows.loc[(rows["scene_id"] == look.scene_id) & rows["count"].notna(), "clear_fraction"]
        if len(seen):
            told[look.scene_id] = float(seen.iloc[0])
        else:
            zone = _zone_on_grid(zones.geometry.iloc[0], look.grid)
            told[look.scene_id] = 0.0 if zone is None else _seen_share(look, zone, "other", params)
    return told


def _seen_share(look: Look, zone: _ZoneOnGrid, kind: str, params: ActivityParams) -> float:
    if not look.used:
        return 0.0
    quality = look.quality[zone.rows, zone.cols]
    valid, whole = is_valid(quality), zone.n_pixels
    afloat = zone.mask & ((quality & np.uint16(Quality.WATER)) != 0)
    n_afloat = float(np.count_nonzero(afloat))
    if kind == "vessel" and n_afloat >= params.min_water * whole:
        # What lies beyond the grid is as likely water as the rest of the zone.
        whole *= n_afloat / max(float(np.count_nonzero(zone.mask)), 1.0)
        return float(min(1.0, np.count_nonzero(valid & afloat) / whole))
    return float(min(1.0, np.count_nonzero(valid & zone.mask) / whole))


def summarize(
    activity: pd.DataFrame, changes: gpd.GeoDataFrame, aoi: Aoi, looks: Sequence[Look] = ()
) -> dict[str, Any]:
    """Return what goes to summary.json: per zone and class the days present, clear, partial and obscured, in words too.

    `headline` is the list of sentences, the AOI's first; days are distinct UTC dates; a day is as well seen as its
    best look. `largest_count` is a lower bound where its look was partial. `days_too_coarse` are those among the
    obscured on which `looks` say that pixels were too coarse for the class, `days_not_compared` those on which
    presences were not counted because the look is the baseline.
    """
    entries = [
        _summary(rows, changes, str(zone), str(kind), aoi, looks)
        for (zone, kind), rows in activity.groupby(["zone", "class"], sort=False)
    ]
    return {"headline": [entry["headline"] for entry in entries], "zones": entries}


def _summary(
    rows: pd.DataFrame, changes: gpd.GeoDataFrame, zone: str, kind: str, aoi: Aoi, looks: Sequence[Look]
) -> dict[str, Any]:
    day = rows["datetime"].dt.date
    there = rows["count"].fillna(0) > 0
    clear = set(day[rows["status"] == "clear"])
    partial = set(day[rows["status"] == "partial"]) - clear
    present = set(day[there])
    largest = rows[there].sort_values(["count", "datetime"], ascending=[False, True], kind="stable").head(1)
    coarse = [look.scene_id for look in looks if kind in look.untold]
    alone = [look.scene_id for look in looks if look.used and look.score is None and kind in PRESENCES]
    own = changes[(changes["class"] == kind) & ((changes["zone"] == zone) | (zone == aoi.name))]
    first, last = rows.loc[there, "datetime"].min(), rows.loc[there, "datetime"].max()
    entry: dict[str, Any] = {
        "zone": zone,
        "class": kind,
        "looks": len(rows),
        "span_days": (max(day) - min(day)).days + 1,
        "days": len(set(day)),
        "days_present": len(present),
        "days_present_clear": len(present & clear),
        "days_present_partial": len(present & partial),
        "days_clear": len(clear),
        "days_partial": len(partial),
        "days_obscured": len(set(day) - clear - partial),
        "days_too_coarse": len(set(day[rows["scene_id"].isin(coarse)]) - clear - partial),
        "days_not_compared": len(set(day[rows["scene_id"].isin(set(alone) - set(coarse))]) - clear - partial),
        "looks_by_status": {key: int(n) for key, n in sorted(Counter(rows["status"]).items())},
        "first_seen": to_iso(first),
        "last_seen": to_iso(last),
        "largest_count": None if largest.empty else int(largest["count"].iat[0]),
        "largest_count_on": None if largest.empty else to_iso(largest["datetime"].iat[0]),
        "largest_count_status": None if largest.empty else str(largest["status"].iat[0]),
        "n_changes": len(own),
        "by_status": {key: int(n) for key, n in sorted(Counter(own["status"]).items())},
    }
    sentence = _structure_sentence(entry, own) if kind in STRUCTURES else _presence_sentence(entry)
    return entry | {"headline": sentence if zone == aoi.name else f"{zone}: {sentence}"}


def _presence_sentence(entry: dict[str, Any]) -> str:
    what = PLURALS[entry["class"]]
    seen = entry["days_clear"] + entry["days_partial"]
    span = f"{entry['looks']} looks, {entry['span_days']} days"
    if seen == 0:
        return _never_seen(what, entry, span)
    clear = _days(entry["days_clear"], "clear ")
    if entry["days_present"] == 0:
        return "; ".join([f"no {what} on {clear} ({span})", *_partly(entry), *_unseen(entry)])
    partly = [f"on {entry['days_present_partial']} of {text}" for text in _partly(entry)]
    most = f"at most {entry['largest_count']} at once, on {_date(entry['largest_count_on'])}"
    return "; ".join([f"{what} on {entry['days_present_clear']} of {clear} ({span})", *partly, *_unseen(entry), most])


def _structure_sentence(entry: dict[str, Any], own: gpd.GeoDataFrame) -> str:
    import pandas as pd  # slow to import: not before there is a table

    what = PLURALS[entry["class"]]
    span = f"{entry['looks']} looks, {entry['span_days']} days"
    if entry["days_clear"] + entry["days_partial"] == 0:
        return _never_seen(what, entry, span)
    if own.empty:
        clear = _days(entry["days_clear"], "clear ")
        return "; ".join([f"no change in {what} on {clear} ({span})", *_partly(entry), *_unseen(entry)])
    parts = ", ".join(f"{n} {status}" for status, n in entry["by_status"].items())
    first = own["first_seen"].min()
    before = own.loc[own["first_seen"] == first, "absent_until"].min()
    dated = f"first seen {_date(first)}" + ("" if pd.isna(before) else f", not yet there {_date(before)}")
    clear = ", ".join([_days(entry["days_clear"], "clear "), *_partly(entry), *_unseen(entry)])
    return f"{what}: {parts}; {dated} ({clear}; {span})"


def _partly(entry: dict[str, Any]) -> list[str]:
    return [f"{entry['days_partial']} partly seen"] if entry["days_partial"] else []


def _unseen(entry: dict[str, Any]) -> list[str]:
    coarse, alone = entry["days_too_coarse"], entry["days_not_compared"]
    told = (
        (entry["days_obscured"] - coarse - alone, "not seen"),
        (coarse, "too coarse to tell"),
        (alone, "not counted, being what the others are compared with"),
    )
    return [f"{n} {what}" for n, what in told if n]


def _never_seen(what: str, entry: dict[str, Any], span: str) -> str:
    if entry["days_too_coarse"] == entry["days"]:
        return f"{what}: pixels were too coarse to tell on all of {_days(entry['days'])} ({span})"
    return f"{what}: the place could not be seen on any of {_days(entry['days'])} ({span})"


def _days(n: int, kind: str = "") -> str:
    return f"{n} {kind}day" + ("" if n == 1 else "s")


def _date(time: Any) -> str:
    import pandas as pd

    return str(pd.Timestamp(time).strftime("%Y-%m-%d"))

"""Seams: what neighbouring sheets both saw is told once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.strtree import STRtree

from changedetect.core.tables import DETECTION_COLUMNS, geo_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import geopandas as gpd
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.sheets import Sheet

_SAME_SHARE = 0.1
"""Outlines of two sheets that share this much of the smaller one are one thing: neighbours only touch."""


@dataclass(slots=True)
class _Found:
    """One detection of one sheet."""

    row: dict[str, Any]
    sheet: int
    is_cut: bool
    own_share: float
    """Share of its area on the ground its sheet answers for."""

    @property
    def shape(self) -> BaseGeometry:
        return self.row["geometry"]


def touching_core(detections: gpd.GeoDataFrame, sheet: Sheet) -> gpd.GeoDataFrame:
    """Return the detections that lie at least in part on the ground a sheet answers for."""
    return detections[detections.geometry.intersects(sheet.core)]


def join_at_seams(parts: Sequence[tuple[Sheet, gpd.GeoDataFrame]], crs: str) -> gpd.GeoDataFrame:
    """Return the detections of one scene's sheets as one table, each thing once.

    Parameters
    ----------
    parts : sequence of (Sheet, GeoDataFrame)
        `DETECTION_COLUMNS`, what touches the sheet's core.

    Notes
    -----
    Of outlines of one thing the entire one is kept before one that its window cuts off, then the one whose sheet
    answers for most of it. A thing that every window cuts is the union of its pieces, with their area; what else is
    said of it is that of the largest piece.
    """
    found = [
        _Found(row, number, sheet.is_cut(row["geometry"]), _share_in(row["geometry"], sheet.core))
        for number, (sheet, table) in enumerate(parts)
        for row in table[[*DETECTION_COLUMNS, "geometry"]].to_dict("records")
    ]
    twins = _twins(found)
    alive = np.ones(len(found), bool)
    for index in sorted(range(len(found)), key=lambda i: (found[i].is_cut, -round(found[i].own_share, 6), i)):
        if not alive[index] or found[index].is_cut:
            continue
        for other in twins.get(index, ()):
            alive[other] = False
    for group in _chains([i for i, item in enumerate(found) if alive[i] and item.is_cut], twins):
        largest = max(group, key=lambda i: (found[i].shape.area, -i))
        if len(group) > 1:
            found[largest].row = _united([found[i] for i in group], found[largest])
        alive[[i for i in group if i != largest]] = False
    return geo_table([item.row for item, kept in zip(found, alive, strict=True) if kept], DETECTION_COLUMNS, crs)


def _share_in(geometry: BaseGeometry, core: BaseGeometry) -> float:
    return 1.0 if geometry.within(core) else float(geometry.intersection(core).area / max(geometry.area, 1e-9))


def _twins(found: Sequence[_Found]) -> dict[int, list[int]]:
    """Return for each detection those of other sheets that show the same thing."""
    shapes = [item.shape for item in found]
    twins: dict[int, list[int]] = {}
    if not shapes:
        return twins
    first, second = STRtree(shapes).query(shapes, predicate="intersects")
    for one, other in zip(first, second, strict=True):
        if found[one].sheet != found[other].sheet:
            smaller = min(shapes[one].area, shapes[other].area)
            if shapes[one].intersection(shapes[other]).area >= _SAME_SHARE * smaller:
                twins.setdefault(int(one), []).append(int(other))
    return {key: sorted(value) for key, value in twins.items()}


def _chains(members: Sequence[int], twins: dict[int, list[int]]) -> list[list[int]]:
    """Return the members in groups that hang together."""
    left, groups = set(members), []
    for start in members:
        if start not in left:
            continue
        left.discard(start)
        group, ahead = [start], [start]
        while ahead:
            near = [other for other in twins.get(ahead.pop(), ()) if other in left]
            left.difference_update(near)
            group += near
            ahead += near
        groups.append(sorted(group))
    return groups


def _united(pieces: Sequence[_Found], largest: _Found) -> dict[str, Any]:
    shape = shapely.union_all([piece.shape for piece in pieces])
    sides = np.asarray(shapely.oriented_envelope(shape).exterior.coords)
    lengths = np.hypot(*np.diff(sides[:3], axis=0).T)
    long = int(np.argmax(lengths))
    east, north = sides[long + 1] - sides[long]
    row = largest.row | {
        "geometry": shape,
        "area_m2": float(shape.area),
        "length_m": float(lengths.max()),
        "width_m": float(lengths.min()),
        "orientation_deg": float(np.degrees(np.arctan2(east, north)) % 180.0),
        "score": max((piece.row["score"] for piece in pieces), key=abs),
    }
    if row["class"] in ("crowd", "equipment"):  # counts of pieces overlap by the margins
        for name in ("count", "count_low", "count_high"):
            if all(isinstance(piece.row[name], (int, np.integer)) for piece in pieces):
                row[name] = max(1, round(sum(float(piece.row[name]) * piece.own_share for piece in pieces)))
    return row

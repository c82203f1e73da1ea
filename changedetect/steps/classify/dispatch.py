"""The dispatcher: asks every class for a proposal and takes the best that the place allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import shapely
from pydantic import Field

from changedetect.core.aoi import PRESENCES, TARGETS
from changedetect.core.tables import DETECTION_COLUMNS, MEASURE_COLUMNS, geo_table, require_columns
from changedetect.errors import GridError
from changedetect.steps.classify import cover, ground, group, inside, vessel
from changedetect.steps.classify.aircraft import AircraftParams
from changedetect.steps.classify.crowd import CrowdParams
from changedetect.steps.classify.ground import GroundParams
from changedetect.steps.classify.spread import spread_outlines
from changedetect.steps.classify.vessel import VesselParams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import geopandas as gpd
    import pandas as pd
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.colour import Colours
    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.classify.vessel import Sea

    Propose = Callable[..., pd.DataFrame]

PROPOSERS = {
    "trench": ("ground", "propose_trench", "ground"),
    "hut": ("ground", "propose_hut", "ground"),
    "vessel": ("vessel", "propose", "vessel"),
    "equipment": ("ground", "propose_equipment", "ground"),
    "aircraft": ("aircraft", "propose", "aircraft"),
    "crowd": ("crowd", "propose", "crowd"),
}
"""Class: module, function, field of `ClassifyParams`."""

_LEAST_CHANCE = 1e-12
"""A class without any chance is none, however low the least confidence."""

PROPOSAL_COLUMNS = ("confidence", "count", "count_low", "count_high", "flags")


@dataclass(frozen=True, slots=True)
class ClassifyParams:
    """How sure a class must be, and the rules of each class."""

    min_confidence: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    """Below this a proposal is no better than `other`."""
    min_other_sigma: Annotated[float, Field(ge=0.0)] = 5.5
    """What stands out from the ground around it alone, and differs by less than this from what the scene's own changes
    predict, is no `other`: crowns and hedges are among it."""
    ground: GroundParams = dataclass_field(default_factory=GroundParams)
    """Rules of trench, hut and equipment."""
    vessel: VesselParams = dataclass_field(default_factory=VesselParams)
    """Rules of vessels."""
    aircraft: AircraftParams = dataclass_field(default_factory=AircraftParams)
    """Rules of aircraft."""
    crowd: CrowdParams = dataclass_field(default_factory=CrowdParams)
    """Rules of crowds."""


def wanted_classes(zones: gpd.GeoDataFrame) -> tuple[str, ...]:
    """Return the classes that any zone asks for, in the order of `TARGETS`."""
    return tuple(name for name in TARGETS if any(name in targets for targets in zones["targets"]))


def coarsest_gsd_m(params: ClassifyParams) -> dict[str, float]:
    """Return by class the largest pixel size, m, at which it can be told; `other` is not among them."""
    limits = dict.fromkeys(ground.MARGINS, params.ground.coarsest_gsd_m)
    limits |= {"vessel": params.vessel.coarsest_gsd_m, "aircraft": params.aircraft.coarsest_gsd_m}
    return limits | {"crowd": params.crowd.max_gsd_m}


def untold_classes(gsd_m: float, params: ClassifyParams) -> tuple[str, ...]:
    """Return the classes that pixels of this size are too coarse to tell, in the order of `TARGETS`."""
    limits = coarsest_gsd_m(params)
    # grids are planned in metres, and a thousandth more is no other size
    return tuple(name for name in TARGETS if gsd_m > 1.001 * limits.get(name, math.inf))


def why_too_coarse(gsd_m: float, wanted: Iterable[str], params: ClassifyParams) -> str | None:
    """Return why pixels of this size tell nothing of what is wanted; None if they tell any of it."""
    asked, limits = list(wanted), coarsest_gsd_m(params)
    if not asked or not set(asked) <= set(untold_classes(gsd_m, params)):
        return None
    needed = ", ".join(f"{name} ({limits[name]:g} m)" for name in asked)
    return f"too coarse: pixels of {gsd_m:.3g} m do not tell {needed}"


def worth_measuring(
    raster: Raster, baseline: Baseline, zones: gpd.GeoDataFrame, params: ClassifyParams, sea: Sea | None
) -> tuple[NDArray[np.bool_], Callable[[BaseGeometry], bool]] | None:
    """Return where, (row, col), an object that `classify` may keep has a pixel, and what tells from its outline.

    None where it takes more to tell. Vessels are judged by their outline on the scene's own pixels, before anything is
    measured; other classes are not.
    """
    if wanted_classes(zones) != ("vessel",):
        return None
    if sea is None:
        return np.zeros(raster.grid.shape, bool), lambda _: False
    least = max(params.min_confidence, _LEAST_CHANCE)
    return sea.water, lambda shape: vessel.chance_of(shape, raster, baseline, sea, params.vessel) >= least


def classify(
    detections: gpd.GeoDataFrame,
    raster: Raster,
    baseline: Baseline,
    zones: gpd.GeoDataFrame,
    params: ClassifyParams,
    sea: Sea | None = None,
    colours: Colours | None = None,
) -> gpd.GeoDataFrame:
    """Return the detections that fit a class wanted where they are, with class, confidence, count and zone.

    Parameters
    ----------
    detections : GeoDataFrame
        From `measure`, in the grid's reference system.
    raster : Raster
        The scene.
    baseline : Baseline
        What it is compared with.
    zones : GeoDataFrame
        Columns name, targets (tuple of str), geometry; in the same reference system; the AOI itself comes first.
    params : ClassifyParams
        Rules and the least confidence.
    sea : Sea, optional
        Of this scene, where `vessel.look_at_sea` has told it before.
    colours : Colours, optional
        Of this pair, where they are known.

    Returns
    -------
    GeoDataFrame
        `tables.DETECTION_COLUMNS`, `change_id` still None. A detection takes the class of highest confidence among the
        targets of the zones that hold its representative point, as far as its pixels can tell them; `other` if that is
        wanted and nothing fits; else it is dropped.

    Raises
    ------
    GridError
        If detections and zones are not in the same reference system.
    """
    require_columns(detections, MEASURE_COLUMNS, "detections")
    require_columns(zones, ("name", "targets"), "zones")
    if len(detections) and len(zones) and detections.crs != zones.crs:
        raise GridError("detections and zones differ in reference system", found=zones.crs, needed=detections.crs)
    wanted = wanted_classes(zones)
    crs = raster.grid.crs
    if not len(detections) or not wanted:
        return geo_table([], DETECTION_COLUMNS, crs)
    untold = untold_classes(float(detections["gsd_m"].iloc[0]), params)
    told = [name for name in wanted if name not in untold]
    if set(told) & set(ground.MARGINS):
        detections = inside.look_inside(detections, raster)
        detections = cover.look_at_roofs(detections, raster, baseline, params.ground.cover, colours)
        detections = group.prepare(detections, params.ground, grouped="equipment" in told)
    detections = detections.reset_index(drop=True)
    known = {"vessel": {"sea": sea}} if sea is not None else {}
    proposals = {
        name: _propose(name, detections, raster, baseline, params, **known.get(name, {}))
        for name in told
        if name in PROPOSERS
    }
    places = _places(detections, zones)
    rows = []
    for i, row in enumerate(detections.to_dict("records")):
        decided = decide(i, places[i][0], proposals, params.min_confidence, row["status"] == "disappeared")
        if decided is not None and (decided["class"] != "other" or _differs(row, params)):
            rows.append(row | sides_of(decided["class"], row) | decided | {"zone": places[i][1], "change_id": None})
            if decided["class"] == "vessel":
                rows[-1]["status"] = "appeared"
            rows[-1]["flags"] = tuple(dict.fromkeys((*row["flags"], *decided["flags"])))
    return spread_outlines(geo_table(rows, DETECTION_COLUMNS, crs), raster, baseline, params.ground.group_gap_m)


def _propose(
    name: str,
    detections: gpd.GeoDataFrame,
    raster: Raster,
    baseline: Baseline,
    params: ClassifyParams,
    **known: Sea,
) -> pd.DataFrame:
    module, function, field = PROPOSERS[name]
    propose: Propose = getattr(import_module(f"changedetect.steps.classify.{module}"), function)
    found = propose(detections, raster, baseline, getattr(params, field), **known)
    require_columns(found, PROPOSAL_COLUMNS, f"proposal of {name}")
    return found


def _differs(row: dict[str, Any], params: ClassifyParams) -> bool:
    """Return whether a detection is more than local contrast."""
    f = row["features"]
    return bool(f.get("local_sigma", 0.0) <= 0 or f.get("high_sigma", np.inf) >= params.min_other_sigma)


def _places(detections: gpd.GeoDataFrame, zones: gpd.GeoDataFrame) -> list[tuple[set[str], str | None]]:
    """Return, per detection, the classes wanted where it is and the smallest named zone that holds it."""
    points = detections.geometry.representative_point()
    area = zones.geometry.area.to_numpy()
    holding = shapely.contains(zones.geometry.to_numpy()[None, :], points.to_numpy()[:, None])
    result = []
    for holds in holding:
        targets = {name for row in np.flatnonzero(holds) for name in zones["targets"].iloc[row]}
        named = [row for row in np.flatnonzero(holds) if row > 0]
        smallest = min(named, key=lambda row: (area[row], row), default=None)
        result.append((targets, None if smallest is None else str(zones["name"].iloc[smallest])))
    return result


def sides_of(name: str, row: dict[str, Any]) -> dict[str, float]:
    """Return length and width of a detection as its class has them: a trench along its line, others their rectangle."""
    f = row["features"]
    needed = {"path_m", "rect_length_m", "rect_width_m", "even_length_m", "even_width_m"}
    if name == "other" or "group_parts" in f or not needed <= set(f):
        return {}
    if name == "trench":
        length = max(f["path_m"], f["rect_length_m"])
        return {"length_m": length, "width_m": min(row["area_m2"] / length, length)}
    # Hulls and aircraft are no rectangles: their ends count. A formation is one, with people and shadows at its edges.
    kind = "even" if name in ("hut", "equipment", "crowd") else "rect"
    return {"length_m": f[f"{kind}_length_m"], "width_m": f[f"{kind}_width_m"]}


def _rival(best: str, found: Mapping[str, float]) -> str | None:
    """Return the class that may be meant instead, where neither knows of the other.

    The forest has seen no people and the rules of crowds no roofs: at 0.5 m ranks that are not resolved are a dark
    rectangle with a grain, and so is a roof or a row of vehicles.
    """
    others = list(ground.MARGINS) if best == "crowd" else ["crowd"] if best in ground.MARGINS else []
    return max((name for name in others if name in found), key=lambda name: found[name], default=None)


def decide(
    i: int, targets: set[str], proposals: dict[str, pd.DataFrame], min_confidence: float, gone: bool = False
) -> dict[str, Any] | None:
    """Return class, confidence, counts, flags and what the class measured of detection `i`; None if nothing fits.

    `gone`: it was there in the baseline and is not any more.
    """
    found: dict[str, float] = {}
    for name in TARGETS:
        # What left is not there: it cannot be counted as present on this date. A hull is told by what brightened on
        # water, beside which the edges of the quay before say nothing.
        if name in targets and name in proposals and not (gone and name in PRESENCES and name != "vessel"):
            found[name] = float(proposals[name]["confidence"].iloc[i])
    best = max(found, key=lambda name: found[name], default=None)
    sure = 0.0 if best is None else found[best]
    if best is not None and sure >= max(min_confidence, _LEAST_CHANCE):
        row = proposals[best].iloc[i]
        rival = _rival(best, found)
        alike = rival is not None and found[rival] >= min_confidence
        return {
            "class": best,
            "confidence": min(sure, 1.0) if rival is None else sure / max(sure + found[rival], 1.0),
            "count": int(row["count"]),
            "count_low": int(row["count_low"]),
            "count_high": int(row["count_high"]),
            "flags": (*row["flags"], f"like_{rival}") if alike else tuple(row["flags"]),
            **(row.get("measured") or {}),
        }
    if "other" not in targets:
        return None
    # The likelier a named class, the less it is something else.
    return {"class": "other", "confidence": 1.0 - sure, "count": 1, "count_low": 1, "count_high": 1, "flags": ()}

"""The stories: one builder per scenario, each following what was reported of one kind of place."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, cos, radians
from typing import TYPE_CHECKING

from changedetect.simulate.scenarios import airfield, huts, parade, port, training

if TYPE_CHECKING:
    from changedetect.core.aoi import Aoi
    from changedetect.simulate.params import SimulateParams

BUILDERS = {
    "training-ground": training.build_plan,
    "huts-renovated": huts.build_plan,
    "port-season": port.build_plan,
    "parade-ground": parade.build_plan,
    "airfield": airfield.build_plan,
}

# (size_m, gsd_m, world pixels per pixel, coarsest pixel as a multiple of gsd_m)
_SCALES = {
    "training-ground": (512.0, 0.5, 2, 1.0),
    "huts-renovated": (384.0, 0.5, 2, 6.0),
    "port-season": (1500.0, 3.0, 2, 1.0),
    "parade-ground": (256.0, 0.5, 4, 1.0),
    "airfield": (1500.0, 3.0, 3, 1.0),
}


def fill_defaults(params: SimulateParams, aoi: Aoi) -> SimulateParams:
    """Return the settings with what was left open filled in from the scenario."""
    size_m, gsd_m, _, _ = _SCALES[params.scenario]
    filled = replace(params, size_m=params.size_m or size_m, gsd_m=params.gsd_m or gsd_m)
    if params.size_m is None and aoi.zones and params.scenario in ("port-season", "airfield"):
        filled = replace(filled, size_m=max(size_m, _reach_of_zones(aoi) + 300.0))
    return filled


def _reach_of_zones(aoi: Aoi) -> float:
    """Return the longer side of the box around the zones, metres, to the next 30."""
    bounds = [zone.geometry.bounds for zone in aoi.zones]
    west, south = min(b[0] for b in bounds), min(b[1] for b in bounds)
    east, north = max(b[2] for b in bounds), max(b[3] for b in bounds)
    metres = float(max(north - south, (east - west) * cos(radians(north)))) * 111_320.0
    return min(30.0 * round(metres / 30.0 + 0.5), 4500.0)


def site_scales(params: SimulateParams) -> tuple[int, float]:
    """Return how many world pixels make one pixel of the finest sensor, and the coarsest pixel in metres."""
    _, _, oversample, coarsest = _SCALES[params.scenario]
    gsd_m = params.gsd_m or 0.5
    if params.scenario == "parade-ground":
        oversample = max(2, ceil(gsd_m / 0.125 - 1e-6))  # a person needs cells of an eighth of a metre
    return oversample, gsd_m * coarsest

"""A simulation: an area of interest, its scenes and what is true of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from changedetect.core.aoi import Zone
from changedetect.simulate.farmland import simulate_farmland
from changedetect.simulate.plan import Frame, Plan, Site, ZonePlan, hidden_share, locate_site, make_frame, sample_shape
from changedetect.simulate.render import render_look
from changedetect.simulate.results import SimulatedScene, Simulation, measure_shape, tabulate_activity, tabulate_truth
from changedetect.simulate.scenarios import BUILDERS, fill_defaults, site_scales
from changedetect.simulate.sensor import find_displacement

if TYPE_CHECKING:
    from changedetect.core.aoi import Aoi
    from changedetect.simulate.params import SimulateParams

__all__ = ["SimulatedScene", "Simulation", "measure_shape", "simulate"]


def simulate(aoi: Aoi, params: SimulateParams) -> Simulation:
    """Return simulated scenes of a scenario laid over an area of interest, with truth.

    Raises
    ------
    ConfigError
        If dates of `params` cannot be used, or the world does not know the scenario.
    """
    if params.world == "farmland":
        return simulate_farmland(aoi, params)
    params = fill_defaults(params, aoi)
    site = locate_site(aoi, params, *site_scales(params))
    plan = BUILDERS[params.scenario](site, params, np.random.default_rng([params.seed, 404]))
    frames = plan.frames or [make_frame(site, params, look, index) for index, look in enumerate(plan.looks)]
    zones = plan.zones or list(site.zones)
    simulated = _place_aoi(aoi, site, plan, zones)
    everywhere = [ZonePlan(aoi.name, site.extent, simulated.targets), *zones]
    scenes = tuple(_make_scene(plan, site, params, frames, index) for index in range(len(frames)))
    truth = tabulate_truth(plan.truth, site.to_wgs84, zones)
    looks = [(scene.acquired, scene.id) for scene in scenes]
    activity = tabulate_activity(
        plan.truth, everywhere, looks, lambda index, points: hidden_share(site, frames[index], points)
    )
    return Simulation(simulated, params, truth, activity, scenes)


def _make_scene(plan: Plan, site: Site, params: SimulateParams, frames: list[Frame], index: int) -> SimulatedScene:
    look, frame = plan.looks[index], frames[index]
    return SimulatedScene(
        id=f"{look.acquired:%Y%m%dT%H%M%S}_sim{round(look.gsd_m * 100):03d}",
        acquired=look.acquired,
        gsd_m=look.gsd_m,
        sun_azimuth_deg=round(frame.sun_deg[0], 2),
        sun_elevation_deg=round(frame.sun_deg[1], 2),
        off_nadir_deg=frame.off_nadir_deg,
        view_azimuth_deg=frame.view_azimuth_deg,
        cloud_fraction=round(hidden_share(site, frame, sample_shape(site.extent, 48)), 4),
        grid=frame.grid,
        index=index,
        draw=partial(render_look, plan, site, params, frame, index),
        displace=partial(find_displacement, frame.pointing, frames[0].pointing),
    )


def _place_aoi(aoi: Aoi, site: Site, plan: Plan, zones: list[ZonePlan]) -> Aoi:
    """Return the AOI moved onto the simulated square; classes nobody asked for yet are asked for in the whole."""
    asked = set(aoi.targets) | {target for zone in zones for target in zone.targets}
    extra = tuple(target for target in plan.targets if target not in asked)
    return replace(
        aoi,
        geometry=site.to_wgs84(site.extent),
        targets=(*aoi.targets, *extra),
        zones=tuple(Zone(zone.name, site.to_wgs84(zone.geometry), zone.targets) for zone in zones),
        baseline_until=plan.baseline_until,
    )

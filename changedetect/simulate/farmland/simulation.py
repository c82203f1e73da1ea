"""From a place and a story to scenes of farmland with their truth."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import shapely
from shapely.geometry import Point

from changedetect.core.aoi import Zone
from changedetect.errors import ConfigError
from changedetect.simulate.farmland.furnish import bring_traffic, build_farms, scatter_bales
from changedetect.simulate.farmland.ground import make_ground
from changedetect.simulate.farmland.mosaic import lay_out
from changedetect.simulate.farmland.place import locate
from changedetect.simulate.farmland.planting import Planting, start_planting
from changedetect.simulate.farmland.render import Farmland, View, render_view
from changedetect.simulate.farmland.sensor import Aim, draw_aim, draw_grid, find_displacement
from changedetect.simulate.farmland.stories import COARSER, STORIES, plan_looks
from changedetect.simulate.farmland.sun import locate_sun
from changedetect.simulate.farmland.trees import plant_trees
from changedetect.simulate.farmland.weather import make_sky
from changedetect.simulate.plan import ZonePlan, sample_shape
from changedetect.simulate.results import SimulatedScene, Simulation, tabulate_activity, tabulate_truth

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from changedetect.core.aoi import Aoi
    from changedetect.simulate.farmland.place import Place
    from changedetect.simulate.farmland.solids import Solid
    from changedetect.simulate.farmland.stories import Look
    from changedetect.simulate.params import SimulateParams


def simulate_farmland(aoi: Aoi, params: SimulateParams) -> Simulation:
    """Return simulated scenes of farmland laid over an area of interest, with truth.

    Raises
    ------
    ConfigError
        If the dates of `params` cannot be used, or its scenario is not told on farmland.
    """
    if params.scenario not in STORIES:
        raise ConfigError("is not told on farmland", found=params.scenario, needed=" or ".join(STORIES))
    story = STORIES[params.scenario]
    params = replace(params, size_m=params.size_m or story.size_m, gsd_m=params.gsd_m or 0.5)
    coarsest = (params.gsd_m or 0.5) * (COARSER if any(story.coarse) else 1.0)
    place, zones = locate(aoi, params, coarsest)
    streams = [np.random.default_rng([params.seed, 9001, k]) for k in range(8)]
    mosaic = lay_out(place, streams[0])
    trees = plant_trees(place, mosaic, streams[1])
    farms = build_farms(mosaic, streams[2])
    calendar, looks = plan_looks(story, params, (place.lon_deg, place.lat_deg), streams[3])
    moments = [look.acquired for look in looks]
    planting = Planting(place, mosaic, place.extent)
    if params.planted:
        crowns = [Point(x, y).buffer(radius, 4) for x, y, radius in trees.stems]
        planting = start_planting(place, mosaic, crowns, farms)
        story.plant(planting, calendar, streams[4])
    traffic = bring_traffic(place, mosaic, farms, moments, streams[5]) + scatter_bales(mosaic, moments, streams[6])
    kept = _keep_clear(traffic, planting)
    world = Farmland(
        place, params, mosaic, make_ground(place, mosaic, streams[7]), trees, [*farms, *planting.solids, *kept]
    )
    views = [_make_view(world, look, index) for index, look in enumerate(looks)]
    simulated = replace(
        aoi,
        geometry=place.to_wgs84(place.extent),
        targets=(*aoi.targets, *(t for t in story.targets if t not in aoi.all_targets)),
        zones=tuple(Zone(zone.name, place.to_wgs84(zone.geometry), zone.targets) for zone in zones),
        baseline_until=_end_baseline(aoi, moments, calendar.at(story.baseline_until)),
    )
    scenes = tuple(_make_scene(world, views, index) for index in range(len(views)))
    everywhere = [ZonePlan(aoi.name, place.extent, simulated.targets), *zones]
    activity = tabulate_activity(
        planting.truth, everywhere, [(s.acquired, s.id) for s in scenes], partial(_hidden_share, place, views)
    )
    return Simulation(simulated, params, tabulate_truth(planting.truth, place.to_wgs84, zones), activity, scenes)


def _end_baseline(aoi: Aoi, moments: list[datetime], default: datetime) -> datetime:
    """Return the end of the baseline: the area of interest's own if it splits the series, else the story's."""
    own = aoi.baseline_until
    return own if own is not None and moments[0] <= own < moments[-1] else default


def _keep_clear(traffic: list[Solid], planting: Planting) -> list[Solid]:
    """Return the traffic that stands on nothing planted and beside nothing planted."""
    if not planting.truth:
        return traffic
    taken = shapely.union_all([item.geometry.buffer(4.0) for item in planting.truth])
    taken = taken.union(shapely.union_all([solid.outline.buffer(3.0) for solid in planting.solids]))
    shapely.prepare(taken)
    return [solid for solid in traffic if not taken.intersects(Point(solid.x, solid.y))]


def _make_view(world: Farmland, look: Look, index: int) -> View:
    """Return how a look sees the place; depends on the seed and the index alone."""
    place, params = world.place, world.params
    rng = np.random.default_rng([params.seed, 9101, index])
    grid = draw_grid(rng, place, look.gsd_m)
    aim = draw_aim(rng, params, place, look.gsd_m)
    if index == 0:  # the first scene's georeference is the truth's frame
        aim = Aim(centre=aim.centre)
    sun = locate_sun(look.acquired, place.lon_deg, place.lat_deg)
    off_nadir, view = float(rng.uniform(0.5, 20.0)), float(rng.uniform(0, 360))
    frame = (grid.shape, grid.gsd_m, grid.transform.c, grid.transform.f)
    sky = make_sky(rng, frame, look.weather, sun)
    return View(look, index, grid, aim, sun, round(off_nadir, 1), round(view, 1), sky)


def _hidden_share(place: Place, views: list[View], index: int, points_m: NDArray[np.float64]) -> float:
    sky = views[index].sky
    if not sky.cloud.any():
        return 0.0
    return float(np.mean(sky.hides(place.left + points_m[:, 0], place.top - points_m[:, 1])))


def _make_scene(world: Farmland, views: list[View], index: int) -> SimulatedScene:
    view = views[index]
    look = view.look
    return SimulatedScene(
        id=f"{look.acquired:%Y%m%dT%H%M%S}_sim{round(look.gsd_m * 100):03d}",
        acquired=look.acquired,
        gsd_m=look.gsd_m,
        sun_azimuth_deg=round(view.sun_deg[0], 2),
        sun_elevation_deg=round(view.sun_deg[1], 2),
        off_nadir_deg=view.off_nadir_deg,
        view_azimuth_deg=view.view_azimuth_deg,
        cloud_fraction=round(_hidden_share(world.place, views, index, sample_shape(world.place.extent, 48)), 4),
        grid=view.grid,
        index=index,
        draw=partial(render_view, world, view),
        displace=partial(find_displacement, view.aim, views[0].aim),
    )

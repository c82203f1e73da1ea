"""A simulation: an area of interest, its scenes and what is true of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
from shapely.geometry import Point

from changedetect.core.aoi import Zone
from changedetect.core.tables import TIME
from changedetect.simulate.plan import Frame, Plan, Site, ZonePlan, hidden_share, locate_site, make_frame, sample_shape
from changedetect.simulate.render import render_look
from changedetect.simulate.scenarios import BUILDERS, fill_defaults, site_scales
from changedetect.simulate.sensor import find_displacement
from changedetect.simulate.terrain import BANDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from affine import Affine
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.aoi import Aoi
    from changedetect.core.grid import Grid
    from changedetect.simulate.params import SimulateParams
    from changedetect.simulate.plan import TruthItem

SENSOR = "simulated"
SCALE = 1e-4
"""Reflectance per digital number."""
NODATA = 0


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedScene:
    """One simulated acquisition; its pixels are made when asked for."""

    id: str
    acquired: datetime
    """UTC."""
    gsd_m: float
    sun_azimuth_deg: float
    sun_elevation_deg: float
    off_nadir_deg: float
    view_azimuth_deg: float
    cloud_fraction: float
    """True share of the simulated square that cloud and its shadow hide."""
    grid: Grid
    """The scene's own grid."""
    index: int
    sensor: str = SENSOR
    bands: tuple[str, ...] = BANDS
    scale: float = SCALE
    nodata: int = NODATA
    _parts: tuple[Plan, Site, SimulateParams, Frame, Frame] | None = field(default=None, repr=False)

    @property
    def angles(self) -> dict[str, float]:
        """Sun and view angles in degrees, by the keys of an AOI file's scenes."""
        names = ("sun_azimuth_deg", "sun_elevation_deg", "off_nadir_deg", "view_azimuth_deg")
        return {name: getattr(self, name) for name in names}

    def render(self) -> tuple[NDArray[np.uint16], NDArray[np.uint8], Affine, str]:
        """Return (dn, mask, transform, crs): uint16 (band, row, col), reflectance x 10,000, and uint8 (row, col).

        The mask is what a product would say: 0 clear, 1 cloud, 2 shadow of a cloud, imperfect at the rims.
        """
        plan, site, params, frame, _ = self._need_parts()
        numbers, mask = render_look(plan, site, params, frame, self.index)
        return numbers, mask, self.grid.transform, self.grid.crs

    def true_displacement_px(self, grid: Grid) -> NDArray[np.float32]:
        """Return the true u of `core.results.Warp` on `grid`, (2, row, col) float32 pixels; reference: first scene."""
        *_, frame, first = self._need_parts()
        return find_displacement(frame.pointing, first.pointing, grid)

    def _need_parts(self) -> tuple[Plan, Site, SimulateParams, Frame, Frame]:
        if self._parts is None:
            raise AttributeError("a simulated scene is made by simulate()")
        return self._parts


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """Scenes of a place that never was, and everything true about it."""

    aoi: Aoi
    """The given AOI over the simulated square, with its zones, targets and baseline set as the scenario needs."""
    params: SimulateParams
    """As used, defaults filled in."""
    truth: gpd.GeoDataFrame
    """WGS 84: class, status, start, end, zone, count, area_m2, length_m, width_m, orientation_deg, geometry."""
    activity: pd.DataFrame
    """datetime, scene_id, zone, class, count, visible, hidden_fraction: one row per scene, zone and class."""
    scenes: Sequence[SimulatedScene]
    """Sorted by time."""


def simulate(aoi: Aoi, params: SimulateParams) -> Simulation:
    """Return simulated scenes of a scenario laid over an area of interest, with truth.

    Raises
    ------
    ConfigError
        If dates of `params` cannot be used.
    """
    params = fill_defaults(params, aoi)
    site = locate_site(aoi, params, *site_scales(params))
    plan = BUILDERS[params.scenario](site, params, np.random.default_rng([params.seed, 404]))
    frames = plan.frames or [make_frame(site, params, look, index) for index, look in enumerate(plan.looks)]
    zones = plan.zones or list(site.zones)
    simulated = _place_aoi(aoi, site, plan, zones)
    everywhere = [ZonePlan(aoi.name, site.extent, simulated.targets), *zones]
    scenes = tuple(_make_scene(plan, site, params, frames, index) for index in range(len(frames)))
    truth = _tabulate_truth(plan.truth, site, zones)
    activity = _tabulate_activity(plan, site, frames, everywhere, [scene.id for scene in scenes])
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
        _parts=(plan, site, params, frame, frames[0]),
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


def _tabulate_truth(truth: list[TruthItem], site: Site, zones: list[ZonePlan]) -> gpd.GeoDataFrame:
    rows = []
    for item in sorted(truth, key=lambda entry: (entry.start, entry.target, entry.geometry.centroid.coords[0])):
        length, width, orientation = measure_shape(item.geometry)
        rows.append(
            {
                "class": item.target,
                "status": item.status,
                "start": item.start,
                "end": item.end,
                "zone": find_zone(item.geometry, zones),
                "count": item.count,
                "area_m2": round(item.geometry.area, 2),
                "length_m": round(item.length_m if item.length_m is not None else length, 2),
                "width_m": round(width if item.length_m is None else item.geometry.area / item.length_m, 2),
                "orientation_deg": round(orientation, 1),
                "geometry": site.to_wgs84(item.geometry),
            }
        )
    columns = ["class", "status", "start", "end", "zone", "count", "area_m2", "length_m", "width_m", "orientation_deg"]
    frame = pd.DataFrame(rows, columns=[*columns, "geometry"])
    for name in ("start", "end"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype(TIME)
    return gpd.GeoDataFrame(frame, geometry="geometry", crs="EPSG:4326")


def measure_shape(shape: BaseGeometry) -> tuple[float, float, float]:
    """Return length, width (metres) and orientation (0-180 clockwise from north) of the minimum rotated rectangle."""
    corners = np.asarray(shape.minimum_rotated_rectangle.exterior.coords)
    sides = corners[1:3] - corners[:2]
    sizes = np.hypot(sides[:, 0], sides[:, 1])
    longer = sides[int(np.argmax(sizes))]
    orientation = np.degrees(np.arctan2(longer[0], -longer[1])) % 180.0
    return float(sizes.max()), float(sizes.min()), float(orientation)


def find_zone(shape: BaseGeometry, zones: list[ZonePlan]) -> str | None:
    """Return the name of the smallest zone that holds the middle of a shape; None outside."""
    middle = _middle(shape)
    holding = [zone for zone in zones if zone.geometry.covers(middle)]
    return min(holding, key=lambda zone: zone.geometry.area).name if holding else None


def _middle(shape: BaseGeometry) -> Point:
    centroid = shape.centroid
    return centroid if shape.covers(centroid) else shape.representative_point()


def _tabulate_activity(
    plan: Plan, site: Site, frames: list[Frame], zones: list[ZonePlan], scene_ids: list[str]
) -> pd.DataFrame:
    where = [sample_shape(zone.geometry) for zone in zones]
    inside = [[item for item in plan.truth if zone.geometry.covers(_middle(item.geometry))] for zone in zones]
    points = {id(item): sample_shape(item.geometry, 12) for item in plan.truth}
    rows = []
    for look, frame, scene_id in zip(plan.looks, frames, scene_ids, strict=True):
        for zone, spots, items in zip(zones, where, inside, strict=True):
            hidden = round(hidden_share(site, frame, spots), 4)
            for target in (name for name in zone.targets if name != "other"):
                here = [(entry, entry.count_at(look.acquired)) for entry in items if entry.target == target]
                here = [(entry, n) for entry, n in here if n]
                clear = [n for entry, n in here if hidden_share(site, frame, points[id(entry)]) < 0.5]
                count = sum(n for _, n in here)
                rows.append((look.acquired, scene_id, zone.name, target, count, sum(clear), hidden))
    columns = ["datetime", "scene_id", "zone", "class", "count", "visible", "hidden_fraction"]
    frame_out = pd.DataFrame(rows, columns=columns)
    frame_out["datetime"] = pd.to_datetime(frame_out["datetime"], utc=True).astype(TIME)
    return frame_out

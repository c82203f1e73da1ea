"""The plan of a simulation: the site, its looks, what stands there when, and what of it is truth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import Transformer

from changedetect.core.grid import Grid
from changedetect.simulate.atmosphere import HIDDEN_SHADOW, HIDDEN_THICKNESS, LATTICE_PX, Sky, add_thin_cloud, make_sky
from changedetect.simulate.light import find_sun
from changedetect.simulate.sensor import OVERHANG_PX, Pointing, draw_pointing, make_scene_grid
from changedetect.simulate.square import Square

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.aoi import Aoi
    from changedetect.simulate.objects import Item, Stamp
    from changedetect.simulate.params import SimulateParams
    from changedetect.simulate.terrain import Terrain


@dataclass(frozen=True, slots=True)
class LookPlan:
    """One look: when, with what, through what."""

    acquired: datetime
    gsd_m: float
    cloud: float = 0.0
    """Share of the scene that cloud hides."""
    haze: float = 0.04
    thin: float = 0.0
    """Thickness of thin cloud over part of the scene, below what counts as hidden; masks do not mark it."""
    snow: float = 0.0
    ice: float = 0.0
    wet: float = 0.0
    glint: float = 0.0
    """Reflectance that the water mirrors."""


@dataclass(frozen=True, slots=True, eq=False)
class TruthItem:
    """One true change or presence, in local metres."""

    target: str
    """Class, one of `core.aoi.TARGETS`."""
    geometry: BaseGeometry
    start: datetime
    end: datetime | None = None
    status: str = "appeared"
    count: int = 1
    length_m: float | None = None
    """None: the longer side of the minimum rotated rectangle."""
    counts: tuple[tuple[datetime, int], ...] = ()
    """(since, count) where the count of a group changes over time."""

    def count_at(self, when: datetime) -> int:
        """Return how many items are there at a moment."""
        if when < self.start or (self.end is not None and when >= self.end):
            return 0
        since = [count for moment, count in self.counts if moment <= when]
        return since[-1] if since else self.count


@dataclass(frozen=True, slots=True)
class ZonePlan:
    """A zone in local metres."""

    name: str
    geometry: BaseGeometry
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Site(Square):
    """Where the simulated square lies: a UTM zone and the top-left corner, whole metres."""

    gsd_m: float
    pixel_m: float
    """Side of a pixel of the world model."""
    margin_m: float
    lon_deg: float
    lat_deg: float
    zones: tuple[ZonePlan, ...] = ()
    """Zones the area of interest brings along, clipped to the square."""
    targets: tuple[str, ...] = ()
    """Classes asked for in the whole area of interest."""
    baseline_until: datetime | None = None
    """As the area of interest has it; None: the scenario's own."""

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) in metres of the CRS."""
        return (self.left, self.top - self.size_m, self.left + self.size_m, self.top)


@dataclass(slots=True)
class Plan:
    """All of a simulation before a pixel is drawn."""

    terrain: Terrain
    looks: list[LookPlan]
    items: list[Item]
    """Everything drawn, in order; truth or not."""
    truth: list[TruthItem] = field(default_factory=list)
    zones: list[ZonePlan] = field(default_factory=list)
    targets: tuple[str, ...] = ()
    baseline_until: datetime | None = None
    frames: list[Frame] = field(default_factory=list)
    """How each look sees the site, if the story already needed to know."""
    stamps: dict[Item, Stamp] = field(default_factory=dict)
    """Pictures of what has been drawn before; it only saves time."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """How one look sees the site: its grid, its error of place, the sun and the sky."""

    grid: Grid
    pointing: Pointing
    sun_deg: tuple[float, float]
    """(azimuth, elevation)."""
    off_nadir_deg: float
    view_azimuth_deg: float
    sky: Sky


def locate_site(aoi: Aoi, params: SimulateParams, oversample: int, coarsest_m: float) -> Site:
    """Return the simulated square: centred on the zones of the AOI if it has any, else on its centroid."""
    size_m, gsd_m = params.size_m or 500.0, params.gsd_m or 0.5
    shapes = [zone.geometry for zone in aoi.zones]
    centre = shapely.union_all(shapes).envelope.centroid if shapes else aoi.geometry.centroid
    epsg = (32600 if centre.y >= 0 else 32700) + min(int((centre.x + 180) // 6) + 1, 60)
    convert = Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True)
    x, y = convert.transform(centre.x, centre.y)
    left, top = (math.floor((v - s * size_m / 2) / 6.0) * 6.0 for v, s in ((x, 1), (y, -1)))
    # scenes overhang the square, and look past their own edge by their error of place
    slack_px = OVERHANG_PX + 6 + 1.5 * (params.shift_px or 0.0) + 2 * params.warp_px
    margin_m = math.ceil(slack_px * coarsest_m / 6.0 + 1) * 6.0
    site = Site(f"EPSG:{epsg}", left, top, size_m, gsd_m, gsd_m / oversample, margin_m, centre.x, centre.y)
    zones = []
    for zone in aoi.zones:
        inside = site.from_wgs84(zone.geometry).intersection(site.extent)
        if inside.area > 4 * gsd_m**2:
            zones.append(ZonePlan(zone.name, inside, zone.targets))
    return replace(site, zones=tuple(zones), baseline_until=aoi.baseline_until, targets=aoi.targets)


def make_frame(site: Site, params: SimulateParams, look: LookPlan, index: int) -> Frame:
    """Return how look number `index` sees the site; depends on the seed and the index alone."""
    rng = np.random.default_rng([params.seed, 101, index])
    grid = Grid(*make_scene_grid(rng, site.crs, site.bounds, look.gsd_m))
    left, bottom, right, top = site.bounds
    limit = params.shift_px if params.shift_px is not None else (3.0 if look.gsd_m < 2 else 2.0)
    pointing = draw_pointing(rng, params, limit, look.gsd_m, ((left + right) / 2, (bottom + top) / 2))
    if index == 0:
        pointing = Pointing(centre=pointing.centre)  # the first scene's georeference is the truth's frame
    sun = find_sun(look.acquired, site.lon_deg, site.lat_deg)
    off_nadir, view = float(rng.uniform(1, 18)), float(rng.uniform(0, 360))
    sky = make_sky(rng, grid.shape, look.gsd_m, look.cloud * params.cloud, sun)
    if look.thin * params.cloud > 0.0:
        sky = add_thin_cloud(sky, rng, look.thin * params.cloud)
    return Frame(grid, pointing, sun, round(off_nadir, 1), round(view, 1), sky)


def sample_shape(shape: BaseGeometry, n: int = 24) -> NDArray[np.float64]:
    """Return points on a regular lattice inside a shape, (k, 2) local metres, at least one."""
    x0, y0, x1, y1 = shape.bounds
    step = max(x1 - x0, y1 - y0) / n
    x, y = np.meshgrid(np.arange(x0 + step / 2, x1, step), np.arange(y0 + step / 2, y1, step))
    inside = shapely.contains_xy(shape, x, y)
    if not inside.any():
        point = shape.representative_point()
        return np.array([[point.x, point.y]])
    return np.stack([x[inside], y[inside]], 1)


def hidden_share(site: Site, frame: Frame, points_m: NDArray[np.float64]) -> float:
    """Return the share of points (local metres) that cloud or its shadow hides in a frame, 0 to 1."""
    if not frame.sky.thickness.any():
        return 0.0
    x, y = site.left + points_m[:, 0], site.top - points_m[:, 1]
    step = frame.grid.gsd_m * LATTICE_PX
    col = np.clip((x - frame.grid.transform.c) / step - 0.5, 0, frame.sky.thickness.shape[1] - 1.001)
    row = np.clip((frame.grid.transform.f - y) / step - 0.5, 0, frame.sky.thickness.shape[0] - 1.001)
    thick, shadow = (_bilinear(values, row, col) for values in (frame.sky.thickness, frame.sky.shadow))
    return float(np.mean((thick > HIDDEN_THICKNESS) | (shadow > HIDDEN_SHADOW)))


def _bilinear(values: NDArray[np.float32], row: NDArray[np.float64], col: NDArray[np.float64]) -> NDArray[np.float64]:
    r, c = row.astype(int), col.astype(int)
    fr, fc = row - r, col - c
    upper = values[r, c] * (1 - fc) + values[r, c + 1] * fc
    lower = values[r + 1, c] * (1 - fc) + values[r + 1, c + 1] * fc
    return np.asarray(upper * (1 - fr) + lower * fr)

"""A harbour: shore, town, piers that follow their zones, and the berths along them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from shapely.geometry import Polygon

from changedetect.simulate.objects import GREY, RED_ROOF, SLATE_ROOF, WHITE, Item, make_rectangle
from changedetect.simulate.plan import ZonePlan
from changedetect.simulate.terrain import (
    ASPHALT,
    CONCRETE,
    GRASS,
    SOIL,
    TRACK,
    WATER,
    Terrain,
    add_forest,
    make_terrain,
    paint_line,
    paint_polygon,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.simulate.params import SimulateParams
    from changedetect.simulate.plan import Site

PIER_HEIGHT_M = 3.0


@dataclass(frozen=True, slots=True)
class Pier:
    """A finger pier in its zone: its axis runs from the shore out to sea."""

    zone: str
    x_m: float
    y_m: float
    seaward_deg: float
    """Heading from the shore to the pier's head, clockwise from north."""
    length_m: float
    width_m: float
    reach_m: float
    """From the axis to the edge of the zone."""

    def at(self, along_m: float, across_m: float) -> tuple[float, float]:
        """Return the place `along_m` seaward of the pier's middle and `across_m` to its right."""
        angle = np.radians(self.seaward_deg)
        x = self.x_m + along_m * np.sin(angle) + across_m * np.cos(angle)
        y = self.y_m - along_m * np.cos(angle) + across_m * np.sin(angle)
        return float(x), float(y)

    def rectangle(self, along_m: float, across_m: float, length_m: float, width_m: float) -> Polygon:
        """Return a rectangle aligned with the pier, about a place on it."""
        return make_rectangle(*self.at(along_m, across_m), length_m, width_m, self.seaward_deg)


@dataclass(slots=True)
class Harbour:
    """The harbour's ground, what always stands there, and its piers."""

    terrain: Terrain
    piers: list[Pier]
    zones: list[ZonePlan]
    items: list[Item] = field(default_factory=list)


def choose_zones(site: Site, params: SimulateParams) -> list[ZonePlan]:
    """Return the zones of the area of interest in which vessels count, or piers of our own."""
    given = [zone for zone in site.zones if "vessel" in zone.targets]
    if given:
        return given
    size, n = site.size_m, params.n_piers
    width, length = min(190.0, 0.75 * size / n), min(460.0, 0.36 * size)
    targets = tuple(name for name in ("vessel", "equipment") if name in site.targets) or ("vessel", "equipment")
    zones = []
    for k in range(n):
        x = size * (0.5 + (k - (n - 1) / 2) * min(0.25, 0.8 / n))
        zones.append(ZonePlan(f"pier-{k + 1}", make_rectangle(x, 0.52 * size, length, width, 0.0), targets))
    return zones


def make_pier(zone: ZonePlan) -> Pier:
    """Return the pier in the middle of a zone, with water for berths on both sides."""
    corners = np.asarray(zone.geometry.minimum_rotated_rectangle.exterior.coords)
    sides = corners[1:3] - corners[:2]
    sizes = np.hypot(sides[:, 0], sides[:, 1])
    axis = sides[int(np.argmax(sizes))] / sizes.max()
    # land lies to the north, or to the west of piers that run east
    if axis[1] < -1e-6 or (abs(axis[1]) <= 1e-6 and axis[0] < 0):
        axis = -axis
    middle = (corners[:4].min(0) + corners[:4].max(0)) / 2
    length, across = float(sizes.max()), float(sizes.min())
    width = float(np.clip(across - 2 * 50.0, 0.30 * across, 0.5 * across))
    heading = float(np.degrees(np.arctan2(axis[0], -axis[1])) % 360.0)
    return Pier(zone.name, float(middle[0]), float(middle[1]), heading, 0.97 * length, width, across / 2)


def make_harbour(site: Site, params: SimulateParams, rng: np.random.Generator) -> Harbour:
    """Return a harbour whose piers follow the zones, below a town on the shore."""
    zones = choose_zones(site, params)
    piers = [make_pier(zone) for zone in zones]
    terrain = make_terrain(site.size_m, site.margin_m, site.pixel_m, WATER)
    harbour = Harbour(terrain, piers, [*zones, *(zone for zone in site.zones if zone not in zones)])
    shore = _trace_shore(site, piers, rng)
    land = _land_behind(site, piers, shore)
    _paint_land(terrain, rng, land, shore)
    for pier in piers:
        _build_pier(harbour, pier, rng)
    _build_town(harbour, rng, land, shore)
    return harbour


def _axis(piers: list[Pier]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean seaward direction and the direction along the shore."""
    angles = np.radians([pier.seaward_deg for pier in piers])
    seaward = np.array([np.sin(angles).mean(), -np.cos(angles).mean()])
    seaward /= max(float(np.hypot(*seaward)), 1e-9)
    return seaward, np.array([-seaward[1], seaward[0]])


def _trace_shore(site: Site, piers: list[Pier], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the shoreline, (n, 2) metres: through the landward ends of the piers, winding to the edges."""
    _, along = _axis(piers)
    feet = [np.array(pier.at(s * 0.46 * pier.length_m, a)) for pier in piers for s, a in ((-1, -60), (-1, 60))]
    feet.sort(key=lambda point: float(point @ along))
    seaward, _ = _axis(piers)
    far = 2.0 * site.size_m
    points = [feet[0] - along * far, feet[0] - along * 0.3 * site.size_m + seaward * rng.uniform(20, 70)]
    points += [*feet, feet[-1] + along * 0.3 * site.size_m + seaward * rng.uniform(20, 90), feet[-1] + along * far]
    return np.asarray(points)


def _land_behind(site: Site, piers: list[Pier], shore: NDArray[np.float64]) -> Polygon:
    seaward, _ = _axis(piers)
    return Polygon([*shore, shore[-1] - seaward * 4 * site.size_m, shore[0] - seaward * 4 * site.size_m]).buffer(0)


def _paint_land(terrain: Terrain, rng: np.random.Generator, land: Polygon, shore: NDArray[np.float64]) -> None:
    paint_polygon(terrain, np.asarray(land.exterior.coords), GRASS)
    patches = terrain.scale_noise(rng, 160.0, 6.0, 0.8)
    terrain.cover[(terrain.cover == GRASS) & (patches > 0.9)] = SOIL
    on_land = np.isin(terrain.cover, (GRASS, SOIL))
    paint_line(terrain, shore, 46.0, CONCRETE)
    terrain.cover[(terrain.cover == CONCRETE) & ~on_land] = WATER
    hills = terrain.scale_noise(rng, terrain.size_m * 0.5, 20.0, 1.0)
    away = _distance_from(terrain, shore)
    add_forest(terrain, rng, (hills + away / (0.16 * terrain.size_m) > 2.1) & on_land, spacing_m=7.0)


def _distance_from(terrain: Terrain, shore: NDArray[np.float64]) -> NDArray[np.float32]:
    import cv2

    mark = make_terrain(terrain.size_m, terrain.margin_m, terrain.pixel_m, 1)
    paint_line(mark, shore, terrain.pixel_m, 0)
    return np.asarray(cv2.distanceTransform(mark.cover, cv2.DIST_L2, 3) * np.float32(terrain.pixel_m))


def _build_pier(harbour: Harbour, pier: Pier, rng: np.random.Generator) -> None:
    """Lay a pier with a warehouse along its landward half, rails, and cranes."""
    deck = pier.rectangle(-0.03 * pier.length_m, 0.0, pier.length_m * 0.94, pier.width_m)
    paint_polygon(harbour.terrain, np.asarray(deck.exterior.coords), CONCRETE)
    shade = float(rng.uniform(0.75, 1.0))
    worn = tuple(shade * c for c in (0.185, 0.21, 0.225, 0.25))
    harbour.items.append(Item("floor", deck, worn, PIER_HEIGHT_M, seed=int(rng.integers(1_000_000))))  # type: ignore[arg-type]
    shed = (0.40 * pier.length_m, 0.34 * pier.width_m)
    roof = pier.rectangle(-0.24 * pier.length_m, 0.0, *shed)
    colour = (SLATE_ROOF, RED_ROOF, GREY)[int(rng.integers(3))]
    harbour.items.append(
        Item("building", roof, colour, PIER_HEIGHT_M + 9, pier.seaward_deg, *shed, seed=int(rng.integers(1_000_000)))
    )
    for along in (-0.30, -0.05):
        crane = pier.rectangle(along * pier.length_m, 0.40 * pier.width_m, 9.0, 6.0)
        harbour.items.append(Item("container", crane, (0.1, 0.2, 0.3, 0.3), PIER_HEIGHT_M + 16))


def _build_town(harbour: Harbour, rng: np.random.Generator, land: BaseGeometry, shore: NDArray[np.float64]) -> None:
    """Set roads and buildings on the land behind the shore."""
    terrain, size = harbour.terrain, harbour.terrain.size_m
    seaward, along = _axis(harbour.piers)
    middle = shore[1:-1].mean(0)
    for depth, width, cover in ((70, 9.0, ASPHALT), (190, 7.0, ASPHALT), (310, 6.0, TRACK)):
        line = shore - seaward * depth
        paint_line(terrain, line, width, cover)
    for offset in np.arange(-0.5, 0.51, 0.2) * size:
        foot = middle + along * (offset + rng.uniform(-20, 20))
        paint_line(terrain, np.stack([foot - seaward * 40, foot - seaward * 480]), 6.0, ASPHALT)
    colours = (SLATE_ROOF, RED_ROOF, GREY, WHITE, (0.16, 0.16, 0.15, 0.22))
    for _ in range(int(130 * (size / 1500) ** 2)):
        place = middle + along * rng.uniform(-0.62, 0.62) * size - seaward * rng.uniform(25, 420)
        length, width = float(rng.uniform(14, 48)), float(rng.uniform(9, 18))
        heading = harbour.piers[0].seaward_deg + 90.0 * int(rng.integers(0, 2)) + float(rng.normal(0, 3))
        shape = make_rectangle(float(place[0]), float(place[1]), length, width, heading)
        points = np.asarray(shape.exterior.coords)
        if not land.buffer(-8).covers(shape) or not np.isin(terrain.cover_at(points), (GRASS, SOIL, CONCRETE)).all():
            continue
        if any(shape.distance(item.footprint) < 5 for item in harbour.items):
            continue
        colour = colours[int(rng.integers(len(colours)))]
        height = float(rng.uniform(4, 14))
        item = Item("building", shape, colour, height, heading, length, width, seed=int(rng.integers(1_000_000)))
        harbour.items.append(replace(item, style="flat" if rng.random() < 0.5 else "gable"))

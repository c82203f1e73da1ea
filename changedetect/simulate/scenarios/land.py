"""Open country for the land scenarios: forest, fields, tracks, a road, buildings; and free places on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import shapely
from shapely.geometry import LineString, Polygon

from changedetect.errors import ConfigError
from changedetect.simulate.objects import (
    BLUE_ROOF,
    GREEN_ROOF,
    GREY,
    RED_ROOF,
    SLATE_ROOF,
    WHITE,
    Item,
    make_rectangle,
)
from changedetect.simulate.terrain import (
    ASPHALT,
    GRASS,
    SCRUB,
    SOIL,
    TRACK,
    WATER,
    Terrain,
    add_forest,
    add_parcel,
    add_trees,
    make_terrain,
    paint_line,
    paint_polygon,
    wander,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.simulate.params import SimulateParams
    from changedetect.simulate.plan import Site

OPEN_GROUND = (GRASS, SOIL, SCRUB)
ROOFS = (RED_ROOF, GREY, SLATE_ROOF, BLUE_ROOF, GREEN_ROOF)
CAR_COLOURS = (WHITE, GREY, (0.03, 0.035, 0.04, 0.05), (0.05, 0.06, 0.16, 0.2), (0.14, 0.1, 0.06, 0.12))


@dataclass(slots=True)
class Country:
    """Terrain, what always stands on it, and what ground is taken."""

    terrain: Terrain
    items: list[Item] = field(default_factory=list)
    taken: list[BaseGeometry] = field(default_factory=list)


def parse_day(text: str | None, default: datetime) -> datetime:
    """Return the UTC midnight of a YYYY-MM-DD date."""
    if text is None:
        return default
    try:
        return datetime.strptime(text[:10], "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError("a simulated series needs dates as YYYY-MM-DD", found=text) from None


def pass_time(rng: np.random.Generator, day: datetime, lon_deg: float, hour: float = 2.35) -> datetime:
    """Return a time of acquisition on a day: late morning by the sun, within a quarter of an hour.

    `hour` is that of 131 degrees east, UTC; whole hours are added where the sun rises elsewhere.
    """
    seconds = int((hour + round((131.3 - lon_deg) / 15.0)) * 3600 + rng.uniform(-900, 900))
    return day.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(seconds=seconds)


def make_country(site: Site, rng: np.random.Generator, open_share: float = 0.66, buildings: int = 9) -> Country:
    """Return open country over a site: one road, tracks, fields to one side, forest where there is room."""
    terrain = make_terrain(site.size_m, site.margin_m, site.pixel_m)
    patches = terrain.scale_noise(rng, 80.0, 2.0, 0.8)
    terrain.cover[patches > 1.1] = SCRUB
    terrain.cover[patches < -1.75] = SOIL
    country = Country(terrain)
    size = site.size_m
    _add_fields(country, rng, size)
    _add_ways(country, rng, size)
    relief = terrain.scale_noise(rng, size * 0.6, size / 40, 1.1)
    relief += np.float32(1.2) * _towards_edge(terrain)
    free = relief > np.quantile(relief[:: max(1, len(relief) // 300)], open_share)
    add_forest(terrain, rng, free & _away_from_taken(country, 6.0))
    _add_lone_trees(country, rng, size)
    _add_buildings(country, rng, size, buildings)
    return country


def _towards_edge(terrain: Terrain) -> NDArray[np.float32]:
    n = len(terrain.cover)
    away = np.abs(np.linspace(-1, 1, n, dtype=np.float32))
    return np.maximum(away[:, None], away[None, :]) ** 3


def _away_from_taken(country: Country, margin_m: float) -> NDArray[np.bool_]:
    scratch = make_terrain(country.terrain.size_m, country.terrain.margin_m, country.terrain.pixel_m, 0)
    for shape in country.taken:
        paint_polygon(scratch, np.asarray(shape.buffer(margin_m).exterior.coords), 1)
    return np.asarray(scratch.cover == 0)


def _add_fields(country: Country, rng: np.random.Generator, size: float) -> None:
    """Add parcels in the west, one of them harvested and one ploughed while the series runs."""
    heading = rng.uniform(-12, 12)
    width, depth = 0.20 * size, 0.17 * size
    ripe: list[list[tuple[float, str]]] = [[(0, "ripe"), (rng.uniform(262, 272), "stubble")], [(0, "crop")]]
    late: list[list[tuple[float, str]]] = [[(0, "stubble"), (rng.uniform(276, 290), "ploughed")], [(0, "mown")]]
    for k, states in enumerate([*ripe, *late]):
        centre_y = (0.16 + 0.185 * k) * size
        shape = make_rectangle(0.085 * size, centre_y, depth, width, heading)
        add_parcel(country.terrain, rng, np.asarray(shape.exterior.coords)[:4], states, rng.uniform(1.8, 3.0))
        country.taken.append(shape)
    hedge = LineString([(0.195 * size, 0.1 * size), (0.215 * size, 0.75 * size)])
    n = max(int(hedge.length / 5), 1)
    points = np.array([hedge.interpolate(t, normalized=True).coords[0] for t in np.linspace(0, 1, n)])
    add_trees(country.terrain, rng, points + rng.normal(0, 0.8, points.shape), 5.0, 0.0)


def _add_ways(country: Country, rng: np.random.Generator, size: float) -> None:
    """Add a paved road along the north, tracks to the south, and a pond."""
    reach = country.terrain.margin_m
    road = wander(rng, (-reach, 0.10 * size), (size + reach, 0.06 * size), 0.015 * size)
    for line, width, cover in (
        (wander(rng, (0.3 * size, 0.1 * size), (0.42 * size, size + reach), 0.03 * size), 3.5, TRACK),
        (wander(rng, (0.36 * size, 0.62 * size), (size + reach, 0.60 * size), 0.02 * size), 3.2, TRACK),
        (wander(rng, (0.72 * size, 0.08 * size), (0.80 * size, 0.6 * size), 0.03 * size), 3.0, TRACK),
        (road, 7.0, ASPHALT),
    ):
        paint_line(country.terrain, line, width, cover)
        country.taken.append(LineString(line).buffer(width / 2 + 1.0))
    pond = Polygon(
        [
            ((0.93 + 0.030 * np.cos(a)) * size, (0.36 + 0.045 * np.sin(a) + 0.006 * np.sin(3 * a)) * size)
            for a in np.linspace(0, 2 * np.pi, 40)
        ]
    )
    paint_polygon(country.terrain, np.asarray(pond.exterior.coords), WATER)
    country.taken.append(pond.buffer(2.0))


def _add_lone_trees(country: Country, rng: np.random.Generator, size: float) -> None:
    n = int(14 * (size / 512) ** 2) + 2
    points = rng.uniform(0.25 * size, size, (n, 2))
    keep = np.isin(country.terrain.cover_at(points), OPEN_GROUND)
    keep &= np.array([not any(shape.distance(shapely.Point(p)) < 4 for shape in country.taken) for p in points])
    add_trees(country.terrain, rng, points[keep], 6.5)
    country.taken.extend(shapely.Point(p).buffer(4.5) for p in points[keep])


def _add_buildings(country: Country, rng: np.random.Generator, size: float, count: int) -> None:
    """Add buildings along the road, some with a yard."""
    for k in range(count):
        length, width = rng.uniform(10, 26), rng.uniform(7, 12)
        x = (0.40 + 0.5 * (k + 0.5) / max(count, 1)) * size
        y = (0.145 + 0.045 * (k % 2)) * size + rng.uniform(-0.01, 0.01) * size
        heading = float(90.0 * rng.integers(0, 2) + rng.uniform(-6, 6))
        shape = make_rectangle(x, y, length, width, heading)
        if any(shape.distance(other) < 3 for other in country.taken) or shape.bounds[2] > size:
            continue
        if size > 200 and rng.random() < 0.6:
            yard = shape.buffer(5, join_style="mitre")
            paint_polygon(country.terrain, np.asarray(yard.exterior.coords), SOIL)
            window_px = country.terrain.to_px(np.asarray(yard.exterior.coords)).round().astype(int)
            (c0, r0), (c1, r1) = np.maximum(window_px.min(0), 0), window_px.max(0)
            country.terrain.height[r0:r1, c0:c1] = 0.0
        style = "gable" if rng.random() < 0.75 else "flat"
        colour = ROOFS[int(rng.integers(len(ROOFS)))]
        height = float(rng.uniform(3, 6))
        country.items.append(
            Item(
                "building",
                shape,
                colour,
                height,
                heading,
                length,
                width,
                style=style,
                seed=int(rng.integers(1_000_000)),
            )
        )
        country.taken.append(shape.buffer(4.0))


def add_cars(country: Country, rng: np.random.Generator, times: list[datetime], per_look: int) -> None:
    """Park cars beside buildings, other ones at every look: a confounder, not truth."""
    houses = [item for item in country.items if item.kind == "building"]
    for k, when in enumerate(times):
        until = times[k + 1] if k + 1 < len(times) else when + timedelta(days=1)
        for house in (houses[int(i)] for i in rng.integers(0, len(houses), per_look if houses else 0)):
            centre, side = house.footprint.centroid, float(rng.choice([-1, 1]))
            angle = np.radians(house.heading_deg)
            out, along = side * (house.width_m / 2 + 2.6), rng.uniform(-0.4, 0.4) * house.length_m
            x = centre.x + along * np.sin(angle) + out * np.cos(angle)
            y = centre.y - along * np.cos(angle) + out * np.sin(angle)
            shape = make_rectangle(x, y, 4.4, 1.8, house.heading_deg + 90 * rng.integers(0, 2))
            if any(shape.intersects(other.footprint) for other in houses):
                continue
            colour = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]
            country.items.append(Item("vehicle", shape, colour, 1.5, 0.0, 4.4, 1.8, start=when, end=until))


def find_place(
    country: Country,
    rng: np.random.Generator,
    make_shape: Callable[[float, float], BaseGeometry],
    region: tuple[float, float, float, float],
    gap_m: float = 6.0,
) -> BaseGeometry | None:
    """Return a shape on free open ground inside a region (x0, y0, x1, y1), now taken; None if none is free."""
    allowed = shapely.box(*region)
    for _ in range(160):
        shape = make_shape(float(rng.uniform(region[0], region[2])), float(rng.uniform(region[1], region[3])))
        if not allowed.covers(shape) or any(shape.distance(other) < gap_m for other in country.taken):
            continue
        x0, y0, x1, y1 = shape.bounds
        points = np.stack(np.meshgrid(np.linspace(x0, x1, 12), np.linspace(y0, y1, 12)), -1).reshape(-1, 2)
        near = shapely.contains_xy(shape.buffer(3.0), points[:, 0], points[:, 1])
        if near.any() and np.isin(country.terrain.cover_at(points[near]), OPEN_GROUND).mean() > 0.985:
            country.taken.append(shape)
            return shape
    return None


def make_looks_calendar(
    params: SimulateParams, rng: np.random.Generator, days: list[datetime], lon_deg: float
) -> list[datetime]:
    """Return acquisition times on the scenario's days, stretched to `start`..`end` and thinned to `n_scenes`."""
    first, last = days[0], days[-1]
    start, end = parse_day(params.start, first), parse_day(params.end, last)
    if end <= start:
        raise ConfigError("a simulated series must end after it starts", found=f"{start:%Y-%m-%d} to {end:%Y-%m-%d}")
    factor = (end - start) / (last - first)
    moved = [start + (day - first) * factor for day in days]
    if params.n_scenes is not None and params.n_scenes < len(moved):
        keep = np.unique(np.linspace(0, len(moved) - 1, params.n_scenes).round().astype(int))
        moved = [moved[i] for i in keep]
    return [pass_time(rng, day, lon_deg) for day in moved]


def stretch(day: datetime, params: SimulateParams, days: list[datetime]) -> datetime:
    """Return a moment of the scenario's own calendar, stretched like its looks."""
    first, last = days[0], days[-1]
    start, end = parse_day(params.start, first), parse_day(params.end, last)
    return start + (day - first) * ((end - start) / (last - first))


def choose_baseline(site: Site, times: list[datetime], default: datetime) -> datetime:
    """Return the end of the baseline: the area of interest's own if it splits the series, else the scenario's."""
    own = site.baseline_until
    return own if own is not None and times[0] <= own < times[-1] else default

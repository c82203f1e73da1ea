"""What stands about on farmland and is nobody's news: houses and barns, cars that come and go, bales, machines."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import shapely
from shapely.geometry import Point

from changedetect.simulate.farmland.covers import PAINTS, ROOFS
from changedetect.simulate.farmland.mosaic import point_heading
from changedetect.simulate.farmland.solids import Solid, outline_box

if TYPE_CHECKING:
    from datetime import datetime

    from shapely.geometry import Polygon
    from shapely.geometry.base import BaseGeometry

    from changedetect.simulate.farmland.mosaic import Mosaic
    from changedetect.simulate.farmland.place import Place

_WRAP = ((0.55, 0.57, 0.57, 0.55), (0.03, 0.03, 0.03, 0.04), (0.12, 0.20, 0.14, 0.22))
_STRAW = (0.17, 0.22, 0.28, 0.36)


def build_farms(mosaic: Mosaic, rng: np.random.Generator) -> list[Solid]:
    """Return houses, barns, silos and greenhouses of every yard."""
    solids: list[Solid] = []
    for yard, heading in mosaic.yards:
        taken: list[BaseGeometry] = []
        for k in range(int(rng.integers(2, 6))):
            kind = "house" if k == 0 else str(rng.choice(["house", "house", "sheet", "tent-barrel", "tank"]))
            solid = _place_building(yard, heading, kind, k == 0, taken, rng)
            if solid is not None:
                solids.append(solid)
                taken.append(solid.outline.buffer(2.5))
    return solids


def _place_building(
    yard: Polygon, heading: float, kind: str, lived_in: bool, taken: list[BaseGeometry], rng: np.random.Generator
) -> Solid | None:
    length, width, height = float(rng.uniform(9, 15)), float(rng.uniform(7.5, 10)), float(rng.uniform(3.0, 5.5))
    if not lived_in and kind in ("house", "sheet"):
        length, width, height = float(rng.uniform(14, 36)), float(rng.uniform(8, 16)), float(rng.uniform(3.5, 6.5))
    if kind == "tent-barrel":
        length, width, height = float(rng.uniform(14, 26)), float(rng.uniform(5, 8)), float(rng.uniform(2.4, 3.4))
    if kind == "tank":
        width = length = float(rng.uniform(3, 9))
        height = float(rng.uniform(3, 11))
    colour = (0.34, 0.36, 0.37, 0.40) if kind == "tent-barrel" else ROOFS[int(rng.integers(len(ROOFS)))]
    second = tuple(float(c * rng.uniform(0.7, 1.3)) for c in colour) if rng.random() < 0.3 else (0.0,) * 4
    x0, y0, x1, y1 = yard.bounds
    turned = heading + 90.0 * int(rng.integers(2)) + float(rng.normal(0, 2.5))
    for _ in range(20):
        x, y = float(rng.uniform(x0, x1)), float(rng.uniform(y0, y1))
        shape = outline_box(x, y, length, width, turned)
        if yard.buffer(1.0).covers(shape) and not any(shape.intersects(other) for other in taken):
            seed = int(rng.integers(1_000_000))
            return Solid(kind, x, y, turned, length, width, height, colour, second, seed=seed)  # type: ignore[arg-type]
    return None


def bring_traffic(
    place: Place, mosaic: Mosaic, farms: list[Solid], moments: list[datetime], rng: np.random.Generator
) -> list[Solid]:
    """Return cars on the roads and in the yards, tractors on fields, trailers: other ones at every look."""
    solids: list[Solid] = []
    built = shapely.union_all([farm.outline for farm in farms]) if farms else Point(-1e6, -1e6)
    for k, moment in enumerate(moments):
        until = moments[k + 1] if k + 1 < len(moments) else moment + timedelta(days=1)
        for line, kind in mosaic.ways:
            for _ in range(int(rng.poisson(line.length / {"tarmac": 220.0}.get(kind, 2500.0)))):
                here, heading = point_heading(line, float(rng.uniform(0, line.length)))
                side = 1.55 * (1 if rng.random() < 0.5 else -1) * (kind == "tarmac")
                angle = math.radians(heading)
                spot = (here.x + side * math.cos(angle), here.y + side * math.sin(angle))
                solids.append(_make_vehicle(spot, heading, (moment, until), rng, float(rng.random())))
        for yard, heading in mosaic.yards:
            for _ in range(int(rng.poisson(1.6))):
                x0, y0, x1, y1 = yard.bounds
                spot = (float(rng.uniform(x0, x1)), float(rng.uniform(y0, y1)))
                clear = yard.contains(Point(spot)) and built.distance(Point(spot)) > 3.2
                if clear:
                    turned = heading + 90 * int(rng.integers(2)) + float(rng.normal(0, 8))
                    solids.append(_make_vehicle(spot, turned, (moment, until), rng, float(rng.random())))
        solids += _work_fields(place, mosaic, (moment, until), rng)
    return solids


def _make_vehicle(
    spot: tuple[float, float],
    heading: float,
    stay: tuple[datetime, datetime],
    rng: np.random.Generator,
    draw: float,
) -> Solid:
    paint = PAINTS[int(rng.choice(len(PAINTS), p=(0.3, 0.25, 0.2, 0.1, 0.1, 0.05)))]
    length, width, height = float(rng.uniform(3.9, 4.8)), float(rng.uniform(1.7, 1.9)), 1.5
    if draw > 0.9:
        length, width, height = float(rng.uniform(6, 11)), 2.5, float(rng.uniform(2.6, 3.6))
    cab = PAINTS[int(rng.integers(len(PAINTS)))]
    seed = int(rng.integers(1_000_000))
    return Solid("vehicle", *spot, heading, length, width, height, paint, cab, stay[0], stay[1], seed)


def _work_fields(
    place: Place, mosaic: Mosaic, stay: tuple[datetime, datetime], rng: np.random.Generator
) -> list[Solid]:
    """Return a tractor or two at work, each with a trailer or plough behind it."""
    solids = []
    for _ in range(int(rng.poisson(0.5 + 1.2 * (place.size_m / 1000) ** 2)) if mosaic.parcels else 0):
        parcel = mosaic.parcels[int(rng.integers(len(mosaic.parcels)))]
        if parcel.shape.area < 1500:
            continue
        spot = parcel.shape.buffer(-8).representative_point()
        if spot.is_empty:
            continue
        angle = math.radians(parcel.heading_deg)
        paint = ((0.05, 0.09, 0.05, 0.12), (0.05, 0.05, 0.20, 0.25), (0.20, 0.12, 0.05, 0.1))[int(rng.integers(3))]
        seed = int(rng.integers(1_000_000))
        about = (parcel.heading_deg, 4.8, 2.2, 2.8, paint, paint, *stay, seed)
        solids.append(Solid("vehicle", spot.x, spot.y, *about))
        behind = (spot.x - 4.6 * math.sin(angle), spot.y + 4.6 * math.cos(angle))
        solids.append(
            Solid(
                "sheet",
                *behind,
                parcel.heading_deg,
                3.2,
                2.6,
                1.0,
                (0.10, 0.08, 0.09, 0.12),
                start=stay[0],
                end=stay[1],
            )
        )
    return solids


def scatter_bales(mosaic: Mosaic, moments: list[datetime], rng: np.random.Generator) -> list[Solid]:
    """Return bales lying on some stubble and mown fields between two looks, and wrapped ones by some yards."""
    solids = []
    for parcel in mosaic.parcels:
        if parcel.autumn not in ("stubble", "mown", "cereal", "meadow") or rng.random() > 0.10:
            continue
        first = int(rng.integers(0, len(moments)))
        stay = (moments[first], moments[min(first + int(rng.integers(1, 4)), len(moments) - 1)])
        if stay[0] >= stay[1]:
            continue
        x0, y0, x1, y1 = parcel.shape.bounds
        spots = rng.uniform((x0, y0), (x1, y1), (int(rng.poisson(parcel.shape.area / 900)), 2))
        colour = _STRAW if parcel.autumn != "mown" else _WRAP[int(rng.integers(3))]
        inner = parcel.shape.buffer(-3)
        solids += [
            Solid("tank", float(x), float(y), 0.0, 1.4, 1.4, 1.3, colour, start=stay[0], end=stay[1])
            for x, y in spots[shapely.contains_xy(inner, spots[:, 0], spots[:, 1])]
        ]
    return solids

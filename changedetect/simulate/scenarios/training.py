"""Training ground: trenches in early October, equipment assembling in the south later in the month and leaving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from shapely.affinity import rotate, scale, translate
from shapely.geometry import LineString, box
from shapely.ops import unary_union

from changedetect.simulate.objects import FRESH_SOIL, OLIVE, Item, make_rectangle, make_trench
from changedetect.simulate.plan import LookPlan, Plan, TruthItem
from changedetect.simulate.scenarios.land import (
    ROOFS,
    Country,
    add_cars,
    choose_baseline,
    find_place,
    make_country,
    make_looks_calendar,
    stretch,
)
from changedetect.simulate.terrain import finish_terrain

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from changedetect.simulate.params import SimulateParams
    from changedetect.simulate.plan import Site

_DAYS = [
    datetime(2024, month, day, tzinfo=UTC)
    for month, day in ((9, 8), (9, 19), (9, 27), (10, 5), (10, 11), (10, 18), (10, 24), (10, 29), (11, 6))
]
_CLOUD = (0.0, 0.0, 0.86, 0.0, 0.27, 0.0, 0.04, 0.0, 0.0)
_HAZE = (0.04, 0.12, 0.2, 0.05, 0.1, 0.03, 0.08, 0.22, 0.05)
_THIN = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.15, 0.0)
_WET = (0.0, 0.0, 0.5, 0.3, 0.0, 0.0, 0.6, 0.0, 0.2)


def build_plan(site: Site, params: SimulateParams, rng: np.random.Generator) -> Plan:
    """Return nine looks over eight weeks, six trenches, four huts and three parks of trucks."""
    # a stream of its own for each part: what is planted leaves the ground as it is
    for_times, for_country, for_cars, for_texture, rng = rng.spawn(5)
    times = make_looks_calendar(params, for_times, _DAYS, site.lon_deg)
    country = make_country(site, for_country)
    add_cars(country, for_cars, times, 5)
    plan = Plan(country.terrain, [], country.items, targets=("trench", "hut", "equipment"))
    plan.zones = list(site.zones)
    when = [stretch(day, params, _DAYS) for day in _DAYS]
    plan.looks = [
        LookPlan(
            moment,
            site.gsd_m,
            _like(moment, when, _CLOUD),
            _like(moment, when, _HAZE),
            _like(moment, when, _THIN),
            wet=_like(moment, when, _WET),
        )
        for moment in times
    ]
    plan.baseline_until = choose_baseline(site, times, stretch(datetime(2024, 9, 30, tzinfo=UTC), params, _DAYS))
    if params.planted:
        size = site.size_m
        events = [stretch(datetime(2024, 10, 2, 3, tzinfo=UTC) + timedelta(days=d), params, _DAYS) for d in range(7)]
        add_trenches(plan, country, rng, events, 6)
        _add_huts(plan, country, rng, 4, [stretch(d, params, _DAYS) for d in (_DAYS[3], _DAYS[4])])
        arrive = stretch(datetime(2024, 10, 17, 4, tzinfo=UTC), params, _DAYS)
        leave = stretch(datetime(2024, 10, 31, 22, tzinfo=UTC), params, _DAYS)
        add_parks(plan, country, rng, (arrive, leave), (0.25 * size, 0.66 * size, 0.97 * size, 0.97 * size))
    finish_terrain(country.terrain, for_texture)
    return plan


def _like(moment: datetime, days: list[datetime], values: tuple[float, ...]) -> float:
    """Return the value of the scenario's day nearest to a moment."""
    return values[int(np.argmin([abs((moment - day).total_seconds() - 8400) for day in days]))]


def make_path(kind: str, length_m: float, rng: np.random.Generator) -> LineString:
    """Return the line of a trench about (0, 0), eastward: zigzag, arc, square-wave or straight, `length_m` long."""
    if kind == "arc":
        angle = np.linspace(-0.5, 0.5, 40) * rng.uniform(1.1, 1.9)
        radius = length_m / float(np.ptp(angle))
        points = np.stack([radius * np.sin(angle), radius * (np.cos(angle) - np.cos(angle[0]))], 1)
    elif kind == "square-wave":
        bay, traverse = 8.2, 3.4
        steps, x, y = [(0.0, 0.0)], 0.0, 0.0
        while LineString([*steps, (x + bay, y)]).length < length_m or len(steps) < 3:
            x += bay
            steps.append((x, y))
            y = traverse - y
            steps.append((x, y))
        points = np.array([*steps, (x + bay, y)])
    else:
        leg = rng.uniform(8.0, 13.0)
        n = max(int(length_m / leg), 2)
        turn = np.radians(rng.uniform(24, 36)) * (1 if kind == "zigzag" else 0.0)
        headings = turn * np.where(np.arange(n) % 2, 1, -1) * rng.uniform(0.85, 1.15, n)
        moves = length_m / n * np.stack([np.cos(headings), np.sin(headings)], 1)
        points = np.concatenate([[[0.0, 0.0]], np.cumsum(moves, 0)])
    return LineString(points - (points.min(0) + points.max(0)) / 2)


def add_trenches(plan: Plan, country: Country, rng: np.random.Generator, events: list[datetime], count: int) -> None:
    """Dig trenches of different shape on open ground north of the parks, each at one of the moments in `events`."""
    size = country.terrain.size_m
    kinds = ("zigzag", "arc", "square-wave", "zigzag", "straight", "arc")
    sides = ("both", "both", "both", "left", "both", "right")
    span = (30.0, min(90.0, 0.30 * size))
    region = (0.23 * size, 0.20 * size, 0.98 * size, 0.64 * size)
    for k in range(count):
        kind, side = kinds[k % 6], sides[k % 6]
        length = float(rng.uniform(max(span[0], 0.55 * span[1]), max(span[1], 31.0)))
        width = float(rng.uniform(4.5, 7.0) if side == "both" else rng.uniform(3.2, 4.6))
        dug = _find_trench(country, rng, make_path(kind, length, rng), (width, side), region)
        if dug is None:
            continue
        shape, line = dug
        start = events[int(rng.integers(len(events)))]
        colour = tuple(float(c * rng.uniform(0.93, 1.1)) for c in FRESH_SOIL)
        plan.items.append(
            Item("trench", shape, colour, start=start, path=line, seed=int(rng.integers(1_000_000)), style=side)  # type: ignore[arg-type]
        )
        plan.truth.append(TruthItem("trench", shape, start, length_m=line.length))


def _find_trench(
    country: Country,
    rng: np.random.Generator,
    path: LineString,
    build: tuple[float, str],
    region: tuple[float, float, float, float],
) -> tuple[BaseGeometry, LineString] | None:
    """Return a trench (outline, line) of a build (width, side) on free ground, shortened where there is too little."""
    for share in (1.0, 0.75, 0.55):
        shorter = scale(path, share, share, origin=(0, 0))
        made: dict[BaseGeometry, LineString] = {}

        def shape_at(x: float, y: float) -> BaseGeometry:
            line = translate(rotate(shorter, float(rng.uniform(0, 180)), origin=(0, 0)), x, y)  # noqa: B023
            shape = make_trench(line, *build)
            made[shape] = line  # noqa: B023
            return shape

        shape = find_place(country, rng, shape_at, region, 9.0)
        if shape is not None:
            return shape, made[shape]
    return None


def _add_huts(plan: Plan, country: Country, rng: np.random.Generator, count: int, events: list[datetime]) -> None:
    size = country.terrain.size_m
    heading = float(rng.uniform(0, 180))
    for k in range(count):
        length, width = float(rng.uniform(8, 20)), float(rng.uniform(5, 9))
        length = max(length, width * 1.15)
        turned = heading + float(rng.uniform(-4, 4))

        def shape_at(x: float, y: float) -> BaseGeometry:
            return make_rectangle(x, y, length, width, turned)  # noqa: B023

        shape = find_place(country, rng, shape_at, (0.24 * size, 0.17 * size, 0.97 * size, 0.62 * size), 9.0)
        if shape is None:
            continue
        start = events[k % len(events)] - timedelta(hours=float(rng.uniform(8, 60)))
        colour = ROOFS[(k + 1) % len(ROOFS)]
        height = float(rng.uniform(2.6, 4.0))
        plan.items.append(
            Item("building", shape, colour, height, turned, length, width, start, seed=int(rng.integers(1_000_000)))
        )
        plan.truth.append(TruthItem("hut", shape, start))


def add_parks(
    plan: Plan,
    country: Country,
    rng: np.random.Generator,
    stay: tuple[datetime, datetime],
    region: tuple[float, float, float, float],
    count: int = 3,
) -> None:
    """Park rows of trucks in a region for a stay; each park arrives and leaves within a day of it."""
    for _ in range(count):
        n_rows, per_row = int(rng.integers(1, 3)), int(rng.integers(5, 8))
        gap, heading = float(rng.uniform(1.6, 2.6)), float(rng.uniform(0, 180))
        half = (per_row * (2.5 + gap) / 2, n_rows * 10.5 / 2)
        outline = box(-half[0], -half[1], half[0], half[1])

        def shape_at(x: float, y: float) -> BaseGeometry:
            return translate(rotate(outline, heading, origin=(0, 0)), x, y)  # noqa: B023

        place = find_place(country, rng, shape_at, region, 8.0)
        if place is None:
            continue
        start = stay[0] + timedelta(hours=float(rng.uniform(0, 16)))
        end = stay[1] - timedelta(hours=float(rng.uniform(0, 30)))
        trucks = []
        for row in range(n_rows):
            for k in range(per_row):
                across, along = (k - (per_row - 1) / 2) * (2.5 + gap), (row - (n_rows - 1) / 2) * 10.5
                truck = make_rectangle(across, along + float(rng.normal(0, 0.25)), 7.4, 2.5, float(rng.normal(0, 1.5)))
                truck = translate(rotate(truck, heading, origin=(0, 0)), place.centroid.x, place.centroid.y)
                shade = float(rng.uniform(0.85, 1.25))
                colour = tuple(c * shade for c in OLIVE)
                trucks.append(truck)
                plan.items.append(
                    Item("vehicle", truck, colour, 2.9, heading, 7.4, 2.5, start, end)  # type: ignore[arg-type]
                )
        group = unary_union(trucks).buffer(2.2, join_style="mitre").buffer(-2.2, join_style="mitre")
        plan.truth.append(TruthItem("equipment", group, start, end, count=len(trucks)))

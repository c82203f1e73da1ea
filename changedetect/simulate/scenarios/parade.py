"""Parade ground: people standing in formation or in loose groups on some dates, nobody on the others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from shapely.affinity import scale
from shapely.geometry import Point, Polygon, box

from changedetect.errors import ConfigError
from changedetect.simulate.objects import RED_ROOF, SLATE_ROOF, Item, make_rectangle, place_shape
from changedetect.simulate.plan import LookPlan, Plan, TruthItem, ZonePlan
from changedetect.simulate.scenarios.land import Country, add_cars, choose_baseline, make_looks_calendar, stretch
from changedetect.simulate.terrain import (
    ASPHALT,
    SCRUB,
    SOIL,
    TRACK,
    add_forest,
    add_trees,
    finish_terrain,
    make_terrain,
    paint_line,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.simulate.params import SimulateParams
    from changedetect.simulate.plan import Site

_DAYS = [datetime(2024, 10, day, tzinfo=UTC) for day in (3, 8, 16, 18, 24)]
_CROWDED = (2, 3)
_CLOUD = (0.0, 0.0, 0.0, 0.0, 0.25)
PEOPLE = 400
CLOTHES = {
    "field": (
        (0.035, 0.042, 0.04, 0.10),
        (0.05, 0.062, 0.06, 0.15),
        (0.028, 0.03, 0.035, 0.06),
        (0.12, 0.13, 0.13, 0.17),
    ),
    "pale": ((0.14, 0.19, 0.22, 0.30), (0.20, 0.23, 0.25, 0.30), (0.10, 0.13, 0.15, 0.22), (0.30, 0.31, 0.31, 0.33)),
}
"""What a unit wears, by band: field dress, or sand and winter dress; the first of each is the commonest."""
GROUNDS = ((0.125, 0.142, 0.158, 0.185), (0.085, 0.095, 0.102, 0.12), (0.19, 0.21, 0.225, 0.25))
"""Worn asphalt, fresh asphalt, concrete."""
SPACINGS = {
    "drill": ((0.75, 1.0), (0.9, 1.2)),
    "open": ((1.05, 1.4), (1.2, 1.7)),
    "loose": ((0.8, 1.3), (0.9, 1.5)),
}
"""Metres from man to man and from rank to rank; a loose group has the same density without the ranks."""
_BODY = scale(Point(0, 0).buffer(1.0, quad_segs=4), 0.25, 0.15)
"""A person from above: .5 m across the shoulders, .3 m deep, facing north."""


def build_plan(site: Site, params: SimulateParams, rng: np.random.Generator) -> Plan:
    """Return five looks in October; people stand in blocks on the third and fourth."""
    for_looks, for_place, for_people, for_texture, for_manner = rng.spawn(5)
    times = make_looks_calendar(params, for_looks, _DAYS, site.lon_deg)
    picks = np.linspace(0, len(_DAYS) - 1, len(times)).round().astype(int)
    country, ground, heading = _build_barracks(site, for_place)
    add_cars(country, for_place, times, 4)
    plan = Plan(country.terrain, [], country.items, targets=("crowd",))
    plan.looks = [
        LookPlan(
            when,
            site.gsd_m,
            _CLOUD[pick],
            float(for_looks.uniform(0.03, 0.12)),
            wet=0.4 * (pick == 3),
            snow=_draw_snow(for_manner, when),
        )
        for when, pick in zip(times, picks, strict=True)
    ]
    given = [zone for zone in site.zones if "crowd" in zone.targets]
    plan.zones = list(site.zones) if given else [*site.zones, ZonePlan("parade-ground", ground, ("crowd",))]
    plan.baseline_until = choose_baseline(site, times, stretch(datetime(2024, 10, 10, tzinfo=UTC), params, _DAYS))
    if params.planted:
        people = PEOPLE if params.people is None else params.people
        manner = _draw_manner(for_manner)
        for when, pick in zip(times, picks, strict=True):
            if people and pick in _CROWDED and when > plan.baseline_until:
                _line_up(plan, for_people, (ground, heading), manner, people, when)
    finish_terrain(country.terrain, for_texture)
    return plan


def _build_barracks(site: Site, rng: np.random.Generator) -> tuple[Country, Polygon, float]:
    """Return a parade ground between barracks, with paths and trees, and its heading."""
    size = site.size_m
    country = Country(make_terrain(size, site.margin_m, site.pixel_m))
    terrain = country.terrain
    patches = terrain.scale_noise(rng, 50.0, 1.0, 0.8)
    terrain.cover[patches > 1.2] = SCRUB
    terrain.cover[patches < -1.5] = SOIL
    heading = float(rng.uniform(70, 110))
    length, width = min(0.46 * size, 120.0), min(0.29 * size, 74.0)
    ground = make_rectangle(0.5 * size, 0.54 * size, length, width, heading)
    angle = np.radians(heading)
    along, across = np.array([np.sin(angle), -np.cos(angle)]), np.array([np.cos(angle), np.sin(angle)])
    middle, far = np.array([0.5, 0.54]) * size, size + site.margin_m
    paint_line(terrain, np.stack([middle - along * far, middle + along * far]), 5.0, ASPHALT)
    paint_line(terrain, np.stack([middle - across * far, middle + across * far]), 3.0, TRACK)
    for side in (-1, 1):
        line = middle + side * across * (width / 2 + 0.06 * size)
        n = max(int(length / 7), 2)
        trees = line + np.linspace(-0.5, 0.5, n)[:, None] * length * along
        add_trees(terrain, rng, trees + rng.normal(0, 0.5, trees.shape), 6.0, 0.0)
        for k in (-1, 1):
            house = middle + side * across * (width / 2 + 0.16 * size) + k * 0.27 * length * along
            shape = make_rectangle(float(house[0]), float(house[1]), 0.44 * length, 0.055 * size, heading)
            colour = (RED_ROOF, SLATE_ROOF)[int(rng.integers(2))]
            measures = (float(rng.uniform(6, 9)), heading, 0.44 * length, 0.055 * size)
            country.items.append(Item("building", shape, colour, *measures, seed=int(rng.integers(1_000_000))))
            country.taken.append(shape)
    edge = np.abs(np.linspace(-1, 1, len(patches), dtype=np.float32))
    add_forest(terrain, rng, (patches * 0.25 + np.maximum(edge[:, None], edge[None, :])) > 0.93)
    tone = GROUNDS[int(rng.choice(3, p=[0.6, 0.2, 0.2]))]
    country.items.insert(0, Item("floor", ground, tone, style="cleared", seed=int(rng.integers(1_000_000))))
    line = middle - across * 0.38 * width
    stripe = make_rectangle(float(line[0]), float(line[1]), 0.8 * length, 0.25, heading)
    country.items.insert(1, Item("floor", stripe, (0.3, 0.31, 0.31, 0.32)))
    return country, ground, heading


@dataclass(frozen=True, slots=True)
class Manner:
    """How the people of one place stand and what they wear."""

    order: str
    """drill, open or loose."""
    clothes: str
    """Key of `CLOTHES`."""


def _draw_manner(rng: np.random.Generator) -> Manner:
    order = ("drill", "open", "loose")[int(rng.choice(3, p=[0.6, 0.2, 0.2]))]
    return Manner(order, "pale" if rng.random() < 0.2 else "field")


def _draw_snow(rng: np.random.Generator, when: datetime) -> float:
    """Return the share of the ground under snow at a look: on some winter days."""
    lies, share = bool(rng.random() < 0.4), float(rng.uniform(0.3, 0.95))
    return share if lies and when.month in (12, 1, 2) else 0.0


def _line_up(
    plan: Plan,
    rng: np.random.Generator,
    where: tuple[Polygon, float],
    manner: Manner,
    people: int,
    when: datetime,
) -> None:
    """Stand `people` in blocks on the ground around the moment of a look; one true crowd per block."""
    ground, heading = where
    spacing = tuple(float(rng.uniform(*limits)) for limits in SPACINGS[manner.order])
    early, late = (timedelta(minutes=float(rng.uniform(30, 90))) for _ in range(2))
    files, ranks = int(rng.integers(7, 10)), int(rng.integers(8, 11))
    n_blocks = -(-people // (files * ranks))
    sizes = [people // n_blocks + (block < people % n_blocks) for block in range(n_blocks)]
    middles = _place_blocks(ground, n_blocks, (files * spacing[0] + 4.5, ranks * spacing[1] + 5.0))
    for here, middle in zip(sizes, middles, strict=True):
        stand = _scatter if manner.order == "loose" else _draw_up
        spots = stand(rng, here, files, spacing) + middle
        (x0, y0), (x1, y1) = spots.min(0) - 0.4, spots.max(0) + 0.4
        outline = box(float(x0), float(y0), float(x1), float(y1))
        # the ranks face across the ground: their files run along its longer side
        block = place_shape(outline, ground.centroid.x, ground.centroid.y, heading - 90.0)
        plan.truth.append(TruthItem("crowd", block, when - early, when + late, count=here))
        for spot in spots:
            at = place_shape(Point(*map(float, spot)), ground.centroid.x, ground.centroid.y, heading - 90.0)
            facing = heading - 90.0 + float(rng.normal(0, 8) if stand is _draw_up else rng.uniform(0, 360))
            colour = CLOTHES[manner.clothes][int(rng.choice(4, p=[0.5, 0.3, 0.12, 0.08]))]
            measures = (float(rng.normal(1.73, 0.07)), facing, 0.3, 0.5, when - early, when + late)
            plan.items.append(Item("person", place_shape(_BODY, at.x, at.y, facing), colour, *measures))


def _draw_up(rng: np.random.Generator, people: int, files: int, spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Return places in ranks about (0, 0), (n, 2) metres."""
    k = np.arange(people)
    x = (k % files - (files - 1) / 2) * spacing[0]
    y = (k // files - (k[-1] // files) / 2) * spacing[1]
    return np.asarray(np.stack([x, y], 1) + rng.normal(0, 0.06, (people, 2)))


def _scatter(rng: np.random.Generator, people: int, files: int, spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Return places without order about (0, 0), (n, 2) metres, over the same ground, half a metre apart at least."""
    size = np.array([files * spacing[0], -(-people // files) * spacing[1]])
    spots: list[NDArray[np.float64]] = []
    while len(spots) < people:
        spot = rng.uniform(-0.5, 0.5, 2) * size
        if all(np.hypot(*(spot - other)) > 0.5 for other in spots):
            spots.append(spot)
    return np.stack(spots)


def _place_blocks(ground: Polygon, n_blocks: int, pitch: tuple[float, float]) -> list[tuple[float, float]]:
    """Return the middles of blocks in rows on the ground, metres from its own middle along and across it.

    Raises
    ------
    ConfigError
        If so many do not fit.
    """
    corners = np.asarray(ground.exterior.coords)
    length, width = sorted(np.hypot(*(corners[1:3] - corners[:2]).T), reverse=True)
    per_row, rows = max(int(length / pitch[0]), 0), max(int(width / pitch[1]), 0)
    if n_blocks > per_row * rows:
        raise ConfigError(
            "so many people do not fit on the simulated parade ground",
            found=f"{n_blocks} blocks",
            needed=f"at most {per_row * rows} on {length:.0f} x {width:.0f} m",
            hint="a larger size_m or fewer people",
        )
    used = -(-n_blocks // per_row) if n_blocks else 0
    middles = []
    for k in range(n_blocks):
        row, here = k // per_row, min(per_row, n_blocks - k // per_row * per_row)
        middles.append(((k % per_row - (here - 1) / 2) * pitch[0], (row - (used - 1) / 2) * pitch[1]))
    return middles

"""Airfield: aircraft coming and going on an apron that is never empty, among the lorries that serve them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from shapely.geometry import Polygon
from shapely.ops import unary_union

from changedetect.simulate.objects import (
    GREY,
    OLIVE,
    SLATE_ROOF,
    WHITE,
    Item,
    make_airframe,
    make_rectangle,
    place_shape,
)
from changedetect.simulate.plan import LookPlan, Plan, TruthItem, ZonePlan
from changedetect.simulate.scenarios.land import choose_baseline, make_looks_calendar, stretch
from changedetect.simulate.terrain import (
    ASPHALT,
    CONCRETE,
    SCRUB,
    SOIL,
    Terrain,
    add_forest,
    finish_terrain,
    make_terrain,
    paint_line,
    paint_polygon,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.simulate.params import SimulateParams
    from changedetect.simulate.plan import Site

_DAYS = [datetime(2024, 9, 20, tzinfo=UTC) + timedelta(days=3 * k) for k in range(16)]
_CLOUD = (0.0, 0.0, 0.3, 0.0, 1.0, 0.0, 0.0, 0.6, 0.1, 0.0, 0.0, 1.0, 0.2, 0.0, 0.0, 0.05)
TYPES = (
    ("swept", 46.6, 50.5, 5.5),
    ("swept", 46.6, 50.5, 5.5),
    ("swept", 53.0, 43.2, 5.0),
    ("straight", 25.0, 29.2, 3.5),
    ("straight", 33.1, 38.0, 4.5),
    ("swept", 35.0, 29.0, 4.0),
)
"""Wing, length, span, height of the back in metres: Il-76 (twice as common), Il-62, An-24, An-12, Tu-134 ..."""
SMALL_TYPES = (
    ("delta", 17.3, 11.4, 2.2),
    ("delta", 21.9, 14.7, 2.5),
    ("broad", 15.5, 14.4, 2.3),
    ("broad", 17.6, 21.4, 2.6),
)
"""MiG-29, Su-27, Su-25, Il-28 and the like."""
PAINTS = (WHITE, (0.36, 0.38, 0.39, 0.40), (0.27, 0.29, 0.30, 0.31))
SMALL_PAINTS = ((0.27, 0.29, 0.30, 0.31), (0.36, 0.38, 0.37, 0.38), (0.10, 0.12, 0.11, 0.17), (0.14, 0.17, 0.19, 0.23))
"""Air defence greys, and the greens and browns of camouflage."""
LORRIES = ((5.5, 2.4, 2.2), (8.0, 2.5, 2.8), (11.0, 2.6, 3.2), (12.0, 2.7, 3.1))
"""Length, width and height in metres: tow tractor, ground power, fuel, bus."""
LORRY_COLOURS = (WHITE, OLIVE, (0.08, 0.28, 0.40, 0.45), GREY, (0.05, 0.06, 0.22, 0.28))
BIG_PITCH_M, SMALL_PITCH_M = 64.0, 28.0
SMALL_SHARE = 0.4
"""Share of airfields with a flight line of small aircraft."""
FEWEST, MOST = 4, 9


@dataclass(frozen=True, slots=True)
class Apron:
    """The apron's middle, size and the headings of its long side."""

    zone: str
    x_m: float
    y_m: float
    heading_deg: float
    length_m: float
    width_m: float

    def at(self, along_m: float, across_m: float) -> tuple[float, float]:
        """Return the place so far along the apron and to the right of its axis."""
        angle = np.radians(self.heading_deg)
        x = self.x_m + along_m * np.sin(angle) + across_m * np.cos(angle)
        return float(x), float(self.y_m - along_m * np.cos(angle) + across_m * np.sin(angle))


def build_plan(site: Site, params: SimulateParams, rng: np.random.Generator) -> Plan:
    """Return sixteen looks over seven weeks at an apron with up to 14 stands, 4 to 9 of them taken."""
    for_looks, for_place, for_planes, for_texture, for_fleet, for_lorries = rng.spawn(6)
    times = make_looks_calendar(params, for_looks, _DAYS, site.lon_deg)
    cloud = [_CLOUD[int(k)] for k in np.linspace(0, len(_CLOUD) - 1, len(times)).round()]
    zones, apron = _choose_apron(site)
    terrain = make_terrain(site.size_m, site.margin_m, site.pixel_m)
    plan = Plan(terrain, [], _build_airfield(terrain, apron, for_place), zones=zones, targets=("aircraft",))
    plan.looks = [
        LookPlan(
            when,
            site.gsd_m,
            share,
            float(for_looks.choice([0.03, 0.08, 0.2])),
            wet=0.5 * (for_looks.random() < 0.2),
            snow=_draw_snow(for_fleet, when),
        )
        for when, share in zip(times, cloud, strict=True)
    ]
    plan.baseline_until = choose_baseline(site, times, stretch(datetime(2024, 10, 5, 23, tzinfo=UTC), params, _DAYS))
    if params.planted:
        stands = make_stands(apron, small_row=bool(for_fleet.random() < SMALL_SHARE))
        n_baseline = sum(when <= plan.baseline_until for when in times)
        taken = schedule_stands(for_planes, len(stands), len(times), n_baseline)
        _park_aircraft(plan, for_planes, stands, taken, times)
        _drive_lorries(plan, for_lorries, apron, times)
    finish_terrain(terrain, for_texture)
    return plan


def _choose_apron(site: Site) -> tuple[list[ZonePlan], Apron]:
    """Return the zones and the apron: the first zone in which aircraft count, or one of our own."""
    given = [zone for zone in site.zones if "aircraft" in zone.targets]
    if given:
        corners = np.asarray(given[0].geometry.minimum_rotated_rectangle.exterior.coords)
        sides = corners[1:3] - corners[:2]
        sizes = np.hypot(sides[:, 0], sides[:, 1])
        axis = sides[int(np.argmax(sizes))]
        middle = (corners[:4].min(0) + corners[:4].max(0)) / 2
        heading = float(np.degrees(np.arctan2(axis[0], -axis[1])) % 180.0)
        length, width = 0.96 * float(sizes.max()), 0.96 * float(sizes.min())
        return list(site.zones), Apron(given[0].name, float(middle[0]), float(middle[1]), heading, length, width)
    size = site.size_m
    apron = Apron("apron", 0.62 * size, 0.5 * size, 8.0, min(0.42 * size, 620.0), min(0.13 * size, 190.0))
    shape = make_rectangle(apron.x_m, apron.y_m, apron.length_m + 10, apron.width_m + 10, apron.heading_deg)
    return [*site.zones, ZonePlan("apron", shape, ("aircraft",))], apron


def _build_airfield(terrain: Terrain, apron: Apron, rng: np.random.Generator) -> list[Item]:
    """Lay runway, taxiways and apron, a terminal and hangars; return the buildings."""
    size = terrain.size_m
    patches = terrain.scale_noise(rng, 150.0, 5.0, 0.8)
    terrain.cover[patches > 1.2] = SCRUB
    terrain.cover[patches < -1.7] = SOIL
    hills = terrain.scale_noise(rng, 0.5 * size, 20.0, 1.0)
    edge = np.abs(np.linspace(-1, 1, len(hills), dtype=np.float32))
    wooded = (hills + 2.2 * np.maximum(edge[:, None], edge[None, :]) ** 4) > 2.1
    far, aside = 2.0 * size, apron.width_m / 2
    for across, width, cover in ((-aside - 0.24 * size, 60.0, ASPHALT), (-aside - 0.09 * size, 24.0, CONCRETE)):
        paint_line(terrain, np.array([apron.at(-far, across), apron.at(far, across)]), width, cover)
    for along in (-0.40 * apron.length_m, 0.40 * apron.length_m):
        paint_line(terrain, np.array([apron.at(along, 0.0), apron.at(along, -aside - 0.24 * size)]), 24.0, CONCRETE)
    deck = make_rectangle(apron.x_m, apron.y_m, apron.length_m, apron.width_m, apron.heading_deg)
    paint_polygon(terrain, np.asarray(deck.exterior.coords), CONCRETE)
    add_forest(terrain, rng, wooded, spacing_m=7.0)
    items = []
    sizes = (
        (0.0, 0.30 * apron.length_m, 34.0, 14.0),
        (-0.36, 52.0, 48.0, 16.0),
        (0.34, 52.0, 48.0, 16.0),
        (0.48, 26, 14, 6.0),
    )
    for share, length, width, height in sizes:
        x, y = apron.at(share * apron.length_m, aside + 14.0 + width / 2)
        shape = make_rectangle(x, y, length, width, apron.heading_deg)
        colour = (GREY, SLATE_ROOF, WHITE)[int(rng.integers(3))]
        seed = int(rng.integers(1_000_000))
        items.append(Item("building", shape, colour, height, apron.heading_deg, length, width, style="flat", seed=seed))
    return items


@dataclass(frozen=True, slots=True)
class Stand:
    """A place to park, and which aircraft it is for."""

    x_m: float
    y_m: float
    heading_deg: float
    """Of a parked aircraft."""
    small: bool = False


def make_stands(apron: Apron, small_row: bool = False) -> list[Stand]:
    """Return the stands: one or two rows, 17 at most; with `small_row` the last is a flight line."""
    deep = apron.width_m >= 135.0
    stands = []
    for side in (1, -1) if deep else (1,):
        small = small_row and side == (-1 if deep else 1)
        pitch, most = (SMALL_PITCH_M, 10) if small else (BIG_PITCH_M, 7 if deep else 14)
        per_row = max(int((apron.length_m - 14.0) / pitch), 1)
        n = min(per_row, most)
        spread = SMALL_PITCH_M if small else apron.length_m * 0.98 / max(per_row, n)
        for k in range(n):
            across = side * (apron.width_m / 2 - 32.0) if deep else 0.0
            place = apron.at((k - (n - 1) / 2) * spread, across)
            stands.append(Stand(*place, (apron.heading_deg + 90.0 * side) % 360.0, small))
    return stands


def schedule_stands(rng: np.random.Generator, n_stands: int, n_looks: int, n_baseline: int) -> NDArray[np.bool_]:
    """Return which stands are taken at each look, (stand, look).

    Two stands are taken through the whole baseline, one of them for ever; each other stand is seen empty at least
    once in it. The apron is never empty.
    """
    taken = np.zeros((n_stands, n_looks), bool)
    taken[0] = True
    if n_stands > 3:
        taken[3, : min(n_looks, n_baseline + 3)] = True
    fixed = taken.copy()
    free = [k for k in range(n_stands) if k not in (0, 3)]
    gap = {stand: int(rng.integers(max(n_baseline, 1))) for stand in free}
    for look in range(n_looks):
        if look:
            taken[free, look] = taken[free, look - 1] & (rng.random(len(free)) < 0.68)
        for stand in free:
            if look < n_baseline and gap[stand] == look:
                taken[stand, look] = False
        wanted = int(rng.integers(min(FEWEST, n_stands), min(MOST, n_stands) + 1))
        may = [s for s in free if not taken[s, look] and not (look < n_baseline and gap[s] == look)]
        for stand in rng.permutation(may)[: max(0, wanted - int(taken[:, look].sum()))]:
            taken[int(stand), look] = True
    return taken | fixed


def _park_aircraft(
    plan: Plan, rng: np.random.Generator, stands: list[Stand], taken: NDArray[np.bool_], times: list[datetime]
) -> None:
    for stand, row in zip(stands, taken, strict=True):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(int)))
        types, paints = (SMALL_TYPES, SMALL_PAINTS) if stand.small else (TYPES, PAINTS)
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            wing, length, span, height = types[int(rng.integers(len(types)))]
            turned = stand.heading_deg + float(rng.normal(0, 2))
            place = (stand.x_m + float(rng.normal(0, 1.0)), stand.y_m + float(rng.normal(0, 1.0)))
            shape = place_shape(make_planform(wing, length, span), *place, turned)
            start = _between(rng, times, int(first))
            end = _between(rng, times, int(last)) if last < len(times) else None
            paint = paints[int(rng.integers(len(paints)))]
            plan.items.append(Item("aircraft", shape, paint, height, turned, length, span, start, end))
            plan.truth.append(TruthItem("aircraft", shape, start, end, length_m=length))


def make_planform(wing: str, length_m: float, span_m: float) -> BaseGeometry:
    """Return the outline of an aircraft with swept, straight, broad or delta wings, nose to the north, about (0, 0)."""
    if wing == "swept":
        return make_airframe(length_m, span_m)
    half, side = length_m / 2, span_m / 2
    if wing in ("straight", "broad"):
        body = length_m * 0.05
        root = -0.04 if wing == "straight" else 0.0
        panel = [(0, -0.20), (1, -0.16), (1, root - 0.04), (0, root)]
        tail = [(0, 0.38), (0.36, 0.40), (0.36, 0.47), (0, 0.49)]
    else:
        body = length_m * 0.06
        panel = [(0, -0.22), (1, 0.20), (1, 0.27), (0, 0.28)]
        tail = [(0, 0.30), (0.62, 0.42), (0.62, 0.49), (0, 0.46)]
    fuselage = Polygon([(0, -half), (body, -half * 0.7), (body, half * 0.7), (0, half), (-body, half * 0.7)])
    fuselage = fuselage.union(Polygon([(0, -half), (-body, -half * 0.7), (-body, half * 0.7), (0, half)]))
    flat = [Polygon([(s * x * side, y * length_m) for x, y in part]) for part in (panel, tail) for s in (1, -1)]
    return unary_union([fuselage, *flat]).buffer(0)


def _drive_lorries(plan: Plan, rng: np.random.Generator, apron: Apron, times: list[datetime]) -> None:
    """Stand two to six lorries on the apron at each look, elsewhere each time: a confounder, not truth."""
    for k, when in enumerate(times):
        until = times[k + 1] if k + 1 < len(times) else when + timedelta(days=1)
        parked = unary_union([item.geometry for item in plan.truth if item.count_at(when)])
        for _ in range(int(rng.integers(2, 7))):
            length, width, height = LORRIES[int(rng.integers(len(LORRIES)))]
            colour = LORRY_COLOURS[int(rng.integers(len(LORRY_COLOURS)))]
            place = apron.at(*(rng.uniform(-0.46, 0.46, 2) * (apron.length_m, apron.width_m)))
            heading = apron.heading_deg + float(rng.choice([0.0, 90.0])) + float(rng.normal(0, 8))
            shape = make_rectangle(*place, length, width, heading)
            if shape.distance(parked) > 1.5:
                plan.items.append(Item("vehicle", shape, colour, height, heading, length, width, when, until))


def _draw_snow(rng: np.random.Generator, when: datetime) -> float:
    """Return the share of the ground under snow at a look: on some winter days."""
    lies, share = bool(rng.random() < 0.3), float(rng.uniform(0.1, 0.5))
    return share if lies and when.month in (12, 1, 2) else 0.0


def _between(rng: np.random.Generator, times: list[datetime], look: int) -> datetime:
    """Return a moment between a look and the one before it; before the first look, up to two days."""
    before = times[look - 1] if look else times[0] - timedelta(days=2)
    return before + (times[look] - before) * float(rng.uniform(0.1, 0.9))

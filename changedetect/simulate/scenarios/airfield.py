"""Airfield: transport aircraft coming and going on an apron that is never empty."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from changedetect.simulate.objects import (
    GREY,
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

    from changedetect.simulate.params import SimulateParams
    from changedetect.simulate.plan import Site

_DAYS = [datetime(2024, 9, 20, tzinfo=UTC) + timedelta(days=3 * k) for k in range(16)]
_CLOUD = (0.0, 0.0, 0.3, 0.0, 1.0, 0.0, 0.0, 0.6, 0.1, 0.0, 0.0, 1.0, 0.2, 0.0, 0.0, 0.05)
TYPES = ((46.6, 50.5, 5.5), (46.6, 50.5, 5.5), (53.0, 43.2, 5.0), (25.0, 29.2, 3.5))
"""Length, span, height of the back in metres: Il-76 (twice as common), Il-62, An-24 and the like."""
PAINTS = (WHITE, (0.36, 0.38, 0.39, 0.40), (0.27, 0.29, 0.30, 0.31))
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
    for_looks, for_place, for_planes, for_texture = rng.spawn(4)
    times = make_looks_calendar(params, for_looks, _DAYS, site.lon_deg)
    cloud = [_CLOUD[int(k)] for k in np.linspace(0, len(_CLOUD) - 1, len(times)).round()]
    zones, apron = _choose_apron(site)
    terrain = make_terrain(site.size_m, site.margin_m, site.pixel_m)
    plan = Plan(terrain, [], _build_airfield(terrain, apron, for_place), zones=zones, targets=("aircraft",))
    plan.looks = [
        LookPlan(
            when, site.gsd_m, share, float(for_looks.choice([0.03, 0.08, 0.2])), wet=0.5 * (for_looks.random() < 0.2)
        )
        for when, share in zip(times, cloud, strict=True)
    ]
    plan.baseline_until = choose_baseline(site, times, stretch(datetime(2024, 10, 5, 23, tzinfo=UTC), params, _DAYS))
    if params.planted:
        stands = make_stands(apron)
        n_baseline = sum(when <= plan.baseline_until for when in times)
        taken = schedule_stands(for_planes, len(stands), len(times), n_baseline)
        _park_aircraft(plan, for_planes, stands, taken, times)
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


def make_stands(apron: Apron) -> list[tuple[float, float, float]]:
    """Return the stands, (x, y, heading of a parked aircraft): one or two rows along the apron, 14 at most."""
    pitch = 64.0
    per_row = max(int((apron.length_m - 14.0) / pitch), 1)
    rows = ((1, 7), (-1, 7)) if apron.width_m >= 135.0 else ((1, 14),)
    stands = []
    for side, most in rows:
        n = min(per_row, most)
        for k in range(n):
            along = (k - (n - 1) / 2) * apron.length_m * 0.98 / max(per_row, n)
            across = side * (apron.width_m / 2 - 32.0) if len(rows) > 1 else 0.0
            stands.append((*apron.at(along, across), (apron.heading_deg + 90.0 * side) % 360.0))
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
    plan: Plan,
    rng: np.random.Generator,
    stands: list[tuple[float, float, float]],
    taken: NDArray[np.bool_],
    times: list[datetime],
) -> None:
    for (x, y, heading), row in zip(stands, taken, strict=True):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(int)))
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            length, span, height = TYPES[int(rng.integers(len(TYPES)))]
            turned = heading + float(rng.normal(0, 2))
            place = (x + float(rng.normal(0, 1.0)), y + float(rng.normal(0, 1.0)))
            shape = place_shape(make_airframe(length, span), *place, turned)
            start = _between(rng, times, int(first))
            end = _between(rng, times, int(last)) if last < len(times) else None
            paint = PAINTS[int(rng.integers(len(PAINTS)))]
            plan.items.append(Item("aircraft", shape, paint, height, turned, length, span, start, end))
            plan.truth.append(TruthItem("aircraft", shape, start, end, length_m=length))


def _between(rng: np.random.Generator, times: list[datetime], look: int) -> datetime:
    """Return a moment between a look and the one before it; before the first look, up to two days."""
    before = times[look - 1] if look else times[0] - timedelta(days=2)
    return before + (times[look] - before) * float(rng.uniform(0.1, 0.9))

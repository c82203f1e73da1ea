"""Port over a season: empty piers, then ships on an exact number of looked-at days, and stacks of containers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from changedetect.errors import ConfigError
from changedetect.simulate.objects import RUST, Item, make_hull, place_shape
from changedetect.simulate.plan import (
    LookPlan,
    Plan,
    TruthItem,
    hidden_share,
    make_frame,
    sample_shape,
)
from changedetect.simulate.scenarios.harbour import PIER_HEIGHT_M, Harbour, Pier, make_harbour
from changedetect.simulate.scenarios.land import choose_baseline, parse_day, pass_time
from changedetect.simulate.terrain import finish_terrain

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from changedetect.simulate.params import SimulateParams
    from changedetect.simulate.plan import Site

_START, _END = datetime(2023, 8, 25, tzinfo=UTC), datetime(2024, 2, 15, tzinfo=UTC)
_SHIP_DAYS = 34
HULLS = ((0.045, 0.05, 0.06, 0.07), (0.05, 0.055, 0.13, 0.16), (0.12, 0.075, 0.05, 0.08), (0.05, 0.085, 0.07, 0.1))
BOXES = (RUST, (0.15, 0.11, 0.06, 0.12), (0.30, 0.31, 0.31, 0.33), (0.05, 0.10, 0.07, 0.14), (0.07, 0.13, 0.24, 0.3))
CLEAR_SHIP, HIDDEN_SHIP = 0.10, 0.60
"""A ship is in plain sight with at most a tenth hidden, out of sight with most of it hidden; nothing between occurs."""
USABLE_SKY = 0.6
"""A look with more than this share hidden shows no ship at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Stay:
    """A ship at a berth."""

    pier: Pier
    berth: tuple[int, int]
    """(side, slot)."""
    hull: BaseGeometry
    length_m: float
    width_m: float
    heading_deg: float
    start: datetime
    end: datetime


def build_plan(site: Site, params: SimulateParams, rng: np.random.Generator) -> Plan:
    """Return near-daily looks over a season, ships seen on exactly `n_days` of them, and stacks in 4-day cycles."""
    for_looks, for_place, for_ships, for_boxes, for_texture = rng.spawn(5)
    start, end = parse_day(params.start, _START), parse_day(params.end, _END)
    if (end - start).days < 2:
        raise ConfigError("a season must end after it starts", found=f"{start:%Y-%m-%d} to {end:%Y-%m-%d}")
    harbour = make_harbour(site, params, for_place)
    plan = Plan(harbour.terrain, make_looks(site, params, for_looks, start, end), harbour.items)
    plan.zones, plan.targets = harbour.zones, ("vessel",)
    times = [look.acquired for look in plan.looks]
    plan.baseline_until = choose_baseline(site, times, start + timedelta(days=11, hours=23, minutes=59))
    if params.planted:
        plan.frames = [make_frame(site, params, look, index) for index, look in enumerate(plan.looks)]
        scaled = round(_SHIP_DAYS * (end - start) / (_END - _START))
        n_days = scaled if params.n_days is None else params.n_days
        for stay in schedule_stays(site, plan, harbour.piers, for_ships, n_days):
            _add_ship(plan, stay, for_ships)
        _add_stacks(plan, harbour, for_boxes, end)
    finish_terrain(harbour.terrain, for_texture)
    return plan


def make_looks(
    site: Site, params: SimulateParams, rng: np.random.Generator, start: datetime, end: datetime
) -> list[LookPlan]:
    """Return near-daily looks: about half are clear, some broken, the rest overcast; snow and ice come and go."""
    days = [start + timedelta(days=k) for k in range((end - start).days + 1)]
    days = [day for k, day in enumerate(days) if k == 0 or rng.random() < 0.9]
    if params.n_scenes is not None and params.n_scenes < len(days):
        days = [days[i] for i in np.unique(np.linspace(0, len(days) - 1, params.n_scenes).round().astype(int))]
    looks, snow = [], 0.0
    for k, day in enumerate(days):
        kind, much = rng.random(), rng.random()
        cloud = 0.0 if kind < 0.32 else 0.28 * much if kind < 0.50 else 0.35 + 0.4 * much if kind < 0.62 else 1.0
        if k in (0, 2):
            cloud = 0.0  # the baseline needs clear looks
        past = (day - datetime(day.year - (day.month < 7), 11, 18, tzinfo=UTC)).days
        cold = float(np.clip(past / 40, 0, 1) * np.clip((118 - past) / 30, 0, 1)) if 0 < past < 150 else 0.0
        snow = float(np.clip(snow * 0.8 + (rng.random() < 0.2) * cold * rng.uniform(0.3, 0.9), 0, 0.95)) * (cold > 0)
        ice = float(max(0.0, 0.45 * rng.random() * np.clip((past - 45) / 15, 0, 1))) if cold > 0.4 else 0.0
        glint = float(0.012 * rng.random() + (rng.random() < 0.12) * rng.uniform(0.03, 0.07))
        haze = float(rng.choice([0.03, 0.08, 0.18, 0.3], p=[0.4, 0.35, 0.18, 0.07]))
        thin = 0.15 * much if 0.24 < kind < 0.36 and k > 2 else 0.0
        when, wet = pass_time(rng, day, site.lon_deg, 2.2), 0.4 * (kind > 0.5)
        looks.append(LookPlan(when, site.gsd_m, cloud, haze, thin, snow, ice, wet, glint))
    return looks


def schedule_stays(site: Site, plan: Plan, piers: list[Pier], rng: np.random.Generator, n_days: int) -> list[Stay]:
    """Return stays of one to two days such that ships are in plain sight on exactly `n_days` looked-at days.

    Raises
    ------
    ConfigError
        If the looks do not allow so many days.
    """
    after = [k for k, look in enumerate(plan.looks) if plan.baseline_until and look.acquired > plan.baseline_until]
    whole = sample_shape(site.extent, 40)
    usable = {k: hidden_share(site, plan.frames[k], whole) < USABLE_SKY for k in after}
    stays: list[Stay] = []
    days: set[int] = set()
    for attempt in range(12):
        for k in rng.permutation(after):
            if len(days) >= n_days:
                return stays
            longest = 52.0 if attempt < 6 else 27.0
            stay = _draw_stay(plan.looks[int(k)].acquired, piers, rng, longest)
            seen = _days_in_sight(site, plan, stay, usable)
            if not seen or len(days | seen) > n_days or _is_taken(stay, stays):
                continue
            stays.append(stay)
            days |= seen
    if len(days) < n_days:
        raise ConfigError("too few clear looks for that many days with ships", found=len(days), needed=n_days)
    return stays


def _draw_stay(seen_at: datetime, piers: list[Pier], rng: np.random.Generator, longest_h: float) -> Stay:
    pier = piers[int(rng.integers(len(piers)))]
    length = float(min(rng.uniform(90, 125), 0.45 * pier.length_m))
    width = float(min(length * rng.uniform(0.15, 0.165), 20.0, 0.8 * (pier.reach_m - pier.width_m / 2)))
    side, slot = int(rng.integers(2)) * 2 - 1, int(rng.integers(2))
    along = ((-0.21, 0.24)[slot] + float(rng.uniform(-0.015, 0.015))) * pier.length_m
    across = side * (pier.width_m / 2 + width / 2 + 2.0)
    heading = (pier.seaward_deg + 180.0 * int(rng.integers(2)) + float(rng.normal(0, 0.6))) % 360.0
    hull = place_shape(make_hull(length, width), *pier.at(along, across), heading)
    start = seen_at - timedelta(hours=float(rng.uniform(2, 16)))
    end = start + timedelta(hours=float(rng.uniform(24, longest_h)))
    return Stay(pier, (side, slot), hull, length, width, heading, start, max(end, seen_at + timedelta(hours=1)))


def _days_in_sight(site: Site, plan: Plan, stay: Stay, usable: dict[int, bool]) -> set[int]:
    """Return the looks that show the ship plainly; none if any look would show it in doubt or before its time."""
    seen: set[int] = set()
    points = sample_shape(stay.hull, 16)
    for k, look in enumerate(plan.looks):
        if not stay.start <= look.acquired < stay.end:
            continue
        if k not in usable:
            return set()
        hidden = hidden_share(site, plan.frames[k], points)
        if usable[k] and hidden <= CLEAR_SHIP:
            seen.add(k)
        elif hidden < HIDDEN_SHIP:
            return set()
    return seen


def _is_taken(stay: Stay, others: list[Stay]) -> bool:
    slack = timedelta(hours=6)
    return any(
        stay.hull.distance(other.hull) < 8.0 and stay.start < other.end + slack and other.start < stay.end + slack
        for other in others
    )


def _add_ship(plan: Plan, stay: Stay, rng: np.random.Generator) -> None:
    colour = HULLS[int(rng.integers(len(HULLS)))]
    style = "forward" if rng.random() < 0.5 else "aft"
    height = float(rng.uniform(5, 8))
    size = (stay.length_m, stay.width_m, stay.start, stay.end)
    plan.items.append(
        Item("ship", stay.hull, colour, height, stay.heading_deg, *size, style, seed=int(rng.integers(1_000_000)))
    )
    plan.truth.append(TruthItem("vessel", stay.hull, stay.start, stay.end))


def _add_stacks(plan: Plan, harbour: Harbour, rng: np.random.Generator, end: datetime) -> None:
    """Let stacks of containers grow and go on the outer aprons of the first two piers, in cycles of about 4 days."""
    wanted = {zone.name for zone in harbour.zones if "equipment" in zone.targets}
    piers = [pier for pier in harbour.piers if pier.zone in wanted][:2]
    for pier in piers:
        when = (plan.baseline_until or end) + timedelta(days=float(rng.uniform(0.5, 4)))
        while when < end:
            _add_stack(plan, pier, rng, when)
            when += timedelta(days=float(rng.uniform(3.2, 4.8) + rng.uniform(0.5, 5)))


def _add_stack(plan: Plan, pier: Pier, rng: np.random.Generator, start: datetime) -> None:
    """Add one stack: cells of 4 x 2 containers, set down over two days, taken away in half a day."""
    cell, across = 6.2, min(10.5, 0.3 * pier.width_m)
    n_cells = int(rng.integers(7, max(8, min(15, int(0.36 * pier.length_m / cell)))))
    side = 1 if rng.random() < 0.5 else -1
    begin = float(rng.uniform(0.02, 0.08)) * pier.length_m
    leave = start + timedelta(days=float(rng.uniform(3.2, 4.6)))
    arrivals = sorted(float(t) for t in rng.uniform(0, 52, n_cells))
    arrivals[0] = 0.0
    counts: list[tuple[datetime, int]] = []
    for k, hours in enumerate(arrivals):
        place = (begin + (k + 0.5) * cell, side * 0.30 * pier.width_m)
        shape = pier.rectangle(*place, cell - 0.15, across)
        since, until = start + timedelta(hours=hours), leave + timedelta(hours=12.0 * (n_cells - 1 - k) / n_cells)
        colour = BOXES[int(rng.integers(len(BOXES)))]
        height = PIER_HEIGHT_M + 5.2
        plan.items.append(Item("container", shape, colour, height, pier.seaward_deg, cell, across, since, until))
        counts.append((since, 8 * (k + 1)))
    gone = leave + timedelta(hours=12.0 * (n_cells - 1) / n_cells)
    counts += [(leave + timedelta(hours=12.0 * (n_cells - 1 - k) / n_cells), 8 * k) for k in range(n_cells - 1, 0, -1)]
    length = n_cells * cell
    outline = pier.rectangle(begin + length / 2, side * 0.30 * pier.width_m, length, across)
    plan.truth.append(TruthItem("equipment", outline, start, gone, count=8 * n_cells, counts=tuple(sorted(counts))))

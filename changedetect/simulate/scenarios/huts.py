"""Huts renovated over a month, seen in turn by a coarse and a fine sensor; trenches at its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from shapely.affinity import translate

from changedetect.simulate.objects import BLUE_ROOF, GREEN_ROOF, RED_ROOF, WHITE, Item, make_rectangle
from changedetect.simulate.plan import LookPlan, Plan, TruthItem
from changedetect.simulate.scenarios.land import (
    Country,
    add_cars,
    choose_baseline,
    find_place,
    make_country,
    make_looks_calendar,
    stretch,
)
from changedetect.simulate.scenarios.training import add_trenches
from changedetect.simulate.terrain import finish_terrain

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from changedetect.simulate.params import SimulateParams
    from changedetect.simulate.plan import Site

_DAYS = [
    datetime(2024, month, day, tzinfo=UTC)
    for month, day in (
        *((9, 18), (9, 25), (10, 2), (10, 6), (10, 9), (10, 13)),
        *((10, 17), (10, 20), (10, 23), (10, 25), (10, 28), (10, 31)),
    )
]
_COARSE = (False, True, True, False, True, False, True, False, True, False, True, False)
_CLOUD = (0.0, 0.0, 0.3, 0.0, 0.0, 0.1, 0.9, 0.0, 0.0, 0.0, 0.2, 0.0)
COARSER = 6.0
"""The second sensor's pixel in pixels of the first: 3 m against 0.5 m."""
WEATHERED = (0.135, 0.145, 0.155, 0.20)
NEW_ROOFS = (BLUE_ROOF, RED_ROOF, WHITE, GREEN_ROOF)


def build_plan(site: Site, params: SimulateParams, rng: np.random.Generator) -> Plan:
    """Return twelve looks; four of eight huts get new roofs, two are built, trenches are dug on the 24th."""
    for_looks, for_country, for_camp, for_cars, for_texture, rng = rng.spawn(6)
    times = make_looks_calendar(params, for_looks, _DAYS, site.lon_deg)
    picks = np.linspace(0, len(_DAYS) - 1, len(times)).round().astype(int)
    country = make_country(site, for_country, buildings=4)
    camp = _build_camp(country, for_camp)
    plan = Plan(country.terrain, [], country.items, targets=("trench", "hut"))
    plan.zones = list(site.zones)
    plan.looks = [
        LookPlan(
            when,
            site.gsd_m * (COARSER if _COARSE[pick] else 1.0),
            _CLOUD[pick],
            float(for_looks.uniform(0.03, 0.15)),
            wet=0.5 * (for_looks.random() < 0.25),
        )
        for when, pick in zip(times, picks, strict=True)
    ]
    plan.baseline_until = choose_baseline(site, times, stretch(datetime(2024, 9, 30, tzinfo=UTC), params, _DAYS))
    add_cars(country, for_cars, times, 3)
    if params.planted:
        moments = [stretch(_DAYS[3] + timedelta(days=float(d)), params, _DAYS) for d in rng.uniform(1, 16, 6)]
        _renovate(plan, camp, rng, moments[:4])
        _build_new(plan, country, rng, moments[4:])
        dug = stretch(datetime(2024, 10, 24, 1, tzinfo=UTC), params, _DAYS)
        add_trenches(plan, country, rng, [dug], 3)
    finish_terrain(country.terrain, for_texture)
    return plan


def _build_camp(country: Country, rng: np.random.Generator) -> list[Item]:
    """Set eight weathered huts in two rows on free ground; return them."""
    size = country.terrain.size_m
    heading, camp = float(rng.uniform(-25, 25)), []
    length, width, pitch = 16.0, 7.5, min(24.0, 0.075 * size)
    block = make_rectangle(0, 0, 2 * length + 14.0, 4 * pitch, heading)

    def shape_at(x: float, y: float) -> BaseGeometry:
        return translate(block, x, y)

    site = find_place(country, rng, shape_at, (0.23 * size, 0.2 * size, 0.98 * size, 0.98 * size), 3.0)
    middle = site.centroid if site is not None else block.centroid
    angle = np.radians(heading)
    for k in range(8 if site is not None else 0):
        along, across = (k % 2 - 0.5) * (length + 12.0), (k // 2 - 1.5) * pitch
        x = middle.x + along * np.sin(angle) + across * np.cos(angle)
        y = middle.y - along * np.cos(angle) + across * np.sin(angle)
        shade, turned = float(rng.uniform(0.8, 1.15)), heading + float(rng.normal(0, 1))
        shape = make_rectangle(float(x), float(y), length, width, turned)
        colour = tuple(shade * c for c in WEATHERED)
        seed = int(rng.integers(1_000_000))
        camp.append(Item("building", shape, colour, 2.8, turned, length, width, seed=seed))  # type: ignore[arg-type]
    country.items.extend(camp)
    return camp


def _renovate(plan: Plan, camp: list[Item], rng: np.random.Generator, moments: list[datetime]) -> None:
    """Give some huts another roof: the same place, another colour."""
    chosen = rng.permutation(len(camp))[: len(moments)]
    for k, moment in zip(chosen, moments, strict=False):
        old = camp[int(k)]
        roof = NEW_ROOFS[int(rng.integers(len(NEW_ROOFS)))]
        plan.items.append(replace(old, colour=roof, start=moment, seed=old.seed + 1))
        plan.truth.append(TruthItem("hut", old.footprint, moment, status="modified"))


def _build_new(plan: Plan, country: Country, rng: np.random.Generator, moments: list[datetime]) -> None:
    size = country.terrain.size_m
    for moment in moments:
        length, width, heading = float(rng.uniform(13, 20)), float(rng.uniform(6.5, 9)), float(rng.uniform(0, 180))

        def shape_at(x: float, y: float) -> BaseGeometry:
            return make_rectangle(x, y, length, width, heading)  # noqa: B023

        shape = find_place(country, rng, shape_at, (0.24 * size, 0.2 * size, 0.97 * size, 0.97 * size), 8.0)
        if shape is not None:
            roof = NEW_ROOFS[int(rng.integers(len(NEW_ROOFS)))]
            measures = (3.2, heading, length, width, moment)
            plan.items.append(Item("building", shape, roof, *measures, seed=int(rng.integers(1_000_000))))
            plan.truth.append(TruthItem("hut", shape, moment))

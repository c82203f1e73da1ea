"""The stories told on farmland: when it is looked at, in what weather, and what is planted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from changedetect.simulate.farmland.covers import day_number
from changedetect.simulate.farmland.place import draw_moment, make_calendar, pick_days
from changedetect.simulate.farmland.planting import (
    HUT_KINDS,
    TRENCH_KINDS,
    Planting,
    build_hut,
    dig_pit,
    dig_trench,
    lay_camp,
    park_row,
    remove,
    renovate,
)
from changedetect.simulate.farmland.weather import Weather

if TYPE_CHECKING:
    from collections.abc import Callable

    from changedetect.simulate.farmland.place import Calendar
    from changedetect.simulate.params import SimulateParams


def _days(*pairs: tuple[int, int]) -> tuple[datetime, ...]:
    return tuple(datetime(2024, month, day, tzinfo=UTC) for month, day in pairs)


@dataclass(frozen=True, slots=True)
class Look:
    """One look: when, with what pixel, in what weather."""

    acquired: datetime
    gsd_m: float
    weather: Weather


@dataclass(frozen=True, slots=True)
class Story:
    """What is told: days, pixels relative to the finest, cloud, and what is planted."""

    days: tuple[datetime, ...]
    coarse: tuple[bool, ...]
    cloud: tuple[float, ...]
    baseline_until: datetime
    targets: tuple[str, ...]
    size_m: float
    plant: Callable[[Planting, Calendar, np.random.Generator], None] = field(repr=False)


COARSER = 6.0
"""The second sensor's pixel in pixels of the first: 3 m against 0.5 m."""


def _plant_training(planting: Planting, calendar: Calendar, rng: np.random.Generator) -> None:
    """Dig six trenches and a pit within ten days, put up four huts or tents, park three rows for a fortnight."""
    first = datetime(2024, 9, 29, 20, tzinfo=UTC)
    kinds = [str(kind) for kind in rng.permutation(TRENCH_KINDS)[:6]]
    for kind in kinds:
        dig_trench(planting, kind, calendar.at(first + timedelta(days=float(rng.uniform(0, 11)))), rng)
    if rng.random() < 0.5:
        dig_pit(planting, calendar.at(first + timedelta(days=float(rng.uniform(0, 11)))), rng)
    for kind in rng.permutation(HUT_KINDS):
        start = calendar.at(first + timedelta(days=float(rng.uniform(1, 15))))
        gone = start + timedelta(days=16) if str(kind).startswith("tent") and rng.random() < 0.3 else None
        build_hut(planting, str(kind), (start, gone), rng)
    for k in range(3):
        arrive = calendar.at(datetime(2024, 10, 18, 2, tzinfo=UTC) + timedelta(hours=float(rng.uniform(0, 30))))
        leave = calendar.at(datetime(2024, 11, 3, 2, tzinfo=UTC) - timedelta(hours=float(rng.uniform(0, 40))))
        park_row(planting, (arrive, leave), rng, loose=k != 1)


def _plant_huts(planting: Planting, calendar: Calendar, rng: np.random.Generator) -> None:
    """Give four of nine old huts new roofs, pull one down, put up two, dig three trenches."""
    camp = lay_camp(planting, 9, rng)
    moments = [calendar.at(datetime(2024, 10, 3, tzinfo=UTC) + timedelta(days=float(d))) for d in rng.uniform(1, 17, 7)]
    order = [camp[int(k)] for k in rng.permutation(len(camp))[:5]]
    for k, hut in enumerate(order[:4]):
        renovate(planting, hut, moments[k], rng, similar=k == 3)
    for hut in order[4:]:
        remove(planting, hut, moments[4], rng)
    for moment in moments[5:]:
        build_hut(planting, str(rng.choice(HUT_KINDS[:2])), (moment, None), rng)
    for kind in rng.permutation(TRENCH_KINDS)[:3]:
        dig_trench(planting, str(kind), calendar.at(datetime(2024, 10, 25, 3, tzinfo=UTC)), rng)


STORIES = {
    "training-ground": Story(
        _days((9, 2), (9, 13), (9, 21), (9, 30), (10, 8), (10, 14), (10, 21), (10, 31), (11, 9)),
        (False,) * 9,
        (0.0, 0.0, 0.75, 0.0, 0.22, 0.0, 0.0, 0.08, 0.0),
        datetime(2024, 9, 25, tzinfo=UTC),
        ("trench", "hut", "equipment"),
        512.0,
        _plant_training,
    ),
    "huts-renovated": Story(
        _days(
            *((9, 14), (9, 19), (9, 26), (10, 1), (10, 5), (10, 10)),
            *((10, 14), (10, 18), (10, 22), (10, 26), (10, 30), (11, 4)),
        ),
        (True, False, True, False, True, False, True, False, True, False, True, False),
        (0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.15, 0.0, 0.8, 0.0, 0.0, 0.0),
        datetime(2024, 9, 29, tzinfo=UTC),
        ("trench", "hut"),
        384.0,
        _plant_huts,
    ),
}


def plan_looks(
    story: Story, params: SimulateParams, lonlat: tuple[float, float], rng: np.random.Generator
) -> tuple[Calendar, list[Look]]:
    """Return the calendar of a story and its looks; the weather is the seed's: some autumns are wet, some white."""
    calendar = make_calendar(params, story.days)
    climate = str(rng.choice(["dry", "wet", "early-snow"], p=[0.45, 0.35, 0.20]))
    looks, gsd_m = [], params.gsd_m or 0.5
    drawn = [
        (draw_moment(rng, calendar.at(day), lonlat[0]), _draw_weather(k, story, climate, rng))
        for k, day in enumerate(story.days)
    ]
    for k in pick_days(params, len(story.days)):
        moment, weather = drawn[k]
        share, day = params.cloud, day_number(moment, lonlat[1])
        snow = weather.snow if day > 284 or day < 90 else 0.0
        frost = weather.frost if day > 271 or day < 118 else 0.0
        above = (min(weather.cloud * share, 0.995), weather.veil * share, weather.haze * share)
        weather = Weather(*above, weather.wet, snow, frost, weather.masked)
        looks.append(Look(moment, gsd_m * (COARSER if story.coarse[k] else 1.0), weather))
    return calendar, looks


def _draw_weather(index: int, story: Story, climate: str, rng: np.random.Generator) -> Weather:
    late = index / (len(story.days) - 1)
    rain = (
        float(rng.uniform(0.25, 1.0)) if rng.random() < {"dry": 0.12, "wet": 0.5, "early-snow": 0.3}[climate] else 0.0
    )
    veil = float(rng.uniform(0.06, 0.26)) if rng.random() < 0.15 else 0.0
    haze = float(rng.choice([rng.uniform(0.03, 0.3), rng.uniform(0.3, 0.8)], p=[0.8, 0.2]))
    masked = bool(rng.random() < 0.5)
    frost = float(rng.uniform(0.2, 1.0)) if late > 0.55 and rng.random() < 0.35 else 0.0
    snow = float(rng.uniform(0.1, 0.75)) if climate == "early-snow" and late > 0.8 and rng.random() < 0.7 else 0.0
    return Weather(story.cloud[index], veil, haze, rain, snow, frost if snow == 0.0 else 0.3, masked)

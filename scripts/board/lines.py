"""The lines: which cases each is measured on, how many scenes of each, and what runs them.

A line's `rows` turn its results into lines of the table; those of confidence, sizes, dates and unseen places are added
up over all lines (`pooled`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from board import presence, real, registration, rows
from board.figures import Row
from board.jobs import Job
from board.simulated import Story, run_story

Run = Callable[[str, int, Path], dict[str, Any]]


@dataclass(frozen=True)
class Line:
    """One measurement of the board."""

    title: str
    cases: dict[str, int]
    """Scenes of each case in a full run."""
    run: Run
    rows: Callable[[str, dict[str, list[dict[str, Any]]]], list[Row]]
    """(line, records by case) to rows."""
    quick: dict[str, int]
    """Scenes of each case in a quick run."""
    seeded: bool = True
    """False: the cases are real, and there is one of each."""

    def jobs(self, name: str, seeds: list[int], n: int | None, quick: bool) -> list[Job]:
        """Return the jobs of this line: `n` scenes of each case, else as many as a full or a quick run has."""
        if quick:
            return [job for case, many in self.quick.items() for job in self.jobs_of(name, case, seeds, many)]
        return [job for case in self.cases for job in self.jobs_of(name, case, seeds, n)]

    def jobs_of(self, name: str, case: str, seeds: list[int], n: int | None) -> list[Job]:
        """Return the jobs of one case, which may be one that only quick runs have."""
        many = n or self.cases.get(case) or max(self.cases.values())
        return [Job(name, case, seed) for seed in (seeds[:many] if self.seeded else [0])]


_SEASONS: tuple[dict[str, str], ...] = (
    {},
    {},
    {"start": "2024-04-20", "end": "2024-06-18"},
    {"start": "2024-06-25", "end": "2024-08-23"},
)
"""Autumn as the story has it, twice; spring; summer."""

_CLEAR_SKY = {"cloud": 0.0}

_AFTER: dict[str, tuple[tuple[int, dict[str, float]], ...]] = {
    "steppe": ((5, {}), (7, {}), (6, _CLEAR_SKY)),
    "farmland": ((6, {}), (7, _CLEAR_SKY)),
}
"""Looks on which all that is built stands and nothing is hidden, with what the sky must be for that: clear, hazy under
thin cloud, wet ground on the steppe; whatever the seed's weather makes of field, frost and snow on farmland."""

_QUIET_AFTER: dict[str, tuple[tuple[int, dict[str, float]], ...]] = {
    "steppe": (*_AFTER["steppe"], (3, {}), (8, {})),
    "farmland": (*_AFTER["farmland"], (3, {}), (5, {}), (8, {})),
}

_HUT_LOOKS: dict[str, dict[str, tuple[int, int]]] = {
    "steppe": {"fine": (0, 11), "coarse-fine": (1, 11), "fine-coarse": (0, 8)},
    "farmland": {"fine": (1, 11), "coarse-fine": (0, 11), "fine-coarse": (1, 10)},
}
"""Clear looks before and after all renovations, of each sensor."""

_GROUND_SIZES = {0.5: 512.0, 0.4: 448.0, 0.3: 320.0}
_QUIET_SIZES = {0.5: 512.0, 3.0: 1500.0, 10.0: 3600.0}


def ground_story(case: str, seed: int) -> Story:
    """Return a pair with trenches, huts and equipment (or renovated huts), its season, sky and pixel by the seed."""
    world, _, kind = case.partition("-")
    gsd_m = (0.5, 0.5, 0.5, 0.4, 0.3)[seed % 5]
    shown = {"gsd_m": gsd_m, "size_m": _GROUND_SIZES[gsd_m]}
    if kind == "huts":
        return Story(
            "lifarevka", "huts-renovated", world, _HUT_LOOKS[world]["fine"], simulate=tuple(_SEASONS[seed % 4].items())
        )
    after, sky = _AFTER[world][seed % len(_AFTER[world])]
    return Story(
        "sergeyevka",
        "training-ground",
        world,
        (seed // 2 % 2, after),
        simulate=tuple((shown | _SEASONS[seed % 4] | sky).items()),
    )


def quiet_story(case: str, seed: int, targets: tuple[str, ...] | None = None) -> Story:
    """Return a pair in which nothing is built."""
    world, _, pixel = case.partition("-")
    gsd_m = float(pixel.removesuffix("m"))
    after, sky = _QUIET_AFTER[world][seed % 5]
    shown = {"planted": False, "gsd_m": gsd_m, "size_m": _QUIET_SIZES[gsd_m]}
    settings = tuple((shown | _SEASONS[seed % 4] | sky).items())
    return Story("sergeyevka", "training-ground", world, (seed // 2 % 2, after), targets=targets, simulate=settings)


def cross_story(case: str, seed: int) -> Story:
    """Return a pair of a 3 m and a 0.5 m scene of renovated huts, in one order or the other."""
    world, _, order = case.partition("-")
    return Story(
        "lifarevka", "huts-renovated", world, _HUT_LOOKS[world][order], simulate=tuple(_SEASONS[seed % 4].items())
    )


def series_story(case: str, seed: int) -> Story:
    """Return a whole story, all its looks."""
    world, _, kind = case.partition("-")
    settings = tuple(_SEASONS[seed % 4].items())
    if kind == "huts":
        return Story("lifarevka", "huts-renovated", world, simulate=settings)
    return Story("sergeyevka", "training-ground", world, simulate=settings)


def run_ground(case: str, seed: int, folder: Path) -> dict[str, Any]:
    return run_story(ground_story(case, seed), seed, folder, plain=True)


def run_quiet(case: str, seed: int, folder: Path) -> dict[str, Any]:
    # Plain methods give hundreds of polygons per square kilometre: every fourth pair shows that well enough.
    return run_story(quiet_story(case, seed), seed, folder, plain=seed % 4 == 1)


def run_quiet_any(case: str, seed: int, folder: Path) -> dict[str, Any]:
    return run_story(quiet_story(case, seed, ("other",)), seed, folder)


def run_cross(case: str, seed: int, folder: Path) -> dict[str, Any]:
    return run_story(cross_story(case, seed), seed, folder, plain=seed % 2 == 1)


def run_series(case: str, seed: int, folder: Path) -> dict[str, Any]:
    return run_story(series_story(case, seed), seed, folder)


_WORLDS = ("steppe", "farmland")


def _quiet_cases(**scenes: int) -> dict[str, int]:
    """Return the cases of quiet pairs: both worlds, each pixel size (m05, m3, m10) with so many scenes."""
    pixels = {"m05": "0.5m", "m3": "3m", "m10": "10m"}
    return {f"{world}-{pixels[key]}": n for world in _WORLDS for key, n in scenes.items()}


LINES: dict[str, Line] = {
    "registration": Line(
        "Registration",
        dict.fromkeys(registration.SETS, 8),
        registration.run,
        rows.registration_rows,
        {"shift-3": 1, "port-3m": 1},
    ),
    "snow": Line(
        "Registration under snow",
        dict.fromkeys(registration.SNOW, 10),
        registration.run,
        rows.snow_rows,
        {"snow-45": 1},
    ),
    "lock": Line(
        "Wrong locks",
        dict.fromkeys(registration.HOPELESS, 20),
        registration.run,
        rows.lock_rows,
        {"water": 1, "orchard": 1},
    ),
    "ground": Line(
        "Trenches, huts, equipment",
        {"steppe": 20, "steppe-huts": 10, "farmland": 20, "farmland-huts": 10},
        run_ground,
        rows.ground_rows,
        {"steppe": 1},
    ),
    "quiet": Line(
        "Quiet pairs",
        _quiet_cases(m05=34, m3=20),  # 10 m tell no trench, hut or equipment: quiet-any has them
        run_quiet,
        rows.quiet_rows,
        {"steppe-3m": 1, "farmland-3m": 1},
    ),
    "quiet-any": Line(
        "Quiet pairs, any change asked for",
        _quiet_cases(m05=8, m3=20, m10=18),
        run_quiet_any,
        rows.quiet_rows,
        {"steppe-3m": 1},
    ),
    "cross": Line(
        "Huts between 3 m and 0.5 m",
        {f"{world}-{order}": 20 for world in _WORLDS for order in ("coarse-fine", "fine-coarse")},
        run_cross,
        rows.cross_rows,
        {"steppe-fine-coarse": 1},
    ),
    "series": Line(
        "Whole stories",
        {"steppe": 10, "steppe-huts": 5, "farmland": 10, "farmland-huts": 5},
        run_series,
        rows.series_rows,
        {},
    ),
    "port": Line("Port seasons", {"3m": 20, "10m": 20}, presence.run_port, rows.port_rows, {}),
    "crowd": Line(
        "Crowds",
        {f"{people}-{pixel}": 10 for people in (250, 400) for pixel in ("0.5m", "0.3m")},
        presence.run_crowd,
        rows.crowd_rows,
        {"250-0.5m": 1},
    ),
    "aircraft": Line("Aircraft", {"3m": 20}, presence.run_aircraft, rows.aircraft_rows, {"3m-short": 1}),
    "real": Line(
        "Real pairs",
        dict.fromkeys(real.CASES, 1),
        real.run,
        real.rows,
        {"saclay_e": 1, "taizhou": 1},
        seeded=False,
    ),
}
"""In the order of the table."""

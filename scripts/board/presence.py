"""What comes and goes, counted date by date: ships at piers, people on a parade ground, aircraft on an apron."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from board.simulated import run_written
from changedetect import pipeline


def run_port(case: str, seed: int, folder: Path) -> dict[str, Any]:
    """Return a season at a port: its evaluation, and the days a reader would be told of."""
    import season_cases as seasons

    gsd_m = float(case.partition("-")[0].removesuffix("m"))
    n_scenes = 40 if case.endswith("-thin") else None
    aoi = pipeline.simulate_to(seasons.write_season(folder, seed, gsd_m, n_scenes), folder / "scenes")
    result = run_written(aoi, folder / "scenes" / "truth.geojson", folder)
    if "abstained" in result:
        return result
    return result | {"season": seasons.summarise(folder / "run", folder / "scenes" / "truth.geojson")}


def run_crowd(case: str, seed: int, folder: Path) -> dict[str, Any]:
    """Return five looks at a parade ground, people on two of them."""
    import gathering_cases as gatherings

    people, _, pixel = case.partition("-")
    return gatherings.run_crowd(seed, int(people), float(pixel.removesuffix("m")), folder)


def run_aircraft(case: str, seed: int, folder: Path) -> dict[str, Any]:
    """Return sixteen looks at an apron that is never empty."""
    import gathering_cases as gatherings

    return gatherings.run_apron(seed, folder, **({"n_scenes": 7} if case.endswith("-short") else {}))

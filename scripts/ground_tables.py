"""Make the tables that train_ground.py learns from: candidates of simulated series, measured, with what each truly is.

    python scripts/ground_tables.py --cache DIR [--worlds land farmland] [--seeds 100 160] [--again scores]

Kept in DIR per series: the simulated scenes, registered; their scores; the table. What is there is not made again,
unless --again names its stage; then all that follows from it is made again too.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import shapely
import yaml

from changedetect.blocks import open_runner
from changedetect.config import Config
from changedetect.core.progress import SilentProgress
from changedetect.errors import ChangeDetectError
from changedetect.examine import Compared, compare_scene, describe_changes
from changedetect.gather import RunOptions, gathered, load_place
from changedetect.members import Member
from changedetect.pipeline import register_series, simulate_to
from changedetect.provenance import Stopwatch
from changedetect.stack import Stack, build_baseline
from changedetect.steps.classify.learned import RULES

ROOT = Path(__file__).parents[1]
STAGES = ("scenes", "scores", "tables")
LOW = ("detect.object_sigma=6", "classify.ground.learned=false", "classify.min_other_sigma=0")
"""Slightly below the thresholds in force, so that there is something false to learn from."""

SEASONS = (
    (),
    ("start=2024-03-25", "end=2024-05-28"),
    ("start=2024-06-05", "end=2024-08-10"),
    ("start=2024-09-25", "end=2024-11-25"),
)
VARIANTS: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("training-ground", ("gsd_m=0.5", "size_m=260", "n_scenes=4"), 0),
    ("training-ground", ("gsd_m=1.0", "size_m=380", "n_scenes=5"), 0),
    ("huts-renovated", ("size_m=250", "n_scenes=6"), 0),
    ("training-ground", ("gsd_m=3.0", "size_m=600", "n_scenes=5"), 0),
    ("training-ground", ("gsd_m=0.5", "size_m=260", "n_scenes=5"), 0),
    ("training-ground", ("gsd_m=0.3", "size_m=170", "n_scenes=4"), 0),
    ("training-ground", ("gsd_m=0.5", "size_m=260", "n_scenes=3", "planted=false"), 0),
    ("training-ground", ("gsd_m=0.5", "size_m=260", "n_scenes=4", "warp_px=1.2", "shift_px=6", "noise=2"), 0),
    ("huts-renovated", ("size_m=250", "n_scenes=12"), 1),
    ("training-ground", ("gsd_m=1.0", "size_m=380", "n_scenes=4", "planted=false"), 0),
    ("training-ground", ("gsd_m=3.0", "size_m=900", "n_scenes=4", "planted=false"), 0),
    ("training-ground", ("gsd_m=0.7", "size_m=300", "n_scenes=4"), 0),
)
"""Scenario, its settings, and how many of its first scenes are left out (then a coarse one is the baseline)."""

BANDS = {"all": None, "rgb": ("blue", "green", "red"), "one": ("green",)}
"""What a sensor may see; fewer bands are tried on some looks of each series."""
TOLERANCE_M, TOLERANCE_PX, MIN_SHARE = 2.0, 1.5, 0.3
"""As in evaluation/match.py."""


@dataclass(frozen=True)
class Job:
    """One simulated series."""

    world: str
    scenario: str
    seed: int
    sets: tuple[str, ...]
    drop: int

    @property
    def name(self) -> str:
        return f"{self.world}-{self.seed:03d}"


@dataclass(frozen=True)
class Seen:
    """A registered series and its truth, in the grid's reference system."""

    stack: Stack
    truth: gpd.GeoDataFrame


def plan_jobs(worlds: list[str], seeds: range) -> list[Job]:
    """Return the series of some worlds and seeds: variants by seed, seasons by round of variants."""
    jobs = []
    for seed in seeds:
        scenario, sets, drop = VARIANTS[seed % len(VARIANTS)]
        season = SEASONS[(seed // len(VARIANTS)) % len(SEASONS)]
        for world in worlds:
            other = () if world == "land" else (f"world={world}",)
            jobs.append(Job(world, scenario, seed, (*sets, *season, *other), drop))
    return jobs


def see(job: Job, folder: Path) -> Seen:
    """Return a job's scenes, simulated into `folder` and registered."""
    sets = (f"simulate.scenario={job.scenario}", f"simulate.seed={job.seed}", *(f"simulate.{s}" for s in job.sets))
    path = simulate_to(ROOT / "aoi" / "sergeyevka.yaml", folder, sets)
    block = yaml.safe_load(path.read_text(encoding="utf-8"))
    block["scenes"] = block["scenes"][job.drop :]
    block["settings"] = {"grid": {"halo_m": 6.0}}
    path.write_text(yaml.safe_dump(block), encoding="utf-8")
    options = RunOptions(workers=1)
    aoi, config = load_place(path, options)
    with open_runner(1, None) as runner, gathered(aoi, options) as series:
        stack = register_series(series, config, runner, Stopwatch(SilentProgress()))
    truth = gpd.read_file(folder / "truth.geojson").to_crs(stack.grid.crs)
    return Seen(stack, truth)


def compare(seen: Seen, config: Config) -> Iterator[tuple[str, str, Compared]]:
    """Yield scene, bands and comparison of each look after the baseline; with fewer bands on every third look."""
    after = [m for m in seen.stack.members if m.reason is None and not m.is_baseline]
    for k, member in enumerate(after):
        grid = seen.stack.grid.coarsen(member.compared)
        before = build_baseline(seen.stack.members, member.compared, grid, config)
        chosen = ["all"] + (["rgb"] if k % 3 == 0 else ["one"] if k % 6 == 1 else [])
        for name in chosen:
            names = BANDS[name] or before.baseline.bands
            try:
                chosen_bands = replace(
                    before, baseline=before.baseline.select(names), anchor=before.anchor.select(names)
                )
                pair = compare_scene(member, grid, chosen_bands, config)
            except ChangeDetectError as error:
                print(f"  {member.scene.id} {name}: {error}", file=sys.stderr)
                continue
            yield member.scene.id, name, pair


def describe(member: Member, pair: Compared, seen: Seen, config: Config) -> gpd.GeoDataFrame:
    """Return the candidates of one look as the classifier sees them, all of them, whatever they are called."""
    data = {"name": ["all"], "targets": [(*RULES, "other")]}
    zone = gpd.GeoDataFrame(data, geometry=[seen.stack.grid.extent], crs=seen.stack.grid.crs)
    return describe_changes(member, pair, seen.stack.grid, zone, config, seen.stack.reference.scene)


def name_truly(found: gpd.GeoDataFrame, truth: gpd.GeoDataFrame, gsd_m: float) -> list[dict[str, Any]]:
    """Return for each candidate the class of the object it is on, the object, and the share of it that it covers."""
    rows: list[dict[str, Any]] = []
    for _, item in found.iterrows():
        best = {"truth": "none", "object": -1, "covered": 0.0, "count_true": 0}
        when = item["acquired"]
        for index, (_, thing) in enumerate(truth.iterrows()):
            begun = thing["start"] is None or thing["start"] <= when
            ended = thing["end"] is not None and thing["end"] == thing["end"] and thing["end"] <= when
            if not begun or ended:
                continue
            reach = thing.geometry.buffer(max(TOLERANCE_M, TOLERANCE_PX * gsd_m))
            if item.geometry.intersection(reach).area < MIN_SHARE * item.geometry.area:
                continue
            covered = item.geometry.intersection(thing.geometry).area / max(thing.geometry.area, 1e-9)
            if covered >= best["covered"]:
                sizes = {name: float(thing[name]) for name in ("area_m2", "length_m", "width_m")}
                best = {
                    "truth": thing["class"],
                    "object": index,
                    "covered": covered,
                    "count_true": int(thing["count"]),
                    "status_true": thing["status"],
                    "true": sizes,
                }
        rows.append(best)
    return rows


def make_table(job: Job, seen: Seen, pairs: list[tuple[str, str, Compared]], config: Config) -> dict[str, Any]:
    """Return the table of a job: its candidates, and what there was to find on each look."""
    members = {m.scene.id: m for m in seen.stack.members}
    rows, looks = [], []
    for scene, bands, pair in pairs:
        gsd_m = pair.raster.grid.gsd_m
        found = describe(members[scene], pair, seen, config)
        names = name_truly(found, seen.truth, gsd_m)
        for (_, item), name in zip(found.iterrows(), names, strict=True):
            kept = {
                k: item[k] for k in ("status", "score", "area_m2", "length_m", "width_m", "orientation_deg", "gsd_m")
            }
            x, y = item.geometry.representative_point().coords[0]
            flags = list(item["flags"])
            rows.append(
                {
                    **kept,
                    "features": item["features"],
                    "flags": flags,
                    "scene": scene,
                    "bands": bands,
                    "x": x,
                    "y": y,
                    "wkt": shapely.to_wkt(item.geometry, rounding_precision=2),
                    **name,
                }
            )
        when = members[scene].scene.acquired
        there = [i for i, t in enumerate(seen.truth.itertuples()) if _stands(t, when)]
        area_km2 = float(pair.score.valid.sum()) * gsd_m**2 / 1e6
        looks.append({"scene": scene, "bands": bands, "gsd_m": gsd_m, "there": there, "km2": area_km2})
    classes = list(seen.truth["class"]) if len(seen.truth) else []
    return {"job": {**vars(job)}, "rows": rows, "looks": looks, "classes": classes}


def _stands(thing: Any, when: Any) -> bool:
    begun = thing.start is None or thing.start <= when
    return begun and not (thing.end is not None and thing.end == thing.end and thing.end <= when)


def run_job(job: Job, cache: Path, config: Config, again: str | None, keep_scores: bool) -> Path:
    """Make what is missing of a job; return its table's file."""
    fresh = STAGES.index(again) if again else len(STAGES)
    scenes, scores, table = (cache / stage / job.name for stage in STAGES)
    table = table.with_suffix(".json")
    if table.is_file() and fresh >= len(STAGES):
        return table
    kept, compared = scenes / "seen.pkl", scores.with_suffix(".pkl")
    if fresh > 0 and kept.is_file():
        seen = pickle.loads(kept.read_bytes())  # noqa: S301 - written below
    else:
        seen = see(job, scenes)
        kept.write_bytes(pickle.dumps(seen))
    if fresh > 1 and compared.is_file():
        pairs = pickle.loads(compared.read_bytes())  # noqa: S301
    else:
        pairs = list(compare(seen, config))
        if keep_scores:
            compared.parent.mkdir(parents=True, exist_ok=True)
            compared.write_bytes(pickle.dumps(pairs))
    made = make_table(job, seen, pairs, config)
    table.parent.mkdir(parents=True, exist_ok=True)
    partial = table.with_suffix(".part")
    partial.write_text(json.dumps(made, default=str), encoding="utf-8")
    os.replace(partial, table)  # noqa: PTH105
    return table


def settings(sets: tuple[str, ...]) -> Config:
    """Return the settings of the training ground with lowered thresholds."""
    _, config = load_place(ROOT / "aoi" / "sergeyevka.yaml", RunOptions(sets=sets))
    return config


def main() -> None:
    """Make the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--worlds", nargs="+", default=["land"])
    parser.add_argument("--seeds", nargs=2, type=int, default=(100, 148), metavar=("FIRST", "END"))
    parser.add_argument("--set", action="append", default=[], dest="sets")
    parser.add_argument("--again", choices=STAGES)
    parser.add_argument("--keep-scores", action="store_true", help="35 MB per million pixels and look")
    parser.add_argument("--minutes", type=float, default=600.0, help="begin no series after this time")
    args = parser.parse_args()
    config = settings((*LOW, *args.sets))
    begun = time.monotonic()
    for job in plan_jobs(args.worlds, range(*args.seeds)):
        if time.monotonic() - begun > 60 * args.minutes:
            break
        start = time.monotonic()
        try:
            table = run_job(job, args.cache, config, args.again, args.keep_scores)
        except ChangeDetectError as error:
            print(f"{job.name}: {error}", flush=True)
            continue
        made = json.loads(table.read_text())
        true = sum(row["truth"] != "none" for row in made["rows"])
        n, seconds = len(made["rows"]), time.monotonic() - start
        print(
            f"{job.name} {job.scenario} {' '.join(job.sets)}: {n} candidates, {true} true, {seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""Simulated scenes through the whole product, and the plain methods on the very pixels it compared."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from shapely.geometry import mapping

from board.baselines import METHODS, to_polygons
from board.jobs import ROOT, NotAvailableError
from changedetect import pipeline
from changedetect.core.progress import SilentProgress
from changedetect.errors import NothingToDoError, RegistrationError
from changedetect.evaluation import evaluate
from changedetect.gather import RunOptions, gathered, load_place
from changedetect.io.aoi_file import load_aoi
from changedetect.io.write_scenes import write_simulation
from changedetect.members import read_member
from changedetect.provenance import Stopwatch
from changedetect.simulate import SimulateParams, simulate
from changedetect.stack import build_baseline
from changedetect.steps.normalize import apply_gain, estimate_gain

FAST = ("write.score=false", "write.max_quicklooks=0", "write.overview_px=128")
"""Settings that leave out what nobody looks at here; they change no figure."""


@dataclass(frozen=True)
class Story:
    """What is simulated and which looks of it are kept."""

    aoi: str
    scenario: str
    world: str = "steppe"
    looks: tuple[int, ...] | None = None
    """Positions in the scenario's own series; None for all of them."""
    targets: tuple[str, ...] | None = None
    simulate: tuple[tuple[str, Any], ...] = ()
    """Further settings of the simulator."""


def write_story(story: Story, seed: int, folder: Path) -> Path:
    """Write the scenes of a story with their truth; return the AOI file that runs on them."""
    settings: dict[str, Any] = {"scenario": story.scenario, "seed": seed, **dict(story.simulate)}
    if story.world != "steppe":
        if "world" not in {field.name for field in dataclasses.fields(SimulateParams)}:
            raise NotAvailableError(f"no simulated world {story.world}")
        settings["world"] = story.world
    aoi = load_aoi(ROOT / "aoi" / f"{story.aoi}.yaml")
    if story.targets is not None:
        aoi = replace(aoi, targets=story.targets)
    simulation = simulate(aoi, SimulateParams(**settings))
    scenes = list(simulation.scenes)
    if story.looks is not None:
        scenes = [scenes[k] for k in story.looks]
    kept = {scene.id for scene in scenes}
    place = simulation.aoi if story.targets is None else replace(simulation.aoi, targets=story.targets)
    # The baseline ends with the first look that is kept: a pair has one look before and one after.
    if len(scenes) == 2:
        place = replace(place, baseline_until=scenes[0].acquired)
    activity = simulation.activity[simulation.activity["scene_id"].isin(kept)]
    return write_simulation(replace(simulation, aoi=place, scenes=scenes, activity=activity), folder)


def run_story(story: Story, seed: int, folder: Path, plain: bool = False) -> dict[str, Any]:
    """Return the evaluation of a story run through the product and, if asked, of the plain methods on its last look."""
    aoi = write_story(story, seed, folder / "scenes")
    return run_written(aoi, folder / "scenes" / "truth.geojson", folder, plain)


def run_written(aoi: Path, truth: Path, folder: Path, plain: bool = False) -> dict[str, Any]:
    """Return the evaluation of written scenes run through the product and, if asked, of the plain methods.

    Where the product says that it cannot compare them, `abstained` has its sentence, `n_truth` what was planted.
    """
    try:
        pipeline.run(aoi, RunOptions(out=folder / "run", workers=1, sets=FAST))
    except (NothingToDoError, RegistrationError) as error:
        planted = json.loads(truth.read_text(encoding="utf-8"))["features"]
        return {"abstained": str(error), "n_truth": len(planted)}
    result: dict[str, Any] = {"evaluation": evaluate(folder / "run", truth)}
    if plain:
        result["plain"] = run_plain(aoi, folder, truth)
    return result


def run_plain(aoi: Path, folder: Path, truth: Path) -> dict[str, Any]:
    """Return recall, precision and false alarms of the plain methods, judged as the product is."""
    pair = prepared_pair(aoi)
    if pair is None:
        return {}
    record = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    least = float(record["settings"]["detect"]["min_area_m2"])
    results = {}
    for name, method in METHODS.items():
        changed = method(pair.before, pair.after, pair.valid, pair.gsd_m)
        _write_outputs(folder / name, to_polygons(changed, pair.transform, pair.crs, least), record)
        judged = evaluate(folder / name, truth)
        results[name] = {key: judged[key] for key in ("overall", "false_alarms")}
    return results


@dataclass(frozen=True, eq=False)
class Pair:
    """A baseline scene and the last one after it, registered and normalised by the product."""

    before: np.ndarray
    """(band, row, col)."""
    after: np.ndarray
    valid: np.ndarray
    """(row, col) True where both are usable."""
    transform: Any
    crs: str
    gsd_m: float


def prepared_pair(aoi_path: Path, sets: tuple[str, ...] = ()) -> Pair | None:
    """Return the pixels the product compares; None where its registration abstains."""
    options = RunOptions(workers=1, sets=sets)
    aoi, config = load_place(aoi_path, options)
    with pipeline.open_runner(1, None) as runner, gathered(aoi, options) as series:
        stack = pipeline.register_series(series, config, runner, Stopwatch(SilentProgress()))
        member = [m for m in stack.members if not m.is_baseline][-1]
        if member.reason is not None:
            return None
        grid = stack.grid.coarsen(member.compared)
        before = build_baseline(stack.members, member.compared, grid, config)
        baseline, anchor = before.baseline, before.anchor
        bands = [band for band in baseline.bands if band in member.scene.bands]
        after = read_member(member, grid, config, bands)
        anchor = anchor.select(bands)
        after = apply_gain(after, estimate_gain(after, anchor, config.normalize))
    valid = anchor.valid & after.valid
    # A single scene of the baseline is the anchor itself; of several the clearest stands for all.
    return Pair(anchor.data, after.data, valid, grid.transform, grid.crs, grid.gsd_m)


def _write_outputs(folder: Path, found: gpd.GeoDataFrame, record: dict[str, Any]) -> None:
    """Write polygons as an output folder that can be evaluated."""
    folder.mkdir(parents=True, exist_ok=True)
    used = [scene["datetime"] for scene in record["scenes"] if scene["used"]]
    said = {
        "class": "other",
        "status": "appeared",
        "absent_until": used[0],
        "first_seen": used[-1],
        "last_seen": used[-1],
    }
    features = [
        {"type": "Feature", "properties": {"id": str(k), **said}, "geometry": mapping(geometry)}
        for k, geometry in enumerate(found.to_crs(4326).geometry)
    ]
    (folder / "changes.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")

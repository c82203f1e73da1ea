"""The line as code: scenes of a place to dated, classed, measured changes. Each arrow is one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import psutil

from changedetect.blocks import Runner, open_runner
from changedetect.config import Config, load_config
from changedetect.core.aoi import PRESENCES, Aoi
from changedetect.core.geometry import to_crs
from changedetect.core.progress import Progress, SilentProgress
from changedetect.core.results import Examined
from changedetect.core.run import RunResults
from changedetect.core.tables import DETECTION_COLUMNS, join_tables
from changedetect.errors import ChangeDetectError, ConfigError
from changedetect.examine import examine_scene, join_pieces, plan_pieces
from changedetect.gather import (
    RunOptions,
    Series,
    check_scenes_block,
    gathered,
    is_simulated,
    load_place,
    split_baseline,
    write_simulated,
)
from changedetect.io.aoi_file import load_aoi
from changedetect.io.files import hash_file
from changedetect.io.folder import SIMULATION_MARKER, replaced_folder, require_replaceable
from changedetect.io.lock import locked
from changedetect.io.store import Store
from changedetect.io.write import require_formats, write_outputs
from changedetect.maps import map_writers, place_writers
from changedetect.members import Windows, plan_members
from changedetect.pictures import carry_reviews, extra_writers, picture_writers
from changedetect.provenance import Stopwatch, describe_run, scene_records
from changedetect.recall import recalling
from changedetect.series.activity import clear_fractions, count_activity, summarize
from changedetect.series.link import link
from changedetect.stack import Befores, Stack, build_stack, leave_out_coarse, list_members, require_memory
from changedetect.steps.classify import coarsest_gsd_m
from changedetect.steps.plan import plan_grid
from changedetect.steps.register import sample_parts


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run made."""

    out_dir: Path
    results: RunResults
    warnings: tuple[str, ...] = ()


def run(aoi_path: str | Path, options: RunOptions | None = None, progress: Progress | None = None) -> RunReport:
    """Return what changed at a place, and write it to its output folder.

    Raises
    ------
    ChangeDetectError
        Configuration, input data or output folder will not do, or another run is writing there; nothing that was
        there is touched then.
    """
    options = options or RunOptions()
    aoi, config = load_place(aoi_path, options)
    out_dir = options.out or Path("outputs") / aoi.name
    require_replaceable(out_dir)
    with locked(out_dir):
        return run_locked(aoi, config, options, progress)


def run_locked(
    aoi: Aoi, config: Config, options: RunOptions, progress: Progress | None = None, store: Store | None = None
) -> RunReport:
    """Return what `run` returns, for a caller that has loaded the place and holds the lock of the output folder.

    With a `store`, what an earlier run worked out is recalled, and what this one works out is kept.
    """
    out_dir = options.out or Path("outputs") / aoi.name
    watch = Stopwatch(progress or SilentProgress())
    require_formats(options.formats)
    require_replaceable(out_dir)
    with open_runner(options.workers, options.scheduler) as plain, gathered(aoi, options, watch.progress) as series:
        runner = recalling(plain, store)
        inputs = [] if series.truth else [path for scene in series.scenes for path in scene.paths]
        require_replaceable(out_dir, inputs=inputs)
        stack = register_series(series, config, runner, watch)
        zones = project_zones(series.aoi, stack.grid.crs)
        examined = examine_series(stack, series.aoi, zones, config, runner, watch, out_dir.absolute().parent)
        results = tell_story(series, stack, examined, zones, config, watch)
        hashing = hash_file if store is None else store.hash_file
        results = replace(results, provenance=describe_run(series, config, options, stack, watch, hashing))
        watch.stage("write", 1)
        windows = Windows(stack.members, stack.grid, config)
        shown = (stack, results, config, windows)
        pictures = [*place_writers(*shown), *picture_writers(*shown)]
        write_outputs(
            out_dir,
            results,
            options.formats,
            config.write,
            extras=[
                partial(carry_reviews, earlier=out_dir, aoi=aoi.name),
                partial(write_at_once, writers=pictures, workers=runner.workers),
                *extra_writers(series, config),
                *map_writers(stack, results, config),
            ],
            inputs=inputs,
        )
    return RunReport(
        out_dir,
        results,
        (*series.warnings, *_poorly_seen(examined, stack, config), *_too_coarse(examined, series.aoi, config)),
    )


def write_at_once(folder: Path, writers: Sequence[Callable[[Path], Any]], workers: int) -> None:
    """Let writers that need nothing of each other write into a folder, on threads, whatever runs the rest."""
    for _ in Runner(workers).map(lambda write: write(folder), writers):
        pass


def register_series(series: Series, config: Config, runner: Runner, watch: Stopwatch) -> Stack:
    """Return the scenes on one grid, registered to one reference, with the sheets they are worked on."""
    grid = plan_grid(series.aoi, series.scenes, config.grid)
    members = plan_members(series.scenes, grid, split_baseline(series.aoi, series.scenes))
    require_memory(members, grid, config, runner.workers, psutil.virtual_memory().available)
    n_parts = len(sample_parts(grid, config.register))
    watch.stage("register", n_parts * len(members) + sum(m.is_baseline for m in members))
    members = leave_out_coarse(members, grid, series.aoi.all_targets, config.classify)
    return build_stack(members, grid, config, watch.counted(runner))


def examine_series(
    stack: Stack,
    aoi: Aoi,
    zones: gpd.GeoDataFrame,
    config: Config,
    runner: Runner,
    watch: Stopwatch,
    folder: Path | None = None,
) -> list[Examined]:
    """Return every scene scored against the baseline, its differences cut out, measured and classed.

    Looks too large to be held are kept in unnamed files in `folder`.
    """
    pieces = plan_pieces(stack, to_crs(aoi.geometry, stack.grid.crs).buffer(config.grid.halo_m))
    watch.stage("compare", len(pieces))
    # What comes and goes is counted on the baseline's own dates too, unless they are too few to differ from it.
    # Of two, the emptiest state of each place is told, so that either may differ from it.
    needed = 2 if config.baseline.centre == "emptiest" else config.baseline.min_looks_for_spread
    enough = sum(m.is_baseline and m.reason is None for m in stack.members) >= needed
    counted = frozenset(aoi.all_targets) & frozenset(PRESENCES) if enough else frozenset()
    work = partial(
        examine_scene,
        base_grid=stack.grid,
        befores=Befores(stack.members, config, keep=runner.workers),
        zones=zones,
        config=config,
        baseline_targets=counted,
        reference=stack.reference.scene,
    )
    done = zip(pieces, watch.counted(runner).map(work, pieces), strict=True)
    compared = [m for m in stack.members if m.reason is None and (counted or not m.is_baseline)]
    return join_pieces(done, stack, compared, folder)


def _poorly_seen(examined: Sequence[Examined], stack: Stack, config: Config) -> list[str]:
    """Return a warning for every registered scene that could not be compared, or shows strong contrasts alone."""
    registered = {member.scene.id for member in stack.members if member.reason is None}
    warnings = []
    for look, noise in ((one.look, one.noise) for one in examined if one.look.scene_id in registered):
        least = noise.least_contrast if noise else None
        if look.reason is not None:
            warnings.append(f"{look.scene_id} counts as not seen: {look.reason}")
        elif least is not None and least > config.detect.max_least_contrast / 2:
            warnings.append(
                f"{look.scene_id}: much of the ground changed, so that only what differs from it by {least:.0%} of the "
                "brightness of ordinary ground is told"
            )
    return warnings


def _too_coarse(examined: Sequence[Examined], aoi: Aoi, config: Config) -> list[str]:
    """Return a warning for the classes asked for that some scenes are too coarse to tell, though they tell others."""
    looks = [one.look for one in examined if one.look.used]
    limits = coarsest_gsd_m(config.classify)
    kinds: dict[tuple[int, float], list[str]] = {}
    for kind in aoi.all_targets:
        coarse = sum(kind in look.untold for look in looks)
        if coarse:
            kinds.setdefault((coarse, limits[kind]), []).append(kind)
    return [
        f"{', '.join(names)}: not told of {coarse} of {len(looks)} scenes, which count as not seen for that: it takes "
        f"pixels of {needed:g} m or finer"
        for (coarse, needed), names in kinds.items()
    ]


def tell_story(
    series: Series,
    stack: Stack,
    examined: Sequence[Examined],
    zones: gpd.GeoDataFrame,
    config: Config,
    watch: Stopwatch,
) -> RunResults:
    """Return the detections linked into changes over the dates, and counted per date, zone and class."""
    watch.stage("link", 1)
    aoi = series.aoi
    looks = tuple(item.look for item in examined)
    found = join_tables([item.detections for item in examined], DETECTION_COLUMNS, stack.grid.crs)
    changes, detections = link(found, looks, aoi, config.link)
    activity = count_activity(changes, detections, looks, aoi, zones, config.activity)
    clear = clear_fractions(activity, looks, zones, config.activity)
    return RunResults(
        aoi=aoi,
        grid=stack.grid,
        changes=changes,
        detections=detections,
        activity=activity,
        summary=summarize(activity, changes, aoi, looks),
        looks=looks,
        scene_records=scene_records(stack, series.unused, clear, examined, aoi.all_targets),
        simulated=any(scene.simulated for scene in series.scenes),
    )


def project_zones(aoi: Aoi, crs: str) -> gpd.GeoDataFrame:
    """Return the AOI and its zones with columns name, targets and geometry, in the grid's reference system."""
    zones = aoi.all_zones
    return gpd.GeoDataFrame(
        {"name": [z.name for z in zones], "targets": [z.targets for z in zones]},
        geometry=[to_crs(z.geometry, crs) for z in zones],
        crs=crs,
    )


def list_scenes(
    aoi_path: str | Path, options: RunOptions | None = None, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Return one row per scene: date, sensor, pixel size, sun, clear fraction, shift, usable or why not."""
    options = options or RunOptions()
    aoi, config = load_place(aoi_path, options)
    watch = Stopwatch(progress or SilentProgress())
    with open_runner(options.workers, options.scheduler) as runner, gathered(aoi, options, watch.progress) as series:
        grid = plan_grid(aoi, series.scenes, config.grid)
        members = plan_members(series.scenes, grid, split_baseline(series.aoi, series.scenes, required=False))
        members = leave_out_coarse(members, grid, aoi.all_targets, config.classify)
        watch.stage("register", len(members) + sum(m.is_baseline for m in members))
        return list_members(members, series.aoi, grid, config, watch.counted(runner), series.left_out)


def simulate_to(
    aoi_path: str | Path, out_dir: str | Path, sets: Sequence[str] = (), progress: Progress | None = None
) -> Path:
    """Write the simulated scenes of an AOI, their truth and an AOI file that runs on them; return that file."""
    aoi, _ = load_place(aoi_path, RunOptions(sets=tuple(sets)))
    if not is_simulated(aoi):
        raise ConfigError(
            "names no scenario", where=f"{aoi_path}: scenes", needed="scenes: {simulate: {scenario: training-ground}}"
        )
    with replaced_folder(out_dir, marker=SIMULATION_MARKER) as folder:
        written = write_simulated(aoi, folder, progress)
    return Path(out_dir) / written.name


def validate(paths: Sequence[str | Path]) -> list[tuple[Path, ChangeDetectError | None]]:
    """Return each AOI file with what is wrong with it or its settings; no pixel is read."""
    verdicts: list[tuple[Path, ChangeDetectError | None]] = []
    for path in map(Path, paths):
        try:
            aoi = load_aoi(path)
            load_config(aoi)
            check_scenes_block(aoi)
            verdicts.append((path, None))
        except ChangeDetectError as error:
            verdicts.append((path, error))
    return verdicts

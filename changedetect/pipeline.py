"""The line as code: scenes of a place to dated, classed, measured changes. Each arrow is one function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import psutil

from changedetect.blocks import Runner, map_blocks, open_runner
from changedetect.config import Config, load_config
from changedetect.core.aoi import PRESENCES, Aoi
from changedetect.core.comparable import PICTURE
from changedetect.core.geometry import to_crs
from changedetect.core.grid import Grid
from changedetect.core.progress import Progress, SilentProgress
from changedetect.core.quality import is_valid
from changedetect.core.raster import Raster
from changedetect.core.results import Baseline, Examined, Gain, Look, Noise
from changedetect.core.run import RunResults
from changedetect.core.scene import Scene
from changedetect.core.tables import DETECTION_COLUMNS, geo_table, join_tables
from changedetect.errors import ChangeDetectError, ConfigError, DataError
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
from changedetect.io.folder import SIMULATION_MARKER, replaced_folder, require_replaceable
from changedetect.io.lock import locked
from changedetect.io.store import Store
from changedetect.io.write import require_formats, write_outputs
from changedetect.maps import map_writers
from changedetect.pictures import carry_reviews, extra_writers
from changedetect.provenance import Stopwatch, describe_run, scene_records
from changedetect.recall import recalling
from changedetect.series.activity import count_activity, summarize
from changedetect.series.link import link
from changedetect.stack import Member, Stack, build_stack, list_members, plan_members, read_member, require_memory
from changedetect.steps.classify import classify
from changedetect.steps.classify.compact import add_outlines
from changedetect.steps.classify.water import WaterLook, look_at_water, mark_hulls, tell_water
from changedetect.steps.describe import spread_to
from changedetect.steps.detect import detect, expected_false_alarms
from changedetect.steps.explain import View, explain, trim_shadows
from changedetect.steps.measure import measure
from changedetect.steps.normalize import apply_gain, estimate_gain
from changedetect.steps.plan import plan_grid
from changedetect.steps.score import change_score, estimate_noise, halo_px
from changedetect.steps.structure import STRUCTURE, baseline_structure, to_structure


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run made."""

    out_dir: Path
    results: RunResults
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """One scene beside its baseline, on one grid."""

    raster: Raster
    baseline: Baseline
    gain: Gain
    noise: Noise
    score: Raster
    afloat: WaterLook | None = None
    """Its water, where vessels are asked for."""


def run(aoi_path: str | Path, options: RunOptions | None = None, progress: Progress | None = None) -> RunReport:
    """Return what changed at a place, and write it to its output folder.

    Raises
    ------
    ChangeDetectError
        Configuration, input data or output folder will not do, or another run is writing there; nothing that was
        there is touched then.
    """
    options = options or RunOptions()
    aoi, _ = load_place(aoi_path, options)
    out_dir = options.out or Path("outputs") / aoi.name
    require_replaceable(out_dir)
    with locked(out_dir):
        return run_locked(aoi_path, options, progress)


def run_locked(
    aoi_path: str | Path, options: RunOptions, progress: Progress | None = None, store: Store | None = None
) -> RunReport:
    """Return what `run` returns, for a caller that holds the lock of the output folder.

    With a `store`, what an earlier run worked out is recalled, and what this one works out is kept.
    """
    aoi, config = load_place(aoi_path, options)
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
        examined = examine_series(stack, series.aoi, zones, config, runner, watch)
        results = tell_story(series, stack, examined, zones, config, watch)
        results = replace(results, provenance=describe_run(series, config, options, stack, watch))
        watch.stage("write", 1)
        write_outputs(
            out_dir,
            results,
            options.formats,
            config.write,
            extras=[
                partial(carry_reviews, earlier=out_dir, aoi=aoi.name),
                *extra_writers(series, stack, results, config),
                *map_writers(stack, results, config),
            ],
            inputs=inputs,
        )
    return RunReport(out_dir, results, series.warnings)


def register_series(series: Series, config: Config, runner: Runner, watch: Stopwatch) -> Stack:
    """Return the scenes on one grid, registered to one reference, with their baseline."""
    grid = plan_grid(series.aoi, series.scenes, config.grid)
    members = plan_members(series.scenes, grid, split_baseline(series.aoi, series.scenes))
    require_memory(members, grid, runner.workers, psutil.virtual_memory().available)
    watch.stage("register", len(members) + sum(m.is_baseline for m in members))
    return build_stack(members, grid, config, watch.counted(runner))


def examine_series(
    stack: Stack, aoi: Aoi, zones: gpd.GeoDataFrame, config: Config, runner: Runner, watch: Stopwatch
) -> list[Examined]:
    """Return every scene scored against the baseline, its differences cut out, measured and classed."""
    watch.stage("compare", len(stack.members))
    # What comes and goes is counted on the baseline's own dates too, unless they are too few to differ from it.
    enough = sum(m.is_baseline and m.reason is None for m in stack.members) >= config.baseline.min_looks_for_spread
    counted = frozenset(aoi.all_targets) & frozenset(PRESENCES) if enough else frozenset()
    work = partial(
        examine_scene,
        base_grid=stack.grid,
        baselines=stack.baselines,
        zones=zones,
        config=config,
        baseline_targets=counted,
        reference=stack.reference.scene,
    )
    return list(watch.counted(runner).map(work, stack.members))


def examine_scene(
    member: Member,
    base_grid: Grid,
    baselines: dict[int, tuple[Baseline, Raster]],
    zones: gpd.GeoDataFrame,
    config: Config,
    baseline_targets: frozenset[str],
    reference: Scene | None = None,
) -> Examined:
    """Return one scene scored, detected, measured and classed; a scene of the baseline only for `baseline_targets`."""
    scene, grid = member.scene, base_grid.coarsen(member.compared)
    nothing = geo_table([], DETECTION_COLUMNS, grid.crs)
    if member.reason is not None:
        return Examined(_unseen(scene, grid, member.reason), nothing)
    if member.is_baseline and not baseline_targets:
        quality = read_member(member, grid, config).quality
        return Examined(Look(scene.id, scene.acquired, quality, None, grid), nothing)
    try:
        pair = compare_scene(member, grid, baselines[member.compared], config)
    except DataError as error:
        return Examined(_unseen(scene, grid, f"cannot be compared: {error}"), nothing)
    water = config.classify.vessel.water
    if any("vessel" in targets for targets in zones["targets"]):
        pair = replace(pair, afloat=look_at_water(pair.raster, pair.baseline, water))
    detections = describe_changes(member, pair, base_grid, zones, config, reference)
    if member.is_baseline:
        detections = detections[detections["class"].isin(baseline_targets)]
    quality = pair.score.quality
    if pair.afloat is not None:
        vessels = list(detections.geometry[detections["class"] == "vessel"])
        quality = quality | tell_water(pair.raster, pair.baseline, pair.afloat, vessels, water)
    seen = np.where(is_valid(quality), pair.score.band("score"), np.float32(np.nan))
    return Examined(Look(scene.id, scene.acquired, quality, seen, grid), detections, pair.noise, pair.gain)


def _unseen(scene: Scene, grid: Grid, reason: str) -> Look:
    return Look(scene.id, scene.acquired, np.ones(grid.shape, np.uint16), None, grid, False, reason)


def compare_scene(member: Member, grid: Grid, before: tuple[Baseline, Raster], config: Config) -> Compared:
    """Return a scene normalised to its baseline and scored against it in sigma."""
    baseline, anchor = before
    bands = [band for band in baseline.bands if band in member.scene.bands]
    baseline, anchor = baseline.select(bands), anchor.select(bands)
    raster = read_member(member, grid, config, bands)
    if (raster.unit == PICTURE) != (baseline.unit == PICTURE):
        baseline, anchor = baseline_structure(baseline, anchor, config.structure)
        raster = to_structure(raster, config.structure)
    gain = estimate_gain(raster, anchor, config.normalize)
    raster = apply_gain(raster, gain)
    ce90_px = (member.warp.ce90_m or 0.0) / grid.gsd_m if member.warp else 0.0
    noise = estimate_noise(raster, baseline, ce90_px, config.score)
    scoring = partial(change_score, noise=noise, params=config.score)
    score = map_blocks(scoring, (raster, baseline), halo_px(config.score, grid.gsd_m))
    needed, rate = expected_false_alarms(score, baseline, raster, config.detect)
    noise = replace(noise, threshold_sigma=needed, false_alarms_per_km2=rate)
    return Compared(raster, baseline, gain, noise, score)


def describe_changes(
    member: Member,
    pair: Compared,
    base_grid: Grid,
    zones: gpd.GeoDataFrame,
    config: Config,
    reference: Scene | None = None,
) -> gpd.GeoDataFrame:
    """Return what differs in one scene, cut out where it was compared, measured and classed on its own pixels.

    `reference` lends the baseline its sun and view angles; without it no shadow and no lean is explained.
    """
    labels = detect(pair.score, pair.baseline, pair.raster, config.detect)
    if pair.afloat is not None:
        labels = mark_hulls(labels, pair.raster, pair.baseline, pair.afloat, config.classify.vessel.water)
    raster, score, baseline = pair.raster, pair.score, pair.baseline
    if member.factor < member.compared and labels.any() and raster.unit != STRUCTURE:
        fine = base_grid if member.compared % member.factor else base_grid.coarsen(member.factor)
        raster = apply_gain(read_member(member, fine, config, raster.bands), pair.gain)
        labels, score, baseline = spread_to(fine, labels, score, baseline)
    scene = member.scene
    views = (View.of(scene), View.of(reference) if reference else View())
    shade = dict(zip(pair.noise.bands, pair.noise.model.get("shadow", ()), strict=False))
    if any("equipment" in targets for targets in zones["targets"]):
        labels = trim_shadows(labels, raster, baseline, views, config.explain, shade)
    measured = measure(
        labels, score, raster, baseline, params=config.measure, scene_id=scene.id, acquired=scene.acquired
    )
    measured = explain(measured, raster, baseline, views, config.explain, shade)
    sharp = raster if raster is not pair.raster else sharper_before(member, pair, base_grid, reference, config)
    if sharp is not None:
        measured = add_outlines(measured, sharp)
    if scene.is_approximate or (reference is not None and reference.is_approximate):
        measured = measured.assign(flags=[(*flags, "approximate") for flags in measured["flags"]])
    return classify(measured.assign(gsd_m=pair.raster.grid.gsd_m), raster, baseline, zones, config.classify)


def sharper_before(
    member: Member, pair: Compared, base_grid: Grid, reference: Scene | None, config: Config
) -> Raster | None:
    """Return the reference on its own pixels, where it is much finer than what was compared and outlines count."""
    if reference is None or "compact" not in pair.score.bands:
        return None
    factor = max(1, round(reference.gsd_m / base_grid.gsd_m))
    if 2 * factor > member.compared:
        return None
    fine = Member(reference, True, factor, factor)
    return read_member(fine, base_grid.coarsen(factor), config, pair.raster.bands)


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
    return RunResults(
        aoi=aoi,
        grid=stack.grid,
        changes=changes,
        detections=detections,
        activity=activity,
        summary=summarize(activity, changes, aoi),
        looks=looks,
        scene_records=scene_records(stack, series.outside, activity, examined),
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
        watch.stage("register", len(members) + sum(m.is_baseline for m in members))
        return list_members(members, series.aoi, grid, config, watch.counted(runner))


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

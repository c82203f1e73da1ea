"""Many AOIs, again and again: only what is new is worked on, and one failure does not stop the rest."""

from __future__ import annotations

import calendar
import dataclasses
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psutil

import changedetect
from changedetect.blocks import PROCESSES, core_count, open_runner
from changedetect.config import Config
from changedetect.core.aoi import Aoi
from changedetect.core.progress import Progress, SilentProgress
from changedetect.core.times import from_iso, to_iso
from changedetect.errors import ChangeDetectError, DataError, NothingToDoError, UsageError
from changedetect.evaluation import Difference, compare_features, read_features
from changedetect.evaluation.files import read_json
from changedetect.gather import RunOptions, Series, gathered, is_simulated, load_place, split_baseline
from changedetect.io.lock import locked
from changedetect.io.store import Store, digest, open_store
from changedetect.io.webhook import post_json, require_address
from changedetect.io.whole import whole_file
from changedetect.io.write_json import write_json
from changedetect.members import plan_members
from changedetect.processes import run_apart
from changedetect.recall import Memory, program_digest
from changedetect.stack import estimate_memory
from changedetect.steps.plan import plan_grid

STATE = ".state"
"""Folder beside the outputs that keeps what earlier batches worked out; without it everything is worked out again."""

BATCH_NAME = "batch.json"

T = TypeVar("T")

_PATIENCE_S = 10.0
"""How long a folder that another run is writing is waited for: what a killed batch had started ends with it, but not
at once."""

_PROCESS_BYTES = 5e8
"""Of a process before it holds any pixels, and of the looks that it keeps."""

_MEMORY_SHARE = 0.8
"""Of the free memory: places that are worked on side by side."""

_PRELOAD = ("changedetect.batch", "changedetect.pipeline", "scipy.fft", "scipy.optimize", "scipy.ndimage")
"""What every process needs, most of it where a scene is first worked on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one AOI of a batch."""

    aoi: str
    """Its name; the path of its file where that cannot be read."""
    status: str
    """done | up_to_date | nothing_to_do | failed."""
    out_dir: str | None = None
    seconds: float = 0.0
    n_scenes: int | None = None
    n_changes: int | None = None
    headline: tuple[str, ...] = ()
    difference: Difference = field(default_factory=Difference)
    """Against the outputs before this batch."""
    error: str | None = None
    exit_code: int = 0
    warnings: tuple[str, ...] = ()
    simulated: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        told = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "difference"}
        return told | {"difference": self.difference.as_dict()}


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a batch did."""

    outcomes: tuple[Outcome, ...]
    path: Path
    """The batch.json it wrote."""
    webhook_error: str | None = None

    @property
    def exit_code(self) -> int:
        """5 if some AOI failed, else 0."""
        return 5 if any(outcome.status == "failed" for outcome in self.outcomes) else 0


def run_batch(
    paths: Sequence[str | Path],
    options: RunOptions | None = None,
    month: str | None = None,
    webhook: str | None = None,
    progress: Progress | None = None,
) -> BatchReport:
    """Return what became of each AOI, and write batch.json; outputs go to a folder per AOI.

    Parameters
    ----------
    month : str, optional
        ``2024-10``: scenes up to its end are used, earlier ones as history; news are those of that month.
    webhook : str, optional
        http or https address that the content of batch.json is posted to; a failure there is a warning.

    Raises
    ------
    UsageError
        A month that is none, or one with `end`; two AOIs of one name.
    """
    options, since = _within_month(options or RunOptions(), month)
    if webhook:
        require_address(webhook)
    root = options.out or Path("outputs")
    if options.scenes is not None and "://" not in options.scenes:
        options = replace(options, scenes=str(Path(options.scenes).absolute()))  # processes elsewhere read them too
    listener = progress or SilentProgress()
    names: dict[str, Path] = {}
    seen = {Path(path): _look(Path(path), options, root, names) for path in paths}
    jobs = [item for item in seen.values() if isinstance(item, _Job)]
    done: dict[str, Outcome] = {}
    for job, outcome in _work_all(jobs, options, listener):
        listener.note(f"{job.path.name}: {outcome.status.replace('_', ' ')} ({len(done) + 1} of {len(jobs)})")
        where = None if outcome.out_dir is None else str(root / job.name)
        done[job.name] = replace(outcome, out_dir=where, difference=_timely(outcome.difference, since))
    outcomes = [done[item.name] if isinstance(item, _Job) else item for item in seen.values()]
    told = {
        "program": "changedetect",
        "version": changedetect.__version__,
        "finished": to_iso(datetime.now(UTC).replace(microsecond=0)),
        "month": month,
        "aois": [outcome.as_dict() for outcome in outcomes],
    }
    path = root / BATCH_NAME
    with whole_file(path) as fresh:
        write_json(fresh, told)
    return BatchReport(tuple(outcomes), path, post_json(webhook, told) if webhook else None)


def _within_month(options: RunOptions, month: str | None) -> tuple[RunOptions, datetime | None]:
    if month is None:
        return options, None
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise UsageError("is not a month", where="--month", found=month, needed="YYYY-MM, for example 2024-10")
    if options.end is not None:
        raise UsageError("--month and --to both say when to end", hint="give one of them")
    year, number = map(int, month.split("-"))
    last = calendar.monthrange(year, number)[1]
    end = datetime(year, number, last, 23, 59, 59, 999999, tzinfo=UTC)
    return replace(options, end=end), datetime(year, number, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Job:
    """An AOI with something to do."""

    path: Path
    name: str
    options: RunOptions
    state: Path
    wanted: str
    """Digest of what its outputs depend on."""
    seconds: float
    """Spent on it so far."""
    needed_bytes: float | None
    """Memory one worker takes for it; None where that is not known before it is worked on."""


def _look(path: Path, options: RunOptions, root: Path, names: dict[str, Path]) -> Outcome | _Job:
    """Return what is to be done at one AOI, or its outcome where that is nothing."""
    began, known = time.perf_counter(), [str(path)]

    def look() -> Outcome | _Job:
        aoi, config = load_place(path, options)
        known[0] = aoi.name
        if names.setdefault(aoi.name, path) != path:
            raise UsageError("has the name of another AOI", where=str(path), found=aoi.name, hint="one name per file")
        out_dir, state = (root / aoi.name).absolute(), (root / STATE / aoi.name).absolute()
        with locked(out_dir, _PATIENCE_S):
            store = open_store(state)
            wanted, series = _examine_inputs(aoi, config, options, store)
            before = _features_before(out_dir) if store.notes.get("done") == wanted else None
            is_done = before is not None and store.notes.get("outputs") == _hash_outputs(out_dir, store)
            store.save()
        if is_done and before is not None:
            return Outcome(aoi.name, "up_to_date", str(root / aoi.name), n_changes=len(before), **_told_before(out_dir))
        needed = None if series is None else _estimate_memory(series, config)
        return _Job(path.absolute(), aoi.name, replace(options, out=out_dir), state, wanted, 0.0, needed)

    result = _guarded(look, known)
    return replace(result, seconds=round(time.perf_counter() - began, 2))


def _guarded(work: Callable[[], T], known: Sequence[str]) -> T | Outcome:
    """Return what `work` returns, or the outcome of an AOI, whose name is then in `known`, that it failed at."""
    try:
        return work()
    except NothingToDoError as error:
        return Outcome(known[0], "nothing_to_do", error=str(error), exit_code=error.exit_code)
    except ChangeDetectError as error:
        return Outcome(known[0], "failed", error=str(error), exit_code=error.exit_code)
    except MemoryError:
        return Outcome(known[0], "failed", error="the work does not fit in memory", exit_code=DataError.exit_code)
    except Exception as error:  # noqa: BLE001 - a bug at one place must not cost the others their month
        return Outcome(known[0], "failed", error=f"a bug: {type(error).__name__}: {error}", exit_code=1)


def _work_all(jobs: Sequence[_Job], options: RunOptions, progress: Progress) -> Iterator[tuple[_Job, Outcome]]:
    """Yield the outcome of each job as it ends: one alone on all cores, several side by side."""
    if len(jobs) == 1:
        yield jobs[0], _work(jobs[0], progress)
    elif options.scheduler not in (None, PROCESSES):
        yield from _work_on_cluster(jobs, options.scheduler)
    elif jobs:
        yield from _work_apart(jobs, options.workers or core_count())


def _work_apart(jobs: Sequence[_Job], cores: int) -> Iterator[tuple[_Job, Outcome]]:
    at_once = min(cores, len(jobs))
    own = max(1, cores // at_once)
    each = [replace(job, options=replace(job.options, workers=own, scheduler=None)) for job in jobs]
    budget = _MEMORY_SHARE * psutil.virtual_memory().available
    needs = [budget / at_once if job.needed_bytes is None else job.needed_bytes for job in jobs]
    for ended in run_apart(_work_quietly, each, at_once, needs, budget, _PRELOAD):
        job = jobs[ended.index]
        outcome = ended.result if isinstance(ended.result, Outcome) else _died(job, f"exit code {ended.exit_code}")
        yield job, outcome


def _work_on_cluster(jobs: Sequence[_Job], scheduler: str | None) -> Iterator[tuple[_Job, Outcome]]:
    each = [replace(job, options=replace(job.options, workers=1, scheduler=None)) for job in jobs]
    done = 0
    with open_runner(None, scheduler) as runner:
        try:
            for outcome in runner.map(_work_quietly, each):
                yield jobs[done], outcome
                done += 1
        except GeneratorExit:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a cluster ends with
            for job in jobs[done:]:
                yield job, _died(job, f"the cluster says {type(error).__name__}: {error}")


def _died(job: _Job, how: str) -> Outcome:
    error = f"its process died ({how}); memory may have run out: --workers 1 works on one place at a time"
    return Outcome(job.name, "failed", seconds=job.seconds, error=error, exit_code=1)


def _work_quietly(job: _Job) -> Outcome:
    """Return the outcome of a job in a process of its own; what it would have said on the way are its warnings."""
    said = _Said()
    logger = logging.getLogger("changedetect")
    logger.addHandler(said)
    try:
        outcome = _work(job, SilentProgress())
    finally:
        logger.removeHandler(said)
    return replace(outcome, warnings=(*outcome.warnings, *said.lines))


class _Said(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _work(job: _Job, progress: Progress) -> Outcome:
    began = time.perf_counter()
    outcome = _guarded(lambda: _work_locked(job, progress), [job.name])
    return replace(outcome, seconds=round(job.seconds + time.perf_counter() - began, 2))


def _work_locked(job: _Job, progress: Progress) -> Outcome:
    from changedetect.pipeline import run_locked  # slow to import, and not needed where nothing is new

    out_dir = job.options.out or Path("outputs") / job.name
    with locked(out_dir, _PATIENCE_S):
        store = open_store(job.state)
        before = _features_before(out_dir)
        report = run_locked(*load_place(job.path, job.options), job.options, progress, store)
        results = report.results
        store.notes["done"], store.notes["outputs"] = job.wanted, _hash_outputs(out_dir, store)
        store.save()
        store.prune()
        return Outcome(
            job.name,
            "done",
            str(out_dir),
            n_scenes=len(results.scene_records),
            n_changes=len(results.changes),
            headline=tuple(results.summary.get("headline") or ()),
            difference=compare_features(before or [], read_features(out_dir)),
            warnings=report.warnings,
            simulated=results.simulated,
        )


def _features_before(out_dir: Path) -> list[dict[str, Any]] | None:
    try:
        return read_features(out_dir)
    except ChangeDetectError:
        return None


def _hash_outputs(out_dir: Path, store: Store) -> dict[str, str]:
    """Return the sha256 of every file of the outputs, by its path in them; what did not change is not read."""
    files = sorted(path for path in out_dir.rglob("*") if path.is_file())
    return {path.relative_to(out_dir).as_posix(): store.hash_file(path) for path in files}


def _told_before(out_dir: Path) -> dict[str, Any]:
    summary, record = read_json(out_dir / "summary.json"), read_json(out_dir / "run.json")
    return {
        "headline": tuple(summary.get("headline") or ()),
        "n_scenes": len(record.get("scenes") or ()),
        "simulated": bool(record.get("simulated")),
    }


def _examine_inputs(aoi: Aoi, config: Config, options: RunOptions, store: Store) -> tuple[str, Series | None]:
    """Return the digest of everything the outputs of a run depend on, and its scenes where they are not simulated."""
    zones = [[zone.name, zone.geometry.wkt, list(zone.targets)] for zone in aoi.all_zones]
    told = [aoi.title, dataclasses.asdict(aoi.location), to_iso(aoi.baseline_until), zones]
    formats = {*options.formats} - {"geojson"}  # which is always written
    asked = [to_iso(options.start), to_iso(options.end), sorted(formats)]
    if is_simulated(aoi):
        return digest(program_digest(), told, config.as_dict(), asked, aoi.scenes), None
    with gathered(aoi, options) as series:
        return digest(program_digest(), told, config.as_dict(), asked, _scenes(series, store)), series


def _estimate_memory(series: Series, config: Config) -> float:
    """Return the bytes that one worker takes for a place."""
    grid = plan_grid(series.aoi, series.scenes, config.grid)
    members = plan_members(series.scenes, grid, split_baseline(series.aoi, series.scenes, required=False))
    return _PROCESS_BYTES + estimate_memory(members, grid, config, 1)[-1]


def _scenes(series: Series, store: Store) -> list[str]:
    memory = Memory(store)
    return [memory.scene(scene) for scene in (*series.scenes, *series.outside)]


def _timely(difference: Difference, since: datetime | None) -> Difference:
    if since is None:
        return difference

    def lately(change: Mapping[str, Any]) -> bool:
        times = [from_iso(change.get(name)) for name in ("first_seen", "gone_by")]
        return any(moment is not None and moment >= since for moment in times)

    new, altered = (tuple(filter(lately, items)) for items in (difference.new, difference.altered))
    return replace(difference, new=new, altered=altered)

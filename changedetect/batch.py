"""Many AOIs, again and again: only what is new is worked on, and one failure does not stop the rest."""

from __future__ import annotations

import calendar
import dataclasses
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import changedetect
from changedetect.config import Config
from changedetect.core.aoi import Aoi
from changedetect.core.progress import Progress, SilentProgress
from changedetect.core.times import from_iso, to_iso
from changedetect.errors import ChangeDetectError, DataError, NothingToDoError, OutputError, UsageError
from changedetect.evaluation import Difference, compare_features, read_features
from changedetect.gather import RunOptions, Series, gathered, is_simulated, load_place
from changedetect.io.folder import written_here
from changedetect.io.lock import locked
from changedetect.io.store import Store, digest, open_store
from changedetect.io.webhook import post_json, require_address
from changedetect.io.write_json import write_json
from changedetect.recall import Memory, program_digest

STATE = ".state"
"""Folder beside the outputs that keeps what earlier batches worked out; without it everything is worked out again."""

BATCH_NAME = "batch.json"


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
    listener = progress or SilentProgress()
    outcomes: list[Outcome] = []
    names: dict[str, Path] = {}
    for path in map(Path, paths):
        listener.note(f"{len(outcomes) + 1} of {len(paths)}: {path}")
        outcome = _run_one(path, options, root, names, listener)
        outcomes.append(replace(outcome, difference=_timely(outcome.difference, since)))
    told = {
        "program": "changedetect",
        "version": changedetect.__version__,
        "finished": to_iso(datetime.now(UTC).replace(microsecond=0)),
        "month": month,
        "aois": [outcome.as_dict() for outcome in outcomes],
    }
    path = root / BATCH_NAME
    _write_whole(path, told)
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


def _run_one(path: Path, options: RunOptions, root: Path, names: dict[str, Path], progress: Progress) -> Outcome:
    began, name = time.perf_counter(), str(path)
    try:
        aoi, config = load_place(path, options)
        name = aoi.name
        if names.setdefault(name, path) != path:
            raise UsageError("has the name of another AOI", where=str(path), found=name, hint="one name per AOI file")
        outcome = _work(path, aoi, config, replace(options, out=root / name), root / STATE / name, progress)
    except NothingToDoError as error:
        outcome = Outcome(name, "nothing_to_do", error=str(error), exit_code=error.exit_code)
    except ChangeDetectError as error:
        outcome = Outcome(name, "failed", error=str(error), exit_code=error.exit_code)
    except MemoryError:
        outcome = Outcome(name, "failed", error="the work does not fit in memory", exit_code=DataError.exit_code)
    except Exception as error:  # noqa: BLE001 - a bug at one place must not cost the others their month
        outcome = Outcome(name, "failed", error=f"a bug: {type(error).__name__}: {error}", exit_code=1)
    return replace(outcome, seconds=round(time.perf_counter() - began, 2))


def _work(path: Path, aoi: Aoi, config: Config, options: RunOptions, state: Path, progress: Progress) -> Outcome:
    out_dir = options.out or Path("outputs") / aoi.name
    with locked(out_dir):
        store = open_store(state)
        before = _features_before(out_dir)
        wanted = _run_digest(aoi, config, options, store)
        if store.notes.get("done") == wanted and written_here(out_dir) and before is not None:
            store.save()
            return Outcome(aoi.name, "up_to_date", str(out_dir), n_changes=len(before), **_told_before(out_dir))
        from changedetect.pipeline import run_locked  # slow to import, and not needed where nothing is new

        report = run_locked(path, options, progress, store)
        results = report.results
        store.notes["done"] = wanted
        store.save()
        store.prune()
        return Outcome(
            aoi.name,
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


def _told_before(out_dir: Path) -> dict[str, Any]:
    def read(name: str) -> Mapping[str, Any]:
        try:
            return dict(json.loads((out_dir / name).read_text("utf-8")))
        except (OSError, ValueError):
            return {}

    summary, record = read("summary.json"), read("run.json")
    return {
        "headline": tuple(summary.get("headline") or ()),
        "n_scenes": len(record.get("scenes") or ()),
        "simulated": bool(record.get("simulated")),
    }


def _run_digest(aoi: Aoi, config: Config, options: RunOptions, store: Store) -> str:
    """Return the digest of everything the outputs of a run depend on."""
    zones = [[zone.name, zone.geometry.wkt, list(zone.targets)] for zone in aoi.all_zones]
    told = [aoi.title, dataclasses.asdict(aoi.location), to_iso(aoi.baseline_until), zones]
    formats = {*options.formats} - {"geojson"}  # which is always written
    asked = [to_iso(options.start), to_iso(options.end), sorted(formats)]
    if is_simulated(aoi):
        return digest(program_digest(), told, config.as_dict(), asked, aoi.scenes)
    with gathered(aoi, options) as series:
        return digest(program_digest(), told, config.as_dict(), asked, _scenes(series, store))


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


def _write_whole(path: Path, told: Mapping[str, Any]) -> None:
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(fresh, told)
        fresh.replace(path)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", where=str(path), hint="--out elsewhere") from error

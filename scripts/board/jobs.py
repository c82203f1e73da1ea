"""Cases run in processes, each result kept as JSON, so that a long run can be stopped, resumed and reported."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SHOWING = ("rows.py", "pooled.py", "figures.py", "table.py", "jobs.py")
"""Files of this package that only add up and show: a change of theirs leaves results as they are."""


class NotAvailableError(Exception):
    """A case needs something that this checkout or machine lacks."""


@dataclass(frozen=True, order=True)
class Job:
    """One scene of one case of one line."""

    line: str
    case: str
    seed: int

    def path(self, out: Path, version: str) -> Path:
        return out / "results" / self.line / self.case / f"{self.seed}-{version}.json"

    def __str__(self) -> str:
        return f"{self.line}/{self.case} seed {self.seed}"


@cache
def source_digest() -> str:
    """Return a digest of everything a result depends on: package, settings, shipped data and what runs the cases."""
    found: list[Path] = []
    for folder in ("changedetect", "configs"):
        found += [p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    found += [p for p in (ROOT / "scripts" / "board").glob("*.py") if p.name not in SHOWING]
    found += [*(ROOT / "scripts").glob("*_cases.py"), *(ROOT / "scripts").glob("registration_*.py")]
    digest = hashlib.sha256()
    for path in sorted(set(found)):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def run_jobs(jobs: Sequence[Job], out: Path, processes: int, version: str, minutes: float | None = None) -> None:
    """Run what has no result yet; progress with the time left goes to stderr.

    All cases advance together, so that a run stopped early (after so many `minutes`) has some of every one.
    """
    todo = [job for job in in_rounds(jobs) if not job.path(out, version).is_file()]
    say(f"{len(jobs)} cases, {len(jobs) - len(todo)} of them done before (source {version})")
    expected = _expected_seconds(out)
    began, done = time.monotonic(), 0
    # No max_tasks_per_child: with it Python 3.11 stops for good when a process is to be replaced (gh-115634).
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _prepare_process) as pool:
        running = {pool.submit(run_job, job, str(job.path(out, version))): job for job in todo}
        for future in as_completed(running):
            job, seconds = running.pop(future), future.result()
            done += 1
            spent = time.monotonic() - began
            typical = spent * processes / done
            left = sum(expected.get((j.line, j.case), typical) for j in running.values()) / processes
            say(f"[{done}/{len(todo)}] {job}: {seconds:.0f} s; {spent / 60:.1f} min, about {left / 60:.0f} min left")
            if minutes is not None and spent > 60 * minutes:
                say(f"{minutes:g} minutes are over: {len(running)} scenes are left for another run")
                pool.shutdown(cancel_futures=True)
                return


def in_rounds(jobs: Sequence[Job]) -> list[Job]:
    """Return jobs such that at any point the same share of every case comes before it."""
    cases: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        cases.setdefault((job.line, job.case), []).append(job)
    ranked = [(k / len(part), job) for part in cases.values() for k, job in enumerate(part)]
    return [job for _, job in sorted(ranked, key=lambda entry: entry[0])]


def run_job(job: Job, path: str) -> float:
    """Run one case, keep its result, and return its wall time; an error is a result too."""
    from board.lines import LINES

    began, cpu = time.perf_counter(), _cpu_seconds()
    record: dict[str, Any] = {"line": job.line, "case": job.case, "seed": job.seed}
    with tempfile.TemporaryDirectory(prefix="scoreboard-") as folder:
        try:
            record["result"] = LINES[job.line].run(job.case, job.seed, Path(folder))
        except (NotAvailableError, ImportError) as error:
            record["not_available"] = str(error)
        except Exception:  # noqa: BLE001 - one broken case must not end a run of hours; it is shown as broken
            record["error"] = traceback.format_exc()
    record |= {"cpu_s": round(_cpu_seconds() - cpu, 2), "wall_s": round(time.perf_counter() - began, 2)}
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(record, default=_plain), encoding="utf-8")
    fresh.replace(target)
    return float(record["wall_s"])


def read_results(jobs: Iterable[Job], out: Path, version: str | None) -> list[dict[str, Any]]:
    """Return the records of jobs that have one: of a version of the source, or the newest of any (None)."""
    records = []
    for job in jobs:
        path = job.path(out, version or "*")
        found = sorted(path.parent.glob(path.name), key=lambda p: p.stat().st_mtime)
        if found:
            records.append(json.loads(found[-1].read_text(encoding="utf-8")))
    return records


def forget_failures(jobs: Iterable[Job], out: Path, version: str) -> None:
    """Delete results that are errors or were not available, so that they are run again."""
    for job in jobs:
        path = job.path(out, version)
        if path.is_file() and "result" not in json.loads(path.read_text(encoding="utf-8")):
            path.unlink()


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _expected_seconds(out: Path) -> dict[tuple[str, str], float]:
    """Return how long each case took, from results of any version."""
    seconds: dict[tuple[str, str], float] = {}
    for path in (out / "results").glob("*/*/*.json"):
        with contextlib.suppress(ValueError, KeyError):
            seconds[path.parts[-3], path.parts[-2]] = float(json.loads(path.read_text(encoding="utf-8"))["wall_s"])
    return seconds


def _prepare_process() -> None:
    os.nice(5)
    with contextlib.suppress(ImportError):
        import cv2

        cv2.setNumThreads(1)


def _cpu_seconds() -> float:
    parts = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in parts)


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not plain")

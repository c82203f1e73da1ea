"""Measure every bar the project has set itself, on scenes no setting was chosen on, beside plain methods.

    python scripts/scoreboard.py [LINE...] [-n SCENES] [--seeds dev] [--jobs 2] [--out outputs/scoreboard]
    python scripts/scoreboard.py --quick --seeds dev      # a few scenes of some lines, under three minutes
    python scripts/scoreboard.py --report                 # the table from what is there

Every scene's result is kept as JSON under OUT/results, by line, case, seed and a digest of the source: a run that was
stopped goes on where it was, all cases advance together, and lines can be run on their own. The table goes to stdout,
OUT/scoreboard.md and .json.
Check seeds (5001-5999, the default) are for measuring alone; use `--seeds dev` (301-399) while building.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")  # scenes are what runs in parallel; set before numpy is first imported

from board.jobs import Job, forget_failures, read_results, run_jobs, say, source_digest  # noqa: E402
from board.lines import LINES  # noqa: E402
from board.pooled import pooled_rows  # noqa: E402
from board.rows import Records  # noqa: E402
from board.table import write_board  # noqa: E402

SEEDS = {"check": range(5001, 6000), "dev": range(301, 400)}


def main() -> None:
    """Run what was asked for and print the table."""
    args = _parse()
    seeds = list(SEEDS[args.seeds])
    jobs = _plan(args.lines, seeds, args.n, args.quick)
    every = [job for part in jobs.values() for job in part]
    version = source_digest()
    if not args.report:
        if args.again:
            forget_failures(every, args.out, version)
        run_jobs(every, args.out, args.jobs, version, args.minutes)
    records = {name: _by_case(part, args.out, None if args.any_version else version) for name, part in jobs.items()}
    rows = [row for name, part in records.items() for row in LINES[name].rows(name, part)]
    rows += pooled_rows(records)
    measured = sum(len(part) for line in records.values() for part in line.values())
    spent = sum(record["cpu_s"] for line in records.values() for part in line.values() for record in part)
    about = {
        "seeds": args.seeds,
        "source": "any" if args.any_version else version,
        "scenes": f"{measured} of {len(every)}",
        "CPU minutes": round(spent / 60, 1),
    }
    sys.stdout.write(write_board(rows, about, args.out))


def _plan(asked: list[str], seeds: list[int], n: int | None, quick: bool) -> dict[str, list[Job]]:
    """Return the jobs of the lines and single cases (`port/3m`) asked for, in the order of the table."""
    jobs: dict[str, list[Job]] = {}
    for name, line in LINES.items():
        whole = line.jobs(name, seeds, n, quick) if not asked or name in asked else []
        single = [text.partition("/")[2] for text in asked if text.startswith(f"{name}/")]
        part = whole + [job for case in single for job in line.jobs_of(name, case, seeds, n)]
        if part:
            jobs[name] = part
    return jobs


def _by_case(jobs: list[Job], out: Path, version: str | None) -> Records:
    found: Records = {}
    for job in jobs:
        found.setdefault(job.case, []).extend(read_results([job], out, version))
    return found


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    lines = f"any of {', '.join(LINES)}, or single cases such as port/3m or port/3m-thin (default: all)"
    parser.add_argument("lines", nargs="*", metavar="LINE", help=lines)
    parser.add_argument("-n", type=int, help="scenes of each case (default: as many as its bar asks for)")
    parser.add_argument("--seeds", choices=SEEDS, default="check")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: cores)")
    parser.add_argument("--minutes", type=float, help="start no scene later than this (default: until all are done)")
    parser.add_argument("--out", type=Path, default=Path("outputs/scoreboard"))
    parser.add_argument("--quick", action="store_true", help="a few scenes of some lines")
    parser.add_argument("--report", action="store_true", help="print the table from what is there; run nothing")
    parser.add_argument("--any-version", action="store_true", help="report each scene's newest result")
    parser.add_argument("--again", action="store_true", help="run again what broke or was not available")
    args = parser.parse_args()
    unknown = sorted({text.partition("/")[0] for text in args.lines} - set(LINES))
    if unknown:
        parser.error(f"no line {', '.join(unknown)}; there are {', '.join(LINES)}")
    if not args.report:
        say(f"results: {args.out / 'results'}")
    return args


if __name__ == "__main__":
    main()

"""Time the whole product beside reading alone and beside its peers, on pairs of any size, interleaved.

    python scripts/bench.py [--sides 2048,10240] [--rounds 5] [--workers 2] [--peers naive,gdal] [--all-outputs]

The pairs are made here, moved by an exactly known shift. Prints medians, ratios to the two-thread reading of both
scenes, peak memory of the process tree, pixels per second of each stage, polygons right and wrong, and how far off the
registration was. Machines are noisy: compare ratios of one run, not seconds of two.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import geopandas as gpd
import psutil
from shapely.geometry import box
from speed import peers
from speed.scene import GSD_M, SHIFT_PX, Pair, make_pair

BARE = ("write.score=false", "write.max_quicklooks=0", "write.report=false", "write.imagery=false")


@dataclass
class Times:
    """What one method took, round by round."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)


def main() -> None:
    """Make the pairs, run the rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", default="2048", help="pixels on a side, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--peers", default="naive,gdal", help="naive, gdal, arosics, orfeo; empty for none")
    parser.add_argument("--all-outputs", action="store_true", help="with score, pictures and report")
    parser.add_argument("--folder", type=Path, help="where the pairs are made, and kept")
    args = parser.parse_args()
    wanted = [name for name in args.peers.split(",") if name]
    for name, there in peers.available().items():
        if name in wanted and not there:
            print(f"{name} is not installed: left out")
            wanted.remove(name)
    sides = [int(word) for word in args.sides.split(",")]
    if args.folder:
        args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        for side in sides:
            pair = make_pair((args.folder or Path(temporary)) / f"pair{side}", side)
            compare(pair, Path(temporary), args, wanted)


def compare(pair: Pair, folder: Path, args: argparse.Namespace, wanted: list[str]) -> None:
    """Run every method in turn, `rounds` times, and print what it took."""
    paths, out = [pair.before, pair.after], folder / "out"
    sets = [] if args.all_outputs else [word for setting in BARE for word in ("--set", setting)]
    product = [
        sys.executable,
        "-m",
        "changedetect",
        "run",
        str(pair.aoi),
        "--out",
        str(out),
        "--workers",
        str(args.workers),
        *sets,
    ]
    methods: dict[str, Callable[[], object]] = {
        "read": lambda: peers.decode(paths),
        "changedetect": lambda: _product(product, out),
        "naive": lambda: peers.naive(paths, folder / "naive.gpkg"),
        "gdal": lambda: peers.gdal_tools(paths, folder / "gdal.gpkg"),
        "arosics": lambda: peers.arosics(paths),
        "orfeo": lambda: peers.orfeo(paths, folder / "orfeo.gpkg"),
    }
    times = {name: Times() for name in ("read", "changedetect", *wanted)}
    for _ in range(args.rounds):
        for name, taken in times.items():
            wall, cpu, peak = measured(methods[name])
            taken.wall_s.append(wall)
            taken.cpu_s.append(cpu)
            taken.peak_mb.append(peak)
    report(pair, times, folder, args)


def _product(command: list[str], out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"changedetect ended with {done.returncode}: {done.stderr[-2000:]}")


def measured(work: Callable[[], object]) -> tuple[float, float, float]:
    """Return seconds of wall and processor, and the peak MB of this process's tree above what it held before."""
    me, peak, over = psutil.Process(), [0.0], threading.Event()

    def held() -> float:
        total = 0.0
        for process in [me, *me.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total / 1e6

    before = held()

    def watch() -> None:
        while not over.wait(0.05):
            peak[0] = max(peak[0], held() - before)

    def spent() -> float:
        t = os.times()
        return t.user + t.system + t.children_user + t.children_system

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, cpu = time.perf_counter(), spent()
    try:
        work()
    finally:
        wall, used = time.perf_counter() - start, spent() - cpu
        over.set()
        watcher.join()
    return wall, used, peak[0]


def report(pair: Pair, times: dict[str, Times], folder: Path, args: argparse.Namespace) -> None:
    """Print the table of one size."""
    mpix = pair.side_px**2 / 1e6
    floor = statistics.median(times["read"].wall_s)
    what = "everything written" if args.all_outputs else "tables alone written"
    print(
        f"\n{pair.side_px} x {pair.side_px} px, 4 bands of uint16, {args.rounds} rounds, {args.workers} workers, {what}"
    )
    print(f"{'':14}{'wall s':>9}{'cpu s':>9}{'of read':>9}{'MPix/s':>9}{'peak MB':>9}   polygons right, wrong")
    for name, taken in times.items():
        wall, cpu, peak = (statistics.median(v) for v in (taken.wall_s, taken.cpu_s, taken.peak_mb))
        found = {"changedetect": folder / "out" / "changes.geojson"}.get(name, folder / f"{name}.gpkg")
        told = (
            "{:d}, {:d} of {:d} planted".format(*right_and_wrong(found, pair), len(pair.planted))
            if found.exists()
            else ""
        )
        print(f"{name:14}{wall:9.2f}{cpu:9.2f}{wall / floor:9.1f}{mpix / wall:9.2f}{peak:9.0f}   {told}")
    run = json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))
    stages = ", ".join(
        f"{stage} {seconds:.2f} s ({mpix / max(seconds, 1e-3):.1f} MPix/s)"
        for stage, seconds in run["timings_s"].items()
    )
    print("stages of the last run:", stages)
    scene = next(record for record in run["scenes"] if not record["baseline"])
    told = scene["registration"]
    exact = (told["ce90_m"] or 0) / GSD_M
    off = (-told["dx_m"] / GSD_M - SHIFT_PX[1], told["dy_m"] / GSD_M - SHIFT_PX[0])
    print(f"registration {told['status']}: off by {off[1]:+.3f} rows, {off[0]:+.3f} columns, CE90 {exact:.3f} px")


def right_and_wrong(path: Path, pair: Pair) -> tuple[int, int]:
    """Return how many of the planted things were found, and how many polygons lie on none of them."""
    found = gpd.read_file(path)
    if found.empty:
        return 0, 0
    found = found.to_crs(32652)
    planted = gpd.GeoSeries([box(*bounds) for bounds in pair.planted], crs=32652).buffer(4.0)
    hit = gpd.sjoin(gpd.GeoDataFrame(geometry=planted), found[["geometry"]], predicate="intersects")
    on = gpd.sjoin(found[["geometry"]], gpd.GeoDataFrame(geometry=planted), predicate="intersects")
    return hit.index.nunique(), len(found) - on.index.nunique()


if __name__ == "__main__":
    main()

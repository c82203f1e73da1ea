"""A season delivered in random order in several batches, and batches killed at random: the same bytes as one run?

    python scripts/batch_trial.py AOI.yaml --work DIR [--batches 12] [--kills 50] [--seed 1]

AOI.yaml has simulated scenes (or a list of scenes). Prints times and whether the outputs agree.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from changedetect.errors import ChangeDetectError
from changedetect.pipeline import simulate_to

TOLD = ("changes.geojson", "detections.geojson", "activity.csv")


def main() -> None:
    """Run the trial."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("aoi", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for scenes and outputs")
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    listed = list_scenes(options.aoi, options.work)
    name = yaml.safe_load(listed.read_text())["name"]
    full_s = command("batch", listed, "--out", options.work / "full")
    truth = digests(options.work / "full" / name)
    print(f"one batch of all: {full_s:.1f} s")
    chance = random.Random(options.seed)
    print(f"{options.batches} batches: {deliver(listed, options, chance, name, truth):.1f} s", flush=True)
    nothing_s = command("batch", listed, "--out", options.work / "full")
    print(f"a batch with nothing new: {nothing_s:.1f} s")
    if options.kills:
        kill_at_random(listed, options, chance, full_s, truth, name)


def list_scenes(aoi: Path, work: Path) -> Path:
    """Return an AOI file that lists its scenes, simulated into `work` if they are to be."""
    if "simulate" not in (yaml.safe_load(aoi.read_text())["scenes"] or {}):
        return aoi.absolute()
    if not (work / "sim/aoi.yaml").exists():
        simulate_to(aoi, work / "sim")
    return (work / "sim/aoi.yaml").absolute()


def deliver(listed: Path, options: argparse.Namespace, chance: random.Random, name: str, truth: list[str]) -> float:
    """Deliver the scenes in random order, a batch at a time; return the seconds of all batches."""
    data = yaml.safe_load(listed.read_text())
    scenes = list(data["scenes"])
    order = list(range(len(scenes)))
    chance.shuffle(order)
    out, seconds = options.work / "parts", 0.0
    shutil.rmtree(out, ignore_errors=True)
    for number in range(options.batches):
        here = sorted(order[: round(len(order) * (number + 1) / options.batches)])
        data["scenes"] = [scenes[i] for i in here]
        part = listed.with_name(f"part-{options.seed}.yaml")
        part.write_text(yaml.safe_dump(data, sort_keys=False))
        took = command("batch", part, "--out", out, may_fail=True)
        seconds += took
        print(f"  batch {number + 1}: {len(here)} scenes there, {took:.1f} s", flush=True)
    print("  the same bytes" if digests(out / name) == truth else "  OTHER BYTES than one run")
    return seconds


def kill_at_random(
    listed: Path, options: argparse.Namespace, chance: random.Random, full_s: float, truth: list[str], name: str
) -> None:
    """Kill a batch at random moments, each time from nothing; run it again and compare."""
    right = killed = 0
    for number in range(options.kills):
        out = options.work / "killed"
        shutil.rmtree(out, ignore_errors=True)
        words = [sys.executable, "-m", "changedetect", "batch", str(listed), "--out", str(out), "-q"]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.0, full_s))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
        command("batch", listed, "--out", out)
        right += digests(out / name) == truth
        print(f"  {number + 1}: {killed} killed, {right} ended the same", flush=True)


def command(*words: object, may_fail: bool = False) -> float:
    """Run the program as a user does; return the seconds it took."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "changedetect", *map(str, words), "-q"], capture_output=True, check=False
    )
    if done.returncode and not may_fail:
        raise ChangeDetectError("the batch failed", found=done.stderr.decode()[-500:])
    return time.perf_counter() - began


def digests(folder: Path) -> list[str]:
    """Return the sha256 of what a run tells; empty where it has told nothing."""
    files = [folder / name for name in TOLD]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.exists()]


if __name__ == "__main__":
    main()

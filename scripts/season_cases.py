"""Run simulated port seasons through the whole pipeline and count what a reader of the outputs would be told.

    python scripts/season_cases.py [--seeds 101 102] [--gsd 3] [--scenes 40] [--out DIR]

One row per season: days with a ship in plain sight, days found and false, piers counted exactly on looks called clear,
hidden piers called seen, starts and ends of ship stays inside the intervals given for them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from changedetect.evaluation import evaluate
from changedetect.gather import RunOptions
from changedetect.pipeline import run, simulate_to

PLACE = {
    "type": "Polygon",
    "coordinates": [[[130.28, 42.22], [130.32, 42.22], [130.32, 42.25], [130.28, 42.25], [130.28, 42.22]]],
}
PLAIN_SKY = 0.6
"""Beyond this hidden share of the whole scene the story counts no day as looked at."""


def write_season(folder: Path, seed: int, gsd_m: float, n_scenes: int | None, **simulate: Any) -> Path:
    """Write the AOI file of a simulated season into `folder`; return its path."""
    story = {"scenario": "port-season", "seed": seed, "gsd_m": gsd_m, "size_m": 1500.0 if gsd_m < 5 else 3000.0}
    story |= {"n_scenes": n_scenes, "n_days": max(1, round(0.25 * n_scenes))} if n_scenes else {}
    aoi = {
        "name": f"season-{seed}",
        "title": "A simulated port",
        "location": {"source": "simulated", "verified": True},
        "geometry": PLACE,
        "targets": ["vessel"],
        "scenes": {"simulate": story | simulate},
    }
    if n_scenes:
        # A thinned season needs a longer baseline for as many looks as the first twelve days of a full one have.
        days = min(60, 12 * max(1, round(160 / n_scenes)))
        aoi["baseline"] = {"until": f"2023-{8 + (24 + days) // 30:02d}-{(24 + days) % 30 + 1:02d}"}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "season.yaml"
    path.write_text(yaml.safe_dump(aoi, sort_keys=False), encoding="utf-8")
    return path


def run_season(seed: int, gsd_m: float, n_scenes: int | None, out: Path, **simulate: Any) -> dict[str, Any]:
    """Return how one simulated season came out, simulated, run and evaluated in `out`.

    Parameters
    ----------
    seed : int
    gsd_m : float
        Pixel size, 3 or 10.
    n_scenes : int, optional
        Looks, spread evenly over the season; None for all, about 160.
    out : Path
        Folder; gets `scenes/`, `run/`.
    simulate
        Other settings of the simulator.
    """
    scenes = out / "scenes"
    aoi = simulate_to(write_season(out, seed, gsd_m, n_scenes, **simulate), scenes)
    run(aoi, RunOptions(out=out / "run", sets=("write.max_quicklooks=1",)))
    return {"seed": seed, "gsd_m": gsd_m} | summarise(out / "run", scenes / "truth.geojson")


def summarise(run_dir: Path, truth_path: Path) -> dict[str, Any]:
    """Return the figures of a season from its outputs and its truth."""
    result = evaluate(run_dir, truth_path)
    name = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))["aoi"]["name"]
    truth = json.loads(truth_path.read_text(encoding="utf-8"))["activity"]
    said = json.loads((run_dir / "changes.geojson").read_text(encoding="utf-8"))["activity"]
    told = {row["datetime"][:10] for row in said if row["zone"] == name and row["class"] == "vessel" and row["count"]}
    whole = [row for row in truth if row["zone"] == name and row["class"] == "vessel"]
    planted = {row["datetime"][:10] for row in whole if row["visible"] and row["hidden_fraction"] < PLAIN_SKY}
    true = {row["datetime"][:10] for row in whole if row["count"]}
    ships = [row for row in result["counting"] if row["class"] == "vessel" and row["zone"] != name]
    dating, kinds = result["dating"], result["classes"]
    return {
        "days_planted": len(planted),
        "days_right": len(planted & told),
        "days_false": len(told - true),
        "missed": sorted(planted - told),
        "false": sorted(told - true),
        "clear": sum(row["exact"]["n"] for row in ships),
        "exact": sum(row["exact"]["right"] for row in ships),
        "piers": {row["zone"]: [row["exact"]["right"], row["exact"]["n"]] for row in ships},
        "hidden": result["unseen_as_empty"]["n_hidden"],
        "hidden_called_seen": result["unseen_as_empty"]["called_seen"],
        "starts": [dating["start"]["right"], dating["start"]["n"]],
        "ends": [dating["end"]["right"], dating["end"]["n"]],
        "vessels": {key: [kinds["vessel"][key]["right"], kinds["vessel"][key]["n"]] for key in ("recall", "precision")},
    }


def main() -> None:
    """Run the seasons asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101])
    parser.add_argument("--gsd", type=float, default=3.0)
    parser.add_argument("--scenes", type=int, default=None)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for seed in args.seeds:
            folder = (args.out or Path(name)) / f"season-{seed}-{args.gsd:g}m"
            print(json.dumps(run_season(seed, args.gsd, args.scenes, folder)), flush=True)


if __name__ == "__main__":
    main()

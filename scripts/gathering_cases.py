"""Count crowds and aircraft on simulated places through the whole product, against what was planted.

    python scripts/gathering_cases.py [--crowds 100 101] [--people 250 400] [--gsd 0.3 0.5] [--aprons 100] [--json FILE]

`run_crowd` and `run_apron` do one case each; a scoreboard may call them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
from shapely.geometry import shape

from changedetect.evaluation import evaluate
from changedetect.gather import RunOptions
from changedetect.pipeline import run, simulate_to

ROOT = Path(__file__).parents[1]
OVERLAP_M = 3.0
"""A polygon this far from every true crowd of its moment is a false one."""


def _run(aoi: str, sets: tuple[str, ...], out: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Simulate, run and evaluate; return what was evaluated, the changes with their activity, and the truth."""
    scenes, results = out / "scenes", out / "results"
    written = simulate_to(ROOT / "aoi" / aoi, scenes, sets)
    run(written, RunOptions(out=results, workers=1))
    truth = scenes / "truth.geojson"
    return (
        evaluate(results, truth),
        json.loads((results / "changes.geojson").read_text(encoding="utf-8")),
        json.loads(truth.read_text(encoding="utf-8")),
    )


def _rows(data: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(data["activity"])
    frame["datetime"] = pd.to_datetime(frame["datetime"], utc=True, format="ISO8601")
    return frame


def run_crowd(seed: int, people: int, gsd_m: float, out: str | Path) -> dict[str, Any]:
    """Return counts of one simulated parade ground, looks with people on clear zones apart from false alarms.

    Returns
    -------
    dict
        `true`, `count`, `low`, `high`: lists, one entry per clear look with people (low and high are sums of the
        detections' 90 % intervals); `false`: detections of a crowd on nobody.
    """
    sets = (f"simulate.seed={seed}", f"simulate.people={people}", f"simulate.gsd_m={gsd_m}")
    out = Path(out)
    _, changes, truth = _run("ussuriysk.yaml", sets, out)
    said, planted = _rows(changes), _rows(truth)
    found = json.loads((out / "results" / "detections.geojson").read_text(encoding="utf-8"))["features"]
    seen = found_frame([f for f in found if f["properties"]["class"] == "crowd" and f["properties"]["change_id"]])
    crowds = found_frame(truth["features"])
    result: dict[str, Any] = {"true": [], "count": [], "low": [], "high": [], "false": 0}
    zone = next(z for z in dict.fromkeys(said["zone"]) if z != said["aoi"].iat[0])
    for _, row in said[(said["zone"] == zone) & (said["class"] == "crowd")].iterrows():
        now = crowds[(crowds["start"] <= row["datetime"]) & (row["datetime"] < crowds["end"])]
        mine = seen[seen["scene_id"] == row["scene_id"]]
        on_crowd = mine.geometry.apply(lambda shape, now=now: bool((now.distance(shape) < OVERLAP_M).any()))
        result["false"] += int((~on_crowd.astype(bool)).sum()) if len(mine) else 0
        true = int(planted[(planted["datetime"] == row["datetime"]) & (planted["zone"] == zone)]["count"].sum())
        if row["status"] == "clear" and true:
            result["true"].append(true)
            result["count"].append(int(row["count"]))
            for name in ("low", "high"):
                result[name].append(int(mine[f"count_{name}"].sum()) if len(mine) else 0)
    return result


def found_frame(features: list[dict[str, Any]]) -> gpd.GeoDataFrame:
    """Return features in metres of a UTM zone, `start` and `end` as times where they have them."""
    rows = pd.DataFrame([f["properties"] for f in features])
    frame = gpd.GeoDataFrame(rows, geometry=[shape(f["geometry"]) for f in features], crs=4326)
    frame = frame.to_crs("EPSG:32652")
    for name in ("start", "end"):
        if name in frame:
            frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
    for name in ("scene_id", "count_low", "count_high"):
        if name not in frame:
            frame[name] = pd.Series(dtype="object")
    return frame


def run_apron(seed: int, out: str | Path) -> dict[str, Any]:
    """Return how exactly aircraft are counted on one simulated apron.

    Returns
    -------
    dict
        `clear_looks`, `exact`, `errors` (count less truth per clear look), `hidden_called_seen`.
    """
    found, changes, truth = _run("sunan.yaml", (f"simulate.seed={seed}",), Path(out))
    both = _rows(changes).merge(_rows(truth), on=["datetime", "zone", "class"], suffixes=("", "_true"))
    clear = both[(both["zone"] == "apron") & (both["status"] == "clear")]
    errors = [int(said) - int(true) for said, true in zip(clear["count"], clear["count_true"], strict=True)]
    unseen = found.get("unseen_as_empty") or {}
    return {
        "clear_looks": len(errors),
        "exact": errors.count(0),
        "errors": errors,
        "hidden_called_seen": int(unseen.get("called_seen", 0)),
    }


def main() -> None:
    """Run the cases asked for and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crowds", type=int, nargs="*", default=[])
    parser.add_argument("--aprons", type=int, nargs="*", default=[])
    parser.add_argument("--people", type=int, nargs="*", default=[250, 400])
    parser.add_argument("--gsd", type=float, nargs="*", default=[0.3, 0.5])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results: list[dict[str, Any]] = []
    for seed in asked.crowds:
        for people in asked.people:
            for gsd_m in asked.gsd:
                with tempfile.TemporaryDirectory() as folder:
                    case = {"case": "crowd", "seed": seed, "gsd_m": gsd_m}
                    results.append(case | run_crowd(seed, people, gsd_m, folder))
                print(json.dumps(results[-1]), flush=True)
    for seed in asked.aprons:
        with tempfile.TemporaryDirectory() as folder:
            results.append({"case": "apron", "seed": seed} | run_apron(seed, folder))
        print(json.dumps(results[-1]), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Count crowds and aircraft on simulated places through the whole product, against what was planted.

    python scripts/gathering_cases.py [--crowds 100 101] [--people 250 400] [--gsd 0.3 0.5] [--aprons 100]
        [--looks 7] [--json FILE]

`run_crowd` and `run_apron` do one case each, for the scoreboard too; `count_crowds` and `count_aircraft` judge outputs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
from board.simulated import Story, run_story
from shapely.geometry import shape

CLOSE = 0.25
"""A crowd's count this far from the truth, as a share of it, is right."""
OVERLAP_M = 3.0
"""A polygon this far from everything true of its class and moment is a false one."""


def run_crowd(seed: int, people: int, gsd_m: float, folder: Path, **simulate: Any) -> dict[str, Any]:
    """Return the evaluation of a simulated parade ground and, as `looks`, what `count_crowds` says of it."""
    settings = {"people": people, "gsd_m": gsd_m} | simulate
    result = run_story(Story("ussuriysk", "parade-ground", simulate=tuple(settings.items())), seed, folder)
    if "abstained" in result:
        return result
    return result | {"looks": count_crowds(folder / "run", folder / "scenes" / "truth.geojson")}


def run_apron(seed: int, folder: Path, **simulate: Any) -> dict[str, Any]:
    """Return the evaluation of a simulated apron and, as `looks`, what `count_aircraft` says of it."""
    result = run_story(Story("sunan", "airfield", simulate=tuple(simulate.items())), seed, folder)
    if "abstained" in result:
        return result
    return result | {"looks": count_aircraft(folder / "run", folder / "scenes" / "truth.geojson")}


def count_crowds(outputs: Path, truth: Path) -> dict[str, Any]:
    """Return how well people are counted on the clear looks at a parade ground.

    Returns
    -------
    dict
        `true`, `count`, `low`, `high`: lists, one entry per look with people (low and high: sums of the 90 % intervals
        of what was detected, 0 of nothing); `close`, `held`: shares of these looks with the count within a quarter
        of the truth, and with the truth in the interval; `false`: crowds detected where nobody stands.
    """
    rows, found = _looks(outputs, truth, "crowd")
    result: dict[str, Any] = {"true": [], "count": [], "low": [], "high": [], "false": int((~found["real"]).sum())}
    for _, row in rows[rows["count_true"] > 0].iterrows():
        mine = found[(found["scene_id"] == row["scene_id"]) & (found["zone"] == row["zone"])]
        result["true"].append(int(row["count_true"]))
        result["count"].append(int(row["count"]))
        for name in ("low", "high"):
            result[name].append(int(mine[f"count_{name}"].sum()))
    told = list(zip(*(result[name] for name in ("true", "count", "low", "high")), strict=True))
    result["close"] = _share(abs(count - true) <= CLOSE * true for true, count, _, _ in told)
    result["held"] = _share(low <= true <= high for true, _, low, high in told)
    return result


def count_aircraft(outputs: Path, truth: Path) -> dict[str, Any]:
    """Return how exactly aircraft are counted on the clear looks at an apron.

    Returns
    -------
    dict
        `true`, `count`: lists, one entry per look; `exact`: share of looks with both equal; `false`: aircraft detected
        where none stands.
    """
    rows, found = _looks(outputs, truth, "aircraft")
    true, count = rows["count_true"].astype(int).tolist(), rows["count"].astype(int).tolist()
    exact = _share(a == b for a, b in zip(true, count, strict=True))
    return {"true": true, "count": count, "exact": exact, "false": int((~found["real"]).sum())}


def _looks(outputs: Path, truth: Path, kind: str) -> tuple[pd.DataFrame, gpd.GeoDataFrame]:
    """Return the rows of clear zones, said and true (`count_true`), and the detections that belong to a change.

    The whole area has a row of its own and is left out. `real` tells which detections lie on something true.
    """
    changes, planted = (json.loads(p.read_text(encoding="utf-8")) for p in (outputs / "changes.geojson", truth))
    both = _activity(changes).merge(_activity(planted), on=["datetime", "zone", "class"], suffixes=("", "_true"))
    own = (both["class"] == kind) & (both["zone"] != both["aoi"]) & (both["status"] == "clear")
    detected = json.loads((outputs / "detections.geojson").read_text(encoding="utf-8"))["features"]
    detected = [f for f in detected if f["properties"]["class"] == kind and f["properties"]["change_id"]]
    found, things = _frame(detected), _frame([f for f in planted["features"] if f["properties"]["class"] == kind])
    if len(found):
        metres = found.estimate_utm_crs()
        found, things = found.to_crs(metres), things.to_crs(metres)
    found["real"] = [
        _is_real(place, when, things) for place, when in zip(found.geometry, found["acquired"], strict=True)
    ]
    found["real"] = found["real"].astype(bool)
    return both[own], found


def _is_real(place: Any, when: pd.Timestamp, things: gpd.GeoDataFrame) -> bool:
    there = (things["start"].isna() | (things["start"] <= when)) & (things["end"].isna() | (when < things["end"]))
    return bool((things.geometry[there].distance(place) < OVERLAP_M).any())


def _activity(data: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(data["activity"])
    frame["datetime"] = pd.to_datetime(frame["datetime"], utc=True, format="ISO8601")
    return frame


def _frame(features: list[dict[str, Any]]) -> gpd.GeoDataFrame:
    """Return features with their moments as times."""
    names = ("scene_id", "zone", "acquired", "start", "end", "count_low", "count_high")
    rows = pd.DataFrame([{name: f["properties"].get(name) for name in names} for f in features], columns=list(names))
    frame = gpd.GeoDataFrame(rows, geometry=[shape(f["geometry"]) for f in features], crs=4326)
    for name in ("acquired", "start", "end"):
        frame[name] = pd.to_datetime(frame[name], utc=True, format="ISO8601")
    return frame


def _share(right: Any) -> dict[str, int]:
    told = [bool(one) for one in right]
    return {"right": sum(told), "n": len(told)}


def main() -> None:
    """Run the cases asked for and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crowds", type=int, nargs="*", default=[])
    parser.add_argument("--aprons", type=int, nargs="*", default=[])
    parser.add_argument("--people", type=int, nargs="*", default=[250, 400])
    parser.add_argument("--gsd", type=float, nargs="*", default=[0.3, 0.5])
    parser.add_argument("--looks", type=int, help="looks at each apron; without it all sixteen")
    parser.add_argument("--empty", action="store_true", help="plant nobody and nothing")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    planted = {"planted": not asked.empty}
    looks = {"n_scenes": asked.looks} if asked.looks else {}
    crowds = [(seed, n, gsd_m) for seed in asked.crowds for n in asked.people for gsd_m in asked.gsd]
    results: list[dict[str, Any]] = []
    for case in [*crowds, *asked.aprons]:
        with tempfile.TemporaryDirectory() as folder:
            if isinstance(case, tuple):
                told = {"case": "crowd", "seed": case[0], "gsd_m": case[2]}
                result = run_crowd(*case, Path(folder), **planted)
            else:
                told = {"case": "apron", "seed": case}
                result = run_apron(case, Path(folder), **planted, **looks)
        results.append(told | result.get("looks", result))
        print(json.dumps(results[-1]), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

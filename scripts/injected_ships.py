"""Plant ships in real water scenes, run the main job for vessels, and print what was found, date by date.

    python scripts/injected_ships.py [--real ../shared/real] [--out DIR] [--seeds 1,2] [--quiet] [BACKGROUND...]

Backgrounds: naip (lakes at 5 m, of 2012, 2017 and 2020), naip-3m (the same pixels said to be 3 m wide) and mumbai (a
creek at 10 m, of 2015 and 2018). Each date is shown several times: as it is, and shifted, warped, blurred, re-lit and
noised like other passes. Piers are drawn into all looks; ships come and go, at piers, at a river's bank and at anchor.
So every vessel told elsewhere, or on another day, is false, on water and shores that no simulator made. A ship-day is
a berth and a look that shows a ship there; `--quiet` plants piers and no ship.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import yaml
from board.berths import (
    BANDS,
    CONCRETE,
    Background,
    Berth,
    another_pass,
    colours_of,
    draw_ship,
    paint,
    place_berths,
    read_background,
    send_ships,
)
from shapely import affinity
from shapely.geometry import box, mapping
from shapely.ops import unary_union

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("CHANGEDETECT_REAL", ROOT.parent / "shared" / "real"))
BACKGROUNDS = ("naip", "naip-3m", "mumbai")
FIRST_DAY = datetime(2024, 6, 1, 3, tzinfo=UTC)
BASELINE, AFTER = 3, 8  # looks
FAST = ("write.score=false", "write.max_quicklooks=1", "write.overview_px=128")


def write_case(name: str, seed: int, folder: Path, real: Path, quiet: bool) -> tuple[Path, list[Berth], list[str]]:
    """Write scenes, truth and an AOI file; return its path, the berths, and of which year each look is."""
    rng = np.random.default_rng([seed, BACKGROUNDS.index(name)])
    ground = read_background(name, real)
    years = list(np.roll(list(ground.dates), -(seed % len(ground.dates))))
    looks = [years[0]] * BASELINE + [years[(k + 1) % len(years)] for k in range(AFTER)]
    piers, berths = place_berths(ground, rng, {"bank": 3, "anchor": 1} if ground.banks else {"pier": 3, "anchor": 3})
    send_ships(ground, berths, range(BASELINE, len(looks)), rng)
    if quiet:
        berths = [replace(berth, stays=[]) for berth in berths]
    (folder / "scenes").mkdir(parents=True, exist_ok=True)
    shifts = [_write_look(ground, k, year, piers, berths, folder / "scenes", rng) for k, year in enumerate(looks)]
    zones = {berth.zone: unary_union([b.room for b in berths if b.zone == berth.zone]) for berth in berths}
    zones = {name: shape.buffer(25 / ground.gsd_m).convex_hull for name, shape in zones.items()}
    rows, cols = next(iter(ground.dates.values())).shape[1:]
    aoi = {
        "name": f"{name}-{seed}",
        "title": f"{name}, ships planted",
        "location": {"source": "georeference of the imagery", "verified": False},
        "geometry": _plain(ground, box(6, 6, cols - 6, rows - 6)),
        "targets": ["vessel"],
        "zones": [{"name": k, "geometry": _plain(ground, v), "targets": ["vessel"]} for k, v in zones.items()],
        "baseline": {"until": _when(BASELINE - 1)},
        "scenes": [{"path": f"scenes/{_id(k)}.tif", "datetime": _when(k)} for k in range(len(looks))],
    }
    _write_truth(ground, berths, shifts, aoi["name"], folder / "truth.geojson")
    path = folder / "aoi.yaml"
    path.write_text(yaml.safe_dump(aoi, sort_keys=False), encoding="utf-8")
    return path, berths, looks


def _when(look: float) -> str:
    return f"{FIRST_DAY + timedelta(days=3 * look):%Y-%m-%dT%H:%M:%SZ}"


def _id(look: int) -> str:
    return f"look-{look:02d}"


def _plain(ground: Background, shape) -> dict[str, Any]:
    placed = affinity.affine_transform(shape, ground.transform.to_shapely())
    return json.loads(json.dumps(mapping(gpd.GeoSeries([placed], crs=ground.crs).to_crs(4326).iloc[0])))


def _write_look(ground, look: int, year: str, piers, berths, folder: Path, rng) -> tuple[float, float]:
    """Write one look and return its shift in metres east and north onto the first."""
    image, shift, off = ground.dates[year].copy(), (0.0, 0.0), ground.off_px.get(year, (0.0, 0.0))
    colour_of, empty = colours_of(image), image.min(axis=0) <= 0
    for pier in piers:
        paint(image, affinity.translate(pier, *off), colour_of(CONCRETE), 0.05, np.random.default_rng(1))
    for berth in berths:
        for stay in berth.stays:
            if stay.first <= look <= stay.last:
                seen = replace(stay, hull=affinity.translate(stay.hull, *off))
                draw_ship(image, seen, berth, 1 / ground.gsd_m, colour_of, rng)
    if look and look != BASELINE:  # the first look and the first after the baseline are as the sensor took them
        image, shift = another_pass(image, rng)
    top = 255 if image.max() < 400 else 65535
    numbers = np.clip(np.round(image), 1, top).astype(np.uint8 if top == 255 else np.uint16)
    numbers[:, empty] = 0
    place = {"height": image.shape[1], "width": image.shape[2], "transform": ground.transform, "crs": ground.crs}
    kind = {"driver": "GTiff", "dtype": numbers.dtype, "count": len(BANDS), "nodata": 0, "tiled": True}
    kind["photometric"] = "MINISBLACK"  # else four bands of 8 bits would be taken for RGB and alpha
    with rasterio.open(folder / f"{_id(look)}.tif", "w", **place, **kind) as dst:
        dst.write(numbers)
        dst.descriptions = BANDS
    return (shift[0] - off[0]) * ground.gsd_m, (off[1] - shift[1]) * ground.gsd_m


def _write_truth(ground: Background, berths: list[Berth], shifts, name: str, path: Path) -> None:
    features, looks = [], range(len(shifts))
    for berth in berths:
        for stay in berth.stays:
            end = _when(stay.last + 0.5) if stay.last + 1 < len(shifts) else None
            said = {"class": "vessel", "status": "appeared", "start": _when(stay.first - 0.5), "end": end, "count": 1}
            sizes = {"area_m2": stay.hull.area * ground.gsd_m**2, "length_m": stay.length_m, "width_m": stay.width_m}
            features.append({"type": "Feature", "properties": said | sizes, "geometry": _plain(ground, stay.hull)})
    counts = {zone: [0] * len(shifts) for zone in (name, *(berth.zone for berth in berths))}
    for berth in berths:
        for look in looks:
            there = sum(stay.first <= look <= stay.last for stay in berth.stays)
            counts[berth.zone][look] += there
            counts[name][look] += there
    activity = [
        {"datetime": _when(k), "zone": zone, "class": "vessel", "count": n[k], "hidden_fraction": 0.0}
        for zone, n in counts.items()
        for k in looks
    ]
    placed = [{"scene_id": _id(k), "dx_m": dx, "dy_m": dy} for k, (dx, dy) in enumerate(shifts)]
    truth = {"type": "FeatureCollection", "features": features, "activity": activity, "registration": placed}
    path.write_text(json.dumps(truth), encoding="utf-8")


def run_case(name: str, seed: int, out: Path, real: Path = REAL, quiet: bool = False, sets: tuple[str, ...] = ()):
    """Return the figures of one case, and the ship-days that were missed or made up, in words."""
    from changedetect.evaluation import EvaluateParams, evaluate
    from changedetect.gather import RunOptions
    from changedetect.pipeline import run

    folder = out / f"{name}-{seed}{'-quiet' if quiet else ''}"
    aoi, berths, looks = write_case(name, seed, folder, real, quiet)
    run(aoi, RunOptions(out=folder / "run", sets=(*FAST, *sets)))
    result = evaluate(folder / "run", folder / "truth.geojson", EvaluateParams(measurable_px=3.0))
    days = [row for row in result["days"] if row["zone"] != f"{name}-{seed}"]
    counting = [row["exact"] for row in result["counting"] if row["zone"] != f"{name}-{seed}"]
    figures = {key: sum(row[key] for row in days) for key in ("days_present", "right", "missed", "false", "not_seen")}
    figures |= {"exact": sum(row["right"] for row in counting), "clear": sum(row["n"] for row in counting)}
    figures |= {"polygons": result["n_changes"], "on_ships": result["overall"]["precision"]["right"]}
    figures["elsewhere"] = figures["polygons"] - figures["on_ships"]
    sizes = {row["size"]: row["ratios"] for row in result["sizes"] if row["class"] == "vessel"}
    return figures, sizes, _told(folder / "run" / "changes.geojson", berths, looks)


def _told(path: Path, berths: list[Berth], looks: list[str]) -> list[str]:
    """Return one line per zone and look whose count is wrong."""
    said = json.loads(path.read_text(encoding="utf-8"))["activity"]
    there = {(row["zone"], row["datetime"][:16]): row for row in said if row["class"] == "vessel"}
    lines = []
    for zone in dict.fromkeys(berth.zone for berth in berths):
        for k, year in enumerate(looks):
            ships = [s for b in berths if b.zone == zone for s in b.stays if s.first <= k <= s.last]
            row = there.get((zone, _when(k)[:16]))
            if row and row["count"] != len(ships):
                what = ", ".join(f"{s.paint} {s.length_m:.0f} x {s.width_m:.0f} m" for s in ships) or "none"
                lines.append(f"  {_id(k)} of {year}, {zone}: {what}; told {row['count']} ({row['status']})")
    return lines


def main() -> None:
    """Run the cases and print a line each, and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backgrounds", nargs="*", metavar="BACKGROUND", help=f"any of {', '.join(BACKGROUNDS)}")
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--out", type=Path, default=Path("outputs/injected-ships"))
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--quiet", action="store_true", help="plant no ship")
    parser.add_argument("--set", action="append", default=[], dest="sets")
    args = parser.parse_args()
    if not args.real.is_dir():
        sys.exit(f"no real imagery at {args.real}")
    total: Counter[str] = Counter()
    sizes: dict[str, list[float]] = {}
    for name in args.backgrounds or BACKGROUNDS:
        for seed in map(int, args.seeds.split(",")):
            figures, ratios, lines = run_case(name, seed, args.out, args.real, args.quiet, tuple(args.sets))
            print(show_row(f"{name}-{seed}", figures, ratios), *lines, sep="\n", flush=True)
            total.update(figures)
            for key, values in ratios.items():
                sizes.setdefault(key, []).extend(values)
    print(show_row("all", total, sizes))


def show_row(name: str, figures: dict[str, int], sizes: dict[str, list[float]]) -> str:
    """Return the figures of a case in words."""
    middles = ", ".join(f"{key[:-2].rstrip('_m')} {np.median(v):.2f} of {len(v)}" for key, v in sizes.items())
    return (
        f"{name:12} ship-days {figures['right']:>3}/{figures['days_present']:<3} false {figures['false']:>2} not seen "
        f"{figures['not_seen']:>2} counts right {figures['exact']:>3}/{figures['clear']:<3} polygons on no "
        f"ship {figures['elsewhere']:>2}/{figures['polygons']:<2} size told/true: {middles or '-'}"
    )


if __name__ == "__main__":
    main()

"""Simulate series as people find them on the web, run the main job on them, and print what was found.

    python scripts/stretched_cases.py [--world farmland] [--seeds 451,452] [--gsd 0.5] [--layout rgb8] [--list]

Layouts: `all` as simulated (reflectance, four bands); `pan` one grey band of it; `rgb8` red, green and blue, each look
stretched to eight bits of its own 1 to 99 %; `pan8` the same of one grey band; `web` is rgb8 without sun and view
angles, saved as JPEG, as a screen shows it. Seeds 1 to 499 are for building.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import rasterio
import yaml

from changedetect.evaluation import EvaluateParams, evaluate
from changedetect.evaluation.match import match
from changedetect.evaluation.read import read_outputs, read_truth
from changedetect.gather import RunOptions
from changedetect.pipeline import run, simulate_to

LAYOUTS = ("all", "pan", "rgb8", "pan8", "web")
PLACE = [
    [131.64981, 44.31336],
    [131.68749, 44.31336],
    [131.68749, 44.34036],
    [131.64981, 44.34036],
    [131.64981, 44.31336],
]
_COLOURS = ("red", "green", "blue")
_GREY = {"blue": 0.25, "green": 0.35, "red": 0.4}
"""What a panchromatic band sees of the colours."""
_JPEG_QUALITY = 88


def write_series(folder: Path, layout: str, n_scenes: int, **story: object) -> Path:
    """Write the scenes of a training ground in a layout, with their truth; return the AOI file that runs on them."""
    place = {
        "name": f"stretched-{layout}",
        "title": f"Simulated, {layout}",
        "location": {"source": "simulated", "verified": True},
        "geometry": {"type": "Polygon", "coordinates": [PLACE]},
        "targets": ["trench", "hut", "equipment"],
        "scenes": {"simulate": {"scenario": "training-ground", "n_scenes": n_scenes, **story}},
    }
    folder.mkdir(parents=True, exist_ok=True)
    ask = folder / "place.yaml"
    ask.write_text(yaml.safe_dump(place, sort_keys=False), encoding="utf-8")
    aoi = simulate_to(ask, folder / "scenes")
    if layout == "all":
        return aoi
    told = yaml.safe_load(aoi.read_text(encoding="utf-8"))
    for scene in told["scenes"]:
        rewrite(aoi.parent / scene["path"], layout)
        del scene["sensor"]
        if layout == "web":
            for angle in ("sun_azimuth_deg", "sun_elevation_deg", "off_nadir_deg", "view_azimuth_deg"):
                scene.pop(angle, None)
    aoi.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    return aoi


def rewrite(path: Path, layout: str) -> None:
    """Rewrite a simulated scene in a layout, in place."""
    with rasterio.open(path) as src:
        profile, names, data = src.profile, list(src.descriptions), src.read().astype(np.float32)
        known = src.dataset_mask() > 0
        scale, offset = src.scales[0], src.offsets[0]
    bands = {name: data[names.index(name)] for name in _COLOURS}
    grey = sum(weight * bands[name] for name, weight in _GREY.items())
    planes, labels = ([grey], ("pan",)) if layout.startswith("pan") else (list(bands.values()), _COLOURS)
    pixels = np.stack(planes)
    if layout != "pan":
        pixels = np.stack([_stretch(plane, known) for plane in pixels])
    if layout == "web":
        pixels = _compress(pixels) * known
    kept = {key: profile[key] for key in ("crs", "transform", "width", "height")}
    dtype = "uint16" if layout == "pan" else "uint8"
    with rasterio.open(path, "w", driver="GTiff", tiled=True, count=len(labels), dtype=dtype, nodata=0, **kept) as dst:
        dst.write(np.round(pixels).astype(dtype))
        dst.descriptions = labels
        if layout == "pan":
            dst.scales, dst.offsets = (scale,), (offset,)


def _stretch(plane: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return a band stretched to eight bits of its 1 to 99 %; 0 stays for what is unknown."""
    low, high = np.percentile(plane[known], (1, 99))
    return np.where(known, np.clip((plane - low) / max(high - low, 1e-6) * 255, 1, 255), 0)


def _compress(pixels: np.ndarray) -> np.ndarray:
    image = np.ascontiguousarray(np.moveaxis(pixels, 0, -1)[..., ::-1].astype(np.uint8))
    packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return np.maximum(np.moveaxis(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1], -1, 0), 1)


def list_errors(run_dir: Path, truth_path: Path) -> list[str]:
    """Return a line for every object that was missed and every change on no object."""
    outputs = read_outputs(run_dir)
    truth = read_truth(truth_path, outputs)
    matched = match(outputs, truth, EvaluateParams())
    objects, changes = truth.objects.to_dict("records"), outputs.changes.to_dict("records")
    lines = []
    for i in matched.observable:
        if i not in matched.found:
            item = objects[i]
            spot = item["geometry"].centroid
            lines.append(
                f"missed {item['class']} {item['status']} {item['geometry'].area:.0f} m2 {spot.x:.0f},{spot.y:.0f}"
            )
    for j, change in enumerate(changes):
        if j not in matched.on_truth:
            spot = change["geometry"].centroid
            what = f"{change['class']} {change['status']} {change['confidence']:.2f} {change['geometry'].area:.0f} m2"
            lines.append(f"false {what} {spot.x:.0f},{spot.y:.0f}")
    return lines


def main() -> None:
    """Run the cases and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", nargs="+", default=["steppe", "farmland"])
    parser.add_argument("--seeds", default="451,452")
    parser.add_argument("--gsd", type=float, nargs="+", default=[0.5])
    parser.add_argument("--layout", nargs="+", choices=LAYOUTS, default=["rgb8", "pan8"])
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path("outputs/stretched"))
    parser.add_argument("--list", action="store_true", help="name what was missed and what is false")
    args = parser.parse_args()
    total = np.zeros(5, int)
    cases = [
        (w, s, g, y) for w in args.world for s in map(int, args.seeds.split(",")) for g in args.gsd for y in args.layout
    ]
    for world, seed, gsd_m, layout in cases:
        folder = args.out / f"{world}-{seed}-{gsd_m:g}-{layout}"
        aoi = folder / "scenes" / "aoi.yaml"
        if not aoi.is_file():
            aoi = write_series(folder, layout, args.scenes, world=world, seed=seed, gsd_m=gsd_m)
        run(aoi, RunOptions(out=folder / "run"))
        result = evaluate(folder / "run", folder / "scenes" / "truth.geojson")
        overall = result["overall"]
        found, on = overall["recall"], overall["precision"]
        right = overall.get("class_accuracy", {"right": 0})["right"]
        record = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
        unused = sum(not scene["used"] for scene in record["scenes"])
        print(
            f"{folder.name:24} found {found['right']:>3}/{found['n']:<3} right class {right:>3} "
            f"on target {on['right']:>3}/{on['n']:<3} scenes not used {unused}",
            flush=True,
        )
        if args.list:
            print(
                *(f"    {line}" for line in list_errors(folder / "run", folder / "scenes" / "truth.geojson")), sep="\n"
            )
        total += [found["right"], found["n"], right, on["right"], on["n"]]
    print(f"all: found {total[0]}/{total[1]}, class right {total[2]}, on target {total[3]}/{total[4]}")


if __name__ == "__main__":
    main()

"""Time the whole product against whole-array scikit-image differencing, on simulated pairs, interleaved.

    python scripts/bench.py [--size-m 512] [--repeats 3] [--seed 901]

Prints medians, the ratio, peak memory of this process, and polygons right and wrong, so that speed is never bought with
false alarms unseen. Machines are noisy: compare ratios of one run, not seconds of two.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import yaml
from rasterio.features import shapes
from scipy.ndimage import shift as spline_shift
from shapely.geometry import shape
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.morphology import disk, opening
from skimage.registration import phase_cross_correlation

from changedetect.gather import RunOptions
from changedetect.pipeline import run, simulate_to

ROOT = Path(__file__).parents[1]


def naive(before: Path, after: Path) -> gpd.GeoDataFrame:
    """Return changed polygons the plain way: phase correlation, z-scored difference, Otsu, opening."""
    with rasterio.open(before) as src:
        a, transform, crs = src.read().astype(np.float32), src.transform, src.crs
    with rasterio.open(after) as src:
        b = src.read().astype(np.float32)
    rows, cols = min(a.shape[1], b.shape[1]), min(a.shape[2], b.shape[2])
    a, b = a[:, :rows, :cols], b[:, :rows, :cols]
    step, _, _ = phase_cross_correlation(a.mean(axis=0), b.mean(axis=0), upsample_factor=20)
    b = np.stack([spline_shift(band, step, order=3, mode="nearest") for band in b])
    z = [(x - x.mean(axis=(1, 2), keepdims=True)) / x.std(axis=(1, 2), keepdims=True) for x in (a, b)]
    magnitude = np.sqrt(((z[1] - z[0]) ** 2).sum(axis=0))
    changed = opening(magnitude > threshold_otsu(magnitude), disk(2))
    labels = label(changed, connectivity=2).astype(np.int32)
    polygons = [shape(s) for s, v in shapes(labels, mask=labels > 0, connectivity=8, transform=transform) if v]
    return gpd.GeoDataFrame(geometry=[p for p in polygons if p.area >= 6.0], crs=crs)


def right_and_wrong(found: gpd.GeoDataFrame, truth: gpd.GeoDataFrame) -> tuple[int, int]:
    """Return how many polygons lie on something planted, and how many do not."""
    if found.empty:
        return 0, 0
    near = truth.to_crs(found.crs).buffer(2.0).union_all()
    right = int((found.intersection(near).area >= 0.3 * found.area).sum())
    return right, len(found) - right


def make_pair(folder: Path, size_m: float, seed: int) -> tuple[Path, list[Path], gpd.GeoDataFrame]:
    """Write a simulated pair; return its AOI file, its two scenes and what was planted by the second."""
    sets = [f"simulate.size_m={size_m}", f"simulate.seed={seed}"]
    aoi = simulate_to(ROOT / "aoi" / "sergeyevka.yaml", folder / "scenes", sets)
    record = json.loads((folder / "scenes" / "truth.geojson").read_text(encoding="utf-8"))
    block = yaml.safe_load(aoi.read_text(encoding="utf-8"))
    chosen = [block["scenes"][0], block["scenes"][4]]
    block["scenes"], block["baseline"] = chosen, {"until": str(chosen[0]["datetime"])}
    pair = folder / "scenes" / "pair.yaml"
    pair.write_text(yaml.safe_dump(block), encoding="utf-8")
    truth = gpd.GeoDataFrame.from_features(record["features"], crs=4326)
    return pair, [pair.parent / scene["path"] for scene in chosen], truth


def main() -> None:
    """Run both, interleaved, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-m", type=float, default=512.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=901)
    args = parser.parse_args()
    seconds: dict[str, list[float]] = {"changedetect": [], "naive": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        aoi, scenes, truth = make_pair(folder, args.size_m, args.seed)
        for _ in range(args.repeats):
            start = time.perf_counter()
            report = run(aoi, RunOptions(out=folder / "out"))
            seconds["changedetect"].append(time.perf_counter() - start)
            start = time.perf_counter()
            plain = naive(*scenes)
            seconds["naive"].append(time.perf_counter() - start)
        timings = json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))["timings_s"]
    rows, cols = report.results.grid.shape
    print(f"pair of {rows} x {cols} px, {args.repeats} interleaved runs, seed {args.seed}")
    for name, found in (("changedetect", report.results.changes), ("naive", plain)):
        right, wrong = right_and_wrong(found, truth)
        print(f"{name:13} {statistics.median(seconds[name]):7.2f} s   {right:4d} polygons right {wrong:6d} wrong")
    print(f"ratio naive / changedetect: {np.median(seconds['naive']) / np.median(seconds['changedetect']):.2f}")
    print("stages:", ", ".join(f"{stage} {value:.2f} s" for stage, value in timings.items()))
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()

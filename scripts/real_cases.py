"""Run the main job on real imagery and print what came out, as a table.

    python scripts/real_cases.py [--real ../shared/real] [--out DIR] [CASE...]

Cases: the five OSCD cities, joplin (two reference systems, tiles to mosaic), naip (three dates) and taizhou (ENVI).
Truth masks are pixel masks: a polygon of any class counts, so every case asks for `other`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import yaml
from rasterio.features import rasterize
from shapely.geometry import box, mapping

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("CHANGEDETECT_REAL", ROOT.parent / "shared" / "real"))
CITIES = ("aguasclaras", "mumbai", "paris", "rennes", "saclay_e")
CASES = (*CITIES, "joplin", "naip", "taizhou")


@dataclass(frozen=True)
class PixelScore:
    """Pixels changed in truth and in the outputs, over the labelled pixels."""

    precision: float
    recall: float
    f1: float


def write_case(name: str, folder: Path, real: Path = REAL) -> Path:
    """Write the AOI file of a case into `folder` and return its path."""
    scenes, bounds, crs, extra = _BUILDERS.get(name, _oscd)(name, real)
    area = gpd.GeoSeries([box(*bounds)], crs=crs).to_crs(4326).iloc[0]
    aoi = {
        "name": name.replace("_", "-"),
        "title": f"{name} (real imagery)",
        "location": {"source": "georeference of the imagery", "verified": True},
        "geometry": json.loads(json.dumps(mapping(area))),
        "targets": ["other"],
        "scenes": scenes,
        **extra,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(aoi, sort_keys=False), encoding="utf-8")
    return path


def _inner(path: Path, share: float = 0.97) -> tuple[tuple[float, float, float, float], object]:
    with rasterio.open(path) as src:
        left, bottom, right, top = src.bounds
        dx, dy = (right - left) * (1 - share) / 2, (top - bottom) * (1 - share) / 2
        return (left + dx, bottom + dy, right - dx, top - dy), src.crs


def _oscd(name: str, real: Path):
    folder = real / "oscd-sentinel2" / "Images" / name
    days = re.findall(r"date_\d: (\d{8})", (folder / "dates.txt").read_text())
    bands = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir"}
    scenes = []
    for i, day in enumerate(days, 1):
        files = {band: next(folder.glob(f"imgs_{i}/*_{code}.tif")) for code, band in bands.items()}
        scenes.append(
            {
                "id": f"{name}-{day}",
                "datetime": f"{day[:4]}-{day[4:6]}-{day[6:]}T10:30:00Z",
                "sensor": "sentinel-2-l1c",
                "assets": {band: str(path) for band, path in files.items()},
            }
        )
    bounds, crs = _inner(Path(scenes[0]["assets"]["red"]), 1.0)
    return scenes, bounds, crs, {}


def _joplin(_: str, real: Path):
    folder = real / "xview2-joplin" / "input"
    scenes = [
        {
            "id": "joplin-before",
            "datetime": "2010-03-01T17:00:00Z",
            "path": sorted(map(str, (folder / "pre").glob("*.tif"))),
        },
        {
            "id": "joplin-after",
            "datetime": "2011-05-24T17:00:00Z",
            "path": sorted(map(str, (folder / "post").glob("*.tif"))),
        },
    ]
    # Two orthophotos of trees and roofs: parallax keeps a tenth of the ground more than 0.8 px off.
    extra = {"settings": {"register": {"max_ce90_px": 1.5}}}
    return scenes, (366900.0, 4103600.0, 367500.0, 4104200.0), "EPSG:26915", extra


def _naip(_: str, real: Path):
    folder = real / "naip-timeseries"
    bounds, crs = _inner(folder / "m_4709963_se_14_1_20120731.tif")
    return {"files": str(folder / "*.tif")}, bounds, crs, {}


def _taizhou(_: str, real: Path):
    folder = real / "landsat-taizhou" / "Taizhou"
    bands = ["blue", "green", "red", "nir", "swir16", "swir22"]
    days = {"2000TM": "2000-03-17", "2003TM": "2003-02-06"}
    scenes = [
        {"path": str(folder / stem), "datetime": f"{day}T02:00:00Z", "bands": list(bands), "id": stem}
        for stem, day in days.items()
    ]
    bounds, crs = _inner(folder / "2000TM", 1.0)
    return scenes, bounds, crs, {}


_BUILDERS = {"joplin": _joplin, "naip": _naip, "taizhou": _taizhou}


def truth_mask(name: str, real: Path = REAL):
    """Return (changed, labelled, transform, crs) of a case with a truth mask, else None."""
    if name in CITIES:
        folder = real / "oscd-sentinel2"
        with rasterio.open(next((folder / "Images" / name).glob("imgs_1/*_B04.tif"))) as src:
            transform, crs = src.transform, src.crs
        with rasterio.open(folder / "Labels" / name / "cm" / "cm.png") as src:
            changed = src.read(1) > 0
        return changed, np.ones_like(changed), transform, crs
    if name == "taizhou":
        folder = real / "landsat-taizhou" / "Taizhou"
        with rasterio.open(folder / "2000TM") as src:
            transform, crs = src.transform, src.crs
        with rasterio.open(folder / "change.bmp") as yes, rasterio.open(folder / "unchanged.bmp") as no:
            changed, unchanged = yes.read(1) > 0, no.read(1) > 0
        return changed, changed | unchanged, transform, crs
    return None


def pixel_score(out_dir: Path, name: str, real: Path = REAL) -> PixelScore | None:
    """Return precision, recall and F1 over labelled pixels of the polygons of changes.geojson."""
    truth = truth_mask(name, real)
    if truth is None:
        return None
    changed, labelled, transform, crs = truth
    found = gpd.read_file(out_dir / "changes.geojson")
    drawn = np.zeros(changed.shape, bool)
    if len(found):
        drawn = rasterize(found.to_crs(crs).geometry, changed.shape, transform=transform).astype(bool)
    hit = float((drawn & changed & labelled).sum())
    precision = hit / max(float((drawn & labelled).sum()), 1.0)
    recall = hit / max(float((changed & labelled).sum()), 1.0)
    return PixelScore(precision, recall, 2 * precision * recall / max(precision + recall, 1e-12))


def main() -> None:
    """Run the cases and print the table."""
    from changedetect.gather import RunOptions
    from changedetect.pipeline import run

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"any of {', '.join(CASES)} (default: all)")
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--out", type=Path, default=Path("outputs/real"))
    parser.add_argument("--set", action="append", default=[], dest="sets")
    args = parser.parse_args()
    if not args.real.is_dir():
        sys.exit(f"no real imagery at {args.real}")
    args.out.mkdir(parents=True, exist_ok=True)
    print(f"{'case':12} {'px':>10} {'changes':>8} {'per km2':>8}", end=" ")
    print(f"{'P':>5} {'R':>5} {'F1':>5}  {'shift m (E, N)':>16} {'CE90 m':>7} {'s':>6}")
    for name in args.cases or CASES:
        aoi = write_case(name, args.out, args.real)
        start = time.perf_counter()
        report = run(aoi, RunOptions(out=args.out / name, sets=tuple(args.sets)))
        seconds = time.perf_counter() - start
        record = json.loads((args.out / name / "run.json").read_text())
        last = record["scenes"][-1]["registration"]
        rows, cols = report.results.grid.shape
        n = len(report.results.changes)
        score = pixel_score(args.out / name, name, args.real)
        figures = (
            "    -     -     -" if score is None else f"{score.precision:5.2f} {score.recall:5.2f} {score.f1:5.2f}"
        )
        area_km2 = rows * cols * report.results.grid.gsd_m**2 / 1e6
        shift = f"{last['dx_m']:+.2f}, {last['dy_m']:+.2f}" if last["status"] == "ok" else last["status"]
        print(
            f"{name:12} {rows:>4}x{cols:<5} {n:>8} {n / area_km2:>8.1f} {figures}  {shift:>16} "
            f"{last['ce90_m'] or float('nan'):>7.2f} {seconds:>6.1f}"
        )


if __name__ == "__main__":
    main()

"""Run the main job on real imagery and print what came out, as a table.

    python scripts/real_cases.py [--real ../shared/real] [--out DIR] [--json FILE] [CASE...]

Cases: the five OSCD cities (`oscd`), joplin (two reference systems, tiles to mosaic), naip (three dates), taizhou
(ENVI), szada (aerial, 1.5 m), eleven LEVIR crops (`levir`; one of them empty) and landsat (decades, no truth).
naip-vessel asks for vessels on the lakes of naip, where there are none.
Truth masks are pixel masks: a polygon of any class counts, so every other case asks for `other`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import yaml
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from rasterio.features import rasterize
from shapely.geometry import box, mapping

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("CHANGEDETECT_REAL", ROOT.parent / "shared" / "real"))
CITIES = ("aguasclaras", "mumbai", "paris", "rennes", "saclay_e")
LEVIR = (
    "test_102_0512_0000",
    "test_121_0768_0256",
    "test_2_0000_0000",
    "test_2_0000_0512",
    "test_55_0256_0000",
    "test_77_0512_0256",
    "test_7_0256_0512",
    "train_36_0512_0512",
    "train_386_0512_0768",
    "train_412_0512_0768",
    "val_27_0000_0256",
)
LEVIR_CASES = tuple(f"levir-{stem}" for stem in LEVIR)
CASES = (*CITIES, "joplin", "naip", "naip-vessel", "taizhou", "szada", "landsat", *LEVIR_CASES)
GROUPS = {"oscd": CITIES, "levir": LEVIR_CASES}
PLACELESS_CRS = "EPSG:32631"


@dataclass(frozen=True)
class PixelScore:
    """Pixels changed in truth and in the outputs, over the labelled pixels."""

    precision: float
    recall: float
    f1: float


def write_case(name: str, folder: Path, real: Path = REAL) -> Path:
    """Write the AOI file of a case into `folder` and return its path."""
    if name == "szada" or name in LEVIR_CASES:
        scenes, bounds, crs, extra = _placed(name, folder, real)
    else:
        scenes, bounds, crs, extra = _BUILDERS.get(name, _oscd)(name, real)
    area = gpd.GeoSeries([box(*bounds)], crs=crs).to_crs(4326).iloc[0]
    aoi = {
        "name": name.replace("_", "-").lower(),
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
    # Two orthophotos of trees and roofs, which lean: a tenth of what registration sees is more than 2 px off.
    extra = {"settings": {"register": {"max_ce90_px": 2.5}}}
    return scenes, (366900.0, 4103600.0, 367500.0, 4104200.0), "EPSG:26915", extra


def _naip(_: str, real: Path):
    folder = real / "naip-timeseries"
    bounds, crs = _inner(folder / "m_4709963_se_14_1_20120731.tif")
    return {"files": str(folder / "*.tif")}, bounds, crs, {}


def _naip_vessel(_: str, real: Path):
    """No ship sails these lakes, whose level and reeds differ from date to date."""
    scenes, bounds, crs, extra = _naip("naip", real)
    return scenes, bounds, crs, extra | {"targets": ["vessel"]}


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


def _landsat(_: str, real: Path):
    folder = real / "landsat-timeseries"
    bounds, crs = _inner(folder / "1985.tif")
    return {"files": str(folder / "*.tif")}, bounds, crs, {}


def _placeless(name: str, real: Path) -> tuple[list[Path], Path, float]:
    """Return the two pictures of a case without georeference, its mask and its pixel size."""
    if name == "szada":
        folder = real / "sztaki-airchange" / "Szada" / "1"
        return [folder / "im1.bmp", folder / "im2.bmp"], folder / "gt.bmp", 1.5
    stem = name.removeprefix("levir-")
    folder = real / "levir-cd-samples"
    return [folder / side / f"{stem}.png" for side in "AB"], folder / "label" / f"{stem}.png", 0.5


def _read_picture(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as src:
            return src.read()


def _placed(name: str, folder: Path, real: Path):
    """Write copies of a case's pictures into `folder` with a place of their own, as its masks have it."""
    pictures, _, gsd_m = _placeless(name, real)
    scenes = []
    for day, path in zip(("2005-06-01", "2015-06-01"), pictures, strict=True):
        pixels = _read_picture(path)[:3]
        copy = folder / f"{name}-{day}.tif"
        profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": pixels.shape[1], "width": pixels.shape[2]}
        with rasterio.open(copy, "w", crs=PLACELESS_CRS, transform=_placeless_transform(gsd_m), **profile) as dst:
            dst.write(pixels)
        scenes.append(
            {"id": copy.stem, "datetime": f"{day}T12:00:00Z", "path": copy.name, "bands": ["red", "green", "blue"]}
        )
    bounds, crs = _inner(copy, 1.0)
    return scenes, bounds, crs, {}


def _placeless_transform(gsd_m: float):
    return Affine(gsd_m, 0.0, 500_000.0, 0.0, -gsd_m, 5_000_000.0)


_BUILDERS = {"joplin": _joplin, "naip": _naip, "naip-vessel": _naip_vessel, "taizhou": _taizhou, "landsat": _landsat}


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
    if name == "szada" or name in LEVIR_CASES:
        _, mask, gsd_m = _placeless(name, real)
        changed = _read_picture(mask)[0] > 0
        return changed, np.ones_like(changed), _placeless_transform(gsd_m), PLACELESS_CRS
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


def run_case(name: str, out: Path, real: Path = REAL, sets: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the figures of one case, run into `out`/`name`.

    `precision`, `recall`, `f1` over labelled pixels (None without a mask or without change in it), `changes`, `named`
    (changes of a class other than `other`), `per_km2` and `flagged_share` of the area, `shift_m` and `ce90_m` of the
    last scene; where nothing could be compared, `reason` says why and nothing counts as found.
    """
    from changedetect.errors import ChangeDetectError
    from changedetect.gather import RunOptions
    from changedetect.pipeline import run

    out.mkdir(parents=True, exist_ok=True)
    aoi = write_case(name, out, real)
    start = time.perf_counter()
    truth = truth_mask(name, real)
    has_change = truth is not None and bool(truth[0].any())
    row: dict[str, Any] = {"case": name, "reason": None}
    try:
        report = run(aoi, RunOptions(out=out / name, sets=sets))
    except ChangeDetectError as error:
        zero = 0.0 if has_change else None
        row |= {"reason": str(error), "changes": 0, "named": 0, "per_km2": 0.0, "flagged_share": 0.0, "shape": None}
        row |= {"precision": zero, "recall": zero, "f1": zero, "shift_m": None, "ce90_m": None, "looks": 0}
        return row | {"seconds": time.perf_counter() - start}
    changes, grid = report.results.changes, report.results.grid
    last = json.loads((out / name / "run.json").read_text())["scenes"][-1]["registration"]
    pixels = pixel_score(out / name, name, real) if has_change else None
    looks = sum(look.used and look.score is not None for look in report.results.looks)
    seen_m2 = max(float(max(look.valid.sum() * look.grid.gsd_m**2 for look in report.results.looks)), 1.0)
    return row | {
        "precision": pixels and pixels.precision,
        "recall": pixels and pixels.recall,
        "f1": pixels and pixels.f1,
        "changes": len(changes),
        "named": int((changes["class"] != "other").sum()),
        "per_km2": len(changes) / (seen_m2 / 1e6),
        "flagged_share": float(changes.geometry.union_all().area) / seen_m2 if len(changes) else 0.0,
        "shift_m": [last["dx_m"], last["dy_m"]] if last["status"] == "ok" else None,
        "ce90_m": last["ce90_m"],
        "looks": looks,
        "shape": list(grid.shape),
        "seconds": time.perf_counter() - start,
    }


def mean_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the means of groups of cases that ran: the cities, the LEVIR crops with change."""
    result = []
    for group, names in GROUPS.items():
        chosen = [row for row in rows if row["case"] in names and row["f1"] is not None]
        if len(chosen) > 1:
            means = {key: float(np.mean([row[key] for row in chosen])) for key in ("precision", "recall", "f1")}
            result.append({"case": f"mean {group}", "cases": len(chosen)} | means)
    return result


def show_row(row: dict[str, Any]) -> str:
    """Return a case's figures as a line of the table."""
    scores = " ".join(f"{row[key]:5.2f}" if row[key] is not None else "    -" for key in ("precision", "recall", "f1"))
    if "cases" in row:
        return f"{row['case']:26} {row['cases']:>8} {'':8} {'':7} {scores}"
    shift = "{:+.2f}, {:+.2f}".format(*row["shift_m"]) if row["shift_m"] else "-"
    ce90 = f"{row['ce90_m']:7.2f}" if row["ce90_m"] else f"{'-':>7}"
    found = f"{row['changes']:>8} {row['per_km2']:>8.2f} {row['flagged_share']:>7.1%}"
    return f"{row['case']:26} {found} {scores}  {shift:>16} {ce90} {row['seconds']:>6.1f}  {row['reason'] or ''}"[:160]


def main() -> None:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = ", ".join((*GROUPS, *CASES[: -len(LEVIR_CASES)]))
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"any of {known} (default: all)")
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--out", type=Path, default=Path("outputs/real"))
    parser.add_argument("--set", action="append", default=[], dest="sets")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    args = parser.parse_args()
    if not args.real.is_dir():
        sys.exit(f"no real imagery at {args.real}")
    print(f"{'case':26} {'changes':>8} {'per km2':>8} {'flagged':>7}", end=" ")
    print(f"{'P':>5} {'R':>5} {'F1':>5}  {'shift m (E, N)':>16} {'CE90 m':>7} {'s':>6}")
    rows = []
    for name in [case for given in args.cases or CASES for case in GROUPS.get(given, (given,))]:
        rows.append(run_case(name, args.out, args.real, tuple(args.sets)))
        print(show_row(rows[-1]), flush=True)
    means = mean_rows(rows)
    for row in means:
        print(show_row(row))
    if args.json:
        args.json.write_text(json.dumps({"cases": rows, "means": means}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Plant trenches, huts and rows of vehicles in real imagery, run the main job, and print what was found.

    python scripts/injection_cases.py [--real ../shared/real] [--out DIR] [--seeds 1,2] [BACKGROUND...]

The ground is real (aerial and Google Earth RGB, 0.5 to 0.6 m) on both dates; the second date is the first one shifted,
warped, blurred, re-lit and noised, with targets drawn into it. So every detection off a target is false, on texture no
simulator made. Injection into real data is how surveys in astronomy state what they would have found.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import geopandas as gpd
import numpy as np
import rasterio
import yaml
from rasterio.transform import from_origin
from shapely import affinity
from shapely.geometry import LineString, Polygon, box, mapping

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("CHANGEDETECT_REAL", ROOT.parent / "shared" / "real"))
BACKGROUNDS = (*(f"joplin-{side}-{i}" for side in ("pre", "post") for i in range(4)), "levir-a", "levir-b")
CRS, WEST, NORTH = "EPSG:32615", 400_000.0, 4_100_000.0
FINE = 4  # drawing cells per pixel


@dataclass(frozen=True)
class Planted:
    """One target: its class and outline in metres east and south of the corner."""

    kind: str
    shape: Polygon
    count: int


def read_background(name: str, real: Path) -> tuple[np.ndarray, float]:
    """Return a real RGB image, (3, row, col) float32 of 0 to 255, and its pixel size in metres."""
    if name.startswith("levir"):
        path = real / "levir-cd-samples" / "unlabelled-1024" / name[-1].upper() / "test_1024.png"
        return _read(path), 0.5
    _, side, number = name.split("-")
    return _read(sorted((real / "xview2-joplin" / "input" / side).glob("*.tif"))[int(number)]), 0.6


def _read(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as src:
            return src.read([1, 2, 3]).astype(np.float32)


def plant(image: np.ndarray, gsd_m: float, rng: np.random.Generator, n_each: int) -> tuple[np.ndarray, list[Planted]]:
    """Return the image with targets drawn on its smoothest free ground, and what was drawn."""
    image, planted = image.copy(), []
    taken = np.zeros(image.shape[1:], bool)
    taken[(image.sum(axis=0) == 0)] = True
    sun_deg, slope = rng.uniform(0, 360), rng.uniform(0.8, 2.0)
    cast = np.array([np.sin(np.radians(sun_deg)), -np.cos(np.radians(sun_deg))]) * -slope
    for kind in ("trench", "hut", "equipment") * n_each:
        size_px = round({"trench": 60, "hut": 34, "equipment": 56}[kind] / gsd_m)
        corner = _smooth_spot(image, taken, size_px, rng)
        if corner is None:
            continue
        row, col = corner
        part = (slice(None), slice(row, row + size_px), slice(col, col + size_px))
        image[part], shape, count = _DRAW[kind](image[part], gsd_m, cast, rng)
        taken[part[1:]] = True
        planted.append(Planted(kind, affinity.translate(shape, col * gsd_m, row * gsd_m), count))
    return image, planted


def _smooth_spot(image: np.ndarray, taken: np.ndarray, size_px: int, rng: np.random.Generator):
    grey = image.mean(axis=0)
    best, corner = np.inf, None
    for _ in range(60):
        row, col = (int(rng.integers(12, n - size_px - 12)) for n in grey.shape)
        if taken[row : row + size_px, col : col + size_px].any():
            continue
        spot = grey[row : row + size_px, col : col + size_px]
        rough = float(spot.std() / max(spot.mean(), 1)) * rng.uniform(0.5, 1.5)  # relative: dark woods are not smooth
        if rough < best:
            best, corner = rough, (row, col)
    return corner


class Canvas:
    """A patch drawn on in fine cells: colours with their cover, and light."""

    def __init__(self, patch: np.ndarray, gsd_m: float) -> None:
        self.patch, self.gsd_m = patch, gsd_m
        self.size = patch.shape[1]
        self.cells = np.repeat(np.repeat(patch, FINE, axis=1), FINE, axis=2)
        self.light = np.ones(self.cells.shape[1:], np.float32)
        self.ground = np.median(patch.reshape(3, -1), axis=1).astype(np.float32)

    def mask(self, shape) -> np.ndarray:
        drawn = np.zeros(self.light.shape, np.uint8)
        for part in getattr(shape, "geoms", [shape]):
            points = np.asarray(part.exterior.coords) / self.gsd_m * FINE
            cv2.fillPoly(drawn, [np.round(points).astype(np.int32)], 1)
        return drawn > 0

    def paint(self, shape, colour: np.ndarray, rough: float, rng: np.random.Generator) -> None:
        where = self.mask(shape)
        texture = cv2.GaussianBlur(rng.normal(0, 1, self.light.shape).astype(np.float32), (0, 0), FINE)
        texture *= rough / max(float(texture.std()), 1e-6)
        for band, value in zip(self.cells, colour, strict=True):
            band[where] = value * (1 + texture[where])

    def shade(self, shape, left: float) -> None:
        where = self.mask(shape)
        self.light[where] = np.minimum(self.light[where], left)

    def finish(self) -> np.ndarray:
        lit = np.clip(self.cells * self.light, 0, 255)
        return np.stack([cv2.resize(band, (self.size, self.size), interpolation=cv2.INTER_AREA) for band in lit])


def _placed(shape, canvas: Canvas, turn_deg: float):
    middle = canvas.size * canvas.gsd_m / 2
    return affinity.translate(affinity.rotate(shape, turn_deg, origin=(0, 0)), middle, middle)


def draw_trench(patch: np.ndarray, gsd_m: float, _cast: np.ndarray, rng: np.random.Generator):
    """Return the patch with a zig-zag slot between banks of dug soil."""
    canvas = Canvas(patch, gsd_m)
    leg, turn = rng.uniform(5, 11), rng.uniform(20, 50)
    points, n = [(0.0, 0.0)], int(rng.uniform(26, 44) / leg) + 1
    for i in range(n):
        angle = np.radians(turn if i % 2 else -turn)
        points.append((points[-1][0] + leg * np.cos(angle), points[-1][1] + leg * np.sin(angle)))
    line = LineString(points)
    line = affinity.translate(line, -line.centroid.x, -line.centroid.y)
    width, bank = rng.uniform(0.9, 1.8), rng.uniform(1.6, 3.2)
    one_sided = rng.random() < 0.3
    turned = rng.uniform(0, 180)
    slot = _placed(line.buffer(width / 2, cap_style="flat"), canvas, turned)
    spoil = line.buffer(width / 2 + bank, cap_style="flat", single_sided=False)
    if one_sided:
        spoil = line.buffer(width / 2 + bank, single_sided=True).union(line.buffer(width / 2))
    spoil = _placed(spoil.buffer(0), canvas, turned)
    grey = float(canvas.ground.mean())
    soil = canvas.ground * 0.4 + 0.6 * grey * np.array([1.12, 1.0, 0.85], np.float32)
    canvas.paint(spoil, soil * rng.uniform(1.2, 1.6), 0.08, rng)
    canvas.paint(slot, soil * rng.uniform(0.3, 0.5), 0.05, rng)
    return canvas.finish(), Polygon(max(getattr(spoil, "geoms", [spoil]), key=lambda g: g.area).exterior), 1


def draw_hut(patch: np.ndarray, gsd_m: float, cast: np.ndarray, rng: np.random.Generator):
    """Return the patch with a gable or flat roof and its cast shadow."""
    canvas = Canvas(patch, gsd_m)
    length, width, height = rng.uniform(8, 18), rng.uniform(5, 9), rng.uniform(2.5, 4)
    turned = rng.uniform(0, 180)
    roof = _placed(box(-length / 2, -width / 2, length / 2, width / 2), canvas, turned)
    half = _placed(box(-length / 2, -width / 2, length / 2, 0), canvas, turned)
    colours = [[150, 60, 50], [205, 205, 200], [95, 100, 105], [70, 95, 75], [165, 150, 130], [235, 235, 240]]
    colour = np.array(colours[rng.integers(len(colours))], np.float32) * rng.uniform(0.85, 1.1)
    shadow = roof.union(affinity.translate(roof, *(cast * height))).convex_hull.difference(roof)
    canvas.shade(shadow, 0.38)
    lit = canvas.light.copy()
    canvas.paint(roof, colour, 0.03, rng)
    canvas.paint(half, colour * rng.uniform(0.68, 1.0), 0.03, rng)
    canvas.light = np.where(canvas.mask(roof), np.float32(1), lit)
    return canvas.finish(), roof, 1


def draw_equipment(patch: np.ndarray, gsd_m: float, cast: np.ndarray, rng: np.random.Generator):
    """Return the patch with one or two rows of dark vehicles, each with its shadow."""
    canvas = Canvas(patch, gsd_m)
    n, rows, turned = int(rng.integers(4, 9)), int(rng.integers(1, 3)), rng.uniform(0, 180)
    pitch, length, width = rng.uniform(3.4, 5.2), rng.uniform(5.5, 7.6), rng.uniform(2.3, 2.9)
    paint = np.array([78, 84, 66], np.float32) * rng.uniform(0.6, 1.15)
    bodies = []
    for row in range(rows):
        for k in range(n):
            x, y = (k - (n - 1) / 2) * pitch, (row - (rows - 1) / 2) * (length + rng.uniform(3, 6))
            body = box(x - width / 2, y - length / 2, x + width / 2, y + length / 2)
            bodies.append(_placed(affinity.rotate(body, rng.normal(0, 2)), canvas, turned))
    for body in bodies:
        hull = body.union(affinity.translate(body, *(cast * 2.4))).convex_hull
        canvas.shade(hull.difference(body), 0.4)
    light = canvas.light.copy()
    for body in bodies:
        canvas.paint(body, paint * rng.uniform(0.85, 1.15), 0.05, rng)
        light[canvas.mask(body)] = 1.0
    canvas.light = light
    outline = bodies[0]
    for body in bodies[1:]:
        outline = outline.union(body)
    return canvas.finish(), outline.buffer(2.5).buffer(-1.5).convex_hull, len(bodies)


_DRAW = {"trench": draw_trench, "hut": draw_hut, "equipment": draw_equipment}


def second_look(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image as another pass would have it: shifted, warped, blurred, re-lit, noised."""
    rows, cols = image.shape[1:]
    x, y = np.meshgrid(np.arange(cols, dtype=np.float32), np.arange(rows, dtype=np.float32))
    field = [cv2.resize(rng.normal(0, 0.4, (4, 4)).astype(np.float32), (cols, rows), interpolation=cv2.INTER_CUBIC)]
    field.append(cv2.resize(rng.normal(0, 0.4, (4, 4)).astype(np.float32), (cols, rows), interpolation=cv2.INTER_CUBIC))
    shift = rng.uniform(-2, 2, 2).astype(np.float32)
    light = 1 + cv2.resize(rng.normal(0, 0.03, (5, 5)).astype(np.float32), (cols, rows), interpolation=cv2.INTER_CUBIC)
    blur, haze = rng.uniform(0.3, 0.7), rng.uniform(0, 12)
    result = []
    for band in image:
        moved = cv2.remap(
            band, x + field[0] + shift[0], y + field[1] + shift[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        moved = 255 * (np.clip(moved, 0, 255) / 255) ** rng.uniform(0.85, 1.18) * rng.uniform(0.92, 1.08) * light + haze
        result.append(cv2.GaussianBlur(moved, (0, 0), blur) + rng.normal(0, 2.0, moved.shape))
    return np.clip(np.round(result), 0, 255).astype(np.uint8)


def write_case(name: str, seed: int, folder: Path, real: Path = REAL, n_each: int = 4) -> Path:
    """Write two scenes, truth and an AOI file; return the AOI file's path. `n_each` 0 plants nothing."""
    rng = np.random.default_rng([seed, BACKGROUNDS.index(name)])
    image, gsd_m = read_background(name, real)
    changed, planted = plant(image, gsd_m, rng, n_each)
    folder.mkdir(parents=True, exist_ok=True)
    transform = from_origin(WEST, NORTH, gsd_m, gsd_m)
    for when, pixels in (("20240901", image.astype(np.uint8)), ("20241001", second_look(changed, rng))):
        path = folder / f"{name}_{when}.tif"
        shape = {"height": image.shape[1], "width": image.shape[2], "count": 3}
        with rasterio.open(
            path, "w", driver="GTiff", dtype="uint8", crs=CRS, transform=transform, tiled=True, **shape
        ) as dst:
            dst.write(pixels)
            dst.descriptions = ("red", "green", "blue")
    shapes = [affinity.translate(affinity.scale(p.shape, 1, -1, origin=(0, 0)), WEST, NORTH) for p in planted]
    start = "2024-09-15T00:00:00Z"
    rows = {"class": [p.kind for p in planted], "count": [p.count for p in planted]}
    truth = gpd.GeoDataFrame({**rows, "status": "appeared", "start": start, "end": None}, geometry=shapes, crs=CRS)
    truth.to_crs(4326).to_file(folder / "truth.geojson", driver="GeoJSON")
    side_m = (image.shape[2] * gsd_m, image.shape[1] * gsd_m)
    inside = box(WEST + 10, NORTH - side_m[1] + 10, WEST + side_m[0] - 10, NORTH - 10)
    area = gpd.GeoSeries([inside], crs=CRS).to_crs(4326).iloc[0]
    scenes = [
        {"path": f"{name}_{when}.tif", "datetime": f"{when[:4]}-{when[4:6]}-{when[6:]}T03:00:00Z"}
        for when in ("20240901", "20241001")
    ]
    aoi = {
        "name": f"{name}-{seed}",
        "title": f"{name}, targets planted",
        "location": {"source": "made for a test", "verified": False},
        "geometry": json.loads(json.dumps(mapping(area))),
        "targets": ["trench", "hut", "equipment"],
        "scenes": scenes,
    }
    path = folder / "aoi.yaml"
    path.write_text(yaml.safe_dump(aoi, sort_keys=False), encoding="utf-8")
    return path


def run_case(name: str, seed: int, out: Path, real: Path = REAL, n_each: int = 4) -> dict:
    """Return what `evaluate` says of a run over planted targets on a real background."""
    from changedetect.evaluation import evaluate
    from changedetect.gather import RunOptions
    from changedetect.pipeline import run

    folder = out / f"{name}-{seed}-{n_each}"
    aoi = write_case(name, seed, folder, real, n_each)
    run(aoi, RunOptions(out=folder / "run"))
    return evaluate(folder / "run", folder / "truth.geojson")


def main() -> None:
    """Run the cases and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backgrounds", nargs="*", metavar="BACKGROUND", help=f"any of {', '.join(BACKGROUNDS)}")
    parser.add_argument("--real", type=Path, default=REAL)
    parser.add_argument("--out", type=Path, default=Path("outputs/injection"))
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--quiet", action="store_true", help="plant nothing")
    args = parser.parse_args()
    if not args.real.is_dir():
        sys.exit(f"no real imagery at {args.real}")
    total = np.zeros(5, int)
    for name in args.backgrounds or BACKGROUNDS:
        for seed in map(int, args.seeds.split(",")):
            result = run_case(name, seed, args.out, args.real, 0 if args.quiet else 4)
            overall = result["overall"]
            found, on = overall["recall"], overall["precision"]
            classed = overall.get("class_accuracy", {"right": 0, "n": 0})
            print(
                f"{name:12} seed {seed:<4} found {found['right']:>2}/{found['n']:<2} right class {classed['right']:>2} "
                f"polygons on target {on['right']:>2}/{on['n']}",
                flush=True,
            )
            total += [found["right"], found["n"], classed["right"], on["right"], on["n"]]
    print(f"all: found {total[0]}/{total[1]}, class right {total[2]}, on target {total[3]}/{total[4]}")


if __name__ == "__main__":
    main()

"""Pairs of any size whose shift is known exactly: drawn four times finer, moved by whole fine pixels, averaged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rasterio
import yaml
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.windows import Window
from shapely.geometry import box, mapping
from shapely.ops import transform as project

TILE_PX, FINER, GSD_M, CRS = 1024, 4, 0.5, "EPSG:32652"
SHIFT_PX = (0.75, -1.25)
"""Rows and columns by which the second scene's ground lies further down and right in its file."""
BANDS = ("blue", "green", "red", "nir")
LEFT, TOP = 400_000.0, 4_800_000.0
_LEVEL = np.array([700.0, 900.0, 1100.0, 2200.0], np.float32)
_GAIN, _OFFSET = np.array([1.06, 0.97, 1.03, 0.94], np.float32), np.array([40.0, -20.0, 30.0, 10.0], np.float32)
_NOISE = 12.0
_OPTIONS = {"compress": "deflate", "predictor": 2, "tiled": True, "blockxsize": 512, "blockysize": 512}


@dataclass(frozen=True)
class Pair:
    """Two scenes, the AOI file that names them, and what was planted."""

    aoi: Path
    before: Path
    after: Path
    side_px: int
    planted: list[tuple[float, float, float, float]]
    """Bounds of the things that are new, in metres."""


def make_pair(folder: Path, side_px: int, seed: int = 1) -> Pair:
    """Write a pair of `side_px` squared, four bands of uint16, in deflated tiles; things are new on the second.

    One tile of 1024 px, drawn in fine pixels so that it repeats, is laid side by side under light that differs from
    place to place: as costly to read and judge as any ground, and quick to make at any size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ground = _ground(np.random.default_rng(seed))
    changed, things = _with_things(ground)
    pair = [_bands(ground, (0, 0)), _bands(changed, SHIFT_PX)]
    paths = [folder / "before_20240901.tif", folder / "after_20241005.tif"]
    for number, (tile, path) in enumerate(zip(pair, paths, strict=True)):
        _write(path, tile, side_px, seed * 1000 + number, is_after=number == 1)
    n = -(-side_px // TILE_PX)
    planted = [
        (LEFT + (c * TILE_PX + x0) * GSD_M, TOP - (r * TILE_PX + y1) * GSD_M,
         LEFT + (c * TILE_PX + x1) * GSD_M, TOP - (r * TILE_PX + y0) * GSD_M)
        for r in range(n) for c in range(n) for y0, x0, y1, x1 in things
        if r * TILE_PX + y1 < side_px and c * TILE_PX + x1 < side_px
    ]  # fmt: skip
    return Pair(_aoi(folder, paths, side_px), paths[0], paths[1], side_px, planted)


def _ground(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return relative brightness of one tile in fine pixels, repeating at its edges: texture of all sizes."""
    side = TILE_PX * FINER
    whole = np.zeros((side, side), np.float32)
    for octave, strength in ((8, 0.12), (16, 0.1), (64, 0.09), (256, 0.09), (1024, 0.08)):
        cells = rng.normal(size=(octave, octave)).astype(np.float32)
        around = np.pad(cells, 2, mode="wrap")
        scale = side // octave
        drawn = cv2.resize(around, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        whole += np.float32(strength) * drawn[2 * scale : -2 * scale, 2 * scale : -2 * scale]
    for _ in range(24):  # sharp edges: roofs, tracks
        y, x = (int(v) for v in rng.integers(40 * FINER, side - 60 * FINER, 2))
        h, w = (int(v) for v in rng.integers(8 * FINER, 40 * FINER, 2))
        whole[y : y + h, x : x + w] += np.float32(rng.choice((-0.25, 0.3, 0.4)))
    return np.float32(1.0) + whole


def _with_things(ground: NDArray[np.float32]) -> tuple[NDArray[np.float32], list[tuple[int, int, int, int]]]:
    """Return the ground with a roof and a trench that are new, and their bounds in pixels: top, left, bottom, right."""
    changed, f = ground.copy(), FINER
    things = [(200, 300, 216, 328), (700, 640, 706, 760)]
    (y0, x0, y1, x1), (v0, u0, v1, u1) = things
    changed[y0 * f : y1 * f, x0 * f : x1 * f] = 2.2
    changed[y1 * f : (y1 + 6) * f, x0 * f : x1 * f] *= 0.45  # its shadow
    changed[v0 * f : (v1 - 3) * f, u0 * f : u1 * f] *= 0.5
    changed[(v1 - 3) * f : v1 * f, u0 * f : u1 * f] *= 1.5
    return changed, things


def _bands(ground: NDArray[np.float32], shift_px: tuple[float, float]) -> NDArray[np.float32]:
    """Return the tile in pixels, (band, row, col): moved by whole fine pixels, then averaged."""
    fine = [round(value * FINER) for value in shift_px]
    moved = np.roll(ground, fine, axis=(0, 1))
    tile = moved.reshape(TILE_PX, FINER, TILE_PX, FINER).mean(axis=(1, 3))
    tilt = np.array([0.8, 1.0, 1.2, -0.6], np.float32)[:, None, None]
    return np.asarray(_LEVEL[:, None, None] * (1 + (tile - 1) * tilt * np.float32(0.9)), np.float32)


def _write(path: Path, tile: NDArray[np.float32], side_px: int, seed: int, is_after: bool) -> None:
    profile = {"driver": "GTiff", "width": side_px, "height": side_px, "count": 4, "dtype": "uint16", "nodata": 0}
    profile |= {"crs": CRS, "transform": Affine(GSD_M, 0, LEFT, 0, -GSD_M, TOP), "bigtiff": "IF_SAFER"}
    with rasterio.open(path, "w", **profile, **_OPTIONS, num_threads=2) as to:
        to.descriptions = BANDS
        for row in range(0, side_px, TILE_PX):
            for col in range(0, side_px, TILE_PX):
                rows, cols = min(TILE_PX, side_px - row), min(TILE_PX, side_px - col)
                part = tile[:, :rows, :cols].copy()
                part *= np.float32(1 + 0.1 * np.sin(row / 5e3) * np.cos(col / 7e3))
                if is_after:
                    part = part * _GAIN[:, None, None] + _OFFSET[:, None, None]
                noise = np.random.default_rng((seed, row, col)).standard_normal(part.shape, np.float32)
                part += np.float32(_NOISE) * noise
                to.write(np.clip(part, 1, 65535).astype(np.uint16), window=Window(col, row, cols, rows))


def _aoi(folder: Path, paths: list[Path], side_px: int) -> Path:
    side_m = side_px * GSD_M
    inner = box(LEFT, TOP - side_m, LEFT + side_m, TOP).buffer(-40.0, join_style="mitre")
    to_wgs84 = Transformer.from_crs(CRS, 4326, always_xy=True).transform
    place = {
        "name": "bench",
        "title": "Benchmark",
        "location": {"source": "made by the benchmark", "accuracy_m": 0.1, "verified": True},
        "geometry": json.loads(json.dumps(mapping(project(to_wgs84, inner)))),
        "targets": ["trench", "hut", "equipment"],
        "scenes": [
            {"path": path.name, "datetime": date, "bands": list(BANDS), "scale": 0.0001}
            for path, date in zip(paths, ("2024-09-01T02:20:00Z", "2024-10-05T02:20:00Z"), strict=True)
        ],
    }
    path = folder / "bench.yaml"
    path.write_text(yaml.safe_dump(place, sort_keys=False), encoding="utf-8")
    return path

"""Real water, places where ships can lie on it, and ships drawn there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from affine import Affine
from rasterio.features import geometry_mask, rasterize
from rasterio.warp import Resampling, calculate_default_transform, reproject
from shapely import affinity
from shapely.geometry import Polygon, box
from shapely.ops import unary_union

BANDS = ("blue", "green", "red", "nir")
FINE = 5  # drawing cells per pixel
BRIGHT = 0.35  # reflectance of the brightest ground, roads and bare soil
HULLS = {  # reflectance of hulls and decks in the order of BANDS
    "dark": ((0.05, 0.05, 0.06, 0.07), (0.12, 0.14, 0.16, 0.18)),
    "rust": ((0.05, 0.06, 0.13, 0.16), (0.10, 0.11, 0.13, 0.16)),
    "grey": ((0.14, 0.14, 0.14, 0.15), (0.18, 0.18, 0.18, 0.19)),
    "pale": ((0.26, 0.26, 0.25, 0.27), (0.30, 0.30, 0.29, 0.30)),
}
WHITE, CONCRETE = (0.35, 0.35, 0.34, 0.34), (0.17, 0.19, 0.21, 0.25)


@dataclass(frozen=True)
class Background:
    """Real images of one place on one grid."""

    dates: dict[str, np.ndarray]
    """By year: (band, row, col) float32, in the order of BANDS; 0 is no data."""
    gsd_m: float
    crs: Any
    west: float
    north: float
    lengths_m: tuple[float, float]
    """Of the ships that are planted."""
    banks: bool
    """Whether ships lie at natural shores, along rivers."""
    off_px: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Columns and rows by which a date shows things from where the first one does, none if not told."""

    @property
    def transform(self):
        return Affine(self.gsd_m, 0.0, self.west, 0.0, -self.gsd_m, self.north)

    def always_water(self) -> np.ndarray:
        """Return where all dates show water, (row, col)."""
        dates = self.dates.values()
        water = np.all([(im[1] - im[3]) > 0.1 * np.maximum(im[1] + im[3], 1) for im in dates], axis=0)
        return cv2.morphologyEx(water.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0


@dataclass(frozen=True)
class Stay:
    """A ship at a berth, on looks from the first to the last."""

    first: int
    last: int
    length_m: float
    width_m: float
    hull: Polygon
    """In pixels, (col, row)."""
    paint: str
    astern: bool


@dataclass
class Berth:
    """A place where ships lie, its zone, and who lay there on which looks."""

    zone: str
    room: Polygon
    """Of the largest ship; pixels, (col, row)."""
    heading_deg: float
    quay_side: int
    """Where the quay is, across the heading: -1, 1, or 0 for none."""
    stays: list[Stay] = field(default_factory=list)

    @property
    def middle(self) -> tuple[float, float]:
        return self.room.centroid.coords[0]


def read_background(name: str, real: Path) -> Background:
    """Return the real images of a place."""
    if name.startswith("naip"):
        paths = sorted((real / "naip-timeseries").glob("*.tif"))
        images, off, places = {}, {}, []
        for path in paths:
            with rasterio.open(path) as src:
                images[path.stem[-8:-4]] = src.read([3, 2, 1, 4]).astype(np.float32)[:, :720]
                places.append(src.transform)
                crs, first = src.crs, places[0]
            off[path.stem[-8:-4]] = ((first.c - places[-1].c) / 5.0, (places[-1].f - first.f) / 5.0)
        gsd_m, lengths = (3.0, (55.0, 125.0)) if name.endswith("3m") else (5.0, (80.0, 190.0))
        return Background(images, gsd_m, crs, first.c, first.f, lengths, False, off)
    images, grid = {}, None
    for year, part in (("2015", "imgs_1"), ("2018", "imgs_2")):
        folder, planes = real / "oscd-sentinel2" / "Images" / name / part, []
        for band in ("B02", "B03", "B04", "B08"):
            with rasterio.open(next(folder.glob(f"*{band}.tif"))) as src:
                if grid is None:
                    grid = calculate_default_transform(
                        src.crs, "EPSG:32643", src.width, src.height, *src.bounds, resolution=10.0
                    )
                plane = np.zeros((grid[2], grid[1]), np.float32)
                where = {"dst_transform": grid[0], "dst_crs": "EPSG:32643", "resampling": Resampling.cubic}
                reproject(rasterio.band(src, 1), plane, **where)
                planes.append(np.maximum(plane, 0))
        images[year] = np.stack(planes)
    return Background(images, 10.0, "EPSG:32643", grid[0].c, grid[0].f, (90.0, 190.0), True)


def hull_shape(length: float, width: float) -> Polygon:
    """Return a ship's outline about (0, 0), bow to the right."""
    half, beam = length / 2, width / 2
    side = [(half * 0.88, beam * 0.55), (half * 0.70, beam), (-half * 0.94, beam), (-half, beam * 0.75)]
    return Polygon([(half, 0), *side, *((x, -y) for x, y in reversed(side))])


def place_berths(ground: Background, rng: np.random.Generator, wanted: dict[str, int]) -> tuple[list, list[Berth]]:
    """Return piers (pixel polygons) and berths on water that all dates show, none near another."""
    water = ground.always_water()
    away = cv2.distanceTransform(np.pad(water, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    px = 1 / ground.gsd_m
    longest, broadest = ground.lengths_m[1] * px, ground.lengths_m[1] * px / 6
    free = water.copy()
    piers, berths = [], []
    for kind, count in wanted.items():
        done = 0
        for _ in range(6000):
            if done == count:
                break
            near = (away > 0.9) & (away < 2) if kind != "anchor" else away > 60 * px
            places = np.argwhere(near & free)
            if not len(places):
                break
            row, col = places[rng.integers(len(places))]
            angle = float(rng.uniform(0, 360))
            if kind == "bank":  # along the shore: across the way from the land
                part = away[max(row - 4, 0) : row + 5, max(col - 4, 0) : col + 5]
                down, right = np.gradient(part)
                angle = float(np.degrees(np.arctan2(down.mean(), right.mean()))) - 90.0
            made = _layout(kind, (col + 0.5, row + 0.5), angle, (longest, broadest), px)
            taken = made[0].buffer(60 * px)
            if not box(12, 12, water.shape[1] - 12, water.shape[0] - 12).contains(taken):
                continue
            ships = geometry_mask([part for part, _, _ in made[2]], water.shape, Affine.identity(), invert=True)
            if not free[ships].all() or (kind == "pier" and not _rooted(made[1], water)):
                continue
            free &= geometry_mask([taken], water.shape, Affine.identity())
            zone = f"{kind}-{done + 1}"
            piers += [made[1]] if made[1] is not None else []
            berths += [Berth(zone, *slot) for slot in made[2]]
            done += 1
    return piers, berths


def _layout(kind: str, at: tuple[float, float], angle: float, size: tuple[float, float], px: float):
    """Return the whole place, its pier (None without), and room, heading and side of the quay of each berth."""
    long, broad = size
    pier, slots = None, {0: box(-long / 2, -broad / 2, long / 2, broad / 2)}
    if kind == "bank":
        slots = {-1: affinity.translate(slots[0], 0, broad / 2 + 3 * px)}
    if kind == "pier":
        pier = box(-15 * px, -11 * px, long + 35 * px, 11 * px)
        slots = {
            -side: affinity.translate(slots[0], 25 * px + long / 2, side * (13 * px + broad / 2)) for side in (-1, 1)
        }

    def put(shape):
        return affinity.translate(affinity.rotate(shape, angle, origin=(0, 0)), *at)

    whole = put(unary_union([*slots.values(), *([pier] if pier else [])]).envelope)
    return whole, put(pier) if pier else None, [(put(slot), angle, side) for side, slot in slots.items()]


def _rooted(pier: Polygon, water: np.ndarray) -> bool:
    on = geometry_mask([pier], water.shape, Affine.identity(), invert=True)
    return bool(0.02 < (~water[on]).mean() < 0.25)


def send_ships(ground: Background, berths: list[Berth], looks: range, rng: np.random.Generator) -> None:
    """Let ships come and go: each stays for one to three looks, and berths are empty about half of the time."""
    px = 1 / ground.gsd_m
    for berth in berths:
        first = looks.start + int(rng.integers(0, 2))
        while first < looks.stop:
            last = min(first + int(rng.integers(0, 3)), looks.stop - 1)
            length = float(rng.uniform(*ground.lengths_m))
            width = length * float(rng.uniform(0.14, 0.165))
            off = 0.5 * (ground.lengths_m[1] / 6 - width) * berth.quay_side  # alongside, whatever the beam
            hull = affinity.translate(hull_shape(length * px, width * px), 0, off * px)
            placed = affinity.translate(affinity.rotate(hull, berth.heading_deg, origin=(0, 0)), *berth.middle)
            paint, astern = str(rng.choice(list(HULLS))), bool(rng.random() < 0.7)
            berth.stays.append(Stay(first, last, length, width, placed, paint, astern))
            first = last + 1 + int(rng.integers(1, 4))


def colours_of(image: np.ndarray):
    """Return what turns reflectance, in the order of BANDS, into an image's numbers, by its darkest and brightest."""
    seen = image[:, image.min(axis=0) > 0]
    dark, bright = np.quantile(seen, 0.005, axis=1), np.quantile(seen[:3], 0.99, axis=1)
    bright = np.append(bright, max(bright.mean(), np.quantile(seen[3], 0.8)))  # concrete is no brighter there
    return lambda colour: (dark + (bright - dark) * np.asarray(colour) / BRIGHT).astype(np.float32)


def paint(image: np.ndarray, shape: Polygon, colour: np.ndarray, rough: float, rng: np.random.Generator) -> None:
    """Blend a shape into an image, in place, by the share of each pixel that it covers, blurred as a sensor does."""
    left, top, right, bottom = (int(v) for v in shape.bounds)
    rows, cols = slice(max(top - 4, 0), bottom + 5), slice(max(left - 4, 0), right + 5)
    size = image[0, rows, cols].shape
    fine = rasterize([shape], (size[0] * FINE, size[1] * FINE), transform=_fine(cols.start, rows.start), dtype="uint8")
    cover = cv2.resize(fine.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    cover = cv2.GaussianBlur(cover, (0, 0), 0.5)
    grain = 1 + rough * cv2.GaussianBlur(rng.normal(0, 2, size).astype(np.float32), (0, 0), 0.8)
    for band, value in zip(image, colour, strict=True):
        band[rows, cols] += cover * (value * grain - band[rows, cols])


def _fine(col: int, row: int):
    return Affine(1 / FINE, 0, col, 0, 1 / FINE, row)


def draw_ship(image: np.ndarray, stay: Stay, berth: Berth, px: float, colour_of, rng: np.random.Generator) -> None:
    """Draw hull, hatches and bridge, in place."""
    hull, deck = HULLS[stay.paint]
    length, width, side = stay.length_m * px, stay.width_m * px, -1 if stay.astern else 1
    paint(image, stay.hull, colour_of(hull), 0.05, rng)
    parts = [(middle - 0.06 * side, 0.15, 0.62, deck) for middle in (-0.2, 0.0, 0.2)] + [(0.38 * side, 0.1, 0.8, WHITE)]
    for middle, long, wide, colour in parts:
        shape = box((middle - long / 2) * length, -wide / 2 * width, (middle + long / 2) * length, wide / 2 * width)
        turned = affinity.rotate(shape, berth.heading_deg, origin=(0, 0))
        at = stay.hull.minimum_rotated_rectangle.centroid
        paint(image, affinity.translate(turned, at.x, at.y), colour_of(colour), 0.05, rng)


def another_pass(image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, tuple[float, float]]:
    """Return an image as another pass would have it, shifted, warped, blurred, re-lit, hazy, noised, and its shift."""
    rows, cols = image.shape[1:]
    x, y = np.meshgrid(np.arange(cols, dtype=np.float32), np.arange(rows, dtype=np.float32))
    field_px = [cv2.resize(rng.normal(0, 0.3, (4, 4)).astype(np.float32), (cols, rows)) for _ in range(2)]
    dx, dy = rng.uniform(-1.5, 1.5, 2).astype(np.float32)
    light = 1 + cv2.resize(rng.normal(0, 0.02, (5, 5)).astype(np.float32), (cols, rows), interpolation=cv2.INTER_CUBIC)
    white, blur, haze = float(np.quantile(image, 0.999)), rng.uniform(0.3, 0.6), rng.uniform(0, 0.03)
    result = []
    for k, band in enumerate(image):
        moved = cv2.remap(
            band, x + field_px[0] + dx, y + field_px[1] + dy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        moved = np.maximum(cv2.GaussianBlur(moved, (0, 0), blur), 0)
        moved = moved * rng.uniform(0.93, 1.07) * light + white * haze * (1.0, 0.8, 0.6, 0.4)[k]
        result.append(moved + rng.normal(0, 0.006 * white, moved.shape))
    return np.stack(result).astype(np.float32), (float(dx), float(dy))

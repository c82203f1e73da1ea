"""Trees: where they stand, their domed crowns, and the layers they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from changedetect.simulate.farmland.covers import BIRCH, FRUIT, N_VARIANTS, OAK, POPLAR, SHRUB, SPRUCE
from changedetect.simulate.farmland.mosaic import tree_room

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry import Polygon

    from changedetect.simulate.farmland.mosaic import Mosaic
    from changedetect.simulate.farmland.place import Place

BARE = 255
"""Kind of a cell no crown covers."""
_COARSE_M = 0.9
"""Side of a cell from which crowns have no lobes."""


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """Layers of all crowns over the world, (row, col)."""

    height: NDArray[np.float32]
    """Metres above ground of the crown's surface; 0 where there is none."""
    kind: NDArray[np.uint8]
    """Species * N_VARIANTS + variant; BARE where there is none."""
    cover: NDArray[np.float32]
    """Share of the cell under a crown."""
    stems: NDArray[np.float64]
    """x, y, radius of each tree, (n, 3) metres."""


def plant_trees(place: Place, mosaic: Mosaic, rng: np.random.Generator) -> Trees:
    """Return the trees of hedges, road sides, meadows, orchards, yards and woods."""
    stands = [
        *_line_stands(mosaic, rng),
        *_single_stands(place, mosaic, rng),
        *[_fill_wood(shape, conifers, place.cell_m, rng) for shape, conifers in mosaic.woods if not shape.is_empty],
    ]
    free = tree_room(mosaic)
    shapely.prepare(free)
    rows = np.concatenate([s for s in stands if len(s)] or [np.zeros((0, 5))])
    rows = rows[~shapely.contains_xy(free, rows[:, 0], rows[:, 1])]
    n = place.cells
    trees = Trees(
        np.zeros((n, n), np.float32), np.full((n, n), BARE, np.uint8), np.zeros((n, n), np.float32), rows[:, :3]
    )
    kinds = rows[:, 4].astype(np.uint8) * N_VARIANTS + rng.integers(0, N_VARIANTS, len(rows)).astype(np.uint8)
    stamp = _stamp if place.cell_m < _COARSE_M else _dab
    for row, kind in zip(rows, kinds, strict=True):
        stamp(trees, place, (row[0], row[1], row[2], row[3]), int(kind), rng)
    return trees


def _line_stands(mosaic: Mosaic, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Return rows (x, y, radius, height, species) of hedges and of trees along the road."""
    stands = []
    for hedge in mosaic.hedges:
        step, tall = float(rng.uniform(1.6, 3.2)), float(rng.uniform(2.0, 5.0))
        species = int(rng.choice([SHRUB, SHRUB, OAK, FRUIT, BIRCH]))
        at = np.arange(0, hedge.length, step) + rng.uniform(0, step)
        at = at[rng.random(len(at)) < rng.uniform(0.7, 1.0)]
        stand = _along(hedge, at, rng, 0.5, species)
        stand[:, 2] = rng.uniform(0.9, 1.7, len(at))
        stand[:, 3] = tall * rng.uniform(0.75, 1.2, len(at))
        big = rng.random(len(at)) < 0.10
        stand[big, 2], stand[big, 3] = rng.uniform(2.2, 4.6, big.sum()), rng.uniform(7, 15, big.sum())
        stand[big, 4] = rng.choice([OAK, POPLAR, BIRCH], big.sum())
        stands.append(stand)
    for line, kind in mosaic.ways:
        if kind == "tarmac" and rng.random() < 0.8:
            for side in ("left", "right"):
                row = line.parallel_offset(float(rng.uniform(5.5, 7.5)), side)
                at = np.arange(0, row.length, float(rng.uniform(9, 15)))
                at = at[rng.random(len(at)) < rng.uniform(0.25, 0.9)]
                stand = _along(row, at, rng, 0.6, int(rng.choice([POPLAR, OAK, BIRCH])))
                stand[:, 2] = rng.uniform(1.8, 3.4, len(at))
                stand[:, 3] = rng.uniform(6, 13, len(at))
                stands.append(stand)
    return stands


def _along(
    line: shapely.LineString, at: NDArray[np.float64], rng: np.random.Generator, spread: float, species: int
) -> NDArray[np.float64]:
    points = shapely.get_coordinates(shapely.line_interpolate_point(line, at))
    stand = np.zeros((len(at), 5))
    stand[:, :2] = points.reshape(-1, 2) + rng.normal(0, spread, (len(at), 2))
    stand[:, 4] = species
    return stand


def _single_stands(place: Place, mosaic: Mosaic, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Return trees standing alone, in orchards and about the yards."""
    reach = place.reach_m
    n = int(rng.poisson(28 * ((place.size_m + 2 * reach) / 1000) ** 2 + 3))
    alone = np.zeros((n, 5))
    alone[:, :2] = rng.uniform(-reach, place.size_m + reach, (n, 2))
    alone[:, 2], alone[:, 3] = rng.uniform(1.6, 5.0, n), rng.uniform(5, 14, n)
    alone[:, 4] = rng.choice([OAK, POPLAR, BIRCH, FRUIT], n)
    stands = [alone]
    for shape, heading in mosaic.orchards:
        x0, y0, x1, y1 = shape.bounds
        radius = max(x1 - x0, y1 - y0)
        a, c = (v.ravel() for v in np.meshgrid(np.arange(-radius, radius, 4.5), np.arange(-radius, radius, 6.0)))
        angle, middle = np.radians(heading), shape.centroid
        x = middle.x + a * np.sin(angle) + c * np.cos(angle) + rng.normal(0, 0.2, a.size)
        y = middle.y - a * np.cos(angle) + c * np.sin(angle) + rng.normal(0, 0.2, a.size)
        inside = shapely.contains_xy(shape.buffer(-2), x, y) & (rng.random(a.size) < 0.95)
        m = int(inside.sum())
        stands.append(
            np.stack([x[inside], y[inside], rng.uniform(1.2, 1.9, m), rng.uniform(3, 4.5, m), np.full(m, FRUIT)], 1)
        )
    for yard, _ in mosaic.yards:
        ring = yard.exterior
        at = rng.uniform(0, ring.length, int(rng.integers(2, 9)))
        stand = _along(ring, at, rng, 1.0, OAK)
        stand[:, 2], stand[:, 3] = rng.uniform(1.5, 4, len(at)), rng.uniform(4, 11, len(at))
        stand[:, 4] = rng.choice([OAK, FRUIT, BIRCH, SPRUCE], len(at))
        stands.append(stand)
    return stands


def _fill_wood(shape: Polygon, conifers: bool, cell_m: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return trees on a shaken lattice; where cells are coarse, clumps stand for single trees."""
    step = max(float(rng.uniform(4.6, 6.4)), 2.4 * cell_m)
    x0, y0, x1, y1 = shape.bounds
    x, y = (v.ravel() for v in np.meshgrid(np.arange(x0, x1, step), np.arange(y0, y1, step)))
    x, y = x + rng.uniform(-0.42, 0.42, x.size) * step, y + rng.uniform(-0.42, 0.42, x.size) * step
    inside = shapely.contains_xy(shape, x, y) & (rng.random(x.size) < 0.96)
    m = int(inside.sum())
    species = np.full(m, SPRUCE) if conifers else rng.choice([OAK, OAK, BIRCH, POPLAR], m)
    species = np.where(rng.random(m) < 0.08, rng.choice([SPRUCE, OAK, BIRCH], m), species)
    radius = 0.62 * step * rng.uniform(0.75, 1.25, m)
    return np.stack([x[inside], y[inside], radius, rng.uniform(9, 17, m), species], 1)


def _stamp(
    trees: Trees, place: Place, tree: tuple[float, float, float, float], kind: int, rng: np.random.Generator
) -> None:
    """Press one crown into the layers: a lobed dome, pointed for conifers; the higher crown hides the lower."""
    x, y, radius, height = tree
    col, row = (x + place.margin_m) / place.cell_m, (y + place.margin_m) / place.cell_m
    n, reach = len(trees.height), 1.3 * radius / place.cell_m + 1
    r0, r1 = max(int(row - reach), 0), min(int(row + reach) + 1, n)
    c0, c1 = max(int(col - reach), 0), min(int(col + reach) + 1, n)
    if r0 >= r1 or c0 >= c1:
        return
    dy = (np.arange(r0, r1, dtype=np.float32)[:, None] + np.float32(0.5 - row)) * np.float32(place.cell_m)
    dx = (np.arange(c0, c1, dtype=np.float32)[None, :] + np.float32(0.5 - col)) * np.float32(place.cell_m)
    angle, away = np.arctan2(dy, dx), np.hypot(dy, dx)
    lobes, phase = int(rng.integers(3, 7)), rng.uniform(0, 6.28, 2)
    edge = radius * (1 + 0.10 * np.sin(lobes * angle + phase[0]) + 0.07 * np.sin((lobes + 3) * angle + phase[1]))
    cover = np.clip((edge - away) / np.float32(place.cell_m) + 0.5, 0.0, 1.0).astype(np.float32)
    inside = np.clip(1.0 - away / np.maximum(edge, 0.3), 0.0, 1.0)
    dome = inside if kind // N_VARIANTS == SPRUCE else np.sqrt(np.clip(1.0 - (1.0 - inside) ** 2, 0.0, 1.0))
    lift = min(0.5, radius / height)
    lumps = 1.0 + 0.05 * rng.standard_normal(dome.shape).astype(np.float32) * (place.cell_m < 0.8)
    top = (height * (1.0 - lift + lift * dome) * lumps * (cover > 0.3)).astype(np.float32)
    window = (slice(r0, r1), slice(c0, c1))
    higher = top > trees.height[window]
    trees.height[window][higher] = top[higher]
    trees.kind[window][(cover > 0.0) & (higher | (trees.kind[window] == BARE))] = kind
    np.maximum(trees.cover[window], cover, out=trees.cover[window])


def _dab(
    trees: Trees, place: Place, tree: tuple[float, float, float, float], kind: int, _rng: np.random.Generator
) -> None:
    """Press a crown of few cells into the layers: a square that covers as much ground."""
    x, y, radius, height = tree
    n, cell = len(trees.height), place.cell_m
    half = max(0.886 * radius / cell, 0.5)
    share = min(1.0, 3.14 * radius**2 / (2 * half * cell) ** 2)
    col, row = (x + place.margin_m) / cell, (y + place.margin_m) / cell
    r0, r1 = max(round(row - half), 0), min(max(round(row + half), round(row - half) + 1), n)
    c0, c1 = max(round(col - half), 0), min(max(round(col + half), round(col - half) + 1), n)
    if r0 >= r1 or c0 >= c1:
        return
    window = (slice(r0, r1), slice(c0, c1))
    trees.kind[window] = kind
    np.maximum(trees.height[window], np.float32(0.85 * height), out=trees.height[window])
    trees.cover[window] = np.minimum(trees.cover[window] + np.float32(share), np.float32(1.0))

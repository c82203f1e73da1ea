"""The lie of the land: blocks of fields cut into strips, ways between them, hedges, woods and farmsteads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import shapely
from shapely.affinity import rotate
from shapely.geometry import LineString, MultiPoint, Point, Polygon, box

from changedetect.simulate.farmland.covers import EARLIER, STORIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapely.geometry.base import BaseGeometry

    from changedetect.simulate.farmland.place import Place

VERGE, TARMAC, GRAVEL, RUT, TRACK, YARD, WOOD, POND, MARK = range(9)
FIRST_PARCEL = 16
"""Codes from here on are parcels."""


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """A field: its outline, the direction of its rows, and when it came into which state."""

    shape: Polygon
    heading_deg: float
    """Of the rows, clockwise from north."""
    states: tuple[tuple[float, float, str], ...]
    """(day of the year on which work began, days it took, state), in order."""
    sloth: tuple[float, float]
    """Where in its patterns the parcel lies, metres: no two fields share their rows."""
    n_early: int = 0
    """How many of the states come before the autumn's story."""

    @property
    def autumn(self) -> str:
        """The state in which the autumn's story finds it."""
        return self.states[self.n_early][2]


@dataclass(slots=True)
class Mosaic:
    """Everything that lies on the ground and does not change place, in local metres."""

    parcels: list[Parcel] = field(default_factory=list)
    ways: list[tuple[LineString, str]] = field(default_factory=list)
    """(middle line, tarmac | gravel | track)."""
    hedges: list[LineString] = field(default_factory=list)
    woods: list[tuple[Polygon, bool]] = field(default_factory=list)
    """(outline, conifers)."""
    orchards: list[tuple[Polygon, float]] = field(default_factory=list)
    yards: list[tuple[Polygon, float]] = field(default_factory=list)
    """(outline, heading of the nearest way)."""
    ponds: list[Polygon] = field(default_factory=list)


def lay_out(place: Place, rng: np.random.Generator) -> Mosaic:
    """Return a mosaic of fields over a place."""
    mosaic = Mosaic()
    reach = place.reach_m
    world = box(-reach, -reach, place.size_m + reach, place.size_m + reach)
    road = _draw_road(place, rng)
    mosaic.ways.append((road, "tarmac"))
    blocks, edges = _cut_blocks(world, rng)
    _sort_edges(mosaic, edges, rng)
    taken = shapely.union_all([line.buffer(_WIDTHS[kind] / 2 + 1.5) for line, kind in mosaic.ways])
    _add_farms(mosaic, road, world, taken, rng)
    taken = shapely.union_all([taken, *(yard.buffer(1.0) for yard, _ in mosaic.yards)])
    for block in blocks:
        for piece in _polygons(block.buffer(-1.2).difference(taken)):
            if piece.area > 60:
                _fill_block(mosaic, piece, rng)
    return mosaic


_WIDTHS = {"tarmac": 6.4, "gravel": 3.6, "track": 2.6}


def _polygons(shape: BaseGeometry) -> Iterator[Polygon]:
    for part in getattr(shape, "geoms", [shape]):
        if isinstance(part, Polygon) and not part.is_empty:
            yield part


def _draw_road(place: Place, rng: np.random.Generator) -> LineString:
    """Return a gently curving line right across the world."""
    half, middle = 0.75 * place.size_m + 1.5 * place.reach_m, place.size_m / 2
    t = np.linspace(-1, 1, 80)
    bend = 0.05 * place.size_m * (rng.normal() * np.sin(2.2 * t + rng.uniform(0, 6)) + rng.normal() * t**2)
    line = LineString(np.stack([middle + half * t, middle + rng.uniform(-0.22, 0.22) * place.size_m + bend], 1))
    return rotate(line, float(rng.uniform(0, 180)), origin=(middle, middle))


def _cut_blocks(world: BaseGeometry, rng: np.random.Generator) -> tuple[list[Polygon], list[LineString]]:
    """Return Voronoi cells of a jittered, stretched lattice over the world, and their edges."""
    step = float(rng.uniform(150, 210))
    stretch, heading = float(rng.uniform(1.15, 1.7)), float(rng.uniform(0, 180))
    x0, y0, x1, y1 = world.bounds
    middle, reach = ((x0 + x1) / 2, (y0 + y1) / 2), 0.75 * (x1 - x0) + 2 * step
    xs, ys = np.meshgrid(np.arange(-reach, reach, step * stretch), np.arange(-reach, reach, step / stretch))
    points = np.stack([xs.ravel(), ys.ravel()], 1) + rng.uniform(-0.36, 0.36, (xs.size, 2)) * (step, step / stretch)
    seeds = rotate(MultiPoint(points + middle), heading, origin=middle)
    cells = [cell.intersection(world) for cell in shapely.voronoi_polygons(seeds).geoms if cell.intersects(world)]
    lines = shapely.voronoi_polygons(seeds, only_edges=True)
    edges = [line for line in _lines(lines.intersection(world)) if line.length > 12]
    return [cell for cell in cells if isinstance(cell, Polygon)], edges


def _lines(shape: BaseGeometry) -> Iterator[LineString]:
    """Yield the straight pieces of a shape of lines."""
    for part in getattr(shape, "geoms", [shape]):
        coords = list(part.coords)
        yield from (LineString(coords[k : k + 2]) for k in range(len(coords) - 1))


def _sort_edges(mosaic: Mosaic, edges: list[LineString], rng: np.random.Generator) -> None:
    """Make of the edges between blocks ways, hedges or bare boundaries."""
    for edge in edges:
        kind = rng.choice(["gravel", "track", "hedge", "none"], p=[0.25, 0.2, 0.32, 0.23])
        if kind == "hedge":
            mosaic.hedges.append(edge)
        elif kind != "none":
            start, end = np.asarray(edge.coords)
            bow = rng.normal(0, 0.012 * edge.length, 2)
            t = np.linspace(0, 1, 9)[:, None]
            mosaic.ways.append((LineString(start + (end - start) * t + bow * np.sin(np.pi * t)), str(kind)))
            if rng.random() < 0.3:
                mosaic.hedges.append(edge.parallel_offset(_WIDTHS[str(kind)] / 2 + 2.2, "left"))


def _add_farms(
    mosaic: Mosaic, road: LineString, world: BaseGeometry, taken: BaseGeometry, rng: np.random.Generator
) -> None:
    """Put a farmstead along the road about every 230 metres, and some along gravel ways."""
    ways = [(road, 230.0)] + [(line, 900.0) for line, kind in mosaic.ways if kind == "gravel"]
    for line, spacing in ways:
        for _ in range(int(rng.poisson(line.length / spacing))):
            at = float(rng.uniform(0, line.length))
            here, ahead = line.interpolate(at), line.interpolate(min(at + 2.0, line.length))
            direction = np.array([ahead.x - here.x, ahead.y - here.y])
            if not direction.any():
                continue
            heading = float(np.degrees(np.arctan2(direction[0], -direction[1])))
            deep, wide = float(rng.uniform(28, 48)), float(rng.uniform(30, 62))
            side = np.array([-direction[1], direction[0]]) / np.hypot(*direction) * rng.choice([-1, 1])
            x, y = np.array([here.x, here.y]) + side * (deep / 2 + 6.0)
            yard = rotate(box(x - wide / 2, y - deep / 2, x + wide / 2, y + deep / 2), heading - 90, origin=(x, y))
            if yard.intersects(taken) or any(yard.distance(other) < 8 for other, _ in mosaic.yards):
                continue
            if yard.intersects(world):
                mosaic.yards.append((yard, heading))


def _fill_block(mosaic: Mosaic, block: Polygon, rng: np.random.Generator) -> None:
    """Plant a wood or an orchard on a block, dig a pond, or cut it into strips."""
    draw = rng.random()
    if draw < 0.10:
        mosaic.woods.append((block.buffer(-3.0, join_style="round").buffer(1.0), bool(rng.random() < 0.35)))
        return
    rectangle = np.asarray(block.minimum_rotated_rectangle.exterior.coords)
    sides = np.diff(rectangle[:3], axis=0)
    longer = sides[int(np.argmax(np.hypot(sides[:, 0], sides[:, 1])))]
    heading = float(np.degrees(np.arctan2(longer[0], -longer[1]))) + float(rng.normal(0, 2.5))
    if draw < 0.14 and block.area < 25_000:
        mosaic.orchards.append((block, heading))
    if draw > 0.985:
        middle = block.representative_point()
        shape = middle.buffer(float(rng.uniform(8, 16)))
        mosaic.ponds.append(shapely.affinity.scale(shape, 1.0, float(rng.uniform(0.5, 0.9))).intersection(block))
    width = float(np.exp(rng.uniform(np.log(16), np.log(140))))
    _cut_strips(mosaic, block, heading, width, rng)


def _cut_strips(mosaic: Mosaic, block: Polygon, heading: float, width: float, rng: np.random.Generator) -> None:
    centre = block.centroid
    turned = rotate(block, -heading, origin=centre)  # rows now run north
    x0, y0, x1, y1 = turned.bounds
    x, common = x0, int(rng.integers(len(STORIES)))
    while x < x1:
        step = width * float(rng.uniform(0.7, 1.4))
        step = step if x1 - (x + step) > 0.5 * width else x1 - x + 0.1
        for piece in _polygons(turned.intersection(box(x, y0, x + step, y1)).buffer(-0.35)):
            if piece.area > 40:
                story = common if rng.random() < 0.3 else int(rng.integers(len(STORIES)))
                mosaic.parcels.append(_make_parcel(rotate(piece, heading, origin=centre), heading, story, rng))
        x += step


def _make_parcel(shape: Polygon, heading: float, story: int, rng: np.random.Generator) -> Parcel:
    states, last = [], 0.0
    for k, (state, early, late) in enumerate(STORIES[story]):
        day = float(rng.uniform(max(early, last + 4.0), max(late, last + 8.0)))
        lasting = 0.0 if k == 0 else float(rng.uniform(0.15, 1.0) if rng.random() < 0.7 else rng.uniform(1.0, 6.0))
        states.append((day, lasting, state))
        last = day + lasting
    sloth = (float(rng.uniform(0, 500)), float(rng.uniform(0, 500)))
    own = np.random.default_rng(int(1000 * sloth[0]))
    before = [
        (float(own.uniform(first, last)), float(own.uniform(0.15, 2.0)), state)
        for state, first, last in EARLIER[states[0][2]]
    ]
    return Parcel(shape, heading, (*before, *states), sloth, len(before))


def draw_codes(mosaic: Mosaic) -> list[tuple[BaseGeometry, int]]:
    """Return (shape, code) of all covers, later ones on top."""
    codes: list[tuple[BaseGeometry, int]] = [
        (parcel.shape, FIRST_PARCEL + k) for k, parcel in enumerate(mosaic.parcels)
    ]
    codes += [(shape, WOOD) for shape, _ in mosaic.woods if not shape.is_empty]
    codes += [(shape, POND) for shape in mosaic.ponds if not shape.is_empty]
    codes += [(shape, YARD) for shape, _ in mosaic.yards]
    order = {"track": 0, "gravel": 1, "tarmac": 2}
    for line, kind in sorted(mosaic.ways, key=lambda way: order[way[1]]):
        half = _WIDTHS[kind] / 2
        if kind == "tarmac":
            codes += [(line.buffer(half + 1.6), VERGE), (line.buffer(half), TARMAC)]
            codes += [(line.parallel_offset(half - 0.35, side).buffer(0.09), MARK) for side in ("left", "right")]
        else:
            codes.append((line.buffer(half), GRAVEL if kind == "gravel" else TRACK))
            codes += [(line.parallel_offset(0.82, side).buffer(0.32), RUT) for side in ("left", "right")]
    return codes


def tree_room(mosaic: Mosaic) -> BaseGeometry:
    """Return the ground on which no tree may stand: ways and yards."""
    return shapely.union_all([line.buffer(_WIDTHS[kind] / 2 + 0.8) for line, kind in mosaic.ways])


def point_heading(line: LineString, at: float) -> tuple[Point, float]:
    """Return a point of a line and the heading there, degrees clockwise from north."""
    here, ahead = line.interpolate(at), line.interpolate(min(at + 1.0, line.length))
    behind = line.interpolate(max(at - 1.0, 0.0))
    return here, float(np.degrees(np.arctan2(ahead.x - behind.x, -(ahead.y - behind.y))))

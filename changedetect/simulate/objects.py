"""Things on the ground, drawn from their footprints: the same polygon is drawn and given as truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
from shapely import affinity
from shapely.geometry import LineString, Polygon, box
from shapely.ops import unary_union

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.simulate.terrain import Terrain

Window = tuple[slice, slice]
Colour = tuple[float, float, float, float]
Stamp = tuple["Window", "NDArray[np.float32]", "NDArray[np.float32]", "NDArray[np.float32]"]
"""Window, share covered (row, col), colour (row, col, band) and height (row, col) of an object."""

FRESH_SOIL: Colour = (0.125, 0.170, 0.225, 0.32)
SLOT_SOIL: Colour = (0.070, 0.090, 0.115, 0.15)
WHITE: Colour = (0.46, 0.48, 0.49, 0.50)
GREY: Colour = (0.21, 0.23, 0.24, 0.26)
RED_ROOF: Colour = (0.075, 0.085, 0.185, 0.27)
BLUE_ROOF: Colour = (0.22, 0.17, 0.10, 0.22)
GREEN_ROOF: Colour = (0.075, 0.115, 0.085, 0.20)
SLATE_ROOF: Colour = (0.105, 0.112, 0.115, 0.13)
OLIVE: Colour = (0.042, 0.056, 0.052, 0.095)
RUST: Colour = (0.07, 0.085, 0.16, 0.22)


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One thing that stands somewhere for some time; local metres, x east and y south."""

    kind: str
    """building, vehicle, trench, ship, container, aircraft, person or floor."""
    footprint: BaseGeometry
    colour: Colour = GREY
    height_m: float = 0.0
    heading_deg: float = 0.0
    """Of the longer axis, clockwise from north."""
    length_m: float = 0.0
    width_m: float = 0.0
    start: datetime | None = None
    """The moment it came to be; None: it was always there."""
    end: datetime | None = None
    """The moment it went; None: it stays."""
    style: str = ""
    seed: int = 0
    path: LineString | None = None

    def present_at(self, when: datetime) -> bool:
        """Return whether it stands there at a moment."""
        return (self.start is None or self.start <= when) and (self.end is None or when < self.end)


@dataclass(slots=True)
class Canvas:
    """What is drawn on: reflectance and height of one moment, in world pixels."""

    terrain: Terrain
    reflectance: NDArray[np.float32]
    height: NDArray[np.float32]
    stamps: dict[Item, Stamp] = field(default_factory=dict)


def place_shape(shape: BaseGeometry, x_m: float, y_m: float, heading_deg: float) -> BaseGeometry:
    """Return a shape drawn pointing north about (0, 0), turned clockwise to a heading and moved to a place."""
    # y runs south, so a positive mathematical angle turns clockwise on the map
    return affinity.translate(affinity.rotate(shape, heading_deg, origin=(0, 0)), x_m, y_m)


def make_rectangle(x_m: float, y_m: float, length_m: float, width_m: float, heading_deg: float) -> Polygon:
    """Return a rectangle about a centre, its length along the heading."""
    shape = box(-width_m / 2, -length_m / 2, width_m / 2, length_m / 2)
    return place_shape(shape, x_m, y_m, heading_deg)


def make_hull(length_m: float, width_m: float) -> Polygon:
    """Return the outline of a ship, bow to the north, about (0, 0)."""
    half, beam = length_m / 2, width_m / 2
    bow = [(0, -half), (beam * 0.55, -half * 0.88), (beam, -half * 0.70)]
    stern = [(beam, half * 0.94), (beam * 0.75, half)]
    right = bow + stern
    return Polygon(right + [(-x, y) for x, y in reversed(right[1:])])


def make_airframe(length_m: float, span_m: float) -> BaseGeometry:
    """Return the outline of a swept-wing transport aircraft, nose to the north, about (0, 0)."""
    half, body = length_m / 2, length_m * 0.052
    fuselage = Polygon(
        [
            (0, -half),
            *((body, -half * 0.84), (body, half * 0.5), (body * 0.3, half)),
            *((-body * 0.3, half), (-body, half * 0.5), (-body, -half * 0.84)),
        ]
    )
    root, chord, tip = -length_m * 0.13, length_m * 0.19, length_m * 0.06
    sweep = span_m * 0.22
    wing = [(0, root), (span_m / 2, root + sweep), (span_m / 2, root + sweep + tip), (0, root + chord)]
    tail_span, tail = span_m * 0.36, half * 0.80
    fin = [(0, tail), (tail_span / 2, tail + length_m * 0.09), (tail_span / 2, half + length_m * 0.01), (0, half)]
    parts = [fuselage] + [Polygon([(s * x, y) for x, y in part]) for part in (wing, fin) for s in (1, -1)]
    return unary_union(parts).buffer(0)


def make_trench(path: LineString, width_m: float, side: str) -> Polygon:
    """Return the disturbed strip of a trench: the slot and its spoil on both sides or one (left, right)."""
    if side == "both":
        return path.buffer(width_m / 2, cap_style="flat", join_style="mitre", mitre_limit=2.0)
    reach = (width_m - 1.0) * (1 if side == "left" else -1)
    bank = path.buffer(reach, cap_style="flat", join_style="mitre", mitre_limit=2.0, single_sided=True)
    return unary_union([bank, _slot(path)]).buffer(0.05).buffer(-0.05)


def _slot(path: LineString) -> Polygon:
    return path.buffer(0.55, cap_style="flat", join_style="mitre", mitre_limit=2.0)


def rasterize(terrain: Terrain, shape: BaseGeometry) -> tuple[Window, NDArray[np.float32]]:
    """Return the window of world pixels around a shape and the share of each that it covers, 0 to 1."""
    px = [terrain.to_px(np.asarray(ring.coords)[:, :2]) for ring in _rings(shape)]
    rows, cols = terrain.cover.shape
    stacked = np.concatenate(px) if px else np.zeros((1, 2))
    c0, r0 = np.maximum(np.floor(stacked.min(0)).astype(int) - 1, 0)
    c1, r1 = np.minimum(np.ceil(stacked.max(0)).astype(int) + 1, (cols, rows))
    window = (slice(int(r0), max(int(r1), int(r0))), slice(int(c0), max(int(c1), int(c0))))
    size = (window[0].stop - window[0].start, window[1].stop - window[1].start)
    # filled polygons include their outline: small things need finer cells to keep their size
    supersample = 16 if max(size) <= 32 else 4
    if min(size) < 1 or not px:
        return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), np.float32)
    fine = np.zeros((size[0] * supersample, size[1] * supersample), np.uint8)
    for ring in px:
        points = np.round(((ring - (c0, r0)) * supersample - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(fine, [points], 255, shift=4)
    share = cv2.resize(fine, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return window, share.astype(np.float32) / np.float32(255)


def _rings(shape: BaseGeometry) -> list[BaseGeometry]:
    parts = getattr(shape, "geoms", [shape])
    return [part.exterior for part in parts if not part.is_empty and hasattr(part, "exterior")]


def draw_items(canvas: Canvas, items: Iterable[Item]) -> None:
    """Draw each item in turn; later ones cover earlier ones."""
    for item in items:
        _DRAW[item.kind](canvas, item)


def _paint(canvas: Canvas, shape: BaseGeometry, colour: NDArray[np.float32] | Colour, height_m: float = 0.0) -> Window:
    window, share = rasterize(canvas.terrain, shape)
    if share.size == 0:
        return window
    target = canvas.reflectance[window]
    target += (np.asarray(colour, np.float32) - target) * share[..., None]
    if height_m:
        solid = share > 0.5
        canvas.height[window][solid] = height_m
    return window


def _axes(canvas: Canvas, window: Window, item: Item) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return metres along and across an item's axis from its centre, at the pixels of a window."""
    terrain = canvas.terrain
    x = (np.arange(window[1].start, window[1].stop) + 0.5) * terrain.pixel_m - terrain.margin_m
    y = (np.arange(window[0].start, window[0].stop) + 0.5) * terrain.pixel_m - terrain.margin_m
    centre = item.footprint.centroid
    angle = np.radians(item.heading_deg)
    dx, dy = (x - centre.x)[None, :], (y - centre.y)[:, None]
    return dx * np.sin(angle) - dy * np.cos(angle), dx * np.cos(angle) + dy * np.sin(angle)


def _draw_floor(canvas: Canvas, item: Item) -> None:
    if item not in canvas.stamps:
        window, share = rasterize(canvas.terrain, item.footprint)
        grain = 1.0 + 0.04 * np.random.default_rng(item.seed).standard_normal(share.shape, dtype=np.float32)
        colour = np.asarray(item.colour, np.float32) * grain[..., None]
        canvas.stamps[item] = (window, share, colour, np.full(share.shape, item.height_m, np.float32))
    _press(canvas, canvas.stamps[item])


def _press(canvas: Canvas, stamp: Stamp) -> None:
    """Draw a stamp: reflectance by the share covered, height where most is covered."""
    window, share, colour, height = stamp
    target = canvas.reflectance[window]
    target += (colour - target) * share[..., None]
    np.copyto(canvas.height[window], height, where=share > 0.5)


def _draw_building(canvas: Canvas, item: Item) -> None:
    if item not in canvas.stamps:
        canvas.stamps[item] = _make_roof(canvas, item)
    _press(canvas, canvas.stamps[item])


def _make_roof(canvas: Canvas, item: Item) -> Stamp:
    window, share = rasterize(canvas.terrain, item.footprint)
    along, across = _axes(canvas, window, item)
    rng = np.random.default_rng(item.seed)
    seams = 1.0 + 0.05 * np.sign(np.sin(2 * np.pi * along / 2.0 + rng.uniform(0, 6)))
    worn = 1.0 + 0.05 * rng.standard_normal(share.shape)
    colour = np.asarray(item.colour, np.float32) * (seams * worn)[..., None].astype(np.float32)
    roof = np.full(share.shape, item.height_m, np.float32)
    if item.style != "flat":
        slope = 1.0 - np.clip(np.abs(across) / max(item.width_m / 2, 0.1), 0.0, 1.0)
        roof += (0.4 * (item.width_m / 2) * slope).astype(np.float32)
    return window, share, colour, roof


def _draw_vehicle(canvas: Canvas, item: Item) -> None:
    window = _paint(canvas, item.footprint, item.colour, item.height_m)
    if item.length_m > 6.0 and window[0].stop > window[0].start:
        cab = tuple(1.35 * c for c in item.colour)
        centre = item.footprint.centroid
        angle = np.radians(item.heading_deg)
        ahead = item.length_m * 0.34
        x, y = centre.x + ahead * np.sin(angle), centre.y - ahead * np.cos(angle)
        shape = make_rectangle(x, y, item.length_m * 0.24, item.width_m * 0.92, item.heading_deg)
        _paint(canvas, shape, cab, item.height_m - 0.5)  # type: ignore[arg-type]


def _draw_trench(canvas: Canvas, item: Item) -> None:
    if item.path is None:
        return
    window, share = rasterize(canvas.terrain, item.footprint)
    if share.size == 0:
        return
    rng = np.random.default_rng(item.seed)
    pixel_m = canvas.terrain.pixel_m
    grain = rng.standard_normal(share.shape, dtype=np.float32)
    lumps = np.asarray(cv2.GaussianBlur(grain, (0, 0), max(0.5 / pixel_m, 0.3)), np.float32)
    lumps /= np.float32(max(float(lumps.std()), 1e-6))
    inside = (share > 0.5).astype(np.uint8)
    edge_m = cv2.distanceTransform(inside, cv2.DIST_L2, 3) * pixel_m
    bank = np.minimum(edge_m, 0.9) * 0.5 + 0.06 * lumps * inside
    colour = np.asarray(item.colour, np.float32) * (1.0 + 0.08 * lumps)[..., None]
    target = canvas.reflectance[window]
    target += (colour - target) * (0.95 * share)[..., None]
    np.copyto(canvas.height[window], bank.astype(np.float32), where=inside.astype(bool))
    _paint(canvas, _slot(item.path), SLOT_SOIL, -1.1)


def _draw_ship(canvas: Canvas, item: Item) -> None:
    _paint(canvas, item.footprint, item.colour, item.height_m)
    centre = item.footprint.centroid
    rng = np.random.default_rng(item.seed)
    deck: Colour = ((0.10, 0.12, 0.15, 0.18), (0.16, 0.17, 0.18, 0.19), (0.09, 0.13, 0.12, 0.15))[rng.integers(3)]
    length, width = item.length_m, item.width_m

    def part(along: float, size: tuple[float, float], colour: Colour, height_m: float) -> None:
        shape = place_shape(make_rectangle(0, -along, size[0], size[1], 0), centre.x, centre.y, item.heading_deg)
        _paint(canvas, shape, colour, height_m)

    for along in np.linspace(-0.18, 0.24, 3) * length:
        part(float(along), (0.16 * length, 0.62 * width), deck, item.height_m + 1.0)
    bridge = (0.36 if item.style == "forward" else -0.38) * length
    part(bridge, (0.11 * length, 0.80 * width), WHITE, item.height_m + 9.0)


def _draw_aircraft(canvas: Canvas, item: Item) -> None:
    window, share = rasterize(canvas.terrain, item.footprint)
    if share.size == 0:
        return
    _, across = _axes(canvas, window, item)
    target = canvas.reflectance[window]
    target += (np.asarray(item.colour, np.float32) - target) * share[..., None]
    body = np.where(np.abs(across) < 0.06 * item.length_m, item.height_m, 0.6 * item.height_m)
    canvas.height[window][share > 0.5] = body[share > 0.5].astype(np.float32)


def _draw_plain(canvas: Canvas, item: Item) -> None:
    _paint(canvas, item.footprint, item.colour, item.height_m)


_DRAW = {
    "floor": _draw_floor,
    "building": _draw_building,
    "vehicle": _draw_vehicle,
    "trench": _draw_trench,
    "ship": _draw_ship,
    "container": _draw_plain,
    "aircraft": _draw_aircraft,
    "person": _draw_plain,
}

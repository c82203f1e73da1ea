"""Everything built, parked, pitched or dug: drawn by distance to its edges, with height and the slope of its faces."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from shapely.geometry import LineString, Polygon
from shapely.ops import unary_union

from changedetect.simulate.farmland.covers import Spectrum

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.simulate.farmland.place import Place


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """One thing on the ground, in local metres; `heading_deg` is that of its length, clockwise from north."""

    kind: str
    """house, sheet (flat roof), tent-gable, tent-barrel, tank (round), vehicle, trench, pit or pad."""
    x: float
    y: float
    heading_deg: float
    length_m: float
    width_m: float
    height_m: float
    colour: Spectrum
    second: Spectrum = (0.0, 0.0, 0.0, 0.0)
    """Of the cab, the ridge, the slot or the roof over part of it."""
    start: datetime | None = None
    """None: it was always there."""
    end: datetime | None = None
    """None: it stays."""
    seed: int = 0
    path: LineString | None = None
    """Middle line of a trench."""
    banks: tuple[float, float] = (0.0, 0.0)
    """Width of the spoil on the left and on the right of a trench, metres."""
    roofed: tuple[tuple[float, float], ...] = ()
    """Stretches of a trench under a roof, metres along it."""

    def present(self, moment: datetime) -> bool:
        """Return whether it is there at a moment."""
        return (self.start is None or self.start <= moment) and (self.end is None or moment < self.end)

    @property
    def outline(self) -> BaseGeometry:
        """What of the ground it covers, in local metres."""
        if self.path is not None:
            return outline_trench(self.path, self.width_m, self.banks)
        if self.kind == "pit":
            return outline_pit(self)
        return outline_box(self.x, self.y, self.length_m, self.width_m, self.heading_deg)


@dataclass(slots=True)
class World:
    """What a date looks like before light falls on it, (row, col) over the world."""

    colour: NDArray[np.float32]
    """(row, col, band)."""
    height: NDArray[np.float32]
    slope_x: NDArray[np.float32]
    """Rise of the surface per metre east."""
    slope_y: NDArray[np.float32]
    """Rise of the surface per metre south."""
    place: Place = field(repr=False)


def outline_box(x: float, y: float, length_m: float, width_m: float, heading_deg: float) -> Polygon:
    """Return a rectangle about (x, y) whose length points along the heading."""
    angle = math.radians(heading_deg)
    along, across = np.array([math.sin(angle), -math.cos(angle)]), np.array([math.cos(angle), math.sin(angle)])
    corners = [(1, 1), (1, -1), (-1, -1), (-1, 1)]
    return Polygon([np.array([x, y]) + a * length_m / 2 * along + c * width_m / 2 * across for a, c in corners])


def outline_trench(path: LineString, slot_m: float, banks: tuple[float, float]) -> BaseGeometry:
    """Return the disturbed ground of a trench: its slot and its banks."""
    parts = [path.buffer(slot_m / 2, cap_style="flat", join_style="mitre", mitre_limit=2.5)]
    for bank, sign in zip(banks, (1, -1), strict=True):
        if bank > 0:
            reach = sign * (slot_m / 2 + bank)
            parts.append(path.buffer(reach, cap_style="flat", join_style="mitre", mitre_limit=2.5, single_sided=True))
    return unary_union([part.buffer(0) for part in parts]).buffer(0.1).buffer(-0.1)


def outline_pit(solid: Solid) -> BaseGeometry:
    """Return the disturbed ground of a pit: the hole and the wall of spoil about it."""
    return (
        outline_box(
            solid.x, solid.y, solid.length_m + 2 * solid.banks[0], solid.width_m + 2 * solid.banks[0], solid.heading_deg
        )
        .buffer(-0.8)
        .buffer(0.8)
    )


@dataclass(frozen=True, slots=True)
class _Window:
    """A piece of the world about a solid, with its own coordinates in metres."""

    rows: slice
    cols: slice
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    along: NDArray[np.float32]
    across: NDArray[np.float32]
    cell_m: float

    def inside(self, length_m: float, width_m: float, shift: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float32]:
        """Return the share of each cell inside a rectangle of the solid's own axes."""
        a = np.float32(length_m / 2) - np.abs(self.along - np.float32(shift[0]))
        c = np.float32(width_m / 2) - np.abs(self.across - np.float32(shift[1]))
        share_a = np.clip(a / np.float32(self.cell_m) + 0.5, 0.0, min(1.0, length_m / self.cell_m))
        share_c = np.clip(c / np.float32(self.cell_m) + 0.5, 0.0, min(1.0, width_m / self.cell_m))
        return np.asarray(share_a * share_c, np.float32)


def _open_window(world: World, solid: Solid, reach_m: float) -> _Window | None:
    place, n = world.place, len(world.height)
    x0, y0, x1, y1 = solid.path.bounds if solid.path is not None else (solid.x, solid.y, solid.x, solid.y)
    low = np.floor(place.to_cells(np.array([x0 - reach_m, y0 - reach_m]))).astype(int)
    high = np.ceil(place.to_cells(np.array([x1 + reach_m, y1 + reach_m]))).astype(int) + 1
    (c0, r0), (c1, r1) = np.clip(low, 0, n), np.clip(high, 0, n)
    if r0 >= r1 or c0 >= c1:
        return None
    x = ((np.arange(c0, c1) + 0.5) * place.cell_m - place.margin_m).astype(np.float32)[None, :]
    y = ((np.arange(r0, r1) + 0.5) * place.cell_m - place.margin_m).astype(np.float32)[:, None]
    angle = math.radians(solid.heading_deg)
    dx, dy = x - np.float32(solid.x), y - np.float32(solid.y)
    along = dx * np.float32(math.sin(angle)) - dy * np.float32(math.cos(angle))
    across = dx * np.float32(math.cos(angle)) + dy * np.float32(math.sin(angle))
    return _Window(slice(int(r0), int(r1)), slice(int(c0), int(c1)), x, y, along, across, place.cell_m)


def draw_solids(world: World, solids: list[Solid], moment: datetime) -> None:
    """Draw what is there at a moment, in order."""
    for solid in solids:
        if solid.present(moment):
            _DRAW[solid.kind](world, solid)


def _lay(
    world: World,
    window: _Window,
    share: NDArray[np.float32],
    colour: NDArray[np.float32],
    surface: tuple[NDArray[np.float32], NDArray[np.float32], float] | None = None,
) -> None:
    """Mix a colour in by share; `surface` is (height, rise per metre across, heading) where it stands up."""
    target = world.colour[window.rows, window.cols]
    target += (colour - target) * share[..., None]
    if surface is not None:
        height, rise, heading = surface
        # cells coarser than the thing keep its volume: their height is a share of its own
        part = share > 0.5 if float(share.max(initial=0.0)) > 0.5 else share > 0.0
        scale = 1.0 if float(share.max(initial=0.0)) > 0.5 else share[part]
        world.height[window.rows, window.cols][part] = height[part] * scale
        angle = math.radians(heading)
        world.slope_x[window.rows, window.cols][part] = rise[part] * np.float32(math.cos(angle)) * scale
        world.slope_y[window.rows, window.cols][part] = rise[part] * np.float32(math.sin(angle)) * scale


def _tint(colour: Spectrum, lightness: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(colour, np.float32) * lightness[..., None]


def _draw_house(world: World, solid: Solid) -> None:
    """Draw a gable roof: two faces, a ridge, sheets or rows of tiles that have weathered unevenly."""
    window = _open_window(world, solid, 0.75 * solid.length_m + solid.width_m)
    if window is None:
        return
    share = window.inside(solid.length_m, solid.width_m)
    rng = np.random.default_rng(solid.seed)
    pitch = float(rng.uniform(0.25, 0.62)) if solid.kind == "house" else 0.75
    rise = np.where(window.across > 0, np.float32(-pitch), np.float32(pitch))
    height = np.float32(solid.height_m) + np.float32(pitch) * (np.float32(solid.width_m / 2) - np.abs(window.across))
    sheet = np.sin(2 * np.pi * window.along / np.float32(rng.uniform(1.0, 2.4))) * np.float32(0.05)
    stain = np.sin(window.along * np.float32(rng.uniform(0.2, 0.6)) + np.float32(rng.uniform(0, 6)))
    worn = 1.0 + sheet + np.float32(0.05) * stain + np.float32(0.035) * rng.standard_normal(share.shape, np.float32)
    colour = _tint(solid.colour, worn.astype(np.float32))
    if solid.second[0] > 0:  # one sheet in five is another colour, or the ridge is
        patch = (np.floor(window.along / 3.1).astype(int) * 7 + (window.across > 0)) % 5 == 0
        colour[patch] = np.asarray(solid.second, np.float32)
    _lay(world, window, share, colour, (np.maximum(height, 0.2), rise, solid.heading_deg))


def _draw_sheet(world: World, solid: Solid) -> None:
    """Draw a roof with a single slight fall."""
    window = _open_window(world, solid, 0.75 * solid.length_m + solid.width_m)
    if window is None:
        return
    share = window.inside(solid.length_m, solid.width_m)
    rng = np.random.default_rng(solid.seed)
    fall = np.full(share.shape, float(rng.uniform(-0.08, 0.08)), np.float32)
    height = np.float32(solid.height_m) + fall * window.across
    worn = 1.0 + np.float32(0.05) * np.sin(window.along * np.float32(2.1)) + 0.03 * rng.standard_normal(share.shape)
    _lay(world, window, share, _tint(solid.colour, worn.astype(np.float32)), (height, fall, solid.heading_deg))


def _draw_barrel(world: World, solid: Solid) -> None:
    """Draw a half-round tent or greenhouse with hoops."""
    window = _open_window(world, solid, 0.75 * solid.length_m + solid.width_m)
    if window is None:
        return
    share = window.inside(solid.length_m, solid.width_m)
    u = np.clip(window.across / np.float32(solid.width_m / 2), -0.985, 0.985)
    vault = np.sqrt(1.0 - u**2)
    rise = -u / vault * np.float32(2 * solid.height_m / solid.width_m)
    hoops = 1.0 + np.float32(0.07) * (np.sin(window.along * np.float32(4.2)) > 0.6)
    colour = _tint(solid.colour, hoops.astype(np.float32))
    _lay(
        world, window, share, colour, (np.float32(solid.height_m) * vault, np.clip(rise, -1.5, 1.5), solid.heading_deg)
    )


def _draw_tank(world: World, solid: Solid) -> None:
    """Draw something round with a flat top: a silo, a bale, a slurry tank."""
    window = _open_window(world, solid, solid.width_m)
    if window is None:
        return
    away = np.hypot(window.along, window.across)
    area_share = min(1.0, 0.785 * solid.width_m**2 / window.cell_m**2)
    share = np.clip((solid.width_m / 2 - away) / window.cell_m + 0.5, 0.0, area_share).astype(np.float32)
    flat = np.full(share.shape, solid.height_m, np.float32)
    _lay(world, window, share, _tint(solid.colour, np.ones_like(share)), (flat, np.zeros_like(flat), 0.0))


def _draw_vehicle(world: World, solid: Solid) -> None:
    """Draw a car or a lorry: a body, and a cab, windscreen or load of another colour and height."""
    window = _open_window(world, solid, solid.length_m)
    if window is None:
        return
    rng = np.random.default_rng(solid.seed)
    flat = np.zeros_like(window.along)
    body = window.inside(solid.length_m, solid.width_m)
    level = np.full(flat.shape, solid.height_m, np.float32)
    grain = 1.0 + np.float32(0.05) * rng.standard_normal(flat.shape, np.float32)
    _lay(world, window, body, _tint(solid.colour, grain), (level, flat, solid.heading_deg))
    if solid.length_m > 5.6:
        cab = window.inside(0.26 * solid.length_m, 0.94 * solid.width_m, (0.36 * solid.length_m, 0.0))
        _lay(world, window, cab, _tint(solid.second, np.ones_like(flat)), (level - 0.55, flat, solid.heading_deg))
    else:
        for at in (0.22, -0.34):
            glass = window.inside(0.12 * solid.length_m, 0.84 * solid.width_m, (at * solid.length_m, 0.0))
            _lay(world, window, 0.8 * glass, _tint((0.03, 0.035, 0.04, 0.05), np.ones_like(flat)))


def _draw_pad(world: World, solid: Solid) -> None:
    """Draw something flat: a heap of straw, a patch of mud, a slab."""
    window = _open_window(world, solid, 0.75 * solid.length_m + solid.width_m)
    if window is None:
        return
    rng = np.random.default_rng(solid.seed)
    share = window.inside(solid.length_m, solid.width_m)
    worn = 1.0 + 0.08 * rng.standard_normal(share.shape, np.float32)
    _lay(world, window, share, _tint(solid.colour, worn))


def _follow(path: LineString, window: _Window) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return signed distance to a line (positive to its left) and distance along it, metres, at each cell."""
    coords = np.asarray(path.coords, np.float32)
    shape = (window.y.shape[0], window.x.shape[1])
    best = np.full(shape, np.inf, np.float32)
    signed, along = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    passed = 0.0
    for (x0, y0), (x1, y1) in pairwise(coords):
        length = float(np.hypot(x1 - x0, y1 - y0))
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        dx, dy = window.x - x0, window.y - y0
        t = np.clip(dx * ux + dy * uy, 0.0, length)
        away = np.hypot(dx - t * ux, dy - t * uy)
        nearer = away < best
        best[nearer] = away[nearer]
        left = dy * ux - dx * uy
        # y runs south: shapely's left of a line is positive there
        signed[nearer] = np.copysign(away, left)[nearer]
        along[nearer] = (t + passed)[nearer]
        passed += length
    return signed, along


def _draw_trench(world: World, solid: Solid) -> None:
    """Draw a slot with crumbling edges, uneven banks of spoil, and planks or earth over part of it."""
    if solid.path is None:
        return
    window = _open_window(world, solid, solid.width_m + max(solid.banks) + 2.0)
    if window is None:
        return
    signed, along = _follow(solid.path, window)
    away, cell = np.abs(signed), np.float32(window.cell_m)
    inner = np.float32(solid.width_m / 2)
    rng = np.random.default_rng(solid.seed)
    wave = sum(
        np.float32(rng.uniform(0.05, 0.16)) * np.sin(along * np.float32(f) + np.float32(rng.uniform(0, 6)))
        for f in rng.uniform(0.25, 2.6, 4)
    )
    lumps = np.asarray(rng.standard_normal(away.shape, np.float32))
    length = np.float32(solid.path.length)
    ends = np.clip(np.minimum(along, length - along) / cell + 0.5, 0.0, 1.0)
    left = signed > 0
    reach = np.where(left, np.float32(solid.banks[0]), np.float32(solid.banks[1])) * (1.0 + 0.5 * wave)
    across = np.clip((away - inner) / np.maximum(reach, 0.05), 0.0, 1.0)
    share = np.clip((inner + reach - away) / cell + 0.5, 0.0, 1.0) * ends
    bank_top: NDArray[np.float32] = (
        0.28 * reach * np.sin(np.pi * np.clip(across, 0, 1) ** 0.75) * (1 + 0.12 * lumps) * (share > 0.2)
    )
    slot = np.clip((inner - away) / cell + 0.5, 0.0, min(1.0, solid.width_m / window.cell_m)) * ends
    for begin, stop in solid.roofed:
        slot = np.where((along > begin) & (along < stop), np.float32(0.0), slot)
    covered = np.zeros(away.shape, bool)
    for begin, stop in solid.roofed:
        covered |= (along > begin) & (along < stop) & (away < inner + 0.3)
    colour = _tint(solid.colour, (1.0 + 0.07 * lumps + 0.10 * wave).astype(np.float32))
    colour[covered] = np.asarray(solid.second, np.float32) * (1 + 0.05 * np.asarray(lumps)[covered])[:, None]
    body = np.asarray(np.where(covered, np.clip((inner + 0.3 - away) / cell + 0.5, 0, 1) * ends, share), np.float32)
    mud = np.asarray(solid.colour, np.float32) * 0.55
    target = world.colour[window.rows, window.cols]
    target += (colour - target) * body[..., None]
    target += (mud - target) * slot.astype(np.float32)[..., None]
    height = np.where(covered, np.float32(0.15), bank_top).astype(np.float32)
    slope_y, slope_x = np.gradient(height, window.cell_m) if min(height.shape) > 1 else (height * 0, height * 0)
    height = np.where(slot > 0.5, -np.float32(solid.height_m), height).astype(np.float32)
    part = body > 0.3
    world.height[window.rows, window.cols][part] = height[part]
    for name, slope in (("slope_x", slope_x), ("slope_y", slope_y)):
        getattr(world, name)[window.rows, window.cols][part] = np.clip(np.asarray(slope)[part], -0.7, 0.7)


def _draw_pit(world: World, solid: Solid) -> None:
    """Draw a dugout: a hole with a ramp at one end, spoil piled about the other three sides."""
    window = _open_window(world, solid, 0.75 * solid.length_m + solid.width_m + 2 * solid.banks[0])
    if window is None:
        return
    rng = np.random.default_rng(solid.seed)
    bank = solid.banks[0]
    whole = window.inside(solid.length_m + 2 * bank, solid.width_m + 2 * bank)
    hole = window.inside(solid.length_m, solid.width_m)
    # how far outside the hole: 0 at its edge, 1 at the foot of the bank
    out_a = (np.abs(window.along) - solid.length_m / 2) / bank
    out_c = (np.abs(window.across) - solid.width_m / 2) / bank
    out = np.clip(np.maximum(out_a, out_c), 0.0, 1.0)
    lumps = rng.standard_normal(whole.shape, np.float32)
    top = (0.42 * bank * np.sin(np.pi * out**0.8) * (1 + 0.12 * lumps)).astype(np.float32)
    ramp = np.clip((window.along + solid.length_m / 2) / solid.length_m, 0.0, 1.0)
    depth = np.float32(-solid.height_m) * np.minimum(1.0, 1.6 * (1.0 - ramp)).astype(np.float32)
    open_end = (window.along > solid.length_m / 2) & (np.abs(window.across) < solid.width_m / 2)
    height = np.where(hole > 0.5, depth, np.where(open_end, np.float32(0.0), top)).astype(np.float32)
    shade = np.where(hole > 0.5, np.float32(0.72), np.float32(1.0)) * (1.0 + 0.08 * lumps)
    slope_y, slope_x = np.gradient(np.where(hole > 0.5, 0, height), window.cell_m)
    target = world.colour[window.rows, window.cols]
    target += (_tint(solid.colour, shade.astype(np.float32)) - target) * whole[..., None]
    part = whole > 0.5
    world.height[window.rows, window.cols][part] = height[part]
    world.slope_x[window.rows, window.cols][part] = np.clip(slope_x, -0.7, 0.7)[part]
    world.slope_y[window.rows, window.cols][part] = np.clip(slope_y, -0.7, 0.7)[part]


_DRAW: dict[str, Callable[[World, Solid], None]] = {
    "house": _draw_house,
    "tent-gable": _draw_house,
    "sheet": _draw_sheet,
    "tent-barrel": _draw_barrel,
    "tank": _draw_tank,
    "vehicle": _draw_vehicle,
    "pad": _draw_pad,
    "trench": _draw_trench,
    "pit": _draw_pit,
}

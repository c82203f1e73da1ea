"""What a story plants on farmland: trenches, pits, huts, tents and rows of vehicles, with their truth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import shapely
from shapely.affinity import rotate, scale, translate
from shapely.geometry import LineString
from shapely.ops import unary_union

from changedetect.simulate.farmland.covers import DRAB, PAINTS, ROOFS, SUBSOIL, dye
from changedetect.simulate.farmland.solids import Solid, outline_box
from changedetect.simulate.plan import TruthItem

if TYPE_CHECKING:
    from datetime import datetime

    from shapely.geometry.base import BaseGeometry

    from changedetect.simulate.farmland.covers import Spectrum
    from changedetect.simulate.farmland.mosaic import Mosaic
    from changedetect.simulate.farmland.place import Place

TRENCH_KINDS = ("zigzag", "square-wave", "straight", "one-sided", "own-colour", "roofed", "curve")
HUT_KINDS = ("house", "sheet", "tent-gable", "tent-barrel")


@dataclass(slots=True)
class Planting:
    """Solids and truth so far, and the ground that is left."""

    place: Place
    mosaic: Mosaic
    free: BaseGeometry
    """Ground on which something may still be put."""
    solids: list[Solid] = field(default_factory=list)
    truth: list[TruthItem] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    """What exactly each row of the truth is."""

    def add(self, solids: list[Solid], item: TruthItem, kind: str) -> None:
        """Take the ground of an item and remember it."""
        self.solids += solids
        self.truth.append(item)
        self.kinds.append(kind)
        self.free = self.free.difference(item.geometry.buffer(9.0))
        shapely.prepare(self.free)


def start_planting(place: Place, mosaic: Mosaic, crowns: list[BaseGeometry], farms: list[Solid]) -> Planting:
    """Return a planting on all ground clear of ways, yards, woods, water, crowns and houses."""
    taken = [line.buffer(6.0) for line, _ in mosaic.ways] + [yard.buffer(5.0) for yard, _ in mosaic.yards]
    taken += [shape.buffer(7.0) for shape, _ in mosaic.woods] + [shape.buffer(4.0) for shape in mosaic.ponds]
    taken += [shape for shape, _ in mosaic.orchards] + [shape.buffer(2.5) for shape in crowns]
    taken += [farm.outline.buffer(6.0) for farm in farms]
    free = place.extent.buffer(-6.0).difference(shapely.union_all(taken))
    shapely.prepare(free)
    return Planting(place, mosaic, free)


def _find_room(planting: Planting, shape: BaseGeometry, rng: np.random.Generator) -> BaseGeometry | None:
    """Return a shape about (0, 0), moved to where it fits; None where it fits nowhere."""
    x0, y0, x1, y1 = planting.free.bounds if not planting.free.is_empty else (0, 0, 1, 1)
    for _ in range(220):
        moved = translate(shape, float(rng.uniform(x0, x1)), float(rng.uniform(y0, y1)))
        if planting.free.covers(moved):
            return moved
    return None


def _ground_colour(rng: np.random.Generator) -> Spectrum:
    """Return a colour like that of the bare soil of most fields."""
    base = np.asarray((0.075, 0.102, 0.134, 0.188)) * rng.uniform(0.85, 1.2)
    return dye(base, rng.uniform(0.97, 1.03, 4))


def make_line(kind: str, length_m: float, rng: np.random.Generator) -> LineString:
    """Return the middle line of a trench about (0, 0)."""
    if kind == "square-wave":
        bay, deep = float(rng.uniform(5, 9)), float(rng.uniform(2.6, 4.2))
        points, x, y = [(0.0, 0.0)], 0.0, 0.0
        while LineString([*points, (x + bay, y)]).length < length_m:
            x += bay
            points += [(x, y), (x, deep - y)]
            y = deep - y
        line = LineString([*points, (x + bay, y)])
    elif kind == "curve":
        t = np.linspace(0, 1, 30)
        line = LineString(np.stack([length_m * t, 0.12 * length_m * np.sin(2.6 * t * rng.uniform(0.8, 1.6))], 1))
    elif kind in ("straight", "one-sided"):
        t = np.linspace(0, 1, 6)
        line = LineString(np.stack([length_m * t, rng.normal(0, 0.6, 6)], 1))
    else:
        leg = float(rng.uniform(6, 11))
        n = max(round(length_m / leg), 3)
        turn = np.radians(rng.uniform(20, 42)) * np.where(np.arange(n) % 2, 1, -1) * rng.uniform(0.7, 1.2, n)
        steps = leg * rng.uniform(0.8, 1.2, n)[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
        line = LineString(np.concatenate([[[0.0, 0.0]], np.cumsum(steps, 0)]))
    centre = line.envelope.centroid
    return translate(rotate(line, float(rng.uniform(0, 180)), origin=centre), -centre.x, -centre.y)


def dig_trench(planting: Planting, kind: str, start: datetime, rng: np.random.Generator) -> bool:
    """Dig a trench of a kind where there is room; return whether there was."""
    slot = float(rng.uniform(0.8, 1.9))
    banks = (float(rng.uniform(1.6, 3.6)), float(rng.uniform(1.6, 3.6)))
    if kind == "one-sided" or (kind == "curve" and rng.random() < 0.4):
        banks = (banks[0], 0.0) if rng.random() < 0.5 else (0.0, banks[1])
    length = float(rng.uniform(26, min(95, 0.3 * planting.place.size_m)))
    line = make_line(kind, length, rng)
    for share in (1.0, 0.75, 0.55):
        draft = Solid(
            "trench", 0, 0, 0, 0, slot, float(rng.uniform(1.1, 1.9)), (0, 0, 0, 0), start=start,
            path=scale(line, share, share, origin=(0, 0)), banks=banks,
        )  # fmt: skip
        shape = draft.outline
        room = _find_room(planting, shape, rng)
        if room is not None and draft.path is not None:
            path = translate(draft.path, room.centroid.x - shape.centroid.x, room.centroid.y - shape.centroid.y)
            colour = dye(SUBSOIL[int(rng.integers(len(SUBSOIL)))], rng.uniform(0.9, 1.12, 4))
            if kind == "own-colour":
                colour = _ground_colour(rng)
            roofed: tuple[tuple[float, float], ...] = ()
            if kind == "roofed":
                at = np.sort(rng.uniform(0.05, 0.95, 4)) * path.length
                roofed = ((float(at[0]), float(at[1])), (float(at[2]), float(at[3])))
            cover = colour if rng.random() < 0.6 else DRAB[int(rng.integers(len(DRAB)))]
            solid = replace(
                draft, path=path, colour=colour, second=cover, roofed=roofed, seed=int(rng.integers(1_000_000))
            )
            planting.add([solid], TruthItem("trench", solid.outline, start, length_m=path.length), kind)
            return True
    return False


def dig_pit(planting: Planting, start: datetime, rng: np.random.Generator) -> bool:
    """Dig a dugout for a vehicle, walled with spoil."""
    draft = Solid(
        "pit", 0, 0, float(rng.uniform(0, 360)), float(rng.uniform(6, 10)), float(rng.uniform(3.6, 5)),
        float(rng.uniform(1.0, 1.8)), SUBSOIL[int(rng.integers(len(SUBSOIL)))], start=start,
        seed=int(rng.integers(1_000_000)), banks=(float(rng.uniform(2.0, 3.2)),) * 2,
    )  # fmt: skip
    room = _find_room(planting, draft.outline, rng)
    if room is None:
        return False
    solid = replace(draft, x=room.centroid.x, y=room.centroid.y)
    planting.add([solid], TruthItem("trench", solid.outline, start), "pit")
    return True


def draw_hut(kind: str, rng: np.random.Generator, heading: float) -> Solid:
    """Return a hut or a tent about (0, 0)."""
    roof = ROOFS[int(rng.integers(len(ROOFS)))]
    length, width, height = float(rng.uniform(8, 20)), float(rng.uniform(4.8, 9)), float(rng.uniform(2.4, 3.6))
    if kind.startswith("tent"):
        length, width, height = float(rng.uniform(7, 18)), float(rng.uniform(4.5, 7)), float(rng.uniform(1.0, 1.6))
        roof = (DRAB[1], DRAB[2], DRAB[0], (0.30, 0.32, 0.32, 0.36))[int(rng.integers(4))]
        if kind == "tent-barrel":
            height = float(rng.uniform(2.2, 3.2))
    length = max(length, 1.2 * width)
    return Solid(kind, 0, 0, heading, length, width, height, roof, seed=int(rng.integers(1_000_000)))


def build_hut(planting: Planting, kind: str, stay: tuple[datetime, datetime | None], rng: np.random.Generator) -> bool:
    """Put up a hut or a tent for a stay."""
    draft = draw_hut(kind, rng, float(rng.uniform(0, 180)))
    room = _find_room(planting, draft.outline, rng)
    if room is None:
        return False
    solid = replace(draft, x=room.centroid.x, y=room.centroid.y, start=stay[0], end=stay[1])
    planting.add([solid], TruthItem("hut", solid.outline, stay[0], stay[1]), kind)
    return True


def park_row(planting: Planting, stay: tuple[datetime, datetime], rng: np.random.Generator, loose: bool) -> bool:
    """Park rows of vehicles for a stay: tight as on parade, or loose as they came."""
    n_rows, per_row = int(rng.integers(1, 3)), int(rng.integers(5, 9))
    gap = float(rng.uniform(2.6, 4.5) if loose else rng.uniform(0.9, 1.9))
    length, width = float(rng.uniform(5.8, 9.2)), float(rng.uniform(2.4, 3.1))
    heading, pitch = float(rng.uniform(0, 180)), length + float(rng.uniform(2.0, 5.0))
    reach = (per_row * (width + gap) - gap, (n_rows - 1) * pitch + length)
    room = _find_room(planting, outline_box(0, 0, reach[1] + 1.5, reach[0] + 1.5, heading), rng)
    if room is None:
        return False
    angle, fleet, vehicles = math.radians(heading), int(rng.integers(len(DRAB))), []
    for row in range(n_rows):
        for k in range(per_row):
            a = (row - (n_rows - 1) / 2) * pitch + float(rng.normal(0, 0.5 if loose else 0.15))
            c = (k - (per_row - 1) / 2) * (width + gap)
            x = room.centroid.x + a * math.sin(angle) + c * math.cos(angle)
            y = room.centroid.y - a * math.cos(angle) + c * math.sin(angle)
            size = float(rng.uniform(0.75, 1.0)) if loose else 1.0
            colour, cab = (dye(DRAB[i], [float(rng.uniform(0.85, 1.2))] * 4) for i in (fleet, (fleet + 1) % 4))
            turned = heading + float(rng.normal(0, 6 if loose else 1.5))
            vehicles.append(
                Solid("vehicle", x, y, turned, length * size, width, float(rng.uniform(2.2, 3.2)), colour, cab, *stay,
                      int(rng.integers(1_000_000)))
            )  # fmt: skip
    close = (gap + 0.6) / 2 if not loose else (gap + 1.4) / 2
    group = (
        unary_union([v.outline for v in vehicles]).buffer(close, join_style="mitre").buffer(-close, join_style="mitre")
    )
    item = TruthItem("equipment", group, stay[0], stay[1], count=len(vehicles))
    planting.add(vehicles, item, "loose-row" if loose else "tight-row")
    return True


def lay_camp(planting: Planting, n: int, rng: np.random.Generator) -> list[Solid]:
    """Return huts that have always stood in rows somewhere on free ground."""
    heading, camp = float(rng.uniform(0, 180)), []
    length, width = float(rng.uniform(12, 17)), float(rng.uniform(6, 8))
    columns, pitch = 2, min(width + 13.0, 0.07 * planting.place.size_m)
    rows = math.ceil(n / columns)
    room = None
    for turn in (0.0, 40.0, 80.0, 120.0, 160.0):
        if room is None:
            heading += turn
            room = _find_room(planting, outline_box(0, 0, columns * (length + 9.0), rows * pitch, heading), rng)
    if room is None:
        return []
    angle, roof = math.radians(heading), ROOFS[int(rng.integers(1, 5))]
    for k in range(n):
        a, c = (k % columns - (columns - 1) / 2) * (length + 9.0), (k // columns - (rows - 1) / 2) * pitch
        x = room.centroid.x + a * math.sin(angle) + c * math.cos(angle)
        y = room.centroid.y - a * math.cos(angle) + c * math.sin(angle)
        colour = dye(roof, [float(rng.uniform(0.8, 1.2))] * 4)
        turned = heading + float(rng.normal(0, 1.2))
        kind = "house" if rng.random() < 0.7 else "sheet"
        camp.append(
            Solid(
                kind,
                x,
                y,
                turned,
                length,
                width,
                float(rng.uniform(2.5, 3.3)),
                colour,
                seed=int(rng.integers(1_000_000)),
            )
        )
    planting.solids += camp
    planting.free = planting.free.difference(room.buffer(6.0))
    shapely.prepare(planting.free)
    return camp


def renovate(planting: Planting, hut: Solid, start: datetime, rng: np.random.Generator, similar: bool) -> None:
    """Give a hut another roof: of a similar colour, or of quite another."""
    old = np.asarray(hut.colour)
    choices = sorted((*ROOFS, *PAINTS[:1]), key=lambda roof: float(np.abs(np.log(np.asarray(roof) / old)).mean()))
    chosen = np.asarray(choices[1 if similar else int(rng.integers(3, len(choices)))])
    if similar:  # at least a fifth lighter or darker: less could not be told from wear
        lighter = float(np.abs(np.log(chosen / old)).mean())
        chosen = old * (1.28 if rng.random() < 0.5 else 0.75) if lighter < 0.2 else chosen
    solid = replace(hut, colour=dye(chosen, np.ones(4)), start=start, seed=hut.seed + 1)
    planting.solids[planting.solids.index(hut)] = replace(hut, end=start)
    item = TruthItem("hut", hut.outline, start, status="modified")
    planting.solids.append(solid)
    planting.truth.append(item)
    planting.kinds.append("new-roof-similar" if similar else "new-roof")


def remove(planting: Planting, hut: Solid, start: datetime, rng: np.random.Generator) -> None:
    """Pull a hut down: its floor is left."""
    index = planting.solids.index(hut)
    planting.solids[index] = replace(hut, end=start)
    floor = Solid("pad", hut.x, hut.y, hut.heading_deg, hut.length_m, hut.width_m, 0.0, (0.125, 0.145, 0.165, 0.2),
                  start=start, seed=int(rng.integers(1_000_000)))  # fmt: skip
    planting.solids.append(floor)
    planting.truth.append(TruthItem("hut", hut.outline, start, status="disappeared"))
    planting.kinds.append("removed")

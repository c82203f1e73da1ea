"""The ground's colour on a date: every field in its state, with rows, clods, patches and wet places."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from rasterio.features import rasterize
from scipy import fft

from changedetect.simulate.farmland import covers
from changedetect.simulate.farmland.covers import COVERS, age_colour
from changedetect.simulate.farmland.mosaic import (
    FIRST_PARCEL,
    GRAVEL,
    MARK,
    POND,
    RUT,
    TARMAC,
    TRACK,
    VERGE,
    WOOD,
    YARD,
    draw_codes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.simulate.farmland.mosaic import Mosaic, Parcel
    from changedetect.simulate.farmland.place import Place

_STRIP = 192
_DRIFT_PER_DAY = 0.012
"""Radians a field's texture turns per day: after two months little of it is the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What lies where, and the random fields everything is textured with; all (row, col) over the world."""

    codes: NDArray[np.int32]
    fine: tuple[NDArray[np.float32], NDArray[np.float32]]
    """Two independent unit fields with detail of a cell to a few metres."""
    broad: tuple[NDArray[np.float32], NDArray[np.float32]]
    """Two independent unit fields with patches of ten to eighty metres."""
    drain: NDArray[np.float32]
    """Unit field: where water stands and snow stays."""


def make_ground(place: Place, mosaic: Mosaic, rng: np.random.Generator) -> Ground:
    """Return the ground of a mosaic."""
    n, cell = place.cells, place.cell_m
    transform = Affine(cell, 0.0, -place.margin_m, 0.0, cell, -place.margin_m)
    codes = rasterize(draw_codes(mosaic), out_shape=(n, n), fill=VERGE, transform=transform, dtype="int32")
    fine = tuple(make_field(rng, n, cell, (2.2 * cell if cell > 1 else 0.0), 6.0, 0.55) for _ in range(2))
    broad = tuple(make_field(rng, n, cell, 8.0, 90.0, 1.5) for _ in range(2))
    drain = make_field(rng, n, cell, 3.0, 60.0, 1.2)
    return Ground(codes, fine, broad, drain)  # type: ignore[arg-type]


def make_field(
    rng: np.random.Generator, n: int, cell_m: float, finest_m: float, coarsest_m: float, slope: float
) -> NDArray[np.float32]:
    """Return a unit random field (n, n) whose spectrum falls as 1/f^slope between two scales in metres."""
    size = fft.next_fast_len(n + max(int(coarsest_m / cell_m / 4), 4), real=True)
    white = rng.standard_normal((size, size), dtype=np.float32)
    spectrum = fft.rfft2(white)
    del white
    f = np.hypot(fft.fftfreq(size, cell_m)[:, None], fft.rfftfreq(size, cell_m)[None, :]).astype(np.float32)
    shape = (f**2 + np.float32(1.0 / coarsest_m**2)) ** np.float32(-slope / 2)
    if finest_m > 0.0:
        shape *= np.exp(-np.square(f * np.float32(finest_m)) / 2)
    shape[0, 0] = 0.0
    spectrum *= shape
    values = fft.irfft2(spectrum, s=(size, size))[:n, :n]
    return np.ascontiguousarray(values / np.float32(max(float(values.std()), 1e-12)), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class FieldTable:
    """What every code looks like on a date; index: code * 2 + (1 where today's work has not come yet)."""

    colour: NDArray[np.float32]
    """(k, 4)."""
    row_m: NDArray[np.float32]
    row_depth: NDArray[np.float32]
    grain: NDArray[np.float32]
    patch: NDArray[np.float32]
    turn: NDArray[np.float32]
    """Which mixture of the random fields the state shows, radians."""
    height: NDArray[np.float32]
    soil: NDArray[np.float32]
    """0 (closed canopy, paving) to 1 (bare soil): how much rain darkens it."""
    sine: NDArray[np.float32]
    cosine: NDArray[np.float32]
    sloth: NDArray[np.float32]
    """(k, 2) metres."""
    front: NDArray[np.float32]
    """Metres across the rows up to which today's work has come; by code."""


_FIXED = {
    VERGE: (covers.VERGE, 0.13, 0.14, 0.3),
    TARMAC: (covers.TARMAC, 0.035, 0.05, 0.35),
    GRAVEL: (covers.GRAVEL, 0.07, 0.10, 0.6),
    RUT: (covers.EARTH_TRACK, 0.07, 0.12, 0.9),
    TRACK: (covers.VERGE, 0.12, 0.16, 0.4),
    YARD: (covers.YARD, 0.09, 0.13, 0.5),
    POND: ((0.030, 0.036, 0.028, 0.016), 0.03, 0.04, 0.0),
    MARK: ((0.30, 0.31, 0.31, 0.32), 0.04, 0.05, 0.2),
}


def tabulate_fields(mosaic: Mosaic, day: float, sun_deg: tuple[float, float], seed: int) -> FieldTable:
    """Return the look of every code on a day (of the year, with fraction) under a sun (azimuth, elevation)."""
    n = FIRST_PARCEL + len(mosaic.parcels)
    table = _blank_table(n)
    season = 1.0 / (1.0 + math.exp(-(day - 285.0) / 14.0))
    for code, (colour, grain, patch, soil) in _FIXED.items():
        fade = season if code in (VERGE, TRACK) else 0.0
        late = np.asarray((0.064, 0.094, 0.098, 0.235))
        for side in (0, 1):
            table.colour[2 * code + side] = np.asarray(colour) * (1 - fade) + late * fade
            table.grain[2 * code + side], table.patch[2 * code + side] = grain, patch
            table.soil[2 * code + side], table.turn[2 * code + side] = soil, _DRIFT_PER_DAY * day * (soil < 0.35)
    for side in (0, 1):
        _enter_state(table, 2 * WOOD + side, "wood-floor", day - 230.0, (0.0, day, sun_deg, seed))
    for k, parcel in enumerate(mosaic.parcels):
        _enter_parcel(table, FIRST_PARCEL + k, parcel, day, (sun_deg, seed))
    return table


def _blank_table(n: int) -> FieldTable:
    def zeros(*shape: int) -> NDArray[np.float32]:
        return np.zeros(shape, np.float32)

    return FieldTable(
        colour=zeros(2 * n, 4),
        row_m=np.ones(2 * n, np.float32),
        row_depth=zeros(2 * n),
        grain=zeros(2 * n),
        patch=zeros(2 * n),
        turn=zeros(2 * n),
        height=zeros(2 * n),
        soil=zeros(2 * n),
        sine=zeros(n),
        cosine=zeros(n),
        sloth=zeros(n, 2),
        front=np.full(n, 1e9, np.float32),
    )


def _enter_parcel(
    table: FieldTable, code: int, parcel: Parcel, day: float, light: tuple[tuple[float, float], int]
) -> None:
    sun_deg, seed = light
    current = max((k for k, state in enumerate(parcel.states) if state[0] <= day or k == 0))
    began, lasting, state = parcel.states[current]
    earlier = max(current - 1, 0)
    before = parcel.states[earlier]
    about = (parcel.heading_deg, day, sun_deg, seed * 7919 + code * 16)
    steps = [(k - parcel.n_early) % 64 for k in (current, earlier)]  # of the autumn's story 0 and on
    _enter_state(table, 2 * code, state, day - began, about, steps[0])
    _enter_state(table, 2 * code + 1, before[2], day - before[0], about, steps[1])
    angle = math.radians(parcel.heading_deg)
    table.sine[code], table.cosine[code] = math.sin(angle), math.cos(angle)
    table.sloth[code] = parcel.sloth
    if current and day < began + lasting:  # the work has come part of the way across
        coords = np.asarray(parcel.shape.exterior.coords)
        across = coords[:, 0] * math.cos(angle) + coords[:, 1] * math.sin(angle)
        share = (day - began) / lasting
        table.front[code] = across.min() + share * (across.max() - across.min())


def _enter_state(
    table: FieldTable,
    index: int,
    state: str,
    age_days: float,
    about: tuple[float, float, tuple[float, float], int],
    step: int = 0,
) -> None:
    heading, day, (sun_azimuth, sun_elevation), seed = about
    cover = COVERS[state]
    own = np.random.default_rng([seed % (2**32), 5, step])  # a field's own soil, variety and farmer
    tint = own.normal(1.0, 0.02, 4) * own.normal(1.0, 0.09)
    table.colour[index] = age_colour(cover, age_days * float(own.uniform(0.7, 1.4))) * tint
    side = abs(math.sin(math.radians(heading - sun_azimuth)))
    low = min(1.0 / max(math.tan(math.radians(sun_elevation)), 0.2), 2.5) / 1.3
    table.row_m[index] = cover.row_m * float(own.uniform(0.8, 1.3))
    faces = (1 - cover.relief) + cover.relief * (0.25 + 1.5 * side * low)
    table.row_depth[index] = cover.row_depth * float(own.uniform(0.4, 1.5)) * faces
    table.grain[index] = cover.grain * float(own.uniform(0.7, 1.3))
    table.patch[index] = cover.patch * float(own.uniform(0.6, 1.4))
    table.turn[index] = float(own.uniform(0, 2 * math.pi)) + _DRIFT_PER_DAY * day
    table.height[index] = cover.height_m * float(own.uniform(0.85, 1.1))
    red, nir = table.colour[index, 2], table.colour[index, 3]
    table.soil[index] = float(np.clip(1.15 - 2.2 * (nir - red) / (nir + red), 0.05, 1.0))


def strips(n: int) -> Iterator[slice]:
    """Yield row slices that keep temporary arrays small."""
    for start in range(0, n, _STRIP):
        yield slice(start, min(start + _STRIP, n))


def paint_ground(
    place: Place, ground: Ground, table: FieldTable, wet: float, drift: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return reflectance (row, col, band) and height of crops (row, col) of the ground.

    `wet` runs from 0 (dry) to 1 (rain has just stopped); `drift` moves where it is wet from date to date.
    """
    n = place.cells
    colour, height = np.empty((n, n, 4), np.float32), np.empty((n, n), np.float32)
    x = ((np.arange(n) + 0.5) * place.cell_m - place.margin_m).astype(np.float32)
    turns = (np.cos(table.turn), np.sin(table.turn))
    damp = (np.float32(math.cos(drift)), np.float32(math.sin(drift)))
    blurred = np.exp(-0.5 * np.square(2 * np.pi * 0.4 * place.cell_m / table.row_m))  # rows finer than a cell are lost
    depth = (table.row_depth * blurred).astype(np.float32)
    for rows in strips(n):
        codes = ground.codes[rows]
        sine, cosine = table.sine[codes], table.cosine[codes]
        across = x[None, :] * cosine + x[rows, None] * sine
        index = 2 * codes + (across > table.front[codes])
        a, b = turns[0][index], turns[1][index]
        broad = a * ground.broad[0][rows] + b * ground.broad[1][rows]
        fine = a * ground.fine[0][rows] + b * ground.fine[1][rows]
        phase = (across + table.sloth[codes, 0]) / table.row_m[index] + np.float32(0.035) * broad
        wave = np.sin(np.float32(2 * np.pi) * phase)
        patch = table.patch[index] * np.clip(broad, -2.2, 2.2)
        soil = table.soil[index]
        # soil is lighter here and darker there; where a crop grows better it is darker, but not in the near infrared
        vigour = (1.0 - soil) * patch
        lightness = 1.0 + depth[index] * wave + table.grain[index] * fine + soil * patch - 0.35 * vigour
        dampness = damp[0] * ground.drain[rows] + damp[1] * ground.broad[0][rows]
        if wet > 0.0:
            lightness *= 1.0 - np.float32(0.42 * wet) * soil * np.clip(0.65 + 0.45 * dampness, 0.0, 1.0)
        part = table.colour[index] * np.maximum(lightness, np.float32(0.25))[..., None]
        part[..., 3] *= 1.0 + 0.9 * vigour
        part[..., 2] *= 1.0 - 0.6 * vigour
        if wet > 0.25:
            puddle = np.clip(
                (wet - 0.25) * 3.0 * (dampness - 1.3) * _HOLDS_WATER[np.minimum(codes, FIRST_PARCEL)], 0, 0.92
            )
            part += (np.asarray((0.050, 0.052, 0.046, 0.030), np.float32) - part) * puddle[..., None]
        colour[rows] = part
        height[rows] = table.height[index]
    return colour, height


_HOLDS_WATER = np.zeros(FIRST_PARCEL + 1, np.float32)
_HOLDS_WATER[[RUT, YARD, GRAVEL, TRACK, FIRST_PARCEL]] = (3.0, 1.4, 1.2, 1.2, 0.12)

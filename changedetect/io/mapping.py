"""Composite map from grid pixels to a file's pixels: grid, map, warp and georeference in one step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from changedetect.io.place import transform_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.grid import Grid
    from changedetect.core.results import Warp
    from changedetect.io.place import Place, Points

STEP_PX = 32
TOLERANCE_PX = 0.02
_NOWHERE = 1e8


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """Where each pixel centre of a grid lies in a file, and how many file pixels one grid pixel spans."""

    col: NDArray[np.float64]
    """(row, col), corner convention: a first pixel's centre is at 0.5; of length 1 along rows that are all alike."""
    row: NDArray[np.float64]
    """The same; of length 1 along columns that are all alike."""
    per_px: tuple[float, float]
    """File pixels per grid pixel along the file's (rows, cols)."""
    origin: tuple[float, float]
    """Where the grid's first pixel centre lies in the file without warp, (row, col), corner convention."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the grid."""
        return self.row.shape[0], self.col.shape[1]


def map_grid(place: Place, grid: Grid, warp: Warp | None = None) -> Mapping:
    """Return where the pixel centres of `grid`, displaced by `warp`, lie in a file.

    The exact transformation is computed on a control lattice and interpolated bilinearly; the lattice is tied to the
    grid's own multiples, so a block gets the same numbers as the whole. It is refined until midpoints agree within
    0.02 px, at last to one node per pixel.
    """
    shift = None if warp is None or warp.grid is None else warp.displacement_px(grid).astype(np.float64)
    if place.transform is not None and place.crs == grid.crs:
        return _map_directly(place, grid, shift)
    return _map_by_lattice(place, grid, shift)


def _map_directly(place: Place, grid: Grid, shift: NDArray[np.float64] | None) -> Mapping:
    """Return the mapping within one reference system, which is affine."""
    rows, cols = grid.shape
    u: NDArray[np.float64] = np.arange(cols, dtype=np.float64)[None, :] + 0.5
    v: NDArray[np.float64] = np.arange(rows, dtype=np.float64)[:, None] + 0.5
    if shift is not None:
        u, v = u + shift[1], v + shift[0]
    ends_col, ends_row = _exact(place, grid, np.array([0.5, 1.5, 0.5]), np.array([0.5, 0.5, 1.5]))
    per = [math.hypot(ends[1] - ends[0], ends[2] - ends[0]) for ends in (ends_row, ends_col)]
    # In place, as fresh memory costs more than the arithmetic.
    u *= grid.gsd_m
    u += grid.transform.c
    v *= grid.gsd_m
    np.subtract(grid.transform.f, v, out=v)
    return Mapping(*_to_pixel(place, u, v), (per[0], per[1]), (float(ends_row[0]), float(ends_col[0])))


def _to_pixel(place: Place, x: NDArray[np.float64], y: NDArray[np.float64]) -> Points:
    """Return `place.to_pixel`, in place; columns of a file that is not rotated depend on x alone, rows on y."""
    x = place.unwrap(x)
    inverse = ~place.transform if place.transform is not None else None
    if inverse is None or inverse.b or inverse.d:
        col, row = place.to_pixel(x, y)
        shape = np.broadcast_shapes(x.shape, y.shape)
        return np.broadcast_to(col, shape), np.broadcast_to(row, shape)
    x *= inverse.a
    x += inverse.c
    y *= inverse.e
    y += inverse.f
    return x, y


def _map_by_lattice(place: Place, grid: Grid, shift: NDArray[np.float64] | None) -> Mapping:
    rows, cols = grid.shape
    reach = 0 if shift is None or shift.size == 0 else math.ceil(float(np.abs(shift).max())) + 1
    step = STEP_PX
    while True:
        lattice = _Lattice.make(place, grid, step, reach)
        if step == 1 or lattice.error_px() <= TOLERANCE_PX:
            break
        step //= 2
    if shift is None:
        col, row = lattice.at_pixels(rows, cols)
    else:
        at_row = np.arange(rows)[:, None] + 0.5 + shift[0]
        at_col = np.arange(cols)[None, :] + 0.5 + shift[1]
        col, row = lattice.at(at_col, at_row)
    first_col, first_row = lattice.at(np.array(0.5), np.array(0.5))
    return Mapping(_placed(col), _placed(row), lattice.per_px(), (float(first_row), float(first_col)))


def _placed(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions with those that lie nowhere put far outside any file."""
    return np.nan_to_num(np.clip(position, -_NOWHERE, _NOWHERE), nan=-_NOWHERE)


@dataclass(frozen=True, slots=True, eq=False)
class _Lattice:
    """Exact file positions at every `step` grid pixels, one node more than needed on each side."""

    place: Place
    grid: Grid
    step: int
    col0: float
    row0: float
    """Grid pixel position (corner convention) of the first node."""
    col: NDArray[np.float64]
    row: NDArray[np.float64]

    @classmethod
    def make(cls, place: Place, grid: Grid, step: int, reach: int) -> _Lattice:
        """Return the lattice that covers the grid and `reach` pixels around it."""
        rows, cols = grid.shape
        col0 = _first_node(grid.transform.c / grid.gsd_m, step, reach)
        row0 = _first_node(-grid.transform.f / grid.gsd_m, step, reach)
        n_col = math.ceil((cols + reach - col0) / step) + 1
        n_row = math.ceil((rows + reach - row0) / step) + 1
        u, v = np.meshgrid(col0 + step * np.arange(n_col), row0 + step * np.arange(n_row))
        col, row = _exact(place, grid, u, v)
        return cls(place, grid, step, col0, row0, col, row)

    def error_px(self) -> float:
        """Return the largest disagreement with the exact map at the middle of a cell, file or grid pixels."""
        n_row, n_col = self.col.shape
        u = self.col0 + self.step * (np.arange(n_col - 1) + 0.5)
        v = self.row0 + self.step * (np.arange(n_row - 1) + 0.5)
        exact_col, exact_row = _exact(self.place, self.grid, *np.meshgrid(u, v))
        worst = 0.0
        per_row, per_col = self.per_px()
        for nodes, exact, per in ((self.col, exact_col, per_col), (self.row, exact_row, per_row)):
            with np.errstate(invalid="ignore"):
                middle = (nodes[:-1, :-1] + nodes[1:, :-1] + nodes[:-1, 1:] + nodes[1:, 1:]) / 4
                gap = np.abs(middle - exact)
            gap = gap[np.isfinite(gap)]
            worst = max(worst, float(gap.max(initial=0.0)) / max(per, 1.0))
        return worst

    def per_px(self) -> tuple[float, float]:
        """Return file pixels per grid pixel along the file's (rows, cols), the lattice's median."""
        spans = []
        for nodes in (self.row, self.col):
            with np.errstate(invalid="ignore"):
                along_row, along_col = np.diff(nodes, axis=0), np.diff(nodes, axis=1)
            steps = np.hypot(_median(along_row), _median(along_col)) / self.step
            spans.append(float(steps))
        return spans[0], spans[1]

    def at_pixels(self, rows: int, cols: int) -> Points:
        """Return file positions of all pixel centres of the grid."""
        v = (np.arange(rows) + 0.5 - self.row0) / self.step
        u = (np.arange(cols) + 0.5 - self.col0) / self.step
        with np.errstate(invalid="ignore"):
            col = _interpolate(_interpolate(self.col.T, u).T, v)
            row = _interpolate(_interpolate(self.row.T, u).T, v)
        return col, row

    def at(self, at_col: NDArray[np.float64], at_row: NDArray[np.float64]) -> Points:
        """Return file positions of any grid pixel positions within the lattice."""
        u, v = (at_col - self.col0) / self.step, (at_row - self.row0) / self.step
        i = np.clip(np.floor(u).astype(np.int64), 0, self.col.shape[1] - 2)
        j = np.clip(np.floor(v).astype(np.int64), 0, self.col.shape[0] - 2)
        s, t = u - i, v - j
        out = []
        with np.errstate(invalid="ignore"):
            for nodes in (self.col, self.row):
                top = nodes[j, i] * (1 - s) + nodes[j, i + 1] * s
                low = nodes[j + 1, i] * (1 - s) + nodes[j + 1, i + 1] * s
                out.append(top * (1 - t) + low * t)
        return out[0], out[1]


def _first_node(origin_px: float, step: int, reach: int) -> float:
    """Return the grid pixel position of the last whole multiple of `step` at least `reach` before the grid."""
    return math.floor((origin_px - reach) / step + 1e-9) * step - origin_px


def _exact(place: Place, grid: Grid, u: NDArray[np.float64], v: NDArray[np.float64]) -> Points:
    x = grid.transform.c + u * grid.gsd_m
    y = grid.transform.f - v * grid.gsd_m
    map_x, map_y = transform_points(grid.crs, place.crs, x, y)
    return place.to_pixel(place.unwrap(map_x), map_y)


def _median(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(np.abs(finite))) if finite.size else 0.0


def _interpolate(nodes: NDArray[np.float64], position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `nodes` interpolated linearly along the first axis at `position`, in nodes."""
    i = np.clip(np.floor(position).astype(np.int64), 0, nodes.shape[0] - 2)
    t = (position - i)[:, None]
    return nodes[i] * (1 - t) + nodes[i + 1] * t

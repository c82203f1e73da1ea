"""Grid: one projected raster grid in metres, immutable, that refuses what does not align."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from shapely.geometry import Polygon, box

from changedetect.errors import GridError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Bounds = tuple[float, float, float, float]

_ALIGN_TOLERANCE_PX = 1e-6


@dataclass(frozen=True, slots=True)
class Grid:
    """A north-up grid of square pixels in a projected reference system with metres as its unit.

    Pixel convention (GDAL): (0, 0) is the top-left corner, pixel centres are at +0.5.
    """

    crs: str
    """Reference system as an authority string or WKT, for example ``EPSG:32652``."""
    transform: Affine
    """Pixel (col, row) to map (x, y), in metres."""
    shape: tuple[int, int]
    """(rows, cols)."""

    def __post_init__(self) -> None:
        a, b, _, d, e, _ = tuple(self.transform)[:6]
        if b or d or a <= 0 or not math.isclose(-e, a, rel_tol=1e-9):
            raise GridError(
                "a grid needs north-up square pixels", found=tuple(self.transform)[:6], needed="(g, 0, x, 0, -g, y)"
            )
        if min(self.shape) < 1:
            raise GridError("a grid needs at least one row and column", found=self.shape)

    @classmethod
    def from_bounds(cls, crs: str, bounds: Bounds, gsd_m: float) -> Grid:
        """Return the smallest grid that covers `bounds`, snapped to whole multiples of `gsd_m` metres."""
        left, bottom, right, top = bounds
        if not all(map(math.isfinite, bounds)) or right <= left or top <= bottom:
            raise GridError("bounds must be finite and not empty", found=bounds)
        if not (math.isfinite(gsd_m) and gsd_m > 0):
            raise GridError("a grid needs a positive pixel size in metres", found=gsd_m)
        col0, row0 = math.floor(left / gsd_m + 1e-9), math.floor(-top / gsd_m + 1e-9)
        col1, row1 = math.ceil(right / gsd_m - 1e-9), math.ceil(-bottom / gsd_m - 1e-9)
        transform = Affine(gsd_m, 0.0, col0 * gsd_m, 0.0, -gsd_m, -row0 * gsd_m)
        return cls(crs, transform, (max(row1 - row0, 1), max(col1 - col0, 1)))

    @property
    def gsd_m(self) -> float:
        """Side of a pixel in metres."""
        return float(self.transform.a)

    @property
    def bounds(self) -> Bounds:
        """(left, bottom, right, top) in metres."""
        rows, cols = self.shape
        left, top = self.transform.c, self.transform.f
        return (left, top - rows * self.gsd_m, left + cols * self.gsd_m, top)

    @property
    def centre(self) -> tuple[float, float]:
        """Map (x, y) of the middle, in metres."""
        left, bottom, right, top = self.bounds
        return ((left + right) / 2, (bottom + top) / 2)

    @property
    def extent(self) -> Polygon:
        """The outline as a polygon in the grid's reference system."""
        return box(*self.bounds)

    def aligned_with(self, other: Grid) -> bool:
        """Return whether both grids are windows of one pixel lattice."""
        if self.crs != other.crs or not math.isclose(self.gsd_m, other.gsd_m, rel_tol=1e-9):
            return False
        dcol = (other.transform.c - self.transform.c) / self.gsd_m
        drow = (self.transform.f - other.transform.f) / self.gsd_m
        return all(abs(d - round(d)) < _ALIGN_TOLERANCE_PX * max(1.0, abs(d)) for d in (dcol, drow))

    def require_same(self, other: Grid, what: str) -> None:
        """Raise `GridError` unless `other` is exactly this grid."""
        if self.shape != other.shape or not self.aligned_with(other) or self.offset_of(other) != (0, 0):
            raise GridError(
                f"{what}: grids differ", found=f"{other.shape} {other.bounds}", needed=f"{self.shape} {self.bounds}"
            )

    def offset_of(self, other: Grid) -> tuple[int, int]:
        """Return (row, col) in this grid of the top-left pixel of an aligned grid."""
        if not self.aligned_with(other):
            raise GridError(
                "grids do not share a pixel lattice",
                found=f"{other.crs} {other.gsd_m} m at {other.transform.c, other.transform.f}",
                needed=f"{self.crs} {self.gsd_m} m at {self.transform.c, self.transform.f}",
            )
        dcol = round((other.transform.c - self.transform.c) / self.gsd_m)
        drow = round((self.transform.f - other.transform.f) / self.gsd_m)
        return (drow, dcol)

    def contains(self, other: Grid) -> bool:
        """Return whether another grid is a window of this one, in the same lattice."""
        if not self.aligned_with(other):
            return False
        offset = self.offset_of(other)
        return all(at >= 0 and at + n <= size for at, n, size in zip(offset, other.shape, self.shape, strict=True))

    def window_around(self, bounds: tuple[float, float, float, float], margin_px: int) -> tuple[slice, slice]:
        """Return rows and columns of the grid that (left, bottom, right, top) touches, with a margin around them."""
        (n_rows, n_cols), inverse = self.shape, ~self.transform
        left, bottom, right, top = bounds
        (c0, r0), (c1, r1) = inverse @ (left, top), inverse @ (right, bottom)
        rows = slice(max(0, math.floor(r0) - margin_px), min(n_rows, math.ceil(r1) + margin_px))
        cols = slice(max(0, math.floor(c0) - margin_px), min(n_cols, math.ceil(c1) + margin_px))
        return rows, cols

    def crop(self, rows: slice, cols: slice) -> Grid:
        """Return the sub-grid of a row and column slice (bounds within the grid)."""
        r0, r1, _ = rows.indices(self.shape[0])
        c0, c1, _ = cols.indices(self.shape[1])
        if r1 <= r0 or c1 <= c0:
            raise GridError("crop is empty", found=(rows, cols), needed=f"part of {self.shape}")
        return Grid(self.crs, self._moved(r0, c0), (r1 - r0, c1 - c0))

    def _moved(self, rows: int, cols: int) -> Affine:
        g = self.transform.a
        return Affine(g, 0.0, self.transform.c + cols * g, 0.0, -g, self.transform.f - rows * g)

    def pad(self, px: int) -> Grid:
        """Return the grid grown by `px` pixels on every side (negative shrinks)."""
        rows, cols = self.shape
        return Grid(self.crs, self._moved(-px, -px), (rows + 2 * px, cols + 2 * px))

    def coarsen(self, factor: int) -> Grid:
        """Return the grid of pixels `factor` times larger that covers this one, snapped to its own multiples."""
        if factor < 1:
            raise GridError("the factor to coarsen by must be at least 1", found=factor)
        return self if factor == 1 else Grid.from_bounds(self.crs, self.bounds, self.gsd_m * factor)

    def pixel_centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return map x of each column and y of each row at pixel centres, (cols,) and (rows,) float64, metres."""
        rows, cols = self.shape
        x = self.transform.c + (np.arange(cols) + 0.5) * self.gsd_m
        y = self.transform.f - (np.arange(rows) + 0.5) * self.gsd_m
        return np.asarray(x, np.float64), np.asarray(y, np.float64)

    def blocks(self, block_px: int) -> Iterator[tuple[slice, slice]]:
        """Yield (rows, cols) slices of side at most `block_px` that tile the grid, row-major."""
        if block_px < 1:
            raise GridError("a block needs at least one pixel", found=block_px)
        rows, cols = self.shape
        for r in range(0, rows, block_px):
            for c in range(0, cols, block_px):
                yield slice(r, min(r + block_px, rows)), slice(c, min(c + block_px, cols))

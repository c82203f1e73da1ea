"""Sheets: the parts a large grid is worked in, each with a margin, so that memory does not grow with the place.

Scenes are registered and objects told on a sheet as on a small place of its own. A grid that fits is one sheet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from shapely.geometry import Polygon, box

from changedetect.errors import GridError

if TYPE_CHECKING:
    from changedetect.core.grid import Grid

Slices = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One part of a grid."""

    whole: Grid
    """The grid that the sheets tile."""
    rows: slice
    """Rows of `whole` this sheet answers for."""
    cols: slice
    margin_px: int
    """Ground around it that is worked on too, as far as `whole` reaches: objects at the edge are seen entire."""

    @property
    def window(self) -> Slices:
        """Rows and columns of `whole` that are worked on."""
        rows, cols = (
            slice(max(part.start - self.margin_px, 0), min(part.stop + self.margin_px, n))
            for part, n in zip((self.rows, self.cols), self.whole.shape, strict=True)
        )
        return rows, cols

    @property
    def grid(self) -> Grid:
        """The grid of the window."""
        return self.whole.crop(*self.window)

    @property
    def core(self) -> Polygon:
        """The ground this sheet answers for, in the grid's reference system; beyond the grid where it lies at its edge.

        Outlines may reach past the pixels they were found on.
        """
        left, bottom, right, top = self.whole.crop(self.rows, self.cols).bounds
        beyond = self.whole.gsd_m * max(self.whole.shape)
        return box(
            left - beyond * (self.cols.start == 0),
            bottom - beyond * (self.rows.stop == self.whole.shape[0]),
            right + beyond * (self.cols.stop == self.whole.shape[1]),
            top + beyond * (self.rows.start == 0),
        )

    @property
    def inside(self) -> Slices:
        """Rows and columns of the window that are the core."""
        rows, cols = (
            slice(part.start - around.start, part.stop - around.start)
            for part, around in zip((self.rows, self.cols), self.window, strict=True)
        )
        return rows, cols

    @property
    def is_whole(self) -> bool:
        """Whether this sheet is the only one."""
        return (self.rows, self.cols) == (slice(0, self.whole.shape[0]), slice(0, self.whole.shape[1]))

    def is_cut(self, geometry: Polygon) -> bool:
        """Return whether an outline reaches an edge of the window beyond which the grid goes on."""
        bounds, (left, bottom, right, top) = geometry.bounds, self.grid.bounds
        (rows, cols), (n_rows, n_cols) = self.window, self.whole.shape
        near = self.whole.gsd_m / 2
        return bool(
            (bounds[0] < left + near and cols.start > 0)
            or (bounds[1] < bottom + near and rows.stop < n_rows)
            or (bounds[2] > right - near and cols.stop < n_cols)
            or (bounds[3] > top - near and rows.start > 0)
        )


def plan_sheets(grid: Grid, side_px: int, margin_px: int) -> tuple[Sheet, ...]:
    """Return the sheets that tile a grid, row-major, with windows of nearly equal size, at most `side_px` a side.

    Raises
    ------
    GridError
        The margins leave nothing of a window.
    """
    if side_px <= 2 * margin_px:
        raise GridError("a sheet needs more than its margins", found=f"{side_px} px", needed=f"over {2 * margin_px} px")
    rows, cols = (_parts(n, side_px, margin_px) for n in grid.shape)
    return tuple(Sheet(grid, row, col, margin_px) for row in rows for col in cols)


def _parts(length: int, side_px: int, margin_px: int) -> list[slice]:
    if length <= side_px:
        return [slice(0, length)]
    # The first and the last have a margin on one side only, so they answer for more: windows are of equal length.
    n = math.ceil((length - 2 * margin_px) / (side_px - 2 * margin_px))
    window_px = (length + 2 * margin_px * (n - 1)) / n
    edges = [0, *(math.floor(margin_px + k * (window_px - 2 * margin_px)) for k in range(1, n)), length]
    return [slice(a, b) for a, b in pairwise(edges)]

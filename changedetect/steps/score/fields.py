"""Running medians on coarse cells, and their values at pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MIN_CELL_SAMPLES = 4


def cell_quantile(
    values: NDArray[np.float32], use: NDArray[np.bool_], cell: int, quantile: float = 0.5
) -> NDArray[np.float32]:
    """Return the running quantile of what is used, one value per `cell` x `cell` samples over 3 x 3 cells, float32.

    Cells without enough samples take the nearest cell's value; 0 if there is none at all.
    """
    rows, cols = values.shape
    n_rows, n_cols = -(-rows // cell), -(-cols // cell)
    padded = np.full((n_rows * cell, n_cols * cell), np.nan, np.float32)
    padded[:rows, :cols] = np.where(use, values, np.float32(np.nan))
    samples = padded.reshape(n_rows, cell, n_cols, cell).transpose(0, 2, 1, 3).reshape(n_rows * n_cols, -1)
    per_cell = _row_quantile(samples, quantile, _MIN_CELL_SAMPLES).reshape(n_rows, n_cols)
    around = np.pad(per_cell, 1, constant_values=np.nan)
    stack = np.stack([around[i : i + n_rows, j : j + n_cols] for i in range(3) for j in range(3)], axis=-1)
    field = _row_quantile(stack.reshape(-1, 9), 0.5, 1).reshape(n_rows, n_cols)
    return _fill_nearest(field)


def _row_quantile(samples: NDArray[np.float32], quantile: float, least: int) -> NDArray[np.float32]:
    ordered = np.sort(samples, axis=1)  # NaN sorts last
    count = np.isfinite(ordered).sum(axis=1)
    position = np.maximum(count - 1, 0) * quantile
    low = np.floor(position).astype(np.intp)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    rows = np.arange(len(samples))
    share = (position - low).astype(np.float32)
    value = ordered[rows, low] * (1 - share) + ordered[rows, high] * share
    return np.where(count >= least, value, np.float32(np.nan)).astype(np.float32)


def _fill_nearest(field: NDArray[np.float32]) -> NDArray[np.float32]:
    unknown = ~np.isfinite(field)
    if unknown.all():
        return np.zeros_like(field)
    if unknown.any():
        from scipy import ndimage  # scipy is slow to import: only where it is used

        index = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)
        field = field[tuple(index)]
    return np.asarray(field, np.float32)


def field_plane(
    field: NDArray[np.float32], cell_px: int, offset: tuple[int, int], shape: tuple[int, int], stride: int = 1
) -> NDArray[np.float32]:
    """Return the field at every pixel of a block (row, col), or every `stride`-th, bilinear between cells, float32.

    `offset` is the block's first pixel counted from the first cell's corner, so the values do not depend on the block.
    """
    r0, r1, wr = _nodes(offset[0] + np.arange(0, shape[0], stride), cell_px, field.shape[0])
    c0, c1, wc = _nodes(offset[1] + np.arange(0, shape[1], stride), cell_px, field.shape[1])
    by_row = field[r0] * (1 - wr)[:, None] + field[r1] * wr[:, None]
    plane, right = by_row.take(c0, axis=1), by_row.take(c1, axis=1)
    plane *= 1 - wc
    right *= wc
    plane += right
    return np.asarray(plane)


def field_points(
    fields: Sequence[NDArray[np.float32]], cell_px: int, row: NDArray[np.intp], col: NDArray[np.intp]
) -> list[NDArray[np.float32]]:
    """Return fields of one shape at pixels (row, col), counted from the first cell's corner, clamped to the field."""
    n_rows, n_cols = fields[0].shape
    r0, r1, wr = _nodes(row, cell_px, n_rows)
    c0, c1, wc = _nodes(col, cell_px, n_cols)
    corners = [r * n_cols + c for c in (c0, c1) for r in (r0, r1)]
    up, left = 1 - wr, 1 - wc
    found = []
    for field in fields:
        values = [field.ravel().take(corner) for corner in corners]
        for value, weight in zip(values, (up, wr, up, wr), strict=True):
            value *= weight
        west, east = values[0] + values[1], values[2] + values[3]
        west *= left
        east *= wc
        found.append(np.asarray(west + east))
    return found


def _nodes(
    pixel: NDArray[np.intp], cell_px: int, n_cells: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    position = np.clip((pixel + 0.5) / cell_px - 0.5, 0.0, n_cells - 1.0)
    low = np.floor(position).astype(np.intp)
    high = np.minimum(low + 1, n_cells - 1)
    return low, high, (position - low).astype(np.float32)

"""Resampling that does not pull places towards whole pixels, and what it is cut from."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TAPS, _TILE_PX = 8, 24
"""Of the exact kernel, and about how far it is the same at least."""
_VARIES_PX = 0.1
"""It is the same farther where shifts vary by less than this."""
_ANCHOR = (_TAPS // 2 - 1, _TAPS // 2 - 1)
_DERIVATIVE = np.array([1, -8, 0, 8, -1], np.float32) / 12
_STILL = np.ones(1, np.float32)


def resample_exactly(
    planes: NDArray[np.float32], y: NDArray[np.float32], x: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return planes (feature, row, col) at rows y and columns x (row, col), zero beyond them.

    Tile by tile with one Lanczos kernel, and what the shift varies by within a tile to first order: half of the
    time that a kernel of its own takes for each pixel.
    """
    out = np.empty((len(planes), *y.shape), np.float32)
    rest_y = y - np.arange(y.shape[0], dtype=np.float32)[:, None]
    rest_x = x - np.arange(y.shape[1], dtype=np.float32)
    varies = max(float(np.ptp(rest_y)), float(np.ptp(rest_x)))
    rows, cols = (_tiles(length, math.ceil(varies / _VARIES_PX)) for length in y.shape)
    middle = np.ix_(*((tiles[:-1] + tiles[1:]) // 2 for tiles in (rows, cols)))
    v, w = rest_y[middle], rest_x[middle]
    top, left = np.floor(v).astype(int), np.floor(w).astype(int)
    down, across = _lanczos(v - top), _lanczos(w - left)
    before = _TAPS // 2
    for i, j in np.ndindex(v.shape):
        r0, r1, c0, c1 = rows[i], rows[i + 1], cols[j], cols[j + 1]
        place = (r0 + top[i, j] - before, c0 + left[i, j] - before, r1 - r0 + _TAPS, c1 - c0 + _TAPS)
        near = cut_planes(planes, place)
        flat = near.reshape(-1, near.shape[2])
        moved = cv2.sepFilter2D(flat, cv2.CV_32F, across[i, j], down[i, j], anchor=_ANCHOR).reshape(near.shape)
        out[:, r0:r1, c0:c1] = moved[:, before : before + r1 - r0, before : before + c1 - c0]
    heights, widths = np.diff(rows), np.diff(cols)
    rest_y -= v.repeat(heights, axis=0).repeat(widths, axis=1)
    rest_x -= w.repeat(heights, axis=0).repeat(widths, axis=1)
    slope = np.empty_like(rest_y)
    for moved in out:
        for rest, along_row, along_col in ((rest_y, _STILL, _DERIVATIVE), (rest_x, _DERIVATIVE, _STILL)):
            cv2.sepFilter2D(moved, cv2.CV_32F, along_row, along_col, dst=slope)
            moved += np.multiply(rest, slope, out=slope)
    return out


@cache
def _tiles(length: int, enough: int) -> NDArray[np.int64]:
    return np.linspace(0, length, max(min(round(length / _TILE_PX), enough), 1) + 1).round().astype(np.int64)


def _lanczos(part: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weights (.., tap) of the pixels around a place `part` px after the fourth of eight."""
    t = np.arange(_TAPS) - (_TAPS // 2 - 1) - part[..., None]
    weights = np.sinc(t) * np.sinc(2.0 * t / _TAPS)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), np.float32)


def cut_planes(planes: NDArray[Any], place: tuple[int, int, int, int]) -> NDArray[Any]:
    """Cut a window (row, col, rows, cols) out of planes (plane, row, col); beyond them it is 0."""
    row, col, rows, cols = place
    r0, c0 = max(row, 0), max(col, 0)
    r1, c1 = min(row + rows, planes.shape[1]), min(col + cols, planes.shape[2])
    if (r0, c0, r1, c1) == (row, col, row + rows, col + cols):
        return np.ascontiguousarray(planes[:, r0:r1, c0:c1])
    out = np.zeros((len(planes), rows, cols), planes.dtype)
    if r1 > r0 and c1 > c0:
        out[:, r0 - row : r1 - row, c0 - col : c1 - col] = planes[:, r0:r1, c0:c1]
    return out

"""How much of a difference goes away if the older image is shifted: misregistration, and roofs that lean."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.core.robust import median

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

Shift = tuple[float, float]

_AT_ONCE = 4
"""Bands that cv2 moves at once."""


def shift_gain(before: Plane, after: Plane, window: Mask, ring: Mask, shifts: Iterable[Shift]) -> float:
    """Return the largest share of the squared difference in `window` that one shift (row, col) takes away, 0 to 1.

    The bands, (band, row, col), are brought to each other's level on the `ring` and count by their scatter there.
    """
    if ring.sum() < 20 or not window.any():
        return 0.0
    tried = list(shifts)
    around_then, around_now = before[:, ring], after[:, ring]
    low, high = median(around_then, along_rows=True), median(around_now, along_rows=True)
    gain = np.clip(high / np.maximum(low, 1e-6), 0.2, 5.0)
    left = np.abs(around_now - (around_then * gain[:, None]).astype(np.float32))
    scatter = np.maximum(1.4826 * median(left, along_rows=True), 1e-6)[:, None, None]
    part = _reach(window, tried)
    alike = (before[:, *part] * gain[:, None, None]).astype(np.float32)
    # Bands last, as cv2 wants them.
    then, now = (
        np.ascontiguousarray((planes / scatter).transpose(1, 2, 0), np.float32) for planes in (alike, after[:, *part])
    )
    inside = np.flatnonzero(window[part])
    goal = now.reshape(-1, len(before)).take(inside, axis=0)
    unmoved = _energy(then, goal, inside)
    if unmoved <= 0:
        return 0.0
    least = min((_energy(_moved(then, shift), goal, inside) for shift in tried), default=unmoved)
    return max(0.0, 1.0 - least / unmoved)


def _reach(window: Mask, shifts: list[Shift]) -> tuple[slice, slice]:
    """Return the rows and columns of a window and of all that the shifts bring into it."""
    far = 2 + math.ceil(max((max(abs(row), abs(col)) for row, col in shifts), default=0.0))
    lines = [np.flatnonzero(window.any(axis=axis)) for axis in (1, 0)]
    rows, cols = (slice(max(int(at[0]) - far, 0), int(at[-1]) + far + 1) for at in lines)
    return rows, cols


def _energy(moved: Plane, goal: Plane, inside: NDArray[np.intp]) -> float:
    left = (moved.reshape(-1, goal.shape[1]).take(inside, axis=0) - goal).ravel()
    return float(left @ left)


def _moved(planes: Plane, shift: Shift) -> Plane:
    move = np.array([[1, 0, shift[1]], [0, 1, shift[0]]], np.float32)
    size = (planes.shape[1], planes.shape[0])
    if planes.shape[2] <= _AT_ONCE:
        return np.asarray(cv2.warpAffine(planes, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    parts = [
        cv2.warpAffine(
            planes[..., k : k + _AT_ONCE], move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        for k in range(0, planes.shape[2], _AT_ONCE)
    ]
    return np.concatenate([part.reshape(*planes.shape[:2], -1) for part in parts], axis=2)


def around(radius_px: float) -> list[Shift]:
    """Return shifts every half pixel within a radius, none left out but zero."""
    steps = np.arange(-math.floor(2 * radius_px), math.floor(2 * radius_px) + 1) / 2
    return [(float(r), float(c)) for r in steps for c in steps if 0 < math.hypot(r, c) <= radius_px]


def along(tip: Shift) -> list[Shift]:
    """Return shifts every pixel on the line from `-tip` to `tip`, both ways."""
    n = max(1, math.ceil(math.hypot(*tip)))
    return [(k / n * tip[0], k / n * tip[1]) for k in range(-n, n + 1) if k]

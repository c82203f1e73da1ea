"""How much of a difference goes away if the older image is shifted: misregistration, and roofs that lean."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

Shift = tuple[float, float]


def shift_gain(before: Plane, after: Plane, window: Mask, ring: Mask, shifts: Iterable[Shift]) -> float:
    """Return the largest share of the squared difference in `window` that one shift (row, col) takes away, 0 to 1.

    The bands, (band, row, col), are brought to each other's level on the `ring` and count by their scatter there.
    """
    if ring.sum() < 20 or not window.any():
        return 0.0
    low, high = np.median(before[:, ring], axis=1), np.median(after[:, ring], axis=1)
    alike = (before * np.clip(high / np.maximum(low, 1e-6), 0.2, 5.0)[:, None, None]).astype(np.float32)
    scatter = np.maximum(1.4826 * np.median(np.abs(after - alike)[:, ring], axis=1), 1e-6)[:, None, None]
    # Bands last: cv2 moves up to four at once.
    then, now = (np.ascontiguousarray((planes / scatter).transpose(1, 2, 0), np.float32) for planes in (alike, after))
    goal = now[window]
    unmoved = _energy(then, goal, window)
    if unmoved <= 0:
        return 0.0
    least = min((_energy(_moved(then, shift), goal, window) for shift in shifts), default=unmoved)
    return max(0.0, 1.0 - least / unmoved)


def _energy(moved: Plane, goal: Plane, window: Mask) -> float:
    left = (moved[window] - goal).ravel()
    return float(left @ left)


def _moved(planes: Plane, shift: Shift) -> Plane:
    move = np.array([[1, 0, shift[1]], [0, 1, shift[0]]], np.float32)
    size = (planes.shape[1], planes.shape[0])
    parts = [
        cv2.warpAffine(planes[..., k : k + 4], move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for k in range(0, planes.shape[2], 4)
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

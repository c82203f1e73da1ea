"""Windows that stand apart from the others because they see woods and roofs, which lean with the view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from changedetect.steps.register.windows import AGREE_PX, WindowTies, fit_consensus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

_TALLEST_M = 40.0
"""What moves farther along the lean is nothing that stands on the ground: trees and masts."""


def find_ground(
    ties: WindowTies,
    affine: NDArray[np.float64],
    inlying: Mask,
    step_px: tuple[float, float] | None,
    extent_px: float,
    least: int,
) -> tuple[NDArray[np.float64], Mask, Mask]:
    """Return the affine of the ground, which windows see it, and which see what stands above it.

    Two views move what is h metres tall by h times one step, the same all over the scene and to one side only. Windows
    that differ from most others by that see another height, and contradict nothing; where those windows are the lower
    ones, the others see woods, and they the ground.

    Parameters
    ----------
    ties : WindowTies
        Of n windows.
    affine : ndarray
        (2, 3), what most windows agree on, px.
    inlying : ndarray
        (n,) which these are.
    step_px : (float, float), optional
        Pixels (row, col) by which the views move something a metre tall; None where they are not known.
    extent_px : float
        Longer side of the scene.
    least : int
        Fewer windows are no ground.
    """
    nothing = np.zeros(len(ties.value), bool)
    if step_px is None or float(np.hypot(*step_px)) * _TALLEST_M < AGREE_PX:
        return affine, inlying, nothing
    above, below = (~inlying & side for side in _sides(ties, affine, step_px))
    if below.sum() <= above.sum() or below.sum() < least:
        return affine, inlying, above
    chosen = WindowTies(ties.position[below], ties.value[below], ties.weight[below], ties.window_px)
    lower = fit_consensus(chosen, extent_px)[0]
    on_ground = np.hypot(*_off(ties, lower).T) < AGREE_PX
    higher = ~on_ground & _sides(ties, lower, step_px)[0]
    if on_ground.sum() < least or (on_ground | higher).sum() < (inlying | above).sum():
        return affine, inlying, above
    return lower, on_ground, higher


def _off(ties: WindowTies, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far windows are off an affine, (n, 2) px."""
    return np.asarray(ties.value - np.column_stack([np.ones(len(ties.value)), ties.position]) @ affine.T)


def _sides(ties: WindowTies, affine: NDArray[np.float64], step_px: tuple[float, float]) -> tuple[Mask, Mask]:
    """Return which windows lie off an affine as what is higher does, and which as what is lower does."""
    per_m = float(np.hypot(*step_px))
    row, col = step_px[0] / per_m, step_px[1] / per_m
    off = _off(ties, affine)
    height_m = (off[:, 0] * row + off[:, 1] * col) / per_m
    on_line = (np.abs(off[:, 0] * col - off[:, 1] * row) < AGREE_PX) & (np.abs(height_m) <= _TALLEST_M)
    return on_line & (height_m > 0), on_line & (height_m < 0)

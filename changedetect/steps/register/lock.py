"""The first field: the whole image's peak, then windows that agree on an affine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.steps.register.apart import find_ground
from changedetect.steps.register.exact import cut_planes
from changedetect.steps.register.features import Features
from changedetect.steps.register.field import AFFINE, Field, Ties, affine_field, fit_field
from changedetect.steps.register.prepare import Reference, View, whole_features
from changedetect.steps.register.trace import MIN_GROUPS, Trace
from changedetect.steps.register.windows import (
    WindowTies,
    feature_weights,
    find_peak,
    fit_consensus,
    match_windows,
    window_sizes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.steps.register.params import RegisterParams

_START_PENALTIES = (AFFINE, 20.0, 2.0, 0.3, 0.05)
_MANY_WINDOWS, _MOST_AGREE, _SMEAR_PX = 12, 0.7, 0.3
"""Windows that lock on the scene as it lies, their share that agrees, and how far scale or rotation moves their rims:
beyond these a second round, on the scene moved by their affine, tells no more than the pixels then do."""
_LEAST_GROUND = 0.25
"""Share of the windows that must see the ground itself, whatever the others see."""


def lock(
    view: View, reference: Reference, params: RegisterParams, trace: Trace, step_px: tuple[float, float] | None = None
) -> Field | str:
    """Return the first field, from windows that agree at the coarse level, or the reason there is none.

    `step_px` are the pixels of the full grid by which the views move something a metre tall, where they are known.
    """
    grid, factor = reference.grid, view.image.factor
    moving = whole_features(view, params)
    limit_px = tuple(max(int(params.max_shift_side_share * n), 1) for n in view.image.shape)
    reach = max(min(int(params.max_shift_m / grid.gsd_m / factor), *limit_px), 1)
    peak = find_peak(reference.spectra, moving.planes, (limit_px[0], limit_px[1]), reach)
    trace.note(peak_sigma=peak.sigma, peak_ratio=min(peak.ratio, peak.ratio_beyond), coarse_factor=factor)
    if peak.sigma < params.min_peak_sigma:
        return (
            f"the scenes have no texture in common: the correlation peak is {peak.sigma:.1f} sigma, "
            f"needs {params.min_peak_sigma:g}"
        )
    for ratio, needed, where in (
        (peak.ratio, params.min_peak_ratio, "searched to"),
        (peak.ratio_beyond, params.min_peak_ratio_beyond, "which lies beyond"),
    ):
        if ratio < needed:
            return (
                f"the shift is ambiguous: the correlation peak is {ratio:.2f} times the next, "
                f"needs {needed:g} ({where} {reach * factor * grid.gsd_m:.0f} m)"
            )
    start = np.zeros((2, 3))
    start[:, 0] = peak.shift_px
    step = None if step_px is None else (step_px[0] / factor, step_px[1] / factor)
    best = _agree(reference, moving, start, params, trace, step)
    if best is None:
        told = trace.values
        return (
            f"too few places agree on a shift: {told.get('windows_inlying', 0):.0f} of {told.get('windows', 0):.0f} "
            f"correlation windows, needs {params.min_windows} and {params.min_windows_share:.0%} of them"
        )
    return _start_field(*best, factor, grid.shape)


def _agree(
    reference: Reference,
    moving: Features,
    start: NDArray[np.float64],
    params: RegisterParams,
    trace: Trace,
    step_px: tuple[float, float] | None,
) -> tuple[WindowTies, NDArray[np.float64]] | None:
    """Return the inlying windows and their affine, from the largest windows of which enough agree."""
    fixed = reference.coarse
    shape = (fixed.inside.shape[0], fixed.inside.shape[1])
    extent = float(max(shape))
    for size in window_sizes(params.window_px, shape):
        affine, weight = start, np.ones(len(fixed.planes))
        for _ in range(2):
            moved = _resample(moving, affine)
            if affine is not start:
                weight = feature_weights(fixed, moved)
            # the first round only finds the affine, so fewer windows do
            most = 6 if affine is start else 8
            ties = match_windows(fixed, moved, weight, size, most, reference.windows)
            inlying = above = np.zeros(len(ties.value), bool)
            if len(ties.value) >= params.min_windows:
                total = ties.value + np.column_stack([np.ones(len(ties.value)), ties.position]) @ affine.T
                ties = WindowTies(ties.position, total, ties.weight, size)
                affine, inlying = fit_consensus(ties, extent)
                least = max(params.min_windows, math.ceil(_LEAST_GROUND * len(inlying)))
                affine, inlying, above = find_ground(ties, affine, inlying, step_px, extent, least)
            if inlying.sum() < params.min_windows or _is_settled(affine, inlying, size):
                break
        trace.note(windows=len(ties.value), windows_inlying=inlying.sum(), windows_above=above.sum(), window_px=size)
        if inlying.sum() >= params.min_windows:
            if (inlying | above).mean() < params.min_windows_share or inlying.mean() < _LEAST_GROUND:
                break
            kept = WindowTies(ties.position[inlying], ties.value[inlying], ties.weight[inlying], size)
            return kept, affine
    return None


def _is_settled(affine: NDArray[np.float64], inlying: NDArray[np.bool_], window_px: int) -> bool:
    """Return whether windows on the scene moved by the affine would see no more: most agree, and none is smeared."""
    smear_px = float(np.abs(affine[:, 1:]).max()) * window_px / 2
    return bool(inlying.sum() >= _MANY_WINDOWS and inlying.mean() >= _MOST_AGREE and smear_px < _SMEAR_PX)


def _resample(features: Features, affine: NDArray[np.float64]) -> Features:
    """Return features at q + u(q), u = affine (1, row, col)."""
    whole = affine[:, 0].round().astype(int)
    if np.array_equal(affine, np.column_stack([whole, np.zeros((2, 2))])):
        place = (int(whole[0]), int(whole[1]), *features.inside.shape)
        return Features(cut_planes(features.planes, place), cut_planes(features.inside[None], place)[0])
    row, col = np.indices(features.inside.shape, np.float32)
    u = [line[0] + line[1] * (row + 0.5) + line[2] * (col + 0.5) for line in affine]
    map_y, map_x = np.asarray(row + u[0], np.float32), np.asarray(col + u[1], np.float32)
    near, part = cv2.convertMaps(map_x, map_y, cv2.CV_16SC2)
    moved = [cv2.remap(p, near, part, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT) for p in features.planes]
    ok = features.inside.astype(np.uint8)
    inside = cv2.remap(ok, near, part, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    return Features(np.stack(moved), np.asarray(inside > 0))


def _start_field(ties: WindowTies, affine: NDArray[np.float64], factor: int, shape: tuple[int, int]) -> Field:
    """Return the field of the window ties: a spline of 4 x 4 intervals, or their affine if they are few."""
    size = np.asarray(shape, np.float64)
    group = (ties.position // ties.window_px).astype(np.int64) @ np.array([10_000, 1])
    if len(np.unique(group)) < MIN_GROUPS:
        scaled = affine.copy()
        scaled[:, 0] *= factor
        scaled[:, 1:] *= size
        return affine_field(scaled)
    info = ties.weight[:, None, None] * np.eye(2)
    return fit_field(
        Ties(ties.position * factor / size, ties.value * factor, info, group), (4, 4), penalties=_START_PENALTIES
    ).field

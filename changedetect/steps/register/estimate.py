"""The registration itself: from whole-image peak to field, and the rules by which it abstains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.core.results import Warp
from changedetect.steps.register.features import (
    Image,
    Scale,
    average_image,
    make_features,
    measure_scale,
    pick_bands,
    to_image,
)
from changedetect.steps.register.field import AFFINE, Field, Fit, Ties, affine_field, fit_field, measure_spread
from changedetect.steps.register.refine import cut_level, measure_ties
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

    from changedetect.core.grid import Grid
    from changedetect.core.raster import Raster
    from changedetect.steps.register.params import RegisterParams

_MIN_SIDE_PX = 64
_START_PENALTIES = (AFFINE, 20.0, 2.0, 0.3, 0.05)
_LEVEL_STEP = 4
"""A level's field is good to a tenth of its pixel, so the next may be four times finer."""
_MIN_GROUPS = 4
_SURE_SHARE = 0.1
"""Ties with less than a tenth of the median information do not count in the grade: they measure their own noise."""
_CE90_SPREAD, _CE90_HELD_OUT, _CE90_FLOOR_PX = 1.5, 0.6, 0.03
"""Calibrated on simulated pairs: their CE90 then holds at least 90 % of the pixels in 9 of 10 cases or more."""


@dataclass(slots=True)
class _Trace:
    """What was met on the way, for run.json."""

    values: dict[str, float] = field(default_factory=dict)

    def note(self, **values: float) -> None:
        self.values.update({name: round(float(value), 4) for name, value in values.items()})

    def abstain(self, reason: str, ce90_m: float | None = None, n_tie_points: int = 0) -> Warp:
        return Warp(
            "abstained", reason, ce90_m=ce90_m, n_tie_points=n_tie_points, model="identity", diagnostics=self.values
        )


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both scenes at one level with the scales of their features."""

    reference: tuple[Image, Scale]
    moving: tuple[Image, Scale]

    @property
    def factor(self) -> int:
        return self.reference[0].factor


def estimate_shift(moving: Raster, reference: Raster, params: RegisterParams) -> Warp:
    """Return where the reference's pixels lie in the moving scene, with its CE90, or why that cannot be told.

    Parameters
    ----------
    moving, reference : Raster
        Two scenes on one grid, each placed by its own georeference; any units; their common bands are matched.
    params : RegisterParams
        Search radius, sizes, and the limits beyond which it abstains.

    Returns
    -------
    Warp
        The displacement u over the grid: the pixel q of the reference is at q + u(q) in the moving scene.
        `status` is ``abstained`` with a reason, and u is zero, where a rule says the result cannot be trusted.

    Raises
    ------
    GridError
        If the rasters are not on one grid.

    Notes
    -----
    Half-whitened correlation of the whole image at a coarse level; window correlations and the affine most of them
    agree on; Gauss-Newton on the pixels, weighted by the texture both scenes share, pooled into blocks; a penalised
    cubic B-spline whose smoothness (shift, affine, or how bent a field) is chosen by held-out blocks.
    CE90 = sqrt(max(1.5 h, 0.6 v, sqrt(v^2 - n^2))^2 + 0.03^2) px: h the 90 % quantile of half the distance between
    fits on disjoint halves of the blocks, v that of the held-out residuals, n that of the part of these which
    neighbours do not share. It speaks for ground with texture: over open water or cloud tops u is carried over from
    the nearest ground, and may be off by more.
    """
    reference.grid.require_same(moving.grid, "registration")
    trace = _Trace()
    both = moving.valid & reference.valid
    trace.note(valid_share=both.mean())
    grid = reference.grid
    if min(grid.shape) < _MIN_SIDE_PX:
        return trace.abstain(f"the grid is too small to match: {min(grid.shape)} px, needs {_MIN_SIDE_PX} px")
    if both.mean() < params.min_valid_share:
        return trace.abstain(
            f"too little is usable in both scenes: {both.mean():.0%} of the grid, needs {params.min_valid_share:.0%}"
        )
    pairs = _make_pairs(moving, reference, params)
    start = _lock(pairs[0], grid, params, trace)
    if isinstance(start, str):
        return trace.abstain(start)
    found = _refine(pairs, start, params, trace)
    if isinstance(found, str):
        return trace.abstain(found)
    return _grade(*found, grid, params, trace)


def _make_pairs(moving: Raster, reference: Raster, params: RegisterParams) -> list[_Pair]:
    """Return the pair at each level, coarsest first, the full grid last."""
    names = pick_bands(moving, reference, params)
    scenes = [to_image(raster, names, raster.valid) for raster in (reference, moving)]
    factors = [max(1, round(min(reference.grid.shape) / params.coarse_side_px))]
    while factors[-1] > 1:
        factors.append(max(1, factors[-1] // _LEVEL_STEP))
    pairs = []
    for factor in factors:
        images = [average_image(scene, factor) for scene in scenes]
        first, second = ((image, measure_scale(image)) for image in images)
        pairs.append(_Pair(first, second))
    return pairs


def _lock(pair: _Pair, grid: Grid, params: RegisterParams, trace: _Trace) -> Field | str:
    """Return the first field, from windows that agree at the coarse level, or the reason there is none."""
    a, a_ok = make_features(*pair.reference, params)
    b, b_ok = make_features(*pair.moving, params)
    limit_px = tuple(max(int(params.max_shift_side_share * n), 1) for n in a_ok.shape)
    reach = max(min(int(params.max_shift_m / grid.gsd_m / pair.factor), *limit_px), 1)
    peak = find_peak(a, b, (limit_px[0], limit_px[1]), reach)
    trace.note(peak_sigma=peak.sigma, peak_ratio=peak.ratio, coarse_factor=pair.factor)
    if peak.sigma < params.min_peak_sigma:
        return (
            f"the scenes have no texture in common: the correlation peak is {peak.sigma:.1f} sigma, "
            f"needs {params.min_peak_sigma:g}"
        )
    if peak.ratio < params.min_peak_ratio:
        return (
            f"the shift is ambiguous: the correlation peak is {peak.ratio:.2f} times the next, "
            f"needs {params.min_peak_ratio:g} (searched to {reach * pair.factor * grid.gsd_m:.0f} m)"
        )
    start = np.zeros((2, 3))
    start[:, 0] = peak.shift_px
    best = _agree(((a, a_ok), (b, b_ok)), start, params, trace)
    if best is None:
        return (
            f"too few places agree on a shift: {trace.values.get('windows_inlying', 0):.0f} correlation windows, "
            f"needs {params.min_windows}"
        )
    return _start_field(*best, pair.factor, grid.shape)


def _agree(
    features: tuple[tuple[NDArray[np.float32], NDArray[np.bool_]], tuple[NDArray[np.float32], NDArray[np.bool_]]],
    start: NDArray[np.float64],
    params: RegisterParams,
    trace: _Trace,
) -> tuple[WindowTies, NDArray[np.float64]] | None:
    """Return the inlying windows and their affine, from the largest windows of which enough agree."""
    (a, a_ok), (b, b_ok) = features
    extent = float(max(a_ok.shape))
    for size in window_sizes(params.window_px, (a_ok.shape[0], a_ok.shape[1])):
        affine, weight = start, np.ones(len(a))
        for _ in range(2):
            moved, moved_ok = _resample(b, b_ok, affine)
            if affine is not start:
                weight = feature_weights(a, moved, a_ok & moved_ok)
            # the first round only finds the affine, so fewer windows do
            most = 7 if affine is start else 10
            ties = match_windows((a, a_ok), (moved, moved_ok), weight, size, most)
            inlying = np.zeros(len(ties.value), bool)
            if len(ties.value) >= params.min_windows:
                total = ties.value + np.column_stack([np.ones(len(ties.value)), ties.position]) @ affine.T
                ties = WindowTies(ties.position, total, ties.weight, size)
                affine, inlying = fit_consensus(ties, extent)
            if inlying.sum() < params.min_windows:
                break
        trace.note(windows=len(ties.value), windows_inlying=inlying.sum(), window_px=size)
        if inlying.sum() >= params.min_windows:
            kept = WindowTies(ties.position[inlying], ties.value[inlying], ties.weight[inlying], size)
            return kept, affine
    return None


def _resample(
    planes: NDArray[np.float32], ok: NDArray[np.bool_], affine: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return feature planes at q + u(q), u = affine (1, row, col), and where they hold."""
    row, col = np.indices(ok.shape, np.float32)
    u = [line[0] + line[1] * (row + 0.5) + line[2] * (col + 0.5) for line in affine]
    map_y, map_x = np.asarray(row + u[0], np.float32), np.asarray(col + u[1], np.float32)
    moved = [cv2.remap(p, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT) for p in planes]
    inside = cv2.remap(ok.astype(np.uint8), map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    return np.stack(moved), np.asarray(inside > 0)


def _start_field(ties: WindowTies, affine: NDArray[np.float64], factor: int, shape: tuple[int, int]) -> Field:
    """Return the field of the window ties: a spline of 4 x 4 intervals, or their affine if they are few."""
    size = np.asarray(shape, np.float64)
    group = (ties.position // ties.window_px).astype(np.int64) @ np.array([10_000, 1])
    if len(np.unique(group)) < _MIN_GROUPS:
        scaled = affine.copy()
        scaled[:, 0] *= factor
        scaled[:, 1:] *= size
        return affine_field(scaled)
    info = ties.weight[:, None, None] * np.eye(2)
    return fit_field(
        Ties(ties.position * factor / size, ties.value * factor, info, group), (4, 4), penalties=_START_PENALTIES
    ).field


def _refine(pairs: list[_Pair], start: Field, params: RegisterParams, trace: _Trace) -> tuple[Fit, Ties] | str:
    """Return the fit at full resolution and the ties it was made on, or the reason there is none."""
    result: tuple[Fit, Ties] | str = "there is no level to refine"
    field_now = start
    for pair in pairs:
        result = _refine_level(pair, field_now, pairs[-1].reference[0].shape, params, trace)
        if isinstance(result, str):
            break
        field_now = result[0].field
    return result


def _refine_level(
    pair: _Pair, start: Field, full_shape: tuple[int, int], params: RegisterParams, trace: _Trace
) -> tuple[Fit, Ties] | str:
    level = cut_level(pair.reference, pair.moving, start, params, full_shape)
    # on tiny images the field may be as fine as its ties (two cells); elsewhere that would only fit their noise
    tiny = level.cell_px < params.spline_spacing_px / 4
    spacing_px = 2.0 * level.cell_px * pair.factor if tiny else params.spline_spacing_px
    rows, cols = (int(np.clip(round(n / spacing_px), 4, params.max_intervals)) for n in full_shape)
    # the first pass starts from windows, which see no detail: a stiffer field keeps it from fitting their noise
    now, intervals = start, (min(rows, 6), min(cols, 6))
    for _ in range(params.passes - 1):
        ties, _kappa = measure_ties(level, now, exact=False)
        if len(np.unique(ties.group)) < _MIN_GROUPS:
            break
        now, intervals = fit_field(ties, intervals).field, (rows, cols)
    ties, kappa = measure_ties(level, now, exact=True)
    if len(np.unique(ties.group)) < _MIN_GROUPS:
        side_m = f"{2 * level.cell_px * pair.factor} px"
        return f"too few places have texture in common: {len(ties)} blocks of {side_m}, needs {_MIN_GROUPS} apart"
    trace.note(sampled_share=level.share, shared_texture=float(kappa.max()))
    return fit_field(ties, intervals), ties


def _grade(fit: Fit, ties: Ties, grid: Grid, params: RegisterParams, trace: _Trace) -> Warp:
    """Return the warp with its CE90, or the reason to abstain."""
    least = np.linalg.eigvalsh(ties.info)[:, 0]
    sure = least > _SURE_SHARE * np.median(least)
    miss_px = np.hypot(*fit.miss_px.T)
    v = float(np.quantile(miss_px[sure], 0.9))
    h = float(np.quantile(measure_spread(fit, ties)[:, sure], 0.9))
    noise = _tie_noise(fit.miss_px[sure], ties.position[sure])
    ce90_px = float(np.hypot(max(_CE90_SPREAD * h, _CE90_HELD_OUT * v, _excess(v, noise)), _CE90_FLOOR_PX))
    within = float(np.mean(miss_px[sure] < 1.0))
    inlying = sure & (fit.weight > 0.5)
    u_row, u_col = fit.field.at(np.array([0.5]), np.array([0.5]))[:, 0, 0]
    trace.note(
        held_out_px=v,
        spread_px=h,
        tie_noise_px=noise,
        ce90_px=ce90_px,
        within_1px_share=within,
        u_row_px=u_row,
        u_col_px=u_col,
    )
    trace.note(inlier_share=inlying.sum() / sure.sum(), penalty=min(fit.field.penalty, 1e9))
    gsd_m, n = grid.gsd_m, int(inlying.sum())
    ce90_m = round(ce90_px * gsd_m, 4)
    limit_px = min(params.max_ce90_px, (params.max_ce90_m or np.inf) / gsd_m)
    if within < params.min_within_1px_share:
        found, needed = f"{within:.0%}", f"{params.min_within_1px_share:.0%}"
        return trace.abstain(f"the field does not hold: {found} of held-out blocks are within 1 px, needs {needed}")
    if ce90_px > limit_px:
        reason = f"not exact enough: CE90 is {ce90_px:.2f} px ({ce90_m:.2f} m), needs {limit_px:.2f} px"
        return trace.abstain(reason, ce90_m, n)
    rmse_px = float(np.sqrt(np.mean(miss_px[inlying] ** 2))) if n else v
    coefficients = np.round(fit.field.coefficients, 5)
    return Warp(
        "ok",
        dx_m=round(float(-u_col * gsd_m), 4),
        dy_m=round(float(u_row * gsd_m), 4),
        rmse_m=round(rmse_px * gsd_m, 4),
        ce90_m=ce90_m,
        n_tie_points=n,
        model=fit.field.model,
        grid=grid,
        coefficients=tuple(tuple(tuple(map(float, line)) for line in plane) for plane in coefficients),
        diagnostics=trace.values,
    )


def _tie_noise(miss_px: NDArray[np.float64], position: NDArray[np.float64]) -> float:
    """Return the 90 % quantile of what ties miss on their own, px: neighbours share the field's error, not this."""
    row, col = (np.unique(np.round(p, 9), return_inverse=True)[1] for p in position.T)
    place = {(int(r), int(c)): k for k, (r, c) in enumerate(zip(row, col, strict=True))}
    pairs = [(k, place[to]) for (r, c), k in place.items() for to in ((r, c + 1), (r + 1, c)) if to in place]
    if len(pairs) < _MIN_GROUPS:
        return 0.0
    first, second = np.array(pairs).T
    return float(np.quantile(np.hypot(*(miss_px[first] - miss_px[second]).T), 0.9) / np.sqrt(2.0))


def _excess(whole: float, part: float) -> float:
    return float(np.sqrt(max(whole**2 - part**2, 0.0)))

"""The registration itself: from whole-image peak to field, and the rules by which it abstains."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from changedetect.core.results import Warp
from changedetect.steps.register.exact import cut_planes
from changedetect.steps.register.features import Features
from changedetect.steps.register.field import (
    AFFINE,
    PENALTIES,
    ROUGH_PENALTY,
    Field,
    Fit,
    Ties,
    affine_field,
    fit_field,
    fit_like,
    measure_disagreement,
    measure_spread,
    near_penalties,
    predict_sigma,
)
from changedetect.steps.register.heights import (
    Lean,
    Tall,
    fit_ground,
    fit_seen_ground,
    see_tall,
    stand_on_ground,
    trust_less,
)
from changedetect.steps.register.prepare import Reference, View, prepare_reference, view_levels, whole_features
from changedetect.steps.register.refine import Level, Measured, measure_ties, pair_level
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
_MANY_WINDOWS, _MOST_AGREE, _SMEAR_PX = 12, 0.7, 0.3
"""Windows that lock on the scene as it lies, their share that agrees, and how far scale or rotation moves their rims:
beyond these a second round, on the scene moved by their affine, tells no more than the pixels then do."""
_NEAR_PX, _NEAR_COARSE_PX = 0.2, 0.4
"""A step that moves the field by less leaves about a third of it to the next, which is then the exact one, or that on
the next level: a second step of the same kind is saved."""
_MIN_GROUPS = 4
_SURE_SHARE = 0.1
"""Ties with less than a tenth of the median information do not count in the grade: they measure their own noise."""
_CE90_SPREAD, _CE90_FLOOR_PX = 1.1, 0.05
"""Chance is understated, as shadows move neighbours alike; the floor is what moved shadows leave everywhere."""
_CE90_KINDS, _KINDS_FLOOR_PX = 1.5, 0.1
"""90 % of the error is about 1.3 times what kinds of evidence differ by, up to 3 where season and low sun changed what
is seen; in ordinary pairs they differ by .1 px, by chance."""
_CE90_LEAN, _MOST_LEAN_PX = 2.0, 0.6
"""Under woods and crops the ground is guessed: it was off by about twice what leaving them in moves the field, and by
no more than .6 px however far they lean: what leans far is surely told from the ground."""
_CE90_PER_SIGMA = 2.146
"""Radius that holds 90 % of a round normal error, in standard deviations per axis."""
_MAP_CELLS = 8
_CARRIED_OVER = 0.8
"""Where nothing is seen the field is off by so much more than its own spread says, which knows nothing of how a warp
goes on."""
_MOST_SIGMA_PX = 99.0


@dataclass(slots=True)
class _Trace:
    """What was met on the way, for run.json."""

    values: dict[str, Any] = field(default_factory=dict)

    def note(self, **values: float) -> None:
        self.values.update({name: round(float(value), 4) for name, value in values.items()})

    def abstain(self, reason: str, ce90_m: float | None = None, n_tie_points: int = 0) -> Warp:
        return Warp(
            "abstained", reason, ce90_m=ce90_m, n_tie_points=n_tie_points, model="identity", diagnostics=self.values
        )


def estimate_shift(
    moving: Raster, reference: Raster | Reference, params: RegisterParams, step_px: tuple[float, float] | None = None
) -> Warp:
    """Return where the reference's pixels lie in the moving scene, with its CE90, or why that cannot be told.

    Parameters
    ----------
    moving : Raster
        A scene placed on the grid by its own georeference; any units; the bands both scenes have are matched.
    reference : Raster or Reference
        The other scene on the same grid; made ready by `prepare_reference` if more than one is matched to it.
    params : RegisterParams
        Search radius, sizes, and the limits beyond which it abstains.
    step_px : (float, float), optional
        Pixels (row, col) by which the two views move something a metre tall; None where they are not known. Known,
        woods are told from the ground; else only where they lean visibly to one side.

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
    CE90 = max(sqrt((1.1 max(h, r))^2 + v^2 - n^2 + min(2 m, .6)^2 + 0.05^2), 1.5 k) px: h the 90 % quantile of half
    the distance between fits on disjoint halves of the blocks, r the same with the stiffness that usual warps take, v
    that of the held-out residuals, n that of the part of these which neighbours do not share, m how far what stands
    above the ground would move the field where it is seen to lean (`heights`), k the quantile of the distance between
    the field and those of single kinds of evidence (uncorrelated mixes of the features): errors that all blocks share
    show there alone; less .1 px in quadrature. It speaks for ground with texture.
    ``diagnostics["sigma_map_px"]`` has the standard deviation of u per axis in 8 x 8 equal cells of the grid, rows
    from the north: over open water or cloud tops u is carried over from the nearest ground, and may be off by more.
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
    if not isinstance(reference, Reference):
        reference = prepare_reference(reference, moving.bands, params)
    views = view_levels(moving, reference.bands, params)
    start = _lock(views[0], reference, params, trace)
    if isinstance(start, str):
        return trace.abstain(start)
    found = _refine(views, reference, start, params, trace, see_tall(moving, reference.canopy, step_px))
    if isinstance(found, str):
        return trace.abstain(found)
    return _grade(*found, grid, params, trace)


def _lock(view: View, reference: Reference, params: RegisterParams, trace: _Trace) -> Field | str:
    """Return the first field, from windows that agree at the coarse level, or the reason there is none."""
    grid, factor = reference.grid, view.image.factor
    moving = whole_features(view, params)
    limit_px = tuple(max(int(params.max_shift_side_share * n), 1) for n in view.image.shape)
    reach = max(min(int(params.max_shift_m / grid.gsd_m / factor), *limit_px), 1)
    peak = find_peak(reference.spectra, moving.planes, (limit_px[0], limit_px[1]), reach)
    trace.note(peak_sigma=peak.sigma, peak_ratio=peak.ratio, coarse_factor=factor)
    if peak.sigma < params.min_peak_sigma:
        return (
            f"the scenes have no texture in common: the correlation peak is {peak.sigma:.1f} sigma, "
            f"needs {params.min_peak_sigma:g}"
        )
    if peak.ratio < params.min_peak_ratio:
        return (
            f"the shift is ambiguous: the correlation peak is {peak.ratio:.2f} times the next, "
            f"needs {params.min_peak_ratio:g} (searched to {reach * factor * grid.gsd_m:.0f} m)"
        )
    start = np.zeros((2, 3))
    start[:, 0] = peak.shift_px
    best = _agree(reference, moving, start, params, trace)
    if best is None:
        told = trace.values
        return (
            f"too few places agree on a shift: {told.get('windows_inlying', 0):.0f} of {told.get('windows', 0):.0f} "
            f"correlation windows, needs {params.min_windows} and {params.min_windows_share:.0%} of them"
        )
    return _start_field(*best, factor, grid.shape)


def _agree(
    reference: Reference, moving: Features, start: NDArray[np.float64], params: RegisterParams, trace: _Trace
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
            inlying = np.zeros(len(ties.value), bool)
            if len(ties.value) >= params.min_windows:
                total = ties.value + np.column_stack([np.ones(len(ties.value)), ties.position]) @ affine.T
                ties = WindowTies(ties.position, total, ties.weight, size)
                affine, inlying = fit_consensus(ties, extent)
            if inlying.sum() < params.min_windows or _is_settled(affine, inlying, size):
                break
        trace.note(windows=len(ties.value), windows_inlying=inlying.sum(), window_px=size)
        if inlying.sum() >= params.min_windows:
            if inlying.mean() < params.min_windows_share:
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
    if len(np.unique(group)) < _MIN_GROUPS:
        scaled = affine.copy()
        scaled[:, 0] *= factor
        scaled[:, 1:] *= size
        return affine_field(scaled)
    info = ties.weight[:, None, None] * np.eye(2)
    return fit_field(
        Ties(ties.position * factor / size, ties.value * factor, info, group), (4, 4), penalties=_START_PENALTIES
    ).field


def _refine(
    views: list[View], reference: Reference, start: Field, params: RegisterParams, trace: _Trace, tall: Tall | None
) -> tuple[Fit, Measured] | str:
    """Return the fit at full resolution and what it was made on, or the reason there is none."""
    now, lean = start, None
    for view, fixed in zip(views, reference.levels, strict=True):
        level = pair_level(fixed, view, now, params, reference.grid.shape)
        now, lean = _approach(level, now, now is start, params, tall)
    measured = measure_ties(level, now, exact=True)
    if tall is not None:
        of_kinds = tuple(trust_less(kind, tall) for kind in measured.kinds)
        measured = replace(measured, ties=trust_less(measured.ties, tall), kinds=of_kinds)
    ties, fixed = measured.ties, level.reference
    if len(np.unique(ties.group)) < _MIN_GROUPS:
        side_m = f"{2 * fixed.cell_px} px"
        return f"too few places have texture in common: {len(ties)} blocks of {side_m}, needs {_MIN_GROUPS} apart"
    trace.note(sampled_share=fixed.share, shared_texture=float(measured.kappa.max()))
    intervals = _intervals(level, params)
    fit, lean = _ground_of(ties, intervals, fit_field(ties, intervals), lean, tall)
    return _on_ground(fit, measured, lean, trace)


def _ground_of(
    ties: Ties, intervals: tuple[int, int], fit: Fit, known: Lean | None, tall: Tall | None
) -> tuple[Fit, Lean | None]:
    """Return the fit to the ground and how things lean, from the views if they are known and woods are seen."""
    if tall is not None:
        found = fit_seen_ground(ties, intervals, fit, tall)
        if found[1] is not None:
            return found
    return fit_ground(ties, intervals, fit, known)


def _approach(
    level: Level, start: Field, is_first: bool, params: RegisterParams, tall: Tall | None
) -> tuple[Field, Lean | None]:
    """Return the field after the quick Gauss-Newton steps on a level, and on the full grid how things lean."""
    now, lean, intervals = start, None, _intervals(level, params)
    penalties = PENALTIES if is_first else near_penalties(start.penalty)
    is_last = level.reference.factor == 1
    for left in range(params.passes - 1, 0, -1):
        ties = measure_ties(level, now, exact=False).ties
        ties = ties if tall is None else trust_less(ties, tall)
        if len(np.unique(ties.group)) < _MIN_GROUPS:
            break
        fit = fit_field(ties, intervals, penalties)
        moved_px = fit.field.at_points(ties.position) - now.at_points(ties.position)
        is_near = _q90(np.hypot(*moved_px.T)) < (_NEAR_PX if is_last else _NEAR_COARSE_PX)
        # before it is near, what is left of the warp looks like heights; later the field has bent to them
        if is_last and (left == 1 or is_near or not is_first):
            fit, lean = _ground_of(ties, intervals, fit, lean, tall)
        now, penalties = fit.field, near_penalties(fit.field.penalty)
        if is_near and lean is None:
            break
    return now, lean


def _intervals(level: Level, params: RegisterParams) -> tuple[int, int]:
    """Return the spline's intervals: on small images as fine as the ties (two cells).

    From the first step on: a warp of three waves is followed at once, and held-out blocks keep it from fitting noise.
    """
    fixed = level.reference
    spacing_px = min(2.0 * fixed.cell_px * fixed.factor, params.spline_spacing_px)
    rows, cols = (int(np.clip(round(n / spacing_px), 4, params.max_intervals)) for n in level.full_shape)
    return rows, cols


def _on_ground(fit: Fit, measured: Measured, lean: Lean | None, trace: _Trace) -> tuple[Fit, Measured]:
    """Return the fit and what it was made on, less what of it is height."""
    if lean is None:
        return fit, measured
    towards = float(np.degrees(np.arctan2(lean.towards[1], -lean.towards[0]))) % 360.0
    trace.note(lean_towards_deg=towards, lean_mean_px=lean.mean_px, lean_share=1.0 - lean.share)
    ties = measured.ties
    ground, *kinds = (
        stand_on_ground(part, fit.field.at_points(part.position), lean) for part in (ties, *measured.kinds)
    )
    moved = fit_like(ties, fit.field).at_points(ties.position) - fit.field.at_points(ties.position)
    return fit, replace(measured, ties=ground, kinds=tuple(kinds), lean_px=_q90(np.hypot(*moved.T)))


def _grade(fit: Fit, measured: Measured, grid: Grid, params: RegisterParams, trace: _Trace) -> Warp:
    """Return the warp with its CE90, or the reason to abstain."""
    ties = measured.ties
    least = np.linalg.eigvalsh(ties.info)[:, 0]
    sure = least > _SURE_SHARE * np.median(least)
    miss_px = np.hypot(*fit.miss_px.T)
    lattice = _map_lattice()
    place = np.concatenate([lattice, ties.position[sure]])
    differ = measure_disagreement(fit, measured.kinds, measured.shares, place)
    ce90_px = _measure_ce90(fit, measured, sure, differ[len(lattice) :], trace)
    within = float(np.mean(miss_px[sure] < 1.0))
    inlying = sure & (fit.weight > 0.5)
    u_row, u_col = fit.field.at(np.array([0.5]), np.array([0.5]))[:, 0, 0]
    trace.note(ce90_px=ce90_px, within_1px_share=within, u_row_px=u_row, u_col_px=u_col)
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
    trace.values["sigma_map_px"] = _map_sigma(fit, ties, sure, ce90_px, differ[: len(lattice)])
    rmse_px = float(np.sqrt(np.mean(miss_px[inlying] ** 2))) if n else float(np.quantile(miss_px, 0.9))
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


def _measure_ce90(
    fit: Fit, measured: Measured, sure: NDArray[np.bool_], differ: NDArray[np.float64], trace: _Trace
) -> float:
    """Return the CE90 over ground with texture, px, given how far kinds of evidence differ at the sure ties."""
    ties, stiffness = measured.ties, fit.field.penalty
    spreads = measure_spread(fit, ties, (stiffness, min(stiffness, ROUGH_PENALTY)))
    chance, rough = (_q90(spread[:, sure]) for spread in spreads)
    held_out = _q90(np.hypot(*fit.miss_px[sure].T))
    noise = _tie_noise(fit.miss_px[sure], ties.position[sure])
    # ties that know more count more: where little is known, kinds differ by chance
    exactness = np.sqrt(np.linalg.eigvalsh(ties.info[sure])[:, 0])
    order = np.argsort(differ, kind="stable")
    below = np.cumsum(exactness[order])
    kinds = float(differ[order][np.searchsorted(below, 0.9 * below[-1])])
    trace.note(held_out_px=held_out, spread_px=chance, rough_spread_px=rough, tie_noise_px=noise, kinds_px=kinds)
    by_chance = _CE90_SPREAD * max(chance, rough)
    known = _CE90_FLOOR_PX**2 + min(_CE90_LEAN * measured.lean_px, _MOST_LEAN_PX) ** 2
    seen = float(np.sqrt(by_chance**2 + max(held_out**2 - noise**2, 0.0) + known))
    return max(seen, float(_doubt(np.array(kinds))))


def _doubt(kinds_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the CE90 that kinds of evidence allow by how far they differ, px."""
    excess = np.sqrt(np.maximum(kinds_px**2 - _KINDS_FLOOR_PX**2, 0.0))
    return np.asarray(_CE90_KINDS * excess)


def _map_lattice() -> NDArray[np.float64]:
    middle = (np.arange(_MAP_CELLS) + 0.5) / _MAP_CELLS
    return np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 2)


def _map_sigma(
    fit: Fit, ties: Ties, sure: NDArray[np.bool_], ce90_px: float, differ: NDArray[np.float64]
) -> list[list[float]]:
    """Return the standard deviation of u per axis, px, in `_MAP_CELLS` x `_MAP_CELLS` cells, row by row."""
    sigma = predict_sigma(fit, ties, _map_lattice())
    row, col = np.minimum((ties.position[sure].T * _MAP_CELLS).astype(np.int64), _MAP_CELLS - 1)
    known = float(np.median(sigma[np.unique(row * _MAP_CELLS + col)]))
    # nowhere better than where ties are: what the field carries over is no more exact than what it is made of
    ratio = np.maximum(sigma / known, 1.0) if known > 0 else np.ones(len(sigma))
    ratio += _CARRIED_OVER * (ratio - 1.0)
    # and nowhere better than kinds of evidence agree there
    worst = np.maximum(ratio * ce90_px, _doubt(differ)) / _CE90_PER_SIGMA
    found = np.minimum(worst, _MOST_SIGMA_PX).reshape(_MAP_CELLS, _MAP_CELLS)
    return [[round(float(value), 3) for value in line] for line in found]


def _q90(values: NDArray[np.float64]) -> float:
    return float(np.quantile(values, 0.9))


def _tie_noise(miss_px: NDArray[np.float64], position: NDArray[np.float64]) -> float:
    """Return the 90 % quantile of what ties miss on their own, px: neighbours share the field's error, not this."""
    row, col = (np.unique(np.round(p, 9), return_inverse=True)[1] for p in position.T)
    place = {(int(r), int(c)): k for k, (r, c) in enumerate(zip(row, col, strict=True))}
    pairs = [(k, place[to]) for (r, c), k in place.items() for to in ((r, c + 1), (r + 1, c)) if to in place]
    if len(pairs) < _MIN_GROUPS:
        return 0.0
    first, second = np.array(pairs).T
    return float(np.quantile(np.hypot(*(miss_px[first] - miss_px[second]).T), 0.9) / np.sqrt(2.0))

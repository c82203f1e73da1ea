"""The registration itself: from whole-image peak to field, and the rules by which it abstains."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from changedetect.core.results import Warp
from changedetect.steps.register.field import (
    PENALTIES,
    Field,
    Fit,
    Ties,
    fit_field,
    fit_like,
    near_penalties,
)
from changedetect.steps.register.grade import grade
from changedetect.steps.register.heights import (
    Lean,
    Tall,
    fit_ground,
    fit_seen_ground,
    see_tall,
    stand_on_ground,
    trust_less,
)
from changedetect.steps.register.lock import lock
from changedetect.steps.register.prepare import Reference, View, prepare_reference, view_levels
from changedetect.steps.register.refine import Level, Measured, measure_ties, pair_level
from changedetect.steps.register.response import rescaled, step_gain
from changedetect.steps.register.trace import MIN_GROUPS, Trace

if TYPE_CHECKING:
    from changedetect.core.raster import Raster
    from changedetect.steps.register.params import RegisterParams

_MIN_SIDE_PX = 64
_NEAR_PX, _NEAR_COARSE_PX = 0.2, 0.4
"""A step that moves the field by less leaves about a third of it to the next, which is then the exact one, or that on
the next level: a second step of the same kind is saved."""


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
    agree on, less those that lean with the view as woods do (`apart`); Gauss-Newton on the pixels, weighted by the
    texture both scenes share, pooled into blocks; a penalised cubic B-spline whose smoothness (shift, affine, or how
    bent a field) is chosen by held-out blocks.
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
    trace = Trace()
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
    start = lock(views[0], reference, params, trace, step_px)
    if isinstance(start, str):
        return trace.abstain(start)
    found = _refine(views, reference, start, params, trace, see_tall(moving, reference.canopy, step_px))
    if isinstance(found, str):
        return trace.abstain(found)
    return grade(*found, grid, params, trace)


def _refine(
    views: list[View], reference: Reference, start: Field, params: RegisterParams, trace: Trace, tall: Tall | None
) -> tuple[Fit, Measured] | str:
    """Return the fit at full resolution and what it was made on, or the reason there is none."""
    now, lean = start, None
    for view, fixed in zip(views, reference.levels, strict=True):
        level = pair_level(fixed, view, now, params, reference.grid.shape)
        now, lean, last = _approach(level, now, now is start, params, tall)
    measured = measure_ties(level, now, exact=True)
    gain = step_gain(last, (now, measured.ties))
    trace.note(step_gain=gain)
    measured = replace(measured, ties=rescaled(measured.ties, now, gain))
    if tall is not None:
        of_kinds = tuple(trust_less(kind, tall) for kind in measured.kinds)
        measured = replace(measured, ties=trust_less(measured.ties, tall), kinds=of_kinds)
    ties, fixed = measured.ties, level.reference
    if len(np.unique(ties.group)) < MIN_GROUPS:
        side_m = f"{2 * fixed.cell_px} px"
        return f"too few places have texture in common: {len(ties)} blocks of {side_m}, needs {MIN_GROUPS} apart"
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
) -> tuple[Field, Lean | None, tuple[Field, Ties] | None]:
    """Return the field after the quick steps on a level, how things lean there, and what the last was told from."""
    now, lean, last, intervals = start, None, None, _intervals(level, params)
    penalties = PENALTIES if is_first else near_penalties(start.penalty)
    is_last = level.reference.factor == 1
    for left in range(params.passes - 1, 0, -1):
        ties = measure_ties(level, now, exact=False).ties
        last = (now, ties)
        ties = ties if tall is None else trust_less(ties, tall)
        if len(np.unique(ties.group)) < MIN_GROUPS:
            break
        fit = fit_field(ties, intervals, penalties)
        moved_px = fit.field.at_points(ties.position) - now.at_points(ties.position)
        is_near = float(np.quantile(np.hypot(*moved_px.T), 0.9)) < (_NEAR_PX if is_last else _NEAR_COARSE_PX)
        # before it is near, what is left of the warp looks like heights; later the field has bent to them
        if is_last and (left == 1 or is_near or not is_first):
            fit, lean = _ground_of(ties, intervals, fit, lean, tall)
        now, penalties = fit.field, near_penalties(fit.field.penalty)
        if is_near and lean is None:
            break
    return now, lean, last


def _intervals(level: Level, params: RegisterParams) -> tuple[int, int]:
    """Return the spline's intervals: on small images as fine as the ties (two cells).

    From the first step on: a warp of three waves is followed at once, and held-out blocks keep it from fitting noise.
    """
    fixed = level.reference
    spacing_px = min(2.0 * fixed.cell_px * fixed.factor, params.spline_spacing_px)
    rows, cols = (int(np.clip(round(n / spacing_px), 4, params.max_intervals)) for n in level.full_shape)
    return rows, cols


def _on_ground(fit: Fit, measured: Measured, lean: Lean | None, trace: Trace) -> tuple[Fit, Measured]:
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
    return fit, replace(measured, ties=ground, kinds=tuple(kinds), lean_px=float(np.quantile(np.hypot(*moved.T), 0.9)))

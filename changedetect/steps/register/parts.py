"""One warp for a large scene from warps of parts of it, so that its cost does not grow with the scene."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from changedetect.core.results import Warp
from changedetect.steps.register.field import PENALTIES, ROUGH_PENALTY, Fit, Ties, fit_field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.core.grid import Grid
    from changedetect.steps.register.params import RegisterParams

_PLACES = (0.1, 0.5, 0.9)
"""Where in a part, along each axis, its field is taken over."""
_MOST_ODD_SHARE = 1 / 3
"""Parts that contradict the others: with more the scene does not move as one."""
_ODD_CE90 = 3.0
"""A part contradicts the others if they miss its middle by more than this many of its CE90 ..."""
_ODD_PX = 1.0
"""... and by a pixel more."""
_MIN_PARTS = 3
_FLOOR_PX = 0.02
_PENALTIES = tuple(penalty for penalty in PENALTIES if penalty > ROUGH_PENALTY)
"""Rougher fields would follow what each part errs by."""


def sample_parts(grid: Grid, params: RegisterParams) -> list[Grid]:
    """Return the parts of a grid that are registered: itself, or windows spread evenly over it where it is large."""
    side = params.part_px
    if grid.shape[0] * grid.shape[1] <= params.max_refine_px:
        return [grid]
    rows, cols = (_starts(n, side, params.parts_per_side) for n in grid.shape)
    return [grid.crop(slice(r, r + side), slice(c, c + side)) for r in rows for c in cols]


def part_params(params: RegisterParams) -> RegisterParams:
    """Return the settings with which a part is registered."""
    return replace(params, max_intervals=min(params.max_intervals, params.part_intervals))


def _starts(length: int, side: int, most: int) -> list[int]:
    count = min(most, max(1, length // side))
    # in the middle of equal shares: what lies at the rim is less of the place
    return sorted({max(0, round((k + 0.5) * length / count - side / 2)) for k in range(count)})


def join_warps(warps: Sequence[Warp], parts: Sequence[Grid], grid: Grid, params: RegisterParams) -> Warp:
    """Return the warp of a scene on `grid` from those of `parts` of it, or why it abstains.

    Parameters
    ----------
    warps : sequence of Warp
        One per part; abstained ones say nothing.
    parts : sequence of Grid
        Windows of `grid`.

    Notes
    -----
    The same penalised spline as within a scene, through nine places of each part, whole parts held out to choose how
    much it may bend. CE90 = sqrt(c^2 + h^2): c the 90 % quantile of the parts' own, h that of what held-out parts are
    missed by. Ground between the parts is not looked at.
    """
    known = [(warp, part) for warp, part in zip(warps, parts, strict=True) if warp.usable]
    enough = min(_MIN_PARTS, len(parts))
    told: dict[str, Any] = {"parts": len(parts), "parts_registered": len(known)}
    if len(known) < enough:
        reasons = [warp.reason for warp in warps if warp.reason]
        most = max(sorted(set(reasons)), key=reasons.count)
        reason = f"only {len(known)} of {len(parts)} parts of it could be registered: {most}"
        return Warp("abstained", reason, diagnostics=told)
    fit, ties = _fit(known, grid, parts)
    odd = _odd(known, fit, ties, grid)
    told["parts_odd"] = n_odd = int(odd.sum())
    if n_odd > _MOST_ODD_SHARE * len(known) or len(known) - n_odd < enough:
        reason = f"its parts contradict each other: {n_odd} of {len(known)} do not move as the others do"
        return Warp("abstained", reason, diagnostics=told)
    if odd.any():
        known = [pair for pair, is_odd in zip(known, odd, strict=True) if not is_odd]
        fit, ties = _fit(known, grid, parts)
    own = float(np.quantile([warp.ce90_m or 0.0 for warp, _ in known], 0.9)) / grid.gsd_m
    missed = float(np.quantile(np.hypot(*fit.miss_px.T), 0.9))
    ce90_px = float(np.hypot(own, missed))
    told |= {"held_out_px": round(missed, 4), "ce90_px": round(ce90_px, 4)}
    limit_px = min(params.max_ce90_px, (params.max_ce90_m or np.inf) / grid.gsd_m)
    n_ties = sum(warp.n_tie_points for warp, _ in known)
    ce90_m = round(ce90_px * grid.gsd_m, 4)
    if ce90_px > limit_px:
        reason = f"not exact enough: CE90 is {ce90_px:.2f} px ({ce90_m:.2f} m), needs {limit_px:.2f} px"
        return Warp("abstained", reason, ce90_m=ce90_m, n_tie_points=n_ties, diagnostics=told)
    return _whole_warp(fit, known, (ce90_m, n_ties), grid, told)


def _whole_warp(
    fit: Fit, known: Sequence[tuple[Warp, Grid]], exact: tuple[float, int], grid: Grid, told: dict[str, Any]
) -> Warp:
    ce90_m, n_ties = exact
    u_row, u_col = fit.field.at(np.array([0.5]), np.array([0.5]))[:, 0, 0]
    rmse = [warp.rmse_m for warp, _ in known if warp.rmse_m is not None]
    coefficients = np.round(fit.field.coefficients, 5)
    return Warp(
        "ok",
        dx_m=round(float(-u_col * grid.gsd_m), 4),
        dy_m=round(float(u_row * grid.gsd_m), 4),
        rmse_m=round(float(np.sqrt(np.mean(np.square(rmse)))), 4) if rmse else None,
        ce90_m=ce90_m,
        n_tie_points=n_ties,
        model=fit.field.model,
        grid=grid,
        coefficients=tuple(tuple(tuple(map(float, line)) for line in plane) for plane in coefficients),
        diagnostics=told,
    )


def _fit(known: Sequence[tuple[Warp, Grid]], grid: Grid, parts: Sequence[Grid]) -> tuple[Fit, Ties]:
    places, values, info, group = [], [], [], []
    for number, (warp, part) in enumerate(known):
        row0, col0 = grid.offset_of(part)
        rows, cols = (np.array([int(p * n) for p in _PLACES]) for n in part.shape)
        u = warp.displacement_px(part)
        for row in rows:
            for col in cols:
                places.append(((row0 + row + 0.5) / grid.shape[0], (col0 + col + 0.5) / grid.shape[1]))
                values.append(u[:, row, col])
                info.append(np.eye(2) / max((warp.ce90_m or 0.0) / grid.gsd_m, _FLOOR_PX) ** 2)
                group.append(number)
    ties = Ties(np.array(places), np.array(values, np.float64), np.array(info), np.array(group, np.int64))
    side = max(4, round(len(parts) ** 0.5))
    return fit_field(ties, (side, side), _PENALTIES), ties


def _odd(known: Sequence[tuple[Warp, Grid]], fit: Fit, ties: Ties, grid: Grid) -> NDArray[np.bool_]:
    """Return which parts the field of the others misses by far more than they claim to be exact."""
    missed = np.hypot(*fit.miss_px.T)
    return np.array(
        [
            float(np.median(missed[ties.group == number])) > _ODD_PX + _ODD_CE90 * (warp.ce90_m or 0.0) / grid.gsd_m
            for number, (warp, _) in enumerate(known)
        ],
        bool,
    )

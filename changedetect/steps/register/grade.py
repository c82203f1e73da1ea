"""How exact a registration is: its CE90, its map of standard deviations, and when it is not exact enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from changedetect.core.results import Warp
from changedetect.steps.register.field import (
    ROUGH_PENALTY,
    Fit,
    Ties,
    measure_disagreement,
    measure_spread,
    predict_sigma,
)
from changedetect.steps.register.trace import MIN_GROUPS, Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.grid import Grid
    from changedetect.steps.register.params import RegisterParams
    from changedetect.steps.register.refine import Measured

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


def grade(fit: Fit, measured: Measured, grid: Grid, params: RegisterParams, trace: Trace) -> Warp:
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
    fit: Fit, measured: Measured, sure: NDArray[np.bool_], differ: NDArray[np.float64], trace: Trace
) -> float:
    """Return the CE90 over ground with texture, px, given how far kinds of evidence differ at the sure ties."""
    ties, stiffness = measured.ties, fit.field.penalty
    spreads = measure_spread(fit, ties, (stiffness, min(stiffness, ROUGH_PENALTY)))
    chance, rough = (float(np.quantile(spread[:, sure], 0.9)) for spread in spreads)
    held_out = float(np.quantile(np.hypot(*fit.miss_px[sure].T), 0.9))
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


def _tie_noise(miss_px: NDArray[np.float64], position: NDArray[np.float64]) -> float:
    """Return the 90 % quantile of what ties miss on their own, px: neighbours share the field's error, not this."""
    row, col = (np.unique(np.round(p, 9), return_inverse=True)[1] for p in position.T)
    place = {(int(r), int(c)): k for k, (r, c) in enumerate(zip(row, col, strict=True))}
    pairs = [(k, place[to]) for (r, c), k in place.items() for to in ((r, c + 1), (r + 1, c)) if to in place]
    if len(pairs) < MIN_GROUPS:
        return 0.0
    first, second = np.array(pairs).T
    return float(np.quantile(np.hypot(*(miss_px[first] - miss_px[second]).T), 0.9) / np.sqrt(2.0))

"""The displacement field: a penalised cubic B-spline whose smoothness is chosen by held-out error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from changedetect.core.results import bspline_basis
from changedetect.steps.register.spline import SHIFT, Design, Equations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

AFFINE = 1e5
"""Penalty on bending that leaves, in effect, an affine."""
STIFF_PENALTY = 10.0
"""Penalty of the field that heights are read against: it cannot follow the edge of a wood or a field of maize."""
PENALTIES = (SHIFT, AFFINE, 1e3, STIFF_PENALTY, 1.0, 0.1, 0.01, 0.001)
"""Penalties tried on image blocks, smoothest first."""

_FOLDS = 5
_TRUNCATE_SIGMA = 8.0
_WORSE = 1.05
"""A field that bends more than the stiff one and predicts so much worse is not followed by rougher ones."""
_TIE_SHARE = 0.03
"""A smoother field within 3 % of the least held-out loss is preferred: a warp brings it down by far more, and among
fields worked for years a bent one was ahead by 3 % by chance."""
ROUGH_PENALTY = 0.01
"""Penalty that warps of the usual length take."""
_SHORT_WARP_SHARE = 0.9
"""Single ties decide if they bring the error down to this share: shared noise does not, a short warp does."""
_KIND_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Ties:
    """Local measurements of u with their information."""

    position: NDArray[np.float64]
    """(n, 2) row and column as shares of the grid, 0 to 1."""
    value: NDArray[np.float64]
    """(n, 2) measured u (row, col), px of the full grid."""
    info: NDArray[np.float64]
    """(n, 2, 2) information (inverse covariance up to one common factor)."""
    group: NDArray[np.int64]
    """(n,) ties of one group are held out together."""

    def __len__(self) -> int:
        return len(self.group)


@dataclass(frozen=True, slots=True)
class Field:
    """A displacement field."""

    coefficients: NDArray[np.float64]
    """(2, n + 3, m + 3), px of the full grid."""
    penalty: float = SHIFT

    @property
    def model(self) -> str:
        """shift, affine or field."""
        return {SHIFT: "shift", AFFINE: "affine"}.get(self.penalty, "field")

    @property
    def intervals(self) -> tuple[int, int]:
        """Spline intervals along rows and columns."""
        return (self.coefficients.shape[1] - 3, self.coefficients.shape[2] - 3)

    def at(self, row: NDArray[np.float64], col: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return u at every pair of `row` and `col` shares, (2, rows, cols), px of the full grid."""
        by_row = bspline_basis(row, self.coefficients.shape[1] - 3)
        by_col = bspline_basis(col, self.coefficients.shape[2] - 3)
        return np.stack([by_row @ plane @ by_col.T for plane in self.coefficients])

    def at_points(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return u at the positions (n, 2), which lie on few rows and columns, (n, 2), px of the full grid."""
        (rows, row), (cols, col) = (np.unique(p, return_inverse=True) for p in position.T)
        return np.stack([plane[row, col] for plane in self.at(rows, cols)], axis=1)


@dataclass(frozen=True, slots=True)
class Fit:
    """A field fitted to ties, and how well it predicts those it has not seen."""

    field: Field
    weight: NDArray[np.float64]
    """(ties,) robust weight, 0 to 1."""
    miss_px: NDArray[np.float64]
    """(ties, 2) u - measured (row, col) where the tie was held out, px."""
    group: NDArray[np.int64]
    """(ties,) what was held out together."""
    trials: tuple[Trial, ...] = ()
    """Every penalty tried, smoothest first."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A fit under one penalty."""

    penalty: float
    equations: Equations
    """Under the weights."""
    weight: NDArray[np.float64]
    held_out: NDArray[np.float64]
    """(n, 2) u at the ties, each predicted without its fold."""
    miss_px: NDArray[np.float64]


def constant_field(shift_px: Sequence[float]) -> Field:
    """Return the field that is `shift_px` (row, col) everywhere."""
    return Field(np.ones((2, 4, 4)) * np.asarray(shift_px, np.float64)[:, None, None])


def affine_field(matrix: NDArray[np.float64]) -> Field:
    """Return the field u = matrix (2, 3) @ (1, row share, col share)."""
    # the coefficients that reproduce a straight line lie on it at the Greville abscissae: -1, 0, 1, 2 intervals
    knot = np.arange(-1.0, 3.0)
    plane = matrix[:, 0, None, None] + matrix[:, 1, None, None] * knot[:, None] + matrix[:, 2, None, None] * knot
    return Field(plane, AFFINE)


def fit_field(ties: Ties, intervals: tuple[int, int], penalties: Sequence[float] = PENALTIES) -> Fit:
    """Return the field that predicts held-out ties best; a tie within 3 % goes to the smoother one.

    Each penalty is fitted with robust weights 1 / (1 + (m / 2 sigma)^2), m the Mahalanobis residual, starting from
    the weights of the smoother one before it. Whole groups are held out, so that an error neighbours share is not
    taken for warp; only where ties held out singly show that a stiff field misses a warp shorter than two groups, the
    single ones decide.
    """
    design = Design(ties, intervals)
    folds = _assign_folds(ties.group, _FOLDS, seed=0)
    trials = _try_penalties(design, ties, folds, penalties)
    coarse = _choose(trials, ties)
    if coarse.penalty > ROUGH_PENALTY >= min(penalties):
        rougher = [penalty for penalty in penalties if penalty <= coarse.penalty]
        single = _try_penalties(design, ties, _assign_folds(np.arange(len(ties)), _FOLDS, seed=0), rougher)
        fine = _choose(single, ties)
        if _typical(fine.miss_px) < _SHORT_WARP_SHARE * _typical(_at_penalty(single, coarse.penalty).miss_px):
            if fine.penalty < trials[-1].penalty:
                trials = _try_penalties(design, ties, folds, penalties, to_end=True)
            # its error is still judged by whole groups: what neighbours share must not pass for exactness
            coarse = _at_penalty(trials, fine.penalty)
    field = Field(design.solve(coarse.equations, coarse.penalty), coarse.penalty)
    return Fit(field, coarse.weight, coarse.miss_px, ties.group, tuple(trials))


def near_penalties(penalty: float) -> tuple[float, ...]:
    """Return those to try in a step that others follow, given what the step before it took.

    Its neighbours, the affine and the stiff field, against which heights are read.
    """
    at = PENALTIES.index(penalty)
    return tuple(p for k, p in enumerate(PENALTIES) if abs(k - at) <= 1 or p in (AFFINE, STIFF_PENALTY))


def measure_spread(fit: Fit, ties: Ties, penalties: Sequence[float], draws: int = 2) -> tuple[NDArray[np.float64], ...]:
    """Return, per penalty, half the distance of fits on random disjoint halves of the groups, (draws, ties) px."""
    design = Design(ties, fit.field.intervals)
    spread = np.zeros((len(penalties), draws, len(ties)))
    for draw in range(draws):
        half = _assign_folds(fit.group, 2, seed=draw + 1) == 0
        parts = design.sum_equations(fit.weight[:, None] * np.stack([half, ~half], axis=1))
        for out, penalty in zip(spread, penalties, strict=True):
            first, second = (design.predict(design.solve(part, penalty)) for part in parts)
            out[draw] = np.hypot(*(first - second).T) / 2.0
    return tuple(spread)


def measure_disagreement(
    fit: Fit, kinds: Sequence[Ties], shares: Sequence[float], position: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far fields of one kind of evidence each lie from that of all, root mean square, (n,) px.

    Chance and what a shadow, a crop or a crown does to all neighbours alike differ between kinds; held-out blocks
    and random halves see the first only. The weight is the root of a kind's share of the information: by the share,
    the kind that leads would be compared with itself.
    """
    here = fit.field.at_points(position)
    total, weight = np.zeros(len(position)), 0.0
    for ties, share in zip(kinds, shares, strict=True):
        if len(np.unique(ties.group)) < _FOLDS:
            continue
        miss = fit_like(ties, fit.field).at_points(position) - here
        total += np.sqrt(share) * np.sum(miss**2, axis=1)
        weight += float(np.sqrt(share))
    return np.sqrt(total / max(weight, 1e-9))


def fit_like(ties: Ties, like: Field) -> Field:
    """Return the robust fit with the intervals and the penalty of another field."""
    design, weight, found = Design(ties, like.intervals), np.ones(len(ties)), like.coefficients
    for _ in range(_KIND_ROUNDS):
        found = design.solve(design.sum_equations(weight[:, None])[0], like.penalty)
        residual = _mahalanobis(ties, design.predict(found))
        weight = 1.0 / (1.0 + (residual / (2.0 * _robust_sigma(residual))) ** 2)
    return Field(found, like.penalty)


def predict_sigma(fit: Fit, ties: Ties, position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the posterior standard deviation of u at positions (n, 2), in units common to the field, (n,).

    It grows away from ties, the slower the stiffer the field; scaled by what is known where ties are, it says how
    exact u is elsewhere.
    """
    if fit.field.penalty == SHIFT:
        return np.ones(len(position))
    design = Design(ties, fit.field.intervals)
    return design.spread_at(position, design.sum_equations(fit.weight[:, None])[0], fit.field.penalty)


def _try_penalties(
    design: Design, ties: Ties, folds: NDArray[np.int64], penalties: Sequence[float], to_end: bool = False
) -> list[Trial]:
    """Return a fit per penalty, smoothest first; unless `to_end`, none rougher than one that predicts worse."""
    others = _left_over(folds)
    weight = np.ones(len(ties))
    whole = design.sum_equations(weight[:, None])[0]
    trials: list[Trial] = []
    for penalty in penalties:
        # the equations hold for any penalty, so each starts from the weights its stiffer neighbour ended with
        for left in range(0 if trials else 2, -1, -1):
            residual = _mahalanobis(ties, design.predict(design.solve(whole, penalty)))
            sigma = _robust_sigma(residual)
            weight = 1.0 / (1.0 + (residual / (2.0 * sigma)) ** 2)
            # the folds are not asked for before the weights have settled
            *parts, whole = design.sum_equations(weight[:, None] * (others[:, -1:] if left else others))
        held_out = np.zeros((len(ties), 2))
        for fold, part in enumerate(parts):
            out = folds == fold
            held_out[out] = design.predict(design.solve(part, penalty), out)
        trials.append(Trial(penalty, whole, weight, held_out, held_out - ties.value))
        if penalty < STIFF_PENALTY and not to_end:
            *before, last = _losses(trials, ties)
            if before and last > _WORSE * min(before):
                break
    return trials


def _choose(trials: list[Trial], ties: Ties) -> Trial:
    loss = _losses(trials, ties)
    return next(trial for trial, value in zip(trials, loss, strict=True) if value <= (1.0 + _TIE_SHARE) * min(loss))


def _losses(trials: list[Trial], ties: Ties) -> list[float]:
    # not of the fitted residuals: a field with as many knots as ties leaves none
    miss = [_mahalanobis(ties, trial.held_out) for trial in trials]
    limit = _TRUNCATE_SIGMA * min(_robust_sigma(residual) for residual in miss)
    return [float(np.mean(np.minimum(residual, limit) ** 2)) for residual in miss]


def _typical(miss_px: NDArray[np.float64]) -> float:
    return float(np.median(np.hypot(miss_px[:, 0], miss_px[:, 1])))


def _at_penalty(trials: list[Trial], penalty: float) -> Trial:
    return next(trial for trial in trials if trial.penalty == penalty)


def _left_over(folds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return which ties are left when each fold is held out, and when none is, (ties, folds + 1)."""
    return np.asarray(folds[:, None] != np.arange(int(folds.max()) + 2), np.float64)


def _assign_folds(group: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    names, inverse = np.unique(group, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    return np.asarray(order[inverse] % max(min(folds, len(names)), 1), np.int64)


def _mahalanobis(ties: Ties, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    miss = predicted - ties.value
    return np.asarray(np.sqrt(np.maximum(np.einsum("ni,nij,nj->n", miss, ties.info, miss), 0.0)))


def _robust_sigma(residual: NDArray[np.float64]) -> float:
    """Scale of a two-dimensional residual: its median over the median of the Rayleigh distribution."""
    return max(float(np.median(residual)) / 1.1774, 1e-9)

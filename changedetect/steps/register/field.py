"""The displacement field: a penalised cubic B-spline whose smoothness is chosen by held-out error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solveh_banded

from changedetect.core.results import bspline_basis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHIFT = float("inf")
"""Penalty that leaves a constant only."""
AFFINE = 1e5
"""Penalty on bending that leaves, in effect, an affine."""
PENALTIES = (SHIFT, AFFINE, 1e3, 10.0, 1.0, 0.1, 0.01, 0.001)
"""Penalties tried on image blocks, smoothest first."""

_FOLDS = 5
_TRUNCATE_SIGMA = 8.0
_TIE_SHARE = 0.01
"""A smoother field within 1 % of the least held-out loss is preferred."""
_DOUBT_RATIO = 1.5
"""Residual of the chosen field over that of the least stiff one beyond which ties held out singly are tried too."""
_SHORT_WARP_SHARE = 0.6
"""Single ties decide if they bring the error down to this share: shared noise does not, a short warp does."""
_SLOPE_SHARE = 1e-4
"""Weak pull of the slopes to zero, so that ties along a line cannot tilt the rest of the scene."""


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

    def at(self, row: NDArray[np.float64], col: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return u at every pair of `row` and `col` shares, (2, rows, cols), px of the full grid."""
        by_row = bspline_basis(row, self.coefficients.shape[1] - 3)
        by_col = bspline_basis(col, self.coefficients.shape[2] - 3)
        return np.stack([by_row @ plane @ by_col.T for plane in self.coefficients])


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
    """Return the field that predicts held-out ties best; a tie within 1 % goes to the smoother one.

    Each penalty is fitted with robust weights 1 / (1 + (m / 2 sigma)^2), m the Mahalanobis residual, starting from
    the weights of the smoother one before it. Whole groups are held out, so that an error neighbours share is not
    taken for warp; only where that leaves large errors, which ties held out singly show to be a warp shorter than
    two groups, the single ones decide.
    """
    design = _Design(ties, intervals)
    trials = _try_penalties(design, ties, _assign_folds(ties.group, _FOLDS, seed=0), penalties)
    coarse = _choose(trials, ties)
    if coarse.sigma > _DOUBT_RATIO * min(trial.sigma for trial in trials):
        single = np.arange(len(ties))
        trials = _try_penalties(design, ties, _assign_folds(single, _FOLDS, seed=0), penalties)
        fine = _choose(trials, ties)
        same = next(trial for trial in trials if trial.penalty == coarse.penalty)
        if _typical(fine.miss_px) < _SHORT_WARP_SHARE * _typical(same.miss_px):
            return _to_fit(fine, single)
    return _to_fit(coarse, ties.group)


def measure_spread(fit: Fit, ties: Ties, draws: int = 2) -> NDArray[np.float64]:
    """Return half the distance of fits on random disjoint halves of the groups, (draws, ties) px."""
    coefficients, penalty = fit.field.coefficients, fit.field.penalty
    design = _Design(ties, (coefficients.shape[1] - 3, coefficients.shape[2] - 3))
    spread = np.zeros((draws, len(ties)))
    for draw in range(draws):
        half = _assign_folds(fit.group, 2, seed=draw + 1) == 0
        first = design.predict(design.solve(fit.weight * half, penalty))
        second = design.predict(design.solve(fit.weight * ~half, penalty))
        spread[draw] = np.hypot(*(first - second).T) / 2.0
    return spread


@dataclass(frozen=True, slots=True)
class _Trial:
    penalty: float
    coefficients: NDArray[np.float64]
    weight: NDArray[np.float64]
    sigma: float
    held_out: NDArray[np.float64]
    """(n, 2) u at the ties, each predicted without its fold."""
    miss_px: NDArray[np.float64]


def _try_penalties(design: _Design, ties: Ties, folds: NDArray[np.int64], penalties: Sequence[float]) -> list[_Trial]:
    weight = np.ones(len(ties))
    trials: list[_Trial] = []
    for penalty in penalties:
        for _ in range(2 if trials else 3):
            residual = _mahalanobis(ties, design.predict(design.solve(weight, penalty)))
            sigma = _robust_sigma(residual)
            weight = 1.0 / (1.0 + (residual / (2.0 * sigma)) ** 2)
        *without, fitted = design.solve_without(weight, penalty, folds, int(folds.max()) + 1)
        held_out = np.zeros((len(ties), 2))
        for fold, coefficients in enumerate(without):
            held_out[folds == fold] = design.predict(coefficients)[folds == fold]
        trials.append(_Trial(penalty, fitted, weight, sigma, held_out, held_out - ties.value))
    return trials


def _choose(trials: list[_Trial], ties: Ties) -> _Trial:
    limit = _TRUNCATE_SIGMA * min(trial.sigma for trial in trials)
    loss = [float(np.mean(np.minimum(_mahalanobis(ties, trial.held_out), limit) ** 2)) for trial in trials]
    return next(trial for trial, value in zip(trials, loss, strict=True) if value <= (1.0 + _TIE_SHARE) * min(loss))


def _typical(miss_px: NDArray[np.float64]) -> float:
    return float(np.median(np.hypot(miss_px[:, 0], miss_px[:, 1])))


def _to_fit(trial: _Trial, group: NDArray[np.int64]) -> Fit:
    return Fit(Field(trial.coefficients, trial.penalty), trial.weight, trial.miss_px, group)


_Equations = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
"""Normal matrix and right side."""


class _Design:
    """Normal equations of the spline in banded form; the order of unknowns is row, column, component."""

    def __init__(self, ties: Ties, intervals: tuple[int, int]) -> None:
        n_row, n_col = intervals[0] + 3, intervals[1] + 3
        row_index, row_weight = _local_basis(ties.position[:, 0], intervals[0])
        col_index, col_weight = _local_basis(ties.position[:, 1], intervals[1])
        self.shape = (n_row, n_col)
        self.size = 2 * n_row * n_col
        self.knot = (row_index[:, :, None] * n_col + col_index[:, None, :]).reshape(len(ties), 16)
        self.basis = (row_weight[:, :, None] * col_weight[:, None, :]).reshape(len(ties), 16)
        self.ties = ties
        self.bands = 2 * (3 * n_col + 3) + 2
        unknown = (2 * self.knot[:, :, None] + np.arange(2)).reshape(len(ties), 32)
        i, j = np.tril_indices(32)
        self.flat = (unknown[:, i] - unknown[:, j]) * self.size + unknown[:, j]
        basis = np.repeat(self.basis, 2, axis=1)
        self.terms = basis[:, i] * basis[:, j] * ties.info[:, i % 2, j % 2]
        self.unknown = unknown
        pull = np.einsum("nij,nj->ni", ties.info, ties.value)
        self.pull = (self.basis[:, :, None] * pull[:, None, :]).reshape(len(ties), 32)
        self.bend, self.slope = _penalties(n_row, n_col, self.bands)

    def solve(self, weight: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
        """Return coefficients (2, rows, cols) of the weighted, penalised fit."""
        return self.solve_without(weight, penalty, np.zeros(len(weight), np.int64), 1)[-1]

    def solve_without(
        self, weight: NDArray[np.float64], penalty: float, folds: NDArray[np.int64], n_folds: int
    ) -> list[NDArray[np.float64]]:
        """Return the fit without each fold in turn, then the fit to all (the only one if there is one fold).

        Normal equations add up, so those of every fold are made once and taken off the sum.
        """
        if penalty == SHIFT:
            parts = [self._shift_equations(weight * (folds == k)) for k in range(n_folds)]
        else:
            parts = self._spline_equations(weight, folds, n_folds)
        matrix = np.sum([part[0] for part in parts], axis=0)
        right = np.sum([part[1] for part in parts], axis=0)
        wanted = [(matrix - m, right - r) for m, r in parts] if n_folds > 1 else []
        solve = self._solve_shift if penalty == SHIFT else self._solve_spline
        return [solve(m, r, penalty) for m, r in [*wanted, (matrix, right)]]

    def _shift_equations(self, weight: NDArray[np.float64]) -> _Equations:
        info = np.einsum("n,nij->ij", weight, self.ties.info)
        return info, np.einsum("n,nij,nj->i", weight, self.ties.info, self.ties.value)

    def _solve_shift(self, matrix: NDArray[np.float64], right: NDArray[np.float64], _: float) -> NDArray[np.float64]:
        shift = np.linalg.solve(matrix + np.eye(2) * (1e-12 + 1e-9 * np.trace(matrix)), right)
        return np.ones((2, *self.shape)) * shift[:, None, None]

    def _spline_equations(
        self, weight: NDArray[np.float64], folds: NDArray[np.int64], n_folds: int
    ) -> list[_Equations]:
        parts: list[_Equations] = []
        for k in range(n_folds):
            used = np.flatnonzero(folds == k) if n_folds > 1 else slice(None)
            terms = (self.terms[used] * weight[used, None]).ravel()
            pull = (self.pull[used] * weight[used, None]).ravel()
            matrix = np.bincount(self.flat[used].ravel(), terms, self.bands * self.size)
            right = np.bincount(self.unknown[used].ravel(), pull, self.size)
            parts.append((np.asarray(matrix, np.float64).reshape(self.bands, self.size), np.asarray(right, np.float64)))
        return parts

    def _solve_spline(
        self, matrix: NDArray[np.float64], right: NDArray[np.float64], penalty: float
    ) -> NDArray[np.float64]:
        unit = max(float(matrix[0].mean()), 1e-12)
        banded = matrix + unit * (penalty * self.bend + _SLOPE_SHARE * self.slope)
        banded[0] += 1e-9 * unit
        solution = solveh_banded(banded, right, lower=True, overwrite_ab=True, check_finite=False)
        return np.asarray(solution.reshape(*self.shape, 2).transpose(2, 0, 1))

    def predict(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return u at the ties, (n, 2)."""
        flat = coefficients.reshape(2, -1)
        return np.stack([(flat[k][self.knot] * self.basis).sum(axis=1) for k in range(2)], axis=1)


def _local_basis(position: NDArray[np.float64], intervals: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    basis = bspline_basis(position, intervals)
    first = np.minimum((np.clip(position, 0.0, 1.0) * intervals).astype(np.int64), intervals - 1)
    index = first[:, None] + np.arange(4)
    return index, np.take_along_axis(basis, index, axis=1)


def _penalties(n_row: int, n_col: int, bands: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Second and first differences squared, in the banded order of `_Design`."""

    def gram(n: int, order: int) -> NDArray[np.float64]:
        step = np.diff(np.eye(n), order, axis=0)
        return np.asarray(step.T @ step)

    eye_row, eye_col = np.eye(n_row), np.eye(n_col)
    bend = np.kron(gram(n_row, 2), eye_col) + np.kron(eye_row, gram(n_col, 2))
    bend += 2.0 * np.kron(gram(n_row, 1), gram(n_col, 1))
    slope = np.kron(gram(n_row, 1), eye_col) + np.kron(eye_row, gram(n_col, 1))
    out = []
    for dense in (bend, slope):
        banded = np.zeros((bands, 2 * n_row * n_col))
        below, left = np.nonzero(np.tril(dense))
        for k in range(2):
            banded[2 * (below - left), 2 * left + k] = dense[below, left]
        out.append(banded)
    return out[0], out[1]


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

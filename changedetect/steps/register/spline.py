"""Normal equations of the penalised spline, banded as LAPACK wants them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from changedetect.core.results import bspline_basis

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from changedetect.steps.register.field import Ties

SHIFT = float("inf")
"""Penalty that leaves a constant only."""
_SLOPE_SHARE = 1e-4
"""Weak pull of the slopes to zero, so that ties along a line cannot tilt the rest of the scene."""
_REACH = 4
"""Knots that a cubic spline's basis functions overlap, their own among them."""


class Equations:
    """Normal equations of the spline: they add up over ties, and hold for any penalty."""

    __slots__ = ("matrix", "right", "shift_matrix", "shift_right")

    def __init__(self, *parts: NDArray[np.float64]) -> None:
        self.matrix, self.right, self.shift_matrix, self.shift_right = parts


class Design:
    """The spline at the ties; the order of unknowns is row, column, component.

    Ties lie on few rows and columns, so sums over them are taken along one axis, then along the other. The matrix is
    kept as LAPACK wants it, without a copy: per column what lies on the diagonal and below it.
    """

    def __init__(self, ties: Ties, intervals: tuple[int, int]) -> None:
        self.intervals = intervals
        self.shape = (intervals[0] + 3, intervals[1] + 3)
        self.size = 2 * self.shape[0] * self.shape[1]
        self._order = _order_entries(*self.shape)
        (rows, row), (cols, col) = (np.unique(p, return_inverse=True) for p in ties.position.T)
        self._lattice = (len(rows), len(cols))
        self._slot = row * len(cols) + col
        self._alone = int(np.bincount(self._slot).max(initial=0)) <= 1
        self._rows, self._row_sums, self._row_pairs = _basis_along(rows.tobytes(), intervals[0], 0)
        self._cols, self._col_sums, self._col_pairs = _basis_along(cols.tobytes(), intervals[1], 1 - _REACH)
        pull = np.einsum("nij,nj->ni", ties.info, ties.value)
        info = ties.info.reshape(-1, 4)[:, [0, 2, 3]]
        self._terms = np.concatenate([info, pull], axis=1)

    def sum_equations(self, weights: NDArray[np.float64]) -> list[Equations]:
        """Return the equations under each column of `weights` (ties, k)."""
        (n_row, n_col), (rows, cols), k = self.shape, self._lattice, weights.shape[1]
        spread = np.zeros((rows * cols, 5, k))
        if self._alone:
            spread[self._slot] = self._terms[:, :, None] * weights[:, None, :]
        else:
            np.add.at(spread, self._slot, self._terms[:, :, None] * weights[:, None, :])
        laid = spread.reshape(rows, cols, 5, k)
        entries = np.zeros((k, int(self._order.max()) + 1))
        entries[:, :-1] = _sum_along(self._row_pairs, self._col_pairs, laid[:, :, :3]).reshape(-1, k).T
        matrix = np.take(entries, self._order, axis=1, mode="clip")
        pulls = _sum_along(self._row_sums, self._col_sums, laid[:, :, 3:]).reshape(n_col, n_row, 2, k)
        right = np.ascontiguousarray(pulls.transpose(3, 1, 0, 2)).reshape(k, self.size)
        yy, yx, xx, y, x = spread.sum(axis=0)
        shift_matrix, shift_right = np.array([[yy, yx], [yx, xx]]), np.array([y, x])
        return [Equations(matrix[j], right[j], shift_matrix[:, :, j], shift_right[:, j]) for j in range(k)]

    def solve(self, equations: Equations, penalty: float) -> NDArray[np.float64]:
        """Return coefficients (2, rows, cols) of the penalised fit."""
        if penalty == SHIFT:
            matrix = equations.shift_matrix
            shift = np.linalg.solve(matrix + np.eye(2) * (1e-12 + 1e-9 * np.trace(matrix)), equations.shift_right)
            return np.ones((2, *self.shape)) * shift[:, None, None]
        solution = self._solve(equations, equations.right, penalty)
        return np.asarray(solution.reshape(*self.shape, 2).transpose(2, 0, 1))

    def _solve(self, equations: Equations, right: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
        from scipy.linalg.lapack import dpbsv  # scipy is slow to import: only where it is used

        unit = max(float(equations.matrix[:, 0].mean()), 1e-12)
        banded = _stiffness(*self.shape, penalty) * unit
        banded += equations.matrix
        _, solution, fault = dpbsv(banded.T, right, lower=True, overwrite_ab=True)
        if fault:
            raise np.linalg.LinAlgError(f"the field's equations are not positive definite (row {fault})")
        return np.asarray(solution)

    def spread_at(self, position: NDArray[np.float64], equations: Equations, penalty: float) -> NDArray[np.float64]:
        """Return the root of the mean variance of both components of u at positions (n, 2), up to one factor."""
        rows, cols = (bspline_basis(p, n) for p, n in zip(position.T, self.intervals, strict=True))
        basis = (rows[:, :, None] * cols[:, None, :]).reshape(len(position), -1)
        variance = np.zeros(len(position))
        for component in range(2):
            right = np.zeros((self.size, len(position)))
            right[component::2] = basis.T
            variance += (self._solve(equations, right, penalty) * right).sum(axis=0) / 2.0
        return np.sqrt(np.maximum(variance, 0.0))

    def predict(self, coefficients: NDArray[np.float64], where: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Return u at the ties, or at those of `where`, (n, 2)."""
        slot = self._slot if where is None else self._slot[where]
        return np.stack([(self._rows @ plane @ self._cols.T).ravel()[slot] for plane in coefficients], axis=1)


def _count_bands(n_col: int) -> int:
    return 2 * ((_REACH - 1) * n_col + _REACH - 1) + 2


def _sum_along(by_row: csr_array, by_col: csr_array, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums of values (row, col, ..) under weights of rows and columns, (col weight, row weight, ..)."""
    rows, cols, *rest = values.shape
    first = (by_row @ values.reshape(rows, -1)).reshape(-1, cols, int(np.prod(rest)))
    return np.asarray(by_col @ first.transpose(1, 0, 2).reshape(cols, -1))


@lru_cache(maxsize=32)
def _basis_along(places: bytes, intervals: int, lowest: int) -> tuple[NDArray[np.float64], csr_array, csr_array]:
    """Return the basis at places (place, knot); its transpose; products of knots `lowest` to 3 apart, (pair, place)."""
    from scipy.sparse import csr_array

    basis = bspline_basis(np.frombuffer(places), intervals)
    n = basis.shape[1]
    pairs = np.zeros((_REACH - lowest, n, len(basis)))
    for k, apart in enumerate(range(lowest, _REACH)):
        a = slice(max(-apart, 0), n - max(apart, 0))
        b = slice(max(apart, 0), n - max(-apart, 0))
        pairs[k, a] = (basis[:, a] * basis[:, b]).T
    return basis, csr_array(basis.T), csr_array(pairs.reshape(-1, len(basis)))


@lru_cache(maxsize=8)
def _order_entries(n_row: int, n_col: int) -> NDArray[np.int64]:
    """Return, for each place of the banded matrix, which sum of pairs is there; the one after the last for none.

    Sums of pairs are in the order columns apart, column, rows apart, row, component.
    """
    apart = np.arange(1 - _REACH, _REACH)
    db, b, da, a, k, to = np.meshgrid(
        apart, np.arange(n_col), apart[_REACH - 1 :], np.arange(n_row), [0, 1], [0, 1], indexing="ij"
    )
    left, below = 2 * (a * n_col + b) + k, 2 * ((a + da) * n_col + b + db) + to
    kept = (b + db >= 0) & (b + db < n_col) & (a + da < n_row) & (below >= left)
    shape = (len(apart), n_col, _REACH, n_row, 3)
    order = np.full((2 * n_row * n_col, _count_bands(n_col)), int(np.prod(shape)))
    source = np.ravel_multi_index([index[kept] for index in (db + _REACH - 1, b, da, a, k + to)], shape)
    order[left[kept], (below - left)[kept]] = source
    return order


@lru_cache(maxsize=32)
def _stiffness(n_row: int, n_col: int, penalty: float) -> NDArray[np.float64]:
    """Return squared second differences times the penalty, first ones with their weak pull, banded."""

    def gram(n: int, order: int) -> NDArray[np.float64]:
        step = np.diff(np.eye(n), order, axis=0)
        return np.asarray(step.T @ step)

    eye_row, eye_col = np.eye(n_row), np.eye(n_col)
    bend = np.kron(gram(n_row, 2), eye_col) + np.kron(eye_row, gram(n_col, 2))
    bend += 2.0 * np.kron(gram(n_row, 1), gram(n_col, 1))
    slope = np.kron(gram(n_row, 1), eye_col) + np.kron(eye_row, gram(n_col, 1))
    dense = penalty * bend + _SLOPE_SHARE * slope + 1e-9 * np.eye(n_row * n_col)
    banded = np.zeros((2 * n_row * n_col, _count_bands(n_col)))
    below, left = np.nonzero(np.tril(dense))
    for k in range(2):
        banded[2 * left + k, 2 * (below - left)] = dense[below, left]
    return banded

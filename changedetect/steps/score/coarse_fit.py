"""Fits of the coarse score: gain on what did not change, and kinds of ground with their own season."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from changedetect.steps.score.coarse_state import Clusters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

_SEED = 0
_ROUNDS = 25
_FIT_ROUNDS = 8
_TUKEY = 4.0
_LEAST_MEMBERS = 30
_GLOBAL_RIDGE, _OWN_RIDGE = 1e-3, 0.3
_SPREAD_FLOOR = 0.2
"""Share of the whole scene's spread that no kind of ground is taken to be steadier than."""


def middle_and_spread(values: NDArray[np.floating]) -> tuple[float, float]:
    """Return median and robust standard deviation, never 0."""
    middle = float(np.median(values))
    return middle, max(1.4826 * float(np.median(np.abs(values - middle))), 1e-6)


def fit_gain(before: Matrix, after: Matrix, rounds: int = 6) -> tuple[float, float]:
    """Return gain and offset that give `after` the mean and deviation of `before` where the two agree best."""
    use = np.ones(before.size, bool)
    gain, offset = 1.0, 0.0
    for _ in range(rounds):
        gain = float(before[use].std()) / max(float(after[use].std()), 1e-9)
        offset = float(before[use].mean()) - gain * float(after[use].mean())
        left = before - gain * after - offset
        middle, spread = middle_and_spread(left[use])
        use = np.abs(left - middle) < 2.5 * spread
    return gain, offset


def fit_clusters(descriptors: Matrix, target: Matrix, count: int) -> Clusters:
    """Return kinds of ground on one date, (sample, descriptor), and what each is on the other, (sample, band).

    Each kind's robust line is drawn towards that of all, and its deviations are those of what did not change.
    """
    from scipy.cluster.vq import kmeans2  # scipy is slow to import: only where it is used

    centres, members = kmeans2(descriptors, count, iter=_ROUNDS, minit="++", seed=_SEED)
    n_bands = target.shape[1]
    columns = np.column_stack([np.ones(len(descriptors)), descriptors[:, :n_bands]])
    common, _ = _robust_lines(columns, target, _GLOBAL_RIDGE, np.zeros((1 + n_bands, n_bands)))
    floor = np.diag((_SPREAD_FLOOR * _spreads(target - columns @ common)) ** 2)
    coefficients, whitening = [], []
    for number in range(count):
        own = members == number
        lines, left = common, target - columns @ common
        weight = np.ones(len(left))
        if own.sum() >= _LEAST_MEMBERS:
            lines, weight = _robust_lines(columns[own], target[own], _OWN_RIDGE, common)
            left = target[own] - columns[own] @ lines
        covariance = (left * weight[:, None]).T @ left / max(float(weight.sum()), 1.0) + floor
        coefficients.append(_rows(lines))
        whitening.append(_rows(np.linalg.cholesky(np.linalg.inv(covariance)).T))
    return Clusters(_rows(centres), tuple(coefficients), tuple(whitening))


def _robust_lines(columns: Matrix, target: Matrix, ridge: float, prior: Matrix) -> tuple[Matrix, Matrix]:
    """Return regression coefficients (column, band) drawn towards `prior`, and the weights of the rows."""
    penalty = ridge * np.eye(columns.shape[1])
    penalty[0, 0] *= 0.01
    weight, lines = np.ones(len(columns)), prior
    for _ in range(_FIT_ROUNDS):
        weighted = columns * weight[:, None]
        total = max(float(weight.sum()), 1e-9)
        lines = prior + np.linalg.solve(
            weighted.T @ columns / total + penalty, weighted.T @ (target - columns @ prior) / total
        )
        left = target - columns @ lines
        squared = ((left / _spreads(left)) ** 2).mean(axis=1)
        weight = np.clip(1 - squared / _TUKEY**2, 0, 1) ** 2
    return lines, weight


def _spreads(left: Matrix) -> Matrix:
    return np.asarray(1.4826 * np.median(np.abs(left), axis=0) + 1e-6)


def _rows(matrix: Matrix) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in matrix)

"""Fits that a few changes cannot bend: regression by Tukey's weights, and variance as a non-negative mix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from changedetect.core.robust import median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

_TUKEY = 4.685
_SETTLED = 1e-3
"""A regression ends when its last round moved what it predicts by less than this share of what it leaves, rms."""
_TRIM = 9.0


def robust_regression(columns: Matrix, target: Matrix, iterations: int) -> Matrix:
    """Return Tukey's regression coefficients of (column, n), with a ridge that only settles columns without content."""
    size = np.sqrt(np.einsum("ij,ij->i", columns, columns) / target.size)
    size[size == 0] = 1.0
    scaled = columns / size[:, None]
    ridge = 1e-6 * np.eye(len(size))
    fit: Matrix = np.zeros(len(size))
    weight = np.ones_like(target)
    moments = scaled @ scaled.T / target.size
    # Buffers are used again, as fresh memory costs more than the arithmetic.
    weighted, left, size_of_left = np.empty_like(scaled), np.empty_like(target), np.empty_like(target)
    for _ in range(iterations):
        last = fit
        np.multiply(scaled, weight, out=weighted)
        total = max(float(weight.sum()), 1e-9)
        fit = np.asarray(np.linalg.solve(weighted @ scaled.T / total + ridge, weighted @ target / total), np.float64)
        np.subtract(target, np.matmul(fit, scaled, out=left), out=left)
        spread = max(1.4826 * float(median(np.abs(left, out=size_of_left))), 1e-9)
        if (fit - last) @ moments @ (fit - last) < (_SETTLED * spread) ** 2:
            break
        left /= _TUKEY * spread
        np.multiply(left, left, out=left)
        np.subtract(1, left, out=weight)
        np.maximum(weight, 0, out=weight)
        np.multiply(weight, weight, out=weight)
    return np.asarray(fit / size)


def trimmed_nnls(terms: Matrix, squared: Matrix, rounds: int = 6) -> Matrix:
    """Return non-negative weights of the (term, n) of variance; residuals beyond 3 sigma are changes, not noise."""
    size = np.maximum(terms.mean(axis=1), 1e-12)
    scaled = terms / size[:, None]
    typical = float(median(squared))
    floor = max(1e-3 * typical, 1e-12)
    current = np.full(squared.size, 2.2 * typical + floor)
    fit, rows = np.zeros(len(size)), np.empty_like(scaled)
    for _ in range(rounds):
        # Relative errors: the spread of a squared residual goes with its expectation.
        weight = (squared < _TRIM * current) / current
        np.multiply(scaled, weight, out=rows)
        normal = rows @ rows.T + 1e-9 * np.count_nonzero(weight) * np.eye(len(size))
        fit = solve_non_negative(normal, rows @ (squared * weight))
        np.maximum(np.matmul(fit, scaled, out=current), floor, out=current)
    fit[0] = max(fit[0], floor)
    return np.asarray(fit / size)


def solve_non_negative(normal: Matrix, right: Matrix) -> Matrix:
    """Return the non-negative x that minimises x' N x / 2 - r' x, N positive definite.

    References
    ----------
    Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23: scipy's takes a tenth of a second to import.
    """
    x = np.zeros(len(right))
    free = np.zeros(len(right), bool)
    limit = 1e-12 * max(float(np.abs(right).max()), 1e-300)
    for _ in range(3 * len(right)):
        slope = np.where(free, -np.inf, right - normal @ x)
        if slope.max() <= limit:
            break
        free[int(np.argmax(slope))] = True
        while True:
            tried = np.zeros(len(right))
            tried[free] = np.linalg.solve(normal[np.ix_(free, free)], right[free])
            bad = free & (tried <= 0)
            if not bad.any():
                break
            # as far towards it as nothing is negative; what came to zero is held there
            x = x + float((x[bad] / (x[bad] - tried[bad])).min()) * (tried - x)
            free &= x > 1e-15 * x.max()
            x[~free] = 0.0
        x = tried
    return x

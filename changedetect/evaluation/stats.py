"""Shares with their intervals, and rates of rare events with their upper bounds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from scipy.special import chdtri, ndtri

LEVEL = 0.95


def wilson(right: int, n: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a share; None for no trials.

    References
    ----------
    Wilson, J. Am. Stat. Assoc. 22:209, 1927, doi:10.1080/01621459.1927.10502953.
    """
    if n == 0:
        return None
    z = float(ndtri(0.5 + LEVEL / 2))
    share, scale = right / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5 / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def share(right: int, n: int) -> dict[str, Any]:
    """Return a share with its counts and its 95 % interval; None where there is nothing to share."""
    interval = wilson(right, n)
    return {
        "n": n,
        "right": right,
        "share": round(right / n, 4) if n else None,
        "low": round(interval[0], 4) if interval else None,
        "high": round(interval[1], 4) if interval else None,
    }


def poisson_upper(n: int) -> float:
    """Return the exact one-sided 95 % upper bound of the expected number when `n` were met (2.996 for none).

    References
    ----------
    Garwood, Biometrika 28:437, 1936, doi:10.1093/biomet/28.3-4.437.
    """
    return float(chdtri(2 * (n + 1), 1 - LEVEL) / 2)


def middle(values: Sequence[float]) -> dict[str, Any]:
    """Return the median with the number of values and its 95 % interval; None where too few (6) bound it.

    Notes
    -----
    The interval holds whatever the distribution: its ends are the k-th values from below and above, k the largest
    with P(Binomial(n, 1/2) < k) <= 2.5 %.
    """
    ordered, n = sorted(values), len(values)
    from scipy.stats import binom  # half a second to import, and needed here alone

    k = int(binom.ppf((1 - LEVEL) / 2, n, 0.5)) if n else 0
    bounded = k > 0
    return {
        "n": n,
        "median": round(median(ordered), 4) if n else None,
        "low": round(ordered[k - 1], 4) if bounded else None,
        "high": round(ordered[n - k], 4) if bounded else None,
    }

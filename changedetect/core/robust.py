"""Medians and quantiles of small arrays: numpy's own values, without the checks that take longer than the sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def median(values: NDArray[Any], *, along_rows: bool = False) -> Any:
    """Return the median of all values, or of each row of (row, n), as `np.median` does; of floats without NaN.

    Raises
    ------
    ValueError
        There is no value.
    """
    array = values if along_rows else values.ravel()
    size = array.shape[-1]
    half = size // 2
    if size == 0:
        raise ValueError("no values have no median")
    if size % 2:
        return np.partition(array, half, axis=-1)[..., half]
    ordered = np.partition(array, (half - 1, half), axis=-1)
    return (ordered[..., half - 1] + ordered[..., half]) / 2


def quantile(values: NDArray[Any], share: float) -> Any:
    """Return the quantile of all values, linear between two of them as `np.quantile` has it; of floats without NaN.

    Raises
    ------
    ValueError
        There is no value.
    """
    flat = values.ravel()
    last = flat.size - 1
    at = share * last
    if last < 0:
        raise ValueError("no values have no quantile")
    low = int(at)
    high = min(low + 1, last)
    ordered = np.partition(flat, (low, high))
    below, above, part = ordered[low], ordered[high], at - low
    # From the nearer end, as numpy has it.
    return above - (above - below) * (1 - part) if part >= 0.5 else below + (above - below) * part

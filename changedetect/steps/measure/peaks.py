"""Peaks of a profile that stand out from what is between them and higher ground."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def find_peaks(profile: NDArray[np.float64], prominence: float) -> NDArray[np.intp]:
    """Return the positions of the peaks of at least `prominence` in a profile (n,), in its unit, in order.

    The middle of a flat top counts, ends do not. The same as scipy.signal's function of this name, whose package takes
    longer to import than a small place takes to work on (tests compare them).

    Notes
    -----
    A peak's prominence is its height over the higher of the two lowest points on the ways to higher ground, or to the
    ends of the profile.
    """
    starts = np.concatenate([[0], np.flatnonzero(profile[1:] != profile[:-1]) + 1])
    level = profile[starts]
    top = np.flatnonzero((level[1:-1] > level[:-2]) & (level[1:-1] > level[2:])) + 1
    if top.size == 0:
        return top
    height = level[top][:, None]
    run, here = np.arange(level.size), top[:, None]
    higher = level > height
    left = np.where(higher & (run < here), run, -1).max(axis=1)[:, None]
    right = np.where(higher & (run > here), run, level.size).min(axis=1)[:, None]
    lowest = [
        np.where(way, level, np.inf).min(axis=1)
        for way in ((run > left) & (run <= here), (run < right) & (run >= here))
    ]
    stands_out = height[:, 0] - np.maximum(*lowest) >= prominence
    return np.asarray(((starts[top] + starts[top + 1] - 1) // 2)[stands_out])

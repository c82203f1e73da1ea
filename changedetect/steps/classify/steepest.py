"""The steeper of two neighbours' differences, told everywhere and looked up where it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Slope:
    """Differences between neighbours along rows or columns."""

    steps: Plane
    """(band, row, col), one less along the axis."""
    index: NDArray[np.intp]
    """(row, col) the step along the axis on the side of a pixel that differs more."""
    axis: int

    def at(self, row: NDArray[np.intp], col: NDArray[np.intp]) -> Plane:
        """Return the steeper difference per band at pixels, (band, n)."""
        along = self.index[row, col]
        return np.asarray(self.steps[:, along, col] if self.axis == 1 else self.steps[:, row, along])


def steepest(planes: Plane) -> tuple[Slope, Slope]:
    """Return per band the difference to the neighbour along rows and columns, the side that differs more."""
    found = []
    for axis in (1, 2):
        steps = np.diff(planes, axis=axis)
        power = (steps**2).sum(axis=0)
        last = power.shape[axis - 1]
        at = np.arange(last + 1)
        ahead, behind = (np.clip(at - back, 0, last - 1) for back in (0, 1))
        steeper = power.take(ahead, axis=axis - 1) >= power.take(behind, axis=axis - 1)
        along = (slice(None), None) if axis == 1 else (None, slice(None))
        found.append(Slope(steps, np.where(steeper, ahead[along], behind[along]), axis))
    return found[0], found[1]

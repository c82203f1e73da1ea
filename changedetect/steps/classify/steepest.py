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
        power = steps[0] * steps[0]
        for step in steps[1:]:
            power += step * step
        last = power.shape[axis - 1]
        # past the first and the last step there is one side only
        at = np.minimum(np.arange(last + 1), last - 1)
        index = np.empty((planes.shape[1], planes.shape[2]), np.intp)
        index[:] = at[:, None] if axis == 1 else at
        if axis == 1:
            index[1:-1] -= power[:-1] >= power[1:]
        else:
            index[:, 1:-1] -= power[:, :-1] >= power[:, 1:]
        found.append(Slope(steps, index, axis))
    return found[0], found[1]

"""The simulated square: local metres and where they lie on the earth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import Transformer
from shapely.geometry import box

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True, slots=True)
class Square:
    """A square of ground: local metres run east (x) and south (y) from its top-left corner."""

    crs: str
    left: float
    top: float
    size_m: float

    @property
    def extent(self) -> BaseGeometry:
        """The square in local metres."""
        return box(0, 0, self.size_m, self.size_m)

    def to_wgs84(self, shape: BaseGeometry) -> BaseGeometry:
        """Return a local shape in WGS 84 lon/lat."""
        convert = Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True)

        def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack(convert.transform(self.left + xy[:, 0], self.top - xy[:, 1]), 1)

        return shapely.transform(shape, move)

    def from_wgs84(self, shape: BaseGeometry) -> BaseGeometry:
        """Return a WGS 84 shape in local metres."""
        convert = Transformer.from_crs("EPSG:4326", self.crs, always_xy=True)

        def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            x, y = convert.transform(xy[:, 0], xy[:, 1])
            return np.stack([np.asarray(x) - self.left, self.top - np.asarray(y)], 1)

        return shapely.transform(shape, move)

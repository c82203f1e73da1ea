"""The page's own coordinates: metres east and north of a corner of the grid, with the way back to WGS 84."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pyproj import Transformer

from changedetect.core.grid import Bounds

Ring = list[list[float]]
Polygons = list[list[Ring]]
"""Polygons, each a list of rings, exterior first, of [y, x] pairs as Leaflet takes them."""


@dataclass(frozen=True)
class Frame:
    """Where the page's metres lie on the Earth."""

    crs: str
    """Of the run's grid."""
    bounds: Bounds
    """(left, bottom, right, top) in metres of that grid; the page's origin is its lower left corner."""

    @cached_property
    def _to_grid(self) -> Transformer:
        return Transformer.from_crs(4326, self.crs, always_xy=True)

    @property
    def size(self) -> tuple[float, float]:
        """(width, height) in metres."""
        left, bottom, right, top = self.bounds
        return (right - left, top - bottom)

    def box(self, bounds: list[float]) -> list[list[float]]:
        """Return bounds of the grid as [[south, west], [north, east]] of the page."""
        left, bottom, right, top = bounds
        return [self._local(left, bottom), self._local(right, top)]

    def ring(self, ring: Ring) -> Ring:
        """Return a ring of the grid's (x, y) as the page's [y, x]."""
        return [self._local(x, y) for x, y in ring]

    def shapes(self, geometry: dict[str, Any] | None) -> Polygons:
        """Return a WGS 84 GeoJSON polygon or multipolygon in the page's coordinates; nothing for no area."""
        if geometry is None or geometry["type"] not in ("Polygon", "MultiPolygon"):
            return []
        parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        return [[self._projected(ring) for ring in part] for part in parts]

    def lonlat(self, x: float, y: float) -> tuple[float, float]:
        """Return WGS 84 (longitude, latitude) of the page's metres."""
        lon, lat = self._to_grid.transform(x + self.bounds[0], y + self.bounds[1], direction="INVERSE")
        return float(lon), float(lat)

    def polynomial(self) -> dict[str, Any]:
        """Return how a page without a projection library gets from its metres to WGS 84.

        `lon` and `lat` are coefficients of the terms u^i v^j, i + j <= 3, of u, v = (x, y) / `scale` - 1.
        """
        scale = max(self.size) / 2
        steps = np.linspace(0, 2 * scale, 12)
        x, y = (axis.ravel() for axis in np.meshgrid(steps, steps))
        lon, lat = self._to_grid.transform(x + self.bounds[0], y + self.bounds[1], direction="INVERSE")
        terms = np.stack([(x / scale - 1) ** i * (y / scale - 1) ** j for i, j in _powers()], axis=1)
        fits = np.linalg.lstsq(terms, np.stack([lon, lat], axis=1), rcond=None)[0]
        return {"scale": scale, "powers": _powers(), "lon": fits[:, 0].tolist(), "lat": fits[:, 1].tolist()}

    def north_deg(self) -> float:
        """Return the angle of true north at the middle, degrees clockwise from the grid's north."""
        x, y = (side / 2 for side in self.size)
        lon, lat = self.lonlat(x, y)
        north = self._to_grid.transform(lon, lat + 1e-4)
        here = self._to_grid.transform(lon, lat)
        return math.degrees(math.atan2(north[0] - here[0], north[1] - here[1]))

    def _local(self, x: float, y: float) -> list[float]:
        return [round(y - self.bounds[1], 2), round(x - self.bounds[0], 2)]

    def _projected(self, ring: Ring) -> Ring:
        lon, lat = (list(axis) for axis in zip(*((point[0], point[1]) for point in ring), strict=True))
        xs, ys = self._to_grid.transform(lon, lat)
        return [self._local(x, y) for x, y in zip(xs[:-1], ys[:-1], strict=True)]


def _powers() -> list[list[int]]:
    return [[i, j] for i in range(4) for j in range(4 - i)]

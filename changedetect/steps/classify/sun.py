"""Where the sun stood: from the moment of acquisition and the place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pyproj import Transformer

if TYPE_CHECKING:
    from datetime import datetime

    from changedetect.core.grid import Grid


def sun_over(grid: Grid, acquired: datetime) -> tuple[float, float]:
    """Return azimuth (clockwise from the grid's north) and elevation of the sun over the middle of a grid, degrees.

    Good to half a degree; what is acquired at an unknown hour of the day gets a sun that may be below the horizon.

    References
    ----------
    Michalsky, The Astronomical Almanac's algorithm for approximate solar position, Solar Energy 40(3), 1988.
    """
    rows, cols = grid.shape
    x, y = grid.transform @ (cols / 2, rows / 2)
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    days = acquired.timestamp() / 86400.0 - 10957.5  # since noon of 1 January 2000
    anomaly = math.radians((357.528 + 0.9856003 * days) % 360.0)
    longitude = 280.460 + 0.9856474 * days + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly)
    ecliptic, tilt = math.radians(longitude % 360.0), math.radians(23.439 - 4e-7 * days)
    ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    sidereal = math.radians((280.46062 + 360.98564737 * days + lon) % 360.0)
    hour, phi = sidereal - ascension, math.radians(lat)
    up = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(hour)
    east = -math.cos(declination) * math.sin(hour)
    north = math.cos(phi) * math.sin(declination) - math.sin(phi) * math.cos(declination) * math.cos(hour)
    return math.degrees(math.atan2(east, north)) % 360.0, math.degrees(math.asin(max(-1.0, min(1.0, up))))

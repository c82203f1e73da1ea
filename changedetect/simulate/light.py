"""Sunlight: where the sun stands, what slopes catch of it, and what stands in its way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

SKYLIGHT = (0.46, 0.40, 0.35, 0.30)
"""Share of the light that is left in full shadow, per band: the sky is blue."""


def find_sun(acquired: datetime, lon_deg: float, lat_deg: float) -> tuple[float, float]:
    """Return the sun's azimuth (clockwise from north) and elevation, degrees, good to about half a degree.

    References
    ----------
    Spencer, Fourier series representation of the position of the sun, Search 2(5), 1971.
    """
    day = acquired.timetuple().tm_yday
    hour = acquired.hour + acquired.minute / 60 + acquired.second / 3600
    g = 2 * math.pi * (day - 1 + (hour - 12) / 24) / 365
    declination = 0.006918 - 0.399912 * math.cos(g) + 0.070257 * math.sin(g) - 0.006758 * math.cos(2 * g)
    declination += 0.000907 * math.sin(2 * g)
    equation = 229.18 * (0.000075 + 0.001868 * math.cos(g) - 0.032077 * math.sin(g) - 0.014615 * math.cos(2 * g))
    equation -= 229.18 * 0.040849 * math.sin(2 * g)
    angle = math.radians((hour * 60 + equation + 4 * lon_deg) / 4 - 180)
    lat = math.radians(lat_deg)
    up = math.sin(lat) * math.sin(declination) + math.cos(lat) * math.cos(declination) * math.cos(angle)
    elevation = math.asin(max(-1.0, min(1.0, up)))
    east = -math.cos(declination) * math.sin(angle)
    north = math.cos(lat) * math.sin(declination) - math.sin(lat) * math.cos(declination) * math.cos(angle)
    return math.degrees(math.atan2(east, north)) % 360, math.degrees(elevation)


def cast_shadows(
    height_m: NDArray[np.float32], pixel_m: float, azimuth_deg: float, elevation_deg: float
) -> NDArray[np.bool_]:
    """Return True where something stands between the ground and the sun, (row, col): marching towards the sun."""
    rise = math.tan(math.radians(max(elevation_deg, 5.0))) * pixel_m
    span = float(height_m.max() - height_m.min())
    steps = math.ceil(span / rise) if span > 0 else 0
    step_col, step_row = math.sin(math.radians(azimuth_deg)), -math.cos(math.radians(azimuth_deg))
    rows, cols = height_m.shape
    horizon = np.full(height_m.shape, -1e3, np.float32)
    seen: set[tuple[int, int]] = set()
    for k in range(1, steps + 1):
        dr, dc = round(k * step_row), round(k * step_col)
        if (dr, dc) == (0, 0) or (dr, dc) in seen or abs(dr) >= rows or abs(dc) >= cols:
            continue
        seen.add((dr, dc))
        r0, r1, c0, c1 = max(0, -dr), min(rows, rows - dr), max(0, -dc), min(cols, cols - dc)
        blocker = cv2.subtract(height_m[r0 + dr : r1 + dr, c0 + dc : c1 + dc], (k * rise, 0, 0, 0))
        view = horizon[r0:r1, c0:c1]
        np.maximum(view, blocker, out=view)
    return horizon > height_m + np.float32(0.02)


def illuminate(
    reflectance: NDArray[np.float32], height_m: NDArray[np.float32], pixel_m: float, sun_deg: tuple[float, float]
) -> NDArray[np.float32]:
    """Return the reflectance as seen under the sun (azimuth, elevation), shaded and shadowed, in place."""
    azimuth, elevation = math.radians(sun_deg[0]), math.radians(sun_deg[1])
    if float(height_m.max()) == 0.0 and float(height_m.min()) == 0.0:
        return reflectance
    to_east, to_south = math.sin(azimuth), -math.cos(azimuth)
    slope_x = np.clip(cv2.Sobel(height_m, cv2.CV_32F, 1, 0, scale=1 / (8 * pixel_m)), -0.8, 0.8)
    slope_y = np.clip(cv2.Sobel(height_m, cv2.CV_32F, 0, 1, scale=1 / (8 * pixel_m)), -0.8, 0.8)
    steepness = np.sqrt(1.0 + slope_x**2 + slope_y**2)
    facing = (1.0 - (slope_x * to_east + slope_y * to_south) / math.tan(elevation)) / steepness
    direct = np.clip(facing, 0.0, 1.9).astype(np.float32)
    direct[cast_shadows(height_m, pixel_m, *sun_deg)] = 0.0
    for k, sky in enumerate(SKYLIGHT):
        reflectance[..., k] *= np.float32(sky) + np.float32(1.0 - sky) * direct
    return reflectance

"""Sunlight: where the sun stands, what slopes catch of it, and what stands in its way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.simulate.terrain import row_strips

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
    top = float(height_m.max())
    steps = math.ceil((top - float(height_m.min())) / rise)
    step_col, step_row = math.sin(math.radians(azimuth_deg)), -math.cos(math.radians(azimuth_deg))
    rows, cols = height_m.shape
    dark = np.zeros(height_m.shape, bool)
    for strip in row_strips(rows):
        horizon = np.full((strip.stop - strip.start, cols), -1e3, np.float32)
        for k in range(1, steps + 1):
            dr, dc = round(k * step_row), round(k * step_col)
            r0, r1 = max(strip.start, -dr), min(strip.stop, rows - dr)
            c0, c1 = max(0, -dc), min(cols, cols - dc)
            if r0 >= r1 or c0 >= c1:
                break
            blocker = height_m[r0 + dr : r1 + dr, c0 + dc : c1 + dc] - np.float32(k * rise)
            view = horizon[r0 - strip.start : r1 - strip.start, c0:c1]
            np.maximum(view, blocker, out=view)
        dark[strip] = horizon > height_m[strip] + np.float32(0.02)
    return dark


def illuminate(
    reflectance: NDArray[np.float32], height_m: NDArray[np.float32], pixel_m: float, sun_deg: tuple[float, float]
) -> NDArray[np.float32]:
    """Return the reflectance as seen under the sun (azimuth, elevation), shaded and shadowed, in place."""
    azimuth, elevation = math.radians(sun_deg[0]), math.radians(sun_deg[1])
    if float(height_m.max()) == 0.0 and float(height_m.min()) == 0.0:
        return reflectance
    dark = cast_shadows(height_m, pixel_m, *sun_deg)
    sky = np.array(SKYLIGHT, np.float32)
    to_east, to_south = (np.float32(v / math.tan(elevation)) for v in (math.sin(azimuth), -math.cos(azimuth)))
    for rows in row_strips(len(height_m)):
        around = slice(max(rows.start - 1, 0), min(rows.stop + 1, len(height_m)))
        inner = slice(rows.start - around.start, rows.stop - around.start)
        part = height_m[around]
        if not part.any():
            reflectance[rows] *= np.where(dark[rows][..., None], sky, np.float32(1.0))
            continue
        slope_x = np.clip(cv2.Sobel(part, cv2.CV_32F, 1, 0, scale=1 / (8 * pixel_m))[inner], -0.8, 0.8)
        slope_y = np.clip(cv2.Sobel(part, cv2.CV_32F, 0, 1, scale=1 / (8 * pixel_m))[inner], -0.8, 0.8)
        facing = (1.0 - slope_x * to_east - slope_y * to_south) / np.sqrt(1.0 + slope_x**2 + slope_y**2)
        direct = np.clip(facing, 0.0, 1.9)
        direct[dark[rows]] = 0.0
        reflectance[rows] *= sky + (1.0 - sky) * direct[..., None]
    return reflectance

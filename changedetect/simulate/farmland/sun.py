"""The sun and the eye: where the sun stands, what lies in shadow, how tall things lean away from the sensor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

PENUMBRA_M = 0.18
"""Depth below the edge of light at which a shadow is full."""


def locate_sun(moment: datetime, lon_deg: float, lat_deg: float) -> tuple[float, float]:
    """Return azimuth (clockwise from north) and elevation of the sun, degrees, good to a few hundredths.

    References
    ----------
    Meeus, Astronomical Algorithms, 2nd ed., 1998, chapter 25 (low accuracy).
    """
    days = (moment.timestamp() - 946_728_000.0) / 86_400.0  # since 2000-01-01 12:00 UTC
    mean = math.radians((280.46646 + 0.98564736 * days) % 360.0)
    anomaly = math.radians((357.52911 + 0.98560028 * days) % 360.0)
    longitude = mean + math.radians(1.914602 * math.sin(anomaly) + 0.019993 * math.sin(2 * anomaly))
    tilt = math.radians(23.439291 - 3.563e-7 * days)
    ascension = math.atan2(math.cos(tilt) * math.sin(longitude), math.cos(longitude))
    declination = math.asin(math.sin(tilt) * math.sin(longitude))
    sidereal = math.radians((280.46061837 + 360.98564736629 * days + lon_deg) % 360.0)
    hour, lat = sidereal - ascension, math.radians(lat_deg)
    up = math.sin(lat) * math.sin(declination) + math.cos(lat) * math.cos(declination) * math.cos(hour)
    north = math.sin(declination) * math.cos(lat) - math.cos(declination) * math.sin(lat) * math.cos(hour)
    east = -math.cos(declination) * math.sin(hour)
    return math.degrees(math.atan2(east, north)) % 360.0, math.degrees(math.asin(max(-1.0, min(1.0, up))))


def find_shade(
    height_m: NDArray[np.float32], blocker_m: NDArray[np.float32], cell_m: float, sun_deg: tuple[float, float]
) -> NDArray[np.float32]:
    """Return how much of the direct light `blocker_m` keeps from surfaces at `height_m`, (row, col), 0 to 1.

    The world is sheared until the sun stands straight up or down the columns (or along the rows); one running maximum
    of height plus what light falls per cell is then the horizon of every cell.
    """
    azimuth, elevation = math.radians(sun_deg[0]), math.radians(max(sun_deg[1], 4.0))
    east, south = math.sin(azimuth), -math.cos(azimuth)  # towards the sun
    swapped = abs(east) > abs(south)
    if swapped:
        height_m, blocker_m, east, south = height_m.T, blocker_m.T, south, east
    flipped = south > 0  # rows must run away from the sun
    if flipped:
        height_m, blocker_m, south = height_m[::-1], blocker_m[::-1], -south
    slope = east / south  # columns towards the sun gained per row towards it
    rows, cols = height_m.shape
    pad = math.ceil(abs(slope) * rows) + 1
    offset = pad if slope > 0 else 0
    # sheared column = col - slope * row + offset: light travels along one sheared column
    shear = np.array([[1.0, -slope, offset], [0.0, 1.0, 0.0]], np.float32)
    flags = cv2.INTER_LINEAR
    sheared = np.asarray(
        cv2.warpAffine(
            np.ascontiguousarray(blocker_m), shear, (cols + pad, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE
        ),
        np.float32,
    )
    fall = math.tan(elevation) * cell_m / abs(south)
    drop = (np.arange(rows, dtype=np.float32) * np.float32(fall))[:, None]
    sheared += drop
    horizon = np.maximum.accumulate(sheared, axis=0, out=sheared)
    horizon[1:] = horizon[:-1].copy()  # nothing shades itself
    horizon -= drop
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shade = np.asarray(
        cv2.warpAffine(horizon, shear, (cols, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
    shade -= height_m
    shade -= np.float32(0.04)
    shade *= np.float32(1.0 / PENUMBRA_M)
    np.clip(shade, 0.0, 1.0, out=shade)
    if flipped:
        shade = shade[::-1]
    return np.ascontiguousarray(shade.T if swapped else shade)


def face_sun(
    slope_x: NDArray[np.float32], slope_y: NDArray[np.float32], sun_deg: tuple[float, float]
) -> NDArray[np.float32]:
    """Return the direct light on a slope (rise per metre east and south) as a multiple of that on flat ground."""
    azimuth, low = math.radians(sun_deg[0]), 1.0 / math.tan(math.radians(max(sun_deg[1], 4.0)))
    facing = 1.0 - np.float32(low * math.sin(azimuth)) * slope_x + np.float32(low * math.cos(azimuth)) * slope_y
    facing /= np.sqrt(1.0 + slope_x**2 + slope_y**2)
    return np.asarray(np.clip(facing, 0.0, 2.2))


def find_lean(
    height_m: NDArray[np.float32], cell_m: float, off_nadir_deg: float, view_azimuth_deg: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]] | None:
    """Return where each cell's picture comes from (col, row) and whether it is the side of something tall.

    The sensor stands in the direction `view_azimuth_deg`; what is tall leans the other way by height times the tangent
    of the angle off nadir. None where nothing leans by a third of a cell.
    """
    lean = math.tan(math.radians(off_nadir_deg)) / cell_m
    top = float(height_m.max())
    if top * lean < 0.34:
        return None
    away_col = -math.sin(math.radians(view_azimuth_deg))
    away_row = math.cos(math.radians(view_azimuth_deg))
    rows, cols = height_m.shape
    steps = np.zeros(height_m.shape, np.float32)
    side = np.zeros(height_m.shape, bool)
    for k in range(1, math.ceil(top * lean) + 1):
        dr, dc = round(k * away_row), round(k * away_col)
        to = (slice(max(dr, 0), rows + min(dr, 0)), slice(max(dc, 0), cols + min(dc, 0)))
        of = (slice(max(-dr, 0), rows + min(-dr, 0)), slice(max(-dc, 0), cols + min(-dc, 0)))
        reach = height_m[of] * np.float32(lean)
        seen = reach >= k - 0.5
        np.copyto(steps[to], np.minimum(reach, np.float32(k + 0.5)), where=seen)
        np.copyto(side[to], reach > k + 1.0, where=seen)
    col = np.arange(cols, dtype=np.float32)[None, :] - np.float32(away_col) * steps
    row = np.arange(rows, dtype=np.float32)[:, None] - np.float32(away_row) * steps
    return col, row, side

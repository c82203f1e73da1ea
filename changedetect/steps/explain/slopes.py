"""How much of a change is the sun standing otherwise over the two slopes of a roof that is what it was."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from changedetect.steps.explain.view import View

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]
    Vector = NDArray[np.float64]

_SLOPES_DEG = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0)
_SKY_SHARES = (0.0, 0.15, 0.3)
"""Of the light on flat ground, what comes from the sky: less in near infrared, more in haze."""
_SQUARE = 1.3
"""Regions no longer than this times their width may slope any of four ways; others across their length."""
_LEAST_PX = 12
_LOWEST_SUN_DEG = 5.0
_LEAST_LIGHT = 0.05
"""Of that on flat ground: walls and ground light what neither sun nor sky does."""
_LEAST_BANDS = 3
"""With fewer, another material in another light looks the same."""
_SAME_COLOUR = 0.2
"""Largest difference of bands (log) between two slopes of one roof: the sky that lights the darker one is blue."""
_GAIN_ERROR = 0.2
"""Brightness of both slopes may be wrong by this (log) on one date: season and haze are not quite normalised away."""
_OTHER_SLOPE = 0.4
"""Where light alone changed, the slope that changed less did so by at most this share of the other."""
_DARKEST = 0.05
"""Share of the usual brightness below which logarithms are cut."""


def slope_gain(images: tuple[Plane, Plane], mask: Mask, views: tuple[View, View]) -> float:
    """Return the share of the squared change of two slopes of a roof that the sun's way between the dates takes away.

    Parameters
    ----------
    images : tuple of ndarray
        Before and after, (band, row, col), normalised: flat ground that stayed the same has the same numbers.
    mask : ndarray
        The object, (row, col): one slope, or both.
    views : tuple of View
        Angles of the scene and of the baseline.

    Returns
    -------
    float
        0 to 1; 0 where a sun is unknown, and where what lies beyond the object's far side is not of its material on
        both dates. It is the opposite slope then: new paint would be on both.

    Notes
    -----
    A slope that the sun meets at an angle i is lit by cos i / sin(elevation) times what flat ground is; the sky lights
    both alike. One slope, one way it faces and one share of the sky are fitted to all bands of both slopes, and
    compared with no such change; what both have in common may be the error of the gain.
    """
    suns = [(view.sun_azimuth_deg, view.sun_elevation_deg) for view in views]
    if any(angle is None for sun in suns for angle in sun):
        return 0.0
    now, then = ((float(azimuth or 0.0), float(elevation or 0.0)) for azimuth, elevation in suns)
    found = _levels_of_slopes(images, mask, 0.0)
    return max((_gain(levels[:, 1] - levels[:, 0], way, (then, now)) for way, levels in found), default=0.0)


def turned_light(images: tuple[Plane, Plane], mask: Mask, blacks: Sequence[float]) -> float:
    """Return the share of the squared change of two slopes of a roof that is light which only one of them lost or won.

    Parameters
    ----------
    images : tuple of ndarray
        Before and after, (band, row, col), normalised.
    mask : ndarray
        The object, (row, col): one slope, or both.
    blacks : sequence of float
        Brightness at which the images may show black, as shares of the usual brightness: a stretch hides it.

    Returns
    -------
    float
        0 to 1; 0 where both slopes changed much alike: new paint is on both.

    Notes
    -----
    For pictures: their suns are seldom known, and their stretch bends how much light there was. Light takes the same
    share of all bands, once what the stretch took away is added again. What the sun meets at less of an angle changes
    most; where that is the brighter slope, it was painted.
    """
    best = 0.0
    for black in blacks:
        for _, levels in _levels_of_slopes(images, mask, black):
            light = levels.mean(axis=2)  # (slope, date)
            if _is_turned(light):
                left = np.diff(levels - light[:, :, None], axis=1)
                best = max(best, 1.0 - float((left**2).sum() / (np.diff(levels, axis=1) ** 2).sum()))
    return best


def _levels_of_slopes(images: tuple[Plane, Plane], mask: Mask, black: float) -> Iterator[tuple[float, Vector]]:
    """Yield which way a slope may face, and of it and the one behind it, if of a kind, (slope, date, band) logs."""
    core = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0
    if core.sum() < _LEAST_PX or len(images[0]) < _LEAST_BANDS:
        return
    levels = [_log(image, images[0], black) for image in images]
    for facing_deg, depth_px in _ways(mask):
        # The object is one slope and the other lies beyond it, or it is both.
        near, behind = _halves(core, facing_deg)
        for one, other in ((core, _beyond(core, mask, facing_deg, depth_px)), (near, behind)):
            if min(one.sum(), other.sum()) >= _LEAST_PX:
                own, opposite = ([_middle(level, part) for level in levels] for part in (one, other))
                if all(_alike(a, b) for a, b in zip(own, opposite, strict=True)):
                    yield facing_deg, np.array([own, opposite])


def _is_turned(light: Vector) -> bool:
    """Return whether of two slopes, (slope, date), the one in less light changed and the other hardly did or less."""
    change = light[:, 1] - light[:, 0]
    most = int(np.argmax(np.abs(change)))
    darker = int(np.argmin(light[most]))
    in_less_light = light[most, darker] < light[1 - most, darker]
    return bool(change[most] and in_less_light and change[1 - most] / change[most] <= _OTHER_SLOPE)


def _gain(seen: Vector, facing_deg: float, suns: tuple[tuple[float, float], ...]) -> float:
    """Return the share of the change of both slopes that the best fit takes away."""
    unexplained = max(_energy(seen), 1e-9)
    best = 0.0
    for slope_deg, sky in product(_SLOPES_DEG, _SKY_SHARES):
        lit = [_relit(facing_deg + turn, slope_deg, suns, sky) for turn in (0.0, 180.0)]
        best = max(best, 1.0 - _energy(seen - np.array(lit)[:, None]) / unexplained)
    return best


def _log(image: Plane, before: Plane, black: float) -> Plane:
    usual = np.median(before, axis=(1, 2), keepdims=True)
    # Black is a share of the whole, of which the image shows the rest.
    whole = image + usual * np.float32(black / (1.0 - black))
    return np.asarray(np.log(np.maximum(whole, np.maximum(_DARKEST * usual, 1e-6))), np.float32)


def _middle(level: Plane, part: Mask) -> Vector:
    return np.asarray(np.median(level[:, part], axis=1), np.float64)


def _alike(one: Vector, other: Vector) -> bool:
    """Return whether two logs of brightness per band are those of one material in more and in less light."""
    apart = other - one
    return bool(np.abs(apart - apart.mean()).max() <= _SAME_COLOUR)


def _energy(change: Vector) -> float:
    """Return what is left of a change (slope, band), squared, less what both slopes may share as error of the gain."""
    left = change - np.clip(change.mean(axis=0), -_GAIN_ERROR, _GAIN_ERROR)
    return float((left * left).sum())


def _ways(mask: Mask) -> Iterator[tuple[float, float]]:
    """Yield the ways a slope of this outline may face, degrees clockwise from north, and how deep it is that way."""
    rows, cols = np.nonzero(mask)
    box = cv2.minAreaRect(np.stack([cols, rows], axis=1).astype(np.float32))
    corners = cv2.boxPoints(box)
    sides = [corners[1] - corners[0], corners[2] - corners[1]]
    lengths = [float(np.hypot(*side)) + 1.0 for side in sides]
    longer = int(lengths[1] > lengths[0])
    for along in (longer, 1 - longer):
        if along != longer and lengths[longer] > _SQUARE * lengths[along]:
            continue
        # It faces across this side; (col, -row) is (east, north).
        heading = math.degrees(math.atan2(float(sides[along][0]), float(-sides[along][1])))
        for turn in (90.0, 270.0):
            yield heading + turn, lengths[1 - along]


def _halves(core: Mask, facing_deg: float) -> tuple[Mask, Mask]:
    """Return the half of the object on the side it faces and the other, less the ridge between them."""
    rows, cols = np.nonzero(core)
    angle = math.radians(facing_deg)
    along = cols * math.sin(angle) - rows * math.cos(angle)
    middle = 0.5 * (along.min() + along.max())
    halves = np.zeros((2, *core.shape), bool)
    for half, part in zip(halves, (along > middle + 1.0, along < middle - 1.0), strict=True):
        half[rows[part], cols[part]] = True
    return halves[0], halves[1]


def _beyond(core: Mask, mask: Mask, facing_deg: float, depth_px: float) -> Mask:
    """Return the object's core moved to where the opposite slope lies."""
    angle = math.radians(facing_deg)
    step = np.array([[1, 0, -depth_px * math.sin(angle)], [0, 1, depth_px * math.cos(angle)]], np.float32)
    size = (core.shape[1], core.shape[0])
    moved = cv2.warpAffine(core.astype(np.uint8), step, size, flags=cv2.INTER_NEAREST)
    return np.asarray((moved > 0) & ~mask)


def _relit(facing_deg: float, slope_deg: float, suns: tuple[tuple[float, float], ...], sky: float) -> float:
    """Return the log change of a slope's light over that of flat ground, from the first sun to the second.

    `sky` is the sky's share of the light on flat ground under the second sun: it grows as the sun sinks.
    """
    levels = []
    slope = math.radians(slope_deg)
    highs = [math.radians(max(elevation, _LOWEST_SUN_DEG)) for _, elevation in suns]
    for (azimuth_deg, _), high in zip(suns, highs, strict=True):
        part = sky * math.sin(highs[1]) / (sky * math.sin(highs[1]) + (1.0 - sky) * math.sin(high))
        met = math.cos(slope) + math.sin(slope) * math.cos(math.radians(azimuth_deg - facing_deg)) / math.tan(high)
        levels.append(part + (1.0 - part) * max(met, 0.0))
    return math.log(max(levels[1], _LEAST_LIGHT) / max(levels[0], _LEAST_LIGHT))

"""Plan forms fitted to fractions of a pixel: what tells a small aircraft from a lorry that is as long."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from shapely.geometry import Polygon
from shapely.ops import unary_union

from changedetect.steps.classify.airframe import (
    BLUR_PX,
    DEEPEST_SHADOW,
    FINE,
    LONGEST_DELTA_M,
    Pose,
    draw_parts,
    parts_of,
    shadow_reach_m,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    Plane = NDArray[np.float32]
    Mask = NDArray[np.bool_]

MOST_LIT = 1.0
"""Change of brightness across a body per pixel: round backs and walls are lit from one side."""
_CALLS = 120
"""Most templates drawn for one fit; what is left hardly falls after 100 to 150."""
_AROUND = tuple((ratio, along) for ratio in (0.85, 1.0, 1.2, 1.45) for along in (-0.15, 0.0, 0.15))
"""Other lengths and places along a pose to start from."""
_STARTS = 4
"""Of these, so many are fitted."""
_UNITS = (1.0, 1.0, 15.0, 0.2, 0.2, 0.3)
"""Steps of row and column (pixels), turn (degrees), and logarithms of length, breadth and height."""
_SPANS = {"swept": (0.7, 1.2), "straight": (0.85, 1.5), "delta": (0.5, 0.8)}
"""Span over length of real aircraft with such wings."""
_HEIGHTS = (0.07, 0.16)
"""Height over length: backs and wings lie low, fins stand high but are narrow."""
_BOX_M = ((3.0, 60.0), (2.2, 40.0), (0.5, 12.0))
"""Length, width and height of boxes: vehicles are 2.3 to 3 m wide and 2 to 4 m high, wet patches and remnants of cloud
anything."""
_LORRY_M = (10.0, 2.6)
"""Another start for boxes: in whole pixels a lorry may look like a square."""


def refine(
    change: Plane,
    weight: Plane,
    starts: Iterable[Pose],
    frame: tuple[float, tuple[float, float] | None],
    lengths_m: tuple[float, float],
) -> tuple[float, Pose] | None:
    """Return what the best pose leaves of the squared change, and that pose; None without starts.

    Parameters
    ----------
    change : ndarray
        (row, col) relative change of brightness.
    weight : ndarray
        (row, col) weight of each pixel, 0 where nothing is known or another thing lies.
    starts : iterable of Pose
        Each is improved by itself.
    frame : tuple
        Metres per pixel, and the sun's azimuth and elevation, None if unknown.
    lengths_m : tuple of float
        Least and most length of aircraft.

    Notes
    -----
    Nelder and Mead's simplex over place, turn, length and breadth; brightness of body and shadow by least squares.
    Templates on whole pixels and in steps of 15 degrees leave as much of a lorry as of a fighter; fitted ones do not.

    References
    ----------
    Nelder and Mead, A simplex method for function minimization, The Computer Journal 7(4), 1965.
    """
    first = list(starts)
    first += [replace(pose, length_m=_LORRY_M[0], breadth=_LORRY_M[1]) for pose in first if _may_be_lorry(pose)]
    found = [_refine_one(change, weight, start, frame, lengths_m) for start in first]
    return min(found, key=lambda one: one[0]) if found else None


def _may_be_lorry(pose: Pose) -> bool:
    return pose.family == "box" and pose.length_m <= 2.0 * _LORRY_M[0]


def best_start(
    change: Plane,
    weight: Plane,
    starts: Iterable[Pose],
    frame: tuple[float, tuple[float, float] | None],
    n: int = 1,
) -> tuple[Pose, ...]:
    """Return the `n` poses of `starts` that leave least as they stand; other arguments as of `refine`."""

    def left(pose: Pose) -> float:
        return left_over(change, weight, draw_pose(pose, change.shape, frame))

    return tuple(sorted(starts, key=left)[:n])


def look_around(
    change: Plane, weight: Plane, starts: Iterable[Pose], frame: tuple[float, tuple[float, float] | None]
) -> tuple[Pose, ...]:
    """Return the best few of each pose, heading either way, at other lengths and places along it.

    In whole pixels a nose is as dim as a tail, and the bright part of a fighter is taken for all of it.
    """
    around: list[Pose] = []
    for pose in starts:
        for way in (0.0, 180.0):
            turned = [_moved(replace(pose, turn_deg=pose.turn_deg + way), *by, frame[0]) for by in _AROUND]
            around += best_start(change, weight, turned, frame)
    return best_start(change, weight, around, frame, _STARTS)


def _moved(pose: Pose, ratio: float, along: float, gsd_m: float) -> Pose:
    """Return a pose longer by a factor, and moved ahead by a share of its length."""
    ahead_px, angle = along * pose.length_m / gsd_m, math.radians(pose.turn_deg)
    row, col = pose.row - ahead_px * math.cos(angle), pose.col + ahead_px * math.sin(angle)
    return replace(pose, length_m=ratio * pose.length_m, height_m=ratio * pose.height_m, row=row, col=col)


def put_wings_on(body: Pose) -> tuple[Pose, ...]:
    """Return aircraft whose fuselage a box may be, heading either way."""
    spans = {family: math.sqrt(_SPANS[family][0] * _SPANS[family][1]) for family in ("swept", "straight")}
    return tuple(
        replace(body, family=family, turn_deg=body.turn_deg + way, breadth=span, height_m=0.11 * body.length_m)
        for family, span in spans.items()
        for way in (0.0, 180.0)
    )


def _refine_one(
    change: Plane,
    weight: Plane,
    start: Pose,
    frame: tuple[float, tuple[float, float] | None],
    lengths_m: tuple[float, float],
) -> tuple[float, Pose]:
    from scipy.optimize import minimize  # scipy is slow to import: only where it is used

    longest = min(lengths_m[1], LONGEST_DELTA_M) if start.family == "delta" else lengths_m[1]
    limits = _BOX_M if start.family == "box" else ((lengths_m[0], longest), _SPANS[start.family], _HEIGHTS)
    ratio = 1.0 if start.family == "box" else start.length_m

    def pose_at(values: NDArray[np.float64]) -> tuple[Pose, float]:
        row, col, turn, *sizes = (value * unit for value, unit in zip(values, _UNITS, strict=True))
        inside = [
            min(max(size, math.log(low)), math.log(high)) for size, (low, high) in zip(sizes, limits, strict=True)
        ]
        beyond = sum(abs(size - kept) for size, kept in zip(sizes, inside, strict=True))
        length_m, breadth, height = (math.exp(value) for value in inside)
        if start.family != "box":
            height *= length_m
        return Pose(start.family, row, col, turn, length_m, breadth, height), beyond

    def cost(values: NDArray[np.float64]) -> float:
        pose, beyond = pose_at(values)
        return left_over(change, weight, draw_pose(pose, change.shape, frame)) * (1.0 + beyond)

    sizes = (start.length_m, start.breadth, start.height_m / ratio)
    first = np.array([start.row, start.col, start.turn_deg, *map(math.log, sizes)]) / _UNITS
    simplex = np.vstack([first, first + np.diag([0.5, 0.5, 0.6, 0.6, 0.6, 0.6])])
    done = minimize(
        cost, first, method="Nelder-Mead", options={"initial_simplex": simplex, "maxfev": _CALLS, "xatol": 0.02}
    )
    pose = pose_at(done.x)[0]
    return left_over(change, weight, draw_pose(pose, change.shape, frame)), pose


def draw_pose(
    pose: Pose, shape: tuple[int, ...], frame: tuple[float, tuple[float, float] | None]
) -> tuple[Plane, Plane, Plane]:
    """Return how a pose's body and its shadow cover each pixel, and the light on its sides, as a sensor blurs.

    Each (row, col): two shares, 0 to 1; sides that face the sun are positive, those that turn away negative.
    """
    gsd_m, sun_deg = frame
    rows, cols = shape
    parts, _ = parts_of(pose.family, pose.length_m, pose.breadth)
    fine = np.zeros((2, rows * FINE, cols * FINE), np.uint8)
    draw_parts(fine, parts, pose.turn_deg, (gsd_m, shadow_reach_m(pose.height_m, sun_deg)), (pose.row, pose.col))
    body, shadow = (
        cv2.GaussianBlur(
            cv2.resize(plane, (cols, rows), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255),
            (0, 0),
            BLUR_PX,
        )
        for plane in fine
    )
    sides = np.zeros_like(body)
    if sun_deg is not None:
        down, right = np.gradient(body)
        sides = down * math.cos(math.radians(sun_deg[0])) - right * math.sin(math.radians(sun_deg[0]))
    return np.asarray(body, np.float32), np.asarray(shadow, np.float32), np.asarray(sides, np.float32)


def left_over(change: Plane, weight: Plane, drawn: tuple[Plane, Plane, Plane]) -> float:
    """Return the weighted squares that a body, its lit sides and a shadow leave of a change.

    The shadow is no deeper than a full one, sides that face the sun are no darker than those that turn away.
    """
    planes = np.stack([plane.ravel() for plane in drawn]).astype(np.float64)
    held = planes * weight.ravel()
    gram, on = held @ planes.T, held @ change.ravel().astype(np.float64)
    gram[np.diag_indices(3)] += 1e-9
    _, deep, lit = np.linalg.solve(gram, on)
    deep, lit = min(max(deep, DEEPEST_SHADOW), 0.0), min(max(lit, 0.0), MOST_LIT)
    level = (on[0] - gram[0, 1] * deep - gram[0, 2] * lit) / gram[0, 0]
    rest = change.ravel() - np.array([level, deep, lit]) @ planes
    return float((weight.ravel() * rest**2).sum())


def support_of(pose: Pose, shape: tuple[int, ...], frame: tuple[float, tuple[float, float] | None]) -> Mask:
    """Return where a pose's body or its shadow lies, (row, col)."""
    body, shadow, _ = draw_pose(pose, shape, frame)
    return np.asarray((body > 0.25) | (shadow > 0.4))


def body_of(pose: Pose, gsd_m: float) -> BaseGeometry:
    """Return the outline of a pose's body in pixels: x along columns, y along rows from the corner of the window."""
    angle = math.radians(pose.turn_deg)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    origin = np.array([pose.col, pose.row]) + 0.5
    parts, _ = parts_of(pose.family, pose.length_m, pose.breadth)
    return unary_union([Polygon(part @ turn / gsd_m + origin) for part in parts])

"""Plan forms of aircraft, and of boxes to set against them, fitted to a patch of change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float32]
    Mask = NDArray[np.bool_]

FINE = 4
"""Templates are drawn with this many cells per pixel and averaged."""
BLUR_PX = 0.5
"""Sensor and resampling, on top of the pixel's own box."""
TURN_DEG = 15.0
STEP = 1.2
"""Ratio of neighbouring lengths."""
DEEPEST_SHADOW = -0.8
"""A full shadow takes no more of the ground's light than this."""

WINGS: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]] = {
    "swept": ((-0.12, 0.10, 0.16, 0.07), (0.40, 0.46, 0.50, 0.48), (0.80, 1.05)),
    "straight": ((-0.17, -0.13, -0.06, -0.03), (0.39, 0.41, 0.47, 0.48), (0.95, 1.2, 1.45)),
    "delta": ((-0.18, 0.18, 0.26, 0.28), (0.32, 0.42, 0.49, 0.47), (0.52, 0.70)),
}
"""Wing and tailplane as shares of the length behind the middle (leading edge at root and tip, trailing edge at tip and
root), and spans as shares of the length."""
TAILPLANES = {"swept": 0.4, "straight": 0.4, "delta": 0.6}
"""Span of the tailplane as a share of the wings': 0.33 to 0.4 of transports, 0.6 to 0.7 of fighters."""
WING_HEIGHT = 0.6
"""Height of wings over that of the back."""
LONGEST_DELTA_M = 30.0
"""Fighters and bombers with delta wings are no longer; what longer triangles fit are edges of clouds."""
ASPECTS = (1.0, 1.6, 2.5, 4.5)
"""Length over width of boxes."""


@dataclass(frozen=True, slots=True)
class Pose:
    """One template in its place."""

    family: str
    """One of `WINGS`, or `box`."""
    row: float
    col: float
    turn_deg: float
    length_m: float
    breadth: float
    """Span as a share of the length; of a box, its width in metres."""
    height_m: float
    """Of what throws the shadow."""


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """Templates of one family, ready to be correlated with patches of one size."""

    spectra: NDArray[np.complex64]
    """(template, 2, row, col): of the body and of its shadow."""
    gram: NDArray[np.float64]
    """(template, 3): body x body, body x shadow, shadow x shadow."""
    bodies: NDArray[np.float32]
    """(template, 2, row, col) about the middle of the patch."""
    length_m: float
    shapes: tuple[tuple[str, float], ...]
    """Family and breadth (`Pose`) of the templates, each in as many directions."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """The best template of a bank in a patch."""

    gain: float
    """Squared change that it explains."""
    model: Plane
    """(row, col) what it says the change is."""
    support: Mask
    """(row, col) where the body or its shadow lies."""
    length_m: float
    contrast: float
    """Relative brightness of the body against the ground."""
    poses: tuple[Pose, ...] = ()
    """The best of each family."""


def lengths_between(low_m: float, high_m: float) -> tuple[float, ...]:
    """Return the lengths of the ladder from `low_m` to `high_m`, at least one."""
    first, last = math.ceil(math.log(low_m, STEP)), math.floor(math.log(max(high_m, low_m), STEP))
    return tuple(round(STEP**k, 3) for k in range(first, max(last, first) + 1))


@lru_cache(maxsize=128)
def make_bank(family: str, length_m: float, gsd_m: float, side_px: int, sun_deg: tuple[float, float] | None) -> Bank:
    """Return the templates of one length, of `aircraft` or `box`, in all directions, with the shadows they throw."""
    from scipy import fft  # scipy is slow to import: only where it is used

    drawn = _draw_all(family, length_m, gsd_m, sun_deg)
    size = drawn.shape[-1]
    planes = np.zeros((*drawn.shape[:2], side_px, side_px), np.float32)
    first = side_px // 2 - size // 2
    low, high = max(first, 0), min(first + size, side_px)
    planes[..., low:high, low:high] = drawn[..., low - first : high - first, low - first : high - first]
    body, shadow = planes[:, 0].astype(np.float64), planes[:, 1].astype(np.float64)
    gram = np.stack([(a * b).sum(axis=(1, 2)) for a, b in ((body, body), (body, shadow), (shadow, shadow))], axis=1)
    spectra = fft.rfft2(fft.ifftshift(planes, axes=(-2, -1)))
    return Bank(np.asarray(spectra, np.complex64), gram, planes, length_m, _shapes_of(family, length_m))


def _shapes_of(family: str, length_m: float) -> tuple[tuple[str, float], ...]:
    """Return family and breadth of a bank's shapes, in its order."""
    if family == "aircraft":
        wings = [wing for wing in WINGS if wing != "delta" or length_m <= LONGEST_DELTA_M]
        return tuple((wing, share) for wing in wings for share in WINGS[wing][2])
    return tuple(("box", length_m / aspect) for aspect in ASPECTS)


@lru_cache(maxsize=128)
def _draw_all(family: str, length_m: float, gsd_m: float, sun_deg: tuple[float, float] | None) -> NDArray[np.float32]:
    """Return bodies and shadows, (template, 2, row, col), on the smallest odd square that holds them."""
    drawn = [parts_of(name, length_m, breadth) for name, breadth in _shapes_of(family, length_m)]
    shapes, heights = [parts for parts, _ in drawn], [height for _, height in drawn]
    turns = _turns(family)
    reach = max(heights) / math.tan(math.radians(sun_deg[1])) if sun_deg else 0.0
    size = 2 * math.ceil((0.75 * length_m + reach) / gsd_m + 2) + 1
    fine = np.zeros((2, len(shapes) * len(turns), size * FINE, size * FINE), np.uint8)
    for k, (shape, height) in enumerate(zip(shapes, heights, strict=True)):
        for j, turn in enumerate(turns):
            away_m = shadow_reach_m(height, sun_deg)
            draw_parts(fine[:, k * len(turns) + j], shape, float(turn), (gsd_m, away_m), (size // 2, size // 2))
    # one tall image instead of many: the margin around each is wider than the blur
    tall = fine.reshape(-1, size * FINE)
    shares = cv2.resize(tall, (size, len(tall) // FINE), interpolation=cv2.INTER_AREA).astype(np.float32)
    blurred = cv2.GaussianBlur(shares / np.float32(255), (0, 0), BLUR_PX)
    return np.ascontiguousarray(blurred.reshape(2, -1, size, size).swapaxes(0, 1))


def fit_best(change: Plane, where: Mask, banks: list[Bank]) -> Fit | None:
    """Return the template, at a place of the middle in `where`, that explains most of a square patch of change.

    Notes
    -----
    The change is a x body + b x shadow by least squares, b a darkening no deeper than a full shadow.
    """
    from scipy import fft

    best: tuple[float, Any] | None = None
    poses: dict[str, tuple[float, Pose]] = {}
    rows, cols = np.nonzero(where)
    spectrum = fft.rfft2(change)
    for bank in banks:
        hits = fft.irfft2(spectrum * np.conj(bank.spectra), s=change.shape)[:, :, where]
        gain, a, b = _solve(hits[:, 0], hits[:, 1], bank.gram)
        at = np.unravel_index(int(np.argmax(gain)), gain.shape)
        _keep_poses(poses, gain, (rows, cols), bank)
        if best is None or gain[at] > best[0]:
            best = (float(gain[at]), (bank, int(at[0]), int(at[1]), float(a[at]), float(b[at])))
    if best is None:
        return None
    bank, k, place, a_best, b_best = best[1]
    row, col = int(rows[place]), int(cols[place])
    middle = change.shape[0] // 2
    body, shadow = (np.roll(plane, (row - middle, col - middle), (0, 1)) for plane in bank.bodies[k])
    model = np.float32(a_best) * body + np.float32(b_best) * shadow
    support = (body > 0.25) | ((shadow > 0.4) & (b_best < -0.05))
    found = tuple(pose for _, pose in poses.values())
    return Fit(best[0], np.asarray(model, np.float32), support, bank.length_m, a_best, found)


def _keep_poses(
    poses: dict[str, tuple[float, Pose]],
    gain: NDArray[Any],
    places: tuple[NDArray[np.intp], NDArray[np.intp]],
    bank: Bank,
) -> None:
    """Put the best pose of each family into `poses`, with its gain, where it beats the one that is there."""
    n_turns = len(gain) // len(bank.shapes)
    for k, (family, breadth) in enumerate(bank.shapes):
        own = gain[k * n_turns : (k + 1) * n_turns]
        turn, place = np.unravel_index(int(np.argmax(own)), own.shape)
        if family not in poses or own[turn, place] > poses[family][0]:
            row, col = (float(axis[place]) for axis in places)
            height_m = parts_of(family, bank.length_m, breadth)[1]
            pose = Pose(family, row, col, TURN_DEG * float(turn), bank.length_m, breadth, height_m)
            poses[family] = (float(own[turn, place]), pose)


def _solve(
    body: NDArray[Any], shadow: NDArray[Any], gram: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the squares explained and both amplitudes, (template, place)."""
    tt, ts, ss = (gram[:, k, None] for k in range(3))
    det = np.maximum(tt * ss - ts * ts, 1e-9)
    b = np.where(ss > 1e-6, (tt * shadow - ts * body) / det, 0.0)
    b = np.clip(b, DEEPEST_SHADOW, 0.0)
    a = (body - b * ts) / np.maximum(tt, 1e-9)
    return 2 * (a * body + b * shadow) - (a * a * tt + 2 * a * b * ts + b * b * ss), a, b


def parts_of(family: str, length_m: float, breadth: float) -> tuple[list[NDArray[np.float64]], float]:
    """Return the convex polygons of a shape, nose up about (0, 0), metres (x, y), and its height in metres."""
    if family == "box":
        return [_rectangle(length_m, breadth)], max(2.5, min(0.8 * breadth, 10.0))
    return _outline(family, length_m, breadth), 0.11 * length_m


def _turns(family: str) -> NDArray[np.float64]:
    return np.arange(0.0, 360.0 if family == "aircraft" else 180.0, TURN_DEG)


def _outline(wing: str, length_m: float, span_share: float) -> list[NDArray[np.float64]]:
    """Return the polygons of an aircraft, nose up about (0, 0), metres (x, y)."""
    panel, tail, _ = WINGS[wing]
    half, body, tip = 0.5 * length_m, 0.055 * length_m, 0.5 * span_share * length_m
    fuselage = [(0, -half), (body, -0.8 * half), (body, 0.5 * half), (0.3 * body, half)]
    parts = [fuselage + [(-x, y) for x, y in reversed(fuselage)]]
    for (root_in, tip_in, tip_out, root_out), reach in ((panel, tip), (tail, TAILPLANES[wing] * tip)):
        flat = [(0, root_in), (reach, tip_in), (reach, tip_out), (0, root_out)]
        parts += [[(s * x, y * length_m) for x, y in flat] for s in (1, -1)]
    return [np.asarray(part, np.float64) for part in parts]


def _rectangle(length_m: float, width_m: float) -> NDArray[np.float64]:
    x, y = width_m / 2, length_m / 2
    return np.array([(-x, -y), (x, -y), (x, y), (-x, y)])


def shadow_reach_m(height_m: float, sun_deg: tuple[float, float] | None) -> tuple[float, float]:
    """Return how far right and down the shadow of something so high reaches."""
    if sun_deg is None:
        return 0.0, 0.0
    reach = height_m / math.tan(math.radians(sun_deg[1]))
    return -math.sin(math.radians(sun_deg[0])) * reach, math.cos(math.radians(sun_deg[0])) * reach


def draw_parts(
    fine: NDArray[np.uint8],
    parts: list[NDArray[np.float64]],
    turn_deg: float,
    frame: tuple[float, tuple[float, float]],
    at_px: tuple[float, float],
) -> None:
    """Draw a body and what its shadow sweeps, (2, row, col), `FINE` cells per pixel.

    Wings lie lower than the back: their shadow is shorter, and the back throws its own on them.

    Parameters
    ----------
    fine : ndarray
        (2, row, col) uint8, 0; gets 255.
    parts : list of ndarray
        From `parts_of`, the body first.
    turn_deg : float
        Clockwise.
    frame : tuple
        Metres per pixel, and how far right and down the shadow reaches, metres.
    at_px : tuple of float
        Row and column of the middle; a pixel's own middle is whole.
    """
    gsd_m, away_m = frame
    angle = math.radians(turn_deg)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    origin = (np.array([at_px[1], at_px[0]]) + 0.5) * FINE - 0.5
    away = np.asarray(away_m) / gsd_m * FINE
    placed = [np.asarray(part @ turn / gsd_m * FINE + origin, np.float32) for part in parts]
    if away.any():
        for k, points in enumerate(placed):
            _sweep(fine[1], points, away if k == 0 else WING_HEIGHT * away)
    for points in placed:
        cv2.fillPoly(fine[0], [_fixed(points)], 255, shift=4)
    fine[1][fine[0] > 0] = 0
    if away.any() and len(placed) > 1:
        _sweep(fine[1], placed[0], (1.0 - WING_HEIGHT) * away)
        cv2.fillPoly(fine[1], [_fixed(placed[0])], 0, shift=4)


def _sweep(shadow: NDArray[np.uint8], points: NDArray[np.float32], away: NDArray[np.float64]) -> None:
    # parts are convex: what one sweeps is the hull of its first and last place
    swept = cv2.convexHull(np.concatenate([points, points + away.astype(np.float32)]))
    cv2.fillPoly(shadow, [_fixed(swept)], 255, shift=4)


def _fixed(points: NDArray[Any]) -> NDArray[np.int32]:
    return np.asarray(np.round(points * 16), np.int32)

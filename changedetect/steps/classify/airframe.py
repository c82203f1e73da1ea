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
ASPECTS = (1.0, 1.6, 2.5, 4.5)
"""Length over width of boxes."""


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
    return Bank(np.asarray(spectra, np.complex64), gram, planes, length_m)


@lru_cache(maxsize=128)
def _draw_all(family: str, length_m: float, gsd_m: float, sun_deg: tuple[float, float] | None) -> NDArray[np.float32]:
    """Return bodies and shadows, (template, 2, row, col), on the smallest odd square that holds them."""
    if family == "aircraft":
        shapes = [_outline(wing, length_m, share) for wing, (_, _, shares) in WINGS.items() for share in shares]
        turns, heights = np.arange(0.0, 360.0, TURN_DEG), [0.11 * length_m] * len(shapes)
    else:
        shapes = [[_rectangle(length_m, length_m / aspect)] for aspect in ASPECTS]
        turns, heights = np.arange(0.0, 180.0, TURN_DEG), [max(2.5, min(0.8 * length_m / a, 10.0)) for a in ASPECTS]
    reach = max(heights) / math.tan(math.radians(sun_deg[1])) if sun_deg else 0.0
    size = 2 * math.ceil((0.75 * length_m + reach) / gsd_m + 2) + 1
    fine = np.zeros((2, len(shapes) * len(turns), size * FINE, size * FINE), np.uint8)
    for k, (shape, height) in enumerate(zip(shapes, heights, strict=True)):
        for j, turn in enumerate(turns):
            _draw(fine[:, k * len(turns) + j], shape, float(turn), (gsd_m, _away_m(height, sun_deg)))
    fine[1][fine[0] > 0] = 0
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
    spectrum = fft.rfft2(change)
    for bank in banks:
        hits = fft.irfft2(spectrum * np.conj(bank.spectra), s=change.shape)[:, :, where]
        gain, a, b = _solve(hits[:, 0], hits[:, 1], bank.gram)
        at = np.unravel_index(int(np.argmax(gain)), gain.shape)
        if best is None or gain[at] > best[0]:
            best = (float(gain[at]), (bank, int(at[0]), int(at[1]), float(a[at]), float(b[at])))
    if best is None:
        return None
    bank, k, place, a_best, b_best = best[1]
    row, col = (int(v[place]) for v in np.nonzero(where))
    middle = change.shape[0] // 2
    body, shadow = (np.roll(plane, (row - middle, col - middle), (0, 1)) for plane in bank.bodies[k])
    model = np.float32(a_best) * body + np.float32(b_best) * shadow
    support = (body > 0.25) | ((shadow > 0.4) & (b_best < -0.05))
    return Fit(best[0], np.asarray(model, np.float32), support, bank.length_m, a_best)


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


def _outline(wing: str, length_m: float, span_share: float) -> list[NDArray[np.float64]]:
    """Return the polygons of an aircraft, nose up about (0, 0), metres (x, y)."""
    panel, tail, _ = WINGS[wing]
    half, body, tip = 0.5 * length_m, 0.055 * length_m, 0.5 * span_share * length_m
    fuselage = [(0, -half), (body, -0.72 * half), (body, 0.5 * half), (0.3 * body, half)]
    parts = [fuselage + [(-x, y) for x, y in reversed(fuselage)]]
    for (root_in, tip_in, tip_out, root_out), reach in ((panel, tip), (tail, 0.4 * tip)):
        flat = [(0, root_in), (reach, tip_in), (reach, tip_out), (0, root_out)]
        parts += [[(s * x, y * length_m) for x, y in flat] for s in (1, -1)]
    return [np.asarray(part, np.float64) for part in parts]


def _rectangle(length_m: float, width_m: float) -> NDArray[np.float64]:
    x, y = width_m / 2, length_m / 2
    return np.array([(-x, -y), (x, -y), (x, y), (-x, y)])


def _away_m(height_m: float, sun_deg: tuple[float, float] | None) -> tuple[float, float]:
    """Return how far right and down the shadow of something so high reaches."""
    if sun_deg is None:
        return 0.0, 0.0
    reach = height_m / math.tan(math.radians(sun_deg[1]))
    return -math.sin(math.radians(sun_deg[0])) * reach, math.cos(math.radians(sun_deg[0])) * reach


def _draw(
    fine: NDArray[np.uint8],
    parts: list[NDArray[np.float64]],
    turn_deg: float,
    frame: tuple[float, tuple[float, float]],
) -> None:
    """Draw a body and the ground that its shadow sweeps, (2, row, col), `FINE` cells per pixel."""
    gsd_m, away_m = frame
    angle = math.radians(turn_deg)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    # the pixel whose middle is the origin is side // 2
    origin = (fine.shape[-1] // FINE // 2 + 0.5) * FINE - 0.5
    away = np.asarray(away_m) / gsd_m * FINE
    for part in parts:
        points = np.asarray(part @ turn / gsd_m * FINE + origin, np.float32)
        cv2.fillPoly(fine[0], [_fixed(points)], 255, shift=4)
        if away.any():
            # parts are convex: what one sweeps is the hull of its first and last place
            swept = cv2.convexHull(np.concatenate([points, points + away.astype(np.float32)]))
            cv2.fillPoly(fine[1], [_fixed(swept)], 255, shift=4)


def _fixed(points: NDArray[Any]) -> NDArray[np.int32]:
    return np.asarray(np.round(points * 16), np.int32)

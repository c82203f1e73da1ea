"""Evidence of building, plane by plane and local: descriptors, residuals, gradients, structure, gates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.steps.score.predict import gaussian, gaussian_radius_px, visible_indices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.steps.score.coarse_params import CoarseParams
    from changedetect.steps.score.coarse_state import Clusters, CoarseModel

    Plane = NDArray[np.float32]

FINE_PX, WIDE_PX, TEXTURE_PX, STRUCTURE_PX = 0.8, 4.0, 7, 5
SHARE = 0.7
"""Weight of surroundings and texture in telling kinds of ground apart."""
_LOW, _HIGH = -4.0, 8.0
"""Standardised values are cut here: a roof ten times as bright is no kind of ground of its own."""
_STEP, _LEAST = 0.05, -4.0
"""Log-evidence is averaged in steps of a twentieth: 8-bit filters do not depend on where a block ends."""


@dataclass(frozen=True, slots=True)
class Dates:
    """Both dates, scaled alike and filled where unknown, and the same standardised."""

    before: list[Plane]
    after: list[Plane]
    z_before: list[Plane]
    z_after: list[Plane]
    valid: NDArray[np.bool_]


def halo_px(params: CoarseParams, gsd_m: float) -> int:
    """Return how many pixels around a block its score depends on."""
    near = max(gaussian_radius_px(WIDE_PX), TEXTURE_PX // 2, gaussian_radius_px(1.0) + 1)
    return near + _support(params, gsd_m)[1] // 2 + 4


def standardise(before: list[Plane], after: list[Plane], valid: NDArray[np.bool_], model: CoarseModel) -> Dates:
    """Return the dates of one block; planes are in the raster's unit."""
    b, a, zb, za = [], [], [], []
    for k, (old, new) in enumerate(zip(before, after, strict=True)):
        level, spread = np.float32(model.level[k]), np.float32(1 / model.spread[k])
        scale = np.float32(model.scale[k])
        b.append(np.where(valid, old * scale, level))
        a.append(np.where(valid, new * (scale * np.float32(model.gain[k])) + np.float32(model.offset[k]), level))
        zb.append((b[-1] - level) * spread)
        za.append((a[-1] - level) * spread)
    return Dates(b, a, zb, za, valid)


def index(planes: Sequence[Plane], scale: Sequence[float], bands: Sequence[str], pair: tuple[str, str]) -> Plane:
    """Return the smoothed normalised difference (first - second) / (first + second) of two bands in their own unit."""
    first, second = (planes[bands.index(n)] * np.float32(1 / scale[bands.index(n)]) for n in pair)
    total = np.maximum(np.abs(first) + np.abs(second), np.float32(1e-6))
    return gaussian(np.asarray((first - second) / total, np.float32), 1.0)


def greenness(planes: Sequence[Plane], model: CoarseModel) -> Plane:
    """Return a smoothed vegetation index: NDVI, else the greenness of the colour, else 0."""
    bands = list(model.bands)
    if {"red", "nir"} <= set(bands):
        return index(planes, model.scale, bands, ("nir", "red"))
    if not {"red", "green", "blue"} <= set(bands):
        return np.zeros_like(planes[0])
    red, green, blue = (planes[bands.index(name)] for name in ("red", "green", "blue"))
    total = np.maximum(red + green + blue, np.float32(1e-3))
    return gaussian(np.asarray((2 * green - red - blue) / total, np.float32), 1.0)


def describe(z: Sequence[Plane], green: Plane, model: CoarseModel, date: int) -> list[Plane]:
    """Return what tells kinds of ground apart on a date (0 or 1): bands, surroundings, texture, vegetation."""
    cut = [np.clip(plane, np.float32(_LOW), np.float32(_HIGH)) for plane in z]
    near = [gaussian(plane, FINE_PX) for plane in cut]
    wide = [gaussian(plane, WIDE_PX) * np.float32(SHARE) for plane in cut]
    texture = _box_deviation(mean_of([cut[i] for i in visible_indices(model.bands)]), TEXTURE_PX)
    level = (green - np.float32(model.green_level[date])) * np.float32(1 / model.green_spread[date])
    return [*near, *wide, texture * np.float32(SHARE), np.clip(level, np.float32(_LOW), np.float32(_HIGH))]


def mean_of(planes: Sequence[Plane]) -> Plane:
    """Return the mean plane."""
    total = planes[0]
    for plane in planes[1:]:
        total = total + plane
    return np.asarray(total * np.float32(1 / len(planes)))


def _box_deviation(plane: Plane, side: int) -> Plane:
    mean = cv2.blur(plane, (side, side), borderType=cv2.BORDER_REPLICATE)
    square = cv2.blur(plane * plane, (side, side), borderType=cv2.BORDER_REPLICATE)
    return np.sqrt(np.maximum(square - mean * mean, np.float32(0)))


def unexpected(descriptors: Sequence[Plane], target: Sequence[Plane], clusters: Clusters) -> Plane:
    """Return how far the target's bands are from what the kind of ground predicts, in its own deviations."""
    nearest, best = np.zeros(target[0].shape, np.intp), np.full(target[0].shape, np.inf, np.float32)
    # Written out: a matrix product may round differently from block to block.
    for number, centre in enumerate(clusters.centres):
        distance = np.full(best.shape, np.float32(sum(c * c for c in centre)))
        for plane, value in zip(descriptors, centre, strict=True):
            distance -= plane * np.float32(2 * value)
        closer = distance < best
        nearest[closer], best[closer] = number, distance[closer]
    coefficients = np.asarray(clusters.coefficients, np.float32)
    whitening = np.asarray(clusters.whitening, np.float32)
    left = []
    for k, plane in enumerate(target):
        expected = coefficients[:, 0, k][nearest]
        for j in range(len(target)):
            expected = expected + coefficients[:, 1 + j, k][nearest] * descriptors[j]
        left.append(plane - expected)
    total = np.zeros_like(best)
    for i in range(len(target)):
        part = whitening[:, i, i][nearest] * left[i]
        for j in range(i + 1, len(target)):
            part = part + whitening[:, i, j][nearest] * left[j]
        total += part * part
    return np.sqrt(total)


def gradient_change(dates: Dates) -> Plane:
    """Return the size of the gradient of the difference, smoothed."""
    total = np.zeros_like(dates.before[0])
    for a, b in zip(dates.z_after, dates.z_before, strict=True):
        d = a - b
        for dx, dy in ((1, 0), (0, 1)):
            slope = cv2.Sobel(d, cv2.CV_32F, dx, dy, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
            total += slope * slope
    return np.sqrt(gaussian(total, 1.0))


def structure_loss(dates: Dates) -> Plane:
    """Return 1 - SSIM of the bands together (without its luminance term), 0.02 to 2."""
    side = (STRUCTURE_PX, STRUCTURE_PX)

    def blur(plane: Plane) -> Plane:
        return np.asarray(cv2.blur(plane, side, borderType=cv2.BORDER_REPLICATE))

    shared = own = np.full(dates.before[0].shape, 0.1, np.float32)
    for a, b in zip(dates.z_after, dates.z_before, strict=True):
        mean_a, mean_b = blur(a), blur(b)
        shared = np.asarray(shared + 2 * (blur(a * b) - mean_a * mean_b))
        own = np.asarray(own + (blur(a * a) - mean_a * mean_a) + (blur(b * b) - mean_b * mean_b))
    loss = 1 - shared / np.maximum(own, np.float32(0.05))
    return np.asarray(np.clip(loss, np.float32(0.02), np.float32(2)), np.float32)


def magnitude(dates: Dates) -> Plane:
    """Return the length of the smoothed standardised difference."""
    total = np.zeros_like(dates.before[0])
    for a, b in zip(dates.z_after, dates.z_before, strict=True):
        d = gaussian(a - b, FINE_PX)
        total += d * d
    return np.sqrt(total)


def largest_change(dates: Dates) -> Plane:
    """Return the largest smoothed difference over the bands, in reflectance."""
    result = np.zeros_like(dates.before[0])
    for a, b in zip(dates.after, dates.before, strict=True):
        result = np.maximum(result, np.abs(gaussian(a - b, 1.0)))
    return result


def gates(dates: Dates, green: tuple[Plane, Plane], model: CoarseModel, params: CoarseParams) -> Plane:
    """Return the log of how likely the ground is bare on a date, bare in the end, and dry on both."""
    has_nir = "nir" in model.bands
    centre, width = (params.bare_ndvi, 0.06) if has_nir else (params.bare_greenness, 0.03)
    result = _gate(np.minimum(*green), centre, width)
    result = result + np.float32(params.regrowth_weight) * _gate(green[1], centre, width)
    if has_nir and "green" in model.bands:
        result = result + _gate(wetness(dates, model), model.water_limit, 0.05)
    return np.asarray(result)


def wetness(dates: Dates, model: CoarseModel) -> Plane:
    """Return the larger water index (NDWI) of the two dates."""
    bands = list(model.bands)
    return np.maximum(*(index(side, model.scale, bands, ("green", "nir")) for side in (dates.before, dates.after)))


def _gate(value: Plane, centre: float, width: float) -> Plane:
    soft = 1 / (1 + np.exp(np.clip((value - np.float32(centre)) * np.float32(1 / width), -30, 30)))
    return np.asarray(np.log(np.float32(0.05) + soft.astype(np.float32)))


def relative_log(value: Plane, median: float) -> Plane:
    """Return ln(value / median + 0.1)."""
    return np.asarray(np.log(value * np.float32(1 / median) + np.float32(0.1)))


def share_evidence(evidence: Plane, params: CoarseParams, gsd_m: float) -> Plane:
    """Return the log-evidence averaged over like neighbours, in steps of 0.05 from -4 to 8.75."""
    counts = np.clip(np.rint((evidence - np.float32(_LEAST)) * np.float32(1 / _STEP)), 0, 255).astype(np.uint8)
    sigma, side, median = _support(params, gsd_m)
    counts = cv2.bilateralFilter(counts, side, 2.0 / _STEP, sigma, borderType=cv2.BORDER_REPLICATE)
    counts = cv2.medianBlur(counts, median)
    return np.asarray(counts.astype(np.float32) * np.float32(_STEP) + np.float32(_LEAST))


def _support(params: CoarseParams, gsd_m: float) -> tuple[float, int, int]:
    """Return sigma and side of the edge-keeping average, and side of the median, pixels."""
    sigma = min(max(params.support_m / gsd_m, params.min_support_px), params.max_support_px)
    return sigma, 2 * math.ceil(1.5 * sigma - 0.5) + 1, 5 if sigma >= 4 else 3

"""Ranks and files: how fine the pattern of a crowd is, and how densely people in formation stand by its periods."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.steps.classify.crowd import CrowdParams

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]


def detail_of(change: Plane, ground: Mask, gsd_m: float, params: CrowdParams) -> Plane:
    """Return the change less its local mean over the ground, at scales up to `detail_m`."""
    sigma = params.detail_m / gsd_m / 2.355
    weight = ground.astype(np.float32)
    total = cv2.GaussianBlur(weight, (0, 0), sigma)
    mean = cv2.GaussianBlur(change * weight, (0, 0), sigma) / np.maximum(total, np.float32(1e-3))
    return np.asarray((change - mean) * weight, np.float32)


def formation_density(change: Plane, ground: Mask, gsd_m: float, params: CrowdParams) -> float:
    """Return people per square metre from the periods of the pattern; 0 where it has no two."""
    peaks, power = _spectral_peaks(detail_of(change, ground, gsd_m, params), ground, gsd_m, params)
    if len(peaks) and gsd_m <= params.resolved_share * params.min_spacing_m:
        return _ranks_by_files(peaks, power, params)
    fitting: list[tuple[float, float]] = []
    for i in range(len(peaks)):
        for j in range(i):
            basis = np.stack([peaks[i], peaks[j]], axis=1)
            density = abs(float(np.linalg.det(basis)))
            if not params.max_spacing_m**-2 <= density <= params.max_density_m2:
                continue
            # The lattice that has most peaks at whole multiples of its two frequencies; the denser ranks of equals.
            steps = np.linalg.solve(basis, peaks.T)
            fits = np.all(np.abs(steps - np.rint(steps)) < 0.08, axis=0)
            if fits.sum() > 2:  # any two peaks fit their own lattice: a third one confirms it
                fitting.append((float(np.sum(power[fits])), density))
    most = max((explained for explained, _ in fitting), default=0.0)
    return max((density for explained, density in fitting if explained > 0.85 * most), default=0.0)


def _ranks_by_files(peaks: NDArray[np.float64], power: NDArray[np.float64], params: CrowdParams) -> float:
    """Return the density of the two periods at right angles of which the weaker is strongest; 0 without such.

    Pixels this fine show every spacing as it is: no period is an alias of another. Shadows that fall along a diagonal
    of the formation make its period the strongest: it has none across.
    """
    best, density = params.weak_peak, 0.0
    for i in range(len(peaks)):
        for j in range(i):
            sizes = float(np.linalg.norm(peaks[i])), float(np.linalg.norm(peaks[j]))
            skew = abs(float(peaks[i] @ peaks[j])) / (sizes[0] * sizes[1])
            fits = params.max_spacing_m**-2 <= sizes[0] * sizes[1] <= params.max_density_m2
            sure = power[i] * power[j] >= params.sure_peak
            weaker = float(min(power[i], power[j])) ** 2
            if fits and sure and skew < math.sin(math.radians(params.square_deg)) and weaker > best:
                best, density = weaker, sizes[0] * sizes[1]
    return density


def _spectral_peaks(
    detail: Plane, ground: Mask, gsd_m: float, params: CrowdParams
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the strongest periods as frequencies (n, 2) per metre and the root of their power (n,).

    Power is relative to the median of the spectrum at the same frequency; the strongest eight, strongest first.
    """
    size = cv2.getOptimalDFTSize(min(4 * max(detail.shape), 2048))
    power = np.abs(np.fft.fft2(detail * _taper(ground), (size, size))) ** 2
    f = np.fft.fftfreq(size, gsd_m)
    fx, fy = np.meshgrid(f, f)
    radius = np.hypot(fx, fy)
    ring = np.rint(radius / 0.08).astype(np.intp)
    power = power / np.maximum(_median_by_ring(power, ring)[ring], 1e-12)
    wanted = (radius > 1 / params.max_spacing_m) & (radius < 1 / params.min_spacing_m)
    wanted &= (radius * gsd_m * params.min_period_px < 1.0) & ((fy > 0) | ((fy == 0) & (fx > 0)))
    frequencies = np.stack([fx[wanted], fy[wanted]], axis=1)
    strength = power[wanted]
    resolved = gsd_m <= params.resolved_share * params.min_spacing_m
    least = params.weak_peak if resolved else params.min_peak
    chosen: list[int] = []
    for at in np.argsort(-strength, kind="stable")[:4000].tolist():
        if strength[at] < least or len(chosen) == 8:
            break
        # Side lobes of a stronger period (the group is finite) lie nearer to it than any other period can.
        apart = [_distance(frequencies[at], frequencies[other]) for other in chosen]
        if min(apart, default=9.0) > 0.6 / params.max_spacing_m:
            chosen.append(at)
    return frequencies[chosen], np.sqrt(strength[chosen])


def _taper(ground: Mask) -> Plane:
    """Return weights that fall off towards the edge of the ground, so that a period has no side lobes."""
    inward = cv2.distanceTransform(np.pad(ground.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(np.sin(inward / max(float(inward.max()), 1.0) * (np.pi / 2)) ** 2, np.float32)


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(min(np.linalg.norm(one - other), np.linalg.norm(one + other)))


def _median_by_ring(power: NDArray[np.float64], ring: NDArray[np.intp]) -> NDArray[np.float64]:
    order = np.argsort(ring.ravel(), kind="stable")
    edges = np.cumsum(np.bincount(ring.ravel()))[:-1]
    parts = np.split(power.ravel()[order], edges)
    return np.array([float(np.median(part)) if part.size else 1.0 for part in parts])

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


_WHOLE = 0.08
"""Peaks this far from whole steps are on a lattice."""
_EQUAL = 0.85
"""In pixels that mimic longer periods, a lattice that explains this much of the best one's power is as good."""


def detail_of(change: Plane, ground: Mask, gsd_m: float, params: CrowdParams) -> Plane:
    """Return the change less its local mean over the ground, at scales up to `detail_m`."""
    sigma = params.detail_m / gsd_m / 2.355
    weight = ground.astype(np.float32)
    total = cv2.GaussianBlur(weight, (0, 0), sigma)
    mean = cv2.GaussianBlur(change * weight, (0, 0), sigma) / np.maximum(total, np.float32(1e-3))
    return np.asarray((change - mean) * weight, np.float32)


def formation_density(change: Plane, ground: Mask, gsd_m: float, params: CrowdParams) -> float:
    """Return people per square metre from the periods of the pattern; 0 where it has no two."""
    return lattice_density(
        *_spectral_peaks(detail_of(change, ground, gsd_m, params), ground, gsd_m, params), gsd_m, params
    )


def lattice_density(peaks: NDArray[np.float64], power: NDArray[np.float64], gsd_m: float, params: CrowdParams) -> float:
    """Return people per square metre of the lattice that the peaks of a spectrum come from; 0 without such.

    The lattice that has most of the peaks at whole multiples of its two frequencies, the denser ranks of equals.
    Harmonics of a wide spacing, and the diagonals of a square one, may be its strongest peaks, but leave others
    unexplained.

    Parameters
    ----------
    peaks : ndarray
        (n, 2) frequencies per metre, strongest first.
    power : ndarray
        (n,) root of their power over the spectrum's background.
    """
    resolved = gsd_m <= params.resolved_share * params.min_spacing_m
    lattices: list[tuple[float, float]] = []
    for i in range(len(peaks)):
        for j in range(i):
            basis = np.stack([peaks[i], peaks[j]], axis=1)
            density = abs(float(np.linalg.det(basis)))
            if not params.max_spacing_m**-2 <= density <= params.max_density_m2:
                continue
            steps = np.linalg.solve(basis, peaks.T)
            whole = np.rint(steps)
            fits = np.flatnonzero(np.all(np.abs(steps - whole) < _WHOLE, axis=0))
            told = _is_square(basis, params) and _is_sure(whole[:, fits], power[fits], params)
            # Coarser pixels show aliases: any two peaks fit their own lattice there, a third one confirms it.
            if told if resolved else len(fits) > 2:
                lattices.append((float(np.sum(power[fits])), density))
    equal = 1.0 if resolved else _EQUAL
    most = max((explained for explained, _ in lattices), default=0.0)
    return max((density for explained, density in lattices if explained >= equal * most), default=0.0)


def _is_square(basis: NDArray[np.float64], params: CrowdParams) -> bool:
    """Return whether files stand at right angles to ranks."""
    one, other = basis.T
    skew = abs(float(one @ other)) / float(np.linalg.norm(one) * np.linalg.norm(other))
    return skew < math.sin(math.radians(params.square_deg))


def _is_sure(steps: NDArray[np.float64], power: NDArray[np.float64], params: CrowdParams) -> bool:
    """Return whether the strongest peak and the next along another line are strong enough, of any on the lattice.

    `steps`: (2, n) whole ones of n peaks. Shadows that fall along a diagonal make its period the strongest.
    """
    across = steps[0, 0] * steps[1] != steps[1, 0] * steps[0]
    return bool(across.any()) and float(power[0] * power[across][0]) >= params.sure_peak


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

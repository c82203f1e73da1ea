"""Where to start: whole-image correlation, then window correlations and the affine most of them agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.steps.register.features import Features

Spectra = dict[tuple[int, int, int], "NDArray[np.complex64]"]
"""Of windows by row, column and side: (feature, row, col)."""

_TAPER = 0.15
_LOBE_PX = 6
"""Half side of the main peak, px: a second peak counts outside it."""
_STEP_SHARE = 40 / 128
_MOST_PER_SIDE = 10
_MIN_VALID = 0.2
_MIN_WINDOW_PX = 48
_WINDOW_PEAK_SIGMA = 6.0
_WINDOW_PEAK_RATIO = 1.1
_MIN_RHO = 0.03
AGREE_PX = 2.0
"""Windows this close to an affine agree with it."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The whole-image correlation peak."""

    shift_px: tuple[int, int]
    """(row, col) of u."""
    sigma: float
    """Height in robust standard deviations of the surface."""
    ratio: float
    """Height over the best other peak within reach, each by how much the tapered scenes overlap there ..."""
    ratio_beyond: float
    """... and over the best beyond it."""


@dataclass(frozen=True, slots=True)
class WindowTies:
    """Window correlations that passed the gates."""

    position: NDArray[np.float64]
    """(n, 2) row, col of the window centres, px (pixel corners at whole numbers)."""
    value: NDArray[np.float64]
    """(n, 2) u, px."""
    weight: NDArray[np.float64]
    """(n,) squared peak height, sigma, bounded."""
    window_px: int


def transform_planes(planes: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Return the spectra (feature, row, col) of tapered features, zero-padded by a third."""
    from scipy import fft  # scipy is slow to import: only where it is used

    rows, cols = planes.shape[1:]
    taper = _tukey(rows)[:, None] * _tukey(cols)[None, :]
    return np.stack([fft.rfft2(plane * taper, _padded(rows, cols)) for plane in planes])


def _padded(rows: int, cols: int) -> tuple[int, int]:
    from scipy import fft

    rows, cols = (fft.next_fast_len(int(np.ceil(n * 4 / 3)), real=True) for n in (rows, cols))
    return rows, cols


def find_peak(
    reference: NDArray[np.complex64], moving: NDArray[np.float32], limit_px: tuple[int, int], reach: int
) -> Peak:
    """Return the shift u at which features (feature, row, col) correlate best with `reference` within `reach` px.

    `reference` is what `transform_planes` makes of the other scene's. Other peaks are looked for within `limit_px`
    (rows, cols), so an answer beyond `reach` shows as ambiguity. Peaks are compared per pixel of overlap: among the
    equal ones of a pattern that repeats, the nearest to no shift has the most, which says nothing.
    """
    size = _padded(*moving.shape[1:])
    total = _correlate(reference, transform_planes(moving), size, limit_px)
    spread = _robust_spread(total)
    if spread == 0:
        return Peak((0, 0), 0.0, 0.0, 0.0)
    near = np.zeros(total.shape, bool)
    near[tuple(slice(max(n - reach, 0), n + reach + 1) for n in limit_px)] = True
    r, c = np.unravel_index(int(np.argmax(np.where(near, total, -np.inf))), total.shape)
    height = float(total[r, c])
    overlap = _overlap(moving.shape[1], limit_px[0])[:, None] * _overlap(moving.shape[2], limit_px[1])
    total /= overlap
    fair = float(total[r, c])
    total[max(r - _LOBE_PX, 0) : r + _LOBE_PX + 1, max(c - _LOBE_PX, 0) : c + _LOBE_PX + 1] = 0.0
    within, beyond = (fair / max(float(total[part].max(initial=0.0)), 1e-9) for part in (near, ~near))
    return Peak((int(r) - limit_px[0], int(c) - limit_px[1]), height / spread, within, beyond)


def _overlap(side_px: int, limit_px: int) -> NDArray[np.float32]:
    """Return the share of a tapered side that overlaps its copy moved by -limit_px .. limit_px."""
    taper = _tukey(side_px)
    shares = [float(taper[: side_px - k] @ taper[k:]) for k in range(limit_px + 1)]
    return np.asarray([*shares[:0:-1], *shares], np.float32) / np.float32(shares[0])


def match_windows(
    reference: Features,
    moving: Features,
    weight: NDArray[np.float64],
    window_px: int,
    most: int = _MOST_PER_SIDE,
    spectra: Spectra | None = None,
) -> WindowTies:
    """Return the shifts left between two feature stacks on one lattice, window by window.

    Parameters
    ----------
    reference, moving : Features
    weight : (feature,)
        How much each feature counts.
    window_px : int
        Side of a window, px.
    most : int
        Windows along each side, at most: their number bounds the cost.
    spectra : dict, optional
        Of the reference's windows, by (row, col, side): those of earlier calls are used, new ones are put there.
    """
    a, b = reference.planes, moving.planes
    both = cv2.integral((reference.inside & moving.inside).astype(np.uint8))
    hann = np.hanning(window_px + 2)[1:-1].astype(np.float32)
    taper = hann[:, None] * hann[None, :]
    used = np.flatnonzero(weight > 0)
    found = []
    for r in _starts(a.shape[1], window_px, most):
        for c in _starts(a.shape[2], window_px, most):
            inside = both[r + window_px, c + window_px] - both[r, c + window_px] - both[r + window_px, c] + both[r, c]
            if inside < _MIN_VALID * window_px**2:
                continue
            window = (slice(None), slice(r, r + window_px), slice(c, c + window_px))
            key = (int(r), int(c), window_px)
            still = None if spectra is None else spectra.get(key)
            if still is None:
                still = _spectra_of(a[window] * taper)
                if spectra is not None:
                    spectra[key] = still
            tie = _match_one(still[used], _spectra_of(b[used, *window[1:]] * taper), weight[used])
            if tie is not None:
                found.append((r + window_px / 2, c + window_px / 2, *tie))
    table = np.array(found, np.float64).reshape(-1, 5)
    return WindowTies(table[:, :2], table[:, 2:4], np.minimum(table[:, 4], 20.0) ** 2, window_px)


def window_sizes(window_px: int, shape: tuple[int, int]) -> list[int]:
    """Return the window sides to try, px: the given one, then halves down to 48, none beyond half the image."""
    sizes = [min(window_px, max(min(shape) // 2, _MIN_WINDOW_PX))]
    while sizes[-1] > _MIN_WINDOW_PX:
        sizes.append(max(sizes[-1] // 2, _MIN_WINDOW_PX))
    return [size for size in sizes if size <= min(shape)]


def feature_weights(reference: Features, moving: Features) -> NDArray[np.float64]:
    """Return rho / (1 - rho^2) per feature over what both show, 0 where the correlation rho is below .03."""
    inside = (reference.inside & moving.inside).astype(np.float32)
    out = np.zeros(len(reference.planes))
    for i, (p, q) in enumerate(zip(reference.planes, moving.planes, strict=True)):
        u, v = (p * inside).ravel(), (q * inside).ravel()
        power = float(u @ u) * float(v @ v)
        rho = float(u @ v) / np.sqrt(power) if power > 0 else 0.0
        rho = min(rho, 0.995)
        out[i] = rho / (1.0 - rho**2) if rho >= _MIN_RHO else 0.0
    return out


def fit_consensus(ties: WindowTies, extent_px: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the affine (2, 3) u = M (1, row, col) most windows agree on, and which windows agree with it.

    Truncated loss (MSAC) over every window's shift and 100 drawn affines bounded by 2 %; then reweighted least
    squares. Few or collinear windows give a shift: the slopes are held towards zero by a weak prior.

    References
    ----------
    Torr and Zisserman, MLESAC, CVIU 78:138-156, 2000, doi:10.1006/cviu.1999.0832.
    """
    n = len(ties.value)
    terms = np.column_stack([np.ones(n), ties.position])
    models = _draw_models(terms, ties.value, extent_px)
    miss: NDArray[np.float64] = np.sum((ties.value - terms @ models.transpose(0, 2, 1)) ** 2, axis=2)
    best = models[np.argmin(np.minimum(miss, 1.5**2) @ ties.weight)]
    for _ in range(8):
        miss = np.hypot(*(ties.value - terms @ best.T).T)
        best = _solve_affine(terms, ties.value, ties.weight / (1.0 + (miss / 0.75) ** 2) ** 2, extent_px)
    return best, np.hypot(*(ties.value - terms @ best.T).T) < AGREE_PX


def _draw_models(terms: NDArray[np.float64], value: NDArray[np.float64], extent_px: float) -> NDArray[np.float64]:
    """Return the shift of every window, then affines through three of them, (model, 2, 3)."""
    n = len(value)
    shifts = np.zeros((n, 2, 3))
    shifts[:, :, 0] = value
    if n < 3:
        return shifts
    pick = np.argsort(np.random.default_rng(0).random((100, n)), axis=1)[:, :3]
    pick = pick[np.abs(np.linalg.det(terms[pick])) >= 1e-3 * extent_px**2]
    affines: NDArray[np.float64] = np.linalg.solve(terms[pick], value[pick]).transpose(0, 2, 1)
    return np.concatenate([shifts, affines[np.abs(affines[:, :, 1:]).max(axis=(1, 2)) <= 0.02]])


def _solve_affine(
    terms: NDArray[np.float64], value: NDArray[np.float64], weight: NDArray[np.float64], extent_px: float
) -> NDArray[np.float64]:
    normal = (terms * weight[:, None]).T @ terms
    prior = np.diag([0.0, 1.0, 1.0]) * (0.01 * weight.sum() * extent_px**2 / 12.0 * 0.1)
    return np.asarray(np.linalg.solve(normal + prior + 1e-9 * np.eye(3), (terms * weight[:, None]).T @ value).T)


def _spectra_of(planes: NDArray[np.float32]) -> NDArray[np.complex64]:
    from scipy import fft

    return np.asarray(fft.rfft2(planes))


def _match_one(
    still: NDArray[np.complex64], moving: NDArray[np.complex64], weight: NDArray[np.float64]
) -> tuple[float, float, float] | None:
    """Return the shift (row, col) of a window given the spectra of both dates' features, and how sure it is."""
    from scipy import fft

    side = moving.shape[1]
    limit = side // 4
    spectrum = np.conj(still)
    spectrum *= moving
    spectrum /= _root_magnitude(spectrum)
    mixed = np.tensordot(weight.astype(np.float32), spectrum, axes=1)
    near = np.arange(-limit, limit + 1)
    surface = fft.irfft2(mixed, (side, side))[np.ix_(near, near)]
    spread = _robust_spread(surface)
    r, c = np.unravel_index(int(np.argmax(surface)), surface.shape)
    if spread == 0 or not (0 < r < 2 * limit and 0 < c < 2 * limit):
        return None
    height = float(surface[r, c])
    row = r - limit + _parabola(surface[r - 1 : r + 2, c])
    col = c - limit + _parabola(surface[r, c - 1 : c + 2])
    rest = surface.copy()
    rest[max(r - 4, 0) : r + 5, max(c - 4, 0) : c + 5] = 0.0
    if height / spread <= _WINDOW_PEAK_SIGMA or height <= _WINDOW_PEAK_RATIO * float(rest.max()):
        return None
    return float(row), float(col), height / spread


def _correlate(
    reference: NDArray[np.complex64], moving: NDArray[np.complex64], size: tuple[int, ...], limit_px: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the mean correlation of the features, each in its own standard deviations."""
    from scipy import fft

    total = np.zeros_like(moving[0])
    for a, b in zip(reference, moving, strict=True):
        spectrum = np.conj(a)
        spectrum *= b
        spectrum /= _root_magnitude(spectrum)
        power = float(np.vdot(spectrum, spectrum).real)
        if power > 0:
            spectrum *= np.float32(1.0 / np.sqrt(power))
            total += spectrum
    full = fft.irfft2(total, size)
    rows, cols = (np.arange(-n, n + 1) for n in limit_px)
    return np.asarray(full[np.ix_(rows, cols)], np.float32)


def _root_magnitude(spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the root of the magnitude: half whitening; full whitening was worst at every size."""
    power = spectrum.real * spectrum.real
    power += spectrum.imag * spectrum.imag
    return np.asarray(np.sqrt(np.sqrt(power, out=power), out=power) + np.float32(1e-6))


def _parabola(three: NDArray[np.float32]) -> float:
    left, mid, right = (float(v) for v in three)
    bend = left - 2.0 * mid + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0


def _robust_spread(surface: NDArray[np.float32]) -> float:
    return 1.4826 * float(np.median(np.abs(surface[:: 1 + surface.size // 100_000])))


def _starts(length: int, window_px: int, most: int) -> NDArray[np.int64]:
    count = max(round((length - window_px) / (_STEP_SHARE * window_px)), 0) + 1
    return np.unique(np.linspace(0, length - window_px, min(count, most)).round().astype(np.int64))


def _tukey(length: int) -> NDArray[np.float32]:
    edge = np.minimum(np.arange(length) + 0.5, length - np.arange(length) - 0.5) / (_TAPER / 2 * length)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(edge, 1.0)), np.float32)

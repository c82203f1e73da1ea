"""Resampling of one native window: averaged where finer than the grid, then one kernel, with validity carried along."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from changedetect.core.quality import UNUSABLE, Quality

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pixel = TypeVar("Pixel", np.uint8, np.uint16)

TAPS = {"nearest": (0, 0), "bilinear": (0, 1), "cubic": (-1, 2), "lanczos": (-3, 4)}
"""First and last tap of each kernel, in pixels from the one at or before the sample."""

_CODES = {"bilinear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}
_STEPS = 32  # OpenCV's remap knows 32 positions within a pixel
_FINE = 4096
_TAIL_PX = 32
_FAR_PX = 500_000.0
_BOX = np.ones((3, 3), np.uint8)
_BAD = np.uint16(UNUSABLE)
_NODATA = np.uint16(Quality.NODATA)
_EDGE = np.uint16(Quality.EDGE)


def average_cells(
    data: NDArray[np.float32], bits: NDArray[np.uint16], factor: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Return means of the usable pixels in cells of `factor` (rows, cols) pixels, and the cells' quality.

    A cell is usable when at least half of its pixels are; else it carries the bits of all of them.
    Data are (band, row, col) and divisible by the factor; bits (row, col).
    """
    kr, kc = factor
    bands, rows, cols = data.shape
    cells = bits.reshape(rows // kr, kr, cols // kc, kc)
    usable = (cells & _BAD) == 0
    count = usable.sum(axis=(1, 3), dtype=np.float32)
    values = np.where(usable, data.reshape(bands, rows // kr, kr, cols // kc, kc), 0)
    mean = values.sum(axis=(2, 4), dtype=np.float32) / np.maximum(count, 1)
    every = np.bitwise_or.reduce(np.bitwise_or.reduce(cells, axis=3), axis=1)
    good = count * 2 >= kr * kc
    return mean.astype(np.float32), np.where(good, every & ~_BAD, every).astype(np.uint16)


def quantise(position: NDArray[np.float64], kernel: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return pixel and 1/32 step within it to sample at so that a ramp comes out at `position` (centre convention).

    OpenCV's cubic kernel (a = -0.75) does not reproduce a ramp: at a quarter pixel it is 0.047 px off. The step is
    chosen so that it does, to 0.023 px.

    References
    ----------
    Keys, Cubic convolution interpolation for digital image processing, 1981, doi:10.1109/TASSP.1981.1163711.
    """
    # Rounding to 1/4096 first keeps numerical dust from deciding which way a step goes.
    exact = position * _FINE
    if exact.min() < -_FAR_PX * _FINE or exact.max() > _FAR_PX * _FINE:
        np.clip(exact, -_FAR_PX * _FINE, _FAR_PX * _FINE, out=exact)
    fine = np.rint(exact, out=exact).astype(np.int32)
    if kernel == "nearest":
        return (fine + _FINE // 2) // _FINE, np.zeros(position.shape, np.int32)
    step = (_CUBIC_STEP if kernel == "cubic" else _EVEN_STEP).take(fine & (_FINE - 1))
    fine >>= 12
    fine += step >> 5
    step &= _STEPS - 1
    return fine, step


def _cubic_steps() -> NDArray[np.int32]:
    at = np.arange(_STEPS + 1) / _STEPS
    comes_out = at**3 - 1.5 * at**2 + 1.5 * at
    wanted = np.arange(_FINE) / _FINE
    return np.searchsorted((comes_out[1:] + comes_out[:-1]) / 2, wanted).astype(np.int32)


def _lanczos_weights() -> NDArray[np.float32]:
    """Return the weights of each of OpenCV's steps within a pixel, (step, tap)."""
    first, last = TAPS["lanczos"]
    away = np.arange(first, last + 1) - np.arange(_STEPS)[:, None] / _STEPS
    weights = np.sinc(away) * np.sinc(2 * away / (last - first + 1))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


_LANCZOS = _lanczos_weights()
_CUBIC_STEP = _cubic_steps()
_EVEN_STEP = np.rint(np.arange(_FINE) * (_STEPS / _FINE)).astype(np.int32)


def remap(
    data: NDArray[np.float32],
    bits: NDArray[np.uint16],
    col: NDArray[np.float64],
    row: NDArray[np.float64],
    kernel: str,
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Return data and quality sampled at fractional (col, row) of a window (centre convention: 0, 0 is a centre).

    A sample takes the bits of its nearest pixel; one whose kernel touches an unusable pixel, or leaves the window,
    is EDGE. Unusable pixels are filled from their neighbours first, so that nothing bleeds.

    Parameters
    ----------
    data : (band, row, col) float32
    bits : (row, col) uint16
    col, row : (out_row, out_col) float64
        Of length 1 along an axis on which they do not depend.
    kernel : cubic, lanczos, bilinear or nearest
    """
    first, last = TAPS[kernel]
    (ix, sx), (iy, sy) = quantise(col, kernel), quantise(row, kernel)
    if not bits.any() and _is_inside(ix, (first, last), data.shape[2]) and _is_inside(iy, (first, last), data.shape[1]):
        out = _sample(data, (ix, sx), (iy, sy), kernel)
        if all(cv2.checkRange(band)[0] for band in out):
            return out, np.zeros(out.shape[1:], np.uint16)
    return _remap_near_rim(data, bits, (ix, sx), (iy, sy), kernel)


def _is_inside(pixel: NDArray[np.int32], taps: tuple[int, int], size: int) -> bool:
    """Return whether every tap of every sample lies in the window, and its nearest pixel too."""
    return bool(pixel.min() + taps[0] >= 0 and pixel.max() + max(taps[1], 1) < size)


def _remap_near_rim(
    data: NDArray[np.float32],
    bits: NDArray[np.uint16],
    cols: tuple[NDArray[np.int32], NDArray[np.int32]],
    rows: tuple[NDArray[np.int32], NDArray[np.int32]],
    kernel: str,
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Return data and quality where pixels are unusable or samples leave the window."""
    first, last = TAPS[kernel]
    (ix, sx), (iy, sy) = cols, rows
    pad = last - first + 2
    padded = np.pad(bits, pad, constant_values=_NODATA)
    limit_y, limit_x = padded.shape[0] - 1 - last, padded.shape[1] - 1 - last
    ix, sx = _within(ix + pad, sx, -first, limit_x)
    iy, sy = _within(iy + pad, sy, -first, limit_y)
    quality = _at(padded, iy + (sy * 2 >= _STEPS), ix + (sx * 2 >= _STEPS))
    if ((bits & _BAD) != 0).any() or ((quality & _NODATA) != 0).any() or _near_rim(padded.shape, pad, ix, iy, last):
        touched = _touches(padded, (first, last), (iy, sy != 0), (ix, sx != 0))
        quality |= (touched & ((quality & _BAD) == 0)) * _EDGE
    filled = fill_unusable(data, bits, max(last, -first) + 1)
    wide = np.empty((len(filled), *padded.shape), np.float32)
    for band, around in zip(filled, wide, strict=True):
        cv2.copyMakeBorder(band, pad, pad, pad, pad, cv2.BORDER_REPLICATE, dst=around)
    out = _sample(wide, (ix, sx), (iy, sy), kernel)
    bad = ~np.isfinite(out).all(axis=0) | ((quality & _NODATA) != 0)
    np.copyto(out, np.float32(0), where=bad)
    quality |= bad * _NODATA
    return out, quality


def _within(
    pixel: NDArray[np.int32], step: NDArray[np.int32], low: int, high: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return pixels clipped to where every tap exists; clipped ones land in the no-data rim."""
    inside = (pixel >= low) & (pixel < high)
    return np.clip(pixel, low, high - 1), np.where(inside, step, 0)


def _near_rim(shape: tuple[int, ...], pad: int, ix: NDArray[np.int32], iy: NDArray[np.int32], reach: int) -> bool:
    low, rows, cols = pad + reach, shape[0] - pad - reach, shape[1] - pad - reach
    return bool(min(ix.min(), iy.min()) < low or ix.max() >= cols or iy.max() >= rows)


def _touches(
    bits: NDArray[np.uint16],
    taps: tuple[int, int],
    rows: tuple[NDArray[np.int32], NDArray[np.bool_]],
    cols: tuple[NDArray[np.int32], NDArray[np.bool_]],
) -> NDArray[np.bool_]:
    """Return True where a tap with weight is unusable; a sample on a pixel centre has one tap along that axis."""
    bad = (bits & _BAD) != 0
    (iy, between_y), (ix, between_x) = rows, cols
    across, along = _any_tap(bad, taps, axis=1), _any_tap(bad, taps, axis=0)
    # A bit for each pair of (between rows, between columns), so that every sample looks up one number.
    found = np.zeros(bits.shape, np.uint8)
    for bit, touched in enumerate((bad, along, across, _any_tap(across, taps, axis=0))):
        found |= touched.astype(np.uint8) << np.uint8(bit)
    bit_of = between_y.astype(np.uint8) + np.uint8(2) * between_x.astype(np.uint8)
    return np.asarray((_at(found, iy, ix) >> bit_of) & 1, bool)


def _at(plane: NDArray[Pixel], row: NDArray[np.int32], col: NDArray[np.int32]) -> NDArray[Pixel]:
    """Return the pixels (row, col) of a plane, a copy."""
    return np.asarray(plane.ravel().take(row * plane.shape[1] + col), plane.dtype)


def _any_tap(bad: NDArray[np.bool_], taps: tuple[int, int], axis: int) -> NDArray[np.bool_]:
    out = bad.copy()
    n = bad.shape[axis]
    for tap in range(taps[0], taps[1] + 1):
        if tap > 0:
            source, target = slice(tap, n), slice(0, n - tap)
        elif tap < 0:
            source, target = slice(0, n + tap), slice(-tap, n)
        else:
            continue
        pick = (source, slice(None)) if axis == 0 else (slice(None), source)
        put = (target, slice(None)) if axis == 0 else (slice(None), target)
        out[put] |= bad[pick]
    return out


def fill_unusable(data: NDArray[np.float32], bits: NDArray[np.uint16], reach_px: int) -> NDArray[np.float32]:
    """Return data with unusable pixels within `reach_px` of usable ones set to their neighbours' mean, others 0."""
    bad = (bits & _BAD) != 0
    if not bad.any():
        return data
    # With a rim of unusable pixels, so that each has eight neighbours, whose places are a number away from its own.
    known = np.pad((~bad).astype(np.uint8), 1)
    wide = np.zeros((len(data), *known.shape), np.float32)
    filled = wide[:, 1:-1, 1:-1]
    np.copyto(filled, data, where=~bad)
    around = [row * known.shape[1] + col for row in (-1, 0, 1) for col in (-1, 0, 1)]
    flat = known.ravel()
    for _ in range(reach_px):
        new = (cv2.dilate(known, _BOX) > known)[1:-1, 1:-1]
        rows, cols = np.nonzero(new)
        if not rows.size:
            break
        at = (rows + 1) * known.shape[1] + cols + 1
        near = [at + step for step in around]
        weight = sum(flat[place].astype(np.float32) for place in near)
        for band in wide.reshape(len(wide), -1):
            band[at] = sum(band[place] for place in near) / weight
        flat[at] = 1
    return filled


def _sample(
    data: NDArray[np.float32],
    cols: tuple[NDArray[np.int32], NDArray[np.int32]],
    rows: tuple[NDArray[np.int32], NDArray[np.int32]],
    kernel: str,
) -> NDArray[np.float32]:
    (ix, sx), (iy, sy) = cols, rows
    if kernel == "nearest" or not (sx.any() or sy.any()):
        return _pick(data, ix, iy)
    if kernel == "lanczos" and iy.shape[1] == ix.shape[0] == 1:
        across, down = _one_step(ix[0], sx[0]), _one_step(iy[:, 0], sy[:, 0])
        if across is not None and down is not None:
            return _shift(data, (ix[0], across), (iy[:, 0], down))
    # What `cv2.convertMaps` makes of x and y, once for all bands.
    whole = np.empty((iy.shape[0], ix.shape[1], 2), np.int16)
    whole[..., 0], whole[..., 1] = ix, iy
    part = np.asarray(sy * _STEPS + sx, np.uint16)
    out = np.empty((len(data), *whole.shape[:2]), np.float32)
    for band, sampled in zip(data, out, strict=True):
        cv2.remap(band, whole, part, _CODES[kernel], dst=sampled, borderMode=cv2.BORDER_REPLICATE)
    return out


def _one_step(pixel: NDArray[np.int32], step: NDArray[np.int32]) -> tuple[slice, int] | None:
    """Return which samples lie in the image, if those are one pixel apart and all the same step within theirs.

    Others were put at its rim by `_within`: what is read for them is thrown away.
    """
    inner = np.flatnonzero((pixel > pixel[0]) & (pixel < pixel[-1]))
    if inner.size == 0:
        return None
    here = slice(max(inner[0] - 1, 0), inner[-1] + 2)
    if np.ptp(step[here]) or (np.diff(pixel[here]) != 1).any():
        return None
    return here, int(step[inner[0]])


def _shift(
    data: NDArray[np.float32],
    cols: tuple[NDArray[np.int32], tuple[slice, int]],
    rows: tuple[NDArray[np.int32], tuple[slice, int]],
) -> NDArray[np.float32]:
    """Return data moved by one part of a pixel with Lanczos: 8 + 8 taps where a map for each sample takes 64.

    Samples out of the image are 0.
    """
    (ix, (col, across)), (iy, (row, down)) = cols, rows
    first, last = TAPS["lanczos"]
    top, left = iy[row.start] + first, ix[col.start] + first
    shape = row.stop - row.start, col.stop - col.start
    out = np.zeros((len(data), len(iy), len(ix)), np.float32)
    for band, moved in zip(data, out, strict=True):
        near = band[top : iy[row.stop - 1] + last + 1, left : ix[col.stop - 1] + last + 1]
        # vector kernels round the odd end of a row differently: it must not be one that is kept
        near = cv2.copyMakeBorder(near, 0, 0, 0, _TAIL_PX, cv2.BORDER_REPLICATE)
        near = cv2.sepFilter2D(near, cv2.CV_32F, _LANCZOS[across], _LANCZOS[down], anchor=(-first, -first))
        moved[row, col] = near[-first : shape[0] - first, -first : shape[1] - first]
    return out


def _pick(data: NDArray[np.float32], ix: NDArray[np.int32], iy: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the pixels (iy, ix) of each band."""
    if ix.shape[0] == 1 and iy.shape[1] == 1:
        rows, cols = iy[:, 0], ix[0]
        if (np.diff(rows) == 1).all() and (np.diff(cols) == 1).all():
            return data[:, rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        return np.ascontiguousarray(data[:, iy[:, 0]][:, :, ix[0]])
    return np.ascontiguousarray(data[:, iy, ix])

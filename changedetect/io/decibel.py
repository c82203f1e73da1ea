"""Decibel: what radar numbers are, and their logarithm, in which speckle is noise that adds.

Radar images are compared as ratios: in decibel a ratio is a difference, and the spread of speckle is the same on dark
and bright ground (Dekker, 1998, doi:10.1080/014311698215649).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from changedetect.errors import DataError
from changedetect.io.files import open_raster, read_header, read_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

DB = "db"
"""Unit of every radar raster that is read."""

_SAMPLE_PX = 512
_LEAST_POWER = 1e-7
"""Power below every sensor's noise floor (-70 dB), so that a zero has a logarithm."""


def power_or_db(path: str, index: int = 1) -> str:
    """Return what a radar file's numbers are, `sigma0` (linear power) or `db`, by the numbers themselves.

    Decibel has negative numbers, within -60 to +40; power has none, and its median lies below 1.

    Raises
    ------
    DataError
        Numbers that are neither, or none.
    """
    nodata = read_header(path).nodata[index - 1]
    numbers = _middle(path, index).astype(np.float64)
    valid = numbers[np.isfinite(numbers) & (numbers != 0) & (numbers > -32_000)]
    valid = valid if nodata is None else valid[valid != nodata]
    if valid.size == 0:
        raise DataError("no valid number tells whether it is power or decibel", where=path, hint="another tile")
    low, middle, high = (float(number) for number in np.percentile(valid, (1, 50, 99)))
    if -60 < low < 0 and high < 40:
        return "db"
    if low >= 0 and middle < 1:
        return "sigma0"
    raise DataError("its numbers are neither linear power nor decibel", where=path,
                    found=f"1 % below {low:.3g}, half below {middle:.3g}", needed="gamma0")  # fmt: skip


def _middle(path: str, index: int) -> NDArray[Any]:
    """Return a window from the middle; the whole band where that is empty."""
    with open_raster(path) as src:
        rows, cols = ((max(0, (n - _SAMPLE_PX) // 2), min(n, (n + _SAMPLE_PX) // 2)) for n in (src.height, src.width))
        middle = read_pixels(src, [index], rows, cols)
        if np.nan_to_num(middle.astype(np.float64)).any():
            return middle
        return read_pixels(src, [index], (0, src.height), (0, src.width))


def average_looks(data: NDArray[np.float32], valid: NDArray[np.bool_], side_px: int) -> NDArray[np.float32]:
    """Return decibel (band, row, col) averaged over the valid pixels of squares of `side_px`.

    Of decibel, not of power: the spread of the mean is then the same everywhere, where in power one bright target
    brings its own speckle into every square that holds it.
    """
    if side_px <= 1:
        return data
    size, edge = (side_px, side_px), cv2.BORDER_CONSTANT
    weight = cv2.boxFilter(valid.astype(np.float32), -1, size, normalize=False, borderType=edge)
    planes = []
    for band in data:
        total = cv2.boxFilter(np.where(valid, band, np.float32(0)), -1, size, normalize=False, borderType=edge)
        planes.append(np.where(weight > 0, total / np.maximum(weight, 1), 0))
    return np.stack(planes).astype(np.float32)


def to_decibel(data: NDArray[np.float32], unit: str) -> NDArray[np.float32]:
    """Return radar numbers of any unit in decibel, from the noise floor up."""
    if unit == DB:
        return data
    power = data * data if unit == "amplitude" else data
    return np.asarray(10.0 * np.log10(np.maximum(power, _LEAST_POWER)), np.float32)

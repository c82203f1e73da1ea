"""Clipping: compare stretched pictures only over the range of brightness that all of them could show.

A picture stretched for the eye loses what is brighter than its white and darker than its black. A roof that is white in
one picture and grey in the next, darker one would be told as rebuilt, though both show the same roof.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.core.comparable import PICTURE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline, Gain

_BLACK, _WHITE = 0.0, 255.0
_STEP = 2.0
_AT_END, _BESIDE = 3, 10
"""Steps from the end over which compression and resampling spread what was clipped, and those it is held against."""
_STANDS_OUT = 3.0
"""A pile of clipped pixels is this many times the mean of the steps beside it; a histogram's tail falls."""
_LEAST_SHARE, _LEAST_PIXELS = 2e-4, 30
"""Fewer clipped pixels than either are no object."""
_MAX_SAMPLES = 1_000_000
_BESIDE_PX = np.ones((3, 3), np.uint8)


def shown_range(raster: Raster) -> NDArray[np.float64]:
    """Return the black and the white at which each band was clipped, (2, band) float64; infinite where it was not.

    Parameters
    ----------
    raster : Raster
        As read: what eight bits cannot hold piles up at 0 and 255. Other units than pictures are never clipped.
    """
    if raster.unit != PICTURE:
        return np.tile([[-np.inf], [np.inf]], len(raster.bands))
    valid = raster.valid
    step = max(1, int(valid.sum()) // _MAX_SAMPLES)
    ends = []
    for plane in raster.data:
        values = plane[valid][::step]
        black, white = _pile(values - np.float32(_BLACK)), _pile(np.float32(_WHITE) - values)
        ends.append((-np.inf if black is None else _BLACK + black, np.inf if white is None else _WHITE - white))
    return np.asarray(ends, np.float64).reshape(-1, 2).T


def _pile(above: NDArray[np.float32]) -> float | None:
    """Return how far numbers that pile up at the end of a range reach into it, None where they do not."""
    edges = _STEP * np.arange(_AT_END + _BESIDE + 1)
    edges[0] = -np.inf  # resampling overshoots
    counts = np.histogram(above, edges)[0]
    beside = _STANDS_OUT * counts[_AT_END:].mean()
    piled = counts[:_AT_END] > max(beside, _LEAST_PIXELS, _LEAST_SHARE * above.size)
    return _STEP * (1 + int(np.flatnonzero(piled)[-1])) if piled.any() else None


def through_gain(shown: NDArray[np.float64], gain: Gain, bands: Sequence[str]) -> NDArray[np.float64]:
    """Return the range, (2, band), in the numbers of what the gain brings the bands to."""
    order = [gain.bands.index(band) for band in bands]
    return np.sort(shown * np.asarray(gain.gain)[order] + np.asarray(gain.offset)[order], axis=0)


def shared_range(ranges: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the highest black and the lowest white, (2, band); infinite where they leave nothing between them."""
    low = np.max([shown[0] for shown in ranges], axis=0)
    high = np.min([shown[1] for shown in ranges], axis=0)
    empty = low >= high
    return np.stack([np.where(empty, -np.inf, low), np.where(empty, np.inf, high)])


def clip_alike(rasters: Sequence[Raster], shown: NDArray[np.float64]) -> list[Raster]:
    """Return rasters limited to the numbers that all of them could show.

    Parameters
    ----------
    rasters : sequence of Raster
        On one grid, in the same bands, with numbers that mean the same (normalised).
    shown : ndarray
        (2, band), black and white of each band that they share.
    """
    if not np.isfinite(shown).any():
        return list(rasters)
    low, high = (limit.astype(np.float32)[:, None, None] for limit in shown)
    return [r.with_data(np.where(r.quality & 1 == 0, np.clip(r.data, low, high), r.data)) for r in rasters]


def clip_pair(
    raster: Raster, baseline: Baseline, now: NDArray[np.float64], then: NDArray[np.float64]
) -> tuple[Raster, Baseline]:
    """Return a scene and its baseline, where either was clipped limited to what it shows there.

    Parameters
    ----------
    raster : Raster
        The scene, normalised.
    baseline : Baseline
        On the same grid, in the same bands.
    now, then : ndarray
        (2, band), black and white of the scene and of the baseline, in the baseline's numbers.

    Returns
    -------
    Raster, Baseline
        Nothing is brighter than the other date's white where the other date is white, nor darker than its black where
        it is black; where that limits more than half of the bands, the colour is unknown and the other bands are
        those of the other date. Elsewhere as they are: what is new keeps its brightness.
    """
    known = raster.valid & baseline.valid
    data, centre = raster.data, baseline.centre
    if np.isfinite(then).any():
        raster = raster.with_data(_limited(data, centre, then, known))
    if np.isfinite(now).any():
        baseline = replace(baseline, centre=_limited(centre, data, now, known))
    return raster, baseline


def _limited(
    data: NDArray[np.float32], other: NDArray[np.float32], shown: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the data, no darker than the other's black and no brighter than its white where the other is there."""
    result, n_limited = data.copy(), np.zeros(known.shape, np.uint8)
    for plane, beside, low, high in zip(result, other, *shown.astype(np.float32), strict=True):
        beyond = _near(beside <= low) & (plane < low) | _near(beside >= high) & (plane > high)
        beyond &= known
        plane[beyond] = np.clip(plane[beyond], low, high)
        n_limited += beyond
    colourless = n_limited > len(data) / 2
    result[:, colourless] = np.where((n_limited == len(data))[colourless], result[:, colourless], other[:, colourless])
    return result


def _near(clipped: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what touches what was clipped: a pixel at the edge mixes what was clipped and what was not."""
    return np.asarray(cv2.dilate(clipped.astype(np.uint8), _BESIDE_PX) > 0)

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
    from changedetect.core.results import Baseline

_BINS = 128
"""Over the range of values: two steps of eight bits, so that a stretch's own gaps and doubled steps even out."""
_ENDS = 0.25
"""An end of the range begins this far from it: resampling overshoots what is clipped."""
_BESIDE = 10
_STANDS_OUT = 3.0
"""A pile of clipped pixels is this many times the mean of the `_BESIDE` bins before it; a histogram's tail falls."""
_LEAST_SHARE, _LEAST_PIXELS = 2e-4, 30
"""Fewer clipped pixels than either are no object."""
_MAX_SAMPLES = 1_000_000
_BESIDE_PX = np.ones((3, 3), np.uint8)


def clip_alike(rasters: Sequence[Raster]) -> list[Raster]:
    """Return rasters limited to the numbers that all of them could show; other units than pictures as they are.

    Parameters
    ----------
    rasters : sequence of Raster
        On one grid, in the same bands, with numbers that mean the same (normalised).

    Returns
    -------
    list of Raster
        In each band nothing is above the lowest white, or below the highest black, that any of them was clipped at.
    """
    if not rasters or any(raster.unit != PICTURE for raster in rasters):
        return list(rasters)
    low, high = _shared([shown_range(raster.data, raster.valid) for raster in rasters])
    return [raster.with_data(_limited(raster.data, low, high, raster.quality & 1 == 0)) for raster in rasters]


def clip_pair(raster: Raster, baseline: Baseline) -> tuple[Raster, Baseline]:
    """Return a scene and its baseline, where either was clipped limited to what it shows there.

    Parameters
    ----------
    raster : Raster
        The scene, normalised.
    baseline : Baseline
        On the same grid, in the same bands.

    Returns
    -------
    Raster, Baseline
        Nothing is brighter than the other date's white where the other date is white, nor darker than its black where
        it is black. Elsewhere, and in other units than pictures, as they are: what is new keeps its brightness.
    """
    if raster.unit != PICTURE or baseline.unit != PICTURE:
        return raster, baseline
    known = raster.valid & baseline.valid
    now = shown_range(raster.data, raster.valid)
    then = shown_range(baseline.centre, baseline.valid)
    limited = raster.with_data(_limited_where(raster.data, baseline.centre, then, known))
    return limited, replace(baseline, centre=_limited_where(baseline.centre, raster.data, now, known))


def shown_range(data: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the black and the white at which each band was clipped, (2, band); infinite where it was not.

    Parameters
    ----------
    data : ndarray
        (band, row, col) float32.
    valid : ndarray
        (row, col), what counts.
    """
    step = max(1, int(valid.sum()) // _MAX_SAMPLES)
    ranges = []
    for plane in data:
        values = plane[valid][::step].astype(np.float64)
        ranges.append((-_pile(-values), _pile(values)) if values.size >= _LEAST_PIXELS else (-np.inf, np.inf))
    return np.asarray(ranges, np.float64).reshape(-1, 2).T


def _pile(values: NDArray[np.float64]) -> float:
    """Return the lower edge of the pile of values at the upper end, infinite where there is none."""
    top, bottom = float(values.max()), float(values.min())
    if not top > bottom:
        return np.inf
    counts, edges = np.histogram(values, bins=_BINS, range=(bottom, top))
    first = round(_BINS * (1 - _ENDS))
    at = first + int(np.argmax(counts[first:]))
    before = counts[max(at - _BESIDE - 1, 0) : at - 1]
    piled = counts[at] >= max(_LEAST_PIXELS, _LEAST_SHARE * values.size)
    stands_out = counts[at] > _STANDS_OUT * before.mean() and counts[at] > counts[at + 2 :].sum()
    if not (piled and stands_out):
        return np.inf
    # Compression blurs the pile into the bin before it.
    return float(edges[at - 1] if counts[at - 1] > _STANDS_OUT * before.mean() else edges[at])


def _shared(ranges: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the highest black and the lowest white, (2, band); infinite where they leave nothing between them."""
    low = np.max([shown[0] for shown in ranges], axis=0)
    high = np.min([shown[1] for shown in ranges], axis=0)
    empty = low >= high
    return np.stack([np.where(empty, -np.inf, low), np.where(empty, np.inf, high)])


def _limited_where(
    data: NDArray[np.float32], other: NDArray[np.float32], shown: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the data, no darker than the other's black and no brighter than its white where the other is there."""
    limited = data.copy()
    for plane, beside, low, high in zip(limited, other, *shown.astype(np.float32), strict=True):
        for beyond, clipped, limit in (
            (plane < low, beside <= low, low),
            (plane > high, beside >= high, high),
        ):
            # A pixel at the edge is a mixture of what was clipped and what was not.
            near = cv2.dilate(clipped.astype(np.uint8), _BESIDE_PX) > 0
            plane[beyond & near & known] = limit
    return limited


def _limited(
    data: NDArray[np.float32], low: NDArray[np.float64], high: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    limits = (limit.astype(np.float32)[:, None, None] for limit in (low, high))
    return np.where(known, np.clip(data, *limits), data)

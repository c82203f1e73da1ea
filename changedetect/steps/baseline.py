"""Baseline: what the place looked like before, from one look or many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from changedetect.core.results import Baseline
from changedetect.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.core.raster import Raster

_STRIPE_PX = 2_000_000
_VISIBLE = ("blue", "green", "red", "pan")


@dataclass(frozen=True, slots=True)
class BaselineParams:
    """How many looks become one reference."""

    centre: Literal["median", "emptiest"] = "median"
    """`median`: what is usual there. `emptiest`: the look that is dark there, since ships, aircraft and vehicles are
    brighter than water and asphalt more often than not, and a berth in use half the time has a ship as its median."""
    emptiest_percentile: Annotated[float, Field(ge=0.0, le=100.0)] = 20.0
    """Rank of the look taken for `emptiest`: low enough to be empty, not so low as to be a cloud shadow."""
    min_looks_for_spread: Annotated[int, Field(ge=3)] = 3
    """Two looks cannot tell which of them is odd."""


def fit_baseline(rasters: Sequence[Raster], params: BaselineParams) -> Baseline:
    """Return the per-pixel centre, spread and number of clear looks of the baseline's scenes.

    Parameters
    ----------
    rasters : sequence of Raster
        Registered and normalised, on one grid, in the same bands and unit.
    params : BaselineParams
        Which centre to take.

    Returns
    -------
    Baseline
        Where never clear: centre 0, looks 0.

    Raises
    ------
    DataError
        Without rasters, or if their bands or units differ.
    """
    if not rasters:
        raise DataError("a baseline needs at least one scene", found=0)
    first = rasters[0]
    for raster in rasters[1:]:
        first.grid.require_same(raster.grid, "baseline")
        if raster.bands != first.bands or raster.unit != first.unit:
            raise DataError(
                "baseline scenes differ in bands or unit",
                found=(raster.bands, raster.unit),
                needed=(first.bands, first.unit),
            )
    n_bands, rows, cols = first.data.shape
    centre, spread = np.zeros((n_bands, rows, cols), np.float32), np.zeros((n_bands, rows, cols), np.float32)
    looks = np.zeros((rows, cols), np.uint16)
    # In stripes: the sorted stack of a long series is many times the size of one raster.
    step = max(1, _STRIPE_PX // max(1, cols * len(rasters)))
    for row in range(0, rows, step):
        part = slice(row, min(row + step, rows))
        stack = np.stack([raster.data[:, part] for raster in rasters])
        clear = np.stack([raster.valid[part] for raster in rasters])
        centre[:, part], spread[:, part] = _summarise(stack, clear, first.bands, params)
        looks[part] = clear.sum(axis=0)
    return Baseline(centre, spread, looks, first.grid, first.bands, first.unit)


def _summarise(
    stack: NDArray[np.float32], clear: NDArray[np.bool_], bands: tuple[str, ...], params: BaselineParams
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return centre and spread, (band, row, col) each, of a (look, band, row, col) stack."""
    if len(stack) == 1:
        return np.where(clear[0], stack[0], 0).astype(np.float32), np.zeros_like(stack[0])
    masked = np.where(clear[:, None], stack, np.float32(np.nan))
    median = _sorted_median(masked)
    centre = median if params.centre == "median" else _emptiest(stack, clear, bands, params.emptiest_percentile)
    spread = np.float32(1.4826) * _sorted_median(np.abs(masked - median))
    spread[:, clear.sum(axis=0) < params.min_looks_for_spread] = 0
    return np.nan_to_num(centre, copy=False), np.nan_to_num(spread, copy=False)


def _sorted_median(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median over axis 0 of what is not NaN; NaN where nothing is."""
    ordered = np.sort(stack, axis=0)  # NaN sorts last
    count = np.isfinite(ordered).sum(axis=0)[None]
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=0)[0]
    high = np.take_along_axis(ordered, np.maximum(count, 1) // 2, axis=0)[0]
    return np.asarray((low + high) * np.float32(0.5))


def _emptiest(
    stack: NDArray[np.float32], clear: NDArray[np.bool_], bands: tuple[str, ...], percentile: float
) -> NDArray[np.float32]:
    """Return the band vector of one look per pixel: that at the percentile's rank in visible brightness.

    A percentile per band would mix looks and make colours that were never there.
    """
    visible = [i for i, name in enumerate(bands) if name in _VISIBLE] or list(range(len(bands)))
    brightness = np.where(clear, stack[:, visible].mean(axis=1), np.float32(np.inf))
    order = np.argsort(brightness, axis=0, kind="stable")
    count = clear.sum(axis=0)
    rank = np.floor(np.maximum(count - 1, 0) * (percentile / 100.0) + 0.5).astype(np.intp)
    chosen = np.take_along_axis(order, rank[None], axis=0)
    values = np.take_along_axis(stack, chosen[:, None], axis=0)[0]
    return np.where(count > 0, values, np.float32(0))

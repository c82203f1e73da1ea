"""Baseline: what the place looked like before, from one look or many."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

import cv2
import numpy as np
from pydantic import Field

from changedetect.core.results import Baseline
from changedetect.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.core.raster import Raster

    Mask = NDArray[np.bool_]

_STRIPE_PX = 2_000_000
_VISIBLE = ("blue", "green", "red", "pan")


Share = Annotated[float, Field(ge=0.0, le=1.0)]


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
    clear_objects_m: Annotated[float, Field(ge=0.0)] = 0.0
    """With `emptiest`: even surfaces are taken as they usually are, and things on them that hold no disc of this
    diameter are replaced by the surface around them, though they stand there on all looks. 0: they stay, as they
    must wherever buildings are as small as what comes and goes."""
    surface_relief: Share = 0.12
    """An even surface: its brightness ranges by no more than this share of itself within `surface_reach_m`."""
    surface_reach_m: Annotated[float, Field(gt=0.0)] = 4.0
    """Two joints of concrete slabs, and the blur around things that stand there."""
    surface_max_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.15
    """Where there is near infrared and red, greener ground is no apron, however even it is."""
    surface_min_share: Annotated[float, Field(ge=0.0)] = 10.0
    """An apron is larger than this many squares of `clear_objects_m`; smaller even ground is roofs and yards."""
    cleared_max_share: Annotated[float, Field(ge=0.0)] = 3.0
    """What is cleared, touching shadows included, is smaller than this many such squares: no strip of grass."""
    enclosed_share: Share = 0.65
    """Share of its rim that lies on the surface: less is a corner of the surface or a thing at its edge."""
    same_surface: Share = 0.06
    """Relative difference in every band up to which a look shows the surface itself."""


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
    clears = params.centre == "emptiest" and params.clear_objects_m > 0 and any(b in _VISIBLE for b in first.bands)
    if len(rasters) == 1 and not clears:
        return _only_look(first)
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
    if clears:
        _clear_objects(centre, spread, looks > 0, rasters, params)
    return Baseline(centre, spread, looks, first.grid, first.bands, first.unit)


def _only_look(raster: Raster) -> Baseline:
    """Return the baseline of one scene: itself where it is clear, and no spread, which takes no room."""
    clear = raster.valid
    centre = raster.data if clear.all() else np.where(clear, raster.data, np.float32(0))
    nothing = np.broadcast_to(np.float32(0), centre.shape)
    return Baseline(centre, nothing, clear.astype(np.uint16), raster.grid, raster.bands, raster.unit)


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


def _clear_objects(
    centre: NDArray[np.float32],
    spread: NDArray[np.float32],
    known: Mask,
    rasters: Sequence[Raster],
    params: BaselineParams,
) -> None:
    """Set, in place, even surfaces to their usual state, and what stands on them to the surface.

    That is the look that shows the surface best, with its stains; where none does, what is around.
    """
    gsd_m, bands = rasters[0].grid.gsd_m, rasters[0].bands
    # What is usual, since the darkest look of an apron may be the soft edge of a cloud's shadow.
    usual = fit_baseline(rasters, replace(params, centre="median")).centre
    brightness = usual[[i for i, name in enumerate(bands) if name in _VISIBLE]].mean(axis=0)
    if "nir" in bands and "red" in bands:
        nir, red = usual[bands.index("nir")], usual[bands.index("red")]
        brightness[nir - red > params.surface_max_ndvi * (nir + red)] = 0
    surface, things = _find_things(brightness, known, gsd_m, params)
    centre[:, surface] = usual[:, surface]
    at = np.nonzero(things)
    if at[0].size == 0:
        return
    around = _smooth_from(np.concatenate([usual, spread]), surface, params.clear_objects_m / 4 / gsd_m)
    level, varies = np.split(around[:, at[0], at[1]], 2)
    best = np.full(at[0].size, np.float32(params.same_surface))
    filled = level.copy()
    for raster in rasters:
        seen = raster.data[:, at[0], at[1]]
        off = np.max(np.abs(seen - level) / np.maximum(level, np.float32(1e-6)), axis=0)
        better = raster.valid[at] & (off < best)
        best[better], filled[:, better] = off[better], seen[:, better]
    centre[:, at[0], at[1]], spread[:, at[0], at[1]] = filled, varies


def _find_things(
    brightness: NDArray[np.float32], known: Mask, gsd_m: float, params: BaselineParams
) -> tuple[Mask, Mask]:
    """Return the even surfaces, (row, col), and the compact things that stand enclosed by them."""
    size_px = params.clear_objects_m / gsd_m
    kernel = _disc(max(1, round(params.surface_reach_m / gsd_m)))
    relief = cv2.morphologyEx(brightness, cv2.MORPH_GRADIENT, kernel)
    even = known & (brightness > 0) & (relief < params.surface_relief * brightness)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(even.astype(np.uint8), connectivity=4)
    large = 1 + np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= params.surface_min_share * size_px**2)
    surfaces, things = np.isin(labels, large), np.zeros(known.shape, bool)
    for label in large:
        # One by one: the end of a light taxiway on a dark runway is enclosed by two of them.
        things |= _enclosed_by(labels == label, surfaces, known, size_px, params)
    return surfaces, things


def _enclosed_by(surface: Mask, surfaces: Mask, known: Mask, size_px: float, params: BaselineParams) -> Mask:
    """Return the compact things that stand on one of the surfaces, away from the others, with their blurred rims."""
    reach = max(1, round(size_px / 2))
    closed = cv2.morphologyEx(np.pad(surface, reach).astype(np.uint8), cv2.MORPH_CLOSE, _disc(reach))
    gaps = (closed[reach:-reach, reach:-reach] > 0) & ~surface & known
    count, labels, stats, _ = cv2.connectedComponentsWithStats(gaps.astype(np.uint8), connectivity=4)
    around = cv2.dilate(labels.astype(np.float32), np.ones((3, 3), np.uint8)).astype(np.int32)
    rim = (around > 0) & (labels == 0)
    n_rim = np.maximum(np.bincount(around[rim], minlength=count), 1)
    own = np.bincount(around[rim & surface], minlength=count) / n_rim
    other = np.bincount(around[rim & surfaces & ~surface], minlength=count) / n_rim
    other += np.bincount(labels[surfaces & ~surface], minlength=count)
    keep = (own >= params.enclosed_share) & (other == 0)
    keep &= stats[:, cv2.CC_STAT_AREA] <= params.cleared_max_share * size_px**2
    keep[0] = False
    return np.asarray(keep[around] & known)


def _smooth_from(planes: NDArray[np.float32], mask: Mask, sigma_px: float) -> NDArray[np.float32]:
    """Return each plane's Gaussian mean over the mask's pixels alone; 0 far from all of them."""
    weight = mask.astype(np.float32)
    total = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma_px), np.float32(1e-6))
    return np.stack([cv2.GaussianBlur(plane * weight, (0, 0), sigma_px) / total for plane in planes])


def _disc(radius_px: int) -> NDArray[np.uint8]:
    y, x = np.ogrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    return np.asarray(x * x + y * y <= radius_px * radius_px + 0.5, np.uint8)

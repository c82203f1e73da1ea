"""Estimate the scoring model of a coarse scene against its baseline."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from changedetect.core.quality import VEILED
from changedetect.core.results import Noise
from changedetect.errors import DataError, GridError
from changedetect.steps.score import coarse_planes as planes
from changedetect.steps.score.coarse import dates_of, factors_of
from changedetect.steps.score.coarse_cloud import find_clouds, find_leaks
from changedetect.steps.score.coarse_fit import fit_clusters, fit_gain, middle_and_spread
from changedetect.steps.score.coarse_state import CoarseModel, PackedMask
from changedetect.steps.score.predict import gaussian, visible_indices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.score.coarse_params import CoarseParams

    Plane = NDArray[np.float32]
    Mask = NDArray[np.bool_]

_TYPICAL_REFLECTANCE = 0.12  # median of land in the visible: other units are brought to numbers of this size
_TILE_PX = 512
_DETAIL_PX = 2.0

Tiles = list[tuple[planes.Dates, "NDArray[np.intp]"]]
"""Both dates of each part of the scene that is looked at, and its sampled pixels."""


def estimate_coarse(raster: Raster, baseline: Baseline, params: CoarseParams, min_pixels: int) -> Noise:
    """Return the scoring model of a coarse scene: kinds of ground with their season, medians, clouds.

    Parameters
    ----------
    raster, baseline
        The whole scene, registered and normalised, and what the place looked like, on one grid.
    params : CoarseParams
        What counts as building.
    min_pixels : int
        Shared clear pixels needed.

    Raises
    ------
    DataError
        With fewer shared clear pixels than `min_pixels`.
    GridError
        If grids differ or no band is shared.
    """
    baseline.grid.require_same(raster.grid, "score")
    bands = tuple(name for name in baseline.bands if name in raster.bands)
    if not bands:
        raise GridError("scene and baseline share no band", found=raster.bands, needed=baseline.bands)
    valid = raster.valid & baseline.valid
    clouds = np.zeros(valid.shape, bool)
    if raster.unit == "reflectance":
        before, after = [baseline.band(name) for name in bands], [raster.band(name) for name in bands]
        veiled = (~baseline.valid, (raster.quality & np.uint16(VEILED)) != 0)
        clouds = find_clouds(before, after, valid, bands, raster.grid.gsd_m)
        clouds |= find_leaks(before, after, valid, veiled, bands, raster.grid.gsd_m)
    clear = valid & ~clouds
    if int(clear.sum()) < min_pixels:
        raise DataError(
            "too few clear pixels are shared with the baseline",
            found=int(clear.sum()),
            needed=min_pixels,
            hint="a wider area, or clearer scenes in the baseline",
        )
    sample = _Sample(clear, params)
    model = _start(raster, baseline, bands, sample)
    tiles = [
        (dates_of(raster.crop(*tile), baseline.crop(*tile), model, 0), sample.inside(tile)) for tile in sample.tiles
    ]
    model = _fit_ground(tiles, model, params)
    model = replace(
        _fit_medians(tiles, model),
        penalty=params.persistence_penalty * max(0.0, params.least_persistence - _persistence(tiles, bands)),
        water_limit=_water_limit(tiles, model, raster.unit, params),
        clouds=PackedMask.pack(clouds) if clouds.any() else None,
    )
    return Noise(bands, model.to_dict(), params.seed_sigma, None)


class _Sample:
    """The scene or, if it is large, tiles spread evenly over its clear ground; and every n-th clear pixel of them."""

    def __init__(self, clear: Mask, params: CoarseParams) -> None:
        rows, cols = clear.shape
        self.clear = clear
        self.tiles = [(slice(0, rows), slice(0, cols))]
        if rows * cols > params.max_estimate_px:
            corners = [(r, c) for r in range(0, rows, _TILE_PX) for c in range(0, cols, _TILE_PX)]
            every = [(slice(r, min(r + _TILE_PX, rows)), slice(c, min(c + _TILE_PX, cols))) for r, c in corners]
            seen = [tile for tile in every if clear[tile].any()]
            count = min(len(seen), max(1, params.max_estimate_px // _TILE_PX**2))
            self.tiles = [seen[number * len(seen) // count] for number in range(count)]
        total = sum(int(clear[tile].sum()) for tile in self.tiles)
        self.step = max(1, total // params.samples)

    def inside(self, tile: tuple[slice, slice]) -> NDArray[np.intp]:
        """Return the flat indices of a tile's sampled pixels."""
        return np.flatnonzero(self.clear[tile])[:: self.step]

    def values(self, plane: Plane) -> NDArray[np.float64]:
        """Return a whole plane's values at the sample."""
        parts = [plane[tile].ravel()[self.inside(tile)] for tile in self.tiles]
        return np.concatenate(parts).astype(np.float64)


def _start(raster: Raster, baseline: Baseline, bands: tuple[str, ...], sample: _Sample) -> CoarseModel:
    rows = [_start_band(sample.values(baseline.band(n)), sample.values(raster.band(n)), raster.unit) for n in bands]
    scale, gain, offset, level, spread = zip(*rows, strict=True)
    origin = (raster.grid.transform.c, raster.grid.transform.f)
    return CoarseModel(bands, origin, scale, gain, offset, level, spread, (0.0, 0.0), (1.0, 1.0))


def _start_band(
    before: NDArray[np.float64], after: NDArray[np.float64], unit: str
) -> tuple[float, float, float, float, float]:
    """Return scale, gain, offset, level and spread of a band."""
    factor = 1.0 if unit == "reflectance" else _TYPICAL_REFLECTANCE / max(abs(float(np.median(before))), 1e-6)
    return (factor, *fit_gain(before * factor, after * factor), *middle_and_spread(before * factor))


def _gather(tiles: Tiles, parts: list[Plane]) -> NDArray[np.float64]:
    """Return the sampled values of one plane per tile."""
    return np.concatenate([p.ravel()[at] for p, (_, at) in zip(parts, tiles, strict=True)]).astype(np.float64)


def _fit_ground(tiles: Tiles, model: CoarseModel, params: CoarseParams) -> CoarseModel:
    """Return the model with kinds of ground, each with how it looks on the other date, both ways."""
    green = [[planes.greenness(side, model) for side in sides] for sides in _sides(tiles)]
    stats = [middle_and_spread(_gather(tiles, side)) for side in green]
    level, spread = (stats[0][0], stats[1][0]), (max(stats[0][1], 1e-3), max(stats[1][1], 1e-3))
    model = replace(model, green_level=level, green_spread=spread)
    matrices = []
    for date, standard in enumerate(([d.z_before for d, _ in tiles], [d.z_after for d, _ in tiles])):
        described = [planes.describe(z, g, model, date) for z, g in zip(standard, green[date], strict=True)]
        columns = [_gather(tiles, [d[i] for d in described]) for i in range(len(described[0]))]
        matrices.append(np.stack(columns, axis=1))
    n_bands = len(model.bands)
    forward = fit_clusters(matrices[0], matrices[1][:, :n_bands], params.clusters)
    backward = fit_clusters(matrices[1], matrices[0][:, :n_bands], params.clusters)
    return replace(model, forward=forward, backward=backward)


def _sides(tiles: Tiles) -> tuple[list[list[Plane]], list[list[Plane]]]:
    return [dates.before for dates, _ in tiles], [dates.after for dates, _ in tiles]


def _fit_medians(tiles: Tiles, model: CoarseModel) -> CoarseModel:
    factors = [factors_of(dates, model)[0] for dates, _ in tiles]
    medians = [float(np.median(_gather(tiles, [f[i] for f in factors]))) for i in range(4)]
    return replace(model, medians=tuple(max(value, 1e-6) for value in medians))


def _persistence(tiles: Tiles, bands: tuple[str, ...]) -> float:
    """Return how well the fine visible detail of the two dates correlates."""
    found = []
    for k in visible_indices(bands):
        detail = [[side[k] - gaussian(side[k], _DETAIL_PX) for side in sides] for sides in _sides(tiles)]
        before, after = (_gather(tiles, part) for part in detail)
        size = math.sqrt(float(before @ before) * float(after @ after))
        found.append(float(before @ after) / max(size, 1e-12))
    return sum(found) / len(found)


def _water_limit(tiles: Tiles, model: CoarseModel, unit: str, params: CoarseParams) -> float:
    if unit == "reflectance" or not {"green", "nir"} <= set(model.bands):
        return params.water_ndwi
    wet = [planes.wetness(dates, model) for dates, _ in tiles]
    return max(params.water_ndwi, float(np.median(_gather(tiles, wet))) + params.water_above_median)

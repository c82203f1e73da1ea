"""Normalise: bring a scene's numbers to the reference's, band by band, on what did not change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from pydantic import Field

from changedetect.core.results import Gain
from changedetect.core.robust import median

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster

_TUKEY = 4.685
_SETTLED = 1e-4
"""A line is found when its last round moved gain and offset by less than this, in spreads of the sample."""
_RELATIVE_SCATTER = 0.06
"""Scatter of unchanged ground about its line, relative to its brightness: at most this is noise."""
_DARKEST = 0.06
"""Reflectance added to the brightness that scatter is relative to."""
_REACHES = (6.0, 5.0, 4.0, 3.5, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0)
"""Scatters within which a pixel counts, round by round."""


@dataclass(frozen=True, slots=True)
class NormalizeParams:
    """How the gain and offset of each band are fitted."""

    min_pixels: Annotated[int, Field(ge=10)] = 500
    """Fewer shared clear pixels than this say too little about two numbers (PIF practice: 500)."""
    min_correlation: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    """Below this the two dates share too little structure for a line to mean anything."""
    average_px: Annotated[int, Field(ge=0, le=20)] = 2
    """Both dates are averaged over this many pixels each way: noise and misregistration would flatten the line."""
    max_samples: Annotated[int, Field(ge=1000)] = 40_000
    """Pixels looked at, on a regular lattice: the fit's error is far below the sensor's long before that."""
    iterations: Annotated[int, Field(ge=1, le=100)] = 12
    """Rounds of reweighting; the weights settle in fewer than ten."""
    max_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.35
    """Vegetation changes with the season; where enough bare ground is seen only that is fitted."""
    max_gain: Annotated[float, Field(gt=1.0)] = 5.0
    """A fitted gain beyond this (or below its inverse) is not calibration but a failed fit."""
    prior_gain: Annotated[float, Field(gt=0.0)] = 0.1
    """Reflectances of two products differ by about this share (calibration, haze): where the ground says little, e.g.
    because its bare part was ploughed, the gain stays near one instead of following the plough."""
    prior_offset: Annotated[float, Field(gt=0.0)] = 0.03
    """The same for the offset, in reflectance: the haze of one date over the other's."""
    independent: Annotated[float, Field(gt=0.0)] = 8.0
    """Kinds of surface the fit rests on, whatever the number of pixels: pixels of one field err together."""
    dark_share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.05
    """This share of darkest pixels (near infrared, on both dates) joins the bare ground: shadows pin the haze."""
    min_agreeing: Annotated[float, Field(ge=0.0, le=1.0)] = 0.15
    """Least share of the sample, by weight, that follows one line in all bands; below it the scenes are unrelated."""


def estimate_gain(raster: Raster, reference: Raster, params: NormalizeParams) -> Gain:
    """Return the gain and offset per band of `raster` that make reference = gain * value + offset.

    Parameters
    ----------
    raster, reference : Raster
        On one grid, in the same bands; any unit, the offset is in that unit.
    params : NormalizeParams
        How to fit.

    Returns
    -------
    Gain
        The identity, with a reason, where the fit is not possible: gains of some bands alone would change colours.

    Notes
    -----
    Reflectance: a line per band with one weight over all bands, around a prior of equal numbers, so that fields that
    were worked between the dates do not bend single bands. Other units: major-axis regression with Tukey weights, as
    both dates carry noise and ordinary least squares would bias the gain low.

    References
    ----------
    Canty and Nielsen (2008), Remote Sensing of Environment 112, 1025-1036, doi:10.1016/j.rse.2007.07.013.
    """
    reference.grid.require_same(raster.grid, "normalize")
    use = _stable(raster, reference, params)
    n_pixels = int(use.sum())
    if n_pixels < params.min_pixels:
        return _identity(raster, n_pixels, f"only {n_pixels} clear pixels are shared, {params.min_pixels} are needed")
    step = max(1, n_pixels // params.max_samples)
    if raster.unit == reference.unit == "reflectance":
        return _fit_reflectance(raster, reference, use, step, params)
    at = np.flatnonzero(use)[::step]
    gains, offsets = [], []
    for name in raster.bands:
        x, y = (_averaged(image.band(name), params).ravel()[at].astype(np.float64) for image in (raster, reference))
        gain, offset, correlation = _fit_line(x, y, params.iterations)
        if not correlation >= params.min_correlation:
            return _identity(raster, n_pixels, f"band {name} correlates only {correlation:.2f} with the reference")
        if not 1 / params.max_gain <= gain <= params.max_gain:
            return _identity(raster, n_pixels, f"band {name} would need a gain of {gain:.3g}")
        gains.append(gain)
        offsets.append(offset)
    return Gain(raster.bands, tuple(gains), tuple(offsets), n_pixels)


def apply_gain(raster: Raster, gain: Gain) -> Raster:
    """Return the raster with gain * value + offset in each band; pixels without data stay 0."""
    if gain.bands != raster.bands:
        order = [gain.bands.index(name) for name in raster.bands]
        gain = replace(
            gain,
            bands=raster.bands,
            gain=tuple(gain.gain[i] for i in order),
            offset=tuple(gain.offset[i] for i in order),
        )
    factor = np.asarray(gain.gain, np.float32)[:, None, None]
    offset = np.asarray(gain.offset, np.float32)[:, None, None]
    return raster.with_data(np.where(raster.quality & 1, np.float32(0), raster.data * factor + offset))


def _stable(raster: Raster, reference: Raster, params: NormalizeParams) -> NDArray[np.bool_]:
    side = 2 * params.average_px + 1
    use = cv2.erode((raster.valid & reference.valid).astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    if {"red", "nir"} <= set(raster.bands) and raster.unit == "reflectance":
        bare = use & (_ndvi(raster) < params.max_ndvi) & (_ndvi(reference) < params.max_ndvi)
        # A tenth of the scene still spans its range of brightness; less may be one surface only.
        if bare.sum() >= max(params.min_pixels, 0.1 * use.sum()):
            return np.asarray(bare | _dark_twice(raster, reference, use, params))
    return np.asarray(use)


def _dark_twice(
    raster: Raster, reference: Raster, use: NDArray[np.bool_], params: NormalizeParams
) -> NDArray[np.bool_]:
    """Return the inside of what is among the darkest on both dates."""
    dark = use.copy()
    for image in (raster, reference):
        plane = image.band("nir")
        dark &= plane < np.quantile(plane[use][:: max(1, int(use.sum()) // params.max_samples)], params.dark_share)
    side = 2 * params.average_px + 1
    return np.asarray(cv2.erode(dark.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


def _averaged(plane: NDArray[np.float32], params: NormalizeParams) -> NDArray[np.float32]:
    side = 2 * params.average_px + 1
    return np.asarray(cv2.blur(plane, (side, side)), np.float32)


def _ndvi(raster: Raster) -> NDArray[np.float32]:
    red, nir = raster.band("red"), raster.band("nir")
    return np.asarray((nir - red) / np.maximum(np.abs(nir) + np.abs(red), 1e-6), np.float32)


def _identity(raster: Raster, n_pixels: int, reason: str) -> Gain:
    ones = tuple(1.0 for _ in raster.bands)
    zeros = tuple(0.0 for _ in raster.bands)
    return Gain(raster.bands, ones, zeros, n_pixels, reason)


def _fit_reflectance(
    raster: Raster, reference: Raster, use: NDArray[np.bool_], step: int, params: NormalizeParams
) -> Gain:
    at = np.flatnonzero(use)[::step]
    x, y = (
        np.stack([_averaged(image.band(name), params).ravel()[at] for name in raster.bands]).astype(np.float64)
        for image in (raster, reference)
    )
    gain, offset, agreeing = _fit_together(x, y, params)
    n_pixels = int(use.sum())
    if agreeing < params.min_agreeing:
        return _identity(raster, n_pixels, f"only {agreeing:.0%} of the bare ground agrees with the reference")
    return Gain(raster.bands, tuple(map(float, gain)), tuple(map(float, offset)), n_pixels)


def _fit_together(
    x: NDArray[np.float64], y: NDArray[np.float64], params: NormalizeParams
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return gain and offset per band of y on x, (band, pixel), and the mean weight: the mode nearest to the prior.

    The scale begins wide and closes in; a pixel counts by how well it fits in all bands at once.
    """
    n_bands, n_pixels = x.shape
    gain, offset, weight = np.ones(n_bands), np.zeros(n_bands), np.ones(n_pixels)
    scale = np.full(n_bands, _RELATIVE_SCATTER)
    size, left = np.abs(x) + _DARKEST, y - x
    squared, product, least = x * x, x * left, size**-2.0
    # Buffers are used again, as fresh memory costs more than the arithmetic.
    error, share = np.empty_like(x), np.empty_like(x)
    for reach in _REACHES:
        np.multiply(x, gain[:, None], out=error)
        error += offset[:, None]
        np.subtract(y, error, out=error)
        error /= size
        weight = scale**-2.0 @ np.multiply(error, error, out=share)
        weight /= n_bands * reach**2
        np.subtract(1, weight, out=weight)
        np.maximum(weight, 0, out=weight)
        np.multiply(weight, weight, out=weight)
        near = np.flatnonzero(weight > 0.25)
        if near.size > n_pixels // 20:
            spread = 1.4826 * np.asarray(median(np.abs(error[:, near]), along_rows=True))
            scale = np.clip(spread, 0.02 * _RELATIVE_SCATTER, _RELATIVE_SCATTER)
        np.multiply(least, weight, out=share)
        share *= (params.independent / n_pixels / scale**2)[:, None]
        xx, xy = (np.einsum("ij,ij->i", share, plane) for plane in (squared, product))
        x1, y1 = (np.einsum("ij,ij->i", share, plane) for plane in (x, left))
        xx, one = xx + params.prior_gain**-2, share.sum(axis=1) + params.prior_offset**-2
        determinant = xx * one - x1 * x1
        gain = 1 + (one * xy - x1 * y1) / determinant
        offset = (xx * y1 - x1 * xy) / determinant
    return gain, offset, float(weight.mean())


def _fit_line(x: NDArray[np.float64], y: NDArray[np.float64], iterations: int) -> tuple[float, float, float]:
    """Return gain, offset and weighted correlation of y on x."""
    spread_x, spread_y = _mad(x), _mad(y)
    if spread_x == 0 or spread_y == 0:
        spread_x, spread_y = float(x.std()), float(y.std())
    if spread_x == 0 or spread_y == 0:
        return 1.0, 0.0, 0.0
    # Work in units of the spread, so that the major axis does not depend on the bands' units.
    u, v = x / spread_x, y / spread_y
    gain, offset, correlation = 1.0, float(np.median(v) - np.median(u)), 0.0
    for _ in range(iterations):
        residual = (v - gain * u - offset) / np.sqrt(1 + gain * gain)
        scale = max(_mad(residual), 1e-9)
        weight = np.clip(1 - (residual / (_TUKEY * scale)) ** 2, 0, None) ** 2
        total = weight.sum()
        mean_u, mean_v = (weight @ u) / total, (weight @ v) / total
        du, dv = u - mean_u, v - mean_v
        suu, svv, suv = weight @ (du * du), weight @ (dv * dv), weight @ (du * dv)
        if suu <= 0 or svv <= 0 or suv <= 0:
            return 1.0, 0.0, 0.0
        last = gain, offset
        gain = float((svv - suu + np.sqrt((svv - suu) ** 2 + 4 * suv * suv)) / (2 * suv))
        offset = float(mean_v - gain * mean_u)
        correlation = float(suv / np.sqrt(suu * svv))
        if abs(gain - last[0]) + abs(offset - last[1]) < _SETTLED:
            break
    # The weights raise the correlation of what is left; what the whole sample shares is the honest figure.
    shared = float(np.corrcoef(u, v)[0, 1])
    return gain * spread_y / spread_x, offset * spread_y, max(shared, correlation if total > 0.6 * u.size else 0.0)


def _mad(values: NDArray[np.float64]) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))

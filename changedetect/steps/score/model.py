"""Estimate the scoring model of a scene against its baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from changedetect.core.comparable import PICTURE
from changedetect.core.results import Noise
from changedetect.errors import DataError, GridError
from changedetect.steps.score import evidence, fields, predict
from changedetect.steps.score.apply import Explained, Parts, to_sigmas
from changedetect.steps.score.fits import robust_regression, trimmed_nnls
from changedetect.steps.score.shade import learn_shadow
from changedetect.steps.score.shadows import Shadows, find_dark, find_shadows, measure_reach
from changedetect.steps.score.state import CoarseField, ScoreModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.score.params import ScoreParams

    Plane = NDArray[np.float32]
    Matrix = NDArray[np.float64]

_MAX_CELLS = 256
_CE90_TO_SIGMA = 2.15  # radius of 90 % of a circular normal
_TYPICAL_REFLECTANCE = 0.12  # median of land in the visible: other units are brought to numbers of this size
_PSF_CHOICES = (("before", 0.4), ("before", 0.6), ("before", 0.8), ("before", 1.0), ("after", 0.6), ("after", 0.9))
_PSF_TILE_PX = 512
_PSF_GAIN = 0.97  # a match must leave less than this of the unmatched residual
_SHRINK = 0.1
_MOST_UPSCALE = 1 / 0.7


def estimate_noise(raster: Raster, baseline: Baseline, ce90_px: float | None, params: ScoreParams) -> Noise:
    """Return the scoring model of a scene: how its baseline predicts it, and what is expected to be left over.

    Parameters
    ----------
    raster : Raster
        The whole scene, registered and normalised, on the baseline's grid.
    baseline : Baseline
        What the place looked like.
    ce90_px : float or None
        Radius that holds 90 % of the registration errors, in pixels of the grid; None if unknown.
    params : ScoreParams
        What counts as explained.

    Returns
    -------
    Noise
        `model` is JSON-able and holds a few coefficients per band and coarse fields. What rises above a threshold of
        itself is for detection to tell, which has the objects.

    Raises
    ------
    DataError
        With fewer shared clear pixels than `params.min_pixels`.
    GridError
        If grids differ or no band is shared.

    Notes
    -----
    Robust regression of each band on the baseline's bands and greenness predicts season, haze and gain by land cover;
    the residual's variance is a non-negative mix of constant, level, gradient (misregistration), texture, sharpness and
    the baseline's spread over time; residuals are whitened over bands and scaled to their expected median.
    """
    return _learn(raster, baseline, ce90_px, params, None)[0]


def explain_whole(
    raster: Raster, baseline: Baseline, ce90_px: float | None, params: ScoreParams
) -> tuple[Noise, ScoreModel, Explained]:
    """Return what `estimate_noise` returns, its model, and what scoring makes of the model of the whole scene.

    What is learned from and what is scored are mostly the same planes: a scene that is scored as a whole needs them
    made once. Not of pictures, which are clipped before they are scored.
    """
    parts = Parts([], [], [])
    noise, model, matched, shadows = _learn(raster, baseline, ce90_px, params, parts)
    to_sigmas(parts, model, (0, 0), params)
    return noise, model, Explained(matched, parts, shadows)


def _learn(
    raster: Raster, baseline: Baseline, ce90_px: float | None, params: ScoreParams, parts: Parts | None
) -> tuple[Noise, ScoreModel, predict.Pair, Shadows]:
    """Return noise and model, the pair whose sharpness matches, and its shadows.

    What is made for every pixel is put into `parts`; the variance is still without what is noisier than the rest.
    """
    baseline.grid.require_same(raster.grid, "score")
    bands = tuple(name for name in baseline.bands if name in raster.bands)
    if not bands:
        raise GridError("scene and baseline share no band", found=raster.bands, needed=baseline.bands)
    valid = raster.valid & baseline.valid
    if int(valid.sum()) < params.min_pixels:
        raise DataError(
            "too few clear pixels are shared with the baseline",
            found=int(valid.sum()),
            needed=params.min_pixels,
            hint="a wider area, or clearer scenes in the baseline",
        )
    model = _start(raster, baseline, bands, params)
    if params.compact.acts(raster.grid.gsd_m):
        model = replace(model, tolerance_px=params.compact.tolerance * (ce90_px or 0.0))
    pair = predict.make_pair(raster, baseline, bands, model.scale, model.level)
    lattice = _Lattice(pair.valid, model.cell_px, params)
    model = _fit_prediction(pair, model, lattice, params)
    model = _match_sharpness(pair, model)
    matched = predict.sharpen_match(pair, model.psf_side, model.psf_sigma_px)
    if model.psf_side != "none":
        model = _fit_prediction(matched, model, lattice, params)
    planes = list(predict.predictions(matched, model))
    model = _fit_fields(pair, matched, planes, model, lattice, params)
    dark = find_dark(pair, model, raster.grid, params)
    model = measure_reach(dark, pair.valid, model, raster.grid, params)
    shadows = find_shadows(dark, model, raster.grid, params)
    model = learn_shadow(dark, matched, planes, shadows, model, params)
    # Planes are let go as soon as nothing needs them: this is where a run holds most.
    del pair, dark
    if parts is None:
        matched = predict.Pair(bands, [], matched.after, matched.spread, matched.valid)
    model, sample = _fit_variance(matched, planes, (model, lattice), ce90_px, params, parts)
    model = _fit_whitening(sample, shadows, model, lattice, params)
    seen = [lattice.pick(plane).astype(np.float32) for plane in sample.sigmas]
    contrast = evidence.sigma_contrast(seen, _TYPICAL_REFLECTANCE, model)
    return Noise(bands, model.to_dict(), sigma_contrast=contrast), model, matched, shadows


class _Lattice:
    """A regular sample of the scene's pixels, at a stride that divides the coarse cells."""

    def __init__(self, valid: NDArray[np.bool_], cell_px: int, params: ScoreParams) -> None:
        self.stride = stride_px(valid.shape, params)
        self.cell = cell_px // self.stride
        self.use = self.take(valid)
        everywhere = np.flatnonzero(self.use)
        self.some = everywhere[:: max(1, everywhere.size // params.max_regression_samples)]

    def take(self, plane: NDArray[np.generic]) -> NDArray[np.generic]:
        return plane[:: self.stride, :: self.stride]

    def values(self, plane: NDArray[np.generic]) -> Matrix:
        return self.pick(self.take(plane))

    def pick(self, sample: NDArray[np.generic]) -> Matrix:
        """Return those of what was taken that the iterated fits use."""
        return np.asarray(sample.ravel()[self.some], np.float64)


@dataclass(frozen=True, slots=True)
class _Sample:
    """Per band, on the lattice: residual, its standard deviation, and light on the ground."""

    residuals: list[Plane]
    sigmas: list[Plane]
    lights: list[Plane]


def stride_px(shape: tuple[int, int], params: ScoreParams) -> int:
    """Return the stride of the sample lattice."""
    return max(1, math.ceil(math.sqrt(shape[0] * shape[1] / params.max_samples)))


def _start(raster: Raster, baseline: Baseline, bands: tuple[str, ...], params: ScoreParams) -> ScoreModel:
    grid = raster.grid
    window = max(
        params.local_window_m / grid.gsd_m, float(params.local_window_min_px), max(grid.shape) * 3 / _MAX_CELLS
    )
    stride = stride_px(grid.shape, params)
    cell = stride * max(2, round(window / 3 / stride))
    valid = raster.valid & baseline.valid
    step = max(1, int(valid.sum()) // params.max_regression_samples)
    medians = [float(np.median(baseline.band(name)[valid][::step])) for name in bands]
    if raster.unit == "reflectance":
        scale = [1.0] * len(bands)
    else:
        scale = [_TYPICAL_REFLECTANCE / max(abs(value), 1e-6) for value in medians]
    return ScoreModel(
        bands=bands,
        origin=(grid.transform.c, grid.transform.f),
        cell_px=cell,
        reach_px=max(round(params.null_distance_m / grid.gsd_m), cell),
        scale=tuple(scale),
        level=tuple(m * s for m, s in zip(medians, scale, strict=True)),
        coefficients=(),
        psf_side="none",
        psf_sigma_px=0.0,
        path=(0.0,) * len(bands),
        variance=(),
        whitening=(),
        shadow_reach_m=(params.shadow_reach_m, params.shadow_reach_m),
        bend=params.bend if raster.unit == PICTURE else 0.0,
    )


def _fit_prediction(pair: predict.Pair, model: ScoreModel, lattice: _Lattice, params: ScoreParams) -> ScoreModel:
    green = predict.greenness(pair.before, pair.bands)
    before = [np.asarray(lattice.take(plane), np.float32) for plane in pair.before]
    design = predict.design(before, np.asarray(lattice.take(green), np.float32))
    columns = np.stack([lattice.pick(column) for column in design])
    coefficients, path = [], []
    for k in range(len(pair.bands)):
        target = lattice.values(pair.after[k])
        fit = robust_regression(columns, target, params.iterations)
        coefficients.append(tuple(float(c) for c in fit))
        # Path radiance cannot exceed what the darkest ground shows.
        path.append(float(min(max(fit[0], 0.0), np.quantile(target, 0.002))))
    return replace(model, coefficients=tuple(coefficients), path=tuple(max(p, 0.0) for p in path))


def _match_sharpness(pair: predict.Pair, model: ScoreModel) -> ScoreModel:
    """Return the model with the blur that leaves least at the steepest 3 % of the pixels (green, or first band)."""
    part = _clearest_part(pair)
    names = list(part.bands)
    k = names.index("green") if "green" in names else 0
    steepness = predict.gradient_squared(part.before[k])
    at = np.flatnonzero(part.valid & (steepness >= np.quantile(steepness[part.valid], 0.97)))
    # The later date counts in one band alone, the earlier in all: they predict it.
    part = predict.Pair(part.bands, part.before, [part.after[k]], part.spread, part.valid)

    def left(side: str, sigma_px: float) -> float:
        matched = predict.sharpen_match(part, side, sigma_px)
        green = predict.greenness(matched.before, part.bands).take(at)
        expected = predict.predict([plane.take(at) for plane in matched.before], green, model.coefficients[k])
        values = matched.after[0].take(at) - expected
        return float(np.median(np.abs(values - np.median(values))))

    best, best_left = ("none", 0.0), _PSF_GAIN * left("none", 0.0)
    for side, sigma_px in _PSF_CHOICES:
        value = left(side, sigma_px)
        if value < best_left:
            best, best_left = (side, sigma_px), value
    return replace(model, psf_side=best[0], psf_sigma_px=best[1])


def _clearest_part(pair: predict.Pair) -> predict.Pair:
    """Return the tile of the scene with most valid pixels: sharpness is the same everywhere."""
    rows, cols = pair.valid.shape
    corners = [(r, c) for r in range(0, rows, _PSF_TILE_PX) for c in range(0, cols, _PSF_TILE_PX)]
    size = _PSF_TILE_PX
    counts = [int(pair.valid[r : r + size, c : c + size].sum()) for r, c in corners]
    r, c = corners[int(np.argmax(counts))]
    part = (slice(r, r + size), slice(c, c + size))

    def cut(planes: list[Plane]) -> list[Plane]:
        return [np.ascontiguousarray(plane[part]) for plane in planes]

    return predict.Pair(pair.bands, cut(pair.before), cut(pair.after), cut(pair.spread), pair.valid[part])


def _fit_fields(
    pair: predict.Pair,
    matched: predict.Pair,
    planes: list[Plane],
    model: ScoreModel,
    lattice: _Lattice,
    params: ScoreParams,
) -> ScoreModel:
    found: dict[str, CoarseField] = {}
    use = np.asarray(lattice.use, bool)
    for k, plane in enumerate(planes):
        expected = np.asarray(lattice.take(plane), np.float32)
        seen = np.asarray(lattice.take(matched.after[k]), np.float32)
        sample = (seen - expected) / predict.lit(expected, model.path[k], params)
        slow = fields.cell_quantile(sample, use, lattice.cell)
        found[f"offset_{k}"] = CoarseField.pack(np.clip(slow, -0.9, 3.0))
    for name, planes in (("bright_before", pair.before), ("bright_after", pair.after)):
        taken = [np.asarray(lattice.take(plane), np.float32) for plane in planes]
        sample = predict.darkness_plane(taken, pair.bands)
        found[name] = CoarseField.pack(fields.cell_quantile(sample, use, lattice.cell, 0.6))
    ones = np.ones((1, 1), np.float32)
    return replace(model, fields={**found, "noise": CoarseField.pack(ones)})


def _fit_variance(
    pair: predict.Pair,
    planes: list[Plane],
    settings: tuple[ScoreModel, _Lattice],
    ce90_px: float | None,
    params: ScoreParams,
    parts: Parts | None,
) -> tuple[ScoreModel, _Sample]:
    """Return the model with the weights of the variance, and what it leaves to explain on the lattice.

    The planes are used up; the same at each pixel is put into `parts`.
    """
    model, lattice = settings
    registration = params.registration_factor * ((ce90_px or 0.0) / _CE90_TO_SIGMA) ** 2
    weights, sample = [], _Sample([], [], [])
    for k in range(len(planes)):
        plane = planes.pop(0)
        whole = predict.lit(plane, model.path[k], params)
        light = np.ascontiguousarray(lattice.take(whole), np.float32)
        offset = model.fields[f"offset_{k}"].unpack()
        slow = fields.field_plane(offset, model.cell_px, (0, 0), plane.shape, lattice.stride)
        raw = predict.residual(pair, k, plane, params.residual_sigma_px)
        left = np.asarray(lattice.take(raw), np.float32) - slow * light
        local = predict.local_terms(plane)
        terms = predict.variance_terms(plane, pair.spread[k], local, lattice.stride)
        fit = trimmed_nnls(np.stack([lattice.pick(term) for term in terms]), lattice.pick(left) ** 2)
        fit[3] = max(fit[3], registration, params.gradient_floor_px**2)
        fit[5] = max(fit[5], params.sharpness_floor**2)
        fit[6] = min(fit[6], params.max_spread_weight)
        weights.append(tuple(float(w) for w in fit))
        variance = predict.weighted_variance(terms, weights[-1])
        expected = np.asarray(lattice.take(plane), np.float32)
        variance += predict.floor_variance(expected, light, model.level[k], params.relative_floor, model.bend)
        sample.residuals.append(np.asarray(left, np.float32))
        sample.sigmas.append(np.sqrt(variance))
        sample.lights.append(light)
        if parts is not None:
            parts.raw.append(raw)
            parts.lights.append(whole)
            parts.sigmas.append(predict.expected_variance(plane, pair.spread[k], weights[-1], local))
    return replace(model, variance=tuple(weights)), sample


def _fit_whitening(
    sample: _Sample, shadows: Shadows, model: ScoreModel, lattice: _Lattice, params: ScoreParams
) -> ScoreModel:
    """Return the model with whitening, scales and local noise level."""
    n_bands = len(model.bands)
    residuals, sigmas, lights = sample.residuals, sample.sigmas, sample.lights
    n = np.stack([(r / s).ravel()[lattice.some] for r, s in zip(residuals, sigmas, strict=True)], axis=1)
    calm = n[(n.astype(np.float64) ** 2).sum(axis=1) < 25.0]
    covariance = np.cov(calm.T).reshape(n_bands, n_bands) if len(calm) > 10 * n_bands else np.eye(n_bands)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 1e-9))
    correlation = (1 - _SHRINK) * covariance / np.outer(deviation, deviation) + _SHRINK * np.eye(n_bands)
    whitening = np.linalg.cholesky(np.linalg.inv(correlation)).T
    model = replace(model, whitening=tuple(tuple(float(w) for w in row) for row in whitening))
    use = np.asarray(lattice.use, bool)
    dark = np.asarray(lattice.take(shadows.was_dark), bool)
    found = evidence.weigh_rows(residuals, sigmas, lights, dark, (model, params))
    whole = fields.cell_quantile(found.all_squared, use, lattice.cell) / _median_chi2(n_bands)
    noise = np.sqrt(np.maximum(whole / max(float(np.median(whole)), 1e-9), 1.0))
    model = replace(model, fields={**model.fields, "noise": CoarseField.pack(np.clip(noise, 1.0, 4.0))})
    return _scale(found, use, n_bands, model)


def _scale(found: evidence.Evidence, use: NDArray[np.bool_], n_bands: int, model: ScoreModel) -> ScoreModel:
    """Return the model whose evidence has its expected median: never scaled up by more than noise allows."""
    whole = max(float(np.median(found.all_squared[use])), 1e-9)
    free = max(float(np.median(found.free_squared[use])), 1e-9)
    # A scene quieter than the floors stays quiet: excess is scaled away, calm only a little up.
    scale_all = math.sqrt(min(_MOST_UPSCALE, _median_chi2(n_bands) / whole))
    scale_free = math.sqrt(min(_MOST_UPSCALE, _median_chi2(max(n_bands - 1, 1)) / free))
    return replace(model, scale_all=scale_all, scale_free=scale_free)


def _median_chi2(freedom: int) -> float:
    from scipy.special import chdtri  # scipy is slow to import: only where it is used

    return float(chdtri(freedom, 0.5))

"""Prediction of a scene from its baseline, and what is expected to be left over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.score.params import ScoreParams
    from changedetect.steps.score.state import ScoreModel

    Plane = NDArray[np.float32]

VISIBLE = ("blue", "green", "red", "pan")
GREENNESS_SIGMA_PX = 1.5
HIGH_PASS_SIGMA_PX = 2.5
VARIANCE_SIGMA_PX = 4.0
TAIL_PX = 32
"""Vector kernels may round the last columns of a row differently."""

_BOX = np.ones((3, 3), np.uint8)


def gaussian_radius_px(sigma_px: float) -> int:
    """Return the radius of the truncated Gaussian kernel used here."""
    return math.ceil(3 * sigma_px)


def gaussian(plane: Plane, sigma_px: float) -> Plane:
    """Return the plane blurred by a Gaussian of `sigma_px`; 0 leaves it as it is."""
    if sigma_px <= 0:
        return plane
    side = 2 * gaussian_radius_px(sigma_px) + 1
    return np.asarray(cv2.GaussianBlur(plane, (side, side), sigma_px, borderType=cv2.BORDER_REPLICATE))


@dataclass(frozen=True, slots=True)
class Pair:
    """Both dates as planes of reflectance-like numbers on one grid, filled where not valid."""

    bands: tuple[str, ...]
    before: list[Plane]
    after: list[Plane]
    spread: list[Plane]
    valid: NDArray[np.bool_]

    @property
    def visible(self) -> list[int]:
        """Indices of the visible bands; all, if none is named."""
        return visible_indices(self.bands)


def visible_indices(bands: Sequence[str]) -> list[int]:
    """Return the indices of the visible bands; all, if none is named."""
    return [i for i, name in enumerate(bands) if name in VISIBLE] or list(range(len(bands)))


def make_pair(
    raster: Raster, baseline: Baseline, model_bands: tuple[str, ...], scale: Sequence[float], level: Sequence[float]
) -> Pair:
    """Return both dates scaled, with the baseline's median `level` put where either is unknown."""
    valid = np.asarray(raster.valid & baseline.valid)
    before, after, spread = [], [], []
    for name, factor, fill in zip(model_bands, scale, level, strict=True):
        before.append(_filled(baseline.band(name), factor, fill, valid))
        after.append(_filled(raster.band(name), factor, fill, valid))
        plane = baseline.spread[baseline.bands.index(name)]
        spread.append(plane if is_nothing(plane) else _filled(plane, factor, 0.0, valid))
    return Pair(model_bands, before, after, spread, valid)


def is_nothing(plane: Plane) -> bool:
    """Return whether a plane is one zero repeated, which takes no room: the spread of a single look."""
    return not any(plane.strides) and plane[0, 0] == 0


def _filled(plane: Plane, factor: float, fill: float, valid: NDArray[np.bool_]) -> Plane:
    return np.where(valid, plane * np.float32(factor), np.float32(fill))


def greenness(planes: list[Plane], bands: Sequence[str]) -> Plane:
    """Return a vegetation index of the planes, smoothed: NDVI, without near infrared the greenness, else 0."""
    names = {name: i for i, name in enumerate(bands)}
    red = names.get("red")
    other = names.get("nir", names.get("green"))
    if red is None or other is None:
        return np.zeros_like(planes[0])
    top = planes[other] - planes[red]
    bottom = np.maximum(planes[other] + planes[red], np.float32(0.01))
    return gaussian(np.clip(top / bottom, np.float32(-1), np.float32(1)), GREENNESS_SIGMA_PX)


def design(planes: Sequence[Plane], green: Plane) -> list[Plane]:
    """Return the regressors of the prediction: 1, green, green^2, then each plane and its product with green.

    A line per band whose slope and intercept go with the land cover: this is what season, haze and gain do.
    """
    columns = [np.ones_like(green), green, green * green]
    for plane in planes:
        columns += [plane, plane * green]
    return columns


def predict(planes: Sequence[Plane], green: Plane, coefficients: Sequence[float]) -> Plane:
    """Return the predicted plane of one band; `coefficients` as ordered by `design`."""
    values = [np.float32(c) for c in coefficients]
    total = values[0] + values[1] * green + values[2] * (green * green)
    slope = np.empty_like(green)
    for i, plane in enumerate(planes):
        np.multiply(green, values[4 + 2 * i], out=slope)
        slope += values[3 + 2 * i]
        slope *= plane
        total += slope
    return np.asarray(total)


def gradient_squared(plane: Plane) -> Plane:
    """Return the largest squared gradient within one pixel, per pixel^2."""
    dx = cv2.Sobel(plane, cv2.CV_32F, 1, 0, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.Sobel(plane, cv2.CV_32F, 0, 1, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
    squared = np.multiply(dx, dx, out=dx)
    squared += np.multiply(dy, dy, out=dy)
    return np.asarray(cv2.dilate(squared, _BOX))


def laplacian_squared(plane: Plane) -> Plane:
    """Return the largest squared Laplacian within one pixel."""
    value = gaussian(plane, 1.0)
    value -= plane
    value *= value
    return np.asarray(cv2.dilate(value, _BOX))


def local_variance(plane: Plane) -> Plane:
    """Return the local variance of the fine detail of a plane."""
    fine = gaussian(plane, HIGH_PASS_SIGMA_PX)
    np.subtract(plane, fine, out=fine)
    fine *= fine
    return gaussian(fine, VARIANCE_SIGMA_PX)


def local_terms(prediction: Plane) -> dict[int, Plane]:
    """Return those terms of the variance that look at a pixel's neighbours, by their place among the terms."""
    return {k: _VARIANCE_TERMS[k](prediction, prediction) for k in _LOCAL_TERMS}


def variance_terms(prediction: Plane, spread: Plane, local: dict[int, Plane], stride: int = 1) -> list[Plane]:
    """Return what the residual's variance is made of: 1, p, p^2, gradient^2, local variance, laplacian^2, spread^2.

    At every `stride`-th pixel of every `stride`-th row; `local` as `local_terms` returns them.
    """
    lattice = (slice(None, None, stride), slice(None, None, stride))
    sample = prediction[lattice], spread[lattice]
    return [
        np.ascontiguousarray(local[k][lattice]) if k in local else make(*sample)
        for k, make in enumerate(_VARIANCE_TERMS)
    ]


def _positive(prediction: Plane) -> Plane:
    return np.asarray(np.maximum(prediction, np.float32(0)))


_VARIANCE_TERMS: tuple[Callable[[Plane, Plane], Plane], ...] = (
    lambda prediction, _: np.ones_like(prediction),
    lambda prediction, _: _positive(prediction),
    lambda prediction, _: np.square(_positive(prediction)),
    lambda prediction, _: gradient_squared(prediction),
    lambda prediction, _: local_variance(prediction),
    lambda prediction, _: laplacian_squared(prediction),
    lambda _, spread: np.square(spread),
)


_LOCAL_TERMS = (3, 4, 5)
"""Those that look at a pixel's neighbours."""


def weighted_variance(terms: Sequence[Plane], weights: Sequence[float]) -> Plane:
    """Return the sum of variance terms by their weights."""
    total = np.full_like(terms[0], np.float32(weights[0]))
    for term, weight in zip(terms[1:], weights[1:], strict=True):
        if weight:
            total += term * np.float32(weight)
    return total


def floor_variance(prediction: Plane, light: Plane, level: float, relative: float, bend: float) -> Plane:
    """Return the variance that no fit can tell: of any prediction, and of what is far from the median ground."""
    total = np.square(np.float32(relative) * light)
    if bend:
        total += np.square(np.float32(bend / level) * np.square(prediction - np.float32(level)))
    return np.asarray(total)


def expected_variance(
    prediction: Plane, spread: Plane, weights: Sequence[float], local: dict[int, Plane] | None = None
) -> Plane:
    """Return the sum of the variance terms by their weights; those without weight are not made.

    `local` as `local_terms` returns them, where they are at hand: they are used up.
    """
    total = np.full_like(prediction, np.float32(weights[0]))
    for k, (make, weight) in enumerate(zip(_VARIANCE_TERMS, weights, strict=True)):
        if k and weight:
            term = local[k] if local and k in local else make(prediction, spread)
            term *= np.float32(weight)
            total += term
    return total


def sharpen_match(pair: Pair, side: str, sigma_px: float) -> Pair:
    """Return the pair with the sharper date blurred to match the other."""
    if side == "before":
        return Pair(pair.bands, [gaussian(p, sigma_px) for p in pair.before], pair.after, pair.spread, pair.valid)
    if side == "after":
        return Pair(pair.bands, pair.before, [gaussian(p, sigma_px) for p in pair.after], pair.spread, pair.valid)
    return pair


def predictions(pair: Pair, model: ScoreModel) -> Iterator[Plane]:
    """Yield the predicted plane of every band."""
    green = greenness(pair.before, pair.bands)
    for coefficients in model.coefficients:
        yield predict(pair.before, green, coefficients)


def lit(prediction: Plane, path: float, params: ScoreParams) -> Plane:
    """Return what light falling on the ground scales: the prediction less the path radiance."""
    return np.asarray(np.maximum(prediction - np.float32(path), np.float32(params.brightness_floor)))


def residual(pair: Pair, band: int, prediction: Plane, sigma_px: float) -> Plane:
    """Return the smoothed difference between scene and prediction, 0 where unknown."""
    difference = pair.after[band] - prediction
    np.copyto(difference, np.float32(0), where=~pair.valid)
    return gaussian(difference, sigma_px)


def darkness_plane(planes: Sequence[Plane], bands: Sequence[str]) -> Plane:
    """Return the plane in which shadows stand out most: near infrared (least sky light), else the visible mean."""
    names = list(bands)
    if "nir" in names:
        return planes[names.index("nir")]
    chosen = visible_indices(bands)
    total = planes[chosen[0]]
    for i in chosen[1:]:
        total = total + planes[i]
    return np.asarray(total * np.float32(1 / len(chosen)))

"""What is matched: local contrast of the log bands and of their gradient, on area-averaged levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.steps.register.params import RegisterParams

_CLIP = 3.0
"""Bound of a feature in local standard deviations: one glint must not outweigh a street."""
_ERODE = np.ones((5, 5), np.uint8)
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6.0
_LOG_OFFSET_SHARE = 0.15
"""Share of the median added before the log: keeps the noise of dark water from being blown up."""
_SAMPLE_PX = 128
_THIN = 7
"""Quantiles are taken of every seventh value: they are as good, and sorting all of them is the slowest step."""
_EPS = 1e-6
_MIN_NOISE = 1e-5
"""Of a feature before it is scaled: below it, differences are of rounding."""


@dataclass(frozen=True, slots=True)
class Image:
    """One scene at one level: bands and what is usable."""

    bands: NDArray[np.float32]
    """(band, row, col)."""
    valid: NDArray[np.bool_]
    """(row, col), True = usable."""
    factor: int = 1
    """Pixels of the full grid per side of a pixel here."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return (self.valid.shape[0], self.valid.shape[1])


@dataclass(frozen=True, slots=True)
class Scale:
    """Whole-image numbers the features need, so that they can be made block by block."""

    floor: NDArray[np.float64]
    """Per band, the value taken as zero light."""
    offset: NDArray[np.float64]
    """Per band, added before the log."""
    noise: NDArray[np.float64]
    """Per feature (bands, then gradient), standard deviation of the noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What is matched."""

    planes: NDArray[np.float32]
    """(band + 1, row, col) in local standard deviations, 0 where they do not hold."""
    inside: NDArray[np.bool_]
    """(row, col), True where they hold."""


def pick_bands(moving: Sequence[str], reference: Sequence[str], params: RegisterParams) -> tuple[str, ...]:
    """Return the names of the bands to match on, in the reference's order; empty if the scenes share none."""
    common = [name for name in reference if name in moving]
    wanted = [name for name in params.bands if name in common]
    others = [name for name in common if name not in wanted]
    chosen = (wanted + others)[: params.max_bands]
    return tuple(name for name in reference if name in chosen)


def to_image(raster: Raster, names: tuple[str, ...], valid: NDArray[np.bool_]) -> Image:
    """Return the named bands of a raster, or the mean of all its bands if there are no names."""
    if names:
        return Image(raster.select(names).data, valid)
    return Image(np.asarray(raster.data.mean(axis=0, keepdims=True), np.float32), valid)


def average_image(image: Image, factor: int) -> Image:
    """Return the image averaged over `factor` x `factor` usable pixels; usable where at least half of them are."""
    if factor == 1:
        return image
    rows, cols = (n // factor for n in image.shape)
    cut = (slice(0, rows * factor), slice(0, cols * factor))
    weight = image.valid[cut].astype(np.float32)
    share = cv2.resize(weight, (cols, rows), interpolation=cv2.INTER_AREA)
    safe = np.maximum(share, _EPS)
    bands = [cv2.resize(band[cut] * weight, (cols, rows), interpolation=cv2.INTER_AREA) / safe for band in image.bands]
    return Image(np.stack(bands).astype(np.float32), np.asarray(share >= 0.5), image.factor * factor)


def measure_scale(image: Image) -> Scale:
    """Return offsets and noise of the features, from the whole image or, if it is large, from crops spread over it."""
    crops = [crop for crop in _sample_crops(image) if crop.valid.any()]
    n_bands = image.bands.shape[0]
    if not crops:
        return Scale(np.zeros(n_bands), np.ones(n_bands), np.ones(n_bands + 1))
    floor, offset = np.zeros(n_bands), np.ones(n_bands)
    for i in range(n_bands):
        values = np.concatenate([crop.bands[i][crop.valid][::_THIN] for crop in crops])
        floor[i] = min(0.0, float(np.percentile(values, 1.0)))
        offset[i] = max(_LOG_OFFSET_SHARE * float(np.median(values) - floor[i]), _EPS)
    partial = Scale(floor, offset, np.zeros(n_bands + 1))
    noise = np.zeros(n_bands + 1)
    logs = [_log_bands(crop, partial) for crop in crops]
    for i in range(n_bands + 1):
        rough = [
            cv2.filter2D(y[i], cv2.CV_32F, _IMMERKAER)[_erode(crop.valid)] for y, crop in zip(logs, crops, strict=True)
        ]
        values = np.concatenate(rough)[::_THIN]
        # what was clipped or filled has no noise: it says nothing of the sensor's
        values = values[np.abs(values) > _MIN_NOISE]
        noise[i] = 1.4826 * float(np.median(np.abs(values))) if values.size else 1.0
    return Scale(floor, offset, np.maximum(noise, _MIN_NOISE))


def make_features(image: Image, scale: Scale, params: RegisterParams) -> Features:
    """Return the features of an image.

    Each is the high-passed log band over its local contrast plus the noise, so that texture below the noise (cloud
    tops, water) weighs little whatever its brightness; the last is the same of the gradient magnitude, which
    survives an inversion of contrast between bands. Zero where they do not hold.
    """
    weight = image.valid.astype(np.float32)
    inside = _erode(image.valid)
    near = np.maximum(_blur(weight, params.high_pass_px), _EPS)
    around = np.maximum(_blur(weight, params.contrast_px), _EPS)
    logs = _log_bands(image, scale)
    features = np.empty_like(logs)
    for i, y in enumerate(logs):
        high = (y - _blur(y * weight, params.high_pass_px) / near) * weight
        contrast = cv2.sqrt(np.maximum(_blur(high * high, params.contrast_px) / around, 0.0))
        features[i] = np.clip(high / (contrast + np.float32(scale.noise[i])), -_CLIP, _CLIP) * inside
    return Features(features, inside)


def _log_bands(image: Image, scale: Scale) -> NDArray[np.float32]:
    out = np.empty((image.bands.shape[0] + 1, *image.shape), np.float32)
    for i, band in enumerate(image.bands):
        light = np.maximum(band - np.float32(scale.floor[i]), 0.0) + np.float32(scale.offset[i])
        # pixels outside take the offset's own level, so that no infinite step forms at the edge of what is usable
        out[i] = cv2.log(np.where(image.valid, light, np.float32(scale.offset[i])))
    mean = out[:-1].mean(axis=0)
    # not cv2.magnitude: its last bit depends on where its buffers lie in memory, so two runs would differ
    slope_x, slope_y = (cv2.Sobel(mean, cv2.CV_32F, k, 1 - k, scale=0.125) for k in (1, 0))
    out[-1] = np.sqrt(slope_x * slope_x + slope_y * slope_y)
    return out


def _blur(plane: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Gaussian mean with zero outside; wide ones on a quarter of the pixels, at a tenth of the cost."""
    step = 4 if sigma_px >= 8 and min(plane.shape) >= 16 else 1
    if step == 1:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma_px, borderType=cv2.BORDER_CONSTANT))
    rows, cols = plane.shape
    small = cv2.resize(plane, (-(-cols // step), -(-rows // step)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / step, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(cv2.resize(small, (cols, rows), interpolation=cv2.INTER_LINEAR))


def _erode(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(cv2.erode(valid.astype(np.uint8), _ERODE, borderValue=0) > 0)


def _sample_crops(image: Image) -> list[Image]:
    rows, cols = image.shape
    if rows * cols <= 16 * _SAMPLE_PX**2:
        return [image]
    starts_row = np.unique(np.linspace(0, max(rows - _SAMPLE_PX, 0), 4).astype(int))
    starts_col = np.unique(np.linspace(0, max(cols - _SAMPLE_PX, 0), 4).astype(int))
    cuts = [(slice(r, r + _SAMPLE_PX), slice(c, c + _SAMPLE_PX)) for r in starts_row for c in starts_col]
    return [Image(image.bands[(slice(None), *cut)], image.valid[cut], image.factor) for cut in cuts]

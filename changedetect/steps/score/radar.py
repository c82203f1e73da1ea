"""Radar: change as the ratio of backscatter, against the speckle that the scene itself shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.core.raster import Raster
from changedetect.core.results import Noise
from changedetect.errors import DataError, GridError
from changedetect.steps.score.evidence import to_sigma

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.results import Baseline

    Plane = NDArray[np.float32]

DECIBEL = "db"
"""Unit of radar rasters: a ratio is a difference there, and speckle spreads alike on dark and bright ground."""

_LEAST_SIGMA_DB = 0.25
"""Stability of a calibrated radar between two dates (Sentinel-1: 0.5 dB at 3 sigma); no scene is more exact."""
_CE90_TO_SIGMA = 2.15  # radius of 90 % of a circular normal
_SAMPLES = 200_000


def estimate_radar(raster: Raster, baseline: Baseline, ce90_px: float | None, min_pixels: int) -> Noise:
    """Return what the ratio of two radar dates is where nothing changed: its level and its spread per polarisation.

    Parameters
    ----------
    raster, baseline
        In decibel, on one grid.
    ce90_px : float or None
        Radius that holds 90 % of the registration errors, pixels.
    min_pixels : int
        Shared clear pixels needed.

    Raises
    ------
    DataError
        With fewer shared clear pixels than `min_pixels`.
    GridError
        If grids differ or no polarisation is shared.

    Notes
    -----
    The spread is the median absolute deviation of the difference in decibel, so what changed on less than half of the
    scene does not count; misregistration adds its own, by the baseline's gradient.
    """
    baseline.grid.require_same(raster.grid, "score")
    bands = tuple(name for name in baseline.bands if name in raster.bands)
    if not bands:
        raise GridError("scene and baseline share no band", found=raster.bands, needed=baseline.bands)
    valid = raster.valid & baseline.valid
    if int(valid.sum()) < min_pixels:
        raise DataError("too few clear pixels are shared with the baseline", found=int(valid.sum()), needed=min_pixels)
    level, sigma = [], []
    for name in bands:
        ratio = (raster.band(name) - baseline.band(name))[valid]
        ratio = ratio[:: max(1, ratio.size // _SAMPLES)]
        level.append(float(np.median(ratio)))
        sigma.append(max(_LEAST_SIGMA_DB, float(1.4826 * np.median(np.abs(ratio - level[-1])))))
    placing = (ce90_px or 0.0) / _CE90_TO_SIGMA
    return Noise(bands, {"method": "radar", "level_db": level, "sigma_db": sigma, "placing_px": placing})


def radar_score(raster: Raster, baseline: Baseline, noise: Noise) -> Raster:
    """Return the signed score in sigma, bands ("score", "light", "free") as of `change_score`: no light in radar.

    Positive is brighter: metal, walls, ships appear; darker is their leaving, or ground made smooth.
    """
    model = noise.model
    total, strongest = np.zeros(raster.grid.shape, np.float32), np.zeros(raster.grid.shape, np.float32)
    for name, level, sigma in zip(noise.bands, model["level_db"], model["sigma_db"], strict=True):
        before = baseline.band(name)
        spread = np.sqrt(np.float32(sigma**2) + np.float32(model["placing_px"] ** 2) * _gradient_squared(before))
        ratio = (raster.band(name) - before - np.float32(level)) / spread
        total += ratio * ratio
        strongest = np.where(np.abs(ratio) > np.abs(strongest), ratio, strongest)
    score = to_sigma(total, len(noise.bands)) * np.sign(strongest)
    score = np.where(raster.valid & baseline.valid, score, np.float32(0)).astype(np.float32)
    quality = raster.quality | np.where(baseline.valid, 0, 1).astype(np.uint16)
    data = np.ascontiguousarray(np.stack([score, np.zeros_like(score), score]))
    return Raster(data, quality, raster.grid, ("score", "light", "free"), "sigma")


def _gradient_squared(plane: Plane) -> Plane:
    """Return the squared gradient, per pixel squared, of a plane smoothed enough not to be its speckle."""
    smooth = cv2.blur(np.ascontiguousarray(plane), (3, 3), borderType=cv2.BORDER_REFLECT_101)
    down = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, scale=0.5, borderType=cv2.BORDER_REFLECT_101))
    along = np.asarray(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5, borderType=cv2.BORDER_REFLECT_101))
    return np.asarray(down * down + along * along, np.float32)

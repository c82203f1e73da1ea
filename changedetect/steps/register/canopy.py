"""Where trees hide the ground: what is matched there are crowns, which every view shows elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster

SIDE = 48
"""Cells of the map along each side of the grid."""
_COARSEST_M = 1.5
"""Pixels in which single crowns, and the shadows between them, can be told from a crop."""
_LEAST_NDVI, _LEAST_ROUGHNESS = 0.4, 0.1
"""Crowns: green, and uneven by a tenth over 8 m (.15-.25 in woods, .01-.05 on crops and grass)."""
_ROUGH_M, _SMOOTH_M = 8.0, 0.5
_EPS = 1e-6


def map_canopy(raster: Raster) -> NDArray[np.float32] | None:
    """Return the share of each of `SIDE` x `SIDE` cells of the grid that lies under crowns, 0 to 1.

    None where it cannot be told: without red and near infrared, or with coarse pixels.
    """
    gsd_m = raster.grid.gsd_m
    if gsd_m > _COARSEST_M or not {"red", "nir"} <= set(raster.bands):
        return None
    known = raster.valid.astype(np.float32)
    side_px = (max(round(_ROUGH_M / gsd_m), 3),) * 2
    weight = np.maximum(cv2.blur(known, side_px), _EPS)

    def mean(band: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(band * known, side_px) / weight)

    red, nir = (raster.data[raster.bands.index(name)] for name in ("red", "nir"))
    of_red, of_nir = mean(red), mean(nir)
    green = of_nir - of_red > _LEAST_NDVI * np.maximum(of_nir + of_red, _EPS)
    seen = cv2.GaussianBlur(nir, (0, 0), max(_SMOOTH_M / gsd_m, 0.5))
    of_seen = mean(seen)
    uneven = mean(seen * seen) - of_seen**2 > (_LEAST_ROUGHNESS * of_seen) ** 2
    crowns = (green & uneven & raster.valid).astype(np.float32)
    return np.asarray(cv2.resize(crowns, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)


def merge_canopies(*maps: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    """Return where either date shows crowns: leaves fall, and clouds hide; None where no date tells."""
    told = [one for one in maps if one is not None]
    return np.maximum.reduce(told) if told else None


def canopy_at(canopy: NDArray[np.float32], position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share under crowns around positions (n, 2), shares of the grid, (n,)."""
    row, col = (np.clip((p * SIDE).astype(np.int64), 0, SIDE - 1) for p in position.T)
    return np.asarray(cv2.blur(canopy, (3, 3))[row, col], np.float64)

"""Mask: keep away from what a product's mask calls cloud, since masks miss the rims."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from changedetect.core.near import within
from changedetect.core.quality import VEILED, Quality
from changedetect.core.raster import Raster


@dataclass(frozen=True, slots=True)
class MaskParams:
    """How far from cloud a pixel must lie to be believed."""

    cloud_buffer_m: Annotated[float, Field(ge=0, le=2000)] = 20.0
    """Ground around masked cloud, shadow and haze that is not used. Product masks miss the rims, and a rim looks like
    something new and bright; scene classifications at 20 m miss more than this: 100 to 200 m suits Sentinel-2."""
    cloud_buffer_min_px: Annotated[int, Field(ge=0, le=100)] = 2
    """At least this many pixels, as coarse masks are off by a pixel."""
    min_veil_m2: Annotated[float, Field(ge=0)] = 400.0
    """Smaller specks of masked ground keep their own outline: bright roofs are often masked as cloud."""


def buffer_mask(raster: Raster, params: MaskParams) -> Raster:
    """Return the raster with pixels near masked cloud, shadow or haze marked as EDGE.

    Parameters
    ----------
    raster : Raster
    params : MaskParams

    Returns
    -------
    Raster
        The same data; quality of (row, col) gains EDGE within the buffer.
    """
    reach_px = max(params.cloud_buffer_m / raster.grid.gsd_m, float(params.cloud_buffer_min_px))
    # Ground that no file covers is not cloud, though the mask's absence marks it too.
    covered = (raster.quality & np.uint16(Quality.NODATA)) == 0
    veiled = (((raster.quality & np.uint16(VEILED)) != 0) & covered).astype(np.uint8)
    if params.cloud_buffer_m == 0 or not veiled.any():
        return raster
    _, labels, stats, _ = cv2.connectedComponentsWithStats(veiled, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] * raster.grid.gsd_m**2 >= params.min_veil_m2
    large[0] = False
    if not large.any():
        return raster
    veil = large[labels]
    near = within(veil, reach_px) & ~veil
    return replace(raster, quality=np.where(near, raster.quality | np.uint16(Quality.EDGE), raster.quality))

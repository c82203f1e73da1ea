"""Quality bits: why a pixel is unfit, kept to the end so that outputs can say it.

`valid` is True where a pixel is usable; numpy.ma means the opposite, convert at the border.
"""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Quality(IntFlag):
    """Bits of a raster's quality plane (uint16); 0 is a clear, usable pixel."""

    NODATA = 1
    """Outside the scene, no data, or not finite."""
    CLOUD = 2
    """Cloud or cirrus."""
    SHADOW = 4
    """Shadow of a cloud."""
    HAZE = 8
    """Haze too thick to measure through."""
    MASKED = 16
    """Marked not usable by the user's mask."""
    SATURATED = 32
    """Saturated or defective detector."""
    EDGE = 64
    """Interpolated from unusable neighbours."""
    SNOW = 128
    """Snow or ice: usable, but a named confounder."""
    WATER = 256
    """Water: usable, named by the product's own mask."""


UNUSABLE = (
    Quality.NODATA | Quality.CLOUD | Quality.SHADOW | Quality.HAZE | Quality.MASKED | Quality.SATURATED | Quality.EDGE
)
"""Bits that make a pixel unusable; SNOW and WATER only describe."""

VEILED = Quality.CLOUD | Quality.SHADOW | Quality.HAZE | Quality.MASKED
"""Bits by which a product's or a user's mask hides ground."""

DESCRIPTIONS = {
    Quality.NODATA: "no data",
    Quality.CLOUD: "cloud",
    Quality.SHADOW: "cloud shadow",
    Quality.HAZE: "heavy haze",
    Quality.MASKED: "masked by the user",
    Quality.SATURATED: "saturated or defective",
    Quality.EDGE: "next to unusable pixels",
    Quality.SNOW: "snow or ice",
    Quality.WATER: "water",
}


def is_valid(quality: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Return True where a pixel is usable, bool of the shape of `quality`."""
    return np.asarray((quality & np.uint16(UNUSABLE)) == 0)

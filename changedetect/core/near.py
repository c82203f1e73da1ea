"""What lies within some pixels of what is marked."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALL_PX = 12
"""Up to this radius growing by a disc takes less time than the distances of all pixels; at 2 px a twentieth."""


def within(marked: NDArray[np.bool_], radius_px: float) -> NDArray[np.bool_]:
    """Return where the centre of a marked pixel is at most `radius_px` away, (row, col); what is marked included."""
    if radius_px <= _SMALL_PX:
        return np.asarray(cv2.dilate(marked.astype(np.uint8), _disc(radius_px)) > 0)
    if not marked.any():
        return np.zeros(marked.shape, bool)
    away = cv2.distanceTransform((~marked).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= radius_px)


@cache
def _disc(radius_px: float) -> NDArray[np.uint8]:
    reach = int(radius_px)
    at = np.arange(-reach, reach + 1)
    return (np.sqrt((at**2 + at[:, None] ** 2).astype(np.float32)) <= radius_px).astype(np.uint8)

"""Snow in patches: much of the ground turned white in many ragged pieces, each like something that was built."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline

_VISIBLE = ("blue", "green", "red")
_BRIGHTER = 1.6
_WHITE = 0.85
_GREEN = 1.5
"""After over before, blue over red, near infrared over red: soil has less blue, plants more near infrared."""
_LEAST_M2 = 1.5
_LEAST_PX = 3
"""Smaller pieces are glints and noise."""
_MOST_GSD_M = 4.0
"""Coarser pixels mix snow with what is beside it."""
_MANY_PER_KM2 = 300.0
_MOST_FILL = 0.75
"""Tents and roofs fill more of the box around them, even where they stand askew in rows."""


class Patches(NamedTuple):
    """What turned white."""

    share: float
    """Of the usable ground, 0 to 1."""
    per_km2: float
    """Pieces."""
    fill: float
    """Share of the upright boxes around them that they fill, in the middle of them."""

    @property
    def are_snow(self) -> bool:
        """Whether they are many and ragged, as what is left of snow is and what is built is not."""
        return self.per_km2 > _MANY_PER_KM2 and self.fill < _MOST_FILL


def find_patches(raster: Raster, baseline: Baseline) -> Patches | None:
    """Return what of the ground turned white; None without colour, and in pixels of more than 4 m.

    White is what is as bright in the blue as in the red, no more than half as much again in the near infrared, and far
    brighter than the baseline was: snow in the sun and, by light of the sky, in the shade.
    """
    if raster.grid.gsd_m > _MOST_GSD_M or not set(_VISIBLE) <= set(raster.bands) & set(baseline.bands):
        return None
    valid = raster.valid & baseline.valid
    if not valid.any():
        return None
    after = {name: np.maximum(raster.band(name), 1e-6) for name in _VISIBLE}
    before = {name: np.maximum(baseline.band(name), 1e-6) for name in _VISIBLE}
    white = valid & (after["blue"] > _WHITE * after["red"])
    for name in _VISIBLE:
        white &= after[name] > _BRIGHTER * before[name]
    if "nir" in raster.bands:
        white &= raster.band("nir") < _GREEN * after["red"]
    _, _, stats, _ = cv2.connectedComponentsWithStats(white.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = areas >= max(_LEAST_PX, _LEAST_M2 / raster.grid.gsd_m**2)
    ground_km2 = float(valid.sum()) * raster.grid.gsd_m**2 / 1e6
    boxes = stats[1:, cv2.CC_STAT_WIDTH] * stats[1:, cv2.CC_STAT_HEIGHT]
    fill = float(np.median(areas[large] / boxes[large])) if large.any() else 1.0
    return Patches(float(areas[large].sum()) / float(valid.sum()), float(large.sum()) / ground_km2, fill)

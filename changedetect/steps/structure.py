"""Structure: what a stretched picture and measured numbers can be compared by: local contrast, not brightness."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from pydantic import Field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline

    Plane = NDArray[np.float32]

STRUCTURE = "structure"
"""Unit of a raster of local contrast."""

BAND = "pan"
"""Its one band."""

_VISIBLE = ("blue", "green", "red", "pan")


@dataclass(frozen=True, slots=True)
class StructureParams:
    """How local contrast is made."""

    window_m: Annotated[float, Field(gt=0.0)] = 60.0
    """Side of the window a pixel is set against: many times a hut, so that it does not hide itself, and small enough
    that a stretch and its gamma are a straight line within it."""
    min_window_px: Annotated[int, Field(ge=5)] = 25
    """The window has at least this side, so that its spread is known."""
    floor: Annotated[float, Field(gt=0.0)] = 0.5
    """Least spread, in medians of the scene's local spreads: even ground is not blown up into noise."""
    clip: Annotated[float, Field(gt=0.0)] = 4.0
    """Contrast beyond this many local spreads is all the same; a stretch cuts its bright end off too."""


def to_structure(raster: Raster, params: StructureParams) -> Raster:
    """Return the local contrast of a raster's visible brightness, one band around 1, unit "structure".

    Notes
    -----
    (brightness - local mean) / local spread is the same for every stretch that is nearly straight within the window;
    what is compared is then whether a place is brighter or darker than its surroundings, and by how much of their own
    variety. Invalid pixels count in no window and stay 0.
    """
    names = [name for name in _VISIBLE if name in raster.bands] or list(raster.bands)
    bright = np.asarray(np.mean([raster.band(name) for name in names], axis=0), np.float32)
    plane = _contrast(bright, raster.valid, _side_px(raster.grid.gsd_m, params), params)
    return replace(raster, data=plane[None], bands=(BAND,), unit=STRUCTURE)


def baseline_structure(baseline: Baseline, anchor: Raster, params: StructureParams) -> tuple[Baseline, Raster]:
    """Return a baseline and the raster it is anchored to as local contrast; its spread over time is not known there."""
    names = [name for name in _VISIBLE if name in baseline.bands] or list(baseline.bands)
    bright = np.asarray(np.mean([baseline.band(name) for name in names], axis=0), np.float32)
    plane = _contrast(bright, baseline.valid, _side_px(baseline.grid.gsd_m, params), params)[None]
    alike = replace(baseline, centre=plane, spread=np.zeros_like(plane), bands=(BAND,), unit=STRUCTURE)
    return alike, to_structure(anchor, params)


def _side_px(gsd_m: float, params: StructureParams) -> int:
    return max(params.min_window_px, round(params.window_m / gsd_m)) | 1


def _contrast(bright: Plane, valid: NDArray[np.bool_], side_px: int, params: StructureParams) -> Plane:
    weight = _box(valid.astype(np.float32), side_px)
    centred = np.where(valid, bright - np.float32(bright[valid].mean() if valid.any() else 0.0), np.float32(0))
    safe = np.maximum(weight, np.float32(1e-6))
    mean = _box(centred, side_px) / safe
    spread = np.sqrt(np.maximum(_box(centred * centred, side_px) / safe - mean * mean, np.float32(0)))
    usual = float(np.median(spread[valid])) if valid.any() else 0.0
    z = (centred - mean) / np.maximum(spread, np.float32(max(params.floor * usual, 1e-9)))
    limit = np.float32(params.clip)
    return np.asarray(np.where(valid, 1 + np.clip(z, -limit, limit) / (limit + 1), 0), np.float32)


def _box(plane: Plane, side_px: int) -> Plane:
    return np.asarray(cv2.blur(plane, (side_px, side_px), borderType=cv2.BORDER_REFLECT_101))

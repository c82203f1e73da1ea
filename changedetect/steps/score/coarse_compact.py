"""Evidence of compact things at 1.5 to 3.5 m: a hut is two to six pixels long, and stands out on all sides.

The variance of the physical score knows a hut's own edges as places where registration and sharpness may err, and
worked fields as noise. What is small and differs from the ground on every side of it is judged here by contrast alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from pydantic import Field

from changedetect.steps.score.predict import gaussian, gaussian_radius_px, visible_indices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.steps.score.predict import Pair

    Plane = NDArray[np.float32]

LINEAR_UNITS = ("reflectance", "dn")
"""Units in which a logarithm of a ratio is a contrast."""
_DIRECTIONS = 8
_SHIFTS = 8
_COLOUR = 0.7
"""Differences of two bands carry the noise of both."""


@dataclass(frozen=True, slots=True)
class CompactParams:
    """What counts as compact, and what contrast is one sigma."""

    wanted: bool = False
    """Whether compact things are looked for."""
    min_gsd_m: Annotated[float, Field(gt=0.0)] = 1.5
    """Finer scenes show outlines: shape tells more than contrast there."""
    max_gsd_m: Annotated[float, Field(gt=0.0)] = 3.5
    """Coarser ones show a hut as a single pixel."""
    line_m: Annotated[float, Field(gt=0.0)] = 33.0
    """What reaches over a straight line this long is an edge, a strip or a road; a hut is up to 20 m, and blurred."""
    smooth_px: Annotated[float, Field(ge=0.0, le=2.0)] = 0.7
    """Smoothing of the contrast: half the width of the smallest hut."""
    dark_floor: Annotated[float, Field(gt=0.0)] = 0.02
    """Reflectance added before the logarithm: deep shadow has no contrast."""
    contrast_sigma: Annotated[float, Field(gt=0.0)] = 0.025
    """Log contrast that counts as one sigma on even ground."""
    texture_px: Annotated[float, Field(ge=1.0, le=20.0)] = 8.0
    """Reach over which the ground's own compact contrast (crowns, furrows) is averaged."""
    texture_cap: Annotated[float, Field(gt=0.0)] = 0.15
    """Contrast beyond this is a thing, not texture."""
    tolerance: Annotated[float, Field(ge=0.0)] = 0.7
    """Share of the CE90 by which either date may be shifted to take a contrast away."""

    seed_sigma: Annotated[float, Field(gt=0.0)] = 6.0
    """A compact thing has a pixel this strong: of 230 huts told, 4 have none, and half of all crowns and shadows."""
    core_sigma: Annotated[float, Field(gt=0.0)] = 4.0
    """A pixel is of a compact thing from this on ..."""
    core_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """... if it has this share of the strongest ..."""
    core_reach_m: Annotated[float, Field(ge=0.0)] = 12.0
    """... within this reach: each thing is the stronger half of its own contrast, so that neighbours stay apart."""

    def acts(self, gsd_m: float) -> bool:
        """Return whether scenes of a pixel size are looked at."""
        return self.wanted and self.min_gsd_m < gsd_m <= self.max_gsd_m


def compact_halo_px(params: CompactParams, gsd_m: float) -> int:
    """Return how many pixels around a block its evidence depends on."""
    line = 2 * (_line_px(params, gsd_m) // 2) + gaussian_radius_px(params.smooth_px)
    return line + gaussian_radius_px(params.texture_px) + math.ceil(params.core_reach_m / gsd_m) + 8


def compact_evidence(pair: Pair, tolerance_px: float, gsd_m: float, params: CompactParams) -> Plane:
    """Return how far the pixels of new, changed or lost compact things stand out, sigma; 0 on all others.

    Parameters
    ----------
    pair : Pair
        Both dates in reflectance, sharpness matched.
    tolerance_px : float
        Distance by which misregistration may move a thing.
    gsd_m : float
        Pixel size.
    params : CompactParams
        Sizes and contrasts.

    Notes
    -----
    Per projection (visible, near infrared, red less blue, near infrared less visible) and sign: the log difference that
    is left for the kindest shift within the tolerance, less its opening by lines in eight directions (a top-hat), over
    its average around. The largest counts.

    References
    ----------
    Soille and Talbot (2001), Directional morphological filtering, IEEE TPAMI 23(11), doi:10.1109/34.969120.
    """
    before, after = (_projections(planes, pair, params) for planes in (pair.before, pair.after))
    lines = _lines(_line_px(params, gsd_m))
    safe = cv2.erode(pair.valid.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1) > 0
    strongest = np.zeros(pair.valid.shape, np.float32)
    for then, now in zip(before, after, strict=True):
        shifted = [then, *(_shift(then, *step) for step in _steps(tolerance_px))]
        for left in (now - np.max(shifted, axis=0), np.min(shifted, axis=0) - now):
            smooth = np.where(pair.valid, gaussian(left, params.smooth_px), np.float32(-9))
            opened = np.max([cv2.morphologyEx(smooth, cv2.MORPH_OPEN, line) for line in lines], axis=0)
            contrast = np.where(safe, smooth - opened, np.float32(0))
            texture = gaussian(np.minimum(contrast, np.float32(params.texture_cap)), params.texture_px)
            strongest = np.maximum(strongest, contrast / (texture + np.float32(params.contrast_sigma)))
    return _cores_of(np.where(pair.valid, strongest, np.float32(0)), gsd_m, params)


def _cores_of(strength: Plane, gsd_m: float, params: CompactParams) -> Plane:
    reach = max(1, round(params.core_reach_m / gsd_m))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    peak = cv2.dilate(strength, (x * x + y * y <= reach * reach + 0.5).astype(np.uint8))
    core = (strength >= params.core_sigma) & (strength >= np.float32(params.core_share) * peak)
    return np.where(core & (peak >= params.seed_sigma), strength, np.float32(0))


def _line_px(params: CompactParams, gsd_m: float) -> int:
    return max(3, int(params.line_m / gsd_m) // 2 * 2 + 1)


def _lines(length_px: int) -> list[NDArray[np.uint8]]:
    half = length_px // 2
    found = []
    for k in range(_DIRECTIONS):
        angle = math.pi * k / _DIRECTIONS
        tip = (round(half * math.cos(angle)), round(half * math.sin(angle)))
        kernel = np.zeros((length_px, length_px), np.uint8)
        cv2.line(kernel, (half - tip[0], half - tip[1]), (half + tip[0], half + tip[1]), 1)
        found.append(kernel)
    return found


def _projections(planes: list[Plane], pair: Pair, params: CompactParams) -> list[Plane]:
    logs = [np.log(np.maximum(plane, np.float32(0)) + np.float32(params.dark_floor)) for plane in planes]
    names = {name: k for k, name in enumerate(pair.bands)}
    visible = np.mean([logs[k] for k in visible_indices(pair.bands)], axis=0, dtype=np.float32)
    found = [np.asarray(visible, np.float32)]
    if "nir" in names:
        found += [logs[names["nir"]], np.float32(_COLOUR) * (logs[names["nir"]] - visible)]
    if {"red", "blue"} <= set(names):
        found.append(np.float32(_COLOUR) * (logs[names["red"]] - logs[names["blue"]]))
    return found


def _steps(tolerance_px: float) -> list[tuple[float, float]]:
    reach = min(tolerance_px, 1.0)
    if reach < 0.02:
        return []
    angles = [2 * math.pi * k / _SHIFTS for k in range(_SHIFTS)]
    return [(reach * math.sin(angle), reach * math.cos(angle)) for angle in angles]


def _shift(plane: Plane, down: float, right: float) -> Plane:
    moved = cv2.sepFilter2D(plane, cv2.CV_32F, _kernel(right), _kernel(down), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _kernel(shift_px: float) -> NDArray[np.float32]:
    """Return the weights of Keys' cubic kernel that move a row of pixels by at most one pixel."""
    x = np.abs(np.arange(-3, 4) + shift_px)
    near = 1 - 2.5 * x**2 + 1.5 * x**3
    far = 2 - 4 * x + 2.5 * x**2 - 0.5 * x**3
    return np.where(x < 1, near, np.where(x < 2, far, 0.0)).astype(np.float32)

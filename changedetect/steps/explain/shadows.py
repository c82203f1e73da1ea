"""Which pixels may be shadow that moved: dark on one date, and reached by a shadow of the other as the sun moved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.explain.params import ExplainParams
    from changedetect.steps.explain.view import Step

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

VISIBLE = ("blue", "green", "red", "pan")
_CELL_M = 8.0
_HAZY: tuple[Mapping[str, float], ...] = (
    {"blue": 0.70, "green": 0.60, "red": 0.50, "nir": 0.33},
    {"blue": 0.92, "green": 0.74, "red": 0.64, "nir": 0.30},
)
"""Light left in shadows under thin haze and under more of it."""
_UNKNOWN_LEFT = 0.6
"""Light left in the visible where shadows were not learned and near infrared shows them as well."""
_LEAST_RING = 20


@dataclass(frozen=True, slots=True)
class Reach:
    """Where shadow may have come and where it may have gone, (row, col)."""

    come: Mask
    gone: Mask


def shadow_reach(
    raster: Raster, baseline: Baseline, moved: Step, params: ExplainParams, shade: Mapping[str, float]
) -> Reach:
    """Return where the shadows of one date may have moved to on the other.

    The tip of a shadow moves by `moved` metres per metre of height: only that way, and no farther than the tallest.
    `shade` is the share of the light that is left in the scene's own shadows, per band.
    """
    gsd_m = raster.grid.gsd_m
    usable = np.asarray(raster.valid & baseline.valid)
    side = 2 * round(params.core_width_m / 2 / gsd_m) + 1
    tip = (moved[0] * params.max_height_m / gsd_m, moved[1] * params.max_height_m / gsd_m)
    # A pixel more on every side: outlines of shadows are drawn to a pixel.
    box = np.ones((3, 3), np.uint8)
    darks = [
        dark_plane(image, usable, params, left).astype(np.uint8) for image, left in ((baseline, {}), (raster, shade))
    ]
    reach = []
    for left, entered, sign in ((darks[0], darks[1], 1), (darks[1], darks[0], -1)):
        core = np.asarray(cv2.morphologyEx(left, cv2.MORPH_OPEN, np.ones((side, side), np.uint8)), np.uint8)
        tips = cv2.dilate(swept(core, (sign * tip[0], sign * tip[1])), box) > 0
        # What a shadow lies on is dark: a roof in a duller colour is not.
        reach.append(np.asarray(tips & (cv2.dilate(entered, box) > 0)))
    return Reach(come=reach[0], gone=reach[1])


def swept(mask: NDArray[np.uint8], tip: tuple[float, float]) -> NDArray[np.uint8]:
    """Return what the mask covers while it moves straight by `tip`, (row, col) pixels."""
    return np.asarray(cv2.dilate(mask, _line(tip), borderType=cv2.BORDER_CONSTANT, borderValue=0))


def kept_along(mask: NDArray[np.uint8], tip: tuple[float, float]) -> NDArray[np.uint8]:
    """Return where everything from a pixel to `tip` beyond it lies in the mask."""
    line = np.ascontiguousarray(_line(tip)[::-1, ::-1])
    return np.asarray(cv2.erode(mask, line, borderType=cv2.BORDER_CONSTANT, borderValue=0))


def _line(tip: tuple[float, float]) -> NDArray[np.uint8]:
    """Return a kernel whose dilation moves a mask along a straight line to `tip`."""
    radius = max(1, math.ceil(max(abs(tip[0]), abs(tip[1]))))
    kernel = np.zeros((2 * radius + 1,) * 2, np.uint8)
    # Dilation takes the mask's value at the kernel's offset: it moves the mask the other way.
    end = (round(radius - tip[1]), round(radius - tip[0]))
    cv2.line(kernel, (radius, radius), end, 1)
    return kernel


def dark_plane(image: Raster | Baseline, usable: Mask, params: ExplainParams, shade: Mapping[str, float]) -> Mask:
    """Return where a date is dark against the ground around, in near infrared and in the visible as well.

    Asphalt and water are dark in near infrared alone. Where haze fills shadows with light, what lies half-way between
    them and the ground is dark.
    """
    visible = [name for name in image.bands if name in VISIBLE]
    unknown = _UNKNOWN_LEFT if "nir" in image.bands else 0.0
    dark = usable.copy()
    for names in (visible or list(image.bands), ["nir"]):
        if set(names) <= set(image.bands):
            plane = np.asarray(np.mean([image.band(name) for name in names], axis=0), np.float32)
            left = float(np.mean([shade.get(name, unknown) for name in names])) if names == visible else 0.0
            ratio = np.float32(max(params.dark_ratio, 0.5 * (1.0 + min(left, 1.0))))
            dark &= plane < ratio * _level_around(plane, usable, image.grid.gsd_m, params)
    return dark


def _level_around(plane: Plane, usable: Mask, gsd_m: float, params: ExplainParams) -> Plane:
    """Return the 60th percentile of the ground around each pixel, of means over cells."""
    from scipy import ndimage  # scipy is slow to import: only where it is used

    rows, cols = plane.shape
    size = (max(1, round(cols * gsd_m / _CELL_M)), max(1, round(rows * gsd_m / _CELL_M)))
    filled = np.where(usable, plane, np.median(plane[usable]) if usable.any() else np.float32(0))
    cells = cv2.resize(filled.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    level = ndimage.percentile_filter(cells, 60, size=max(3, round(params.around_m / _CELL_M)), mode="nearest")
    return np.asarray(cv2.resize(level, (cols, rows), interpolation=cv2.INTER_LINEAR))


def light_change(before: Plane, after: Plane, ring: Mask, tints: Plane, params: ExplainParams) -> tuple[Plane, Mask]:
    """Return the common change of light, log (row, col), and where light alone may have made it.

    `before` and `after` are (band, row, col); the median change of the `ring` around counts as none; `tints` are what a
    shadow may take from each band against their mean, (tint, band): the one that leaves least is believed.
    """
    floor = np.maximum(0.1 * np.median(before, axis=(1, 2), keepdims=True), 1e-6)
    change = np.log(np.maximum(after, floor) / np.maximum(before, floor)).astype(np.float32)
    if ring.sum() >= 20:
        change -= np.median(change[:, ring], axis=1)[:, None, None]
    change = np.stack([cv2.GaussianBlur(plane, (5, 5), 0.8) for plane in change])
    commons = [np.tensordot(tint, change, axes=1) / np.float32(tint @ tint) for tint in tints]
    aparts = [
        np.abs(change - common * tint[:, None, None]).max(axis=0) for common, tint in zip(commons, tints, strict=True)
    ]
    best = np.argmin(aparts, axis=0)[None]
    common, apart = (np.take_along_axis(np.stack(planes), best, axis=0)[0] for planes in (commons, aparts))
    alike = apart < params.colour_share * np.abs(common) + params.colour_floor
    return np.asarray(common, np.float32), np.asarray(alike & (np.abs(common) > params.min_darkening))


def casts_shadow(
    images: tuple[Plane, Plane], mask: Mask, ring: Mask, tip: tuple[float, float], params: ExplainParams
) -> float:
    """Return how much more of the ground a shadow's step behind an object darkened than of that towards the sun, -1..1.

    `images` are before and after, (band, row, col); `tip` is where the shadow of its top ends, (row, col) pixels.
    """
    if ring.sum() < _LEAST_RING:
        return 0.0
    before, after = (np.maximum(image.mean(axis=0), 1e-6) for image in images)
    change = np.log(after / before)
    darker = change - float(np.median(change[ring])) < -params.min_darkening
    body = mask.astype(np.uint8)
    near = cv2.dilate(body, np.ones((3, 3), np.uint8)) > 0
    shares = []
    for sign in (1, -1):
        side = (swept(body, (sign * tip[0], sign * tip[1])) > 0) & ~near
        shares.append(float(darker[side].mean()) if side.any() else 0.0)
    return shares[0] - shares[1]


def stood_tall(before: Plane, mask: Mask, ring: Mask, tip: tuple[float, float], params: ExplainParams) -> float:
    """Return the same of the ground that was dark before already: what is there stood there, and casts what it cast.

    `before` is (band, row, col), `tip` where a shadow ended on that date.
    """
    return casts_shadow((np.ones_like(before), before), mask, ring, tip, params)


def tints_of(shade: Mapping[str, float], bands: Sequence[str]) -> Plane:
    """Return what a shadow takes from each band (logarithm) against their mean, (tint, band); a row for each guess.

    Where it is not known, shadow may be grey, or filled by more and more haze.
    """
    if all(0 < shade.get(name, 0.0) < 1 for name in bands):
        taken = [[math.log(shade[name]) for name in bands]]
    else:
        hazy = [[math.log(left[name]) for name in bands] for left in _HAZY if set(bands) <= set(left)]
        taken = [[1.0] * len(bands), *hazy]
    return np.array([np.array(row) / np.mean(row) for row in taken], np.float32)

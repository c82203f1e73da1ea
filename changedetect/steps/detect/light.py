"""Objects and light: what is dark, what casts a shadow, what only is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.steps.detect.masks import components, disc, objects, quantile_by_label, which

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.detect.params import DetectParams

    Mask = NDArray[np.bool_]
    Labels = NDArray[np.int32]

_VISIBLE = ("blue", "green", "red", "pan")


def casting(
    free: NDArray[np.float32],
    dark: Mask,
    usable: Mask,
    thresholds: tuple[float, float],
    gsd_m: float,
    params: DetectParams,
) -> Mask:
    """Return the pixels of objects that are weak by themselves but cast a new shadow: two signs of one thing."""
    if not dark.any():
        return dark
    share = params.cast_support
    weak = (thresholds[0] * share, max(thresholds[1] * share, 0.5))
    mask = objects(free, usable, weak, params.dark_min_area_m2, gsd_m, params, params.object_sigma * share)
    count, labels = components(mask)
    near = cv2.dilate(dark.astype(np.uint8), disc(max(1, round(params.cast_gap_m / gsd_m)))) > 0
    touching = np.zeros(count, bool)
    touching[labels[near & mask]] = True
    touching[0] = False
    # What is dark itself is no sunlit top.
    area = np.bincount(labels[mask], minlength=count)
    dark_area = np.bincount(labels[mask & dark], minlength=count)
    return which(labels, mask, touching & (dark_area < 0.5 * area))


def without_cast_shadows(bright: Mask, dark: Mask, gsd_m: float, params: DetectParams) -> Mask:
    """Return both kinds of object less the shadows that the bright ones cast.

    A dark object that touches bright ones and is not much larger than they are is their shadow; a much larger one is a
    thing itself (vehicles and what lies between them), and the bright spots belong to it.
    """
    count, labels = components(dark)
    if count <= 1 or not bright.any():
        return np.asarray(bright | dark)
    reach = max(1, round(params.cast_gap_m / gsd_m))
    n_bright, names = components(bright)
    near = cv2.dilate(bright.astype(np.uint8), disc(reach)) > 0
    # Every bright object hands its area to the dark ones within reach.
    grown = cv2.dilate(names.astype(np.float32), disc(reach)).astype(np.int32)
    pairs = np.unique(np.stack([labels[near & dark], grown[near & dark]], axis=1), axis=0)
    area_bright = np.bincount(names[bright], minlength=n_bright)
    area_dark = np.bincount(labels[dark & ~bright], minlength=count)
    owned = np.bincount(pairs[:, 0], weights=area_bright[pairs[:, 1]], minlength=count)
    keep = area_dark > params.cast_ratio * owned
    keep[0] = False
    return bright | which(labels, dark, keep)


def dark_twice(baseline: Baseline, raster: Raster, params: DetectParams) -> Mask:
    """Return where both dates are dark: the lasting core of a tall thing's shadow."""
    valid = raster.valid & baseline.valid
    names = [name for name in raster.bands if name in baseline.bands]
    chosen = ["nir"] if "nir" in names else [name for name in names if name in _VISIBLE] or names
    dark = valid
    for planes in ([baseline.band(n) for n in chosen], [raster.band(n) for n in chosen]):
        plane = np.mean(planes, axis=0)
        sample = plane[valid]
        if sample.size == 0:
            return np.zeros(valid.shape, bool)
        bright = np.quantile(sample[:: max(1, sample.size // 200_000)], 0.6)
        dark = dark & (plane < params.dark_ratio * bright)
    return np.asarray(dark)


def slivers(
    mask: Mask,
    strength: NDArray[np.float32],
    light: NDArray[np.float32],
    dark_twice: Mask,
    gsd_m: float,
    params: DetectParams,
) -> Mask:
    """Return the pixels of objects that are the thin edge of a shadow that moved or grew."""
    count, labels = components(mask)
    at = np.flatnonzero(mask)
    flat = labels.ravel()[at]
    area = np.bincount(flat, minlength=count).astype(np.float64)
    darkened = np.bincount(flat, weights=light.ravel()[at] < -params.shadow_darkening, minlength=count)
    small = (area * gsd_m**2 < params.sliver_area_m2) & (darkened > params.sliver_share * area)
    small[0] = False
    if not small.any():
        return np.zeros_like(mask)
    near = cv2.dilate(dark_twice.astype(np.uint8), disc(max(1, round(params.sliver_reach_m / gsd_m)))) > 0
    touching = np.zeros(count, bool)
    touching[flat[near.ravel()[at]]] = True
    candidate = small & touching
    inside = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    width = np.zeros(count)
    np.maximum.at(width, flat, (2 * inside[mask] - 1) * gsd_m)
    weak = quantile_by_label(labels, strength, candidate, 0.95) < params.sliver_sigma
    return which(labels, mask, candidate & (width < params.sliver_width_m) & weak)

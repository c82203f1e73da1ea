"""Clouds and their shadows that no mask told of, found by comparing two dates of 5 m and coarser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.steps.score.predict import gaussian

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Plane = NDArray[np.float32]
    Mask = NDArray[np.bool_]

_GSD_M = (5.0, 25.0)
_HOT_SIGMA, _SHADOW_SIGMA = 5.0, -1.5
_LEAST_CLOUD_M2, _LEAST_SHADOW_M2 = 80_000.0, 40_000.0
_CORE_M, _CLOUD_RIM_M, _SHADOW_RIM_M, _SHADOW_REACH_M = 40.0, 100.0, 60.0, 2000.0
_CLOUD_BLUE = 0.2
"""A tenth of a cloud is brighter than this in blue: fields and roofs of 8 ha are not."""
_LEAK_GSD_M = (5.0, 150.0)
_LEAK_NEAR_M, _LEAST_MASKED_M2, _LEAST_LEAK_M2 = 10_000.0, 20_000.0, 10_000.0
_LEAK_BLUE, _LEAK_WHITE, _LEAK_NIR = 0.06, (0.6, 1.25), -0.05
"""Cloud adds the same to all visible bands, and seldom darkens near infrared: reflectances, and shares of blue."""
_WATER_NIR = 0.08
"""Ships are white too, on water: it is darker than this in near infrared, and darker there than in green."""


def find_clouds(
    before: Sequence[Plane], after: Sequence[Plane], valid: Mask, bands: Sequence[str], gsd_m: float
) -> Mask:
    """Return where cloud or its shadow hides either date, (row, col); planes are reflectances.

    Notes
    -----
    The haze-optimised difference dBlue - dRed / 2 stands out, near infrared brightens too, over 8 ha and more that a
    disc of 40 m fits into; shadows are such blobs, darkened, within 2 km of one.

    References
    ----------
    Zhang, Guindon and Cihlar (2002), Remote Sensing of Environment 82, 173-187, doi:10.1016/S0034-4257(02)00034-2.
    """
    hidden = np.zeros(valid.shape, bool)
    if not {"blue", "red", "nir"} <= set(bands) or not _GSD_M[0] <= gsd_m <= _GSD_M[1] or not valid.any():
        return hidden
    blue, red, nir = (list(bands).index(name) for name in ("blue", "red", "nir"))
    for old, new in ((before, after), (after, before)):
        d_blue, d_red, d_nir = (gaussian(new[k] - old[k], 2.0) for k in (blue, red, nir))
        hot = _robust_z(d_blue - np.float32(0.5) * d_red, valid) > _HOT_SIGMA
        cloud = _blobs(hot & (d_blue > 0) & (d_nir > 0) & valid, gsd_m, _LEAST_CLOUD_M2)
        cloud = _bright(cloud, new[blue])
        if not cloud.any():
            continue
        dark = np.maximum(_robust_z(d_blue, valid), _robust_z(d_nir, valid)) < _SHADOW_SIGMA
        shadow = _blobs(dark & valid, gsd_m, _LEAST_SHADOW_M2)
        shadow &= cv2.distanceTransform((~cloud).astype(np.uint8), cv2.DIST_L2, 5) <= _SHADOW_REACH_M / gsd_m
        hidden |= _grow(cloud, _CLOUD_RIM_M / gsd_m) | _grow(shadow, _SHADOW_RIM_M / gsd_m)
    return hidden


def find_leaks(
    before: Sequence[Plane],
    after: Sequence[Plane],
    valid: Mask,
    veiled: tuple[Mask, Mask],
    bands: Sequence[str],
    gsd_m: float,
) -> Mask:
    """Return where cloud hides either date that its mask, which told of others nearby, has missed, (row, col).

    Parameters
    ----------
    before, after
        Reflectances, (row, col) each.
    valid
        Where both are seen.
    veiled
        What the masks of both dates hide.
    bands, gsd_m

    Notes
    -----
    Masks miss small clouds and thin rims. Within 10 km of 2 ha that one hides, what grew white over dry land, by the
    same in all visible bands and over a hectare (a pixel, if that is more), may be cloud: it is not seen.
    """
    hidden = np.zeros(valid.shape, bool)
    visible = ("blue", "green", "red", "nir")
    if not set(visible) <= set(bands) or not _LEAK_GSD_M[0] <= gsd_m <= _LEAK_GSD_M[1] or not valid.any():
        return hidden
    order = [list(bands).index(name) for name in visible]
    for old, new, veil in ((before, after, veiled[1]), (after, before, veiled[0])):
        near = _grow(_large(veil, _LEAST_MASKED_M2 / gsd_m**2), _LEAK_NEAR_M / gsd_m) & valid
        if not near.any():
            continue
        blue, green, red, nir = (new[k] - old[k] for k in order)
        low, high = (np.float32(share) * blue for share in _LEAK_WHITE)
        white = (blue > _LEAK_BLUE) & (green > low) & (green < high) & (red > low) & (red < high) & (nir > _LEAK_NIR)
        water = (old[order[3]] < _WATER_NIR) & (old[order[3]] < old[order[1]])
        hot = _robust_z(blue - np.float32(0.5) * red, valid) > _HOT_SIGMA
        leak = _large(white & hot & near & ~water, _LEAST_LEAK_M2 / gsd_m**2)
        hidden |= _grow(leak, max(_CLOUD_RIM_M / gsd_m, 1.5))
    return hidden


def _large(mask: Mask, least_px: float) -> Mask:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= least_px
    keep[0] = False
    return np.asarray(keep[labels])


def _robust_z(plane: Plane, valid: Mask) -> Plane:
    sample = plane[valid]
    sample = sample[:: max(1, sample.size // 200_000)]
    middle = np.median(sample)
    deviation = max(1.4826 * float(np.median(np.abs(sample - middle))), 1e-6)
    return np.asarray((plane - middle) / np.float32(deviation), np.float32)


def _blobs(mask: Mask, gsd_m: float, least_m2: float) -> Mask:
    radius = max(1, round(_CORE_M / gsd_m))
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    kernel = (x * x + y * y <= radius * radius + 0.5).astype(np.uint8)
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    return _large(opened > 0, least_m2 / gsd_m**2)


def _bright(mask: Mask, blue: Plane) -> Mask:
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    area = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)
    keep = np.bincount(labels.ravel(), weights=(blue > _CLOUD_BLUE).ravel(), minlength=count) >= 0.1 * area
    keep[0] = False
    return np.asarray(keep[labels])


def _grow(mask: Mask, reach_px: float) -> Mask:
    if not mask.any():
        return mask
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) <= reach_px)

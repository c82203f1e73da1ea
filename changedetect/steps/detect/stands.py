"""Objects that stand out from the ground around them, and did not before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.steps.detect.light import without_cast_shadows
from changedetect.steps.detect.masks import components, disc, objects, which, which_rectangles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.detect.params import DetectParams

    Mask = NDArray[np.bool_]
    Labels = NDArray[np.int32]

_VISIBLE = ("blue", "green", "red", "pan")
_BOX = np.ones((3, 3), np.uint8)


def standing_out(
    mask: Mask, score: Raster, images: tuple[Baseline, Raster], usable: Mask, rise: float, params: DetectParams
) -> Mask:
    """Return the objects of the score with what stands out from the ground around it as it did not before.

    Parameters
    ----------
    mask : ndarray
        Objects of the score, (row, col).
    score : Raster
        With bands "local" and "contrast".
    images : tuple
        Baseline and scene.
    usable : ndarray
        Ground that is known on both dates.
    rise : float
        Factor on thresholds.
    params : DetectParams
        Thresholds and sizes.
    """
    found = local_objects(score, usable, rise, params)
    steep = [_steepness(image, usable) for image in images] if found.any() else []
    old = _without_new_edges(found, steep, params)
    found = found & ~(old & ~roof_like(old, score.grid.gsd_m, params))
    calm = score.band("local") < params.local_grow_sigma
    return with_local(mask, found, calm, score.grid.gsd_m, params)


def _steepness(image: Baseline | Raster, usable: Mask) -> NDArray[np.float32]:
    """Return the gradient of log brightness per pixel, (row, col)."""
    names = [name for name in image.bands if name in _VISIBLE] or list(image.bands)
    visible = np.asarray(np.mean([image.band(name) for name in names], axis=0), np.float32)
    level = float(np.median(visible[usable][:: max(1, int(usable.sum()) // 100_000)])) if usable.any() else 1.0
    bright = np.log(np.maximum(visible, np.float32(max(0.05 * level, 1e-6))))
    dx, dy = (
        cv2.Sobel(bright, cv2.CV_32F, *way, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
        for way in ((1, 0), (0, 1))
    )
    return np.asarray(np.hypot(dx, dy))


def _without_new_edges(mask: Mask, steep: list[NDArray[np.float32]], params: DetectParams) -> Mask:
    """Return the pixels of objects whose outline was as steep before: crowns, hedges, roofs that were there.

    Without an object there is no need of gradients.
    """
    if not steep:
        return np.zeros_like(mask)
    count, labels = components(mask)
    grown = cv2.dilate(labels.astype(np.float32), _BOX).astype(np.int32)
    inner = cv2.erode(mask.astype(np.uint8), _BOX, borderValue=0) > 0
    rim = (grown > 0) & ~inner
    n = np.maximum(np.bincount(grown[rim], minlength=count), 1)
    before, after = (np.bincount(grown[rim], weights=plane[rim], minlength=count) / n + 0.01 for plane in steep)
    old = np.log(after / before) < params.local_edge_gain
    old[0] = False
    return which(labels, mask, old)


def roof_like(mask: Mask, gsd_m: float, params: DetectParams) -> Mask:
    """Return the pixels of even rectangles of a building's size, freed of what clings to them: roofs that were there.

    They have the outline they had; crowns and hedges have it too, but are ragged.
    """
    side = 2 * round(params.compact_width_m / 4 / gsd_m) + 1
    padded = np.pad(mask, side).astype(np.uint8)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))[side:-side, side:-side] > 0
    count, labels = components(np.ascontiguousarray(opened))
    area = np.bincount(labels.ravel(), minlength=count) * gsd_m**2
    keep = (area >= params.compact_area_m2) & (area <= params.max_hole_m2)
    keep[0] = False
    return np.asarray(which_rectangles(labels, keep, gsd_m, params)[labels])


def local_objects(score: Raster, usable: Mask, rise: float, params: DetectParams) -> Mask:
    """Return the pixels of what stands out from the ground around it as it did not before, less its cast shadow."""
    gsd_m = score.grid.gsd_m
    strength = np.where(usable, score.band("local"), np.float32(0))
    darker = score.band("contrast") <= -params.local_dark
    seed = (params.local_seed_sigma or 0.0) * rise
    thresholds = (seed, params.local_grow_sigma * math.sqrt(rise))
    bright, dark = (
        objects(
            np.where(side, strength, np.float32(0)),
            usable,
            thresholds,
            params.min_area_m2,
            gsd_m,
            params,
            params.local_object_sigma * rise,
        )
        for side in (~darker, darker)
    )
    slots = _thin_lines(dark, gsd_m, params)
    return without_cast_shadows(bright, dark & ~slots, gsd_m, params) | slots


def _thin_lines(mask: Mask, gsd_m: float, params: DetectParams) -> Mask:
    """Return the pixels of objects that are long and nowhere broad."""
    radius = max(1, round(params.local_line_m / 2 / gsd_m))
    broad = cv2.morphologyEx(np.pad(mask, radius).astype(np.uint8), cv2.MORPH_OPEN, disc(radius))[
        radius:-radius, radius:-radius
    ]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA]
    extent = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) * gsd_m
    left = np.bincount(labels[broad > 0], minlength=area.size)
    thin = (left < 0.3 * area) & (extent >= params.local_line_length_m)
    thin[0] = False
    return which(np.asarray(labels, np.int32), mask, thin)


def _broad(mask: Mask, labels: Labels, count: int, gsd_m: float, params: DetectParams) -> Mask:
    """Return which labels hold a disc that is broader than a trench with its banks."""
    inside = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    deep = 2.0 * inside * gsd_m > params.field_width_m
    return np.asarray(np.bincount(labels[deep], minlength=count) > 0)


def with_local(mask: Mask, local: Mask, calm: Mask, gsd_m: float, params: DetectParams) -> Mask:
    """Return the objects of the score and those of local contrast, the better of both where they overlap.

    `calm` is ground that does not stand out: of an object of the score that is mostly such, a field that changed, only
    what stands out in it remains; pieces of what stands out as a whole are joined to it.
    """
    n_local, names = components(local)
    n_found, labels = components(mask)
    if n_local <= 1:
        return mask
    area, found_area = np.bincount(names[local], minlength=n_local), np.bincount(labels[mask], minlength=n_found)
    both = local & mask
    pairs = np.unique(np.stack([names[both], labels[both]], axis=1), axis=0)
    inside = np.bincount(labels[both], minlength=n_found)
    field = (inside > 0) & (np.bincount(labels[calm & mask], minlength=n_found) >= params.local_calm_share * found_area)
    # A pixel or two of a trench that stand out more than the rest do not make a field of it.
    field &= (inside >= params.local_least_share * found_area) | _broad(mask, labels, n_found, gsd_m, params)
    field[0] = False
    outside = np.where(field, 0, found_area - inside)
    lost = np.bincount(pairs[:, 0], weights=outside[pairs[:, 1]], minlength=n_local)
    in_field = np.bincount(pairs[:, 0], weights=field[pairs[:, 1]], minlength=n_local) > 0
    left = mask & ~which(labels, mask, field)
    held = np.bincount(names[both & left], minlength=n_local)
    near = cv2.dilate(left.astype(np.uint8), _BOX) > 0
    touched = np.bincount(names[near & local], minlength=n_local) > 0
    whole = (lost <= 0.25 * area) & (area >= params.local_gain * held)
    keep = ~touched | whole | in_field
    keep[0] = False
    return left | which(names, local, keep)

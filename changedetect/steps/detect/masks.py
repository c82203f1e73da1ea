"""Masks to objects: thresholds with hysteresis, closing, filling, sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.steps.detect.params import DetectParams

    Mask = NDArray[np.bool_]
    Labels = NDArray[np.int32]

_MANY = 1000
"""More holes than this are filled together, fewer one by one."""


def components(mask: Mask) -> tuple[int, Labels]:
    """Return the number of labels with the background's 0, and the labels, 8-connected."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    return count, np.asarray(labels, np.int32)


def thresholds(strength: NDArray[np.float32], usable: Mask, params: DetectParams) -> tuple[float, float]:
    """Return seed and grow threshold, raised together until at most `max_share` of the valid ground grows."""
    n_usable = int(usable.sum())
    share = float((strength > params.grow_sigma).sum()) / max(n_usable, 1)
    if share <= params.max_share:
        return params.seed_sigma, params.grow_sigma
    grow = float(np.quantile(strength[usable], 1 - params.max_share))
    return params.seed_sigma * grow / params.grow_sigma, grow


def hysteresis(strength: NDArray[np.float32], seed: float, grow: float) -> Mask:
    """Return connected pixels above `grow` that hold one above `seed`."""
    above = strength > grow
    count, labels = components(above)
    seeded = np.zeros(count, bool)
    seeded[labels[strength > seed]] = True
    seeded[0] = False
    return which(labels, above, seeded)


def which(labels: Labels, mask: Mask, keep: Mask) -> Mask:
    """Return the pixels of the labels to `keep`, (label,) bool; all lie in `mask`, whose few pixels alone are asked."""
    result = np.zeros(mask.shape, bool)
    at = np.flatnonzero(mask)
    result.ravel()[at] = keep[labels.ravel()[at]]
    return result


def disc(radius_px: int) -> NDArray[np.uint8]:
    """Return a disc-shaped structuring element of side 2 * radius + 1."""
    y, x = np.ogrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    return np.asarray(x * x + y * y <= radius_px * radius_px + 0.5, np.uint8)


def close(mask: Mask, radius_px: int, usable: Mask) -> Mask:
    """Return the mask with gaps up to twice `radius_px` bridged over usable ground."""
    if radius_px < 1:
        return mask
    border = np.pad(mask, radius_px).astype(np.uint8)
    closed = cv2.morphologyEx(border, cv2.MORPH_CLOSE, disc(radius_px))
    return (closed[radius_px:-radius_px, radius_px:-radius_px] > 0) & usable


def fill_holes(mask: Mask, max_hole_px: float) -> Mask:
    """Return the mask with background parts that touch no border filled, up to `max_hole_px`."""
    _, holes, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    fill = stats[:, cv2.CC_STAT_AREA] <= max_hole_px
    fill[0] = False
    edge = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])
    fill[edge] = False
    filled = np.flatnonzero(fill)
    if filled.size > _MANY:
        return np.asarray(mask | fill[holes])
    result = mask.copy()
    for hole in filled:
        left, top, width, height, _ = stats[hole]
        box = (slice(top, top + height), slice(left, left + width))
        result[box] |= holes[box] == hole
    return result


def quantile_by_label(
    labels: Labels, values: NDArray[np.float32], wanted: Mask, quantile: float
) -> NDArray[np.float64]:
    """Return the quantile of `values` in each wanted label, (label,) float64; 0 elsewhere."""
    result = np.zeros(wanted.size)
    at = np.flatnonzero(labels)
    at = at[wanted[labels.ravel()[at]]]
    if at.size == 0:
        return result
    label, value = labels.ravel()[at], values.ravel()[at]
    order = np.lexsort((value, label))
    label, value = label[order], value[order]
    starts = np.flatnonzero(np.r_[True, label[1:] != label[:-1]])
    sizes = np.diff(np.r_[starts, label.size])
    result[label[starts]] = value[starts + np.floor((sizes - 1) * quantile + 0.5).astype(np.intp)]
    return result


def objects(
    strength: NDArray[np.float32],
    usable: Mask,
    thresholds: tuple[float, float],
    min_area_m2: float,
    gsd_m: float,
    params: DetectParams,
    object_sigma: float | None = None,
) -> Mask:
    """Return the pixels of closed, filled, large and strong enough objects."""
    mask = hysteresis(strength, *thresholds)
    mask = close(mask, round(params.closing_m / gsd_m), usable)
    mask = fill_holes(mask, params.max_hole_m2 / gsd_m**2)
    count, labels = components(mask)
    if count <= 1:
        return mask
    area = np.bincount(labels.ravel()[np.flatnonzero(mask)], minlength=count)
    keep = area >= max(params.min_area_px, min_area_m2 / gsd_m**2)
    keep[0] = False
    high = quantile_by_label(labels, strength, keep, 0.95)
    least = params.object_sigma if object_sigma is None else object_sigma
    return which(labels, mask, keep & (high >= least))


def which_rectangles(labels: Labels, wanted: Mask, gsd_m: float, params: DetectParams) -> Mask:
    """Return which of the wanted labels are even rectangles as wide as a building, (label,) bool."""
    found = np.zeros_like(wanted)
    if not wanted.any():
        return found
    from scipy import ndimage  # scipy is slow to import: only where it is used

    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or not wanted[label]:
            continue
        rows, cols = np.nonzero(labels[box] == label)
        points = np.stack([cols + box[1].start, rows + box[0].start], axis=1).astype(np.float32)
        sides = np.array(cv2.minAreaRect(points)[1]) + 1.0
        fills = rows.size / float(sides.prod()) >= params.compact_fill
        found[label] = fills and float(sides.min()) * gsd_m >= params.compact_width_m
    return found


def number(labels: Labels, keep: Mask) -> Labels:
    """Return the kept labels numbered from 1 by the row-major order of their first pixel."""
    kept = keep[labels]
    at = np.flatnonzero(kept.ravel())
    flat = labels.ravel()[at]
    names, first = np.unique(flat, return_index=True)
    number = np.zeros(keep.size, np.int32)
    number[names[np.argsort(first, kind="stable")]] = np.arange(1, names.size + 1, dtype=np.int32)
    return np.asarray(np.where(kept, number[labels], 0), np.int32)

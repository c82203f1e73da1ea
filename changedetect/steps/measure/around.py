"""What surrounds one object and what its change is made of: colour, light, evidence, the shadow beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.core.robust import median, quantile
from changedetect.steps.measure.looks import VISIBLE_MIN, ndvi, relative_change, texture
from changedetect.steps.measure.shape import disc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.steps.measure.crop import Crop
    from changedetect.steps.measure.params import MeasureParams
    from changedetect.steps.measure.shape import Skeleton

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

_MIN_RING = 20


def describe_evidence(crop: Crop) -> dict[str, float]:
    """Return how strongly the object differs, by all change and by change of colour alone, against its ring."""
    strength, free = np.abs(crop.score[crop.mask]), np.abs(crop.free[crop.mask])
    enough = crop.ring.sum() >= _MIN_RING
    ring = np.abs(crop.score[crop.ring]) if enough else np.zeros(1, np.float32)
    quiet = float(quantile(ring, 0.9))
    return {
        "free_sigma": float(quantile(free, 0.95)),
        "free_share": float(free.mean()) / max(float(strength.mean()), 1e-6),
        "brighter_share": float((crop.score[crop.mask] > 0).mean()),
        "ring_sigma": float(median(ring)),
        "over_ring": float(median(strength)) / max(quiet, 1.0),
        "light": float(median(crop.light[crop.mask])),
    }


def describe_colour(crop: Crop) -> dict[str, float]:
    """Return how the object changed its colour against the ring, in log units; 0 where a band is missing."""
    change = _log_change(crop)
    visible = relative_change(crop)[crop.mask]
    middle = float(median(visible))
    spread = 1.4826 * float(median(np.abs(visible - middle)))
    return {
        "nir_change": change.get("nir", middle) - middle,
        "red_blue_change": change["red"] - change["blue"] if {"red", "blue"} <= set(change) else 0.0,
        "ndvi_change": ndvi(crop, crop.after) - ndvi(crop, crop.before),
        "texture_before": texture(crop, crop.before),
        "change_spread": spread,
        "evenness": abs(middle) / max(spread, 0.01),
    }


def _log_change(crop: Crop) -> dict[str, float]:
    """Return per band the median of log(after / before) inside less that of the ring."""
    found: dict[str, float] = {}
    for name, before, after in zip(crop.bands, crop.before, crop.after, strict=True):
        floor = max(VISIBLE_MIN * float(median(before)), 1e-6)
        level = np.log(np.maximum(after, floor) / np.maximum(before, floor))
        around = float(median(level[crop.ring])) if crop.ring.sum() >= _MIN_RING else 0.0
        found[name] = float(median(level[crop.mask])) - around
    return found


def describe_local(crop: Crop, params: MeasureParams) -> dict[str, float]:
    """Return how the object stands out from the ground around it as it did not before, and its outline with it."""
    inside = crop.contrast[crop.mask]
    strength = crop.local[crop.mask]
    enough, told = crop.ring.sum() >= _MIN_RING, bool(crop.kept.any())
    ring = crop.local[crop.ring] if enough else np.zeros(1, np.float32)
    return {
        "local_sigma": float(quantile(strength, 0.95)),
        "local_mean": float(strength.mean()),
        "local_ring": float(median(ring)),
        "local_over_ring": float(median(strength)) / max(float(quantile(ring, 0.9)), 1.0),
        "local_clutter": float((ring > params.clutter_sigma).mean()),
        "local_contrast": float(median(inside)),
        "local_bright": float((inside > params.changed_light).mean()),
        "local_dark": float((inside < -params.changed_light).mean()),
        "patch_sigma": _over_patches(crop),
        "edge_gain": _edge_gain(crop) if told else 0.0,
        "kept_sigma": float(median(crop.kept[crop.mask])),
    }


def _over_patches(crop: Crop) -> float:
    """Return the object's mean change of contrast over the scatter of patches of its width in the ring around it."""
    if crop.ring.sum() < _MIN_RING:
        return 0.0
    side = 2 * max(1, round(0.5 * np.sqrt(float(crop.mask.sum())) / 2)) + 1
    weight = cv2.boxFilter(crop.ring.astype(np.float32), -1, (side, side), borderType=cv2.BORDER_CONSTANT)
    total = cv2.boxFilter(crop.contrast * crop.ring, -1, (side, side), borderType=cv2.BORDER_CONSTANT)
    patches = (total / np.maximum(weight, np.float32(1e-6)))[crop.ring]
    middle = float(median(patches))
    scatter = max(1.4826 * float(median(np.abs(patches - middle))), 0.01)
    return abs(float(crop.contrast[crop.mask].mean()) - middle) / scatter


def _edge_gain(crop: Crop) -> float:
    """Return the log ratio of the steepness of the image across the outline, after over before."""
    mask = crop.mask.astype(np.uint8)
    box = np.ones((3, 3), np.uint8)
    rim = (cv2.dilate(mask, box) - cv2.erode(mask, box, borderValue=0)) > 0
    if not rim.any():
        return 0.0
    steep = []
    for planes in (crop.before, crop.after):
        visible = crop.visible(planes)
        level = np.log(np.maximum(visible, max(VISIBLE_MIN * float(median(visible)), 1e-6)))
        dx = cv2.Sobel(level, cv2.CV_32F, 1, 0, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
        dy = cv2.Sobel(level, cv2.CV_32F, 0, 1, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
        steep.append(float(median(np.hypot(dx, dy)[rim])) + 0.01)
    return float(np.log(steep[1] / steep[0]))


def describe_rim(crop: Crop, params: MeasureParams) -> dict[str, float]:
    """Return the shares of the ground just outside that darkened and brightened: a tall thing has its shadow there."""
    radius = max(1, round(params.rim_m / crop.gsd_m))
    mask = crop.mask.astype(np.uint8)
    wide = cv2.dilate(mask, disc(2 * radius + 1)) > 0
    rim = wide & ~(cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0)
    if rim.sum() < 4:
        return {"rim_dark": 0.0, "rim_bright": 0.0}
    light = crop.light[rim]
    return {
        "rim_dark": float((light < -params.changed_light).mean()),
        "rim_bright": float((light > params.changed_light).mean()),
    }


def describe_outline(crop: Crop, skeleton: Skeleton) -> dict[str, float]:
    """Return how convex, round, branched and straight the object is, and how its middle line changed."""
    contours, _ = cv2.findContours(np.pad(crop.mask, 1).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(np.concatenate(contours))
    around = sum(cv2.arcLength(contour, closed=True) for contour in contours)
    area = float(crop.mask.sum())
    # Contours run through pixel centres.
    hull_area = cv2.contourArea(hull) + 0.5 * cv2.arcLength(hull, closed=True) + 1.0
    middle = skeleton.line & crop.mask
    flank = crop.mask & ~(cv2.dilate(middle.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    change = relative_change(crop)
    deeper = float(change[middle].mean() - change[flank].mean()) if middle.any() and flank.any() else 0.0
    return {
        "hull_fill": min(area / hull_area, 1.0),
        "roundness": min(4 * np.pi * area / max(around + 4.0, 1.0) ** 2, 1.5),
        "branches": skeleton.total_px / max(skeleton.longest_px, 1.0),
        "middle_change": deeper,
        "area_px": area,
    }

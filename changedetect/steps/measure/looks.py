"""What one object looks like before and after: brightness, edges, slots, rows, and so its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.core.robust import median, quantile
from changedetect.steps.measure.peaks import find_peaks
from changedetect.steps.measure.shape import disc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.steps.measure.crop import Crop
    from changedetect.steps.measure.params import MeasureParams
    from changedetect.steps.measure.shape import Rectangle, Skeleton

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

VISIBLE_MIN = 0.02
"""Share of the usual brightness below which nothing is darker: logarithms stay finite."""


def describe_light(crop: Crop, params: MeasureParams) -> dict[str, float]:
    """Return score and brightness features of an object."""
    strength = np.abs(crop.score[crop.mask])
    change = relative_change(crop)
    inside = change[crop.mask]
    return {
        "peak_sigma": float(strength.max()),
        "mean_sigma": float(strength.mean()),
        "high_sigma": float(quantile(strength, 0.95)),
        "colour_fraction": float((np.abs(crop.free[crop.mask]) > params.colour_sigma).mean()),
        "bright_fraction": float((inside > params.changed_light).mean()),
        "dark_fraction": float((inside < -params.changed_light).mean()),
        "shadow_fraction": float((crop.light[crop.mask] < -params.changed_light).mean()),
        "lit_fraction": float((crop.light[crop.mask] > params.changed_light).mean()),
        "visible_change": float(median(inside)),
        **own_look(crop, params),
        "contrast_before": contrast(crop, crop.before),
        "contrast_after": contrast(crop, crop.after),
        "edges_before": edge_share(crop, crop.before, params),
        "edges_after": edge_share(crop, crop.after, params),
        "sharpness": sharpness(crop),
        "ndvi_before": ndvi(crop, crop.before),
        "ndvi_after": ndvi(crop, crop.after),
        "texture_after": texture(crop, crop.after),
    }


def own_look(crop: Crop, params: MeasureParams) -> dict[str, float]:
    """Return how bright the object is against the ring, before and after, and which shares stand out."""
    found: dict[str, float] = {}
    for name, planes in (("before", crop.before), ("after", crop.after)):
        visible = crop.visible(planes)
        around = float(median(visible[crop.ring])) if crop.ring.sum() >= 20 else float(median(visible))
        level = np.log(np.maximum(visible[crop.mask], 0.02 * abs(around) + 1e-6) / max(around, 1e-6))
        found[f"level_{name}"] = float(median(level))
        found[f"dark_{name}"] = float((level < -params.changed_light).mean())
        found[f"light_{name}"] = float((level > params.changed_light).mean())
    return found


def relative_change(crop: Crop) -> Plane:
    """Return log(after / before) of the visible mean less that of the ring, (row, col)."""
    return crop.keep("change", lambda: _relative_change(crop))


def _relative_change(crop: Crop) -> Plane:
    after, before = crop.visible(crop.after), crop.visible(crop.before)
    floor = max(VISIBLE_MIN * float(median(before)), 1e-6)
    change = np.log(np.maximum(after, floor) / np.maximum(before, floor))
    if crop.ring.sum() >= 20:
        change = change - median(change[crop.ring])
    return np.asarray(change, np.float32)


def contrast(crop: Crop, planes: Plane) -> float:
    """Return the largest relative difference over bands between the object and the ring."""
    if crop.ring.sum() < 20:
        return 0.0
    inside = median(planes[:, crop.mask], along_rows=True)
    around = median(planes[:, crop.ring], along_rows=True)
    floor = np.maximum(0.5 * np.abs(around + inside), 1e-6)
    return float(np.max(np.abs(inside - around) / floor))


def edge_share(crop: Crop, planes: Plane, params: MeasureParams) -> float:
    """Return the share of the outline across which the image differs by a roof's contrast."""
    width = max(1, round(1.0 / crop.gsd_m))
    kernel = np.ones((2 * width + 1,) * 2, np.uint8)
    mask = crop.mask.astype(np.uint8)
    inner = mask - cv2.erode(mask, kernel, borderValue=0)
    outer = cv2.dilate(mask, kernel) - mask
    rim = cv2.dilate(mask, np.ones((3, 3), np.uint8)) - mask
    if rim.sum() < 4 or inner.sum() == 0:
        return 0.0
    at = np.flatnonzero(rim)
    sides = [part.astype(np.float32) for part in (inner, outer)]
    weights = [np.maximum(_sum_around(side, width + 1).take(at), np.float32(1)) for side in sides]
    best = np.zeros(at.size, np.float32)
    for plane in planes:
        inside, outside = (
            _sum_around(plane * side, width + 1).take(at) / weight for side, weight in zip(sides, weights, strict=True)
        )
        floor = np.maximum(0.5 * np.abs(inside + outside), 1e-6)
        best = np.maximum(best, np.abs(inside - outside) / floor)
    return float((best > params.built_contrast).mean())


def _sum_around(plane: Plane, radius: int) -> Plane:
    side = (2 * radius + 1,) * 2
    return np.asarray(cv2.boxFilter(plane, -1, side, normalize=False, borderType=cv2.BORDER_CONSTANT))


def sharpness(crop: Crop) -> float:
    """Return how steep the change is at the outline: its gradient per pixel over the object's own change.

    About .35 where a sharp edge is seen through a sensor's blur; under .15 for haze, cloud rims and wet ground.
    """
    best = 0.0
    rim = cv2.dilate(crop.mask.astype(np.uint8), np.ones((3, 3), np.uint8)) - cv2.erode(
        crop.mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0
    )
    if crop.ring.sum() < 20 or not rim.any():
        return 0.0
    at, around, inside = (np.flatnonzero(part) for part in (rim, crop.ring, crop.mask))
    for before, after in zip(crop.before, crop.after, strict=True):
        change = after - before
        ground = change.take(around)
        level = median(ground)
        size = float(quantile(np.abs(change.take(inside) - level), 0.75))
        noise = 1.4826 * float(median(np.abs(ground - level)))
        if size <= 3 * noise or size <= 0:
            continue
        dx = cv2.Sobel(change, cv2.CV_32F, 1, 0, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
        dy = cv2.Sobel(change, cv2.CV_32F, 0, 1, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
        # Where its own shadow adjoins, the edge of a dark thing does not show: the steeper part decides.
        best = max(best, float(quantile(np.hypot(dx.take(at), dy.take(at)), 0.7)) / size)
    return best


def ndvi(crop: Crop, planes: Plane) -> float:
    """Return the median NDVI of the object; 0 without red or near infrared."""
    if not {"red", "nir"} <= set(crop.bands):
        return 0.0
    red = planes[crop.bands.index("red")][crop.mask]
    nir = planes[crop.bands.index("nir")][crop.mask]
    return float(median((nir - red) / np.maximum(nir + red, 1e-6)))


def texture(crop: Crop, planes: Plane) -> float:
    """Return the scatter of log brightness inside the object."""
    visible = crop.visible(planes)[crop.mask]
    level = np.log(np.maximum(visible, max(0.02 * float(median(np.abs(visible))), 1e-6)))
    return float(1.4826 * median(np.abs(level - median(level))))


def describe_slot(crop: Crop, rectangle: Rectangle, skeleton: Skeleton, params: MeasureParams) -> dict[str, float]:
    """Return features of a dark line inside the object (a trench's slot) and of peaks in a row (vehicles)."""
    after = crop.visible(crop.after)
    level = np.log(np.maximum(after, max(0.02 * float(median(np.abs(after))), 1e-6)))
    closed = cv2.morphologyEx(level, cv2.MORPH_CLOSE, disc(params.slot_width_m / crop.gsd_m))
    slot = ((closed - level) > params.slot_depth) & crop.mask
    middle = skeleton.line & crop.mask
    flank = crop.mask & ~(cv2.dilate(middle.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    depth = float(level[middle].mean() - level[flank].mean()) if middle.any() and flank.any() else 0.0
    peaks, spacing = _row_of_peaks(crop, rectangle)
    return {
        "slot_depth": depth,
        "slot_fraction": float(slot.sum()) / max(int(crop.mask.sum()), 1),
        "slot_extent": _longest_extent(slot) / max(rectangle.length_px, 1.0),
        "row_peaks": float(peaks),
        "row_spacing_m": spacing * crop.gsd_m,
    }


def _longest_extent(mask: Mask) -> float:
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 1:
        return 0.0
    wide, high = stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT]
    return float(np.hypot(wide, high).max())


def _row_of_peaks(crop: Crop, rectangle: Rectangle) -> tuple[int, float]:
    """Return the number of bright or dark peaks along the longer axis and their mean spacing in pixels."""
    rows, cols = np.nonzero(crop.mask)
    angle = np.deg2rad(rectangle.orientation_deg)
    along = cols * np.sin(angle) - rows * np.cos(angle)
    bins = np.floor(along - along.min()).astype(np.intp)
    change = relative_change(crop)[rows, cols]
    total = np.bincount(bins, weights=change)
    count = np.bincount(bins)
    profile = total / np.maximum(count, 1)
    if profile.size < 8:
        return 0, 0.0
    profile = np.convolve(profile, [0.25, 0.5, 0.25], mode="same")
    found = max((find_peaks(sign * profile, 0.12) for sign in (1, -1)), key=len)
    if len(found) < 2:
        return len(found), 0.0
    return len(found), float(np.diff(found).mean())


def tell_status(features: dict[str, float], params: MeasureParams) -> str:
    """Return appeared, modified or disappeared, by whether a structure shows before and after."""
    before = features["edges_before"] >= params.built_edges and features["contrast_before"] >= params.built_contrast
    after = features["edges_after"] >= params.built_edges and features["contrast_after"] >= params.built_contrast
    if before and after:
        return "modified"
    return "disappeared" if before else "appeared"

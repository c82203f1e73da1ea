"""One object cut out of the scene, with the ground around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.steps.measure.shape import fit_rectangle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.measure.params import MeasureParams

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

VISIBLE = ("blue", "green", "red", "pan")
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


@dataclass(frozen=True, slots=True)
class Crop:
    """A window around one object."""

    mask: Mask
    """The object's outline, on the unsmoothed difference."""
    ring: Mask
    """Valid ground around it that belongs to no object."""
    before: Plane
    """(band, row, col)."""
    after: Plane
    score: Plane
    light: Plane
    free: Plane
    """Score with every darkening explained by light; the score itself where that is not at hand."""
    row: int
    """First row and column in the scene."""
    col: int
    gsd_m: float
    touches_edge: bool
    bands: tuple[str, ...]

    def visible(self, planes: Plane) -> Plane:
        """Return the mean of the visible bands, (row, col); of all, if none is named."""
        chosen = [i for i, name in enumerate(self.bands) if name in VISIBLE] or list(range(len(self.bands)))
        return np.asarray(planes[chosen].mean(axis=0), np.float32)


def cut_objects(
    labels: NDArray[np.int32], score: Raster, raster: Raster, baseline: Baseline, params: MeasureParams
) -> Iterator[tuple[int, Crop]]:
    """Yield each label with its crop, in the order of the labels."""
    bands = tuple(name for name in raster.bands if name in baseline.bands)
    after, before = raster.select(bands).data, np.stack([baseline.band(name) for name in bands])
    valid = raster.valid & baseline.valid
    gsd_m = raster.grid.gsd_m
    free = score.band("free" if "free" in score.bands else "score")
    margin = max(3, round(params.margin_m / gsd_m))
    for label, (rows, cols) in _boxes(labels, margin):
        mask = labels[rows, cols] == label
        near = cv2.dilate(mask.astype(np.uint8), np.ones((2 * margin + 1,) * 2, np.uint8)) > 0
        touch = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        usable = valid[rows, cols]
        ring = near & ~touch & (labels[rows, cols] == 0) & usable
        parts = (before[:, rows, cols], after[:, rows, cols])
        planes = (score.band("score")[rows, cols], score.band("light")[rows, cols], free[rows, cols])
        allowed = usable & ((labels[rows, cols] == 0) | mask)
        core = without_shadow(mask, planes[1], planes[2], params)
        if fill_of(core) >= params.compact_fill:
            allowed &= core | ~shadow_like(core, planes[1], planes[2], params)
        refined = refine(core, ring, allowed, parts, params)
        edge = _at_edge(mask, rows, cols, labels.shape, usable)
        yield label, Crop(refined, ring, *parts, *planes, rows.start, cols.start, gsd_m, edge, bands)


def _boxes(labels: NDArray[np.int32], margin: int) -> Iterator[tuple[int, tuple[slice, slice]]]:
    from scipy import ndimage

    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            rows, cols = (
                slice(max(part.start - margin, 0), min(part.stop + margin, size))
                for part, size in zip(box, labels.shape, strict=True)
            )
            yield label, (rows, cols)


def _at_edge(mask: Mask, rows: slice, cols: slice, shape: tuple[int, ...], usable: Mask) -> bool:
    """Return whether the object may go on where nothing was seen."""
    touch = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    border = (
        (rows.start == 0 and mask[0].any())
        or (cols.start == 0 and mask[:, 0].any())
        or (rows.stop == shape[0] and mask[-1].any())
        or (cols.stop == shape[1] and mask[:, -1].any())
    )
    return bool(border or (touch & ~usable).any())


def refine(mask: Mask, ring: Mask, allowed: Mask, parts: tuple[Plane, Plane], params: MeasureParams) -> Mask:
    """Return the object's pixels at half its own contrast in the unsmoothed difference.

    Smoothing and a low growing threshold widen strong objects by a pixel or two; the edge is at half the contrast.
    """
    before, after = parts
    difference = after - before
    if ring.sum() >= 20:
        ground = np.median(difference[:, ring], axis=1)
        scatter = 1.4826 * np.median(np.abs(difference[:, ring] - ground[:, None]), axis=1)
    else:
        ground = np.zeros(len(before), np.float32)
        scatter = np.full(len(before), difference.std() or 1.0)
    scaled = (difference - ground[:, None, None]) / np.maximum(scatter, 1e-6)[:, None, None]
    magnitude = np.sqrt((scaled**2).mean(axis=0))
    core = cv2.erode(mask.astype(np.uint8), _CROSS, borderValue=0) > 0
    level = float(np.median(magnitude[core if core.sum() >= 4 else mask]))
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    found = (wide & allowed & (magnitude >= params.edge_share * level)).astype(np.uint8)
    found = cv2.morphologyEx(np.pad(found, 2), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))[2:-2, 2:-2]
    found = _without_specks(_filled(found > 0))
    # Far above the scatter of the ground, or the half level is only the noise's own.
    if level < 4.0 or found.sum() < params.least_refined_share * mask.sum():
        return mask
    # A rectangle does not become ragged by being looked at more closely.
    if fill_of(mask) >= params.compact_fill and fill_of(found) < fill_of(mask) - 0.1:
        return mask
    return found


def without_shadow(mask: Mask, light: Plane, free: Plane, params: MeasureParams) -> Mask:
    """Return the mask without the shadow that clings to it, if what remains is the more rectangular for it."""
    shadow = mask & shadow_like(mask, light, free, params)
    if not shadow.any() or shadow.sum() > 0.6 * mask.sum():
        return mask
    rest = cv2.morphologyEx(np.pad(mask & ~shadow, 1).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    remains = _without_specks(_filled(rest[1:-1, 1:-1] > 0))
    if remains.sum() < 9:
        return mask
    return remains if fill_of(remains) >= max(fill_of(mask), params.compact_fill) else mask


def shadow_like(mask: Mask, light: Plane, free: Plane, params: MeasureParams) -> Mask:
    """Return where light alone explains most of the darkening, against the object's own change of colour."""
    strength = np.abs(free)
    own = float(np.quantile(strength[mask], 0.75))
    return np.asarray((light < -params.changed_light) & (strength < params.shadow_share * own))


def fill_of(mask: Mask) -> float:
    """Return the share of its smallest rotated rectangle that a mask fills, at most 1."""
    box = fit_rectangle(mask)
    return min(float(mask.sum()) / (box.length_px * box.width_px), 1.0)


def _filled(mask: Mask) -> Mask:
    contours, _ = cv2.findContours(np.pad(mask, 1).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    canvas = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
    cv2.drawContours(canvas, contours, -1, 1, cv2.FILLED)
    holes = (canvas[1:-1, 1:-1] > 0) & ~mask
    # Only pinholes: yards inside a trench ring are not trench.
    count, parts, stats, _ = cv2.connectedComponentsWithStats(holes.astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] <= 16
    small[0] = False
    return np.asarray(mask | small[parts]) if count > 1 else mask


def _without_specks(mask: Mask) -> Mask:
    """Return the parts of at least a fifth of the largest one's area."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    area = stats[:, cv2.CC_STAT_AREA].copy()
    area[0] = 0
    return np.asarray((area >= 0.2 * area.max())[parts] & mask)

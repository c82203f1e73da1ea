"""One object cut out of the scene, with the ground around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.core.robust import median, quantile
from changedetect.steps.measure.shape import fit_rectangle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.measure.params import MeasureParams

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

VISIBLE = ("blue", "green", "red", "pan")
_REFINED_PX = 2
"""No outline reaches farther beyond its label's box."""
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
    local: Plane
    """Local contrast that is new, in sigma; 0 where it was not told."""
    contrast: Plane
    """The same of brightness, log units."""
    kept: Plane
    """Whole change over a floor of noise, in sigma; 0 where it was not told."""
    row: int
    """First row and column in the scene."""
    col: int
    gsd_m: float
    touches_edge: bool
    bands: tuple[str, ...]
    made: dict[str, Plane] = field(default_factory=dict, repr=False, compare=False)
    """Planes that several features are told from."""

    def keep(self, name: str, make: Callable[[], Plane]) -> Plane:
        """Return a plane by its name, made when it is first asked for."""
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def visible(self, planes: Plane) -> Plane:
        """Return the mean of the visible bands, (row, col); of all, if none is named."""
        for name, own in (("before", self.before), ("after", self.after)):
            if planes is own:
                return self.keep(name, lambda: self._visible(planes))
        return self._visible(planes)

    def _visible(self, planes: Plane) -> Plane:
        chosen = [i for i, name in enumerate(self.bands) if name in VISIBLE] or list(range(len(self.bands)))
        return np.asarray(planes[chosen].mean(axis=0), np.float32)


def cut_objects(
    labels: NDArray[np.int32],
    score: Raster,
    raster: Raster,
    baseline: Baseline,
    params: MeasureParams,
    where: Mask | None = None,
    drawn: Mask | None = None,
) -> Iterator[tuple[int, Crop]]:
    """Yield each label with its crop, in their order; only those that may have a pixel `where`, if that is given.

    Labels that lie mostly on `drawn` keep their outline.
    """
    bands = tuple(name for name in raster.bands if name in baseline.bands)
    after, before = raster.select(bands).data, baseline.select(bands).centre
    valid = raster.valid & baseline.valid
    gsd_m = raster.grid.gsd_m
    free = score.band("free" if "free" in score.bands else "score")
    margin = max(3, round(params.margin_m / gsd_m))
    for label, (rows, cols) in _boxes(labels, margin, where):
        mask = labels[rows, cols] == label
        near = cv2.dilate(mask.astype(np.uint8), np.ones((2 * margin + 1,) * 2, np.uint8)) > 0
        touch = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        usable = valid[rows, cols]
        ring = near & ~touch & (labels[rows, cols] == 0) & usable
        parts = (before[:, rows, cols], after[:, rows, cols])
        planes = (score.band("score")[rows, cols], score.band("light")[rows, cols], free[rows, cols])
        local, contrast, kept = (_band(score, name)[rows, cols] for name in ("local", "contrast", "kept"))
        allowed = usable & ((labels[rows, cols] == 0) | mask)
        refined = mask
        if drawn is None or 2 * drawn[rows, cols][mask].sum() <= mask.sum():
            mask = compact_core(mask, planes[2], gsd_m, params)
            core = without_shadow(mask, planes[1], planes[2], params)
            shadow = np.zeros_like(mask)
            if fill_of(core) >= params.compact_fill:
                shadow = near & usable & ~core & shadow_like(core, planes[1], planes[2], params)
            refined = refine(core, (shadow, ring), allowed, parts, params)
        edge = _at_edge(mask, rows, cols, labels.shape, usable)
        yield (
            label,
            Crop(refined, ring, *parts, *planes, local, contrast, kept, rows.start, cols.start, gsd_m, edge, bands),
        )


def _band(score: Raster, name: str) -> Plane:
    """Return a band of the score, zeros where it has none of that name."""
    return score.band(name) if name in score.bands else np.broadcast_to(np.float32(0), score.grid.shape)


def _boxes(labels: NDArray[np.int32], margin: int, where: Mask | None) -> Iterator[tuple[int, tuple[slice, slice]]]:
    from scipy import ndimage

    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None and (where is None or where[_grown(box, _REFINED_PX, labels.shape)].any()):
            yield label, _grown(box, margin, labels.shape)


def _grown(box: tuple[slice, slice], margin: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    rows, cols = (
        slice(max(part.start - margin, 0), min(part.stop + margin, size)) for part, size in zip(box, shape, strict=True)
    )
    return rows, cols


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


def refine(
    mask: Mask, places: tuple[Mask, Mask], allowed: Mask, parts: tuple[Plane, Plane], params: MeasureParams
) -> Mask:
    """Return the object's pixels: nearer in the unsmoothed difference to its own colours than to the ground's.

    Smoothing and a low growing threshold widen strong objects by a pixel or two. A pixel that an object and its
    surroundings share lies between both in colour, so the nearer of them puts the edge at half the contrast.

    Parameters
    ----------
    mask : ndarray
        The detected object, (row, col).
    places : tuple of ndarray
        Where its shadow may lie, and ground.
    allowed : ndarray
        Pixels that may belong to it.
    parts : tuple of ndarray
        Before and after, (band, row, col).
    params : MeasureParams
        Limits.
    """
    shadow, ring = places
    scaled = _scaled_difference(parts, ring)
    inside = cv2.erode(mask.astype(np.uint8), _CROSS, borderValue=0) > 0
    sure = inside if inside.sum() >= 4 else mask
    magnitude = np.sqrt((scaled**2).mean(axis=0))
    # A low threshold takes in ground that hardly changed.
    sure = sure & (magnitude >= params.ground_share * quantile(magnitude[sure], 0.8))
    level = float(median(magnitude[sure]))
    own = _distance(scaled, _own_colours(scaled, sure))
    others = [np.zeros(len(scaled), np.float32)]
    if shadow.sum() >= 6:
        others.append(median(scaled[:, shadow], along_rows=True))
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    nearer = np.pad(wide & allowed & (own < _distance(scaled, others)), 2).astype(np.uint8)
    closed = cv2.morphologyEx(nearer, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))[2:-2, 2:-2]
    found = _without_specks(_filled(closed > 0))
    # Far above the scatter of the ground, or the half level is only the noise's own.
    if level < 4.0 or found.sum() < params.least_refined_share * mask.sum():
        return mask
    # A rectangle does not become ragged by being looked at more closely.
    if fill_of(mask) >= params.compact_fill and fill_of(found) < fill_of(mask) - 0.1:
        return mask
    return found


def _scaled_difference(parts: tuple[Plane, Plane], ring: Mask) -> Plane:
    """Return after less before less what the ring changed, over the ring's scatter, (band, row, col)."""
    before, after = parts
    difference = after - before
    if ring.sum() < 20:
        return np.asarray(difference / max(float(difference.std()), 1e-6), np.float32)
    ground = median(difference[:, ring], along_rows=True)
    scatter = 1.4826 * median(np.abs(difference[:, ring] - ground[:, None]), along_rows=True)
    return np.asarray((difference - ground[:, None, None]) / np.maximum(scatter, 1e-6)[:, None, None], np.float32)


def _own_colours(scaled: Plane, sure: Mask) -> list[NDArray[np.float32]]:
    """Return the middle colour of the sure pixels, (band,), or of two kinds of them: sides of a roof, bank and slot."""
    inside = scaled[:, sure]
    middle = median(inside, along_rows=True)
    if inside.shape[1] < 12:
        return [middle]
    # The two kinds lie apart along the direction in which the pixels differ most.
    _, _, axes = np.linalg.svd((inside - middle[:, None]).T[:: max(1, inside.shape[1] // 2000)], full_matrices=False)
    along = axes[0] @ inside
    low, high = (float(quantile(along, share)) for share in (0.1, 0.9))
    for _ in range(8):
        upper = along > 0.5 * (low + high)
        if upper.all() or not upper.any():
            return [middle]
        low, high = float(along[~upper].mean()), float(along[upper].mean())
    upper = along > 0.5 * (low + high)
    if min(upper.mean(), 1 - upper.mean()) < 0.1:
        return [middle]
    kinds = sorted((part for part in (upper, ~upper)), key=lambda part: float((inside[:, part] ** 2).mean()))
    weak, strong = (median(inside[:, part], along_rows=True) for part in kinds)
    where = np.zeros_like(sure)
    where[sure] = kinds[0]
    alike = float(weak @ strong) > 0.8 * float(np.linalg.norm(weak) * np.linalg.norm(strong))
    broad = cv2.morphologyEx(where.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).any()
    # A thin rim that is a weaker shade of the rest is pixels shared with the ground, not a kind.
    return [strong] if alike and not broad else [strong, weak]


def _distance(scaled: Plane, colours: list[NDArray[np.float32]]) -> Plane:
    """Return each pixel's distance to the nearest of the colours, (row, col)."""
    found = [((scaled - colour[:, None, None]) ** 2).sum(axis=0) for colour in colours]
    return np.asarray(np.min(found, axis=0), np.float32)


def compact_core(mask: Mask, free: Plane, gsd_m: float, params: MeasureParams) -> Mask:
    """Return the building in a ragged mask: the rectangle that holds most of the change of colour; else the mask.

    Low thresholds join a roof with its shadow, and with haze or a field beside it; its colour stands out of all these.
    """
    if fill_of(mask) >= params.compact_fill:
        return mask
    strength = np.where(mask, np.abs(free), np.float32(0))
    own = float(quantile(strength[mask], 0.9))
    total = float((strength[mask] ** 2).sum())
    if own <= 0:
        return mask
    side = 2 * max(1, round(params.core_width_m / 4 / gsd_m)) + 1
    for share in params.core_shares:
        above = np.pad(strength >= share * own, side).astype(np.uint8)
        core = cv2.morphologyEx(above, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))[side:-side, side:-side]
        count, parts, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(core), connectivity=8)
        if count <= 1:
            continue
        part = np.asarray(parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))
        holds = float((strength[part] ** 2).sum()) >= params.core_evidence * total
        large = part.sum() * gsd_m**2 >= params.core_area_m2 and part.sum() >= 9
        if holds and large and fill_of(part) >= params.core_fill:
            return _filled(part)
    return mask


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
    own = float(quantile(strength[mask], 0.75))
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

"""Water: how a look's own open water differs from the baseline's, and what stands out from that like a hull.

Ice, glint, haze, foam and silt change water everywhere in their own few colours; what a look's open water does is
therefore the measure of what a thing on it must exceed, and in which direction of colour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from pydantic import Field

from changedetect.steps.classify.patch import VISIBLE, smallest_box
from changedetect.steps.classify.steepest import Slope, steepest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]


_MAX_STEP_PX = 2
_HALF_PX = 0.5
_LEAST_PLAY = 0.05
"""Share of a pixel that the shore may seem to take beyond what it did, whatever a look's whole shore says."""
_SURE_SLOPE = 5.0
"""Sigmas that the baseline's gradient must make per pixel for a place to tell how far the edge moved."""
_MIN_STRAY = 20
_RIM_PX = 1.6
"""A pixel no farther from land may show some of it."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


@dataclass(frozen=True, slots=True)
class WaterParams:
    """What water is, how its own changes are measured, and what stands out from them."""

    min_ndwi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.1
    """Water in the baseline: (green - nir) / (green + nir) above this; paved ground and snow lie near or below 0."""
    dark_share: Share = 0.7
    """Without near infrared, water is darker than this share of the scene's median brightness, and smooth."""
    berth_m: Positive = 45.0
    """Open water lies farther from land than this: berths hold ships, which are no part of what water does."""
    min_open_px: Annotated[int, Field(ge=50)] = 200
    """Fewer pixels of open water do not tell its covariance; then all water is taken, or nothing is said."""
    trimmed_share: Share = 0.05
    """Share of open water that may be something else: ships at anchor, stray floes, the rims of clouds."""
    least_noise: Positive = 0.06
    """Noise is never taken as less than this share of the water's own brightness, calibration being no better."""
    edge_m: Annotated[float, Field(ge=0.0)] = 3.0
    """How far the edge of land may seem to move: registration, tide, and the lean of the quay's wall."""
    average_m: Positive = 6.0
    """Evidence is averaged over this much: the narrowest hulls that count, and less than their spacing."""
    seed_sigma: Positive = 6.0
    """A hull reaches this somewhere: bridges reach 20, dark hulls on dark water 8."""
    grow_sigma: Positive = 3.5
    """And goes on as far as this: 1 in 4,000 of open water does."""
    most_grow_sigma: Positive = 5.0
    """Or as far as 1 in 100 of a look's open water goes, up to this: among ice a hull must not run into the floes."""
    beam_m: Positive = 14.0
    """Beam of a small merchant ship. Where two pixels are wider, it shows mixed with what is around, and as bright as
    floes: water that brightened like a hull cannot be judged then."""
    hull_rise: Positive = 0.6
    """Brightening of the near infrared by the darkest hulls, as a share of the visible brightness of water: what a look
    cannot show of that it cannot show at all."""
    veil_share: Share = 0.7
    """What is no vessel and stands out by more than this share of such a hull hides what lies there."""
    hull_fill: Share = 0.6
    """Things on the water that fill less of their smallest rectangle may be a hull and the floe it lies in."""
    hull_aspect: Positive = 3.0
    """So may things that are not this much longer than wide."""
    closing_m: Annotated[float, Field(ge=0.0)] = 5.0
    """Gaps closed: hatches and decks of the water's own colour."""
    opening_m: Annotated[float, Field(ge=0.0)] = 7.0
    """Narrower strips are cut away: quays seen a pixel away, wakes, booms. No hull that counts is as narrow."""
    min_area_m2: Positive = 60.0
    """Smaller things on the water are no ships that count."""


@dataclass(frozen=True, slots=True)
class WaterModel:
    """How a look's open water differs from the baseline's."""

    bands: tuple[str, ...]
    level: tuple[float, ...]
    """Median difference per band, in the raster's unit."""
    whitening: tuple[tuple[float, ...], ...]
    """Rows make differences uncorrelated and of unit variance."""
    stray: tuple[tuple[float, ...], ...] | None
    """The same with what strays from it counted as water's own: floes, foam, rims of cloud; None without any."""
    n_pixels: int
    """Of open water it was taken from."""


@dataclass(frozen=True, slots=True, eq=False)
class WaterLook:
    """A look's water beside the baseline's; planes are (row, col)."""

    water: Mask
    """Where the baseline shows water."""
    model: WaterModel | None
    """None where too little open water is seen."""
    sigma: Plane
    """Evidence against being what the look's open water is; 0 off the water and without a model."""
    grow_sigma: float
    """How far a hull goes on."""


def look_at_water(raster: Raster, baseline: Baseline, params: WaterParams) -> WaterLook:
    """Return a look's water and what stands out from it."""
    water = find_water(baseline, params)
    away_px = _away_from_land(water)
    model = estimate_water(raster, baseline, (water, away_px), params)
    if model is None:
        return WaterLook(water, None, np.zeros(water.shape, np.float32), params.grow_sigma)
    sigma = hull_evidence(raster, baseline, (water, away_px), model, params)
    afloat = sigma[water & raster.valid & (away_px * raster.grid.gsd_m > params.berth_m)]
    tail = float(np.quantile(afloat, 0.99)) if afloat.size else 0.0
    return WaterLook(water, model, sigma, min(max(tail, params.grow_sigma), params.most_grow_sigma))


def find_water(baseline: Baseline, params: WaterParams) -> Mask:
    """Return where the baseline shows water, (row, col); never asked of the scene, into which ships punch holes."""
    if {"green", "nir"} <= set(baseline.bands):
        green, nir = baseline.band("green"), baseline.band("nir")
        total = green + nir
        ndwi = np.divide(green - nir, total, out=np.full_like(total, -1.0), where=total > 0)
        return np.asarray((ndwi > params.min_ndwi) & baseline.valid)
    seen = baseline.valid
    if not seen.any():
        return seen
    chosen = [name for name in VISIBLE if name in baseline.bands] or list(baseline.bands)
    bright = np.mean([baseline.band(name) for name in chosen], axis=0)
    land = float(np.median(bright[seen]))
    smooth = cv2.blur(bright, (5, 5))
    rough = np.sqrt(np.maximum(cv2.blur(bright**2, (5, 5)) - smooth**2, 0.0))
    return np.asarray((smooth < params.dark_share * land) & (rough < 0.15 * land) & seen)


def _away_from_land(water: Mask) -> Plane:
    """Return how far each pixel of water is from what is none, px; 0 off the water."""
    return np.asarray(cv2.distanceTransform(water.astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def estimate_water(
    raster: Raster, baseline: Baseline, found: tuple[Mask, Plane], params: WaterParams
) -> WaterModel | None:
    """Return how the open water of a look differs from the baseline; None where too little of it is seen.

    `found` is the baseline's water, and how far from land it is, px.

    Notes
    -----
    Covariance of the difference over open water, trimmed by Mahalanobis distance: ice over a tenth of the water is
    what water does that day, a single floe is not.
    """
    bands = tuple(name for name in raster.bands if name in baseline.bands)
    water, away_px = found
    seen = water & raster.valid
    away = away_px * raster.grid.gsd_m
    use = seen & (away > params.berth_m)
    if use.sum() < params.min_open_px:
        use = seen & (away > 1.5 * raster.grid.gsd_m)
    if use.sum() < params.min_open_px:
        return None
    step = max(1, int(use.sum()) // 25_000)
    after = np.stack([raster.band(name)[use][::step] for name in bands]).astype(np.float64)
    before = np.stack([baseline.band(name)[use][::step] for name in bands]).astype(np.float64)
    level, covariance = _robust_covariance(after - before, params.trimmed_share)
    floor = params.least_noise * np.abs(np.median(before, axis=1))
    covariance += np.diag(np.maximum(floor, 1e-6) ** 2) / 2
    whitening = _whitening_of(covariance)
    offset = after - before - level[:, None]
    far = _squares(offset, whitening.T @ whitening) > params.seed_sigma**2
    stray = None
    if far.sum() >= _MIN_STRAY:
        stray = _rows(_whitening_of(covariance + offset[:, far] @ offset[:, far].T / far.sum()))
    return WaterModel(bands, tuple(float(v) for v in level), _rows(whitening), stray, int(use.sum()))


def _squares(values: NDArray[np.float64], form: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x' form x for each column of (band, n)."""
    return np.asarray((values * (form @ values)).sum(axis=0))


def _inverse(form: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(form), np.float64)


def _whitening_of(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(np.linalg.cholesky(covariance)))


def _rows(matrix: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in matrix)


def _robust_covariance(values: NDArray[np.float64], trimmed: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return median and covariance, (band,) and (band, band), of (band, n) without the farthest share.

    Trimming shrinks it; it is scaled up, never down, to the median distance that normal values have.
    """
    from scipy.special import chdtri  # scipy is slow to import: only where it is used

    level = np.median(values, axis=1)
    centred = values - level[:, None]
    covariance = np.cov(centred) + 1e-12 * np.eye(len(values))
    for _ in range(5):
        distance = _squares(centred, _inverse(covariance))
        kept = distance <= np.quantile(distance, 1 - trimmed)
        covariance = np.cov(centred[:, kept]) + 1e-12 * np.eye(len(values))
    distance = _squares(centred, _inverse(covariance))
    return level, covariance * max(1.0, float(np.median(distance)) / float(chdtri(len(values), 0.5)))


def hull_evidence(
    raster: Raster, baseline: Baseline, found: tuple[Mask, Plane], model: WaterModel, params: WaterParams
) -> Plane:
    """Return how far water differs from what open water does in a look, (row, col) float32 sigma; 0 off the water.

    `found` is the baseline's water, and how far from land it is, px.

    Notes
    -----
    Chi-square of the whitened difference, averaged over `average_m`, as sigmas of one degree of freedom. Near land the
    least over baselines moved by `edge_m` counts, with the baseline's gradient and, beside the shore, its colour in the
    look as allowed directions: the edge of a quay does not fire where it is seen a pixel away. Where two pixels are
    wider than a ship, that would explain ships too: there the look's whole shore tells how far its edges moved.
    """
    gsd_m = raster.grid.gsd_m
    water, away = found
    seen = water & raster.valid
    before = np.stack([baseline.band(name) for name in model.bands])
    after = np.stack([raster.band(name) for name in model.bands])
    squared = np.zeros(seen.shape, np.float32)
    squared[seen] = _squared(after[:, seen] - before[:, seen], (), model)
    step = min(round(params.edge_m / gsd_m), _MAX_STEP_PX)
    row, col = np.nonzero(seen & (away <= _RIM_PX + step))
    rim = (row, col)
    if row.size:
        shore = _shore_colour(after, raster.valid & ~water, rim, step) - before[:, rim[0], rim[1]]
        shore[:, away[rim] > _RIM_PX] = 0
        play, slopes = (1.0, _HALF_PX), steepest(before)
        if 2 * gsd_m > params.beam_m:
            play = _play_of_edges(after, before, rim, (shore, slopes), model)
        squared[rim] = _least_squared(after, before, rim, (step, np.float32(play[0]) * shore, play[1], slopes), model)
    side = _side_px(gsd_m, params)
    weight = cv2.blur(seen.astype(np.float32), (side, side))
    mean = cv2.blur(squared, (side, side)) / np.maximum(weight, np.float32(1e-3))
    degrees = len(model.bands)
    return np.where(seen, np.sqrt(np.maximum(mean - np.float32(degrees - 1), 0)), 0).astype(np.float32)


def _play_of_edges(
    after: Plane,
    before: Plane,
    rim: tuple[NDArray[np.intp], NDArray[np.intp]],
    ways: tuple[Plane, tuple[Slope, Slope]],
    model: WaterModel,
) -> tuple[float, float]:
    """Return how much of the shore's colour, and how many pixels of the baseline's gradient, edges of a look show.

    Standard deviations over the whole shore, from the median: ships lie along the smaller part of it.
    """
    whitening = np.asarray(model.whitening, np.float32)
    y = whitening @ (
        after[:, rim[0], rim[1]] - before[:, rim[0], rim[1]] - np.asarray(model.level, np.float32)[:, None]
    )
    shore, slopes = ways[0], [slope.at(*rim) for slope in ways[1]]
    found = []
    for directions, least in (([shore], 1.0), (slopes, _SURE_SLOPE)):
        told = []
        for direction in directions:
            along = whitening @ direction
            power = (along * along).sum(axis=0)
            use = power > least**2
            told.append(np.abs((y * along).sum(axis=0)[use] / power[use]))
        values = np.concatenate(told)
        found.append(1.4826 * float(np.median(values)) if values.size else 1.0)
    return min(max(found[0], _LEAST_PLAY), 1.0), min(max(found[1], _LEAST_PLAY), _HALF_PX)


def _squared(difference: Plane, directions: Sequence[Plane], model: WaterModel) -> Plane:
    """Return y' (I + sum d d')^-1 y of whitened (band, n) differences y and allowed directions d."""
    whitening = np.asarray(model.whitening, np.float32)
    y = whitening @ (difference - np.asarray(model.level, np.float32)[:, None])
    left = [whitening @ part for part in directions]
    while left:
        along, *left = left
        power = np.maximum((along * along).sum(axis=0), np.float32(1e-12))
        # The symmetric root of (I + d d')^-1 shrinks what lies along d; the other directions shrink with it.
        share = (1 - 1 / np.sqrt(1 + power)) / power
        y, *left = (part - along * (share * (along * part).sum(axis=0)) for part in (y, *left))
    return np.asarray((y * y).sum(axis=0), np.float32)


def _shore_colour(after: Plane, land: Mask, at: tuple[NDArray[np.intp], NDArray[np.intp]], step: int) -> Plane:
    """Return the mean colour of the land near pixels as the look shows it, (band, n)."""
    side = 2 * (step + 2) + 1
    weight = np.maximum(cv2.blur(land.astype(np.float32), (side, side)), np.float32(1e-6))
    return np.stack([(cv2.blur(plane * land, (side, side)) / weight)[at] for plane in after])


def _least_squared(
    after: Plane,
    before: Plane,
    rim: tuple[NDArray[np.intp], NDArray[np.intp]],
    near: tuple[int, Plane, float, tuple[Slope, Slope]],
    model: WaterModel,
) -> Plane:
    """Return the least whitened square at pixels, over baselines moved by some pixels and a part of one, and shore."""
    rows, cols = before.shape[1:]
    step, shore, part_px, slopes = near
    moves = [(dr, dc) for dr in (-step, 0, step) for dc in (-step, 0, step)] if step else [(0, 0)]
    least = np.full(rim[0].size, np.inf, np.float32)
    seen = after[:, rim[0], rim[1]]
    for dr, dc in moves:
        row, col = np.clip(rim[0] + dr, 0, rows - 1), np.clip(rim[1] + dc, 0, cols - 1)
        directions = [shore, *(np.float32(part_px) * slope.at(row, col) for slope in slopes)]
        least = np.minimum(least, _squared(seen - before[:, row, col], directions, model))
    return least


def widens_hulls(gsd_m: float, params: WaterParams) -> bool:
    """Return whether evidence is averaged over neighbours, so that the outlines of `mark_hulls` are too wide."""
    return _side_px(gsd_m, params) > 1


def _side_px(gsd_m: float, params: WaterParams) -> int:
    return 2 * round(0.5 * params.average_m / gsd_m) + 1


def mark_hulls(
    labels: NDArray[np.int32], raster: Raster, baseline: Baseline, afloat: WaterLook, params: WaterParams
) -> NDArray[np.int32]:
    """Return the labels with what stands out from the look's own water in place of what was labelled on water.

    Labels on land stay, cut at the shore; where too little open water is seen, all stay as they are.
    """
    model = afloat.model
    if model is None:
        return labels
    gsd_m = raster.grid.gsd_m
    hulls = segment(afloat.sigma, afloat.grow_sigma, gsd_m, params)
    parts = _components(hulls)
    if model.stray is not None and hulls.any():
        # not the look's: by now both may be clipped alike
        water = find_water(baseline, params)
        found = water, _away_from_land(water)
        evidence = hull_evidence(raster, baseline, found, replace(model, whitening=model.stray), params)
        sure = segment(evidence, params.grow_sigma, gsd_m, params)
        parts = _split(parts, sure & hulls, gsd_m, params)
    ashore = np.where(afloat.water | hulls, 0, labels)
    return np.where(parts > 0, parts + ashore.max(), ashore).astype(np.int32)


def _components(mask: Mask) -> NDArray[np.int32]:
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)[1], np.int32)


def _split(parts: NDArray[np.int32], sure: Mask, gsd_m: float, params: WaterParams) -> NDArray[np.int32]:
    """Return the labels with those of no hull's shape cut into what is sure to be none of the strays, and the rest."""
    result, cores = parts.copy(), _components(sure)
    for label in np.unique(parts[sure]).tolist():
        whole = parts == label
        length_m, width_m, fill = smallest_box(whole, gsd_m)
        if fill >= params.hull_fill and length_m >= params.hull_aspect * width_m:
            continue
        core = np.where(whole, cores, 0)
        rest = _components(whole & (cv2.dilate((core > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) == 0))
        result[whole] = 0
        first = int(result.max())
        result[core > 0] = core[core > 0] + first
        result[rest > 0] = rest[rest > 0] + first + int(core.max())
    return result


def segment(evidence: Plane, grow_sigma: float, gsd_m: float, params: WaterParams) -> Mask:
    """Return what holds a seed of evidence and goes on above the lower limit, gaps closed and thin strips cut."""
    grown = (evidence > grow_sigma).astype(np.uint8)
    for operation, size_m in ((cv2.MORPH_CLOSE, params.closing_m), (cv2.MORPH_OPEN, params.opening_m)):
        radius = round(0.5 * size_m / gsd_m)
        if radius >= 1:
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
            wide = np.pad(grown, radius, mode="edge")
            grown = np.asarray(cv2.morphologyEx(wide, operation, kernel), np.uint8)[radius:-radius, radius:-radius]
    count, parts, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(grown), connectivity=8)
    keep = np.zeros(count, bool)
    keep[np.unique(parts[evidence > params.seed_sigma])] = True
    keep &= stats[:, cv2.CC_STAT_AREA] >= math.ceil(params.min_area_m2 / gsd_m**2)
    keep[0] = False
    return np.asarray(keep[parts])

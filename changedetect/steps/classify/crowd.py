"""Crowds: a patch of many small, like parts on open ground, seen with half-metre pixels or finer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
from pydantic import Field

from changedetect.steps.classify.patch import (
    band_pass,
    cut_patch,
    largest_part,
    proposal,
    proposals,
    ramp,
    smallest_box,
)

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.classify.patch import Patch

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


@dataclass(frozen=True, slots=True)
class CrowdParams:
    """What standing people look like from above, and how they are counted."""

    max_gsd_m: Positive = 0.65
    """Coarser pixels show a darker patch at best; nothing is called a crowd there."""
    min_area_m2: Positive = 15.0
    """Ground taken by the smallest group that counts, some fifteen people."""
    max_area_m2: Positive = 8000.0
    """Ground taken by the largest formation expected."""
    min_width_m: Positive = 3.0
    """Shorter side of the smallest group; narrower strips are edges, wires and the shadows of walls."""
    max_aspect: Positive = 10.0
    """Longer over shorter side; a column on the march is longer, but so is a hedge."""
    min_fill: Share = 0.35
    """Share of its smallest rectangle that a group fills; bent strips, the shadows of walls and rows, fill less."""
    min_texture: Share = 0.05
    """Variation at the scale of people over the mean change: smoother patches are tarpaulin, water or soil ..."""
    sure_texture: Share = 0.14
    """... and from here on the patch is made of parts."""
    detail_m: Positive = 2.5
    """Anything larger than this is no person: the scale above which variation does not count as texture."""
    min_contrast: Share = 0.1
    """Change of brightness as a share of the ground's."""
    closing_m: Positive = 0.6
    """Gaps between people that belong to the group's ground."""
    edge_m: Annotated[float, Field(ge=0.0)] = 0.1
    """Blur and shadows that the outline of a group has all around; taken off its ground."""
    edge_ordered_m: Annotated[float, Field(ge=0.0)] = 0.3
    """The same where ranks are resolved: pixels that fine show the shadows reach beyond the last rank."""
    min_spacing_m: Positive = 0.65
    """Closest ranks people stand in."""
    max_spacing_m: Positive = 2.2
    """Widest drill formation (arm's length and a pace)."""
    min_peak: Positive = 30.0
    """Power of both periods of a formation over the spectrum's background; a disordered crowd stays below."""
    person_area_m2: Positive = 1.3
    """Ground that one person darkens fully: 0.13 of body and 1.2 of shadow with the sun at 30 to 35 degrees."""
    full_darkening: Share = 0.5
    """Relative darkening of ground wholly covered by people and their shadows, under some haze."""
    usual_density_m2: Positive = 1.0
    """People per square metre of a formation: 0.75 to 1.0 m by 0.9 to 1.2 m each, and gaps."""
    usual_weight: Share = 0.7
    """Weight of the usual density beside the one from darkening (of logarithms): neither is known within a third."""
    max_density_m2: Positive = 2.0
    """People per square metre at most (standing in ranks, not pressed)."""
    min_period_px: Positive = 2.3
    """Shorter periods cannot be told from longer ones that they mimic in pixels this coarse (aliasing)."""
    max_disagreement: Positive = 2.4
    """Largest factor between the counts by periods and by darkening; beyond it the periods are harmonics or aliases."""
    spread_ordered: Positive = 1.25
    """90 % factor of a count from the formation's own periods, measured on simulated formations."""
    spread_signal: Positive = 1.75
    """90 % factor of a count from darkening and ground taken: sun, clothes and spacing are not known."""
    max_confidence: Share = 0.95
    """Rules are never surer than this."""


def propose(detections: gpd.GeoDataFrame, raster: Raster, baseline: Baseline, params: CrowdParams) -> pd.DataFrame:
    """Return for each detection the confidence (0 to 1) that it is a crowd, and how many people with a 90 % interval.

    Parameters
    ----------
    detections : GeoDataFrame
        `MEASURE_COLUMNS`, in the raster's reference system.
    raster, baseline : Raster, Baseline
        The scene and its baseline on one grid and in one unit; the baseline shows the ground empty.
    params : CrowdParams
        Limits and the calibration of the count.

    Returns
    -------
    DataFrame
        confidence, count, count_low, count_high, flags (tuple); indexed like `detections`.

    Notes
    -----
    People in ranks repeat: two independent peaks f1, f2 of the spatial spectrum give a density |f1 x f2|, and the count
    is that times the ground taken. Without peaks (flag `count_from_ground`) the ground's coverage c = darkening / full
    darkening gives n = -(A / a) ln(1 - c), the number of randomly placed figures of area a that cover it.

    References
    ----------
    Hall, Introduction to the Theory of Coverage Processes, 1988 (the Boolean model).
    """
    rows = [_propose_one(geometry, raster, baseline, params) for geometry in detections.geometry]
    return proposals(rows, detections.index)


def _propose_one(geometry: Any, raster: Raster, baseline: Baseline, params: CrowdParams) -> dict[str, Any]:
    if raster.grid.gsd_m > params.max_gsd_m:
        return proposal(0.0)
    patch = cut_patch(geometry, raster, baseline, 2.0)
    if patch is None:
        return proposal(0.0)
    change = _darkening(patch)
    length_m, width_m, fill = smallest_box(largest_part(patch.inside), patch.gsd_m)
    ground = _ground_taken(patch, change, params)
    area_m2 = _inner_area_m2(ground, patch.gsd_m, params.edge_m)
    if area_m2 < params.min_area_m2:
        return proposal(0.0)
    mean = float(change[ground].mean())
    if mean <= 0:
        return proposal(0.0)
    texture = float(np.std(_detail(change, ground, patch.gsd_m, params)[ground])) / max(mean, 1e-9)
    covered = min(mean / params.full_darkening, 0.9)
    by_signal = min(-math.log(1.0 - covered) / params.person_area_m2, params.max_density_m2)
    by_period = _formation_density(change, ground, patch.gsd_m, params)
    by_ground = params.usual_density_m2**params.usual_weight * by_signal ** (1.0 - params.usual_weight)
    ordered = 1 / params.max_disagreement <= by_period / by_signal <= params.max_disagreement
    count = area_m2 * by_ground
    if ordered:
        count = _inner_area_m2(ground, patch.gsd_m, params.edge_ordered_m) * by_period
    factor = params.spread_ordered if ordered else params.spread_signal
    odds = [
        band_pass(
            area_m2,
            (params.min_area_m2, 2.0 * params.min_area_m2),
            (0.8 * params.max_area_m2, params.max_area_m2),
        ),
        1.0 if ordered else ramp(texture, params.min_texture, params.sure_texture),
        ramp(width_m, 0.7 * params.min_width_m, 1.2 * params.min_width_m),
        ramp(length_m / width_m, params.max_aspect, 0.7 * params.max_aspect),
        ramp(fill, params.min_fill, params.min_fill + 0.2),
        ramp(mean, 0.5 * params.min_contrast, 2.0 * params.min_contrast),
        1.0 if ordered else 0.8,
    ]
    confidence = params.max_confidence * float(np.prod(odds)) ** 0.5
    spread = (math.floor(count / factor), math.ceil(count * factor))
    return proposal(confidence, max(1, round(count)), spread, () if ordered else ("count_from_ground",))


def _darkening(patch: Patch) -> Plane:
    """Return the loss of brightness over the ground's."""
    before, after = patch.visible
    level = max(float(np.median(before[patch.inside])), 1e-9)
    return np.asarray(np.where(patch.valid, (before - after) / level, 0.0), np.float32)


def _ground_taken(patch: Patch, change: Plane, params: CrowdParams) -> Mask:
    """Return the ground between and under the people, (row, col): changed pixels, gaps closed."""
    near = cv2.dilate(patch.inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    level = float(np.quantile(change[patch.inside], 0.75))
    taken = ((change > 0.35 * level) & near & patch.valid).astype(np.uint8)
    side = 2 * max(1, round(params.closing_m / patch.gsd_m)) + 1
    closed = cv2.morphologyEx(taken, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return np.asarray((closed > 0) & patch.valid)


def _inner_area_m2(ground: Mask, gsd_m: float, edge_m: float) -> float:
    """Return the area of the ground taken, less what blur and shadow add around it."""
    contours, _ = cv2.findContours(ground.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    around_m = sum(cv2.arcLength(contour, closed=True) for contour in contours) * gsd_m
    return max(0.0, float(ground.sum()) * gsd_m**2 - around_m * edge_m)


def _detail(change: Plane, ground: Mask, gsd_m: float, params: CrowdParams) -> Plane:
    """Return the change less its local mean over the ground, at scales up to `detail_m`."""
    sigma = params.detail_m / gsd_m / 2.355
    weight = ground.astype(np.float32)
    total = cv2.GaussianBlur(weight, (0, 0), sigma)
    mean = cv2.GaussianBlur(change * weight, (0, 0), sigma) / np.maximum(total, np.float32(1e-3))
    return np.asarray((change - mean) * weight, np.float32)


def _formation_density(change: Plane, ground: Mask, gsd_m: float, params: CrowdParams) -> float:
    """Return people per square metre from the periods of the pattern; 0 where it has no two."""
    peaks, power = _spectral_peaks(_detail(change, ground, gsd_m, params), ground, gsd_m, params)
    fitting: list[tuple[float, float]] = []
    for i in range(len(peaks)):
        for j in range(i):
            basis = np.stack([peaks[i], peaks[j]], axis=1)
            density = abs(float(np.linalg.det(basis)))
            if not params.max_spacing_m**-2 <= density <= params.max_density_m2:
                continue
            # The lattice that has most peaks at whole multiples of its two frequencies; the denser ranks of equals.
            steps = np.linalg.solve(basis, peaks.T)
            fits = np.all(np.abs(steps - np.rint(steps)) < 0.08, axis=0)
            if fits.sum() > 2:  # any two peaks fit their own lattice: a third one confirms it
                fitting.append((float(np.sum(power[fits])), density))
    most = max((explained for explained, _ in fitting), default=0.0)
    return max((density for explained, density in fitting if explained > 0.85 * most), default=0.0)


def _spectral_peaks(
    detail: Plane, ground: Mask, gsd_m: float, params: CrowdParams
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the strongest periods as frequencies (n, 2) per metre and the root of their power (n,).

    Power is relative to the median of the spectrum at the same frequency; the strongest eight above `min_peak`.
    """
    size = cv2.getOptimalDFTSize(min(4 * max(detail.shape), 2048))
    power = np.abs(np.fft.fft2(detail * _taper(ground), (size, size))) ** 2
    f = np.fft.fftfreq(size, gsd_m)
    fx, fy = np.meshgrid(f, f)
    radius = np.hypot(fx, fy)
    ring = np.rint(radius / 0.08).astype(np.intp)
    power = power / np.maximum(_median_by_ring(power, ring)[ring], 1e-12)
    wanted = (radius > 1 / params.max_spacing_m) & (radius < 1 / params.min_spacing_m)
    wanted &= (radius * gsd_m * params.min_period_px < 1.0) & ((fy > 0) | ((fy == 0) & (fx > 0)))
    frequencies = np.stack([fx[wanted], fy[wanted]], axis=1)
    strength = power[wanted]
    chosen: list[int] = []
    for at in np.argsort(-strength, kind="stable")[:4000].tolist():
        if strength[at] < params.min_peak or len(chosen) == 8:
            break
        # Side lobes of a stronger period (the group is finite) lie nearer to it than any other period can.
        apart = [_distance(frequencies[at], frequencies[other]) for other in chosen]
        if min(apart, default=9.0) > 0.6 / params.max_spacing_m:
            chosen.append(at)
    return frequencies[chosen], np.sqrt(strength[chosen])


def _taper(ground: Mask) -> Plane:
    """Return weights that fall off towards the edge of the ground, so that a period has no side lobes."""
    inward = cv2.distanceTransform(np.pad(ground.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(np.sin(inward / max(float(inward.max()), 1.0) * (np.pi / 2)) ** 2, np.float32)


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(min(np.linalg.norm(one - other), np.linalg.norm(one + other)))


def _median_by_ring(power: NDArray[np.float64], ring: NDArray[np.intp]) -> NDArray[np.float64]:
    order = np.argsort(ring.ravel(), kind="stable")
    edges = np.cumsum(np.bincount(ring.ravel()))[:-1]
    parts = np.split(power.ravel()[order], edges)
    return np.array([float(np.median(part)) if part.size else 1.0 for part in parts])

"""Vessels: what is brighter than water where the baseline shows water, and has the shape of a hull."""

from __future__ import annotations

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
class VesselParams:
    """What a vessel looks like from above."""

    min_ndwi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.1
    """Water in the baseline: (green - nir) / (green + nir) above this; paved ground and snow lie near or below 0."""
    dark_share: Share = 0.7
    """Without near infrared, water is darker than this share of the scene's median brightness, and smooth."""
    min_water_share: Share = 0.35
    """Share of the outline that was water; the rest is the quay it lies at and what stands on it."""
    sure_water_share: Share = 0.75
    """Share from which the place is no doubt water."""
    min_length_m: Positive = 18.0
    """Shortest hull that counts; smaller craft are boats, and at 3 m a handful of pixels."""
    max_length_m: Positive = 420.0
    """Longest ships are about 400 m."""
    max_width_m: Positive = 75.0
    """Beam of the widest, or of two of medium size side by side."""
    min_width_px: Positive = 2.5
    """Narrower outlines are the edge of a pier, moved by a fraction of a pixel."""
    ring_m: Positive = 45.0
    """Reach of the surrounding water that is looked at."""
    nir_ratio: tuple[float, float] = (0.8, 1.4)
    """Brightening in the near infrared over that in the visible, from no evidence to full: ice, snow and foam have 0.4
    to 0.8, cloud about 1, painted steel mostly more."""
    unevenness: tuple[float, float] = (0.35, 0.7)
    """Standard deviation over mean of the brightening: a ship has a bright bridge and a darker deck, ice and cloud are
    even."""
    aspect: tuple[float, float] = (2.0, 4.0)
    """Length over width; single hulls have 4 to 8, two side by side 2 to 4."""
    fill: tuple[float, float] = (0.45, 0.7)
    """Share of its smallest rectangle that the outline fills; hulls fill 0.8, wakes and floes less."""
    scene_contrast: tuple[float, float] = (0.7, 2.0)
    """Brightening over the range (median to 97 %) of all water of the scene: it is small among ice and glint."""
    ring_contrast: tuple[float, float] = (1.0, 3.0)
    """The same over the range (median to 90 %) of the water around."""
    cloud_distance_m: tuple[float, float] = (6.0, 40.0)
    """Distance to what could not be seen: the rims of clouds are bright and missed by masks."""
    evidence: tuple[float, float] = (0.5, 0.75)
    """Mean of these five cues, from no confidence to full."""
    max_aspect: Positive = 13.0
    """Longer and narrower are wakes, booms and the edges of piers."""
    min_contrast: Positive = 0.25
    """Brightening over the water around, as a share of the brightness of the baseline's water."""
    min_over_ring: Positive = 0.3
    """Brightening over that of the water around: a little more of what all water does is glint or silt."""
    hull_ratio: Positive = 6.2
    """Length over beam of a typical merchant ship; tells how many lie side by side in one outline."""
    max_confidence: Share = 0.97
    """Rules are never surer than this."""


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is the same for all detections of one scene."""

    land: float
    """Median brightness of the baseline."""
    water_range: float
    """97 % quantile less median of the brightening of what was water."""
    distance_m: NDArray[np.float32]
    """(row, col) to the nearest pixel that was not seen."""


def propose(detections: gpd.GeoDataFrame, raster: Raster, baseline: Baseline, params: VesselParams) -> pd.DataFrame:
    """Return for each detection the confidence (0 to 1) that it is a vessel, and how many.

    Parameters
    ----------
    detections : GeoDataFrame
        `MEASURE_COLUMNS`, in the raster's reference system.
    raster, baseline : Raster, Baseline
        The scene and its baseline on one grid and in one unit; the baseline's centre should be its emptiest state.
    params : VesselParams
        Limits.

    Returns
    -------
    DataFrame
        confidence, count, count_low, count_high, flags (tuple); indexed like `detections`.

    Notes
    -----
    Whether a place is water is asked of the baseline, never of the scene itself: a ship punches a hole into its own
    water. Size and contrast must fit; then five cues are averaged: near infrared over visible brightening, unevenness,
    shape, contrast with all water and the water around, distance to cloud. Brightening is that of the near infrared,
    of the visible mean without it. Flags: `water_without_nir` (water told from darkness alone), `rafted` (more than
    one hull in an outline).
    """
    if not len(detections):
        return proposals([], detections.index)
    scene = _describe_scene(raster, baseline, params)
    rows = [_propose_one(geometry, raster, baseline, scene, params) for geometry in detections.geometry]
    return proposals(rows, detections.index)


def _describe_scene(raster: Raster, baseline: Baseline, params: VesselParams) -> _Scene:
    whole = cut_patch(raster.grid.extent, raster, baseline, 0.0)
    distance_px = cv2.distanceTransform(raster.valid.astype(np.uint8), cv2.DIST_L2, 5)
    distance_m = np.minimum(distance_px, np.float32(1e6)) * np.float32(
        raster.grid.gsd_m
    )  # without any: the largest float
    if whole is None:
        return _Scene(0.0, 0.0, np.asarray(distance_m, np.float32))
    before, _ = whole.visible
    land = float(np.median(before[whole.valid]))
    rise = _rise(whole)[_water(whole, land, params)]
    water_range = float(np.subtract(*np.quantile(rise, (0.97, 0.5)))) if rise.size else 0.0
    return _Scene(land, water_range, np.asarray(distance_m, np.float32))


def _rise(patch: Patch) -> Plane:
    """Return the brightening: of the near infrared, or of the visible mean without it."""
    if patch.has_nir:
        return patch.after["nir"] - patch.before["nir"]
    before, after = patch.visible
    return after - before


def _propose_one(
    geometry: Any, raster: Raster, baseline: Baseline, scene: _Scene, params: VesselParams
) -> dict[str, Any]:
    patch = cut_patch(geometry, raster, baseline, params.ring_m)
    if patch is None:
        return proposal(0.0)
    water = _water(patch, scene.land, params)
    hull = largest_part(patch.inside & water)
    water_share = float((patch.inside & water).sum() / patch.inside.sum())
    if water_share < params.min_water_share or hull.sum() < 4:
        return proposal(0.0)
    length_m, width_m, fill = smallest_box(hull, patch.gsd_m)
    rise = _rise(patch)
    ring = water & ~patch.inside
    around = np.quantile(rise[ring], (0.5, 0.9)) if ring.sum() >= 8 else np.zeros(2)
    contrast = float(rise[hull].mean() - around[0])
    level = patch.before["nir"] if patch.has_nir else patch.visible[0]
    gates = [
        ramp(water_share, params.min_water_share - 0.1, params.sure_water_share),
        band_pass(
            length_m,
            (0.8 * params.min_length_m, 1.3 * params.min_length_m),
            (0.9 * params.max_length_m, params.max_length_m),
        ),
        ramp(width_m, params.max_width_m, 0.8 * params.max_width_m),
        ramp(width_m / patch.gsd_m, params.min_width_px - 0.5, params.min_width_px + 0.5),
        ramp(length_m / width_m, params.max_aspect, 0.85 * params.max_aspect),
        ramp(contrast / max(abs(float(around[0])), 1e-9), 0.5 * params.min_over_ring, 1.5 * params.min_over_ring),
        ramp(contrast / max(float(np.median(level[hull])), 1e-9), 0.5 * params.min_contrast, 2.0 * params.min_contrast),
    ]
    cues = [
        _nir_cue(patch, hull, ring, contrast, params),
        ramp(float(rise[hull].std()) / max(contrast, 1e-9), *params.unevenness),
        (ramp(length_m / width_m, *params.aspect) * ramp(fill, *params.fill)) ** 0.5,
        0.5 * ramp(contrast / max(scene.water_range, 1e-9), *params.scene_contrast)
        + 0.5 * ramp(contrast / max(float(around[1] - around[0]), 1e-9), *params.ring_contrast),
        ramp(_distance_to_unseen(geometry, raster, scene), *params.cloud_distance_m),
    ]
    confidence = params.max_confidence * float(np.prod(gates)) * ramp(float(np.mean(cues)), *params.evidence)
    count = _side_by_side(length_m, width_m, fill, params)
    flags = (() if patch.has_nir else ("water_without_nir",)) + (("rafted",) if count > 1 else ())
    return proposal(confidence, count, (1, count), flags)


def _nir_cue(patch: Patch, hull: Mask, ring: Mask, contrast: float, params: VesselParams) -> float:
    if not patch.has_nir or contrast <= 0:
        return 0.5
    before, after = patch.visible
    rise = after - before
    visible = float(rise[hull].mean() - (np.median(rise[ring]) if ring.any() else 0.0))
    return ramp(contrast / max(visible, 0.2 * contrast), *params.nir_ratio)


def _distance_to_unseen(geometry: Any, raster: Raster, scene: _Scene) -> float:
    grid, centre = raster.grid, geometry.centroid
    row = min(max(int((grid.transform.f - centre.y) / grid.gsd_m), 0), grid.shape[0] - 1)
    col = min(max(int((centre.x - grid.transform.c) / grid.gsd_m), 0), grid.shape[1] - 1)
    return float(scene.distance_m[row, col])


def _water(patch: Patch, land: float, params: VesselParams) -> Mask:
    """Return where the baseline shows water, (row, col)."""
    if patch.has_nir:
        green, nir = patch.before["green"], patch.before["nir"]
        total = green + nir
        ndwi = np.divide(green - nir, total, out=np.full_like(total, -1.0), where=total > 0)
        return np.asarray((ndwi > params.min_ndwi) & patch.valid)
    before, _ = patch.visible
    smooth = cv2.blur(before, (5, 5))
    rough = np.sqrt(np.maximum(cv2.blur(before**2, (5, 5)) - smooth**2, 0.0))
    return np.asarray((smooth < params.dark_share * land) & (rough < 0.15 * land) & patch.valid)


def _side_by_side(length_m: float, width_m: float, fill: float, params: VesselParams) -> int:
    """Return how many hulls of usual proportions lie side by side; 1 where blending with a quay explains the width."""
    if length_m < 40.0 or fill < params.fill[1] - 0.05:
        return 1
    beams = width_m / (length_m / params.hull_ratio)
    return max(1, round(beams - 0.3))

"""Vessels: what is brighter than water where the baseline shows water, and has the shape of a hull."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
from pydantic import Field

from changedetect.steps.classify.patch import (
    VISIBLE,
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
    min_aspect: Positive = 1.6
    """Length over width of hulls that lie side by side or blend with the quay; a single one has 4 to 8."""
    max_aspect: Positive = 13.0
    """Longer and narrower are wakes, booms and the edges of piers."""
    min_fill: Share = 0.4
    """Share of its smallest rectangle that the outline fills; hulls fill 0.8, wakes and ice floes less."""
    min_contrast: Positive = 0.25
    """Brightening over the baseline's water, as a share of that water's brightness; 1 and more for most hulls."""
    min_nir_ratio: Positive = 0.33
    """Brightening in the near infrared over that in the visible; foam, glint and turbid water have less."""
    max_ring_share: Share = 0.6
    """Brightening of the water around, as a share of the outline's: above it, the water itself changed (ice, glint)."""
    ring_m: Positive = 45.0
    """Reach of the surrounding water that is looked at."""
    hull_ratio: Positive = 6.2
    """Length over beam of a typical merchant ship; tells how many lie side by side in one outline."""
    max_confidence: Share = 0.97
    """Rules are never surer than this."""


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
    water. Flags: `water_without_nir` (water told from darkness alone), `rafted` (more than one hull in an outline).
    """
    land = _scene_brightness(baseline)
    rows = [_propose_one(geometry, raster, baseline, land, params) for geometry in detections.geometry]
    return proposals(rows, detections.index)


def _scene_brightness(baseline: Baseline) -> float:
    names = [name for name in VISIBLE if name in baseline.bands] or list(baseline.bands)
    plane = np.mean([baseline.band(name) for name in names], axis=0)
    sample = plane[baseline.valid]
    return float(np.median(sample[:: max(1, sample.size // 100_000)])) if sample.size else 0.0


def _propose_one(
    geometry: Any, raster: Raster, baseline: Baseline, land: float, params: VesselParams
) -> dict[str, Any]:
    nothing = proposal(0.0)
    patch = cut_patch(geometry, raster, baseline, params.ring_m)
    if patch is None:
        return nothing
    water = _water(patch, land, params)
    hull = largest_part(patch.inside & water)
    water_share = float((patch.inside & water).sum() / patch.inside.sum())
    if water_share < params.min_water_share or hull.sum() < 4:
        return nothing
    length_m, width_m, fill = smallest_box(hull, patch.gsd_m)
    aspect = length_m / max(width_m, 1e-9)
    brighter, ring, nir_ratio = _contrasts(patch, hull, water & ~patch.inside)
    odds = [
        ramp(water_share, params.min_water_share - 0.1, params.sure_water_share),
        band_pass(
            length_m,
            (0.8 * params.min_length_m, 1.3 * params.min_length_m),
            (0.9 * params.max_length_m, params.max_length_m),
        ),
        ramp(width_m, params.max_width_m, 0.8 * params.max_width_m),
        band_pass(
            aspect, (0.8 * params.min_aspect, 1.2 * params.min_aspect), (0.85 * params.max_aspect, params.max_aspect)
        ),
        ramp(fill, params.min_fill - 0.1, params.min_fill + 0.15),
        ramp(brighter, 0.5 * params.min_contrast, 2.0 * params.min_contrast),
        ramp(ring / max(brighter, 1e-9), params.max_ring_share, 0.4 * params.max_ring_share),
        ramp(nir_ratio, 0.5 * params.min_nir_ratio, 1.5 * params.min_nir_ratio) if patch.has_nir else 0.7,
    ]
    confidence = params.max_confidence * float(np.prod(odds)) ** 0.5 * (min(odds) > 0)
    count = _side_by_side(length_m, width_m, params)
    flags = (() if patch.has_nir else ("water_without_nir",)) + (("rafted",) if count > 1 else ())
    return proposal(confidence, count, (1, max(count, 1)), flags)


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


def _contrasts(patch: Patch, hull: Mask, ring: Mask) -> tuple[float, float, float]:
    """Return relative brightening of hull and surrounding water, and near infrared over visible brightening."""
    before, after = patch.visible
    level = max(float(np.median(before[hull])), 1e-9)
    rise = after - before
    brighter = float(np.mean(rise[hull])) / level
    around = float(np.median(rise[ring])) / level if ring.sum() >= 8 else 0.0
    if not patch.has_nir:
        return brighter, max(around, 0.0), 1.0
    nir = patch.after["nir"] - patch.before["nir"]
    nir_around = float(np.median(nir[ring])) if ring.sum() >= 8 else 0.0
    visible = float(np.mean(rise[hull])) - around * level
    return brighter, max(around, 0.0), (float(np.mean(nir[hull])) - nir_around) / max(visible, 1e-9)


def _side_by_side(length_m: float, width_m: float, params: VesselParams) -> int:
    """Return how many hulls of usual proportions lie side by side; 1 where blending with a quay explains the width."""
    if length_m < 40.0:
        return 1
    beams = width_m / (length_m / params.hull_ratio)
    return max(1, round(beams - 0.3))

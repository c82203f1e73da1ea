"""Vessels: what is brighter than water where the baseline shows water, and has the shape of a hull."""

from __future__ import annotations

from dataclasses import dataclass, field
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
from changedetect.steps.classify.shore import ShoreParams, look_at_shores, tell_ship_from_shore
from changedetect.steps.classify.water import WaterParams, look_at_water

if TYPE_CHECKING:
    from collections.abc import Mapping

    import geopandas as gpd
    import pandas as pd
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.classify.patch import Patch
    from changedetect.steps.classify.shore import Shores
    from changedetect.steps.classify.water import WaterLook, WaterModel

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


@dataclass(frozen=True, slots=True)
class VesselParams:
    """What a vessel looks like from above."""

    water: WaterParams = field(default_factory=WaterParams)
    """What water is, and what stands out from it."""
    shore: ShoreParams = field(default_factory=ShoreParams)
    """What tells ships from shores."""
    coarsest_gsd_m: Positive = 15.0
    """In coarser pixels most merchant ships are narrower than one."""
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
    ring_m: Positive = 45.0
    """Reach of the surrounding water that is looked at."""
    ring_share: Share = 0.5
    """Share of its brightening over open water that a hull must keep over the water around it, for that to be what it
    is compared with: ice and thin cloud around it are brighter than that."""
    nir_ratio: tuple[float, float] = (0.9, 1.4)
    """Brightening in the near infrared over that in the visible, from no evidence to full: ice, snow and foam have 0.4
    to 0.8, cloud about 1, painted steel mostly more."""
    colours_sigma: tuple[float, float] = (1.2, 2.4)
    """Scatter of colour across the main one, from no evidence to full: ice, foam and cloud mix one colour with the
    water's; hull, deck and bridge differ."""
    grain: Share = 0.06
    """Share of the main colour's strength that its own grain scatters: bright ice is never quite even."""
    aspect: tuple[float, float] = (1.8, 3.5)
    """Length over width; single hulls have 4 to 8, two side by side 2 to 4."""
    fill: tuple[float, float] = (0.45, 0.65)
    """Share of its smallest rectangle that the outline fills; hulls fill 0.8, wakes and floes less."""
    hull_sigma: tuple[float, float] = (4.0, 8.0)
    """Median evidence against being the look's own water."""
    cloud_distance_m: tuple[float, float] = (6.0, 40.0)
    """Distance to what could not be seen: the rims of clouds are bright and missed by masks."""
    quay_distance_m: tuple[float, float] = (40.0, 15.0)
    """Least distance to land, from none to full: ships are moored to it; rafts and anchorages lie off."""
    cue_weights: tuple[float, float, float, float, float] = (0.30, 0.30, 0.15, 0.15, 0.10)
    """Of colour, shape, evidence, distance to cloud, and berth; they sum to 1."""
    evidence: tuple[float, float] = (0.55, 0.8)
    """Weighted mean of these cues, from no confidence to full."""
    width_px: tuple[float, float] = (0.0, 1.5)
    """Width in pixels, from no confidence to full: a row of single pixels may be the edge of a quay."""
    length_px: tuple[float, float] = (4.0, 7.0)
    """Length in pixels, from no confidence to full: of fewer, slivers of bared shore have a hull's shape too."""
    bright: tuple[float, float] = (0.3, 0.55)
    """Visible brightening of its brightest pixel over the water around, as a share of that water's brightness, from no
    confidence to full: a bridge or a deck is brighter than any water, mud and plants just under the surface brighten
    the near infrared alone ..."""
    bright_m: Positive = 5.0
    """... and less by as much as pixels are wider than this, which a bridge no longer fills."""
    max_aspect: Positive = 13.0
    """Longer and narrower are wakes, booms and the edges of piers."""
    min_contrast: Positive = 0.3
    """Brightening over the water around, as a share of the visible brightness of the baseline's water: glint, silt and
    shadows that went make 0.2."""
    min_over_ring: Positive = 0.3
    """Brightening over that of the water around: a little more of what all water does is glint or silt."""
    hull_ratio: Positive = 6.2
    """Length over beam of a typical merchant ship; tells how many lie side by side in one outline."""
    max_confidence: Share = 0.97
    """Rules are never surer than this."""


@dataclass(frozen=True, slots=True, eq=False)
class Sea:
    """What is the same for all detections of one scene; planes are (row, col)."""

    water: Mask
    model: WaterModel
    sigma: Plane
    """Evidence against being the look's own water."""
    unseen_m: Plane
    """Distance to the nearest pixel that was not seen."""
    land_m: Plane
    """Distance to the nearest pixel that was no water."""
    shores: Shores
    open_change: Mapping[str, float]
    """Change per band of the least brightened water in sight: what is between floes, where there are any."""


def propose(
    detections: gpd.GeoDataFrame, raster: Raster, baseline: Baseline, params: VesselParams, sea: Sea | None = None
) -> pd.DataFrame:
    """Return for each detection the confidence (0 to 1) that it is a vessel, and how many.

    Parameters
    ----------
    detections : GeoDataFrame
        `MEASURE_COLUMNS`, in the raster's reference system.
    raster, baseline : Raster, Baseline
        The scene and its baseline on one grid and in one unit; the baseline's centre should be its emptiest state.
    params : VesselParams
        Limits.
    sea : Sea, optional
        Of this scene, where `look_at_sea` has told it before.

    Returns
    -------
    DataFrame
        confidence, count, count_low, count_high, flags (tuple); indexed like `detections`.

    Notes
    -----
    Whether a place is water is asked of the baseline, never of the scene itself: a ship punches a hole into its own
    water. Size and contrast must fit; then five cues are averaged: colour (near infrared over visible brightening, or
    more than one colour), shape, evidence against being what the look's open water is, distance to cloud, berth.
    Brightening is that of the near infrared, of the visible mean without it. Flags: `water_without_nir` (water told
    from darkness alone), `rafted` (more than one hull in an outline).
    """
    if sea is None and len(detections):
        sea = look_at_sea(raster, baseline, params)
    if sea is None:
        return proposals([proposal(0.0)] * len(detections), detections.index)
    rows = [_propose_one(geometry, raster, baseline, sea, params) for geometry in detections.geometry]
    return proposals(rows, detections.index)


def chance_of(geometry: Any, raster: Raster, baseline: Baseline, sea: Sea, params: VesselParams) -> float:
    """Return the confidence (0 to 1) that an outline is a vessel's, as `propose` states it."""
    return float(_propose_one(geometry, raster, baseline, sea, params)["confidence"])


def look_at_sea(
    raster: Raster, baseline: Baseline, params: VesselParams, afloat: WaterLook | None = None
) -> Sea | None:
    """Return what all vessels of a scene are judged by; None where too little open water is seen.

    `afloat` is the scene's water, where `look_at_water` has told it on these very pixels before.
    """
    if afloat is None:
        afloat = look_at_water(raster, baseline, params.water)
    if afloat.model is None:
        return None
    away = [cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) for mask in (raster.valid, afloat.water)]
    # Without any such pixel: the largest float.
    unseen_m, land_m = (np.minimum(d, np.float32(1e6)) * np.float32(raster.grid.gsd_m) for d in away)
    shores = look_at_shores(raster, baseline, afloat, params.shore)
    change = _least_brightened(raster, baseline, afloat)
    return Sea(afloat.water, afloat.model, afloat.sigma, unseen_m, land_m, shores, change)


def _least_brightened(raster: Raster, baseline: Baseline, afloat: WaterLook) -> dict[str, float]:
    """Return the median change per band over the tenth of the water in sight that brightened least."""
    seen = afloat.water & raster.valid
    names = [name for name in raster.bands if name in baseline.bands]
    change = {name: raster.band(name)[seen] - baseline.band(name)[seen] for name in names}
    rise = _rise(change)
    least = rise <= np.quantile(rise, 0.1)
    return {name: float(np.median(values[least])) for name, values in change.items()}


def _rise(change: Mapping[str, Plane]) -> Plane:
    """Return the brightening: of the near infrared, or of the visible mean without it."""
    return change["nir"] if "nir" in change else _visible(change)


def _visible(change: Mapping[str, Plane]) -> Plane:
    names = [name for name in VISIBLE if name in change] or list(change)
    return np.asarray(np.mean([change[name] for name in names], axis=0), np.float32)


def _change_over(patch: Patch, hull: Mask, ring: Mask, sea: Sea, params: VesselParams) -> dict[str, Plane]:
    """Return the change per band over that of the water around; among brighter ice over that of open water."""
    change = patch.change
    over_open = {name: plane - np.float32(sea.open_change[name]) for name, plane in change.items()}
    if ring.sum() < 8:
        return over_open
    over_near = {name: plane - np.float32(np.median(plane[ring])) for name, plane in change.items()}
    # A hull among ice may be no brighter than what is around it, and still no water.
    near, open_ = (float(_rise(over)[hull].mean()) for over in (over_near, over_open))
    return over_near if near > params.ring_share * open_ else over_open


def _propose_one(geometry: Any, raster: Raster, baseline: Baseline, sea: Sea, params: VesselParams) -> dict[str, Any]:
    patch = cut_patch(geometry, raster, baseline, params.ring_m)
    if patch is None:
        return proposal(0.0)
    water = sea.water[patch.window] & patch.valid
    hull = largest_part(patch.inside & water)
    water_share = float((patch.inside & water).sum() / patch.inside.sum())
    if water_share < params.min_water_share or hull.sum() < 4:
        return proposal(0.0)
    length_m, width_m, fill = smallest_box(hull, patch.gsd_m)
    change = _change_over(patch, hull, water & ~patch.inside, sea, params)
    contrast = float(_rise(change)[hull].mean())
    around = float((_rise(patch.change) - _rise(change))[hull].mean())
    level = float(np.median(patch.visible[0][hull]))
    brightest = _brightest(patch, change, hull, sea, params.min_contrast * level)
    gates = [
        ramp(water_share, params.min_water_share - 0.1, params.sure_water_share),
        band_pass(
            length_m,
            (0.8 * params.min_length_m, 1.3 * params.min_length_m),
            (0.9 * params.max_length_m, params.max_length_m),
        ),
        ramp(width_m, params.max_width_m, 0.8 * params.max_width_m),
        ramp(width_m / patch.gsd_m, *params.width_px),
        ramp(length_m / patch.gsd_m, *params.length_px),
        ramp(brightest / max(level, 1e-9) * max(1.0, patch.gsd_m / params.bright_m), *params.bright),
        ramp(length_m / width_m, params.max_aspect, 0.85 * params.max_aspect),
        ramp(contrast / max(abs(around), 1e-9), 0.5 * params.min_over_ring, 1.5 * params.min_over_ring),
        ramp(contrast / max(level, 1e-9), 0.5 * params.min_contrast, 2.0 * params.min_contrast),
    ]
    unseen_m, land_m = sea.unseen_m[patch.window][hull], sea.land_m[patch.window][hull]
    cues = [
        max(_nir_cue(change, hull, params), _colour_cue(change, hull, sea.model, params)),
        (ramp(length_m / width_m, *params.aspect) * ramp(fill, *params.fill)) ** 0.5,
        ramp(float(np.median(sea.sigma[patch.window][hull])), *params.hull_sigma),
        ramp(float(unseen_m.min()), *params.cloud_distance_m),
        ramp(float(land_m.min()), *params.quay_distance_m),
    ]
    evidence = ramp(float(np.dot(params.cue_weights, cues)), *params.evidence)
    confidence = params.max_confidence * float(np.prod(gates)) * evidence
    if confidence > 0:
        places = np.argwhere(hull) + [part.start for part in patch.window]
        confidence *= tell_ship_from_shore(places, (length_m, width_m, fill), sea.shores, params.shore)
    # Outlines of whole pixels are half a pixel too wide on either side.
    count = _side_by_side(length_m - patch.gsd_m, width_m - patch.gsd_m, fill, params)
    flags = (() if patch.has_nir else ("water_without_nir",)) + (("rafted",) if count > 1 else ())
    return proposal(confidence, count, (1, count), flags)


def _brightest(patch: Patch, change: Mapping[str, Plane], hull: Mask, sea: Sea, ice: float) -> float:
    """Return the visible brightening of a hull's brightest pixel over the water around; over open water among ice."""
    around = float((_rise(patch.change) - _rise(change))[hull].mean()) - float(_rise(_planes(sea.open_change)))
    if around > ice:
        change = {name: plane - np.float32(sea.open_change[name]) for name, plane in patch.change.items()}
    return float(_visible(change)[hull].max())


def _planes(values: Mapping[str, float]) -> dict[str, Plane]:
    return {name: np.asarray(value, np.float32) for name, value in values.items()}


def _nir_cue(change: Mapping[str, Plane], hull: Mask, params: VesselParams) -> float:
    contrast = float(_rise(change)[hull].mean())
    if "nir" not in change or contrast <= 0:
        return 0.5
    visible = float(_visible(change)[hull].mean())
    return ramp(contrast / max(visible, 0.2 * contrast), *params.nir_ratio)


def _colour_cue(change: Mapping[str, Plane], hull: Mask, model: WaterModel, params: VesselParams) -> float:
    """Return how far the hull's pixels scatter off one line of colour, 0 with fewer than three bands."""
    if len(model.bands) < 3:
        return 0.0
    own = np.asarray(model.stray or model.whitening) @ np.stack([change[name][hull] for name in model.bands])
    *_, second, first = np.sqrt(np.maximum(np.linalg.eigvalsh(own @ own.T / own.shape[1]), 0.0))
    return ramp(float(second - params.grain * first), *params.colours_sigma)


def _side_by_side(length_m: float, width_m: float, fill: float, params: VesselParams) -> int:
    """Return how many hulls of usual proportions lie side by side; 1 where blending with a quay explains the width."""
    if length_m < 40.0 or fill < params.fill[1] - 0.05:
        return 1
    beams = width_m / (length_m / params.hull_ratio)
    return max(1, round(beams - 0.3))

"""Aircraft: compact things with wings on paved ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

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

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


@dataclass(frozen=True, slots=True)
class AircraftParams:
    """What a parked transport aircraft looks like from above."""

    max_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.3
    """Paved ground in the baseline is not green: (nir - red) / (nir + red) below this."""
    max_colour: Share = 0.3
    """And it is grey: spread of its visible bands over their mean below this (bare soil is redder)."""
    min_paved_share: Share = 0.6
    """Share of the outline that was paved."""
    min_span_m: Positive = 15.0
    """Shorter side of the smallest aircraft that counts."""
    max_span_m: Positive = 85.0
    """Longer side of the largest transport (An-124: 69 x 73 m), and a pixel of blur."""
    max_aspect: Positive = 1.7
    """Longer over shorter side; wings make an aircraft about as wide as long."""
    min_fill: Share = 0.2
    """Share of its smallest rectangle that the outline fills: below it, scattered parts."""
    max_fill: Share = 0.72
    """Above it, no room beside wings and fuselage: a building, a lorry, a wet patch."""
    unit_fill: Share = 0.42
    """Typical fill of one aircraft with its shadow at 3 m; tells how many touch in one outline."""
    touching_span_m: Positive = 24.0
    """Shorter side from which a long outline may be a row of aircraft ..."""
    touching_fill: Share = 0.3
    """... that fills this share of its rectangle; sparser ones are markings, shadows and the edges of aprons."""
    touching_sigma: Positive = 12.0
    """Peak score a row needs: weak outlines that long are wet ground and roofs."""
    min_contrast: Positive = 0.15
    """Change of brightness as a share of the apron's."""
    blur_px: Annotated[float, Field(ge=0.0)] = 1.0
    """Pixels that blur adds around an outline; taken off its sides before they are judged."""
    max_confidence: Share = 0.95
    """Rules are never surer than this."""


def propose(detections: gpd.GeoDataFrame, raster: Raster, baseline: Baseline, params: AircraftParams) -> pd.DataFrame:
    """Return for each detection the confidence (0 to 1) that it is aircraft, and how many touch in its outline.

    Parameters
    ----------
    detections : GeoDataFrame
        `MEASURE_COLUMNS`, in the raster's reference system.
    raster, baseline : Raster, Baseline
        The scene and its baseline on one grid and in one unit; the baseline's centre should be its emptiest state.
    params : AircraftParams
        Limits.

    Returns
    -------
    DataFrame
        confidence, count, count_low, count_high, flags (tuple); indexed like `detections`.

    Notes
    -----
    An outline longer than one aircraft is a row of them: as many as squares of its shorter side fit, checked by
    its area. Such rows are flagged `touching`.
    """
    scored = zip(detections.geometry, detections["score"], strict=True)
    rows = [_propose_one(geometry, float(score), raster, baseline, params) for geometry, score in scored]
    return proposals(rows, detections.index)


def _propose_one(
    geometry: Any, score: float, raster: Raster, baseline: Baseline, params: AircraftParams
) -> dict[str, Any]:
    patch = cut_patch(geometry, raster, baseline, 0.0)
    if patch is None:
        return proposal(0.0)
    shape = largest_part(patch.inside)
    paved = float((shape & _paved(patch, params)).sum() / shape.sum())
    if paved < params.min_paved_share or shape.sum() < 9:
        return proposal(0.0)
    length_m, width_m, fill = smallest_box(shape, patch.gsd_m)
    count = _count_touching(length_m, width_m, float(shape.sum()) * patch.gsd_m**2, params)
    sparse = width_m < params.touching_span_m or fill < params.touching_fill
    if count > 1 and (sparse or score < params.touching_sigma):
        return proposal(0.0)
    blur_m = params.blur_px * patch.gsd_m
    one_m = (length_m - blur_m) / count
    long_m, short_m = max(one_m, width_m - blur_m), min(one_m, width_m - blur_m)
    before, after = patch.visible
    contrast = abs(float(np.mean((after - before)[shape]))) + float(np.std((after - before)[shape]))
    odds = [
        ramp(paved, params.min_paved_share - 0.1, params.min_paved_share + 0.25),
        ramp(short_m, 0.7 * params.min_span_m, 1.2 * params.min_span_m),
        ramp(long_m, 1.1 * params.max_span_m, 0.9 * params.max_span_m),
        ramp(long_m / max(short_m, 1e-9), 1.3 * params.max_aspect, 0.85 * params.max_aspect),
        band_pass(
            fill, (params.min_fill - 0.05, params.min_fill + 0.1), (params.max_fill - 0.1, params.max_fill + 0.06)
        ),
        ramp(
            contrast / max(float(np.median(before[shape])), 1e-9), 0.5 * params.min_contrast, 1.5 * params.min_contrast
        ),
    ]
    confidence = params.max_confidence * float(np.prod(odds)) ** 0.5
    flags = ("touching",) if count > 1 else ()
    return proposal(confidence, count, (max(1, count - (count > 1)), count + (count > 1)), flags)


def _paved(patch: Patch, params: AircraftParams) -> Mask:
    """Return where the baseline is grey and not green, (row, col)."""
    paved = patch.valid.copy()
    before = patch.before
    if patch.has_nir and "red" in before:
        total = np.maximum(before["nir"] + before["red"], 1e-9)
        paved &= (before["nir"] - before["red"]) / total < params.max_ndvi
    colours = [before[name] for name in ("blue", "green", "red") if name in before]
    if len(colours) == 3:
        stack = np.stack(colours)
        paved &= np.std(stack, axis=0) < params.max_colour * np.maximum(np.mean(stack, axis=0), 1e-9)
    return np.asarray(paved)


def _count_touching(length_m: float, width_m: float, area_m2: float, params: AircraftParams) -> int:
    """Return how many aircraft of about equal sides make an outline: by its length, then checked by its area."""
    if length_m <= params.max_aspect * width_m:
        return 1
    by_length = round(length_m / width_m)
    by_area = round(area_m2 / (params.unit_fill * width_m**2))
    return max(1, min(by_length, by_area))

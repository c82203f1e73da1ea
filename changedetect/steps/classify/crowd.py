"""Crowds: a patch of many small, like parts on open ground, seen with half-metre pixels or finer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
from pydantic import Field
from rasterio.features import geometry_mask

from changedetect.steps.classify.muster import MusterParams, add_gatherings, expect_ground, is_open, is_shade
from changedetect.steps.classify.patch import (
    band_pass,
    cut_patch,
    largest_part,
    proposal,
    proposals,
    ramp,
    smallest_box,
)
from changedetect.steps.classify.ranks import detail_of, formation_density
from changedetect.steps.classify.standing import Shade, look_at_shade, measure_stand, overhang_m2
from changedetect.steps.classify.sun import sun_over

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.classify.muster import Ground
    from changedetect.steps.classify.patch import Patch

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]
    Labels = NDArray[np.int32]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
_Z90 = 1.645
"""Half of a normal law's 90 % interval, in standard deviations."""


@dataclass(frozen=True, slots=True)
class CrowdParams:
    """What standing people look like from above, and how they are counted."""

    muster: MusterParams = field(default_factory=MusterParams)
    """How the empty ground of a look is known."""
    max_gsd_m: Positive = 0.65
    """Coarser pixels show a darker patch at best; nothing is called a crowd there."""
    min_area_m2: Positive = 15.0
    """Ground taken by the smallest group that counts, some fifteen people."""
    max_area_m2: Positive = 8000.0
    """Ground taken by the largest formation expected."""
    min_width_m: Positive = 4.0
    """Shorter side of the smallest group; narrower strips are edges, wires and the shadows of walls."""
    max_aspect: Positive = 10.0
    """Longer over shorter side; a column on the march is longer, but so is a hedge."""
    min_fill: Share = 0.45
    """Share of its smallest rectangle that a group fills; bent strips, the shadows of walls and rows, fill less."""
    min_texture: Share = 0.08
    """Variation at the scale of people over the mean change: smoother patches are tarpaulin, water or soil ..."""
    sure_texture: Share = 0.16
    """... and from here on the patch is made of parts."""
    detail_m: Positive = 2.5
    """Anything larger than this is no person: the scale above which variation does not count as texture."""
    min_contrast: Share = 0.12
    """Change of brightness as a share of the ground's."""
    outline_share: Share = 0.35
    """Share of the group's own darkening at which its outline lies."""
    overhang_step_m: Positive = 1.0
    """Step by which the ground is moved to measure how wide it lies to the sun."""
    near_m: Positive = 1.8
    """People this far beyond the outline belong to the group: between them the ground is as it was."""
    closing_m: Positive = 0.9
    """Gaps between people that belong to the group's ground, up to twice this: open order."""
    min_spacing_m: Positive = 0.65
    """Closest ranks people stand in."""
    max_spacing_m: Positive = 2.2
    """Widest drill formation (arm's length and a pace)."""
    min_peak: Positive = 30.0
    """Power of a formation's periods over the spectrum's background; a disordered crowd stays below."""
    sure_peak: Positive = 60.0
    """Where ranks are resolved, two periods at right angles do if the geometric mean of their powers is this ..."""
    weak_peak: Positive = 15.0
    """... and the weaker, blurred by shadows, has no less than this ..."""
    square_deg: Positive = 12.0
    """... within this."""
    resolved_share: Positive = 0.52
    """Pixels up to this share of the closest spacing resolve every formation."""
    height_m: Positive = 1.73
    """Of a person; with the sun's elevation it makes the length of shadows."""
    body_area_m2: Positive = 0.12
    """Ground that one person covers, seen from above."""
    side_area_m2: Positive = 0.66
    """Area that one person holds up to level light, between front and side view; over the tangent of the sun's
    elevation it is the shadow."""
    full_darkening: Share = 0.58
    """Relative darkening of ground wholly covered by people and their shadows."""
    unknown_sun_deg: Positive = 35.0
    """Elevation taken where the hour of acquisition is not known (the sun would be below `min_sun_deg`)."""
    min_sun_deg: Positive = 8.0
    """Lower suns throw shadows beyond any counting."""
    usual_density_m2: Positive = 1.0
    """People per square metre of a formation: 0.75 to 1.0 m by 0.9 to 1.2 m each, and gaps."""
    usual_spread: Positive = 0.35
    """How much densities differ (standard deviation of logarithms): open order and loose groups have half of it."""
    person_spread: Positive = 0.22
    """The same of what one person darkens: build, coats, caps, and clothes as light as the ground."""
    darkening_spread: Positive = 0.15
    """The same of the full darkening: light sky, and clothes, which are as light as dark asphalt or lighter; it matters
    the more the denser people stand."""
    period_spread: Positive = 0.1
    """The same of a density from resolved ranks."""
    ground_spread: Positive = 0.12
    """The same of the ground that people take, from the outline of what is dark."""
    max_density_m2: Positive = 2.0
    """People per square metre at most (standing in ranks, not pressed)."""
    min_period_px: Positive = 2.3
    """Shorter periods cannot be told from longer ones that they mimic in pixels this coarse (aliasing)."""
    max_disagreement: Positive = 2.4
    """Largest factor between the counts by periods and by darkening; beyond it the periods are harmonics or aliases."""
    max_confidence: Share = 0.95
    """Rules are never surer than this."""
    min_confidence: Share = 0.58
    """Less sure patches are not told as people: of 19 grounds the patches of people had .62 or more, all others .54 or
    less (shade, ploughed banks, drifts)."""


_MOST_AIR = 0.2
"""Largest share of the ground's brightness taken as the air's: where nothing is dark by itself, it cannot be told."""


def add_crowds(labels: Labels, raster: Raster, baseline: Baseline, params: CrowdParams) -> Labels:
    """Return the labels with the patches that may be people and that the score does not hold, (row, col) int32."""
    if raster.grid.gsd_m > params.max_gsd_m:
        return labels
    return add_gatherings(labels, raster, baseline, (params.min_area_m2, params.max_area_m2), params.muster)


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
    The count is the ground taken times a density. The ground is what is dark less the shadows that reach beyond the
    last rank, on the side away from the sun of that moment. The density is a weighted mean (of logarithms) of what is
    known: the usual one; the one that the ground's coverage c = darkening / full darkening gives; and that of ranks
    that are resolved, where two independent peaks f1, f2 of the spatial spectrum give |f1 x f2|. One person covers
    a = body + side area / tan(elevation); n people per square metre cover c = 1 - (1 - n a / m)^m with m about the
    number of neighbours that one shadow crosses: none overlap for m = 1, all at random as m grows (Boolean model).
    The interval holds 90 % if the spreads of all of these are as stated. Flag `count_from_ground`: no ranks resolved.

    References
    ----------
    Hall, Introduction to the Theory of Coverage Processes, 1988 (the Boolean model).
    """
    times = detections["acquired"] if "acquired" in detections else [None] * len(detections)
    fine = raster.grid.gsd_m <= params.max_gsd_m and len(detections) > 0
    ground = expect_ground(raster, baseline, params.muster) if fine else None
    large = detections.geometry.area > params.muster.window_m**2 / 3.0
    beside = ground
    if fine and large.any():
        outlines = list(detections.geometry[large])
        covered = geometry_mask(outlines, raster.grid.shape, raster.grid.transform, invert=True)
        beside = expect_ground(raster, baseline, params.muster, covered)
    rows = []
    for geometry, acquired, wide in zip(detections.geometry, times, large, strict=True):
        sun = None if acquired is None else sun_over(raster.grid, acquired)
        if sun is not None and sun[1] < params.min_sun_deg:
            sun = None
        empty = beside if wide else ground
        told = proposal(0.0) if empty is None else _propose_one(geometry, sun, (raster, baseline, empty), params)
        rows.append(told)
    return proposals(rows, detections.index)


def _propose_one(
    geometry: Any,
    sun: tuple[float, float] | None,
    images: tuple[Raster, Baseline, Ground],
    params: CrowdParams,
) -> dict[str, Any]:
    patch = cut_patch(geometry, *images[:2], 2.0)
    if patch is None:
        return proposal(0.0)
    change = _darkening(patch, images[2])
    ground = _ground_taken(patch, change, params)
    mean = float(change[ground].mean()) if ground.any() else 0.0
    if mean <= 0 or float(ground.sum()) * patch.gsd_m**2 < params.min_area_m2:
        return proposal(0.0)
    clear = change / (1.0 - _air(patch, images[2]))
    shade = look_at_shade(clear, ground, sun, params)
    count, spread, ordered, area_m2 = count_people(clear, ground, patch.gsd_m, shade, params)
    if area_m2 < params.min_area_m2:
        return proposal(0.0)
    length_m, width_m, fill = smallest_box(largest_part(patch.inside), patch.gsd_m)
    texture = float(np.std(detail_of(change, ground, patch.gsd_m, params)[ground])) / mean
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
        ramp(mean, 1.2 * params.full_darkening, params.full_darkening),
        is_open(patch, images[2], params.muster),
        is_shade(patch, images[2], params.muster),
        1.0 if ordered else 0.8,
    ]
    confidence = params.max_confidence * float(np.prod(odds)) ** 0.5
    if confidence < params.min_confidence:
        return proposal(0.0)
    factor = math.exp(_Z90 * spread)
    limits = (math.floor(count / factor), math.ceil(count * factor))
    told = proposal(confidence, max(1, round(count)), limits, () if ordered else ("count_from_ground",))
    transform = images[0].grid.crop(*patch.window).transform
    stand = measure_stand(ground, patch.gsd_m, transform, shade)
    return told if stand is None else told | {"measured": stand}


def count_people(
    change: Plane, ground: Mask, gsd_m: float, shade: Shade, params: CrowdParams
) -> tuple[float, float, bool, float]:
    """Return the count, the standard deviation of its logarithm, whether ranks are resolved, and the ground in m2.

    Parameters
    ----------
    change : ndarray
        (row, col) loss of brightness over the ground's.
    ground : ndarray
        (row, col) True where the ground is dark with people or their shadows.
    shade : Shade
        The shadows over it.
    """
    person_m2 = params.body_area_m2 + params.side_area_m2 / math.tan(math.radians(shade.elevation_deg))
    crossed = max(1.0, shade.length_m * math.sqrt(params.usual_density_m2))
    signal = _packing(shade.covered, crossed) / person_m2
    steep = math.log(_packing(1.05 * shade.covered, crossed) / _packing(shade.covered, crossed)) / math.log(1.05)
    known = [
        (params.usual_density_m2, params.usual_spread),
        (signal, math.hypot(params.person_spread, params.darkening_spread * max(steep, 1.0 - shade.covered))),
    ]
    period = formation_density(change, ground, gsd_m, params)
    ordered = 1 / params.max_disagreement <= period / signal <= params.max_disagreement
    if ordered:
        known.append((period, params.period_spread))
    weights = np.array([spread**-2.0 for _, spread in known])
    density = math.exp(float(np.dot(weights, [math.log(value) for value, _ in known]) / weights.sum()))
    area_m2 = float(ground.sum()) * gsd_m**2
    area_m2 = max(area_m2 - overhang_m2(ground, gsd_m, shade, params), 0.2 * area_m2)
    spread = math.hypot(float(weights.sum()) ** -0.5, params.ground_spread)
    return area_m2 * min(density, params.max_density_m2), spread, ordered, area_m2


def _packing(share: float, crossed: float) -> float:
    """Return n a, the area of all figures per area of ground, of which a share is covered."""
    return crossed * (1.0 - math.pow(1.0 - min(max(share, 0.02), 0.92), 1.0 / crossed))


def _darkening(patch: Patch, ground: Ground) -> Plane:
    """Return the loss of brightness over that of the ground as this look would show it empty."""
    usual, after = ground.visible[patch.window], patch.visible[1]
    level = max(float(np.median(usual[patch.inside])), 1e-9)
    return np.asarray(np.where(patch.valid, (usual - after) / level, 0.0), np.float32)


def _air(patch: Patch, ground: Ground) -> float:
    """Return the share of the ground's brightness that is light of the air."""
    return float(min(ground.air / max(float(np.median(ground.visible[patch.window][patch.inside])), 1e-9), _MOST_AIR))


def _ground_taken(patch: Patch, change: Plane, params: CrowdParams) -> Mask:
    """Return the ground between and under the people, (row, col): changed pixels, gaps closed."""
    reach = 2 * max(1, round(params.near_m / patch.gsd_m)) + 1
    near = cv2.dilate(patch.inside.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    level = float(np.quantile(change[patch.inside], 0.75))
    taken = ((change > params.outline_share * level) & near & patch.valid).astype(np.uint8)
    side = 2 * max(1, round(params.closing_m / patch.gsd_m)) + 1
    closed = cv2.morphologyEx(taken, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return np.asarray((closed > 0) & patch.valid)

"""Aircraft: things with wings on paved ground, found by the plan forms that fit them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
from affine import Affine
from pydantic import Field
from rasterio.features import rasterize

from changedetect.steps.classify.airframe import fit_best, lengths_between, make_bank
from changedetect.steps.classify.apron import ApronParams, look_at_pavement
from changedetect.steps.classify.patch import proposal, proposals, ramp, smallest_box
from changedetect.steps.classify.pose import body_of, support_of
from changedetect.steps.classify.sun import sun_over
from changedetect.steps.classify.wings import SIDES_PX, fit_outline, grown, measure_pose, squared

if TYPE_CHECKING:
    from collections.abc import Sequence

    import geopandas as gpd
    import pandas as pd
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.classify.airframe import Bank, Fit, Pose

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

_MOSTLY = 0.5
"""Share of a square of pixels that decides for it."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


@dataclass(frozen=True, slots=True)
class AircraftParams:
    """What a parked aircraft looks like from above."""

    apron: ApronParams = field(default_factory=ApronParams)
    """What pavement is, and what stands out from it."""
    coarsest_gsd_m: Positive = 4.0
    """In coarser pixels wings are not told from boxes: roofs and yards of real cities at 10 m and bare fields at 5 m
    would be called aircraft."""
    min_paved_share: Share = 0.6
    """Share of the outline that was paved."""
    paved_around: tuple[float, float] = (0.4, 0.8)
    """Share of the ground around it, as far as `margin_m`, that was: with the first the change is an edge of the
    pavement, light or soil, and no aircraft; with the second it may be one."""
    min_length_m: Positive = 11.0
    """Smallest aircraft that counts: light transports and fighters are 12 m and longer."""
    max_length_m: Positive = 80.0
    """Longest transport (An-225: 84 m; An-124: 69 m)."""
    max_outline_m: Positive = 400.0
    """Longer outlines are snow, wet ground or light, not rows of aircraft."""
    working_gsd_m: Positive = 2.0
    """Finer pixels are averaged up to this before plan forms are fitted: engines, markings and glass are no part of
    these."""
    template_px: Positive = 11.0
    """The longest aircraft looked for in an outline is seen in about so many pixels; finer ones are averaged."""
    margin_m: Positive = 9.0
    """Ground around an outline in which the rest of an aircraft may lie."""
    touching_share: Share = 0.3
    """Another aircraft in the same outline explains at least this share of what the first one does ..."""
    touching_overlap: Share = 0.3
    """... lies under the others by no more than this share of itself ..."""
    touching_outside: Share = 0.4
    """... and beyond the outline by no more than this."""
    touching_reach: Positive = 1.15
    """An outline that holds two is longer than the first of them by this factor."""
    max_touching: Annotated[int, Field(ge=1)] = 12
    """Most aircraft in one outline."""
    min_sun_deg: Positive = 5.0
    """Below this elevation the hour of acquisition is not known, or shadows reach everywhere: none are drawn."""
    weights: tuple[float, float, float, float, float] = (0.0, 1.6, 0.5, 2.1, 2.6)
    """Logistic law of the evidence: constant, spread across, spread along, area, advantage over a box."""
    faint: Share = 0.03
    """Relative change below which a pixel says nothing of an outline's shape."""
    scrap_share: Share = 0.4
    """Smaller outlines beside this one may be parts of its aircraft: up to this share of its size."""
    least_over_box: tuple[float, float] = (-1.2, -0.6)
    """A box that leaves so much less than wings do (logarithm) is one: surely, and not at all ..."""
    resolved_over_box: tuple[float, float] = (-0.4, 0.0)
    """... and where wings are resolved and several aircraft lie in one outline, which is no box; one alone needs
    `least_advantage`."""
    resolved_px: tuple[float, float] = (6.0, 12.0)
    """Lengths between which wings come to be resolved."""
    least_explained: tuple[float, float] = (0.3, 0.45)
    """Share of the change that aircraft must explain: below the first none are there, from the second they may be."""
    refined_explained: tuple[float, float] = (0.45, 0.6)
    """The same of a fitted one: it leaves a tenth to a third; of several things or of a veil more than half is left."""
    refine_gsd_m: Positive = 4.0
    """Up to this pixel size the smallest aircraft hold enough pixels for poses to be fitted ..."""
    refine_m: Positive = 30.0
    """Outlines up to this length are fitted from every family of wings and from a lorry; whole pixels tell the wings of
    longer ones."""
    sure_share: Share = 0.6
    """Where the best aircraft leaves more than this share of what the best box leaves, wings are tried on that box: it
    may be the body, brighter than the wings."""
    refine_reach: tuple[float, float] = (1.9, 1.35)
    """An aircraft may be longer than such an outline, and than longer ones, by this factor: wings and tails of grey
    ones are faint."""
    least_advantage: tuple[float, float] = (0.0, 0.3)
    """Advantage over a fitted box below which a longer outline is no aircraft, and from which on it may be: transports
    have 0.3 to 2, edges of clouds, shadows and wet ground -0.4 to 0.2, whatever their area."""
    refined_floor: Share = 0.01
    """Share of the squared change that no template explains: engines, glass, stains."""
    refined_weights: tuple[float, float, float] = (-1.5, 6.0, 1.5)
    """Logistic law where poses were fitted: constant, advantage over a fitted box, area of the change. Lorries have
    advantages of -1 to 0.2 and 50 to 130 m2, aircraft 0.1 to 2 and 85 m2 and more."""
    least_area_m2: Positive = 45.0
    """Area of the change, evened out, of the smallest aircraft: fighters have 75 m2 and more, cars 10 to 40."""
    shortest_m: tuple[float, float] = (11.0, 12.5)
    """Fitted lengths between which aircraft come to be likely: lorries of 11 m are fitted by the shortest wings."""
    least_filled: tuple[float, float] = (0.35, 0.6)
    """Area of the change over that of a fitted aircraft: below the first it is none, from the second it may be.
    Aircraft and their shadows have 0.7 to 4; large ones fitted to wisps and to rims of things 0.1 to 0.5."""
    part_share: Share = 0.5
    """Outlines that lie by more than this under a larger one's aircraft are parts of it."""
    min_snr: Positive = 2.2
    """Change inside the outline over the noise of the pavement around; light, soil and wet ground stay below."""
    min_contrast: Positive = 0.02
    """Least contrast of a second body in one outline, as a share of the apron; the first may have none: grey paint on
    concrete is told by its shadow."""
    max_confidence: Share = 0.97
    """Rules are never surer than this."""


def propose(detections: gpd.GeoDataFrame, raster: Raster, baseline: Baseline, params: AircraftParams) -> pd.DataFrame:
    """Return for each detection the confidence (0 to 1) that it is aircraft, and how many are in its outline.

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
    Plan forms (swept, straight and delta wings, twelve to eighty metres, any heading) with the shadow that the sun of
    that moment throws are fitted to the relative change of brightness, and so are boxes: lorries, hangars, wet patches.
    The larger outlines come first; what lies under their aircraft are parts of these. Several in one outline are
    found one after the other, flag `touching`.
    """
    apron = _look_at(detections, raster, baseline, params)
    rows = [proposal(0.0) for _ in range(len(detections))]
    claimed = np.zeros(apron.names.shape, bool)
    order = np.argsort(-detections.geometry.area.to_numpy(), kind="stable")
    for i in order.tolist():
        rows[i] = _propose_one(i + 1, apron, claimed, params)
    return proposals(rows, detections.index)


@dataclass(frozen=True, slots=True, eq=False)
class Apron:
    """A look at the whole grid, in its own or in working pixels."""

    change: Plane
    """(row, col) relative change of brightness, 0 where unknown."""
    paved: Mask
    valid: Mask
    names: NDArray[np.int32]
    """(row, col) position of the detection plus 1, 0 for none."""
    sizes: NDArray[np.int64]
    """Pixels under each of `names`."""
    boxes: tuple[tuple[float, float, float, float], ...]
    """Per detection: first row, first column, last row, last column."""
    gsd_m: float
    transform: Affine
    sun_deg: tuple[float, float] | None
    """Azimuth and elevation, rounded so that looks share their templates; None if unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What speaks for and against aircraft in one outline."""

    explained: float
    """Share of the squared change that aircraft explain."""
    over_box: float
    """Logarithm of what a box leaves over what the aircraft leaves."""
    length_px: float
    spread: tuple[float, float, float]
    """Standard deviations of the change across and along (m), and its area (m2): wings spread it, lorries do not."""
    snr: float
    """Root mean square of the change over the noise of the ground."""
    refined: float | None = None
    """`over_box` with both fitted to fractions of a pixel, None where that was not done."""
    supports: tuple[Mask, ...] = ()
    """Where each aircraft lies, (row, col) from the corner of the window."""
    pose: Pose | None = None
    """The fitted one, pixels from the corner of the window, where there is one alone."""
    outline_m: float = 0.0
    """Length of the outline."""


def _look_at(detections: gpd.GeoDataFrame, raster: Raster, baseline: Baseline, params: AircraftParams) -> Apron:
    grid, times = raster.grid, max(1, int(params.working_gsd_m / raster.grid.gsd_m + 1e-6))
    planes = look_at_pavement(raster, baseline, params.apron)
    sums, *shares = (_averaged(plane, times) for plane in planes)
    change = sums / np.maximum(shares[1], np.float32(1e-6))  # where some pixels are unknown, of the others
    paved, valid = (share > _MOSTLY for share in shares)
    gsd_m, transform = times * grid.gsd_m, grid.transform @ Affine.scale(times)
    shapes = [(shape, k + 1) for k, shape in enumerate(detections.geometry)]
    labels = np.zeros(change.shape, np.int32)
    if shapes:
        labels = rasterize(shapes, change.shape, transform=transform, dtype="int32", all_touched=False)
    boxes = []
    for left, bottom, right, top in detections.geometry.bounds.to_numpy():
        place = ((grid.transform.f - top), (left - grid.transform.c), (grid.transform.f - bottom), right)
        boxes.append((place[0], place[1], place[2], place[3] - grid.transform.c))
    scaled = tuple(tuple(v / gsd_m for v in box) for box in boxes)
    sizes = np.bincount(labels.ravel(), minlength=len(detections) + 1)
    sun = None
    if "acquired" in detections and len(detections):
        azimuth, elevation = sun_over(grid, detections["acquired"].iloc[0])
        if elevation > params.min_sun_deg:
            sun = (10.0 * round(azimuth / 10.0), 5.0 * round(elevation / 5.0))
    known = np.asarray(np.where(valid, change, 0.0), np.float32)
    return Apron(known, paved, valid, labels, sizes, scaled, gsd_m, transform, sun)


def _averaged(plane: Plane | Mask, times: int) -> Plane:
    """Return the means of squares of `times` pixels, (row, col) float32; what is left at the far edges goes."""
    rows, cols = (size // times for size in plane.shape)
    whole = plane[: rows * times, : cols * times].astype(np.float32)
    return whole if times == 1 else np.asarray(cv2.resize(whole, (cols, rows), interpolation=cv2.INTER_AREA))


def _propose_one(name: int, apron: Apron, claimed: Mask, params: AircraftParams) -> dict[str, Any]:
    window = _window(apron, name, params.margin_m)
    inside = apron.names[window] == name
    if inside.sum() < 4:
        return proposal(0.0)
    paved = float((inside & apron.paved[window]).sum() / inside.sum())
    if paved < params.min_paved_share or max(inside.shape) * apron.gsd_m > params.max_outline_m:
        return proposal(0.0)
    around = ramp(_paved_around(inside, apron, window, params), *params.paved_around)
    if around == 0.0 or (inside & claimed[window]).sum() > params.part_share * inside.sum():
        return proposal(0.0)
    seen = weigh(name, apron, window, params)
    if seen is None:
        return proposal(0.0)
    for support in seen.supports:
        claimed[window] |= support[: inside.shape[0], : inside.shape[1]]
    count = len(seen.supports)
    confidence = params.max_confidence * chance(seen, params) * ramp(paved, params.min_paved_share - 0.1, 0.85)
    confidence *= around
    flags = ("touching",) if count > 1 else ()
    told = proposal(confidence, count, (max(1, count - (count > 1)), count + (count > 1)), flags)
    return told if seen.pose is None else told | {"measured": measure_pose(seen.pose, apron, window)}


def _paved_around(inside: Mask, apron: Apron, window: tuple[slice, slice], params: AircraftParams) -> float:
    """Return the share of the ground around an outline that was paved, 0 to 1."""
    reach = 2 * max(1, round(params.margin_m / apron.gsd_m)) + 1
    near = cv2.dilate(inside.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    ring = near & ~inside & apron.valid[window]
    return float(apron.paved[window][ring].mean()) if ring.any() else 0.0


def _window(apron: Apron, name: int, margin_m: float) -> tuple[slice, slice]:
    top, left, bottom, right = apron.boxes[name - 1]
    reach, (n_rows, n_cols) = margin_m / apron.gsd_m, apron.names.shape
    rows = slice(max(math.floor(top - reach), 0), max(min(math.ceil(bottom + reach), n_rows), 0))
    return rows, slice(max(math.floor(left - reach), 0), max(min(math.ceil(right + reach), n_cols), 0))


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """The change in and around one outline."""

    patch: Plane
    """(row, col) over the ground around, 0 where unknown and where other outlines lie."""
    inside: Mask
    near: Mask
    """The outline and the pixels beside it."""
    noise: float
    snr: float
    length_m: float
    low_m: float
    high_m: float
    """Shortest and longest aircraft that it may be."""


def weigh(name: int, apron: Apron, window: tuple[slice, slice], params: AircraftParams) -> Evidence | None:
    """Return how aircraft, and how boxes, fit the change in and around one outline."""
    cut = _cut_out(name, apron, window, params)
    seen = None if cut is None or cut.high_m < params.min_length_m else _weigh_whole(cut, apron, params)
    if cut is None or seen is None:
        return None
    if seen.spread[2] < params.least_area_m2:
        return None
    several = len(seen.supports) > 1
    longest = params.refine_m if several else params.max_length_m
    if apron.gsd_m > params.refine_gsd_m or cut.length_m > longest:
        return seen
    refined = fit_outline(cut.patch, cut.inside, apron, window, (cut.low_m, cut.length_m, cut.noise), params)
    if refined is None:
        return seen
    over_box, explained, pose = refined
    if several and explained < seen.explained:
        return seen
    support = support_of(pose, cut.patch.shape, (apron.gsd_m, apron.sun_deg))
    return replace(seen, explained=explained, refined=over_box, supports=(support,), pose=pose)


def _cut_out(name: int, apron: Apron, window: tuple[slice, slice], params: AircraftParams) -> Cut | None:
    """Return the change around one outline; None where no ground is seen or nothing stands out from it."""
    inside, change = apron.names[window] == name, apron.change[window]
    ground = (apron.names[window] == 0) & apron.valid[window]
    if ground.sum() < 12:
        return None
    level = float(np.median(change[ground]))
    noise = max(1.4826 * float(np.median(np.abs(change[ground] - level))), 0.01)
    near = grown(inside, 1)
    snr = math.sqrt(float(np.mean((change[inside] - level) ** 2))) / noise
    if snr < params.min_snr:
        return None
    # what other outlines hold is theirs, unless they are small enough to be scraps of this one
    whole = apron.sizes > params.scrap_share * apron.sizes[name]
    others = whole[apron.names[window]] & ~inside & (apron.names[window] > 0)
    patch = np.where(apron.valid[window] & ~(others & ~near), change - level, 0.0).astype(np.float32)
    length_m, width_m, _ = smallest_box(inside, apron.gsd_m)
    low = max(params.min_length_m, 0.55 * min(length_m, 1.7 * width_m))
    return Cut(patch, inside, near, noise, snr, length_m, low, min(1.25 * length_m, params.max_length_m))


def _weigh_whole(cut: Cut, apron: Apron, params: AircraftParams) -> Evidence | None:
    """Return the evidence of templates on whole pixels; None where the outline is too long for them."""
    longest = max(cut.patch.shape)
    coarser = max(1, round(cut.high_m / apron.gsd_m / params.template_px))
    side = next((n for n in SIDES_PX if n * coarser >= longest + 0.5 * cut.high_m / apron.gsd_m), None)
    if side is None:
        return None
    square, where = squared(cut.patch, cut.near, side, coarser)
    key = (apron.gsd_m * coarser, side, apron.sun_deg)
    fits = _fit_all(
        square, where, [make_bank("aircraft", m, *key) for m in lengths_between(cut.low_m, cut.high_m)], params
    )
    if not fits:
        return None
    if cut.length_m < params.touching_reach * fits[0].length_m:
        fits = fits[:1]
    sizes = lengths_between(max(4.0, 0.25 * cut.length_m), 1.2 * cut.length_m)
    box = fit_best(square, where, [make_bank("box", length, *key) for length in sizes])
    support = where | np.logical_or.reduce([fit.support for fit in fits])
    total = float(np.sum(square[support] ** 2))
    floor = 0.02 * total + cut.noise**2 * float(support.sum()) / coarser**2
    left = max(total - fits[0].gain, 0.0) + floor
    left_box = max(total - (box.gain if box else 0.0), 0.0) + floor
    return Evidence(
        explained=sum(fit.gain for fit in fits) / max(total, 1e-12),
        over_box=math.log(left_box / left),
        length_px=fits[0].length_m / apron.gsd_m,
        spread=_spread(cut.patch * cut.near, apron.gsd_m, params),
        snr=cut.snr,
        supports=tuple(fit.support.repeat(coarser, axis=0).repeat(coarser, axis=1) for fit in fits),
        outline_m=cut.length_m,
    )


def _spread(change: Plane, gsd_m: float, params: AircraftParams) -> tuple[float, float, float]:
    """Return the standard deviations (m) of the change's places along its narrow and long axis, and its area (m2).

    The area is that of an even patch of the same sum and sum of squares.
    """
    weight = np.abs(change).astype(np.float64)
    weight[weight < params.faint] = 0.0
    places = np.stack(np.nonzero(weight > 0)).astype(np.float64)
    if places.shape[1] < 3:
        return 0.0, 0.0, 0.0
    axes = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(places, aweights=weight[weight > 0])), 0.0)) * gsd_m
    return float(axes[0]), float(axes[1]), float(weight.sum() ** 2 / (weight**2).sum()) * gsd_m**2


def _fit_all(change: Plane, where: Mask, banks: Sequence[Bank], params: AircraftParams) -> list[Fit]:
    """Return the aircraft in a patch, one after the other, each fitted to what the others leave."""
    fits: list[Fit] = []
    taken, left = np.zeros(change.shape, bool), change
    for _ in range(params.max_touching):
        fit = fit_best(left, where & ~taken, list(banks)) if (where & ~taken).any() else None
        if fit is None or (fits and abs(fit.contrast) < params.min_contrast):
            break
        overlap = float((fit.support & taken).sum()) / max(int(fit.support.sum()), 1)
        outside = float((fit.support & ~where).sum()) / max(int(fit.support.sum()), 1)
        weak = bool(fits) and fit.gain < params.touching_share * fits[0].gain
        if fits and (weak or overlap > params.touching_overlap or outside > params.touching_outside):
            break
        fits.append(fit)
        taken, left = taken | fit.support, left - fit.model
    return fits


def chance(seen: Evidence, params: AircraftParams) -> float:
    """Return the probability that what was seen is aircraft: logistic laws fitted on simulated aprons."""
    across, along, area_m2 = (max(value, 1e-3) for value in seen.spread)
    doubt = ramp(seen.snr, params.min_snr, 2.0 * params.min_snr)
    if seen.refined is not None:
        doubt *= ramp(seen.explained, *params.refined_explained)
        constant, advantage, area = params.refined_weights
        value = constant + advantage * _within(seen.refined, 1.0) + area * _within(math.log(area_m2 / 110.0), 0.8)
        if seen.pose is not None:
            doubt *= ramp(area_m2 / body_of(seen.pose, 1.0).area, *params.least_filled)
            doubt *= ramp(seen.pose.length_m, *params.shortest_m)
        if seen.outline_m > params.refine_m:
            doubt *= ramp(seen.refined, *params.least_advantage)
        return doubt / (1.0 + math.exp(-value))
    doubt *= ramp(seen.explained, *params.least_explained)
    features = (
        1.0,
        _within(math.log(across / 3.0), 1.0),
        _within(math.log(along / 4.0), 1.0),
        _within(math.log(area_m2 / 100.0), 1.6),
        _within(seen.over_box, 0.5),
    )
    value = sum(weight * feature for weight, feature in zip(params.weights, features, strict=True))
    resolved = ramp(seen.length_px, *params.resolved_px)
    needed = params.resolved_over_box if len(seen.supports) > 1 else params.least_advantage
    least = [a + resolved * (b - a) for a, b in zip(params.least_over_box, needed, strict=True)]
    return doubt * ramp(seen.over_box, *least) / (1.0 + math.exp(-value))


def _within(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))

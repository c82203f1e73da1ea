"""Examine: one scene on one sheet, compared with its baseline and its differences told; then the sheets joined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from changedetect.blocks import map_blocks
from changedetect.config import Config
from changedetect.core.colour import Colours
from changedetect.core.comparable import PICTURE
from changedetect.core.grid import Grid
from changedetect.core.quality import Quality, is_valid
from changedetect.core.raster import Raster
from changedetect.core.results import Baseline, Examined, Gain, Look, Noise
from changedetect.core.scene import Scene
from changedetect.core.sheets import Sheet, plan_sheets
from changedetect.core.tables import DETECTION_COLUMNS, geo_table
from changedetect.errors import DataError
from changedetect.io.spill import let_go, make_plane
from changedetect.members import Member, read_member
from changedetect.stack import Before, Befores, Piece, Stack
from changedetect.steps.classify import classify, untold_classes, wanted_classes, why_too_coarse, worth_measuring
from changedetect.steps.classify.apron import add_parked
from changedetect.steps.classify.compact import add_outlines
from changedetect.steps.classify.crowd import add_crowds
from changedetect.steps.classify.hulls import narrow_hulls
from changedetect.steps.classify.veil import tell_water
from changedetect.steps.classify.vessel import look_at_sea
from changedetect.steps.classify.water import WaterLook, look_at_water, mark_hulls, widens_hulls
from changedetect.steps.clipping import clip_pair, shown_range, through_gain
from changedetect.steps.describe import spread_to
from changedetect.steps.detect import detect, expected_false_alarms
from changedetect.steps.explain import View, explain, trim_shadows
from changedetect.steps.measure import measure
from changedetect.steps.normalize import apply_gain, estimate_gain
from changedetect.steps.patches import find_patches
from changedetect.steps.score import change_score, estimate_noise, halo_px, score_whole
from changedetect.steps.seams import join_at_seams, touching_core
from changedetect.steps.structure import STRUCTURE, baseline_structure, to_structure

_BUILT = ("trench", "hut", "equipment")
_SCORED_PX = 1280
"""Largest side scored at once: a sheet as a whole, as what blocks of it share would be worked twice."""
_HELD_BYTES = 256e6
"""Planes of looks beyond this are kept on disk until the outputs are written."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One scene beside its baseline, on one grid."""

    raster: Raster
    baseline: Baseline
    gain: Gain
    noise: Noise
    score: Raster
    afloat: WaterLook | None = None
    """Its water, where vessels are asked for."""


def plan_pieces(stack: Stack, area: Any) -> list[Piece]:
    """Return every scene on every sheet that lies on `area` (in the grid's reference system), sheet by sheet.

    A scene that is not used is one piece. Those of the baseline come last: it is built by then, where it is needed.
    """
    members = sorted(stack.members, key=lambda member: member.is_baseline)
    if all(len(sheets) == 1 for sheets in stack.sheets.values()):
        return [Piece(member, _whole(stack, member)) for member in members]
    pieces = [Piece(member, _whole(stack, member)) for member in members if member.reason is not None]
    for factor, sheets in stack.sheets.items():
        here = [member for member in members if member.reason is None and member.compared == factor]
        pieces += [Piece(member, sheet) for sheet in sheets if sheet.grid.extent.intersects(area) for member in here]
    return pieces


def _whole(stack: Stack, member: Member) -> Sheet:
    sheets = stack.sheets.get(member.compared, ())
    if len(sheets) == 1:
        return sheets[0]
    grid = stack.grid.coarsen(member.compared)
    return plan_sheets(grid, max(grid.shape), 0)[0]


def examine_scene(
    piece: Piece,
    base_grid: Grid,
    befores: Befores,
    zones: gpd.GeoDataFrame,
    config: Config,
    baseline_targets: frozenset[str],
    reference: Scene | None = None,
) -> Examined:
    """Return one scene scored, detected, measured and classed; a scene of the baseline only for `baseline_targets`.

    On the sheet's core; detections that reach beyond it are entire.
    """
    member, sheet, grid = piece.member, piece.sheet, piece.sheet.grid
    scene, nothing = member.scene, geo_table([], DETECTION_COLUMNS, grid.crs)
    wanted = wanted_classes(zones)
    # what it is compared with may be coarser than its own pixels
    reason = member.reason or why_too_coarse(grid.gsd_m, () if member.is_baseline else wanted, config.classify)
    if reason is not None:
        return Examined(_unseen(scene, grid, reason), nothing)
    untold = untold_classes(grid.gsd_m, config.classify)
    told = [name for name in wanted if name not in untold]
    if member.is_baseline and not baseline_targets:
        seen_there = befores.quality_of(scene.id, member.compared, grid)
        quality = read_member(member, grid, config).quality if seen_there is None else seen_there
        look = Look(scene.id, scene.acquired, quality, None, grid, untold=untold)
        return _on_core(Examined(look, nothing), sheet)
    before = befores.of(member.compared, grid)
    try:
        built = not member.is_baseline and set(_BUILT) & set(told) and set(told) <= {*_BUILT, "other"}
        pair = compare_scene(member, grid, before, config, "vessel" in told, bool(built))
    except DataError as error:
        return _on_core(Examined(_unseen(scene, grid, f"cannot be compared: {error}"), nothing), sheet)
    detections = describe_changes(member, pair, _finest(base_grid, sheet), zones, config, reference)
    if member.is_baseline:
        detections = detections[detections["class"].isin(baseline_targets)]
    quality = pair.score.quality
    if pair.afloat is not None:
        vessels = list(detections.geometry[detections["class"] == "vessel"])
        quality = quality | tell_water(pair.raster, pair.baseline, pair.afloat, vessels, config.classify.vessel.water)
    seen = np.where(is_valid(quality), pair.score.band("score"), np.float32(np.nan))
    look = Look(scene.id, scene.acquired, quality, seen, grid, untold=untold)
    return _on_core(Examined(look, detections, pair.noise, pair.gain), sheet)


def _finest(base_grid: Grid, sheet: Sheet) -> Grid:
    """Return the part of the base grid that a sheet of it, or of one coarser, is of."""
    if sheet.is_whole:
        return base_grid
    (left, bottom, right, top), whole = sheet.grid.bounds, base_grid.bounds
    within = (max(left, whole[0]), max(bottom, whole[1]), min(right, whole[2]), min(top, whole[3]))
    return Grid.from_bounds(base_grid.crs, within, base_grid.gsd_m)


def _on_core(examined: Examined, sheet: Sheet) -> Examined:
    if sheet.is_whole:
        return examined
    look = examined.look
    rows, cols = sheet.inside
    score = None if look.score is None else look.score[rows, cols].copy()
    look = replace(look, quality=look.quality[rows, cols].copy(), score=score, grid=look.grid.crop(rows, cols))
    return replace(examined, look=look, detections=touching_core(examined.detections, sheet))


def _unseen(scene: Scene, grid: Grid, reason: str) -> Look:
    # a plane of one value takes no room, however large the grid
    nothing = np.broadcast_to(np.uint16(Quality.NODATA), grid.shape)
    return Look(scene.id, scene.acquired, nothing, None, grid, False, reason)


def compare_scene(
    member: Member, grid: Grid, before: Before, config: Config, afloat: bool = False, built: bool = False
) -> Compared:
    """Return a scene normalised to its baseline and scored against it in sigma, with its water if `afloat`.

    Raises
    ------
    DataError
        If it could show nothing: nearly all of the ground changed, or, where what was `built` alone is asked for, snow
        lies on it in patches.
    """
    baseline, anchor = before.baseline, before.anchor
    bands = [band for band in baseline.bands if band in member.scene.bands]
    baseline, anchor = baseline.select(bands), anchor.select(bands)
    raster = read_member(member, grid, config, bands)
    if (raster.unit == PICTURE) != (baseline.unit == PICTURE):
        baseline, anchor = baseline_structure(baseline, anchor, config.structure)
        raster = to_structure(raster, config.structure)
    gain = estimate_gain(raster, anchor, config.normalize)
    shown = shown_range(raster)
    raster = apply_gain(raster, gain)
    if built and raster.unit not in (PICTURE, STRUCTURE):
        _require_no_patches(raster, baseline, config)
    ce90_px = (member.warp.ce90_m or 0.0) / grid.gsd_m if member.warp else 0.0
    look = look_at_water(raster, baseline, config.classify.vessel.water) if afloat else None
    if raster.unit != PICTURE and max(grid.shape) <= _SCORED_PX:
        noise, score = score_whole(raster, baseline, ce90_px, config.score)
    else:
        noise = estimate_noise(raster, baseline, ce90_px, config.score)
        if raster.unit == PICTURE:
            # only now: what was clipped alike differs by nothing, which is no measure of how much ground differs
            now = through_gain(shown, gain, bands)
            raster, baseline = clip_pair(raster, baseline, now, before.shown_of(bands))
        scoring = partial(change_score, noise=noise, params=config.score)
        score = map_blocks(scoring, (raster, baseline), halo_px(config.score, grid.gsd_m), block_px=_SCORED_PX)
    needed, rate = expected_false_alarms(score, baseline, raster, config.detect)
    noise = replace(noise, threshold_sigma=needed, false_alarms_per_km2=rate)
    if raster.unit == STRUCTURE:
        noise = replace(noise, sigma_contrast=None)
    if look is None or look.model is None:
        # water that is seen shows its ships, whatever snow does to the land
        _require_sight(noise, config)
    return Compared(raster, baseline, gain, noise, score, look)


def _require_sight(noise: Noise, config: Config) -> None:
    """Raise DataError where so much differs that an object would have to stand out from it beyond all reason."""
    least, limit = noise.least_contrast, config.detect.max_least_contrast
    if least is not None and least > limit:
        raise DataError(
            "nearly all of the ground changed, and what was built on it cannot be told from the rest",
            found=f"only what differs by {least:.0%} of the brightness of ordinary ground would be told",
            needed=f"{limit:.0%} at most",
            hint="scenes nearer in time or season, or more of them in the baseline",
        )


def _require_no_patches(raster: Raster, baseline: Baseline, config: Config) -> None:
    """Raise DataError where the ground turned white in many ragged patches: each looks like a roof or like spoil."""
    found, limit = find_patches(raster, baseline), config.detect.max_white_share
    if found is not None and found.are_snow and found.share > limit:
        raise DataError(
            "snow lies in patches, and what was built cannot be told from them",
            found=f"{found.share:.0%} of the ground turned white in {found.per_km2:.0f} ragged patches per km2",
            needed=f"{limit:.0%} at most",
            hint="scenes before the snow or after it, or --set detect.max_white_share=1 to compare them all the same",
        )


def describe_changes(
    member: Member,
    pair: Compared,
    base_grid: Grid,
    zones: gpd.GeoDataFrame,
    config: Config,
    reference: Scene | None = None,
) -> gpd.GeoDataFrame:
    """Return what differs in one scene, cut out where it was compared, measured and classed on its own pixels.

    `reference` lends the baseline its sun and view angles; without it no shadow and no lean is explained.
    """
    colours = Colours(pair.baseline, pair.raster)
    labels = detect(pair.score, pair.baseline, pair.raster, config.detect, colours)
    if pair.afloat is not None:
        labels = mark_hulls(labels, pair.raster, pair.baseline, pair.afloat, config.classify.vessel.water)
    told = set(wanted_classes(zones)) - set(untold_classes(pair.raster.grid.gsd_m, config.classify))
    if "crowd" in told and pair.raster.unit != STRUCTURE:
        labels = add_crowds(labels, pair.raster, pair.baseline, config.classify.crowd)
    if "aircraft" in told and pair.raster.unit != STRUCTURE:
        labels = add_parked(labels, pair.raster, pair.baseline, config.classify.aircraft.apron)
    raster, score, baseline = pair.raster, pair.score, pair.baseline
    if member.factor < member.compared and labels.any() and raster.unit != STRUCTURE:
        fine = base_grid if member.compared % member.factor else base_grid.coarsen(member.factor)
        raster = apply_gain(read_member(member, fine, config, raster.bands), pair.gain)
        labels, score, baseline = spread_to(fine, labels, score, baseline)
        colours = Colours(baseline, raster)
    scene = member.scene
    views = (View.of(scene), View.of(reference) if reference else View())
    shade = dict(zip(pair.noise.bands, pair.noise.model.get("shadow", ()), strict=False))
    if "equipment" in told:
        labels = trim_shadows(labels, raster, baseline, views, config.explain, shade)
    sea = None
    if pair.afloat is not None and labels.any():
        own = pair.afloat if raster is pair.raster else None
        sea = look_at_sea(raster, baseline, config.classify.vessel, own)
    worth = worth_measuring(raster, baseline, zones, config.classify, sea)
    drawn = sea.water if sea is not None and not widens_hulls(raster.grid.gsd_m, config.classify.vessel.water) else None
    measured = measure(
        *(labels, score, raster, baseline, config.measure),
        scene_id=scene.id,
        acquired=scene.acquired,
        worth=worth,
        drawn=drawn,
    )
    measured = explain(measured, raster, baseline, views, config.explain, shade)
    sharp = raster if raster is not pair.raster else sharper_before(member, pair, base_grid, reference, config)
    if sharp is not None:
        measured = add_outlines(measured, sharp)
    if scene.is_approximate or (reference is not None and reference.is_approximate):
        measured = measured.assign(flags=[(*flags, "approximate") for flags in measured["flags"]])
    measured = measured.assign(gsd_m=pair.raster.grid.gsd_m)
    named = classify(measured, raster, baseline, zones, config.classify, sea, colours)
    return named if pair.afloat is None else narrow_hulls(named, pair.afloat.sigma, pair.raster.grid)


def sharper_before(
    member: Member, pair: Compared, base_grid: Grid, reference: Scene | None, config: Config
) -> Raster | None:
    """Return the reference on its own pixels, where it is much finer than what was compared and outlines count."""
    if reference is None or "compact" not in pair.score.bands:
        return None
    factor = max(1, round(reference.gsd_m / base_grid.gsd_m))
    if 2 * factor > member.compared:
        return None
    fine = Member(reference, True, factor, factor)
    return read_member(fine, base_grid.coarsen(factor), config, pair.raster.bands)


def join_pieces(
    done: Iterable[tuple[Piece, Examined]], stack: Stack, compared: Sequence[Member], folder: Path | None
) -> list[Examined]:
    """Return every scene of the stack as a whole, in its order, from its pieces.

    Parameters
    ----------
    done : iterable of (Piece, Examined)
        Taken up one by one: planes are put in place as they come.
    compared : sequence of Member
        Those whose looks have a score.
    folder : Path, optional
        Where planes are kept that are too large to be held.
    """
    single: dict[str, Examined] = {}
    mosaics: dict[str, _Mosaic] = {}
    scored = {member.scene.id for member in compared}
    held = sum(_pixels(stack, m) * (6.0 if m.scene.id in scored else 2.0) for m in stack.members if m.reason is None)
    for piece, examined in done:
        name = piece.scene.id
        if piece.sheet.is_whole:
            single[name] = examined
            continue
        if name not in mosaics:
            mosaics[name] = _Mosaic.of(piece.sheet.whole, folder if held > _HELD_BYTES else None)
        mosaics[name].put(piece, examined)
    return [single[m.scene.id] if m.scene.id in single else mosaics[m.scene.id].joined() for m in stack.members]


def _pixels(stack: Stack, member: Member) -> int:
    rows, cols = stack.grid.coarsen(member.compared).shape
    return rows * cols


@dataclass(slots=True)
class _Mosaic:
    """A scene put together from its sheets."""

    make: Any
    quality: NDArray[np.uint16]
    score: NDArray[np.float32] | None = None
    parts: list[tuple[Sheet, Examined]] = field(default_factory=list)

    @classmethod
    def of(cls, grid: Grid, folder: Path | None) -> _Mosaic:
        make = partial(make_plane, grid.shape, folder=folder)
        return cls(make, make(np.uint16, fill=int(Quality.NODATA)))

    def put(self, piece: Piece, examined: Examined) -> None:
        sheet, look = piece.sheet, examined.look
        if look.used:
            self.quality[sheet.rows, sheet.cols] = look.quality
            let_go(self.quality)
        if look.score is not None:
            if self.score is None:
                self.score = self.make(np.float32, fill=float("nan"))
            self.score[sheet.rows, sheet.cols] = look.score
            let_go(self.score)
        # the planes are in place: what is kept of a sheet is its table
        bare = replace(look, quality=np.broadcast_to(np.uint16(0), look.grid.shape), score=None)
        noise = None if examined.noise is None else replace(examined.noise, model={})
        self.parts.append((sheet, replace(examined, look=bare, noise=noise)))

    def joined(self) -> Examined:
        sheet, first = self.parts[0]
        used = [examined for _, examined in self.parts if examined.look.used]
        look = replace(
            first.look,
            quality=self.quality,
            score=self.score,
            grid=sheet.whole,
            used=bool(used),
            reason=None if used else first.look.reason,
        )
        found = join_at_seams([(s, e.detections) for s, e in self.parts], sheet.whole.crs)
        sized = [(e, float(np.prod(e.look.grid.shape))) for e in used]
        return Examined(look, found, _mean_noise(sized), _mean_gain([e.gain for e, _ in sized if e.gain]))


def _mean_noise(sized: Sequence[tuple[Examined, float]]) -> Noise | None:
    """Return what the sheets of a scene say of its noise: the highest threshold, the mean rate of false alarms."""
    noises = [(examined.noise, size) for examined, size in sized if examined.noise is not None]
    if not noises:
        return None
    rate = _weighted_mean([(noise.false_alarms_per_km2, size) for noise, size in noises])
    contrast = _weighted_mean([(noise.sigma_contrast, size) for noise, size in noises])
    return Noise(noises[0][0].bands, {}, max(noise.threshold_sigma for noise, _ in noises), rate, contrast)


def _weighted_mean(values: Sequence[tuple[float | None, float]]) -> float | None:
    known = [(value, weight) for value, weight in values if value is not None]
    return sum(value * weight for value, weight in known) / sum(weight for _, weight in known) if known else None


def _mean_gain(gains: Sequence[Gain]) -> Gain | None:
    """Return the mean of the sheets' normalisations, by the pixels they were fitted on."""
    fitted = [gain for gain in gains if gain.reason is None and gain.n_pixels] or list(gains)
    if not fitted:
        return None
    weights = np.array([max(gain.n_pixels, 1) for gain in fitted], float)
    factor, offset = (
        tuple(float(v) for v in np.average([getattr(g, name) for g in fitted], axis=0, weights=weights))
        for name in ("gain", "offset")
    )
    return Gain(fitted[0].bands, factor, offset, sum(g.n_pixels for g in gains), fitted[0].reason)

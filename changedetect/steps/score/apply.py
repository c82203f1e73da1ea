"""Apply the scoring model to a block: the signed score and the common change of light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from changedetect.core.comparable import PICTURE
from changedetect.core.raster import Raster
from changedetect.steps.score import evidence, fields, local, predict
from changedetect.steps.score.coarse_compact import LINEAR_UNITS, compact_evidence, compact_halo_px
from changedetect.steps.score.shadows import Shadows, core_px, find_dark, find_shadows
from changedetect.steps.score.state import ScoreModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from changedetect.core.grid import Grid
    from changedetect.core.results import Baseline, Noise
    from changedetect.steps.score.params import ScoreParams

    Plane = NDArray[np.float32]

Pixel = TypeVar("Pixel", np.float32, np.bool_)

_MAX_PSF_SIGMA_PX = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """Per band: smoothed residual, light on the ground, and standard deviation."""

    raw: list[Plane]
    lights: list[Plane]
    sigmas: list[Plane]


@dataclass(frozen=True, slots=True)
class Explained:
    """A pair whose sharpness matches, what its prediction leaves, and where light may have gone or come back."""

    pair: predict.Pair
    parts: Parts
    shadows: Shadows


def halo_px(params: ScoreParams, gsd_m: float) -> int:
    """Return how many pixels around a block its score depends on."""
    first = max(predict.gaussian_radius_px(_MAX_PSF_SIGMA_PX), 1) + predict.gaussian_radius_px(
        predict.GREENNESS_SIGMA_PX
    )
    texture = predict.gaussian_radius_px(predict.HIGH_PASS_SIGMA_PX) + predict.gaussian_radius_px(
        predict.VARIANCE_SIGMA_PX
    )
    shadow = 2 * core_px(params, gsd_m) + math.ceil(1.1 * params.shadow_reach_m / gsd_m) + 3
    compact = compact_halo_px(params.compact, gsd_m) if params.compact.acts(gsd_m) else 0
    first += max(texture, predict.gaussian_radius_px(params.residual_sigma_px), 5) + 1
    return max(first, shadow, compact, local.reach_px(params, gsd_m))


def change_score(raster: Raster, baseline: Baseline, noise: Noise, params: ScoreParams) -> Raster:
    """Return the signed score, the change of light and the light-free score, bands ("score", "light", "free"), float32.

    In fine scenes three more: "local", "contrast" and "kept", see `local.local_contrast`.

    Parameters
    ----------
    raster : Raster
        The scene, registered and normalised, on the block's grid.
    baseline : Baseline
        On the same grid.
    noise : Noise
        Of the whole scene, from `estimate_noise`.
    params : ScoreParams
        As given to `estimate_noise`.

    Returns
    -------
    Raster
        Unit "sigma". `score`: evidence of a change of the ground, with the sign of the brightening in the visible;
        `light`: common relative change of light, 0 for none, -0.7 for full shadow; `free`: the score with every
        darkening explained by light, wherever it is. All 0 where either date is not valid; never NaN. Block-local with
        `halo_px`.
    """
    baseline.grid.require_same(raster.grid, "score")
    model = ScoreModel.from_dict(noise.model)
    extra = halo_px(params, raster.grid.gsd_m) + predict.TAIL_PX
    pair = _pad_right(predict.make_pair(raster, baseline, model.bands, model.scale, model.level), extra)
    shadows = find_shadows(find_dark(pair, model, raster.grid, params), model, raster.grid, params)
    pair = predict.sharpen_match(pair, model.psf_side, model.psf_sigma_px)
    parts = explain(pair, predict.predictions(pair, model), model, model.pixel_offset(raster.grid), params)
    return score_explained(raster, baseline, Explained(pair, parts, shadows), model, params)


def score_explained(
    raster: Raster, baseline: Baseline, explained: Explained, model: ScoreModel, params: ScoreParams
) -> Raster:
    """Return what `change_score` returns, of a pair whose prediction is at hand; it may be padded on the right.

    The parts are used up.
    """
    pair = explained.pair
    planes = _score_pair(pair, explained.parts, explained.shadows, model, raster.grid, params)
    for kind in (explained.parts.raw, explained.parts.lights, explained.parts.sigmas):
        kind.clear()
    # What comes now looks at both dates alone.
    pair = predict.Pair(pair.bands, pair.before, pair.after, [], pair.valid)
    bands = ["score", "light", "free"]
    if raster.grid.gsd_m <= params.contrast_max_gsd_m:
        picture = raster.unit == PICTURE
        contrast = local.local_contrast(pair, model.level, raster.grid.gsd_m, params, picture=picture)
        planes = (*planes, *contrast)
        bands += ["local", "contrast", "kept"]
    if params.compact.acts(raster.grid.gsd_m) and raster.unit in LINEAR_UNITS:
        planes = (*planes, compact_evidence(pair, model.tolerance_px, raster.grid.gsd_m, params.compact))
        bands.append("compact")
    data = np.stack([plane[:, : raster.grid.shape[1]] for plane in planes])
    # Where the baseline was never clear the scene's own bits cannot say it.
    quality = raster.quality | np.where(baseline.valid, 0, 1).astype(np.uint16)
    return Raster(data, quality, raster.grid, tuple(bands), "sigma")


def _pad_right(pair: predict.Pair, extra: int) -> predict.Pair:
    """Return the pair with `extra` repeated columns, so that no kernel's odd end reaches a pixel that is kept."""
    rows, cols = pair.valid.shape

    def grow(plane: NDArray[Pixel]) -> NDArray[Pixel]:
        if not any(plane.strides):
            return np.broadcast_to(plane[0, 0], (rows, cols + extra))
        wide = np.empty((rows, cols + extra), plane.dtype)
        wide[:, :cols] = plane
        wide[:, cols:] = plane[:, -1:]
        return wide

    before, after, spread = ([grow(plane) for plane in planes] for planes in (pair.before, pair.after, pair.spread))
    return predict.Pair(pair.bands, before, after, spread, grow(pair.valid))


def _score_pair(
    pair: predict.Pair, parts: Parts, shadows: Shadows, model: ScoreModel, grid: Grid, params: ScoreParams
) -> tuple[Plane, ...]:
    offset = model.pixel_offset(grid)
    score, free, light, darker = _weigh_rows(pair, parts, shadows, (model, params), offset)
    row, col = np.nonzero((score > np.float32(params.null_from_sigma)) & pair.valid)
    if row.size:
        pixels = (row, col)
        others = _other_nulls(pair, parts, (model, params), offset, pixels)
        score[pixels], free[pixels] = _least(
            others, parts, shadows, model, params, pixels, (score[pixels], free[pixels])
        )
    for plane in (score, free):
        plane[~pair.valid] = 0
        np.negative(plane, out=plane, where=darker)
    np.clip(light, np.float32(-1), np.float32(10), out=light)
    light[~pair.valid] = 0
    return score, light, free


def _weigh_rows(
    pair: predict.Pair,
    parts: Parts,
    shadows: Shadows,
    settings: tuple[ScoreModel, ScoreParams],
    offset: tuple[int, int],
) -> tuple[Plane, Plane, Plane, NDArray[np.bool_]]:
    """Return score and light-free score without sign, the change of light, and where the visible darkened.

    Some rows at a time: what is made on the way stays in the processor's cache.
    """
    model, params = settings
    shape = pair.valid.shape
    score, free, light = (np.empty(shape, np.float32) for _ in range(3))
    darker = np.empty(shape, bool)
    slow = [model.fields[f"offset_{k}"].unpack() for k in range(len(parts.raw))]
    for top in range(0, shape[0], evidence.ROWS):
        rows = slice(top, min(top + evidence.ROWS, shape[0]))
        begin, size = (offset[0] + top, offset[1]), (rows.stop - top, shape[1])
        lights = [plane[rows] for plane in parts.lights]
        residuals = [
            raw[rows] - fields.field_plane(field, model.cell_px, begin, size) * q
            for raw, field, q in zip(parts.raw, slow, lights, strict=True)
        ]
        here = Shadows(shadows.was_dark[rows], shadows.near[rows])
        axis = evidence.light_axis(lights, [plane[rows] for plane in parts.sigmas], here.was_dark, model)
        found = evidence.weigh(residuals, axis, model, params)
        score[rows], free[rows] = choose(found, here, len(residuals))
        light[rows] = found.light
        darker[rows] = np.sum([residuals[k] for k in pair.visible], axis=0) < 0
    return score, free, light, darker


def explain(
    pair: predict.Pair,
    planes: Iterable[Plane],
    model: ScoreModel,
    offset: tuple[int, int],
    params: ScoreParams,
) -> Parts:
    """Return what the predicted planes leave of a pair whose sharpness matches, and how much of it is expected."""
    shape = pair.valid.shape
    noise = fields.field_plane(model.fields["noise"].unpack(), model.cell_px, offset, shape)
    noise *= noise
    parts = Parts([], [], [])
    for k, plane in enumerate(planes):
        light = predict.lit(plane, model.path[k], params)
        variance = predict.expected_variance(plane, pair.spread[k], model.variance[k])
        variance *= noise
        variance += predict.floor_variance(plane, light, model.level[k], params.relative_floor, model.bend)
        parts.raw.append(predict.residual(pair, k, plane, params.residual_sigma_px))
        parts.lights.append(light)
        parts.sigmas.append(np.sqrt(variance, out=variance))
    return parts


def to_sigmas(parts: Parts, model: ScoreModel, offset: tuple[int, int], params: ScoreParams) -> None:
    """Make standard deviations of the expected variances that parts hold in their place; pictures have larger ones."""
    noise = fields.field_plane(model.fields["noise"].unpack(), model.cell_px, offset, parts.raw[0].shape)
    noise *= noise
    for variance, light in zip(parts.sigmas, parts.lights, strict=True):
        variance *= noise
        variance += (np.float32(params.relative_floor) * light) ** 2
        np.sqrt(variance, out=variance)


def choose(found: evidence.Evidence, shadows: Shadows, n_bands: int) -> tuple[Plane, Plane]:
    """Return the evidence in sigma, twice: a new shadow explains darkening near old shadows only, or anywhere.

    Light may come back wherever it was dark. One band cannot tell a shadow from a dark thing: it is always whole.
    """
    whole = evidence.to_sigma(found.all_squared, n_bands)
    if n_bands == 1:
        return whole, whole.copy()
    free = np.minimum(evidence.to_sigma(found.free_squared, n_bands - 1), whole)
    darker = found.light < 0
    score = np.where(shadows.was_dark | (darker & shadows.near), free, whole)
    return score, np.where(shadows.was_dark | darker, free, whole)


def _other_nulls(
    pair: predict.Pair,
    parts: Parts,
    settings: tuple[ScoreModel, ScoreParams],
    offset: tuple[int, int],
    pixels: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> list[list[Plane]]:
    """Return the residuals of the other ways in which nothing may have happened at the pixels, per way and band.

    The ground follows the land cover's season alone; or the level of the ground around it, in eight directions (at a
    field's edge the local median is the neighbour's); or it kept its own numbers (rare colours the regression bends).
    """
    model, params = settings
    raw = [plane[pixels] for plane in parts.raw]
    lights = [plane[pixels] for plane in parts.lights]
    ways = [raw]
    reach = model.reach_px
    row, col = pixels[0] + offset[0], pixels[1] + offset[1]
    slow = [model.fields[f"offset_{k}"].unpack() for k in range(len(raw))]
    for dr, dc in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
        there = (row + dr * reach, col + dc * reach)
        levels = fields.field_points(slow, model.cell_px, *there)
        ways.append([r - level * q for r, level, q in zip(raw, levels, lights, strict=True)])
    kept = [predict.residual(pair, k, pair.before[k], params.residual_sigma_px)[pixels] for k in range(len(raw))]
    return [*ways, kept]


def _least(
    ways: list[list[Plane]],
    parts: Parts,
    shadows: Shadows,
    model: ScoreModel,
    params: ScoreParams,
    pixels: tuple[NDArray[np.intp], NDArray[np.intp]],
    least: tuple[Plane, Plane],
) -> tuple[Plane, Plane]:
    sigmas = [plane[pixels] for plane in parts.sigmas]
    lights = [plane[pixels] for plane in parts.lights]
    here = Shadows(shadows.was_dark[pixels], shadows.near[pixels])
    axis = evidence.light_axis(lights, sigmas, here.was_dark, model)
    for residuals in ways:
        found = evidence.weigh(residuals, axis, model, params)
        score, free = choose(found, here, len(residuals))
        least = (np.minimum(least[0], score), np.minimum(least[1], free))
    return least

"""The score of coarse scenes: evidence that ground was built on, where single things are a few pixels at most.

A product of what building does: the ground becomes what its kind never becomes by season, edges and structure are new,
the difference is large, and at least one date is bare and dry. Each factor counts relative to its median in the scene.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.errors import DataError
from changedetect.steps.score import coarse_planes as planes
from changedetect.steps.score.coarse_state import CoarseModel
from changedetect.steps.score.predict import TAIL_PX, gaussian

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.results import Baseline, Noise
    from changedetect.steps.score.coarse_params import CoarseParams

    Plane = NDArray[np.float32]
    Mask = NDArray[np.bool_]


def coarse_score(raster: Raster, baseline: Baseline, noise: Noise, params: CoarseParams) -> Raster:
    """Return the signed score, bands ("score", "light", "free") as of `change_score`: no light, free equals score.

    Notes
    -----
    Log-evidence maps to sigmas linearly: `grow_level` to `grow_sigma`, `seed_level` to `seed_sigma`; never below 0.
    What the cloud test found is marked in the quality: it is unseen, not unchanged.
    """
    baseline.grid.require_same(raster.grid, "score")
    model = CoarseModel.from_dict(noise.model)
    gsd_m, shape = raster.grid.gsd_m, raster.grid.shape
    quality = raster.quality | np.where(baseline.valid, 0, Quality.NODATA).astype(np.uint16)
    if model.clouds is not None:
        row, col = model.pixel_offset(raster.grid)
        hidden = model.clouds.unpack()[row : row + shape[0], col : col + shape[1]]
        quality |= np.where(hidden, Quality.CLOUD, 0).astype(np.uint16)
    dates = dates_of(raster, baseline, model, planes.halo_px(params, gsd_m) + TAIL_PX)
    score = _to_sigma(_evidence(dates, model, params, gsd_m), dates, params, levels(params, gsd_m, raster.unit))
    score = np.where(dates.valid, score, np.float32(0))[:, : shape[1]]
    data = np.ascontiguousarray(np.stack([score, np.zeros_like(score), score]))
    return Raster(data, quality, raster.grid, ("score", "light", "free"), "sigma")


def dates_of(raster: Raster, baseline: Baseline, model: CoarseModel, extra: int) -> planes.Dates:
    """Return both dates of a block, with `extra` repeated columns on the right."""

    def grow(plane: NDArray[np.generic]) -> NDArray[np.generic]:
        # Vector kernels may round the last columns of a row differently: none of those is kept.
        return np.pad(plane, ((0, 0), (0, extra)), mode="edge")

    before = [np.asarray(grow(baseline.band(name)), np.float32) for name in model.bands]
    after = [np.asarray(grow(raster.band(name)), np.float32) for name in model.bands]
    return planes.standardise(before, after, np.asarray(grow(raster.valid & baseline.valid), bool), model)


def levels(params: CoarseParams, gsd_m: float, unit: str) -> tuple[float, float]:
    """Return the log-evidence that grows and that seeds an object, for a pixel size and unit."""
    lower = params.level_per_log_gsd * max(0.0, math.log(min(gsd_m, params.level_until_gsd_m) / params.level_gsd_m))
    lower += params.stretched_lower if unit == "display" else 0.0
    return params.grow_level - lower, params.seed_level - lower


def factors_of(dates: planes.Dates, model: CoarseModel) -> tuple[list[Plane], tuple[Plane, Plane]]:
    """Return residual, gradient, structure and magnitude, and the vegetation index of both dates."""
    if model.forward is None or model.backward is None:
        raise DataError("the scoring model knows no kinds of ground")
    green = planes.greenness(dates.before, model), planes.greenness(dates.after, model)
    before = planes.describe(dates.z_before, green[0], model, 0)
    after = planes.describe(dates.z_after, green[1], model, 1)
    n_bands = len(model.bands)
    there = planes.unexpected(before, after[:n_bands], model.forward)
    back = planes.unexpected(after, before[:n_bands], model.backward)
    others = [planes.gradient_change(dates), planes.structure_loss(dates), planes.magnitude(dates)]
    return [np.sqrt(there * back), *others], green


def _evidence(dates: planes.Dates, model: CoarseModel, params: CoarseParams, gsd_m: float) -> Plane:
    factors, green = factors_of(dates, model)
    weights = (1.0, params.gradient_weight, params.structure_weight, params.magnitude_weight)
    total = planes.gates(dates, green, model, params)
    for value, median, weight in zip(factors, model.medians, weights, strict=True):
        total = total + planes.relative_log(value, median) * np.float32(weight)
    return planes.share_evidence(total, params, gsd_m) - np.float32(model.penalty)


def _to_sigma(evidence: Plane, dates: planes.Dates, params: CoarseParams, level: tuple[float, float]) -> Plane:
    grow, seed = level
    slope = (params.seed_sigma - params.grow_sigma) / (seed - grow)
    score = np.maximum((evidence - np.float32(grow)) * np.float32(slope) + np.float32(params.grow_sigma), np.float32(0))
    score = np.where(planes.largest_change(dates) > np.float32(params.least_change), score, np.float32(0))
    brighter = gaussian(planes.mean_of(dates.after) - planes.mean_of(dates.before), planes.FINE_PX)
    return np.where(brighter < 0, -score, score)

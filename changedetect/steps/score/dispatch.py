"""Which score a scene gets: the physical one, that of coarse scenes, or that of radar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changedetect.core.comparable import PICTURE
from changedetect.steps.score import apply, coarse, coarse_model, coarse_planes, model, radar

if TYPE_CHECKING:
    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline, Noise
    from changedetect.steps.score.params import ScoreParams


def is_coarse(params: ScoreParams, gsd_m: float) -> bool:
    """Return whether scenes of a pixel size get the coarse score."""
    return params.method == "coarse" or (params.method == "auto" and gsd_m >= params.coarse.min_gsd_m)


def estimate_noise(raster: Raster, baseline: Baseline, ce90_px: float | None, params: ScoreParams) -> Noise:
    """Return the scoring model of a scene against its baseline, by the method its pixel size and settings choose.

    See `model.estimate_noise`, `coarse_model.estimate_coarse` and `radar.estimate_radar`.
    """
    if raster.unit == radar.DECIBEL:
        return radar.estimate_radar(raster, baseline, ce90_px, params.min_pixels)
    if is_coarse(params, raster.grid.gsd_m):
        return coarse_model.estimate_coarse(raster, baseline, params.coarse, params.min_pixels)
    return model.estimate_noise(raster, baseline, ce90_px, params)


def change_score(raster: Raster, baseline: Baseline, noise: Noise, params: ScoreParams) -> Raster:
    """Return the signed score in sigma, bands ("score", "light", "free"), float32; block-local with `halo_px`.

    See `apply.change_score`, `coarse.coarse_score` and `radar.radar_score`.
    """
    if raster.unit == radar.DECIBEL:
        return radar.radar_score(raster, baseline, noise)
    if is_coarse(params, raster.grid.gsd_m):
        return coarse.coarse_score(raster, baseline, noise, params.coarse)
    return apply.change_score(raster, baseline, noise, params)


def score_whole(raster: Raster, baseline: Baseline, ce90_px: float | None, params: ScoreParams) -> tuple[Noise, Raster]:
    """Return what `estimate_noise` and then `change_score` return of a whole scene: what both need is made once."""
    if raster.unit in (radar.DECIBEL, PICTURE) or is_coarse(params, raster.grid.gsd_m):
        noise = estimate_noise(raster, baseline, ce90_px, params)
        return noise, change_score(raster, baseline, noise, params)
    noise, learned, explained = model.explain_whole(raster, baseline, ce90_px, params)
    return noise, apply.score_explained(raster, baseline, explained, learned, params)


def halo_px(params: ScoreParams, gsd_m: float) -> int:
    """Return how many pixels around a block its score depends on."""
    if is_coarse(params, gsd_m):
        return coarse_planes.halo_px(params.coarse, gsd_m)
    return apply.halo_px(params, gsd_m)

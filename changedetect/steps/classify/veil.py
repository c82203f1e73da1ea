"""What of the water a look shows too badly to be told empty: it could hide a ship."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rasterio.features import geometry_mask

from changedetect.core.quality import Quality
from changedetect.steps.classify.patch import VISIBLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.classify.water import WaterLook, WaterParams


def tell_water(
    raster: Raster, baseline: Baseline, afloat: WaterLook, vessels: Sequence[BaseGeometry], params: WaterParams
) -> NDArray[np.uint16]:
    """Return quality bits of a look, (row, col) uint16: WATER by the baseline, HAZE on water that could hide a ship.

    Notes
    -----
    Water cannot be judged where the look's own water differs so much that a dark hull would not stand out, where
    something stands out as much as one that is no vessel (ice, foam, the rim of a cloud), and where too little open
    water is seen to tell.
    """
    hull = hull_strength(raster, baseline, afloat, params)
    veiled = afloat.sigma >= max(params.seed_sigma, params.veil_share * hull)
    if hull < params.seed_sigma or afloat.model is None:
        veiled = afloat.water
    elif 2 * raster.grid.gsd_m > params.beam_m:
        name = "nir" if "nir" in afloat.model.bands else afloat.model.bands[0]
        rise = raster.band(name) - baseline.band(name) - np.float32(afloat.model.level[afloat.model.bands.index(name)])
        veiled = veiled | (afloat.water & (rise > params.hull_rise * _brightness(raster, baseline, afloat)))
    known = [shape.buffer(2 * raster.grid.gsd_m) for shape in vessels]
    if known and veiled.any():
        veiled = veiled & geometry_mask(known, raster.grid.shape, raster.grid.transform)
    bits = np.where(afloat.water, np.uint16(Quality.WATER), np.uint16(0))
    return np.where(veiled, bits | np.uint16(Quality.HAZE), bits).astype(np.uint16)


def hull_strength(raster: Raster, baseline: Baseline, afloat: WaterLook, params: WaterParams) -> float:
    """Return the evidence in sigma that a dark hull would give on a look: it brightens the near infrared alone."""
    model, water = afloat.model, afloat.water & raster.valid
    if model is None or not water.any():
        return 0.0
    level = _brightness(raster, baseline, afloat)
    bright = ["nir"] if "nir" in model.bands else [name for name in VISIBLE if name in model.bands] or model.bands
    rise = np.array([params.hull_rise * level if name in bright else 0.0 for name in model.bands])
    return float(np.linalg.norm(np.asarray(model.whitening) @ rise))


def _brightness(raster: Raster, baseline: Baseline, afloat: WaterLook) -> float:
    """Return the median visible brightness of the baseline's water, where the look shows it."""
    seen = afloat.water & raster.valid
    visible = [name for name in VISIBLE if name in baseline.bands] or list(baseline.bands)
    return float(np.median(np.mean([baseline.band(name)[seen] for name in visible], axis=0))) if seen.any() else 0.0

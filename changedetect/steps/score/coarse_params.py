"""Parameters of the score for coarse scenes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, slots=True)
class CoarseParams:
    """How evidence of building is put together where single things are a few pixels at most."""

    min_gsd_m: Annotated[float, Field(gt=0.0)] = 1.5
    """From this pixel size on; finer scenes show shadows and walls, which the physical score explains."""
    clusters: Annotated[int, Field(ge=2, le=64)] = 24
    """Kinds of ground, each with its own season: 24 measured as good as regression forests at a tenth of the cost."""
    samples: Annotated[int, Field(ge=2000)] = 20_000
    """Pixels the clusters are fitted on."""
    max_estimate_px: Annotated[int, Field(ge=300_000)] = 2_000_000
    """Pixels the whole scene's statistics are taken from; larger scenes are sampled in tiles."""
    gradient_weight: Annotated[float, Field(ge=0.0)] = 0.5
    """Exponent of the change of gradients: edges that were not there."""
    structure_weight: Annotated[float, Field(ge=0.0)] = 0.5
    """Exponent of the loss of structure (1 - SSIM)."""
    magnitude_weight: Annotated[float, Field(ge=0.0)] = 0.5
    """Exponent of the plain difference: what is predicted by kind of ground may still be large."""
    regrowth_weight: Annotated[float, Field(ge=0.0)] = 0.5
    """Exponent of the bareness of the later date: what ends green has grown, it was not built."""
    bare_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.35
    """Ground greener than this on both dates is vegetation: built change has at least one date without."""
    bare_greenness: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.08
    """The same for (2G - R - B) / (R + G + B), where there is no near infrared."""
    water_ndwi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.1
    """Wetter than this on either date is water: its level, colour and glint are not building."""
    water_above_median: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25
    """Uncalibrated bands have no absolute index: water stands out from the scene's median by this much."""
    least_change: Annotated[float, Field(ge=0.0)] = 0.03
    """Smaller differences in every band (reflectance, or scaled to it) are no change, however rare they are."""
    support_m: Annotated[float, Field(gt=0.0)] = 70.0
    """Sigma of the edge-keeping average: evidence is shared over the size of a building site ..."""
    min_support_px: Annotated[float, Field(gt=0.0)] = 2.0
    """... over at least so many pixels ..."""
    max_support_px: Annotated[float, Field(gt=0.0, le=12.0)] = 7.0
    """... and at most so many: the cost grows with the square."""
    grow_level: float = 1.75
    """Log-evidence that maps to `grow_sigma`: the product of ratios to their medians is 6 there."""
    seed_level: float = 2.25
    """Log-evidence that maps to `seed_sigma`; from 2.1 to 2.4 the five cities it was set on score the same."""
    stretched_lower: Annotated[float, Field(ge=0.0)] = 0.2
    """Both levels fall by this for display imagery: its stretch and gamma bring ratios nearer to 1."""
    grow_sigma: Annotated[float, Field(gt=0.0)] = 4.0
    """As detect.grow_sigma, so that detection's own settings keep their meaning."""
    seed_sigma: Annotated[float, Field(gt=0.0)] = 9.5
    """As the larger of detect.seed_sigma and detect.object_sigma."""
    level_per_log_gsd: Annotated[float, Field(ge=0.0)] = 0.85
    """Both levels fall by this per factor e of pixel size beyond `level_gsd_m`: coarser pixels are fewer, so each may
    err more often for the same false alarms per km2, and they average away what errs (cars, shadows, roofs). Set on
    the only pair at 30 m."""
    level_gsd_m: Annotated[float, Field(gt=0.0)] = 10.0
    """Where the levels hold; they do not rise for finer pixels, whose evidence is averaged instead."""
    level_until_gsd_m: Annotated[float, Field(gt=0.0)] = 30.0
    """Nor do they fall beyond this: nothing coarser was measured."""
    least_persistence: Annotated[float, Field(ge=0.0, le=1.0)] = 0.36
    """Correlation of fine visible detail between the dates: towns keep 0.4 to 0.9, fields, water and ice 0.1 to 0.3.
    Below this there is no lasting ground that a change could be told from ..."""
    persistence_penalty: Annotated[float, Field(ge=0.0)] = 10.0
    """... and the evidence is lowered by this per unit of what is missing."""

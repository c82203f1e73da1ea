"""Parameters of the score."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from changedetect.steps.score.coarse_compact import CompactParams
from changedetect.steps.score.coarse_params import CoarseParams


@dataclass(frozen=True, slots=True)
class ScoreParams:
    """What counts as explained, and how large the unexplained must be."""

    method: Literal["auto", "physical", "coarse"] = "physical"
    """`physical`: noise, light and misregistration explain what they can. `coarse`: evidence of building, from both
    dates' kinds of ground. `auto`: coarse from `coarse.min_gsd_m` on, physical below."""
    coarse: CoarseParams = field(default_factory=CoarseParams)
    """Settings of the coarse method."""
    compact: CompactParams = field(default_factory=CompactParams)
    """Settings of the evidence of compact things, which the physical method can have beside its own from 1.5 m on."""
    max_samples: Annotated[int, Field(ge=10_000)] = 1_000_000
    """Pixels the model is estimated on, a regular lattice over the scene."""
    max_regression_samples: Annotated[int, Field(ge=1000)] = 20_000
    """Of those, pixels used by the iterated fits: a dozen coefficients need no more."""
    min_pixels: Annotated[int, Field(ge=100)] = 400
    """Fewer shared clear pixels cannot carry the prediction's coefficients."""
    iterations: Annotated[int, Field(ge=1, le=50)] = 10
    """Rounds of reweighting (Tukey) in the prediction of the scene from its baseline."""
    residual_sigma_px: Annotated[float, Field(ge=0.0, le=3.0)] = 0.8
    """Smoothing of the residual: matches the sharpest detail a sensor passes, so noise goes and objects stay."""
    local_window_m: Annotated[float, Field(gt=0.0)] = 60.0
    """Side of the running median of the relative residual: wider than a hut or row, narrower than most fields."""
    local_window_min_px: Annotated[int, Field(ge=9)] = 24
    """Coarse sensors need this many pixels for a median that a single object cannot move."""
    relative_floor: Annotated[float, Field(ge=0.0, le=1.0)] = 0.06
    """Relative error of any prediction (bidirectional reflectance, adjacency, sky): no sensor noise is below it."""
    bend: Annotated[float, Field(ge=0.0, le=1.0)] = 0.12
    """Pictures are stretched by unknown curves: the tangent to a power of 1.25, laid at the level of ordinary
    ground, is off by this times (the square of) a thing's distance from that level, over the level."""
    brightness_floor: Annotated[float, Field(gt=0.0)] = 0.004
    """Least light (reflectance) taken as falling on the ground, so that ratios over water stay finite."""
    registration_factor: Annotated[float, Field(ge=0.0)] = 1.0
    """Share of the registration error (CE90 / 2.15 px) that enters as variance through the local gradient."""
    gradient_floor_px: Annotated[float, Field(ge=0.0)] = 0.12
    """Registration is never better than this at every pixel, whatever its tie points say."""
    sharpness_floor: Annotated[float, Field(ge=0.0)] = 0.15
    """Left-over mismatch of sharpness, as a share of the local Laplacian."""
    max_spread_weight: Annotated[float, Field(ge=0.0)] = 1.0
    """Largest weight of the baseline's own spread over time in the variance."""
    sky_light: Annotated[float, Field(ge=0.0, le=1.0)] = 0.12
    """Shadows are lit by the sky, which is bluer than the sun: relative error by band of "light times factor"."""
    darkest_light: Annotated[float, Field(ge=-1.0, le=0.0)] = -0.72
    """A full shadow keeps at least 28 % of the light (sky); darker is a darker thing."""
    brightest_light: Annotated[float, Field(ge=0.0)] = 2.2
    """Leaving a shadow multiplies the light by at most 3.2."""
    min_shadow_pixels: Annotated[int, Field(ge=10)] = 300
    """Pixels that shadows grew over, from which the colour of shadow is learned; with fewer it is taken as grey."""
    max_shadow_scatter: Annotated[float, Field(gt=0.0)] = 0.2
    """Interquartile range of the light left in them, over which they are no shadows of one sun."""
    shadow_margin: Annotated[float, Field(ge=1.0)] = 1.15
    """A shadow may be deeper than the scene's median shadow by this factor: under a crown, by a wall."""
    dark_ratio: Annotated[float, Field(gt=0.0, le=1.0)] = 0.62
    """A pixel below this share of its surroundings' 60th percentile (near infrared) may lie in shadow."""
    dark_cap: Annotated[float, Field(gt=0.0)] = 0.32
    """Cap of that percentile (reflectance): next to lush vegetation ordinary ground is not dark."""
    shadow_core_m: Annotated[float, Field(ge=0.0)] = 2.0
    """Ground that is dark on both dates over at least this width is the lasting core of a shadow ..."""
    shadow_reach_m: Annotated[float, Field(ge=0.0)] = 14.0
    """... which may grow or turn by this much: a 15 m tree from 49 to 30 degrees of sun. Farther off, darkening needs
    another cause."""
    shadow_reach_factor: Annotated[float, Field(ge=1.0)] = 25.0
    """It may do so by this many times what the scene's shadows moved on average, beside `shadow_least_reach_m`: most of
    what is dark is low, or dark by itself. With the sun 9 degrees lower the average is .75 m, and the cap holds."""
    shadow_beside_m: Annotated[float, Field(gt=0.0)] = 5.0
    """How far they moved is read from the ground within this distance of them, most of which they sweep if they move;
    farther off dark things that came would count."""
    shadow_least_reach_m: Annotated[float, Field(ge=0.0)] = 1.5
    """Where no shadow moved its edge is still not known better than this."""
    null_distance_m: Annotated[float, Field(ge=0.0)] = 30.0
    """The local level may be that of ground this far away: a field's edge must not fire because its median is the
    neighbour's."""
    null_from_sigma: Annotated[float, Field(ge=0.0)] = 2.0
    """Other explanations are tried only for pixels above this."""
    contrast_max_gsd_m: Annotated[float, Field(ge=0.0)] = 1.5
    """Up to this pixel size local contrast is told too: in coarser pixels a hut is a speck of texture."""
    contrast_window_m: Annotated[float, Field(gt=0.0)] = 30.0
    """Side of the running median that local contrast is counted from: more than twice the width of a barrack or of a
    trench with its banks, less than most fields."""
    contrast_shift_px: Annotated[float, Field(ge=0.0)] = 0.35
    """Misregistration that edges of the older date may show in local contrast: roofs and crowns lean."""

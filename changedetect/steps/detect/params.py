"""Thresholds on the score and sizes on the ground."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from changedetect.steps.detect.roofs import RoofParams


@dataclass(frozen=True, slots=True)
class DetectParams:
    """Thresholds on the score, in sigma, and sizes on the ground."""

    seed_sigma: Annotated[float, Field(gt=0.0)] = 8.0
    """An object needs a pixel this strong: model errors reach 5 to 6 sigma, real objects 10 and more."""
    grow_sigma: Annotated[float, Field(gt=0.0)] = 4.0
    """It extends over connected pixels this strong: half the seed keeps weak flanks and stops at texture."""
    object_sigma: Annotated[float, Field(ge=0.0)] = 9.5
    """95 % quantile of an object's |score|: one odd pixel is no object."""
    closing_m: Annotated[float, Field(ge=0.0)] = 1.0
    """Gaps up to twice this are bridged: the flanks of one trench, the panels of one roof."""
    max_hole_m2: Annotated[float, Field(ge=0.0)] = 400.0
    """Holes up to this are filled: a roof whose middle kept its colour; larger ones are yards."""
    min_area_m2: Annotated[float, Field(ge=0.0)] = 6.0
    """Half a van; smaller patches are people, glints and noise."""
    min_area_px: Annotated[int, Field(ge=1)] = 4
    """Fewer pixels than this are no object at any resolution."""
    max_false_alarms_per_km2: Annotated[float, Field(gt=0.0)] | None = None
    """Objects per km2 that the scene's own background may put above the thresholds; where more are expected they rise
    until no more are. None leaves the thresholds as set."""
    max_least_contrast: Annotated[float, Field(gt=0.0)] = 2.0
    """A scene in which an object would have to differ by more than this share of the brightness of ordinary ground to
    be told is counted as not seen; from half of it on a warning says so. Pairs of one sensor need .04 to .45, grey
    pictures stretched for the eye .8 to 1.7, where two thirds of what was built stood out from more even ground; a town
    before and after a tornado 1.1; new suburbs on old heath, ten years apart, 1.5 to 4, where hardly anything did."""
    max_white_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.06
    """In pixels of up to 4 m, a scene in which more of the ground than this turned white in hundreds of ragged
    patches per km2 counts as not seen where trenches, huts or equipment alone are asked for. Melting snow, .14 and more
    of simulated ground, gave 60 to 110 false ones on a quarter of a km2; other pairs had .023 at most."""
    max_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    """If more of the valid ground fires it is not a set of objects (snow, haze): thresholds rise until no more does."""
    shadow_darkening: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25
    """Loss of light that counts as darkened."""
    sliver_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    """An object darkened over more than this share may be the edge of a moved shadow ..."""
    sliver_reach_m: Annotated[float, Field(ge=0.0)] = 4.0
    """... if ground that is dark on both dates lies this near ..."""
    sliver_width_m: Annotated[float, Field(ge=0.0)] = 4.0
    """... it is narrower than this (the sun moves a 10 m thing's shadow by that in three weeks of autumn) ..."""
    sliver_area_m2: Annotated[float, Field(ge=0.0)] = 60.0
    """... smaller than this ..."""
    sliver_sigma: Annotated[float, Field(ge=0.0)] = 20.0
    """... and weaker than this: what light explains only in part."""
    dark_min_area_m2: Annotated[float, Field(ge=0.0)] = 25.0
    """Dark things away from old shadows: two vehicles and their shadow; less is the shadow of a small thing."""
    cast_gap_m: Annotated[float, Field(ge=0.0)] = 1.5
    """A shadow begins this near the thing that casts it."""
    cast_ratio: Annotated[float, Field(gt=0.0)] = 1.6
    """A shadow covers at most this many times its hut (sun at 25 degrees); more is a dark thing with bright spots."""
    cast_support: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    """What casts a new shadow needs only this share of the thresholds: roofs in the colour of the ground."""
    compact_support: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6
    """Even rectangles of a building's size need only this share of the thresholds, over half of their pixels ..."""
    compact_area_m2: Annotated[float, Field(ge=0.0)] = 40.0
    """... from this area ..."""
    compact_width_m: Annotated[float, Field(ge=0.0)] = 4.5
    """... and width on, ..."""
    compact_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.75
    """... filling this much of their rectangle: fields and wet ground are ragged."""
    local_seed_sigma: Annotated[float, Field(gt=0.0)] | None = None
    """Things that stand out from the ground around them as they did not before need a pixel of local contrast this
    strong. None: they are not looked for. Crowns and hedges are among them, so what they are must be judged after."""
    local_grow_sigma: Annotated[float, Field(gt=0.0)] = 2.5
    """They extend over connected pixels this strong."""
    local_object_sigma: Annotated[float, Field(ge=0.0)] = 5.5
    """95 % quantile of such a thing's local contrast."""
    local_dark: Annotated[float, Field(ge=0.0)] = 0.12
    """Loss of brightness against the ground around (log) from which their pixels are dark ones."""
    local_line_m: Annotated[float, Field(gt=0.0)] = 3.0
    """Dark parts that an opening of this diameter leaves little of are slots, not cast shadows ..."""
    local_line_length_m: Annotated[float, Field(gt=0.0)] = 12.0
    """... from this extent on."""
    local_gain: Annotated[float, Field(ge=1.0)] = 1.3
    """They replace what was found there of the score if they are larger by this factor and hold it: whole trenches
    for pieces."""
    local_calm_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.4
    """An object of the score that does not stand out over this share is a field with something in it ..."""
    field_width_m: Annotated[float, Field(gt=0.0)] = 11.0
    """... if it is somewhere broader than this, which no trench with its banks is, ..."""
    local_least_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """... or else what does stand out is this share of it."""
    local_edge_gain: float = 0.3
    """Log ratio of the steepness of their outline, after over before: crowns and hedges were there before."""
    core_min_area_m2: Annotated[float, Field(ge=0.0)] = 27.0
    """Of compact things, three pixels of 3 m: two are a car and its shadow, or a crown."""
    dark_ratio: Annotated[float, Field(gt=0.0, le=1.0)] = 0.62
    """Dark: below this share of the scene's 60th percentile (near infrared, else visible)."""
    roofs: RoofParams = field(default_factory=RoofParams)
    """Roofs that changed their colour and little else."""

"""Parameters of explaining."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, slots=True)
class ExplainParams:
    """How tall things stand, how alike light leaves colours, and how much of a change must be explained."""

    max_gsd_m: Annotated[float, Field(gt=0.0)] = 2.0
    """Coarser images show shadows and walls as part of a mixed pixel: nothing is explained there."""
    max_height_m: Annotated[float, Field(gt=0.0)] = 18.0
    """Of what casts a shadow that lies on both dates: a tall tree, a five-storey house."""
    min_shadow_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6
    """An object is explained by shadow if this share of it may be shadow that moved."""
    min_darkening: Annotated[float, Field(gt=0.0)] = 0.2
    """Drop of the logarithm of brightness from which light may have left a pixel; the edge of a shadow has half."""
    colour_share: Annotated[float, Field(gt=0.0)] = 0.35
    """Bands may differ by this share of the common change: the sky that lights a shadow is blue."""
    colour_floor: Annotated[float, Field(ge=0.0)] = 0.08
    """And by this much in any case (logarithm): noise and season."""
    dark_ratio: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    """Dark: below this share of the 60th percentile of the ground around, in the visible and near infrared; under haze
    shadows keep 60 % of the visible light."""
    around_m: Annotated[float, Field(gt=0.0)] = 60.0
    """Side of what is around."""
    core_width_m: Annotated[float, Field(ge=0.0)] = 1.0
    """What is dark must be this wide to be a shadow that may have moved."""
    min_shift_gain: Annotated[float, Field(gt=0.0, le=1.0)] = 0.65
    """An object is explained by a shift of the older image if that takes away this share of the squared difference."""
    min_slope_gain: Annotated[float, Field(gt=0.0, le=1.0)] = 0.85
    """A slope of a roof is explained by the sun's way if that takes away this share of the squared change of both its
    slopes: .95 and more where it is so, .6 at most where it is not."""
    max_shift_px: Annotated[float, Field(ge=0.0)] = 1.5
    """Registration errs locally by at most this, even at its best."""
    max_roof_m: Annotated[float, Field(gt=0.0)] = 15.0
    """Height up to which roofs are believed to lean."""
    min_lean_px: Annotated[float, Field(ge=0.0)] = 0.5
    """Views that differ by less than this at the tallest roof do not make walls lean."""
    vehicle_height_m: Annotated[float, Field(gt=0.0)] = 2.5
    """Dark things cannot be told from their shadow by colour: it is cut by geometry, at this height."""
    group_gap_m: Annotated[float, Field(gt=0.0)] = 4.4
    """Gaps between parked vehicles up to this are part of the group."""
    dark_object_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    """An object that looks like shadow over this share is itself a dark thing."""
    line_width_m: Annotated[float, Field(gt=0.0)] = 6.5
    """Dark things that are nowhere broader than this (a row of lorries is) ..."""
    line_aspect: Annotated[float, Field(gt=0.0)] = 5.0
    """... and cover this many times the square of their width are slots: they cast nothing, and nothing is cut off."""
    cast_height_m: Annotated[float, Field(gt=0.0)] = 2.0
    """Height at which the shadow of a new thing is looked for: tents and vehicles have it, huts more."""
    crown_height_m: Annotated[float, Field(gt=0.0)] = 6.0
    """Height at which the shadow of what stood there before is looked for: crowns are taller, and their far side is as
    dark as their shadow."""

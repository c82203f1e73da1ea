"""Roofs that were covered anew: rectangles that were built before and after, and changed evenly all over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class CoverParams:
    """How even, how strong and how bare a change is that covers a roof anew."""

    chance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.92
    """How often such a change is a hut's roof: 28 of 28 on simulated ground, and less believed of the next place."""
    min_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.8
    """Roofs are rectangles; what is ragged is a crown, a yard or a shadow."""
    min_change: Annotated[float, Field(ge=0.0)] = 0.35
    """Change of the logarithm of brightness against the ground around: more than the sun's way makes of a slope."""
    min_evenness: Annotated[float, Field(ge=0.0)] = 5.5
    """That change over its scatter inside: sheets are of one shade, where crowns and shadows are not."""
    max_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.5
    """No roof is greener, on either date: green paint has .48."""
    min_local_sigma: Annotated[float, Field(ge=0.0)] = 5.5
    """New contrast against the ground around, and against patches of its size there."""
    min_length_m: Annotated[float, Field(ge=0.0)] = 8.0
    """Shorter ones are vehicles: those that left and those that came in their place are even too."""
    min_width_m: Annotated[float, Field(ge=0.0)] = 4.5
    """Narrower ones are tracks that a shadow fell across (3.5 m); 44 roofs had 6.7 m and more."""
    max_moved_shadow: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    """Share of it that may be shadow that moved."""
    same_max_change: Annotated[float, Field(ge=0.0)] = 0.22
    """A roof that stood there and changed by no more than this in brightness, in red over blue and in near infrared
    over the visible (logarithms) is the same in another light: the sun's way over its slope makes .2 and colours
    nothing. 44 roofs that were covered anew changed by .26 at least in one of them."""
    same_max_gsd_m: Annotated[float, Field(gt=0.0)] = 0.75
    """Coarser pixels mix a roof with what lies beside it."""


def is_covered_anew(row: Mapping[str, Any], params: CoverParams) -> bool:
    """Return whether a measured object is a roof that stood on both dates and has another shade all over on the second.

    An outline that is as steep as before speaks for a crown or a hedge, unless it is a rectangle, bare on both dates,
    whose every part changed alike: paint, sheets, or tiles for sheets.
    """
    f = row["features"]
    return bool(
        row["status"] == "modified"
        and f["fill"] >= params.min_fill
        and f["rect_length_m"] >= params.min_length_m
        and f["rect_width_m"] >= params.min_width_m
        and abs(f["visible_change"]) >= params.min_change
        and f["evenness"] >= params.min_evenness
        and max(f["ndvi_before"], f["ndvi_after"]) <= params.max_ndvi
        and min(f["local_sigma"], f["patch_sigma"]) >= params.min_local_sigma
        and f.get("moved_shadow", 0.0) <= params.max_moved_shadow
    )


def is_same_roof(row: Mapping[str, Any], params: CoverParams) -> bool:
    """Return whether what was built there before only stands in another light: a little brighter or darker, as grey."""
    f = row["features"]
    if row["status"] != "modified" or row["gsd_m"] > params.same_max_gsd_m:
        return False
    changes = (abs(f[name]) for name in ("visible_change", "nir_change", "red_blue_change"))
    return bool(max(changes) <= params.same_max_change)

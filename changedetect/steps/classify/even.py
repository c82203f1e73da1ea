"""Broad ground that changed alike all over: a strip or the corner of a field, and nothing that is made of parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class EvenParams:
    """From which breadth on trenches and vehicles show that they are made of parts, and how alike fields change."""

    min_gsd_m: Annotated[float, Field(gt=0.0)] = 0.75
    """Finer pixels show a floor or a vehicle itself, and other rules look for them."""
    min_width_px: Annotated[float, Field(ge=0.0)] = 3.2
    """Largest disc inside, in pixels: narrower things are mixed with the ground beside them in every pixel."""
    min_width_m: Annotated[float, Field(ge=0.0)] = 4.0
    """And in metres: as broad is a bank alone, or the side of one vehicle."""
    max_spread: Annotated[float, Field(ge=0.0)] = 0.09
    """Scatter of the change inside (logarithm): .03 to .07 in strips that were sown or bared, .11 to .23 in trenches
    that broad at 3 m, whose floor is darker than their banks."""
    max_step: Annotated[float, Field(ge=0.0)] = 0.12
    """Its middle and its flanks differ by less than this (logarithm): .01 to .07 in such strips."""


def is_even(row: Mapping[str, Any], params: EvenParams) -> bool:
    """Return whether a detection is broad enough to show parts in its coarse pixels, and changed alike all over."""
    f, gsd_m = row["features"], row["gsd_m"]
    return bool(
        gsd_m > params.min_gsd_m
        and f["inner_width_m"] > max(params.min_width_px * gsd_m, params.min_width_m)
        and f["change_spread"] < params.max_spread
        and abs(f["slot_depth"]) < params.max_step
    )

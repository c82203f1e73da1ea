"""Ground that was dug: a dark floor beside the earth that was thrown out, or a dark floor that bends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class DugParams:
    """What a trench cannot lack where pixels show its floor apart from its banks."""

    max_gsd_m: Annotated[float, Field(gt=0.0)] = 0.75
    """Pixels up to this show a floor of 1 to 2 m apart from its banks."""
    broad_m: Annotated[float, Field(gt=0.0)] = 4.0
    """What is this broad is earth thrown out: a floor lies in it or beside it."""
    min_floor: Annotated[float, Field(ge=0.0, le=1.0)] = 0.03
    """Share of it that is a narrow dark line (.05 to .5 in 93 of 95 broad trenches; 0 in bare strips of fields)."""
    min_step: Annotated[float, Field(ge=0.0)] = 0.12
    """Or else its middle and its flanks differ by this (logarithm): the floor runs along the rim."""
    min_rim: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25
    """Or else this share of the ground along its outline darkened: the floor lies beside one bank."""
    min_edges: Annotated[float, Field(ge=0.0, le=1.0)] = 0.2
    """Share of its outline that is an edge: cut earth has .3 at least, what dried or was sown .1."""
    max_bank: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Share that brightened below which no earth lies beside it: a dark line alone ..."""
    min_dark: Annotated[float, Field(ge=0.0, le=1.0)] = 0.75
    """... of which this share darkened ..."""
    max_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """... and that fills its rectangle beyond this runs straight: the shadow of a hedge or a wall, a furrow, a ditch.
    Floors that were seen without their banks had .2 to .41: trenches bend every few metres."""


def is_dug(row: Mapping[str, Any], params: DugParams) -> bool:
    """Return whether a line that came may have been dug; True where it went, or pixels are too coarse to tell."""
    f = row["features"]
    if row["status"] == "disappeared" or row["gsd_m"] > params.max_gsd_m:
        return True
    if f["edges_after"] < params.min_edges:
        return False
    if f["inner_width_m"] >= params.broad_m:
        inside = f["slot_fraction"] >= params.min_floor or abs(f["slot_depth"]) >= params.min_step
        return bool(inside or f["rim_dark"] >= params.min_rim)
    alone = f["bright_fraction"] < params.max_bank and f["dark_fraction"] >= params.min_dark
    return bool(not alone or f["fill"] <= params.max_fill)

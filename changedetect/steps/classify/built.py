"""New buildings told by the light: rectangles that throw a shadow where none lay before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class BuiltParams:
    """How regular, how tall and how bare a new thing must be to be a building whatever its colour."""

    chance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.85
    """How often such a thing is a hut."""
    min_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.8
    """Roofs are rectangles; what is ragged is a crown or a stack."""
    min_casts: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.5
    """How much more of the ground a shadow's step away from the sun darkened than of that towards it: tall things came,
    where a field that was worked throws nothing."""
    min_edge_rise: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.3
    """More of its outline is an edge than was before: it was not there."""
    max_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.45
    """No roof is greener, and crowns that came into leaf, which throw shadows too, have .65 and more."""
    min_width_m: Annotated[float, Field(ge=0.0)] = 3.6
    """Narrower ones are vehicles: they throw shadows too."""
    max_cast_before: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.5
    """And no more where it threw one already: crowns that turn in autumn become bare to the eye, and stood there."""
    max_moved_shadow: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    """Share of it that may be shadow that moved."""
    tip_min_shadow: Annotated[float, Field(ge=0.0, le=1.0)] = 0.9
    """A thing of which this share lost light and no colour, ..."""
    tip_max_casts: Annotated[float, Field(ge=-1.0, le=1.0)] = -0.25
    """... with this much more of the ground darkened towards the sun than away from it, is the tip of a shadow that
    grew from there, however thin haze makes it."""


def is_newly_built(row: Mapping[str, Any], params: BuiltParams) -> bool:
    """Return whether a measured object is a rectangle that was not there, and throws a shadow that was not there."""
    f = row["features"]
    return bool(
        row["status"] == "appeared"
        and f["fill"] >= params.min_fill
        and min(f["rect_width_m"], 1.15 * f["inner_width_m"]) >= params.min_width_m
        and f.get("casts", 0.0) >= params.min_casts
        and f.get("cast_before", 0.0) <= params.max_cast_before
        and f["edges_after"] - f["edges_before"] >= params.min_edge_rise
        and f["ndvi_after"] <= params.max_ndvi
        and f.get("moved_shadow", 0.0) <= params.max_moved_shadow
    )


def is_tip_of_shadow(row: Mapping[str, Any], params: BuiltParams) -> bool:
    """Return whether what came is the end of a shadow: mere loss of light that goes on towards the sun."""
    f = row["features"]
    return bool(
        row["status"] == "appeared"
        and f["shadow_fraction"] >= params.tip_min_shadow
        and f.get("casts", 0.0) <= params.tip_max_casts
    )

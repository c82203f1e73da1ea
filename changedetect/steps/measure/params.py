"""Parameters of measuring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, slots=True)
class MeasureParams:
    """How outlines are drawn and what counts as bright, dark or built."""

    ground_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.25
    """Pixels of an object that differ less than this share of its strong ones are ground: they do not tell its colours.
    """
    least_refined_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.35
    """A refined outline that keeps less of the detected area than this is noise: the detected one stands."""
    shadow_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.4
    """Darkened parts whose light-free score is below this share of the object's own are its shadow, not itself."""
    compact_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.7
    """A shadow is cut off only if the rest fills this much of its rectangle, and more than before: a building does, a
    trench without its slot does not."""
    core_shares: tuple[float, ...] = (0.25, 0.4, 0.55)
    """Shares of its strongest change of colour at which a building is looked for in a ragged object."""
    core_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.78
    """It fills this much of its rectangle ..."""
    core_evidence: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    """... holds this share of the object's squared change of colour ..."""
    core_area_m2: Annotated[float, Field(ge=0.0)] = 24.0
    """... is no smaller than the smallest tent ..."""
    core_width_m: Annotated[float, Field(gt=0.0)] = 4.0
    """... and has no parts narrower than half of this."""
    colour_sigma: Annotated[float, Field(gt=0.0)] = 6.0
    """Light-free score from which a pixel has changed its colour, not only its light."""
    margin_m: Annotated[float, Field(gt=0.0)] = 6.0
    """Width of the ring of ground around an object that it is compared with."""
    rim_m: Annotated[float, Field(gt=0.0)] = 2.5
    """Width of the ground beside an object where the shadow it casts begins: a hut's is 2 to 5 m long."""
    changed_light: Annotated[float, Field(gt=0.0)] = 0.25
    """Relative change of brightness beyond which a pixel counts as brightened or darkened."""
    clutter_sigma: Annotated[float, Field(gt=0.0)] = 3.0
    """Local contrast from which ground around an object is itself cluttered: crowns, yards."""
    thick_m: Annotated[float, Field(gt=0.0)] = 3.5
    """Parts of an object that an opening of this diameter keeps are thick: wider than a trench with one bank."""
    slot_width_m: Annotated[float, Field(gt=0.0)] = 3.5
    """Dark lines narrower than this are found as slots."""
    slot_depth: Annotated[float, Field(gt=0.0)] = 0.35
    """Drop of log brightness that makes a slot."""
    line_elongation: Annotated[float, Field(gt=1.0)] = 3.5
    """Skeleton at least this many times the mean width: measured along its line, as trenches are."""
    built_contrast: Annotated[float, Field(gt=0.0)] = 0.22
    """Relative contrast against the ring from which a place counts as having had a structure: roofs have .3 and up."""
    built_edges: Annotated[float, Field(gt=0.0)] = 0.5
    """Share of the outline that must show that contrast locally."""

"""Settings of the linking of detections over dates."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


@dataclass(frozen=True, slots=True)
class LinkParams:
    """How detections of different dates become one change."""

    min_iou: Share = 0.3
    """Overlap (intersection over union) at which two outlines are one object; outlines of one object on two
    sensors with a pixel of misregistration rarely fall below it."""
    min_share: Share = 0.5
    """Share of the smaller outline inside the other that also links them: a trench grows, a 3 m look blurs a hut."""
    min_iou_single: Share = 0.4
    """The same for single vessels and aircraft, whose successor often takes the same place, but never exactly."""
    min_length_ratio: Share = 0.75
    """Shorter over longer length of one vessel or aircraft on two looks (ends are uncertain by a pixel or two)."""
    min_width_ratio: Share = 0.5
    """Narrower over wider; widths of moored ships blend with the quay."""
    max_turn_deg: Annotated[float, Field(ge=0.0, le=90.0)] = 20.0
    """Turn of the longer side between two looks of one vessel or aircraft; applies to elongated outlines."""
    max_gap_days: Positive = 5.0
    """Longest time out of sight after which a presence counts as the same one: calls last a day or two, stacks four."""
    max_call_days: Positive = 2.5
    """The same for vessels, next looks included: calls last a day or two, and another ship at the same berth looks much
    like the one before. Told as two, both dates stay inside their intervals; told as one, neither would."""
    max_crowd_hours: Positive = 6.0
    """Longest time between looks over which people standing at one place are the same gathering."""
    min_clear: Share = 0.7
    """Share of the outline that must be seen for a look to tell present from absent."""
    min_kept_sigma: Positive = 1.5
    """Score, averaged along the change's own pattern, that shows a change without a detection."""
    min_kept_share: Share = 0.35
    """The same as a share of what the change measured on its best look; the larger of both limits holds.
    Between half of the limit and the limit a look is unclear."""
    part_m: Positive = 10.0
    """Side of the parts in which stacks, rows and trenches are set up: a look before the first detection that shows
    one of them does not show the place empty, however little of the whole it is."""
    quantum_m: Positive = 10.0
    """Centroids are rounded to this in the identifier, so that a pixel more or less does not rename a change."""
    persistence_gain: Share = 0.5
    """How far another look's confidence counts: 0 not at all, 1 as fully independent evidence."""
    max_confidence: Share = 0.98
    """No change is surer than this, however often it is seen: what is wrong with a place is wrong on every look."""
    min_absent_once: Annotated[int, Field(ge=1)] = 2
    """A structure seen on one look and clearly absent on this many later ones is flagged `seen_once`."""
    keep_seen_once: bool = False
    """Whether such a structure is told as a change: what is built stays, so one look of haze or wet ground made it. Its
    detection stays in detections.geojson."""
    min_confidence: Share = 0.4
    """Changes less sure than this are not told; their detections stay. Weak re-roofings, mostly false, lie below."""
    left_out_flags: tuple[str, ...] = (
        "explained_by_shadow",
        "explained_by_slope",
        "explained_by_lean",
        "explained_by_misregistration",
    )
    """Detections with one of these stay in detections.geojson, but make no change: light, view or registration do."""
    max_points: Annotated[int, Field(ge=16)] = 4096
    """Pixels sampled under one outline at most."""

"""Settings of the registration: what each number is, in which unit, and why it has its default."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]


@dataclass(frozen=True, slots=True)
class RegisterParams:
    """Search, tie points, field and the rules by which registration abstains.

    Lengths in px are multiples of the grid's own pixel where the optimum was found to follow the sampling, not the
    ground: window, cell and pooling sizes are set by noise per pixel.
    """

    max_shift_m: Annotated[float, Field(gt=0.0)] = 300.0
    """Largest shift looked for, metres: unrefined small-satellite products are off by up to about 300 m, others by
    less than 100 m. A peak beyond it counts as an ambiguity, never as an answer."""
    max_shift_side_share: Annotated[float, Field(gt=0.0, le=0.4)] = 0.33
    """The same as a share of the shorter side: the scenes must still overlap by two thirds; the smaller limit holds."""
    bands: tuple[str, ...] = ("red", "nir", "green", "blue", "swir16", "pan")
    """Bands to match on, best first; those both scenes have are used, and if none of these, what they share."""
    max_bands: Annotated[int, Field(ge=1, le=16)] = 4
    """At most so many bands: cost grows with each, while a fifth adds little that is not in the first four (three left
    .17 px where four left .09 between fields)."""
    coarse_side_px: Annotated[int, Field(ge=128, le=2048)] = 512
    """Shorter side of the area-averaged level the search runs on, px: its cost does not grow with the scene."""
    high_pass_px: Annotated[float, Field(ge=1.0, le=32.0)] = 1.5
    """Sigma of the local mean taken off, px: what changes between dates (seasons, moved shadows, crops) is broad, what
    stays is fine. 4 left .23 px in 95 % of one band against another where 1.5 leaves .14, and .81 against .37 in
    farmland months apart; 1 loses some seasons."""
    contrast_px: Annotated[float, Field(ge=2.0, le=64.0)] = 5.0
    """Sigma of the window for local contrast, px: about 3 times the high pass, so that single strong edges count no
    more than what is around them."""
    window_px: Annotated[int, Field(ge=48, le=512)] = 128
    """Side of a correlation window at the coarse level, px: 128 to 192 measured best; halved, to 48 at least, if too
    few lock."""
    min_valid_share: Share = 0.15
    """Share of the grid usable in both: below it (90 % cloud, masked) 6 of 8 answers were wrong locks."""
    min_peak_sigma: Annotated[float, Field(ge=0.0)] = 10.0
    """Height of the whole-image correlation peak, robust sigma: unrelated pairs reach 8, the weakest true match 14."""
    min_peak_ratio: Annotated[float, Field(ge=1.0)] = 2.0
    """Peak over the best other peak, per overlap: unrelated pairs and painted lines that repeat reach 1.5, the weakest
    true match 3.1. Where the overlap was not counted one of 20 such patterns was off by a whole spacing."""
    min_peak_ratio_beyond: Annotated[float, Field(ge=1.0)] = 1.25
    """The same over peaks beyond `max_shift_m`: no product is so far off, so a pattern that repeats there (piers 370 m
    apart) tells no other answer, unless its peak is the higher one."""
    min_windows: Annotated[int, Field(ge=3)] = 6
    """Correlation windows that must agree: an affine needs three, twice that leaves some to contradict it."""
    min_windows_share: Share = 0.65
    """Share of the windows that lock which must agree: where season and low sun moved 20 of 44 with the shadows, the
    other 24 were off by 6 px; in true matches, woods and snow among them, at least .70 agree."""
    min_within_1px_share: Share = 0.5
    """Share of held-out blocks the field must predict within 1 px: less means it does not describe the scene."""
    max_ce90_px: Annotated[float, Field(gt=0.0)] = 0.8
    """Largest CE90 accepted, px: beyond it every edge differs. With it, 0 of 121 simulated answers were wrong locks."""
    max_ce90_m: Annotated[float, Field(gt=0.0)] | None = None
    """The same in metres, where the target's size sets a tighter limit; None: only the limit in px."""
    spline_spacing_px: Annotated[float, Field(ge=16.0)] = 48.0
    """Spacing of the field's control points, px: the width of a pooled block, finer fits noise. On small images (under
    768 px) that of their own, smaller blocks."""
    max_intervals: Annotated[int, Field(ge=4, le=24)] = 12
    """At most so many spline intervals per axis: a smooth warp needs 8; the penalty decides how many are used."""
    passes: Annotated[int, Field(ge=1, le=6)] = 3
    """Gauss-Newton steps at full resolution, the last one exact; a coarser level takes one less. One alone leaves
    .076 / .33 px (median / p95) in cloud where three leave .053 / .19."""
    sample_px: Annotated[int, Field(ge=250_000)] = 2_000_000
    """Pixels looked at per level; of a larger one, blocks spread evenly over it: at 1400 x 1400 everywhere."""
    max_refine_px: Annotated[int, Field(ge=250_000)] = 4_200_000
    """Largest scene registered as one (2048 x 2048). A larger one is registered by parts of it, so cost is bounded."""
    part_px: Annotated[int, Field(ge=512, le=2048)] = 640
    """Side of these parts, px of the grid."""
    part_intervals: Annotated[int, Field(ge=4, le=24)] = 6
    """As `max_intervals`, of a part: of its warp only what is smooth over the scene is taken over."""
    parts_per_side: Annotated[int, Field(ge=2, le=8)] = 3
    """Parts along each axis, spread evenly: nine tell a warp that is smooth over the scene, and which of them err."""

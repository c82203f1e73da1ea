"""The offset in Sentinel-2's numbers: whether it is still in them, by metadata, checked against the darkest pixels.

From processing baseline 04.00 on ESA adds 1000 to every number. Some catalogues take it off again, some say so and
did not: a step of 0.1 reflectance between two dates would be taken for change everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from changedetect.io.files import open_raster, read_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from changedetect.core.scene import Asset
    from changedetect.io.sidecar import Facts

OffsetMode = Literal["auto", "applied", "raw"]

SINCE = "2022-01-25"
"""When baseline 04.00 came into use; older acquisitions bear it too where they were processed again."""

_WINDOWS, _SIDE_PX = 4, 96
_DARKEST_PERCENT = 1.0
_SURELY_APPLIED = 700
"""Darkest numbers below this cannot still hold the 1000: true reflectance would lie below -0.03."""
_SURELY_RAW = 1000
"""Darkest numbers that all lie above this look as if the 1000 were still in them, or as if nothing there were dark."""
_DARK_BANDS = ("swir22", "swir16", "nir08", "nir", "red", "green", "blue")


def find_offset(
    assets: Sequence[Asset], facts: Facts, steps: Mapping[int, float], acquired: datetime, mode: OffsetMode,
    *, is_maker: bool = False,
) -> tuple[float, str | None]:  # fmt: skip
    """Return the offset to add to a Sentinel-2 scene's reflectance, and what readers of results should know of it.

    Parameters
    ----------
    assets : sequence of Asset
        Its bands, whose darkest pixels are looked at unless ESA's own metadata say all.
    facts : Facts
        What its metadata say.
    steps : mapping of int to float
        Offset from each processing baseline on (400 is 04.00).
    acquired : datetime
        Only for saying that a baseline should be known.
    mode : {"auto", "applied", "raw"}
        The last two overrule what metadata and pixels say.
    is_maker : bool
        The metadata are ESA's own, delivered with the pixels: no doubt is left for the pixels to settle.
    """
    full = min(steps.values())
    if mode != "auto":
        return (0.0 if mode == "applied" else full), None
    told = _by_metadata(facts, steps)
    if is_maker and told is not None:
        return told, None
    if told == 0.0 and facts.baseline is not None and facts.baseline < min(steps):
        return 0.0, None
    darkest = _darkest(assets)
    if told is None and f"{acquired:%Y-%m-%d}" < SINCE and (darkest is None or darkest < _SURELY_RAW):
        return 0.0, None
    return _checked(told, darkest)


def _by_metadata(facts: Facts, steps: Mapping[int, float]) -> float | None:
    """Return the offset as stated: taken off already, by the product, or by the baseline; None if nothing says."""
    if facts.offset_applied:
        return 0.0
    if facts.stated_offset is not None:
        return facts.stated_offset
    if facts.baseline is None:
        return None
    return next((steps[since] for since in sorted(steps, reverse=True) if facts.baseline >= since), 0.0)


def _checked(told: float | None, darkest: float | None) -> tuple[float, str | None]:
    """Return the offset that is believed, and what to say of it."""
    shown = "unknown" if darkest is None else f"{darkest:.0f}"
    if told and darkest is not None and darkest < _SURELY_APPLIED:
        return 0.0, (
            f"metadata say that the Sentinel-2 offset is still in the numbers, yet the darkest are {shown}; "
            "taken as applied already (--set read.s2_offset=raw overrules)"
        )
    if told is None:
        return 0.0, (
            f"processing baseline unknown, darkest numbers {shown}; no Sentinel-2 offset assumed "
            "(--set read.s2_offset=raw if it is 04.00 or later)"
        )
    if told == 0.0 and darkest is not None and darkest >= _SURELY_RAW:
        return 0.0, (
            f"metadata say that the Sentinel-2 offset was taken off, yet the darkest numbers are {shown}; "
            "believed (--set read.s2_offset=raw overrules)"
        )
    return told, None


def _darkest(assets: Sequence[Asset]) -> float | None:
    """Return the darkest valid numbers of the darkest band, from small windows spread over it; None if all is empty."""
    by_name = {asset.band: asset for asset in assets}
    found = [_darkest_of(by_name[name]) for name in [n for n in _DARK_BANDS if n in by_name][:3]]
    known = [number for number in found if number is not None]
    return min(known) if known else None


def _darkest_of(asset: Asset) -> float | None:
    samples = []
    with open_raster(asset.paths[0]) as src:
        for i in range(_WINDOWS):
            for j in range(_WINDOWS):
                rows, cols = (_span(k, size) for k, size in ((i, src.height), (j, src.width)))
                numbers = read_pixels(src, [asset.index], rows, cols)
                samples.append(numbers[numbers != 0].ravel())
    valid = np.concatenate(samples)
    return float(np.percentile(valid, _DARKEST_PERCENT)) if valid.size else None


def _span(k: int, size: int) -> tuple[int, int]:
    """Return the k-th of the windows along an axis."""
    side = min(_SIDE_PX, size)
    start = (size - side) * (2 * k + 1) // (2 * _WINDOWS)
    return start, start + side

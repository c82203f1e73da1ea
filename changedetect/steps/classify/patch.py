"""The pixels under and around one detection, on both dates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from rasterio.features import geometry_mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline

    Plane = NDArray[np.float32]
    Mask = NDArray[np.bool_]

VISIBLE: tuple[str, ...] = ("blue", "green", "red", "pan", "gray")

PROPOSAL_COLUMNS = ("confidence", "count", "count_low", "count_high", "flags")


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A window on scene and baseline around one outline."""

    inside: Mask
    """(row, col) True under the outline."""
    valid: Mask
    """(row, col) usable on both dates."""
    after: Mapping[str, Plane]
    before: Mapping[str, Plane]
    """Bands of both dates in one unit, the baseline's centre as `before`."""
    gsd_m: float
    window: tuple[slice, slice]
    """Rows and columns of the scene."""

    @property
    def visible(self) -> tuple[Plane, Plane]:
        """Mean of the visible bands (of all bands without any), before and after."""
        names = [name for name in VISIBLE if name in self.after] or list(self.after)
        before, after = (np.mean([dates[name] for name in names], axis=0) for dates in (self.before, self.after))
        return before, after

    @property
    def change(self) -> dict[str, Plane]:
        """After less before, per band."""
        return {name: plane - self.before[name] for name, plane in self.after.items()}

    @property
    def has_nir(self) -> bool:
        """Whether the near infrared is there on both dates."""
        return "nir" in self.after and "green" in self.after


def cut_patch(geometry: BaseGeometry, raster: Raster, baseline: Baseline, margin_m: float) -> Patch | None:
    """Return the window around `geometry` with a margin; None where the grid holds none of it."""
    grid = raster.grid
    left, bottom, right, top = geometry.bounds
    gsd = grid.gsd_m
    row0, row1 = (
        math.floor((grid.transform.f - top - margin_m) / gsd),
        math.ceil((grid.transform.f - bottom + margin_m) / gsd),
    )
    col0, col1 = (
        math.floor((left - grid.transform.c - margin_m) / gsd),
        math.ceil((right - grid.transform.c + margin_m) / gsd),
    )
    rows, cols = slice(max(row0, 0), min(row1, grid.shape[0])), slice(max(col0, 0), min(col1, grid.shape[1]))
    if rows.stop <= rows.start or cols.stop <= cols.start:
        return None
    part = grid.crop(rows, cols)
    inside = geometry_mask([geometry], part.shape, part.transform, invert=True)
    if not inside.any():
        inside = geometry_mask([geometry], part.shape, part.transform, invert=True, all_touched=True)
    valid = raster.valid[rows, cols] & baseline.valid[rows, cols]
    inside = np.asarray(inside, bool) & valid
    if not inside.any():
        return None
    names = [name for name in raster.bands if name in baseline.bands]
    after = {name: raster.band(name)[rows, cols] for name in names}
    before = {name: baseline.band(name)[rows, cols] for name in names}
    return Patch(inside, valid, after, before, gsd, (rows, cols))


def largest_part(mask: Mask) -> Mask:
    """Return the largest 8-connected part of a mask."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 1:
        return mask
    return np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def smallest_box(mask: Mask, gsd_m: float) -> tuple[float, float, float]:
    """Return length and width in metres and fill (0 to 1) of the smallest rectangle around a mask's pixels."""
    rows, cols = np.nonzero(mask)
    _, sides, _ = cv2.minAreaRect(np.stack([cols, rows], axis=1).astype(np.float32))
    short, long = sorted((float(sides[0]) + 1.0, float(sides[1]) + 1.0))
    return long * gsd_m, short * gsd_m, float(mask.sum()) / (long * short)


def ramp(value: float, no: float, yes: float) -> float:
    """Return 0 at `no`, 1 at `yes`, linear between and constant beyond; `no` may be the larger."""
    if not math.isfinite(value):
        return 0.0
    return float(min(1.0, max(0.0, (value - no) / (yes - no))))


def band_pass(value: float, low: tuple[float, float], high: tuple[float, float]) -> float:
    """Return 1 between the inner limits, 0 beyond the outer ones: low = (outer, inner), high = (inner, outer)."""
    return min(ramp(value, *low), ramp(value, high[1], high[0]))


def proposal(
    confidence: float, count: int = 1, spread: tuple[int, int] | None = None, flags: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return one row of what a class proposes for a detection."""
    low, high = spread or (count, count)
    return {"confidence": confidence, "count": count, "count_low": low, "count_high": high, "flags": flags}


def proposals(rows: Sequence[Mapping[str, Any]], index: pd.Index[Any]) -> pd.DataFrame:
    """Return the rows as a table indexed like the detections they are about.

    Where a row has `measured`, columns of the detection that its class knows better, there is such a column: None for
    the others.
    """
    import pandas as pd  # slow to import: not before there is a table

    flags = pd.Series([None] * len(rows), index=index, dtype="object")
    for i, row in enumerate(rows):
        flags.iat[i] = tuple(row["flags"])
    columns: dict[str, Any] = {
        "confidence": pd.Series([row["confidence"] for row in rows], index=index, dtype="float64")
    }
    for name in ("count", "count_low", "count_high"):
        columns[name] = pd.Series([row[name] for row in rows], index=index, dtype="Int64")
    table = pd.DataFrame({**columns, "flags": flags}, columns=list(PROPOSAL_COLUMNS))
    if any("measured" in row for row in rows):
        table["measured"] = pd.Series([row.get("measured") for row in rows], index=index, dtype="object")
    return table

"""Hulls: the breadth of a ship from the sum of what stands out across it, which no blur changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
from rasterio.features import geometry_mask
from shapely import affinity, get_parts, make_valid
from shapely.geometry import Polygon
from shapely.ops import unary_union

if TYPE_CHECKING:
    from collections.abc import Sequence

    import geopandas as gpd
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.grid import Grid

_REACH_PX, _STEP_PX = 2, 0.25
"""Blur reaches about two pixels; the evidence across a hull is read in such steps."""
_MIDDLE = 0.35
"""Share of the length, either way from the middle, over which hulls are as broad as they get."""
_HALF = 0.5
"""What has this share of the most is the hull, the rest its blurred sides, spray and wakes."""
_PLATEAU = 0.45
"""Quantile of these that is the hull's own level: below are its sides, above bridges and hatches."""
_LEAST_PX, _LEAST_ASPECT = 8, 2.0
"""Of fewer pixels, or of a shape that has no sides, nothing is told."""


def narrow_hulls(detections: gpd.GeoDataFrame, sigma: NDArray[np.float32], grid: Grid) -> gpd.GeoDataFrame:
    """Return the detections with what is named a vessel cut to the breadth of its hull.

    Parameters
    ----------
    detections : GeoDataFrame
        In the grid's reference system; needs class, area_m2, width_m.
    sigma : NDArray
        Evidence against being water, (row, col), on `grid`.
    grid : Grid

    Returns
    -------
    GeoDataFrame
        The same rows; of vessels geometry, area_m2 and width_m are new where the hull is narrower than its outline.

    Notes
    -----
    Outlines end where evidence does, and beside a bright hull the blur of the sensor is evidence for a pixel or more.
    Blur moves evidence across a side and keeps its sum: the sum over the level of the hull is its breadth, to
    fractions of a pixel. Towards bow and stern the breadth shrinks as that sum does; amidships it does not, as holds
    may be as dark as water.
    """
    result = detections.copy()
    for at in result.index[result["class"] == "vessel"]:
        found = _narrowed(result.at[at, "geometry"], sigma, grid)
        if found is None:
            continue
        shape, width_m = found
        if not shape.is_empty and width_m < result.at[at, "width_m"]:
            result.at[at, "geometry"] = shape
            result.at[at, "area_m2"] = round(shape.area, 2)
            result.at[at, "width_m"] = round(width_m, 2)
    return result


def _narrowed(outline: BaseGeometry, sigma: NDArray[np.float32], grid: Grid) -> tuple[BaseGeometry, float] | None:
    """Return an outline cut to the breadth of its hull, and that breadth, m; None where it is not told."""
    rows, cols = grid.window_around(outline.bounds, _REACH_PX)
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return None
    part = grid.crop(rows, cols)
    inside = geometry_mask([outline], part.shape, part.transform, invert=True)
    if inside.sum() < _LEAST_PX:
        return None
    every_row, every_col = np.nonzero(inside)
    middle, (first, second), turn = cv2.minAreaRect(np.column_stack([every_col, every_row]).astype(np.float32))
    if max(first, second) < _LEAST_ASPECT * (min(first, second) + 1):
        return None
    along = float(np.deg2rad(turn if first >= second else turn + 90.0))
    evidence = np.where(inside, sigma[rows, cols], np.float32(0))
    along_px, across, sampled = _sample(evidence, middle, (max(first, second), min(first, second)), along)
    amid = np.abs(along_px) <= _MIDDLE * max(first, second)
    profile = np.median(sampled[amid], axis=0)
    held = profile >= _HALF * profile.max()
    if not held.any() or profile.max() <= 0:
        return None
    width = float(profile.sum() / np.quantile(profile[held], _PLATEAU)) * _STEP_PX
    centre = float(across[held][[0, -1]].mean())
    half = width / 2 * _taper(sampled.sum(axis=1), along_px, amid)
    # x along the hull, y across it, in pixels down and right; then north is up
    sides = [np.column_stack([along_px, centre + side * half]) for side in (-1, 1)]
    strip = affinity.rotate(make_valid(Polygon([*sides[0], *sides[1][::-1]])), along, (0, 0), use_radians=True)
    a, b, c, d, e, f = part.transform[:6]
    strip = affinity.affine_transform(affinity.translate(strip, middle[0] + 0.5, middle[1] + 0.5), [a, b, d, e, c, f])
    # where an outline only touches the strip, the intersection has lines and points of its own
    pieces = [piece for piece in get_parts(outline.intersection(strip)) if isinstance(piece, Polygon)]
    return unary_union(pieces), width * grid.gsd_m


def _sample(
    evidence: NDArray[np.float32], middle: Sequence[float], sides: tuple[float, float], along: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return places along and across a hull, pixels from its middle, and the evidence at each, (along, across)."""
    length, width = sides
    half = length / 2 + _REACH_PX
    on = np.linspace(-half, half, math.ceil(2 * half) + 1)
    across = np.arange(-width / 2 - _REACH_PX, width / 2 + _REACH_PX + _STEP_PX, _STEP_PX)
    t, x = np.meshgrid(on, across, indexing="ij")
    col = middle[0] + t * np.cos(along) - x * np.sin(along)
    row = middle[1] + t * np.sin(along) + x * np.cos(along)
    sampled = cv2.remap(evidence, col.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR)
    return on, across, sampled.astype(np.float64)


def _taper(sums: NDArray[np.float64], along_px: NDArray[np.float64], amid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the breadth at each place along a hull as a share of that amidships: bow and stern narrow, never widen."""
    share = np.minimum(sums / max(float(np.quantile(sums[amid], _PLATEAU)), 1e-9), 1.0)
    share[amid] = 1.0  # holds may be as dark as water
    ahead = along_px > 0
    share[ahead] = np.minimum.accumulate(share[ahead])
    share[~ahead] = np.minimum.accumulate(share[~ahead][::-1])[::-1]
    return np.maximum(share, 1e-3)

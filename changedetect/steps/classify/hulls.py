"""Hulls: the breadth of a ship by where its side falls to half of its contrast, as a sensor blurs it over the water."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from rasterio.features import geometry_mask
from shapely import affinity, get_parts
from shapely.geometry import Polygon, box
from shapely.ops import unary_union

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.grid import Grid

_REACH_PX, _HALF = 2, 0.5
"""Blur reaches about two pixels; an edge lies where half of what stands beside it is left."""
_RIM = 0.05
"""Pixels of the core beyond this quantile across the hull are spray, cranes and rounding."""
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
    Only the sides are cut: bows and holds may be as dark as water, so that half of the contrast says nothing of length.
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
    """Return an outline between its half-contrast sides and their distance, m; None where that is not told."""
    rows, cols = grid.window_around(outline.bounds, _REACH_PX)
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return None
    part = grid.crop(rows, cols)
    inside = geometry_mask([outline], part.shape, part.transform, invert=True)
    if inside.sum() < _LEAST_PX:
        return None
    side = 2 * _REACH_PX + 1
    evidence = np.where(inside, sigma[rows, cols], np.float32(0))
    beside = cv2.dilate(evidence, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    row, col = np.nonzero(inside & (evidence >= _HALF * beside))
    every_row, every_col = np.nonzero(inside)
    (mid_col, mid_row), (first, second), turn = cv2.minAreaRect(
        np.column_stack([every_col, every_row]).astype(np.float32)
    )
    if len(row) < _LEAST_PX or max(first, second) < _LEAST_ASPECT * (min(first, second) + 1):
        return None
    along = np.deg2rad(turn if first >= second else turn + 90.0)
    across = (row - mid_row) * np.cos(along) - (col - mid_col) * np.sin(along)
    low, high = np.quantile(across, [_RIM, 1.0 - _RIM])
    low, high = low - 0.5, high + 0.5
    reach = float(np.hypot(*part.shape))
    # x along the hull, y across it, in pixels down and right; then north is up
    strip = affinity.rotate(box(-reach, low, reach, high), along, origin=(0, 0), use_radians=True)
    a, b, c, d, e, f = part.transform[:6]
    strip = affinity.affine_transform(affinity.translate(strip, mid_col + 0.5, mid_row + 0.5), [a, b, d, e, c, f])
    # where an outline only touches the strip, the intersection has lines and points of its own
    pieces = [piece for piece in get_parts(outline.intersection(strip)) if isinstance(piece, Polygon)]
    return unary_union(pieces), float(high - low) * grid.gsd_m

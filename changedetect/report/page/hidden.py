"""What a look does not show, as outlines that a map can hatch, and what no look shows at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from affine import Affine
from rasterio.features import geometry_mask, shapes
from shapely.geometry import shape

from changedetect.core.quality import Quality, is_valid

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.grid import Grid
    from changedetect.core.results import Look

MASK_PX = 240
"""Longer side of the mask that is outlined: hatching needs no finer edge."""

_THIN_PX = 2048
"""Looks are thinned until their longer side has at most twice so many pixels."""
_MOSTLY = 0.4
"""A cell of the mask is hidden where this share of its pixels is."""


def outline_hidden(look: Look) -> list[dict[str, Any]]:
    """Return what is hidden on a look as `{"kind": cloud | nodata, "rings": [...]}`, in metres of its grid.

    A look that was not used hides its whole grid, as kind `unused`.
    """
    if not look.used:
        return [{"kind": "unused", "rings": [rings_of(look.grid.extent)]}]
    grid, quality = _thinned(look)
    nodata = (quality & np.uint16(Quality.NODATA)) != 0
    kinds = {"nodata": nodata, "cloud": ~is_valid(quality) & ~nodata}
    found = []
    for kind, mask in kinds.items():
        if mask.any():
            rings = [rings_of(part) for part in _outlines(mask, grid)]
            found += [{"kind": kind, "rings": rings}] if rings else []
    return found


def never_seen(looks: Sequence[Look], baseline: frozenset[str], area: BaseGeometry, grid: Grid) -> float | None:
    """Return the share of `area` that is clear on no look after the baseline; None where there is no such look."""
    later = [look for look in looks if look.used and look.scene_id not in baseline]
    if not later:
        return None
    side = (min(grid.shape[0], MASK_PX), min(grid.shape[1], MASK_PX))
    seen = np.zeros(side, bool)
    for look in later:
        valid = is_valid(_thinned(look)[1])
        clear = cv2.resize(valid.astype(np.float32), side[::-1], interpolation=cv2.INTER_AREA)
        seen |= clear >= 1 - _MOSTLY
    cells = _cells(grid, grid.shape[1] * grid.gsd_m / side[1], grid.shape[0] * grid.gsd_m / side[0])
    inside = geometry_mask([area], side, cells, invert=True, all_touched=True)
    return float((~seen & inside).sum() / max(inside.sum(), 1))


def _thinned(look: Look) -> tuple[Grid, NDArray[np.uint16]]:
    """Return the quality of a look, of a large one every so many pixels: a hatch needs no more, memory would."""
    step = max(1, max(look.grid.shape) // _THIN_PX)
    if step == 1:
        return look.grid, look.quality
    quality = np.ascontiguousarray(look.quality[step // 2 :: step, step // 2 :: step])
    grid = replace(look.grid, transform=look.grid.transform @ Affine.scale(step), shape=quality.shape)
    return grid, quality


def rings_of(polygon: BaseGeometry) -> list[list[list[float]]]:
    """Return the rings of a polygon, the exterior first, to the decimetre."""
    return [
        [[round(float(x), 1), round(float(y), 1)] for x, y in np.asarray(ring.coords)[:-1, :2]]
        for ring in (polygon.exterior, *polygon.interiors)
    ]


def _cells(grid: Grid, width_m: float, height_m: float) -> Affine:
    return Affine(width_m, 0.0, grid.transform.c, 0.0, -height_m, grid.transform.f)


def _outlines(mask: NDArray[np.bool_], grid: Grid) -> list[BaseGeometry]:
    step = max(1, math.ceil(max(mask.shape) / MASK_PX))
    rows, cols = (math.ceil(n / step) for n in mask.shape)
    padded = np.zeros((rows * step, cols * step), np.float32)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    coarse = padded.reshape(rows, step, cols, step).mean(axis=(1, 3)) >= _MOSTLY
    transform = _cells(grid, step * grid.gsd_m, step * grid.gsd_m)
    made = [shape(geometry) for geometry, _ in shapes(coarse.astype(np.uint8), coarse, transform=transform)]
    smooth = [part.simplify(step * grid.gsd_m) for part in made]
    return [part for part in smooth if part.geom_type == "Polygon" and not part.is_empty]

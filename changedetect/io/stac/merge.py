"""Masks of the tiles of one look as one mask: a tile says nothing of what it does not show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.warp import reproject, transform_bounds

from changedetect.io.files import open_raster
from changedetect.io.masks import fits
from changedetect.io.stac.windows import shifted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from affine import Affine
    from numpy.typing import NDArray

    from changedetect.io.sensors import MaskKind


def merge_masks(paths: Sequence[str], kind: MaskKind, target: Path) -> str:
    """Return the path of one mask made of those of several tiles, on the pixels of the first; earlier tiles win.

    Where none of them says anything it says so too, if its kind has a number for that. Tiles in another reference
    system are brought over by nearest neighbour: off by up to half a mask's pixel, of which clouds are grown by more.
    """
    if len(set(paths)) == 1:
        return paths[0]
    with open_raster(paths[0]) as first:
        crs, base, count, dtype = first.crs, first.transform, first.count, first.dtypes[0]
    left, top, right, bottom = _extent(paths, crs, base)
    transform = shifted(base, left, top)
    whole = np.zeros((count, bottom - top, right - left), dtype)
    empty = [rule for rule in kind.rules if rule.quality == "nodata"]
    for rule in empty:
        whole[rule.band - 1] = _number(rule)
    said = np.zeros(whole.shape[1:], bool)
    for path in paths:
        part, covered = _brought(path, crs, transform, whole)
        for rule in empty:
            covered &= ~fits(part[rule.band - 1], rule)
        fresh = covered & ~said
        whole[:, fresh] = part[:, fresh]
        said |= fresh
    target.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(target, "w", driver="GTiff", width=right - left, height=bottom - top, count=count, dtype=dtype,
                       crs=crs, transform=transform, tiled=True, compress="deflate") as out:  # fmt: skip
        out.write(whole)
    return str(target)


def _extent(paths: Sequence[str], crs: Any, base: Affine) -> tuple[int, int, int, int]:
    """Return the pixels of the first tile's lattice that all tiles lie in: left, top, right, bottom."""
    spots = []
    for path in paths:
        with open_raster(path) as tile:
            bounds = tile.bounds if tile.crs == crs else transform_bounds(tile.crs, crs, *tile.bounds)
        x, y = np.array([(x, y) for x in (bounds[0], bounds[2]) for y in (bounds[1], bounds[3])]).T
        a, b, c, d, e, f = tuple(~base)[:6]
        spots += list(zip(np.round(a * x + b * y + c, 3), np.round(d * x + e * y + f, 3), strict=True))
    cols, rows = np.array(spots).T
    return (int(np.floor(cols.min())), int(np.floor(rows.min())), int(np.ceil(cols.max())), int(np.ceil(rows.max())))


def _brought(path: str, crs: Any, transform: Affine, like: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a tile's numbers on the whole's pixels, and where it has any."""
    part, there = np.zeros_like(like), np.zeros(like.shape[1:], np.uint8)
    with open_raster(path) as tile:
        numbers = tile.read()
        places = {"src_transform": tile.transform, "src_crs": tile.crs, "dst_transform": transform, "dst_crs": crs}
        reproject(numbers, part, resampling=Resampling.nearest, **places)
        ones = np.ones(numbers.shape[1:], np.uint8)
        reproject(ones, there, resampling=Resampling.nearest, **places)
    return part, there > 0


def _number(rule: Any) -> int:
    """Return a number that fits a rule."""
    if rule.values is not None:
        return int(rule.values[0])
    return 1 << rule.bit if rule.bit is not None else int(rule.other_than) + 1

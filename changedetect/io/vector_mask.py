"""Masks drawn as outlines (GML, GeoPackage, GeoJSON, shapefile), as some makers deliver clouds."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from rasterio.features import rasterize

from changedetect.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.grid import Grid
    from changedetect.core.results import Warp

VECTOR_ENDS = (".gml", ".gpkg", ".geojson", ".shp")
"""Ends of the names of masks that hold outlines instead of pixels."""


def is_vector(path: str) -> bool:
    """Return whether a mask's name says that it holds outlines."""
    return path.lower().endswith(VECTOR_ENDS)


def draw_outlines(path: str, grid: Grid, warp: Warp | None, crs: str) -> NDArray[np.uint8]:
    """Return 1 inside a mask's outlines and 0 elsewhere, (row, col) uint8, on a grid displaced by `warp`.

    `crs` is assumed where the file names no reference system.

    Raises
    ------
    DataError
        The file is missing or holds no outlines that can be read.
    """
    shapes = [shape for shape in _outlines(path, crs, grid.crs, Path(path).stat().st_mtime_ns if Path(path).is_file()
                                           else 0) if not shape.is_empty]  # fmt: skip
    if not shapes:
        return np.zeros(grid.shape, np.uint8)
    drawn = np.asarray(rasterize(shapes, out_shape=grid.shape, transform=grid.transform, all_touched=True), np.uint8)
    if warp is None or warp.grid is None:
        return drawn
    shift = warp.displacement_px(grid)
    rows, cols = np.mgrid[: grid.shape[0], : grid.shape[1]].astype(np.float32)
    return np.asarray(cv2.remap(drawn, cols + shift[1], rows + shift[0], cv2.INTER_NEAREST), np.uint8)


@lru_cache(maxsize=64)
def _outlines(path: str, crs: str, target: str, stamp: int) -> tuple[BaseGeometry, ...]:
    import geopandas as gpd  # both are slow to import, and few masks are outlines
    from pyogrio.errors import DataLayerError, DataSourceError

    del stamp  # part of the key only: a changed file is read again
    if not Path(path).is_file():
        raise DataError("no such file", where=path)
    if _is_empty_gml(path):
        return ()
    try:
        frame = gpd.read_file(path)
    except (DataSourceError, DataLayerError, OSError, ValueError, IndexError) as err:
        raise DataError("the mask cannot be read as outlines", where=path, found=str(err)[:120]) from err
    if "geometry" not in frame or frame.geometry.isna().all():
        return ()
    shapes = frame.geometry.dropna()
    shapes = shapes.set_crs(crs) if shapes.crs is None else shapes
    return tuple(shapes.to_crs(target))


def _is_empty_gml(path: str) -> bool:
    """Return whether a GML mask is one without any feature: a clear scene's, in which OGR finds no layer."""
    if not path.lower().endswith(".gml"):
        return False
    head = Path(path).read_text(encoding="utf-8", errors="replace")[:200_000]
    return "<" in head and "posList" not in head and "coordinates" not in head

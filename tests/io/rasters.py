"""Files for tests: written small, some storing their own position."""

from datetime import UTC, datetime

import numpy as np
import rasterio
from affine import Affine
from shapely.geometry import box

from changedetect.core.grid import Grid
from changedetect.core.scene import Asset, Scene
from changedetect.io.place import transform_points

UTM = "EPSG:32652"
X0, Y0 = 700_000.0, 4_850_000.0


def write_raster(path, data, crs=UTM, transform=None, **profile):
    data = np.asarray(data)
    data = data if data.ndim == 3 else data[None]
    count, rows, cols = data.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=rows, width=cols, dtype=data.dtype, crs=crs,
        transform=transform, **profile,
    ) as dst:  # fmt: skip
        dst.write(data)
    return str(path)


def coordinate_image(path, shape, transform, crs=UTM):
    """Write a file whose two bands are map x and y in UTM relative to (X0, Y0), metres, at pixel centres."""
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    x = transform.a * cols + transform.b * rows + transform.c
    y = transform.d * cols + transform.e * rows + transform.f
    x, y = transform_points(crs, UTM, x, y)
    return write_raster(path, np.stack([x - X0, y - Y0]).astype(np.float32), crs, transform)


def make_scene(path, bands=("x", "y"), unit="dn", masks=(), crs=None, **asset):
    paths = (path,) if isinstance(path, str) else tuple(path)
    assets = tuple(Asset(band, paths, i + 1, **asset) for i, band in enumerate(bands))
    return Scene("s", datetime(2024, 9, 1, tzinfo=UTC), assets, 3.0, box(0, 0, 1, 1), unit=unit, masks=masks, crs=crs)


def grid_at(dx=0.0, dy=0.0, gsd_m=3.0, shape=(60, 70)):
    return Grid(UTM, Affine(gsd_m, 0, X0 + dx, 0, -gsd_m, Y0 + dy), shape)

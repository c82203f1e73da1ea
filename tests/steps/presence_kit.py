"""Small scenes by hand for the classes that come and go."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
from affine import Affine
from rasterio.features import rasterize
from shapely import affinity
from shapely.geometry import Polygon, box
from shapely.ops import unary_union

from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.core.results import Baseline

BANDS = ("blue", "green", "red", "nir")
WATER = (0.045, 0.05, 0.035, 0.014)
CONCRETE = (0.19, 0.22, 0.24, 0.27)
GRASS = (0.03, 0.06, 0.04, 0.35)
HULL = (0.10, 0.11, 0.16, 0.20)
WHITE = (0.46, 0.48, 0.49, 0.50)


def grid(gsd_m: float = 3.0, px: int = 100) -> Grid:
    return Grid("EPSG:32652", Affine(gsd_m, 0.0, 0.0, 0.0, -gsd_m, px * gsd_m), (px, px))


def paint(on: Grid, *layers, rng=None, bands=BANDS) -> np.ndarray:
    """(band, row, col) of (geometry or None for all, colour) painted in turn, with 2 % noise."""
    fine = 4
    parts = Grid(on.crs, on.transform @ Affine.scale(1 / fine), (on.shape[0] * fine, on.shape[1] * fine))
    image = np.zeros((len(BANDS), *on.shape))
    for geometry, colour in layers:
        share = np.ones(on.shape)
        if geometry is not None:
            mask = rasterize([geometry], parts.shape, transform=parts.transform)
            share = mask.reshape(on.shape[0], fine, on.shape[1], fine).mean(axis=(1, 3))
        image += (np.asarray(colour)[:, None, None] - image) * share
    rng = rng or np.random.default_rng(5)
    image *= 1 + 0.02 * rng.standard_normal(image.shape)
    return image[[BANDS.index(name) for name in bands]].astype(np.float32)


def pair(on: Grid, before: np.ndarray, after: np.ndarray, bands=BANDS) -> tuple[Raster, Baseline]:
    looks = np.ones(on.shape, np.uint16)
    baseline = Baseline(before, np.zeros_like(before), looks, on, tuple(bands), "reflectance")
    return Raster.make(after, on, bands, "reflectance"), baseline


def outlines(*geometries) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"score": [9.0] * len(geometries)}, geometry=list(geometries), crs="EPSG:32652")


def hull(x: float, y: float, length_m: float, width_m: float, turn_deg: float = 0.0) -> Polygon:
    """A hull about (x, y), its bow along x turned anticlockwise."""
    a, b = length_m / 2, width_m / 2
    shape = Polygon([(a, 0), (0.7 * a, b), (-a, b), (-a, -b), (0.7 * a, -b)])
    return affinity.translate(affinity.rotate(shape, turn_deg, origin=(0, 0)), x, y)


def airframe(x: float, y: float, length_m: float = 46.0, span_m: float = 50.0, turn_deg: float = 0.0):
    """A transport aircraft about (x, y), nose along y before it is turned."""
    body = box(-2.6, -length_m / 2, 2.6, length_m / 2)
    right = Polygon([(0, 8), (span_m / 2, -4), (span_m / 2, -8), (0, -2)])
    tail = Polygon([(0, -16), (9, -21), (9, -23.5), (0, -22)])
    shape = unary_union([body, *(affinity.scale(part, s, 1, origin=(0, 0)) for part in (right, tail) for s in (1, -1))])
    return affinity.translate(affinity.rotate(shape, turn_deg, origin=(0, 0)), x, y)

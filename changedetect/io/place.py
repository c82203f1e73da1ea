"""Place: where a raster file's pixels lie on the ground, in both directions."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import ProjError
from rasterio.transform import GCPTransformer, RPCTransformer
from shapely.affinity import translate
from shapely.geometry import Polygon, box
from shapely.ops import unary_union

from changedetect.errors import DataError
from changedetect.io.files import GDAL_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.io.files import Header

Points = tuple["NDArray[np.float64]", "NDArray[np.float64]"]

WGS84 = "EPSG:4326"


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Pixel (col, row), corner convention, to map (x, y) and back: an affine, ground control points, or an RPC."""

    path: str
    crs: str
    shape: tuple[int, int]
    """(rows, cols)."""
    transform: Affine | None = None
    gcps: tuple[Any, ...] = ()
    rpcs: Any = None

    def to_map(self, col: NDArray[np.float64], row: NDArray[np.float64]) -> Points:
        """Return map x and y of pixel positions (corner convention: a first pixel's centre is 0.5, 0.5)."""
        if self.transform is not None:
            a, b, c, d, e, f = tuple(self.transform)[:6]
            return a * col + b * row + c, d * col + e * row + f
        with self._along() as along:
            x, y = along.xy(row.ravel(), col.ravel(), offset="ul")
        return np.asarray(x, float).reshape(col.shape), np.asarray(y, float).reshape(col.shape)

    def to_pixel(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> Points:
        """Return (col, row) of map positions, fractional, corner convention; not finite where there is none."""
        if self.transform is not None:
            a, b, c, d, e, f = tuple(~self.transform)[:6]
            return a * x + b * y + c, d * x + e * y + f
        with self._along() as along:
            row, col = along.rowcol(x.ravel(), y.ravel(), op=np.positive)
        return np.asarray(col, float).reshape(x.shape), np.asarray(row, float).reshape(x.shape)

    def unwrap(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return longitudes in the turn of the globe the file uses; x of projected files unchanged."""
        if not _known(self.crs).is_geographic or self.transform is None:
            return x
        rows, cols = self.shape
        middle, _ = self.to_map(np.array(cols / 2), np.array(rows / 2))
        return np.where(np.isfinite(x), x + 360 * np.rint((middle - x) / 360), x)

    @contextmanager
    def _along(self) -> Iterator[Any]:
        try:
            # Without terrain the RPC is evaluated at its own mean height.
            points, height = list(self.gcps), {"RPC_HEIGHT": str(self.rpcs.height_off)} if self.rpcs else {}
            with GCPTransformer(points) if points else RPCTransformer(self.rpcs, **height) as along:
                yield along
        except (*GDAL_ERRORS, ValueError) as err:
            raise DataError("its control points or RPC cannot be used", where=self.path, found=str(err)[:120]) from err

    def lonlat(self, col: NDArray[np.float64], row: NDArray[np.float64]) -> Points:
        """Return WGS 84 longitude and latitude, degrees, of pixel positions."""
        x, y = self.to_map(col, row)
        return transform_points(self.crs, WGS84, x, y)

    @property
    def gsd_m(self) -> float:
        """Geometric mean of the pixel's two sides at the middle of the file, metres."""
        reference = _crs(self.crs, self.path)
        if self.transform is not None and reference.is_projected:
            unit_m = reference.axis_info[0].unit_conversion_factor
            nominal = math.sqrt(abs(self.transform.determinant)) * unit_m
        else:
            nominal = 0.0
        rows, cols = self.shape
        col = np.array([cols / 2 - 0.5, cols / 2 + 0.5, cols / 2, cols / 2])
        row = np.array([rows / 2, rows / 2, rows / 2 - 0.5, rows / 2 + 0.5])
        lon, lat = self.lonlat(col, row)
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            raise DataError("its georeference leads nowhere on Earth", where=self.path, found=self.crs[:80])
        _, _, sides = Geod(ellps="WGS84").inv(lon[::2], lat[::2], lon[1::2], lat[1::2])
        actual = math.sqrt(max(float(sides[0] * sides[1]), 0.0))
        if not 1e-3 < actual < 1e6:
            raise DataError("its pixels have no sensible size", where=self.path, found=f"{actual:g} m")
        # A map scale within 1 % of true is the projection's own; keep the product's round number.
        return nominal if abs(nominal / actual - 1) < 0.01 else actual

    @property
    def footprint(self) -> BaseGeometry:
        """Outline in WGS 84 lon/lat; split where it crosses the antimeridian."""
        rows, cols = self.shape
        t = np.linspace(0, 1, 9)[:-1]
        col = np.concatenate([t * cols, np.full(8, cols), (1 - t) * cols, np.zeros(8)])
        row = np.concatenate([np.zeros(8), t * rows, np.full(8, rows), (1 - t) * rows])
        lon, lat = self.lonlat(col.astype(float), row.astype(float))
        finite = np.isfinite(lon) & np.isfinite(lat)
        if finite.sum() < 4:
            raise DataError("its georeference leads nowhere on Earth", where=self.path, found=self.crs[:80])
        lon, lat = lon[finite], lat[finite]
        if np.ptp(lon) > 180:
            outline = Polygon(zip(np.where(lon < 0, lon + 360, lon), lat, strict=True)).buffer(0)
            west = translate(outline.intersection(box(180, -90, 540, 90)), -360)
            return unary_union([outline.intersection(box(-180, -90, 180, 90)), west])
        return Polygon(zip(lon, lat, strict=True)).buffer(0)


def place_of(header: Header, crs: str | None = None, transform: Sequence[float] | None = None) -> Place:
    """Return where a file's pixels lie; `crs` and `transform` (six numbers) are assumed where the file carries none.

    Raises
    ------
    DataError
        The file has no reference system or no transform, control points or RPC: names what to add.
    """
    own = header.transform or (Affine(*transform) if transform is not None and not header.gcps else None)
    if own is None and not header.gcps and header.rpcs is None:
        raise DataError(
            "has no place on the map: no geotransform, control points or RPC",
            where=header.path,
            hint="add a world file (.tfw, .pgw) beside it, list it with `gcps:`, or georeference it",
        )
    rpcs = header.rpcs if own is None else None
    given = crs if own is not header.transform else None
    reference = WGS84 if rpcs is not None and not header.gcps else given or header.crs or crs
    if reference is None:
        raise DataError(
            "has no reference system", where=header.path, hint="add `crs: EPSG:...` to the scene, or a .prj beside it"
        )
    _crs(reference, header.path)
    return Place(header.path, reference, header.shape, own, header.gcps, rpcs)


@lru_cache(maxsize=64)
def _known(text: str) -> CRS:
    return CRS.from_user_input(text)


def _crs(text: str, path: str) -> CRS:
    try:
        found = _known(text)
    except ProjError as err:
        raise DataError("reference system not understood", where=path, found=text[:80]) from err
    if not (found.is_geographic or found.is_projected or found.is_compound or found.is_bound):
        raise DataError("reference system is tied to no place on Earth", where=path, found=text[:80])
    return found


def transform_points(source: str, target: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> Points:
    """Return positions given in `source` expressed in `target`, x before y; inf where there is none."""
    if source == target:
        return x, y
    try:
        # Made anew: transformers must not be shared between threads.
        along = Transformer.from_crs(_known(source), _known(target), always_xy=True)
        u, v = along.transform(x, y)
    except ProjError as err:
        raise DataError("reference systems cannot be converted", found=f"{source[:60]} to {target[:60]}") from err
    return np.asarray(u, float), np.asarray(v, float)

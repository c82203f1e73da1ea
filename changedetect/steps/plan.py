"""Plan the grid: one projected grid in metres for the AOI, before a pixel is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely import union_all
from shapely.geometry.base import BaseGeometry

from changedetect.core.aoi import Aoi
from changedetect.core.geometry import to_crs
from changedetect.core.grid import Grid
from changedetect.core.scene import Scene
from changedetect.errors import ConfigError, DataError, NothingToDoError


@dataclass(frozen=True, slots=True)
class GridParams:
    """The working grid."""

    gsd_m: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Pixel size in metres; None takes the finest of the scenes."""
    crs: str | None = None
    """A projected reference system in metres, for example EPSG:32652; None takes the UTM zone of the AOI."""
    halo_m: Annotated[float, Field(ge=0, le=5000)] = 30.0
    """Ground read beyond the AOI, so that filters and registration see past its edge."""
    max_pixels: Annotated[int, Field(gt=0)] = 4_000_000_000
    """Largest grid that is attempted, whatever the disk."""
    sheet_px: Annotated[int, Field(ge=256, le=8192)] = 1152
    """Longest side of the parts a larger grid is worked in: memory goes with its square, and what one scene's light and
    season do to the ground is learned anew on each."""
    sheet_margin_m: Annotated[float, Field(ge=0, le=2000)] = 64.0
    """Ground around a part that is worked on too, so that what lies at its edge is seen entire: the longest shadow,
    most of a trench."""
    sheet_margin_min_px: Annotated[int, Field(ge=0, le=512)] = 64
    """At least this many pixels: filters reach up to 66 of them."""


def plan_grid(aoi: Aoi, scenes: Sequence[Scene], params: GridParams | None = None) -> Grid:
    """Return the grid of the part of the AOI that scenes cover, plus a halo.

    Raises
    ------
    NothingToDoError
        No scene covers any of the AOI.
    ConfigError
        `grid.crs` is unknown or not in metres.
    DataError
        The grid would be larger than `max_pixels`.
    """
    params = params or GridParams()
    crs = _projected(params.crs, aoi.geometry)
    covered = to_crs(aoi.geometry.intersection(union_all([scene.footprint for scene in scenes])), crs)
    if covered.area == 0:
        raise NothingToDoError(
            "no scene covers the AOI",
            where=aoi.name,
            found=f"{len(scenes)} scenes within {_degrees(union_all([s.footprint for s in scenes]).bounds)}",
            needed=_degrees(aoi.geometry.bounds),
        )
    gsd_m = params.gsd_m or round(min(scene.gsd_m for scene in scenes), 2)
    left, bottom, right, top = covered.bounds
    halo = params.halo_m
    pixels = (right - left + 2 * halo) * (top - bottom + 2 * halo) / gsd_m**2
    if pixels > params.max_pixels:
        raise DataError(
            "the AOI is too large for one grid",
            where=aoi.name,
            found=f"{pixels / 1e6:.0f} million pixels of {gsd_m:g} m",
            needed=f"at most {params.max_pixels / 1e6:.0f} million",
            hint=f"a smaller geometry or --set grid.gsd_m={gsd_m * 2:g}",
        )
    return Grid.from_bounds(crs, (left - halo, bottom - halo, right + halo, top + halo), gsd_m)


def _projected(crs: str | None, geometry: BaseGeometry) -> str:
    if crs is None:
        return _utm_zone(geometry)
    try:
        parsed = CRS.from_user_input(crs)
    except CRSError:
        raise ConfigError("is not a known reference system", where="grid.crs", found=crs) from None
    if not parsed.is_projected or any(axis.unit_name != "metre" for axis in parsed.axis_info):
        raise ConfigError("must be projected, in metres", where="grid.crs", found=crs, hint="EPSG:32652 (a UTM zone)")
    return crs


def _utm_zone(geometry: BaseGeometry) -> str:
    """Return the UTM zone of the middle of a WGS 84 geometry, on the border of two the western one.

    Worked out: asking PROJ's database takes a tenth of a second.
    """
    left, bottom, right, top = geometry.bounds
    zone = min(max(math.ceil(((left + right) / 2 + 180) / 6), 1), 60)
    return f"EPSG:{(32600 if bottom + top >= 0 else 32700) + zone}"


def _degrees(bounds: tuple[float, float, float, float]) -> str:
    return "lon {0:.4f} to {2:.4f}, lat {1:.4f} to {3:.4f}".format(*bounds)

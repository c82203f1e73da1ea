"""Scene: one acquisition's product, as metadata only; never pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True, slots=True)
class Asset:
    """Where one band of a scene is stored and how its numbers become values."""

    band: str
    """Standard band name."""
    paths: tuple[str, ...]
    """One file, or the tiles of a mosaic (earlier ones win where they overlap)."""
    index: int = 1
    """1-based band number in each file."""
    scale: float = 1.0
    offset: float = 0.0
    """value = number * scale + offset."""
    nodata: float | None = None
    """Overrides the file's own no-data number."""
    transform: tuple[float, ...] | None = None
    """Pixel (col, row) to map, six numbers (GDAL's corner convention), where the files carry no place of their own."""


@dataclass(frozen=True, slots=True)
class MaskSource:
    """Where a scene's quality comes from, beside its own no-data, alpha and internal masks."""

    path: str
    kind: str = "nonzero"
    """A mask meaning from configs/sensors.yaml (scl, udm2, qa_pixel, ...); `nonzero`: anything but 0 is unusable."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One acquisition's product."""

    id: str
    """Unique in its series; file stem or product name."""
    acquired: datetime
    """UTC, timezone-aware."""
    assets: tuple[Asset, ...]
    gsd_m: float
    """Nominal ground sample distance in metres (of the finest asset)."""
    footprint: BaseGeometry
    """Outline in WGS 84 lon/lat."""
    sensor: str | None = None
    """A name from configs/sensors.yaml."""
    unit: str = "dn"
    """reflectance, radiance, display, dn; radar: sigma0 (linear power), amplitude, db."""
    masks: tuple[MaskSource, ...] = ()
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    view_azimuth_deg: float | None = None
    off_nadir_deg: float | None = None
    simulated: bool = False
    crs: str | None = None
    """Reference system to assume where the files carry none."""
    relative_orbit: int | None = None
    """Number of the repeated ground track."""
    orbit_state: str | None = None
    """ascending or descending."""
    look_side: str | None = None
    """left or right of the flight, for radar."""
    is_placed: bool = True
    """False where nothing ties it to the ground: its maker says so, or a hand placed it."""
    is_approximate: bool = False
    """True where a hand placed it on the map by control points: what is found in it is nowhere exactly."""
    cautions: tuple[str, ...] = ()
    """What readers of results should know about it, a sentence each."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Standard names of the bands at hand."""
        return tuple(asset.band for asset in self.assets)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file the scene needs, masks included, without repeats."""
        files = [path for asset in self.assets for path in asset.paths] + [mask.path for mask in self.masks]
        return tuple(dict.fromkeys(files))

"""Where the farmland lies, and when it is looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import Transformer

from changedetect.errors import ConfigError
from changedetect.simulate.plan import ZonePlan
from changedetect.simulate.square import Square

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.aoi import Aoi
    from changedetect.simulate.params import SimulateParams

OVERHANG_PX = 12
"""Scenes reach past the simulated square by about this much on each side."""


@dataclass(frozen=True, slots=True)
class Place(Square):
    """A square of ground: local metres run east (x) and south (y) from its top-left corner."""

    gsd_m: float
    """Of the finest sensor."""
    cell_m: float
    """Side of a cell of the world."""
    margin_m: float
    """The world reaches past the square by this much."""
    lon_deg: float
    lat_deg: float

    @property
    def cells(self) -> int:
        """Cells on a side of the world, margins included."""
        return round((self.size_m + 2 * self.margin_m) / self.cell_m)

    @property
    def reach_m(self) -> float:
        """How far past the square the land is laid out: in coarse steps, so that most pixel sizes see one land."""
        return 120.0 * math.ceil(self.margin_m / 120.0)

    def to_cells(self, xy_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return world coordinates (col, row), corner convention, of local metres."""
        return (np.asarray(xy_m, np.float64) + self.margin_m) / self.cell_m


def locate(aoi: Aoi, params: SimulateParams, coarsest_m: float) -> tuple[Place, list[ZonePlan]]:
    """Return the square about the zones (else the middle) of an area of interest, and its zones in local metres."""
    size_m, gsd_m = params.size_m or 512.0, params.gsd_m or 0.5
    shapes = [zone.geometry for zone in aoi.zones]
    centre = shapely.union_all(shapes).envelope.centroid if shapes else aoi.geometry.centroid
    epsg = (32600 if centre.y >= 0 else 32700) + min(int((centre.x + 180) // 6) + 1, 60)
    x, y = Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True).transform(centre.x, centre.y)
    left, top = math.floor(x - size_m / 2), math.floor(y + size_m / 2)
    cell_m = gsd_m / (2.0 if gsd_m < 0.75 else 2.5)
    reach_px = OVERHANG_PX + 8 + 1.6 * (params.shift_px or 3.0) + 2 * params.warp_px
    margin_m = math.ceil(reach_px * coarsest_m / cell_m) * cell_m
    place = Place(f"EPSG:{epsg}", float(left), float(top), size_m, gsd_m, cell_m, margin_m, centre.x, centre.y)
    zones = []
    for zone in aoi.zones:
        inside = place.from_wgs84(zone.geometry).intersection(place.extent)
        if inside.area > 4 * gsd_m**2:
            zones.append(ZonePlan(zone.name, inside, zone.targets))
    return place, zones


@dataclass(frozen=True, slots=True)
class Calendar:
    """A story's own days, stretched to the dates asked for."""

    days: tuple[datetime, ...]
    start: datetime
    end: datetime

    def at(self, day: datetime) -> datetime:
        """Return when something of the story's own calendar happens."""
        first, last = self.days[0], self.days[-1]
        return self.start + (day - first) * ((self.end - self.start) / (last - first))


def make_calendar(params: SimulateParams, days: tuple[datetime, ...]) -> Calendar:
    """Return the calendar of a story between the dates of `params`.

    Raises
    ------
    ConfigError
        A date cannot be read, or the last does not come after the first.
    """
    start, end = (_parse(text, day) for text, day in ((params.start, days[0]), (params.end, days[-1])))
    if end <= start:
        raise ConfigError("a simulated series must end after it starts", found=f"{start:%Y-%m-%d} to {end:%Y-%m-%d}")
    return Calendar(days, start, end)


def _parse(text: str | None, default: datetime) -> datetime:
    if text is None:
        return default
    try:
        return datetime.strptime(text[:10], "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError("a simulated series needs dates as YYYY-MM-DD", found=text) from None


def pick_days(params: SimulateParams, n: int) -> list[int]:
    """Return which of a story's `n` days are looked at when fewer are asked for."""
    wanted = min(params.n_scenes or n, n)
    return [int(i) for i in np.unique(np.linspace(0, n - 1, wanted).round().astype(int))]


def draw_moment(rng: np.random.Generator, day: datetime, lon_deg: float) -> datetime:
    """Return a time of day: between ten and a quarter to twelve by the sun, another at every look."""
    solar_hours = float(rng.uniform(10.0, 11.75))
    utc = solar_hours - lon_deg / 15.0
    midnight = day.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(seconds=round(3600 * (utc % 24.0)))

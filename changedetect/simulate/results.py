"""What a simulation hands back, whichever world it shows: scenes, truth and true counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
from shapely.geometry import Point

from changedetect.core.tables import TIME, TRUTH_COLUMNS
from changedetect.simulate.plan import sample_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from affine import Affine
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.aoi import Aoi
    from changedetect.core.grid import Grid
    from changedetect.simulate.params import SimulateParams
    from changedetect.simulate.plan import TruthItem, ZonePlan

BANDS = ("blue", "green", "red", "nir")
SENSOR = "simulated"
SCALE = 1e-4
"""Reflectance per digital number."""
NODATA = 0


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedScene:
    """One simulated acquisition; its pixels are made when asked for."""

    id: str
    acquired: datetime
    """UTC."""
    gsd_m: float
    sun_azimuth_deg: float
    sun_elevation_deg: float
    off_nadir_deg: float
    view_azimuth_deg: float
    """Direction in which the sensor stands, clockwise from north."""
    cloud_fraction: float
    """True share of the simulated square that cloud and its shadow hide."""
    grid: Grid
    """The scene's own grid."""
    index: int
    draw: Callable[[], tuple[NDArray[np.uint16], NDArray[np.uint8]]] = field(repr=False)
    """Returns the pixels and the product's mask."""
    displace: Callable[[Grid], NDArray[np.float32]] = field(repr=False)
    """Returns the true displacement on a grid."""
    sensor: str = SENSOR
    bands: tuple[str, ...] = BANDS
    scale: float = SCALE
    nodata: int = NODATA

    @property
    def angles(self) -> dict[str, float]:
        """Sun and view angles in degrees, by the keys of an AOI file's scenes."""
        names = ("sun_azimuth_deg", "sun_elevation_deg", "off_nadir_deg", "view_azimuth_deg")
        return {name: getattr(self, name) for name in names}

    def render(self) -> tuple[NDArray[np.uint16], NDArray[np.uint8], Affine, str]:
        """Return (dn, mask, transform, crs): uint16 (band, row, col), reflectance x 10,000, and uint8 (row, col).

        The mask is what a product would say: 0 clear, 1 cloud, 2 shadow of a cloud, imperfect at the rims.
        """
        numbers, mask = self.draw()
        return numbers, mask, self.grid.transform, self.grid.crs

    def true_displacement_px(self, grid: Grid) -> NDArray[np.float32]:
        """Return the true u of `core.results.Warp` on `grid`, (2, row, col) float32 pixels; reference: first scene."""
        return self.displace(grid)

    @property
    def true_shift_m(self) -> tuple[float, float]:
        """Metres east and north that bring the scene onto the first one, at the middle of its grid."""
        row, col = (n // 2 for n in self.grid.shape)
        middle = self.grid.crop(slice(row, row + 1), slice(col, col + 1))
        down, right = (float(u) * self.gsd_m for u in self.displace(middle)[:, 0, 0])
        return 0.0 - right, down


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """Scenes of a place that never was, and everything true about it."""

    aoi: Aoi
    """The given AOI over the simulated square, with its zones, targets and baseline set as the scenario needs."""
    params: SimulateParams
    """As used, defaults filled in."""
    truth: gpd.GeoDataFrame
    """WGS 84: class, status, start, end, zone, count, area_m2, length_m, width_m, orientation_deg, geometry."""
    activity: pd.DataFrame
    """datetime, scene_id, zone, class, count, visible, hidden_fraction: one row per scene, zone and class."""
    scenes: Sequence[SimulatedScene]
    """Sorted by time."""


def tabulate_truth(
    truth: list[TruthItem], to_wgs84: Callable[[BaseGeometry], BaseGeometry], zones: list[ZonePlan]
) -> gpd.GeoDataFrame:
    """Return true changes as a table, in order of time; `to_wgs84` turns local metres into lon/lat."""
    rows = []
    for item in sorted(truth, key=lambda entry: (entry.start, entry.target, entry.geometry.centroid.coords[0])):
        length, width, orientation = measure_shape(item.geometry)
        rows.append(
            {
                "class": item.target,
                "status": item.status,
                "start": item.start,
                "end": item.end,
                "zone": find_zone(item.geometry, zones),
                "count": item.count,
                "area_m2": round(item.geometry.area, 2),
                "length_m": round(item.length_m if item.length_m is not None else length, 2),
                "width_m": round(width if item.length_m is None else item.geometry.area / item.length_m, 2),
                "orientation_deg": round(orientation, 1),
                "geometry": to_wgs84(item.geometry),
            }
        )
    frame = pd.DataFrame(rows, columns=[*TRUTH_COLUMNS, "geometry"])
    for name in ("start", "end"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype(TIME)
    return gpd.GeoDataFrame(frame, geometry="geometry", crs="EPSG:4326")


def measure_shape(shape: BaseGeometry) -> tuple[float, float, float]:
    """Return length, width (metres) and orientation (0-180 clockwise from north) of the minimum rotated rectangle."""
    corners = np.asarray(shape.minimum_rotated_rectangle.exterior.coords)
    sides = corners[1:3] - corners[:2]
    sizes = np.hypot(sides[:, 0], sides[:, 1])
    longer = sides[int(np.argmax(sizes))]
    orientation = np.degrees(np.arctan2(longer[0], -longer[1])) % 180.0
    return float(sizes.max()), float(sizes.min()), float(orientation)


def find_zone(shape: BaseGeometry, zones: list[ZonePlan]) -> str | None:
    """Return the name of the smallest zone that holds the middle of a shape; None outside."""
    middle = _middle(shape)
    holding = [zone for zone in zones if zone.geometry.covers(middle)]
    return min(holding, key=lambda zone: zone.geometry.area).name if holding else None


def _middle(shape: BaseGeometry) -> Point:
    centroid = shape.centroid
    return centroid if shape.covers(centroid) else shape.representative_point()


def tabulate_activity(
    truth: list[TruthItem],
    zones: list[ZonePlan],
    looks: list[tuple[datetime, str]],
    hidden_share: Callable[[int, NDArray[np.float64]], float],
) -> pd.DataFrame:
    """Return true counts per look (acquired, scene id), zone and class.

    `hidden_share` says which share of points (k, 2), local metres, a look cannot see. What has disappeared is not
    there.
    """
    where = [sample_shape(zone.geometry) for zone in zones]
    standing = [item for item in truth if item.status != "disappeared"]
    inside = [[item for item in standing if zone.geometry.covers(_middle(item.geometry))] for zone in zones]
    points = {id(item): sample_shape(item.geometry, 12) for item in standing}
    rows = []
    for index, (acquired, scene_id) in enumerate(looks):
        for zone, spots, items in zip(zones, where, inside, strict=True):
            hidden = round(hidden_share(index, spots), 4)
            for target in (name for name in zone.targets if name != "other"):
                here = [(entry, entry.count_at(acquired)) for entry in items if entry.target == target]
                here = [(entry, n) for entry, n in here if n]
                clear = [n for entry, n in here if hidden_share(index, points[id(entry)]) < 0.5]
                count = sum(n for _, n in here)
                rows.append((acquired, scene_id, zone.name, target, count, sum(clear), hidden))
    columns = ["datetime", "scene_id", "zone", "class", "count", "visible", "hidden_fraction"]
    table = pd.DataFrame(rows, columns=columns)
    table["datetime"] = pd.to_datetime(table["datetime"], utc=True).astype(TIME)
    return table

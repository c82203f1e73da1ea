"""Geometry: WGS 84 shapes brought onto the ground of a grid."""

from __future__ import annotations

from shapely.geometry.base import BaseGeometry


def to_crs(geometry: BaseGeometry, crs: str) -> BaseGeometry:
    """Return a WGS 84 geometry in another reference system."""
    import geopandas as gpd  # slow to import, and asked for late

    moved: BaseGeometry = gpd.GeoSeries([geometry], crs=4326).to_crs(crs).iloc[0]
    return moved

"""AOI files: one YAML file read strictly into an `Aoi`."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from shapely.validation import explain_validity

from changedetect.core.aoi import Aoi, Location, Zone
from changedetect.core.validate import validated
from changedetect.errors import ConfigError
from changedetect.io.yaml_file import load_yaml

Target = Literal["trench", "hut", "vessel", "equipment", "aircraft", "crowd", "other"]

_SLUG = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True)
class ZoneBlock:
    """One of `zones:`, a named part of the place in which activity is counted."""

    name: str
    """1 to 64 of a-z, 0-9 and -; not that of the place or of another zone."""
    geometry: dict[str, Any] | str
    """Like that of the place, which it must touch."""
    targets: tuple[Target, ...] | None = None
    """What is counted there, for example `[vessel]` at a pier; those of the place where none are given."""


@dataclass(frozen=True)
class BaselineBlock:
    """Which scenes show the state that others are compared with."""

    until: str
    """Scenes acquired up to this date, or date and time with zone, are the baseline. Several scenes of the same season
    make a better one; without this block it is the first scene alone."""


@dataclass(frozen=True)
class LocationBlock:
    """How well the place is known; shown in every report."""

    source: str
    """Who says that the place is there, in words."""
    accuracy_m: float | None = None
    """How far off the position may be."""
    verified: bool = False
    """Whether somebody has looked at imagery and found it right."""


@dataclass(frozen=True)
class AoiBlock:
    """An AOI file: one place, what is looked for there, and where its scenes are."""

    name: str
    """1 to 64 of a-z, 0-9 and -; names the output folder."""
    geometry: dict[str, Any] | str
    """The place: a GeoJSON polygon or multipolygon in WGS 84, longitude first, or the path of a vector file."""
    location: LocationBlock
    targets: tuple[Target, ...]
    """What is looked for; `other` is change that fits no named class."""
    title: str = ""
    """Its name as people write it, shown wherever the results are; without it the `name`."""
    zones: tuple[ZoneBlock, ...] = ()
    scenes: None = None
    """Where the imagery is, in one of the forms below; it must be given."""
    baseline: BaselineBlock | None = None
    preset: str | None = None
    """A file of configs/, without its ending; without it the targets choose."""
    settings: dict[str, dict[str, Any]] | None = None
    """Settings that differ from the preset, by step."""


def load_aoi(path: str | Path) -> Aoi:
    """Return the area of interest that a YAML file describes; its settings are validated by `config`.

    Raises
    ------
    ConfigError
        Anything unknown, missing, of a wrong type or out of range, naming file and key.
    """
    path = Path(path)
    data = load_yaml(path)
    where = str(path)
    if not isinstance(data, dict):
        raise ConfigError("an AOI file is a mapping of keys to values", where=where, found=type(data).__name__)
    scenes = data.get("scenes")
    zones = data.get("zones", [])
    for i, zone in enumerate(zones if isinstance(zones, list) else []):
        validated(ZoneBlock, zone, f"{where}: zones[{i}]")
    block = validated(AoiBlock, {**data, "scenes": None}, where)
    if not _SLUG.fullmatch(block.name):
        raise ConfigError(
            "has a wrong value", where=f"{where}: name", found=repr(block.name), needed="1 to 64 of a-z, 0-9 and -"
        )
    if scenes is None:
        raise ConfigError("the key 'scenes' is missing", where=where, hint="scenes: {files: 'imagery/**/*.tif'}")
    geometry = _geometry(block.geometry, path.parent, f"{where}: geometry")
    return Aoi(
        name=block.name,
        title=block.title or block.name,
        location=Location(block.location.source, block.location.accuracy_m, block.location.verified),
        geometry=geometry,
        targets=_targets(block.targets, f"{where}: targets"),
        scenes=scenes,
        zones=_zones(block, geometry, path),
        baseline_until=None if block.baseline is None else end_of(block.baseline.until, f"{where}: baseline.until"),
        preset=block.preset,
        settings={step: dict(values) for step, values in (block.settings or {}).items()},
        base_dir=str(path.parent),
        source_path=where,
    )


def _targets(targets: tuple[str, ...], where: str) -> tuple[str, ...]:
    if not targets:
        raise ConfigError("is empty", where=where, needed="at least one class")
    return tuple(dict.fromkeys(targets))


def _zones(block: AoiBlock, geometry: BaseGeometry, path: Path) -> tuple[Zone, ...]:
    zones: list[Zone] = []
    taken = {block.name}
    for i, zone in enumerate(block.zones):
        where = f"{path}: zones[{i}]"
        if not _SLUG.fullmatch(zone.name) or zone.name in taken:
            raise ConfigError(
                "has a wrong value",
                where=f"{where}.name",
                found=repr(zone.name),
                needed="1 to 64 of a-z, 0-9 and -, not used before",
            )
        taken.add(zone.name)
        outline = _geometry(zone.geometry, path.parent, f"{where}.geometry")
        if not outline.intersects(geometry):
            raise ConfigError("lies outside the AOI", where=f"{where}.geometry", found=zone.name)
        zones.append(Zone(zone.name, outline, _targets(zone.targets or block.targets, f"{where}.targets")))
    return tuple(zones)


def end_of(text: str, where: str) -> dt.datetime:
    """Return an ISO 8601 date (its last microsecond) or date and time, in UTC."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return dt.datetime.combine(dt.date.fromisoformat(text), dt.time.max, dt.UTC)
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            "is not a date", where=where, found=text, needed="2024-09-30 or 2024-09-30T02:20:00Z"
        ) from None
    if moment.tzinfo is None:
        raise ConfigError("needs a time zone", where=where, found=text, hint=f"{text}Z for UTC")
    return moment.astimezone(dt.UTC)


def _geometry(value: dict[str, Any] | str, base_dir: Path, where: str) -> BaseGeometry:
    geometry = _read_vector(base_dir / value, where) if isinstance(value, str) else _from_geojson(value, where)
    if geometry.is_empty or geometry.geom_type not in ("Polygon", "MultiPolygon"):
        raise ConfigError("must be a polygon with an area", where=where, found=geometry.geom_type)
    if not geometry.is_valid:
        raise ConfigError(f"is not a valid polygon: {explain_validity(geometry)}", where=where)
    left, bottom, right, top = geometry.bounds
    if not (-180 <= left <= right <= 180 and -90 <= bottom <= top <= 90):
        raise ConfigError(
            "is not longitude and latitude",
            where=where,
            found=f"x {left:g} to {right:g}, y {bottom:g} to {top:g}",
            needed="WGS 84 degrees, longitude first",
        )
    if right - left > 180:
        raise ConfigError(
            "crosses the antimeridian", where=where, found=f"{left:g} to {right:g}", hint="split it into two AOI files"
        )
    return geometry


def _from_geojson(value: dict[str, Any], where: str) -> BaseGeometry:
    try:
        return shapely.force_2d(shape(value))
    except (KeyError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError):
        raise ConfigError(
            "is not a GeoJSON geometry", where=where, needed="{type: Polygon, coordinates: [[[lon, lat], ...]]}"
        ) from None


def _read_vector(path: Path, where: str) -> BaseGeometry:
    import geopandas as gpd
    from pyogrio.errors import DataSourceError

    if not path.exists():
        raise ConfigError("no such file", where=where, found=str(path))
    try:
        frame = gpd.read_file(path)
    except (DataSourceError, OSError, ValueError):
        raise ConfigError("is not a vector file that can be read", where=where, found=str(path)) from None
    if frame.empty or frame.crs is None:
        raise ConfigError("needs at least one polygon and a reference system", where=where, found=str(path))
    return shapely.force_2d(frame.to_crs(4326).union_all())

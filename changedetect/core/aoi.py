"""Area of interest: the place, its zones, and what is looked for there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from shapely.geometry.base import BaseGeometry

TARGETS = ("trench", "hut", "vessel", "equipment", "aircraft", "crowd", "other")
"""Classes a user may ask for; `other` is change that fits no named class."""

STRUCTURES = ("trench", "hut", "other")
"""Classes that are built: they persist, and are changes against a baseline."""

PRESENCES = ("vessel", "equipment", "aircraft", "crowd")
"""Classes that come and go: being there on one date matters."""

GROUPS = ("equipment", "crowd")
"""Classes reported as groups of items: `count` is the number of items in the group."""


@dataclass(frozen=True, slots=True)
class Location:
    """How well the place is known; shown in every report."""

    source: str
    accuracy_m: float | None = None
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Zone:
    """A named part of an AOI in which activity is counted."""

    name: str
    geometry: BaseGeometry
    """WGS 84 lon/lat."""
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Aoi:
    """An area of interest as its file states it; settings are validated by `config`."""

    name: str
    title: str
    location: Location
    geometry: BaseGeometry
    """WGS 84 lon/lat, polygon or multipolygon."""
    targets: tuple[str, ...]
    scenes: Any
    """The `scenes:` block as plain data; paths in it are absolute or relative to `base_dir`."""
    zones: tuple[Zone, ...] = ()
    baseline_until: datetime | None = None
    """Scenes acquired up to then (UTC) are the baseline; None: the first scene alone."""
    preset: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    base_dir: str = "."
    source_path: str = ""
    """The file it was read from."""

    @property
    def all_zones(self) -> tuple[Zone, ...]:
        """The AOI itself as a zone under its own name, then the named zones."""
        return (Zone(self.name, self.geometry, self.targets), *self.zones)

    @property
    def all_targets(self) -> tuple[str, ...]:
        """Every class asked for in the AOI or one of its zones, in the order of `TARGETS`."""
        wanted = {target for zone in self.all_zones for target in zone.targets}
        return tuple(target for target in TARGETS if target in wanted)

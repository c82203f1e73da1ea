"""Choose: which items are one look at the area: duplicates of an overpass count once, tiles of a day come together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from changedetect.core.times import solar_day
from changedetect.io.dates import parse_time

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from shapely.geometry.base import BaseGeometry

    from changedetect.io.assemble import Draft

_ONE_PASS = timedelta(minutes=10)
"""A satellite is over one place once in about 100 minutes, and crosses a tile in a quarter of one."""

_SAME_GROUND = 0.8
"""Share of both outlines together that they have in common, of two processings of one product; neighbours have less."""

_RADAR = ("sentinel-1", "umbra", "capella")


@dataclass(frozen=True, slots=True)
class Found:
    """An item that may become a scene or a part of one."""

    draft: Draft
    """With addresses for paths."""
    acquired: datetime
    """UTC."""
    outline: BaseGeometry
    """WGS 84."""
    properties: Mapping[str, Any]
    versions: Mapping[str, str]
    """Address to what the catalogue says of the version of what lies there; empty where it says nothing."""

    @property
    def cloud(self) -> float | None:
        """Cloud cover of the whole item as stated, percent."""
        cover = self.properties.get("eo:cloud_cover")
        return float(cover) if isinstance(cover, int | float) and not isinstance(cover, bool) else None

    @property
    def tile(self) -> str | None:
        """The tile of its system (MGRS, WRS), if it has one."""
        told = self.properties
        if isinstance(told.get("grid:code"), str):
            return str(told["grid:code"])
        for keys in (("s2:mgrs_tile",), ("mgrs:utm_zone", "mgrs:latitude_band", "mgrs:grid_square"),
                     ("landsat:wrs_path", "landsat:wrs_row")):  # fmt: skip
            if all(told.get(key) is not None for key in keys):
                return "-".join(str(told[key]) for key in keys)
        return None

    @property
    def platform(self) -> str:
        """The satellite, as catalogues write it in one way or another."""
        return re.sub(r"[^a-z0-9]", "", str(self.properties.get("platform") or "").lower())


def without_clouds(found: Sequence[Found], most: float | None) -> tuple[list[Found], dict[int, str]]:
    """Return the items with no more than so much cloud, and of the others (by place in `found`) why not."""
    reasons = {
        i: f"{one.cloud:.0f} % cloud, more than max_cloud {most:g}"
        for i, one in enumerate(found)
        if most is not None and one.cloud is not None and one.cloud > most
    }
    return [one for i, one in enumerate(found) if i not in reasons], reasons


def without_duplicates(found: Sequence[Found]) -> tuple[list[Found], dict[int, str]]:
    """Return the items without all but the newest processing of each product; of the others why they are not used."""
    order = sorted(range(len(found)), key=lambda i: _processing(found[i]), reverse=True)
    kept: list[int] = []
    reasons: dict[int, str] = {}
    for i in order:
        twin = next((k for k in kept if _is_one_product(found[i], found[k])), None)
        if twin is None:
            kept.append(i)
        else:
            reasons[i] = f"an older processing of {found[twin].draft.name}"
    return [found[i] for i in sorted(kept)], reasons


def _is_one_product(one: Found, other: Found) -> bool:
    if one.platform and other.platform and one.platform != other.platform:
        return False
    if abs(one.acquired - other.acquired) > _ONE_PASS:
        return False
    if one.tile is not None and other.tile is not None and one.tile != other.tile:
        return False
    common, together = one.outline.intersection(other.outline).area, one.outline.union(other.outline).area
    return bool(common >= _SAME_GROUND * together > 0)


def _processing(one: Found) -> tuple[Any, ...]:
    """Return what grows with the newness of a processing; surface reflectance before the top of the atmosphere."""
    told = one.properties
    is_surface = not (one.draft.sensor or "").endswith(("-l1c", "-l1", "-radiance"))
    stamps = (told.get(key) for key in ("s2:generation_time", "processing:datetime", "created", "updated"))
    made = next((time.when for text in stamps if isinstance(text, str) and (time := parse_time(text))), None)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return is_surface, one.draft.facts.baseline or 0, made or epoch, one.draft.name


def fuse(found: Sequence[Found], area: BaseGeometry, how: str) -> list[tuple[Found, ...]]:
    """Return the items that make one look together, in order of time; within a look the one that shows most first.

    Only items of one sensor, with the same bands and numbers that mean the same, and one track of a radar.
    """
    looks: list[list[Found]] = []
    keys: list[Hashable] = []
    for one in sorted(found, key=lambda f: (f.acquired, f.draft.name)):
        key = _kind(one, area, how)
        place = next((i for i in range(len(looks)) if keys[i] == key and _joins(one, looks[i], how)), None)
        if place is None:
            looks.append([one])
            keys.append(key)
        else:
            looks[place].append(one)
    return [tuple(sorted(look, key=lambda f: _first(f, area))) for look in looks]


def _joins(one: Found, look: Iterable[Found], how: str) -> bool:
    return how != "overpass" or all(abs(one.acquired - other.acquired) <= _ONE_PASS for other in look)


def _first(one: Found, area: BaseGeometry) -> tuple[Any, ...]:
    shown = one.outline.intersection(area).area / area.area
    return -round(shown, 3), one.cloud or 0.0, one.acquired, one.draft.name


def _kind(one: Found, area: BaseGeometry, how: str) -> Hashable:
    """Return what items of one look have in common."""
    draft = one.draft
    numbers = tuple(sorted((band, index) for band, (_, index) in draft.band_paths.items()))
    meaning = (draft.unit, tuple(sorted(draft.scales.items())), draft.facts.stated_offset, draft.facts.offset_applied,
               (draft.facts.baseline or 0) >= 400, tuple(sorted(kind or "" for _, kind in draft.masks)))  # fmt: skip
    track = None
    if (draft.sensor or "").startswith(_RADAR):
        track = one.platform, draft.facts.relative_orbit, draft.facts.orbit_state
    day = solar_day(one.acquired, area.centroid.x)
    return draft.name if how == "none" else (draft.sensor, day, numbers, meaning, track)

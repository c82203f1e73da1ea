"""Sidecars: what files beside an image say about it (STAC item, maker's XML, IMD), and its own tags."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from changedetect.io.dates import Found, parse_time
from changedetect.io.metadata import find_json, find_pairs, find_xml, in_pairs, read_text, to_angle, to_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from changedetect.io.files import Header

_MOST_ITEMS = 64

_TIME_TAGS = ("ACQUISITIONDATETIME", "ACQUISITION_DATETIME", "ACQUISITION_DATE", "SENSING_TIME", "FIRSTLINETIME",
    "EARLIESTACQTIME", "DATE_ACQUIRED")  # fmt: skip

_XML_TIMES = ("acquisitionDateTime", "acquisitionDate", "SENSING_TIME", "DATATAKE_SENSING_START", "FIRSTLINETIME",
    "EARLIESTACQTIME", "PRODUCT_START_TIME")  # fmt: skip

_XML_NUMBERS = {
    "sun_azimuth_deg": ("illuminationAzimuthAngle", "MEANSUNAZ", "SUN_AZIMUTH"),
    "sun_elevation_deg": ("illuminationElevationAngle", "MEANSUNEL", "SUN_ELEVATION"),
    "view_azimuth_deg": ("MEANSATAZ", "azimuthAngle"),
    "off_nadir_deg": ("spaceCraftViewAngle", "MEANOFFNADIRVIEWANGLE"),
}

_STAC_NUMBERS = {
    "sun_azimuth_deg": ("view:sun_azimuth", "sun_azimuth"),
    "sun_elevation_deg": ("view:sun_elevation", "sun_elevation"),
    "view_azimuth_deg": ("view:azimuth", "satellite_azimuth"),
    "off_nadir_deg": ("view:off_nadir", "view_angle"),
}

_EDITORS = ("photoshop", "gimp", "lightroom", "imagemagick", "acdsee", "paint")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about an acquisition beside its pixels; None is unknown."""

    acquired: Found | None = None
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    view_azimuth_deg: float | None = None
    off_nadir_deg: float | None = None
    baseline: int | None = None
    """Sentinel-2 processing baseline, 509 for 05.09."""
    offset_applied: bool | None = None
    """Whether the catalogue already took the baseline's offset off."""
    stated_offset: float | None = None
    """The offset a Sentinel-2 product's own metadata or a catalogue's item states, in reflectance."""
    relative_orbit: int | None = None
    orbit_state: str | None = None
    """ascending or descending."""
    look_side: str | None = None
    """left or right, for radar."""
    is_placed: bool | None = None
    """Whether the maker tied it to the ground with control points."""

    def or_else(self, other: Facts) -> Facts:
        """Return these facts, completed by others."""
        missing = {f.name: getattr(other, f.name) for f in fields(self) if getattr(self, f.name) is None}
        return replace(self, **missing)


def read_sidecars(image: str, stems: tuple[str, ...]) -> Facts:
    """Return what the sidecars of an image say: files named after it, or after one of `stems` (its product)."""
    facts = Facts()
    folder = Path(image).parent
    for stem in dict.fromkeys((Path(image).stem, *stems)):
        if not stem:
            continue
        for name in (f"{stem}.json", f"{stem}_metadata.json"):
            facts = facts.or_else(_from_json(folder / name))
        for name in (f"{stem}.xml", f"{stem}.XML", f"{stem}_metadata.xml", f"{stem}_MTL.xml"):
            facts = facts.or_else(_from_xml(folder / name))
        for name in (f"{stem}.IMD", f"{stem}.imd"):
            facts = facts.or_else(_from_imd(folder / name))
    return facts.or_else(_from_items(folder, Path(image).name))


def _from_items(folder: Path, name: str) -> Facts:
    """Return what a STAC item in the folder says, if one of its assets is the image."""
    try:
        items = sorted(folder.glob("*.json"))[:_MOST_ITEMS]
    except OSError:
        return Facts()
    for item in items:
        text = read_text(item)
        if '"assets"' in text and re.search(rf'[/"]{re.escape(name)}"', text):
            return _from_json(item)
    return Facts()


def facts_in_tags(header: Header) -> Facts:
    """Return what a file's own tags say about its acquisition; not the time of writing."""
    for name in _TIME_TAGS:
        for key, value in header.tags.items():
            if key.upper().endswith(name) and (found := parse_time(value)):
                return Facts(acquired=found)
    return Facts()


def written_time(header: Header) -> Found | None:
    """Return TIFFTAG_DATETIME, which some makers set to the acquisition; None where an image editor wrote it."""
    software = header.tags.get("TIFFTAG_SOFTWARE", "").lower()
    if any(editor in software for editor in _EDITORS):
        return None
    return parse_time(header.tags.get("TIFFTAG_DATETIME", ""))


def _from_json(path: Path) -> Facts:
    plain = find_json(path)
    inner = plain.get("properties")
    return facts_of(inner if isinstance(inner, dict) else plain)


def facts_of(properties: Mapping[str, Any]) -> Facts:
    """Return what the properties of a STAC item, or of a maker's JSON with the same or older names, say."""
    times = (properties.get(key) for key in ("datetime", "start_datetime", "acquired"))
    found = next((time for text in times if isinstance(text, str) and (time := parse_time(text))), None)
    baseline = str(properties.get("s2:processing_baseline") or properties.get("processing:version") or "")
    orbit = to_number(properties.get("sat:relative_orbit"))
    placed = (properties.get(key) for key in ("ground_control", "pl:ground_control"))
    return replace(
        _with_angles(found, properties.get, _STAC_NUMBERS),
        baseline=int(baseline.replace(".", "")) if re.fullmatch(r"\d{2}\.\d{2}", baseline) else None,
        offset_applied=_true_or_false(properties.get("earthsearch:boa_offset_applied")),
        relative_orbit=None if orbit is None else int(orbit),
        orbit_state=_one_of(properties.get("sat:orbit_state"), "ascending", "descending"),
        look_side=_one_of(properties.get("sar:observation_direction"), "left", "right"),
        is_placed=next((bool(value) for value in placed if isinstance(value, bool)), None),
    )


def _true_or_false(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _one_of(value: Any, *allowed: str) -> str | None:
    text = str(value).lower()
    return text if text in allowed else None


def _with_angles(found: Found | None, get: Callable[[str], Any], keys: Mapping[str, tuple[str, ...]]) -> Facts:
    def number(field: str) -> float | None:
        return next((n for key in keys[field] if (n := to_angle(get(key))) is not None), None)

    return Facts(
        acquired=found,
        sun_azimuth_deg=number("sun_azimuth_deg"),
        sun_elevation_deg=number("sun_elevation_deg"),
        view_azimuth_deg=number("view_azimuth_deg"),
        off_nadir_deg=number("off_nadir_deg"),
    )


def _from_xml(path: Path) -> Facts:
    xml = find_xml(path)
    if xml is None:
        return Facts()
    found = next((time for name in _XML_TIMES if (time := parse_time(xml.text(name) or ""))), None)
    return _with_angles(found, xml.text, _XML_NUMBERS)


def _from_imd(path: Path) -> Facts:
    pairs = find_pairs(path)
    times = (in_pairs(pairs, name) for name in ("FIRSTLINETIME", "EARLIESTACQTIME"))
    found = next((time for value in times if value and (time := parse_time(value))), None)
    return _with_angles(found, lambda name: in_pairs(pairs, name), _XML_NUMBERS)

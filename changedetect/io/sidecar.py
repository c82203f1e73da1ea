"""Sidecars: what files beside an image say about it (STAC item, maker's XML, IMD), and its own tags."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from changedetect.io.dates import Found, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from changedetect.io.files import Header

_LARGEST_BYTES = 5_000_000
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
        text = _text(item)
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


def _text(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _from_json(path: Path) -> Facts:
    text = _text(path)
    if not text:
        return Facts()
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        return Facts()
    if not isinstance(plain, dict):
        return Facts()
    inner = plain.get("properties")
    properties: Mapping[str, Any] = inner if isinstance(inner, dict) else plain
    times = (properties.get(key) for key in ("datetime", "start_datetime", "acquired"))
    found = next((time for text in times if isinstance(text, str) and (time := parse_time(text))), None)
    baseline = str(properties.get("s2:processing_baseline") or properties.get("processing:version") or "")
    applied = properties.get("earthsearch:boa_offset_applied")
    return replace(
        _with_angles(found, properties.get, _STAC_NUMBERS),
        baseline=int(baseline.replace(".", "")) if re.fullmatch(r"\d{2}\.\d{2}", baseline) else None,
        offset_applied=applied if isinstance(applied, bool) else None,
    )


def _with_angles(found: Found | None, get: Callable[[str], Any], keys: Mapping[str, tuple[str, ...]]) -> Facts:
    def number(field: str) -> float | None:
        return next((n for key in keys[field] if (n := _number(get(key))) is not None), None)

    return Facts(
        acquired=found,
        sun_azimuth_deg=number("sun_azimuth_deg"),
        sun_elevation_deg=number("sun_elevation_deg"),
        view_azimuth_deg=number("view_azimuth_deg"),
        off_nadir_deg=number("off_nadir_deg"),
    )


def _from_xml(path: Path) -> Facts:
    """Read the few fields by pattern: no XML parser, so nothing in the file can be expanded or fetched."""
    text = _text(path)
    if not text:
        return Facts()
    values = {name: value for name in _XML_TIMES if (value := _element(text, name))}
    found = next((time for value in values.values() if (time := parse_time(value))), None)
    return _with_angles(found, lambda name: _element(text, name), _XML_NUMBERS)


def _element(text: str, name: str) -> str | None:
    match = re.search(rf"<(?:\w{{1,30}}:)?{name}(?:\s[^<>]{{0,200}})?>([^<]{{1,64}})<", text)
    return match[1].strip() if match else None


def _from_imd(path: Path) -> Facts:
    text = _text(path)
    pairs = dict(re.findall(r"^\s{0,16}(\w{1,40})\s{0,4}=\s{0,4}\"?([^\";\n]{1,64})", text, re.MULTILINE))
    upper = {key.upper(): value for key, value in pairs.items()}
    times = (upper.get(name) for name in ("FIRSTLINETIME", "EARLIESTACQTIME"))
    found = next((time for value in times if value and (time := parse_time(value))), None)
    return _with_angles(found, lambda name: upper.get(name.upper()), _XML_NUMBERS)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if -360.0 <= number <= 360.0 else None

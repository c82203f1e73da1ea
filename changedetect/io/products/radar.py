"""Radar on a map grid: Sentinel-1 RTC, Umbra GEC, Capella GEO and GEC; what is not terrain corrected is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from changedetect.errors import NotYetError
from changedetect.io.assemble import Draft
from changedetect.io.dates import parse_stamp, parse_time
from changedetect.io.metadata import find_json, to_angle
from changedetect.io.products.family import Delivery, Family, is_cut, is_image, names_in, need_bands
from changedetect.io.sidecar import Facts, facts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_S1 = re.compile(r"(?P<sat>S1[A-D])_(?:IW|EW|SM|S[1-6])_(?P<kind>GRD[FHM]?|SLC_|RTC|)\w*?(?P<date>\d{8}T\d{6})", re.I)
_POLARISATION = re.compile(r"(?:^|[_-])(vv|vh|hh|hv)(?:[._-]rtc)?\.tiff?$", re.IGNORECASE)
_ORBIT = re.compile(r"_\d{8}T\d{6}_\d{8}T\d{6}_(\d{6})_")
_HYP3 = re.compile(r"_RTC\d+_[A-Z]_[gs](?P<scale>[pad])[uw]", re.IGNORECASE)
"""ASF HyP3: software, then gamma0 or sigma0, then power, amplitude or decibel [mem]."""
_HYP3_UNITS = {"p": "sigma0", "a": "amplitude", "d": "db"}
_FIRST_ORBIT = {"S1A": 73, "S1B": 27, "S1C": 172}
"""Absolute orbit that was the first of track 1; 175 tracks repeat (S1C's from general knowledge) [mem]."""
_UMBRA = re.compile(r"^(?P<id>\d{4}-\d{2}-\d{2}-\d{2}-\d{2}-\d{2}_UMBRA-\d{2})(?P<rest>.*)$", re.IGNORECASE)
_CAPELLA = re.compile(
    r"^(?P<id>CAPELLA_C\d{2}_S[PMS]_(?P<kind>GEO|GEC|SLC|SICD|SIDD|CPHD)_(?P<pol>HH|VV|HV|VH)_(?P<date>\d{14})_\d{14})",
    re.IGNORECASE,
)


def recognise_sentinel1(path: str) -> str | None:
    """Return folder and product name of a Sentinel-1 scene a file is of; files of one name differ by polarisation."""
    file = Path(path)
    for folder in list(file.parents)[:3]:
        if re.match(r"S1[A-D]_.*\.SAFE$", folder.name, re.IGNORECASE):
            return str(folder)
    if not is_image(path) or not _POLARISATION.search(file.name):
        return None
    if _named(file) is None or "RTC" not in "/".join(file.parts[-3:]).upper():
        return None
    return str(file.parent / _POLARISATION.sub("", file.name).rstrip("_-"))


def _named(path: Path) -> re.Match[str] | None:
    """Return the product name a file, its folder or the one above bears."""
    return next((match for text in reversed(path.parts[-3:]) if (match := _S1.search(text))), None)


def read_sentinel1(delivery: Delivery) -> Draft:
    """Return the draft of a terrain-corrected Sentinel-1 scene: polarisations, linear power or decibel, orbit.

    Raises
    ------
    NotYetError
        A SAFE folder: GRD and SLC are not terrain corrected.
    """
    key, files = delivery.key, delivery.files
    root = Path(key)
    if root.name.upper().endswith(".SAFE"):
        raise NotYetError("Sentinel-1 GRD and SLC are not read: without terrain correction slopes lie metres off",
                          where=key, hint="the RTC product of the same acquisition")  # fmt: skip
    there = [str(root.parent / name) for name in names_in(root.parent) if name.startswith(root.name)]
    bands = {match[1].lower(): path for path in there if (match := _POLARISATION.search(path))}
    if is_cut(list(bands.values()), files):
        bands = {band: path for band, path in bands.items() if path in set(files)}
    need_bands(bands, "Sentinel-1 RTC", key, f"{root.name}_VV.tif")
    named, hyp3 = _named(root), _HYP3.search(root.name)
    facts = _item_facts(root)
    date = parse_stamp(named["date"]) if named else None
    return Draft(
        where=key,
        name=next((text for text in reversed(root.parts[-3:]) if _S1.search(text)), root.name),
        band_paths={band: ((path,), 1) for band, path in sorted(bands.items(), reverse=True)},
        sensor="sentinel-1-rtc",
        unit=_HYP3_UNITS[hyp3["scale"].lower()] if hyp3 else None,
        facts=facts.or_else(
            Facts(acquired=date, relative_orbit=_relative_orbit("/".join(root.parts[-3:])), look_side="right")
        ),
        is_told=True,
    )


def _relative_orbit(text: str) -> int | None:
    """Return the track of a product name with its absolute orbit; None where the name has none."""
    orbit, satellite = _ORBIT.search(text), re.search(r"S1[A-D]", text)
    first = _FIRST_ORBIT.get(satellite[0].upper()) if satellite else None
    return (int(orbit[1]) - first) % 175 + 1 if orbit and first else None


def _item_facts(root: Path) -> Facts:
    facts = Facts()
    for name in names_in(root.parent):
        if name.lower().endswith(".json") and isinstance(
            inner := find_json(root.parent / name).get("properties"), dict
        ):
            facts = facts.or_else(facts_of(inner))
    return facts


def recognise_umbra(path: str) -> str | None:
    """Return folder and id of the Umbra acquisition a file is of."""
    match = _UMBRA.match(Path(path).name)
    return str(Path(path).parent / match["id"]) if match else None


def read_umbra(delivery: Delivery) -> Draft:
    """Return the draft of an Umbra GEC: relative amplitude, its look side, track and grazing angle.

    Raises
    ------
    DataError
        No GEC among the files.
    """
    key = delivery.key
    root = Path(key)
    there = [name for name in names_in(root.parent) if name.startswith(root.name)]
    images = [str(root.parent / name) for name in there if re.search(r"_GEC\.tiff?$", name, re.IGNORECASE)]
    need_bands(images, "Umbra", key, f"{root.name}_GEC.tif")
    facts, band = Facts(), "vv"
    for name in there:
        plain = find_json(root.parent / name) if name.lower().endswith(".json") else {}
        facts = facts.or_else(_umbra_facts(plain))
        band = next((text.lower() for text in _polarisations(plain)), band)
    when = parse_stamp(root.name[:19])
    return _amplitude(key, images[0], band, "umbra-gec", facts.or_else(Facts(acquired=when)))


def _polarisations(plain: dict[str, Any]) -> Iterator[str]:
    inner = plain.get("properties")
    for source in (inner if isinstance(inner, dict) else {}, *_collects(plain)):
        for key in ("sar:polarizations", "polarizations"):
            for text in source.get(key) or ():
                if str(text).upper() in ("VV", "HH", "VH", "HV"):
                    yield str(text)


def _collects(plain: dict[str, Any]) -> list[dict[str, Any]]:
    collects = plain.get("collects")
    return [item for item in collects if isinstance(item, dict)] if isinstance(collects, list) else []


def _umbra_facts(plain: dict[str, Any]) -> Facts:
    """Return what either form of Umbra's metadata says: the STAC item (v2) or METADATA.json with `collects`."""
    inner = plain.get("properties")
    facts = facts_of(inner) if isinstance(inner, dict) else Facts()
    for item in _collects(plain)[:1]:
        graze = to_angle(item.get("angleGrazingDegrees"))
        facts = facts.or_else(
            Facts(
                acquired=parse_time(str(item.get("startAtUTC") or "")),
                off_nadir_deg=None if graze is None else 90.0 - graze,
                look_side=_side(item.get("observationDirection")),
                orbit_state=_state(item.get("satelliteTrack")),
            )
        )
    return facts


def _side(value: Any) -> str | None:
    text = str(value).lower()
    return text if text in ("left", "right") else None


def _state(value: Any) -> str | None:
    text = str(value).lower()
    return text if text in ("ascending", "descending") else None


def recognise_capella(path: str) -> str | None:
    """Return folder and id of the Capella product a file is of."""
    match = _CAPELLA.match(Path(path).name)
    return str(Path(path).parent / match["id"]) if match else None


def read_capella(delivery: Delivery) -> Draft:
    """Return the draft of a Capella GEO or GEC: amplitude, its look side, orbit and incidence.

    Raises
    ------
    NotYetError
        SLC, SICD, SIDD or CPHD: not on a map grid.
    """
    key = delivery.key
    root, match = Path(key), _CAPELLA.match(Path(key).name)
    if match is None or match["kind"].upper() not in ("GEO", "GEC"):
        raise NotYetError("this Capella product is not on a map grid", where=key,
                          found=match["kind"] if match else None, needed="GEO (terrain corrected) or GEC")  # fmt: skip
    there = [name for name in names_in(root.parent) if name.startswith(root.name)]
    images = [str(root.parent / name) for name in there if re.search(r"\.tiff?$", name, re.IGNORECASE)]
    need_bands(images, "Capella", key, f"{root.name}.tif")
    facts = Facts()
    for name in there:
        if name.lower().endswith(".json"):
            facts = facts.or_else(_capella_facts(find_json(root.parent / name)))
    facts = facts.or_else(Facts(acquired=parse_stamp(match["date"])))
    return _amplitude(key, images[0], match["pol"].lower(), f"capella-{match['kind'].lower()}", facts)


def _capella_facts(plain: dict[str, Any]) -> Facts:
    """Return what either form of Capella's metadata says: the STAC item or the extended JSON with `collect`."""
    inner = plain.get("properties")
    facts = facts_of(inner) if isinstance(inner, dict) else Facts()
    collect = plain.get("collect")
    if not isinstance(collect, dict):
        return facts
    radar, state, image = (collect.get(name) or {} for name in ("radar", "state", "image"))
    centre = image.get("center_pixel") or {}
    return facts.or_else(
        Facts(
            acquired=parse_time(str(collect.get("start_timestamp") or "")),
            look_side=_side(radar.get("pointing")),
            orbit_state=_state(state.get("direction")),
            off_nadir_deg=to_angle(centre.get("incidence_angle")),
        )
    )


def _amplitude(key: str, path: str, band: str, sensor: str, facts: Facts) -> Draft:
    cautions = () if sensor == "capella-geo" else ("geocoded to the ellipsoid: relief displaces it towards the sensor",)
    return Draft(
        where=key,
        name=Path(path).stem,
        paths=(path,),
        sensor=sensor,
        bands=(band,),
        unit="amplitude",
        nodata=0.0,
        facts=facts,
        is_told=True,
        cautions=cautions,
    )


FAMILIES = (
    Family("Sentinel-1", recognise_sentinel1, read_sentinel1),
    Family("Umbra", recognise_umbra, read_umbra),
    Family("Capella", recognise_capella, read_capella),
)

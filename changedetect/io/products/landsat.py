"""Landsat Collection 2 Level 2 as USGS delivers it: a GeoTIFF per band, QA_PIXEL and MTL metadata in one folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from changedetect.errors import DataError
from changedetect.io.assemble import Draft
from changedetect.io.dates import parse_time
from changedetect.io.metadata import Pairs, find_json, find_pairs, find_xml, in_pairs, to_angle, to_number
from changedetect.io.products.family import Delivery, Family, is_cut, names_in, need_bands
from changedetect.io.sidecar import Facts

if TYPE_CHECKING:
    from datetime import datetime

_NAME = re.compile(r"^(L[COTE]0\d_L2S[PR]_\d{6}_\d{8}_\d{8}_02_(?:RT|T1|T2))(?:_|$)", re.IGNORECASE)
_MTL_ENDS = ("_MTL.txt", "_MTL.xml", "_MTL.json")
_SURFACE = "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"
_SCALE, _OFFSET = 2.75e-5, -0.2
"""Of Collection 2 Level 2 surface reflectance, where the metadata do not state them."""


def recognise(path: str) -> str | None:
    """Return folder and name of the Level 2 product a file is of, if its MTL metadata lie beside it."""
    file = Path(path)
    match = _NAME.match(file.name)
    if match and "thumb" not in file.name.lower() and any(match[1] + end in names_in(file.parent) for end in _MTL_ENDS):
        return str(file.parent / match[1])
    return None


def read(delivery: Delivery) -> Draft:
    """Return the draft of a Level 2 product: scale and offset of its MTL, QA_PIXEL as mask, sun of its MTL.

    Raises
    ------
    DataError
        The metadata cannot be read, or no band of surface reflectance is there.
    """
    key, files, table = delivery.key, delivery.files, delivery.table
    root = Path(key)
    pairs = _read_mtl(root)
    sensor = "landsat-c2-l2-oli" if root.name[:4].upper() in ("LC08", "LC09", "LO08", "LO09") else "landsat-c2-l2-tm"
    there = {name.upper(): str(root.parent / name) for name in names_in(root.parent)}
    codes = table.sensors[sensor].band_files
    found = {
        code: there[f"{root.name}_{code}.TIF".upper()] for code in codes if f"{root.name}_{code}.TIF".upper() in there
    }
    if is_cut(list(found.values()), files):
        found = {code: path for code, path in found.items() if path in set(files)}
    need_bands(found, "Landsat", key, f"{root.name}_SR_B4.TIF and the like")
    mask = there.get(f"{root.name}_QA_PIXEL.TIF".upper())
    return Draft(
        where=key,
        name=root.name,
        band_paths={codes[code]: ((path,), 1) for code, path in found.items()},
        acquired=_acquired(pairs, key),
        masks=((mask, "qa_pixel"),) if mask else (),
        sensor=sensor,
        unit="reflectance",
        facts=Facts(
            sun_azimuth_deg=to_angle(in_pairs(pairs, "SUN_AZIMUTH")),
            sun_elevation_deg=to_angle(in_pairs(pairs, "SUN_ELEVATION")),
            relative_orbit=_whole(in_pairs(pairs, "WRS_PATH")),
        ),
        scales={codes[code]: _scale_of(pairs, code.removeprefix("SR_B")) for code in found},
        is_told=True,
    )


FAMILY = Family("Landsat Collection 2 Level 2", recognise, read)


def _read_mtl(root: Path) -> Pairs:
    """Return the metadata as (group, key) pairs, from whichever of the three forms is there."""
    name = next(root.name + end for end in _MTL_ENDS if root.name + end in names_in(root.parent))
    path = root.parent / name
    if name.endswith(".txt"):
        pairs = find_pairs(path)
    elif name.endswith(".xml"):
        xml = find_xml(path)
        groups = list(xml.root) if xml else []
        pairs = {(group.tag.upper(), item.tag.upper()): (item.text or "").strip() for group in groups for item in group}
    else:
        inner = find_json(path).get("LANDSAT_METADATA_FILE")
        pairs = {
            (group.upper(), item.upper()): str(value)
            for group, items in (inner.items() if isinstance(inner, dict) else ())
            for item, value in (items.items() if isinstance(items, dict) else ())
        }
    if in_pairs(pairs, "DATE_ACQUIRED") is None:
        raise DataError("the Landsat metadata cannot be read", where=str(path), needed="DATE_ACQUIRED")
    return pairs


def _acquired(pairs: Pairs, key: str) -> datetime:
    day, time = in_pairs(pairs, "DATE_ACQUIRED"), in_pairs(pairs, "SCENE_CENTER_TIME")
    found = parse_time(f"{day}T{time}") if time else None
    found = found or parse_time(day or "")
    if found is None:
        raise DataError("its metadata name no date", where=key, found=day)
    return found.when


def _scale_of(pairs: Pairs, number: str) -> tuple[float, float]:
    scale = to_number(in_pairs(pairs, f"REFLECTANCE_MULT_BAND_{number}", group=_SURFACE))
    offset = to_number(in_pairs(pairs, f"REFLECTANCE_ADD_BAND_{number}", group=_SURFACE))
    return (scale or _SCALE, _OFFSET if offset is None else offset)


def _whole(text: str | None) -> int | None:
    number = to_number(text)
    return None if number is None else int(number)

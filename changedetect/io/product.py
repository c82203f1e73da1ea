"""Product: what the bands of a file are, and what their numbers mean."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from changedetect.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changedetect.io.files import Header
    from changedetect.io.sensors import Sensor, Sensors

LOG = logging.getLogger(__name__)

_SPOKEN = {
    "r": "red", "g": "green", "b": "blue", "n": "nir", "nir1": "nir", "near infrared": "nir", "near-infrared": "nir",
    "near_infrared": "nir", "coastal blue": "coastal", "coastal_blue": "coastal", "coastal aerosol": "coastal",
    "red edge": "rededge", "red_edge": "rededge", "rededge1": "rededge", "green_i": "green1", "green i": "green1",
    "nir2": "nir09", "swir1": "swir16", "swir2": "swir22", "panchromatic": "pan", "gray": "pan", "grey": "pan",
}  # fmt: skip

STANDARD = (
    "coastal", "blue", "green1", "green", "yellow", "red", "rededge", "rededge2", "rededge3", "nir", "nir08", "nir09",
    "cirrus", "swir16", "swir22", "pan", "vv", "vh", "hh", "hv",
)  # fmt: skip
"""Standard band names."""


@dataclass(frozen=True, slots=True)
class Product:
    """What the bands of a file are."""

    sensor: str | None
    bands: tuple[tuple[str, int], ...]
    """(standard name, 1-based index in the file)."""
    unit: str
    scale: float
    offset: float
    """value = number * scale + offset."""
    nodata: float | None
    """Assumed where the file names none."""


def describe(header: Header, table: Sensors, sensor: str | None = None) -> Product:
    """Return what the bands of a file are: from its sensor, its band descriptions, its colours, or a stated guess."""
    chosen = sensor or recognise(header, table)
    indexes = measured_bands(header)
    if not indexes:
        raise DataError("holds an alpha band only", where=header.path)
    profile = table.sensor(chosen, where=header.path) if chosen else None
    names = _labels(header, indexes, profile) or _from_profile(header, indexes, profile, chosen)
    names = names or _colours(header, indexes)
    if names is None:
        names, generic = _guess(header, indexes, table)
        if profile is None and generic is not None:
            chosen, profile = generic, table.sensors[generic]
    unit, scale, offset = meaning(header, profile)
    nodata = profile.nodata if profile and header.nodata[indexes[0] - 1] is None else None
    return Product(chosen, tuple(zip(_distinct(names), indexes, strict=True)), unit, scale, offset, nodata)


def measured_bands(header: Header) -> list[int]:
    """Return the indexes, from 1, of the bands that are no alpha; a band described as near infrared is none.

    GDAL marks the fourth band of what it writes in eight bits as alpha unless it is told otherwise.
    """
    told = zip(header.colours, header.descriptions, strict=True)
    return [i for i, (colour, text) in enumerate(told, 1) if colour != "alpha" or spoken_band(text or "")]


def recognise(header: Header, table: Sensors) -> str | None:
    """Return the sensor whose names occur in the file's path or band descriptions, or whose labels it bears."""
    count = len(measured_bands(header))
    for text in (path_tail(header.path), header.descriptions[0] or ""):
        for name, _ in table.named_in(text):
            profile = table.sensors[name]
            if count == 1 or not profile.bands or len(profile.bands) == count:
                return name
    return table.labelled(header.descriptions)


def path_tail(path: str) -> str:
    """Return the last two folders and the name of a file, where product names are looked for."""
    return "/".join(re.split(r"[/\\]", path)[-3:])


def meaning(header: Header, profile: Sensor | None) -> tuple[str, float, float]:
    """Return unit, scale and offset of a file's numbers: tags first, then the sensor, then the pixel type."""
    tagged = header.scales[0] != 1.0 or header.offsets[0] != 0.0
    unit = profile.unit if profile else "display" if header.dtype == "uint8" else "dn"
    if header.dtype == "uint8" and unit in ("reflectance", "radiance"):
        return "display", 1.0, 0.0
    if tagged:
        if profile is None and 0 < header.scales[0] <= 1e-3:
            unit = "reflectance"
        return unit, header.scales[0], header.offsets[0]
    if profile is None or header.dtype.startswith("float"):
        return unit, 1.0, 0.0
    return unit, profile.scale, profile.offset


def standard_place(band: str) -> int:
    """Return where a band stands among the standard ones; behind them all if it is none."""
    return STANDARD.index(band) if band in STANDARD else len(STANDARD)


def spoken_band(text: str) -> str | None:
    """Return the standard name of a band as people, catalogues and file tags call it; None if it is no band's."""
    plain = text.strip().lower()
    name = _SPOKEN.get(plain, plain)
    return name if name in STANDARD else None


def _labels(header: Header, indexes: Sequence[int], profile: Sensor | None) -> list[str] | None:
    names = []
    for index in indexes:
        label = (header.descriptions[index - 1] or "").strip()
        name = (profile.band_labels.get(label) if profile else None) or spoken_band(label)
        if name is None:
            return None
        names.append(name)
    return names


def _from_profile(
    header: Header, indexes: Sequence[int], profile: Sensor | None, chosen: str | None
) -> list[str] | None:
    if profile is None or not profile.bands:
        return None
    if len(profile.bands) != len(indexes):
        raise ConfigError(
            f"the file does not have the bands of sensor {chosen}",
            where=header.path,
            found=f"{len(indexes)} bands",
            needed=f"{len(profile.bands)} ({', '.join(profile.bands)})",
            hint="another `sensor:`, or `bands: [...]` in file order",
        )
    return list(profile.bands)


def _colours(header: Header, indexes: Sequence[int]) -> list[str] | None:
    colours = [header.colours[index - 1] for index in indexes]
    if not {"red", "green", "blue"} <= set(colours):
        return None
    rest = [colour for colour in colours if colour not in ("red", "green", "blue")]
    if len(rest) > 1:
        return None
    return [colour if colour in ("red", "green", "blue") else "nir" for colour in colours]


def _guess(header: Header, indexes: Sequence[int], table: Sensors) -> tuple[list[str], str | None]:
    if len(indexes) == 1:
        return ["pan"], None
    for name, profile in table.sensors.items():
        if profile.dtype == header.dtype and len(profile.bands) == len(indexes):
            LOG.warning("%s: nothing says which band is which; taken as %s", header.path, ", ".join(profile.bands))
            return list(profile.bands), name
    LOG.warning("%s: nothing says which band is which; named b1 to b%d", header.path, len(indexes))
    return [f"b{index}" for index in indexes], None


def _distinct(names: Sequence[str]) -> list[str]:
    out: list[str] = []
    for name in names:
        n = 2
        fresh = name
        while fresh in out:
            fresh, n = f"{name}_{n}", n + 1
        out.append(fresh)
    return out

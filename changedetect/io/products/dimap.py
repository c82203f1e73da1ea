"""Pleiades, Pleiades Neo and SPOT 6/7: Airbus DIMAP version 2, a DIM_*.XML beside the image's tiles."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from changedetect.errors import DataError
from changedetect.io.assemble import Draft
from changedetect.io.dates import parse_time
from changedetect.io.files import read_header
from changedetect.io.metadata import Xml, need_xml
from changedetect.io.products.family import Delivery, Family, is_cut, is_image, names_in
from changedetect.io.sidecar import Facts

if TYPE_CHECKING:
    from datetime import datetime

_BANDS = {"P": "pan", "PAN": "pan", "B0": "blue", "B1": "green", "B2": "red", "B3": "nir", "R": "red", "G": "green",
          "B": "blue", "NIR": "nir", "RE": "rededge", "DB": "coastal"}  # fmt: skip
_USUAL_ORDER = {1: ("P",), 3: ("B2", "B1", "B0"), 4: ("B2", "B1", "B0", "B3")}
"""Order in the file where no Raster_Index_List gives it (Pleiades, SPOT): as displayed, then near infrared [mem]."""
_STRETCHED = ("DISPLAY", "SEAMLESS", "LINEAR_STRETCH")
_PIXEL_TYPE = "uint8"
Parts = dict[str, tuple[tuple[str, ...], int]]


def recognise(path: str) -> str | None:
    """Return the DIM_*.XML an image's tile, or a file in its MASKS or LINEAGE folder, belongs to."""
    file = Path(path)
    if re.match(r"DIM_.*\.XML$", file.name, re.IGNORECASE):
        return path
    if re.match(r"VOL_.*\.XML$", file.name, re.IGNORECASE):
        inside = sorted(map(str, file.parent.rglob("DIM_*.XML")))
        return inside[0] if len(inside) == 1 else None
    folder = file.parent.parent if file.parent.name.upper() in ("MASKS", "LINEAGE", "LIBRARY") else file.parent
    found = [name for name in names_in(folder) if re.match(r"DIM_.*\.XML$", name, re.IGNORECASE)]
    return str(folder / found[0]) if len(found) == 1 else None


def read(delivery: Delivery) -> Draft:
    """Return the draft of a DIMAP product: bands by its raster index, reflectance by its calibration, cloud outlines.

    Raises
    ------
    DataError
        Not DIMAP version 2, an image file missing, or bands that are not known.
    """
    key, files = delivery.key, delivery.files
    xml = need_xml(key)
    version = (part.attribute("version") or "" for part in xml.all("METADATA_FORMAT"))
    if not next(version, "").startswith("2"):
        raise DataError("is not DIMAP version 2", where=key, found=xml.name, hint="list the image with its `datetime:`")
    bands = _bands(xml, Path(key).parent, key)
    if is_cut([path for paths, _ in bands.values() for path in paths], files):
        bands = {band: part for band, part in bands.items() if not set(part[0]).isdisjoint(files)}
    center, acquired = _center(xml), _acquired(xml, key)
    first = read_header(next(iter(bands.values()))[0][0])
    stretched = first.dtype == _PIXEL_TYPE or (xml.text("RADIOMETRIC_PROCESSING") or "").upper() in _STRETCHED
    elevation = center.number("SUN_ELEVATION") if center else None
    scales, unit = ({}, "display") if stretched else _scales(xml, bands, elevation, acquired)
    return Draft(
        where=key,
        name=re.sub(r"^DIM_", "", Path(key).stem),
        band_paths=bands,
        acquired=acquired,
        masks=_masks(Path(key).parent),
        sensor="pleiades",
        unit=unit,
        nodata=0.0,
        crs=_crs(xml),
        facts=Facts(
            sun_azimuth_deg=center.number("SUN_AZIMUTH") if center else None,
            sun_elevation_deg=elevation,
            # AZIMUTH_ANGLE is the direction of scanning, not that to the sensor: no view azimuth is taken from it.
            off_nadir_deg=center.number("INCIDENCE_ANGLE", "VIEWING_ANGLE") if center else None,
        ),
        scales=scales,
        transforms=_transforms(xml, bands),
        is_told=True,
        cautions=_cautions(xml),
    )


FAMILY = Family("Airbus DIMAP", recognise, read)


def _bands(xml: Xml, folder: Path, key: str) -> Parts:
    """Return band to its files and its index in them; Pleiades Neo has several groups of files, each with its list."""
    groups = list(xml.all("Data_Files")) or [xml]
    out: Parts = {}
    for group in groups:
        hrefs = [part.attribute("href") or "" for part in group.all("DATA_FILE_PATH")]
        paths = tuple(str(folder / href) for href in hrefs if is_image(href))
        gone = [path for path in paths if not Path(path).is_file()]
        if gone or not paths:
            raise DataError("an image file its metadata name is missing", where=key,
                            found=f"{len(paths) - len(gone)} of {len(paths)}",
                            needed=Path(gone[0]).name if gone else "DATA_FILE_PATH")  # fmt: skip
        ids = _order(group if group.first("Raster_Index") else xml, xml, key)
        out |= {_BANDS[name]: (paths, i + 1) for i, name in enumerate(ids)}
    return out


def _order(where: Xml, xml: Xml, key: str) -> tuple[str, ...]:
    """Return the band ids in file order."""
    listed = {int(part.number("BAND_INDEX") or 0): part.text("BAND_ID") or "" for part in where.all("Raster_Index")}
    ids = tuple(listed[i] for i in sorted(listed)) or _USUAL_ORDER.get(int(xml.number("NBANDS") or 0), ())
    unknown = [name for name in ids if name not in _BANDS]
    if unknown or not ids:
        raise DataError("its metadata do not say which band is which", where=key, found=", ".join(unknown) or None,
                        needed="Raster_Index_List")  # fmt: skip
    return ids


def _center(xml: Xml) -> Xml | None:
    """Return the geometric values at the scene's centre, else the first there are."""
    places = list(xml.all("Located_Geometric_Values"))
    return next((part for part in places if part.text("LOCATION_TYPE") == "Center"), places[0] if places else None)


def _acquired(xml: Xml, key: str) -> datetime:
    center = _center(xml)
    texts = (f"{xml.text('IMAGING_DATE')}T{xml.text('IMAGING_TIME')}", center.text("TIME") if center else None)
    found = next((time for text in texts if text and (time := parse_time(text))), None)
    if found is None:
        raise DataError("its metadata name no time of imaging", where=key, needed="IMAGING_DATE and IMAGING_TIME")
    return found.when


def _scales(
    xml: Xml, bands: Parts, sun_elevation_deg: float | None, acquired: datetime
) -> tuple[dict[str, tuple[float, float]], str]:
    """Return band to (scale, offset), and the unit they lead to.

    REFLECTANCE products: DN / GAIN + BIAS. Others: radiance L is DN / GAIN + BIAS, reflectance at the top of the
    atmosphere pi L d^2 / (E0 sin(sun elevation)), with E0 the Band_Solar_Irradiance.
    """
    reflectances = _calibration(xml, "Band_Reflectance")
    if set(bands) <= set(reflectances):
        return {band: reflectances[band] for band in bands}, "reflectance"
    radiances = _calibration(xml, "Band_Radiance")
    if not set(bands) <= set(radiances):
        return {}, "dn"
    irradiance = {_BANDS[part.text("BAND_ID") or ""]: part.number("VALUE") for part in xml.all("Band_Solar_Irradiance")
                  if part.text("BAND_ID") in _BANDS}  # fmt: skip
    if sun_elevation_deg is None or sun_elevation_deg <= 0 or not all(irradiance.get(band) for band in bands):
        return {band: radiances[band] for band in bands}, "radiance"
    light = math.pi * _sun_distance_au(acquired) ** 2 / math.sin(math.radians(sun_elevation_deg))
    return {
        band: (
            radiances[band][0] * light / (irradiance[band] or 1.0),
            radiances[band][1] * light / (irradiance[band] or 1.0),
        )
        for band in bands
    }, "reflectance"


def _calibration(xml: Xml, name: str) -> dict[str, tuple[float, float]]:
    found = {}
    for part in xml.all(name):
        band, gain, bias = _BANDS.get(part.text("BAND_ID") or ""), part.number("GAIN"), part.number("BIAS")
        if band and gain:
            found[band] = (1.0 / gain, bias or 0.0)
    return found


def _sun_distance_au(when: datetime) -> float:
    """Return the distance of Earth and sun, astronomical units, within 0.1 %.

    References
    ----------
    Michalsky, J., The Astronomical Almanac's algorithm for approximate solar position, Solar Energy 40, 1988.
    """
    return 1.0 - 0.01672 * math.cos(math.radians(0.9856 * (when.timetuple().tm_yday - 4)))


def _masks(folder: Path) -> tuple[tuple[str, str | None], ...]:
    names = [name for name in names_in(folder / "MASKS") if re.match(r"CLD_.*\.GML$", name, re.IGNORECASE)]
    return tuple((str(folder / "MASKS" / name), "cloud_outlines") for name in names)


def _crs(xml: Xml) -> str | None:
    code = re.search(r"EPSG:+(\d{4,6})$", xml.text("PROJECTED_CRS_CODE", "GEODETIC_CRS_CODE") or "")
    return f"EPSG:{code[1]}" if code else None


def _transforms(xml: Xml, bands: Parts) -> dict[str, tuple[float, ...]]:
    """Return the place of an image of one tile whose file has none: from Geoposition_Insert."""
    x, y = xml.number("ULXMAP"), xml.number("ULYMAP")
    side_x, side_y = xml.number("XDIM"), xml.number("YDIM")
    files = {path for paths, _ in bands.values() for path in paths if len(paths) == 1}
    if x is None or y is None or not side_x or not side_y:
        return {}
    return dict.fromkeys(files, (side_x, 0.0, x, 0.0, -side_y, y))


def _cautions(xml: Xml) -> tuple[str, ...]:
    level = (xml.text("PROCESSING_LEVEL") or "").upper()
    if level in ("ORTHO", "MOSAIC"):
        return ()
    return (f"not orthorectified (processing level {level or 'not given'}): relief displaces it",)

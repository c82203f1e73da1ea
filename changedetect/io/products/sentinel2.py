"""Sentinel-2 L1C and L2A as ESA delivers them: a SAFE folder, a JPEG 2000 file per band."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from changedetect.errors import DataError, NotYetError
from changedetect.io.assemble import Draft
from changedetect.io.dates import parse_time
from changedetect.io.metadata import Xml, find_xml, need_xml
from changedetect.io.product import standard_place
from changedetect.io.products.family import Delivery, Family, is_cut, is_image, names_in, need_bands
from changedetect.io.sidecar import Facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

_LEVELS = {"MTD_MSIL1C.xml": "sentinel-2-l1c", "MTD_MSIL2A.xml": "sentinel-2-l2a"}
_BAND_FILE = re.compile(r"_(B\d[\dA])(?:_(\d{2})m)?\.(?:jp2|tif|tiff)$", re.IGNORECASE)
_BAND_IDS = tuple(map(str, range(13)))
"""band_id of B01 to B12 in the metadata."""
_DEEPEST = 5
"""Folders between a band file and its product: GRANULE/<granule>/IMG_DATA/R10m, and one to spare."""


def recognise(path: str) -> str | None:
    """Return the product folder a file lies in: the one with MTD_MSIL1C.xml or MTD_MSIL2A.xml, or named S2*.SAFE.

    An image beside the metadata, not below, is none of ESA's: somebody put it there.
    """
    folders = list(Path(path).parents)[:_DEEPEST]
    for folder in folders[1:] if is_image(path) else folders:
        if any(name in _LEVELS for name in names_in(folder)) or re.match(r"S2[A-D]_.*\.SAFE$", folder.name, re.I):
            return str(folder)
    return None


def read(delivery: Delivery) -> Draft:
    """Return the draft of a SAFE product: offset by processing baseline, masks of SCL or QI_DATA, tile's angles.

    Raises
    ------
    DataError
        Metadata missing, broken or of both levels at once; no band file.
    NotYetError
        The format before December 2016, several tiles in one product.
    """
    key, files, table = delivery.key, delivery.files, delivery.table
    root = Path(key)
    main = _main_metadata(root)
    product, sensor = need_xml(main), _LEVELS[main.name]
    granule = _granule(root)
    tile = find_xml(granule / "MTD_TL.xml")
    bands = _choose_bands(sorted(map(str, (granule / "IMG_DATA").rglob("*"))), files, table.sensors[sensor].band_files)
    need_bands(bands, "Sentinel-2", key, "GRANULE/*/IMG_DATA/*_B04.jp2 and the like")
    scale, offset = _scale_of(product)
    return Draft(
        where=key,
        name=re.sub(r"\.SAFE$", "", product.text("PRODUCT_URI") or root.name, flags=re.IGNORECASE),
        band_paths={band: ((path,), 1) for band, path in bands.items()},
        acquired=_acquired(product, tile, key),
        masks=_masks(granule),
        sensor=sensor,
        crs=tile.text("HORIZONTAL_CS_CODE") if tile else None,
        facts=_facts(product, tile, offset),
        scales=dict.fromkeys(bands, (scale, 0.0)),
        transforms=_transforms(bands.values(), tile) if tile else {},
        is_told=True,
    )


FAMILY = Family("Sentinel-2 SAFE", recognise, read)


def _main_metadata(root: Path) -> Path:
    there = [name for name in _LEVELS if name in names_in(root)]
    if len(there) == 1:
        return root / there[0]
    if there:
        raise DataError("the folder holds the metadata of two products", where=str(root), found=" and ".join(there))
    if any(re.match(r"S2[AB]_OPER_MTD_", name) for name in names_in(root)):
        raise NotYetError("the Sentinel-2 format before December 2016 is not read", where=str(root),
                          hint="list its band files under `assets:` with `datetime:`")  # fmt: skip
    raise DataError("the product lacks its metadata", where=str(root), needed=" or ".join(_LEVELS),
                    hint="deliver it again, whole")  # fmt: skip


def _granule(root: Path) -> Path:
    granules = [root / "GRANULE" / name for name in names_in(root / "GRANULE") if (root / "GRANULE" / name).is_dir()]
    if len(granules) > 1:
        raise NotYetError("Sentinel-2 products of several tiles are not read", where=str(root), found=len(granules),
                          hint="list each tile's band files under `assets:`")  # fmt: skip
    if not granules:
        raise DataError("the product has no granule", where=str(root), needed="GRANULE/L*_T*")
    return granules[0]


def _choose_bands(there: Sequence[str], files: Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    """Return band to file, the finest resolution of each; only those among `files` if some of them are."""
    found = [(path, match) for path in there if is_image(path) and (match := _BAND_FILE.search(path))]
    if is_cut([path for path, _ in found], files):
        found = [(path, match) for path, match in found if path in set(files)]
    best: dict[str, tuple[int, str]] = {}
    for path, match in found:
        band = names.get(match[1].upper())
        if band:
            best[band] = min(best.get(band, (99, "")), (int(match[2] or 0), path))
    return {band: best[band][1] for band in sorted(best, key=standard_place)}


def _scale_of(product: Xml) -> tuple[float, float | None]:
    """Return the scale and the offset in reflectance that the metadata state (DN 1000 of 10000 is 0.1)."""
    whole = product.number("BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE") or 10_000.0
    stated = [part for name in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET") for part in product.all(name)]
    numbers = {float(part.own) for part in stated if part.attribute("band_id") in _BAND_IDS}
    if len(numbers) > 1:
        raise DataError("its bands have different offsets", where="MTD_MSI*.xml", found=sorted(numbers))
    return 1.0 / whole, (numbers.pop() / whole if numbers else None)


def _acquired(product: Xml, tile: Xml | None, key: str) -> datetime:
    texts = [tile.text("SENSING_TIME") if tile else None, product.text("PRODUCT_START_TIME", "DATATAKE_SENSING_START")]
    found = next((time for text in texts if text and (time := parse_time(text))), None)
    if found is None:
        raise DataError("its metadata name no time of sensing", where=key, needed="SENSING_TIME in MTD_TL.xml")
    return found.when


def _facts(product: Xml, tile: Xml | None, offset: float | None) -> Facts:
    baseline = re.fullmatch(r"(\d{2})\.(\d{2})", product.text("PROCESSING_BASELINE") or "")
    orbit = product.number("SENSING_ORBIT_NUMBER")
    number = int(baseline[1] + baseline[2]) if baseline else None
    sun = tile.first("Mean_Sun_Angle") if tile else None
    zenith = sun.number("ZENITH_ANGLE") if sun else None
    incidence, azimuth = _mean_view(tile)
    return Facts(
        sun_azimuth_deg=sun.number("AZIMUTH_ANGLE") if sun else None,
        sun_elevation_deg=None if zenith is None else 90.0 - zenith,
        view_azimuth_deg=azimuth,
        off_nadir_deg=incidence,
        baseline=number,
        stated_offset=offset if offset is not None else 0.0 if number is not None and number < 400 else None,
        relative_orbit=None if orbit is None else int(orbit),
        orbit_state=(product.text("SENSING_ORBIT_DIRECTION") or "").lower() or None,
    )


def _mean_view(tile: Xml | None) -> tuple[float | None, float | None]:
    """Return the incidence and azimuth (from the place to the sensor) of the visible bands' mean, degrees.

    Incidence, not the sensor's own off-nadir angle: it is by the former that what is tall leans.
    """
    for part in tile.all("Mean_Viewing_Incidence_Angle") if tile else ():
        if part.attribute("bandId") == "3":
            return part.number("ZENITH_ANGLE"), part.number("AZIMUTH_ANGLE")
    return None, None


def _masks(granule: Path) -> tuple[tuple[str, str | None], ...]:
    """Return the scene classification, else the cloud mask of either format."""
    scl = sorted((granule / "IMG_DATA").rglob("*_SCL_20m.*")) or sorted((granule / "IMG_DATA").rglob("*_SCL_60m.*"))
    if scl:
        return ((str(scl[0]), "scl"),)
    quality = granule / "QI_DATA"
    for name, kind in (("MSK_CLASSI_B00.jp2", "s2_classi"), ("MSK_CLOUDS_B00.gml", "cloud_outlines")):
        if (quality / name).is_file():
            return ((str(quality / name), kind),)
    return ()


def _transforms(paths: Iterable[str], tile: Xml) -> dict[str, tuple[float, ...]]:
    """Return each file's transform from the tile's geocoding: before baseline 02.07 the files carry none."""
    corners = {
        part.attribute("resolution"): (part.number("ULX"), part.number("ULY"), part.number("XDIM"))
        for part in tile.all("Geoposition")
    }
    sizes = {"B02": "10", "B03": "10", "B04": "10", "B08": "10", "B01": "60", "B09": "60", "B10": "60"}
    out: dict[str, tuple[float, ...]] = {}
    for path in paths:
        match = _BAND_FILE.search(path)
        corner = corners.get((match[2] or sizes.get(match[1].upper(), "20")) if match else None)
        x, y, side = corner or (None, None, None)
        if x is not None and y is not None and side:
            out[path] = (side, 0.0, x, 0.0, -side, y)
    return out

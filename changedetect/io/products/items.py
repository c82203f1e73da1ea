"""STAC items with their files beside them, as a catalogue gives them: bands, scale, mask, angles by the item."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from changedetect.errors import DataError
from changedetect.io.assemble import Draft
from changedetect.io.metadata import find_json, to_angle, to_number
from changedetect.io.product import spoken_band, standard_place
from changedetect.io.products.family import Delivery, Family, is_cut, is_image, names_in
from changedetect.io.sidecar import Facts, facts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pystac

    from changedetect.io.sensors import Sensors

_MASK_KEYS = {"scl": "scl", "qa_pixel": "qa_pixel", "udm2": "udm2", "udm": "udm"}
_NOT_BANDS = re.compile(r"thumbnail|overview|preview|browse|metadata|tilejson|index|-jp2$|^(aot|wvp|cloud|snow|atmos)")
_IMAGE_TYPES = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff")
_PICTURES = ("visual", "tci", "true-color", "true_color")
_MOST_ITEMS = 256
"""JSON files looked into in one folder: a folder of more is a catalogue of tiles, whose files lie elsewhere."""


def recognise(path: str) -> str | None:
    """Return the item a file belongs to: itself, or the one in its folder or one up that has it as an asset."""
    file = Path(path)
    if file.suffix.lower() == ".json":
        return path if local_assets(path) else None
    if not is_image(path):
        return None
    for folder in (file.parent, file.parent.parent):
        for name in [n for n in names_in(folder) if n.endswith(".json")][:_MOST_ITEMS]:
            if str(file) in local_assets(str(folder / name)):
                return str(folder / name)
    return None


def read(delivery: Delivery) -> Draft:
    """Return the draft of an item's scene from the assets that lie on this machine.

    Raises
    ------
    DataError
        The item breaks the STAC specification, or two assets hold one band in different files.
    """
    item = _load(delivery.key)
    draft = draft_item(item, delivery.key, delivery.table, partial(_beside, delivery.key), delivery.files)
    return replace(draft, stems=(Path(delivery.key).stem,))


def draft_item(
    item: pystac.Item, where: str, table: Sensors, locate: Callable[[str], str | None], files: Sequence[str] = ()
) -> Draft:
    """Return the draft of an item's scene from the assets that `locate` finds a place for.

    Parameters
    ----------
    where : str
        How errors call the item.
    locate : callable
        Gives the path, or address on the network, of an asset's address; None where it is out of reach.
    files : sequence of str
        If some of them hold bands, only those are meant.

    Raises
    ------
    DataError
        Two assets hold one band in different files, or nothing says which file holds which band.
    """
    assets = list(_band_assets(item, locate))
    if is_cut([path for path, _, _ in assets], files):
        assets = [entry for entry in assets if entry[0] in set(files)]
    sensor = _sensor_of(item, table)
    bands, scales = _bands_of(assets, sensor, table)
    if not bands and len(assets) != 1:
        raise DataError("the item does not say which file holds which band", where=where, found=", ".join(item.assets))
    facts = facts_of(item.properties | ({"datetime": item.datetime.isoformat()} if item.datetime else {}))
    facts = facts.or_else(_sentinel_angles(item.properties, sensor))
    if sensor and table.sensors[sensor].baseline_offset and scales:
        facts = replace(facts, stated_offset=next(iter(scales.values()))[1])
        scales = {band: (scale, 0.0) for band, (scale, _) in scales.items()}
    return Draft(
        where=where,
        name=item.id,
        paths=() if bands else (assets[0][0],),
        band_paths={band: bands[band] for band in sorted(bands, key=standard_place)},
        masks=tuple(_masks(item, locate)),
        sensor=sensor,
        facts=facts,
        scales=scales,
    )


FAMILY = Family("STAC item", recognise, read)


def _sentinel_angles(properties: Mapping[str, Any], sensor: str | None) -> Facts:
    """Return Sentinel-2's angles as catalogues give them that name no sun elevation or no angle off nadir.

    The incidence angle, by which what is tall leans, of Sentinel-2 alone: others write the satellite's elevation there.
    """
    if not (sensor or "").startswith("sentinel-2"):
        return Facts()
    zenith = to_angle(properties.get("s2:mean_solar_zenith"))
    return Facts(
        sun_azimuth_deg=to_angle(properties.get("s2:mean_solar_azimuth")),
        sun_elevation_deg=None if zenith is None else 90.0 - zenith,
        off_nadir_deg=to_angle(properties.get("view:incidence_angle")),
    )


def local_assets(key: str) -> frozenset[str]:
    """Return the image files on this machine that an item names; empty if the file is none."""
    try:
        return _cached_assets(key, Path(key).stat().st_mtime_ns)
    except OSError:
        return frozenset()


@lru_cache(maxsize=4096)
def _cached_assets(key: str, stamp: int) -> frozenset[str]:
    del stamp  # part of the key only: a changed item is read again
    plain = find_json(key)
    assets = plain.get("assets")
    if plain.get("type") != "Feature" or not isinstance(assets, dict) or "stac_version" not in plain:
        return frozenset()
    hrefs = (asset.get("href") for asset in assets.values() if isinstance(asset, dict))
    here = (path for href in hrefs if isinstance(href, str) and (path := _beside(key, href)))
    return frozenset(path for path in here if is_image(path))


def _beside(key: str, href: str) -> str | None:
    """Return the file on this machine that an asset's address leads to; an address elsewhere by its last name."""
    if "://" in href or href.startswith("/vsi"):
        return None
    path = (Path(key).parent / href).resolve() if ".." in href else Path(key).parent / href
    return str(path) if path.is_file() else None


def _load(key: str) -> pystac.Item:
    """Return the item, brought to the present version of the specification."""
    import pystac

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of extensions' versions, which say nothing to a reader of pixels
            item = pystac.Item.from_dict(find_json(key), href=key, migrate=True)
    except (
        pystac.errors.STACError,
        pystac.errors.STACTypeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ) as err:
        raise DataError("is not a STAC item that can be read", where=key, found=str(err)[:120]) from err
    return item


def _band_assets(
    item: pystac.Item, locate: Callable[[str], str | None]
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield (file, key, fields) of assets that hold bands; pictures only where there is nothing else."""
    found = []
    for key, asset in item.assets.items():
        path = locate(asset.href)
        fields = {"roles": asset.roles or [], **asset.extra_fields}
        masks = key.lower() in _MASK_KEYS or {"thumbnail", "overview", "metadata"} & set(fields["roles"])
        holds = path and (is_image(path.partition("?")[0]) or (asset.media_type or "").startswith(_IMAGE_TYPES))
        if path and holds and not masks and not _NOT_BANDS.search(key.lower()):
            found.append((path, key, fields))
    pictures = [entry for entry in found if _is_picture(entry[1], entry[2])]
    yield from [entry for entry in found if entry not in pictures] or pictures


def _is_picture(key: str, fields: Mapping[str, Any]) -> bool:
    return key.lower() in _PICTURES or "visual" in fields["roles"]


def _bands_of(
    assets: Sequence[tuple[str, str, Mapping[str, Any]]], sensor: str | None, table: Sensors
) -> tuple[dict[str, tuple[tuple[str, ...], int]], dict[str, tuple[float, float]]]:
    """Return band to its file and index, and to scale and offset where the item states them."""
    labels = table.sensors[sensor].band_files if sensor else {}
    bands: dict[str, tuple[tuple[str, ...], int]] = {}
    scales: dict[str, tuple[float, float]] = {}
    for path, key, fields in assets:
        described = fields.get("bands") or fields.get("eo:bands") or [{}]
        for i, plain in enumerate(described):
            known = plain if isinstance(plain, dict) else {}
            band = _band_name(known, key if len(described) == 1 else "", labels)
            if band is None:
                continue
            if band in bands:
                raise DataError("two assets of an item hold one band", where=path, found=bands[band][0][0])
            bands[band] = ((path,), i + 1)
            stated = _scale_of(fields, known, i)
            if stated:
                scales[band] = stated
    return bands, scales


def _band_name(known: Mapping[str, Any], key: str, labels: Mapping[str, str]) -> str | None:
    """Return the standard name: by the key as the sensor's profile has it, by common name, by the key's own word."""
    for text in (key, known.get("name")):
        if isinstance(text, str) and text.upper() in labels:
            return labels[text.upper()]
    for text in (known.get("name"), key, known.get("eo:common_name"), known.get("common_name")):
        if isinstance(text, str) and (name := spoken_band(text)):
            # Landsat's one near infrared band is nir08 in catalogues, as if it were the narrow one of Sentinel-2.
            return "nir" if name == "nir08" and labels and name not in labels.values() else name
    return None


def _scale_of(fields: Mapping[str, Any], known: Mapping[str, Any], i: int) -> tuple[float, float] | None:
    """Return (scale, offset) as an item states them, in either version of the raster extension."""
    rasters = fields.get("raster:bands")
    raster = rasters[i] if isinstance(rasters, list) and i < len(rasters) and isinstance(rasters[i], dict) else {}
    scale = to_number(raster.get("scale", known.get("raster:scale", fields.get("raster:scale"))))
    offset = to_number(raster.get("offset", known.get("raster:offset", fields.get("raster:offset"))))
    return None if scale is None else (scale, offset or 0.0)


def _masks(item: pystac.Item, locate: Callable[[str], str | None]) -> Iterator[tuple[str, str | None]]:
    for key, asset in item.assets.items():
        path = locate(asset.href)
        if path and key.lower() in _MASK_KEYS:
            yield path, _MASK_KEYS[key.lower()]


def _sensor_of(item: pystac.Item, table: Sensors) -> str | None:
    """Return the sensor profile of an item: by its product's name, its id, or its collection."""
    names = (item.properties.get("s2:product_uri"), item.id, item.properties.get("landsat:product_id"))
    for text in (name for name in names if isinstance(name, str)):
        for sensor, _ in table.named_in(text):
            return sensor
    collection = str(item.collection_id or "").lower()
    return next((name for name in table.sensors if collection.startswith(name)), None)

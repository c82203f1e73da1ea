"""WorldView, GeoEye and QuickBird: Maxar's deliveries (TIL, IMD, XML, tiles) and its open-data and ARD tiles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from changedetect.errors import DataError
from changedetect.io.assemble import Draft
from changedetect.io.dates import parse_stamp, parse_time
from changedetect.io.files import read_header
from changedetect.io.metadata import Pairs, Xml, find_json, find_pairs, find_xml, in_pairs, to_angle, to_number
from changedetect.io.products.family import Delivery, Family, is_cut, is_image, names_in, need_bands
from changedetect.io.sidecar import Facts, facts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEM = re.compile(r"^(\d{2}[A-Z]{3}\d{8}-[PMS]\d[A-Z]{2})(?:_R\d+C\d+)?(-\d{12}_\d{2}_P\d{3})", re.IGNORECASE)
_BAND_LETTERS = {"P": "pan", "C": "coastal", "B": "blue", "G": "green", "Y": "yellow", "R": "red", "RE": "rededge",
                 "N": "nir", "N2": "nir09"}  # fmt: skip
"""Groups BAND_x of the metadata, in the order of the file's bands."""
_BANDS = {"P": ("pan",), "BGRN": ("blue", "green", "red", "nir"), "RGB": ("red", "green", "blue"),
          "NRG": ("nir", "red", "green")}  # fmt: skip
"""By bandId, where the metadata have no group per band."""
_TILE = re.compile(r"^(?P<cat>[0-9A-F]{16})-(?P<kind>visual|ms|pan)\.tiff?$", re.IGNORECASE)
_DATED = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_TILE_RANK = {"ms": 2, "visual": 1, "pan": 0}
_TILE_BANDS = {4: ("blue", "green", "red", "nir"),
               8: ("coastal", "blue", "green", "yellow", "red", "rededge", "nir", "nir09")}  # fmt: skip


def recognise_delivery(path: str) -> str | None:
    """Return folder and name of the delivered product a file is of: the part its TIL, IMD, XML and tiles share."""
    file = Path(path)
    match = _STEM.match(file.name)
    if not match:
        return None
    stem = match[1] + match[2]
    ends = (".IMD", ".XML", ".TIL")
    there = {name.upper() for name in names_in(file.parent)}
    return str(file.parent / stem) if any((stem + end).upper() in there for end in ends) else None


def read_delivery(delivery: Delivery) -> Draft:
    """Return the draft of a delivered product: its tiles as one image, radiance by its calibration factors.

    Raises
    ------
    DataError
        Neither IMD nor XML can be read, a tile the TIL lists is missing, or the bands are not known.
    """
    key, files = delivery.key, delivery.files
    root = Path(key)
    pairs = _read_metadata(root)
    tiles = _tiles(root, key)
    if is_cut(tiles, files):
        tiles = [tile for tile in tiles if tile in set(files)]
    need_bands(tiles, "Maxar", key, f"{root.name}.TIF or its tiles")
    bands = _bands(pairs, key)
    scales, unit = _scales(pairs, bands, read_header(tiles[0]).dtype)
    names = {1: "worldview-pan", 4: "worldview-4b", 8: "worldview-8b"}
    return Draft(
        where=key,
        name=root.name,
        paths=tuple(tiles),
        sensor=names.get(len(bands), "worldview-picture"),
        bands=bands,
        unit=unit,
        nodata=0.0,
        facts=_facts(pairs),
        scales=scales,
        is_told=True,
        cautions=_cautions(pairs),
    )


def _read_metadata(root: Path) -> Pairs:
    """Return the IMD's pairs, or the same from the XML; names are the same in both, in different case."""
    there = {name.upper(): root.parent / name for name in names_in(root.parent)}
    if (path := there.get(f"{root.name}.IMD".upper())) and (pairs := find_pairs(path)):
        return pairs
    if (path := there.get(f"{root.name}.XML".upper())) and (xml := find_xml(path)):
        return _pairs_in(xml.first("IMD") or xml)
    raise DataError("neither its IMD nor its XML metadata can be read", where=str(root), hint="deliver it again, whole")


def _pairs_in(imd: Xml) -> Pairs:
    """Return (group, key) to text of an XML's IMD part; a group is the element around, IMAGE being IMAGE_1."""
    pairs: Pairs = {}
    for outer in imd.root.iter():
        around = "" if outer is imd.root else Xml(outer).name.upper()
        for part in map(Xml, outer):
            if len(part.root) == 0:
                pairs.setdefault(("IMAGE_1" if around == "IMAGE" else around, part.name.upper()), part.own)
    return pairs


def _tiles(root: Path, key: str) -> list[str]:
    """Return the image files: those the TIL lists, else those of its name."""
    there = {name.upper(): str(root.parent / name) for name in names_in(root.parent)}
    listed = [value for (group, name), value in find_pairs(there.get(f"{root.name}.TIL".upper(), "")).items()
              if name == "FILENAME" and group.startswith("TILE")]  # fmt: skip
    missing = [name for name in listed if name.upper() not in there]
    if missing:
        raise DataError("a tile that its TIL lists is missing", where=key, found=f"{len(missing)} of {len(listed)}",
                        needed=missing[0])  # fmt: skip
    if listed:
        return [there[name.upper()] for name in listed]
    return [path for name, path in sorted(there.items()) if is_image(path) and "BROWSE" not in name
            and (match := _STEM.match(name)) and (match[1] + match[2]).upper() == root.name.upper()]  # fmt: skip


def _bands(pairs: Pairs, key: str) -> tuple[str, ...]:
    letters = [
        group.removeprefix("BAND_") for group, name in pairs if group.startswith("BAND_") and name == "ABSCALFACTOR"
    ]
    if letters and all(letter in _BAND_LETTERS for letter in letters):
        return tuple(_BAND_LETTERS[letter] for letter in letters)
    band_id = (in_pairs(pairs, "BANDID") or "").upper()
    if band_id not in _BANDS:
        raise DataError("its metadata do not say which band is which", where=key, found=band_id or "no bandId",
                        hint="list its tiles under `path:` with `bands:`")  # fmt: skip
    return _BANDS[band_id]


def _scales(pairs: Pairs, bands: Sequence[str], dtype: str) -> tuple[dict[str, tuple[float, float]], str]:
    """Return band to scale, radiance (W m-2 sr-1 um-1) being DN absCalFactor / effectiveBandwidth; else the unit."""
    if dtype == "uint8":
        return {}, "display"
    if (in_pairs(pairs, "RADIOMETRICENHANCEMENT") or "Off").lower() != "off":
        return {}, "dn"
    letters = {band: letter for letter, band in _BAND_LETTERS.items()}
    scales = {}
    for band in bands:
        group = f"BAND_{letters[band]}"
        factor = to_number(in_pairs(pairs, "ABSCALFACTOR", group=group))
        width = to_number(in_pairs(pairs, "EFFECTIVEBANDWIDTH", group=group))
        if not factor or not width:
            return {}, "dn"
        scales[band] = (factor / width, 0.0)
    return scales, "radiance"


def _facts(pairs: Pairs) -> Facts:
    times = (in_pairs(pairs, name) for name in ("FIRSTLINETIME", "EARLIESTACQTIME"))
    return Facts(
        acquired=next((found for text in times if text and (found := parse_time(text))), None),
        sun_azimuth_deg=to_angle(in_pairs(pairs, "MEANSUNAZ")),
        sun_elevation_deg=to_angle(in_pairs(pairs, "MEANSUNEL")),
        view_azimuth_deg=to_angle(in_pairs(pairs, "MEANSATAZ")),
        off_nadir_deg=to_angle(in_pairs(pairs, "MEANOFFNADIRVIEWANGLE")),
    )


def _cautions(pairs: Pairs) -> tuple[str, ...]:
    kind = in_pairs(pairs, "IMAGEDESCRIPTOR", "PRODUCTTYPE") or ""
    if re.match(r"Ortho(?!Ready|\w*Ready)", kind, re.IGNORECASE):
        return ()
    return (f"not orthorectified ({kind or 'its product type is not given'}): relief displaces it",)


def recognise_tile(path: str) -> str | None:
    """Return the acquisition an open-data or ARD tile belongs to: <root>/<date>-<catalogue id>, over all quadkeys."""
    file = Path(path)
    match = _TILE.match(file.name)
    if not match or not _DATED.match(file.parent.name):
        return None
    parents = list(file.parents)
    above = (
        parents[3] if len(parents) > 3 and parents[1].name.isdecimal() and parents[2].name.isdecimal() else parents[1]
    )
    return f"{above}/{file.parent.name}/{match['cat'].upper()}"


def read_tiles(delivery: Delivery) -> Draft:
    """Return the draft of one acquisition from its tiles: multispectral before visual before panchromatic.

    Raises
    ------
    DataError
        The tiles have a number of bands that no such product has.
    """
    key, files = delivery.key, delivery.files
    day, name = Path(key).parent.name, Path(key).name
    kinds = {match["kind"].lower() for path in files if (match := _TILE.match(Path(path).name))}
    kind = max(kinds, key=lambda item: _TILE_RANK[item])
    tiles = sorted(path for path in files if Path(path).name.lower().startswith(f"{name}-{kind}.".lower()))
    count = sum(colour != "alpha" for colour in read_header(tiles[0]).colours)
    facts = _item_facts(tiles, name)
    if kind == "ms" and count not in _TILE_BANDS:
        raise DataError(
            "a multispectral tile with an unknown number of bands", where=tiles[0], found=count, needed="4 or 8"
        )
    bands = {"visual": (), "pan": ("pan",)}.get(kind) or (_TILE_BANDS[count] if kind == "ms" else ())
    return Draft(
        where=key,
        name=f"{name}-{kind}-{day}",
        paths=tuple(tiles),
        masks=_tile_masks(tiles, name),
        sensor={"visual": "maxar-visual", "pan": "maxar-pan"}.get(kind, f"maxar-ms-{count}b"),
        bands=bands,
        unit="display" if kind == "visual" else None,
        facts=facts.or_else(Facts(acquired=parse_stamp(day))),
        is_told=True,
    )


def _item_facts(tiles: Sequence[str], name: str) -> Facts:
    """Return what the STAC items beside the tiles say, the first tile's first."""
    facts = Facts()
    for tile in tiles:
        folder = Path(tile).parent
        for found in names_in(folder):
            if found.endswith(".json") and name.lower() in found.lower():
                properties = find_json(folder / found).get("properties")
                # view:incidence_angle is the satellite's elevation there; off_nadir is what it says.
                facts = facts.or_else(facts_of(properties)) if isinstance(properties, dict) else facts
    return facts


def _tile_masks(tiles: Sequence[str], name: str) -> tuple[tuple[str, str | None], ...]:
    ends = (("-cloud-mask.gpkg", "cloud_outlines"), ("-cloud-shadow-mask.gpkg", "shadow_outlines"))
    files = ((Path(tile).parent / f"{name}{end}", kind) for tile in tiles for end, kind in ends)
    return tuple((str(path), kind) for path, kind in files if path.is_file())


DELIVERIES = Family("WorldView/Maxar delivery", recognise_delivery, read_delivery)
OPEN_DATA = Family("Maxar open data", recognise_tile, read_tiles)

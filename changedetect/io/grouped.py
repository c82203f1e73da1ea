"""Grouped files: what lies in a folder, as drafts: band files of one product together, masks with their image."""

from __future__ import annotations

import glob
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from changedetect.errors import ConfigError, DataError
from changedetect.io.assemble import Draft
from changedetect.io.files import is_folder, is_there
from changedetect.io.listed import resolve
from changedetect.io.product import STANDARD, path_tail, standard_place
from changedetect.io.products.family import IMAGE_ENDS as RASTERS
from changedetect.io.products.family import files_below, is_image, is_part, refuse_archive
from changedetect.io.products.registry import claim_products

if TYPE_CHECKING:
    from collections.abc import Iterable

    from changedetect.io.sensors import Sensor, Sensors

LOG = logging.getLogger(__name__)

_NOT_RASTERS = (".xml", ".json", ".geojson", ".txt", ".tfw", ".pgw", ".jgw", ".wld", ".prj", ".md", ".hdr", ".csv",
    ".ovr", ".msk", ".imd", ".rpb", ".gml", ".gpkg", ".kml", ".yaml", ".yml", ".html", ".zip", ".bmp")  # fmt: skip

_PREVIEWS = ("thumb", "thumb_small", "thumbnail", "preview", "browse", "ql", "quicklook", "thumb_large")
_MASKS = {"mask": "nonzero", "cloudmask": "nonzero", "cloud_mask": "nonzero", "udm2": "udm2", "udm2_clip": "udm2",
    "udm": "udm", "dn_udm": "udm", "scl": "scl", "qa_pixel": "qa_pixel"}  # fmt: skip

# Codes only Sentinel-2 uses, so that band files without a telling name still come together.
_LONE_CODES = {"b02": "blue", "b03": "green", "b04": "red", "b05": "rededge", "b06": "rededge2", "b07": "rededge3",
    "b08": "nir", "b8a": "nir08", "b11": "swir16", "b12": "swir22", "b01": "coastal", "b09": "nir09"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Part:
    """What one file is."""

    path: str
    role: str
    """image, band, mask or ignored."""
    base: str
    """Its name without what tells band or mask."""
    detail: str = ""
    """Band name or mask kind."""
    sensor: str | None = None
    stamp: str = ""
    """The date part of its name, as its sensor writes it."""


@dataclass(slots=True)
class _Bundle:
    sensor: str | None
    bands: dict[str, str] = field(default_factory=dict)


def draft_files(given: object, base_dir: Path, table: Sensors) -> list[Draft]:
    """Return drafts of the scenes among the files of a glob, a folder, one file, or a list of those.

    Products as delivered are read by their own metadata; what is left is told by its names.

    Raises
    ------
    ConfigError
        `given` is not text.
    DataError
        Nothing matches, or a product's metadata is broken.
    NotYetError
        A product that is known and not read.
    """
    patterns = given if isinstance(given, list) else [given]
    if not patterns or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise ConfigError("is not a file, folder or glob", where="scenes: files", found=repr(given)[:80])
    named: set[str] = set()
    files = sorted({path for pattern in patterns for path in _expand(str(pattern), base_dir, named)})
    products, rest = claim_products(files, named, table)
    rest = [path for path in rest if path.lower().endswith(RASTERS) or not path.lower().endswith(_NOT_RASTERS)]
    if not products and not rest:
        raise DataError(
            "no image files found",
            where="scenes: files",
            found=f"nothing like {', '.join(map(str, patterns))[:200]}",
            needed="files such as " + " ".join("*" + end for end in RASTERS[:3]),
            hint="paths relative to the AOI file; archives unpacked",
        )
    drafts = [*products, *_bundle([_classify(path, table) for path in rest])]
    if not drafts:
        raise DataError("only masks and previews found", where="scenes: files", found=f"{len(files)} files")
    return drafts


def _expand(pattern: str, base_dir: Path, named: set[str]) -> Iterable[str]:
    """Return the files a pattern stands for; those it names one by one, not by a folder, are added to `named`."""
    whole = resolve(pattern, base_dir)
    path = Path(whole)
    if is_folder(path):
        return files_below(path)
    if is_there(path):
        refuse_archive(whole)
        named.add(whole)
        return [whole]
    # Relative patterns are matched inside base_dir, whose own name may hold brackets.
    absolute = Path(pattern).expanduser().is_absolute()
    root, tail = (None, whole) if absolute else (str(base_dir), pattern)
    matches = [str(base_dir / name) for name in glob.iglob(tail, root_dir=root, recursive=True)]  # noqa: PTH207
    folders = [name for name in matches if is_folder(name) and name.upper().endswith(".SAFE")]
    inside = [file for folder in folders for file in files_below(folder)]
    found = [name for name in matches if Path(name).is_file() and _may_be_scene(name)]
    named.update(name for name in found if not is_image(name))
    return [*inside, *found]


def _may_be_scene(name: str) -> bool:
    """Return whether a matched file may hold pixels, or is metadata that stands for a product."""
    return not name.lower().endswith(_NOT_RASTERS) or is_part(name)


def _classify(path: str, table: Sensors) -> _Part:
    stem = Path(path).stem
    matches = table.named_in(path_tail(path))
    stamp = next((match["date"] for _, match in matches if match.groupdict().get("date")), "")
    for name, _ in matches:
        profile = table.sensors[name]
        role, base, detail = _role(stem, profile)
        if role:
            return _Part(path, role, base, detail, name, stamp)
    low = stem.lower()
    for suffix, kind in sorted(_MASKS.items(), key=lambda item: -len(item[0])):
        if _ends(low, suffix):
            return _Part(path, "mask", _base(stem, suffix), kind, None, stamp)
    if any(_ends(low, suffix) for suffix in _PREVIEWS) or low.startswith("msk_"):
        return _Part(path, "ignored", stem)
    if not matches:
        for suffix in (*STANDARD, *_LONE_CODES):
            if _ends(low, suffix):
                return _Part(path, "band", _base(stem, suffix), _LONE_CODES.get(suffix, suffix))
    return _Part(path, "image", stem, "", matches[0][0] if matches else None, stamp)


def _role(stem: str, profile: Sensor) -> tuple[str, str, str]:
    """Return (role, base, detail) of a file of a known product, by the end of its name; role empty if none fits."""
    kinds = [(suffix, "band", band) for suffix, band in profile.band_files.items()]
    kinds += [(suffix, "mask", kind) for suffix, kind in profile.mask_files.items()]
    kinds += [(suffix, "ignored", "") for suffix in profile.ignore_files]
    for suffix, role, detail in sorted(kinds, key=lambda item: -len(item[0])):
        if _ends(stem.lower(), suffix.lower()):
            return role, _base(stem, suffix), detail
    return "", stem, ""


def _ends(low_stem: str, suffix: str) -> bool:
    return low_stem == suffix or low_stem.endswith(("_" + suffix, "-" + suffix))


def _product_folder(path: str) -> str:
    """Return the folder of a file, of R10m, R20m, R60m the one above: one product in three resolutions."""
    folder = Path(path).parent
    return str(folder.parent if folder.name in ("R10m", "R20m", "R60m") else folder)


def _base(stem: str, suffix: str) -> str:
    return stem[: len(stem) - len(suffix)].rstrip("_-")


def _bundle(parts: list[_Part]) -> list[Draft]:
    bundles: dict[tuple[str, str], _Bundle] = {}
    images: list[_Part] = []
    masks = [part for part in parts if part.role == "mask"]
    for part in parts:
        if part.role == "band":
            bundle = bundles.setdefault((_product_folder(part.path), part.base), _Bundle(part.sensor))
            if part.detail in bundle.bands:
                raise DataError("two files of one band", where=part.path, found=bundle.bands[part.detail])
            bundle.bands[part.detail] = part.path
        elif part.role == "image":
            images.append(part)
    drafts = [_draft_bands(folder, base, bundle, masks) for (folder, base), bundle in bundles.items()]
    drafts += [_draft_image(part, masks) for part in _without_pictures(images)]
    return drafts


def _without_pictures(images: list[_Part]) -> list[_Part]:
    """Return images without the stretched picture of an acquisition that is there with its numbers."""
    measured = {
        (str(Path(part.path).parent), part.stamp)
        for part in images
        if part.stamp and not (part.sensor or "").endswith("-visual")
    }
    kept = []
    for part in images:
        if (part.sensor or "").endswith("-visual") and (str(Path(part.path).parent), part.stamp) in measured:
            LOG.info("%s: left out, the same acquisition is there with its numbers", part.path)
        else:
            kept.append(part)
    return kept


def _draft_bands(folder: str, base: str, bundle: _Bundle, masks: list[_Part]) -> Draft:
    name = base or Path(folder).name
    return Draft(
        where=f"{folder}/{base}*" if base else folder,
        name=name,
        band_paths={band: ((bundle.bands[band],), 1) for band in _in_order(bundle.bands)},
        masks=_masks_of(folder, base, masks),
        sensor=bundle.sensor,
        stems=(base, Path(folder).name),
    )


def _in_order(bands: Iterable[str]) -> list[str]:
    return sorted(bands, key=standard_place)


def _draft_image(part: _Part, masks: list[_Part]) -> Draft:
    folder = _product_folder(part.path)
    return Draft(
        where=part.path,
        name=part.base,
        paths=(part.path,),
        masks=_masks_of(folder, part.base, masks),
        stems=(Path(folder).name,),
    )


def _masks_of(folder: str, base: str, masks: list[_Part]) -> tuple[tuple[str, str | None], ...]:
    """Return the masks beside an image whose names it begins with."""
    return tuple(
        (mask.path, mask.detail)
        for mask in masks
        if _product_folder(mask.path) == folder
        and (mask.base == base or (len(mask.base) >= 4 and base.startswith(mask.base)))
    )

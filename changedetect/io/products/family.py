"""Family: what every family of products brings, and what they share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from changedetect.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changedetect.io.assemble import Draft
    from changedetect.io.sensors import Sensors

KNOWN_PRODUCTS = (
    "a product as delivered: Sentinel-2 SAFE, Landsat Collection 2 Level 2, PlanetScope, SkySat, WorldView/Maxar, "
    "Pleiades DIMAP, Sentinel-1 RTC, Umbra, Capella, or a STAC item with its files"
)

METADATA_ENDS = (".xml", ".json", ".imd", ".til", ".txt", ".dim")
"""Ends of names of metadata that may stand for a product."""

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar", ".seq")
IMAGE_ENDS = (".tif", ".tiff", ".jp2", ".vrt", ".img", ".png", ".jpg", ".jpeg", ".ntf")
"""Ends of file names that may hold pixels."""


class Recogniser(Protocol):
    """Tells of which product a file is a part."""

    def __call__(self, path: str) -> str | None:
        """Return what stands for the product (its folder or main metadata file), None if the file is of none."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One product found among files."""

    key: str
    """What stands for it, as its family's recogniser says."""
    files: tuple[str, ...]
    """Those of the given files that are its own; if some of them hold bands, only those are meant."""
    table: Sensors


class ProductReader(Protocol):
    """Reads a product's metadata."""

    def __call__(self, delivery: Delivery) -> Draft:
        """Return the draft of a product's scene."""


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of delivery."""

    name: str
    """How messages call it."""
    recognise: Recogniser
    read: ProductReader


def is_image(path: str) -> bool:
    """Return whether a file's name says that it holds pixels."""
    return path.lower().endswith(IMAGE_ENDS)


def files_below(folder: str | Path) -> list[str]:
    """Return the images and metadata files in a folder and below, sorted; hidden ones left out."""
    inside = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)  # noqa: PTH118
    return sorted(path for path in inside if not Path(path).name.startswith(".") and is_part(path))


def is_part(path: str) -> bool:
    """Return whether a file's name says that it may be an image or the metadata of a product."""
    return path.lower().endswith((*IMAGE_ENDS, *METADATA_ENDS))


def refuse_archive(path: str) -> None:
    """Raise `DataError` if a file's name says that it is an archive."""
    if path.lower().endswith(_ARCHIVES):
        raise DataError("is an archive", where=path, hint="unpack it and give the folder")


def names_in(folder: str | Path) -> tuple[str, ...]:
    """Return the names in a folder, sorted; empty if it is none."""
    try:
        stamp = Path(folder).stat().st_mtime_ns
    except OSError:
        return ()
    return _names(str(folder), stamp)


@lru_cache(maxsize=4096)
def _names(folder: str, stamp: int) -> tuple[str, ...]:
    del stamp  # part of the key only: a changed folder is listed again
    try:
        return tuple(sorted(os.listdir(folder)))  # noqa: PTH208 - names alone are wanted
    except OSError:
        return ()


def is_cut(wanted: Sequence[str], files: Sequence[str]) -> bool:
    """Return whether `files` names some of a product's band files, so that only those are meant."""
    return not set(wanted).isdisjoint(files)


def need_bands(bands: object, product: str, where: str, needed: str) -> None:
    """Raise `DataError` if a product's metadata comes without any band."""
    if not bands:
        raise DataError(f"the {product} product holds no band that is read", where=where, needed=needed)

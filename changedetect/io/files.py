"""Raster files: opened quietly, their headers, and their hashes."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import ProjError
from rasterio._err import CPLE_BaseError
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError

from changedetect.errors import DataError, NotYetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

# GDAL's own messages repeat, less clearly, what the errors raised here say.
logging.getLogger("rasterio").setLevel(logging.CRITICAL + 1)

_GDAL_OPTIONS: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "FALSE",
    "GDAL_NUM_THREADS": "1",
    # Two rows of blocks of a wide image; the default is a twentieth of the memory there is.
    "GDAL_CACHEMAX": 64_000_000,
    "CPL_DEBUG": "OFF",
    # A VRT from elsewhere could name addresses to fetch.
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}",
}

GDAL_ERRORS = (RasterioError, CRSError, CPLE_BaseError, UnicodeDecodeError)
"""Everything rasterio raises for what is wrong with a file; it has no common root."""

_LARGEST_PRJ_BYTES = 65_536
_LONGEST_SHOWN = 300

# Warning filters belong to the process, so only one thread at a time may set them aside.
_opening = threading.Lock()

_REMOTE = ("http://", "https://", "s3://", "gs://", "az://", "ftp://", "/vsicurl", "/vsis3", "/vsigs", "/vsiaz")


@dataclass(frozen=True, slots=True)
class Header:
    """What a raster file says about itself, without its pixels."""

    path: str
    driver: str
    count: int
    dtype: str
    shape: tuple[int, int]
    """(rows, cols)."""
    crs: str | None
    """Authority string or WKT; for GCPs, theirs."""
    transform: Affine | None
    """None where the file has none (the identity counts as none)."""
    gcps: tuple[Any, ...]
    rpcs: Any
    nodata: tuple[float | None, ...]
    descriptions: tuple[str | None, ...]
    colours: tuple[str, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    tags: dict[str, str]


class _Kept(threading.local):
    """What a thread keeps open."""

    files: dict[str, Any] | None = None
    stack: ExitStack


_kept = _Kept()


@contextmanager
def keep_open() -> Iterator[None]:
    """Let every raster that this thread opens stay open until the end, so that GDAL decodes none of its blocks twice.

    Blocks of an image are read in pieces that share file blocks; GDAL forgets what it decoded when a file is closed.
    """
    if _kept.files is not None:
        yield
        return
    with ExitStack() as stack:
        _kept.files, _kept.stack = {}, stack
        try:
            yield
        finally:
            _kept.files = None


@contextmanager
def open_raster(path: str) -> Iterator[Any]:
    """Yield an open rasterio dataset; whatever GDAL says comes out as one `DataError` naming the file.

    Raises
    ------
    DataError
        The file is missing, empty, not a raster, or breaks off while it is read.
    """
    try:
        if _kept.files is None:
            with _opened(path) as source:
                yield source
            return
        if path not in _kept.files:
            _kept.files[path] = _kept.stack.enter_context(_opened(path))
        yield _kept.files[path]
    except GDAL_ERRORS as err:
        raise DataError("cannot be read as a raster", where=path, found=_reason(err, path)) from err


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    _require_file(path)
    with rasterio.Env(**_GDAL_OPTIONS):
        with _opening, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            source = rasterio.open(path)
        with source:
            yield source


def is_folder(path: str | Path) -> bool:
    """Return whether a path is a folder; a path that cannot be one (too long, forbidden) is not."""
    return os.path.isdir(path)  # noqa: PTH112 - pathlib raises where this says no


def is_there(path: str | Path) -> bool:
    """Return whether a path exists; a path that cannot (too long, forbidden) does not."""
    return os.path.exists(path)  # noqa: PTH110 - pathlib raises where this says no


def _require_file(path: str) -> None:
    if path.lower().startswith(_REMOTE):
        raise NotYetError(
            "imagery on the network is not read yet", where=path, hint="download the file and give its path"
        )
    if path.startswith("/vsi") or ":" in path.split("/")[0]:
        return
    file = Path(path)
    try:
        if not is_there(file):
            raise DataError("no such file", where=path if len(path) < _LONGEST_SHOWN else f"{path[:60]}...")
        if not (file.is_file() or file.is_dir()):
            raise DataError("is neither a file nor a folder", where=path)
        if file.is_file() and file.stat().st_size == 0:
            raise DataError("the file is empty", where=path)
    except OSError as err:
        raise DataError("cannot be opened", where=path, found=err.strerror) from err


def _reason(err: BaseException, path: str) -> str:
    cause: BaseException = err
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = " ".join(str(cause).replace(path, "it").replace(Path(path).name, "it").replace("'it'", "it").split())
    return text[:160].rstrip(". ") or type(err).__name__


def read_header(path: str) -> Header:
    """Return what a raster file says about itself, without reading pixels."""
    _require_file(path)
    try:
        state = Path(path).stat()
    except OSError:
        return _header(path)
    return _cached_header(path, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=4096)
def _cached_header(path: str, stamp: tuple[int, int]) -> Header:
    del stamp  # part of the key only: a changed file is read again
    return _header(path)


def _header(path: str) -> Header:
    with open_raster(path) as src:
        gcps, gcp_crs = src.gcps
        transform = None if src.transform == Affine.identity() else src.transform
        crs = src.crs if transform is not None or not gcps else gcp_crs or src.crs
        if transform is not None and abs(transform.determinant) == 0:
            raise DataError("the geotransform is degenerate", where=path, found=tuple(transform)[:6])
        if src.colorinterp[0].name == "palette":
            raise DataError(
                "its colours are kept in a palette", where=path, hint="gdal_translate -expand rgb, and use the result"
            )
        if any(dtype.startswith("complex") for dtype in src.dtypes):
            raise DataError(
                "complex pixels are not supported",
                where=path,
                found=src.dtypes[0],
                hint="a detected (amplitude) product of the same scene",
            )
        return Header(
            path=path,
            driver=src.driver,
            count=src.count,
            dtype=src.dtypes[0],
            shape=(src.height, src.width),
            crs=crs.to_string() if crs else _crs_beside(path),
            transform=transform,
            gcps=tuple(gcps) if transform is None else (),
            rpcs=src.rpcs if transform is None else None,
            nodata=tuple(src.nodatavals),
            descriptions=tuple(src.descriptions),
            colours=tuple(colour.name for colour in src.colorinterp),
            scales=tuple(src.scales),
            offsets=tuple(src.offsets),
            tags={str(key): str(value) for key, value in _all_tags(src).items()},
        )


def _crs_beside(path: str) -> str | None:
    """Return the reference system in a .prj beside a file, which GDAL does not look at for pictures."""
    file = Path(path).with_suffix(".prj") if Path(path).suffix else Path(path + ".prj")
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST_PRJ_BYTES:
            return None
        found: str = CRS.from_user_input(file.read_text(encoding="utf-8", errors="replace").strip()).to_wkt()
    except (OSError, ProjError):
        return None
    return found


def _all_tags(src: Any) -> dict[str, str]:
    tags: dict[str, str] = {}
    for domain in ("IMAGERY", "IMD"):
        tags.update(src.tags(ns=domain))
    tags.update(src.tags())
    return tags


def read_pixels(src: Any, indexes: Sequence[int], rows: tuple[int, int], cols: tuple[int, int]) -> NDArray[np.generic]:
    """Return bands `indexes` of the half-open window `rows` x `cols` of an open dataset, (band, row, col)."""
    window = rasterio.windows.Window(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0])
    pixels: NDArray[np.generic] = src.read(list(indexes), window=window)
    return pixels


def hash_file(path: str | Path) -> str:
    """Return the sha256 of a file, hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
    except OSError as err:
        raise DataError("cannot be read", where=str(path), found=err.strerror) from err
    return digest.hexdigest()

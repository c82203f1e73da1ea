"""Windows: the AOI's part of an image on the network, read by GDAL in ranges and kept as a file of its own."""

from __future__ import annotations

import logging
import math
import os
import re
import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader
from shapely import box, get_coordinates, segmentize

from changedetect.core.geometry import to_crs
from changedetect.errors import DataError
from changedetect.io.files import GDAL_ERRORS
from changedetect.io.place import transform_points
from changedetect.io.stac.retry import BROKEN, Trouble, patiently, without_query
from changedetect.io.stac.sign import gdal_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.io.stac.params import FetchParams

TAGS = "FETCHED"
"""Namespace of the tags that say where a window comes from."""

_DRIVERS = ["GTiff", "JP2OpenJPEG"]
"""No other: a VRT from elsewhere could name any file of this machine."""

_PIECE_BYTES = 64_000_000
_EDGES = 64
"""Points along each side of the area by which it is followed into another reference system."""

_STATUS = re.compile(r"(?:response code|HTTP error code|HTTP)\D{0,12}([1-5]\d\d)", re.I)

_opening = threading.Lock()


@dataclass(frozen=True, slots=True)
class Part:
    """The window of an image: first row and column, and how many."""

    row: int
    col: int
    rows: int
    cols: int


def gdal_options(params: FetchParams, headers: str = "") -> dict[str, str]:
    """Return GDAL's settings for reading parts of files on the network, each for a reason."""
    options = {
        # No look around for files beside the image: each would be a request, and nothing beside it is wanted.
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        # The header of a COG comes with the first answer.
        "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
        "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
        # What came broken must not be remembered: a further try asks the server, not a cache.
        "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/:/vsigs/",
        "VSI_CACHE": "FALSE",
        # Single ranges are asked again by GDAL, whole windows by `patiently`.
        "GDAL_HTTP_MAX_RETRY": "2" if params.tries > 1 else "0",
        "GDAL_HTTP_RETRY_DELAY": f"{params.wait_s / 2:g}",
        "GDAL_HTTP_CONNECTTIMEOUT": f"{math.ceil(params.timeout_s)}",
        # Less than 1 kB/s for so long is standing still.
        "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
        "GDAL_HTTP_LOW_SPEED_TIME": f"{math.ceil(params.timeout_s)}",
        "GDAL_NUM_THREADS": "1",
        "CPL_DEBUG": "OFF",
    }
    if not {"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"} & set(os.environ):
        options["AWS_NO_SIGN_REQUEST"] = "YES"
    if headers:
        options["GDAL_HTTP_HEADERS"] = headers
    return options


def as_gdal_headers(headers: dict[str, str]) -> str:
    """Return headers as GDAL takes them: one as it is, several in quotation marks, with commas between."""
    lines = [f"{key}: {value}" for key, value in headers.items()]
    return lines[0] if len(lines) == 1 else ",".join(f'"{line}"' for line in lines)


def fetch_window(
    address: str,
    area: BaseGeometry,
    target: Path,
    params: FetchParams,
    *,
    sign: Callable[[str], str] = str,
    headers: str = "",
    tags: dict[str, str] | None = None,
) -> Part | None:
    """Write the part of an image around an area to a GeoTIFF of its own; return where it lies, None if it shows none.

    All bands, on the image's own pixels, with its no-data number, scales, names and mask. The file is there whole or
    not at all.

    Parameters
    ----------
    address : str
        http, https, s3 or gs.
    area : geometry
        WGS 84; `params.margin_m` is added.
    target : path
        Where the file is to be.
    sign : callable
        Gives the address to ask for, at each try.
    headers : str
        As `as_gdal_headers` gives them.
    tags : dict
        Written into the file, in a namespace of their own.

    Raises
    ------
    MissingError
        The image is not there, may not be read, or is none.
    DataError
        It could not be read whole however often it was tried, or has no place on the map.
    """
    fresh = target.with_name(f"{target.stem}.{os.getpid()}-{threading.get_ident()}.part")

    def copy_from(name: str) -> Part | None:
        with _opened(name) as source:
            if _is_placed(source):
                return _copy(source, area, params, fresh, tags or {})
        # Its place may be told by a file beside it, which is looked for here alone.
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"), _opened(name) as source:
            if _is_placed(source):
                return _copy(source, area, params, fresh, tags or {})
        raise DataError("an image on the network has no place on the map", where=without_query(address),
                        hint="download it")  # fmt: skip

    def attempt() -> Part | None:
        try:
            with rasterio.Env(**gdal_options(params, headers)), _said() as said:
                try:
                    return copy_from(gdal_name(sign(address)))
                except GDAL_ERRORS as error:
                    raise _trouble(error, said) from error
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise

    part = patiently(attempt, address, params)
    if part is not None:
        fresh.replace(target)
    return part


def _opened(name: str) -> Any:
    with _opening, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return DatasetReader(name, driver=_DRIVERS, sharing=False)


class _said:  # noqa: N801 - used as a function
    """GDAL's own words of this thread while a file is read: its errors carry less than its log."""

    def __enter__(self) -> list[str]:
        self.words: list[str] = []
        self.handler = _Keeper(self.words, threading.get_ident())
        _LOG.addHandler(self.handler)
        return self.words

    def __exit__(self, *_: object) -> None:
        _LOG.removeHandler(self.handler)


_LOG = logging.getLogger("rasterio._env")
_LOG.setLevel(logging.WARNING)
_LOG.propagate = False
_LOG.addHandler(logging.NullHandler())


class _Keeper(logging.Handler):
    def __init__(self, words: list[str], thread: int) -> None:
        super().__init__()
        self.words, self.thread = words, thread

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self.thread:
            self.words.append(record.getMessage())


def _trouble(error: BaseException, said: list[str]) -> Trouble:
    chain: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        chain.append(str(cause))
        cause = cause.__cause__
    text = " ".join([*chain[::-1], *said[-3:]])
    match = _STATUS.search(text)
    status = int(match[1]) if match else None
    if status is not None and status >= 400:
        return Trouble(f"HTTP {status}", status)
    if "not recognized as being in a supported file format" in text:
        return Trouble("what is there is no GeoTIFF and no JPEG 2000", 415)
    if "CURL error" in text:
        return Trouble(re.sub(r"^.*?CURL error: ", "", next(words for words in [*chain, *said] if "CURL" in words)))
    return Trouble(f"{BROKEN}: {chain[-1] or type(error).__name__}")


def _is_placed(source: Any) -> bool:
    return source.crs is not None and source.transform != Affine.identity()


def _copy(source: Any, area: BaseGeometry, params: FetchParams, target: Path, tags: dict[str, str]) -> Part | None:
    part = part_around(area, params.margin_m, source.crs.to_wkt(), source.transform, (source.height, source.width))
    if part is None:
        return None
    _write(source, part, target, tags)
    return part


def part_around(
    area: BaseGeometry, margin_m: float, crs: str, transform: Affine, shape: tuple[int, int]
) -> Part | None:
    """Return the window of an image that shows an area (WGS 84) and a margin around it; None if it shows none of it."""
    lon, lat = area.centroid.x, area.centroid.y
    local = f"+proj=aeqd +lat_0={lat:.6f} +lon_0={lon:.6f} +datum=WGS84 +units=m"
    around = to_crs(box(*area.bounds), local).envelope.buffer(margin_m, join_style="mitre")
    left, bottom, right, top = around.bounds
    edged = segmentize(around, max(right - left, top - bottom) / _EDGES)
    x, y = transform_points(local, crs, *get_coordinates(edged).T)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    inverse = ~transform
    cols, rows = inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f
    r0, r1 = max(math.floor(rows.min()), 0), min(math.ceil(rows.max()), shape[0])
    c0, c1 = max(math.floor(cols.min()), 0), min(math.ceil(cols.max()), shape[1])
    return Part(r0, c0, r1 - r0, c1 - c0) if r1 > r0 and c1 > c0 else None


def shifted(transform: Affine, col: int, row: int) -> Affine:
    """Return the transform of a window that begins at a pixel."""
    a, b, c, d, e, f = tuple(transform)[:6]
    return Affine(a, b, c + a * col + b * row, d, e, f + d * col + e * row)


def _write(source: Any, part: Part, target: Path, tags: dict[str, str]) -> None:
    """Write a window of an open image as GeoTIFF, in pieces that fit in memory."""
    profile = {
        "driver": "GTiff", "width": part.cols, "height": part.rows, "count": source.count, "dtype": source.dtypes[0],
        "crs": source.crs, "transform": shifted(source.transform, part.col, part.row),
        "nodata": source.nodata, "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate",
        "zlevel": 1, "interleave": "band", "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    has_mask = any(flag.name == "per_dataset" for flag in source.mask_flag_enums[0]) and not any(
        flag.name == "alpha" for flag in source.mask_flag_enums[0]
    )
    bytes_per_row = part.cols * source.count * np.dtype(source.dtypes[0]).itemsize
    step = max(256, _PIECE_BYTES // max(bytes_per_row, 1) // 256 * 256)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(target, "w", **profile) as out:
        out.colorinterp = source.colorinterp
        out.scales, out.offsets, out.descriptions = source.scales, source.offsets, source.descriptions
        for space in (None, "IMAGERY", "IMD"):
            told = source.tags(ns=space)
            if told:
                out.update_tags(ns=space, **told)
        out.update_tags(ns=TAGS, **tags)
        for row in range(0, part.rows, step):
            rows = min(step, part.rows - row)
            there = rasterio.windows.Window(part.col, part.row + row, part.cols, rows)
            here = rasterio.windows.Window(0, row, part.cols, rows)
            out.write(source.read(window=there), window=here)
            if has_mask:
                mask: NDArray[np.uint8] = source.dataset_mask(window=there)
                out.write_mask(mask, window=here)

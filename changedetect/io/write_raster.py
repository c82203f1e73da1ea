"""Change scores and pictures of the place as Cloud Optimized GeoTIFF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.shutil import copy
from rasterio.windows import Window

from changedetect.core.times import to_iso, to_stem
from changedetect.errors import OutputError
from changedetect.io.spill import let_go

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from changedetect.core.grid import Grid
    from changedetect.core.results import Look

_OPTIONS = {
    "compress": "DEFLATE",
    "predictor": "FLOATING_POINT",
    "level": 3,  # half of the effort for 7 % more bytes
    "blocksize": 512,
    "overview_resampling": "AVERAGE",
    "bigtiff": "IF_SAFER",
    "num_threads": 1,  # the same bytes on every machine
}

_PICTURE_OPTIONS = {name: _OPTIONS[name] for name in ("blocksize", "overview_resampling", "bigtiff", "num_threads")}

_STRIP_PX = 512
"""Rows read and written at a time."""
_TILE_PX = 2048
"""Columns of them drawn at a time."""
_LARGE_PX = 30_000_000
"""Scores of more pixels are not made in memory."""


def write_score(path: Path, look: Look, *, step_sigma: float = 0.0, simulated: bool = False) -> None:
    """Write the score of a look as a float32 COG with overviews, NaN where unseen.

    Raises
    ------
    OutputError
        The look has no score.
    OSError
        The file cannot be written, for example because the disk is full.
    """
    if look.score is None:
        raise OutputError("the look has no score", where=look.scene_id)
    rows, cols = look.grid.shape
    profile = {"driver": "COG", "width": cols, "height": rows, "count": 1, "dtype": "float32", "nodata": float("nan")}
    tags = {
        "scene_id": look.scene_id,
        "acquired": to_iso(look.acquired) or "",
        "simulated": "SIMULATED" if simulated else "no",
    }
    place = {"crs": look.grid.crs, "transform": look.grid.transform}
    if rows * cols > _LARGE_PX:
        _write_large(path, look.score, step_sigma, place | profile, tags)
        return
    # made in memory: GDAL closes a file on a full disk with no more than a message on stderr
    with MemoryFile() as memory:
        with memory.open(**place, **profile, **_OPTIONS) as dataset:
            dataset.write(_rounded(look.score, step_sigma), 1)
            dataset.set_band_description(1, "change score, sigma")
            dataset.update_tags(**tags)
        path.write_bytes(memory.getbuffer())


def _rounded(score: NDArray[np.float32], step_sigma: float) -> NDArray[np.float32]:
    part = np.asarray(score, np.float32)
    return np.round(part / np.float32(step_sigma)) * np.float32(step_sigma) if step_sigma else part


def _write_large(
    path: Path, score: NDArray[np.float32], step_sigma: float, profile: dict[str, Any], tags: dict[str, str]
) -> None:
    """Write a score strip by strip, by way of a plain file, so that it is never held whole."""
    plain = path.with_suffix(".plain.tif")
    through = profile | {"driver": "GTiff", "tiled": True, "blockxsize": _STRIP_PX, "blockysize": _STRIP_PX}
    try:
        with rasterio.open(plain, "w", **through, compress="DEFLATE", zlevel=1, predictor=3, bigtiff="IF_SAFER") as to:
            to.set_band_description(1, "change score, sigma")
            to.update_tags(**tags)
            for top in range(0, score.shape[0], _STRIP_PX):
                strip = _rounded(score[top : top + _STRIP_PX], step_sigma)
                to.write(strip, 1, window=Window(0, top, score.shape[1], strip.shape[0]))
                let_go(score)
        copy(plain, path, driver="COG", **_OPTIONS)
        _require_readable(path)
    except RasterioError as error:
        raise OutputError("a score could not be written", where=str(path), found=str(error)) from error
    finally:
        plain.unlink(missing_ok=True)


def _require_readable(path: Path) -> None:
    """Raise `RasterioError` unless a file is whole: GDAL closes one on a full disk with no more than a message."""
    with rasterio.open(path) as written:
        written.read(window=Window(max(0, written.width - 1), max(0, written.height - 1), 1, 1))


def score_names(looks: Sequence[Look]) -> list[str]:
    """Return a unique file name per look from its time, for example ``2024-10-05T022000Z.tif``."""
    names: list[str] = []
    for look in looks:
        stem, n = to_stem(look.acquired), 1
        name = f"{stem}.tif"
        while name in names:
            n += 1
            name = f"{stem}-{n}.tif"
        names.append(name)
    return names


def write_picture(
    path: Path, grid: Grid, picture: Callable[[Grid], NDArray[np.uint8]], tags: Mapping[str, str]
) -> None:
    """Write a picture of the place as an 8-bit Cloud Optimized GeoTIFF: for the eye, not for measurement.

    Parameters
    ----------
    picture : callable
        Returns the (band, row, col) uint8 of a part of `grid`, the last band opacity (0: no data).
    tags : mapping of str to str
        What the picture shows: date, sensor, stretch.

    Raises
    ------
    OutputError
        The file could not be written, for example because the disk is full.
    """
    rows, cols = grid.shape
    path.parent.mkdir(exist_ok=True)
    plain = path.with_suffix(".plain.tif")
    profile = {"driver": "GTiff", "width": cols, "height": rows, "count": 4, "dtype": "uint8", "tiled": True}
    profile |= {"blockxsize": _STRIP_PX, "blockysize": _STRIP_PX, "bigtiff": "IF_SAFER"}
    if rows * cols > _LARGE_PX:
        profile["compress"] = "LZW"  # takes as long as all the rest: only where the plain file would be large
    try:
        with rasterio.open(plain, "w", **profile, crs=grid.crs, transform=grid.transform) as dataset:
            dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
            dataset.update_tags(**tags)
            for top in range(0, rows, _STRIP_PX):
                for left in range(0, cols, _TILE_PX):
                    part = grid.crop(slice(top, min(top + _STRIP_PX, rows)), slice(left, min(left + _TILE_PX, cols)))
                    dataset.write(picture(part), window=Window(left, top, part.shape[1], part.shape[0]))
        # opacity becomes a mask, as JPEG has no fourth band
        copy(plain, path, driver="COG", compress="JPEG", quality=90, **_PICTURE_OPTIONS)
        _require_readable(path)
    except RasterioError as error:
        raise OutputError("a picture of the place could not be written", where=str(path), found=str(error)) from error
    finally:
        plain.unlink(missing_ok=True)

"""Change scores and pictures of the place as Cloud Optimized GeoTIFF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.shutil import copy
from rasterio.windows import Window

from changedetect.core.times import to_iso, to_stem
from changedetect.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from changedetect.core.grid import Grid
    from changedetect.core.results import Look

_OPTIONS = {
    "compress": "DEFLATE",
    "predictor": "FLOATING_POINT",
    "blocksize": 512,
    "overview_resampling": "AVERAGE",
    "bigtiff": "IF_SAFER",
    "num_threads": 1,  # the same bytes on every machine
}

_STRIP_PX = 512
"""Rows read and written at a time."""


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
    score = np.asarray(look.score, np.float32)
    if step_sigma:
        score = np.round(score / np.float32(step_sigma)) * np.float32(step_sigma)
    rows, cols = look.grid.shape
    profile = {"driver": "COG", "width": cols, "height": rows, "count": 1, "dtype": "float32", "nodata": float("nan")}
    tags = {
        "scene_id": look.scene_id,
        "acquired": to_iso(look.acquired) or "",
        "simulated": "SIMULATED" if simulated else "no",
    }
    place = {"crs": look.grid.crs, "transform": look.grid.transform}
    # made in memory: GDAL closes a file on a full disk with no more than a message on stderr
    with MemoryFile() as memory:
        with memory.open(**place, **profile, **_OPTIONS) as dataset:
            dataset.write(score, 1)
            dataset.set_band_description(1, "change score, sigma")
            dataset.update_tags(**tags)
        path.write_bytes(memory.getbuffer())


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
    profile |= {"blockxsize": _STRIP_PX, "blockysize": _STRIP_PX, "compress": "LZW", "bigtiff": "IF_SAFER"}
    try:
        with rasterio.open(plain, "w", **profile, crs=grid.crs, transform=grid.transform) as dataset:
            dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
            dataset.update_tags(**tags)
            for top in range(0, rows, _STRIP_PX):
                strip = grid.crop(slice(top, min(top + _STRIP_PX, rows)), slice(0, cols))
                dataset.write(picture(strip), window=Window(0, top, cols, strip.shape[0]))
        # opacity becomes a mask, as JPEG has no fourth band
        copy(plain, path, driver="COG", compress="JPEG", quality=90, blocksize=512, num_threads=1, bigtiff="IF_SAFER")
        with rasterio.open(path) as written:  # GDAL closes a file on a full disk with no more than a message
            written.read(window=Window(max(0, cols - 1), max(0, rows - 1), 1, 1))
    except RasterioError as error:
        raise OutputError("a picture of the place could not be written", where=str(path), found=str(error)) from error
    finally:
        plain.unlink(missing_ok=True)

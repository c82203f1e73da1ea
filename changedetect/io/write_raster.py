"""Change scores as Cloud Optimized GeoTIFF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rasterio.io import MemoryFile

from changedetect.core.times import to_iso, to_stem
from changedetect.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from changedetect.core.results import Look

_OPTIONS = {
    "compress": "DEFLATE",
    "predictor": "FLOATING_POINT",
    "blocksize": 512,
    "overview_resampling": "AVERAGE",
    "bigtiff": "IF_SAFER",
    "num_threads": 1,  # the same bytes on every machine
}


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

"""Planes of looks that are too large to be held: on disk, under no name, so that nothing is left of a run that dies."""

from __future__ import annotations

import mmap
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from changedetect.errors import OutputError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


def make_plane(shape: tuple[int, int], dtype: DTypeLike, fill: float, folder: Path | None) -> NDArray[Any]:
    """Return a writable plane (row, col) filled with one value: in memory, or in an unnamed file in `folder`.

    Raises
    ------
    OutputError
        The disk has no room for it.
    """
    if folder is None:
        return np.full(shape, fill, dtype)
    needed = int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            _reserve(file.fileno(), needed)
            plane = np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        raise OutputError(
            "there is no room for what is kept while the scenes are compared",
            where=str(folder),
            found=str(error),
            needed=f"{needed / 1e9:.1f} GB for each look",
            hint="an output folder on a larger disk",
        ) from error
    step = max(1, (1 << 24) // max(1, shape[1]))
    if fill != 0:
        for row in range(0, shape[0], step):
            plane[row : row + step] = fill
            let_go(plane)
    return plane


def let_go(plane: NDArray[Any]) -> None:
    """Give back the memory of a plane that lies in a file; what was written stays there."""
    held = getattr(plane, "_mmap", None)
    if held is not None and hasattr(mmap, "MADV_DONTNEED"):
        held.flush()
        held.madvise(mmap.MADV_DONTNEED)


def _reserve(descriptor: int, size: int) -> None:
    import os

    os.truncate(descriptor, size)
    if hasattr(os, "posix_fallocate"):  # a full disk says so here, and not by a signal when a page is written
        os.posix_fallocate(descriptor, 0, size)

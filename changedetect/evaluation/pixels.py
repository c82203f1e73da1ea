"""Changed pixels against a mask of changed pixels, as benchmark data sets state their truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio
from rasterio.errors import RasterioIOError
from rasterio.features import rasterize

from changedetect.errors import DataError

if TYPE_CHECKING:
    from changedetect.evaluation.read import Outputs

MASKS = (".tif", ".tiff", ".vrt", ".jp2", ".img")
"""Suffixes of truth that is a raster: not 0 is changed, nodata is not labelled."""


def is_mask(path: str | Path) -> bool:
    """Return whether a file of truth is a raster."""
    return Path(path).suffix.lower() in MASKS


def score_pixels(outputs: Outputs, path: str | Path) -> dict[str, Any]:
    """Return labelled pixels in all, truly changed, called changed and both, with precision, recall and F1.

    A polygon of any class counts, on the pixels whose centres it covers.

    Raises
    ------
    DataError
        The mask cannot be read or has no georeference.
    """
    try:
        with rasterio.open(path) as src:
            if src.crs is None:
                raise DataError("truth has no georeference", where=str(path))
            changed, labelled, place, crs = src.read(1) != 0, src.dataset_mask() > 0, src.transform, src.crs
    except RasterioIOError as error:
        raise DataError("truth cannot be read", where=str(path), found=str(error)) from None
    shapes = [shape for shape in outputs.changes.to_crs(crs).geometry if not shape.is_empty]
    drawn = rasterize(shapes, changed.shape, transform=place) > 0 if shapes else changed & False
    said, true = drawn & labelled, changed & labelled
    return {
        "labelled": int(labelled.sum()),
        **score_overlap(int(said.sum()), int(true.sum()), int((said & true).sum())),
    }


def score_overlap(said: int, true: int, hit: int) -> dict[str, Any]:
    """Return precision, recall and F1 of so many pixels called changed, truly changed, and both; None without any."""
    return {
        "said": said,
        "true": true,
        "hit": hit,
        "precision": round(hit / said, 4) if said else None,
        "recall": round(hit / true, 4) if true else None,
        "f1": round(2 * hit / (said + true), 4) if said + true else None,
    }

"""Rasters kept open while an image is read in pieces."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from changedetect.errors import DataError
from changedetect.io.files import keep_open, open_raster


def _write(path):
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "height": 2, "width": 3, "crs": "EPSG:32652"}
    with rasterio.open(path, "w", transform=Affine(1, 0, 5e5, 0, -1, 5e6), **profile) as out:
        out.write(np.arange(6, dtype=np.uint8).reshape(1, 2, 3))
    return str(path)


def test_a_raster_kept_open_is_opened_once_and_closed_at_the_end(tmp_path):
    path = _write(tmp_path / "a.tif")
    with keep_open():
        with open_raster(path) as first:
            pass
        assert not first.closed
        with keep_open(), open_raster(path) as second:
            assert second is first
    assert first.closed
    with open_raster(path) as third:
        pass
    assert third.closed


def test_a_file_that_breaks_off_within_is_named_and_forgotten_after(tmp_path):
    path = _write(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:-100])
    named = pytest.raises(DataError, match=r"b\.tif: cannot be read as a raster")
    with named, keep_open(), open_raster(str(tmp_path / "b.tif")) as src:
        src.read(1)
    with keep_open(), open_raster(path) as again:
        assert again.read(1).tolist() == [[0, 1, 2], [3, 4, 5]]

"""Products made for tests in their makers' layout and names, with the metadata that is read, and tiny pixels."""

import warnings

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from rasters import UTM, X0, Y0


def pixels(path, count=1, value=2000, gsd_m=10.0, shape=(12, 14), dtype="uint16", crs=UTM, transform=None, **profile):
    """Write an image of one number (or of the array `value`) where its name says, as GeoTIFF or JPEG 2000."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = (
        np.broadcast_to(np.asarray(value, dtype), (count, *shape)) if np.ndim(value) < 3 else np.asarray(value, dtype)
    )
    driver = "JP2OpenJPEG" if path.suffix.lower() == ".jp2" else "GTiff"
    if driver == "JP2OpenJPEG":
        profile = {"QUALITY": "100", "REVERSIBLE": "YES"} | profile
    if transform is None and crs is not None:
        transform = Affine(gsd_m, 0, X0, 0, -gsd_m, Y0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        _write(path, data, driver, crs=crs, transform=transform, **profile)
    return str(path)


def _write(path, data, driver, **profile):
    with rasterio.open(
        path, "w", driver=driver, count=data.shape[0], height=data.shape[1], width=data.shape[2], dtype=data.dtype,
        **profile,
    ) as dst:  # fmt: skip
        dst.write(data)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return str(path)

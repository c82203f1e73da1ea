"""Raster: pixels, their quality, and their place, in one immutable object."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from changedetect.core.quality import Quality, is_valid
from changedetect.errors import GridError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.core.grid import Grid


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """Pixels on a grid; arrays are read-only."""

    data: NDArray[np.float32]
    """(band, row, col) float32; 0 where the quality says NODATA."""
    quality: NDArray[np.uint16]
    """(row, col) uint16 bits of `changedetect.core.quality.Quality`."""
    grid: Grid
    bands: tuple[str, ...]
    """One name per band: coastal blue green yellow red rededge nir swir16 swir22 pan vv vh, or as given."""
    unit: str
    """reflectance, radiance, display (stretched 8-bit), dn, sigma0, or sigma (a score)."""

    def __post_init__(self) -> None:
        data, quality = self.data, self.quality
        if data.ndim != 3 or data.dtype != np.float32:
            raise GridError("raster data must be float32 (band, row, col)", found=f"{data.dtype} {data.shape}")
        if data.shape[1:] != self.grid.shape or quality.shape != self.grid.shape:
            raise GridError(
                "raster and grid differ in shape", found=f"{data.shape}, {quality.shape}", needed=self.grid.shape
            )
        if quality.dtype != np.uint16:
            raise GridError("raster quality must be uint16", found=quality.dtype)
        if len(self.bands) != data.shape[0] or len(set(self.bands)) != len(self.bands):
            raise GridError("a raster needs one distinct name per band", found=self.bands, needed=data.shape[0])
        for array in (data, quality):
            array.setflags(write=False)

    @classmethod
    def make(
        cls,
        data: NDArray[np.generic],
        grid: Grid,
        bands: Sequence[str],
        unit: str,
        quality: NDArray[np.uint16] | None = None,
    ) -> Raster:
        """Return a raster from any numeric (band, row, col) array; what is not finite becomes 0 and NODATA."""
        values = np.array(data, dtype=np.float32)
        bits = np.zeros(grid.shape, np.uint16) if quality is None else np.array(quality, dtype=np.uint16)
        finite = np.isfinite(values)
        if not finite.all():
            values[~finite] = 0.0
            bits[~finite.all(axis=0)] |= np.uint16(Quality.NODATA)
        return cls(values, bits, grid, tuple(bands), unit)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """True where a pixel is usable, (row, col)."""
        return is_valid(self.quality)

    @property
    def clear_fraction(self) -> float:
        """Share of usable pixels, 0 to 1."""
        return float(self.valid.mean())

    def band(self, name: str) -> NDArray[np.float32]:
        """Return one band, (row, col) float32."""
        if name not in self.bands:
            raise GridError("raster has no such band", found=name, needed=self.bands)
        return np.asarray(self.data[self.bands.index(name)])

    def select(self, names: Sequence[str]) -> Raster:
        """Return the raster with only the named bands, in that order."""
        if tuple(names) == self.bands:
            return self
        return replace(self, data=np.stack([self.band(name) for name in names]), bands=tuple(names))

    def crop(self, rows: slice, cols: slice) -> Raster:
        """Return the part of the raster in a row and column slice."""
        return replace(
            self,
            data=self.data[:, rows, cols],
            quality=self.quality[rows, cols],
            grid=self.grid.crop(rows, cols),
        )

    def with_data(self, data: NDArray[np.float32]) -> Raster:
        """Return the raster with other values in the same bands and place."""
        return replace(self, data=np.ascontiguousarray(data, dtype=np.float32))

"""Registration of real Sentinel-2 pairs at the shift that was measured independently of it."""

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.warp import Resampling, reproject, transform_bounds

from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.steps.register import RegisterParams, estimate_shift

REAL = Path(os.environ.get("CHANGEDETECT_REAL", Path(__file__).parents[2] / "../shared/real"))
CITY = REAL / "oscd-sentinel2" / "Images" / "saclay_e"
BANDS = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08"}
UTM = "EPSG:32631"

pytestmark = [pytest.mark.real, pytest.mark.skipif(not CITY.is_dir(), reason="needs the real imagery (oscd-sentinel2)")]


def load(date, grid):
    planes = []
    for code in BANDS.values():
        with rasterio.open(next((CITY / date).glob(f"*_{code}.tif"))) as source:
            values = source.read(1).astype(np.float32)
            values[values == 0] = np.nan
            plane = np.full(grid.shape, np.nan, np.float32)
            reproject(
                values,
                plane,
                src_transform=source.transform,
                src_crs=source.crs,
                dst_transform=grid.transform,
                dst_crs=grid.crs,
                src_nodata=np.nan,
                dst_nodata=np.nan,
                resampling=Resampling.cubic,
            )
            planes.append(plane)
    return Raster.make(np.stack(planes), grid, tuple(BANDS), "dn")


def test_saclay_comes_out_at_its_measured_shift():
    with rasterio.open(next((CITY / "imgs_1").glob("*_B04.tif"))) as source:
        grid = Grid.from_bounds(UTM, transform_bounds(source.crs, UTM, *source.bounds), 10.0)
        middle = np.radians((source.bounds.top + source.bounds.bottom) / 2)
        px_m = 111_320 * np.array([source.res[0], source.res[1] * np.cos(middle)])  # the product's own (row, col)
    reference, moving = load("imgs_1", grid), load("imgs_2", grid)
    warp = estimate_shift(moving, reference, RegisterParams())
    assert warp.status == "ok"
    # measured before, by two other methods, in px of the first date: (-0.05, -1.00) and (-0.05, -1.07) to apply
    assert -warp.dx_m / px_m[1] == pytest.approx(0.954, abs=0.2)
    assert warp.dy_m / px_m[0] == pytest.approx(0.036, abs=0.2)
    assert 0 < warp.ce90_m < 2.0
    back = estimate_shift(reference, moving, RegisterParams())
    assert (back.dx_m, back.dy_m) == pytest.approx((-warp.dx_m, -warp.dy_m), abs=0.5)

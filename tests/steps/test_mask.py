import numpy as np
import pytest

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.steps.mask import MaskParams, buffer_mask

GRID = Grid.from_bounds("EPSG:32652", (0, 0, 200, 200), 2.0)


def raster(bit=Quality.CLOUD, side=20):
    quality = np.zeros(GRID.shape, np.uint16)
    quality[40 : 40 + side, 40 : 40 + side] = bit
    return Raster.make(np.ones((1, *GRID.shape)), GRID, ("red",), "dn", quality)


@pytest.mark.parametrize("bit", [Quality.CLOUD, Quality.SHADOW, Quality.HAZE, Quality.MASKED])
def test_ground_within_the_buffer_is_not_used(bit):
    kept = buffer_mask(raster(bit), MaskParams(cloud_buffer_m=10))
    assert not kept.valid[50, 60 + 4]
    assert kept.quality[50, 64] == Quality.EDGE
    assert kept.valid[50, 60 + 5]
    assert kept.quality[50, 50] == bit
    # Round the corner the reach is a circle's.
    assert kept.valid[60 + 4, 60 + 4]


def test_no_data_snow_and_specks_are_not_cloud():
    beyond = raster(Quality.NODATA | Quality.MASKED)
    for still in (raster(Quality.NODATA), beyond, raster(Quality.SNOW), raster(Quality.CLOUD, side=3)):
        np.testing.assert_array_equal(buffer_mask(still, MaskParams()).quality, still.quality)


def test_no_buffer_changes_nothing():
    assert buffer_mask(raster(), MaskParams(cloud_buffer_m=0)) is not None
    np.testing.assert_array_equal(buffer_mask(raster(), MaskParams(cloud_buffer_m=0)).quality, raster().quality)


def test_coarse_pixels_get_at_least_the_least_number():
    kept = buffer_mask(raster(), MaskParams(cloud_buffer_m=1.0, cloud_buffer_min_px=2))
    assert not kept.valid[50, 61]
    assert kept.valid[50, 62]

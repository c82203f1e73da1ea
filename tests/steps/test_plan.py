from datetime import UTC, datetime

import geopandas as gpd
import pytest
from shapely.geometry import box

from changedetect.core.aoi import Aoi, Location
from changedetect.core.geometry import to_crs
from changedetect.core.scene import Scene
from changedetect.errors import ConfigError, DataError, NothingToDoError
from changedetect.steps.plan import GridParams, plan_grid

AOI = Aoi("a", "A", Location("test"), box(131.0, 44.0, 131.02, 44.01), ("trench",), [])


def scene(footprint, gsd_m=3.0):
    return Scene("s", datetime(2024, 9, 1, tzinfo=UTC), (), gsd_m, footprint)


def test_the_grid_covers_the_aoi_at_the_finest_pixel_size_in_its_utm_zone():
    grid = plan_grid(AOI, [scene(box(130, 43, 132, 45)), scene(box(130, 43, 132, 45), 0.5)], GridParams(halo_m=10))
    assert grid.crs == "EPSG:32652"
    assert grid.gsd_m == 0.5
    area = to_crs(AOI.geometry, grid.crs)
    assert grid.extent.buffer(-9.0).contains(area)
    assert not grid.extent.buffer(-11.5).contains(area)


@pytest.mark.parametrize(
    ("west", "south", "epsg"),
    [(-179.9, 10, 32601), (-180, -40, 32701), (-174, 50, 32601), (5.9, 60, 32631), (6.1, 60, 32632), (0, 0, 32630),
     (-0.1, -0.1, 32730), (179.9, -1e-3, 32760), (10, 78, 32632)],
)  # fmt: skip
def test_a_place_is_worked_in_the_zone_proj_knows_for_it(west, south, epsg):
    place = box(west - 1e-4, south - 1e-4, west + 1e-4, south + 1e-4)
    aoi = Aoi("a", "A", Location("test"), place, ("trench",), [])
    assert plan_grid(aoi, [scene(place)]).crs == f"EPSG:{epsg}"
    assert gpd.GeoSeries([place], crs=4326).estimate_utm_crs().to_epsg() == epsg


def test_the_grid_holds_only_what_scenes_cover():
    half = plan_grid(AOI, [scene(box(131.01, 43, 132, 45))], GridParams(halo_m=0))
    whole = plan_grid(AOI, [scene(box(130, 43, 132, 45))], GridParams(halo_m=0))
    assert half.shape[1] == pytest.approx(whole.shape[1] / 2, abs=8)


@pytest.mark.parametrize("footprint", [box(10, 10, 11, 11), box(131.02, 44.0, 131.04, 44.01)], ids=["far", "touching"])
def test_nothing_covered_is_nothing_to_do(footprint):
    with pytest.raises(NothingToDoError, match="no scene covers the AOI; found 1 scenes within lon"):
        plan_grid(AOI, [scene(footprint)])


def test_refusals():
    covering = [scene(box(130, 43, 132, 45), 0.5)]
    with pytest.raises(DataError, match=r"too large for one grid.*try: a smaller geometry or --set grid\.gsd_m=1"):
        plan_grid(AOI, covering, GridParams(max_pixels=1000))
    with pytest.raises(ConfigError, match=r"grid\.crs: is not a known reference system; found EPSG:999999"):
        plan_grid(AOI, covering, GridParams(crs="EPSG:999999"))
    with pytest.raises(ConfigError, match="must be projected, in metres"):
        plan_grid(AOI, covering, GridParams(crs="EPSG:4326"))

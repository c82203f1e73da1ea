"""Real imagery: what is found in it, and that it lands where GDAL's own warper puts it."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.errors import DataError
from changedetect.io.find import find_scenes
from changedetect.io.place import transform_points
from changedetect.io.read import ReadParams, read

REAL = Path(os.environ.get("CHANGEDETECT_REAL", Path(__file__).parents[2] / "../shared/real")).resolve()

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not REAL.is_dir(), reason="no real imagery beside the checkout (../shared/real)"),
]


def utm_grid(scene, epsg, gsd_m, side=400):
    lon, lat = scene.footprint.centroid.coords[0]
    x, y = transform_points("EPSG:4326", f"EPSG:{epsg}", np.array([lon]), np.array([lat]))
    half = side * gsd_m / 2
    return Grid.from_bounds(f"EPSG:{epsg}", (x[0] - half, y[0] - half, x[0] + half, y[0] + half), gsd_m)


def test_naip():
    scenes = find_scenes({"files": "naip-timeseries"}, REAL)
    assert [f"{scene.acquired:%Y-%m-%d}" for scene in scenes] == ["2012-07-31", "2017-08-27", "2020-08-31"]
    assert {(s.sensor, s.unit, s.bands, s.gsd_m) for s in scenes} == {
        ("naip", "display", ("red", "green", "blue", "nir"), 5.0)
    }


def test_sentinel_products_with_masks_and_items():
    scenes = find_scenes({"files": "s2-l2a-timeseries-mapchete"}, REAL)
    assert [f"{scene.acquired:%Y-%m-%dT%H:%M:%S}" for scene in scenes] == [
        "2023-08-10T09:58:11",
        "2023-08-13T10:08:07",
        "2023-08-15T09:58:11",
    ]
    for scene in scenes:
        assert (scene.sensor, scene.bands) == ("sentinel-2-l2a", ("blue", "green", "red", "nir"))
        assert [mask.kind for mask in scene.masks] == ["scl"]
        assert {asset.offset for asset in scene.assets} == {0.0}, "the catalogue has taken it off already"
        assert scene.sun_elevation_deg == pytest.approx(57, abs=2)
    clear = [read(scene, utm_grid(scene, 32633, 480, 220), ["red"]).clear_fraction for scene in scenes]
    assert clear[0] < 0.3 < 0.5 < clear[1] < clear[2]


def test_planet_and_skysat():
    scenes = {scene.id: scene for scene in find_scenes({"files": "planet-harvey"}, REAL)}
    assert len(scenes) == 5
    analytic = scenes["20170831_172754_101c_3B_AnalyticMS"]
    assert analytic.bands == ("blue", "green", "red", "nir"), "its colour tags say red, green, blue"
    assert (analytic.sensor, analytic.unit, analytic.masks[0].kind) == ("planetscope-4b-radiance", "reflectance", "udm")
    assert [asset.scale for asset in analytic.assets][:2] == pytest.approx([1.81512636125e-05, 1.92266681265e-05])
    assert (analytic.orbit_state, analytic.view_azimuth_deg) == ("descending", pytest.approx(348.67, abs=0.01))
    assert analytic.cautions == ("its maker calls its quality `test`, not `standard`",)
    assert analytic.acquired == datetime(2017, 8, 31, 17, 27, 54, tzinfo=UTC)
    edited = scenes["Houston-East-20170831-103f-100d-0f4f-RGB"]
    assert edited.acquired == datetime(2017, 8, 31, 17, 24, 57, tzinfo=UTC), (
        "by its item; the editor wrote it a day later"
    )
    raster = read(analytic, utm_grid(analytic, 32615, 90, 100))
    assert (raster.quality & Quality.CLOUD).any()
    assert raster.valid.any()


def oscd(city, date):
    folder = REAL / f"oscd-sentinel2/Images/{city}/imgs_{date}"
    codes = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08"}
    return {band: str(next(folder.glob(f"*_{code}.tif"))) for band, code in codes.items()}


@pytest.mark.parametrize("city", ["aguasclaras", "mumbai", "paris", "rennes", "saclay_e"])
def test_oscd_listed(city):
    entries = [{"assets": oscd(city, n), "datetime": f"201{4 + n}-01-01T00:00:00Z"} for n in (1, 2)]
    for scene in find_scenes(entries, REAL):
        assert (scene.sensor, scene.unit, scene.bands) == ("sentinel-2-l1c", "reflectance", tuple(oscd(city, 1)))
        raster = read(scene, utm_grid(scene, 32600 + int((scene.footprint.centroid.x + 180) // 6) + 1, 10, 120))
        assert raster.clear_fraction > 0.99
        assert 0.01 < np.median(raster.data) < 0.5


def test_oscd_date_of_processing_is_not_believed():
    with pytest.raises(DataError, match="time of processing, not of acquisition"):
        find_scenes({"files": "oscd-sentinel2/Images/saclay_e/imgs_1"}, REAL)
    (scene,) = find_scenes({"files": "oscd-sentinel2/Images/saclay_e/imgs_2"}, REAL)
    assert scene.acquired == datetime(2017, 8, 29, 10, 50, 19, tzinfo=UTC)


def test_landsat_by_its_band_descriptions():
    scenes = find_scenes(
        [{"path": f"landsat-taizhou/Taizhou/{year}TM", "datetime": f"{year}-03-01"} for year in (2000, 2003)], REAL
    )
    assert {(scene.sensor, scene.bands[3], scene.gsd_m) for scene in scenes} == {("landsat-tm", "nir", 30.0)}


def test_mosaics_in_two_reference_systems():
    pre, post = find_scenes(
        [
            {"path": sorted(map(str, (REAL / f"xview2-joplin/input/{when}").glob("*.tif"))), "datetime": date}
            for when, date in (("pre", "2010-01-01"), ("post", "2011-05-24"))
        ],
        REAL,
    )
    both = pre.footprint.intersection(post.footprint)
    lon, lat = both.centroid.coords[0]
    x, y = transform_points("EPSG:4326", "EPSG:32615", np.array([lon]), np.array([lat]))
    grid = Grid.from_bounds("EPSG:32615", (x[0] - 200, y[0] - 200, x[0] + 200, y[0] + 200), 1.0)
    assert read(pre, grid).valid.all()
    assert read(post, grid).clear_fraction > 0.98, "its tiles leave a gap of one pixel"


@pytest.mark.parametrize(
    ("path", "epsg", "gsd_m"),
    [
        ("naip-timeseries/m_4709963_se_14_1_20170827.tif", 32614, 5.0),
        ("naip-timeseries/m_4709963_se_14_1_20170827.tif", 32613, 4.0),
        ("xview2-joplin/input/post/tile_31500-5137.tif", 32615, 0.6),
        ("rasterio-tests/RGB.byte.tif", 32617, 280.0),
        ("oscd-sentinel2/Images/saclay_e/imgs_2/T31UDQ_20170829T105019_B04.tif", 32631, 9.0),
    ],
)
@pytest.mark.parametrize("kernel", ["cubic", "lanczos"])
def test_pixels_land_where_gdal_puts_them(path, epsg, gsd_m, kernel):
    (scene,) = find_scenes([{"path": path, "datetime": "2020-01-01", "scale": 1, "offset": 0}], REAL)
    grid = utm_grid(scene, epsg, gsd_m)
    ours = read(scene, grid, scene.bands[:1], params=ReadParams(resampling=kernel))
    with rasterio.open(REAL / path) as src, WarpedVRT(
        src, crs=grid.crs, transform=grid.transform, height=grid.shape[0], width=grid.shape[1],
        resampling=Resampling[kernel], tolerance=0.01,
    ) as warped:  # fmt: skip
        theirs = warped.read(1).astype(float)
        there = ours.valid & (warped.dataset_mask() > 0)
    assert there.mean() > 0.3
    slopes = np.stack([part[there] for part in np.gradient(theirs)], axis=1)
    shift = np.linalg.lstsq(slopes, ours.data[0][there] - theirs[there], rcond=None)[0]
    assert np.abs(shift).max() < 0.02, "pixels"

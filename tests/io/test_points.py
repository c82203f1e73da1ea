"""Screenshots laid on the map by control points, given in the entry or as a QGIS .points file (format as QGIS 3 writes
it: `#CRS:` line, mapX, mapY, sourceX, sourceY, enable; before 3.26 pixelX, pixelY; rows counted upward)."""

import shutil

import numpy as np
import pytest
import rasterio
from affine import Affine
from delivered import pixels, text
from rasterio.errors import NotGeoreferencedWarning
from rasters import UTM, X0, Y0

from changedetect.core.grid import Grid
from changedetect.errors import ConfigError, DataError
from changedetect.io.find import find_scenes
from changedetect.io.place import transform_points
from changedetect.io.read import read

WHEN = "2024-09-12T02:20:00Z"
TRUE = Affine(2.0, 0.3, X0, -0.3, -2.0, Y0)
"""A screenshot of 2 m, turned by eight degrees."""
SPOTS = [(5, 5), (90, 8), (88, 70), (6, 75), (50, 40)]


def screenshot(base, name="map.png"):
    """A picture whose red and green are its own column and row."""
    rows, cols = np.mgrid[:80, :100]
    picture = np.stack([cols, rows, np.full_like(cols, 7)]).astype(np.uint8)
    return pixels(base / name, 3, picture, dtype="uint8", crs=None)


def points(crs="EPSG:4326", noise_m=0.0, seed=1):
    rng = np.random.default_rng(seed)
    rows = []
    for col, row in SPOTS:
        x, y = TRUE @ (col, row) + rng.normal(0, noise_m, 2) if noise_m else TRUE @ (col, row)
        lon, lat = transform_points(UTM, crs, np.array([x]), np.array([y]))
        rows.append([float(lon[0]), float(lat[0]), col, row])
    return rows


def one(base, **entry):
    (scene,) = find_scenes([{"path": "map.tif", "datetime": WHEN, **entry}], base)
    return scene


def test_points_in_the_entry_lay_it_where_it_is(tmp_path):
    screenshot(tmp_path, "map.tif")
    scene = one(tmp_path, gcps=points())
    assert (scene.unit, scene.bands, scene.is_placed) == ("display", ("red", "green", "blue"), False)
    assert scene.gsd_m == pytest.approx(2.02, abs=0.01)
    assert scene.assets[0].transform == pytest.approx(tuple(TRUE)[:6], abs=0.01)
    (caution,) = scene.cautions
    assert caution.startswith("approximate, not measured: placed by hand on 5 control points (RMSE 0.00")
    x, y = TRUE @ (50, 40)
    raster = read(scene, Grid.from_bounds(UTM, (x - 20, y - 20, x + 20, y + 20), 2.0), ["red", "green"])
    middle = raster.data[:, 9:11, 9:11].mean(axis=(1, 2)) + 0.5
    assert middle == pytest.approx([50, 40], abs=1.0)


def test_points_in_the_reference_system_of_the_entry(tmp_path):
    screenshot(tmp_path, "map.tif")
    scene = one(tmp_path, gcps=points(UTM), crs=UTM)
    assert scene.assets[0].transform == pytest.approx(tuple(TRUE)[:6], abs=1e-3)


def qgis(base, rows, crs="EPSG:4326", x="sourceX", y="sourceY", disabled=()):
    lines = [f"#CRS: {crs}"] if crs else []
    lines.append(f"mapX,mapY,{x},{y},enable,dX,dY,residual")
    lines += [f"{a},{b},{c},{-d},{int(i not in disabled)},0,0,0" for i, (a, b, c, d) in enumerate(rows)]
    return text(base / "map.points", "\n".join(lines))


@pytest.mark.parametrize(("x", "y"), [("sourceX", "sourceY"), ("pixelX", "pixelY")])
def test_a_qgis_points_file(tmp_path, x, y):
    screenshot(tmp_path, "map.tif")
    rows = points(UTM)
    rows.append([rows[0][0] + 500, rows[0][1], 50, 10])
    qgis(tmp_path, rows, UTM, x, y, disabled=(5,))
    assert one(tmp_path, gcps="map.points").assets[0].transform == pytest.approx(tuple(TRUE)[:6], abs=1e-3)


def test_how_well_the_points_fit_is_said(tmp_path):
    screenshot(tmp_path, "map.tif")
    (caution,) = one(tmp_path, gcps=points(noise_m=3.0)).cautions
    rmse, left_out = (float(part.split(" m")[0]) for part in caution.split("RMSE ")[1].split(", "))
    assert 0.5 < rmse < 8
    assert left_out > 0.8 * rmse, "a point predicted by the others errs more"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (points()[:3], "too few control points; found 3; needed 4 or more"),
        ([], "too few control points; found 0"),
        ([[131.0 + i / 100, 43.0, 10.0 * i, 20.0] for i in range(6)], "the control points lie on a line"),
        ([*points()[:4], [*points()[0][:2], 90, 75]], "do not fit one another; found RMSE .* look at point"),
        ([[500.0, 95.0, 1, 2], *points()], "control points lie nowhere on Earth; found EPSG:4326"),
    ],
)
def test_points_that_prove_nothing_are_refused(tmp_path, rows, sentence):
    screenshot(tmp_path, "map.tif")
    with pytest.raises(DataError, match=sentence):
        one(tmp_path, gcps=rows)


def test_files_that_are_no_points_are_refused(tmp_path):
    screenshot(tmp_path, "map.tif")
    text(tmp_path / "map.points", "a,b\n1,2\n")
    with pytest.raises(ConfigError, match=r"is not a QGIS \.points file; found 'mapX'; needed mapX, mapY"):
        one(tmp_path, gcps="map.points")
    with pytest.raises(ConfigError, match="control points cannot be read; found No such file"):
        one(tmp_path, gcps="none.points")


def copied(base):
    """The same picture under a name that tells its date, as in a folder of such."""
    for end in ("png", "pgw"):
        shutil.copy(base / f"map.{end}", base / f"map_20240912.{end}")
    return base


def test_a_world_file_and_a_given_reference_system(tmp_path):
    screenshot(tmp_path, "map.png.tif")
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(tmp_path / "map.png.tif") as src:
        picture = src.read()
    with (
        pytest.warns(NotGeoreferencedWarning),
        rasterio.open(tmp_path / "map.png", "w", driver="PNG", count=3, height=80, width=100, dtype="uint8") as dst,
    ):
        dst.write(picture)
    text(tmp_path / "map.pgw", f"2.0\n0\n0\n-2.0\n{X0 + 1}\n{Y0 - 1}\n")
    entry = {"path": "map.png", "datetime": WHEN}
    with pytest.raises(DataError, match="has no reference system; try: add `crs: EPSG:"):
        find_scenes([entry], tmp_path)
    (tmp_path / "map.png.tif").unlink()
    (by_folder,) = find_scenes({"files": "*_20240912.png", "crs": 32652}, copied(tmp_path))
    assert by_folder.acquired.day == 12
    (scene,) = find_scenes([{**entry, "crs": UTM}], tmp_path)
    assert (scene.unit, scene.gsd_m, scene.is_placed) == ("display", 2.0, True)
    raster = read(scene, Grid.from_bounds(UTM, (X0 + 20, Y0 - 60, X0 + 60, Y0 - 20), 2.0), ["red", "green"])
    assert raster.data[:, 0, 0].tolist() == [10.0, 10.0], "the world file names the centre of the first pixel"

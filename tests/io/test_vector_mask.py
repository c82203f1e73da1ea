import json

import geopandas as gpd
import numpy as np
import pytest
from rasters import UTM, X0, Y0, grid_at
from shapely.geometry import box, mapping

from changedetect.core.results import Warp
from changedetect.errors import DataError
from changedetect.io.vector_mask import draw_outlines, is_vector

GRID = grid_at(gsd_m=10.0, shape=(20, 30))


def outlines(path, *shapes, crs=UTM):
    gpd.GeoDataFrame(geometry=list(shapes), crs=crs).to_file(path)
    return str(path)


def test_outlines_are_drawn_where_they_lie(tmp_path):
    path = outlines(tmp_path / "clouds.gpkg", box(X0 + 50, Y0 - 80, X0 + 100, Y0 - 30))
    drawn = draw_outlines(path, GRID, None, UTM)
    assert drawn.dtype == np.uint8
    assert drawn[3:8, 5:10].all()
    assert drawn.sum() <= 7 * 7, "a pixel that is touched counts"


def test_another_reference_system_is_converted(tmp_path):
    shape = gpd.GeoSeries([box(X0 + 50, Y0 - 80, X0 + 100, Y0 - 30)], crs=UTM).to_crs(4326)[0]
    plain = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": {}, "geometry": mapping(shape)}],
    }
    (tmp_path / "clouds.geojson").write_text(json.dumps(plain))
    assert draw_outlines(str(tmp_path / "clouds.geojson"), GRID, None, UTM)[3:8, 5:10].all()


def test_the_warp_of_the_scene_moves_its_mask(tmp_path):
    path = outlines(tmp_path / "clouds.gpkg", box(X0 + 50, Y0 - 80, X0 + 100, Y0 - 30))
    two_down = tuple(tuple((shift,) * 4 for _ in range(4)) for shift in (2.0, 0.0))
    moved = draw_outlines(path, GRID, Warp("ok", grid=GRID, coefficients=two_down), UTM)
    still = draw_outlines(path, GRID, None, UTM)
    np.testing.assert_array_equal(moved[:-2], still[2:])


def test_nothing_drawn_and_nothing_there(tmp_path):
    far = outlines(tmp_path / "far.gpkg", box(X0 + 9000, Y0, X0 + 9010, Y0 + 10))
    assert not draw_outlines(far, GRID, None, UTM).any()
    with pytest.raises(DataError, match="no such file"):
        draw_outlines(str(tmp_path / "none.gml"), GRID, None, UTM)
    (tmp_path / "broken.geojson").write_text("{")
    with pytest.raises(DataError, match="the mask cannot be read as outlines"):
        draw_outlines(str(tmp_path / "broken.geojson"), GRID, None, UTM)


def test_names_tell_outlines_from_pixels():
    assert [is_vector(name) for name in ("a.GML", "a.gpkg", "a.shp", "a.tif", "a.jp2")] == [
        True,
        True,
        True,
        False,
        False,
    ]

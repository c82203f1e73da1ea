from __future__ import annotations

import pytest
from shapely.geometry import box

from changedetect.core.aoi import Aoi, Location


def _make_aoi(name="test", lon=131.66864, lat=44.32686, targets=("other",), zones=()):
    geometry = box(lon - 0.02, lat - 0.02, lon + 0.02, lat + 0.02)
    return Aoi(name, name, Location("nowhere"), geometry, targets, {"simulate": {}}, zones)


@pytest.fixture(scope="session")
def make_aoi():
    return _make_aoi

"""The project in a real QGIS, without a screen: layers, time and the map it draws."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from gis_outputs import BEFORE, GRID, HUT, TITLE, TRENCH, make_results, write_all
from PIL import Image

from changedetect.core.times import to_iso
from changedetect.report.images import CLASS_COLOURS

SCRIPT = Path(__file__).parents[2] / "scripts/render_qgis.py"
PYTHON = "/usr/bin/python3"
WIDTH = 1000


@cache
def has_qgis() -> bool:
    try:
        return subprocess.run([PYTHON, "-c", "import qgis.core"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not has_qgis(), reason="no QGIS here (Debian: apt install python3-qgis qgis-providers)")


def render(folder: Path, picture: Path, *words: str) -> dict:
    said = subprocess.run(
        [PYTHON, str(SCRIPT), str(folder), str(picture), "--width", str(WIDTH), *words],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(picture.parent)},
    )
    return json.loads(said.stdout)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    base = tmp_path_factory.mktemp("qgis")
    folder = write_all(base / "out", make_results())
    return render(folder, base / "map.png") | {"folder": folder, "picture": base / "map.png"}


def colour_near(picture: Path, shape, colour) -> int:
    """Pixels of a colour within 3 m of a shape's outline, on a map of the default view."""
    area = gpd.GeoSeries([GRID.extent.buffer(-5)], crs=GRID.crs).total_bounds
    margin = 0.05 * max(area[2] - area[0], area[3] - area[1])
    image = np.asarray(Image.open(picture).convert("RGB"), int)
    scale = WIDTH / (area[2] - area[0] + 2 * margin)
    left, bottom, right, top = shape.buffer(3).bounds
    rows = slice(int((area[3] + margin - top) * scale), int((area[3] + margin - bottom) * scale))
    cols = slice(int((left - area[0] + margin) * scale), int((right - area[0] + margin) * scale))
    return int((np.abs(image[rows, cols] - np.array(colour)).max(axis=-1) < 12).sum())


def test_every_layer_is_valid_and_holds_its_features(told):
    assert told["read"] is True
    assert told["title"] == f"{TITLE} (SIMULATED)"
    assert told["crs"] == "EPSG:32652"
    layers = told["layers"]
    assert set(layers) == {
        *("Changes", "Detections, per date", "Place and zones", "After", "Before"),
        *("Score 2024-10-05T02:20:00Z", "Score 2024-11-05T02:20:00Z"),
    }
    assert all(layer["valid"] for layer in layers.values())
    assert [layers[name]["features"] for name in ("Changes", "Detections, per date", "Place and zones")] == [2, 2, 2]
    assert layers["Changes"]["renderer"] == "categorizedSymbol"
    assert layers["After"]["renderer"] == "multibandcolor"


def test_time_runs_from_the_first_look_to_a_day_after_the_last(told):
    assert told["start"] == to_iso(BEFORE)
    assert told["end"] == "2024-11-06T02:20:00Z"
    assert told["layers"]["Changes"]["spans"] == [
        ["2024-10-05T02:20:00", "2024-11-06T02:20:00"],  # still there: to the end
        ["2024-10-05T02:20:00", "2024-11-05T02:20:00"],  # gone by the last look
    ]
    assert told["layers"]["Score 2024-10-05T02:20:00Z"]["temporal"]


def test_the_map_shows_each_change_in_the_colour_of_its_class(told):
    assert told["labels"] == 4
    assert colour_near(told["picture"], TRENCH, CLASS_COLOURS["trench"]) > 100
    assert colour_near(told["picture"], TRENCH, CLASS_COLOURS["hut"]) == 0
    assert colour_near(told["picture"], HUT, CLASS_COLOURS["hut"]) > 100


def test_a_day_before_anything_appeared_shows_nothing(told, tmp_path):
    early = render(told["folder"], tmp_path / "early.png", "--at", "2024-09-20")
    assert early["labels"] == 2  # the place and its yard
    assert colour_near(tmp_path / "early.png", TRENCH, CLASS_COLOURS["trench"]) == 0


def test_a_run_without_changes_opens_too(tmp_path):
    folder = write_all(tmp_path / "out", make_results(changes=False))
    said = render(folder, tmp_path / "map.png")
    assert all(layer["valid"] for layer in said["layers"].values())
    for name in ("Changes", "Detections, per date"):
        assert said["layers"][name]["features"] == 0
        assert said["layers"][name]["renderer"] == "categorizedSymbol"  # its styles are there before its first feature

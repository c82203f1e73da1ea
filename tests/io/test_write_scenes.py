from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
import yaml
from shapely.geometry import box, shape

from changedetect.core.aoi import Aoi, Location, Zone
from changedetect.errors import OutputError
from changedetect.io.aoi_file import load_aoi
from changedetect.io.write_scenes import write_simulation
from changedetect.simulate import SimulateParams, simulate

PLACE = box(131.66, 44.32, 131.68, 44.34)
AOI = Aoi(
    "test",
    "A test",
    Location("nowhere", 10.0),
    PLACE,
    ("trench", "hut"),
    {"simulate": {}},
    (Zone("all-of-it", PLACE, ("equipment",)),),
)


@pytest.fixture(scope="module")
def simulation():
    return simulate(AOI, SimulateParams("training-ground", size_m=128.0, n_scenes=3, seed=2))


def test_written_twice_gives_the_same_bytes(simulation, tmp_path):
    one, two = write_simulation(simulation, tmp_path / "a"), write_simulation(simulation, tmp_path / "b")
    files = sorted(p.relative_to(one.parent) for p in one.parent.rglob("*") if p.is_file())
    assert len(files) == 2 * 3 + 2
    for name in files:
        assert (one.parent / name).read_bytes() == (two.parent / name).read_bytes()


def test_written_scenes_hold_what_was_rendered(simulation, tmp_path):
    steps = []
    path = write_simulation(simulation, tmp_path, lambda: steps.append(1))
    assert len(steps) == 3
    aoi = load_aoi(path)
    assert (aoi.name, aoi.targets, [z.name for z in aoi.zones]) == ("test", ("trench", "hut"), ["all-of-it"])
    assert aoi.baseline_until == simulation.aoi.baseline_until
    assert [entry["simulated"] for entry in aoi.scenes] == [True] * 3
    for scene, entry in zip(simulation.scenes, aoi.scenes, strict=True):
        dn, mask, transform, crs = scene.render()
        with rasterio.open(tmp_path / entry["path"]) as image:
            assert np.array_equal(image.read(), dn)
            assert (image.transform, image.crs.to_string(), image.nodata) == (transform, crs, 0)
            assert image.descriptions == ("blue", "green", "red", "nir")
            assert image.scales == (1e-4,) * 4
            assert image.tags()["CHANGEDETECT_SIMULATED"] == "yes"
            assert image.tags()["TIFFTAG_DATETIME"] == f"{scene.acquired:%Y:%m:%d %H:%M:%S}"
        with rasterio.open(tmp_path / entry["mask"]) as image:
            assert np.array_equal(image.read(1), mask)


def test_truth_is_marked_as_simulated_and_lies_in_the_aoi(simulation, tmp_path):
    path = write_simulation(simulation, tmp_path)
    truth = json.loads((tmp_path / "truth.geojson").read_text())
    assert truth["simulated"] is True
    assert len(truth["features"]) == len(simulation.truth) > 0
    assert all(feature["properties"]["simulated"] is True for feature in truth["features"])
    assert len(truth["activity"]) == len(simulation.activity)
    extent = shape(yaml.safe_load(path.read_text())["geometry"]).buffer(1e-6)
    assert all(extent.covers(shape(feature["geometry"])) for feature in truth["features"])


def test_true_shifts_are_those_of_the_true_displacement(simulation, tmp_path):
    write_simulation(simulation, tmp_path)
    told = json.loads((tmp_path / "truth.geojson").read_text())["registration"]
    assert [row["scene_id"] for row in told] == [scene.id for scene in simulation.scenes]
    assert (told[0]["dx_m"], told[0]["dy_m"]) == (0.0, 0.0)
    for row, scene in zip(told, simulation.scenes, strict=True):
        rows, cols = scene.grid.shape
        down, right = scene.true_displacement_px(scene.grid)[:, rows // 2, cols // 2] * scene.gsd_m
        assert (row["dx_m"], row["dy_m"]) == (pytest.approx(-right, abs=1e-3), pytest.approx(down, abs=1e-3))


def test_a_folder_that_cannot_be_written_is_named(simulation, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        write_simulation(simulation, tmp_path / "taken")

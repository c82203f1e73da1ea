"""Real items through a real STAC API and a real file server on localhost: Sentinel-2 L2A and Planet."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from http_files import serving_apart
from shapely.geometry import box, mapping, shape
from stac_places import RUSTAC, api

from changedetect.gather import RunOptions, gathered, load_place
from changedetect.pipeline import list_scenes, run

REAL = Path(__file__).parents[3] / "shared/real"
TREE = REAL / "s2-l2a-timeseries-mapchete"
PLANET = REAL / "planet-fusion-stac/pf_stac_collection"
HARVEY = REAL / "planet-harvey/disaster/hurricane-harvey/hurricane-harvey-0831"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not REAL.is_dir(), reason="needs the real imagery beside the checkout (../shared/real)"),
    pytest.mark.skipif(RUSTAC is None, reason="needs rustac: pip install rustac"),
]

FIELDS = box(15.15, 45.2, 15.5, 45.45)


def served(paths, root, url, into):
    """Items as they are, but for the addresses of the files that are here: those are at the server."""
    items = []
    for path in paths:
        item = json.loads(path.read_text()) | {"collection": into}
        item["links"] = []
        for asset in item["assets"].values():
            if "://" not in asset["href"]:
                file = (path.parent / asset["href"]).resolve()
                asset["href"] = f"{url}/{file.relative_to(root.resolve())}"
        items.append(item)
    return items


def write_aoi(folder, area, scenes):
    plain = {"name": "real", "title": "Real", "location": {"source": "real", "verified": True},
             "geometry": mapping(area), "targets": ["other"], "scenes": scenes}  # fmt: skip
    path = folder / "aoi.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(plain))))
    return path


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CHANGEDETECT_CACHE", str(tmp_path / "cache"))


def test_the_sentinel_2_tree_by_an_api_the_cloudy_date_left_out_nothing_changed(tmp_path, own_cache):
    with serving_apart(TREE) as url:
        items = served(sorted(TREE.glob("sentinel-2-l2a/*/S2*.json")), TREE, url, "sentinel-2-l2a")
        with api(tmp_path, items) as (address, _):
            path = write_aoi(tmp_path, FIELDS, {"stac": address, "collections": ["sentinel-2-l2a"], "max_cloud": 60,
                             "datetime": "2023-08", "bands": ["blue", "green", "red", "nir"]})  # fmt: skip
            report = run(path, RunOptions(out=tmp_path / "out"))
            rows = list_scenes(path)
    record = json.loads((tmp_path / "out/run.json").read_text())
    states = {scene["id"]: (scene["used"], scene["reason"], scene["local_day"]) for scene in record["scenes"]}
    assert states == {
        "S2B_33TWL_20230810_0_L2A": (False, "69 % cloud, more than max_cloud 60", "2023-08-10"),
        "S2B_33TWL_20230813_0_L2A": (True, None, "2023-08-13"),
        "S2A_33TWL_20230815_0_L2A": (True, None, "2023-08-15"),
    }
    assert [(row["id"], row["gsd_m"], row["clear_fraction"], row["reason"]) for row in rows if not row["usable"]] == [
        ("S2B_33TWL_20230810_0_L2A", 10, None, "69 % cloud, more than max_cloud 60")
    ]
    assert len(report.results.changes) == 0
    assert len(record["inputs"]) == 2 * 5
    assert all(entry["path"].startswith(url) and "20230810" not in entry["path"] for entry in record["inputs"])


def test_planet_items_of_two_tiles_are_one_look_a_day(tmp_path, own_cache):
    paths = sorted(PLANET.glob("stac/SR/33N/*/*/*.json"))
    with serving_apart(PLANET) as url:
        items = served(paths, PLANET, url, "pf-sr")
        area = shape(items[0]["geometry"]).union(shape(items[-1]["geometry"])).envelope
        with api(tmp_path, items) as (address, _):
            path = write_aoi(tmp_path, area, {"stac": address, "collections": ["pf-sr"]})
            options = RunOptions()
            aoi, _ = load_place(path, options)
            with gathered(aoi, options) as series:
                days = [scene.acquired.date().isoformat() for scene in series.scenes]
                assert days == [f"2020-08-{day:02}" for day in range(8, 15)]
                assert all(len(asset.paths) == 2 for scene in series.scenes for asset in scene.assets)
                assert {scene.bands for scene in series.scenes} == {("blue", "green", "red", "nir")}
                one = series.scenes[0].assets[0].paths[0]
                with (
                    rasterio.open(one) as part,
                    rasterio.open(PLANET / series.sources[one][len(url) + 1 :]) as whole,
                ):
                    assert np.array_equal(part.read(), whole.read(window=whole.window(*part.bounds)))


def test_planet_items_with_masks_and_metadata_keep_angles_and_mask(tmp_path, own_cache):
    paths = [HARVEY / "20170831_172754_101c/20170831_172754_101c.json"]
    with serving_apart(HARVEY) as url:
        items = served(paths, HARVEY, url, "planet-disaster-data")
        (tmp_path / "item.json").write_text(json.dumps(items[0]))
        area = shape(items[0]["geometry"]).centroid.buffer(0.02)
        path = write_aoi(tmp_path, area, {"stac": "item.json"})
        aoi, _ = load_place(path, RunOptions())
        with gathered(aoi, RunOptions()) as series:
            (scene,) = series.scenes
            assert scene.sun_elevation_deg == items[0]["properties"]["view:sun_elevation"]
            assert [mask.kind for mask in scene.masks] == ["udm"]
            assert len(scene.bands) >= 3

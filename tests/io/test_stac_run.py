"""Runs on scenes of a STAC API: found, fetched in windows, compared; faults leave what was there."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from http_files import serving
from shapely.geometry import mapping
from stac_places import AREA, RUSTAC, SIDE, add_item, api, at, collection, lonlat_box

from changedetect.batch import run_batch
from changedetect.cli.main import main
from changedetect.errors import DataError, NothingToDoError
from changedetect.gather import RunOptions, gathered, load_place
from changedetect.io.stac import cache

CHANGE = (slice(310, 322), slice(315, 330))
HASTY = ("fetch.tries=2", "fetch.wait_s=0.02", "fetch.timeout_s=2")

pytestmark = pytest.mark.skipif(RUSTAC is None, reason="needs rustac: pip install rustac")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Three clear dates, the last with something new; a cloudy one; an older processing; a date in two tiles."""
    root = tmp_path_factory.mktemp("tree")
    half = SIDE // 2
    items = [
        add_item(root, "S2B_52TFP_20240901_0_L2A", "2024-09-01T02:20:30Z"),
        add_item(root, "S2B_52TFP_20240906_0_L2A", "2024-09-06T02:20:30Z", cloud=88.0),
        add_item(root, "S2B_52TFP_20240911_0_L2A", "2024-09-11T02:20:30Z", change=CHANGE),
        add_item(root, "S2B_52TFP_20240911_1_L2A", "2024-09-11T02:20:29Z", **{"s2:processing_baseline": "05.10"},
                 change=CHANGE),
        add_item(root, "S2A_52TFP_20240916_0_L2A", "2024-09-16T02:20:30Z", cols=(0, half), platform="sentinel-2a",
                 change=CHANGE),
        add_item(root, "S2A_52TGP_20240916_0_L2A", "2024-09-16T02:20:44Z", cols=(half - 40, SIDE),
                 platform="sentinel-2a", change=(CHANGE[0], slice(CHANGE[1].start - half + 40, CHANGE[1].stop - half
                 + 40)), **{"grid:code": "MGRS-52TGP"}),
    ]  # fmt: skip
    return root, items


@pytest.fixture
def place(tree, tmp_path, monkeypatch):
    """An AOI file that asks a running API whose items' files a running server holds."""
    monkeypatch.setenv("CHANGEDETECT_CACHE", str(tmp_path / "cache"))
    root, items = tree
    with serving(root) as server, api(tmp_path, at(items, server.url)) as (address, process):
        yield write_aoi(tmp_path, {"stac": address, "collections": ["sentinel-2-l2a"], "datetime": "2024-09",
                        "max_cloud": 60}), server, process  # fmt: skip


def write_aoi(folder, scenes, area=AREA):
    plain = {"name": "made", "title": "Made", "location": {"source": "made", "verified": True},
             "geometry": mapping(area), "targets": ["other"], "scenes": scenes}  # fmt: skip
    path = Path(folder) / "aoi.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(plain))))
    return path


def series_of(path, *sets):
    options = RunOptions(sets=sets)
    aoi, _ = load_place(path, options)
    return gathered(aoi, options)


def test_scenes_of_an_api_are_found_chosen_fused_and_fetched_in_windows(place):
    path, server, _ = place
    with series_of(path) as series:
        assert [scene.id for scene in series.scenes] == [
            "S2B_52TFP_20240901_0_L2A", "S2B_52TFP_20240911_1_L2A", "S2A_52TGP_20240916_0_L2A_and_1"]  # fmt: skip
        first, _, fused = series.scenes
        assert (first.sensor, first.unit, first.gsd_m) == ("sentinel-2-l2a", "reflectance", 10.0)
        assert first.bands == ("blue", "green", "red", "nir")
        assert {(asset.scale, asset.offset) for asset in first.assets} == {(1e-4, 0.0)}
        assert [mask.kind for mask in first.masks] == ["scl"]
        assert (first.sun_azimuth_deg, first.sun_elevation_deg) == (160.0, 45.0)
        assert all(len(asset.paths) == 2 for asset in fused.assets)
        assert len(fused.masks) == 1
        assert fused.footprint.buffer(1e-6).contains(AREA)
        told = {scene.id: reason for scene, reason in series.left_out}
        assert told == {"S2B_52TFP_20240906_0_L2A": "88 % cloud, more than max_cloud 60",
                        "S2B_52TFP_20240911_0_L2A": "an older processing of S2B_52TFP_20240911_1_L2A"}  # fmt: skip
        assert all(series.sources[file].startswith(server.url) for asset in first.assets for file in asset.paths)
        assert not any("20240906" in file for file, _ in server.asked), "nothing of what is left out is fetched"
        asked = len(server.asked)
        with series_of(path) as again:
            assert [scene.id for scene in again.scenes] == [scene.id for scene in series.scenes]
        assert len(server.asked) == asked, "what is kept is not fetched again"
    assert not Path(first.paths[0]).exists()


def check_outputs(out, url):
    changes = json.loads((out / "changes.geojson").read_text())["features"]
    assert [change["properties"]["first_seen"] for change in changes] == ["2024-09-11T02:20:29Z"]
    record = json.loads((out / "run.json").read_text())
    states = {scene["id"]: (scene["used"], scene["reason"], scene["local_day"]) for scene in record["scenes"]}
    assert states["S2B_52TFP_20240906_0_L2A"] == (False, "88 % cloud, more than max_cloud 60", "2024-09-06")
    assert states["S2A_52TGP_20240916_0_L2A_and_1"][:2] == (True, None)
    assert len(record["inputs"]) == 4 * 4 + 3, "four bands of four tiles, masks of three looks"
    assert all(entry["path"].startswith(url) and entry["sha256"] for entry in record["inputs"])


def test_what_is_gone_leaves_its_scene_out(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("CHANGEDETECT_CACHE", str(tmp_path / "cache"))
    root, items = tree
    with serving(root) as server:
        (tmp_path / "items.json").write_text(json.dumps(collection(at(items[:3], server.url))))
        path = write_aoi(tmp_path, {"stac": "items.json", "bands": ["red", "nir"]})
        server.spoil = lambda path, n: 404 if "20240906" in path and "B04" in path else None
        with series_of(path, *HASTY) as series:
            assert [scene.bands for scene in series.scenes] == [("red", "nir")] * 2
            ((scene, reason),) = series.left_out
            assert scene.id == "S2B_52TFP_20240906_0_L2A"
            assert "is not there or may not be read; found HTTP 404" in reason
        server.spoil = lambda path, n: 403
        forget(tmp_path / "cache")
        with pytest.raises(NothingToDoError, match=r"every item found is left out.*HTTP 403"), series_of(path, *HASTY):
            pytest.fail("not reached")
        server.spoil = lambda path, n: None
        path = write_aoi(tmp_path, {"stac": "items.json", "exclude": [items[1]["id"]]})
        with series_of(path, *HASTY) as series:
            assert [(scene.id, reason) for scene, reason in series.left_out] == [
                (items[1]["id"], "excluded by `exclude:`")
            ]
        path = write_aoi(tmp_path, {"stac": "items.json", "bands": ["red", "swir16"]})
        with pytest.raises(NothingToDoError, match="the item lacks swir16"), series_of(path, *HASTY):
            pytest.fail("not reached")


def test_files_beside_a_local_catalogue_are_read_as_they_are(tree, tmp_path, monkeypatch):
    monkeypatch.setenv("CHANGEDETECT_CACHE", str(tmp_path / "cache"))
    root, items = tree
    (root / "items.json").write_text(json.dumps(collection(items[:1])))
    path = write_aoi(tmp_path, {"stac": str(root / "items.json")})
    with series_of(path) as series:
        (scene,) = series.scenes
        assert scene.assets[0].paths == (str(root / items[0]["id"] / "B02.tif"),)
        assert series.sources == {}
    aoi, _ = load_place(path, RunOptions(scenes=str(root / "items.json")))
    assert aoi.scenes == {"stac": str(root / "items.json")}


def test_nothing_in_the_time_asked_for_is_nothing_to_do(tree, tmp_path):
    _, items = tree
    (tmp_path / "items.json").write_text(json.dumps(collection(at(items, "http://127.0.0.1:9"))))
    path = write_aoi(tmp_path, {"stac": "items.json", "datetime": "2030"})
    sentence = r"no item shows the AOI in the time asked for.*2030-01-01"
    with pytest.raises(NothingToDoError, match=sentence), series_of(path):
        pytest.fail("not reached")
    far = write_aoi(tmp_path, {"stac": "items.json"}, lonlat_box(-9000, 0, -8900, 90))
    with pytest.raises(NothingToDoError, match="no item shows the AOI"), series_of(far):
        pytest.fail("not reached")


def test_a_batch_knows_scenes_by_their_content_and_a_dying_server_takes_nothing_of_it(place, tmp_path):
    path, server, process = place
    options = RunOptions(out=tmp_path / "outputs", sets=HASTY)
    (first,) = run_batch([path], options).outcomes
    assert (first.status, first.n_changes) == ("done", 1), first.error
    out = tmp_path / "outputs/made"
    check_outputs(out, server.url)
    asked = len(server.asked)
    (again,) = run_batch([path], options).outcomes
    assert again.status == "up_to_date"
    assert len(server.asked) == asked
    forget(tmp_path / "cache")
    (anew,) = run_batch([path], options).outcomes
    assert anew.status == "up_to_date", "fetched again, the same pixels"
    assert len(server.asked) > asked

    forget(tmp_path / "cache")
    before = {file: file.stat().st_mtime_ns for file in sorted(out.rglob("*")) if file.is_file()}
    arguments = ["run", str(path), "--out", str(out), "-q", *(word for text in HASTY for word in ("--set", text))]
    server.spoil = lambda path, n: 503 if "20240911" in path else None
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 3, done.output
    assert done.stderr.count("\n") == 1
    assert "S2B_52TFP_20240911_1_L2A" in done.stderr
    assert "cannot be fetched; found HTTP 503 (asked 2 times); try: again later" in done.stderr
    process.kill()
    process.wait(5)
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 3
    assert "cannot be fetched" in done.stderr
    assert "try: the network connection and the address" in done.stderr
    (failed,) = run_batch([path], options).outcomes
    assert (failed.status, failed.exit_code) == ("failed", 3)
    assert before == {file: file.stat().st_mtime_ns for file in sorted(out.rglob("*")) if file.is_file()}
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.suffix == ".part"]
    assert list((tmp_path / "cache/lent").iterdir()) == []


def forget(cache_dir):
    for kept in (cache_dir / "windows").iterdir():
        kept.unlink()


def test_the_cache_keeps_to_its_bound(place, tmp_path):
    path, _, _ = place
    with series_of(path, "fetch.cache_gb=0.0003") as series:
        assert np.isfinite(series.scenes[0].gsd_m)
    held = sum(file.stat().st_size for file in (tmp_path / "cache/windows").iterdir())
    assert 0 < held <= 300_000
    assert cache.prune(tmp_path / "cache/windows", 0) > 0


def test_an_address_that_never_answers_is_an_input_error(tmp_path):
    path = write_aoi(tmp_path, {"stac": "http://127.0.0.1:9/", "collections": ["x"]})
    sentence = r"127\.0\.0\.1:9/: cannot be fetched.*try: the network connection"
    with pytest.raises(DataError, match=sentence), series_of(path, "fetch.tries=1", "fetch.timeout_s=1"):
        pytest.fail("not reached")

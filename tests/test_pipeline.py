"""The line from scenes to outputs, on small simulated scenes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import yaml

from changedetect.errors import DataError, NothingToDoError, RegistrationError
from changedetect.evaluation import evaluate
from changedetect.gather import RunOptions
from changedetect.pipeline import list_scenes, run, simulate_to, write_at_once

ROOT = Path(__file__).parents[1]
SERGEYEVKA = ROOT / "aoi" / "sergeyevka.yaml"
FEW_PICTURES = "write.max_quicklooks=1"

SMALL = {
    "sergeyevka": ("simulate.size_m=160",),
    "lifarevka": ("simulate.size_m=200",),
    "rason": ("simulate.size_m=900", "simulate.n_scenes=12", "simulate.n_days=3"),
    "dunai": ("simulate.size_m=900", "simulate.n_scenes=10", "simulate.n_days=2"),
    "ussuriysk": ("simulate.size_m=150", "simulate.people=60"),
    "khabarovsk": ("simulate.size_m=150", "simulate.people=50"),
    "sunan": ("simulate.size_m=900", "simulate.n_scenes=6"),
}


@pytest.mark.parametrize("path", sorted((ROOT / "aoi").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_place_runs_on_simulated_scenes_and_is_scored(path, tmp_path):
    report = run(path, RunOptions(out=tmp_path / "out", sets=(FEW_PICTURES, *SMALL[path.stem])))
    activity = pd.read_csv(tmp_path / "out" / "activity.csv")
    assert len(report.results.looks) == activity["scene_id"].nunique()
    obscured = activity[activity["status"] == "obscured"]
    assert obscured["count"].isna().all()
    assert activity.drop(obscured.index)["count"].notna().all()
    for scene in json.loads((tmp_path / "out" / "run.json").read_text())["scenes"]:
        if not scene["used"]:
            assert scene["reason"]
            assert (activity.loc[activity["scene_id"] == scene["id"], "status"] == "obscured").all()
    assert evaluate(tmp_path / "out", tmp_path / "out" / "truth.geojson")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["simulation"]["seed"] == 7


@pytest.fixture(scope="module")
def camp(tmp_path_factory):
    """Scenes of a small camp, written once."""
    folder = tmp_path_factory.mktemp("camp") / "scenes"
    return simulate_to(ROOT / "aoi" / "lifarevka.yaml", folder, ("simulate.size_m=240", "simulate.cloud=0"))


def rewritten(camp, tmp_path, keep, **changes):
    """The camp's AOI file with some of its scenes, and other changes."""
    block = yaml.safe_load(camp.read_text())
    block["scenes"] = [
        {**scene, "path": str(camp.parent / scene["path"]), "mask": str(camp.parent / scene["mask"])}
        for scene in block["scenes"]
        if keep(scene)
    ]
    block |= changes
    path = tmp_path / "camp.yaml"
    path.write_text(yaml.safe_dump(block))
    return path


def is_coarse(scene):
    return "sim300" in scene["path"]


def test_low_before_and_high_after_are_compared_at_the_coarser_and_described_at_the_finer(camp, tmp_path):
    path = rewritten(camp, tmp_path, lambda s: is_coarse(s) == (s["datetime"] < "2024-10-15"))
    report = run(path, RunOptions(out=tmp_path / "out", sets=(FEW_PICTURES,)))
    results = report.results
    assert results.grid.gsd_m == 0.5
    after = [s for s in results.scene_records if not s["baseline"] and s["gsd_m"] == 0.5]
    assert after
    assert {s["compared_gsd_m"] for s in after} == {3.0}
    found = results.detections[results.detections["scene_id"].isin([s["id"] for s in after])]
    assert len(found)
    assert set(found["gsd_m"]) == {3.0}
    # Outlines on the fine lattice: not all their corners lie on that of 3 m.
    corners = np.vstack([np.asarray(shape.exterior.coords) for shape in found.geometry.explode()])
    assert np.abs(corners / 3.0 - np.round(corners / 3.0)).max() > 0.1


def test_a_dask_cluster_gives_the_same_bytes(camp, tmp_path):
    from distributed import LocalCluster

    path = rewritten(camp, tmp_path, lambda s: not is_coarse(s))
    run(path, RunOptions(out=tmp_path / "threads", sets=(FEW_PICTURES,)))
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as cluster:
        run(path, RunOptions(out=tmp_path / "cluster", sets=(FEW_PICTURES,), scheduler=cluster.scheduler_address))
    for name in ("changes.geojson", "detections.geojson", "activity.csv"):
        assert (tmp_path / "threads" / name).read_bytes() == (tmp_path / "cluster" / name).read_bytes()


def test_what_pixels_are_too_coarse_to_tell_counts_as_not_seen(camp, tmp_path):
    path = rewritten(camp, tmp_path, is_coarse, targets=["hut", "crowd"])
    report = run(path, RunOptions(out=tmp_path / "out", sets=(FEW_PICTURES,)))
    activity = pd.read_csv(tmp_path / "out" / "activity.csv").set_index("class")
    assert set(activity.loc["crowd", "status"]) == {"obscured"}
    assert activity.loc["crowd", "count"].isna().all()
    assert set(activity.loc["hut", "status"]) == {"clear"}
    scenes = json.loads((tmp_path / "out" / "run.json").read_text())["scenes"]
    assert [scene["too_coarse_for"] for scene in scenes] == [["crowd"]] * len(scenes)
    assert min(scene["clear_fraction"] for scene in scenes) > 0.95
    assert [text for text in report.warnings if text.startswith(f"crowd: not told of {len(scenes)} of {len(scenes)}")]
    alone = rewritten(camp, tmp_path, is_coarse, targets=["crowd"])
    with pytest.raises(NothingToDoError, match=r"pixels of 3 m do not tell crowd \(0.65 m\)"):
        run(alone, RunOptions(out=tmp_path / "alone"))
    assert not (tmp_path / "alone").exists()
    assert {row["usable"] for row in list_scenes(alone)[1:]} == {False}


def test_a_baseline_of_two_looks_tells_what_stood_on_either(tmp_path):
    run(ROOT / "aoi" / "sunan.yaml", RunOptions(out=tmp_path, sets=(FEW_PICTURES, *SMALL["sunan"])))
    before = [s["id"] for s in json.loads((tmp_path / "run.json").read_text())["scenes"] if s["baseline"]]
    assert len(before) == 2
    said = pd.read_csv(tmp_path / "activity.csv")
    assert (said.loc[said["scene_id"].isin(before), "count"] > 0).all()
    dating = evaluate(tmp_path, tmp_path / "truth.geojson")["dating"]
    assert dating["start"]["right"] == dating["start"]["n"] > 0


def test_where_nothing_built_could_be_told_the_look_counts_as_not_seen(camp, tmp_path):
    path = rewritten(camp, tmp_path, is_coarse)
    seen = run(path, RunOptions(out=tmp_path / "seen", sets=(FEW_PICTURES,)))
    needed = [s["noise"]["least_contrast"] for s in seen.results.scene_records if s["noise"]]
    assert needed
    assert min(needed) > 0.02
    assert max(needed) < 0.6
    assert not any("not seen" in warning or "much of the ground" in warning for warning in seen.warnings)
    poor = run(
        path, RunOptions(out=tmp_path / "poor", sets=(FEW_PICTURES, f"detect.max_least_contrast={1.5 * max(needed)}"))
    )
    assert sum(f"by {max(needed):.0%} of the" in text for text in poor.warnings) >= 1
    limit = f"detect.max_least_contrast={min(needed) / 2}"
    blind = run(path, RunOptions(out=tmp_path / "blind", sets=(FEW_PICTURES, limit)))
    later = [look for look in blind.results.looks if look.reason is not None]
    assert len(later) == len(needed)
    assert not any(look.used for look in later)
    assert not len(blind.results.detections)
    assert sum("counts as not seen: cannot be compared: nearly all" in text for text in blind.warnings) == len(later)
    rows = blind.results.activity
    assert (rows.loc[rows["scene_id"].isin([look.scene_id for look in later]), "status"] == "obscured").all()


def test_water_that_is_seen_shows_its_ships_whatever_became_of_the_land(tmp_path):
    small = (FEW_PICTURES, *SMALL["dunai"])
    reports = [
        run(ROOT / "aoi" / "dunai.yaml", RunOptions(out=tmp_path / f"limit-{limit}", sets=(*small, f"{key}={limit}")))
        for key, limit in (("detect.max_least_contrast", 2.0), ("detect.max_least_contrast", 0.001))
    ]
    looks = [[(look.used, look.reason) for look in report.results.looks] for report in reports]
    assert looks[0] == looks[1]
    assert sum(used for used, _ in looks[0]) > 3


def one_band(source, target):
    with rasterio.open(source) as src:
        profile = {**src.profile, "count": 1}
        with rasterio.open(target, "w", **profile) as dst:
            dst.write(src.read(1), 1)
            dst.descriptions = ("pan",)


def test_one_band_against_four_is_one_sentence(camp, tmp_path):
    path = rewritten(camp, tmp_path, lambda s: not is_coarse(s))
    block = yaml.safe_load(path.read_text())
    first, last = block["scenes"][0], block["scenes"][-1]
    one_band(last["path"], tmp_path / "pan.tif")
    last = {"path": str(tmp_path / "pan.tif"), "datetime": last["datetime"]}
    path.write_text(yaml.safe_dump(block | {"scenes": [first, last], "baseline": {"until": first["datetime"]}}))
    with pytest.raises(
        DataError, match=r"can be compared; found 1 scenes: no band in common.*\(pan against blue, green"
    ):
        run(path, RunOptions(out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_scenes_all_under_cloud_are_nothing_to_do(camp, tmp_path):
    path = rewritten(camp, tmp_path, lambda s: not is_coarse(s))
    block = yaml.safe_load(path.read_text())
    with rasterio.open(block["scenes"][0]["mask"]) as src:
        profile, shape = src.profile, src.shape
    with rasterio.open(tmp_path / "cloud.tif", "w", **profile) as dst:
        dst.write(np.ones(shape, np.uint8), 1)
    for scene in block["scenes"]:
        scene["mask"] = str(tmp_path / "cloud.tif")
    path.write_text(yaml.safe_dump(block))
    with pytest.raises(NothingToDoError, match="nothing of the AOI is clear on any baseline scene"):
        run(path, RunOptions(out=tmp_path / "out"))


def test_a_job_larger_than_memory_is_refused_before_pixels_are_read(camp, tmp_path, monkeypatch):
    import psutil

    little = psutil.virtual_memory()._replace(available=50_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    path = rewritten(camp, tmp_path, lambda s: not is_coarse(s))
    with pytest.raises(
        DataError, match=r"would not fit in memory; found 0\.\d GB .*needed at most 0\.1 GB; try: --workers 1"
    ):
        run(path, RunOptions(out=tmp_path / "out"))


def test_unrelated_ground_is_not_differenced(camp, tmp_path):
    path = rewritten(camp, tmp_path, lambda s: not is_coarse(s))
    block = yaml.safe_load(path.read_text())
    first, last = block["scenes"][0], block["scenes"][-1]
    with rasterio.open(last["path"]) as src:
        data, profile = src.read(), src.profile
    with rasterio.open(tmp_path / "other.tif", "w", **profile) as dst:
        dst.write(np.random.default_rng(5).permuted(data, axis=2))
        dst.descriptions = ("blue", "green", "red", "nir")
    last = {"path": str(tmp_path / "other.tif"), "datetime": last["datetime"]}
    path.write_text(yaml.safe_dump(block | {"scenes": [first, last], "baseline": {"until": first["datetime"]}}))
    with pytest.raises(RegistrationError, match=r"registration abstained: .*texture in common"):
        run(path, RunOptions(out=tmp_path / "out"))


def test_real_scenes_of_an_unverified_place_are_warned_about(camp, tmp_path):
    path = rewritten(camp, tmp_path, lambda s: not is_coarse(s))
    block = yaml.safe_load(path.read_text())
    stripped = []
    for scene in block["scenes"][:2]:
        with rasterio.open(scene["path"]) as src:
            data, profile = src.read(), src.profile
        with rasterio.open(tmp_path / Path(scene["path"]).name, "w", **profile) as dst:
            dst.write(data)
            dst.descriptions = ("blue", "green", "red", "nir")
        stripped.append({"path": str(tmp_path / Path(scene["path"]).name), "datetime": scene["datetime"]})
    block |= {"scenes": stripped, "baseline": {"until": stripped[0]["datetime"]}}
    path.write_text(yaml.safe_dump(block))
    report = run(path, RunOptions(out=tmp_path / "out", sets=(FEW_PICTURES,)))
    assert any("not verified" in text and "stand-in" in text for text in report.warnings)
    assert not report.results.simulated


def test_scenes_are_listed_with_their_shift(camp, tmp_path):
    rows = list_scenes(rewritten(camp, tmp_path, lambda s: not is_coarse(s)), RunOptions())
    assert [row["usable"] for row in rows] == [True] * len(rows)
    assert rows[0]["dx_m"] == 0.0
    assert all(0 < row["ce90_m"] < 0.5 for row in rows[1:])
    assert all(row["clear_fraction"] > 0.95 for row in rows)


@pytest.mark.parametrize("workers", [1, 2])
def test_writers_at_once_all_write_and_none_fails_unseen(tmp_path, workers):
    writers = [lambda folder, k=k: (folder / str(k)).write_text("x") for k in range(3)]
    write_at_once(tmp_path, writers, workers)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]
    with pytest.raises(FileNotFoundError):
        write_at_once(tmp_path / "nowhere", writers, workers)

"""The commands on a small simulated place: files, streams, exit codes, and what survives a failure."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from click.testing import CliRunner
from reference.outputs import FILES

from changedetect.cli import show
from changedetect.cli.main import main

AOI = """
name: small-place
title: A small place
location: {source: made up, accuracy_m: 10}
geometry:
  type: Polygon
  coordinates: [[[131.66, 44.32], [131.67, 44.32], [131.67, 44.33], [131.66, 44.33], [131.66, 44.32]]]
targets: [trench, hut]
scenes: {simulate: {scenario: training-ground, seed: 7, size_m: 96, n_scenes: 2}}
"""


def call(*words) -> object:
    return CliRunner().invoke(main, list(map(str, words)))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with AOI files, simulated scenes (sim/) and the outputs of a run on them (out/)."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "aoi.yaml").write_text(AOI)
    made = call("simulate", folder / "aoi.yaml", "--out", folder / "sim")
    assert made.exit_code == 0, made.output
    done = call("run", folder / "sim/aoi.yaml", "--out", folder / "out", "--format", "gpkg", "--workers", 1)
    assert done.exit_code == 0, done.output
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    return folder


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_simulate_writes_scenes_truth_and_an_aoi_file(place):
    files = files_of(place / "sim")
    assert {"aoi.yaml", "truth.geojson"} <= files
    assert sum(name.endswith(".tif") for name in files) == 4  # two scenes with their masks


def test_run_writes_every_file_of_the_contract(place):
    files = files_of(place / "out")
    assert files >= {
        *("changes.geojson", "detections.geojson", "activity.csv", "summary.json", "run.json"),
        *("changes.gpkg", "overview.png", "report.html", "report/imagery.json"),
        *("zones.geojson", "project.qgz", "changes.qml", "changes.kmz", "stac-item.json"),
        *("imagery/before.tif", "imagery/after.tif"),
    }
    assert sum(name.startswith("score/") and name.endswith(".tif") for name in files) == 1
    undescribed = [name for name in files if not any(fnmatch(name, pattern) for pattern in FILES)]
    assert not undescribed, "add them to scripts/reference/outputs.py"
    changes = json.loads((place / "out/changes.geojson").read_text())
    assert sum(name.startswith("quicklooks/") for name in files) == len(changes["features"])
    assert len((place / "out/activity.csv").read_text().splitlines()) == 1 + len(changes["activity"])


def test_every_output_says_simulated(place):
    changes = json.loads((place / "out/changes.geojson").read_text())
    assert all(feature["properties"]["simulated"] is True for feature in changes["features"])
    assert json.loads((place / "out/run.json").read_text())["simulated"] is True
    assert "SIMULATED" in (place / "stdout").read_text()


def test_run_json_has_one_record_per_scene_as_the_contract_says(place):
    record = json.loads((place / "out/run.json").read_text())
    assert len(record["scenes"]) == 2
    for scene in record["scenes"]:
        assert set(scene) >= {"id", "datetime", "sensor", "gsd_m", "clear_fraction", "used", "reason", "registration"}
        assert set(scene["registration"]) >= {"status", "dx_m", "dy_m", "rmse_m", "ce90_m", "n_tie_points", "reason"}
    assert all(len(entry["sha256"]) == 64 for entry in record["inputs"])
    assert record["settings"]["detect"]


def test_results_go_to_stdout_and_progress_to_stderr(place):
    said, told = (place / "stdout").read_text(), (place / "stderr").read_text()
    assert said.splitlines()[-2:] == [f"Outputs: {place / 'out'}", f"Look at: {place / 'out/report.html'}"]
    assert "A small place (SIMULATED scenes)" in said
    assert list(dict.fromkeys(line.split(":")[0] for line in told.splitlines()))[:2] == ["register", "compare"]
    assert "register" not in said


def test_the_same_inputs_give_the_same_bytes_with_more_workers_and_json_is_one_document(place, tmp_path):
    done = call("run", place / "sim/aoi.yaml", "--out", tmp_path / "again", "--workers", 2, "--json", "-q")
    assert done.exit_code == 0, done.output
    for name in ("changes.geojson", "activity.csv", "detections.geojson"):
        assert (tmp_path / "again" / name).read_bytes() == (place / "out" / name).read_bytes(), name
    told = json.loads(done.stdout)
    assert told["out_dir"] == str(tmp_path / "again")
    assert told["summary"]["headline"]
    assert done.stderr == ""


def test_scenes_lists_what_was_found(place, capsys):
    done = call("scenes", place / "sim/aoi.yaml", "--json")
    assert done.exit_code == 0, done.output
    records = json.loads(done.stdout)
    show.scene_list(records, as_json=False)
    assert "2 of 2 scenes usable" in capsys.readouterr().out
    assert len(records) == 2
    assert records[0].keys() >= {
        "id",
        "datetime",
        "sensor",
        "gsd_m",
        "clear_fraction",
        "dx_m",
        "dy_m",
        "usable",
        "reason",
    }


def test_evaluate_prints_scores_and_json(place):
    done = call("evaluate", place / "out", place / "sim/truth.geojson")
    assert done.exit_code == 0, done.output
    for title in ("Objects (95 % intervals)", "false alarms per km2", "Days present"):
        assert title in done.stdout
    told = json.loads(call("evaluate", place / "out", place / "sim/truth.geojson", "--json").stdout)
    assert told["simulated"] is True
    assert told["false_alarms"]["area_km2"] == pytest.approx(0.0092, rel=0.1)


def test_validate_names_what_is_wrong(place, tmp_path):
    (tmp_path / "wrong.yaml").write_text(AOI.replace("targets:", "target:"))
    good = call("validate", place / "aoi.yaml")
    assert (good.exit_code, good.stdout) == (0, f"ok: {place / 'aoi.yaml'}\n")
    both = call("validate", place / "aoi.yaml", tmp_path / "wrong.yaml", tmp_path / "nowhere.yaml")
    assert both.exit_code == 2
    assert both.stdout == f"ok: {place / 'aoi.yaml'}\n"
    assert len(both.stderr.splitlines()) == 2
    assert "unknown key 'target'" in both.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--from", "2030-01-01"], 4),
        (["--scenes", "nowhere/*.tif"], 3),
        (["--scenes", "http://127.0.0.1:9/stac", "--set", "fetch.tries=1"], 3),
        (["--set", "detect.no_such_key=1"], 2),
        (["--set", "nonsense"], 2),
    ],
)
def test_a_failed_run_is_one_sentence_and_leaves_the_earlier_outputs(place, words, code):
    before = (place / "out/changes.geojson").stat()
    done = call("run", place / "sim/aoi.yaml", "--out", place / "out", "-q", *words)
    assert done.exit_code == code, done.output
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert (place / "out/changes.geojson").stat().st_mtime_ns == before.st_mtime_ns


def test_a_folder_of_the_users_own_is_refused_before_the_work(place, tmp_path):
    (tmp_path / "cat.jpg").write_text("cat")
    done = call("run", place / "sim/aoi.yaml", "--out", tmp_path)
    assert done.exit_code == 3
    assert "was not written by changedetect" in done.stderr
    assert "register" not in done.stderr
    assert files_of(tmp_path) == {"cat.jpg"}


def test_a_run_that_is_told_to_stop_leaves_the_earlier_outputs_and_nothing_else(place, tmp_path):
    shutil.copytree(place / "out", tmp_path / "out")
    command = [sys.executable, "-m", "changedetect", "run", str(place / "sim/aoi.yaml")]
    command += ["--workers", "1", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline().startswith("register")
        process.send_signal(signal.SIGTERM)
        said, told = process.communicate(timeout=120)
    assert process.returncode == 130, told
    assert all(told.splitlines()), "no empty lines"
    assert told.splitlines()[-1] == "interrupted; earlier outputs are as they were"
    assert "Traceback" not in told
    assert said == ""
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out/changes.geojson").read_bytes() == (place / "out/changes.geojson").read_bytes()

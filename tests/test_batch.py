"""Batches on simulated scenes: incremental, the same bytes as a full run, safe to kill, and never stopped by one."""

from __future__ import annotations

import http.server
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from changedetect import pipeline
from changedetect.cli.main import main
from changedetect.gather import RunOptions

AOI = """
name: small-place
title: A small place
location: {source: made up, accuracy_m: 10}
geometry:
  type: Polygon
  coordinates: [[[131.66, 44.32], [131.67, 44.32], [131.67, 44.33], [131.66, 44.33], [131.66, 44.32]]]
targets: [trench, hut]
baseline: {until: 2024-09-20}
scenes: {simulate: {scenario: training-ground, seed: 7, size_m: 96, n_scenes: 4, n_days: 60, start: 2024-09-12}}
"""

TOLD = ("changes.geojson", "detections.geojson", "activity.csv")


def call(*words):
    return CliRunner().invoke(main, list(map(str, words)))


def told(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in TOLD}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Simulated scenes of a small place (sim/) and what one run makes of all of them (full/)."""
    folder = tmp_path_factory.mktemp("batch")
    (folder / "aoi.yaml").write_text(AOI)
    assert call("simulate", folder / "aoi.yaml", "--out", folder / "sim").exit_code == 0
    pipeline.run(folder / "sim/aoi.yaml", RunOptions(out=folder / "full", workers=1))
    return folder


def files_of(place: Path) -> list[list[Path]]:
    """The files of each scene, in order of time."""
    images = sorted(path for path in (place / "sim/scenes").glob("*.tif") if "_mask" not in path.name)
    return [[path, path.with_name(f"{path.stem}_mask.tif")] for path in images]


@pytest.fixture
def inbox(place, tmp_path) -> Path:
    """A folder for scenes, empty yet, and the AOI file that names all of them."""
    shutil.copy(place / "sim/aoi.yaml", tmp_path / "all.yaml")
    (tmp_path / "scenes").mkdir()
    return tmp_path


def deliver(inbox: Path, place: Path, which: list[int]) -> Path:
    """Put scenes into the inbox; return the AOI file that names those that are there."""
    data = yaml.safe_load((inbox / "all.yaml").read_text())
    for number in which:
        for path in files_of(place)[number]:
            shutil.copy2(path, inbox / "scenes" / path.name)
    here = {path.name for path in (inbox / "scenes").iterdir()}
    data["scenes"] = [scene for scene in data["scenes"] if Path(scene["path"]).name in here]
    (inbox / "aoi.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return inbox / "aoi.yaml"


def batch(aoi: Path, out: Path, *words, code=0):
    done = call("batch", aoi, "--out", out, "--workers", 1, "--json", "-q", *words)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)["aois"]


def batch_without_tables(aoi: Path, out: Path):
    """The same in a process of its own, which must not load what takes longer than finding nothing new."""
    code = (
        "import sys\nfrom changedetect.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as end: print(end.code, file=sys.stderr)\n"
        "print([name for name in ('pandas', 'scipy', 'changedetect.pipeline') if name in sys.modules], file=sys.stderr)"
    )
    words = [sys.executable, "-c", code, "batch", str(aoi), "--out", str(out), "--workers", "1", "--json", "-q"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stderr == "0\n[]\n"
    return json.loads(done.stdout)["aois"]


def test_scenes_in_any_order_end_as_one_run_does(place, inbox):
    out = inbox / "out"
    (first,) = batch(deliver(inbox, place, [0, 3]), out)
    assert first["status"] == "done"
    assert first["n_scenes"] == 2
    (second,) = batch(deliver(inbox, place, [1, 2]), out)  # late, and between the others
    assert second["n_scenes"] == 4
    assert told(out / "small-place") == told(place / "full")
    (third,) = batch_without_tables(inbox / "aoi.yaml", out)
    assert third["status"] == "up_to_date"
    assert third["headline"] == second["headline"]
    assert third["difference"]["new"] == []
    (out / "small-place/report.html").unlink()
    (out / "small-place/activity.csv").write_text("half a f")
    (fourth,) = batch(inbox / "aoi.yaml", out)  # outputs that are not as they were written are made again
    assert fourth["status"] == "done"
    assert (out / "small-place/report.html").is_file()
    assert told(out / "small-place") == told(place / "full")


def test_only_new_scenes_are_worked_on(place, inbox, monkeypatch):
    out = inbox / "out"
    batch(deliver(inbox, place, [0, 1]), out)
    examined = []
    true = pipeline.examine_scene
    monkeypatch.setattr(pipeline, "examine_scene", _spy(true, examined))
    batch(deliver(inbox, place, [2]), out)
    assert len(examined) == 1
    batch(inbox / "aoi.yaml", out, "--set", "detect.min_area_m2=3")  # settings are part of what was worked out
    assert len(examined) == 1 + 3


def _spy(true, examined):
    def examine_scene(piece, *words, **named):
        examined.append(piece.scene.id)
        return true(piece, *words, **named)

    return examine_scene


def test_a_scene_delivered_anew_with_other_pixels_is_worked_on_again(place, inbox):
    out = inbox / "out"
    batch(deliver(inbox, place, [0, 1]), out)
    image = files_of(place)[1][0].name
    shutil.copy(files_of(place)[2][0], inbox / "scenes" / image)
    (again,) = batch(inbox / "aoi.yaml", out)
    assert again["status"] == "done"


def test_one_failure_does_not_stop_the_rest(place, inbox):
    (inbox / "broken.yaml").write_text("name: broken\n")
    deliver(inbox, place, [0, 1])
    done = batch(inbox / "broken.yaml", inbox / "out", inbox / "aoi.yaml", inbox / "missing.yaml", code=5)
    assert [outcome["status"] for outcome in done] == ["failed", "done", "failed"]
    assert "broken.yaml" in done[0]["error"]
    assert done[0]["exit_code"] == 2
    kept = json.loads((inbox / "out/batch.json").read_text())
    assert [outcome["status"] for outcome in kept["aois"]] == ["failed", "done", "failed"]


def test_places_side_by_side_end_as_each_alone(place, inbox):
    from distributed import LocalCluster

    (inbox / "broken.yaml").write_text("name: broken\n")
    aoi, other = deliver(inbox, place, [0, 3]), inbox / "other.yaml"
    other.write_text(aoi.read_text().replace("name: small-place", "name: other-place"))
    batch(aoi, inbox / "alone")
    batch(other, inbox / "alone")
    places = (aoi, inbox / "out", inbox / "broken.yaml", other, "--workers", 2)
    done = batch(*places, code=5)
    assert [outcome["aoi"] for outcome in done] == ["small-place", str(inbox / "broken.yaml"), "other-place"]
    assert [outcome["status"] for outcome in done] == ["done", "failed", "done"]
    again = batch(*places, code=5)
    assert [outcome["status"] for outcome in again] == ["up_to_date", "failed", "up_to_date"]
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as cluster:
        batch(aoi, inbox / "far", other, "--scheduler", cluster.scheduler_address)
    for name in ("small-place", "other-place"):
        assert told(inbox / "out" / name) == told(inbox / "far" / name) == told(inbox / "alone" / name)


def test_two_files_of_one_name_do_not_overwrite_each_other(place, inbox):
    aoi = deliver(inbox, place, [0, 1])
    shutil.copy(aoi, inbox / "twin.yaml")
    done = batch(aoi, inbox / "out", inbox / "twin.yaml", code=5)
    assert [outcome["status"] for outcome in done] == ["done", "failed"]
    assert "has the name of another AOI" in done[1]["error"]


def test_a_month_without_scenes_is_no_failure(place, inbox):
    (outcome,) = batch(deliver(inbox, place, [0, 1]), inbox / "out", "--month", "2020-01")
    assert outcome["status"] == "nothing_to_do"
    assert "no scene was acquired" in outcome["error"]


def test_a_month_uses_earlier_scenes_and_tells_its_own_news(place, inbox):
    aoi = deliver(inbox, place, [0, 1, 2, 3])
    (every,) = batch(aoi, inbox / "out")
    months = sorted({change["first_seen"][:7] for change in every["difference"]["new"]})
    assert months
    (outcome,) = batch(aoi, inbox / "month", "--month", months[-1])
    assert outcome["difference"]["new"]
    assert all(change["first_seen"][:7] == months[-1] for change in outcome["difference"]["new"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--month", "2024-13"), "is not a month"),
        (("--month", "2024-10", "--to", "2024-10-05"), "both say when to end"),
        (("--webhook", "ftp://x"), "is not an address"),
    ],
)
def test_wrong_options_are_refused_before_any_work(inbox, words, said):
    done = call("batch", inbox / "all.yaml", "--out", inbox / "out", *words)
    assert done.exit_code == 2
    assert said in done.output
    assert not (inbox / "out").exists()


def test_the_table_lists_what_is_new_first(place, inbox):
    done = call("batch", deliver(inbox, place, [0, 3]), "--out", inbox / "out", "-q")
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["place", "what", "class"]
    assert any(line.startswith("small-place  new") for line in lines)
    assert any(line.split()[:2] == ["small-place", "done"] for line in lines)
    assert lines[-1] == f"In full: {inbox / 'out/batch.json'}"


class Inbox(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Inbox)
    http_server.got, http_server.answers = [], []
    threading.Thread(target=http_server.serve_forever, daemon=True).start()
    yield http_server
    http_server.shutdown()
    http_server.server_close()


def test_a_webhook_is_told_and_its_failure_is_only_a_warning(inbox, server):
    (inbox / "broken.yaml").write_text("name: broken\n")
    url = f"http://127.0.0.1:{server.server_port}/hook"
    words = ("batch", inbox / "broken.yaml", "--out", inbox / "out", "--webhook", url, "--json", "-q")
    server.answers[:] = [503]  # tried again
    done = call(*words)
    assert len(server.got) == 2
    assert server.got[1]["aois"][0]["status"] == "failed"
    assert json.loads(done.stdout)["webhook_error"] is None
    server.answers[:] = [500, 500]
    done = call(*words)
    assert done.exit_code == 5  # for the broken file alone
    assert "500" in json.loads(done.stdout)["webhook_error"]


def test_diff_shows_what_is_new(place, inbox):
    batch(deliver(inbox, place, [0, 1]), inbox / "out")
    done = call("diff", inbox / "out/small-place", place / "full")
    assert done.exit_code == 0, done.output
    assert " new, " in done.stdout
    told_json = json.loads(call("diff", inbox / "out/small-place", place / "full", "--json").stdout)
    assert len(told_json["new"]) >= 1
    assert call("diff", inbox, place / "full").exit_code == 3


def test_killed_at_any_moment_a_rerun_ends_the_same(place, inbox):
    aoi, out, chance = deliver(inbox, place, [0, 1, 2, 3]), inbox / "out", random.Random(5)
    words = [sys.executable, "-m", "changedetect", "batch", str(aoi), "--out", str(out), "--workers", "1", "-q"]
    killed, state = 0, out / ".state/small-place"
    for _ in range(3):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        enough = len(list(state.rglob("*"))) + chance.randint(1, 3)  # by what it has kept, however fast it is
        while process.poll() is None and len(list(state.rglob("*"))) < enough:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.2))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed
    batch(aoi, out)
    assert told(out / "small-place") == told(place / "full")
    assert not list((out / ".state/small-place").glob("*.part"))

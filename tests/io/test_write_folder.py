"""The output folder is replaced whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from changedetect.errors import OutputError
from changedetect.io.folder import SIMULATION_MARKER, replaced_folder, require_replaceable
from changedetect.io.write_json import write_json


def fill(folder: Path, text: str) -> None:
    (folder / "changes.geojson").write_text(text)
    write_json(folder / "run.json", {"program": "changedetect"})


def earlier(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    with replaced_folder(out) as fresh:
        fill(fresh, "earlier")
    return out


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_folder_appears_only_when_complete(tmp_path):
    out = tmp_path / "deep/er/out"
    with replaced_folder(out) as fresh:
        fill(fresh, "x")
        assert not out.exists()
        assert fresh.parent == out.parent
    assert names(out) == ["changes.geojson", "run.json"]
    assert names(out.parent) == ["out"]


def test_earlier_outputs_are_replaced_whole(tmp_path):
    out = earlier(tmp_path)
    (out / "stale.png").write_text("from the earlier run")
    with replaced_folder(out) as fresh:
        fill(fresh, "later")
        assert (out / "changes.geojson").read_text() == "earlier"
    assert (out / "changes.geojson").read_text() == "later"
    assert names(out) == ["changes.geojson", "run.json"]
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt(), MemoryError()])
def test_any_exception_leaves_the_earlier_outputs(tmp_path, error):
    out = earlier(tmp_path)

    def fail_halfway():
        with replaced_folder(out) as fresh:
            (fresh / "half").write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail_halfway()
    assert (out / "changes.geojson").read_text() == "earlier"
    assert names(tmp_path) == ["out"]


def test_earlier_outputs_come_back_if_the_second_rename_fails(tmp_path):
    out = earlier(tmp_path)
    with pytest.raises(OutputError, match="cannot be written"), replaced_folder(out) as fresh:
        fresh.rename(tmp_path / "taken away")
    assert (out / "changes.geojson").read_text() == "earlier"
    assert names(tmp_path) == ["out", "taken away"]


def test_a_folder_of_the_users_own_is_refused_by_name(tmp_path):
    out = tmp_path / "photos"
    out.mkdir()
    (out / "cat.jpg").write_text("cat")
    with pytest.raises(OutputError, match=r"photos: the folder is not empty and was not written by changedetect"):
        require_replaceable(out)
    (out / "run.json").write_text('{"program": "another"}')
    with pytest.raises(OutputError, match="was not written by changedetect"), replaced_folder(out):
        pass
    assert names(out) == ["cat.jpg", "run.json"]


def test_an_empty_folder_is_used_and_a_file_is_not(tmp_path):
    (tmp_path / "out").mkdir()
    with replaced_folder(tmp_path / "out") as fresh:
        fill(fresh, "x")
    assert (tmp_path / "out/run.json").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="outputs need a folder, and this is a file"):
        require_replaceable(tmp_path / "file")


def test_simulated_scenes_replace_simulated_scenes_alone(tmp_path):
    out = earlier(tmp_path)
    with pytest.raises(OutputError, match=r"needed an empty folder, or one with the truth\.geojson of an earlier one"):
        require_replaceable(out, marker=SIMULATION_MARKER)
    made = tmp_path / "made"
    for text in ("first", "second"):
        with replaced_folder(made, marker=SIMULATION_MARKER) as fresh:
            (fresh / "scene").write_text(text)
            write_json(fresh / "truth.geojson", {"type": "FeatureCollection", "simulated": True, "features": []})
    assert (made / "scene").read_text() == "second"
    with pytest.raises(OutputError, match="is not replaced"):
        require_replaceable(made)


def test_a_folder_that_holds_an_input_is_refused(tmp_path):
    out = earlier(tmp_path)
    scene = out / "scene.tif"
    scene.write_text("pixels")
    with pytest.raises(OutputError, match=r"holds an input of this run.*found .*scene\.tif"):
        require_replaceable(out, inputs=[tmp_path / "other.tif", scene])
    assert scene.exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    # /proc takes no folders from anyone, root included
    with pytest.raises(OutputError, match=r"^/proc/.*cannot be written: .*try: --out"), replaced_folder("/proc/cd/out"):
        pass
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="file: cannot be written: File exists"),
        replaced_folder(tmp_path / "file/out"),
    ):
        pass


@pytest.fixture
def nobody(tmp_path):
    """Another user than the owner of the folders."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_no_permission_is_told_before_the_work(nobody):
    with pytest.raises(OutputError, match=r"^/etc: cannot be written: Permission denied; try: --out"):
        require_replaceable("/etc/changedetect-test/out")
    with pytest.raises(OutputError, match=r"^/root.*: cannot be written: Permission denied"):
        require_replaceable("/root/out")


def test_asking_changes_nothing(tmp_path):
    require_replaceable(tmp_path / "deep/out")
    assert names(tmp_path) == []


def test_leftovers_of_killed_runs_are_removed_after_a_day(tmp_path):
    old, young, foreign = (tmp_path / n for n in (".out.new-0123abcd", ".out.new-89ef0123", ".other.new-0123abcd"))
    for leftover in (old, young, foreign):
        leftover.mkdir()
        (leftover / "half").write_text("half")
    yesterday = time.time() - 90_000
    for leftover in (old, foreign):
        os.utime(leftover, (yesterday, yesterday))
    with replaced_folder(tmp_path / "out") as fresh:
        fill(fresh, "x")
    assert names(tmp_path) == [".other.new-0123abcd", ".out.new-89ef0123", "out"]


def test_a_result_caught_between_the_two_renames_comes_back(tmp_path):
    out = earlier(tmp_path)
    out.rename(tmp_path / ".out.old-0123abcd")
    with pytest.raises(ValueError, match="stop"), replaced_folder(out):
        raise ValueError("stop")
    assert (out / "changes.geojson").read_text() == "earlier"


def test_a_link_is_followed(tmp_path):
    real = earlier(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(real)
    with replaced_folder(link) as fresh:
        fill(fresh, "later")
    assert link.is_symlink()
    assert (real / "changes.geojson").read_text() == "later"


WRITE_TOO_MUCH = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
sys.path.insert(0, sys.argv[2])
from test_write_outputs import make_results
from changedetect.errors import OutputError
from changedetect.io.write import write_outputs
try:
    write_outputs(sys.argv[1], make_results())
except OutputError as error:
    print(error)
    sys.exit(3)
"""


def test_a_file_that_cannot_be_written_out_leaves_the_earlier_outputs(tmp_path):
    """The size limit of a process stands in for a full disk: writes fail in the middle of a score file."""
    out = earlier(tmp_path)
    command = [sys.executable, "-c", WRITE_TOO_MUCH, str(out), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines() == [done.stdout.strip()]
    assert "cannot be written: File too large; try: free some space" in done.stdout
    assert (out / "changes.geojson").read_text() == "earlier"
    assert names(tmp_path) == ["out"]

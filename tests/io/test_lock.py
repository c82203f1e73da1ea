"""The lock of an output folder, between processes."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from changedetect.errors import OutputError
from changedetect.io.lock import locked

HOLD = """
import sys, time
from changedetect.io.lock import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_is_refused_and_told_who_has_it(tmp_path, holder):
    said = rf"another run is writing this folder.*process {holder.pid} on .*for 0 min"
    with pytest.raises(OutputError, match=said), locked(tmp_path / "out"):
        pass


def test_other_folders_are_free(tmp_path, holder):
    with locked(tmp_path / "other"):
        assert not (tmp_path / "other").exists()  # the lock lies beside the folder, not in it


def test_a_killed_run_blocks_nobody(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / ".out.lock").exists()
    with locked(tmp_path / "out"):
        pass


def test_the_same_process_may_take_it_again_after(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "out"):
            assert (tmp_path / ".out.lock").exists()
    assert list(tmp_path.iterdir()) == []  # nothing stays behind


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path / "file/out"):
        pass


def test_one_that_is_let_go_of_soon_is_waited_for(tmp_path, holder):
    timer = threading.Timer(0.3, holder.kill)
    timer.start()
    with locked(tmp_path / "out", patience_s=20.0):
        assert holder.wait() < 0
    timer.join()

"""Work in processes of its own: every piece ends, a dead one costs its own alone, and none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from changedetect.processes import run_apart


def square(number):
    return number * number


def die_if_three(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def take_a_while(_):
    began = time.monotonic()
    time.sleep(0.05)
    return began, time.monotonic()


def meet(paths):
    own, other = map(Path, paths)
    own.touch()
    until = time.monotonic() + 20
    while not other.exists() and time.monotonic() < until:
        time.sleep(0.02)
    return other.exists()


def sleep_long(path):
    Path(path).write_text(str(os.getpid()))
    time.sleep(60)


def test_every_item_ends_with_its_own_result():
    ended = list(run_apart(square, [3, 1, 2], 2))
    assert {one.index: one.result for one in ended} == {0: 9, 1: 1, 2: 4}
    assert all(one.exit_code == 0 for one in ended)
    assert list(run_apart(square, [], 2)) == []


def test_a_process_that_dies_costs_its_own_item():
    ended = {one.index: one for one in run_apart(die_if_three, [1, 3, 5], 2)}
    assert [ended[i].result for i in range(3)] == [1, None, 5]
    assert ended[1].exit_code == -signal.SIGKILL


@pytest.mark.parametrize("need", [7.0, 99.0])
def test_what_needs_more_than_is_free_waits(need):
    first, second = sorted(one.result for one in run_apart(take_a_while, [0, 1], 2, [need, need], 10.0))
    assert second[0] >= first[1]


def test_what_fits_is_worked_on_side_by_side(tmp_path):
    pair = [(str(tmp_path / "a"), str(tmp_path / "b")), (str(tmp_path / "b"), str(tmp_path / "a"))]
    assert [one.result for one in run_apart(meet, pair, 2, [4.0, 4.0], 10.0)] == [True, True]


def pid_in(path: Path) -> int:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.02)
    pytest.fail("the process did not start")


def is_gone(pid: int) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_none_outlives_a_parent_that_is_killed(tmp_path):
    code = "import sys, test_processes as t\nlist(t.run_apart(t.sleep_long, [sys.argv[1]], 1))"
    words = [sys.executable, "-c", code, str(tmp_path / "pid")]
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    parent = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": paths})
    child = pid_in(tmp_path / "pid")
    parent.kill()
    parent.wait()
    assert is_gone(child)


def test_none_outlives_a_caller_that_gives_up(tmp_path):
    ending = run_apart(sleep_or_square, [2, str(tmp_path / "pid")], 2)
    assert next(ending).result == 4
    child = pid_in(tmp_path / "pid")
    ending.close()
    assert is_gone(child)


def sleep_or_square(item):
    return square(item) if isinstance(item, int) else sleep_long(item)

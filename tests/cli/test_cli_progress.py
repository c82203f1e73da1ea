"""Progress and the library's log on stderr."""

from __future__ import annotations

import io
import logging
import os
import pty
import subprocess
import sys
import warnings

import pytest

from changedetect.cli import progress
from changedetect.cli.progress import PlainProgress, duration, listening, pace


def work(listener) -> None:
    listener.start("register", 3)
    listener.advance()
    listener.advance(2)
    listener.start("write", 1)
    listener.note("2 changes have no quicklook")


def test_elsewhere_than_on_a_terminal_each_stage_is_a_line(capsys):
    with listening() as listener:
        work(listener)
    said = capsys.readouterr()
    assert said.out == ""
    first, second, third = said.err.splitlines()
    assert first.startswith("register: 3, ")
    assert second == "2 changes have no quicklook"
    assert third.startswith("write: ")


def test_a_long_stage_says_how_far_it_is(capsys, monkeypatch):
    now = iter([0.0, 5.0, 12.0, 12.5, 13.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    listener = PlainProgress()
    listener.start("register", 3)
    for _ in range(3):
        listener.advance()
    listener.close()
    assert capsys.readouterr().err == "register: 2 of 3, 6.0 s each, 6.0 s left\nregister: 3, 13.0 s\n"


@pytest.mark.parametrize(
    ("done", "total", "elapsed_s", "said"),
    [
        (2, 6, 16.0, "8.0 s each, 32 s left"),
        (1, 11, 90.0, "1 min 30 s each, 15 min 00 s left"),
        (30, 60, 3.0, "10 a second, 3.0 s left"),
        (4, 4, 10.0, "2.5 s each, 10 s"),
        (0, 4, 10.0, ""),
    ],
)
def test_the_pace_is_what_was_taken_so_far(done, total, elapsed_s, said):
    assert pace(done, total, elapsed_s) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (3599.6, "1 h 00 min")],
)
def test_times_read_as_people_say_them(seconds, said):
    assert duration(seconds) == said


def test_quiet_says_nothing_but_warnings(capsys):
    with listening(quiet=True) as listener:
        work(listener)
        logging.getLogger("changedetect.io.read").info("reading")
        logging.getLogger("changedetect.io.read").warning("a scene has no date")
    assert capsys.readouterr().err == "warning: a scene has no date\n"


@pytest.mark.parametrize("verbose", [False, True])
def test_what_other_libraries_say_is_shown_only_when_asked(capsys, verbose):
    with listening(verbose=verbose):
        logging.getLogger("somelib.io").warning("a tag is odd")
        logging.getLogger("changedetect.steps").debug("details")
        warnings.warn("not georeferenced", RuntimeWarning, stacklevel=1)
    said = capsys.readouterr().err
    assert ("somelib.io: a tag is odd" in said) == verbose
    assert ("details" in said) == verbose
    assert ("not georeferenced" in said) == verbose


def test_the_log_is_left_as_it_was():
    before = (logging.getLogger().handlers[:], logging.getLogger("changedetect").level)
    with listening(verbose=True):
        pass
    assert (logging.getLogger().handlers[:], logging.getLogger("changedetect").level) == before


def test_on_a_terminal_there_are_bars():
    code = (
        "import time\nfrom changedetect.cli.progress import listening\n"
        "with listening() as listener:\n"
        "    listener.start('register', 4)\n    listener.advance(3)\n    time.sleep(0.3)\n"
        "    listener.note('a line with [brackets] stays')\n    listener.start('write', 0)\n"
    )
    master, slave = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        shown = io.BytesIO()
        try:
            while chunk := os.read(master, 4096):
                shown.write(chunk)
        except OSError:
            pass  # the terminal is gone when the program ends
        assert process.stdout.read() == b""
    os.close(master)
    text = shown.getvalue().decode()
    assert process.returncode == 0
    assert "3/3" in text
    assert "a second" in text
    assert "a line with [brackets] stays" in text
    assert "━" in text

"""The scripts of the documentation's pictures: a terminal is drawn as it was written, and what is missing is named."""

from __future__ import annotations

import sys

import pytest
import screenshots
import terminal_pictures
from defusedxml.ElementTree import fromstring

BAR = r"""
import sys, time
for n in (1, 2, 4):
    print(f"\r\x1b[2Kcompare \x1b[32m###\x1b[0m {n}/4  1.0 s each, 3.0 s left", end="", flush=True)
    time.sleep(0.1)
print("\ndone", sys.stdout.isatty())
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return terminal_pictures.record([sys.executable, "-c", BAR], tmp_path_factory.mktemp("pty"), (60, 5))


def test_a_command_believes_in_its_terminal_and_the_last_screen_is_kept(recording):
    end = terminal_pictures.screen_of(recording, size=(60, 5))
    assert str(end) == "compare ### 4/4  1.0 s each, 3.0 s left\ndone True"


def test_the_screen_of_a_run_well_on_is_the_first_with_a_third_of_the_scenes(recording):
    middle = terminal_pictures.screen_of(recording, screenshots.is_well_on, (60, 5))
    assert str(middle).startswith("compare ### 2/4")
    assert not screenshots.is_well_on("register  ### 3/4  1 s each, 1 s left\ncompare  1/4  1 s each, 3 s left")


def test_a_picture_has_the_words_and_their_colours_and_loads_nothing(recording):
    svg = terminal_pictures.screen_of(recording, size=(60, 5)).to_svg("a <title>")
    words = "".join(fromstring(svg).itertext()).replace("\xa0", " ")
    assert "4/4  1.0 s each, 3.0 s left" in words
    assert "a <title>" in words
    assert "url(http" not in svg
    assert "fill: #98e024" in svg


def test_a_recording_that_is_kept_comes_back(recording, tmp_path):
    terminal_pictures.save(recording, tmp_path / "x.terminal")
    assert [data for _, data in terminal_pictures.load(tmp_path / "x.terminal")] == [data for _, data in recording]


def test_a_command_that_fails_is_told_with_its_words(tmp_path):
    with pytest.raises(SystemExit, match="ended with 3:\nno such place"):
        terminal_pictures.record([sys.executable, "-c", "print('no such place'); raise SystemExit(3)"], tmp_path)


def test_what_is_not_installed_is_named_with_the_rest_that_goes_without():
    with pytest.raises(SystemExit, match=r"apt-get install chromium; .*python3-qgis.*--only terminal"):
        screenshots.require(["report", "qgis", "terminal"], chromium=None, qgis="/nowhere/python3")
    screenshots.require(["terminal"], chromium=None, qgis="/nowhere/python3")

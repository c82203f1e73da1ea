"""What the shell is offered when TAB is pressed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from changedetect.cli.main import main
from changedetect.config import Config, parse_sets
from changedetect.core.validate import validated

AOI = "name: a\ngeometry: {}\n"


def offered(*words: str) -> list[str]:
    *typed, incomplete = words
    completer = ShellComplete(main, {}, "changedetect", "_CHANGEDETECT_COMPLETE")
    return [item.value for item in completer.get_completions(list(typed), incomplete)]


def kinds(*words: str) -> set[str]:
    *typed, incomplete = words
    completer = ShellComplete(main, {}, "changedetect", "_CHANGEDETECT_COMPLETE")
    return {item.type for item in completer.get_completions(list(typed), incomplete)}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    for name in ("aoi", "configs", "imagery"):
        (tmp_path / name).mkdir()
    (tmp_path / "aoi/rason.yaml").write_text(AOI)
    (tmp_path / "aoi/sunan.yml").write_text(AOI)
    (tmp_path / "aoi/.hidden.yaml").write_text(AOI)
    (tmp_path / "configs/port.yaml").write_text("detect: {seed_sigma: 5}\n")
    (tmp_path / "mine.yaml").write_text(AOI)
    (tmp_path / "notes.txt").write_text(AOI)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["run", "scenes", "validate", "simulate"])
def test_aoi_files_here_and_one_level_below_and_no_other_yaml(folder, command):
    assert offered(command, "") == ["aoi/rason.yaml", "aoi/sunan.yml", "mine.yaml"]
    assert offered(command, "aoi/s") == ["aoi/sunan.yml"]


def test_a_path_is_completed_as_it_was_typed(folder):
    assert offered("run", f"{folder}/aoi/r") == [f"{folder}/aoi/rason.yaml"]
    assert offered("run", "./m") == ["./mine.yaml"]


def test_where_there_is_no_aoi_file_the_shell_decides(folder):
    assert offered("run", "imagery/") == ["imagery/"]
    assert kinds("run", "imagery/") == kinds("run", "nowhere/x") == {"file"}


def test_validate_takes_more_than_one(folder):
    assert offered("validate", "mine.yaml", "aoi/r") == ["aoi/rason.yaml"]


def test_folders_and_imagery_are_left_to_the_shell(folder):
    assert kinds("run", "mine.yaml", "--out", "") == kinds("evaluate", "") == {"dir"}
    assert kinds("run", "mine.yaml", "--scenes", "") == {"file"}


def test_formats_go_on_after_a_comma_without_repeats():
    assert offered("run", "--format", "") == ["geojson", "gpkg", "parquet", "fgb"]
    assert offered("run", "--format", "gpkg,p") == ["gpkg,parquet"]
    assert offered("run", "--format", "gpkg,fgb,") == ["gpkg,fgb,geojson", "gpkg,fgb,parquet"]


def test_settings_come_with_their_defaults_and_every_offer_is_one_that_run_takes():
    detect = offered("run", "--set", "detect.seed")
    assert detect == [f"detect.seed_sigma={Config().detect.seed_sigma}"]
    every = [text for text in offered("run", "--set", "") if not text.startswith("simulate.")]
    assert len({text.split(".")[0] for text in every}) == len(Config().as_dict())
    given = [text for text in every if not text.endswith("=")]  # lists are left for the user to write
    assert len(given) > 0.9 * len(every)
    assert validated(Config, parse_sets(given), "offered") == Config()


def test_settings_of_the_simulator_are_offered_too():
    assert offered("simulate", "--set", "simulate.n_s") == ["simulate.n_scenes=null"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_as_documented(folder):
    source = [sys.executable, "-m", "changedetect"]
    env = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
    (folder / "bin").mkdir()
    program = folder / "bin/changedetect"
    program.write_text(f'#!/bin/sh\nexec "{source[0]}" -c "from changedetect.cli.main import main; main()" "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(_CHANGEDETECT_COMPLETE=bash_source changedetect)"; '
        "COMP_WORDS=(changedetect run aoi/s); COMP_CWORD=2; "
        '_changedetect_completion changedetect; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "aoi/sunan.yml\n", done.stderr

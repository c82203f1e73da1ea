"""A scene goes through the whole board: simulated, run, evaluated, beside the plain methods, and kept."""

from __future__ import annotations

import json
from dataclasses import replace

from board import jobs, lines, simulated
from board.simulated import Story, run_story

SMALL = Story(
    "sergeyevka", "training-ground", looks=(0, 5), simulate=(("size_m", 128.0), ("shift_px", 1.0), ("cloud", 0.0))
)


def test_a_pair_is_measured_beside_the_plain_methods(tmp_path):
    result = run_story(SMALL, 35, tmp_path, plain=True)
    assert result["evaluation"]["simulated"]
    assert result["evaluation"]["registration"]["n"] == 1
    assert set(result["plain"]) == {"cva", "irmad"}
    for told in (result["evaluation"], *result["plain"].values()):
        assert told["overall"]["recall"]["n"] == result["evaluation"]["overall"]["recall"]["n"]
    assert json.loads(json.dumps(result, default=jobs._plain)) == result
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [scene["baseline"] for scene in run["scenes"]] == [True, False]


def test_what_a_case_cannot_do_is_kept_as_such(tmp_path, monkeypatch):
    def broken(case, seed, folder):
        raise ValueError("no")

    def absent(case, seed, folder):
        raise jobs.NotAvailableError("no such world")

    for name, run in (("broken", broken), ("absent", absent)):
        line = replace(lines.LINES["ground"], run=run)
        monkeypatch.setitem(lines.LINES, name, line)
        jobs.run_job(jobs.Job(name, "steppe", 1), str(tmp_path / f"{name}.json"))
    assert "ValueError: no" in json.loads((tmp_path / "broken.json").read_text())["error"]
    assert json.loads((tmp_path / "absent.json").read_text())["not_available"] == "no such world"


def test_a_pair_that_cannot_be_registered_abstains(tmp_path, monkeypatch):
    monkeypatch.setattr(simulated, "FAST", (*simulated.FAST, "register.max_ce90_px=0.01"))
    result = run_story(SMALL, 35, tmp_path, plain=True)
    assert "CE90" in result["abstained"]
    assert result["n_truth"] > 0
    assert "evaluation" not in result

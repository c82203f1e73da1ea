"""The notebooks run from top to bottom, what they end cells with can be shown, and they are kept without outputs."""

from __future__ import annotations

import ast
import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image
from real_cases import REAL
from strip_notebooks import strip

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAIRS = ROOT / "notebooks" / "registration_and_score.ipynb"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_kept_without_outputs(path, tmp_path):
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    assert not strip(copy)


def run_notebook(path: Path, folder: Path, monkeypatch) -> list:
    """Run all cells in an empty folder beside the places; return what each shows, as Jupyter would draw it."""
    (folder / "aoi").symlink_to(ROOT / "aoi")
    monkeypatch.chdir(folder)
    names, shown = {}, []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        body = ast.parse("".join(cell["source"]), path.name)
        last = body.body.pop() if isinstance(body.body[-1], ast.Expr) else None
        exec(compile(body, path.name, "exec"), names)  # noqa: S102 - the notebook is ours
        if last is not None:
            shown.append(drawn(eval(compile(ast.Expression(last.value), path.name, "eval"), names)))  # noqa: S307
    return shown


def drawn(value) -> object:
    """Return what Jupyter would draw: a picture, a table's HTML, or text."""
    if hasattr(value, "_repr_png_"):
        return Image.open(io.BytesIO(value._repr_png_()))
    return value._repr_html_() if hasattr(value, "_repr_html_") else repr(value)


def pictures(shown: list) -> list:
    return [picture for picture in shown if isinstance(picture, Image.Image)]


def test_a_first_look(tmp_path, monkeypatch):
    shown = run_notebook(ROOT / "notebooks" / "first_look.ipynb", tmp_path, monkeypatch)
    assert len(pictures(shown)) == 3, "map, changes, timeline"
    assert "trench" in "".join(text for text in shown if isinstance(text, str))
    assert (tmp_path / "outputs/first-look/changes.geojson").is_file()


def test_counting_in_a_port(tmp_path, monkeypatch):
    shown = run_notebook(ROOT / "notebooks" / "port_counting.ipynb", tmp_path, monkeypatch)
    assert len(pictures(shown)) == 2, "timeline, ships"
    assert "pier-1" in "".join(text for text in shown if isinstance(text, str))


def test_registration_and_score_without_real_imagery_says_so_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CHANGEDETECT_REAL", str(tmp_path / "nowhere"))
    assert len(pictures(run_notebook(PAIRS, tmp_path, monkeypatch))) == 5
    assert "SKIPPED: no real imagery" in capsys.readouterr().out


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real imagery at {REAL}")
def test_registration_and_score_on_real_pairs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CHANGEDETECT_REAL", os.fspath(REAL.resolve()))
    shown = run_notebook(PAIRS, tmp_path, monkeypatch)
    assert "Saclay" in shown[0]
    assert "prairie" in shown[0]
    assert pictures(shown)[-1].height > 2 * pictures(shown)[0].height - 100, "one row of panels per pair"
    told = capsys.readouterr().out
    assert told.startswith("ok: ")
    assert "SKIPPED" not in told

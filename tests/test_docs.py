"""The documentation builds without a warning, fetches nothing, and says of the code what the code says."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import docs_pictures
import make_reference
import pytest
from reference.aoi import SCENE_WORDS
from reference.api import SECTIONS, full_name
from reference.fields import docstrings, entries, escaped, in_words, shown
from reference.outputs import WORDS, outputs_page
from reference.settings import flat, load_presets, settings_page

from changedetect.cli.main import main
from changedetect.config import Config
from changedetect.io.aoi_file import AoiBlock, load_aoi
from changedetect.io.listed import SceneEntry
from changedetect.simulate import SimulateParams
from changedetect.steps.detect import DetectParams

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=["']?(?:https?:)?//"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preconnect|preload|icon))[^>]*\bhref=["']?(?:https?:)?//"""
    r"""|@import|url\(["']?(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_the_site_has_a_page_for_everything_and_can_be_searched(site):
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    written = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    generated = {Path(path).with_suffix(".html").as_posix() for path in make_reference.PAGES}
    assert pages == written | generated | {"404.html"}
    assert (site / "search" / "search_index.js").is_file(), "from disk too"


def test_the_site_fetches_nothing_from_elsewhere(site):
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        found = FETCHED.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path.relative_to(site)}: {found and found.group()}"
    assert FETCHED.search('<script src="https://x/a.js">'), "the search finds what it is for"
    assert FETCHED.search('<link rel="stylesheet" href="//x/a.css">')


def test_every_setting_is_on_its_page_with_its_default(site):
    page = unescape((site / "reference/settings.html").read_text(encoding="utf-8"))
    for name, value in flat(Config().as_dict()).items():
        assert f'id="{name}"' in page, name
        item = page.partition(f'id="{name}"')[2].partition("</dd>")[0]
        assert f"default <code>{shown(value)}</code>" in item, name
    for field in dataclasses.fields(SimulateParams):
        assert f'id="simulate.{field.name}"' in page


def test_settings_state_bounds_units_presets_and_reasons():
    page = settings_page()
    item = page.partition("`detect.seed_sigma`{")[2].partition("\n\n`")[0]
    assert f"default `{DetectParams().seed_sigma}` sigma; number more than 0" in item
    assert docstrings(DetectParams)["seed_sigma"] in item
    for preset, values in load_presets().items():
        if "detect.seed_sigma" in values:
            assert f"`{shown(values['detect.seed_sigma'])}` in `{preset}`" in item


def test_every_key_of_an_aoi_file_and_of_a_scene_is_described():
    missing = {entry.key for entry in entries(SceneEntry) if not entry.words} - set(SCENE_WORDS)
    assert not missing, "add words to scripts/reference/aoi.py"
    assert set(SCENE_WORDS) <= {entry.key for entry in entries(SceneEntry)}, "words for keys that are gone"
    page = make_reference.PAGES["reference/aoi-file.md"]()
    for entry in [*entries(AoiBlock), *entries(SceneEntry)]:
        assert f"\n`{entry.key}`\n" in page, entry.key


def test_every_column_is_described_and_no_word_is_left_over():
    page = outputs_page()
    assert all(f"`{name}`" in page for name in WORDS)


def test_every_command_and_option_is_on_the_page():
    page = make_reference.PAGES["reference/commands.md"]()
    for name, command in main.commands.items():
        assert f"## {name}\n" in page
        section = page.partition(f"## {name}\n")[2].partition("\n## ")[0]
        assert all(option in section for parameter in command.params for option in parameter.opts if "-" in option)
    assert max(len(line) for line in page.splitlines()) <= 120


def test_what_the_python_page_says_to_import_can_be_imported():
    for _, _, members in SECTIONS:
        for member in members:
            module, _, name = full_name(member).rpartition(".")
            assert getattr(__import__(module, fromlist=[name]), name) is member


def test_types_and_texts_read_as_people_say_them():
    assert in_words(int | None) == "whole number or `null`"
    assert in_words(tuple[str, ...]) == "list of text"
    assert escaped("a_b < `x_y` * 2") == r"a\_b &lt; `x_y` \* 2"


def test_every_picture_is_there_shown_and_small():
    made = {name for names in docs_pictures.PARTS.values() for name in names}
    kept = [path for path in DOCS.rglob("*") if path.suffix in (".webp", ".svg", ".jpg")]
    assert made <= {path.stem for path in kept}
    text = "".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md"))
    assert all(f"({path.relative_to(DOCS).as_posix()})" in text for path in kept)
    assert sum(path.stat().st_size for path in kept) < 2_500_000


def test_the_aoi_file_shown_is_one_that_loads(tmp_path):
    page = make_reference.PAGES["reference/aoi-file.md"]()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "place.yaml").write_text(example)
    assert load_aoi(tmp_path / "place.yaml").name == "sergeyevka"


def test_documents_speak_only_of_commands_that_exist():
    text = "".join(path.read_text(encoding="utf-8") for path in [*DOCS.glob("*.md"), ROOT / "README.md"])
    named = set(re.findall(r"(?m)(?:^|`)changedetect ([a-z]+)\b(?! turns)", text))
    assert named - {"turns"} <= set(main.commands), named
    assert {"run", "scenes", "validate", "simulate", "evaluate"} <= named

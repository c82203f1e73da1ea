"""Take every screenshot of the documentation anew: the report in Chromium, the map in QGIS, the terminal.

    python scripts/screenshots.py                     # runs two places on simulated scenes first: some minutes
    python scripts/screenshots.py --runs DIR          # keeps the runs in DIR, and takes those that are there already
    python scripts/screenshots.py --only qgis,terminal --runs DIR

The runs are made in a terminal of their own, which is what the pictures of the terminal show. Only simulated scenes are
shown: what is kept in the repository shows no real place. Look at every picture before you commit it.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rasterio
import terminal_pictures
from PIL import Image

from changedetect.report import figures, images

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PARTS = ("report", "qgis", "terminal")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QGIS_PYTHON = "/usr/bin/python3"

RUNS = {"sergeyevka": (), "rason": ("--set", "simulate.n_scenes=72")}
"""Places, and what is said after the AOI file."""


@dataclass(frozen=True)
class Shot:
    """One picture of a report."""

    place: str
    name: str
    size: tuple[int, int]
    parts: tuple[tuple[str, str], ...]
    """What is done first (script), and the element whose top is scrolled to; side by side in the picture."""

    @property
    def scheme(self) -> str:
        """Light or dark."""
        return self.name.rpartition("-")[2]


SHOTS = (
    Shot("sergeyevka", "desktop-light", (1360, 1330), (("", "header"),)),
    Shot(
        "sergeyevka", "table-light", (1360, 1100), (("document.querySelector('#table .toggle').click()", "#changes"),)
    ),
    Shot("sergeyevka", "phone-light", (390, 844), (("", "header"), ("", "#place"), ("", "#chosen"), ("", "#time"))),
    Shot("rason", "desktop-dark", (1360, 1330), (("", "header"),)),
    Shot("rason", "time-light", (1360, 1240), (("", "#time"),)),
    Shot("rason", "phone-dark", (390, 844), (("", "#place"), ("", "#time"), ("", "#days"), ("", "#changes"))),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, of report, qgis and terminal")
    parser.add_argument("--runs", type=Path, help="folder of runs: what is there is not run again")
    parser.add_argument("--to", type=Path, default=DOCS, help="folder of the documentation")
    options = parser.parse_args()
    parts = options.only.split(",")
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    require(parts)
    (options.to / "pictures").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as aside:
        runs = options.runs or Path(aside)
        for place in RUNS if "report" in parts else ("sergeyevka",):
            run(place, runs)
        takers = {"report": take_report, "qgis": take_qgis, "terminal": take_terminal}
        for part in parts:
            for path in takers[part](runs, options.to):
                print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def require(parts: list[str], chromium: str | None = CHROMIUM, qgis: str = QGIS_PYTHON) -> None:
    """Exit with what to install where something is missing."""
    missing = {}
    if "report" in parts and chromium is None:
        missing["report"] = "the report's pictures need Chromium: apt-get install chromium"
    if "qgis" in parts and not (
        shutil.which(qgis) and subprocess.run([qgis, "-c", "import qgis.core"], capture_output=True).returncode == 0
    ):
        missing["qgis"] = "QGIS's picture needs its Python: apt-get install python3-qgis qgis-providers"
    if missing:
        rest = ",".join(part for part in parts if part not in missing)
        sys.exit("; ".join(missing.values()) + (f"; the rest goes with --only {rest}" if rest else ""))


def run(place: str, runs: Path) -> None:
    """Run a place in a terminal, unless that is done; keep its outputs and what was written to the terminal."""
    folder, kept = outputs_of(place, runs), runs / f"{place}.terminal"
    if not (folder / "run.json").is_file() or not kept.is_file():
        runs.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / "aoi", runs / "aoi", dirs_exist_ok=True)
        words = ["run", f"aoi/{place}.yaml", *RUNS[place]]
        terminal_pictures.save(terminal_pictures.record([sys.executable, "-m", "changedetect", *words], runs), kept)
    if not json.loads((folder / "run.json").read_text(encoding="utf-8"))["simulated"]:
        sys.exit(f"{folder}: the scenes are not simulated")


def outputs_of(place: str, runs: Path) -> Path:
    """Return where a run made in `runs` writes."""
    return runs / "outputs" / place


def take_report(runs: Path, docs: Path) -> Iterator[Path]:
    """Yield the pictures of the reports."""
    from playwright.sync_api import sync_playwright

    with Image.open(outputs_of("sergeyevka", runs) / "overview.png") as whole:
        small = whole.convert("RGB").reduce(2)
    small.save(docs / "overview.jpg", quality=85)
    yield docs / "overview.jpg"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for shot in SHOTS:
            path = docs / f"report-{shot.place}-{shot.name}.webp"
            taken(browser, outputs_of(shot.place, runs) / "report.html", shot).save(path, quality=75, method=6)
            yield path
        browser.close()


def taken(browser: Browser, page_path: Path, shot: Shot) -> Image.Image:
    """Return the picture of a shot."""
    width, height = shot.size
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=shot.scheme)
    page.goto(page_path.resolve().as_uri())
    page.wait_for_selector("html[data-whole]")
    ready_s = int(page.locator("html").get_attribute("data-ready") or 0) / 1000
    print(f"{shot.place}: {page_path.stat().st_size / 1e6:.1f} MB, interactive after {ready_s:.1f} s")
    parts = []
    for script, selector in shot.parts:
        if script:
            page.evaluate(script)
        page.evaluate("selector => document.querySelector(selector).scrollIntoView()", selector)
        page.wait_for_timeout(500)
        parts.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    page.close()
    whole = Image.new("RGB", (len(parts) * (width + 12) - 12, height), (120, 120, 120))
    for place, part in enumerate(parts):
        whole.paste(part, (place * (width + 12), 0))
    return whole


def take_qgis(runs: Path, docs: Path) -> Iterator[Path]:
    """Yield the map of the day of its image as QGIS draws the project, with its scale and what it shows."""
    folder = outputs_of("sergeyevka", runs)
    with rasterio.open(folder / "imagery" / "after.tif") as image:
        tags, gsd_m = image.tags(), image.res[0]
    day, sensor = tags["acquired"][:10], tags["sensor"]
    with tempfile.TemporaryDirectory() as aside:
        drawn = Path(aside) / "map.png"
        words = [str(folder), str(drawn), "--at", day, "--width", "1000"]
        script = str(ROOT / "scripts" / "render_qgis.py")
        done = subprocess.run([QGIS_PYTHON, script, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"QGIS could not draw {folder}: {done.stderr.strip()[-300:]}")
        told = json.loads(done.stdout)
        view = Image.open(drawn).convert("RGB")
    images.draw_scale_bar(view, told["metres_per_px"])
    said = f"sergeyevka, {day}, {sensor}, {gsd_m:g} m"
    path = docs / "pictures" / "qgis-map.webp"
    figures.frame(view, f"project.qgz in QGIS {told['qgis']}", said, simulated=True).save(path, quality=75, method=6)
    yield path


def take_terminal(runs: Path, docs: Path) -> Iterator[Path]:
    """Yield the terminal while scenes are compared, and at the end."""
    recording = terminal_pictures.load(runs / "sergeyevka.terminal")
    command = "changedetect run aoi/sergeyevka.yaml (simulated scenes)"
    for name, until in (("running", is_well_on), ("done", None)):
        path = docs / "pictures" / f"terminal-{name}.svg"
        path.write_text(terminal_pictures.screen_of(recording, until).to_svg(command), encoding="utf-8")
        yield path


def is_well_on(text: str) -> bool:
    """Return whether a third of the scenes are compared."""
    found = re.search(r"^compare .*?(\d+)/(\d+) .* left", text, re.MULTILINE)
    return found is not None and 3 * int(found[1]) >= int(found[2])


if __name__ == "__main__":
    main()

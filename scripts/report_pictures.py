"""Pictures of report.html for docs/, taken in headless Chromium: whole on a desktop, scrolled on a telephone.

Only of simulated scenes: what is kept in the repository shows no real place.

    changedetect run aoi/sergeyevka.yaml
    changedetect run aoi/rason.yaml --set simulate.n_scenes=72
    scripts/report_pictures.py outputs/sergeyevka --shots desktop-light,table-light,phone-light
    scripts/report_pictures.py outputs/rason --shots desktop-dark,time-light,phone-dark
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

DOCS = Path(__file__).parents[1] / "docs"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass(frozen=True)
class Shot:
    """One picture."""

    name: str
    size: tuple[int, int]
    scheme: str
    parts: tuple[tuple[str, str], ...]
    """What is done first (script), and the element whose top is scrolled to; side by side in the picture."""


SHOTS = (
    Shot("desktop-light", (1360, 1330), "light", (("", "header"),)),
    Shot("desktop-dark", (1360, 1330), "dark", (("", "header"),)),
    Shot("time-light", (1360, 1240), "light", (("", "#time"),)),
    Shot(
        "table-light",
        (1360, 1100),
        "light",
        (("document.querySelector('#table .toggle').click()", "#changes"),),
    ),
    Shot("phone-light", (390, 844), "light", (("", "header"), ("", "#place"), ("", "#chosen"), ("", "#time"))),
    Shot("phone-dark", (390, 844), "dark", (("", "#place"), ("", "#time"), ("", "#days"), ("", "#changes"))),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--shots", default=",".join(shot.name for shot in SHOTS))
    parser.add_argument("--to", type=Path, default=DOCS)
    arguments = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("needs chromium: apt-get install chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for folder in arguments.folders:
            run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            if not run["simulated"]:
                sys.exit(f"{folder}: the scenes are not simulated")
            for shot in (shot for shot in SHOTS if shot.name in arguments.shots.split(",")):
                path = arguments.to / f"report-{run['aoi']['name']}-{shot.name}.webp"
                taken(browser, folder / "report.html", shot).save(path, quality=75, method=6)
                print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
        browser.close()


def taken(browser: Browser, page_path: Path, shot: Shot) -> Image.Image:
    """Return the picture of a shot."""
    width, height = shot.size
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=shot.scheme)
    page.goto(page_path.resolve().as_uri())
    page.wait_for_selector("html[data-ready]")
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


if __name__ == "__main__":
    main()

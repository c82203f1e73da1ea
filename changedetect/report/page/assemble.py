"""The page itself: one HTML file with its code, its data and its pictures in it; it asks for nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import logging
import re
from pathlib import Path
from typing import Any

from changedetect.report.page.data import Images, page_data
from changedetect.report.page.outputs import load_outputs

logger = logging.getLogger(__name__)

NAME = "report.html"

STATIC = Path(__file__).parents[1] / "static"

STYLES = ("leaflet/leaflet.css", "page.css", "map.css", "panels.css", "print.css")

SCRIPTS = (
    "leaflet/leaflet.js",
    *(f"{name}.js" for name in ("base", "state", "chips", "map", "swipe", "timeline", "calendar")),
    *(f"{name}.js" for name in ("filters", "table", "review", "export", "quality", "start")),
)
"""In the order they run: each leaves its functions in the one object `report`."""


def write_page(folder: str | Path) -> Path:
    """Write report.html into an output folder, from what is in it alone; return its path.

    Raises
    ------
    DataError
        The folder holds no outputs of a run.
    """
    outputs = load_outputs(folder)
    data, pictures = page_data(outputs)
    text = page(data, {"features": outputs.features}, pictures)
    path = Path(folder) / NAME
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8", newline="\n")
    fresh.replace(path)
    most_mb = outputs.run.get("settings", {}).get("write", {}).get("report_mb")
    if most_mb and len(text) > most_mb * 1e6:
        logger.warning("%s weighs %.1f MB, more than write.report_mb=%g", path, len(text) / 1e6, most_mb)
    return path


def page(data: dict[str, Any], exported: dict[str, Any], pictures: Images) -> str:
    """Return the HTML: a shell without content, data that no parser takes for markup, and the code that shows it."""
    style = "\n".join(_static(name) for name in STYLES)
    script = "\n".join(_static(name) for name in SCRIPTS).replace("//# sourceMappingURL=leaflet.js.map", "")
    # exactly this code runs and nothing that a title could smuggle in; nothing is loaded or sent
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    # a browser shows the page before it has read the pictures that are not shown at first
    shown = [tile["image"] for index in data["first"].values() for tile in data["looks"][index]["tiles"]]
    blocks = [island("data", data), *(_picture(name, pictures[name]) for name in dict.fromkeys(shown))]
    rest = [island("exported", exported), *(_picture(*item) for item in pictures.items() if item[0] not in shown)]
    parts = {
        "policy": policy,
        "title": html.escape(_title(data)),
        "style": style,
        "data": "\n".join(blocks),
        "script": script,
        "rest": "\n".join(rest),
    }
    # in one pass: what is put in may well contain such marks
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], _static("page.html"))


def island(name: str, value: Any) -> str:
    """Return a block of JSON in which nothing can end the block: `<`, `>` and `&` are written as escapes."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _picture(name: str, text: str) -> str:
    return f'<script type="text/plain" id="picture:{html.escape(name)}">{text}</script>'


def _title(data: dict[str, Any]) -> str:
    place = data["place"]
    return f"{place['title']}{' (SIMULATED)' if place['simulated'] else ''}: what changed"


def _static(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")

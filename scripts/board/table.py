"""The board as text: Markdown for people and documents, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from board.figures import MISSED, NOT_AVAILABLE, NOT_SHOWN, REACHED, Row

HEADER = ("", "what", "bar", "measured", "verdict", "scenes", "CVA + Otsu", "IR-MAD", "CPU s")
MARKS = {REACHED: "**reached**", MISSED: "missed", NOT_SHOWN: "not shown", NOT_AVAILABLE: "not available"}

LEGEND = """Shares are given as value (right/n; 95 % Wilson interval), rates with their exact one-sided 95 % Poisson
bound. "not shown": too few scenes or too little ground to tell either way. CVA + Otsu (z-scored bands, magnitude,
Otsu's threshold, opening) and IR-MAD (k-means on its distance, opening) work on the very pixels that the product
registered and normalised, give polygons of the same least area, and are judged by the same rule; where neither makes
sense, nothing stands. CPU s: mean per scene, with its simulation."""


def as_markdown(rows: Sequence[Row], about: str) -> str:
    """Return the whole board as a Markdown document."""
    lines = ["# Scoreboard", "", about, "", LEGEND, ""]
    lines += ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    previous = ""
    for row in rows:
        cells = ("" if row.line == previous else row.line, *_cells(row))
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
        previous = row.line
    counts = {mark: sum(row.verdict == mark for row in rows) for mark in MARKS}
    lines += ["", "Bars: " + ", ".join(f"{n} {mark}" for mark, n in counts.items()) + "."]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    scenes = str(row.scenes) if row.scenes else ""
    cost = f"{row.cpu_s:.0f}" if row.cpu_s else ""
    return (row.what, row.bar, row.figure, MARKS.get(row.verdict, ""), scenes, row.cva, row.irmad, cost)


def write_board(rows: Sequence[Row], about: dict[str, Any], out: Path) -> str:
    """Write scoreboard.md and scoreboard.json into a folder; return the Markdown."""
    head = "; ".join(f"{key} {value}" for key, value in about.items())
    text = as_markdown(rows, head)
    out.mkdir(parents=True, exist_ok=True)
    (out / "scoreboard.md").write_text(text, encoding="utf-8")
    whole = {**about, "made": datetime.now(UTC).isoformat(timespec="seconds"), "rows": [asdict(row) for row in rows]}
    (out / "scoreboard.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False), encoding="utf-8")
    return text

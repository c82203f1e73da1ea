"""Pictures of the terminal: a command is run in a real one, what it writes is kept, and its screen drawn as SVG."""

from __future__ import annotations

import base64
import io
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from fcntl import ioctl
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text

SIZE = (112, 40)
"""Columns and rows: the table of changes fits."""

_NAMES = {"brown": "yellow"}
"""Colours that pyte calls otherwise than rich."""

Recording = list[tuple[float, bytes]]
"""What was written, with the seconds since the command began."""


def record(command: Sequence[str], folder: Path, size: tuple[int, int] = SIZE) -> Recording:
    """Run a command in a terminal of its own and return what it wrote; the command must succeed."""
    columns, rows = size
    parent, child = pty.openpty()
    ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    told = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": str(columns), "LINES": str(rows)}
    process = subprocess.Popen(
        command, cwd=folder, stdin=child, stdout=child, stderr=child, env=os.environ | told, start_new_session=True
    )
    os.close(child)
    began = time.monotonic()
    written = [(time.monotonic() - began, data) for data in _read(parent, process)]
    os.close(parent)
    if process.wait():
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{screen_of(written)}")
    return written


def _read(parent: int, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    while True:
        if not select.select([parent], [], [], 0.2)[0]:
            if process.poll() is not None:
                return
            continue
        try:
            data = os.read(parent, 65536)
        except OSError:  # Linux says so when the other end is closed
            return
        if not data:
            return
        yield data


def save(recording: Recording, path: Path) -> None:
    """Keep a recording, a line per piece."""
    lines = [json.dumps([round(at, 3), base64.b64encode(data).decode("ascii")]) for at, data in recording]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def load(path: Path) -> Recording:
    """Return a recording that was kept."""
    pieces = map(json.loads, path.read_text(encoding="ascii").splitlines())
    return [(at, base64.b64decode(data)) for at, data in pieces]


def screen_of(recording: Recording, until: Callable[[str], bool] | None = None, size: tuple[int, int] = SIZE) -> Screen:
    """Return the screen at the end, or as soon as its text is one to stop at."""
    screen = pyte.Screen(*size)
    stream = pyte.ByteStream(screen)
    for _, data in recording:
        stream.feed(data)
        if until is not None and until("\n".join(screen.display)):
            break
    return Screen(screen)


class Screen:
    """What a terminal shows, with its colours."""

    def __init__(self, screen: pyte.Screen) -> None:
        rows = [[screen.buffer[row][column] for column in range(screen.columns)] for row in range(screen.lines)]
        runs = [[(list(cells), style) for style, cells in groupby(row, _style)] for row in rows]
        texts = [Text.assemble(*(("".join(cell.data for cell in run), style) for run, style in row)) for row in runs]
        for text in texts:
            text.rstrip()
        while texts and not texts[-1].plain:
            texts.pop()
        self.lines: list[Text] = texts
        self.columns: int = screen.columns

    def __str__(self) -> str:
        return "\n".join(line.plain for line in self.lines)

    def to_svg(self, title: str) -> str:
        """Return a picture of it that loads nothing: the reader's own font of fixed width is used."""
        console = Console(
            record=True, width=self.columns, file=io.StringIO(), force_terminal=True, color_system="truecolor"
        )
        for line in self.lines:
            console.print(line, soft_wrap=True, highlight=False)
        svg = console.export_svg(title=title, theme=MONOKAI, unique_id="terminal")
        return re.sub(r"@font-face\s*{[^}]*}\s*", "", svg).replace("Fira Code", "DejaVu Sans Mono")


def _style(cell: pyte.screens.Char) -> Style:
    return Style(color=_colour(cell.fg), bgcolor=_colour(cell.bg), bold=cell.bold, reverse=cell.reverse)


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    return _NAMES.get(name, name).replace("bright", "bright_")

"""Progress on stderr: bars on a terminal, plain lines elsewhere; the library's log goes the same way."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from changedetect.core.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from rich.progress import Progress as RichBars

_LINE_EVERY_S = 10.0
"""A plain stage that takes longer says how far it is this often."""


@contextmanager
def listening(verbose: bool = False, quiet: bool = False) -> Iterator[Progress]:
    """Yield the listener that fits stderr, with the library's log routed to it."""
    if quiet:
        with _logging_to(_Quiet(), logging.WARNING, foreign=False):
            yield SilentProgress()
        return
    bars = TerminalProgress() if sys.stderr.isatty() else PlainProgress()
    with _logging_to(bars, logging.DEBUG if verbose else logging.INFO, foreign=verbose):
        try:
            yield bars
        finally:
            bars.close()


class PlainProgress:
    """One line per stage when it ends, and one now and then while it lasts."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._total = self._done = 0
        self._began = self._said = 0.0

    def start(self, stage: str, total: int) -> None:
        """End the stage before and begin this one."""
        self.close()
        self._stage, self._total, self._done = stage, total, 0
        self._began = self._said = time.monotonic()

    def advance(self, n: int = 1) -> None:
        """Count steps; say so if the last line is long ago."""
        self._done += n
        now = time.monotonic()
        if now - self._said > _LINE_EVERY_S and self._done < self._total:
            self._said = now
            self.note(f"{self._stage}: {self._done} of {self._total}")

    def note(self, text: str) -> None:
        """Print a line."""
        click.echo(text, err=True)

    def close(self) -> None:
        """End the last stage."""
        if self._stage is not None:
            counted = f"{self._done}, " if self._done else ""
            self.note(f"{self._stage}: {counted}{time.monotonic() - self._began:.1f} s")
        self._stage = None


class TerminalProgress:
    """Bars, one per stage."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars: RichBars = Bars(*columns, console=Console(stderr=True))
        self._task: Any = None
        self._bars.start()

    def start(self, stage: str, total: int) -> None:
        """Finish the bar before and add one."""
        self._finish()
        self._task = self._bars.add_task(stage, total=max(total, 1), completed=0 if total else 1)

    def advance(self, n: int = 1) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bars.advance(self._task, n)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the bars as they stand."""
        self._bars.stop()

    def _finish(self) -> None:
        if self._task is not None:
            task = self._bars.tasks[self._task]
            self._bars.update(self._task, total=max(task.completed, 1), completed=max(task.completed, 1))


class _Quiet:
    def note(self, text: str) -> None:
        click.echo(text, err=True)


class _NoteHandler(logging.Handler):
    """Sends log lines to a listener; those of other libraries only if asked for."""

    def __init__(self, listener: Any, *, foreign: bool) -> None:
        super().__init__()
        self._listener, self._foreign = listener, foreign

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] == "changedetect":
            prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        elif self._foreign:
            prefix = f"{record.name}: "
        else:
            return
        self._listener.note(prefix + " ".join(record.getMessage().split()))


@contextmanager
def _logging_to(listener: Any, level: int, *, foreign: bool) -> Iterator[None]:
    own, root, handler = logging.getLogger("changedetect"), logging.getLogger(), _NoteHandler(listener, foreign=foreign)
    level_before = own.level
    own.setLevel(level)
    root.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default" if foreign else "ignore")
            logging.captureWarnings(foreign)
            yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        own.setLevel(level_before)

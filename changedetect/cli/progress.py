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
            bars.finish()
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
            self.note(
                f"{self._stage}: {self._done} of {self._total}, {pace(self._done, self._total, now - self._began)}"
            )

    def note(self, text: str) -> None:
        """Print a line."""
        click.echo(text, err=True)

    def finish(self) -> None:
        """End the last stage."""
        self.close()

    def close(self) -> None:
        """End the stage that is going on, done or not."""
        if self._stage is not None:
            counted = f"{self._done}, " if self._done else ""
            self.note(f"{self._stage}: {counted}{time.monotonic() - self._began:.1f} s")
        self._stage = None


class TerminalProgress:
    """Bars, one per stage, each with its rate and the time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description:<9}"), BarColumn(), TextColumn("{task.fields[said]}"))
        self._bars: RichBars = Bars(*columns, console=Console(stderr=True))
        self._task: Any = None
        self._began = 0.0
        self._bars.start()

    def start(self, stage: str, total: int) -> None:
        """Finish the bar before and add one."""
        self.finish()
        self._began = time.monotonic()
        # A stage of one piece cannot say how far it is: its bar moves to and fro instead.
        self._task = self._bars.add_task(stage, total=total if total > 1 else None, said="")

    def advance(self, n: int = 1) -> None:
        """Move the bar, and say how fast it goes."""
        if self._task is None:
            return
        self._bars.advance(self._task, n)
        task = self._bars.tasks[self._task]
        if task.total is not None:
            done, total = int(task.completed), int(task.total)
            said = pace(done, total, time.monotonic() - self._began)
            self._bars.update(self._task, said=f"{done}/{total}  {said}")

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the bars as they stand: what was not done must not look done."""
        self._bars.stop()

    def finish(self) -> None:
        """End the last stage."""
        if self._task is not None:
            task = self._bars.tasks[self._task]
            done, took = int(task.completed), duration(time.monotonic() - self._began)
            counted = f"{done}/{done}  {took}" if task.total is not None else took
            self._bars.update(self._task, total=max(done, 1), completed=max(done, 1), said=counted)


def pace(done: int, total: int, elapsed_s: float) -> str:
    """Return how long one piece takes and how long the rest will, as far as it can be told."""
    if done <= 0 or elapsed_s <= 0:
        return ""
    each_s = elapsed_s / done
    rate = f"{duration(each_s)} each" if each_s >= 1 else f"{1 / each_s:.0f} a second"
    return f"{rate}, {duration(each_s * (total - done))} left" if done < total else f"{rate}, {duration(elapsed_s)}"


def duration(seconds: float) -> str:
    """Return a length of time as people say it."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


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

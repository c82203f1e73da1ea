"""Pieces of work in processes of their own, as many at once as there are cores and memory.

One that dies costs its own piece alone, and none outlives the program that started it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_GRACE_S = 5.0
"""For a process to clean up after itself once it is told to end."""


@dataclass(frozen=True, slots=True)
class Ended:
    """One piece of work that is over."""

    index: int
    """Of its item."""
    result: object
    """What the function returned; None where its process died."""
    exit_code: int | None
    """Of the process; below 0: the signal that ended it."""


@dataclass(frozen=True, slots=True)
class _Running:
    index: int
    process: BaseProcess
    needs: float


def run_apart(
    function: Callable[[T], R],
    items: Sequence[T],
    at_once: int,
    needs: Sequence[float] | None = None,
    budget: float = float("inf"),
    preload: Sequence[str] = (),
) -> Iterator[Ended]:
    """Yield what became of `function(item)` for each item, as they end.

    Parameters
    ----------
    function : callable
        At the top of a module, as are all that items and results are made of: they are sent between processes.
    at_once : int
        Most processes at a time.
    needs : sequence of float, optional
        What each item takes of `budget` while it is worked on; one that needs more than all is worked on alone.
    preload : sequence of str
        Modules that every process needs, imported once for all of them.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    waiting = deque(enumerate(needs or [0.0] * len(items)))
    running: dict[Connection, _Running] = {}
    try:
        while waiting or running:
            held = sum(one.needs for one in running.values())
            while waiting and len(running) < at_once and (not running or held + waiting[0][1] <= budget):
                index, needed = waiting.popleft()
                here, there = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(there, function, items[index]))
                process.start()
                there.close()
                running[here] = _Running(index, process, needed)
                held += needed
            for ready in wait(list(running)):
                yield _ended(ready, running)  # type: ignore[arg-type]
    finally:
        _stop([one.process for one in running.values()])


def _ended(ready: Connection, running: dict[Connection, _Running]) -> Ended:
    try:
        result = ready.recv()
    except EOFError:
        result = None
    one = running.pop(ready)
    ready.close()
    one.process.join()
    return Ended(one.index, result, one.process.exitcode)


def _stop(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    latest = time.monotonic() + _GRACE_S
    for process in processes:
        process.join(max(0.0, latest - time.monotonic()))
        if process.is_alive():
            process.kill()


def _work(back: Connection, function: Callable[[T], R], item: T) -> None:
    # Ctrl-C reaches every process of a terminal; the one that started this one says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    try:
        back.send(function(item))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGTERM)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(128 + signal.SIGKILL)

"""Progress: how the line tells what it is doing, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Listener to a run; stages follow each other and never overlap."""

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of `total` steps; it ends the stage before."""

    def advance(self, n: int = 1) -> None:
        """Report `n` more steps of the stage as done."""

    def note(self, text: str) -> None:
        """Say one line that matters to the user."""


class SilentProgress:
    """A listener that says nothing; the default everywhere."""

    def start(self, stage: str, total: int) -> None:
        """Ignore the stage."""

    def advance(self, n: int = 1) -> None:
        """Ignore the steps."""

    def note(self, text: str) -> None:
        """Ignore the line."""

"""What registration met on its way, and how it abstains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from changedetect.core.results import Warp

MIN_GROUPS = 4
"""Fewer groups of ties tell no field."""


@dataclass(slots=True)
class Trace:
    """What was met on the way, for run.json."""

    values: dict[str, Any] = field(default_factory=dict)

    def note(self, **values: float) -> None:
        """Keep figures by their names."""
        self.values.update({name: round(float(value), 4) for name, value in values.items()})

    def abstain(self, reason: str, ce90_m: float | None = None, n_tie_points: int = 0) -> Warp:
        """Return the warp that moves nothing, with the reason why none is known."""
        return Warp(
            "abstained", reason, ce90_m=ce90_m, n_tie_points=n_tie_points, model="identity", diagnostics=self.values
        )

"""Shares, rates and verdicts: how figures of many scenes become one line, and when a line may be called reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from scipy.stats import chi2

from changedetect.evaluation.stats import poisson_upper, wilson

REACHED, MISSED, NOT_SHOWN, NOT_AVAILABLE = "reached", "missed", "not shown", "not available"
ENOUGH_SCENES = 20


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    line: str
    what: str
    bar: str
    figure: str
    verdict: str
    scenes: int = 0
    cva: str = ""
    irmad: str = ""
    cpu_s: float = 0.0
    """Mean per scene."""
    values: dict[str, Any] = field(default_factory=dict)
    """The figures as numbers."""


@dataclass(frozen=True)
class Share:
    """Right ones of n."""

    right: int = 0
    n: int = 0

    @property
    def value(self) -> float | None:
        return self.right / self.n if self.n else None

    def __str__(self) -> str:
        interval = wilson(self.right, self.n)
        if interval is None:
            return "-"
        return f"{self.right / self.n:.3f} ({self.right}/{self.n}; {interval[0]:.3f}-{interval[1]:.3f})"

    def as_dict(self) -> dict[str, Any]:
        interval = wilson(self.right, self.n) or (None, None)
        return {"right": self.right, "n": self.n, "share": self.value, "low": interval[0], "high": interval[1]}


def add_shares(parts: Iterable[dict[str, Any] | None]) -> Share:
    """Return the sum of shares as `evaluate` writes them."""
    told = [part for part in parts if part]
    return Share(sum(int(part["right"]) for part in told), sum(int(part["n"]) for part in told))


def judge_share(share: Share, bar: float, scenes: int, enough: int = ENOUGH_SCENES) -> str:
    """Return whether a share reaches its bar: on enough scenes by its value, on fewer only where that is certain."""
    if share.value is None:
        return NOT_SHOWN
    interval = wilson(share.right, share.n)
    if share.value >= bar:
        return REACHED if scenes >= enough else NOT_SHOWN
    return MISSED if scenes >= enough or (interval is not None and interval[1] < bar) else NOT_SHOWN


def judge_rate(count: int, area: float, bar: float) -> str:
    """Return whether a rate stays under its bar with 95 % certainty, exceeds it with as much, or neither is shown."""
    if area <= 0:
        return NOT_SHOWN
    if poisson_upper(count) / area <= bar:
        return REACHED
    return MISSED if poisson_lower(count) / area > bar else NOT_SHOWN


def judge_value(value: float | None, bar: float, scenes: int, enough: int = ENOUGH_SCENES, least: bool = False) -> str:
    """Return whether a figure is at most (`least`: at least) its bar, on enough scenes."""
    if value is None or scenes < enough:
        return NOT_SHOWN
    return REACHED if (value >= bar if least else value <= bar) else MISSED


def worst(verdicts: Sequence[str]) -> str:
    """Return the verdict of a line that asks several things at once."""
    return next((v for v in (MISSED, NOT_AVAILABLE, NOT_SHOWN) if v in verdicts), REACHED)


def poisson_lower(count: int) -> float:
    """Return the exact one-sided 95 % lower bound of the expected number when `count` were met (0 for none)."""
    return float(chi2.ppf(0.05, 2 * count) / 2) if count else 0.0


def show_rate(count: int, area: float, digits: int = 2) -> str:
    """Return a rate of events per square kilometre with counts and its exact upper bound."""
    if area <= 0:
        return "-"
    bound = poisson_upper(count) / area
    return f"{count / area:.{digits}f} ({count} in {area:.1f} km2; at most {bound:.{digits}f})"

"""What a batch did and what differs between two outputs, on stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from changedetect.cli.show import aligned, echo_json

if TYPE_CHECKING:
    from changedetect.batch import BatchReport, Outcome
    from changedetect.evaluation import Difference

HEADER = ("place", "status", "scenes", "changes", "new", "gone", "altered", "seconds")
CHANGE_HEADER = ("place", "what", "class", "status", "first seen", "gone by", "count", "conf.", "lon, lat", "id")

MOST_ROWS = 40
"""Changes listed; all of them are in the JSON."""


def batch_report(report: BatchReport, as_json: bool) -> None:
    """Show what became of each AOI, what is new first."""
    for outcome in report.outcomes:
        for warning in outcome.warnings:
            click.echo(f"warning: {outcome.aoi}: {warning}", err=True)
        if outcome.error:
            word = "error" if outcome.status == "failed" else "note"
            click.echo(f"{word}: {outcome.aoi}: {outcome.error}", err=True)
    if report.webhook_error:
        click.echo(f"warning: the webhook was not told: {report.webhook_error}", err=True)
    if as_json:
        outcomes = [outcome.as_dict() for outcome in report.outcomes]
        echo_json({"aois": outcomes, "batch": str(report.path), "webhook_error": report.webhook_error})
        return
    _changes([row for outcome in report.outcomes for row in _news(outcome.aoi, outcome.difference)])
    click.echo(aligned(HEADER, [_row(outcome) for outcome in report.outcomes]))
    failed = sum(outcome.status == "failed" for outcome in report.outcomes)
    if failed:
        click.echo(f"{failed} of {len(report.outcomes)} failed: see above")
    click.echo(f"In full: {report.path}")


def difference(told: Difference, as_json: bool) -> None:
    """Show what differs between two outputs."""
    if as_json:
        echo_json(told.as_dict())
        return
    _changes(_news(None, told))
    click.echo(f"{len(told.new)} new, {len(told.gone)} gone, {len(told.altered)} altered, {told.n_same} the same")


def _changes(rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    header: tuple[str, ...] = CHANGE_HEADER
    shown = list(rows[:MOST_ROWS])
    if not any(row[0] for row in shown):
        header, shown = header[1:], [row[1:] for row in shown]
    click.echo(aligned(header, shown))
    if len(rows) > MOST_ROWS:
        click.echo(f"... and {len(rows) - MOST_ROWS} more")
    click.echo()


def _news(place: str | None, told: Difference) -> list[tuple[str, ...]]:
    rows = [_change_row(place, "new", item) for item in told.new]
    rows += [_change_row(place, f"altered: {', '.join(sorted(item['was']))}", item) for item in told.altered]
    return rows + [_change_row(place, "gone", item) for item in told.gone]


def _change_row(place: str | None, what: str, change: Mapping[str, Any]) -> tuple[str, ...]:
    point = change.get("lon_lat")
    count = change.get("count")
    return (
        place or "",
        what,
        str(change["class"]),
        str(change["status"]),
        _day(change.get("first_seen")),
        _day(change.get("gone_by")),
        "-" if count is None else str(count),
        f"{float(change.get('confidence') or 0.0):.2f}",
        "-" if point is None else f"{point[0]:.5f}, {point[1]:.5f}",
        str(change["id"]),
    )


def _day(time: str | None) -> str:
    return time[:10] if time else "-"


def _row(outcome: Outcome) -> tuple[str, ...]:
    told = outcome.difference
    counts = (outcome.n_scenes, outcome.n_changes, len(told.new), len(told.gone), len(told.altered))
    known = outcome.status in ("done", "up_to_date")
    numbers = tuple(str(count) if known and count is not None else "-" for count in counts)
    return (outcome.aoi, outcome.status.replace("_", " "), *numbers, f"{outcome.seconds:.1f}")

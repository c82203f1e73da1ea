"""Results on stdout: tables for people, or one JSON document."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from changedetect.errors import ChangeDetectError
    from changedetect.pictures import Remade
    from changedetect.pipeline import RunReport

MOST_ROWS = 40
"""Changes shown on stdout, the most confident ones; all of them are in changes.geojson."""

CHANGE_HEADER = (
    "id",
    "zone",
    "class",
    "status",
    "absent until",
    "first seen",
    "last seen",
    "count",
    "m2",
    "m",
    "conf.",
)
LEFT_OUT_FIRST = ("m", "zone", "last seen", "m2")
"""Columns of changes that a narrow terminal does without, the first of them first."""

SCENE_HEADER = ("scene", "date", "sensor", "GSD m", "sun deg", "clear", "east m", "north m", "CE90 m", "usable")

SCENES_LEFT_OUT_FIRST = ("sun deg", "sensor", "GSD m", "date")
"""The same of scenes; most names hold the date."""


def run_report(report: RunReport, as_json: bool) -> None:
    """Show what a run found and where its outputs are."""
    results = report.results
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    if as_json:
        echo_json(
            {
                "aoi": results.aoi.name,
                "out_dir": str(report.out_dir),
                "simulated": results.simulated,
                "n_changes": len(results.changes),
                "n_scenes": len(results.scene_records),
                "n_scenes_used": sum(bool(record.get("used")) for record in results.scene_records),
                "summary": results.summary,
                "warnings": list(report.warnings),
            }
        )
        return
    rows = [_change_row(change) for change in _most_confident(results.changes)]
    if rows:
        click.echo(aligned(*fitting(CHANGE_HEADER, rows)))
    if len(results.changes) > len(rows):
        click.echo(f"... and {len(results.changes) - len(rows)} more, less confident")
    if rows:
        click.echo()
    click.echo(f"{results.aoi.title}{' (SIMULATED scenes)' if results.simulated else ''}")
    for sentence in results.summary.get("headline", []):
        click.echo(wrapped(sentence))
    click.echo(f"Outputs: {report.out_dir}")
    page = report.out_dir / "report.html"
    if page.is_file():
        click.echo(f"Look at: {page}")


def scene_list(records: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Show the scenes found."""
    if as_json:
        echo_json(records)
        return
    rows = [_scene_row(record) for record in records]
    click.echo(aligned(*fitting(SCENE_HEADER, rows, spare=SCENES_LEFT_OUT_FIRST)))
    left = [record for record in records if not record["usable"]]
    click.echo(f"{len(records) - len(left)} of {len(records)} scenes usable")
    for record in left:
        click.echo(f"  not {record['id']}: {record['reason']}")


def validation(results: Sequence[tuple[Path, ChangeDetectError | None]], as_json: bool) -> None:
    """Show which AOI files are in order."""
    if as_json:
        echo_json([{"path": str(path), "ok": error is None, "error": error and str(error)} for path, error in results])
        return
    for path, error in results:
        if error is None:
            click.echo(f"ok: {path}")
        else:
            click.echo(f"error: {error}", err=True)


def simulated(written: Path, out: Path) -> None:
    """Say how to go on with simulated scenes."""
    click.echo(f"Simulated scenes, truth.geojson and the AOI file: {out}")
    click.echo(f"Next: changedetect run {written}")


def remade(made: Remade, as_json: bool) -> None:
    """Say where the report is, and what became of the reviews."""
    merged = made.merged
    told: dict[str, Any] = {"report": str(made.page)}
    if merged is not None:
        told |= {"added": merged.added, "known": merged.known, "strangers": list(merged.strangers)}
    if as_json:
        echo_json(told)
        return
    if merged is not None:
        known = f", {merged.known} known already" if merged.known else ""
        strangers = f", {len(merged.strangers)} of changes that are not here" if merged.strangers else ""
        click.echo(f"Reviews added to changes.geojson: {merged.added}{known}{strangers}")
    click.echo(f"Look at: {made.page}")


def scores(result: dict[str, Any], as_json: bool) -> None:
    """Show how outputs compare with truth."""
    if as_json:
        echo_json(result)
        return
    from changedetect.evaluation import as_tables

    for title, header, rows in as_tables(result):
        click.echo(title)
        click.echo(aligned(header, rows) if rows else "  (nothing)")
        click.echo()
    for reason in result["not_evaluated"]:
        click.echo(f"not evaluated: {reason}")


def echo_json(data: Any) -> None:
    """Print one JSON document."""
    from changedetect.io.write_json import to_plain

    click.echo(json.dumps(to_plain(data), indent=2, ensure_ascii=False))


def aligned(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table as text: columns two spaces apart, numbers to the right, None as a dash."""
    texts = [list(map(_text, row)) for row in rows]
    numeric = [all(isinstance(row[i], (int, float)) or row[i] is None for row in rows) for i in range(len(header))]
    widths = [max(len(line[i]) for line in (list(header), *texts)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join(map(line, (header, ["-" * width for width in widths], *texts)))


def fitting(
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    width: int | None = None,
    spare: Sequence[str] = LEFT_OUT_FIRST,
) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """Return a table without its empty zones and, on a terminal too narrow for it, without columns of `spare`.

    `width` is that of the terminal; None asks it. Where stdout is no terminal nothing but empty zones goes.
    """
    if width is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    kept = [i for i, name in enumerate(header) if name != "zone" or any(row[i] is not None for row in rows)]
    for name in spare:
        cut = [header[i] for i in kept], [[row[i] for i in kept] for row in rows]
        if max(map(len, aligned(*cut).splitlines())) <= width:
            break
        kept = [i for i in kept if header[i] != name]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows]


def wrapped(sentence: str, width: int | None = None) -> str:
    """Return an indented sentence, on a terminal broken between its words; `width` as in `fitting`."""
    if width is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    return textwrap.fill(
        sentence, max(width, 40), initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
    )


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
    return str(value)


def _most_confident(changes: Any) -> list[dict[str, Any]]:
    kept = changes.sort_values("confidence", ascending=False, kind="stable").head(MOST_ROWS).index
    return [record for index, record in zip(changes.index, changes.to_dict("records"), strict=True) if index in kept]


def _change_row(change: dict[str, Any]) -> list[Any]:
    dates = [_date(change[key]) for key in ("absent_until", "first_seen", "last_seen")]
    count = None if _missing(change["count"]) else int(change["count"])
    sizes = [None if _missing(change[key]) else float(change[key]) for key in ("area_m2", "length_m", "confidence")]
    return [change["id"], change["zone"], change["class"], change["status"], *dates, count, *sizes]


def _scene_row(record: dict[str, Any]) -> list[Any]:
    shift = [record[key] for key in ("dx_m", "dy_m", "ce90_m")]
    clear = record["clear_fraction"]
    return [
        record["id"],
        record["datetime"],
        record["sensor"],
        record["gsd_m"],
        record["sun_elevation_deg"],
        None if clear is None else f"{clear:.0%}",
        *shift,
        "yes" if record["usable"] else "no",
    ]


def _date(value: Any) -> str | None:
    return None if _missing(value) else f"{value:%Y-%m-%d}"


def _missing(value: Any) -> bool:
    import pandas as pd

    return value is None or bool(pd.isna(value))

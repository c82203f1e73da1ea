"""Options and arguments that commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from changedetect.cli.complete import AoiPath, FolderPath, ImageryPath, Setting, complete_list

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("geojson", "gpkg", "parquet", "fgb")


class UtcTime(click.ParamType):  # type: ignore[type-arg]
    """A date or date-time in ISO 8601, UTC where it names no zone; a bare date is its first or last moment."""

    name = "DATE"

    def __init__(self, *, last: bool) -> None:
        self.last = last

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the aware UTC time."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date such as 2024-10-05 or 2024-10-05T02:20:00Z", param, ctx)
        if self.last and len(value) <= len("2024-10-05"):
            moment = datetime.combine(moment.date(), time.max)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class FormatList(click.ParamType):  # type: ignore[type-arg]
    """One or more output formats, separated by commas."""

    name = "LIST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the formats, each once."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(part.strip().lower() for part in value.split(",") if part.strip()))
        unknown = [name for name in names if name not in FORMATS]
        if unknown or not names:
            self.fail(f"{value!r} is not a list of {', '.join(FORMATS)}", param, ctx)
        return names

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return how the list may go on."""
        return complete_list(FORMATS, incomplete)


PATH = click.Path(path_type=Path)
AOI_PATH = AoiPath(path_type=Path)
FOLDER = FolderPath(path_type=Path)

aoi_argument = click.argument("aoi", metavar="AOI.yaml", type=AOI_PATH)

aois_argument = click.argument("aois", metavar="AOI.yaml...", type=AOI_PATH, nargs=-1, required=True)

out_dir_argument = click.argument("out_dir", metavar="OUT_DIR", type=FOLDER)

json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable result on stdout.")

set_option = click.option(
    "--set",
    "sets",
    metavar="KEY=VALUE",
    type=Setting(),
    multiple=True,
    help="Override one setting, for example detect.seed_sigma=9; repeatable.",
)


def loudness_options(command: F) -> F:
    """Add -v and -q."""
    command = click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors on stderr.")(command)
    return click.option("-v", "--verbose", is_flag=True, help="More on stderr; tracebacks of bugs.")(command)


def scene_options(command: F) -> F:
    """Add the options that choose the scenes and the settings."""
    for option in (
        set_option,
        click.option("--to", "end", metavar="DATE", type=UtcTime(last=True), help="No scenes after it (UTC)."),
        click.option("--from", "start", metavar="DATE", type=UtcTime(last=False), help="No scenes before it (UTC)."),
        click.option(
            "--scenes",
            metavar="PATH_OR_URL",
            type=ImageryPath(),
            help="Folder, glob or file to use instead of the scenes in the AOI file.",
        ),
    ):
        command = option(command)
    return command


def run_options(command: F) -> F:
    """Add the options of `run` and `batch`."""
    for option in (
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="A Dask cluster to work on, by its address; or 'processes', to start one for each worker here.",
        ),
        click.option("--workers", metavar="N", type=click.IntRange(min=1), help="Default: the number of cores."),
        click.option(
            "--format",
            "formats",
            metavar="LIST",
            type=FormatList(),
            default="geojson",
            help="Any of geojson,gpkg,parquet,fgb; GeoJSON is always written.",
        ),
        click.option("--out", metavar="DIR", type=FOLDER, help="Output folder; default: outputs/<name>."),
    ):
        command = option(command)
    return scene_options(command)

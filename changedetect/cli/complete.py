"""What the shell may complete: AOI files, folders, output formats and the keys of settings."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

_AOI_ENDINGS = (".yaml", ".yml")

_HAS_GEOMETRY = re.compile(rb"^geometry\s*:", re.MULTILINE)
"""What tells an AOI file from other YAML files; loading each would make the shell wait."""

_LOOK_INTO = 1_000_000
"""Bytes of a file that are searched for it."""


class AoiPath(click.Path):
    """The path of an AOI file; completes to those in the folder typed so far and one level below it."""

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the AOI files that begin with `incomplete`; where there is none, leave it to the shell."""
        found = sorted(_aoi_files(incomplete))
        return [CompletionItem(path) for path in found] or [CompletionItem(incomplete, type="file")]


class FolderPath(click.Path):
    """The path of a folder, which need not be there yet."""

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Leave it to the shell, folders alone."""
        return [CompletionItem(incomplete, type="dir")]


class ImageryPath(click.ParamType):  # type: ignore[type-arg]
    """A folder, a glob, a file or a URL of imagery, kept as it was typed."""

    name = "PATH_OR_URL"

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Leave it to the shell."""
        return [CompletionItem(incomplete, type="file")]


class Setting(click.ParamType):  # type: ignore[type-arg]
    """One `step.key=value`; checked where the settings are read."""

    name = "KEY=VALUE"

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the settings that begin with `incomplete`, with their defaults to start from."""
        return [CompletionItem(text) for text in _settings() if text.startswith(incomplete)]


def complete_list(names: Sequence[str], incomplete: str) -> list[CompletionItem]:
    """Return how a list separated by commas may go on: each of `names` that it does not hold yet."""
    head, comma, tail = incomplete.rpartition(",")
    taken = head.split(",")
    return [
        CompletionItem(f"{head}{comma}{name}") for name in names if name not in taken and name.startswith(tail.lower())
    ]


def _aoi_files(incomplete: str) -> Iterator[str]:
    # The folder as it was typed stays in front: a shell drops candidates that do not begin with what is there.
    head, slash, tail = incomplete.rpartition("/")
    typed = f"{head}{slash}"
    folder = Path(typed or ".").expanduser()
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if not entry.name.startswith(tail) or (entry.name.startswith(".") and not tail):
            continue
        if entry.is_dir():
            yield from (f"{typed}{entry.name}/{path.name}" for path in entry.iterdir() if _is_aoi_file(path))
        elif _is_aoi_file(entry):
            yield f"{typed}{entry.name}"


def _is_aoi_file(path: Path) -> bool:
    if path.suffix not in _AOI_ENDINGS or path.name.startswith(".") or not path.is_file():
        return False
    with path.open("rb") as file:
        return _HAS_GEOMETRY.search(file.read(_LOOK_INTO)) is not None


def _settings() -> Iterator[str]:
    from changedetect.config import Config
    from changedetect.simulate import SimulateParams

    yield from _flat("", Config().as_dict())
    given = {field.name: field.default for field in dataclasses.fields(SimulateParams) if field.name != "scenario"}
    yield from _flat("simulate.", {"scenario": "training-ground", **given})


def _flat(prefix: str, values: dict[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}={_shown(value)}"


def _shown(value: Any) -> str:
    """Return a value as `--set` takes it; nothing for lists, whose brackets a shell would take for a pattern."""
    if isinstance(value, list | tuple):
        return ""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)

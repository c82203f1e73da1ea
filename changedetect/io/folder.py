"""A folder that is replaced whole: written under a temporary name beside it, then swapped in by rename.

A reader never sees half a result, and a run that fails or is interrupted leaves the last complete one.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rasterio.errors import RasterioError

from changedetect.core.plain import parse_object
from changedetect.errors import DataError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MARKER = "run.json"
"""The file that tells outputs of a run from a folder of the user's own; it names the program."""

SIMULATION_MARKER = "truth.geojson"
"""The same for a folder of simulated scenes; it says that they are simulated."""

PROGRAM = "changedetect"

_STALE_S = 24 * 3600.0


@contextmanager
def replaced_folder(folder: str | Path, *, inputs: Iterable[str | Path] = (), marker: str = MARKER) -> Iterator[Path]:
    """Yield an empty temporary folder that becomes `folder` when the block ends without an exception.

    Parameters
    ----------
    folder : path
        The folder to replace; its parents are made.
    inputs : iterable of path
        Files that the work reads; a folder that holds one of them is not replaced.
    marker : str
        The file that tells an earlier result of the same kind: `MARKER` or `SIMULATION_MARKER`.

    Raises
    ------
    OutputError
        `folder` was not written by this program, holds an input, or cannot be written (no permission, disk full).
    """
    target = Path(folder).resolve()
    with _refusals(target):
        require_replaceable(target, inputs=inputs, marker=marker)
        target.parent.mkdir(parents=True, exist_ok=True)
        clean_leftovers(target, marker)
        fresh = _sibling(target, "new")
        fresh.mkdir()
        try:
            yield fresh
            _swap(fresh, target)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise


def require_replaceable(folder: str | Path, *, inputs: Iterable[str | Path] = (), marker: str = MARKER) -> None:
    """Raise `OutputError` unless `replaced_folder` could begin now; it asks and changes nothing.

    Cheap, so that a run can ask before it works rather than after.
    """
    target = Path(folder).resolve()
    with _refusals(target):
        _require_ours(target, marker)
        above = next(path for path in target.parents if path.exists())
        as_user = os.access in os.supports_effective_ids
        if above.is_dir() and not os.access(above, os.W_OK | os.X_OK, effective_ids=as_user):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(above))
    inside = next((path for path in inputs if Path(path).resolve().is_relative_to(target)), None)
    if inside is not None and target.exists():
        raise OutputError(
            "the folder holds an input of this run, so it is not replaced",
            where=str(target),
            found=str(inside),
            hint="--out with another folder",
        )


def _require_ours(target: Path, marker: str) -> None:
    if target.exists() and not target.is_dir():
        raise OutputError("outputs need a folder, and this is a file", where=str(target))
    if target.exists() and any(target.iterdir()) and not written_here(target, marker):
        raise OutputError(
            "the folder is not empty and was not written by changedetect, so it is not replaced",
            where=str(target),
            needed=f"an empty folder, or one with the {marker} of an earlier one",
            hint="--out with another folder",
        )


def written_here(folder: Path, marker: str = MARKER) -> bool:
    """Return whether `folder` holds the marker as this program writes it."""
    try:
        record = parse_object((folder / marker).read_bytes(), str(folder / marker))
    except (OSError, DataError):
        return False
    return record.get("program") == PROGRAM if marker == MARKER else record.get("simulated") is True


def clean_leftovers(target: Path, marker: str = MARKER) -> None:
    """Remove what killed runs left beside `target` more than a day ago; bring back a result caught between renames."""
    for leftover in sorted(target.parent.glob(".*-????????")):
        kind = next((k for k in ("new", "old") if leftover.name.startswith(f".{target.name}.{k}-")), None)
        if kind == "old" and not target.exists() and written_here(leftover, marker):
            leftover.rename(target)
        elif kind and time.time() - leftover.stat().st_mtime > _STALE_S:
            shutil.rmtree(leftover, ignore_errors=True)


def _sibling(target: Path, kind: str) -> Path:
    return target.parent / f".{target.name}.{kind}-{uuid.uuid4().hex[:8]}"


def _swap(fresh: Path, target: Path) -> None:
    if not target.exists():
        fresh.rename(target)
        return
    old = _sibling(target, "old")
    target.rename(old)
    try:
        fresh.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _refusals(target: Path) -> Iterator[None]:
    try:
        yield
    except RasterioError as error:
        raise OutputError(f"cannot be written: {error}", where=str(target), hint=_hint(error)) from error
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        raise OutputError(what, where=error.filename or str(target), hint=_hint(error)) from error


def _hint(error: Exception) -> str:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if full or "space" in str(error).lower():
        return "free some space or use --out on another disk; earlier outputs are untouched"
    return "--out with a folder you may write to; earlier outputs are untouched"

"""Files that are written whole: a reader, and a program started after a kill, see the old one or the new one."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from changedetect.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

LEFTOVER = ".part"
"""Ending of what a killed program leaves of a file that it was writing."""


@contextmanager
def whole_file(path: str | Path, what: str = "cannot be written", hint: str = "--out elsewhere") -> Iterator[Path]:
    """Yield a path beside `path` to write to; when the block ends without an exception it becomes `path`, on disk.

    Parameters
    ----------
    what, hint : str
        How the sentence begins and ends if it cannot be written.

    Raises
    ------
    OutputError
        It cannot be written; what was there is as it was.
    """
    target = Path(path)
    fresh = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}{LEFTOVER}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield fresh
        # otherwise a power cut could leave the new name on an empty file
        with fresh.open("rb") as stream:
            os.fsync(stream.fileno())
        fresh.replace(target)
    except OSError as error:
        raise OutputError(what, where=str(target), found=error.strerror or str(error), hint=hint) from error
    finally:
        fresh.unlink(missing_ok=True)

"""A lock on an output folder: two runs never write it at once, and a killed one never blocks the next."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from changedetect.core.times import to_iso
from changedetect.errors import OutputError

_ASK_AGAIN_S = 0.1


@contextmanager
def locked(target: str | Path, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of an output folder, kept beside it as ``.<name>.lock``; wait up to `patience_s` for it.

    The operating system lets go of it when its owner ends, however that ends, so a lock is never stale; a file that
    a killed run leaves behind says who had it last, and blocks nobody.

    Raises
    ------
    OutputError
        Another run has it, or the file cannot be made.
    """
    folder = Path(target).resolve()
    path = folder.parent / f".{folder.name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = _opened(path, folder, time.monotonic() + patience_s)
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", where=str(path), hint="--out elsewhere") from error
    with stream:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _opened(path: Path, folder: Path, until: float) -> IO[str]:
    while True:
        stream = path.open("a+", encoding="utf-8")
        try:
            _take(stream, folder)
            # the one before may have removed the file after it was opened here: then another could lock a new one
            if _is_at(path, stream):
                return stream
        except OutputError:
            if time.monotonic() >= until:
                stream.close()
                raise
            time.sleep(_ASK_AGAIN_S)
        except BaseException:
            stream.close()
            raise
        stream.close()


def _is_at(path: Path, stream: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _take(stream: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.seek(0)
        raise OutputError(
            "another run is writing this folder",
            where=str(folder),
            found=_owner(stream.read()),
            hint="wait for it, or --out with another folder",
        ) from None
    stream.seek(0)
    stream.truncate()
    since = to_iso(datetime.now(UTC).replace(microsecond=0))
    stream.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
    stream.flush()


def _owner(text: str) -> str:
    try:
        told = json.loads(text)
        since = datetime.fromisoformat(told["since"])
        minutes = (datetime.now(UTC) - since).total_seconds() / 60
        return f"process {told['pid']} on {told['host']}, for {minutes:.0f} min"
    except (ValueError, KeyError, TypeError):
        return "an owner that does not say who it is"

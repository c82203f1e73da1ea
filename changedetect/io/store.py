"""A store of results by key: what was worked out once is read back, whatever happened in between.

Each result is one file whose name is its key, written under another name and renamed: a reader never sees half of
one, and a program killed at any instant leaves either the whole result or none.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from changedetect.core.plain import parse_object
from changedetect.errors import DataError, OutputError
from changedetect.io.files import hash_file
from changedetect.io.whole import LEFTOVER, whole_file

SCHEMA = 1
"""Of the store's files; another one is refused rather than guessed at."""

_INDEX = "state.json"
_RECORD = "record"


@dataclass(slots=True)
class Store:
    """Results of one AOI on disk."""

    folder: Path
    files: dict[str, list[Any]] = field(default_factory=dict)
    """Path of an input file to its size, time of change (ns) and sha256: a file that did not change is not read."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Small JSON-able things to remember, such as the digest of the last complete run."""
    used: set[str] = field(default_factory=set)
    """Names of the results asked for or kept since it was opened."""

    def hash_file(self, path: str | Path) -> str:
        """Return the sha256 of a file; read only if its size or time of change is not as remembered."""
        stat = Path(path).stat()
        key = str(Path(path).absolute())
        known = self.files.get(key)
        if known is None or known[:2] != [stat.st_size, stat.st_mtime_ns]:
            known = [stat.st_size, stat.st_mtime_ns, hash_file(path)]
            self.files[key] = known
        return str(known[2])

    def get(self, kind: str, key: str) -> tuple[Any, dict[str, NDArray[Any]]] | None:
        """Return the record and arrays kept under a key, None if there are none or they cannot be read."""
        path = self._path(kind, key)
        self.used.add(path.name)
        try:
            # opened here, as numpy leaves a damaged file open
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            record = json.loads(arrays.pop(_RECORD).tobytes().decode())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return record, arrays

    def put(self, kind: str, key: str, record: Any, arrays: Mapping[str, NDArray[Any]] | None = None) -> None:
        """Keep a JSON-able record and arrays under a key."""
        path = self._path(kind, key)
        self.used.add(path.name)
        text = np.frombuffer(json.dumps(record).encode(), np.uint8)
        buffer = io.BytesIO()
        members: dict[str, Any] = {**(arrays or {}), _RECORD: text}
        np.savez_compressed(buffer, **members)
        _write_whole(path, buffer.getvalue())

    def save(self) -> None:
        """Write what is remembered of files and notes."""
        here = {path: known for path, known in self.files.items() if Path(path).exists()}
        text = json.dumps({"schema": SCHEMA, "files": here, "notes": self.notes}, indent=0, sort_keys=True)
        _write_whole(self.folder / _INDEX, text.encode())

    def prune(self) -> int:
        """Remove results not asked for since the store was opened, and what killed runs left; return how many."""
        stale = [
            path for path in self.folder.iterdir() if path.suffix in (".npz", LEFTOVER) and path.name not in self.used
        ]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / f"{kind}-{key}.npz"


def open_store(folder: str | Path) -> Store:
    """Return the store in a folder, made if it is not there.

    Raises
    ------
    OutputError
        The folder holds a store of a later version, or cannot be made.
    """
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError("the state of batches cannot be kept", where=str(place), found=error.strerror) from error
    index = _read_index(place / _INDEX)
    if index and index.get("schema") != SCHEMA:
        raise OutputError(
            "the state of batches is of another version",
            where=str(place),
            found=f"schema {index.get('schema')}",
            needed=f"schema {SCHEMA}",
            hint="remove that folder: it holds no results, only what saves work",
        )
    return Store(place, dict(index.get("files") or {}), dict(index.get("notes") or {}))


def digest(*parts: Any) -> str:
    """Return the sha256 of JSON-able parts, hexadecimal, 32 letters: enough for a key."""
    text = json.dumps(parts, sort_keys=True, default=str, allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def digest_sources(folder: str | Path, patterns: Iterable[str] = ("*.py", "*.npz", "*.yaml")) -> str:
    """Return one digest of a program's files: results of another version of it are not these results."""
    root = Path(folder)
    files = sorted({path for pattern in patterns for path in root.rglob(pattern)})
    return digest([[path.relative_to(root).as_posix(), hash_file(path)] for path in files])


def _read_index(path: Path) -> dict[str, Any]:
    try:
        return parse_object(path.read_bytes(), str(path))
    except (OSError, DataError):
        return {}


def _write_whole(path: Path, data: bytes) -> None:
    with whole_file(path, "the state of batches cannot be kept", "free some space") as fresh:
        fresh.write_bytes(data)

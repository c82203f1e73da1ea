"""Files of an output folder, as they were written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from changedetect.core.plain import parse_object
from changedetect.errors import DataError


def read_json(path: Path, what: str = "cannot be read") -> dict[str, Any]:
    """Return the JSON object in a file; `what` begins the sentence if that fails (`DataError`)."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DataError(what, where=str(path), found=error.strerror) from None
    return parse_object(text, str(path), what)

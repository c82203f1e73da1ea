"""Plain data: text that must hold one JSON object."""

from __future__ import annotations

import json
from typing import Any

from changedetect.errors import DataError


def parse_object(text: str | bytes, where: str, what: str = "cannot be read") -> dict[str, Any]:
    """Return the JSON object in a text.

    Parameters
    ----------
    where : str
        The file it is from.
    what : str
        How the sentence begins if that fails.

    Raises
    ------
    DataError
        The text is not JSON, or holds something else than an object.
    """
    try:
        data = json.loads(text)
    except ValueError:
        raise DataError(what, where=where, found="not JSON") from None
    if not isinstance(data, dict):
        raise DataError(what, where=where, found=type(data).__name__, needed="a JSON object")
    return data

"""Post a result to an address of the user's."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from changedetect.errors import UsageError
from changedetect.io.write_json import to_plain

TIMEOUT_S, TRIES = 10.0, 2


def require_address(url: str) -> None:
    """Raise unless an address can be posted to; ask before the work."""
    if not url.lower().startswith(("http://", "https://")):
        raise UsageError("is not an address to post to", where="--webhook", found=url, needed="http:// or https://")


def post_json(url: str, told: Mapping[str, Any]) -> str | None:
    """Post data as JSON; return why that failed, None if it was taken. Never raises, never waits long."""
    data = json.dumps(to_plain(dict(told)), ensure_ascii=False).encode()
    request = Request(url, data, {"Content-Type": "application/json", "User-Agent": "changedetect"})  # noqa: S310
    reason = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(1.0)
        try:
            with urlopen(request, timeout=TIMEOUT_S):  # noqa: S310 - the scheme was checked by require_address
                return None
        except URLError as error:
            reason = str(error.reason if not hasattr(error, "code") else error)
        except (OSError, HTTPException, ValueError) as error:
            reason = str(error) or type(error).__name__
    return reason

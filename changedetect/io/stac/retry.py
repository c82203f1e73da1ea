"""Patience: what may pass is asked for again, what will not is said at once."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit, urlunsplit

from changedetect.errors import DataError, MissingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from changedetect.io.stac.params import FetchParams

T = TypeVar("T")

_LASTING = (400, 401, 403, 404, 405, 406, 410, 413, 414, 415, 422, 451, 501)
"""Answers that a second asking does not change; 403 is S3's for what is not there, too."""

BROKEN = "what came was broken"
"""How reasons begin where an answer came and its image could not be decoded."""

_UNREACHED = re.compile(
    r"resolve|Failed to connect|Couldn't connect|Connection refused|unreachable|NewConnectionError|No route", re.I
)


class Trouble(Exception):  # noqa: N818 - never leaves this package: `patiently` turns it into an error of the program
    """An answer that is none."""

    def __init__(self, reason: str, status: int | None = None, after_s: float | None = None) -> None:
        super().__init__(reason)
        # Addresses in it lose their queries, which may hold a signature.
        self.reason = re.sub(r"(\w://[^\s?]+)\?\S*", r"\1", " ".join(reason.split()))[:160]
        self.status, self.after_s = status, after_s

    @property
    def is_lasting(self) -> bool:
        """Whether asking again is in vain."""
        return self.status in _LASTING


def patiently(call: Callable[[], T], address: str, params: FetchParams) -> T:
    """Return what `call` returns, asked again with growing waits while it meets `Trouble`.

    Raises
    ------
    MissingError
        The address answers, but will never give what is asked for.
    DataError
        It gave no whole answer however often it was asked.
    """
    met: Trouble | None = None
    for attempt in range(params.tries):
        if met is not None:
            wait = max(params.wait_s * 2 ** (attempt - 1), met.after_s or 0.0)
            time.sleep(min(wait, params.max_wait_s))
        try:
            return call()
        except Trouble as trouble:
            met = trouble
            if met.is_lasting:
                break
    raise _error(met or Trouble("nothing was asked"), address, params)


def _error(met: Trouble, address: str, params: FetchParams) -> DataError:
    where = without_query(address)
    if met.is_lasting:
        needed = "a key or signature" if met.status in (401, 403) else None
        return MissingError("is not there or may not be read", where=where, found=met.reason, needed=needed)
    hint = "again later; --set fetch.tries=9 is more patient; what was fetched already is kept"
    if _UNREACHED.search(met.reason):
        hint = "the network connection and the address; scenes on this machine (`scenes: {files: ...}`) need neither"
    if met.reason.startswith(BROKEN):
        hint = "again later; an image that is broken at its provider is left out by `exclude: [ID OF ITS ITEM]`"
    asked = "once" if params.tries == 1 else f"{params.tries} times"
    return DataError("cannot be fetched", where=where, found=f"{met.reason} (asked {asked})", hint=hint)


def without_query(address: str) -> str:
    """Return an address without its query, which may hold a signature, and without user and password."""
    parts = urlsplit(address)
    if not parts.scheme:
        return address
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

"""The `scenes: {stac: ...}` block of an AOI file, and the time it asks for."""

from __future__ import annotations

import calendar
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from changedetect.core.validate import validated
from changedetect.errors import ConfigError
from changedetect.io.dates import to_utc

Span = tuple[datetime | None, datetime | None]
"""From and to, both included; None is open."""


@dataclass(frozen=True)
class StacBlock:
    """Scenes of a STAC catalogue or API."""

    stac: str
    """Address or path: an API, one collection of it (`.../collections/NAME`), a static catalogue or collection, an item
    collection, an item."""
    collections: tuple[str, ...] = ()
    """Names of collections; an API wants at least one."""
    datetime: str | None = None
    """`2023-08-25/2024-02-15`, `2024-10`, `2024-10-05/..`; both ends are included, times are UTC. `--from` and `--to`
    narrow it."""
    max_cloud: Annotated[float, Field(ge=0, le=100)] | None = None
    """Items that state more cloud (`eo:cloud_cover`, percent of the whole tile) are left out; those that state none
    stay."""
    bands: tuple[str, ...] = ()
    """Bands that are fetched, by their standard names; without it all that can be compared."""
    exclude: tuple[str, ...] = ()
    """Ids of items that are never used, such as one whose image is broken at its provider."""
    fuse: Literal["solar_day", "overpass", "none"] = "solar_day"
    """What becomes one scene: tiles and swaths of one sensor on one day of local solar time, those within ten minutes,
    or none."""
    sign: Literal["auto", "planetary-computer", "none"] = "auto"
    """Whether addresses are signed: auto signs those in the storage of the Planetary Computer."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent to the address's own host, with `${NAME}` taken from the environment: keep keys out of the file."""
    limit: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """Most items taken; more is an error, so that a slip does not fetch a continent."""


def read_block(plain: Any, where: str) -> StacBlock:
    """Return a `{stac: ...}` block, checked strictly.

    Raises
    ------
    ConfigError
        Unknown key, wrong type or value, a time that is none, a variable that is not set.
    """
    block = validated(StacBlock, plain, where)
    read_span(block.datetime, where)
    expanded_headers(block, where)
    return block


def read_span(text: str | None, where: str) -> Span:
    """Return the first and last moment an interval (or a moment, day, month, year) stands for.

    Raises
    ------
    ConfigError
        It is none, or ends before it begins.
    """
    if text is None:
        return None, None
    first, slash, last = text.partition("/")
    if "/" in last:
        raise ConfigError("is not an interval", where=f"{where}: datetime", found=text, needed="FROM/TO")
    start, end = _bounds(first, where)[0], _bounds(last if slash else first, where)[1]
    if start and end and start > end:
        raise ConfigError("ends before it begins", where=f"{where}: datetime", found=text)
    return start, end


def _bounds(text: str, where: str) -> Span:
    text = text.strip()
    if text in ("", ".."):
        return None, None
    if match := re.fullmatch(r"(\d{4})(?:-(\d{2}))?", text):
        year, month = int(match[1]), int(match[2] or 0)
        if year < 1 or month > 12:
            raise ConfigError("is not a time", where=f"{where}: datetime", found=text)
        first = datetime(year, month or 1, 1, tzinfo=UTC)
        return first, _end_of_day(year, month or 12, calendar.monthrange(year, month or 12)[1])
    moment = to_utc(text, f"{where}: datetime")
    if re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", text):
        return moment, _end_of_day(moment.year, moment.month, moment.day)
    return moment, moment


def _end_of_day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 23, 59, 59, 999999, tzinfo=UTC)


def narrowed(span: Span, start: datetime | None, end: datetime | None) -> Span:
    """Return the part of a span within two further bounds."""
    starts = [moment for moment in (span[0], start) if moment]
    ends = [moment for moment in (span[1], end) if moment]
    return max(starts, default=None), min(ends, default=None)


def expanded_headers(block: StacBlock, where: str) -> dict[str, str]:
    """Return the headers with `${NAME}` taken from the environment.

    Raises
    ------
    ConfigError
        A variable is not set, or a header would break the request.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigError("the environment lacks a variable", where=f"{where}: headers", found=match[1],
                              hint=f"export {match[1]}=...")  # fmt: skip
        return os.environ[match[1]]

    told = {key: re.sub(r"\$\{(\w+)\}", value, text) for key, text in block.headers.items()}
    if any(re.search(r'[\r\n"]', key + text) for key, text in told.items()):
        raise ConfigError("a header is one line without quotation marks", where=f"{where}: headers")
    return told

"""Acquisition dates: from what a user wrote, from tags, and from names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from changedetect.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
FIRST_YEAR, LAST_YEAR = 1930, 2100

_TIME = r"(?P<h>[01]\d|2[0-3])[-:_]?(?P<mi>[0-5]\d)(?:[-:_]?(?P<s>[0-5]\d))?(?:[.]\d{1,9})?"
_ZONE = r"(?P<zone>Z|[+-]\d{2}:?\d{2})?"

_ISO = re.compile(
    r"^\s*(?P<y>\d{4})-?(?P<m>\d{2})-?(?P<d>\d{2})(?:[T ]" + _TIME + r"\s*" + _ZONE + r")?\s*$", re.IGNORECASE
)

_IN_NAME = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<!\d)(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})[T_-]?" + _TIME.replace("[-:_]?", "") + r"(?!\d)",
        r"(?<!\d)(?P<y>\d{4})[-_.](?P<m>\d{2})[-_.](?P<d>\d{2})[T _-]" + _TIME + r"(?!\d)",
        r"(?<![A-Z0-9])(?P<yy>\d{2})(?P<mon>[A-Z]{3})(?P<d>\d{2})(?P<h>\d{2})(?P<mi>\d{2})(?P<s>\d{2})(?!\d)",
        r"(?<!\d)(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?!\d)",
        r"(?<!\d)(?P<y>\d{4})[-_.](?P<m>\d{2})[-_.](?P<d>\d{2})(?!\d)",
        r"(?<![A-Z0-9])(?P<d>\d{2})[-_ ]?(?P<mon>[A-Z]{3})[-_ ]?(?P<y>\d{4})(?!\d)",
        r"(?<!\d)(?P<y>\d{4})[-_ ]?(?P<mon>[A-Z]{3})[-_ ]?(?P<d>\d{2})(?!\d)",
        r"(?<!\d)(?P<y>(?:19|20)\d{2})(?P<doy>[0-3]\d{2})(?!\d)",
        r"(?<!\d)(?P<y>(?:19|20)\d{2})[-_.](?P<m>\d{2})(?!\d)",
        r"(?<!\d)(?P<y>(?:19|20)\d{2})(?!\d)",
    )
)


@dataclass(frozen=True, slots=True)
class Found:
    """A time and how finely it was given."""

    when: datetime
    """UTC."""
    precision: str = "time"
    """time, day, month or year."""


def to_utc(value: Any, where: str) -> datetime:
    """Return what a user gave as `datetime:` in UTC.

    A date alone is taken as the start of that day. A time without a zone is refused: it could be local time.

    Raises
    ------
    ConfigError
        Not a time, or a time without a zone.
    """
    if isinstance(value, datetime):
        return _aware(value, value.tzinfo is not None, where, str(value))
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    match = _ISO.match(value) if isinstance(value, str) and len(value) < 64 else None
    found = _from_match(match) if match else None
    if match is None or found is None:
        raise ConfigError(
            "datetime is not an ISO 8601 time",
            where=where,
            found=repr(value)[:80],
            needed="such as 2024-09-12T02:20:00Z",
        )
    if match["h"] is None:
        return found.when
    return _aware(found.when - _zone(match["zone"]), match["zone"] is not None, where, value)


def _aware(when: datetime, has_zone: bool, where: str, text: str) -> datetime:
    if not has_zone:
        raise ConfigError("datetime has no time zone", where=where, found=text, hint="add Z if it is UTC")
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _zone(text: str | None) -> timedelta:
    if text is None or text.upper() == "Z":
        return timedelta(0)
    sign = -1 if text[0] == "-" else 1
    return sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))


def parse_time(text: str) -> Found | None:
    """Return a machine-written time (a tag, a sidecar), taken as UTC where it names no zone; None if it is none."""
    text = text.strip().strip("\"';")
    plain = re.sub(r"^(\d{4}):(\d{2}):(\d{2})", r"\1-\2-\3", text)[:64]
    match = _ISO.match(plain)
    if not match:
        return None
    found = _from_match(match)
    if found and match["h"] is not None:
        return Found(found.when - _zone(match["zone"]), "time")
    return found


def date_in_name(text: str) -> Found | None:
    """Return the finest date in a file or folder name, the first if several; None if there is none.

    Names of known products are better read by their sensor profile.
    """
    for pattern in _IN_NAME:
        for match in pattern.finditer(text[-400:]):
            if found := _from_match(match):
                return found
    return None


def _from_match(match: re.Match[str]) -> Found | None:
    part: Mapping[str, str | None] = match.groupdict()
    year = int(part.get("y") or 0) or 2000 + int(part.get("yy") or 0)
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    month_name = part.get("mon")
    if month_name and month_name.upper() not in MONTHS:
        return None
    month = MONTHS.index(month_name.upper()) + 1 if month_name else int(part.get("m") or 1)
    hour, minute, second = (int(part.get(key) or 0) for key in ("h", "mi", "s"))
    try:
        when = datetime(year, month, int(part.get("d") or 1), hour, minute, second, tzinfo=UTC)
        if doy := part.get("doy"):
            when = datetime.strptime(f"{year} {doy}", "%Y %j").replace(tzinfo=UTC)
    except ValueError:
        return None
    if part.get("h"):
        return Found(when, "time")
    if part.get("d") or part.get("doy"):
        return Found(when, "day")
    return Found(when, "month" if part.get("m") else "year")


def parse_stamp(text: str) -> Found | None:
    """Return the time a product name's date part says: 8, 12 or more digits, year and day of year, or 12SEP07...."""
    if found := date_in_name(text):
        return found
    digits = re.sub(r"\D", "", text)
    if len(digits) > 14:
        digits = digits[:14]
    return date_in_name(digits)

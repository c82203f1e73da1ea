"""Times as text: ISO 8601 in UTC, the only form that is written or shown."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any


def to_iso(time: Any) -> str | None:
    """Return a datetime as ISO 8601 in UTC with ``Z``, None for a missing one; naive times are UTC."""
    if time is None:
        return None
    moment = time if type(time) is datetime else _of_pandas(time)
    if moment is None:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat() + "Z"


def _of_pandas(time: Any) -> datetime | None:
    import pandas as pd  # slow to import, and no part of most times

    moment: datetime | None = None if pd.isna(time) else pd.Timestamp(time).to_pydatetime(warn=False)
    return moment


def from_iso(text: str | None) -> datetime | None:
    """Return ISO 8601 text as an aware UTC datetime, None for None or empty; naive text is UTC.

    Raises
    ------
    ValueError
        The text is not ISO 8601.
    """
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def to_stem(time: datetime) -> str:
    """Return a time as it goes into file names, for example ``2024-10-05T022000Z``."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H%M%SZ")


def solar_day(time: datetime, longitude_deg: float) -> date:
    """Return the calendar day by the mean sun at a longitude: the local day, whatever the clocks say there.

    Two looks of one morning have one, even where it is midnight in UTC between them.
    """
    return (time.astimezone(UTC) + timedelta(hours=longitude_deg / 15.0)).date()

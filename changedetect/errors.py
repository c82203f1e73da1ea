"""Every error of the program, on one page.

Each says what is wrong, where, what was found, what is needed and what to try, in one sentence a user can act on.
"""

from __future__ import annotations

from typing import Any


class ChangeDetectError(Exception):
    """Root of all expected errors; anything else that escapes is a bug.

    Parameters
    ----------
    what : str
        What is wrong, in words.
    where : str, optional
        File, key or scene.
    found, needed : optional
        The value met and the value (or set of values) that would do.
    hint : str, optional
        What to try.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", found: Any = None, needed: Any = None, hint: str = "") -> None:
        self.details: dict[str, Any] = {
            "what": what,
            "where": where,
            "found": found,
            "needed": needed,
            "hint": hint,
        }
        super().__init__(what)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), dict(self.details)))

    def __str__(self) -> str:
        details = self.details
        text = f"{details['where']}: {details['what']}" if details["where"] else str(details["what"])
        if details["found"] is not None:
            text += f"; found {details['found']}"
        if details["needed"] is not None:
            text += f"; needed {details['needed']}"
        if details["hint"]:
            text += f"; try: {details['hint']}"
        return " ".join(text.split())


def _rebuild(kind: type[ChangeDetectError], details: dict[str, Any]) -> ChangeDetectError:
    what = details.pop("what")
    return kind(what, **details)


class UsageError(ChangeDetectError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = 2


class ConfigError(ChangeDetectError):
    """An AOI file, preset, sensor table or setting is wrong."""

    exit_code = 2


class NotYetError(UsageError):
    """Part of the contract that this version does not have yet."""


class DataError(ChangeDetectError):
    """Input data cannot be used."""

    exit_code = 3


class MissingError(DataError):
    """An address on the network that answers, but does not give what is asked for and never will."""


class GridError(DataError):
    """Grids that do not align, or rasters that cannot be placed on one."""


class RegistrationError(DataError):
    """No scene could be registered."""


class OutputError(ChangeDetectError):
    """Outputs cannot be written."""

    exit_code = 3


class NothingToDoError(ChangeDetectError):
    """No scene covers the area, or nothing of it is clear."""

    exit_code = 4

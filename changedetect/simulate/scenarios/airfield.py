"""Not there yet."""

from __future__ import annotations

from typing import NoReturn

from changedetect.errors import NotYetError


def build_plan(*_: object) -> NoReturn:
    """Raise: this scenario is not written yet."""
    raise NotYetError("this scenario is not there yet", needed="training-ground")

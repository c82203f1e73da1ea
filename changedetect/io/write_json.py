"""Strict JSON: finite numbers only, plain types only, the same bytes for the same data."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from changedetect.core.times import to_iso
from changedetect.errors import OutputError


def to_plain(value: Any) -> Any:
    """Return `value` as what JSON knows: numbers not finite and missing values are None, times are ISO 8601 in UTC.

    Raises
    ------
    OutputError
        A value of a type that has no plain form.
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas' own, which is slow to import
        return None
    if isinstance(value, Enum):
        return to_plain(value.value)
    if isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return to_plain(value.item())
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(to_plain(item) for item in value)
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise OutputError("a value has no plain form for JSON", found=type(value).__name__)


def write_json(path: Path, data: Any) -> None:
    """Write `data` as indented UTF-8 JSON in the order of its keys."""
    text = json.dumps(to_plain(data), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def rounded(value: Any, decimals: int) -> float | None:
    """Return a number rounded to `decimals`, None where missing or not finite; zero has no sign."""
    if to_plain(value) is None:
        return None
    return round(float(value), decimals) + 0.0

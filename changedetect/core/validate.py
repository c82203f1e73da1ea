"""Strict validation of plain data into dataclasses, with errors that name file, key and what is allowed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import json
import math
import types
import typing
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from changedetect.errors import ConfigError

T = TypeVar("T")


def validated(kind: type[T], data: Any, where: str) -> T:
    """Return `data` (mappings, lists, scalars) as an instance of the dataclass `kind`.

    Raises
    ------
    ConfigError
        Unknown key (naming the allowed ones), wrong type or value out of range; `where` names file and key.
    """
    _refuse_unknown_keys(kind, data, where)
    try:
        result: T = _adapter(cast("Any", kind)).validate_json(_to_json(data, where), strict=True)
    except ValidationError as error:
        raise _as_config_error(error, where) from None
    return result


@lru_cache(maxsize=256)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _to_json(data: Any, where: str) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, dt.date):
            return value.isoformat()
        raise ConfigError("is not plain data", where=where, found=type(value).__name__)

    try:
        return json.dumps(data, default=plain, allow_nan=False)
    except ValueError:
        raise ConfigError("numbers must be finite", where=where, found=_first_not_finite(data)) from None
    except TypeError:
        raise ConfigError("keys must be text", where=where, found=type(data).__name__) from None


def _first_not_finite(data: Any) -> Any:
    if isinstance(data, float) and not math.isfinite(data):
        return data
    items = data.values() if isinstance(data, dict) else data if isinstance(data, (list, tuple)) else ()
    return next((found for found in map(_first_not_finite, items) if found is not None), None)


def _refuse_unknown_keys(kind: Any, data: Any, where: str) -> None:
    if not isinstance(data, dict):
        raise ConfigError("must be a mapping of keys to values", where=where, found=_shown(data))
    hints = typing.get_type_hints(kind)
    allowed = {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}
    for key, value in data.items():
        if key not in allowed:
            close = difflib.get_close_matches(str(key), allowed, n=1)
            hint = f"{close[0]}" if close else ""
            raise ConfigError(
                f"unknown key {key!r}",
                where=where,
                needed=f"one of {', '.join(sorted(allowed)) or '(none)'}",
                hint=hint,
            )
        nested = _dataclass_of(allowed[key])
        if nested is not None and isinstance(value, dict):
            _refuse_unknown_keys(nested, value, f"{where}: {key}")


def _dataclass_of(hint: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return hint
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next((arg for arg in typing.get_args(hint) if dataclasses.is_dataclass(arg)), None)
    return None


def _as_config_error(error: ValidationError, where: str) -> ConfigError:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"] if not str(part).startswith("function-"))
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    place = f"{where}: {key}" if key else where
    if first["type"] == "missing":
        return ConfigError(f"the key {key!r} is missing", where=where)
    return ConfigError("has a wrong value", where=place, found=_shown(first["input"]), needed=message)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."

"""The fields of a dataclass or model as a page needs them: type, default, bounds, unit and the words beside them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import json
import textwrap
import types
import typing
from dataclasses import dataclass
from typing import Any

UNITS = {
    "_km2": "km²",
    "_m2": "m²",
    "_m": "m",
    "_px": "px",
    "_deg": "°",
    "_sigma": "sigma",
    "_days": "days",
    "_hours": "hours",
    "_mb": "MB",
    "_mrad": "mrad",
}
"""What the end of a name says; names of densities end in the unit they are divided by."""

_PLAIN = {float: "number", int: "whole number", str: "text", bool: "true or false", dict: "mapping", Any: "anything"}
_BOUNDS = (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than"))


@dataclass(frozen=True)
class Entry:
    """One key of a file, or one setting."""

    key: str
    kind: str
    default: Any
    required: bool
    words: str
    nested: Any = None
    """The class that describes what is below the key, if one does."""

    @property
    def unit(self) -> str:
        """The unit that the name states, or nothing."""
        if "_per_" in self.key or "density" in self.key:
            return ""
        return next((unit for end, unit in UNITS.items() if self.key.endswith(end)), "")


def entries(kind: Any) -> list[Entry]:
    """Return the fields of a dataclass or of a pydantic model, in order."""
    words = docstrings(kind)
    hints = typing.get_type_hints(kind, include_extras=True)
    if dataclasses.is_dataclass(kind):
        fields = [(field.name, *_default(field)) for field in dataclasses.fields(kind)]
    else:
        fields = [(name, info.default, info.is_required()) for name, info in kind.model_fields.items()]
    return [
        Entry(name, in_words(hints[name]), default, required, words.get(name, ""), _nested(hints[name]))
        for name, default, required in fields
    ]


def docstrings(kind: Any) -> dict[str, str]:
    """Return the text below each field of a class, on one line."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body  # type: ignore[attr-defined]
    found = {}
    for field, below in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[field.target.id] = " ".join(str(below.value.value).split())  # type: ignore[union-attr]
    return found


def in_words(hint: Any) -> str:
    """Return a type as a user would say it, with its bounds."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return " ".join(filter(None, (in_words(args[0]), _bounds(args[1:]))))
    if origin is typing.Literal:
        return "one of " + ", ".join(f"`{value}`" for value in args)
    if origin in (typing.Union, types.UnionType):
        parts = list(dict.fromkeys(in_words(arg) for arg in args if arg is not type(None)))
        return " or ".join([*parts, *(["`null`"] if type(None) in args else [])])
    if origin is tuple:
        return f"list of {in_words(args[0])}" if args[-1] is ... else f"{len(args)} values, each a {in_words(args[0])}"
    if origin is dict:
        return "mapping"
    return "block" if _nested(hint) else getattr(hint, "__name__", str(hint))


def shown(value: Any) -> str:
    """Return a value as YAML takes it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return "{...}"
    return json.dumps(value, ensure_ascii=False, default=str)


def escaped(text: str) -> str:
    """Return words from the code as Markdown that shows them as they are; `code` stays code."""
    parts = " ".join(text.split()).split("`")
    for i in range(0, len(parts), 2):
        for char in "<*_|":
            parts[i] = parts[i].replace(char, "&lt;" if char == "<" else f"\\{char}")
    return "`".join(parts)


def _default(field: Any) -> tuple[Any, bool]:
    if field.default is not dataclasses.MISSING:
        return field.default, False
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory(), False
    return None, True


def _bounds(notes: tuple[Any, ...]) -> str:
    found: dict[str, Any] = {}
    for note in notes:
        for limit in getattr(note, "metadata", [note]):
            found |= {name: getattr(limit, name) for name, _ in _BOUNDS if hasattr(limit, name)}
    return " and ".join(f"{says} {found[name]:.12g}" for name, says in _BOUNDS if name in found)


def _nested(hint: Any) -> Any:
    if dataclasses.is_dataclass(hint) or hasattr(hint, "model_fields"):
        return hint
    return next((found for part in typing.get_args(hint) if (found := _nested(part)) is not None), None)

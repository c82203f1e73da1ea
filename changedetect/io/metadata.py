"""Metadata files as makers write them: XML, JSON and KEY = VALUE text, read with bounds and without surprises."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as SafeTree

from changedetect.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

LARGEST_BYTES = 20_000_000
"""Metadata longer than this is none: the longest seen (Pleiades with histograms) has a hundredth of it."""

_DEEPEST = 32


def read_text(path: str | Path) -> str:
    """Return a metadata file's text; empty if it is missing, cannot be read, or is far too long for metadata."""
    file = Path(path)
    try:
        if not file.is_file() or file.stat().st_size > LARGEST_BYTES:
            return ""
        return file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Xml:
    """An XML document or a part of it; elements are found by local name, whatever their namespace."""

    root: Element

    def all(self, name: str) -> Iterator[Xml]:
        """Yield the parts with a local name, in document order; the root itself may be the first."""
        for element in self.root.iter():
            if _local(element) == name:
                yield Xml(element)

    def first(self, *names: str) -> Xml | None:
        """Return the first part with the first of the names that occurs."""
        return next((part for name in names for part in self.all(name)), None)

    def text(self, *names: str) -> str | None:
        """Return the trimmed text of the first part with the first of the names that has one."""
        return next((part.own for name in names for part in self.all(name) if part.own), None)

    def number(self, *names: str) -> float | None:
        """Return the same as a number; None if there is none."""
        return to_number(self.text(*names))

    @property
    def own(self) -> str:
        """The element's own text, trimmed."""
        return (self.root.text or "").strip()

    def attribute(self, name: str) -> str | None:
        """Return an attribute of the element itself."""
        return self.root.get(name)

    @property
    def name(self) -> str:
        """The element's local name."""
        return _local(self.root)


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def find_xml(path: str | Path) -> Xml | None:
    """Return an XML file's content; None if there is none. Entities and references to elsewhere are refused."""
    text = read_text(path)
    if not text:
        return None
    try:
        root = SafeTree.fromstring(re.sub(r"^\s*<\?xml[^>]{0,200}\?>", "", text))
    except (SafeTree.ParseError, DefusedXmlException, ValueError, RecursionError):
        return None
    return Xml(root)


def need_xml(path: str | Path) -> Xml:
    """Return an XML file's content.

    Raises
    ------
    DataError
        It is missing or not XML.
    """
    found = find_xml(path)
    if found is None:
        raise DataError("the product's metadata cannot be read as XML", where=str(path), hint="deliver it again, whole")
    return found


def find_json(path: str | Path) -> dict[str, Any]:
    """Return a JSON file's object; empty if it holds none."""
    text = read_text(path)
    try:
        plain = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return {}
    return plain if isinstance(plain, dict) else {}


Pairs = dict[tuple[str, str], str]
"""(group, key) in upper case to text, of KEY = VALUE files (IMD, TIL, MTL); outside any group the group is empty."""


def find_pairs(path: str | Path) -> Pairs:
    """Return the pairs of a KEY = VALUE file in nested GROUPs, first ones winning; lists in brackets are left out."""
    groups: list[str] = []
    pairs: Pairs = {}
    for line in read_text(path).splitlines():
        key, sign, value = line.partition("=")
        key, value = key.strip().upper(), value.strip().rstrip(";").strip().strip('"')
        if not sign or not key or len(key) > 80:
            continue
        if key in ("BEGIN_GROUP", "GROUP"):
            groups = [*groups, value.upper()][:_DEEPEST]
        elif key == "END_GROUP":
            groups = groups[:-1]
        else:
            pairs.setdefault((groups[-1] if groups else "", key), value)
    return pairs


def in_pairs(pairs: Pairs, *keys: str, group: str | None = None) -> str | None:
    """Return the first value of the first of the keys that occurs, in one group or in any."""
    for key in keys:
        for (where, name), value in pairs.items():
            if name == key.upper() and value and (group is None or where == group.upper()):
                return value
    return None


def to_number(value: Any) -> float | None:
    """Return text or a number as a finite float; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def to_angle(value: Any) -> float | None:
    """Return text or a number as an angle in degrees; None if it is none."""
    number = to_number(value)
    return number if number is not None and -360.0 <= number <= 360.0 else None

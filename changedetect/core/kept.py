"""Things that several workers need, each made by whoever needs it first."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """What `make` makes of keys: made once, by the first who asks, while others who ask wait; only the latest are kept.

    A copy in another process keeps its own.
    """

    def __init__(self, make: Callable[[K], V], keep: int) -> None:
        self._make, self._keep = make, keep
        self._lock = Lock()
        self._slots: dict[K, _Slot] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Kept, (self._make, self._keep)

    def of(self, key: K) -> V:
        """Return what is made of a key."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            while len(self._slots) > self._keep:
                del self._slots[next(iter(self._slots))]
        with slot.lock:
            if not slot.made:
                slot.made.append(self._make(key))
            made: V = slot.made[0]
            return made

    def at_hand(self, key: K) -> V | None:
        """Return the same if it is kept or being made, else None: nothing is made here."""
        slot = self._slots.get(key)
        if slot is None:
            return None
        with slot.lock:
            return slot.made[0] if slot.made else None


@dataclass(slots=True)
class _Slot:
    lock: Any = field(default_factory=Lock)
    made: list[Any] = field(default_factory=list)
    """Nothing, or the thing."""

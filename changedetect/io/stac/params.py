"""Settings of fetching: how patiently, how much at once, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True, slots=True)
class FetchParams:
    """How imagery and catalogues are fetched from the network (`scenes: {stac: ...}`)."""

    margin_m: Annotated[float, Field(ge=0, le=5000)] = 250.0
    """Ground fetched beyond the AOI: the grid's halo (30), a shift of 100 to be measured, clouds that are grown by 100
    into the picture. More where products may be off by more."""
    tries: Annotated[int, Field(ge=1, le=20)] = 5
    """How often an address is asked before the run gives up: servers that are busy (429, 503), slow, or break off."""
    wait_s: Annotated[float, Field(ge=0, le=60)] = 1.0
    """Wait before the second try; it doubles with each further one; a catalogue's own Retry-After is kept to."""
    max_wait_s: Annotated[float, Field(ge=0, le=600)] = 60.0
    """Longest wait between two tries, whatever the server asks for."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    """An answer that stands still for so long is broken off and asked for again."""
    connections: Annotated[int, Field(ge=1, le=32)] = 8
    """Windows fetched at once: nearly all the time is waiting; more than 8 gets one refused by some providers."""
    cache_gb: Annotated[float, Field(ge=0, le=100_000)] = 10.0
    """Bound of what is kept for the next run, 1e9 bytes; what was not used for the longest goes first. 0 keeps nothing.
    """
    cache_dir: str | None = None
    """Where it is kept; None: $CHANGEDETECT_CACHE, else changedetect in $XDG_CACHE_HOME or ~/.cache."""

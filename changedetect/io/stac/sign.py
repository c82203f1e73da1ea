"""Addresses as they are asked for: signed where their storage wants it, and as GDAL calls them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from changedetect.io.dates import parse_time
from changedetect.io.stac.retry import Trouble, patiently

if TYPE_CHECKING:
    from changedetect.io.stac.params import FetchParams

_PLANETARY_SAS = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
_BLOBS = ".blob.core.windows.net"
_OPEN_BLOBS = "ai4edatasetspublicassets"
_RENEW_S = 120.0
"""A token is renewed so long before it ends: a window must be read whole with it."""

BUCKETS = {"s3": "/vsis3/", "gs": "/vsigs/"}
"""Schemes of object stores and what GDAL calls them; their keys are those of GDAL's own environment variables."""


@dataclass(slots=True)
class Signer:
    """Signs addresses in the storage of the Planetary Computer by its tokens, one per account and container.

    The package `planetary-computer` does it where it is installed, with the subscription key it was given; else the
    service is asked for a token itself, as anybody may. `PC_SDK_SAS_URL` says where, as for that package.
    """

    mode: str
    params: FetchParams
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    _lock: Any = field(default_factory=Lock)

    def sign(self, address: str) -> str:
        """Return the address to ask for now; signed anew when the token is about to end."""
        if self.mode == "none" or not self._is_planetary(address):
            return address
        signed = _sign_by_package(address)
        if signed is not None:
            return signed
        parts = urlsplit(address)
        place = f"{parts.netloc.split('.')[0]}/{parts.path.lstrip('/').split('/')[0]}"
        with self._lock:
            token, ends = self._tokens.get(place, ("", 0.0))
            if time.time() > ends - _RENEW_S:
                token, ends = patiently(lambda: _ask_token(place, self.params), _token_address(place), self.params)
                self._tokens[place] = token, ends
        return f"{address}{'&' if parts.query else '?'}{token}"

    def _is_planetary(self, address: str) -> bool:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or "sig=" in parts.query:
            return False
        if self.mode == "planetary-computer":
            return True
        return parts.netloc.endswith(_BLOBS) and not parts.netloc.startswith(_OPEN_BLOBS)


def _token_address(place: str) -> str:
    return f"{os.environ.get('PC_SDK_SAS_URL', _PLANETARY_SAS).rstrip('/')}/{place}"


def _sign_by_package(address: str) -> str | None:
    """Return the address signed by the package planetary-computer, None where it is not installed."""
    try:
        import planetary_computer
    except ImportError:
        return None
    return str(planetary_computer.sign(address))


def _ask_token(place: str, params: FetchParams) -> tuple[str, float]:
    """Return a token and the time at which it ends (seconds since 1970)."""
    import requests

    try:
        answer = requests.get(_token_address(place), timeout=params.timeout_s)
    except requests.RequestException as error:
        raise Trouble(str(error)) from error
    if answer.status_code != 200:
        raise Trouble(f"HTTP {answer.status_code}", answer.status_code)
    try:
        told = answer.json()
        token, ends = str(told["token"]), parse_time(str(told["msft:expiry"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Trouble("its answer is no token") from error
    return token, (ends.when if ends else datetime.now(UTC)).timestamp()


def gdal_name(address: str) -> str:
    """Return what GDAL calls an address on the network."""
    scheme, _, rest = address.partition("://")
    if scheme in BUCKETS:
        return BUCKETS[scheme] + rest
    return f"/vsicurl/{address}"

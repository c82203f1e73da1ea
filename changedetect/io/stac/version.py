"""Which version of an image lies at an address, without its pixels: by the catalogue, else by the server."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from changedetect.io.stac.retry import Trouble, patiently

if TYPE_CHECKING:
    import pystac

    from changedetect.io.stac.params import FetchParams

_BY_ASSET = ("file:checksum", "checksum:multihash", "updated", "created")
_BY_ITEM = ("updated", "created", "s2:generation_time")


def version_of(item: pystac.Item, asset: pystac.Asset) -> str:
    """Return what a catalogue says of an asset's version: its checksum, else when it or its item was last changed."""
    for source, names in ((asset.extra_fields, _BY_ASSET), (item.properties, _BY_ITEM)):
        for name in names:
            if source.get(name):
                return f"{name}={source[name]}"
    return ""


def version_of_address(address: str, headers: dict[str, str], params: FetchParams) -> str:
    """Return what a server says of the version of a file: its ETag and time of change.

    Where it says nothing, a text that never comes again: what may have changed unseen is fetched anew.
    """
    if not address.startswith(("http://", "https://")):
        return uuid.uuid4().hex
    import requests

    def attempt() -> str:
        try:
            answer = requests.head(address, headers=headers, timeout=params.timeout_s, allow_redirects=True)
        except requests.RequestException as error:
            raise Trouble(str(error)) from error
        if answer.status_code in (429, 500, 502, 503, 504):
            raise Trouble(f"HTTP {answer.status_code}", answer.status_code)
        told = (answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
        return " ".join(text for text in told if text) if answer.ok else ""

    return patiently(attempt, address, params) or uuid.uuid4().hex

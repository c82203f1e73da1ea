"""Ask: the items of a catalogue file, an item collection, an item or an API that show an area in a span of time."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pystac
from pystac.utils import make_absolute_href
from pystac_client import Client
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from shapely.geometry import box, mapping, shape

from changedetect.errors import ConfigError, DataError
from changedetect.io.dates import parse_time
from changedetect.io.metadata import to_number
from changedetect.io.stac.block import StacBlock, expanded_headers
from changedetect.io.stac.retry import Trouble, patiently, without_query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shapely.geometry.base import BaseGeometry

    from changedetect.io.stac.block import Span
    from changedetect.io.stac.params import FetchParams

_PAGE = 100
_NOT_STAC = (pystac.errors.STACError, pystac.errors.STACTypeError)
_DEEPEST = 12


@dataclass(frozen=True, slots=True)
class Question:
    """Which items are wanted."""

    block: StacBlock
    area: BaseGeometry
    """WGS 84."""
    span: Span
    where: str = "scenes"
    """How errors call the block."""


class Reader(StacApiIO):
    """Reads JSON from the network or this machine, patiently; headers go to one host alone."""

    def __init__(self, address: str, headers: dict[str, str], params: FetchParams) -> None:
        super().__init__(timeout=params.timeout_s, max_retries=None)
        self.host, self.own_headers, self.params = urlsplit(address).netloc, headers, params
        self.after_s: float | None = None
        self.session.hooks["response"].append(self.keep_wait)

    def keep_wait(self, answer: Any, **_: Any) -> None:
        """Remember how long the server asks to wait before the next try."""
        self.after_s = to_number(answer.headers.get("Retry-After"))

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Return the answer of an address, as text that is whole JSON."""
        told = {**(headers or {}), **(self.own_headers if urlsplit(href).netloc == self.host else {})}

        def attempt() -> str:
            try:
                text = super(Reader, self).request(href, method, told or None, parameters)
            except APIError as error:
                status = getattr(error, "status_code", None)
                words = f"HTTP {status}: {error}" if status else str(error)
                raise Trouble(words, status, self.after_s if status else None) from error
            try:
                json.loads(text)
            except ValueError as error:
                raise Trouble("what came is not JSON, or not whole") from error
            return text

        return patiently(attempt, href, self.params)

    def plain(self, href: str) -> dict[str, Any]:
        """Return the JSON object of an address or file.

        Raises
        ------
        DataError
            There is none.
        """
        if "://" in href:
            found = json.loads(self.request(href))
        else:
            try:
                found = json.loads(Path(href).read_text(encoding="utf-8-sig"))
            except OSError as error:
                raise DataError("cannot be read", where=href, found=error.strerror) from error
            except ValueError as error:
                raise DataError("is not JSON", where=href, found=str(error)[:80]) from error
        if not isinstance(found, dict):
            raise DataError("is not STAC", where=without_query(href), found=type(found).__name__)
        return found


def find_items(question: Question, base_dir: Path, params: FetchParams) -> list[pystac.Item]:
    """Return the items that show the area in the span, whatever their clouds, in no particular order.

    Raises
    ------
    ConfigError
        An API is asked without collections, or for one it does not have.
    DataError
        The address gives no answer, or no STAC.
    """
    block = question.block
    address = block.stac if "://" in block.stac else str(base_dir / Path(block.stac).expanduser())
    reader = Reader(address, expanded_headers(block, question.where), params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of conformance and links, which say nothing to a user
        plain = reader.plain(address)
        items = list(_items_of(plain, address, reader, question))
    chosen = {(item.collection_id, item.id): item for item in items if _is_wanted(item, question)}
    return list(chosen.values())


def _items_of(plain: dict[str, Any], address: str, reader: Reader, question: Question) -> Iterator[pystac.Item]:
    kind = plain.get("type")
    if kind == "FeatureCollection":
        features = plain.get("features")
        yield from (_to_item(one, address, True) for one in (features if isinstance(features, list) else []))
    elif kind == "Feature":
        yield _to_item(plain, address)
    elif root := _api_root(plain, address):
        yield from _search(root, reader, _with_collection(question, plain))
    elif kind in ("Catalog", "Collection") or "links" in plain:
        found = _Crawl(reader, question)
        yield from found.below(plain, address, 0)
    else:
        raise DataError("is not STAC", where=without_query(address), found=f"type {kind!r}",
                        needed="a catalogue, a collection, an item collection, an item or an API")  # fmt: skip


def _to_item(plain: Any, address: str, is_one_of_many: bool = False) -> pystac.Item:
    """Return an item with the addresses of its assets made whole.

    They are relative to where the item was read, whatever address it had when it was written; an item among others
    in one answer lies where its own link says.
    """
    try:
        links = plain.get("links") or []
        own = next((link["href"] for link in links if link.get("rel") == "self"), None) if is_one_of_many else None
        href = make_absolute_href(own, address) if isinstance(own, str) else address
        item = pystac.Item.from_dict(plain, href=href, migrate=True)
        for asset in item.assets.values():
            asset.href = make_absolute_href(asset.href, href)
    except (*_NOT_STAC, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError("is not a STAC item that can be read", where=without_query(address),
                        found=f"{type(error).__name__}: {error}"[:120]) from error  # fmt: skip
    return item


def _api_root(plain: dict[str, Any], address: str) -> str | None:
    """Return the address of the API that an answer belongs to; None if it is a static catalogue's."""
    links = [link for link in plain.get("links") or [] if isinstance(link, dict)]
    if any(link.get("rel") == "search" for link in links):
        return address
    if plain.get("type") == "Collection" and "/collections/" in address and "://" in address:
        return address.partition("/collections/")[0] + "/"
    return None


def _with_collection(question: Question, plain: dict[str, Any]) -> Question:
    if plain.get("type") != "Collection":
        return question
    block = question.block
    told = {name: getattr(block, name) for name in block.__dataclass_fields__}
    return Question(StacBlock(**told | {"collections": (str(plain.get("id")),)}), question.area, question.span,
                    question.where)  # fmt: skip


def _search(root: str, reader: Reader, question: Question) -> Iterator[pystac.Item]:
    block = question.block
    client = Client.open(root, stac_io=reader)
    if not block.collections:
        names = sorted(collection.id for collection in client.get_collections())
        raise ConfigError("an API holds many collections: say which", where=f"{question.where}: collections",
                          found="none", needed=", ".join(names)[:300] or "a name")  # fmt: skip
    start, end = question.span
    limit = block.limit
    search = client.search(
        collections=list(block.collections),
        intersects=mapping(question.area),
        datetime=(start, end) if start or end else None,
        limit=min(_PAGE, limit),
        max_items=limit + 1,
    )
    found = list(search.items_as_dicts())
    if not found:
        _require_collections(client, question)
    if len(found) > limit:
        raise _too_many(question)
    yield from (_to_item(one, root, True) for one in found)


def _require_collections(client: Client, question: Question) -> None:
    names = sorted(collection.id for collection in client.get_collections())
    missing = [name for name in question.block.collections if name not in names]
    if missing and names:
        raise ConfigError("the API has no such collection", where=f"{question.where}: collections",
                          found=", ".join(missing), needed=", ".join(names)[:300])  # fmt: skip


def _too_many(question: Question) -> ConfigError:
    return ConfigError("more items than `limit`", where=question.where, found=f"over {question.block.limit}",
                       hint="a shorter `datetime:`, a smaller geometry, or a larger `limit:`")  # fmt: skip


@dataclass(slots=True)
class _Crawl:
    """A walk through a static catalogue that passes by collections of other places and times."""

    reader: Reader
    question: Question
    seen: set[str] = field(default_factory=set)
    count: int = 0

    def below(self, plain: dict[str, Any], address: str, depth: int) -> Iterator[pystac.Item]:
        if address in self.seen or depth > _DEEPEST or not _may_hold(plain, self.question):
            return
        self.seen.add(address)
        links = [link for link in plain.get("links") or [] if isinstance(link, dict)]
        for rel in ("item", "child"):
            for link in links:
                if link.get("rel") == rel and isinstance(link.get("href"), str):
                    yield from self.follow(make_absolute_href(link["href"], address), rel, depth)

    def follow(self, address: str, rel: str, depth: int) -> Iterator[pystac.Item]:
        plain = self.reader.plain(address)
        if rel == "child" and plain.get("type") != "Feature":
            yield from self.below(plain, address, depth + 1)
            return
        self.count += 1
        if self.count > 50 * self.question.block.limit:
            raise _too_many(self.question)
        yield _to_item(plain, address)


def _may_hold(plain: dict[str, Any], question: Question) -> bool:
    """Return whether a catalogue may hold items that are wanted; collections say where and when theirs are."""
    if plain.get("type") != "Collection":
        return True
    extent = plain.get("extent") or {}
    boxes = [row for row in (extent.get("spatial") or {}).get("bbox") or [] if len(row) in (4, 6)]
    places = [box(row[0], row[1], row[len(row) // 2], row[len(row) // 2 + 1]) for row in boxes]
    if places and not any(place.intersects(question.area) for place in places):
        return False
    times = (extent.get("temporal") or {}).get("interval") or []
    spans = [[_moment(text) for text in row] for row in times if len(row) == 2]
    return not spans or any(_meet((first, last), question.span) for first, last in spans)


def _moment(text: Any) -> datetime | None:
    found = parse_time(text) if isinstance(text, str) else None
    return found.when if found else None


def _meet(one: Span, other: Span) -> bool:
    (a, b), (c, d) = one, other
    return not (b and c and b < c) and not (a and d and d < a)


def acquired_of(item: pystac.Item) -> datetime | None:
    """Return when an item was acquired, UTC: its datetime, else the beginning of its span."""
    moment = item.datetime or item.common_metadata.start_datetime
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _is_wanted(item: pystac.Item, question: Question) -> bool:
    """Return whether an item shows the area in the span; an API's answer is checked too, as not all keep to it."""
    if question.block.collections and item.collection_id and item.collection_id not in question.block.collections:
        return False
    acquired = acquired_of(item)
    if acquired is None or not _meet((acquired, acquired), question.span):
        return False
    return item.geometry is None or shape(item.geometry).intersects(question.area)

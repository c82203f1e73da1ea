"""From a `scenes: {stac: ...}` block to drafts of scenes whose windows lie on this machine."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from shapely.geometry import shape

from changedetect.core.scene import Scene
from changedetect.errors import DataError, MissingError, NothingToDoError
from changedetect.io.metadata import to_number
from changedetect.io.products.family import is_image
from changedetect.io.products.items import draft_item
from changedetect.io.stac.ask import Question, acquired_of, find_items
from changedetect.io.stac.block import expanded_headers
from changedetect.io.stac.cache import Loan, key_of, lending
from changedetect.io.stac.choose import Found, fuse, without_clouds, without_duplicates
from changedetect.io.stac.merge import merge_masks
from changedetect.io.stac.sign import Signer
from changedetect.io.stac.version import version_of, version_of_address
from changedetect.io.stac.windows import as_gdal_headers, fetch_window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pystac

    from changedetect.core.progress import Progress
    from changedetect.io.assemble import Draft
    from changedetect.io.sensors import Sensors
    from changedetect.io.stac.params import FetchParams

LOG = logging.getLogger(__name__)

_REACHED = ("http://", "https://", "s3://", "gs://")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a catalogue gave."""

    drafts: tuple[Draft, ...]
    """Scenes whose files lie on this machine for as long as the run lasts."""
    left_out: tuple[tuple[Scene, str], ...] = ()
    """Items that were found and are not used, and why."""
    sources: dict[str, str] = field(default_factory=dict)
    """Path of a fetched file to the address it comes from."""


@contextmanager
def fetched(
    question: Question, base_dir: Path, table: Sensors, params: FetchParams, progress: Progress, bands: Sequence[str]
) -> Iterator[Fetched]:
    """Yield the drafts of the scenes that answer a question, their windows fetched; they go when the context ends.

    Parameters
    ----------
    question : Question
    base_dir : Path
        What relative paths are relative to.
    table : Sensors
    params : FetchParams
    progress : Progress
    bands : sequence of str
        Standard names of the bands that are needed, where the block names none.

    Raises
    ------
    NothingToDoError
        No item shows the area in the time asked for, or all are left out.
    DataError
        The network or a server gives no whole answer.
    """
    items = find_items(question, base_dir, params)
    if not items:
        raise NothingToDoError("no item shows the AOI in the time asked for", where=question.where,
                               found=question.block.stac, needed=_asked(question))  # fmt: skip
    found, left_out = _drafts_of(items, question, table, tuple(question.block.bands or bands))
    for choose in (lambda f: without_clouds(f, question.block.max_cloud), without_duplicates):
        kept, reasons = choose(found)
        left_out += [(_scene_of(found[i], table), reason) for i, reason in sorted(reasons.items())]
        found = kept
    with lending(params) as loan:
        job = _Job(question, params, table, loan, progress)
        whole = job.localise(found)
        left_out += [(_scene_of(one, table), reason) for one, reason in job.missing]
        if not whole:
            raise NothingToDoError(
                "every item found is left out",
                where=question.where,
                found="; ".join(f"{scene.id}: {reason}" for scene, reason in left_out[:3]),
                needed=f"one of {len(left_out)} items",
            )
        drafts = tuple(job.join(look) for look in fuse(whole, question.area, question.block.fuse))
        if left_out:
            such = "" if len(left_out) == 1 else "such as "
            first = f"{left_out[0][0].id}: {left_out[0][1]}"
            progress.note(f"{len(left_out)} of {len(items)} items left out, {such}{first}")
        yield Fetched(drafts, tuple(left_out), job.sources)


def _asked(question: Question) -> str:
    start, end = question.span
    span = f"{start.isoformat() if start else '..'}/{end.isoformat() if end else '..'}"
    return f"{', '.join(question.block.collections) or 'any collection'}, {span}"


def _drafts_of(
    items: Sequence[pystac.Item], question: Question, table: Sensors, bands: tuple[str, ...]
) -> tuple[list[Found], list[tuple[Scene, str]]]:
    """Return the items as drafts cut to the bands that are needed, and those that are no scene with the reason."""
    found: list[Found] = []
    left_out: list[tuple[Scene, str]] = []
    for item in sorted(items, key=lambda item: (str(acquired_of(item)), item.id)):
        if item.id in question.block.exclude:
            left_out.append((_bare_scene(item, question), "excluded by `exclude:`"))
            continue
        try:
            one = _found(item, question, table)
            found.append(replace(one, draft=_cut(one.draft, bands, bool(question.block.bands))))
        except DataError as error:
            LOG.info("%s: left out: %s", item.id, error)
            left_out.append((_bare_scene(item, question), f"cannot be read: {error.details['what']}"))
    return found, left_out


def _found(item: pystac.Item, question: Question, table: Sensors) -> Found:
    where = f"{item.collection_id or question.block.stac}: {item.id}"
    versions = {asset.href: version_of(item, asset) for asset in item.assets.values()}
    scene = _bare_scene(item, question)
    draft = replace(draft_item(item, where, table, _locate), acquired=scene.acquired)
    return Found(draft, scene.acquired, scene.footprint, item.properties, versions)


def _locate(href: str) -> str | None:
    """Return the place of an asset: an address on the network that is read, or a file that is there."""
    if href.startswith("file://"):
        href = unquote(urlsplit(href).path)
    if "://" in href:
        return href if href.startswith(_REACHED) else None
    return href if Path(href).is_file() else None


def _cut(draft: Draft, bands: tuple[str, ...], is_asked: bool) -> Draft:
    """Return a draft with the bands that are needed alone."""
    if not draft.band_paths:
        return draft
    kept = {band: place for band, place in draft.band_paths.items() if band in bands}
    missing = [band for band in bands if band not in kept] if is_asked else []
    if missing:
        raise DataError(f"the item lacks {', '.join(missing)}", where=draft.where, found=", ".join(draft.band_paths))
    return replace(draft, band_paths=kept or draft.band_paths)


def _bare_scene(item: pystac.Item, question: Question) -> Scene:
    outline = shape(item.geometry) if item.geometry else question.area
    acquired = acquired_of(item)
    if acquired is None:
        raise DataError("an item has no time", where=item.id, hint="its catalogue is not STAC as it should be")
    return Scene(item.id, acquired.replace(microsecond=0), (), to_number(item.properties.get("gsd")) or 0.0, outline)


def _scene_of(one: Found, table: Sensors) -> Scene:
    usual = table.sensors[one.draft.sensor].gsd_m if one.draft.sensor else None
    gsd_m = to_number(one.properties.get("gsd")) or usual or 0.0
    return Scene(one.draft.name, one.acquired, (), gsd_m, one.outline, one.draft.sensor)


@dataclass(slots=True)
class _Job:
    """The fetching of one run."""

    question: Question
    params: FetchParams
    table: Sensors
    loan: Loan
    progress: Progress
    sources: dict[str, str] = field(default_factory=dict)
    missing: list[tuple[Found, str]] = field(default_factory=list)
    signer: Signer | None = None

    def localise(self, found: Sequence[Found]) -> list[Found]:
        """Return the items with paths on this machine; those whose imagery is gone or elsewhere are `missing`."""
        self.signer = Signer(self.question.block.sign, self.params)
        wanted = {path: one for one in reversed(found) for path in one.draft.files if "://" in path}
        self.progress.start("fetch", len(wanted))
        places: dict[str, str | MissingError | None] = {}
        with ThreadPoolExecutor(self.params.connections, thread_name_prefix="fetch") as pool:
            futures = {path: pool.submit(self.bring, path, one) for path, one in wanted.items()}
            try:
                for path, future in futures.items():
                    places[path] = future.result()
                    self.progress.advance()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        self.sources.update({own: path for path, own in places.items() if isinstance(own, str)})
        whole = []
        for one in found:
            told = [places[path] for path in one.draft.files if path in places]
            gone = next((place for place in told if isinstance(place, MissingError)), None)
            if gone is not None or None in told:
                self.missing.append((one, str(gone) if gone else "its imagery shows nothing of the AOI"))
            else:
                own = {path: str(place) for path, place in places.items()}
                whole.append(replace(one, draft=_moved(one.draft, own)))
        return whole

    def bring(self, address: str, one: Found) -> str | MissingError | None:
        """Return the path of an address's window on this machine; None if it shows nothing of the area."""
        block, params = self.question.block, self.params
        headers = expanded_headers(block, self.question.where)
        own = headers if urlsplit(address).netloc == urlsplit(block.stac).netloc else {}
        version = one.versions.get(address) or version_of_address(address, own, params)
        key = key_of(address, version, self.question.area, params.margin_m)
        name = Path(unquote(urlsplit(address).path)).name
        name = name if is_image(name) else f"{name}.tif"
        lent = self.loan.lend(key, one.draft.name, name)
        if lent is not None:
            return lent
        try:
            part = fetch_window(
                address,
                self.question.area,
                self.loan.place_of(key),
                params,
                sign=self.signer.sign if self.signer else str,
                headers=as_gdal_headers(own),
            )
        except MissingError as error:
            return error
        return None if part is None else self.loan.lend(key, one.draft.name, name)

    def join(self, look: Sequence[Found]) -> Draft:
        """Return the draft of one look: that of its item, or of several as tiles of a mosaic."""
        first = look[0].draft
        if len(look) == 1:
            return first
        drafts = [one.draft for one in look]
        bands = {
            band: (tuple(path for draft in drafts for path in draft.band_paths[band][0]), index)
            for band, (_, index) in first.band_paths.items()
        }
        kinds = dict.fromkeys(kind for _, kind in first.masks)
        masks = tuple(
            (self.merged([path for draft in drafts for path, k in draft.masks if k == kind], kind, first.name), kind)
            for kind in kinds
        )
        return replace(
            first,
            name=f"{first.name}_and_{len(look) - 1}",
            acquired=min(one.acquired for one in look),
            paths=tuple(path for draft in drafts for path in draft.paths),
            band_paths=bands,
            masks=masks,
        )

    def merged(self, paths: list[str], kind: str | None, name: str) -> str:
        """Return the path of the masks of one kind of several tiles, made one."""
        meaning = self.table.mask(kind or "nonzero")
        merged = merge_masks(paths, meaning, self.loan.folder / "merged" / f"{name}_{kind}.tif")
        self.sources.setdefault(merged, " + ".join(self.sources.get(path, path) for path in paths))
        return merged


def _moved(draft: Draft, own: dict[str, str]) -> Draft:
    """Return a draft with paths in place of addresses."""
    return replace(
        draft,
        paths=tuple(own.get(path, path) for path in draft.paths),
        band_paths={
            band: (tuple(own.get(path, path) for path in paths), index)
            for band, (paths, index) in draft.band_paths.items()
        },
        masks=tuple((own.get(path, path), kind) for path, kind in draft.masks),
    )

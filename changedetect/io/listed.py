"""Listed scenes: the entries of a `scenes:` list, checked strictly, as drafts."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from changedetect.errors import ConfigError
from changedetect.io.assemble import Draft
from changedetect.io.dates import to_utc
from changedetect.io.files import is_folder, is_there
from changedetect.io.points import place_by_points
from changedetect.io.products.family import KNOWN_PRODUCTS, files_below, refuse_archive
from changedetect.io.products.registry import claim_products
from changedetect.io.sidecar import Facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from changedetect.io.sensors import Sensors

Degrees = Annotated[float, Field(ge=-360.0, le=360.0)] | None
Name = Annotated[str, Field(min_length=1, max_length=4096)]


def read_crs(value: Any) -> Any:
    """Return a reference system as an AOI file gives it: a number is an EPSG code."""
    return f"EPSG:{value}" if isinstance(value, int) and not isinstance(value, bool) else value


class _MaskEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    path: Name
    kind: str | None = None


class SceneEntry(BaseModel):
    """One entry of `scenes:`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1, max_length=120)] | None = None
    path: Name | Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    assets: (
        Annotated[dict[str, Name | Annotated[tuple[Name, ...], Field(min_length=1)]], Field(min_length=1)] | None
    ) = None
    datetime: Any = None
    mask: Name | _MaskEntry | tuple[Name | _MaskEntry, ...] | None = None
    sensor: str | None = None
    bands: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    crs: str | None = None
    scale: Annotated[float, Field(allow_inf_nan=False)] | None = None
    offset: Annotated[float, Field(allow_inf_nan=False)] | None = None
    nodata: float | None = None
    sun_azimuth_deg: Degrees = None
    sun_elevation_deg: Annotated[float, Field(ge=-90.0, le=90.0)] | None = None
    view_azimuth_deg: Degrees = None
    off_nadir_deg: Annotated[float, Field(ge=-90.0, le=90.0)] | None = None
    relative_orbit: Annotated[int, Field(ge=1, le=10_000)] | None = None
    orbit_state: Literal["ascending", "descending"] | None = None
    look_side: Literal["left", "right"] | None = None
    gcps: Name | tuple[tuple[float, float, float, float], ...] | None = None
    simulated: bool = False

    @field_validator("crs", mode="before")
    @classmethod
    def _number_is_epsg(cls, value: Any) -> Any:
        return read_crs(value)


def draft_listed(entry: Any, where: str, base_dir: Path, table: Sensors) -> Draft:
    """Return the draft of one entry of a `scenes:` list.

    Raises
    ------
    ConfigError
        Not a mapping, unknown keys, wrong types, neither or both of path and assets, a time without zone.
    """
    checked = _validate(entry, where)
    if (checked.path is None) == (checked.assets is None):
        raise ConfigError("a scene needs either `path` or `assets`", where=where, found=", ".join(entry) or "nothing")
    if checked.bands is not None and (checked.assets is not None or len(set(checked.bands)) != len(checked.bands)):
        raise ConfigError("`bands` names each band of `path` once", where=where, found=", ".join(checked.bands))
    if checked.sensor is not None:
        table.sensor(checked.sensor, where=where)
    paths = _resolve(checked.path, base_dir)
    product = _product_at(paths, table)
    facts = Facts(
        sun_azimuth_deg=checked.sun_azimuth_deg,
        sun_elevation_deg=checked.sun_elevation_deg,
        view_azimuth_deg=checked.view_azimuth_deg,
        off_nadir_deg=checked.off_nadir_deg,
        relative_orbit=checked.relative_orbit,
        orbit_state=checked.orbit_state,
        look_side=checked.look_side,
    )
    masks = _masks(checked, base_dir)
    acquired = to_utc(checked.datetime, where) if checked.datetime is not None else None
    if product is not None:
        return _over(product, checked, acquired, masks, facts)
    band_paths = {band: _locate(given, base_dir, where) for band, given in (checked.assets or {}).items()}
    first = paths[0] if paths else next(iter(band_paths.values()))[0][0]
    draft = Draft(
        where=where,
        name=checked.id or _common_stem([Path(given[0]).stem for given, _ in band_paths.values()]) or Path(first).stem,
        paths=paths,
        band_paths=band_paths,
        acquired=acquired,
        masks=masks,
        sensor=checked.sensor,
        bands=checked.bands or (),
        crs=checked.crs,
        scale=checked.scale,
        offset=checked.offset,
        nodata=checked.nodata,
        facts=facts,
        simulated=checked.simulated,
    )
    return draft if checked.gcps is None else place_by_points(draft, _points(checked.gcps, base_dir))


def _points(given: str | tuple[tuple[float, ...], ...], base_dir: Path) -> Sequence[Sequence[float]] | Path:
    return Path(resolve(given, base_dir)) if isinstance(given, str) else given


def _product_at(paths: tuple[str, ...], table: Sensors) -> Draft | None:
    """Return the product a single path stands for: its folder, its metadata file, or an image beside its metadata.

    Raises
    ------
    ConfigError
        A folder that is no product, or holds several.
    """
    if len(paths) != 1 or "://" in paths[0]:
        return None
    path = paths[0]
    refuse_archive(path)
    files = files_below(path) if is_folder(path) else [path]
    drafts, _ = claim_products(files, files, table)
    if len(drafts) > 1:
        raise ConfigError(f"holds {len(drafts)} products, and an entry is one scene", where=path,
                          found=", ".join(sorted(draft.name for draft in drafts))[:200],
                          hint="scenes: {files: <folder>}, or an entry for each")  # fmt: skip
    if not drafts and is_folder(path):
        raise ConfigError("is a folder, not a file, and no product that is known", where=path,
                          needed=KNOWN_PRODUCTS, hint="scenes: {files: <folder>}")  # fmt: skip
    return drafts[0] if drafts else None


def _over(
    product: Draft,
    entry: SceneEntry,
    acquired: datetime | None,
    masks: tuple[tuple[str, str | None], ...],
    facts: Facts,
) -> Draft:
    """Return a product's draft with what the entry says in place of what its metadata say."""
    own = {name: getattr(entry, name) for name in ("sensor", "crs", "scale", "offset", "nodata")}
    changed = {name: value for name, value in own.items() if value is not None}
    if entry.scale is not None or entry.offset is not None:
        changed["scales"] = {}
    return replace(
        product,
        name=entry.id or product.name,
        acquired=acquired or product.acquired,
        masks=masks or product.masks,
        bands=entry.bands or product.bands,
        facts=facts.or_else(product.facts),
        **changed,
    )


def _common_stem(stems: list[str]) -> str:
    """Return what the names of band files begin with, up to a separator; empty if that is nearly nothing."""
    common = os.path.commonprefix(stems)  # noqa: RUF071 - names, not paths
    if len(set(stems)) > 1:
        common = re.split(r"[_.-](?=[^_.-]*$)", common)[0]
    return common if len(common) >= 4 else ""


def _validate(entry: Any, where: str) -> SceneEntry:
    if not isinstance(entry, dict):
        raise ConfigError("a scene is a mapping of keys", where=where, found=type(entry).__name__,
                          needed="path or assets, datetime, ...")  # fmt: skip
    unknown = sorted(str(key) for key in entry if key not in SceneEntry.model_fields)
    if unknown:
        raise ConfigError("unknown key", where=where, found=", ".join(unknown)[:200],
                          needed="one of " + ", ".join(SceneEntry.model_fields))  # fmt: skip
    try:
        return SceneEntry.model_validate(entry)
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        key = str(first["loc"][0])
        raise ConfigError(f"{key}: {first['msg']}", where=where, found=repr(entry.get(key))[:80]) from err


def _resolve(given: str | tuple[str, ...] | None, base_dir: Path) -> tuple[str, ...]:
    if given is None:
        return ()
    return tuple(resolve(path, base_dir) for path in ((given,) if isinstance(given, str) else given))


def resolve(path: str, base_dir: Path) -> str:
    """Return a path as given in an AOI file, relative to its folder; addresses on the network unchanged."""
    if "://" in path or path.startswith("/vsi"):
        return path
    return str(base_dir / Path(path).expanduser())


def _locate(given: str | tuple[str, ...], base_dir: Path, where: str) -> tuple[tuple[str, ...], int]:
    """Return the files of an asset and the band in them; `file.tif#2` is its second band."""
    parts = [_split(path, base_dir) for path in ((given,) if isinstance(given, str) else given)]
    indexes = {index for _, index in parts}
    if len(indexes) > 1:
        raise ConfigError("the tiles of an asset need the same band number", where=where, found=sorted(indexes))
    return tuple(path for path, _ in parts), indexes.pop()


def _split(path: str, base_dir: Path) -> tuple[str, int]:
    file, hash_, index = path.rpartition("#")
    if hash_ and index.isdecimal() and len(index) < 6 and not is_there(resolve(path, base_dir)):
        return resolve(file, base_dir), int(index)
    return resolve(path, base_dir), 1


def _masks(entry: SceneEntry, base_dir: Path) -> tuple[tuple[str, str | None], ...]:
    if entry.mask is None:
        return ()
    given = entry.mask if isinstance(entry.mask, tuple) else (entry.mask,)
    return tuple(
        (resolve(mask, base_dir), None) if isinstance(mask, str) else (resolve(mask.path, base_dir), mask.kind)
        for mask in given
    )


def allowed_keys(block: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    """Raise `ConfigError` if `block` has keys beside `allowed`."""
    unknown = sorted(str(key) for key in block if key not in allowed)
    if unknown:
        raise ConfigError("unknown key", where=where, found=", ".join(unknown), needed="one of " + ", ".join(allowed))

"""Work that was done before and need not be done again: results of single scenes, kept between runs by content.

A result is found again only if everything that it depends on is the same: the program's own files, the libraries, the
settings, the scene's bytes, and those of the scenes it was compared with. So a run that recalls ends with the same
bytes as one that does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray

import changedetect
from changedetect.blocks import Runner
from changedetect.config import Config
from changedetect.core.grid import Grid
from changedetect.core.results import Examined, Gain, Look, Noise, Warp
from changedetect.core.scene import Scene
from changedetect.core.sheets import Sheet
from changedetect.core.tables import DETECTION_COLUMNS, geo_table
from changedetect.core.times import from_iso, to_iso
from changedetect.io.provenance import library_versions
from changedetect.io.store import Store, digest, digest_sources
from changedetect.members import Member
from changedetect.stack import Piece

T = TypeVar("T")
R = TypeVar("R")

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier runs of one AOI worked out."""

    store: Store
    scenes: dict[str, str] = field(default_factory=dict)
    """Digest of each scene's content, by id."""

    def scene(self, scene: Scene) -> str:
        """Return the digest of a scene: its bytes and what its metadata say, wherever it lies."""
        if scene.id not in self.scenes:
            told = dataclasses.asdict(scene) | {"footprint": scene.footprint.wkt, "acquired": to_iso(scene.acquired)}
            for place in ("assets", "masks"):
                told[place] = [{k: v for k, v in one.items() if k not in ("path", "paths")} for one in told[place]]
            files = [self.store.hash_file(path) if Path(path).is_file() else path for path in scene.paths]
            self.scenes[scene.id] = digest(told, files)
        return self.scenes[scene.id]

    def member(self, member: Member) -> list[Any]:
        """Return what of a member its results depend on."""
        warp = None if member.warp is None else _warp_record(member.warp)
        return [self.scene(member.scene), member.is_baseline, member.factor, member.compared, warp, member.reason]


@cache
def program_digest() -> str:
    """Return the digest of the program's files and of the libraries that shape its numbers."""
    return digest(digest_sources(Path(changedetect.__file__).parent), library_versions())


@dataclass(frozen=True, slots=True)
class RecallingRunner(Runner):
    """A runner that works only on what it cannot recall, and keeps what it has worked out."""

    inner: Runner = field(default_factory=Runner)
    memory: Memory | None = None

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Yield results in the order of `items`."""
        recipe = _RECIPES.get(_name(function))
        if recipe is None or self.memory is None:
            yield from self.inner.map(function, items)
            return
        keys = recipe.keys(self.memory, getattr(function, "keywords", {}), items)
        store, kind = self.memory.store, _name(function).strip("_")
        known = [store.get(kind, key) for key in keys]
        fresh = self.inner.map(function, [item for item, found in zip(items, known, strict=True) if found is None])
        for item, key, found in zip(items, keys, known, strict=True):
            if found is None:
                result = next(fresh)
                store.put(kind, key, *recipe.encode(result))
            else:
                result = recipe.decode(item, *found)
            yield result


def recalling(runner: Runner, store: Store | None) -> Runner:
    """Return a runner that recalls from a store; `runner` itself without one."""
    return runner if store is None else RecallingRunner(runner.workers, runner.client, runner, Memory(store))


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How results of one function are named, kept and brought back."""

    keys: Callable[[Memory, dict[str, Any], Sequence[Any]], list[str]]
    encode: Callable[[Any], tuple[Any, Arrays]]
    decode: Callable[[Any, Any, Arrays], Any]


def _name(function: Callable[..., Any]) -> str:
    inner = function.func if isinstance(function, partial) else function
    return getattr(inner, "__name__", "")


def _settings(config: Config, *names: str) -> Any:
    told = config.as_dict()
    return {name: told[name] for name in names or told if name not in ("write", "fetch")}


def _grid(grid: Grid) -> list[Any]:
    return [grid.crs, list(grid.transform)[:6], list(grid.shape)]


def _clear_keys(memory: Memory, shared: dict[str, Any], items: Sequence[Member]) -> list[str]:
    common = [program_digest(), _grid(shared["grid"]), _settings(shared["config"], "read", "mask")]
    return [digest(common, memory.scene(item.scene), item.factor) for item in items]


def _register_keys(memory: Memory, shared: dict[str, Any], items: Sequence[tuple[Grid, Member]]) -> list[str]:
    common = [
        program_digest(),
        _settings(shared["config"], "read", "mask", "register"),
        memory.member(shared["reference"]),
    ]
    return [digest(common, _grid(grid), memory.member(member)) for grid, member in items]


def _examine_keys(memory: Memory, shared: dict[str, Any], items: Sequence[Piece]) -> list[str]:
    zones, reference = shared["zones"], shared["reference"]
    members = shared["befores"].members
    baseline = [memory.member(member) for member in members if member.is_baseline and member.reason is None]
    common = [
        program_digest(),
        _grid(shared["base_grid"]),
        _settings(shared["config"]),
        [
            list(zones["name"]),
            [list(targets) for targets in zones["targets"]],
            [shape.wkb_hex for shape in zones.geometry],
        ],
        sorted(shared["baseline_targets"]),
        memory.scene(reference) if reference else None,
        baseline,
    ]
    return [digest(common, memory.member(item.member), _sheet(item.sheet)) for item in items]


def _sheet(sheet: Sheet) -> list[Any]:
    return [_grid(sheet.whole), *((part.start, part.stop) for part in (sheet.rows, sheet.cols)), sheet.margin_px]


def _warp_record(warp: Warp) -> dict[str, Any]:
    told: dict[str, Any] = _plain(_fields(warp))
    return told | {"grid": None if warp.grid is None else _grid(warp.grid)}


def _to_grid(told: Any) -> Grid:
    from affine import Affine

    crs, transform, shape = told
    return Grid(crs, Affine(*transform), tuple(shape))


def _encode_member(member: Member) -> tuple[Any, Arrays]:
    warp = None if member.warp is None else _warp_record(member.warp)
    return {"warp": warp, "reason": member.reason}, {}


def _decode_member(item: tuple[Grid, Member], told: Any, _: Arrays) -> Member:
    warp = told["warp"]
    if warp is not None:
        coefficients = tuple(tuple(tuple(row) for row in axis) for axis in warp["coefficients"])
        grid = None if warp["grid"] is None else _to_grid(warp["grid"])
        warp = Warp(**(warp | {"grid": grid, "coefficients": coefficients}))
    return dataclasses.replace(item[1], warp=warp, reason=told["reason"])


def _encode_examined(done: Examined) -> tuple[Any, Arrays]:
    look, noise = done.look, done.noise
    arrays: Arrays = {"quality": look.quality}
    if look.score is not None:
        arrays["score"] = look.score
    names = [f.name for f in dataclasses.fields(Look) if f.name not in ("quality", "score", "grid", "acquired")]
    told = {
        "look": {name: getattr(look, name) for name in names},
        "grid": _grid(look.grid),
        "noise": None if noise is None else _fields(noise),
        "gain": None if done.gain is None else _fields(done.gain),
        "crs": str(done.detections.crs),
        "rows": [_encode_row(row) for row in done.detections.to_dict("records")],
    }
    return _plain(told), arrays


def _decode_examined(item: Piece, told: Any, arrays: Arrays) -> Examined:
    look = Look(
        **(told["look"] | {"untold": tuple(told["look"]["untold"])}),
        acquired=item.scene.acquired,
        quality=arrays["quality"],
        score=arrays.get("score"),
        grid=_to_grid(told["grid"]),
    )
    noise, gain = told["noise"], told["gain"]
    rows = [_decode_row(row) for row in told["rows"]]
    return Examined(
        look,
        geo_table(rows, DETECTION_COLUMNS, told["crs"]),
        None if noise is None else Noise(**(noise | {"bands": tuple(noise["bands"])})),
        None if gain is None else Gain(**(gain | {name: tuple(gain[name]) for name in ("bands", "gain", "offset")})),
    )


def _fields(thing: Noise | Gain | Warp) -> dict[str, Any]:
    return {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}


def _encode_row(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "geometry": row["geometry"].wkb_hex, "acquired": to_iso(row["acquired"])}


def _decode_row(row: dict[str, Any]) -> dict[str, Any]:
    flags = tuple(row["flags"] or ())
    return {**row, "geometry": shapely.from_wkb(row["geometry"]), "acquired": from_iso(row["acquired"]), "flags": flags}


def _plain(value: Any) -> Any:
    """Return a value as JSON keeps it without loss: numbers of numpy as Python's, missing ones None."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, datetime):
        return to_iso(value)
    return None if type(value).__name__ in ("NAType", "NaTType") else value


_RECIPES = {
    "_clear_fraction": _Recipe(_clear_keys, lambda value: (float(value), {}), lambda _, told, __: float(told)),
    "register_member": _Recipe(_register_keys, _encode_member, _decode_member),
    "examine_scene": _Recipe(_examine_keys, _encode_examined, _decode_examined),
}
"""By name of the function that is mapped over the scenes: `stack` and `pipeline` need not know of it."""

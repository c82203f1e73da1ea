"""Find: the `scenes:` block of an AOI as scenes, metadata only."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from changedetect.errors import ConfigError, DataError
from changedetect.io.assemble import assemble
from changedetect.io.grouped import draft_files
from changedetect.io.listed import allowed_keys, draft_listed, read_crs
from changedetect.io.sensors import Sensors, load_sensors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from changedetect.core.scene import Scene
    from changedetect.io.assemble import Draft
    from changedetect.io.s2_offset import OffsetMode


LOG = logging.getLogger(__name__)


def find_scenes(
    block: Any, base_dir: str | Path, sensors: Sensors | None = None, s2_offset: OffsetMode = "auto"
) -> list[Scene]:
    """Return the scenes of a `scenes:` block, sorted by time of acquisition; ids are unique.

    Parameters
    ----------
    block : list or dict
        A list of scenes, or ``{"files": glob, folder or file}``, with ``"crs"`` for files that carry none.
    base_dir : path
        What relative paths are relative to.
    sensors : Sensors, optional
        Profiles and mask meanings; default the shipped ones.
    s2_offset : {"auto", "applied", "raw"}
        Whether the offset of Sentinel-2's numbers was taken off already; auto: by metadata and the darkest pixels.

    Raises
    ------
    ConfigError
        The block is malformed; names key and entry.
    DataError
        Nothing found, or a file that is missing, broken, nowhere on the map or without date.
    NotYetError
        A product that is known and not read.
    """
    table = sensors or load_sensors()
    return assemble_all(_drafts_of(block, Path(base_dir), table), table, s2_offset)


def _drafts_of(block: Any, base: Path, table: Sensors) -> list[Draft]:
    if isinstance(block, list):
        if not block:
            raise DataError("no scene is listed", where="scenes", hint="add entries with `path` and `datetime`")
        return [draft_listed(entry, f"scenes[{i}]", base, table) for i, entry in enumerate(block)]
    if isinstance(block, dict) and "files" in block:
        allowed_keys(block, ("files", "crs"), "scenes")
        drafts = draft_files(block["files"], base, table)
        if block.get("crs") is not None:
            drafts = [replace(draft, crs=draft.crs or read_crs(block["crs"])) for draft in drafts]
        return drafts
    raise ConfigError("does not say where scenes are", where="scenes", found=_shown(block),
                      needed="a list of scenes, or {files: ...}")  # fmt: skip


def assemble_all(drafts: Iterable[Draft], table: Sensors, s2_offset: OffsetMode = "auto") -> list[Scene]:
    """Return the scenes of drafts, sorted by time of acquisition; ids are unique.

    Raises
    ------
    DataError
        A file that is missing, broken, nowhere on the map or without date, or the same files twice.
    """
    scenes = sorted((assemble(draft, table, s2_offset) for draft in drafts), key=lambda s: (s.acquired, s.id, s.paths))
    _refuse_repeats(scenes)
    _warn_of_mixtures(scenes)
    return _with_unique_ids(scenes)


def _shown(block: Any) -> str:
    return ", ".join(map(str, block))[:80] if isinstance(block, dict) else type(block).__name__


def _refuse_repeats(scenes: list[Scene]) -> None:
    seen: dict[tuple[object, ...], Scene] = {}
    for scene in scenes:
        files = tuple((asset.band, asset.paths, asset.index) for asset in scene.assets)
        twin = seen.setdefault((scene.acquired, files), scene)
        if twin is not scene:
            where = f"{twin.id} and {scene.id}"
            raise DataError("the same files are listed twice for one time", where=where, found=scene.paths[0])


def _warn_of_mixtures(scenes: list[Scene]) -> None:
    """Say that PlanetScope's harmonised and own numbers are mixed: they differ by a few hundredths of reflectance."""
    planet = [
        scene for scene in scenes if (scene.sensor or "").startswith("planetscope") and scene.unit == "reflectance"
    ]
    if len({"_harmonized" in scene.paths[0] for scene in planet}) > 1:
        LOG.warning("PlanetScope scenes harmonised to Sentinel-2 are mixed with such as are not; order all harmonised")


def _with_unique_ids(scenes: list[Scene]) -> list[Scene]:
    taken: set[str] = set()
    out = []
    for scene in scenes:
        name, n = scene.id, 2
        while name in taken:
            name, n = f"{scene.id}_{n}", n + 1
        taken.add(name)
        out.append(scene if name == scene.id else replace(scene, id=name))
    return out

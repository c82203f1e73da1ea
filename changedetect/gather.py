"""From what the user typed to the series of scenes a run works on."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from changedetect.config import Config, load_config, parse_sets, sensors
from changedetect.core.aoi import Aoi
from changedetect.core.comparable import COMPARED_BANDS, PICTURE, is_radar
from changedetect.core.progress import Progress, SilentProgress
from changedetect.core.scene import Scene
from changedetect.core.validate import validated
from changedetect.errors import ConfigError, DataError, NothingToDoError
from changedetect.io.aoi_file import load_aoi
from changedetect.io.find import assemble_all, find_scenes
from changedetect.io.stac.block import narrowed, read_block, read_span
from changedetect.io.write_scenes import write_simulation
from changedetect.io.yaml_file import load_yaml

if TYPE_CHECKING:
    from changedetect.simulate import SimulateParams

_SIMULATE = "simulate."


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line may say beside the AOI file."""

    scenes: str | None = None
    """A folder, glob, file, AOI file or URL that replaces the AOI's `scenes:` block."""
    start: dt.datetime | None = None
    """Only scenes acquired from then on."""
    end: dt.datetime | None = None
    """Only scenes acquired up to then."""
    out: Path | None = None
    """Output folder; None: outputs/<name>."""
    sets: tuple[str, ...] = ()
    """`step.key=value` overrides."""
    formats: tuple[str, ...] = ()
    """Beside GeoJSON: gpkg, parquet, fgb."""
    workers: int | None = None
    scheduler: str | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """The scenes of a place, in order of time."""

    aoi: Aoi
    scenes: tuple[Scene, ...]
    outside: tuple[Scene, ...] = ()
    """Scenes found that cover nothing of the AOI."""
    left_out: tuple[tuple[Scene, str], ...] = ()
    """What a catalogue gave and is not used, such as what states too much cloud, and why."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Path of a fetched file to the address it comes from."""
    truth: Path | None = None
    """What was planted, for simulated scenes."""
    warnings: tuple[str, ...] = ()
    simulation: dict[str, Any] | None = None
    """How the scenes were simulated, seed and all; None for real ones."""

    @property
    def unused(self) -> tuple[tuple[Scene, str], ...]:
        """Scenes that were found and are not worked on, with the reason."""
        return (*((scene, "covers nothing of the AOI") for scene in self.outside), *self.left_out)


def load_place(aoi_path: str | Path, options: RunOptions) -> tuple[Aoi, Config]:
    """Return the AOI with its scenes and settings as the command line has them.

    Raises
    ------
    ConfigError
        The AOI file, its preset or an override is wrong.
    """
    aoi = load_aoi(aoi_path)
    config = _config(aoi, options)
    if options.scenes is not None:
        aoi = _with_scenes(aoi, options.scenes)
    overrides = parse_sets([text for text in options.sets if text.startswith(_SIMULATE)])
    if overrides:
        if not is_simulated(aoi):
            raise ConfigError("applies to simulated scenes alone", where="--set simulate", found=aoi.source_path)
        aoi = replace(aoi, scenes={"simulate": {**(aoi.scenes["simulate"] or {}), **overrides["simulate"]}})
    check_scenes_block(aoi)
    return aoi, config


def _with_scenes(aoi: Aoi, place: str) -> Aoi:
    if "://" in place:
        return replace(aoi, scenes={"stac": place})
    if place.endswith((".json", ".geojson")):
        return replace(aoi, scenes={"stac": str(Path(place).absolute())})
    if place.endswith((".yaml", ".yml")):
        data = load_yaml(Path(place))
        if not isinstance(data, dict) or "scenes" not in data:
            raise ConfigError("has no 'scenes' key", where=place)
        return replace(aoi, scenes=data["scenes"], base_dir=str(Path(place).parent))
    return replace(aoi, scenes={"files": str(Path(place).absolute())})


def is_simulated(aoi: Aoi) -> bool:
    """Return whether the AOI's scenes are to be simulated."""
    return isinstance(aoi.scenes, dict) and "simulate" in aoi.scenes


def is_catalogue(aoi: Aoi) -> bool:
    """Return whether the AOI's scenes are asked of a STAC catalogue."""
    return isinstance(aoi.scenes, dict) and "stac" in aoi.scenes


def check_scenes_block(aoi: Aoi) -> None:
    """Raise `ConfigError` unless the `scenes:` block has one of its four forms."""
    where = f"{aoi.source_path}: scenes"
    if is_simulated(aoi):
        _simulate_params(aoi)
    elif is_catalogue(aoi):
        read_block(aoi.scenes, where)
    elif not (isinstance(aoi.scenes, list) or (isinstance(aoi.scenes, dict) and "files" in aoi.scenes)):
        raise ConfigError(
            "has a wrong value",
            where=where,
            found=type(aoi.scenes).__name__,
            needed="a list of scenes, {files: ...}, {stac: ...} or {simulate: {scenario: ...}}",
        )


def _simulate_params(aoi: Aoi) -> SimulateParams:
    from changedetect.simulate import SimulateParams  # two worlds to import, for those who ask for one

    where = f"{aoi.source_path}: scenes"
    if set(aoi.scenes) != {"simulate"}:
        raise ConfigError("has keys beside 'simulate'", where=where, found=", ".join(map(str, aoi.scenes)))
    return validated(SimulateParams, aoi.scenes["simulate"], f"{where}: simulate")


@contextmanager
def gathered(aoi: Aoi, options: RunOptions, progress: Progress | None = None) -> Iterator[Series]:
    """Yield the series of an AOI; simulated and fetched scenes lie in a folder that goes when the context ends.

    Raises
    ------
    NothingToDoError
        No scene in the dates asked for, or none that covers the AOI.
    DataError
        Scenes of a catalogue cannot be fetched.
    """
    if is_simulated(aoi):
        with tempfile.TemporaryDirectory(prefix="changedetect-") as folder:
            written = write_simulated(aoi, Path(folder), progress)
            series = _series(load_aoi(written), options)
            truth = Path(folder) / "truth.geojson"
            yield replace(series, truth=truth, simulation=asdict(_simulate_params(aoi)))
    elif is_catalogue(aoi):
        with _from_catalogue(aoi, options, progress or SilentProgress()) as series:
            yield series
    else:
        yield _series(aoi, options)


@contextmanager
def _from_catalogue(aoi: Aoi, options: RunOptions, progress: Progress) -> Iterator[Series]:
    from changedetect.io.stac.ask import Question  # clients of catalogues, for those who ask one
    from changedetect.io.stac.draft import fetched

    where = f"{aoi.source_path}: scenes"
    block, config = read_block(aoi.scenes, where), _config(aoi, options)
    span = narrowed(read_span(block.datetime, where), options.start, options.end)
    question = Question(block, aoi.geometry, span, where)
    with fetched(question, Path(aoi.base_dir), sensors(), config.fetch, progress, COMPARED_BANDS) as given:
        found = assemble_all(given.drafts, sensors(), config.read.s2_offset)
        yield replace(_chosen(aoi, options, found), left_out=given.left_out, sources=given.sources)


def write_simulated(aoi: Aoi, folder: Path, progress: Progress | None = None) -> Path:
    """Write the simulated scenes of an AOI with their truth; return the AOI file that runs on them."""
    from changedetect.simulate import simulate

    progress = progress or SilentProgress()
    simulation = simulate(aoi, _simulate_params(aoi))
    progress.start("simulate", len(simulation.scenes))
    return write_simulation(simulation, folder, progress.advance)


def _config(aoi: Aoi, options: RunOptions) -> Config:
    return load_config(aoi, [text for text in options.sets if not text.startswith(_SIMULATE)])


def _series(aoi: Aoi, options: RunOptions) -> Series:
    found = find_scenes(aoi.scenes, Path(aoi.base_dir), sensors(), _config(aoi, options).read.s2_offset)
    return _chosen(aoi, options, found)


def _chosen(aoi: Aoi, options: RunOptions, found: Sequence[Scene]) -> Series:
    """Return the scenes of the dates asked for, those that show the AOI apart from those that do not."""
    timely = [s for s in found if _within(s.acquired, options.start, options.end)]
    if not timely:
        raise NothingToDoError(
            "no scene was acquired in the dates asked for",
            where=aoi.name,
            found=f"{len(found)} scenes from {found[0].acquired:%Y-%m-%d} to {found[-1].acquired:%Y-%m-%d}",
            needed=f"{options.start or 'any'} to {options.end or 'any'}",
        )
    inside = tuple(s for s in timely if s.footprint.intersection(aoi.geometry).area > 0)
    outside = tuple(s for s in timely if s not in inside)
    _require_radar_targets(aoi, inside)
    told = tuple(_warnings(aoi, inside, outside))
    return Series(aoi, inside or tuple(timely), outside if inside else (), warnings=told)


def _require_radar_targets(aoi: Aoi, scenes: Sequence[Scene]) -> None:
    """Raise `ConfigError` if only radar shows the AOI and classes are asked for that it cannot tell.

    Counting none of them would read as if there were none.
    """
    asked = [target for target in aoi.all_targets if target != "other"]
    if asked and scenes and all(is_radar(scene) for scene in scenes):
        raise ConfigError("radar shows that something changed, not what it is", where=f"{aoi.source_path}: targets",
                          found=", ".join(asked), needed="other", hint="targets: [other]")  # fmt: skip


def _within(moment: dt.datetime, start: dt.datetime | None, end: dt.datetime | None) -> bool:
    return (start is None or moment >= start) and (end is None or moment <= end)


def _warnings(aoi: Aoi, inside: Sequence[Scene], outside: Sequence[Scene]) -> Iterator[str]:
    if not aoi.location.verified and not all(scene.simulated for scene in inside):
        yield f"the location of {aoi.name} is not verified (source: {aoi.location.source})"
    for caution in dict.fromkeys(text for scene in inside for text in scene.cautions):
        whose = [scene.id for scene in inside if caution in scene.cautions]
        yield f"{', '.join(whose[:3])}{f' and {len(whose) - 3} more' if len(whose) > 3 else ''}: {caution}"
    units = {scene.unit == PICTURE for scene in inside}
    if len(units) > 1:
        yield "pictures (8-bit, stretched) are compared with measured imagery by structure alone, not by radiometry"
    if inside and outside:
        yield f"{len(outside)} of {len(inside) + len(outside)} scenes cover nothing of the AOI and are left out"


def split_baseline(aoi: Aoi, scenes: Sequence[Scene], required: bool = True) -> list[bool]:
    """Return which scenes are the baseline: all up to `baseline.until`, by default the first alone.

    Raises
    ------
    DataError
        No scene up to `baseline.until` (`required` runs only).
    NothingToDoError
        No scene after the baseline (`required` runs only).
    """
    until = aoi.baseline_until or scenes[0].acquired
    split = [scene.acquired <= until for scene in scenes]
    if not any(split) and not required:
        return [True] + [False] * (len(scenes) - 1)
    if not any(split):
        raise DataError(
            "no scene was acquired up to baseline.until",
            where=aoi.name,
            found=f"the first is of {scenes[0].acquired:%Y-%m-%d}",
            needed=f"{until:%Y-%m-%d} or earlier",
            hint="baseline: {until: ...} in the AOI file, after at least one scene",
        )
    if all(split) and required:
        raise NothingToDoError(
            "no scene was acquired after the baseline",
            where=aoi.name,
            found=f"{len(scenes)} scenes, the last of {scenes[-1].acquired:%Y-%m-%d}",
            needed=f"later than {until:%Y-%m-%d %H:%M}",
        )
    return split

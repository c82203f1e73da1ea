"""Where results come from: inputs by hash, settings in full, versions, timings, and each scene's fate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from changedetect.blocks import Runner
from changedetect.config import Config, preset_name
from changedetect.core.progress import Progress
from changedetect.core.results import Gain, Look, Noise, Warp
from changedetect.core.scene import Scene
from changedetect.core.times import solar_day, to_iso
from changedetect.gather import RunOptions, Series
from changedetect.io.files import hash_file
from changedetect.io.provenance import describe_inputs, library_versions
from changedetect.stack import Stack

if TYPE_CHECKING:
    pass

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class Stopwatch:
    """Times the stages of a run and tells `progress` of them."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    _stage: str = ""
    _since: float = field(default_factory=time.perf_counter)

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of `total` pieces, ending the one before."""
        self.stop()
        self._stage = name
        self.progress.start(name, total)

    def stop(self) -> None:
        """End the stage in progress."""
        now = time.perf_counter()
        if self._stage:
            self.seconds[self._stage] = round(now - self._since, 3)
        self._stage, self._since = "", now

    def counted(self, runner: Runner) -> CountedRunner:
        """Return a runner that reports each finished piece."""
        return CountedRunner(runner.workers, runner.client, runner, self.progress)


@dataclass(frozen=True, slots=True)
class CountedRunner(Runner):
    """A runner that tells `progress` of each result."""

    inner: Runner = field(default_factory=Runner)
    progress: Progress | None = None

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Yield results in order, counting them."""
        for result in self.inner.map(function, items):
            if self.progress is not None:
                self.progress.advance()
            yield result


def describe_run(
    series: Series,
    config: Config,
    options: RunOptions,
    stack: Stack,
    watch: Stopwatch,
    hashing: Callable[[str], str] = hash_file,
) -> dict[str, Any]:
    """Return the provenance of a run as plain data, but for its scenes; `hashing` tells the sha256 of an input file."""
    watch.stop()
    until = series.aoi.baseline_until
    return {
        "libraries": library_versions(),
        "preset": preset_name(series.aoi),
        "baseline_until": to_iso(until),
        "overrides": list(options.sets),
        "simulation": series.simulation,
        "settings": config.as_dict(),
        "inputs": _inputs(series, hashing),
        "reference": stack.reference.scene.id,
        "timings_s": dict(watch.seconds),
        "warnings": list(series.warnings),
    }


def _inputs(series: Series, hashing: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return each file with its hash; files beside the AOI file by relative path, so that runs compare."""
    base = Path(series.aoi.base_dir).absolute()
    described = describe_inputs(sorted({path for scene in series.scenes for path in scene.paths}), hashing)
    told = [{**entry, "path": series.sources.get(entry["path"]) or _relative(Path(entry["path"]), base)}
            for entry in described]  # fmt: skip
    return sorted(told, key=lambda entry: str(entry["path"]))


def _relative(path: Path, base: Path) -> str:
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


class Seen(Protocol):
    """What became of a scene after registration."""

    @property
    def look(self) -> Look:
        """The look, with the reason why it was not used."""

    @property
    def noise(self) -> Noise | None:
        """The scoring model, where it was scored."""

    @property
    def gain(self) -> Gain | None:
        """Its normalisation to the baseline, where it was scored."""


def scene_records(
    stack: Stack,
    unused: Sequence[tuple[Scene, str]],
    clear: Mapping[str, float],
    examined: Sequence[Seen],
    targets: Sequence[str],
) -> tuple[dict[str, Any], ...]:
    """Return what became of each scene, in order of time: used or not and why, its registration, its noise.

    `clear` is the share of the AOI that each scene shows, by its id.
    """
    records = [
        _record(member.scene, clear.get(member.scene.id, 0.0), item.look.reason, member.warp)
        | {
            "baseline": member.is_baseline,
            "compared_gsd_m": stack.grid.gsd_m * member.compared,
            "too_coarse_for": [kind for kind in item.look.untold if kind in targets],
            "noise": None if item.noise is None else _noise(item.noise),
            "normalization": None if item.gain is None else asdict(item.gain),
        }
        for member, item in zip(stack.members, examined, strict=True)
    ]
    records += [_record(scene, 0.0, reason, None) for scene, reason in unused]
    return tuple(sorted(records, key=lambda record: (record["datetime"], record["id"])))


def _record(scene: Scene, clear_fraction: float, reason: str | None, warp: Warp | None) -> dict[str, Any]:
    warp = warp or Warp("abstained", reason=reason)
    return {
        "id": scene.id,
        "datetime": to_iso(scene.acquired),
        "local_day": solar_day(scene.acquired, scene.footprint.centroid.x).isoformat(),
        "sensor": scene.sensor,
        "gsd_m": scene.gsd_m,
        "clear_fraction": round(clear_fraction, 4),
        "used": reason is None,
        "reason": reason,
        "registration": {
            "status": warp.status,
            "dx_m": round(warp.dx_m, 3),
            "dy_m": round(warp.dy_m, 3),
            "rmse_m": None if warp.rmse_m is None else round(warp.rmse_m, 3),
            "ce90_m": None if warp.ce90_m is None else round(warp.ce90_m, 3),
            "n_tie_points": warp.n_tie_points,
            "reason": warp.reason,
            "model": warp.model,
            "diagnostics": warp.diagnostics,
        },
        "sun_azimuth_deg": scene.sun_azimuth_deg,
        "sun_elevation_deg": scene.sun_elevation_deg,
        "off_nadir_deg": scene.off_nadir_deg,
        "relative_orbit": scene.relative_orbit,
        "orbit_state": scene.orbit_state,
        "look_side": scene.look_side,
        "cautions": list(scene.cautions),
    }


def _noise(noise: Noise) -> dict[str, Any]:
    return {
        "bands": list(noise.bands),
        "threshold_sigma": noise.threshold_sigma,
        "false_alarms_per_km2": noise.false_alarms_per_km2,
        "least_contrast": None if noise.least_contrast is None else round(noise.least_contrast, 4),
    }

"""Config: the steps' parameters composed; package defaults, then preset, AOI file and `--set`, last wins."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from changedetect.core.aoi import Aoi
from changedetect.core.run import WriteParams
from changedetect.core.validate import validated
from changedetect.errors import ConfigError
from changedetect.io.read import ReadParams
from changedetect.io.sensors import Sensors, load_sensors
from changedetect.io.stac.params import FetchParams
from changedetect.io.yaml_file import load_yaml, parse_yaml
from changedetect.series.activity import ActivityParams
from changedetect.series.link import LinkParams
from changedetect.steps.baseline import BaselineParams
from changedetect.steps.classify import ClassifyParams
from changedetect.steps.detect import DetectParams
from changedetect.steps.explain import ExplainParams
from changedetect.steps.mask import MaskParams
from changedetect.steps.measure import MeasureParams
from changedetect.steps.normalize import NormalizeParams
from changedetect.steps.plan import GridParams
from changedetect.steps.register import RegisterParams
from changedetect.steps.score import ScoreParams
from changedetect.steps.structure import StructureParams

PRESET_BY_TARGET = {
    "vessel": "port",
    "aircraft": "airfield",
    "crowd": "parade-ground",
    "trench": "training-ground",
    "hut": "training-ground",
    "equipment": "training-ground",
    "other": "general",
}
"""The first of these that an AOI asks for chooses its preset, where it names none."""


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting of a run."""

    fetch: FetchParams = field(default_factory=FetchParams)
    read: ReadParams = field(default_factory=ReadParams)
    mask: MaskParams = field(default_factory=MaskParams)
    grid: GridParams = field(default_factory=GridParams)
    register: RegisterParams = field(default_factory=RegisterParams)
    normalize: NormalizeParams = field(default_factory=NormalizeParams)
    baseline: BaselineParams = field(default_factory=BaselineParams)
    structure: StructureParams = field(default_factory=StructureParams)
    score: ScoreParams = field(default_factory=ScoreParams)
    detect: DetectParams = field(default_factory=DetectParams)
    measure: MeasureParams = field(default_factory=MeasureParams)
    explain: ExplainParams = field(default_factory=ExplainParams)
    classify: ClassifyParams = field(default_factory=ClassifyParams)
    link: LinkParams = field(default_factory=LinkParams)
    activity: ActivityParams = field(default_factory=ActivityParams)
    write: WriteParams = field(default_factory=WriteParams)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain nested data, for run.json."""
        return dataclasses.asdict(self)


def load_config(aoi: Aoi, sets: Sequence[str] = ()) -> Config:
    """Return the settings of a run of `aoi`, with `--set key=value` overrides.

    Raises
    ------
    ConfigError
        An unknown preset or key, a wrong type or a value out of range, naming file and key.
    """
    name = preset_name(aoi)
    path = configs_dir() / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in configs_dir().glob("*.yaml") if p.stem != "sensors")
        raise ConfigError("no such preset", where=f"{aoi.source_path}: preset", found=name, needed=", ".join(known))
    layers = [
        (str(path), load_yaml(path) or {}),
        (f"{aoi.source_path}: settings", aoi.settings),
        ("--set", parse_sets(sets)),
    ]
    merged: dict[str, Any] = {}
    config = Config()
    for where, layer in layers:
        if layer:
            merged = _merge(merged, layer)
            config = validated(Config, merged, where)
    return config


def preset_name(aoi: Aoi) -> str:
    """Return the preset an AOI names or, where it names none, the one its targets choose."""
    if aoi.preset is not None:
        return aoi.preset
    return next(preset for target, preset in PRESET_BY_TARGET.items() if target in aoi.all_targets)


def parse_sets(sets: Sequence[str]) -> dict[str, Any]:
    """Return `step.key=value` texts as nested settings; values are YAML scalars or lists."""
    result: dict[str, Any] = {}
    for text in sets:
        key, sign, value = text.partition("=")
        parts = [part.strip() for part in key.split(".")]
        if not sign or len(parts) < 2 or not all(parts):
            raise ConfigError("is not a setting", where="--set", found=text, needed="step.key=value")
        inner: Any = parse_yaml(value, f"--set {key}")
        for part in reversed(parts):
            inner = {part: inner}
        result = _merge(result, inner)
    return result


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


@cache
def configs_dir() -> Path:
    """Return the folder of presets: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "configs"


@cache
def sensors() -> Sensors:
    """Return the sensor profiles of configs/sensors.yaml."""
    return load_sensors(configs_dir() / "sensors.yaml")

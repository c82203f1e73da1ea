"""Sensor profiles and mask meanings: configs/sensors.yaml, read strictly."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from changedetect.errors import ConfigError

Unit = Literal["reflectance", "radiance", "display", "dn", "sigma0", "amplitude"]
BandName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
QualityName = Literal["nodata", "cloud", "shadow", "haze", "masked", "saturated", "snow", "water"]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # six times as fast, where it was built
UNITS: tuple[str, ...] = ("reflectance", "radiance", "display", "dn", "sigma0", "amplitude")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MaskRule(_Strict):
    """One meaning of a mask's numbers: pixels whose number fits get a quality bit."""

    quality: QualityName
    band: Annotated[int, Field(ge=1)] = 1
    values: tuple[int, ...] | None = None
    """The number is one of these."""
    bit: Annotated[int, Field(ge=0, le=15)] | None = None
    """This bit of the number is set (0 is the lowest)."""
    other_than: int | None = None
    """The number is anything else."""
    grow_m: Annotated[float, Field(ge=0, le=2000)] = 0.0
    """How far the marked area is grown, because masks miss rims, metres."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> MaskRule:
        if sum(given is not None for given in (self.values, self.bit, self.other_than)) != 1:
            raise ValueError("a mask rule needs exactly one of values, bit, other_than")
        return self


class MaskKind(_Strict):
    """What the numbers of a mask file mean."""

    about: str = ""
    rules: Annotated[tuple[MaskRule, ...], Field(min_length=1)]


class Sensor(_Strict):
    """How one product stores its bands."""

    about: str = ""
    unit: Unit
    scale: float = 1.0
    offset: float = 0.0
    """value = number * scale + offset."""
    nodata: float | None = None
    """Assumed where the file names none."""
    gsd_m: Annotated[float, Field(gt=0)] | None = None
    bands: tuple[BandName, ...] = ()
    """Standard names in file order, of files that hold several bands."""
    dtype: str | None = None
    """Pixel type a file must have to be taken for this product without its name saying so."""
    names: tuple[str, ...] = ()
    """Regular expressions searched for in folder and file name; a group `date` is the acquisition."""
    processed: tuple[str, ...] = ()
    """Names that carry the processing date instead: their date is not believed."""
    band_files: dict[str, BandName] = {}
    """End of the file stem to band, where each band has its own file."""
    band_labels: dict[str, BandName] = {}
    """Band description in the file to band."""
    marker_labels: tuple[str, ...] = ()
    """Descriptions that, all present, tell the product without a telling name."""
    mask_files: dict[str, str] = {}
    """End of the file stem to mask kind."""
    ignore_files: tuple[str, ...] = ()
    """Ends of the file stem that are neither bands nor masks."""
    baseline_offset: dict[int, float] = {}
    """Offset from this processing baseline on (N0400 is 400), where the name or a sidecar tells it."""

    @field_validator("names", "processed")
    @classmethod
    def _compiles(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as err:
                raise ValueError(f"not a regular expression: {pattern} ({err})") from err
        return patterns


class Sensors(_Strict):
    """All sensor profiles and mask kinds, in the order they are tried."""

    sensors: dict[str, Sensor]
    masks: dict[str, MaskKind]

    def sensor(self, name: str, where: str = "") -> Sensor:
        """Return one profile by name."""
        if name not in self.sensors:
            raise ConfigError("no such sensor", where=where, found=name, needed="one of " + ", ".join(self.sensors))
        return self.sensors[name]

    def mask(self, kind: str, where: str = "") -> MaskKind:
        """Return one mask meaning by name."""
        if kind not in self.masks:
            raise ConfigError("no such mask kind", where=where, found=kind, needed="one of " + ", ".join(self.masks))
        return self.masks[kind]

    def named_in(self, text: str) -> list[tuple[str, re.Match[str]]]:
        """Return the profiles one of whose names occurs in `text`, with the match, in the table's order."""
        found = []
        for name, sensor in self.sensors.items():
            match = next((m for p in sensor.names if (m := compiled(p).search(text[-400:]))), None)
            if match:
                found.append((name, match))
        return found

    def dated_by_processing(self, text: str) -> bool:
        """Return whether `text` is a product name that carries the time of processing instead of acquisition."""
        patterns = (p for sensor in self.sensors.values() for p in sensor.processed)
        return any(compiled(p).search(text[-400:]) for p in patterns)

    def labelled(self, labels: tuple[str | None, ...]) -> str | None:
        """Return the first profile whose marker descriptions are all among the file's band descriptions."""
        present = set(labels)
        for name, sensor in self.sensors.items():
            if sensor.marker_labels and present.issuperset(sensor.marker_labels):
                return name
        return None


@lru_cache(maxsize=256)
def compiled(text: str) -> re.Pattern[str]:
    """Return a profile's name pattern, which ignores case."""
    return re.compile(text, re.IGNORECASE)


def default_sensors_path() -> Path:
    """Return where the shipped configs/sensors.yaml lies, installed or in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "configs", package.parent / "configs"):
        if (folder / "sensors.yaml").is_file():
            return folder / "sensors.yaml"
    raise ConfigError("the package's configs/sensors.yaml is missing", hint="install the package again")


def load_sensors(path: str | Path | None = None) -> Sensors:
    """Return the sensor profiles and mask meanings of a YAML file (default: the shipped one).

    Raises
    ------
    ConfigError
        Not YAML, unknown keys, wrong types, or a mask kind that does not exist.
    """
    file = Path(path) if path is not None else default_sensors_path()
    return _load(str(file), file.stat().st_mtime_ns if file.is_file() else 0)


@lru_cache(maxsize=8)
def _load(path: str, stamp: int) -> Sensors:
    del stamp  # part of the key only: a changed file is read again
    try:
        plain = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - both are safe
    except OSError as err:
        raise ConfigError("cannot be read", where=path, found=err.strerror) from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise ConfigError("is not YAML", where=path, found=str(err).splitlines()[0]) from err
    try:
        table = Sensors.model_validate(plain)
    except ValidationError as err:
        raise ConfigError(*_first_problem(err), where=path) from err
    for name, sensor in table.sensors.items():
        for kind in sensor.mask_files.values():
            table.mask(kind, where=f"{path}: sensors.{name}.mask_files")
    return table


def _first_problem(err: ValidationError) -> tuple[str]:
    first = err.errors(include_url=False)[0]
    return (f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}",)

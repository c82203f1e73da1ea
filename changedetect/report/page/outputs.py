"""An output folder, read back: all that the page is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from changedetect.core.plain import parse_object
from changedetect.errors import DataError
from changedetect.report.page.imagery import FOLDER, INDEX

MARKER = "run.json"


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files of a run, parsed."""

    folder: Path
    run: dict[str, Any]
    summary: dict[str, Any]
    changes: dict[str, Any]
    detections: dict[str, Any]
    zones: dict[str, Any]
    imagery: dict[str, Any] = field(default_factory=dict)
    """Empty where the run wrote no imagery: the page then says so."""

    @property
    def features(self) -> list[dict[str, Any]]:
        """The change objects."""
        return list(self.changes["features"])

    @property
    def scenes(self) -> list[dict[str, Any]]:
        """The records of the scenes, in order of time."""
        return sorted(self.run["scenes"], key=lambda scene: (scene["datetime"], scene["id"]))


def load_outputs(folder: str | Path) -> Outputs:
    """Return what a run wrote into `folder`.

    Raises
    ------
    DataError
        The folder is not an output folder, or one of its files cannot be read.
    """
    place = Path(folder)
    if not (place / MARKER).is_file():
        raise DataError(
            "is no output folder of changedetect: it has no run.json",
            where=str(place),
            hint="the folder that changedetect run has printed",
        )
    nothing: dict[str, Any] = {"features": []}
    return Outputs(
        folder=place,
        run=read_json(place / MARKER),
        summary=read_json(place / "summary.json"),
        changes=read_json(place / "changes.geojson"),
        detections=read_json(place / "detections.geojson"),
        zones=read_json(place / "zones.geojson", nothing),
        imagery=read_json(place / FOLDER / INDEX, {}),
    )


def read_json(path: Path, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the JSON object in a file, or `missing`, where given, if there is no such file.

    Raises
    ------
    DataError
        There is no such file, or it holds no JSON object.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        if missing is not None:
            return missing
        raise DataError("no such file", where=str(path)) from None
    except OSError as error:
        raise DataError("cannot be read", where=str(path), found=error.strerror) from error
    return parse_object(text, str(path))

"""What is written for a GIS: pictures of the place before and after, styles, a QGIS project, KMZ and a STAC Item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from changedetect.config import Config
from changedetect.core.comparable import colours_of
from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.core.run import RunResults
from changedetect.io.write_raster import score_names, write_picture
from changedetect.members import Member, Windows
from changedetect.report import images
from changedetect.report.gis import write_kmz, write_project, write_sidecars, write_stac_item
from changedetect.report.overview import overview_scene
from changedetect.stack import Stack

_SAMPLE_PX = 1500
"""Longer side of the coarse pictures that the stretch is taken from."""


@dataclass(frozen=True, slots=True)
class _View:
    """One picture of the place."""

    path: str
    title: str
    record: Mapping[str, Any]
    member: Member
    grid: Grid


def place_writers(stack: Stack, results: RunResults, config: Config, windows: Windows) -> list[Callable[[Path], Any]]:
    """Return the writer of pictures of the place, which needs nothing that others write."""
    views = _views(stack, results) if config.write.imagery else []
    return [partial(_write_imagery, views=views, windows=windows, simulated=results.simulated)]


def map_writers(stack: Stack, results: RunResults, config: Config) -> list[Callable[[Path], Any]]:
    """Return the writers of what a GIS opens; they come last, as the STAC Item lists what is in the folder."""
    views = _views(stack, results) if config.write.imagery else []
    scores = score_names([look for look in results.looks if look.score is not None]) if config.write.score else []
    shown = {view.title: view.path for view in views}
    return [
        partial(write_sidecars, scores=scores),
        partial(write_project, results=results, images=shown, scores=scores),
        partial(write_kmz, results=results),
        partial(write_stac_item, results=results),
    ]


def _views(stack: Stack, results: RunResults) -> list[_View]:
    """Return what is shown: after, the finest and clearest look with most changes; before, the last of the baseline."""
    members = {member.scene.id: member for member in stack.members}
    before = [record for record in results.scene_records if record["used"] and record.get("baseline")]
    chosen = {"after": overview_scene(results), "before": before[-1] if before else None}
    return [
        _View(
            f"imagery/{which}.tif",
            f"{which.capitalize()}, {record['datetime']}, {record['sensor']}",
            record,
            members[record["id"]],
            results.grid.coarsen(members[record["id"]].factor),
        )
        for which, record in chosen.items()
        if record is not None
    ]


def _write_imagery(folder: Path, views: list[_View], windows: Windows, simulated: bool) -> None:
    if not views:
        return
    colours = colours_of(view.member.scene for view in views)
    samples = [
        windows.of(view.member, view.grid.coarsen(max(1, max(view.grid.shape) // _SAMPLE_PX)), colours)
        for view in views
    ]
    together = images.shown_bands(samples)
    for view, sample in zip(views, samples, strict=True):
        # sensors without a band in common are stretched each for itself
        bands = together or images.shown_bands([sample])
        stretch = images.common_stretch(samples if together else [sample], bands)
        tags = {
            "acquired": str(view.record["datetime"]),
            "sensor": str(view.record["sensor"]),
            "scene_id": str(view.record["id"]),
            "shows": ", ".join(bands),
            "stretch": images.STRETCH_NOTE,
            "simulated": "SIMULATED" if simulated else "no",
        }
        picture = partial(_draw, member=view.member, windows=windows, bands=bands, stretch=stretch)
        write_picture(folder / view.path, view.grid, picture, tags)


def _draw(
    grid: Grid, member: Member, windows: Windows, bands: tuple[str, ...], stretch: images.Stretch
) -> NDArray[np.uint8]:
    raster = windows.of(member, grid, bands)
    picture = images.to_picture(raster, bands, stretch, (grid.shape[1], grid.shape[0]))
    opaque = (raster.quality & np.uint16(Quality.NODATA)) == 0
    return np.concatenate([np.moveaxis(np.asarray(picture), -1, 0), opaque[None] * np.uint8(255)])

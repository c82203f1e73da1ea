"""What is written beside the tables: pictures of the changes, read at full resolution, and a simulation's truth."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from changedetect.config import Config
from changedetect.core.raster import Raster
from changedetect.core.run import RunResults
from changedetect.gather import Series
from changedetect.report.overview import draw_overview, overview_grid, overview_scene
from changedetect.report.quicklooks import Which, chip_grid, chip_scene, draw_quicklooks
from changedetect.stack import Member, Stack, read_member


def extra_writers(series: Series, stack: Stack, results: RunResults, config: Config) -> list[Callable[[Path], Any]]:
    """Return the writers of pictures and, for simulated scenes, of what was planted."""
    members = {member.scene.id: member for member in stack.members}
    writers: list[Callable[[Path], Any]] = [
        partial(_write_quicklooks, members=members, results=results, config=config),
        partial(_write_overview, members=members, results=results, config=config),
    ]
    if series.truth is not None:
        writers.append(partial(_copy_truth, series.truth))
    return writers


def _write_quicklooks(folder: Path, members: Mapping[str, Member], results: RunResults, config: Config) -> None:
    def window(change: Mapping[str, Any], which: Which) -> Raster | None:
        record = chip_scene(change, which, results.scene_records)
        if record is None:
            return None
        return read_member(members[record["id"]], chip_grid(change, results.grid, config.write), config)

    draw_quicklooks(folder, results, window, config.write)


def _write_overview(folder: Path, members: Mapping[str, Member], results: RunResults, config: Config) -> None:
    record = overview_scene(results)
    if record is not None:
        image = read_member(members[record["id"]], overview_grid(results, config.write), config)
        draw_overview(folder, results, image, config.write)


def _copy_truth(truth: Path, folder: Path) -> None:
    shutil.copyfile(truth, folder / truth.name)

"""Before/after pictures of each change."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from PIL import Image

from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.core.run import RunResults, WriteParams
from changedetect.core.times import to_iso
from changedetect.report import figures, images

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

logger = logging.getLogger(__name__)

Which = Literal["before", "after"]

Window = Callable[[Mapping[str, Any], Which], Raster | None]
"""Returns the pixels of the `chip_grid` of a change on its `chip_scene` before or after; None where there are none."""

_HEAD_PX, _CAPTION_PX, _FOOT_PX, _GAP_PX = 34, 24, 24, 8


def draw_quicklooks(folder: Path, results: RunResults, window: Window, params: WriteParams) -> int:
    """Write one PNG per change into `folder`/quicklooks, the most confident ones; return how many.

    Both dates have the same stretch, which the picture states, with date, sensor, scale bar and outline.
    """
    changes = results.changes.sort_values(["confidence", "id"], ascending=[False, True], kind="stable")
    shown = changes.head(params.max_quicklooks).to_dict("records")
    (folder / "quicklooks").mkdir(exist_ok=True)
    for change in shown:
        chips = {which: window(change, which) for which in ("before", "after")}
        picture = draw_quicklook(change, chips["before"], chips["after"], results, params)
        images.save_png(picture, folder / "quicklooks" / quicklook_name(str(change["id"])))
    if len(changes) > len(shown):
        left = len(changes) - len(shown)
        logger.info("%d less confident changes have no quicklook; --set write.max_quicklooks=%d", left, len(changes))
    return len(shown)


def quicklook_name(change_id: str) -> str:
    """Return the file name of a change's picture."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", change_id) + ".png"


def chip_grid(change: Mapping[str, Any], grid: Grid, params: WriteParams) -> Grid:
    """Return the square grid around a change that its chips show, in the lattice of `grid` or coarser."""
    left, bottom, right, top = change["geometry"].bounds
    side = max(right - left, top - bottom) + 2 * params.chip_context_m
    x, y = (left + right) / 2, (bottom + top) / 2
    coarser = max(1, math.floor(side / grid.gsd_m / (2 * params.chip_px)))
    return Grid.from_bounds(grid.crs, (x - side / 2, y - side / 2, x + side / 2, y + side / 2), grid.gsd_m * coarser)


def chip_scene(change: Mapping[str, Any], which: Which, records: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the record of the scene that shows a change best; None if none does.

    After: the finest look at which it is present, the first of them. Before: the finest look without it before it
    was first seen, the last of them; failing that the last scene used before.
    """
    by_time = {record["datetime"]: dict(record) for record in records if record["used"]}
    states = [(to_iso(time) or "", state) for time, state in change["looks"] or ()]
    first = to_iso(change["first_seen"]) or ""
    if which == "after":
        found = [by_time[time] for time, state in states if state == "present" and time in by_time]
        return min(found, key=lambda record: record["gsd_m"], default=None)
    absent = [by_time[time] for time, state in states if state == "absent" and time in by_time and time < first]
    earlier = [record for time, record in sorted(by_time.items()) if time < first]
    return min(reversed(absent), key=lambda record: record["gsd_m"], default=None) or (earlier[-1] if earlier else None)


def draw_quicklook(
    change: Mapping[str, Any], before: Raster | None, after: Raster | None, results: RunResults, params: WriteParams
) -> Image.Image:
    """Return the picture of one change: two chips side by side with their captions."""
    side = params.chip_px
    width = 2 * side + 3 * _GAP_PX
    picture = Image.new("RGB", (width, _HEAD_PX + _CAPTION_PX + side + _FOOT_PX), images.PAPER)
    figures.write_head(picture, _title(change), simulated=results.simulated)
    rasters = [raster for raster in (before, after) if raster is not None]
    bands = images.shown_bands(rasters) if rasters else ()
    stretch = images.common_stretch(rasters, bands)
    pair: tuple[tuple[Which, Raster | None], ...] = (("before", before), ("after", after))
    for place, (which, raster) in enumerate(pair):
        left = _GAP_PX + place * (side + _GAP_PX)
        record = chip_scene(change, which, results.scene_records)
        images.write(picture, (left, _HEAD_PX + 2), _caption(which, record), 14, images.INK)
        chip = _draw_chip(raster, bands, stretch, change, side)
        picture.paste(chip, (left, _HEAD_PX + _CAPTION_PX))
    shown = ", ".join(bands) or "nothing"
    note = f"{change['aoi']}   stretch: {images.STRETCH_NOTE} ({shown})   north is up"
    images.write(picture, (_GAP_PX, picture.height - _FOOT_PX + 5), note, 12, images.GREY)
    return picture


def _draw_chip(
    raster: Raster | None, bands: Sequence[str], stretch: images.Stretch, change: Mapping[str, Any], side: int
) -> Image.Image:
    if raster is None or not bands:
        chip = Image.new("RGB", (side, side), (60, 60, 65))
        images.write(chip, (side / 2 - 62, side / 2 - 10), "no clear look", 18, images.PAPER)
        return chip
    chip = images.to_picture(raster, bands, stretch, (side, side))
    colour = images.CLASS_COLOURS.get(str(change["class"]), images.PAPER)
    images.draw_outline(chip, _around(change["geometry"], raster.grid.gsd_m), raster.grid, colour)
    images.draw_scale_bar(chip, raster.grid.shape[1] * raster.grid.gsd_m / side)
    return chip


def _around(shape: BaseGeometry, gsd_m: float) -> BaseGeometry:
    """Return the outline just outside of a shape, so that the line does not cover what it points at."""
    return shape.buffer(1.5 * gsd_m, join_style="mitre")


def _title(change: Mapping[str, Any]) -> str:
    count = "" if pd.isna(change["count"]) or int(change["count"]) == 1 else f" x {int(change['count'])}"
    sizes = [f"{change['area_m2']:.0f} m2"] if not pd.isna(change["area_m2"]) else []
    sure = [f"confidence {change['confidence']:.2f}"] if not pd.isna(change["confidence"]) else []
    return "   ".join([f"{change['class']}{count} {change['status']}", *sizes, *sure, str(change["id"])])


def _caption(which: Which, record: Mapping[str, Any] | None) -> str:
    if record is None:
        return f"{which.upper()}  no clear look"
    return f"{which.upper()}  {figures.caption(None, record)}"

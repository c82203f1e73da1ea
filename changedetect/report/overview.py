"""One picture of the whole place with everything that was found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from changedetect.core.aoi import TARGETS
from changedetect.core.geometry import to_crs
from changedetect.core.grid import Grid
from changedetect.core.times import to_iso
from changedetect.report import figures, images

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapely.geometry.base import BaseGeometry

    from changedetect.core.raster import Raster
    from changedetect.core.run import RunResults, WriteParams

_HEAD_PX, _LEGEND_PX, _NARROWEST_PX = 34, 30, 560

_SHOWN_PX = 800
"""About as wide as a page or a screen shows the picture; of larger ones words and lines are as many times as large."""

_CLEAR_ENOUGH = 0.9
"""Scenes at least this clear, relative to the clearest, compete by what they show."""


def overview_scene(results: RunResults) -> dict[str, Any] | None:
    """Return the record of the scene the overview shows; None if none was used.

    Of the finest and clearest: the one on which most of the changes are present, the last of equals.
    """
    used = [dict(record) for record in results.scene_records if record["used"] and not record.get("baseline")]
    finest = min((record["gsd_m"] for record in used), default=0.0)
    sharp = [record for record in used if record["gsd_m"] <= 1.5 * finest]
    clearest = max((record["clear_fraction"] for record in sharp), default=0.0)
    clear = [record for record in sharp if record["clear_fraction"] >= _CLEAR_ENOUGH * clearest]
    shown = Counter(time for change in results.changes.to_dict("records") for time in _times_present(change))
    return max(clear, key=lambda record: (shown[record["datetime"]], record["datetime"]), default=None)


def overview_grid(results: RunResults, params: WriteParams) -> Grid:
    """Return the grid of the overview: the AOI within the run's grid, coarser where it is larger than the picture."""
    grid = results.grid
    margin_m = 0.01 * max(grid.shape) * grid.gsd_m
    shown = _area(results).buffer(margin_m).intersection(grid.extent)
    factor = max(1, round(max(grid.shape) / params.overview_px))
    return Grid.from_bounds(grid.crs, shown.bounds, grid.gsd_m * factor) if shown.area else grid.coarsen(factor)


def draw_overview(folder: Path, results: RunResults, image: Raster, params: WriteParams) -> None:
    """Write `folder`/overview.png: an image with the outlines of all changes by class, legend, scale bar and north.

    Changes that are present on the date of the image have a thick outline, those of other dates a thin one.
    """
    grid = image.grid
    scale, times = params.overview_px / max(grid.shape), max(1, round(params.overview_px / _SHOWN_PX))
    size = (max(1, round(grid.shape[1] * scale)), max(1, round(grid.shape[0] * scale)))
    bands = images.shown_bands([image])
    view = images.to_picture(image, bands, images.common_stretch([image], bands), size)
    images.draw_outline(view, _area(results), grid, (200, 200, 200), 1)
    record = overview_scene(results)
    for change in results.changes.to_dict("records"):
        shape = change["geometry"].buffer(1.5 * grid.gsd_m, join_style="mitre")
        width_px = times * (3 if record and record["datetime"] in _times_present(change) else 1)
        images.draw_outline(view, shape, grid, images.CLASS_COLOURS.get(change["class"], images.PAPER), width_px)
    images.draw_scale_bar(view, grid.gsd_m / scale, times)
    images.draw_north(view, times)
    wide, high = max(size[0], _NARROWEST_PX * times), size[1] + (_HEAD_PX + _LEGEND_PX) * times
    page = Image.new("RGB", (wide, high), images.PAPER)
    page.paste(view, (0, _HEAD_PX * times))
    _draw_head(page, results, times)
    _draw_legend(page, results, size[1] + (_HEAD_PX + 7) * times, times)
    images.save_png(page, folder / "overview.png")


def _times_present(change: Mapping[str, Any]) -> list[str | None]:
    return [to_iso(time) for time, state in change["looks"] or () if state == "present"]


def _area(results: RunResults) -> BaseGeometry:
    return to_crs(results.aoi.geometry, results.grid.crs)


def _draw_head(page: Image.Image, results: RunResults, times: int) -> None:
    record = overview_scene(results)
    title = figures.caption(results.aoi.name, record) if record else results.aoi.name
    figures.write_head(page, title, simulated=results.simulated, at=(8 * times, 8 * times), size_px=17 * times)


def _draw_legend(page: Image.Image, results: RunResults, top: float, times: int) -> None:
    counts = Counter(results.changes["class"])
    x: float = 8 * times
    pen = ImageDraw.Draw(page)
    for kind in (name for name in TARGETS if counts[name]):
        box = (x, top + times, x + 15 * times, top + 15 * times)
        pen.rectangle(box, fill=images.CLASS_COLOURS[kind], outline=images.INK)
        x = images.write(page, (x + 21 * times, top), f"{kind} {counts[kind]}", 15 * times) + 22 * times
    said = "thin: present on other dates only" if counts else "no changes"
    images.write(page, (x, top), said, 15 * times, images.GREY)

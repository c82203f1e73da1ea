"""Figures for notebooks and documentation, in one style: each says what, where, when, by which sensor and scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from changedetect.core.quality import is_valid
from changedetect.report import images

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.raster import Raster
    from changedetect.core.scene import Scene

SIDE_PX = 360
"""Width of a panel: one fills a telephone, three a page."""

_HEAD_PX, _FOOT_PX, _GAP_PX = 28, 42, 10
_UNSEEN = (120, 120, 130)
_BRIGHTER, _DARKER = (178, 70, 0), (20, 80, 160)
"""Orange and blue, told apart by the colour-blind too."""

_SEEN, _PARTLY, _HIDDEN = (0, 114, 178), (150, 200, 230), (200, 200, 205)


def caption(place: str | None, scene: Scene | Mapping[str, Any]) -> str:
    """Return place (unless told elsewhere), date, sensor and pixel size of a scene or of its record in run.json."""
    if isinstance(scene, Mapping):
        time, sensor, gsd_m = scene["datetime"], scene.get("sensor"), scene["gsd_m"]
    else:
        time, sensor, gsd_m = scene.acquired, scene.sensor, scene.gsd_m
    said = [
        *([place] if place else []),
        f"{pd.Timestamp(time):%Y-%m-%d %H:%M} UTC",
        *([sensor] if sensor else []),
        f"{gsd_m:.3g} m",
    ]
    return ", ".join(said)


def write_head(
    page: Image.Image, text: str, *, simulated: bool, at: tuple[float, float] = (8, 8), size_px: int = 17
) -> None:
    """Write a title at the top of a page, smaller where it is long, and at its right SIMULATED or REAL."""
    word, colour = ("SIMULATED", images.WARNING) if simulated else ("REAL", images.GREY)
    right = page.width - at[0] - images.text_width(word, size_px)
    room, size = right - at[0] - size_px, size_px
    while images.text_width(text, size) > room and size > size_px // 2:
        size -= 1
    images.write(page, at, text, size)
    images.write(page, (right, at[1]), word, size_px, colour)


def draw_photo(
    raster: Raster,
    stretch: images.Stretch | None = None,
    outlines: Sequence[tuple[BaseGeometry, str]] = (),
    side_px: int = SIDE_PX,
) -> Image.Image:
    """Return a raster in natural colours with its scale bar, and the outlines of (geometry, class) on it.

    Pass the same `stretch` for pictures that are to be compared.
    """
    bands = images.shown_bands([raster])
    view = images.to_picture(raster, bands, stretch or images.common_stretch([raster], bands), _size(raster, side_px))
    for shape, kind in outlines:
        around = shape.buffer(1.5 * raster.grid.gsd_m, join_style="mitre")
        images.draw_outline(view, around, raster.grid, images.CLASS_COLOURS.get(kind, images.PAPER), 2)
    images.draw_scale_bar(view, raster.grid.shape[1] * raster.grid.gsd_m / view.width)
    return view


def draw_score(score: Raster, limit_sigma: float = 20.0, side_px: int = SIDE_PX) -> Image.Image:
    """Return a change score as colours: orange brighter, blue darker, white unchanged, grey not seen."""
    share = np.clip(score.band("score") / limit_sigma, -1.0, 1.0)
    towards = np.where(share[..., None] > 0, np.array(_BRIGHTER), np.array(_DARKER))
    pixels = 255 + np.abs(np.nan_to_num(share))[..., None] * (towards - 255)
    pixels[~is_valid(score.quality) | np.isnan(share)] = _UNSEEN
    view = _to_image(pixels).resize(_size(score, side_px), Image.Resampling.NEAREST)
    images.draw_scale_bar(view, score.grid.shape[1] * score.grid.gsd_m / view.width)
    _draw_legend(view, limit_sigma)
    return view


def draw_overlay(before: Raster, after: Raster, side_px: int = SIDE_PX) -> Image.Image:
    """Return two scenes in one picture, before in red and after in cyan: what fits is grey, the rest has fringes."""
    band = next(name for name in ("red", "green", "nir", *before.bands) if name in before.bands and name in after.bands)
    layers = []
    for raster in (before, after):
        ((low, high),) = images.common_stretch([raster], (band,))
        layers.append(np.clip((raster.band(band) - low) / (high - low), 0, 1) * 255)
    pixels = np.stack([layers[0], layers[1], layers[1]], axis=-1)
    pixels[~(before.valid & after.valid)] = _UNSEEN
    view = _to_image(pixels).resize(_size(before, side_px), Image.Resampling.NEAREST)
    images.draw_scale_bar(view, before.grid.shape[1] * before.grid.gsd_m / view.width)
    return view


def frame(view: Image.Image, title: str, said: str, *, simulated: bool) -> Image.Image:
    """Return a panel: a picture with its title, SIMULATED or REAL, and below it what it shows."""
    panel = Image.new("RGB", (view.width, view.height + _HEAD_PX + _FOOT_PX), images.PAPER)
    panel.paste(view, (0, _HEAD_PX))
    write_head(panel, title, simulated=simulated, at=(2, 5), size_px=16)
    for row, line in enumerate(_lines(said, view.width)):
        images.write(panel, (2, _HEAD_PX + view.height + 4 + 18 * row), line, 14, images.INK)
    return panel


def join_panels(panels: Sequence[Image.Image], per_row: int = 3) -> Image.Image:
    """Return panels side by side, `per_row` in a row."""
    rows = [panels[i : i + per_row] for i in range(0, len(panels), per_row)]
    width = max(sum(panel.width + _GAP_PX for panel in row) for row in rows) - _GAP_PX
    heights = [max(panel.height for panel in row) for row in rows]
    page = Image.new("RGB", (width, sum(heights) + _GAP_PX * (len(rows) - 1)), images.PAPER)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for panel in row:
            page.paste(panel, (left, top))
            left += panel.width + _GAP_PX
        top += height + _GAP_PX
    return page


def draw_timeline(
    activity: pd.DataFrame, kind: str, title: str, *, simulated: bool, width_px: int = 2 * SIDE_PX
) -> Image.Image:
    """Return how many of a class were seen per zone over the dates; what was not seen is grey, never empty.

    `activity` has the columns of activity.csv.
    """
    rows = activity[activity["class"] == kind]
    zones = list(dict.fromkeys(rows["zone"]))
    lane, left, top = 64, 96, 36
    page = Image.new("RGB", (width_px, top + lane * len(zones) + 62), images.PAPER)
    write_head(page, title, simulated=simulated, at=(2, 5), size_px=16)
    times = pd.to_datetime(rows["datetime"], utc=True)
    place = _Axis(times.min(), times.max(), left + 8, width_px - 14)
    most = max(1, int(rows["count"].fillna(0).max()))
    for number, zone in enumerate(zones):
        _draw_lane(page, rows[rows["zone"] == zone], place, top + lane * number, (lane, most))
        images.write(page, (2, top + lane * number + lane - 32), str(zone)[:13], 14)
    place.draw_dates(page, top + lane * len(zones) + 4)
    _draw_key(page, page.height - 26)
    return page


class _Axis:
    """Where a time is drawn."""

    def __init__(self, first: pd.Timestamp, last: pd.Timestamp, left: float, right: float) -> None:
        self._first, self._left = first, left
        self._px_per_s: float = (right - left) / max(1.0, (last - first).total_seconds())
        self._span = (first, last)

    def x(self, time: pd.Timestamp) -> float:
        return self._left + float((time - self._first) / pd.Timedelta(seconds=1)) * self._px_per_s

    def draw_dates(self, page: Image.Image, top: float) -> None:
        for time in (self._span[0], self._span[0] + (self._span[1] - self._span[0]) / 2, self._span[1]):
            x = self.x(time)
            images.write(page, (min(max(0.0, x - 38), page.width - 78), top), f"{time:%Y-%m-%d}", 14, images.GREY)


def _draw_lane(page: Image.Image, rows: pd.DataFrame, place: _Axis, top: float, scale: tuple[int, int]) -> None:
    lane, most = scale
    pen, base = ImageDraw.Draw(page), top + lane - 14
    pen.line((place.x(place._span[0]) - 6, base, page.width - 8, base), fill=(150, 150, 150))
    for row in rows.to_dict("records"):
        x = place.x(pd.Timestamp(row["datetime"]))
        if row["status"] == "obscured" or pd.isna(row["count"]):
            pen.rectangle((x - 2, base + 3, x + 2, base + 9), fill=_HIDDEN, outline=images.GREY)
            continue
        colour = _SEEN if row["status"] == "clear" else _PARTLY
        pen.rectangle((x - 2, base + 3, x + 2, base + 9), fill=colour)
        count = int(row["count"])
        if count:
            height = (lane - 34) * count / most
            pen.rectangle((x - 3, base - height, x + 3, base - 1), fill=colour, outline=images.INK)
            if len(rows) <= 16:
                images.write(page, (x - 4, base - height - 17), str(count), 13)


def _draw_key(page: Image.Image, top: float) -> None:
    pen, x = ImageDraw.Draw(page), 4.0
    for colour, words in ((_SEEN, "clear look"), (_PARTLY, "partly seen"), (_HIDDEN, "not seen: unknown, not zero")):
        pen.rectangle((x, top + 4, x + 10, top + 14), fill=colour, outline=images.GREY)
        x = images.write(page, (x + 16, top), words, 14) + 16


def _draw_legend(view: Image.Image, limit_sigma: float) -> None:
    pen, width = ImageDraw.Draw(view), 120
    left, top = view.width - width - 12, view.height - 16
    pen.rectangle((left - 2, top - 2, left + width + 2, top + 10), fill=(0, 0, 0))
    for i in range(width):
        share = 2 * i / (width - 1) - 1
        towards = _BRIGHTER if share > 0 else _DARKER
        pen.line((left + i, top, left + i, top + 8), fill=tuple(round(255 + abs(share) * (c - 255)) for c in towards))
    images.write(view, (left - 8, top - 22), f"-{limit_sigma:g}", 14, images.PAPER, halo=True)
    images.write(view, (left + width - 66, top - 22), f"+{limit_sigma:g} sigma", 14, images.PAPER, halo=True)


def _lines(text: str, width_px: int) -> list[str]:
    """Return text broken into at most two lines that fit, at its commas."""
    per_line = math.floor(width_px / 7.0)
    if len(text) <= per_line:
        return [text]
    cut = text.rfind(", ", 0, per_line)
    cut = cut + 1 if cut > 0 else per_line
    rest = text[cut:].strip()
    return [text[:cut], rest if len(rest) <= per_line else rest[: per_line - 1] + "…"]


def _size(raster: Raster, side_px: int) -> tuple[int, int]:
    rows, cols = raster.grid.shape
    return side_px, max(1, round(side_px * rows / cols))


def _to_image(pixels: NDArray[Any]) -> Image.Image:
    return Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))

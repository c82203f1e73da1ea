"""Rasters as pictures: stretch, outlines, scale bars and captions."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from shapely.geometry import MultiPolygon, Polygon

from changedetect.core.quality import Quality

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from changedetect.core.grid import Grid
    from changedetect.core.raster import Raster

Colour = tuple[int, int, int]
Stretch = tuple[tuple[float, float], ...]

CLASS_COLOURS: dict[str, Colour] = {
    "trench": (230, 159, 0),
    "hut": (86, 180, 233),
    "vessel": (0, 200, 140),
    "equipment": (240, 228, 66),
    "aircraft": (204, 121, 167),
    "crowd": (240, 90, 20),
    "other": (255, 255, 255),
}
"""Okabe and Ito's colours, told apart by the colour-blind too, some lightened for dark ground."""

PAPER, INK, GREY, WARNING = (255, 255, 255), (25, 25, 25), (110, 110, 110), (200, 30, 30)

_NO_DATA = (90, 90, 100)
_LOW_PERCENT, _HIGH_PERCENT = 1.0, 99.0

STRETCH_NOTE = f"{_LOW_PERCENT:g}-{_HIGH_PERCENT:g} % of both dates"


def shown_bands(rasters: Sequence[Raster]) -> tuple[str, ...]:
    """Return red, green and blue where all rasters have them, else the first band they share (none: empty)."""
    shared = [band for band in rasters[0].bands if all(band in raster.bands for raster in rasters)]
    if {"red", "green", "blue"} <= set(shared):
        return ("red", "green", "blue")
    return tuple(shared[:1])


def common_stretch(rasters: Sequence[Raster], bands: Sequence[str]) -> Stretch:
    """Return one (black, white) pair per band that suits all rasters, from percentiles of their usable pixels."""
    pairs = []
    for band in bands:
        values = np.concatenate([_sample(raster, band) for raster in rasters])
        low, high = np.percentile(values, (_LOW_PERCENT, _HIGH_PERCENT)) if values.size else (0.0, 1.0)
        pairs.append((float(low), float(high) if high > low else float(low) + 1.0))
    return tuple(pairs)


def to_picture(raster: Raster, bands: Sequence[str], stretch: Stretch, size_px: tuple[int, int]) -> Image.Image:
    """Return the raster as a picture of `size_px` (width, height); pixels without data are grey-blue."""
    layers = [_to_bytes(raster.band(band), low, high) for band, (low, high) in zip(bands, stretch, strict=True)]
    pixels = np.stack(layers * 3 if len(layers) == 1 else layers, axis=-1)
    pixels[(raster.quality & np.uint16(Quality.NODATA)) != 0] = _NO_DATA
    enlarged = size_px[0] >= raster.grid.shape[1]
    # enlarged pixels stay square: a picture must not show detail that the sensor did not see
    return Image.fromarray(pixels).resize(size_px, Image.Resampling.NEAREST if enlarged else Image.Resampling.BOX)


def draw_outline(picture: Image.Image, shape: BaseGeometry, grid: Grid, colour: Colour, width_px: int = 2) -> None:
    """Draw the outline of a shape, in the reference system of `grid`, on a picture that shows that grid."""
    pen = ImageDraw.Draw(picture)
    scale_x, scale_y = picture.width / grid.shape[1], picture.height / grid.shape[0]
    parts = shape.geoms if isinstance(shape, MultiPolygon) else [shape]
    for part in parts:
        if not isinstance(part, Polygon):
            continue
        for ring in (part.exterior, *part.interiors):
            xy = np.asarray(ring.coords)[:, :2]
            col = (xy[:, 0] - grid.transform.c) / grid.gsd_m * scale_x
            row = (grid.transform.f - xy[:, 1]) / grid.gsd_m * scale_y
            points = list(zip(col.tolist(), row.tolist(), strict=True))
            pen.line(points, fill=(0, 0, 0), width=width_px + 2, joint="curve")
            pen.line(points, fill=colour, width=width_px, joint="curve")


def draw_scale_bar(picture: Image.Image, metres_per_px: float, times: int = 1) -> float:
    """Draw a bar of a round length at the bottom left, `times` as thick as usual; return that length in metres."""
    length_m = round_length_m(picture.width * metres_per_px / 3)
    pen = ImageDraw.Draw(picture)
    left, bottom, bar = 12 * times, picture.height - 14 * times, length_m / metres_per_px
    rim, thick = 2 * times, 4 * times
    pen.rectangle((left - rim, bottom - rim, left + bar + rim, bottom + thick + rim), fill=(0, 0, 0))
    pen.rectangle((left, bottom, left + bar, bottom + thick), fill=PAPER)
    label = f"{length_m:g} m" if length_m < 1000 else f"{length_m / 1000:g} km"
    write(picture, (left, bottom - 22 * times), label, 15 * times, PAPER, halo=True)
    return length_m


def draw_north(picture: Image.Image, times: int = 1) -> None:
    """Draw an arrow to grid north at the top right, `times` as large as usual."""
    pen = ImageDraw.Draw(picture)
    x, top = picture.width - 24 * times, 14 * times
    corners = ((0, 0), (-9, 26), (0, 20), (9, 26))
    pen.polygon([(x + dx * times, top + dy * times) for dx, dy in corners], fill=PAPER, outline=(0, 0, 0))
    write(picture, (x - 5 * times, top + 28 * times), "N", 15 * times, PAPER, halo=True)


def write(
    picture: Image.Image, at: tuple[float, float], text: str, size_px: int, colour: Colour = INK, *, halo: bool = False
) -> float:
    """Write text with its top left at `at`; return the x where it ends."""
    font = ImageFont.load_default(size_px)
    pen = ImageDraw.Draw(picture)
    pen.text(at, text, fill=colour, font=font, stroke_width=2 if halo else 0, stroke_fill=(0, 0, 0))
    return at[0] + float(pen.textlength(text, font=font))


def save_png(picture: Image.Image, path: Path) -> None:
    """Save a picture losslessly.

    Looking for nothing but runs takes a fifth of the time, and pictures of ground grow by 1 %.
    """
    picture.save(path, "PNG", compress_type=zlib.Z_RLE)


def text_width(text: str, size_px: int) -> float:
    """Return how wide a text is written, in pixels."""
    return float(ImageFont.load_default(size_px).getlength(text))


def round_length_m(most_m: float) -> float:
    """Return the longest of 1, 2, 5 times a power of ten that is at most `most_m`."""
    power = 10.0 ** math.floor(math.log10(most_m))
    return next(power * step for step in (5, 2, 1) if power * step <= most_m * (1 + 1e-9))


def _sample(raster: Raster, band: str) -> NDArray[np.float32]:
    values = raster.band(band)[raster.valid]
    return values[:: max(1, values.size // 200_000)]


def _to_bytes(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    return np.asarray(np.clip((values - low) / (high - low), 0, 1) * 255 + 0.5, np.uint8)

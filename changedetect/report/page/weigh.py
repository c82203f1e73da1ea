"""Pictures as WebP within a number of bytes: what a page that is passed on by mail can carry."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image
from PIL import WebPImagePlugin as _  # noqa: F401 - registers itself: else Pillow imports every format to find it

QUALITIES = (82, 68, 52, 38)
"""WebP qualities that are tried before a picture is made smaller: below the last, small objects smear."""

TILE_PX = 1024
"""Larger pictures are cut into tiles, so that a browser decodes only what it shows."""

BYTES_PER_PX = 0.16
"""Of satellite imagery at a middling quality; only where the search begins."""

NATIVE_BYTES_PER_PX = 0.12
"""With which nearly all chips keep their pixels at one of `QUALITIES`; with less they would have to get coarser."""

LOSSLESS_BYTES_PER_PX = 0.5
"""Even smooth imagery is seldom smaller when nothing is lost; trying costs more than all the qualities together."""

INLINED = 4 / 3
"""Characters of base64 per byte."""

_SMALLEST_PX = 96


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture."""

    data: bytes
    """WebP."""
    box: tuple[float, float, float, float]
    """(left, top, right, bottom) as shares of the whole picture, 0 to 1."""
    coarser: float = 1.0
    """How many times larger its pixels are than those of the picture as it was given."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes of one page, shared out; all before base64."""

    chips: int
    looks: int

    @classmethod
    def of(cls, most_mb: float, tables_bytes: int, code_bytes: int = 400_000) -> Budget:
        """Return what pictures may weigh on a page of `most_mb` whose tables take `tables_bytes` in files.

        The tables are carried twice, as they are and as what is drawn; a tenth is kept in reserve.
        """
        free = 0.9 * (most_mb * 1e6 - code_bytes - 2.0 * tables_bytes) / INLINED
        return cls(chips=max(0, int(0.35 * free)), looks=max(0, int(0.65 * free)))


def encode(picture: Image.Image, most_bytes: float, *, exact: bool = False) -> list[Tile]:
    """Return a picture as tiles that together weigh at most `most_bytes`: first less exact, then smaller.

    With `exact`, every pixel is kept as it is where that fits. A picture that would have to shrink below a thumbnail
    is left out: no tiles.
    """
    hopeful = most_bytes >= LOSSLESS_BYTES_PER_PX * picture.size[0] * picture.size[1]
    qualities = (None, *QUALITIES) if exact and hopeful else QUALITIES
    given_px = max(picture.size)
    while max(picture.size) >= min(_SMALLEST_PX, given_px) or picture.width * picture.height < most_bytes:
        for quality in qualities:
            coarser = given_px / max(picture.size)
            tiles = [Tile(_webp(part, quality), box, coarser) for part, box in _parts(picture)]
            if sum(len(tile.data) for tile in tiles) <= most_bytes:
                return tiles
        picture = picture.resize(_smaller(picture.size), Image.Resampling.BOX)
    return []


def longest_px(shape: tuple[int, int], most_bytes: float) -> int:
    """Return the longer side of a picture of that shape that should weigh at most `most_bytes`."""
    rows, cols = shape
    return max(_SMALLEST_PX, int(max(shape) * math.sqrt(most_bytes / BYTES_PER_PX / (rows * cols))))


def _smaller(size: tuple[int, int]) -> tuple[int, int]:
    return (max(1, round(size[0] * 0.7)), max(1, round(size[1] * 0.7)))


def _parts(picture: Image.Image) -> Iterator[tuple[Image.Image, tuple[float, float, float, float]]]:
    width, height = picture.size
    side = TILE_PX if max(picture.size) > 2 * TILE_PX else max(picture.size)
    for top in range(0, height, side):
        for left in range(0, width, side):
            right, bottom = min(left + side, width), min(top + side, height)
            box = (left / width, top / height, right / width, bottom / height)
            yield picture.crop((left, top, right, bottom)), box


def _webp(picture: Image.Image, quality: int | None) -> bytes:
    stream = io.BytesIO()
    if quality is None:
        # where nothing is lost, quality is effort: the least takes a third of the time for 1 % more bytes
        picture.save(stream, "WEBP", lossless=True, quality=0, method=2)
    else:
        picture.save(stream, "WEBP", quality=quality, method=2)
    return stream.getvalue()

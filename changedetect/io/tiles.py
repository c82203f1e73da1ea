"""Tiles: the files of one asset as few seamless native images as possible, read window by window."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine

from changedetect.core.quality import UNUSABLE, Quality
from changedetect.errors import DataError
from changedetect.io.files import open_raster, read_header, read_pixels
from changedetect.io.place import Place, place_of
from changedetect.io.product import measured_bands

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from changedetect.io.files import Header

_BAD = np.uint16(UNUSABLE)
_NODATA = np.uint16(Quality.NODATA)
_SAME_LATTICE_PX = 0.01


@dataclass(frozen=True, slots=True)
class Tile:
    """One file of a mosaic and its top-left pixel in it."""

    header: Header
    row0: int
    col0: int


@dataclass(frozen=True, slots=True, eq=False)
class Mosaic:
    """Files that share one pixel lattice, as one native image; earlier tiles win."""

    tiles: tuple[Tile, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Numbers:
    """Which numbers of a file are wanted, and which of them mean nothing."""

    indexes: tuple[int, ...]
    nodata: float | None
    """Overrides the file's own."""
    together: bool
    """Nothing is there only where all bands say so (display images: black is a colour); else where any does."""
    others: tuple[int, ...] = ()
    """The scene's further bands in the same files, asked too where only all together say that nothing is there."""


def make_mosaics(paths: Sequence[str], crs: str | None, transform: Sequence[float] | None = None) -> list[Mosaic]:
    """Return the files of an asset as native images: those on one pixel lattice become one, in order of first use."""
    groups: list[list[tuple[Header, Place]]] = []
    for path in paths:
        header = read_header(path)
        place = place_of(header, crs, transform)
        for group in groups:
            if _offset(group[0][1], place) is not None:
                group.append((header, place))
                break
        else:
            groups.append([(header, place)])
    return [_join(group) for group in groups]


def _offset(first: Place, other: Place) -> tuple[int, int] | None:
    """Return (row, col) of `other` in `first` if both are windows of one lattice."""
    if first.transform is None or other.transform is None or first.crs != other.crs:
        return None
    linear = np.array(first.transform).reshape(3, 3)[:2, :2]
    gap = np.abs(np.array(other.transform).reshape(3, 3)[:2, :2] - linear)
    if gap.max() * max(other.shape) > _SAME_LATTICE_PX * math.sqrt(abs(first.transform.determinant)):
        return None
    at_col, at_row = first.to_pixel(np.array(other.transform.c), np.array(other.transform.f))
    col, row = float(at_col), float(at_row)
    if max(abs(col - round(col)), abs(row - round(row))) > _SAME_LATTICE_PX:
        return None
    return round(row), round(col)


def _join(group: list[tuple[Header, Place]]) -> Mosaic:
    header, place = group[0]
    if len(group) == 1 or place.transform is None:
        return Mosaic((Tile(header, 0, 0),), place)
    spots = [_offset(place, other) or (0, 0) for _, other in group]
    top, left = min(row for row, _ in spots), min(col for _, col in spots)
    bottom = max(row + head.shape[0] for (head, _), (row, _) in zip(group, spots, strict=True))
    right = max(col + head.shape[1] for (head, _), (_, col) in zip(group, spots, strict=True))
    tiles = [Tile(head, row - top, col - left) for (head, _), (row, col) in zip(group, spots, strict=True)]
    a, b, _, d, e, _ = tuple(place.transform)[:6]
    x, y = place.to_map(np.array(float(left)), np.array(float(top)))
    whole = replace(place, shape=(bottom - top, right - left), transform=Affine(a, b, float(x), d, e, float(y)))
    return Mosaic(tuple(tiles), whole)


def read_window(
    mosaic: Mosaic, numbers: Numbers, rows: tuple[int, int], cols: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Return numbers (band, row, col) float32 and quality bits of a native window, which may reach past the image."""
    shape = (rows[1] - rows[0], cols[1] - cols[0])
    data = np.zeros((len(numbers.indexes), *shape), np.float32)
    bits, is_first = np.full(shape, _NODATA), True
    for tile in reversed(mosaic.tiles):
        r0, r1 = max(rows[0], tile.row0), min(rows[1], tile.row0 + tile.header.shape[0])
        c0, c1 = max(cols[0], tile.col0), min(cols[1], tile.col0 + tile.header.shape[1])
        if r1 <= r0 or c1 <= c0:
            continue
        part, part_bits = _read_tile(
            tile.header, numbers, (r0 - tile.row0, r1 - tile.row0), (c0 - tile.col0, c1 - tile.col0)
        )
        if part_bits.shape == shape and len(mosaic.tiles) == 1:
            return part, part_bits
        spot = (slice(r0 - rows[0], r1 - rows[0]), slice(c0 - cols[0], c1 - cols[0]))
        if is_first:
            data[:, *spot], bits[spot], is_first = part, part_bits, False
            continue
        better = ((part_bits & _BAD) == 0) | ((bits[spot] & _BAD) != 0)
        data[:, *spot] = np.where(better, part, data[:, *spot])
        bits[spot] = np.where(better, part_bits, bits[spot])
    return data, bits


def _read_tile(
    header: Header, numbers: Numbers, rows: tuple[int, int], cols: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    if max(numbers.indexes) > header.count:
        raise DataError("has too few bands", where=header.path, found=header.count, needed=max(numbers.indexes))
    with open_raster(header.path) as src:
        raw = read_pixels(src, numbers.indexes, rows, cols)
        hidden = _hidden(src, header, numbers, rows, cols)
    with np.errstate(over="ignore", invalid="ignore"):
        data = raw.astype(np.float32)
    broken = ~np.isfinite(data).all(axis=0) if raw.dtype.kind == "f" else np.False_
    nothing = hidden | broken
    marks = [_is_nothing(band, header, numbers, i) for band, i in zip(raw, numbers.indexes, strict=True)]
    if numbers.together and np.logical_and.reduce(marks).any():
        with open_raster(header.path) as src:
            rest = list(read_pixels(src, numbers.others, rows, cols)) if numbers.others else []
        marks += [_is_nothing(band, header, numbers, i) for band, i in zip(rest, numbers.others, strict=True)]
    nothing |= np.logical_and.reduce(marks) if numbers.together else np.logical_or.reduce(marks)
    if nothing.any():
        np.copyto(data, np.float32(0), where=nothing)
    return data, np.where(nothing, _NODATA, np.uint16(0))


def _is_nothing(band: NDArray[Any], header: Header, numbers: Numbers, index: int) -> NDArray[np.bool_]:
    return _equals(band, header.nodata[index - 1] if numbers.nodata is None else numbers.nodata)


def _hidden(
    src: Any, header: Header, numbers: Numbers, rows: tuple[int, int], cols: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return True where the file's alpha band or internal mask says nothing is there."""
    shape, index = (rows[1] - rows[0], cols[1] - cols[0]), numbers.indexes[0]
    flags = {flag.name for flag in src.mask_flag_enums[index - 1]}
    if not flags & {"alpha", "per_dataset"}:
        return np.zeros(shape, bool)
    measured = {*measured_bands(header), *numbers.indexes, *numbers.others}
    if "alpha" in flags and header.colours.index("alpha") + 1 in measured:
        return np.zeros(shape, bool)
    window = ((rows[0], rows[1]), (cols[0], cols[1]))
    return np.asarray(src.read_masks(index, window=window) == 0)


def _equals(band: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    if nodata is None:
        return np.zeros(band.shape, bool)
    if math.isnan(nodata):
        return np.asarray(np.isnan(band)) if band.dtype.kind == "f" else np.zeros(band.shape, bool)
    if band.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.asarray(band == band.dtype.type(nodata))
    info = np.iinfo(band.dtype)
    if nodata != int(nodata) or not info.min <= nodata <= info.max:
        return np.zeros(band.shape, bool)
    return np.asarray(band == int(nodata))

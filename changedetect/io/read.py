"""Read: one scene's pixels on one grid, resampled once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from changedetect.core.comparable import is_radar
from changedetect.core.quality import UNUSABLE, Quality
from changedetect.core.raster import Raster
from changedetect.errors import DataError
from changedetect.io import resample
from changedetect.io.decibel import DB, average_looks, to_decibel
from changedetect.io.files import keep_open
from changedetect.io.mapping import Mapping, map_grid
from changedetect.io.masks import read_mask
from changedetect.io.s2_offset import OffsetMode
from changedetect.io.sensors import Sensors, load_sensors
from changedetect.io.tiles import Mosaic, Numbers, make_mosaics, read_window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.grid import Grid
    from changedetect.core.results import Warp
    from changedetect.core.scene import Asset, Scene

_BLOCK_PX = 512
"""Largest side of a block: what is made of it stays in the processor's cache."""
_BAD = np.uint16(UNUSABLE)
_NODATA = np.uint16(Quality.NODATA)

Pixels = tuple["NDArray[np.float32]", "NDArray[np.uint16]"]


@dataclass(frozen=True, slots=True)
class ReadParams:
    """How pixels are brought onto the grid."""

    resampling: Literal["cubic", "lanczos", "bilinear", "nearest"] = "cubic"
    """Kernel; cubic keeps edges and spoils only two pixels around unusable ones, lanczos keeps finer texture and spoils
    four."""
    average_above: Annotated[float, Field(ge=1.0, le=100.0)] = 1.5
    """File pixels per grid pixel above which whole file pixels are averaged first, against aliasing."""
    radar_looks_px: Annotated[int, Field(ge=1, le=31)] = 5
    """Side of the square over which radar is averaged in decibel: a single pixel's speckle spreads by 2 to 5 dB, the
    mean of 5 x 5 by less than 1, whether a bright target lies in it or not; what is smaller is lost in it."""
    s2_offset: OffsetMode = "auto"
    """Whether the offset of Sentinel-2's numbers (baseline 04.00 on) was taken off already: told by metadata and the
    darkest pixels, or overruled: `applied`, `raw`."""
    window_px: Annotated[int, Field(ge=65536, le=1 << 28)] = 1 << 24
    """Largest number of file pixels held at a time, over all bands; bounds memory, changes no value."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Assets stored in the same files, so read together."""

    assets: tuple[Asset, ...]
    mosaics: tuple[Mosaic, ...]
    numbers: Numbers


def read(
    scene: Scene,
    grid: Grid,
    bands: Sequence[str] | None = None,
    warp: Warp | None = None,
    params: ReadParams = ReadParams(),
    *,
    sensors: Sensors | None = None,
) -> Raster:
    """Return a scene's bands on a grid, (band, row, col) float32 in the scene's unit, with quality bits; radar in dB.

    Each grid pixel's centre is followed through map, warp and georeference to its place in the file, and sampled
    there once. Outside the scene data are 0 and NODATA.

    Parameters
    ----------
    scene : Scene
    grid : Grid
    bands : sequence of str, optional
        Standard band names wanted, in order; default all of the scene's.
    warp : Warp, optional
        Where the grid's pixels lie in this scene, from registration.
    params : ReadParams
    sensors : Sensors, optional
        For the meaning of masks; default the shipped table.

    Raises
    ------
    DataError
        A file is missing, broken or cannot be placed, or the scene lacks a band.
    """
    with keep_open():
        if is_radar(scene):
            return _read_radar(scene, grid, bands, warp, params)
        return _read_as_is(scene, grid, bands, warp, params, sensors)


def _read_radar(scene: Scene, grid: Grid, bands: Sequence[str] | None, warp: Warp | None, params: ReadParams) -> Raster:
    """Return radar in decibel, averaged over several looks.

    Bilinear: other kernels swing below zero beside bright targets, where there is no logarithm.
    """
    reach = params.radar_looks_px // 2
    around = _read_as_is(scene, grid.pad(reach), bands, warp, replace(params, resampling="bilinear"), None)
    looks = average_looks(to_decibel(around.data, scene.unit), (around.quality & _BAD) == 0, 2 * reach + 1)
    inside = slice(reach, reach + grid.shape[0]), slice(reach, reach + grid.shape[1])
    quality = around.quality[inside].copy()
    data = np.where((quality & _NODATA) != 0, np.float32(0), looks[:, *inside])
    return Raster(np.ascontiguousarray(data), quality, grid, around.bands, DB)


def _read_as_is(
    scene: Scene,
    grid: Grid,
    bands: Sequence[str] | None,
    warp: Warp | None,
    params: ReadParams,
    sensors: Sensors | None,
) -> Raster:
    wanted = tuple(bands) if bands is not None else scene.bands
    groups = _group_assets(scene, wanted)
    table = sensors or (load_sensors() if scene.masks else None)
    data = np.zeros((len(wanted), *grid.shape), np.float32)
    quality = np.zeros(grid.shape, np.uint16)
    side = _block_px(groups, grid, params)
    for rows, cols in product(*(_cut_length(length, side) for length in grid.shape)):
        part = grid.crop(rows, cols)
        mappings: dict[tuple[object, ...], Mapping] = {}
        for group in groups:
            values, bits = _read_group(group, part, warp, params, mappings)
            for asset, band in zip(group.assets, values, strict=True):
                data[wanted.index(asset.band), rows, cols] = band
            quality[rows, cols] |= bits
        for mask in scene.masks:
            kind = table.mask(mask.kind, where=mask.path) if table else None
            if kind is not None:
                like = groups[0].mosaics[0].place
                edge_px = _kernel_reach_px(like.gsd_m, grid.gsd_m, params)
                quality[rows, cols] |= read_mask(mask, kind, part, warp, like, edge_px)
    nothing = (quality & _NODATA) != 0
    if nothing.any():
        np.copyto(data, np.float32(0), where=nothing)  # a tenth of the time of an index
    return Raster(data, quality, grid, wanted, scene.unit)


def _group_assets(scene: Scene, wanted: tuple[str, ...]) -> list[_Group]:
    by_name = {asset.band: asset for asset in scene.assets}
    missing = [name for name in wanted if name not in by_name]
    if missing or not wanted:
        raise DataError("scene lacks a band", where=scene.id, found=scene.bands, needed=missing or "a band")
    by_files: dict[tuple[tuple[str, ...], float | None], list[Asset]] = {}
    for name in wanted:
        asset = by_name[name]
        by_files.setdefault((asset.paths, asset.nodata), []).append(asset)
    groups = []
    for (paths, nodata), assets in by_files.items():
        indexes = tuple(asset.index for asset in assets)
        here = {asset.index for asset in scene.assets if (asset.paths, asset.nodata) == (paths, nodata)}
        together = scene.unit == "display"
        numbers = Numbers(indexes, nodata, together, tuple(sorted(here - set(indexes))) if together else ())
        groups.append(_Group(tuple(assets), tuple(make_mosaics(paths, scene.crs, assets[0].transform)), numbers))
    return groups


def _kernel_reach_px(file_gsd_m: float, grid_gsd_m: float, params: ReadParams) -> int:
    """Return how many grid pixels the kernel reaches over."""
    reach = max(resample.TAPS[params.resampling][1], 0)
    return math.ceil(reach * max(1.0, file_gsd_m / grid_gsd_m))


def _block_px(groups: list[_Group], grid: Grid, params: ReadParams) -> int:
    """Return the side of the blocks a grid is read in so that no file window grows too large."""
    heaviest = 1.0
    for group in groups:
        for mosaic in group.mosaics:
            per = max(grid.gsd_m / mosaic.place.gsd_m, 1.0) ** 2
            heaviest = max(heaviest, per * len(group.assets))
    # the last of a row is up to a quarter longer
    return int(min(max(0.8 * math.sqrt(params.window_px / heaviest), 64), _BLOCK_PX))


def _cut_length(length: int, side_px: int) -> list[slice]:
    """Return slices of `side_px`, the last up to a quarter longer: a sliver costs nearly as much as a whole block."""
    starts = range(0, max(length - side_px // 4, 1), side_px)
    return [slice(a, min(a + side_px, length)) for a in starts[:-1]] + [slice(starts[-1], length)]


def _read_group(
    group: _Group, grid: Grid, warp: Warp | None, params: ReadParams, mappings: dict[tuple[object, ...], Mapping]
) -> Pixels:
    """Return the values and quality of the assets of one set of files on a grid; earlier files win."""
    data = np.zeros((len(group.assets), *grid.shape), np.float32)
    bits = np.full(grid.shape, _NODATA)
    for mosaic in group.mosaics:
        place = mosaic.place
        key = (place.crs, place.transform, place.shape) if place.transform is not None else (place.path,)
        if key not in mappings:
            mappings[key] = map_grid(place, grid, warp)
        part, part_bits = _read_mosaic(mosaic, group.numbers, mappings[key], params)
        better = ((bits & _BAD) != 0) & (((part_bits & _BAD) == 0) | ((bits & _NODATA) != 0))
        if better.all():
            data, bits = part, part_bits
        else:
            data, bits = np.where(better, part, data), np.where(better, part_bits, bits)
    data *= np.array([asset.scale for asset in group.assets], np.float32)[:, None, None]
    data += np.array([asset.offset for asset in group.assets], np.float32)[:, None, None]
    return data, bits


def _read_mosaic(mosaic: Mosaic, numbers: Numbers, mapping: Mapping, params: ReadParams) -> Pixels:
    """Return one native image on the mapped grid: averaged if finer, then sampled once."""
    rows, cols = mosaic.place.shape
    kr, kc = (max(1, round(per)) if per > params.average_above else 1 for per in mapping.per_px)
    phase_r = _phase(mapping.origin[0], mapping.per_px[0], kr)
    phase_c = _phase(mapping.origin[1], mapping.per_px[1], kc)
    row, col = _in_cells(mapping.row, phase_r, kr), _in_cells(mapping.col, phase_c, kc)
    first, last = resample.TAPS[params.resampling]
    r0, r1 = _span(row, (first, last), (-1, math.ceil((rows - phase_r) / kr)))
    c0, c1 = _span(col, (first, last), (-1, math.ceil((cols - phase_c) / kc)))
    if r1 <= r0 or c1 <= c0:
        return np.zeros((len(numbers.indexes), *mapping.shape), np.float32), np.full(mapping.shape, _NODATA)
    data, bits = read_window(
        mosaic, numbers, (r0 * kr + phase_r, r1 * kr + phase_r), (c0 * kc + phase_c, c1 * kc + phase_c)
    )
    if kr > 1 or kc > 1:
        data, bits = resample.average_cells(data, bits, (kr, kc))
    col -= c0
    row -= r0
    return resample.remap(data, bits, col, row, params.resampling)


def _in_cells(position: NDArray[np.float64], phase: int, factor: int) -> NDArray[np.float64]:
    """Return positions in the file as those in cells of `factor` pixels that begin at `phase`, centre convention."""
    if factor == 1:
        return np.asarray(position - (phase + 0.5))
    return np.asarray((position - phase) / factor - 0.5)


def _phase(origin: float, per_px: float, factor: int) -> int:
    """Return the file pixel at which cells of `factor` pixels begin, so that they are the grid's own pixels.

    Only where a grid pixel spans a whole number of file pixels; else cells begin with the file, wherever the block.
    """
    if factor == 1 or abs(per_px / factor - 1) > 1e-6:
        return 0
    return math.floor(round(origin - factor / 2, 3) + 0.5) % factor


def _span(position: NDArray[np.float64], taps: tuple[int, int], limits: tuple[int, int]) -> tuple[int, int]:
    """Return the half-open range of pixels the samples within the image need."""
    least, most = float(position.min()), float(position.max())
    if not (least >= limits[0] - 1 and most <= limits[1] + 1):
        inside = position[(position >= limits[0] - 1) & (position <= limits[1] + 1)]
        if inside.size == 0:
            return 0, 0
        least, most = float(inside.min()), float(inside.max())
    low = max(math.floor(least) + taps[0] - 4, limits[0])
    high = min(math.floor(most) + taps[1] + 5, limits[1])
    return low, high

"""Gauss-Newton on the images themselves, weighted by how much of the texture both scenes share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.steps.register.features import Image, Scale, make_features
from changedetect.steps.register.field import Field, Ties

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.steps.register.params import RegisterParams

_SMOOTH_PX = 64.0
"""Sigma over which kappa and the noise are averaged, px."""
_MIN_KAPPA = 0.03
_SUBPIXEL = 32
"""OpenCV's remap rounds positions to 1/32 px; the rest is added to first order, so that it does not bias u."""
_BLOCK_CELLS = 12
_SAMPLED_BLOCK_CELLS = 6
"""Smaller where only a sample is looked at: more places for the same pixels."""
_MIN_VALID = 0.1
_SMALL_PX, _TINY_PX = 768, 200
"""Shorter sides below which cells are halved: the warp of a small image may be as short as four cells."""
_MARGIN_PX = 24
_MIN_NOISE = 1e-3
"""Least noise variance of a feature (they are of order 1): equal scenes must not give infinite information."""
_SUMS = 8


@dataclass(frozen=True, slots=True)
class Block:
    """Features of one block in both scenes, cut where the current field puts it."""

    row: int
    col: int
    reference: NDArray[np.float32]
    """(feature, row + 2, col + 2): one pixel more on each side, for gradients."""
    inside: NDArray[np.bool_]
    moving: NDArray[np.float32]
    """(feature, row, col) of the moving scene, its first pixel at `corner`."""
    moving_inside: NDArray[np.uint8]
    corner: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Level:
    """Both scenes at one level, cut into blocks, with the cells that pool their pixels."""

    blocks: tuple[Block, ...]
    factor: int
    shape: tuple[int, int]
    full_shape: tuple[int, int]
    cell_px: int
    share: float
    """Share of the usable blocks that are looked at."""


def cell_size_px(shape: tuple[int, int]) -> int:
    """Return the side of a cell: 24 px, less on small images so that there are enough of them."""
    if min(shape) >= _SMALL_PX:
        return 24
    return 12 if min(shape) >= _TINY_PX else 6


def cut_level(
    reference: tuple[Image, Scale],
    moving: tuple[Image, Scale],
    field: Field,
    params: RegisterParams,
    full_shape: tuple[int, int],
) -> Level:
    """Return the blocks of one level; of a large level, an even sample that holds `params.max_refine_px` pixels."""
    image = reference[0]
    cell = cell_size_px(image.shape)
    sampled = image.valid.size > params.max_refine_px
    side = cell * (_SAMPLED_BLOCK_CELLS if sampled else _BLOCK_CELLS)
    starts = [(r, c) for r in range(0, image.shape[0], side) for c in range(0, image.shape[1], side)]
    usable = [s for s in starts if image.valid[s[0] : s[0] + side, s[1] : s[1] + side].mean() >= _MIN_VALID]
    picked = usable
    if sampled:
        # an additive sequence in two dimensions spreads any number of blocks evenly (R2, from the plastic number)
        order = sorted(usable, key=lambda s: (s[0] // side * 0.7548776662467 + s[1] // side * 0.5698402909981) % 1.0)
        picked = sorted(order[: max(params.max_refine_px // side**2, 1)])
    blocks = [_cut_block((reference, moving), field, (*start, side), full_shape, params) for start in picked]
    kept = tuple(block for block in blocks if block is not None)
    return Level(kept, image.factor, image.shape, full_shape, cell, len(picked) / max(len(usable), 1))


def measure_ties(level: Level, field: Field, exact: bool = True) -> tuple[Ties, NDArray[np.float64]]:
    """Return what one Gauss-Newton step on every pooled block measures, and kappa per feature.

    `exact` resamples with Lanczos: the cubic kernel pulls u by up to .025 px towards whole pixels, but takes a
    quarter of the time.

    Notes
    -----
    With g the mean gradient, r the difference and w a robust weight, per feature and cell H = sum w g g',
    b = sum w g r, s2 the noise, and kappa = sum w grad a . grad b / tr H the share of the gradient both scenes have:
    the information is kappa^2 H / s2 and the pull kappa b / s2. Without kappa, steps are too short where there is
    noise, snow or cloud, and such places are trusted as much as streets.

    References
    ----------
    Lucas and Kanade, An iterative image registration technique, IJCAI 1981.
    """
    cells = tuple(-(-n // level.cell_px) for n in level.shape)
    n_features = level.blocks[0].reference.shape[0] if level.blocks else 0
    sums = np.zeros((n_features, _SUMS, *cells), np.float32)
    warped = [_warp_block(level, block, field, exact) for block in level.blocks]
    scale = _residual_scale(warped, n_features)
    for block, moved in zip(level.blocks, warped, strict=True):
        r, c = block.row // level.cell_px, block.col // level.cell_px
        part = _sum_block(block, moved, scale, level.cell_px)
        sums[:, :, r : r + part.shape[2], c : c + part.shape[3]] = part
    info, pull, kappa = _weigh(sums, level.cell_px)
    return _pool(info, pull, level, field), kappa


def _cut_block(
    pair: tuple[tuple[Image, Scale], tuple[Image, Scale]],
    field: Field,
    place: tuple[int, int, int],
    full_shape: tuple[int, int],
    params: RegisterParams,
) -> Block | None:
    reference, moving = pair
    image, (row, col, side) = reference[0], place
    rows, cols = min(side, image.shape[0] - row), min(side, image.shape[1] - col)
    u = _level_field(field, (row, col, rows, cols), image.factor, full_shape, step=max(side // 8, 1))
    low, high = np.floor(u.min(axis=(1, 2))).astype(int) - 4, np.ceil(u.max(axis=(1, 2))).astype(int) + 5
    near = _window(image, row - _MARGIN_PX, col - _MARGIN_PX, rows + 2 * _MARGIN_PX, cols + 2 * _MARGIN_PX)
    far = _window(
        moving[0],
        row + low[0] - _MARGIN_PX,
        col + low[1] - _MARGIN_PX,
        rows + int(high[0] - low[0]) + 2 * _MARGIN_PX,
        cols + int(high[1] - low[1]) + 2 * _MARGIN_PX,
    )
    if not near.valid.any() or not far.valid.any():
        return None
    a, a_ok = make_features(near, reference[1], params)
    b, b_ok = make_features(far, moving[1], params)
    m = _MARGIN_PX
    cut = (slice(None), slice(m - 1, m + rows + 1), slice(m - 1, m + cols + 1))
    corner = (row + int(low[0]) - m, col + int(low[1]) - m)
    inside = a_ok[m : m + rows, m : m + cols]
    return Block(row, col, np.ascontiguousarray(a[cut]), inside, b, b_ok.astype(np.uint8), corner)


def _window(image: Image, row: int, col: int, rows: int, cols: int) -> Image:
    """Cut a window that may reach beyond the image, where nothing is usable."""
    r0, c0 = max(row, 0), max(col, 0)
    r1, c1 = min(row + rows, image.shape[0]), min(col + cols, image.shape[1])
    bands = np.zeros((image.bands.shape[0], rows, cols), np.float32)
    valid = np.zeros((rows, cols), bool)
    if r1 > r0 and c1 > c0:
        to = (slice(r0 - row, r1 - row), slice(c0 - col, c1 - col))
        bands[(slice(None), *to)] = image.bands[:, r0:r1, c0:c1]
        valid[to] = image.valid[r0:r1, c0:c1]
    return replace(image, bands=bands, valid=valid)


def _level_field(
    field: Field, place: tuple[int, int, int, int], factor: int, full_shape: tuple[int, int], step: int = 1
) -> NDArray[np.float64]:
    """Return u in px of the level at the pixel centres of (row, col, rows, cols), (2, rows, cols)."""
    row, col, rows, cols = place
    r = (np.arange(row, row + rows, step) + 0.5) * factor / full_shape[0]
    c = (np.arange(col, col + cols, step) + 0.5) * factor / full_shape[1]
    return field.at(r, c) / factor


@dataclass(frozen=True, slots=True)
class _Warped:
    values: NDArray[np.float32]
    """(feature, row + 2, col + 2) moving features at q + u(q)."""
    inside: NDArray[np.bool_]
    """(row, col), True where both scenes are usable."""
    sample: NDArray[np.float32]
    """(feature, n) absolute differences at every seventh pixel."""


def _warp_block(level: Level, block: Block, field: Field, exact: bool) -> _Warped:
    rows, cols = block.inside.shape
    place = (block.row - 1, block.col - 1, rows + 2, cols + 2)
    u = _level_field(field, place, level.factor, level.full_shape)
    y = u[0] + np.arange(place[0], place[0] + rows + 2)[:, None] - block.corner[0]
    x = u[1] + np.arange(place[1], place[1] + cols + 2)[None, :] - block.corner[1]
    map_y = (np.rint(y * _SUBPIXEL) / _SUBPIXEL).astype(np.float32)
    map_x = (np.rint(x * _SUBPIXEL) / _SUBPIXEL).astype(np.float32)
    rest_y, rest_x = (y - map_y).astype(np.float32), (x - map_x).astype(np.float32)
    values = np.empty((len(block.moving), rows + 2, cols + 2), np.float32)
    kernel = cv2.INTER_LANCZOS4 if exact else cv2.INTER_CUBIC
    for i, plane in enumerate(block.moving):
        moved = cv2.remap(plane, map_x, map_y, kernel, borderMode=cv2.BORDER_CONSTANT)
        values[i] = moved + rest_y * _slope(moved, 0) + rest_x * _slope(moved, 1)
    near = cv2.remap(block.moving_inside, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    inside = block.inside & (near[1:-1, 1:-1] > 0)
    pick = inside[::7, ::7]
    a, b = block.reference[:, 1:-1:7, 1:-1:7], values[:, 1:-1:7, 1:-1:7]
    return _Warped(values, inside, np.abs(a - b)[:, pick])


def _slope(plane: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.asarray(cv2.Sobel(plane, cv2.CV_32F, int(axis == 1), int(axis == 0), scale=0.125))


def _residual_scale(warped: list[_Warped], n_features: int) -> NDArray[np.float64]:
    """Return c of the weight 1 / (1 + (r / c)^2)^2 per feature: two robust sigma, at least 1."""
    out = np.ones(n_features)
    for i in range(n_features):
        values = np.concatenate([block.sample[i] for block in warped])
        if values.size:
            out[i] = 2.0 * max(0.5, 1.4826 * float(np.median(values)))
    return out


def _sum_block(block: Block, moved: _Warped, scale: NDArray[np.float64], cell_px: int) -> NDArray[np.float32]:
    """Return sums per feature and cell: w gy gy, w gy gx, w gx gx, w gy r, w gx r, w r r, w, w grad a . grad b."""
    rows, cols = block.inside.shape
    cells = (-(-rows // cell_px), -(-cols // cell_px))
    out = np.empty((len(block.reference), _SUMS, *cells), np.float32)
    inside = moved.inside.astype(np.float32)
    inner = (slice(1, -1), slice(1, -1))
    for i, (a, b) in enumerate(zip(block.reference, moved.values, strict=True)):
        ay, ax, by, bx = (_slope(plane, axis)[inner] for plane in (a, b) for axis in (0, 1))
        r = a[inner] - b[inner]
        w = inside / (1.0 + (r / np.float32(scale[i])) ** 2) ** 2
        gy, gx = (ay + by) * np.float32(0.5), (ax + bx) * np.float32(0.5)
        wgy, wgx, wr = w * gy, w * gx, w * r
        planes = (wgy * gy, wgy * gx, wgx * gx, gy * wr, gx * wr, wr * r, w, w * (ay * by + ax * bx))
        for k, plane in enumerate(planes):
            out[i, k] = _sum_cells(plane, cells, cell_px)
    return out


def _sum_cells(plane: NDArray[np.float32], cells: tuple[int, int], cell_px: int) -> NDArray[np.float32]:
    pad = (cells[0] * cell_px - plane.shape[0], cells[1] * cell_px - plane.shape[1])
    if any(pad):
        plane = np.pad(plane, ((0, pad[0]), (0, pad[1])))
    mean = cv2.resize(plane, cells[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(mean * np.float32(cell_px**2))


def _weigh(
    sums: NDArray[np.float32], cell_px: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return information (2, 2, cells) and pull (2, cells) summed over features, and mean kappa per feature."""
    info = np.zeros((2, 2, *sums.shape[2:]))
    pull = np.zeros((2, *sums.shape[2:]))
    kappas = np.zeros(len(sums))
    for i, (yy, yx, xx, yr, xr, rr, w, cross) in enumerate(np.asarray(sums, np.float64)):
        trace, weight = _smooth(yy + xx, cell_px), _smooth(w, cell_px)
        noise = np.maximum(_smooth(rr, cell_px) / np.maximum(weight, 1e-6), _MIN_NOISE)
        kappa = np.clip(_smooth(cross, cell_px) / np.maximum(trace, 1e-6), 0.0, 1.0)
        kappa[kappa < _MIN_KAPPA] = 0.0
        info += kappa**2 / noise * np.array([[yy, yx], [yx, xx]])
        pull += kappa / noise * np.array([yr, xr])
        kappas[i] = float((kappa * w).sum() / max(float(w.sum()), 1e-6))
    return info, pull, kappas


def _smooth(cells: NDArray[np.float64], cell_px: int) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(cells, (0, 0), _SMOOTH_PX / cell_px, borderType=cv2.BORDER_CONSTANT))


def _pool(info: NDArray[np.float64], pull: NDArray[np.float64], level: Level, field: Field) -> Ties:
    """Pool 2 x 2 cells into ties; 2 x 2 ties form a group that is held out together."""
    side = 2 * level.cell_px
    size = tuple(-(-n // side) for n in level.shape)
    pad = [(0, 2 * size[k] - info.shape[2 + k]) for k in range(2)]
    pooled = [
        np.pad(array, [(0, 0)] * (array.ndim - 2) + pad)
        .reshape(*array.shape[:-2], size[0], 2, size[1], 2)
        .sum((-3, -1))
        for array in (info, pull)
    ]
    matrix = pooled[0].reshape(2, 2, -1).transpose(2, 0, 1)
    force = pooled[1].reshape(2, -1).T
    trace = matrix[:, 0, 0] + matrix[:, 1, 1]
    keep = trace > 1e-3 * max(float(np.median(trace[trace > 0])) if (trace > 0).any() else 0.0, 1e-9)
    r, c = (index.ravel() for index in np.indices(size))
    # of a tie cut off by the image's edge, the middle of what is left
    centre = [(side * k + np.minimum(side * (k + 1), n)) / 2.0 for k, n in zip((r, c), level.shape, strict=True)]
    position = np.stack([x * level.factor / n for x, n in zip(centre, level.full_shape, strict=True)], axis=1)
    ridge = 1e-3 * np.median(trace[keep]) * np.eye(2) if keep.any() else np.eye(2)
    step = np.linalg.solve(matrix + ridge, force[:, :, None])[:, :, 0] * level.factor
    here = _at_points(field, position[keep])
    # the step is taken from u at the tie's centre: once b = 0 everywhere, u reproduces itself
    group = (r // 2) * (-(-size[1] // 2)) + c // 2
    return Ties(position[keep], here + step[keep], matrix[keep], group[keep].astype(np.int64))


def _at_points(field: Field, position: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, row_index = np.unique(position[:, 0], return_inverse=True)
    cols, col_index = np.unique(position[:, 1], return_inverse=True)
    grid = field.at(rows, cols)
    return np.stack([plane[row_index, col_index] for plane in grid], axis=1)

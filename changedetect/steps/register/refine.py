"""Gauss-Newton on the images themselves, weighted by how much of the texture both scenes share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.core.results import bspline_basis
from changedetect.steps.register.exact import resample_exactly
from changedetect.steps.register.field import Field, Ties
from changedetect.steps.register.prepare import MARGIN_PX, Patch, ReferenceLevel, View, window_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.steps.register.params import RegisterParams

_SMOOTH_PX = 32.0
"""Sigma over which kappa and the noise are averaged, px."""
_MIN_KAPPA = 0.03
_MIN_NOISE = 1e-3
"""Least noise variance of a feature (they are of order 1): equal scenes must not give infinite information."""
_SUMS = 8
_PART_ROWS = 72
"""Of a block, summed at once: with more of them what is made of them no longer fits the cache."""
_STEP = 1.2
"""Robust weights favour what agrees already, so steps are too short: without it, each leaves a quarter of the error."""
_ROWS_SHARE = 0.5
"""Share of each cell's rows that all steps but the last look at."""
_MIN_SAMPLE = 8
_MIN_SPREAD = 0.05
"""Least robust sigma of a mix, for the same reason."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One block of the reference, and the moving scene's features where the current field puts it."""

    patch: Patch
    planes: NDArray[np.float32]
    """(feature, row, col) of the moving scene, its first pixel at `corner`."""
    inside: NDArray[np.uint8]
    corner: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """Both scenes at one level."""

    reference: ReferenceLevel
    blocks: tuple[Block, ...]
    full_shape: tuple[int, int]


def pair_level(
    reference: ReferenceLevel, view: View, field: Field, params: RegisterParams, full_shape: tuple[int, int]
) -> Level:
    """Return the reference's blocks with what the moving scene shows near them under a field."""
    if view.features is not None:
        planes, inside = view.features.planes, view.features.inside.astype(np.uint8)
        blocks = tuple(Block(patch, planes, inside, (0, 0)) for patch in reference.patches)
        return Level(reference, blocks, full_shape)
    found = [_cut_block(patch, view, field, params, full_shape) for patch in reference.patches]
    return Level(reference, tuple(block for block in found if block is not None), full_shape)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What one Gauss-Newton step on every pooled block measures."""

    ties: Ties
    """Of all evidence."""
    kinds: tuple[Ties, ...]
    """Of each mix of features alone, where it measures anything."""
    shares: tuple[float, ...]
    """Per kind, its share of the information, 0 to 1."""
    kappa: NDArray[np.float64]
    """Mean share of the gradient both scenes have, per mix."""
    lean_px: float = 0.0
    """How far what stands above the ground would move the field, 90 % quantile; 0 where nothing is seen to lean."""


def measure_ties(level: Level, field: Field, exact: bool = True) -> Measured:
    """Return what one Gauss-Newton step on every pooled block measures, of all mixes and, if `exact`, of each.

    `exact` looks at every row: of steps that others follow half of them suffice. All resample with Lanczos, as a cubic
    kernel pulls u by up to .025 px towards whole pixels, and the next step takes only most of that back.

    Notes
    -----
    The features are first mixed into sums whose differences are uncorrelated over the scene.
    With g the mean gradient, r the difference and w a robust weight, per mix and cell H = sum w g g',
    b = sum w g r, s2 the noise, and kappa = sum w grad a . grad b / tr H the share of the gradient both scenes have:
    the information is kappa^2 H / s2 and the pull kappa b / s2. Without kappa, steps are too short where there is
    noise, snow or cloud, and such places are trusted as much as streets.

    References
    ----------
    Lucas and Kanade, An iterative image registration technique, IJCAI 1981.
    """
    fixed = level.reference
    cells = tuple(-(-n // fixed.cell_px) for n in fixed.shape)
    n_features = len(level.blocks[0].planes) if level.blocks else 0
    sums = np.zeros((n_features, _SUMS, *cells), np.float32)
    lattice = _Lattice.of(level, field)
    warped = [_warp_block(block, lattice, fixed.cell_px, exact) for block in level.blocks]
    mixes = _decorrelate(warped, n_features)
    for block, moved in zip(level.blocks, warped, strict=True):
        r, c = block.patch.row // fixed.cell_px, block.patch.col // fixed.cell_px
        part = np.concatenate([_sum_part(moved, mixes, fixed.cell_px, rows) for rows in moved.rows.parts()], axis=2)
        sums[:, :, r : r + part.shape[2], c : c + part.shape[3]] = part
    info, pull, kappa = _weigh(sums, fixed.cell_px)
    ties = _pool(info.sum(axis=0), pull.sum(axis=0), level, field)
    if not exact:
        return Measured(ties, (), (), kappa)
    amount = info[:, 0, 0].sum(axis=(1, 2)) + info[:, 1, 1].sum(axis=(1, 2))
    used = np.flatnonzero(amount > 0)
    kinds = tuple(_pool(info[k], pull[k], level, field) for k in used)
    return Measured(ties, kinds, tuple(float(amount[k] / amount.sum()) for k in used), kappa)


def _cut_block(
    patch: Patch, view: View, field: Field, params: RegisterParams, full_shape: tuple[int, int]
) -> Block | None:
    (rows, cols), m = patch.inside.shape, MARGIN_PX
    place = (patch.row, patch.col, rows, cols)
    u = _level_field(field, place, view.image.factor, full_shape, step=max(rows // 8, 1))
    low, high = np.floor(u.min(axis=(1, 2))).astype(int) - 4, np.ceil(u.max(axis=(1, 2))).astype(int) + 5
    corner = (patch.row + int(low[0]) - m, patch.col + int(low[1]) - m)
    size = (rows + int(high[0] - low[0]) + 2 * m, cols + int(high[1] - low[1]) + 2 * m)
    found = window_features(view, (*corner, *size), params)
    return Block(patch, found.planes, found.inside.astype(np.uint8), corner) if found.inside.any() else None


def _level_field(
    field: Field, place: tuple[int, int, int, int], factor: int, full_shape: tuple[int, int], step: int = 1
) -> NDArray[np.float64]:
    """Return u in px of the level at the pixel centres of (row, col, rows, cols), (2, rows, cols)."""
    row, col, rows, cols = place
    r = (np.arange(row, row + rows, step) + 0.5) * factor / full_shape[0]
    c = (np.arange(col, col + cols, step) + 0.5) * factor / full_shape[1]
    return field.at(r, c) / factor


@dataclass(frozen=True, slots=True, eq=False)
class _Lattice:
    """The field at the pixels of a level, made block by block."""

    by_row: NDArray[np.float64]
    """(2, row, knot) coefficients summed over rows, px of the level."""
    by_col: NDArray[np.float64]
    """(col, knot)."""

    @classmethod
    def of(cls, level: Level, field: Field) -> _Lattice:
        factor, (rows, cols) = level.reference.factor, level.reference.shape
        n, m = field.intervals
        last_row, last_col = (-(-k // level.reference.cell_px) * level.reference.cell_px for k in (rows, cols))
        row = (np.arange(-1, last_row + 1) + 0.5) * factor / level.full_shape[0]
        col = (np.arange(-1, last_col + 1) + 0.5) * factor / level.full_shape[1]
        return cls(bspline_basis(row, n) @ field.coefficients / factor, bspline_basis(col, m))

    def at(self, rows: NDArray[np.int64], cols: slice) -> NDArray[np.float32]:
        """Return u at rows and columns of the level, counted from -1, (2, rows, cols)."""
        return np.asarray(self.by_row[:, rows + 1] @ self.by_col[cols.start + 1 : cols.stop + 1].T, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Warped:
    rows: _Rows
    still: NDArray[np.float32]
    """(feature, row, col + 2) of the reference."""
    planes: NDArray[np.float32]
    """(feature, row, col + 2) moving features at q + u(q)."""
    inside: NDArray[np.float32]
    """(row, col + 2), 1 where both scenes are usable and the row counts."""
    sample: NDArray[np.float32]
    """(feature, n) differences at every seventh pixel."""


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows of a block that are looked at: strips of each cell's rows with one more on each side, for gradients."""

    index: NDArray[np.int64]
    """In the block's planes, which begin one row before it."""
    counts: NDArray[np.bool_]
    """Not those for gradients alone."""
    strip: int
    """Rows that count in each cell."""
    step: int
    """Rows from one cell's to the next's."""

    def parts(self) -> list[slice]:
        """Return parts of whole cells that fit the cache with all that is made of them."""
        cells = max(_PART_ROWS // self.step, 1) * self.step
        shared = 2 if self.step == self.strip else 0
        return [slice(k, k + cells + shared) for k in range(0, len(self.index) - shared, cells)]


@cache
def _pick_rows(rows: int, cell_px: int, share: float) -> _Rows:
    if share == 1.0:
        index = np.arange(rows + 2)
        return _Rows(index, (index > 0) & (index <= rows), cell_px, cell_px)
    used = max(round(cell_px * share), 2)
    strips = np.arange(0, rows, cell_px)[:, None] + np.arange(used + 2)
    inner = np.arange(used + 2)
    counts = np.broadcast_to((inner > 0) & (inner <= used), strips.shape)
    return _Rows(strips.ravel(), counts.ravel(), used, used + 2)


def _warp_block(block: Block, lattice: _Lattice, cell_px: int, exact: bool) -> _Warped:
    patch = block.patch
    (n_rows, n_cols), (top, left) = patch.inside.shape, block.corner
    rows = _pick_rows(n_rows, cell_px, 1.0 if exact else _ROWS_SHARE)
    index = np.arange(n_rows + 2)
    u = lattice.at(patch.row - 1 + index, slice(patch.col - 1, patch.col + n_cols + 1))
    y = u[0] + np.asarray(index + (patch.row - 1 - top), np.float32)[:, None]
    x = u[1] + np.arange(patch.col - 1 - left, patch.col + n_cols + 1 - left, dtype=np.float32)
    planes, still = resample_exactly(block.planes, y, x), patch.planes
    usable = cv2.remap(block.inside, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    inside = np.zeros(y.shape, np.float32)
    inside[1:-1, 1:-1] = patch.inside & (usable[1:-1, 1:-1] > 0)
    if not exact:
        planes, still, inside = planes[:, rows.index], still[:, rows.index], inside[rows.index]
        inside[~rows.counts] = 0.0
    thin = np.flatnonzero(rows.counts)[::7]
    difference = still[:, thin, 1:-1:7] - planes[:, thin, 1:-1:7]
    return _Warped(rows, still, planes, inside, difference[:, inside[thin, 1:-1:7] > 0])


@dataclass(frozen=True, slots=True, eq=False)
class _Mixes:
    """Sums of features whose differences are uncorrelated."""

    share: NDArray[np.float32]
    """(mix, feature)."""
    scale: NDArray[np.float64]
    """(mix,) c of the weight 1 / (1 + (r / c)^2)^2: two robust sigma."""


def _decorrelate(warped: list[_Warped], n_features: int) -> _Mixes:
    """Return the principal components of what differs between the scenes.

    Shadows that moved, light and haze differ in all bands alike: they fill one component, which then counts little,
    and what tells soil from grass in the others is matched as exactly as noise allows.
    """
    rest = np.concatenate([np.zeros((n_features, 0), np.float32), *(block.sample for block in warped)], axis=1)
    if rest.shape[1] < _MIN_SAMPLE * n_features:
        return _Mixes(np.eye(n_features, dtype=np.float32), np.ones(n_features))
    size = np.sqrt(np.mean(rest * rest, axis=0))
    weight = 1.0 / (1.0 + (size / (2.0 * max(0.5, 1.4826 * float(np.median(size))))) ** 2) ** 2
    covariance = np.einsum("in,jn,n->ij", rest, rest, weight, dtype=np.float64) / float(weight.sum())
    share = np.ascontiguousarray(np.linalg.eigh(covariance)[1].T.astype(np.float32))
    return _Mixes(share, 2.0 * np.maximum(1.4826 * np.median(np.abs(_mix(rest, share)), axis=1), _MIN_SPREAD))


def _mix(planes: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    # a matrix product's last bit may depend on the library's threads, of which a run has one
    return np.asarray(share @ planes.reshape(len(planes), -1)).reshape(planes.shape)


def _sum_part(moved: _Warped, mixes: _Mixes, cell_px: int, part: slice) -> NDArray[np.float32]:
    """Return sums per mix and cell: w gy gy, w gy gx, w gx gx, w gy r, w gx r, w r r, w, w grad a . grad b."""
    inside = moved.inside[part]
    planes = np.empty((_SUMS, *inside.shape), np.float32)
    yy, yx, xx, yr, xr, rr, w, cross = planes
    out = []
    first, second = (_mix(both[:, part], mixes.share) for both in (moved.still, moved.planes))
    for a, b, scale in zip(first, second, mixes.scale, strict=True):
        (ay, ax), (by, bx) = _slopes(a), _slopes(b)
        r = np.subtract(a, b, out=a)
        np.multiply(r, np.float32(1.0 / scale), out=w)
        np.multiply(w, w, out=w)
        w += np.float32(1.0)
        np.multiply(w, w, out=w)
        np.divide(inside, w, out=w)
        np.multiply(ay, by, out=cross)
        np.multiply(ax, bx, out=rr)
        cross += rr
        cross *= w
        # twice the mean gradient: the sums are halved instead
        ay += by
        ax += bx
        np.multiply(w, ay, out=by)
        np.multiply(w, ax, out=bx)
        np.multiply(by, ay, out=yy)
        np.multiply(by, ax, out=yx)
        np.multiply(bx, ax, out=xx)
        np.multiply(by, r, out=yr)
        np.multiply(bx, r, out=xr)
        np.multiply(w, r, out=rr)
        rr *= r
        out.append(_sum_cells(planes, moved.rows, cell_px))
    sums = np.stack(out)
    # gradients are in eighths
    sums[:, :3] *= np.float32(1.0 / 256.0)
    sums[:, 3:5] *= np.float32(1.0 / 16.0)
    sums[:, 7] *= np.float32(1.0 / 64.0)
    return sums


def _slopes(plane: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return eight times the gradient along rows and columns by Sobel's kernel; at the rim it means nothing."""
    flat, width = plane.ravel(), plane.shape[1]
    slope_y, slope_x = np.empty_like(plane), np.empty_like(plane)
    down = flat[2 * width :] - flat[: -2 * width]
    pair = flat[width:] + flat[:-width]
    pair[:-width] += pair[width:]
    level = pair[:-width]
    inner = slice(width + 1, flat.size - width - 1)
    np.subtract(level[2:], level[:-2], out=slope_x.ravel()[inner])
    sides = down[1:] + down[:-1]
    np.add(sides[1:], sides[:-1], out=slope_y.ravel()[inner])
    for slope in (slope_y.ravel(), slope_x.ravel()):
        slope[: inner.start] = slope[inner.stop :] = 0.0
    return slope_y, slope_x


def _sum_cells(planes: NDArray[np.float32], rows: _Rows, cell_px: int) -> NDArray[np.float32]:
    """Return sums of planes (.., row, col + 2) over the cells."""
    inner = planes[:, 1:-1] if rows.step == rows.strip else planes
    # rows for gradients alone have no weight
    strips = inner.reshape(len(planes), -1, rows.step, planes.shape[2])
    in_rows = strips.sum(axis=2)[:, :, 1:-1]
    return np.asarray(in_rows.reshape(*in_rows.shape[:2], -1, cell_px).sum(axis=3))


def _weigh(
    sums: NDArray[np.float32], cell_px: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return information (mix, 2, 2, cells), pull (mix, 2, cells) and mean kappa (mix,)."""
    info = np.zeros((len(sums), 2, 2, *sums.shape[2:]))
    pull = np.zeros((len(sums), 2, *sums.shape[2:]))
    kappas = np.zeros(len(sums))
    for i, (yy, yx, xx, yr, xr, rr, w, cross) in enumerate(np.asarray(sums, np.float64)):
        trace, weight = _smooth(yy + xx, cell_px), _smooth(w, cell_px)
        noise = np.maximum(_smooth(rr, cell_px) / np.maximum(weight, 1e-6), _MIN_NOISE)
        kappa = np.clip(_smooth(cross, cell_px) / np.maximum(trace, 1e-6), 0.0, 1.0)
        kappa[kappa < _MIN_KAPPA] = 0.0
        info[i] = kappa**2 / noise * np.array([[yy, yx], [yx, xx]])
        pull[i] = kappa / noise * np.array([yr, xr])
        kappas[i] = float((kappa * w).sum() / max(float(w.sum()), 1e-6))
    return info, pull, kappas


def _smooth(cells: NDArray[np.float64], cell_px: int) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(cells, (0, 0), _SMOOTH_PX / cell_px, borderType=cv2.BORDER_CONSTANT))


def _pool(info: NDArray[np.float64], pull: NDArray[np.float64], level: Level, field: Field) -> Ties:
    """Pool 2 x 2 cells into ties; 2 x 2 ties form a group that is held out together."""
    fixed = level.reference
    side = 2 * fixed.cell_px
    size = tuple(-(-n // side) for n in fixed.shape)
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
    centre = [(side * k + np.minimum(side * (k + 1), n)) / 2.0 for k, n in zip((r, c), fixed.shape, strict=True)]
    position = np.stack([x * fixed.factor / n for x, n in zip(centre, level.full_shape, strict=True)], axis=1)
    ridge = 1e-3 * np.median(trace[keep]) * np.eye(2) if keep.any() else np.eye(2)
    step = np.linalg.solve(matrix + ridge, force[:, :, None])[:, :, 0] * (_STEP * fixed.factor)
    here = field.at_points(position[keep])
    # the step is taken from u at the tie's centre: once b = 0 everywhere, u reproduces itself
    group = (r // 2) * (-(-size[1] // 2)) + c // 2
    return Ties(position[keep], here + step[keep], matrix[keep], group[keep].astype(np.int64))

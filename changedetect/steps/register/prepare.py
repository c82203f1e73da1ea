"""The reference made ready once, so that every scene of a series can be matched to it without doing so again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from changedetect.steps.register.canopy import map_canopy
from changedetect.steps.register.exact import cut_planes
from changedetect.steps.register.features import (
    Features,
    Image,
    Scale,
    average_image,
    make_features,
    measure_scale,
    pick_bands,
    to_image,
)
from changedetect.steps.register.windows import Spectra, transform_planes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.core.grid import Grid
    from changedetect.core.raster import Raster
    from changedetect.steps.register.params import RegisterParams

MARGIN_PX = 24
"""Ground around a block that its features depend on."""
_LEVEL_STEP = 4
"""A level's field is good to a tenth of its pixel, so the next may be four times finer."""
_BLOCK_PX = 144
"""Blocks that fit the cache with all that is made of them, and of which a sample covers a large scene evenly."""
_MIN_VALID = 0.1
_SMALL_PX, _MIDDLE_PX, _TINY_PX = 768, 400, 200
"""Shorter sides below which cells are smaller: the warp of a small image may be as short as four cells."""
_SHARED_M = 6.0
"""A quarter of what neighbours share."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One scene at one level."""

    image: Image
    scale: Scale
    features: Features | None = None
    """Of the whole level; None where it is so large that only a sample of blocks is looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """The reference's features in one block."""

    row: int
    col: int
    planes: NDArray[np.float32]
    """(feature, row + 2, col + 2): one pixel more on each side, for gradients."""
    inside: NDArray[np.bool_]
    """(row, col)."""


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceLevel:
    """The reference at one level, cut into blocks."""

    factor: int
    shape: tuple[int, int]
    cell_px: int
    share: float
    """Share of the usable blocks that are looked at."""
    patches: tuple[Patch, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """All that matching needs of the reference; but for `windows` read-only, so that threads may share it."""

    grid: Grid
    valid: NDArray[np.bool_]
    """(row, col) of the full grid."""
    bands: tuple[str, ...]
    """Bands matched on; empty: the mean of all."""
    coarse: Features
    """Of the coarsest level."""
    spectra: NDArray[np.complex64]
    """Of the coarse features, for the search."""
    levels: tuple[ReferenceLevel, ...]
    """Coarsest first, the full grid last."""
    windows: Spectra = field(default_factory=dict)
    """Of windows of the coarse features, each put here by the first scene that is matched to it."""
    canopy: NDArray[np.float32] | None = None
    """Share of cells of the grid under crowns, see `map_canopy`."""


def prepare_reference(raster: Raster, moving_bands: Sequence[str], params: RegisterParams) -> Reference:
    """Return what matching scenes with `moving_bands` to a reference scene needs of it.

    Parameters
    ----------
    raster : Raster
        The reference scene on the grid of the pairs.
    moving_bands : sequence of str
        Bands of the scenes to come.
    params : RegisterParams
    """
    names = pick_bands(moving_bands, raster.bands, params)
    views = view_levels(raster, names, params)
    coarse = whole_features(views[0], params)
    levels = tuple(_cut_reference(view, raster.grid.gsd_m, params) for view in views)
    return Reference(
        raster.grid, raster.valid, names, coarse, transform_planes(coarse.planes), levels, canopy=map_canopy(raster)
    )


def view_levels(raster: Raster, names: tuple[str, ...], params: RegisterParams) -> list[View]:
    """Return a scene at each level, coarsest first, the full grid last; the coarsest always has its features."""
    full = to_image(raster, names, raster.valid)
    factors = [max(1, round(min(raster.grid.shape) / params.coarse_side_px))]
    while factors[-1] > 1:
        factors.append(max(1, factors[-1] // _LEVEL_STEP))
    views = []
    for factor in factors:
        image = average_image(full, factor)
        view = View(image, measure_scale(image))
        whole = factor == factors[0] or not is_sampled(image, params)
        views.append(replace(view, features=whole_features(view, params)) if whole else view)
    return views


def is_sampled(image: Image, params: RegisterParams) -> bool:
    """Return whether a level is too large to be looked at everywhere."""
    return image.valid.size > params.sample_px


def whole_features(view: View, params: RegisterParams) -> Features:
    """Return the features of the whole level."""
    return view.features or make_features(view.image, view.scale, params)


def cell_size_px(shape: tuple[int, int], gsd_m: float) -> int:
    """Return the side of a cell: 24 px, less on small images so that there are enough of them.

    Four cells are held out together, and should be wider than what a shadow or a crop does to neighbours alike: a
    small image of fine pixels keeps larger ones.
    """
    side = min(shape)
    if side >= _SMALL_PX:
        return 24
    if side >= _MIDDLE_PX:
        return 12
    return 6 if side < _TINY_PX else int(np.clip(round(_SHARED_M / gsd_m), 8, 12))


def _cut_reference(view: View, gsd_m: float, params: RegisterParams) -> ReferenceLevel:
    """Return the blocks of one level; of a large level, an even sample that holds `params.sample_px` pixels."""
    image = view.image
    cell = cell_size_px(image.shape, gsd_m * image.factor)
    sampled = is_sampled(image, params)
    side = _BLOCK_PX // cell * cell
    starts = [(r, c) for r in range(0, image.shape[0], side) for c in range(0, image.shape[1], side)]
    usable = [s for s in starts if image.valid[s[0] : s[0] + side, s[1] : s[1] + side].mean() >= _MIN_VALID]
    picked = usable
    if sampled:
        # an additive sequence in two dimensions spreads any number of blocks evenly (R2, from the plastic number)
        order = sorted(usable, key=lambda s: (s[0] // side * 0.7548776662467 + s[1] // side * 0.5698402909981) % 1.0)
        picked = sorted(order[: max(params.sample_px // side**2, 1)])
    patches = (_cut_patch(view, start, (side, cell), params) for start in picked)
    kept = tuple(patch for patch in patches if patch is not None)
    share = len(picked) / max(len(usable), 1)
    return ReferenceLevel(image.factor, image.shape, cell, share, kept)


def _cut_patch(view: View, start: tuple[int, int], sides: tuple[int, int], params: RegisterParams) -> Patch | None:
    side, cell = sides
    (row, col), shape = start, view.image.shape
    # whole cells, also where they reach beyond the image
    rows, cols = (min(side, -(-(n - k) // cell) * cell) for n, k in zip(shape, start, strict=True))
    if view.features is not None:
        found, r, c = view.features, row, col
    else:
        r = c = MARGIN_PX
        found = window_features(view, (row - r, col - c, rows + 2 * r, cols + 2 * c), params)
    inside = cut_planes(found.inside[None], (r, c, rows, cols))[0]
    if not inside.any():
        return None
    return Patch(row, col, cut_planes(found.planes, (r - 1, c - 1, rows + 2, cols + 2)), inside)


def window_features(view: View, place: tuple[int, int, int, int], params: RegisterParams) -> Features:
    """Return the features of a window (row, col, rows, cols) that may reach beyond the image."""
    return make_features(cut_window(view.image, place), view.scale, params)


def cut_window(image: Image, place: tuple[int, int, int, int]) -> Image:
    """Cut a window (row, col, rows, cols) that may reach beyond the image, where nothing is usable."""
    return replace(image, bands=cut_planes(image.bands, place), valid=cut_planes(image.valid[None], place)[0])

"""Masks that come with a product, turned into quality bits on a grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.core.near import within
from changedetect.core.quality import UNUSABLE, Quality
from changedetect.errors import DataError
from changedetect.io.files import open_raster, read_header, read_pixels
from changedetect.io.mapping import map_grid
from changedetect.io.place import place_of
from changedetect.io.vector_mask import draw_outlines, is_vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.core.grid import Grid
    from changedetect.core.results import Warp
    from changedetect.core.scene import MaskSource
    from changedetect.io.files import Header
    from changedetect.io.place import Place
    from changedetect.io.sensors import MaskKind, MaskRule

_BAD = np.uint16(UNUSABLE)


def read_mask(
    mask: MaskSource, kind: MaskKind, grid: Grid, warp: Warp | None, like: Place, edge_px: int
) -> NDArray[np.uint16]:
    """Return a mask file's meaning on a grid as quality bits, (row, col) uint16.

    Nearest neighbour; where the mask is finer than the grid, any marked pixel within a grid pixel marks it. Pixels
    within `edge_px` of an unusable one are EDGE; places the mask does not cover are MASKED. A mask without a place
    of its own lies as `like`, if it has that size. Masks of outlines count 1 inside and 0 outside, and cover all.
    """
    pad = max(math.ceil(rule.grow_m / grid.gsd_m) for rule in kind.rules) + edge_px
    around = grid.pad(pad) if pad else grid
    if is_vector(mask.path):
        drawn = draw_outlines(mask.path, around, warp, like.crs)
        hits, covered = [fits(drawn, rule) for rule in kind.rules], np.ones(around.shape, bool)
    else:
        hits, covered = _sample_rules(mask.path, kind.rules, around, warp, like)
    bits = np.zeros(covered.shape, np.uint16)
    for rule, hit in zip(kind.rules, hits, strict=True):
        if hit.any():
            bits[_grow(hit, rule.grow_m / grid.gsd_m)] |= np.uint16(Quality[rule.quality.upper()])
    bad = (bits & _BAD) != 0
    if bad.any():
        bits[_grow(bad, edge_px) & ~bad] |= np.uint16(Quality.EDGE)
    if not covered.all():
        bits[~covered] |= np.uint16(Quality.MASKED)
    return bits[pad:-pad, pad:-pad] if pad else bits


def _sample_rules(
    path: str, rules: Sequence[MaskRule], grid: Grid, warp: Warp | None, like: Place
) -> tuple[list[NDArray[np.bool_]], NDArray[np.bool_]]:
    """Return where each rule applies on the grid, and where the mask has anything to say."""
    header = read_header(path)
    place = _place_like(header, like)
    mapping = map_grid(place, grid, warp)
    rows, cols = place.shape
    slack_r, slack_c = (max(0.5, per / 2) for per in mapping.per_px)
    covered = (mapping.col > -slack_c) & (mapping.col < cols + slack_c)
    covered = covered & (mapping.row > -slack_r) & (mapping.row < rows + slack_r)
    if not covered.any():
        return [covered for _ in rules], covered
    reach = [max(0, round(per) - 1) for per in mapping.per_px]
    # cut towards zero is rounded down where it is not clipped
    iy = np.clip(mapping.row, 0, rows - 1).astype(np.int64)
    ix = np.clip(mapping.col, 0, cols - 1).astype(np.int64)
    used_y, used_x = (iy, ix) if covered.all() else (np.broadcast_to(at, covered.shape)[covered] for at in (iy, ix))
    r0, r1 = max(0, int(used_y.min()) - reach[0]), min(rows, int(used_y.max()) + reach[0] + 1)
    c0, c1 = max(0, int(used_x.min()) - reach[1]), min(cols, int(used_x.max()) + reach[1] + 1)
    wanted = sorted({rule.band for rule in rules})
    if wanted[-1] > header.count:
        raise DataError("mask has too few bands", where=path, found=header.count, needed=wanted[-1])
    with open_raster(path) as src:
        numbers = dict(zip(wanted, read_pixels(src, wanted, (r0, r1), (c0, c1)), strict=True))
    box = np.ones((reach[0] + 1, reach[1] + 1), np.uint8)
    place_of_each: NDArray[np.int64] | None = None
    hits = []
    for rule in rules:
        marked = fits(numbers[rule.band], rule)
        if not marked.any():
            hits.append(np.zeros(covered.shape, bool))
            continue
        if box.size > 1:
            marked = cv2.dilate(marked.astype(np.uint8), box) > 0
        if place_of_each is None:
            place_of_each = np.clip(iy - r0, 0, r1 - r0 - 1) * (c1 - c0) + np.clip(ix - c0, 0, c1 - c0 - 1)
        hits.append(marked.ravel().take(place_of_each) & covered)
    return hits, covered


def _place_like(header: Header, like: Place) -> Place:
    if header.transform is None and not header.gcps and header.rpcs is None:
        if header.shape != like.shape:
            raise DataError(
                "mask has no place on the map and not the size of its scene",
                where=header.path,
                found=header.shape,
                needed=like.shape,
            )
        return like
    return place_of(header, like.crs)


def _grow(marked: NDArray[np.bool_], radius_px: float) -> NDArray[np.bool_]:
    if radius_px < 1 or not marked.any():
        return marked
    return within(marked, radius_px + 1e-3)


def fits(number: NDArray[np.generic], rule: MaskRule) -> NDArray[np.bool_]:
    """Return True where a mask's number has the meaning of `rule`."""
    if rule.values is not None:
        return np.isin(number, rule.values)
    if rule.bit is not None:
        return np.asarray((number.astype(np.int64) >> rule.bit & 1) == 1)
    return np.asarray(number != rule.other_than)

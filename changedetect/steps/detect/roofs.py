"""Roofs that changed their colour or their shade and little else: rectangles that were built before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from pydantic import Field

from changedetect.core.colour import ColourChange, Colours, even_change, lasting_outline
from changedetect.steps.detect.masks import components

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline

    Mask = NDArray[np.bool_]

_BOX = np.ones((3, 3), np.uint8)
_RIM_PX = 2


@dataclass(frozen=True, slots=True)
class RoofParams:
    """What tells a roof that was covered anew, in a shade that stands out no more than the fields around it change."""

    max_gsd_m: Annotated[float, Field(gt=0.0)] = 0.75
    """Coarser pixels mix a roof with what lies beside it: a hut is ten pixels across up to here."""
    min_colour: Annotated[float, Field(gt=0.0)] = 0.06
    """Change of colour (logarithm, root mean square over the bands) beyond what all that lasts did, per pixel ..."""
    object_colour: Annotated[float, Field(gt=0.0)] = 0.085
    """... and in the middle of the roof: light alone colours nothing, and roofs that stayed change by .03 ..."""
    min_evenness: Annotated[float, Field(ge=0.0)] = 6.0
    """... and over its scatter within the roof: sheets are of one shade."""
    min_light: Annotated[float, Field(gt=0.0)] = 0.25
    """Or else change of brightness (logarithm, mean of the bands) beyond what all that lasts did, per pixel ..."""
    object_light: Annotated[float, Field(gt=0.0)] = 0.4
    """... and in the middle of the roof: the sun's way over a slope makes .2 ..."""
    light_evenness: Annotated[float, Field(ge=0.0)] = 5.5
    """... and over its scatter within the roof."""
    max_slope: Annotated[float, Field(gt=0.0)] = 0.2
    """Gradient of that change per pixel, over the change: beyond this another surface begins."""
    min_length_m: Annotated[float, Field(gt=0.0)] = 10.0
    """Shorter patches of one colour are crowns, cars and corners of fields."""
    max_length_m: Annotated[float, Field(gt=0.0)] = 40.0
    """Longer ones are roads."""
    min_width_m: Annotated[float, Field(gt=0.0)] = 5.0
    """Narrower ones are tracks."""
    min_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.78
    """They fill their rectangle."""
    min_edges: Annotated[float, Field(ge=0.0, le=1.0)] = 0.85
    """Share of its outline that is an edge, on each of both dates: what was built there stood and stands."""
    max_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.5
    """No roof is greener, on either date; paint is ..."""
    bare_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.2
    """... less green than this on one of them: patches that came up or withered are not (.24 and more)."""
    water_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = -0.12
    """Water is darker in near infrared than in red, where no roof is."""


def recoloured(
    baseline: Baseline, raster: Raster, taken: Mask, params: RoofParams, colours: Colours | None = None
) -> Mask:
    """Return the pixels of roofs that changed all over, (row, col), none of which touches one that is `taken`."""
    found = np.zeros(taken.shape, bool)
    gsd_m = raster.grid.gsd_m
    change = (colours or Colours(baseline, raster)).change() if gsd_m <= params.max_gsd_m else None
    if change is None:
        return found
    usable = np.asarray(raster.valid & baseline.valid)
    for even in (_even_colour(change, params), *_even_light(change, params)):
        near = cv2.dilate((taken | found).astype(np.uint8), _BOX) > 0
        for where, roof in _patches(even & _bare(change, params), usable, gsd_m, params):
            if not (near[where] & roof).any() and _is_roof(roof, change, where, gsd_m, params):
                found[where] |= roof
    return found


def _patches(even: Mask, usable: Mask, gsd_m: float, params: RoofParams) -> Iterator[tuple[tuple[slice, slice], Mask]]:
    """Yield the window of every even patch of a roof's size, and its pixels there, out to its edges."""
    opened = cv2.morphologyEx((even & usable).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    n, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    least, most = 0.3 * params.min_length_m * params.min_width_m, params.max_length_m**2 / 2
    area_m2 = stats[:, cv2.CC_STAT_AREA] * gsd_m**2
    for label in range(1, n):
        if not least <= area_m2[label] <= most:
            continue
        left, top, width, height = stats[label, :4]
        rows = slice(max(top - 2 * _RIM_PX, 0), top + height + 2 * _RIM_PX)
        cols = slice(max(left - 2 * _RIM_PX, 0), left + width + 2 * _RIM_PX)
        # An edge is where the change is steep: the even part ends a pixel or two before it.
        part = np.pad(labels[rows, cols] == label, _RIM_PX).astype(np.uint8)
        closed = cv2.morphologyEx(part, cv2.MORPH_CLOSE, _BOX)[_RIM_PX:-_RIM_PX, _RIM_PX:-_RIM_PX]
        yield (rows, cols), (cv2.dilate(closed, _BOX) > 0) & usable[rows, cols]


def _bare(change: ColourChange, params: RoofParams) -> Mask:
    """Return what is neither green nor water on both dates."""
    return (np.maximum(*change.ndvi) < params.max_ndvi) & (np.minimum(*change.ndvi) > params.water_ndvi)


def _even_colour(change: ColourChange, params: RoofParams) -> Mask:
    """Return where the colour changed, and as that beside it did."""
    size, slope = _size_and_slope(change.colour)
    return (size >= params.min_colour) & (slope < np.float32(params.max_slope) * size)


def _even_light(change: ColourChange, params: RoofParams) -> tuple[Mask, Mask]:
    """Return where it became brighter, and where darker, as that beside it did."""
    size, slope = _size_and_slope(change.light[None])
    even = (size >= params.min_light) & (slope < np.float32(params.max_slope) * size)
    return even & (change.light > 0), even & (change.light < 0)


def _size_and_slope(planes: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the size of a change (band, row, col) and of its gradient per pixel, root mean squares over the bands."""
    size, slope = (np.zeros(planes.shape[1:], np.float32) for _ in range(2))
    for plane in planes:
        size += plane * plane
        for way in ((1, 0), (0, 1)):
            along = cv2.Sobel(plane, cv2.CV_32F, *way, ksize=3, scale=0.125)
            slope += np.multiply(along, along, out=along)
    for total in (size, slope):
        total /= len(planes)
        np.sqrt(total, out=total)
    return size, slope


def _is_roof(roof: Mask, change: ColourChange, where: tuple[slice, slice], gsd_m: float, params: RoofParams) -> bool:
    """Return whether an even patch is a rectangle of a building's size with an outline on both dates."""
    rows, cols = np.nonzero(roof)
    if rows.size == 0 or components(roof)[0] != 2:
        return False
    sides = np.array(cv2.minAreaRect(np.stack([cols, rows], axis=1).astype(np.float32))[1]) + 1.0
    width_m, length_m = sorted(sides * gsd_m)
    if rows.size < params.min_fill * sides.prod() or not params.min_length_m <= length_m <= params.max_length_m:
        return False
    if width_m < params.min_width_m:
        return False
    if lasting_outline(change, roof, where) < params.min_edges:
        return False
    if min(float(np.median(plane[where][roof])) for plane in change.ndvi) > params.bare_ndvi:
        return False
    told = even_change(change, roof, where)
    coloured = told["own_colour"] >= params.object_colour and told["own_colour_evenness"] >= params.min_evenness
    shaded = abs(told["own_light"]) >= params.object_light and told["own_light_evenness"] >= params.light_evenness
    return coloured or shaded

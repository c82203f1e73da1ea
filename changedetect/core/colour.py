"""How what is bare changed in colour between two dates, apart from what light and the scene as a whole did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.core.robust import median

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

_DARK = 0.1
"""Share of the scene's usual brightness that is added before the logarithm: shadows stay within bounds."""
_BLUR_PX = 1.0
_STEEP = 0.07
"""Gradient per pixel of the logarithm of an edge that lasts: of roofs, roads and yards."""
_OUTLINE = 0.06
"""The same of an outline, anywhere within a pixel of it."""
_NEAR_PX = 5
_BARE_NDVI, _WATER_NDVI = 0.4, -0.12
_LEAST_PX = 500
"""Fewer pixels than this do not tell how the scene as a whole changed its colours."""
_SAMPLE, _ROUNDS = 20_000, 10
"""Pixels that the line of haze is laid through, and rounds of reweighting them."""
_ALIKE = 0.05
"""Ground that differs by no more than this share of its brightness does not tell haze from light."""


@dataclass(frozen=True, slots=True)
class ColourChange:
    """The change of the logarithm of brightness, split into what light can do to a surface and what it cannot."""

    colour: Plane
    """(band, row, col), of mean 0 over the bands."""
    light: Plane
    """(row, col), the mean over the bands."""
    ndvi: tuple[Plane, Plane]
    """Before and after."""
    steep: tuple[Plane, Plane]
    """Gradient per pixel of the logarithm in the band where it is steepest, before and after."""


class Colours:
    """How colours changed between a baseline and a scene, worked out when it is first asked for, and once."""

    __slots__ = ("_found", "_pair")

    def __init__(self, baseline: Baseline, raster: Raster) -> None:
        self._pair = baseline, raster
        self._found: list[ColourChange | None] = []

    def change(self) -> ColourChange | None:
        """Return what `change_of_colour` returns."""
        if not self._found:
            self._found.append(change_of_colour(*self._pair))
        return self._found[0]


def change_of_colour(baseline: Baseline, raster: Raster) -> ColourChange | None:
    """Return how colours changed beyond what all that lasts did; None where that cannot be told.

    Light multiplies all bands of a surface alike, and roofs, roads and yards keep their colours: what they have in
    common between two dates is season and calibration, the median beside edges that both dates show, or haze and thin
    cloud, which take from the bright and add to the dark: a line per band there. Of each pixel the smaller rest is
    told: what either explains is not its own.
    """
    names = [name for name in raster.bands if name in baseline.bands]
    if len(names) < 3 or not {"red", "nir"} <= set(names):
        return None
    usable = np.asarray(raster.valid & baseline.valid)
    if int(usable.sum()) < _LEAST_PX:
        return None
    dates = ([baseline.band(name) for name in names], [raster.band(name) for name in names])
    floors = [_DARK * max(float(median(plane[usable][::16])), 1e-6) for plane in dates[0]]
    before, after = ([_log(p, floor) for p, floor in zip(planes, floors, strict=True)] for planes in dates)
    steep = (_steepness(before), _steepness(after))
    change = np.stack([_smooth(b - a) for a, b in zip(before, after, strict=True)])
    ndvi = (_ndvi(dates[0], names), _ndvi(dates[1], names))
    box = np.ones((_NEAR_PX, _NEAR_PX), np.uint8)
    lasting = cv2.dilate((np.minimum(*steep) > _STEEP).astype(np.uint8), box) > 0
    lasting &= usable & (np.maximum(*ndvi) < _BARE_NDVI) & (np.minimum(*ndvi) > _WATER_NDVI)
    if int(lasting.sum()) < _LEAST_PX:
        return None
    colour, light = _beyond_common(change, lasting)
    for k, (old, new, floor) in enumerate(zip(*dates, floors, strict=True)):
        gain, offset = _line(old[lasting], new[lasting], floor)
        change[k] += before[k] - _log(np.float32(gain) * old + np.float32(offset), floor)
    hazy_colour, hazy_light = _beyond_common(change, lasting)
    np.copyto(colour, hazy_colour, where=(hazy_colour**2).sum(axis=0) < (colour**2).sum(axis=0))
    np.copyto(light, hazy_light, where=np.abs(hazy_light) < np.abs(light))
    return ColourChange(colour, light, ndvi, steep)


def _line(old: Plane, new: Plane, floor: float) -> tuple[float, float]:
    """Return gain and offset of the line new = gain old + offset that most pixels follow, by their share of brightness.

    The reduced major axis, reweighted: ground changes on both dates alike, so that regression of one on the other would
    make the line too flat.
    """
    step = max(1, old.size // _SAMPLE)
    x, y = old[::step].astype(np.float64), new[::step].astype(np.float64)
    scale = 1.0 / (np.maximum(np.minimum(x, y), 0.0) + floor)
    weight = scale**2
    gain, offset = 1.0, 0.0
    for _ in range(_ROUNDS):
        share = weight / weight.sum()
        mid_x, mid_y = float(share @ x), float(share @ y)
        alike = (_ALIKE * mid_x) ** 2
        gain = float(np.sqrt((share @ (y - mid_y) ** 2 + alike) / (share @ (x - mid_x) ** 2 + alike)))
        offset = mid_y - gain * mid_x
        miss = (y - gain * x - offset) * scale
        spread = max(1.4826 * float(median(np.abs(miss))), 1e-3)
        weight = scale**2 / (1.0 + (miss / (2.0 * spread)) ** 2) ** 2
    return gain, offset


def _beyond_common(change: Plane, lasting: Mask) -> tuple[Plane, Plane]:
    """Return colour (band, row, col) and light (row, col) of a change, less their medians over what lasts."""
    light = np.mean(change, axis=0)
    colour = change - light
    colour -= median(colour[:, lasting], along_rows=True).astype(np.float32)[:, None, None]
    light -= np.float32(median(light[lasting]))
    return colour, light


def even_change(change: ColourChange, inside: Mask, where: tuple[slice, slice]) -> dict[str, float]:
    """Return how much a thing changed in colour and in light, and both over their scatter inside it.

    `inside` is of the window `where`; its outermost pixels, mixed with what is beside, are left out.
    """
    core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0
    core = core if core.any() else inside
    colour = change.colour[:, where[0], where[1]][:, core]
    light = change.light[where][core]
    own, shade = median(colour, along_rows=True), float(median(light))
    size = float(np.sqrt(np.mean(own**2)))
    scatter = float(median(np.sqrt(np.mean((colour - own[:, None]) ** 2, axis=0))))
    spread = 1.4826 * float(median(np.abs(light - np.float32(shade))))
    return {
        "own_colour": size,
        "own_colour_evenness": size / max(scatter, 0.005),
        "own_light": shade,
        "own_light_evenness": abs(shade) / max(spread, 0.01),
    }


def lasting_outline(change: ColourChange, inside: Mask, where: tuple[slice, slice]) -> float:
    """Return the share of a thing's outline that is an edge in some band, on the date when it is less of one.

    `inside` is of the window `where`, which reaches beyond it.
    """
    box = np.ones((3, 3), np.uint8)
    line = (cv2.dilate(inside.astype(np.uint8), box) > 0) & ~inside
    if not line.any():
        return 0.0
    edges = (cv2.dilate((steep[where] > _OUTLINE).astype(np.uint8), box) > 0 for steep in change.steep)
    return min(float(edge[line].mean()) for edge in edges)


def _smooth(plane: Plane) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), _BLUR_PX), np.float32)


def _log(plane: Plane, floor: float) -> Plane:
    raised = np.maximum(plane, np.float32(0))
    raised += np.float32(floor)
    return np.log(raised, out=raised)


def _steepness(planes: Sequence[Plane]) -> Plane:
    """Return the gradient per pixel, (row, col), in the band where it is steepest."""
    best = np.zeros(planes[0].shape, np.float32)
    for plane in planes:
        dx, dy = (
            cv2.Sobel(plane, cv2.CV_32F, *way, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
            for way in ((1, 0), (0, 1))
        )
        squared = np.multiply(dx, dx, out=dx)
        squared += np.multiply(dy, dy, out=dy)
        np.maximum(best, squared, out=best)
    return np.sqrt(best, out=best)


def _ndvi(planes: Sequence[Plane], names: Sequence[str]) -> Plane:
    red, nir = planes[names.index("red")], planes[names.index("nir")]
    return np.asarray((nir - red) / np.maximum(nir + red, np.float32(1e-6)), np.float32)

"""Shores: what lies at the edge of water and is no ship: bared ground, plants, dams; and where ships berth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from pydantic import Field

from changedetect.steps.classify.patch import VISIBLE, ramp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.classify.water import WaterLook

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]

_MOST_SHORE = 1500
"""Pixels of shore whose colours are compared with a thing on the water."""


@dataclass(frozen=True, slots=True)
class ShoreParams:
    """What shores look like, and where ships berth."""

    plants_ndvi: tuple[float, float] = (0.45, 0.3)
    """Median (nir - red) / (nir + red) of a thing, over what land gained since the baseline: plants, none."""
    berth_m: Positive = 12.0
    """Reach beyond a thing within which it lies at the shore, or three pixels if these are more."""
    berth_share: tuple[float, float] = (0.84, 0.96)
    """Share of its length along which the shore runs straight and parallel to it: no quay, a quay."""
    straight_px: Positive = 0.6
    """Pixels by which a straight shore may stray from its line."""
    parallel: Positive = 0.09
    """Tangent of the angle between a ship and the quay that it lies at."""
    least_quay_m: Positive = 60.0
    """Shortest straight shore that counts as a quay; ships also lie with the stern to one ..."""
    least_quay_px: Positive = 12.0
    """... and in pixels: any shore is straight over a few."""
    quay_aspect: tuple[float, float] = (1.2, 2.2)
    """At a quay lies what is this much longer than wide, less the pixel that both are too long: several ships side by
    side, no heap of earth."""
    like_shore_aspect: tuple[float, float] = (3.0, 4.5)
    """The same where it has the colours of the shore too and is short: a single hull's shape, beyond doubt. Strips of
    shore that fell dry had 2.6 to 4.3 on real lakes, and ships there 5.1 and more ..."""
    long_m: tuple[float, float] = (70.0, 100.0)
    """... from short to long, where a hull's shape will do (`aspect`): such strips were 35 to 70 m long, natural shores
    being straight no farther, and of long ships at 10 m the blurred side takes as much off their shape."""
    sea_room: tuple[float, float] = (0.4, 0.7)
    """Share of the ground as wide as a ship beside it, on the side that has more, that is water."""
    aspect: tuple[float, float] = (2.0, 3.5)
    """Away from quays, and in the shore's colours, the shape must be a hull's: length over width, both less the pixel
    they are too long ..."""
    fill: tuple[float, float] = (0.6, 0.75)
    """... and share of the smallest rectangle that is filled."""
    alone_fill: tuple[float, float] = (0.55, 0.68)
    """The same with water all around: bows and blurred sides take more of what is few pixels wide."""
    shore_m: Positive = 45.0
    """Land this close to water is shore."""
    near_m: Positive = 150.0
    """Shore this close to a thing tells the colours that bared ground and plants have there."""
    same_colour: Positive = 0.2
    """Distance of logarithms of colour up to which two colours are one."""
    same_share: Share = 0.02
    """Share of the shore that has a colour, alone or mixed with water's, for it to be the shore's."""
    unlike: tuple[float, float] = (0.05, 0.2)
    """Share of a thing whose colours are not the shore's: shore, ship."""
    alone: Share = 0.5
    """What has water all around may be a ship at least this far, whatever its colours: bared ground mostly continues
    the shore, and hulls are as grey as concrete."""
    rim_px: Positive = 3.0
    """Water this close to land is its rim."""
    rim_changed: tuple[float, float] = (0.3, 0.12)
    """Share of the rim of the same water that stands out from water too: the level fell or plants grew, or not ..."""
    quay_rim_changed: tuple[float, float] = (0.45, 0.25)
    """... and the same for what lies at a quay and has the colours of shore: ice gathers at quays too."""
    dam_px: Positive = 2.5
    """A thing both of whose ends come this close to land while its sides lie in water is a dam or a bridge."""


@dataclass(frozen=True, slots=True, eq=False)
class Shores:
    """A look's shores; planes are (row, col)."""

    water: Mask
    seen: Mask
    edge: Mask
    """Land of the baseline that touches its water."""
    shore: Mask
    """Land of the baseline close to its water, where seen."""
    body: NDArray[np.int32]
    """Connected water of the baseline, from 1."""
    rim: tuple[NDArray[np.intp], NDArray[np.intp]]
    """Rows and columns of the seen rim of water."""
    stands_out: Mask
    """Which of these stand out from water."""
    colour: Plane
    """(band, row, col) logarithms of brightness, above some of the water's own."""
    green: Plane | None
    """Vegetation index over what land gained; None without near infrared and red."""
    gsd_m: float


def look_at_shores(raster: Raster, baseline: Baseline, afloat: WaterLook, params: ShoreParams) -> Shores:
    """Return the shores of a look."""
    water, seen = afloat.water, raster.valid
    away = cv2.distanceTransform(water.astype(np.uint8), cv2.DIST_L2, 5)
    inland_m = cv2.distanceTransform((~water).astype(np.uint8), cv2.DIST_L2, 5) * raster.grid.gsd_m
    edge = baseline.valid & ~water & (cv2.dilate(water.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    names = [name for name in raster.bands if name in baseline.bands]
    planes = np.stack([raster.band(name) for name in names])
    visible = [k for k, name in enumerate(names) if name in VISIBLE] or list(range(len(names)))
    level = float(np.median(planes[visible][:, water & seen])) if (water & seen).any() else 1.0
    colour = np.log(np.maximum(np.nan_to_num(planes), 0) + np.float32(max(0.5 * level, 1e-6)))
    rim = np.nonzero(water & seen & (away <= params.rim_px))
    return Shores(
        water=water,
        seen=seen,
        edge=edge,
        shore=~water & seen & baseline.valid & (inland_m < params.shore_m),
        body=np.asarray(cv2.connectedComponents(water.astype(np.uint8), ltype=cv2.CV_32S)[1], np.int32),
        rim=(rim[0], rim[1]),
        stands_out=afloat.sigma[rim] > afloat.grow_sigma,
        colour=colour,
        green=_greenness(raster, baseline, ~water & seen & baseline.valid),
        gsd_m=raster.grid.gsd_m,
    )


def _greenness(raster: Raster, baseline: Baseline, land: Mask) -> Plane | None:
    if not {"red", "nir"} <= set(raster.bands) & set(baseline.bands):
        return None
    after, before = (
        np.divide(nir - red, nir + red, out=np.zeros_like(nir), where=nir + red > 0)
        for nir, red in ((image.band("nir"), image.band("red")) for image in (raster, baseline))
    )
    gained = float(np.median((after - before)[land])) if land.any() else 0.0
    return np.asarray(after - max(gained, 0.0), np.float32)


def tell_ship_from_shore(
    places: NDArray[np.intp], sides: tuple[float, float, float], shores: Shores, params: ShoreParams
) -> float:
    """Return how far a thing on the water may be a ship rather than shore, 0 to 1.

    Parameters
    ----------
    places : ndarray
        (n, 2) rows and columns of its pixels.
    sides : tuple of float
        Length and width in metres and fill, as `smallest_box` gives them.
    shores : Shores
        Of the whole look.
    params : ShoreParams
        Limits.

    Notes
    -----
    Plants and dams are none. What lies along a straight shore, or with an end to one, lies at a quay and may be one.
    Away from quays a ship must have a hull's shape, colours that are not the shore's (alone or mixed with water's),
    and a water whose rim did not change all around, as it does where the level falls or plants grow.
    """
    hull, window = _around(places, shores, params)
    may_be = 1.0
    if shores.green is not None:
        may_be = ramp(float(np.median(shores.green[window][hull])), *params.plants_ndvi)
    if may_be == 0.0 or _is_dam(hull, window, shores, params):
        return 0.0
    may_be *= ramp(_sea_room(hull, window, shores), *params.sea_room)
    length_m, width_m, fill = sides
    aspect = (length_m - shores.gsd_m) / max(width_m - shores.gsd_m, 0.5 * shores.gsd_m)
    changed = _rim_changed(places, shores, params)
    unlike = ramp(_unlike_shore(hull, window, shores, params), *params.unlike)
    quay = ramp(_straight_share(hull, window, shores, params), *params.berth_share) * ramp(aspect, *params.quay_aspect)
    long = ramp(length_m, *params.long_m)
    slender = long * ramp(aspect, *params.aspect) + (1.0 - long) * ramp(aspect, *params.like_shore_aspect)
    quay *= max(unlike, ramp(changed, *params.quay_rim_changed) * slender)
    alone = _is_alone(hull, window, shores, params)
    free = ramp(aspect, *params.aspect) * ramp(changed, *params.rim_changed)
    free *= ramp(fill, *(params.alone_fill if alone else params.fill))
    free *= max(unlike, params.alone) if alone else unlike
    return may_be * max(quay, free)


def _around(places: NDArray[np.intp], shores: Shores, params: ShoreParams) -> tuple[Mask, tuple[slice, slice]]:
    """Return a thing's mask in a window that holds the shores near it, and that window."""
    reach = math.ceil(params.near_m / shores.gsd_m)
    low = np.maximum(places.min(axis=0) - reach, 0)
    high = np.minimum(places.max(axis=0) + reach + 1, shores.water.shape)
    hull = np.zeros(high - low, bool)
    hull[tuple((places - low).T)] = True
    return hull, (slice(low[0], high[0]), slice(low[1], high[1]))


def _axes(hull: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the middle (row, col) of a mask and its long and short direction."""
    places = np.argwhere(hull).astype(np.float64)
    middle = places.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov((places - middle).T) + 1e-9 * np.eye(2))
    return middle, directions[:, 1], directions[:, 0]


def _is_dam(hull: Mask, window: tuple[slice, slice], shores: Shores, params: ShoreParams) -> bool:
    """Return whether both ends of a thing come close to land, and neither of its sides does."""
    middle, along, across = _axes(hull)
    at = np.argwhere(hull) - middle
    half_length, half_width = np.abs(at @ along).max() + 0.5, np.quantile(np.abs(at @ across), 0.9) + 0.5
    land = np.argwhere(shores.edge[window]) - middle
    if not len(land):
        return False
    t, n = land @ along, land @ across
    near = np.abs(n) <= half_width + params.dam_px
    ends = [
        bool((near & (side * t > 0.8 * half_length) & (side * t < half_length + params.dam_px)).any())
        for side in (1, -1)
    ]
    beside = np.unique(np.round(t[near & (np.abs(t) < 0.8 * half_length)])).size
    return all(ends) and beside < 0.3 * 2 * half_length


def _sea_room(hull: Mask, window: tuple[slice, slice], shores: Shores) -> float:
    """Return the share of water in the strip of a thing's own width beside it, on the side that has more."""
    middle, along, across = _axes(hull)
    at = np.argwhere(hull) - middle
    half_length, half_width = np.abs(at @ along).max() + 0.5, float(np.quantile(np.abs(at @ across), 0.9)) + 0.5
    places = np.argwhere(np.ones(hull.shape, bool)) - middle
    t, n = places @ along, places @ across
    water = shores.water[window].ravel()
    room = 0.0
    for side in (1, -1):
        strip = (np.abs(t) <= half_length) & (side * n > half_width) & (side * n <= 3 * half_width)
        room = max(room, float(water[strip].mean()) if strip.any() else 0.0)
    return room


def _is_alone(hull: Mask, window: tuple[slice, slice], shores: Shores, params: ShoreParams) -> bool:
    reach = math.ceil(_berth_px(shores, params))
    near = cv2.dilate(hull.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    return not bool((near & shores.edge[window]).any())


def _berth_px(shores: Shores, params: ShoreParams) -> float:
    return max(params.berth_m / shores.gsd_m, 3.0)


def _straight_share(hull: Mask, window: tuple[slice, slice], shores: Shores, params: ShoreParams) -> float:
    """Return the share of a thing's length along which a straight shore runs beside it, or of a quay at its end."""
    middle, along, across = _axes(hull)
    at = np.argwhere(hull) - middle
    land = np.argwhere(shores.edge[window]) - middle
    if len(land) < 3:
        return 0.0
    reach = _berth_px(shores, params)
    quay_px = max(params.least_quay_m / shores.gsd_m, params.least_quay_px)
    best = 0.0
    for u, v in ((along, across), (across, along)):
        half = max(float(np.abs(at @ u).max()) + 0.5, 0.5 * quay_px)
        depth = float(np.quantile(np.abs(at @ v), 0.9)) + 0.5
        t, n = land @ u, land @ v
        for side in (1, -1):
            use = (np.abs(t) <= half) & (side * n > 0) & (side * n <= depth + reach)
            best = max(best, _on_a_line(t[use], side * n[use], params) / (2 * half))
    return best


def _on_a_line(t: NDArray[np.float64], n: NDArray[np.float64], params: ShoreParams) -> float:
    """Return along how many pixels the nearest shore keeps to one line about parallel to t."""
    if t.size < 3:
        return 0.0
    cell = np.floor(t + 0.5 + 1e-6).astype(int)  # never to even: a middle between two pixels would merge their cells
    order = np.lexsort((n, cell))
    first = order[np.unique(cell[order], return_index=True)[1]]
    t, n = t[first], n[first]
    most = 0
    for slope in np.linspace(-params.parallel, params.parallel, 9):
        off = np.sort(n - slope * t)
        # the most values within a strip twice `straight_px` wide
        held = np.searchsorted(off, off + 2 * params.straight_px, "right") - np.arange(len(off))
        most = max(most, int(held.max()))
    return float(most)


def _rim_changed(places: NDArray[np.intp], shores: Shores, params: ShoreParams) -> float:
    """Return the share of the rim of a thing's own water, away from it, that stands out from water."""
    body = int(np.bincount(shores.body[tuple(places.T)]).argmax())
    rows, cols = shores.rim
    margin = params.berth_m / shores.gsd_m + 4
    low, high = places.min(axis=0) - margin, places.max(axis=0) + margin
    own = (rows >= low[0]) & (rows <= high[0]) & (cols >= low[1]) & (cols <= high[1])
    use = (shores.body[shores.rim] == body) & ~own
    return float(shores.stands_out[use].mean()) if use.any() else 0.0


def _unlike_shore(hull: Mask, window: tuple[slice, slice], shores: Shores, params: ShoreParams) -> float:
    """Return the share of a thing whose colours neither the shore near it has nor a mixture of these and water's."""
    near = cv2.dilate(hull.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    colour = shores.colour[:, window[0], window[1]]
    shore, water = shores.shore[window] & ~near, shores.water[window] & shores.seen[window] & ~near
    if shore.sum() < 10 or not water.any():
        return 1.0
    open_water = np.median(colour[:, water], axis=1)
    own, land = colour[:, hull].T - open_water, colour[:, shore].T - open_water
    land = land[:: max(1, len(land) // _MOST_SHORE)]
    along = np.clip(own @ land.T / np.maximum((land**2).sum(axis=1), 1e-9), 0.0, 1.0)
    squared = (own**2).sum(axis=1)[:, None] - 2 * along * (own @ land.T) + along**2 * (land**2).sum(axis=1)
    return float(((squared < params.same_colour**2).mean(axis=1) < params.same_share).mean())

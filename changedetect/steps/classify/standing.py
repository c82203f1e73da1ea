"""Where people stand: the dark ground less the shadows that reach beyond the last rank."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from affine import Affine
from rasterio.features import shapes
from shapely.affinity import translate
from shapely.geometry import shape
from shapely.ops import unary_union

from changedetect.steps.classify.group import smallest_rectangle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.steps.classify.crowd import CrowdParams

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

_FINER = 4
"""Pixels are cut in so many a side where shadows are taken off: they are a few pixels long."""
_ELBOW_M = 0.15
"""People stand .8 m apart and are .5 m wide: the ground they take reaches this far beyond them."""
_LEAST_SHARE = 0.2
"""Of the dark ground, people stand on no less than this."""


@dataclass(frozen=True, slots=True)
class Shade:
    """Shadows of standing people over the ground they take."""

    azimuths_deg: tuple[float, ...]
    """Of the sun, clockwise from the grid's north; several where it is not known."""
    elevation_deg: float
    length_m: float
    covered: float
    """Share of the ground between them that people and shadows cover, as its darkening says; not kept to 0 to 1."""
    begins: float
    """Share of a shadow's length, 0 to 0.5, by which the dark outline begins behind the first rank and ends before the
    last shadow's tip: coverage rises and falls over one length as shadows add up."""


def look_at_shade(change: Plane, ground: Mask, sun: tuple[float, float] | None, params: CrowdParams) -> Shade:
    """Return the shadows over a ground, (row, col), from its darkening and the sun's azimuth and elevation in degrees.

    Without a sun shadows have a usual length, in any direction.
    """
    elevation = sun[1] if sun else params.unknown_sun_deg
    length_m = params.height_m / math.tan(math.radians(elevation))
    inner = cv2.erode(ground.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    share = float(change[inner if inner.any() else ground].mean()) / params.full_darkening
    some = min(max(share, 0.02), 0.92)
    begins = min(0.5, math.log(1.0 - params.outline_share * some) / math.log(1.0 - some))
    return Shade((sun[0],) if sun else (0.0, 45.0, 90.0, 135.0), elevation, length_m, share, begins)


def overhang_m2(ground: Mask, gsd_m: float, shade: Shade, params: CrowdParams) -> float:
    """Return the dark ground beyond the last rank less the light ground before the first, where people stand alone."""
    return float(np.mean([_overhang_m2(ground, gsd_m, azimuth, shade, params) for azimuth in shade.azimuths_deg]))


def _overhang_m2(ground: Mask, gsd_m: float, azimuth_deg: float, shade: Shade, params: CrowdParams) -> float:
    step_px = params.overhang_step_m / gsd_m
    away = _away(azimuth_deg, step_px)
    here = np.pad(ground.astype(np.float32), math.ceil(step_px) + 1)
    across_m = float(np.maximum(_moved(here, away) - here, 0.0).sum()) * gsd_m**2 / params.overhang_step_m
    return across_m * shade.length_m * (1.0 - 2.0 * shade.begins)


def measure_stand(ground: Mask, gsd_m: float, transform: Affine, shade: Shade) -> dict[str, Any] | None:
    """Return outline, area and sides of where people stand; None where the sun is not known or shadows are all.

    The dark ground is the stand swept along the shadows, from `begins` of a length behind the first rank to as much
    before the end of the last shadow. What it covers after a move by the rest of the length as well (its erosion by a
    segment) is the stand, moved by `begins`.

    Parameters
    ----------
    ground : ndarray
        (row, col) True where the ground is dark with people or their shadows.
    transform : Affine
        From its columns and rows to map coordinates.

    Returns
    -------
    dict or None
        geometry (map coordinates), area_m2, length_m, width_m, orientation_deg.
    """
    if len(shade.azimuths_deg) > 1:
        return None
    fine = np.kron(np.pad(ground, 1), np.ones((_FINER, _FINER), np.uint8))
    rest_px = shade.length_m * (1.0 - 2.0 * shade.begins) / gsd_m * _FINER
    stand = fine > 0
    for step in np.linspace(0.0, rest_px, max(2, math.ceil(rest_px) + 1))[1:]:
        x, y = _away(shade.azimuths_deg[0], float(step))
        stand &= _moved(fine, (-x, -y)) > 0
    if stand.sum() < _LEAST_SHARE * fine.sum():
        return None
    back_x, back_y = _away(shade.azimuths_deg[0], shade.begins * shade.length_m)
    place = transform @ Affine.translation(-1, -1) @ Affine.scale(1.0 / _FINER)
    parts = [shape(part) for part, _ in shapes(stand.astype(np.uint8), mask=stand, transform=place)]
    outline = translate(unary_union(parts), -back_x, back_y).buffer(_ELBOW_M, join_style="mitre")
    outline = outline.simplify(gsd_m / (2 * _FINER))
    length, width, orientation = smallest_rectangle(outline)
    # Rough edges make the smallest rectangle larger than what it holds.
    even = math.sqrt(outline.area / (length * width))
    return {
        "geometry": outline,
        "area_m2": round(outline.area, 2),
        "length_m": round(even * length, 2),
        "width_m": round(even * width, 2),
        "orientation_deg": round(orientation, 2),
    }


def _away(azimuth_deg: float, far: float) -> tuple[float, float]:
    """Return columns and rows of a move away from the sun."""
    return -math.sin(math.radians(azimuth_deg)) * far, math.cos(math.radians(azimuth_deg)) * far


def _moved(plane: NDArray[Any], by: tuple[float, float]) -> NDArray[Any]:
    return cv2.warpAffine(plane, np.array([[1.0, 0.0, by[0]], [0.0, 1.0, by[1]]], np.float32), plane.shape[::-1])

"""What stands out from the ground around it on the scene and did not before, whatever the fields as wholes did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.steps.score import predict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.steps.score.params import ScoreParams

    Plane = NDArray[np.float32]

_FLOORS = (0.05, 0.03, 0.06)
"""Least noise of brightness, red over blue and near infrared over the visible, log units: texture of bare soil."""
_SPAN = 2.0
"""Brightness is told from the scene's median over this many log units to either side, in 255 steps."""
_STEPS_PER_UNIT = 500.0
"""Steps in which spread is told: .002 log units."""
_DARKEST = 0.05
_DARKEST_SHOWN = 0.25
"""A stretch for the eye moves black: near it, numbers of pictures say nothing of how many times darker a thing is."""
_BOX = np.ones((3, 3), np.uint8)


def reach_px(params: ScoreParams, gsd_m: float) -> int:
    """Return how many pixels around a block its local contrast depends on."""
    if gsd_m > params.contrast_max_gsd_m:
        return 0
    radius, smoothing = _radius_px(params, gsd_m), predict.gaussian_radius_px(_smoothing_px(gsd_m))
    return 2 * radius + predict.gaussian_radius_px(radius / 3) + smoothing + 3


def _radius_px(params: ScoreParams, gsd_m: float) -> int:
    return max(1, min(round(params.contrast_window_m / 2 / gsd_m), 127))


def _smoothing_px(gsd_m: float) -> float:
    return max(0.8, 0.4 / gsd_m)


def local_contrast(
    pair: predict.Pair, level: Sequence[float], gsd_m: float, params: ScoreParams, *, picture: bool = False
) -> tuple[Plane, Plane, Plane]:
    """Return the change of local contrast over the texture around it, that of brightness (log), and the whole change.

    The first and the last are in sigma; the last over a floor of texture and misregistration alone, whatever the ground
    around did.

    Parameters
    ----------
    pair : Pair
        Both dates.
    level : sequence of float
        Median of each band, from which brightness is counted.
    gsd_m : float
        Pixel size.
    params : ScoreParams
        Window and noise.
    picture : bool
        Whether the numbers are those of pictures stretched for the eye.

    Notes
    -----
    Local contrast is log brightness, or log ratio of bands, less its running median: the median keeps the edges of
    fields and loses what is smaller than half of the window, so that a field ploughed as a whole changes nothing. Its
    change is divided by the running median of its own size, an error floor and the effect of misregistration at edges
    of the older date. Ground that kept its own numbers has no contrast, whatever was done around it.
    """
    radius, darkest = _radius_px(params, gsd_m), _DARKEST_SHOWN if picture else _DARKEST
    before, after = (_channels(planes, pair, level, darkest) for planes in (pair.before, pair.after))
    _fill([*before, *after], pair.valid, radius)
    n_channels = len(before)
    changed = np.zeros(pair.valid.shape, np.float32)
    differs = np.zeros(pair.valid.shape, np.float32)
    kept = np.zeros(pair.valid.shape, np.float32)
    contrast = changed
    for k in range(n_channels):
        then, now = before.pop(0), after.pop(0)
        difference = now - then
        local = difference - _running_median(now, radius)
        local += _running_median(then, radius)
        local = predict.gaussian(local, *_by(gsd_m))
        spread, least = _noise(local, then, _FLOORS[k], radius, params)
        noise = spread + least
        whole = predict.gaussian(difference, *_by(gsd_m))
        changed += local * local / noise
        whole *= whole
        differs += whole / noise
        kept += whole / least
        if k == 0:
            contrast = local
    squared = np.minimum(changed, differs) - np.float32(n_channels - 1)
    sigma = np.sqrt(np.maximum(squared, np.float32(0)))
    known = [np.where(pair.valid, plane, np.float32(0)) for plane in (sigma, contrast, np.sqrt(kept))]
    return known[0], known[1], known[2]


def _by(gsd_m: float) -> tuple[float]:
    return (_smoothing_px(gsd_m),)


def _channels(planes: Sequence[Plane], pair: predict.Pair, level: Sequence[float], darkest: float) -> list[Plane]:
    """Return brightness and, where there are the bands, red over blue and near infrared over the visible, log."""
    logs = {
        name: np.log(np.maximum(plane / np.float32(max(middle, 1e-6)), np.float32(darkest)))
        for name, plane, middle in zip(pair.bands, planes, level, strict=True)
    }
    names = list(pair.bands)
    visible = [names[k] for k in pair.visible]
    bright = logs[visible[0]]
    for name in visible[1:]:
        bright = bright + logs[name]
    bright = bright * np.float32(1 / len(visible))
    found = [bright]
    if {"red", "blue"} <= set(names):
        found.append(logs["red"] - logs["blue"])
    if "nir" in names and "nir" not in visible:
        found.append(logs["nir"] - bright)
    return found


def _fill(planes: Sequence[Plane], valid: NDArray[np.bool_], radius: int) -> None:
    """Make what is unknown in the planes as the known ground around it is."""
    unknown = np.flatnonzero(~valid.all(axis=1))
    if unknown.size == 0:
        return
    sigma_px = radius / 3
    reach = predict.gaussian_radius_px(sigma_px)
    rows = slice(max(int(unknown[0]) - reach, 0), int(unknown[-1]) + reach + 1)
    here = valid[rows]
    weight = np.maximum(predict.gaussian(here.astype(np.float32), sigma_px), np.float32(1e-6))
    for plane in planes:
        around = predict.gaussian(np.where(here, plane[rows], np.float32(0)), sigma_px)
        around /= weight
        np.copyto(plane[rows], around, where=~here)


def _running_median(plane: Plane, radius: int) -> Plane:
    scale = np.float32(255 / (2 * _SPAN))
    exact = plane + np.float32(_SPAN)
    exact *= scale
    steps = np.clip(np.rint(exact, out=exact), 0, 255, out=exact).astype(np.uint8)
    levels = np.arange(256, dtype=np.float32) / scale - np.float32(_SPAN)
    return np.asarray(cv2.LUT(cv2.medianBlur(steps, 2 * radius + 1), levels))


def _noise(local: Plane, before: Plane, floor: float, radius: int, params: ScoreParams) -> tuple[Plane, Plane]:
    """Return the expected square of a channel's change: by the texture around, and by floor and misregistration."""
    steps = np.clip(np.round(np.abs(local) * np.float32(_STEPS_PER_UNIT)), 0, 255).astype(np.uint8)
    spread = cv2.medianBlur(steps, 2 * radius + 1).astype(np.float32) * np.float32(1.4826 / _STEPS_PER_UNIT)
    moved = predict.gradient_squared(before) * np.float32(params.contrast_shift_px**2)
    return spread * spread, np.asarray(moved + np.float32(floor**2))

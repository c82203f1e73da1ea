"""Where light may have gone or come back: beside shadows that were there, as far as the scene's shadows moved."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.steps.score import fields, predict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.grid import Grid
    from changedetect.steps.score.params import ScoreParams
    from changedetect.steps.score.state import ScoreModel

_BOX = np.ones((3, 3), np.uint8)
_LEAST_REACH_PX = 3
"""What the edge of a shadow may do without moving: penumbra, sharpness, misregistration."""


def core_px(params: ScoreParams, gsd_m: float) -> int:
    """Return the radius in pixels of the opening that a shadow's core must survive."""
    return round(0.5 * params.shadow_core_m / gsd_m)


@dataclass(frozen=True, slots=True)
class Shadows:
    """Where light may have come back, and where a shadow may have come from one that was there."""

    was_dark: NDArray[np.bool_]
    near: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class DarkGround:
    """Ground that may lie in shadow, on one grid: 0 or 1, uint8."""

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    core: NDArray[np.uint8]
    """Dark on both dates over the width of a shadow's core."""
    away_px: NDArray[np.float32]
    """How far the nearest core is; infinite without any."""


def find_shadows(dark: DarkGround, model: ScoreModel, grid: Grid, params: ScoreParams) -> Shadows:
    """Return where a shadow may have gone (dark before) or come (near ground dark on both dates).

    Each as far as the shadows of the scene were seen to move: where the sun stands as it stood, what darkens beside a
    tree is no shadow of it.
    """
    came_m, gone_m = model.shadow_reach_m
    was_dark = cv2.dilate(dark.before, _BOX) > 0
    if gone_m < params.shadow_reach_m:
        was_dark &= _away_px(dark.after) <= gone_m / grid.gsd_m
    return Shadows(np.asarray(was_dark), dark.away_px <= max(came_m / grid.gsd_m, 1.0))


def measure_reach(
    dark: DarkGround, valid: NDArray[np.bool_], model: ScoreModel, grid: Grid, params: ScoreParams
) -> ScoreModel:
    """Return the model with how far from lasting shadows light may have gone, and come back.

    A shadow of width w that moves by d sweeps d w, and round its core the edge is about pi w long: so pi times the area
    that darkened beside cores, per length of their edges, is how far shadows moved on average, and the tallest moved
    `shadow_reach_factor` times as far.
    """
    edge_px = int(((dark.core > 0) & (cv2.erode(dark.core, _BOX) == 0)).sum())
    most = params.shadow_reach_m
    if not edge_px:
        return replace(model, shadow_reach_m=(most, most))
    beside = (dark.away_px <= max(params.shadow_beside_m / grid.gsd_m, _LEAST_REACH_PX)) & valid
    reach = []
    for now, then in ((dark.after, dark.before), (dark.before, dark.after)):
        swept = int(((now > 0) & (cv2.dilate(then, _BOX) == 0) & beside).sum())
        moved_m = math.pi * swept / edge_px * grid.gsd_m
        least_m = max(params.shadow_least_reach_m, _LEAST_REACH_PX * grid.gsd_m)
        reach.append(float(min(most, least_m + params.shadow_reach_factor * moved_m)))
    return replace(model, shadow_reach_m=(reach[0], reach[1]))


def _away_px(marked: NDArray[np.uint8]) -> NDArray[np.float32]:
    if not marked.any():
        return np.broadcast_to(np.float32(np.inf), marked.shape)
    return np.asarray(cv2.distanceTransform(1 - marked, cv2.DIST_L2, 5))


def find_dark(pair: predict.Pair, model: ScoreModel, grid: Grid, params: ScoreParams) -> DarkGround:
    """Return where the ground is dark against what is around it."""
    offset = model.pixel_offset(grid)
    dark = []
    for name, planes in (("bright_before", pair.before), ("bright_after", pair.after)):
        bright = fields.field_plane(model.fields[name].unpack(), model.cell_px, offset, pair.valid.shape)
        limit = np.minimum(bright, np.float32(params.dark_cap)) * np.float32(params.dark_ratio)
        dark.append((predict.darkness_plane(planes, pair.bands) < limit).astype(np.uint8))
    core = dark[0] & dark[1] & pair.valid.astype(np.uint8)
    radius = core_px(params, grid.gsd_m)
    if radius >= 1:
        core = np.asarray(cv2.morphologyEx(core, cv2.MORPH_OPEN, np.ones((2 * radius + 1,) * 2, np.uint8)), np.uint8)
    return DarkGround(dark[0], dark[1], core, _away_px(core))

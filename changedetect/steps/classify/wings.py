"""One aircraft fitted to one outline: its pose, what is left of the change, and what it measures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from affine import Affine
from shapely import affinity

from changedetect.steps.classify.airframe import fit_best, lengths_between, make_bank
from changedetect.steps.classify.pose import best_start, body_of, look_around, put_wings_on, refine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.steps.classify.aircraft import AircraftParams, Apron
    from changedetect.steps.classify.airframe import Pose

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]

SIDES_PX = (24, 32, 40, 48, 64, 96, 128)
"""Patches are padded to the next of these, so that templates are shared between them."""


def fit_outline(
    patch: Plane,
    inside: Mask,
    apron: Apron,
    window: tuple[slice, slice],
    known: tuple[float, float, float],
    params: AircraftParams,
) -> tuple[float, float, Pose] | None:
    """Return how much less the best aircraft leaves than the best box (logarithm), its share and its pose.

    `known`: least length of an aircraft, length of the outline (m) and noise of the ground.
    """
    low, length_m, noise = known
    small = length_m <= params.refine_m
    high = max(min(params.refine_reach[0 if small else 1] * length_m, params.max_length_m), 1.2 * low)
    side = next((n for n in SIDES_PX if n >= max(patch.shape) + 0.5 * high / apron.gsd_m), None)
    if side is None:
        return None
    square, where = squared(patch, grown(inside, 1), side, 1)
    # what the patch has as zero belongs to others, or is not known
    near = grown(inside, round(params.margin_m / apron.gsd_m)) & apron.valid[window]
    weight = (near & (patch != 0)).astype(np.float32)
    frame = (apron.gsd_m, apron.sun_deg)
    found = []
    for family, lengths in (("aircraft", (low, high)), ("box", (4.0, max(18.0, 1.2 * length_m)))):
        banks = [make_bank(family, length, apron.gsd_m, side, apron.sun_deg) for length in lengths_between(*lengths)]
        first = fit_best(square, where, banks)
        limits = (params.min_length_m, params.max_length_m)
        if first is None:
            return None
        best = refine(patch, weight, _starts(first.poses, small, patch, weight, frame), frame, limits)
        if best is None:
            return None
        found.append(best)
    (left, pose), (left_box, body) = found
    if not small and left > params.sure_share * left_box:
        winged = refine(patch, weight, put_wings_on(body), frame, limits)
        left, pose = min(found[0], winged or found[0], key=lambda one: one[0])
    total = float((weight * patch**2).sum())
    floor = params.refined_floor * total + noise**2 * float(weight.sum())
    share = 1.0 - left / max(total, 1e-12)
    return math.log((left_box + floor) / (left + floor)), share, pose


def _starts(poses: Sequence[Pose], small: bool, patch: Plane, weight: Plane, frame: Any) -> Sequence[Pose]:
    """Return what to fit from: of a long outline the best pose, of a small one boxes, or aircraft around each."""
    if not small:
        return best_start(patch, weight, poses, frame)
    return poses if poses and poses[0].family == "box" else look_around(patch, weight, poses, frame)


def grown(mask: Mask, reach_px: int) -> Mask:
    """Return a mask and all within so many rows and columns of it."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((2 * reach_px + 1,) * 2, np.uint8)) > 0)


def squared(patch: Plane, near: Mask, side: int, coarser: int) -> tuple[Plane, Mask]:
    """Return a patch and its mask in the corner of a square of `side` pixels, each the mean of `coarser` squared."""
    square = np.zeros((2, side * coarser, side * coarser), np.float32)
    square[:, : patch.shape[0], : patch.shape[1]] = patch, near
    if coarser > 1:
        square = square.reshape(2, side, coarser, side, coarser).mean(axis=(2, 4))
    return square[0], square[1] > 0.5


def measure_pose(pose: Pose, apron: Apron, window: tuple[slice, slice]) -> dict[str, Any]:
    """Return outline and sizes of a fitted aircraft: its length is that of the body, its width the span."""
    a, b, c, d, e, f = (apron.transform @ Affine.translation(window[1].start, window[0].start))[:6]
    outline = affinity.affine_transform(body_of(pose, apron.gsd_m), [a, b, d, e, c, f])
    return {
        "geometry": outline,
        "area_m2": round(outline.area, 2),
        "length_m": round(pose.length_m, 2),
        "width_m": round(pose.breadth * pose.length_m, 2),
        "orientation_deg": round(pose.turn_deg % 180.0, 2),
    }

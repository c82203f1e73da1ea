"""Pavement: where it is, how its brightness changed, and what stands out from that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
from pydantic import Field

from changedetect.steps.classify.patch import VISIBLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline

    Mask = NDArray[np.bool_]
    Plane = NDArray[np.float32]
    Labels = NDArray[np.int32]

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


@dataclass(frozen=True, slots=True)
class ApronParams:
    """What pavement is, and what stands out from it."""

    max_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.15
    """Paved ground in the baseline is not green: (nir - red) / (nir + red) below this (dry soil: 0.1 to 0.2)."""
    max_colour: Share = 0.18
    """And it is grey: spread of its visible bands over their mean below this (concrete 0.06 to 0.15, soil and ploughed
    land 0.2 to 0.3, each with what sensors differ by)."""
    grain_m: Positive = 9.0
    """Colours are told of the mean over so much ground: of single pixels, noise makes a third of a tan apron soil."""
    local_m: Positive = 90.0
    """Reach of the pavement whose level of that look counts: wet ground and veils are wider, aircraft are not."""
    seed_change: Share = 0.1
    """Least relative change of brightness, either way, of a pixel that stands out ..."""
    seed_sigma: Positive = 10.0
    """... and over the noise of the pavement (0.005): painted lines and joints reach 5."""
    grow_share: Share = 0.5
    """It extends over connected pixels with this share of both."""
    max_gsd_m: Positive = 4.0
    """In coarser pixels no small aircraft is told from its shadow."""
    min_area_m2: Positive = 40.0
    """Smallest patch: a fighter and its shadow take 80 m2 and more."""
    max_side_m: Positive = 45.0
    """Longest side of a patch: what is longer has a seed of the score, or is no single small aircraft."""
    whole_gain: Annotated[float, Field(ge=1.0)] = 1.2
    """A patch takes the place of the one object of the score that it holds if it is larger by this factor."""


def find_paved(before: Mapping[str, Plane], gsd_m: float, params: ApronParams) -> Mask:
    """Return where the baseline is grey and not green, (row, col)."""
    side = 2 * round(params.grain_m / 2 / gsd_m - 0.5) + 1
    before = {name: np.asarray(cv2.blur(plane, (max(side, 1),) * 2)) for name, plane in before.items()}
    paved = np.ones(next(iter(before.values())).shape, bool)
    if {"nir", "red"} <= set(before):
        total = np.maximum(before["nir"] + before["red"], 1e-9)
        paved &= (before["nir"] - before["red"]) / total < params.max_ndvi
    colours = [before[name] for name in ("blue", "green", "red") if name in before]
    if len(colours) == 3:
        stack = np.stack(colours)
        paved &= np.std(stack, axis=0) < params.max_colour * np.maximum(np.mean(stack, axis=0), 1e-9)
    return paved


def look_at_pavement(raster: Raster, baseline: Baseline, params: ApronParams) -> tuple[Plane, Mask, Mask]:
    """Return the relative change of brightness (0 where unknown), what is paved and what is known, (row, col) each."""
    names = [name for name in raster.bands if name in baseline.bands]
    visible = [name for name in VISIBLE if name in names] or names
    before, after = (np.mean([image.band(name) for name in visible], axis=0) for image in (baseline, raster))
    valid = np.asarray(raster.valid & baseline.valid)
    paved = valid & find_paved({name: baseline.band(name) for name in names}, raster.grid.gsd_m, params)
    level = float(np.median(before[paved])) if paved.any() else 1.0
    change = np.where(valid, (after - before) / np.maximum(before, 0.25 * max(level, 1e-6)), 0.0)
    return np.asarray(change, np.float32), paved, valid


def add_parked(labels: Labels, raster: Raster, baseline: Baseline, params: ApronParams) -> Labels:
    """Return the labels with the patches that stand out from pavement and that the score does not hold whole.

    Notes
    -----
    To the score, what darkens all bands alike is a shadow: grey and green paint, and the shadow beside it. On an apron
    nothing throws shadows but what parks there.
    """
    gsd_m = raster.grid.gsd_m
    if gsd_m > params.max_gsd_m:
        return labels
    change, paved, _ = look_at_pavement(raster, baseline, params)
    if not paved.any():
        return labels
    count, patches, stats = _patches(_over_local(change, paved, gsd_m, params), paved, params)
    added = labels.copy()
    name = int(labels.max())
    sizes = np.bincount(labels.ravel(), minlength=name + 1)
    for k in range(1, count):
        col, row, width, height, area = (int(v) for v in stats[k])
        if area * gsd_m**2 < params.min_area_m2 or max(width, height) * gsd_m > params.max_side_m:
            continue
        window = (slice(row, row + height), slice(col, col + width))
        own = patches[window] == k
        held = np.unique(labels[window][own])
        held = held[held > 0]
        if len(held) > 1 or (len(held) and area < params.whole_gain * sizes[held[0]]):
            continue
        name += 1 if not len(held) else 0
        added[window][own] = held[0] if len(held) else name
    return added


def _over_local(change: Plane, paved: Mask, gsd_m: float, params: ApronParams) -> Plane:
    """Return the change over that of the pavement around, in units of the least that stands out."""
    level = np.float32(np.median(change[paved]))
    offset = np.where(paved, change - level, np.float32(0))
    noise = max(1.4826 * float(np.median(np.abs(offset[paved]))), 1e-3)
    calm = np.clip(offset, np.float32(-3 * noise), np.float32(3 * noise))
    sigma_px = max(params.local_m / 3.0 / gsd_m, 1.0)
    weight = cv2.GaussianBlur(paved.astype(np.float32), (0, 0), sigma_px)
    local = cv2.GaussianBlur(calm, (0, 0), sigma_px) / np.maximum(weight, np.float32(1e-3))
    least = max(params.seed_change, params.seed_sigma * noise)
    return np.asarray(np.where(paved, np.abs(offset - local) / np.float32(least), 0), np.float32)


def _patches(strength: Plane, paved: Mask, params: ApronParams) -> tuple[int, Labels, NDArray[np.int32]]:
    """Return number, labels and boxes of the connected patches that hold a seed; others are empty."""
    grown = ((strength > params.grow_share) & paved).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(grown, connectivity=8)
    seeded = np.zeros(count, bool)
    seeded[np.unique(labels[strength > 1.0])] = True
    stats[~seeded, cv2.CC_STAT_AREA] = 0
    return count, np.asarray(labels, np.int32), np.asarray(stats, np.int32)

"""Huts at 1.5 to 3.5 m: what a compact thing of a few pixels is, by its contrasts on both dates.

A tree that turns, a shadow that grew and a roof all stand out on every side. They differ in what they are beside the
ground around them, before and after; and where one of the dates is much finer, in the outline it shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
from pydantic import Field
from rasterio.features import geometry_mask

from changedetect.steps.classify.forest import calibrate, class_shares, load_forest
from changedetect.steps.classify.patch import VISIBLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import geopandas as gpd
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline
    from changedetect.steps.classify.ground import GroundParams

    Plane = NDArray[np.float32]
    Mask = NDArray[np.bool_]

SHAPE = ("compact_area_m2", "compact_sigma")
CONTRAST = tuple(f"{name}_{date}" for date in ("before", "after") for name in ("blue", "red", "light", "nir"))
GREEN = ("ndvi_before", "ndvi_after", "ndvi_around_before", "ndvi_around_after")
AROUND = ("uneven_before", "uneven_after")
OUTLINE = (
    "sharp_area_m2",
    "sharp_fill",
    "sharp_width_m",
    "sharp_length_m",
    "sharp_contrast",
    "sharp_spread",
    "sharp_off_m",
)
FEATURES = SHAPE + CONTRAST + GREEN + AROUND
CLASSES = ("none", "hut")

_DARK = 0.02
"""Reflectance added before the logarithm."""
_RING_M = (6.0, 20.0)
"""Ground a thing stands on: beyond its blurred edge and most of its shadow, before the next field."""
_OUTLINE_REACH_M = 24.0
_SEED_M = 2.5


@dataclass(frozen=True, slots=True)
class OutlineParams:
    """What a roof looks like on the finer of two dates, of which the trees have seen few amid crops."""

    chance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.85
    """How often a roof's outline and a change of its own are a hut: eight of nine on simulated ground that was not
    learned from."""
    min_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.84
    """Share of its rectangle that it fills; crowns fill .79 ..."""
    max_spread: Annotated[float, Field(ge=0.0)] = 0.22
    """... scatter of its colour over its contrast with the ground: sheets are of one shade ..."""
    min_contrast: Annotated[float, Field(ge=0.0)] = 0.5
    """... that contrast (logarithm, all bands together) ..."""
    min_width_m: Annotated[float, Field(ge=0.0)] = 6.0
    """... width; narrower are tracks and cars ..."""
    max_width_m: Annotated[float, Field(gt=0.0)] = 11.0
    """... broader are plots ..."""
    min_length_m: Annotated[float, Field(ge=0.0)] = 10.0
    """... and length: crowns are as long as wide."""
    max_length_m: Annotated[float, Field(gt=0.0)] = 22.0
    """Longer are strips of fields."""
    max_off_m: Annotated[float, Field(ge=0.0)] = 3.0
    """It lies where the coarser date shows a change."""
    min_change: Annotated[float, Field(ge=0.0)] = 0.3
    """Change of the logarithm of its own reflectance: roofs that stayed had .16 at most."""


def chances_of_huts(
    table: Sequence[Mapping[str, Any]], raster: Raster, baseline: Baseline, params: GroundParams
) -> list[float | None]:
    """Return how likely each detection is a hut, as learned; None where no evidence of compact things was asked for."""
    described = describe_compact(table, raster, baseline)
    found: list[float | None] = [None] * len(table)
    for name, width, least in (
        ("compact", len(FEATURES), params.compact_min_chance),
        ("compact_outline", len(FEATURES + OUTLINE), params.outline_min_chance),
    ):
        known = [i for i, values in enumerate(described) if values is not None and len(values) == width]
        if not known:
            continue
        forest = load_forest(name)
        shares = class_shares(forest, np.asarray([described[i] for i in known], np.float32))[:, 1]
        for i, share, chance in zip(known, shares, calibrate(forest, shares), strict=True):
            enough = share >= least and table[i]["features"]["compact_sigma"] > 0
            found[i] = float(chance) if enough else 0.0
    for i, row in enumerate(table):
        if found[i] and row["status"] == "modified" and own_change(row, raster, baseline) < params.compact_min_change:
            found[i] = 0.0
        elif found[i] == 0.0 and shows_a_roof(row, params.outline):
            changed = own_change(row, raster, baseline) >= params.outline.min_change
            found[i] = params.outline.chance if changed else 0.0
    return found


def shows_a_roof(row: Mapping[str, Any], params: OutlineParams) -> bool:
    """Return whether a compact thing has the outline of a roof on a much finer date."""
    f = row["features"]
    return bool(
        set(OUTLINE) <= set(f)
        and f["compact_sigma"] > 0
        and f["sharp_fill"] >= params.min_fill
        and f["sharp_spread"] <= params.max_spread
        and f["sharp_contrast"] >= params.min_contrast
        and params.min_width_m <= f["sharp_width_m"] <= params.max_width_m
        and params.min_length_m <= f["sharp_length_m"] <= params.max_length_m
        and f["sharp_off_m"] <= params.max_off_m
    )


def own_change(row: Mapping[str, Any], raster: Raster, baseline: Baseline) -> float:
    """Return how much a thing itself changed: logarithm of reflectance, in the band that changed most.

    Contrast changes with the ground around as well: a shed amid crops that came up stands out anew and is the same.
    """
    box = _window(row["geometry"], raster)
    grid = raster.grid.crop(*box)
    inside = geometry_mask([row["geometry"]], grid.shape, grid.transform, invert=True)
    inside &= np.asarray(raster.valid & baseline.valid)[box]
    if not inside.any():
        return 0.0
    before, after = (
        [_log(plane[box][inside]).mean() for plane in date.values()] for date in _shared_bands(raster, baseline)
    )
    return float(np.abs(np.subtract(after, before)).max())


def _shared_bands(raster: Raster, baseline: Baseline) -> list[dict[str, Plane]]:
    names = [name for name in raster.bands if name in baseline.bands]
    return [{name: image.band(name) for name in names} for image in (baseline, raster)]


def describe_compact(
    table: Sequence[Mapping[str, Any]], raster: Raster, baseline: Baseline
) -> list[list[float] | None]:
    """Return the values of `FEATURES` of each detection and, where known, of `OUTLINE`; None without evidence."""
    dates = _shared_bands(raster, baseline)
    valid = np.asarray(raster.valid & baseline.valid)
    return [_describe(row, dates, valid, raster) if "compact_sigma" in row["features"] else None for row in table]


def add_outlines(detections: gpd.GeoDataFrame, sharp: Raster) -> gpd.GeoDataFrame:
    """Return compact detections with what a much finer image of either date shows of their outlines.

    `sharp` lies on a grid of its own, in the same reference system.
    """
    features = detections["features"].copy()
    for i, (geometry, known) in enumerate(zip(detections.geometry, detections["features"], strict=True)):
        if "compact_sigma" not in known:
            continue
        box = _window(geometry, sharp)
        grid = sharp.grid.crop(*box)
        if min(grid.shape) < 1:
            continue
        inside = geometry_mask([geometry], grid.shape, grid.transform, invert=True)
        crop = {name: sharp.band(name)[box] for name in sharp.bands}
        if inside.any():
            shown = _outline(crop, np.asarray(inside), np.asarray(sharp.valid[box]), grid.gsd_m)
            features.iat[i] = {**known, **{name: round(value, 6) for name, value in shown.items()}}
    return detections.assign(features=features)


def _describe(
    row: Mapping[str, Any],
    dates: Sequence[Mapping[str, Plane]],
    valid: Mask,
    raster: Raster,
) -> list[float] | None:
    box = _window(row["geometry"], raster)
    grid = raster.grid.crop(*box)
    inside = geometry_mask([row["geometry"]], grid.shape, grid.transform, invert=True)
    usable = valid[box]
    inside = np.asarray(inside & usable) if (inside & usable).any() else np.asarray(inside)
    away = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5) * grid.gsd_m
    ring = (away >= _RING_M[0]) & (away <= _RING_M[1]) & usable
    if not inside.any() or ring.sum() < 8:
        return None
    values = {name: float(row["features"].get(name, 0.0)) for name in SHAPE}
    crops = [{name: plane[box] for name, plane in date.items()} for date in dates]
    for when, crop in zip(("before", "after"), crops, strict=True):
        values |= _contrasts(crop, inside, ring, when)
    shown = [float(row["features"][name]) for name in OUTLINE if name in row["features"]]
    return [values[name] for name in FEATURES] + shown


def _window(geometry: Any, raster: Raster) -> tuple[slice, slice]:
    return raster.grid.window_around(geometry.bounds, math.ceil(_OUTLINE_REACH_M / raster.grid.gsd_m))


def _log(plane: Plane) -> Plane:
    return np.log(np.maximum(plane, np.float32(0)) + np.float32(_DARK))


def _light(crop: Mapping[str, Plane]) -> Plane:
    names = [name for name in VISIBLE if name in crop] or list(crop)
    return np.asarray(np.mean([_log(crop[name]) for name in names], axis=0, dtype=np.float32))


def _contrasts(crop: Mapping[str, Plane], inside: Mask, ring: Mask, when: str) -> dict[str, float]:
    """Return the log contrast of the thing against its ring per band, and how green both are; 0 without a band."""
    light = _light(crop)
    planes = {name: _log(crop[name]) if name in crop else light for name in ("blue", "red", "nir")} | {"light": light}
    found = {f"{name}_{when}": float(np.mean(plane[inside]) - np.median(plane[ring])) for name, plane in planes.items()}
    level = float(np.median(light[ring]))
    found[f"uneven_{when}"] = 1.4826 * float(np.median(np.abs(light[ring] - level)))
    green = np.zeros(1, np.float32)
    if {"red", "nir"} <= set(crop):
        green = (crop["nir"] - crop["red"]) / np.maximum(crop["nir"] + crop["red"], np.float32(0.01))
        found |= {f"ndvi_{when}": float(green[inside].mean()), f"ndvi_around_{when}": float(np.median(green[ring]))}
    else:
        found |= {f"ndvi_{when}": 0.0, f"ndvi_around_{when}": 0.0}
    return found


def _outline(crop: Mapping[str, Plane], inside: Mask, usable: Mask, gsd_m: float) -> dict[str, float]:
    """Return what of the thing's own colour the finer date shows in one piece about the middle of it."""
    planes = np.stack([cv2.GaussianBlur(_log(plane), (0, 0), 1.0) for plane in crop.values()])
    rows, cols = np.nonzero(inside)
    middle = (float(rows.mean()), float(cols.mean()))
    y, x = np.ogrid[: inside.shape[0], : inside.shape[1]]
    away = np.hypot(y - middle[0], x - middle[1]) * gsd_m
    seed = away < _SEED_M
    ring = (away > 10.0) & (away < 20.0) & usable
    if ring.sum() < 20 or not seed.any():
        return dict.fromkeys(OUTLINE, -1.0)
    ground = np.median(planes[:, ring], axis=1)
    own = np.median(planes[:, seed], axis=1) - ground
    contrast = float(own @ own)
    share = np.tensordot(own / max(contrast, 1e-4), planes - ground[:, None, None], axes=1)
    like = ((share > 0.5) & (share < 1.8)).astype(np.uint8)
    _, parts = cv2.connectedComponents(
        cv2.morphologyEx(like, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), connectivity=4
    )
    held = np.bincount(parts[seed], minlength=2)
    held[0] = 0
    if not held.any():
        return dict.fromkeys(OUTLINE, 0.0)
    part = parts == int(held.argmax())
    rows, cols = np.nonzero(part)
    sides = cv2.minAreaRect(np.stack([cols, rows], axis=1).astype(np.float32))[1]
    width, length = sorted((float(sides[0]) + 1.0, float(sides[1]) + 1.0))
    return {
        "sharp_area_m2": float(part.sum()) * gsd_m**2,
        "sharp_fill": float(part.sum()) / (width * length),
        "sharp_width_m": width * gsd_m,
        "sharp_length_m": length * gsd_m,
        "sharp_contrast": math.sqrt(contrast),
        "sharp_spread": float(share[part].std()),
        "sharp_off_m": math.hypot(float(rows.mean()) - middle[0], float(cols.mean()) - middle[1]) * gsd_m,
    }

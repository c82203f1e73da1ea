"""Roofs that were covered anew: rectangles that were built before and after, and changed evenly all over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field
from rasterio import Env
from rasterio.features import geometry_mask

from changedetect.core.colour import Colours, even_change, lasting_outline
from changedetect.core.tables import as_objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    import geopandas as gpd

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline

_MARGIN_PX = 2


@dataclass(frozen=True, slots=True)
class CoverParams:
    """How even, how strong and how bare a change is that covers a roof anew."""

    chance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.92
    """How often such a change is a hut's roof: 28 of 28 on simulated ground, and less believed of the next place."""
    min_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.8
    """Roofs are rectangles; what is ragged is a crown, a yard or a shadow."""
    min_change: Annotated[float, Field(ge=0.0)] = 0.35
    """Change of the logarithm of brightness against the ground around: more than the sun's way makes of a slope."""
    min_evenness: Annotated[float, Field(ge=0.0)] = 5.5
    """That change over its scatter inside: sheets are of one shade, where crowns and shadows are not."""
    max_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.5
    """No roof is greener, on either date: green paint has .48."""
    min_local_sigma: Annotated[float, Field(ge=0.0)] = 5.5
    """New contrast against the ground around, and against patches of its size there."""
    min_length_m: Annotated[float, Field(ge=0.0)] = 8.0
    """Shorter ones are vehicles: those that left and those that came in their place are even too."""
    min_width_m: Annotated[float, Field(ge=0.0)] = 4.5
    """Narrower ones are tracks that a shadow fell across (3.5 m); 44 roofs had 6.7 m and more."""
    max_moved_shadow: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    """Share of it that may be shadow that moved."""
    same_max_change: Annotated[float, Field(ge=0.0)] = 0.22
    """A roof that stood there and changed by no more than this in brightness, in red over blue and in near infrared
    over the visible (logarithms) is the same in another light: the sun's way over its slope makes .2 and colours
    nothing. 44 roofs that were covered anew changed by .26 at least in one of them."""
    same_max_gsd_m: Annotated[float, Field(gt=0.0)] = 0.75
    """Coarser pixels mix a roof with what lies beside it."""
    min_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = -0.12
    """Water is darker in near infrared than in red, where no roof is: ponds that froze or filled are as even."""
    colour_min_change: Annotated[float, Field(ge=0.0)] = 0.085
    """Or else its colour changed by this (logarithm, root mean square over the bands) beyond what all that lasts did,
    where light colours nothing: roofs that stayed have .03 ..."""
    colour_min_evenness: Annotated[float, Field(ge=0.0)] = 6.0
    """... over its scatter inside, ..."""
    colour_min_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.75
    """... in a rectangle, ..."""
    colour_min_length_m: Annotated[float, Field(ge=0.0)] = 10.0
    """... longer than crowns and cars, ..."""
    colour_max_aspect: Annotated[float, Field(ge=1.0)] = 3.0
    """... and no strip: a piece of a road has an outline on both dates too, and changes colour when it dries, ..."""
    colour_min_outline: Annotated[float, Field(ge=0.0, le=1.0)] = 0.85
    """Share of its outline that is an edge in some band, on each of both dates, from which it stood on both, though
    less than half of it has the contrast of a roof: those whose ground on one side is as bright ..."""
    colour_min_contrast: Annotated[float, Field(ge=0.0)] = 0.22
    """... if as a whole it differs by this from the ground around in some band, on each of both: roofs have .3 and up.
    Bare ground that changed its colour beside a hedge had .06."""
    colour_min_share: Annotated[float, Field(ge=0.0)] = 0.25
    """... and its colour changed by this share of what it lost in light: shade is bluer by .15 of its loss."""
    colour_bare_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.2
    """... and less green than this on one of the dates: patches that came up or withered have .24 and more."""
    shade_min_change: Annotated[float, Field(ge=0.0)] = 0.4
    """Or else it became brighter or darker by this (logarithm, mean over the bands) beyond what all that lasts did,
    where the sun's way over a slope makes .2, as even and as much of a rectangle, ..."""
    shade_min_evenness: Annotated[float, Field(ge=0.0)] = 5.5
    """... this over its scatter inside, ..."""
    shade_min_contrast: Annotated[float, Field(ge=0.0)] = 0.3
    """... if it differs by this from the ground around in some band, on each of both dates: .35 at least on roofs of
    another shade that changed with the field around them ..."""
    shade_max_share: Annotated[float, Field(ge=0.0)] = 0.1
    """... and its colour changed by less than this share of that, or by `colour_min_share`: what falls into shade turns
    bluer, and what comes out of it less blue."""


def is_covered_anew(row: Mapping[str, Any], params: CoverParams) -> bool:
    """Return whether a measured object is a roof that stood on both dates and has another shade all over on the second.

    An outline that is as steep as before speaks for a crown or a hedge, unless it is a rectangle, bare on both dates,
    whose every part changed alike: paint, sheets, or tiles for sheets.
    """
    f = row["features"]
    if min(f["ndvi_before"], f["ndvi_after"]) < params.min_ndvi:
        return False
    return (
        is_recoloured(row, params)
        or is_reshaded(row, params)
        or bool(
            row["status"] == "modified"
            and f["fill"] >= params.min_fill
            and f["rect_length_m"] >= params.min_length_m
            and f["rect_width_m"] >= params.min_width_m
            and _is_shaded_anew(f, params)
            and max(f["ndvi_before"], f["ndvi_after"]) <= params.max_ndvi
            and min(f["local_sigma"], f["patch_sigma"]) >= params.min_local_sigma
            and f.get("moved_shadow", 0.0) <= params.max_moved_shadow
        )
    )


def _is_shaded_anew(features: Mapping[str, float], params: CoverParams) -> bool:
    """Return whether it became brighter or darker all over, against the ground around or against all that lasts."""
    changes = (("visible_change", "evenness"), ("own_light", "own_light_evenness"))
    return any(
        abs(features.get(size, 0.0)) >= params.min_change and features.get(even, 0.0) >= params.min_evenness
        for size, even in changes
    )


def is_recoloured(row: Mapping[str, Any], params: CoverParams) -> bool:
    """Return whether a measured object is a roof on both dates whose own colour changed, as light does none."""
    f = row["features"]
    return bool(
        f.get("own_colour", 0.0) >= params.colour_min_change
        and f["own_colour_evenness"] >= params.colour_min_evenness
        and _stays_a_roof(row, params)
    )


def is_reshaded(row: Mapping[str, Any], params: CoverParams) -> bool:
    """Return whether a measured object is a roof on both dates that is brighter or darker than light makes it."""
    f = row["features"]
    size, colour = abs(f.get("own_light", 0.0)), f.get("own_colour", 0.0)
    return bool(
        size >= params.shade_min_change
        and not params.shade_max_share * size < colour < params.colour_min_share * size
        and f["own_light_evenness"] >= params.shade_min_evenness
        and min(f["contrast_before"], f["contrast_after"]) >= params.shade_min_contrast
        and _stays_a_roof(row, params)
    )


def _stays_a_roof(row: Mapping[str, Any], params: CoverParams) -> bool:
    """Return whether it is a rectangle of a building's size, built and bare on both dates, and no shadow fell there."""
    f = row["features"]
    return bool(
        row["status"] == "modified"
        and f["fill"] >= params.colour_min_fill
        and f["rect_length_m"] >= params.colour_min_length_m
        and f["rect_length_m"] <= params.colour_max_aspect * f["rect_width_m"]
        and f["rect_width_m"] >= params.min_width_m
        and f["ndvi_before"] <= params.max_ndvi
        and f["ndvi_after"] <= params.max_ndvi
        and params.min_ndvi <= min(f["ndvi_before"], f["ndvi_after"]) <= params.colour_bare_ndvi
        and f.get("moved_shadow", 0.0) <= params.max_moved_shadow
    )


def look_at_roofs(
    detections: gpd.GeoDataFrame,
    raster: Raster,
    baseline: Baseline,
    params: CoverParams,
    colours: Colours | None = None,
) -> gpd.GeoDataFrame:
    """Return the detections with how the things themselves changed in colour and light among their features.

    Of what stood on both dates and is long enough for a roof, where pixels show it apart from what is beside it; what
    has an outline on both and changed its colour or shade as roofs do is `modified`. The others are as they were.
    Contrast with the ground changes with the ground as well, what `own_colour` and `own_light` say does not.
    """
    wanted = (detections["gsd_m"] <= params.same_max_gsd_m) & (detections["length_m"] >= params.min_length_m)
    wanted &= np.array([f["fill"] >= params.colour_min_fill for f in detections["features"]], bool)
    change = (colours or Colours(baseline, raster)).change() if wanted.any() else None
    if change is None:
        return detections
    features, status = list(detections["features"]), list(detections["status"])
    valid = raster.valid & baseline.valid
    with Env():
        for k, (is_wanted, shape) in enumerate(zip(wanted, detections.geometry, strict=True)):
            where = raster.grid.window_around(shape.bounds, _MARGIN_PX)
            part = raster.grid.crop(*where)
            if not is_wanted or min(part.shape) < 1:
                continue
            inside = geometry_mask([shape], part.shape, part.transform, invert=True) & valid[where]
            if not inside.any():
                continue
            told = features[k] | even_change(change, inside, where)
            stood = min(told.get(f"contrast_{date}", 0.0) for date in ("before", "after")) >= params.colour_min_contrast
            stood = stood and lasting_outline(change, inside, where) >= params.colour_min_outline
            as_roof = {"status": "modified", "features": told}
            coloured = told["own_colour"] >= params.colour_min_share * -told["own_light"]
            coloured = coloured and is_recoloured(as_roof, params)
            if stood and (coloured or is_reshaded(as_roof, params)):
                status[k] = "modified"
            if status[k] == "modified":
                features[k] = told
    return detections.assign(features=as_objects(features), status=status)


def is_same_roof(row: Mapping[str, Any], params: CoverParams) -> bool:
    """Return whether what was built there before only stands in another light: a little brighter or darker, as grey."""
    f = row["features"]
    if row["status"] != "modified" or row["gsd_m"] > params.same_max_gsd_m:
        return False
    if is_recoloured(row, params) or is_reshaded(row, params):
        return False
    changes = (abs(f[name]) for name in ("visible_change", "nir_change", "red_blue_change"))
    return bool(max(changes) <= params.same_max_change)

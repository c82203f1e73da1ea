"""Things on the ground: trenches (lines), huts (compact), equipment (rows of vehicles and what stands beside them)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from changedetect.steps.classify.built import BuiltParams, is_newly_built, is_tip_of_shadow
from changedetect.steps.classify.compact import OUTLINE, OutlineParams, chances_of_huts
from changedetect.steps.classify.cover import CoverParams, is_covered_anew, is_same_roof
from changedetect.steps.classify.dug import DugParams, is_dug
from changedetect.steps.classify.even import EvenParams, is_even
from changedetect.steps.classify.forest import calibrate, class_shares, load_forest
from changedetect.steps.classify.inside import InsideParams, is_pit, is_row_of_like
from changedetect.steps.classify.learned import as_values, describe_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import geopandas as gpd
    import pandas as pd

    from changedetect.core.raster import Raster
    from changedetect.core.results import Baseline


_RESOLVED_PX = 3.0
"""Narrower things are mixed with the ground beside them in every pixel."""


@dataclass(frozen=True, slots=True)
class GroundParams:
    """Sizes and shares that tell a trench, a hut and a row of vehicles from each other."""

    coarsest_gsd_m: Annotated[float, Field(gt=0.0)] = 3.5
    """Pixel size beyond which nothing here is named: a hut is one to four pixels, and so is a corner of a field."""
    trench_min_length_m: Annotated[float, Field(gt=0.0)] = 16.0
    """A squad's trench is 50 m; shorter lines than a third of that are kerbs, shadows and tracks."""
    trench_max_width_m: Annotated[float, Field(gt=0.0)] = 10.5
    """Slot of 1 to 2 m and a bank of 2 to 4 m on each side."""
    trench_min_elongation: Annotated[float, Field(gt=0.0)] = 3.0
    """Way along the line over its greatest width."""
    trench_max_fill: Annotated[float, Field(gt=0.0, le=1.0)] = 0.80
    """Zig-zags leave much of their rectangle empty; a straight one fills it and is told by its aspect."""
    trench_min_aspect: Annotated[float, Field(gt=0.0)] = 5.5
    """Length over width from which a filled rectangle is a line, not a building."""
    hut_min_fill: Annotated[float, Field(gt=0.0, le=1.0)] = 0.62
    """Roofs are rectangles; ragged patches are not."""
    hut_min_width_m: Annotated[float, Field(gt=0.0)] = 3.6
    """Narrower than any hut: cars and containers are 2 to 2.4 m, tents 4.9 m."""
    hut_min_area_m2: Annotated[float, Field(gt=0.0)] = 24.0
    """The smallest tent is 24 m2; two cars side by side are 20."""
    hut_max_length_m: Annotated[float, Field(gt=0.0)] = 50.0
    """Barracks and warehouses are 10 to 40 m."""
    hut_max_width_m: Annotated[float, Field(gt=0.0)] = 22.0
    """Broader changes are yards and fields."""
    hut_max_aspect: Annotated[float, Field(gt=0.0)] = 5.0
    """Longer ones are walls, lines and rows."""
    hut_min_colour: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    """A dark roof without a row of peaks differs in colour over this share at least; shadows do not."""
    equipment_min_dark: Annotated[float, Field(ge=0.0, le=1.0)] = 0.45
    """Share darkened: vehicles are dark paint, and half of what is seen of them is their shadow."""
    equipment_min_length_m: Annotated[float, Field(gt=0.0)] = 8.0
    """One lorry is 7.4 m."""
    equipment_min_area_m2: Annotated[float, Field(gt=0.0)] = 30.0
    """Two lorries with their shadows; single small things are not called equipment."""
    equipment_sure_area_m2: Annotated[float, Field(gt=0.0)] = 110.0
    """A dark thing this large needs no row of peaks: vehicles stand close; smaller ones may be a hut or its shadow."""
    equipment_min_width_m: Annotated[float, Field(gt=0.0)] = 5.2
    """Largest disc inside: a lorry is 7.4 m long; thinner dark things are the edges of shadows that grew."""
    equipment_min_fill: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    """Vehicles are parked in rectangles; shadows of trees are ragged."""
    equipment_max_area_m2: Annotated[float, Field(gt=0.0)] = 4000.0
    """A battalion's park; larger dark areas are wet fields and burns."""
    row_min_peaks: Annotated[int, Field(ge=2)] = 3
    """Regular peaks along the object make a row."""
    row_min_spacing_m: Annotated[float, Field(gt=0.0)] = 2.8
    """Vehicles parked side by side stand at least this far apart, centre to centre."""
    row_max_spacing_m: Annotated[float, Field(gt=0.0)] = 14.0
    """And at most this far: end to end, with a gap."""
    min_sharpness: Annotated[float, Field(ge=0.0, le=1.0)] = 0.17
    """Gradient of the change per pixel at the outline, over the change: built things have .2 to .4, haze and rims of
    unmasked cloud .1 and less."""
    row_depth_m: Annotated[float, Field(gt=0.0)] = 10.5
    """Depth of one row of lorries with its shadow and the lane behind it."""
    item_area_m2: Annotated[float, Field(gt=0.0)] = 40.0
    """Ground changed per lorry in a park: 7.4 m x 2.5 m, a shadow of about the same, and what lies between."""
    part_max_area_m2: Annotated[float, Field(gt=0.0)] = 75.0
    """Parts up to this may be single vehicles of one group."""
    part_min_area_m2: Annotated[float, Field(gt=0.0)] = 6.0
    """A car seen from above, less its rim."""
    part_max_length_m: Annotated[float, Field(gt=0.0)] = 16.0
    """The longest launcher."""
    part_max_width_m: Annotated[float, Field(gt=0.0)] = 7.5
    """A vehicle and its shadow."""
    group_gap_m: Annotated[float, Field(gt=0.0)] = 6.0
    """Parts no farther apart than this stand together."""
    group_min_parts: Annotated[int, Field(ge=2)] = 3
    """Two of a kind are chance."""
    group_area_ratio: Annotated[float, Field(gt=1.0)] = 3.5
    """Like parts: the areas of most lie within this factor of the median."""
    learned: bool = True
    """Whether what was learned from simulated scenes decides (within the limits of size above), or the rules alone."""
    min_chance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """A class less likely than this, as learned, is not told: more often than not it would be wrong, ..."""
    max_none: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    """... unless something surely came or went, the chance that nothing did being this at most: then the likeliest
    class is told, as likely as it is."""
    compact_min_chance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.8
    """Share of the trees that must say hut there where both dates are that coarse: crowns and shadows are as small."""
    outline_min_chance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.55
    """The same where one of the dates is much finer, and shows an outline."""
    compact_min_change: Annotated[float, Field(ge=0.0)] = 0.16
    """Change of the logarithm of its own reflectance, in the band that changed most, below which a roof that stood
    there is the same one: the field around it changed. .22 at least in 41 roofs that were covered anew, .13 at most in
    5 that were not."""
    outline: OutlineParams = field(default_factory=OutlineParams)
    """What a roof looks like there, whatever the trees say."""
    outlined_min_chance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.9
    """What was learned of larger shapes is believed there too, from this chance on, where the few pixels told nothing:
    they are asked about their own evidence alone, and a hut may stand out as a part of something else."""
    veto_margin: Annotated[float, Field(ge=0.0)] = 2.0
    """How far, in units of their softness, sizes may lie beyond their limits before a class is ruled out."""
    bare_max_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.55
    """Greener things are no roof and no dug earth (.48 at most on 210 huts, .46 on 99 % of 340 trenches), but crowns
    that came into leaf: bare trees stand out as little as ground does."""
    turned_min_ndvi: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.42
    """The same where something greener than `bare_max_ndvi` stood that cast a shadow: a crown that turned in autumn."""
    stood_min_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """It cast one if this much more of the ground away from the sun was dark than of that towards it."""
    cover: CoverParams = field(default_factory=CoverParams)
    """What a roof that was covered anew is like."""
    built: BuiltParams = field(default_factory=BuiltParams)
    """What a new building is like whose colour tells nothing."""
    dug: DugParams = field(default_factory=DugParams)
    """What no trench lacks where pixels show its floor."""
    even: EvenParams = field(default_factory=EvenParams)
    """What coarser pixels show of fields, and neither of trenches nor of vehicles."""
    inside: InsideParams = field(default_factory=InsideParams)
    """What pits and rows of vehicles look like inside."""
    company_m: Annotated[float, Field(gt=0.0)] = 30.0
    """Reach within which other candidates are company: a section's position, a row of huts."""
    evidence_sigma: Annotated[float, Field(gt=0.0)] = 10.0
    """Evidence at which confidence reaches 63 % of what the shape alone would give."""
    small_area_m2: Annotated[float, Field(ge=0.0)] = 25.0
    """Smaller detections are flagged `small`: their shape is a handful of pixels."""


def propose_trench(
    detections: gpd.GeoDataFrame, raster: Raster, baseline: Baseline, params: GroundParams
) -> pd.DataFrame:
    """Return how likely each detection is a trench: a line with banks, not a filled rectangle."""
    return _propose(detections, (raster, baseline), "trench", params)


def propose_hut(detections: gpd.GeoDataFrame, raster: Raster, baseline: Baseline, params: GroundParams) -> pd.DataFrame:
    """Return how likely each detection is a hut: a compact rectangle, not mostly darkened."""
    return _propose(detections, (raster, baseline), "hut", params)


def propose_equipment(
    detections: gpd.GeoDataFrame, raster: Raster, baseline: Baseline, params: GroundParams
) -> pd.DataFrame:
    """Return how likely each detection is equipment: dark blobs, rows of peaks, or groups of like parts."""
    return _propose(detections, (raster, baseline), "equipment", params)


def describe(row: Mapping[str, Any], params: GroundParams) -> list[float] | None:
    """Return the values of `learned.FEATURES` of one detection; None where it was not measured in full."""
    margins = {name: rule(row, params) for name, rule in MARGINS.items()}
    return describe_row(row, margins, own_darkness(row))


def rule_confidence(row: Mapping[str, Any], name: str, params: GroundParams) -> float:
    """Return how well a detection fits the rules of one class, 0 to 1."""
    if row["gsd_m"] > params.coarsest_gsd_m:
        return 0.0
    return confidence_of(row["features"]["high_sigma"], MARGINS[name](row, params), params)


def trench_sizes(row: Mapping[str, Any], params: GroundParams) -> list[float]:
    """Return the margins of what no trench can lack, in units of each rule's softness; negative fails."""
    f = row["features"]
    return [
        _over(f["path_m"], params.trench_min_length_m, 3.0),
        _under(f["inner_width_m"], params.trench_max_width_m, 1.5),
        _over(f["path_m"] / max(f["inner_width_m"], 0.1), params.trench_min_elongation, 0.5),
        _sharp(f, params),
    ]


def trench_margins(row: Mapping[str, Any], params: GroundParams) -> list[float]:
    """Return the margins of all rules of a trench."""
    f = row["features"]
    straight = _over(f["aspect"], params.trench_min_aspect, 1.0)
    return [
        *trench_sizes(row, params),
        max(_under(f["fill"], params.trench_max_fill, 0.06), straight),
        _under(max(own_darkness(row), f["shadow_fraction"]), 0.6, 0.1),
        _under(f.get("group_parts", 0.0), 1.0, 0.5),
    ]


def hut_sizes(row: Mapping[str, Any], params: GroundParams) -> list[float]:
    """Return the margins of what no hut can lack."""
    f = row["features"]
    return [
        _over(min(f["rect_width_m"], 1.15 * f["inner_width_m"]), params.hut_min_width_m, 0.4),
        _over(row["area_m2"], params.hut_min_area_m2, 4.0),
        _under(f["rect_length_m"], params.hut_max_length_m, 4.0),
        _under(f["rect_width_m"], params.hut_max_width_m, 2.0),
        _under(f["aspect"], params.hut_max_aspect, 0.5),
        _sharp(f, params),
    ]


def hut_margins(row: Mapping[str, Any], params: GroundParams) -> list[float]:
    """Return the margins of all rules of a hut."""
    f = row["features"]
    colour = f.get("colour_fraction", 0.0) if f["row_peaks"] < params.row_min_peaks else 0.0
    return [
        *hut_sizes(row, params),
        _over(f["fill"], params.hut_min_fill, 0.05),
        max(_under(own_darkness(row), 0.55, 0.1), _over(colour, params.hut_min_colour, 0.1)),
        _under(f.get("group_parts", 0.0), 1.0, 0.5),
    ]


def equipment_sizes(row: Mapping[str, Any], params: GroundParams) -> list[float]:
    """Return the margins of what no group of vehicles can lack."""
    f = row["features"]
    return [
        _over(f["rect_length_m"], params.equipment_min_length_m, 1.5),
        _over(row["area_m2"], params.equipment_min_area_m2, 6.0),
        _under(row["area_m2"], params.equipment_max_area_m2, 400.0),
        _sharp(f, params),
    ]


def equipment_margins(row: Mapping[str, Any], params: GroundParams) -> list[float]:
    """Return the margins of all rules of equipment."""
    f = row["features"]
    parts = _over(f.get("group_parts", 0.0), params.group_min_parts - 0.5, 0.5)
    dark = _over(own_darkness(row), params.equipment_min_dark, 0.08)
    spaced = params.row_min_spacing_m <= f["row_spacing_m"] <= params.row_max_spacing_m
    row_of = _over(f["row_peaks"] if spaced else 0.0, params.row_min_peaks - 0.5, 0.5)
    large = _over(row["area_m2"], params.equipment_sure_area_m2, 20.0)
    return [
        *equipment_sizes(row, params),
        max(dark, parts),
        max(row_of, parts, large),
        max(_over(f["inner_width_m"], params.equipment_min_width_m, 0.4), parts),
        max(_over(f["fill"], params.equipment_min_fill, 0.04), parts),
    ]


def _sharp(features: dict[str, float], params: GroundParams) -> float:
    sharpness = features.get("sharpness", 0.0)
    # 0: too little ground around it to tell.
    return _over(sharpness, params.min_sharpness, 0.02) if sharpness > 0 else 1.0


def own_darkness(row: Mapping[str, Any]) -> float:
    """Return the share of the object that is dark in its own right: when it was there, and not before or after."""
    f = row["features"]
    if row["status"] == "disappeared":
        return float(min(f["dark_before"], f["bright_fraction"]))
    return float(min(f["dark_after"], f["dark_fraction"]))


def count_items(row: Mapping[str, Any], params: GroundParams) -> tuple[int, int, int]:
    """Return the number of vehicles and its 90 % interval, from parts, else peaks in a row, else area."""
    f = row["features"]
    by_area = max(row["area_m2"] / params.item_area_m2, 1.0)
    spaced = params.row_min_spacing_m <= f["row_spacing_m"] <= params.row_max_spacing_m
    if f.get("group_parts", 0.0) >= params.group_min_parts:
        best = f["group_parts"]
    elif f["row_peaks"] >= params.row_min_peaks and spaced:
        # Rows side by side show as one profile.
        best = f["row_peaks"] * max(1, round(f["rect_width_m"] / params.row_depth_m))
    else:
        best = by_area
    count = max(round(best), 1)
    # The two ways of counting bound it; a quarter either way is what shape alone can promise.
    low = max(1, math.floor(0.75 * min(best, by_area)))
    high = max(count, math.ceil(1.3 * max(best, by_area)))
    return count, min(low, count), high


def learned_confidence(table: Sequence[Mapping[str, Any]], params: GroundParams) -> list[dict[str, float] | None]:
    """Return how likely each detection is of each class, as learned; None where it was not measured in full."""
    described = [describe(row, params) if params.learned else None for row in table]
    known = [i for i, values in enumerate(described) if values is not None]
    found: list[dict[str, float] | None] = [None] * len(table)
    if not known:
        return found
    forest = load_forest("ground")
    shares = class_shares(forest, as_values([values for values in described if values is not None]))
    for i, chances in zip(known, calibrate(forest, shares), strict=True):
        named = dict(zip(forest.classes, map(float, chances), strict=True))
        if is_covered_anew(table[i], params.cover):
            named["hut"] = max(named["hut"], params.cover.chance)
        if is_pit(table[i], params.inside):
            named = dict.fromkeys(named, 0.0) | {"trench": max(named["trench"], params.inside.pit_chance)}
        elif is_row_of_like(table[i], params.inside):
            named = dict.fromkeys(named, 0.0) | {"equipment": max(named["equipment"], params.inside.row_chance)}
        # What is told of vehicles and trenches stands: they throw shadows too.
        if max(named[rule] for rule in MARGINS) < params.min_chance and is_newly_built(table[i], params.built):
            named["hut"] = params.built.chance
        told = {name for name in MARGINS if named[name] >= params.min_chance}
        if named["none"] <= params.max_none:
            told.add(max(MARGINS, key=lambda name: named[name]))
        found[i] = {n: named[n] if n in told and not _impossible(table[i], n, params) else 0.0 for n in MARGINS}
    return found


def _impossible(row: Mapping[str, Any], name: str, params: GroundParams) -> bool:
    """Return whether size, green, light or the lack of a floor rules a class out, whatever was learned."""
    if name == "trench" and is_pit(row, params.inside):
        return False
    if row["gsd_m"] > params.coarsest_gsd_m or min(SIZES[name](row, params)) < -params.veto_margin:
        return True
    if name == "trench" and not is_dug(row, params.dug):
        return True
    if name in ("trench", "equipment") and is_even(row, params.even):
        return True
    if name == "hut" and (is_tip_of_shadow(row, params.built) or is_same_roof(row, params.cover)):
        return True
    return _is_green(row, name, params)


def _is_green(row: Mapping[str, Any], name: str, params: GroundParams) -> bool:
    """Return whether what is there is plants, where pixels are fine enough to show the thing itself."""
    f = row["features"]
    if name not in ("trench", "hut") or f["inner_width_m"] < _RESOLVED_PX * row["gsd_m"]:
        return False
    when = "before" if row["status"] == "disappeared" else "after"
    crown = f["ndvi_before"] > params.bare_max_ndvi and f.get("cast_before", 0.0) >= params.stood_min_share
    return bool(f[f"ndvi_{when}"] > (params.turned_min_ndvi if crown else params.bare_max_ndvi))


def _propose(
    detections: gpd.GeoDataFrame, images: tuple[Raster, Baseline], name: str, params: GroundParams
) -> pd.DataFrame:
    import pandas as pd  # slow to import: not before there is a table

    table = detections.to_dict("records")
    compact = chances_of_huts(table, *images, params) if name == "hut" else [None] * len(table)
    chances = [rule_confidence(row, name, params) for row in table]
    rows = []
    both = zip(table, chances, learned_confidence(table, params), compact, strict=True)
    for row, by_rules, learned, as_compact in both:
        number, low, high = count_items(row, params) if name == "equipment" else (1, 1, 1)
        confidence = by_rules if learned is None else learned[name]
        if as_compact is not None:
            # A hut of a few pixels has no shape to speak of: what it is beside the ground around it decides alone,
            # unless one of the dates is fine enough to show its outline.
            confidence = max(as_compact, chance_by_shape(row, learned, params))
        flags = _flags(row, params)
        rows.append({"confidence": confidence, "count": number, "count_low": low, "count_high": high, "flags": flags})
    columns = ["confidence", "count", "count_low", "count_high", "flags"]
    return pd.DataFrame(rows, index=detections.index, columns=columns)


def chance_by_shape(row: Mapping[str, Any], learned: Mapping[str, float] | None, params: GroundParams) -> float:
    """Return the chance of a hut by its shape where a finer date shows an outline and the chance is high, else 0."""
    if learned is None or not set(OUTLINE) <= set(row["features"]):
        return 0.0
    return learned["hut"] if learned["hut"] >= params.outlined_min_chance else 0.0


def confidence_of(evidence_sigma: float, margins: Sequence[float], params: GroundParams) -> float:
    """Return 0 to 1, rising with the evidence and with the rule that is closest to failing.

    A rule met exactly gives one half; beyond two softnesses on the wrong side the class is ruled out.
    """
    least = min(margins)
    if least < -2.0:
        return 0.0
    membership = 1.0 / (1.0 + math.exp(-2.0 * least))
    return (1.0 - math.exp(-evidence_sigma / params.evidence_sigma)) * membership


def _over(value: float, limit: float, softness: float) -> float:
    return (value - limit) / softness


def _under(value: float, limit: float, softness: float) -> float:
    return (limit - value) / softness


def _flags(row: Mapping[str, Any], params: GroundParams) -> tuple[str, ...]:
    flags = []
    if row["area_m2"] < params.small_area_m2:
        flags.append("small")
    return tuple(flags)


SIZES = {"trench": trench_sizes, "hut": hut_sizes, "equipment": equipment_sizes}
MARGINS = {"trench": trench_margins, "hut": hut_margins, "equipment": equipment_margins}

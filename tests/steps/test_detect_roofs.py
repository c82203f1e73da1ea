"""Roofs that change their colour or shade and little else are found; what lasts, plants and bare patches are not."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import shapely
from score_scenes import make_grid

from changedetect.core import colour as colour_module
from changedetect.core.colour import Colours, change_of_colour, even_change
from changedetect.core.raster import Raster
from changedetect.core.results import Baseline
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.classify.cover import CoverParams, look_at_roofs
from changedetect.steps.detect import DetectParams, detect
from changedetect.steps.detect.roofs import RoofParams, recoloured

SIDE = 128
BANDS = ("blue", "green", "red", "nir")
GRASS = np.array([0.04, 0.07, 0.06, 0.35])
TILES = np.array([0.10, 0.13, 0.20, 0.26])
SHEETS = np.array([0.12, 0.14, 0.17, 0.20])
HAZE = np.array([1.15, 1.05, 1.0, 0.9])
"""What a scene as a whole does to colours."""
ROOFS = [(slice(y, y + 16), slice(x, x + 28)) for y in (12, 44, 76, 104) for x in (12, 60)]
CHOSEN = ROOFS[3]
Box = tuple[slice, slice]


def paint(where: list[tuple[Box, np.ndarray]], ground: np.ndarray = GRASS, seed: int = 1) -> np.ndarray:
    data = np.tile(ground[:, None, None], (1, SIDE, SIDE))
    for box, colour in where:
        data[(slice(None), *box)] = colour[:, None, None]
    noise = np.random.default_rng(seed).normal(1.0, 0.01, data.shape)
    return np.asarray(data * noise, np.float32)


def camp(roof: np.ndarray = TILES, box: Box = CHOSEN) -> list[tuple[Box, np.ndarray]]:
    return [(one, TILES) for one in ROOFS] + [(box, roof)]


def pair(before: np.ndarray, after: np.ndarray) -> tuple[Baseline, Raster]:
    old, new = (Raster.make(np.float32(v), make_grid(SIDE), BANDS, "reflectance") for v in (before, after))
    return fit_baseline([old], BaselineParams()), new


def found(before: np.ndarray, after: np.ndarray, taken: np.ndarray | None = None) -> np.ndarray:
    return recoloured(*pair(before, after), np.zeros((SIDE, SIDE), bool) if taken is None else taken, RoofParams())


def test_a_roof_of_another_colour_is_found_whole_and_alone_though_all_of_the_scene_changed() -> None:
    after = paint(camp(SHEETS), seed=2) * HAZE[:, None, None]
    mask = found(paint(camp()), after)
    assert mask[CHOSEN].mean() > 0.9
    mask[CHOSEN] = False
    assert mask.sum() < 0.2 * 16 * 28


def test_colours_are_worked_out_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(colour_module, "change_of_colour", lambda *images: asked.append(images))
    colours = Colours(*pair(paint(camp()), paint(camp(SHEETS), seed=2)))
    assert colours.change() is colours.change() is None
    assert len(asked) == 1


def test_roofs_that_stayed_are_not_however_hazy_or_bright_the_day() -> None:
    after = paint(camp(), seed=2) * 1.3 * HAZE[:, None, None]
    assert not found(paint(camp()), after).any()


def through_haze(scene: np.ndarray) -> np.ndarray:
    """Return a scene through a veil that is bluer than the ground: less of what is bright, more of what is dark."""
    veil, depth = np.array([0.30, 0.26, 0.22, 0.17])[:, None, None], np.array([0.42, 0.36, 0.32, 0.22])[:, None, None]
    return np.asarray(scene * (1.0 - depth) + veil * depth, np.float32)


def test_bright_roofs_under_haze_are_not_and_one_covered_anew_is() -> None:
    bright, soil = np.array([0.48, 0.50, 0.52, 0.54]), np.array([0.08, 0.11, 0.13, 0.20])
    mixed = [(one, (TILES, TILES, bright)[k % 3]) for k, one in enumerate(ROOFS)]
    before, after = paint(mixed, soil), through_haze(paint(mixed, soil, seed=2))
    assert not found(before, after).any()
    change = change_of_colour(*pair(before, after))
    assert change is not None
    assert even_change(change, np.ones((16, 28), bool), ROOFS[2])["own_colour"] < 0.06
    anew = through_haze(paint([*mixed, (CHOSEN, np.array([0.20, 0.17, 0.12, 0.20]))], soil, seed=2))
    assert found(before, anew)[CHOSEN].mean() > 0.9


def test_a_roof_in_another_light_is_not() -> None:
    assert not found(paint(camp()), paint(camp(0.75 * TILES), seed=2)).any()


@pytest.mark.parametrize("share", [0.6, 1.6])
def test_a_roof_much_brighter_or_darker_is(share: float) -> None:
    mask = found(paint(camp()), paint(camp(share * TILES), seed=2))
    assert mask[CHOSEN].mean() > 0.9
    mask[CHOSEN] = False
    assert not mask.any()


def test_bare_ground_without_an_outline_before_is_not() -> None:
    patch = (slice(60, 76), slice(92, 120))
    soil, wet = np.array([0.10, 0.13, 0.16, 0.20]), np.array([0.12, 0.13, 0.14, 0.15])
    before = paint([(box, TILES) for box in ROOFS], soil)
    after = paint([*((box, TILES) for box in ROOFS), (patch, wet)], soil, seed=2)
    assert not found(before, after)[patch].any()


@pytest.mark.parametrize(
    "box",
    [
        (slice(44, 52), slice(60, 72)),  # a car
        (slice(44, 50), slice(60, 100)),  # a track
        (slice(44, 124), slice(60, 124)),  # a yard
    ],
)
def test_what_is_not_of_a_huts_size_is_not(box: Box) -> None:
    kept = [one for one in ROOFS if one[0].start < 44 or one[1].start < 60]
    before, after = (
        paint([*((one, TILES) for one in kept), (box, colour)], seed=k) for k, colour in enumerate((TILES, SHEETS))
    )
    assert not found(before, after).any()


def test_plants_and_water_are_not() -> None:
    crop, ripe = np.array([0.05, 0.08, 0.08, 0.14]), np.array([0.05, 0.09, 0.07, 0.18])
    water, ice = np.array([0.06, 0.06, 0.05, 0.02]), np.array([0.07, 0.06, 0.04, 0.03])
    for old, new in ((crop, ripe), (water, ice)):
        assert not found(paint(camp(old)), paint(camp(new), seed=2)).any()


def test_what_was_found_already_is_left_as_it_is() -> None:
    taken = np.zeros((SIDE, SIDE), bool)
    taken[CHOSEN[0].start, CHOSEN[1].start] = True
    assert not found(paint(camp()), paint(camp(SHEETS), seed=2), taken).any()


def test_change_of_colour_leaves_out_light_and_what_the_scene_as_a_whole_did() -> None:
    after = paint(camp(1.4 * TILES), seed=2) * HAZE[:, None, None]
    change = change_of_colour(*pair(paint(camp()), after))
    assert change is not None
    inside = np.ones((16, 28), bool)
    told = even_change(change, inside, CHOSEN)
    assert told["own_colour"] < 0.03
    assert told["own_light"] == pytest.approx(np.log(1.4), abs=0.05)
    assert told["own_light_evenness"] > 5
    other = even_change(change, inside, ROOFS[0])
    assert abs(other["own_light"]) < 0.03


def test_it_is_not_told_without_near_infrared_or_without_anything_that_lasts() -> None:
    (old, new), bands = pair(paint(camp()), paint(camp(), seed=2)), ["blue", "green", "red"]
    assert change_of_colour(old.select(bands), new.select(bands)) is None
    assert change_of_colour(*pair(paint([]), paint([], seed=2))) is None


def test_detect_looks_for_them_where_local_contrast_is_asked_for() -> None:
    baseline, raster = pair(paint(camp()), paint(camp(SHEETS), seed=2))
    names = ("score", "light", "free", "local", "contrast", "kept")
    score = Raster.make(np.zeros((len(names), SIDE, SIDE), np.float32), make_grid(SIDE), names, "sigma")
    labels = detect(score, baseline, raster, DetectParams(local_seed_sigma=5.0))
    assert labels.max() == 1
    assert (labels[CHOSEN] == 1).mean() > 0.9
    assert not detect(score, baseline, raster, DetectParams()).any()


MEASURED = {
    "fill": 1.0,
    "rect_length_m": 14.0,
    "rect_width_m": 8.0,
    "ndvi_before": 0.13,
    "ndvi_after": 0.08,
    "contrast_before": 0.4,
    "contrast_after": 0.4,
}


def test_what_has_an_outline_on_both_dates_and_another_colour_stood_on_both() -> None:
    came = (slice(40, 56), slice(92, 120))
    kept = [one for one in ROOFS if one[1].start < 60]
    before = paint([(one, TILES) for one in kept])
    after = paint([(kept[0], SHEETS), *((one, TILES) for one in kept[1:]), (came, SHEETS)], seed=2)
    baseline, raster = pair(before, after)
    place = raster.grid.transform
    table = gpd.GeoDataFrame(
        {"status": "appeared", "gsd_m": raster.grid.gsd_m, "length_m": 14.0, "features": [MEASURED] * 2},
        geometry=[shapely.box(*place @ (c.start, r.start), *place @ (c.stop, r.stop)) for r, c in (kept[0], came)],
        crs=raster.grid.crs,
    )
    looked = look_at_roofs(table, raster, baseline, CoverParams())
    assert list(looked["status"]) == ["modified", "appeared"]
    as_ground = table.assign(features=[MEASURED | {"contrast_before": 0.06}] * 2)
    assert list(look_at_roofs(as_ground, raster, baseline, CoverParams())["status"]) == ["appeared"] * 2
    assert ["own_colour" in f for f in looked["features"]] == [True, False]


@pytest.mark.parametrize(("left", "status"), [(0.5, "appeared"), (0.9, "modified")])
def test_what_lost_most_of_its_light_and_little_of_its_colour_lies_in_shade(left: float, status: str) -> None:
    shade = left * TILES * np.array([1.2, 1.07, 0.93, 0.8])
    kept = [one for one in ROOFS if one[1].start < 60]
    before = paint([(one, TILES) for one in kept])
    baseline, raster = pair(before, paint([(kept[0], shade), *((one, TILES) for one in kept[1:])], seed=2))
    (r, c), place = kept[0], raster.grid.transform
    table = gpd.GeoDataFrame(
        {"status": "appeared", "gsd_m": raster.grid.gsd_m, "length_m": 14.0, "features": [MEASURED]},
        geometry=[shapely.box(*place @ (c.start, r.start), *place @ (c.stop, r.stop))],
        crs=raster.grid.crs,
    )
    assert list(look_at_roofs(table, raster, baseline, CoverParams())["status"]) == [status]


def test_a_roof_of_another_shade_that_has_an_outline_on_both_dates_stood_on_both() -> None:
    kept = [one for one in ROOFS if one[1].start < 60]
    after = paint([(kept[0], 1.6 * TILES), *((one, TILES) for one in kept[1:])], seed=2)
    baseline, raster = pair(paint([(one, TILES) for one in kept]), after)
    (r, c), place = kept[0], raster.grid.transform
    table = gpd.GeoDataFrame(
        {"status": "appeared", "gsd_m": raster.grid.gsd_m, "length_m": 14.0, "features": [MEASURED]},
        geometry=[shapely.box(*place @ (c.start, r.start), *place @ (c.stop, r.stop))],
        crs=raster.grid.crs,
    )
    assert list(look_at_roofs(table, raster, baseline, CoverParams())["status"]) == ["modified"]


def test_only_what_stood_on_both_dates_is_looked_at_for_its_own_colour() -> None:
    baseline, raster = pair(paint(camp()), paint(camp(SHEETS), seed=2))
    corners = [(raster.grid.transform @ (c.start, r.start), raster.grid.transform @ (c.stop, r.stop)) for r, c in ROOFS]
    table = gpd.GeoDataFrame(
        {
            "status": ["modified"] * 4 + ["appeared"] * 4,
            "gsd_m": raster.grid.gsd_m,
            "length_m": 14.0,
            "features": [MEASURED] * 8,
        },
        geometry=[shapely.box(*one, *other) for one, other in corners],
        crs=raster.grid.crs,
    )
    features = list(look_at_roofs(table, raster, baseline, CoverParams())["features"])
    assert [f.get("own_colour", -1.0) > 0.085 for f in features] == [k == 3 for k in range(8)]
    assert ["own_colour" in f for f in features] == [True] * 4 + [False] * 4

from __future__ import annotations

from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from presence_kit import BANDS, CONCRETE, HULL, WATER, grid, hull, paint, pair
from score_scenes import ground, shot
from shapely.geometry import box

from changedetect.core.aoi import TARGETS
from changedetect.core.tables import DETECTION_COLUMNS, MEASURE_COLUMNS, geo_table
from changedetect.errors import ChangeDetectError, GridError
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.classify import (
    ClassifyParams,
    GroundParams,
    classify,
    group_parts,
    untold_classes,
    why_too_coarse,
)
from changedetect.steps.classify.aircraft import AircraftParams
from changedetect.steps.classify.dispatch import decide, sides_of
from changedetect.steps.classify.patch import proposal

RASTER = shot(ground(64), 1)
BASELINE = fit_baseline([RASTER], BaselineParams())
X, Y = RASTER.grid.centre
FEATURES = {
    "rect_length_m": 10.0, "rect_width_m": 6.0, "even_length_m": 10.0, "even_width_m": 6.0, "fill": 0.95,
    "skeleton_m": 8.0, "path_m": 8.0, "mean_width_m": 6.0,
    "inner_width_m": 6.0, "elongation": 1.3, "aspect": 1.67, "thickness": 1.0, "peak_sigma": 60.0, "high_sigma": 50.0,
    "mean_sigma": 40.0, "bright_fraction": 1.0, "dark_fraction": 0.0, "shadow_fraction": 0.0, "lit_fraction": 0.0,
    "dark_after": 0.0, "dark_before": 0.0, "light_after": 1.0, "light_before": 0.0, "row_peaks": 0.0,
    "row_spacing_m": 0.0, "slot_depth": 0.0, "slot_fraction": 0.0, "slot_extent": 0.0,
}  # fmt: skip
LINE = {
    "rect_length_m": 45.0, "rect_width_m": 12.0, "fill": 0.4, "path_m": 52.0, "skeleton_m": 55.0, "mean_width_m": 4.0,
    "inner_width_m": 5.0, "elongation": 13.0, "aspect": 3.75,
}  # fmt: skip
DARK = {
    "rect_length_m": 30.0,
    "rect_width_m": 9.0,
    "even_length_m": 30.0,
    "even_width_m": 9.0,
    "bright_fraction": 0.1,
    "dark_fraction": 0.8,
    "dark_after": 0.8,
}


def thing(area_m2: float = 57.0, at: tuple[float, float] = (0, 0), size: float = 4.0, **features: float) -> dict:
    merged = FEATURES | features
    x, y = X + at[0], Y + at[1]
    return {
        "scene_id": "s", "acquired": datetime(2024, 10, 1, tzinfo=UTC), "gsd_m": 0.5, "status": "appeared",
        "score": merged["peak_sigma"], "area_m2": area_m2, "length_m": merged["rect_length_m"],
        "width_m": merged["rect_width_m"], "orientation_deg": 30.0, "flags": ("edge_of_image",), "features": merged,
        "geometry": box(x - size / 2, y - size / 2, x + size / 2, y + size / 2),
    }  # fmt: skip


def table(*rows: dict) -> gpd.GeoDataFrame:
    return geo_table(rows, MEASURE_COLUMNS, RASTER.grid.crs)


def zones(*entries: tuple[str, tuple[str, ...], object]) -> gpd.GeoDataFrame:
    data = {"name": [e[0] for e in entries], "targets": [e[1] for e in entries]}
    return gpd.GeoDataFrame(data, geometry=[e[2] for e in entries], crs=RASTER.grid.crs)


ALL = zones(("aoi", ("trench", "hut", "equipment", "other"), RASTER.grid.extent))


def classes(*rows: dict, where: gpd.GeoDataFrame = ALL) -> list[str]:
    return classify(table(*rows), RASTER, BASELINE, where, ClassifyParams())["class"].tolist()


def test_the_three_kinds_are_told_apart() -> None:
    rows = thing(), thing(area_m2=210.0, **LINE), thing(area_m2=200.0, **DARK)
    assert classes(*rows) == ["hut", "trench", "equipment"]


def test_every_column_is_there_and_flags_are_kept() -> None:
    result = classify(table(thing()), RASTER, BASELINE, ALL, ClassifyParams())
    assert list(result.columns) == [*DETECTION_COLUMNS, "geometry"]
    row = result.iloc[0]
    assert row["flags"] == ("edge_of_image",)
    assert (row["count"], row["count_low"], row["count_high"]) == (1, 1, 1)
    assert row["zone"] is None
    assert row["change_id"] is None
    assert 0.5 < row["confidence"] <= 1


def test_only_wanted_classes_are_given() -> None:
    huts = zones(("aoi", ("hut",), RASTER.grid.extent))
    assert classes(thing(), thing(area_m2=210.0, **LINE), where=huts) == ["hut"]


def test_what_fits_nothing_is_other_or_dropped() -> None:
    blob = thing(area_m2=900.0, fill=0.3, rect_length_m=60.0, rect_width_m=50.0, inner_width_m=30.0, path_m=40.0)
    assert classes(blob) == ["other"]
    assert classes(blob, where=zones(("aoi", ("hut", "trench"), RASTER.grid.extent))) == []


def test_a_zone_adds_its_targets_inside_it_alone_and_the_smallest_names_the_place() -> None:
    west, yard = box(X - 16, Y - 16, X, Y + 16), box(X - 12, Y - 6, X - 2, Y + 6)
    where = zones(("aoi", ("trench",), RASTER.grid.extent), ("west", ("equipment",), west), ("yard", ("hut",), yard))
    result = classify(table(thing(at=(-6, 0)), thing(at=(8, 0))), RASTER, BASELINE, where, ClassifyParams())
    assert result["class"].tolist() == ["hut"]
    assert result["zone"].tolist() == ["yard"]


def test_outside_every_zone_nothing_is_reported() -> None:
    assert classes(thing(at=(8, 0)), where=zones(("aoi", ("hut", "other"), box(X - 16, Y - 16, X, Y)))) == []


def test_confidence_rises_with_evidence_and_with_the_margin() -> None:
    by_evidence = table(
        *(thing(at=(0, s / 5), high_sigma=s, peak_sigma=s, rect_width_m=8.0) for s in (10.0, 20.0, 60.0))
    )
    by_margin = table(*(thing(at=(0, 100 * f - 63), fill=f, rect_width_m=8.0) for f in (0.63, 0.65, 0.68)))
    for rows in (by_evidence, by_margin):
        result = classify(rows, RASTER, BASELINE, ALL, ClassifyParams())
        assert result["class"].tolist() == ["hut"] * 3
        assert result["confidence"].is_monotonic_increasing
        assert result["confidence"].is_unique


def test_like_parts_in_a_row_become_one_group_with_their_number() -> None:
    small = {"rect_length_m": 7.0, "rect_width_m": 3.0, "inner_width_m": 3.0, "path_m": 7.0, "aspect": 2.3}
    parts = [thing(area_m2=20.0, at=(-8 + 5.0 * i, 0), size=2.5, **small) for i in range(4)]
    merged = group_parts(table(*parts, thing(at=(0, 12))), GroundParams())
    assert len(merged) == 2
    row = merged.iloc[0]
    assert row["features"]["group_parts"] == 4
    assert row["area_m2"] == 80
    assert row["length_m"] == pytest.approx(17.5)
    assert row["width_m"] == pytest.approx(2.5)
    assert row["orientation_deg"] == pytest.approx(90)
    result = classify(table(*parts), RASTER, BASELINE, ALL, ClassifyParams())
    assert result["class"].tolist() == ["equipment"]
    assert result["count"].tolist() == [4]
    assert result["count_low"].iloc[0] <= 4 <= result["count_high"].iloc[0]


def test_two_parts_or_unlike_ones_are_no_group() -> None:
    small = {"rect_length_m": 7.0, "rect_width_m": 3.0}
    parts = [thing(area_m2=20.0, at=(5.0 * i, 0), size=2.5, **small) for i in range(2)]
    far = [thing(area_m2=20.0, at=(-12 + 12.0 * i, 0), size=2.5, **small) for i in range(3)]
    assert len(group_parts(table(*parts), GroundParams())) == 2
    assert len(group_parts(table(*far), GroundParams())) == 3


def test_nothing_in_nothing_out() -> None:
    result = classify(table(), RASTER, BASELINE, ALL, ClassifyParams())
    assert len(result) == 0
    assert list(result.columns) == [*DETECTION_COLUMNS, "geometry"]


def test_what_left_is_not_present() -> None:
    where = zones(("aoi", ("equipment", "other"), RASTER.grid.extent))
    before = {"rect_length_m": 30.0, "rect_width_m": 9.0, "dark_before": 0.8, "bright_fraction": 0.8}
    gone = thing(area_m2=200.0, **before) | {"status": "disappeared"}
    assert classes(gone, where=where) == ["other"]
    assert classes(thing(area_m2=200.0, **DARK), where=where) == ["equipment"]


def test_soft_edges_are_not_built() -> None:
    puff, roof = thing(sharpness=0.11), thing(at=(0, 12), sharpness=0.35, rect_width_m=8.0)
    assert classes(puff, roof) == ["other", "hut"]


def test_length_goes_along_the_line_for_trenches_alone() -> None:
    result = classify(
        table(thing(area_m2=208.0, **LINE), thing(area_m2=200.0, **DARK)), RASTER, BASELINE, ALL, ClassifyParams()
    )
    assert result["length_m"].tolist() == [52.0, 30.0]
    assert result["width_m"].tolist() == [4.0, 9.0]


def test_a_formation_ends_where_its_ground_does_and_not_at_the_last_shadow() -> None:
    row = {"area_m2": 60.0, "features": {"path_m": 12.0, "rect_length_m": 12.0, "rect_width_m": 8.0}}
    row["features"] |= {"even_length_m": 10.5, "even_width_m": 7.1}
    assert sides_of("crowd", row) == {"length_m": 10.5, "width_m": 7.1}
    assert sides_of("vessel", row) == {"length_m": 12.0, "width_m": 8.0}


def test_missing_columns_and_other_systems_are_refused() -> None:
    with pytest.raises(ChangeDetectError, match="detections lacks columns"):
        classify(table(thing()).drop(columns="features"), RASTER, BASELINE, ALL, ClassifyParams())
    with pytest.raises(GridError, match="detections and zones differ in reference system"):
        classify(table(thing()), RASTER, BASELINE, ALL.to_crs("EPSG:4326"), ClassifyParams())


def test_an_unlikely_class_is_likelier_something_else() -> None:
    near = thing(fill=0.50)
    far = thing(fill=0.2, inner_width_m=30.0)
    result = classify(table(near, far), RASTER, BASELINE, ALL, ClassifyParams())
    assert np.all(result["class"] == "other")
    assert result["confidence"].iloc[0] <= result["confidence"].iloc[1]


@pytest.mark.parametrize(("gsd_m", "named"), [(0.5, ["hut", "trench"]), (3.0, ["hut", "trench"]), (5.0, ["other"] * 2)])
def test_nothing_on_the_ground_is_named_where_it_is_but_a_few_pixels(gsd_m: float, named: list[str]) -> None:
    rows = [thing() | {"gsd_m": gsd_m}, thing(120.0, (15, 0), **LINE) | {"gsd_m": gsd_m}]
    assert classes(*rows) == named


@pytest.mark.parametrize(("came", "expected"), [(True, ["appeared"]), (False, [])])
def test_a_hull_that_brightened_is_there_whatever_the_edges_of_its_quay_say(came: bool, expected: list[str]) -> None:
    on, ship = grid(), hull(150, 60, 115, 18)
    port = ((None, WATER), (box(0, 140, 300, 165), CONCRETE))
    bare, moored = (
        paint(on, *port, *more, rng=np.random.default_rng(k)) for k, more in ((5, ()), (6, ((ship, HULL),)))
    )
    raster, baseline = pair(on, *((bare, moored) if came else (moored, bare)), BANDS)
    row = thing(area_m2=1800.0) | {"status": "disappeared", "geometry": ship.buffer(1.5)}
    found = geo_table([row], MEASURE_COLUMNS, raster.grid.crs)
    area = gpd.GeoDataFrame(
        {"name": ["aoi"], "targets": [("vessel",)]}, geometry=[raster.grid.extent], crs=raster.grid.crs
    )
    assert classify(found, raster, baseline, area, ClassifyParams())["status"].tolist() == expected


def test_classes_are_named_only_in_pixels_that_can_tell_them():
    params = ClassifyParams()
    told = {gsd_m: set(TARGETS) - set(untold_classes(gsd_m, params)) for gsd_m in (0.5, 3.0, 5.0, 10.0, 30.0)}
    assert told[0.5] == set(TARGETS)
    assert told[3.0] == set(TARGETS) - {"crowd"}
    assert told[5.0] == told[10.0] == {"vessel", "other"}
    assert told[30.0] == {"other"}
    assert why_too_coarse(3.0, ("crowd", "hut"), params) is None
    assert why_too_coarse(10.0, ("crowd", "hut"), params).endswith("do not tell crowd (0.65 m), hut (3.5 m)")
    assert why_too_coarse(10.0, (), params) is None


def test_a_bright_roof_among_pavement_at_ten_metres_is_no_aircraft():
    city, roof = grid(gsd_m=10.0, px=60), box(280, 290, 310, 320)
    paved = paint(city, (None, CONCRETE), rng=np.random.default_rng(5))
    built = paint(city, (None, CONCRETE), (roof, HULL), rng=np.random.default_rng(6))
    raster, baseline = pair(city, paved, built, BANDS)
    row = thing(area_m2=900.0) | {"gsd_m": 10.0, "geometry": roof}
    found = geo_table([row], MEASURE_COLUMNS, raster.grid.crs)
    area = gpd.GeoDataFrame(
        {"name": ["city"], "targets": [("aircraft", "other")]}, geometry=[box(0, 0, 600, 600)], crs=raster.grid.crs
    )
    assert classify(found, raster, baseline, area, ClassifyParams())["class"].tolist() == ["other"]
    blind = ClassifyParams(aircraft=AircraftParams(coarsest_gsd_m=30.0))
    assert classify(found, raster, baseline, area, blind)["class"].tolist() == ["aircraft"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"hut": 0.95, "crowd": 0.85}, ("hut", 0.95 / 1.8, ("like_crowd",))),
        (
            {"hut": 0.2, "equipment": 0.6, "crowd": 0.85},
            ("crowd", 0.85 / 1.45, ("count_from_ground", "like_equipment")),
        ),
        ({"hut": 0.2, "crowd": 0.85}, ("crowd", 0.85 / 1.05, ("count_from_ground",))),
        ({"crowd": 0.85}, ("crowd", 0.85, ("count_from_ground",))),
        ({"hut": 0.55, "equipment": 0.45}, ("hut", 0.55, ())),
        ({"hut": 0.25, "crowd": 0.2}, None),
    ],
)
def test_what_fits_people_and_roofs_alike_is_told_as_doubtful(given, expected):
    flags = {"crowd": ("count_from_ground",)}
    proposed = {name: pd.DataFrame([proposal(value, flags=flags.get(name, ()))]) for name, value in given.items()}
    told = decide(0, set(given), proposed, 0.3)
    if expected is None:
        assert told is None
    else:
        assert (told["class"], told["confidence"], told["flags"]) == (
            expected[0],
            pytest.approx(expected[1]),
            expected[2],
        )

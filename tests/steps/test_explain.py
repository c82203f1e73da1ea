"""What light, view and misregistration explain: moved shadows, leaning roofs, shifted edges; and what they do not."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from score_scenes import make_grid
from shapely.geometry import box

from changedetect.core.raster import Raster
from changedetect.core.tables import MEASURE_COLUMNS, geo_table
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.explain import ExplainParams, View, explain, trim_shadows
from changedetect.steps.explain.shadows import casts_shadow, kept_along, stood_tall, swept, tints_of

SIDE = 128
BANDS = ("blue", "green", "red", "nir")
GROUND = np.array([0.08, 0.12, 0.15, 0.27])
SHADOW = np.array([0.46, 0.40, 0.35, 0.30])
SEPTEMBER, NOVEMBER = View(180.0, 45.0), View(180.0, 26.565)
"""The sun in the south, its shadows as long as things are tall, and then twice as long."""
SAME = (SEPTEMBER, SEPTEMBER)
PARAMS = ExplainParams()


def plain(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.002, (4, SIDE, SIDE))
    return GROUND[:, None, None] + noise


def painted(image: np.ndarray, rows: tuple[int, int], cols: tuple[int, int], colour: np.ndarray) -> np.ndarray:
    image[:, rows[0] : rows[1], cols[0] : cols[1]] = colour[:, None, None]
    return image


def raster(image: np.ndarray) -> Raster:
    return Raster.make(image.astype(np.float32), make_grid(SIDE), BANDS, "reflectance")


def baseline(image: np.ndarray):
    return fit_baseline([raster(image)], BaselineParams())


def outlines(*boxes: tuple[int, int, int, int]):
    """Return detections on boxes of (row, row, col, col)."""
    grid = make_grid(SIDE)
    rows = []
    for r0, r1, c0, c1 in boxes:
        left, top = grid.transform @ (c0, r0)
        right, bottom = grid.transform @ (c1, r1)
        row = dict.fromkeys(MEASURE_COLUMNS, 1.0)
        row |= {"scene_id": "s", "acquired": pd.Timestamp("2024-10-01", tz="UTC"), "status": "appeared"}
        row |= {"flags": ("small",), "features": {"fill": 1.0}, "geometry": box(left, bottom, right, top)}
        rows.append(row)
    return geo_table(rows, MEASURE_COLUMNS, grid.crs)


def house(view: View) -> np.ndarray:
    """A house of 10 m at rows 80-100 with its shadow to the north."""
    image = plain(int(view.sun_elevation_deg or 0))
    length = round(20 * view.shadow[0] * -1)
    painted(image, (80 - length, 80), (50, 80), GROUND * SHADOW)
    return painted(image, (80, 100), (50, 80), GROUND * 2.0)


def test_angles_become_metres_on_the_ground() -> None:
    assert SEPTEMBER.shadow == pytest.approx((-1.0, 0.0), abs=1e-6)
    assert View(90.0, 45.0).shadow == pytest.approx((0.0, -1.0), abs=1e-6)
    assert View(view_azimuth_deg=270.0, off_nadir_deg=45.0).lean == pytest.approx((0.0, 1.0), abs=1e-6)
    assert View().shadow is None
    assert View().lean is None


@pytest.mark.parametrize("tip", [(-7.0, -2.0), (0.0, 5.0), (6.0, 3.0)])
def test_what_was_swept_is_found_again(tip: tuple[float, float]) -> None:
    thing = np.zeros((60, 60), np.uint8)
    thing[25:35, 20:32] = 1
    with_shadow = swept(thing, tip)
    assert with_shadow.sum() > thing.sum()
    np.testing.assert_array_equal(kept_along(with_shadow, tip), thing)


def test_a_shadow_that_grew_away_from_the_sun_is_explained() -> None:
    then, now = baseline(house(SEPTEMBER)), raster(house(NOVEMBER))
    found = explain(outlines((40, 60, 50, 80)), now, then, (NOVEMBER, SEPTEMBER), PARAMS)
    assert found["flags"].iloc[0] == ("small", "explained_by_shadow")
    assert found["features"].iloc[0]["moved_shadow"] > 0.9


def test_a_shadow_that_shrank_is_explained_too() -> None:
    then, now = baseline(house(NOVEMBER)), raster(house(SEPTEMBER))
    found = explain(outlines((40, 60, 50, 80)), now, then, (SEPTEMBER, NOVEMBER), PARAMS)
    assert "explained_by_shadow" in found["flags"].iloc[0]


def test_the_same_dark_patch_elsewhere_is_not_explained() -> None:
    now = painted(house(NOVEMBER), (100, 120), (10, 40), GROUND * SHADOW)
    found = explain(
        outlines((100, 120, 10, 40)), raster(now), baseline(house(SEPTEMBER)), (NOVEMBER, SEPTEMBER), PARAMS
    )
    assert found["flags"].iloc[0] == ("small",)
    assert found["features"].iloc[0]["moved_shadow"] < 0.1


HAZY = np.array([0.90, 0.76, 0.65, 0.32])


@pytest.mark.parametrize("shade", [dict(zip(BANDS, HAZY, strict=True)), {}])
def test_a_shadow_that_haze_filled_with_blue_is_explained(shade: dict[str, float]) -> None:
    now = painted(house(NOVEMBER), (40, 80), (50, 80), GROUND * HAZY)
    then = baseline(house(SEPTEMBER))
    found = explain(outlines((40, 60, 50, 80)), raster(now), then, (NOVEMBER, SEPTEMBER), PARAMS, shade)
    assert "explained_by_shadow" in found["flags"].iloc[0]
    # The same colours where no shadow can have come are something else.
    away = painted(house(NOVEMBER), (100, 120), (10, 40), GROUND * HAZY)
    kept = explain(outlines((100, 120, 10, 40)), raster(away), then, (NOVEMBER, SEPTEMBER), PARAMS, shade)
    assert kept["flags"].iloc[0] == ("small",)


def test_shadow_takes_of_each_band_what_was_learned_or_guessed() -> None:
    np.testing.assert_allclose(tints_of({"red": 0.5, "nir": 0.25}, ("red", "nir")), [[2 / 3, 4 / 3]], rtol=1e-5)
    guessed = tints_of({}, BANDS)
    np.testing.assert_allclose(guessed[0], 1.0)
    assert (np.diff(guessed[1:], axis=1) > 0).all()
    assert tints_of({}, ("pan",)).tolist() == [[1.0]]


def test_what_cast_a_shadow_before_stood_there_before() -> None:
    house_mask = np.zeros((SIDE, SIDE), bool)
    house_mask[80:100, 50:80] = True
    ring = np.zeros_like(house_mask)
    ring[10:40, 10:120] = True
    tip = (-6.0 / 0.5, 0.0)
    assert stood_tall(house(SEPTEMBER).astype(np.float32), house_mask, ring, tip, PARAMS) > 0.9
    assert abs(stood_tall(plain().astype(np.float32), house_mask, ring, tip, PARAMS)) < 0.1


def test_a_coloured_thing_in_the_way_of_the_shadow_is_not_explained() -> None:
    now = painted(house(NOVEMBER), (40, 60), (50, 80), np.array([0.06, 0.06, 0.2, 0.3]))
    found = explain(outlines((40, 60, 50, 80)), raster(now), baseline(house(SEPTEMBER)), (NOVEMBER, SEPTEMBER), PARAMS)
    assert "explained_by_shadow" not in found["flags"].iloc[0]


def test_without_sun_angles_no_shadow_explains() -> None:
    found = explain(
        outlines((40, 60, 50, 80)), raster(house(NOVEMBER)), baseline(house(SEPTEMBER)), (View(), SEPTEMBER), PARAMS
    )
    assert found["flags"].iloc[0] == ("small",)


def shifted(image: np.ndarray, rows: float, cols: float) -> np.ndarray:
    move = np.array([[1, 0, cols], [0, 1, rows]])
    return np.stack([cv2.warpAffine(p, move, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE) for p in image])


def test_slivers_of_a_shifted_edge_are_misregistration_and_a_new_roof_is_not() -> None:
    roof = painted(plain(), (40, 60), (30, 70), GROUND * 2.5)
    moved = shifted(roof, 1.0, 0.0)
    slivers = explain(outlines((39, 42, 30, 70)), raster(moved), baseline(roof), SAME, PARAMS)
    new = explain(outlines((40, 60, 30, 70)), raster(roof), baseline(plain(1)), SAME, PARAMS)
    assert "explained_by_misregistration" in slivers["flags"].iloc[0]
    assert new["flags"].iloc[0] == ("small",)


def test_a_roof_that_moved_with_the_view_leans() -> None:
    roof = painted(plain(), (40, 60), (30, 70), GROUND * 2.5)
    # 3 m tall, seen from the west at 45 degrees less 0: it stands 6 px farther east
    moved = shifted(roof, 0.0, 6.0)
    views = (View(180.0, 45.0, 270.0, 45.0), View(180.0, 45.0, 270.0, 0.0))
    edge = outlines((40, 60, 70, 76))
    assert "explained_by_lean" in explain(edge, raster(moved), baseline(roof), views, PARAMS)["flags"].iloc[0]
    assert explain(edge, raster(moved), baseline(roof), SAME, PARAMS)["flags"].iloc[0] == ("small",)


def test_dark_vehicles_lose_the_rim_that_is_their_shadow() -> None:
    # 5 x 10 m of olive, 2.5 m tall, with shadows 2.5 m long to the north
    image = painted(plain(), (45, 60), (40, 60), GROUND * SHADOW)
    labels = np.zeros((SIDE, SIDE), np.int32)
    labels[45:60, 40:60] = 7
    trimmed = trim_shadows(labels, raster(image), baseline(plain(1)), SAME, PARAMS)
    assert (trimmed[50:60, 40:60] == 7).all()
    assert (trimmed[:50] == 0).all()
    unknown = (View(), SEPTEMBER)
    np.testing.assert_array_equal(trim_shadows(labels, raster(image), baseline(plain(1)), unknown, PARAMS), labels)


def test_coarse_images_are_left_alone() -> None:
    params = ExplainParams(max_gsd_m=0.4)
    found = outlines((40, 60, 50, 80))
    assert explain(found, raster(plain()), baseline(plain(1)), SAME, params) is found


def test_a_roof_in_a_duller_colour_beside_a_shadow_is_not_explained() -> None:
    now = painted(house(NOVEMBER), (80, 100), (50, 80), GROUND * 1.1)
    found = explain(outlines((80, 100, 50, 80)), raster(now), baseline(house(SEPTEMBER)), (NOVEMBER, SEPTEMBER), PARAMS)
    assert found["flags"].iloc[0] == ("small",)
    assert found["features"].iloc[0]["moved_shadow"] < 0.2


def test_a_slot_keeps_its_width_whatever_the_sun() -> None:
    labels = np.zeros((SIDE, SIDE), np.int32)
    labels[60:64, 20:100] = 1
    image = painted(plain(), (60, 64), (20, 100), GROUND * SHADOW)
    trimmed = trim_shadows(labels, raster(image), baseline(plain(1)), SAME, PARAMS)
    assert (trimmed == labels).all()


def test_a_new_shadow_behind_a_thing_counts_for_it_and_one_towards_the_sun_against() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[60:70, 50:70] = True
    ring = np.zeros_like(mask)
    ring[40:90, 30:90] = True
    ring[56:80, 46:74] = False
    after = painted(plain(), (70, 76), (50, 70), GROUND * SHADOW)
    assert casts_shadow((plain(1), after), mask, ring, (5.0, 0.0), PARAMS) > 0.6
    assert casts_shadow((plain(1), after), mask, ring, (-5.0, 0.0), PARAMS) < -0.6
    assert casts_shadow((plain(1), plain()), mask, ring, (5.0, 0.0), PARAMS) == 0

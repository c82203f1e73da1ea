"""Outlines spread over what belongs to a thing, and over nothing else."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
from score_scenes import make_grid
from shapely.geometry import MultiPolygon, box

from changedetect.core.raster import Raster
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.classify.spread import spread_outlines

SIDE = 160
ALONE = {"slot_fraction": 0.9, "bright_fraction": 0.0}
FLOOR, SPOIL = (slice(40, 120), slice(78, 81)), (slice(40, 120), slice(72, 87))


def spread(kind: str, outline: object, after: np.ndarray, **features: float) -> dict:
    grid = make_grid(SIDE)
    noise = np.random.default_rng(3).normal(0.0, 0.003, (2, SIDE, SIDE))
    images = [
        Raster.make(np.stack([plane + n] * 2).astype(np.float32), grid, ("green", "nir"), "reflectance")
        for plane, n in zip((np.full((SIDE, SIDE), 0.12), after), noise, strict=True)
    ]
    table = {
        "class": [kind],
        "features": [features],
        "area_m2": [outline.area],
        "length_m": [40.0],
        "width_m": [outline.area / 40.0],
    }
    frame = gpd.GeoDataFrame(table, geometry=[outline], crs=grid.crs)
    baseline = fit_baseline([images[0]], BaselineParams())
    return spread_outlines(frame, images[1], baseline, 6.0).iloc[0].to_dict()


def outline_of(where: tuple[slice, slice]):
    transform = make_grid(SIDE).transform
    left, top = transform @ (where[1].start, where[0].start)
    right, bottom = transform @ (where[1].stop, where[0].stop)
    return box(left, bottom, right, top)


@pytest.fixture
def trench() -> np.ndarray:
    after = np.full((SIDE, SIDE), 0.12)
    after[SPOIL] = 0.15
    after[FLOOR] = 0.05
    return after


def test_a_floor_takes_the_spoil_beside_it(trench: np.ndarray) -> None:
    found = spread("trench", outline_of(FLOOR), trench, **ALONE)
    whole = outline_of(SPOIL)
    assert found["geometry"].intersection(whole).area >= 0.88 * whole.area
    assert found["area_m2"] == pytest.approx(whole.area, rel=0.15)
    assert found["width_m"] == pytest.approx(found["area_m2"] / 40.0, rel=1e-3)


def test_a_field_that_changed_is_no_spoil(trench: np.ndarray) -> None:
    trench[SPOIL] = 0.12
    trench[:, 79:] *= 1.3  # beyond the floor another field begins
    trench[FLOOR] = 0.05
    found = spread("trench", outline_of(FLOOR), trench, **ALONE)
    assert found["area_m2"] < 2.5 * outline_of(FLOOR).area


@pytest.mark.parametrize(
    ("kind", "features"),
    [("trench", ALONE | {"bright_fraction": 0.6}), ("trench", ALONE | {"slot_fraction": 0.2}), ("hut", ALONE)],
)
def test_trenches_with_their_banks_and_other_things_stay(trench: np.ndarray, kind: str, features: dict) -> None:
    assert spread(kind, outline_of(FLOOR), trench, **features)["geometry"].equals(outline_of(FLOOR))


def test_gaps_between_parked_vehicles_belong_to_their_set(trench: np.ndarray) -> None:
    parts = MultiPolygon([box(4 * k, 0, 4 * k + 2.5, 7) for k in range(5)])
    found = spread("equipment", parts, trench, group_parts=5.0)
    assert found["geometry"].geom_type == "Polygon"
    assert found["area_m2"] == pytest.approx(18.5 * 7.0, rel=0.02)
    assert spread("equipment", parts, trench)["geometry"].equals(parts)

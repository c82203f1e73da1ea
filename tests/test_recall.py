"""Results kept and brought back: nothing lost, and found only for what they are of."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pandas as pd
import pytest
from affine import Affine
from shapely.geometry import box

from changedetect.blocks import Runner
from changedetect.config import Config
from changedetect.core.grid import Grid
from changedetect.core.results import Examined, Gain, Look, Noise, Warp
from changedetect.core.scene import Asset, Scene
from changedetect.core.sheets import plan_sheets
from changedetect.core.tables import DETECTION_COLUMNS, geo_table
from changedetect.io.store import open_store
from changedetect.members import Member
from changedetect.recall import Memory, RecallingRunner, recalling
from changedetect.stack import Befores, Piece

WHEN = datetime(2024, 10, 5, 2, 20, 0, 123456, tzinfo=UTC)
GRID = Grid("EPSG:32652", Affine(0.5, 0, 720000, 0, -0.5, 4880000), (3, 4))


def make_scene(path, **values):
    scene = Scene("s1", WHEN, (Asset("red", (str(path),)),), 0.5, box(131, 44, 132, 45), sensor="simulated")
    return dataclasses.replace(scene, **values)


@pytest.fixture
def member(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"pixels")
    return Member(make_scene(tmp_path / "a.tif"), False, 1, 1)


def examined() -> Examined:
    row = dict.fromkeys(DETECTION_COLUMNS) | {
        "scene_id": "s1",
        "acquired": WHEN,
        "score": 1 / 3,
        "flags": ("small", "seen_once"),
        "features": {"x": np.float32(0.1), "nan": float("nan"), "n": 3},
        "class": "trench",
        "confidence": np.float64(0.1) + 0.2,
        "count": pd.NA,
        "count_low": 2,
        "geometry": box(720000.1, 4879990.2, 720003.3, 4879999.4),
    }
    rng = np.random.default_rng(2)
    look = Look(
        "s1",
        WHEN,
        rng.integers(0, 9, GRID.shape).astype(np.uint16),
        rng.normal(size=GRID.shape),
        GRID,
        untold=("crowd",),
    )
    noise = Noise(("red", "nir"), {"shadow": [0.1, None], "n": np.int64(4)}, 5.25, 1 / 7)
    gain = Gain(("red",), (1.1,), (-0.02,), 1234)
    return Examined(look, geo_table([row], DETECTION_COLUMNS, GRID.crs), noise, gain)


def examine_scene(item, **_):
    """Named as the pipeline's own: results are known by that name."""
    examine_scene.calls += 1
    return examined()


def runner_on(folder) -> RecallingRunner:
    return recalling(Runner(), open_store(folder))


def work_for(config=None, **named):
    zones = geo_table(
        [{"name": "place", "targets": ("trench",), "geometry": box(0, 0, 1, 1)}],
        {"name": "object", "targets": "object"},
        GRID.crs,
    )
    shared = {"base_grid": GRID, "config": config or Config(), "zones": zones, "baseline_targets": frozenset()}
    return partial(examine_scene, **(shared | {"reference": None} | named))


SHEET = plan_sheets(GRID, 10, 1)[0]


def run(folder, work, items, sheet=SHEET):
    examine_scene.calls = 0
    work = partial(work, befores=Befores(items, Config()))
    return list(runner_on(folder).map(work, [Piece(item, sheet) for item in items])), examine_scene.calls


def test_what_comes_back_is_what_was_kept(tmp_path, member):
    (first,), calls = run(tmp_path / "state", work_for(), [member])
    (again,), more = run(tmp_path / "state", work_for(), [member])
    assert (calls, more) == (1, 0)
    assert {f.name for f in dataclasses.fields(Examined)} == {"look", "detections", "noise", "gain"}
    for field in dataclasses.fields(Look):
        one, other = getattr(first.look, field.name), getattr(again.look, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        else:
            assert one == other
    assert again.gain == first.gain
    assert again.noise.model == {"shadow": [0.1, None], "n": 4}
    assert dataclasses.replace(again.noise, model={}) == dataclasses.replace(first.noise, model={})
    row, back = (item.detections.to_dict("records")[0] for item in (first, again))
    assert dict(again.detections.dtypes.astype(str)) == dict(first.detections.dtypes.astype(str))
    assert again.detections.crs == first.detections.crs
    features, features_back = row.pop("features"), back.pop("features")
    assert features_back["x"] == float(features["x"])  # the float32's own value, not a rounded one
    assert np.isnan(features_back["nan"])
    for name in [name for name, value in row.items() if pd.api.types.is_scalar(value) and pd.isna(value)]:
        assert row.pop(name) is back.pop(name) or pd.isna(again.detections[name].iloc[0])
    assert back == row


@pytest.mark.parametrize(
    "other",
    [
        lambda m: {"items": [dataclasses.replace(m, compared=2)]},
        lambda m: {"items": [dataclasses.replace(m, warp=Warp("ok", dx_m=0.1))]},
        lambda m: {"items": [dataclasses.replace(m, scene=dataclasses.replace(m.scene, sun_elevation_deg=30.0))]},
        lambda m: {"items": [m, dataclasses.replace(m, is_baseline=True)], "calls": 2},
        lambda m: {"work": work_for(baseline_targets=frozenset({"vessel"}))},
        lambda m: {"work": work_for(base_grid=GRID.pad(1))},
        lambda m: {
            "work": work_for(
                dataclasses.replace(Config(), detect=dataclasses.replace(Config().detect, min_area_m2=9.0))
            )
        },
    ],
)
def test_anything_it_depends_on_makes_it_another(tmp_path, member, other):
    run(tmp_path / "state", work_for(), [member])
    asked = {"work": work_for(), "items": [member], "calls": 1} | other(member)
    _, calls = run(tmp_path / "state", asked["work"], asked["items"])
    assert calls == asked["calls"]


def test_another_part_of_the_grid_is_another(tmp_path, member):
    run(tmp_path / "state", work_for(), [member])
    _, calls = run(tmp_path / "state", work_for(), [member], plan_sheets(GRID, 3, 1)[1])
    assert calls == 1


def test_other_pixels_are_another_scene_and_another_place_is_not(tmp_path, member):
    run(tmp_path / "state", work_for(), [member])
    moved = tmp_path / "elsewhere.tif"
    moved.write_bytes(b"pixels")
    _, calls = run(tmp_path / "state", work_for(), [dataclasses.replace(member, scene=make_scene(moved))])
    assert calls == 0
    (tmp_path / "a.tif").write_bytes(b"others")
    _, calls = run(tmp_path / "state", work_for(), [member])
    assert calls == 1


def test_how_outputs_are_written_matters_to_no_scene(tmp_path, member):
    run(tmp_path / "state", work_for(), [member])
    config = dataclasses.replace(Config(), write=dataclasses.replace(Config().write, score=False))
    _, calls = run(tmp_path / "state", work_for(config), [member])
    assert calls == 0


def _coefficients():
    values = np.random.default_rng(4).normal(size=(2, 4, 4))
    return tuple(tuple(tuple(row) for row in axis) for axis in values.tolist())


def register_member(item, **_):
    grid = Grid("EPSG:32652", Affine(1, 0, 0, 0, -1, 0), (5, 6))
    warp = Warp("ok", None, 0.1, -0.2, 0.3, None, 12, "field", grid, _coefficients(), {"peak": np.float32(0.7)})
    return dataclasses.replace(item[1], warp=warp)


def test_a_warp_comes_back_whole(tmp_path, member):
    reference = dataclasses.replace(member, is_baseline=True)
    work = partial(register_member, reference=reference, config=Config())
    (first,) = runner_on(tmp_path / "state").map(work, [(GRID, member)])
    memory = Memory(open_store(tmp_path / "state"))
    (again,) = RecallingRunner(inner=Refusing(), memory=memory).map(work, [(GRID, member)])
    assert again.warp.coefficients == first.warp.coefficients
    assert again.warp.grid == first.warp.grid
    np.testing.assert_array_equal(again.warp.displacement_px(GRID), first.warp.displacement_px(GRID))
    # what depends on the warp is found again whether the warp was worked out or recalled
    assert memory.member(again) == memory.member(first)


class Refusing(Runner):
    def map(self, function, items):
        assert not items, "nothing was to be worked on"
        yield from ()


def test_functions_it_does_not_know_are_run(tmp_path, member):
    assert list(runner_on(tmp_path / "state").map(len, ["ab", "c"])) == [2, 1]
    assert recalling(Runner(), None) == Runner()

"""Members of a series: which is the reference, and on what it is matched."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from shapely.geometry import box

from changedetect import members as under_test
from changedetect.config import Config
from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.core.scene import Asset, Scene
from changedetect.members import References, Windows, best_reference, plan_members, read_member

GRID = Grid.from_bounds("EPSG:32652", (0, 0, 100, 100), 0.5)


def series(*gsds_m, baseline):
    start = datetime(2024, 9, 1, tzinfo=UTC)
    scenes = [
        Scene(str(n), start + timedelta(days=n), (), gsd_m, box(131, 44, 132, 45)) for n, gsd_m in enumerate(gsds_m)
    ]
    return plan_members(scenes, GRID, [n < baseline for n in range(len(scenes))])


def test_the_reference_is_optical_and_tied_to_the_ground_before_it_is_fine():
    fields = ({"unit": "amplitude"}, {"is_placed": False}, {}, {})
    members = series(0.3, 0.5, 3.0, 6.0, baseline=4)
    members = [replace(m, scene=replace(m.scene, **more)) for m, more in zip(members, fields, strict=True)]
    assert best_reference(members, [1.0] * 4).scene.id == "2"
    assert best_reference(members[:2], [1.0] * 2).scene.id == "1"
    assert best_reference(members[:1], [1.0]).scene.id == "0"
    assert best_reference(members, [1.0, 1.0, 0.4, 0.9]).scene.id == "3", "a clouded one is none"
    assert best_reference(members[2:], [0.8, 1.0]).scene.id == "2", "fine before clear"


def test_the_reference_is_needed_on_each_grid_and_in_the_bands_that_another_scene_shares_with_it():
    members = series(0.5, 0.5, 0.5, 2.0, 2.0, baseline=1)
    bands = (("red", "nir"), ("red", "nir"), ("nir",), ("red", "nir"), ("green",))
    members = [
        replace(m, scene=replace(m.scene, assets=tuple(Asset(band, ("a.tif",), 1) for band in own)))
        for m, own in zip(members, bands, strict=True)
    ]
    references = References(members, members[0], Config())
    assert references.pairings == [(1, ("nir",)), (1, ("red", "nir")), (4, ("red", "nir"))]


def test_windows_of_a_scene_that_was_shown_whole_are_cut_from_it(monkeypatch):
    asked = []

    def read(scene, grid, bands, **_):
        asked.append(grid)
        x, y = grid.pixel_centres()
        data = np.broadcast_to(1000 * x + y[:, None], (len(bands), *grid.shape)).astype(np.float32)
        cloud = np.hypot(x - 40, y[:, None] - 40) < 12
        return Raster(data, np.where(cloud, np.uint16(Quality.CLOUD), np.uint16(0)), grid, tuple(bands), "reflectance")

    monkeypatch.setattr(under_test, "read", read)
    members = [
        replace(m, scene=replace(m.scene, assets=(Asset("red", ("a.tif",), 1), Asset("nir", ("a.tif",), 2))))
        for m in series(0.5, 0.5, 2.0, baseline=1)
    ]
    inside, across = GRID.crop(slice(0, 90), slice(20, 130)), GRID.crop(slice(0, 90), slice(20, 130)).pad(1)
    windows = Windows(members, GRID, Config())
    wanted = [
        (members[0], inside, ("red",), 1), (members[0], GRID, ("red",), 1), (members[0], inside, ("red",), 0),
        (members[0], GRID, ("red",), 0), (members[0], across, ("red",), 1), (members[0], inside, ("nir",), 1),
        (members[1], inside, ("red",), 1), (members[0], GRID.coarsen(2), ("red",), 1), (members[2], GRID, None, 1),
        (members[2], GRID.coarsen(4), None, 1), (members[2], GRID.coarsen(4).pad(-3), None, 0),
    ]  # fmt: skip
    for member, grid, bands, readings in wanted:
        before = len(asked)
        found = windows.of(member, grid, bands)
        assert len(asked) - before == readings
        plain = read_member(member, grid, Config(), bands)
        assert (found.grid, found.bands) == (plain.grid, plain.bands)
        np.testing.assert_array_equal(found.data, plain.data)
        np.testing.assert_array_equal(found.quality, plain.quality)

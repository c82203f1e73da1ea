"""Members of a series: which is the reference, and on what it is matched."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shapely.geometry import box

from changedetect.config import Config
from changedetect.core.grid import Grid
from changedetect.core.scene import Asset, Scene
from changedetect.members import References, best_reference, plan_members

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

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from shapely.geometry import box

from changedetect.config import Config
from changedetect.core.grid import Grid
from changedetect.core.results import Warp
from changedetect.core.scene import Scene
from changedetect.core.sheets import plan_sheets
from changedetect.errors import RegistrationError
from changedetect.examine import plan_pieces
from changedetect.members import plan_members
from changedetect.stack import Befores, Stack, choose_grids, require_usable

GRID = Grid.from_bounds("EPSG:32652", (0, 0, 100, 100), 0.5)


def series(*gsds_m, baseline):
    start = datetime(2024, 9, 1, tzinfo=UTC)
    scenes = [
        Scene(str(n), start + timedelta(days=n), (), gsd_m, box(131, 44, 132, 45)) for n, gsd_m in enumerate(gsds_m)
    ]
    return plan_members(scenes, GRID, [n < baseline for n in range(len(scenes))])


@pytest.mark.parametrize(
    ("gsds_m", "baseline", "compared"),
    [
        ((0.5, 0.5, 3.0), 1, [1, 1, 6]),
        ((3.0, 0.5, 3.0), 1, [6, 6, 6]),
        ((3.0, 0.5, 0.5, 3.0), 2, [6, 1, 1, 6]),
    ],
)
def test_each_scene_is_compared_at_the_coarser_of_the_two(gsds_m, baseline, compared):
    assert [member.compared for member in choose_grids(series(*gsds_m, baseline=baseline))] == compared


def test_a_baseline_scene_that_could_not_be_registered_does_not_count():
    coarse, fine, after = series(3.0, 0.5, 0.5, baseline=2)
    clouded = replace(fine, reason="obscured: 1% of the area is clear")
    assert choose_grids([coarse, clouded, after])[2].compared == 6


def test_a_series_too_inexact_says_which_limit_would_do():
    first, late = series(0.5, 0.5, baseline=1)
    warp = Warp("abstained", reason="not exact enough: CE90 is 2.05 px, needs 0.80 px", diagnostics={"ce90_px": 2.05})
    late = replace(late, warp=warp, reason=f"registration abstained: {warp.reason}")
    with pytest.raises(RegistrationError, match=r"try: --set register\.max_ce90_px=2\.5 compares"):
        require_usable([first, late])


def test_a_scene_of_the_baseline_is_told_after_what_needs_the_baseline():
    members = series(0.5, 0.5, 0.5, baseline=2)
    befores = Befores(members, Config())
    stack = Stack(GRID, members, members[0], {1: plan_sheets(GRID, 100, 2)})
    pieces = plan_pieces(stack, GRID.extent)
    by_sheet = [pieces[i : i + 3] for i in range(0, len(pieces), 3)]
    assert len(by_sheet) == 9
    for found in by_sheet:
        assert len({piece.sheet.grid for piece in found}) == 1
        assert [piece.member.is_baseline for piece in found] == [False, True, True]
    assert befores.quality_of(members[0].scene.id, 1, by_sheet[0][0].sheet.grid) is None

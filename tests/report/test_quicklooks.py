"""Pictures: the right scenes, the right ground, the same stretch, the outline where the change is."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from PIL import Image
from shapely.geometry import Polygon, box

from changedetect.core.aoi import Aoi, Location
from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.core.run import RunResults, WriteParams
from changedetect.core.tables import ACTIVITY_COLUMNS, CHANGE_COLUMNS, DETECTION_COLUMNS, geo_table, table
from changedetect.report import images
from changedetect.report.overview import draw_overview, overview_grid, overview_scene
from changedetect.report.quicklooks import chip_grid, chip_scene, draw_quicklooks, quicklook_name

GRID = Grid("EPSG:32652", Affine(0.5, 0, 720000, 0, -0.5, 4880000), (400, 600))
TIMES = [datetime(2024, 9, day, 2, 20, tzinfo=UTC) for day in (1, 5, 9, 13)]
PARAMS = WriteParams(chip_px=200, overview_px=600)


def record(index: int, **values):
    at = f"{TIMES[index]:%Y-%m-%dT%H:%M:%SZ}"
    made = {"id": f"s{index}", "datetime": at, "sensor": "sat", "gsd_m": 0.5, "clear_fraction": 1.0, "used": True}
    return made | {"baseline": index == 0} | values


def change(number=0, states=("absent", "absent", "present", "present"), **values):
    row = dict.fromkeys(CHANGE_COLUMNS) | {
        "id": f"c{number}",
        "aoi": "place",
        "class": "hut",
        "status": "appeared",
        "first_seen": TIMES[states.index("present")],
        "n_seen": 2,
        "n_clear": 2,
        "count": 1,
        "looks": list(zip(TIMES, states, strict=True)),
        "confidence": 0.5 + number / 100,
        "area_m2": 48.0,
        "geometry": box(720100 + 20 * number, 4879900, 720108 + 20 * number, 4879906),
    }
    return row | values


def results_of(*changes, **values) -> RunResults:
    area = gpd.GeoSeries([GRID.extent.buffer(-20)], crs=GRID.crs).to_crs(4326).iloc[0]
    made = RunResults(
        aoi=Aoi("place", "Place", Location("nowhere"), area, ("hut",), None),
        grid=GRID,
        changes=geo_table(changes, CHANGE_COLUMNS, GRID.crs),
        detections=geo_table([], DETECTION_COLUMNS, GRID.crs),
        activity=table([], ACTIVITY_COLUMNS),
        scene_records=tuple(record(i) for i in range(4)),
    )
    return replace(made, **values)


def ground(grid: Grid, level: float, bands=("blue", "green", "red")) -> Raster:
    rng = np.random.default_rng(5)
    return Raster.make(level + 0.02 * rng.normal(size=(len(bands), *grid.shape)), grid, bands, "reflectance")


def window_of(levels):
    return lambda row, which: ground(chip_grid(row, GRID, PARAMS), levels[which])


def test_after_is_the_first_look_with_it_and_before_the_last_without():
    records = [record(i) for i in range(4)]
    assert chip_scene(change(), "after", records)["id"] == "s2"
    assert chip_scene(change(), "before", records)["id"] == "s1"


def test_the_finest_look_is_shown_and_an_unused_one_never():
    records = [record(0), record(1, gsd_m=3.0), record(2, gsd_m=3.0), record(3)]
    assert chip_scene(change(), "after", records)["id"] == "s3"
    assert chip_scene(change(), "before", records)["id"] == "s0"
    records = [record(0, used=False), record(1, used=False), record(2), record(3)]
    assert chip_scene(change(), "before", records) is None


def test_without_an_empty_look_before_is_the_last_scene_used():
    there = change(states=("unclear", "unclear", "present", "present"))
    assert chip_scene(there, "before", [record(i) for i in range(4)])["id"] == "s1"
    always = change(states=("present", "present", "present", "present"))
    assert chip_scene(always, "before", [record(i) for i in range(4)]) is None


def test_the_chip_grid_is_square_around_the_change_and_never_huge():
    grid = chip_grid(change(), GRID, PARAMS)
    assert grid.aligned_with(GRID)
    assert grid.extent.buffer(0.01).covers(
        change()["geometry"].buffer(PARAMS.chip_context_m, join_style="mitre").envelope.centroid
    )
    left, bottom, right, top = grid.bounds
    assert right - left == pytest.approx(68, abs=1)
    assert top - bottom == pytest.approx(68, abs=1)
    large = chip_grid(change(geometry=box(720000, 4870000, 723000, 4870100)), GRID, PARAMS)
    assert max(large.shape) <= 4 * PARAMS.chip_px


def test_only_the_most_confident_get_a_picture_and_the_log_says_how_many_do_not(tmp_path, caplog):
    results = results_of(*(change(i) for i in range(4)))
    with caplog.at_level(logging.INFO):
        n = draw_quicklooks(
            tmp_path, results, window_of({"before": 0.2, "after": 0.3}), replace(PARAMS, max_quicklooks=3)
        )
    assert n == 3
    assert sorted(p.name for p in (tmp_path / "quicklooks").iterdir()) == ["c1.png", "c2.png", "c3.png"]
    assert "1 less confident changes have no quicklook" in caplog.text


def chips_of(path):
    picture = np.asarray(Image.open(path)).astype(int)
    return picture[58 : 58 + 200, 8:208], picture[58 : 58 + 200, 216:416]


def test_both_dates_have_one_stretch_and_the_outline_is_around_the_change(tmp_path):
    results = results_of(change(geometry=box(720100, 4879900, 720120, 4879920)))
    draw_quicklooks(tmp_path, results, window_of({"before": 0.2, "after": 0.6}), PARAMS)
    before, after = chips_of(tmp_path / "quicklooks/c0.png")
    assert np.median(before) < 60, "the darker date is darker"
    assert np.median(after) > 190
    yellow = np.array(images.CLASS_COLOURS["hut"])
    rows, cols = np.nonzero(np.all(after == yellow, axis=-1))
    # an 80 m chip on 200 px: the 20 m change, with 0.75 m around it, is 53.75 px wide in the middle
    assert cols.min() == pytest.approx(100 - 26.9, abs=3)
    assert cols.max() == pytest.approx(100 + 26.9, abs=3)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(100, abs=2)


def red_pixels(path) -> int:
    return int(np.all(np.asarray(Image.open(path)) == images.WARNING, axis=-1).sum())


@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_is_written_on_every_picture_of_simulated_scenes_alone(tmp_path, simulated):
    results = results_of(change(), simulated=simulated)
    draw_quicklooks(tmp_path, results, window_of({"before": 0.2, "after": 0.6}), PARAMS)
    draw_overview(tmp_path, results, ground(GRID, 0.3), PARAMS)
    for path in (tmp_path / "quicklooks/c0.png", tmp_path / "overview.png"):
        assert (red_pixels(path) > 50) == simulated


def test_a_missing_date_and_missing_pixels_are_drawn_as_such(tmp_path):
    def window(row, which):
        if which == "before":
            return None
        grid = chip_grid(row, GRID, PARAMS)
        return Raster.make(np.full((1, *grid.shape), np.nan), grid, ("pan",), "dn")

    draw_quicklooks(tmp_path, results_of(change()), window, PARAMS)
    before, after = chips_of(tmp_path / "quicklooks/c0.png")
    assert tuple(before[5, 5]) == (60, 60, 65)
    assert tuple(after[5, 5]) == (90, 90, 100)


def test_same_results_give_the_same_bytes(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        draw_quicklooks(tmp_path / name, results_of(change()), window_of({"before": 0.2, "after": 0.6}), PARAMS)
    assert (tmp_path / "x/quicklooks/c0.png").read_bytes() == (tmp_path / "y/quicklooks/c0.png").read_bytes()


def test_the_overview_shows_the_last_clear_scene_and_all_outlines(tmp_path):
    results = results_of(change(0), change(1, **{"class": "trench"}))
    records = (record(0), record(1), record(2), record(3, clear_fraction=0.2))
    assert overview_scene(replace(results, scene_records=records))["id"] == "s2"
    draw_overview(tmp_path, results, ground(overview_grid(results, PARAMS), 0.3), PARAMS)
    picture = np.asarray(Image.open(tmp_path / "overview.png"))[34:434]
    for kind in ("hut", "trench"):
        assert np.all(picture == images.CLASS_COLOURS[kind], axis=-1).any()


def test_the_overview_is_of_the_date_that_shows_most_and_marks_what_it_does_not_show(tmp_path):
    here = change(0, ("absent", "absent", "present", "absent"))
    gone = change(1, ("absent", "present", "absent", "absent"), **{"class": "vessel"})
    results = results_of(here, gone, change(2, ("absent", "absent", "present", "absent")))
    assert overview_scene(results)["id"] == "s2"
    draw_overview(tmp_path, results, ground(GRID, 0.3), PARAMS)
    picture = np.asarray(Image.open(tmp_path / "overview.png"))[34:434]
    thick, thin = (np.all(picture == images.CLASS_COLOURS[kind], axis=-1) for kind in ("hut", "vessel"))
    column = round((720104 - 720000) / 0.5)
    assert thick[:, column].sum() == 2 * 3
    assert thin[:, column + 40].sum() == 2 * 1


def test_an_overview_of_nothing_found_is_still_a_picture(tmp_path):
    draw_overview(tmp_path, results_of(), ground(GRID, 0.3, ("pan",)), PARAMS)
    with Image.open(tmp_path / "overview.png") as picture:
        assert picture.size == (600, 464), "the image, a title and a legend"


def test_names_of_pictures_hold_no_path():
    assert quicklook_name("../a b:1") == ".._a_b_1.png"


@pytest.mark.parametrize(("most", "expected"), [(10, 10), (9.9, 5), (49, 20), (2, 2), (0.7, 0.5)])
def test_scale_bars_have_round_lengths(most, expected):
    assert images.round_length_m(most) == pytest.approx(expected)


def test_the_scale_bar_is_as_long_as_it_says():
    picture = Image.new("RGB", (300, 100), (9, 9, 9))
    length_m = images.draw_scale_bar(picture, 0.5)
    row = np.asarray(picture)[100 - 14 + 2]
    white = np.nonzero(np.all(row == 255, axis=-1))[0]
    assert (white.max() - white.min()) * 0.5 == pytest.approx(length_m, abs=0.6)


def test_holes_are_outlined_too():
    ring = Polygon(box(720010, 4879900, 720090, 4879980).exterior, [box(720040, 4879930, 720060, 4879950).exterior])
    picture = Image.new("RGB", (600, 400))
    images.draw_outline(picture, ring, GRID, (255, 0, 0))
    drawn = np.all(np.asarray(picture) == (255, 0, 0), axis=-1)
    assert drawn[2 * 50, 80:120].any()
    assert not drawn[2 * 60, 90:110].any()


def test_the_overview_shows_the_aoi_and_a_little_around_it():
    left, bottom, right, top = overview_grid(results_of(), PARAMS).bounds
    shown = GRID.extent.buffer(-20).buffer(3).bounds
    assert (left, bottom, right, top) == pytest.approx(shown, abs=0.6)

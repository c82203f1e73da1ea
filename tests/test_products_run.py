"""Whole runs on products made for the test: what the rules of sensors do to results."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pyproj import Transformer
from scipy.ndimage import gaussian_filter
from shapely.geometry import box

from changedetect.config import load_config
from changedetect.core.aoi import Aoi, Location
from changedetect.core.grid import Grid
from changedetect.core.scene import Scene
from changedetect.errors import ConfigError, DataError
from changedetect.examine import compare_scene
from changedetect.gather import RunOptions, gathered
from changedetect.io.aoi_file import load_aoi
from changedetect.members import References, plan_members, register_member
from changedetect.pipeline import run
from changedetect.stack import build_baseline

SIDE = 160
PLACE = Affine(10, 0, 500_000, 0, -10, 4_800_000)


def radar_series(base, orbits=(55473, 55648), planted=True, seed=3):
    """Two dates of Sentinel-1 RTC over a shore, with 4.4 looks of speckle; on the second two ships and a hall."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 8)
    shore = np.arange(SIDE)[None, :] < 60 + 8 * np.sin(np.arange(SIDE) / 20)[:, None]
    ground = np.where(shore, -21.0, -10 + 4 * np.sign(field) + 1.5 * field / field.std())
    after = ground.copy()
    if planted:
        after[40:43, 20:29] = after[100:103, 30:39] = -4
        after[70:76, 120:126] = 2
    for day, orbit, level_db in ((1, orbits[0], ground), (13, orbits[1], after)):
        stem = f"S1A_IW_GRDH_1SDV_202409{day:02d}T213000_202409{day:02d}T213025_{orbit:06d}_06C4F1_rtc"
        for pol, less_db in (("vv", 0), ("vh", 6)):
            power = 10 ** ((level_db - less_db) / 10) * rng.gamma(4.4, 1 / 4.4, (SIDE, SIDE))
            write(base / f"{stem}_{pol}.tif", gaussian_filter(power, 0.5)[None].astype(np.float32))
    return base


def write(path, data):
    with rasterio.open(
        path, "w", driver="GTiff", count=data.shape[0], height=data.shape[1], width=data.shape[2], dtype=data.dtype,
        crs="EPSG:32652", transform=PLACE,
    ) as dst:  # fmt: skip
        dst.write(data)


def aoi_file(base, targets="[other]", scenes="{files: '*.tif'}"):
    to_lonlat = Transformer.from_crs(32652, 4326, always_xy=True)
    left, top, side = PLACE.c + 50, PLACE.f - 50, 10 * SIDE - 100
    corners = [(left, top), (left, top - side), (left + side, top - side), (left + side, top), (left, top)]
    ring = [list(to_lonlat.transform(x, y)) for x, y in corners]
    text = (
        f"name: radar\nlocation: {{source: made, verified: true}}\ntargets: {targets}\nscenes: {scenes}\n"
        f"geometry: {{type: Polygon, coordinates: [{json.dumps(ring)}]}}\n"
    )
    (base / "aoi.yaml").write_text(text)
    return base / "aoi.yaml"


@pytest.mark.parametrize("planted", [True, False])
def test_radar_of_one_track_shows_what_came_and_nothing_else(tmp_path, planted):
    radar_series(tmp_path, planted=planted)
    run(aoi_file(tmp_path), RunOptions(out=tmp_path / "out", workers=1))
    changes = json.loads((tmp_path / "out/changes.geojson").read_text())["features"]
    to_utm = Transformer.from_crs(4326, 32652, always_xy=True)
    found = []
    for feature in changes:
        lon, lat = np.mean(feature["geometry"]["coordinates"][0], axis=0)
        x, y = to_utm.transform(lon, lat)
        found.append((round((PLACE.f - y) / 10), round((x - PLACE.c) / 10)))
        assert feature["properties"]["status"] == "appeared"
    there = [(41, 24), (73, 123), (101, 34)] if planted else []
    assert len(found) == len(there)
    for spot, at in zip(sorted(found), there, strict=True):
        assert np.hypot(*np.subtract(spot, at)) < 3


def test_radar_of_another_track_is_refused_in_one_sentence(tmp_path):
    radar_series(tmp_path, orbits=(55473, 55546))
    with pytest.raises(DataError, match=r"radar of another relative orbit \(174 against 101\)"):
        run(aoi_file(tmp_path), RunOptions(out=tmp_path / "out", workers=1))
    assert not (tmp_path / "out").exists()


def test_classes_are_not_asked_of_radar(tmp_path):
    radar_series(tmp_path)
    with (
        pytest.raises(ConfigError, match="radar shows that something changed, not what it is; found vessel"),
        gathered(load_aoi(aoi_file(tmp_path, "[vessel, other]")), RunOptions()),
    ):
        pass


def test_what_readers_should_know_is_a_warning_of_the_run(tmp_path):
    picture = np.full((3, SIDE, SIDE), 90, np.uint8)
    write(tmp_path / "picture_20240913.tif", picture)
    write(tmp_path / "measured_20240901.tif", np.full((4, SIDE, SIDE), 900, np.uint16))
    with gathered(load_aoi(aoi_file(tmp_path)), RunOptions()) as series:
        assert any("compared with measured imagery by structure alone" in text for text in series.warnings)
    rows = [[*PLACE @ spot, *spot] for spot in ((10, 10), (150, 12), (148, 150), (9, 140))]
    Image.fromarray(np.moveaxis(picture, 0, 2)).save(tmp_path / "shot.png")
    entries = f"[{{path: shot.png, datetime: 2024-09-01, crs: 'EPSG:32652', gcps: {json.dumps(rows)}}}]"
    with gathered(load_aoi(aoi_file(tmp_path, scenes=entries)), RunOptions()) as series:
        assert series.scenes[0].is_approximate
        assert any(text.startswith("shot: approximate, not measured") for text in series.warnings)


def measured_and_picture():
    """Reflectance-like numbers in four bands, and a later picture of the place with something bright in it."""
    rng = np.random.default_rng(5)
    ground = 900 + 250 * gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3) * 8 + 30 * rng.normal(size=(SIDE, SIDE))
    later = ground + 30 * rng.normal(size=ground.shape)
    later[70:78, 90:102] += 2500
    bands = np.stack([0.8 * ground, ground, 1.1 * ground, 1.4 * ground]).clip(1, 9999).astype(np.uint16)
    low, high = np.percentile(later, (1, 99.5))
    picture = np.round(1 + 254 * np.clip((later - low) / (high - low), 0, 1) ** 0.7)
    return bands, np.stack([picture] * 3).astype(np.uint8)


def test_what_a_screenshot_shows_is_flagged_as_approximate(tmp_path):
    bands, picture = measured_and_picture()
    write(tmp_path / "measured.tif", bands)
    Image.fromarray(np.moveaxis(picture, 0, 2)).save(tmp_path / "shot.png")
    rows = [[*PLACE @ spot, *spot] for spot in ((10, 10), (150, 12), (148, 150), (9, 140))]
    entries = (
        "[{path: measured.tif, datetime: 2024-09-01, bands: [blue, green, red, nir]}, "
        f"{{path: shot.png, datetime: 2024-09-13, crs: 'EPSG:32652', gcps: {json.dumps(rows)}}}]"
    )
    report = run(aoi_file(tmp_path, scenes=entries), RunOptions(out=tmp_path / "out", workers=1))
    (feature,) = json.loads((tmp_path / "out/changes.geojson").read_text())["features"]
    assert {"approximate", "structure_data"} <= set(feature["properties"]["flags"])
    assert any(text.startswith("shot: approximate, not measured") for text in report.warnings)
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["reference"] == "measured"
    assert record["scenes"][1]["cautions"][0].startswith("approximate, not measured")


def test_a_picture_is_compared_with_measured_numbers_by_structure(tmp_path):
    bands, picture = measured_and_picture()
    write(tmp_path / "measured_20240901.tif", bands)
    write(tmp_path / "picture_20240913.tif", picture)
    aoi = load_aoi(aoi_file(tmp_path))
    config = load_config(aoi)
    with gathered(aoi, RunOptions()) as series:
        grid = Grid.from_bounds("EPSG:32652", (PLACE.c, PLACE.f - 10 * SIDE, PLACE.c + 10 * SIDE, PLACE.f), 10.0)
        members = plan_members(series.scenes, grid, [True, False])
    pair = compare_scene(members[1], grid, build_baseline(members, 1, grid, config), config)
    assert (pair.raster.unit, pair.baseline.unit, pair.raster.bands) == ("structure", "structure", ("pan",))
    score = pair.score.band("score")
    row, col = np.unravel_index(np.argmax(np.abs(score)), score.shape)
    assert 68 <= row < 80
    assert 88 <= col < 104
    assert score[row, col] > 5


def test_the_offset_of_sentinel2_can_be_overruled(tmp_path):
    write(
        tmp_path / "S2A_MSIL2A_20240901T022031_N0511_R003_T52TFP_20240901T060000_B04.tif",
        np.full((1, SIDE, SIDE), 1400, np.uint16),
    )
    aoi = load_aoi(aoi_file(tmp_path))
    for mode, offset in (("auto", -0.1), ("applied", 0.0), ("raw", -0.1)):
        with gathered(aoi, RunOptions(sets=(f"read.s2_offset={mode}",))) as series:
            assert series.scenes[0].assets[0].offset == offset
    with pytest.raises(ConfigError, match="s2_offset"), gathered(aoi, RunOptions(sets=("read.s2_offset=no",))):
        pass


def scene(name, day, **fields):
    start = datetime(2024, 9, 1, tzinfo=UTC)
    fields = {"unit": "reflectance", **fields}
    return Scene(name, start + timedelta(days=day), (), 10.0, load_area(), **fields)


def load_area():
    return box(131, 44, 131.02, 44.01)


def test_a_baseline_is_of_one_kind_of_numbers():
    aoi = Aoi("a", "A", Location("test"), load_area(), ("other",), [])
    grid = Grid.from_bounds("EPSG:32652", (0, 0, 100, 100), 10.0)
    members = plan_members([scene("a", 0), scene("b", 1, unit="display")], grid, [True, True])
    left_out = register_member(
        (grid, members[1]), members[0], load_config(aoi), References(members, members[0], load_config(aoi))
    )
    assert left_out.reason == "left out of the baseline: its numbers are display, the reference's reflectance"

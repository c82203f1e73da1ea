"""The page's parts: pictures within their bytes, places within a millimetre, words that say what was not seen."""

from __future__ import annotations

import hashlib
import html
import io
import json
import logging
import re
from dataclasses import replace

import numpy as np
import pytest
from page_place import GRID, HOSTILE, look, results_of, sources_of, times, write_place
from PIL import Image
from pyproj import Transformer
from shapely.geometry import box

from changedetect.core.quality import Quality
from changedetect.core.results import Look
from changedetect.core.run import WriteParams
from changedetect.errors import DataError
from changedetect.report.page import weigh, words
from changedetect.report.page.assemble import STATIC, island, write_page
from changedetect.report.page.frame import Frame
from changedetect.report.page.hidden import never_seen, outline_hidden
from changedetect.report.page.imagery import write_imagery
from changedetect.report.quicklooks import chip_scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("page") / "out"
    write_place(place, results_of())
    return place


def data_of(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def noise_picture(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 255, (side, side, 3), np.uint8))


def test_a_picture_keeps_within_its_bytes_by_getting_less_exact_then_smaller_and_says_so():
    picture = noise_picture(300)
    fine, coarse = weigh.encode(picture, 100_000), weigh.encode(picture, 5_000)
    assert sum(len(tile.data) for tile in fine) <= 100_000
    assert sum(len(tile.data) for tile in coarse) <= 5_000
    assert fine[0].coarser == 1
    assert coarse[0].coarser == pytest.approx(300 / Image.open(io.BytesIO(coarse[0].data)).width)
    assert coarse[0].coarser > 1
    assert weigh.encode(picture, 10) == []


def test_chips_keep_every_pixel_where_that_fits():
    picture = noise_picture(64)
    (tile,) = weigh.encode(picture, 40_000, exact=True)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(tile.data)).convert("RGB")), np.asarray(picture))
    (worse,) = weigh.encode(picture, 8_000, exact=True)
    assert len(worse.data) <= 8_000


def test_a_large_picture_is_cut_into_tiles_that_cover_it_once():
    tiles = weigh.encode(Image.new("RGB", (2600, 1500), "teal"), 1e6)
    assert len(tiles) == 6
    assert sum((r - l) * (b - t) for l, t, r, b in (tile.box for tile in tiles)) == pytest.approx(1)  # noqa: E741


def test_the_budget_of_pictures_shrinks_with_the_tables():
    assert weigh.Budget.of(25, 0).looks > weigh.Budget.of(25, 4_000_000).looks > 0
    assert weigh.Budget.of(1, 4_000_000) == weigh.Budget(0, 0)


def test_the_page_keeps_within_the_setting(tmp_path):
    params = WriteParams(score=False, report_mb=1.0)
    page = write_place(tmp_path / "out", results_of(30, 12), params)
    assert page.stat().st_size <= 1e6
    assert data_of(page.read_text())["looks"][0]["tiles"]


def test_the_polynomial_leads_back_to_wgs84_within_a_millimetre():
    frame = Frame("EPSG:32652", (712000.0, 4900000.0, 742000.0, 4925000.0))
    fit = frame.polynomial()
    back = Transformer.from_crs(4326, frame.crs, always_xy=True)
    for x, y in ((0, 0), (30000, 25000), (11111, 23456), (29999, 1)):
        terms = [(x / fit["scale"] - 1) ** i * (y / fit["scale"] - 1) ** j for i, j in fit["powers"]]
        lon, lat = (float(np.dot(terms, fit[name])) for name in ("lon", "lat"))
        east, north = back.transform(lon, lat)
        assert np.hypot(east - 712000 - x, north - 4900000 - y) < 1e-3


def test_a_shape_keeps_its_place_and_its_holes():
    frame = Frame("EPSG:32652", GRID.bounds)
    lon, lat = frame.lonlat(100.0, 40.0)
    square = [[lon, lat], [lon + 1e-4, lat], [lon + 1e-4, lat + 1e-4], [lon, lat]]
    hole = [[lon + 1e-5, lat + 1e-6], [lon + 2e-5, lat + 1e-6], [lon + 2e-5, lat + 2e-6], [lon + 1e-5, lat + 1e-6]]
    shapes = frame.shapes({"type": "Polygon", "coordinates": [square, hole]})
    assert len(shapes[0]) == 2
    assert shapes[0][0][0] == pytest.approx([40.0, 100.0], abs=0.011)
    assert frame.shapes({"type": "Point", "coordinates": [0, 0]}) == []


def test_what_is_hidden_is_outlined_by_kind_where_it_is():
    quality = np.zeros(GRID.shape, np.uint16)
    quality[:75, :] = Quality.CLOUD
    quality[:, 150:] = Quality.NODATA
    hidden = {part["kind"]: part["rings"] for part in outline_hidden(Look("s", times(1)[0], quality, None, GRID))}
    left, bottom, right, top = GRID.bounds
    cloud = np.array(hidden["cloud"][0][0])
    assert cloud.min(axis=0) == pytest.approx([left, bottom + 150])
    assert cloud.max(axis=0) == pytest.approx([right - 100, top])
    assert np.array(hidden["nodata"][0][0]).min(axis=0) == pytest.approx([right - 100, bottom])


def test_a_clear_look_hides_nothing_and_an_unused_one_everything():
    assert outline_hidden(look(0, times(1)[0])) == []
    assert [part["kind"] for part in outline_hidden(look(4, times(5)[4]))] == ["unused"]


def test_what_no_look_after_the_baseline_shows_is_told():
    half = look(2, times(3)[2])
    area = box(*GRID.bounds)
    assert never_seen([look(0, times(1)[0]), half], frozenset(["s0"]), area, GRID) == pytest.approx(0.5, abs=0.02)
    assert never_seen([half, look(1, times(2)[1])], frozenset(), area, GRID) == 0
    assert never_seen([half], frozenset(["s2"]), area, GRID) is None


@pytest.mark.parametrize(
    ("x", "y", "where"), [(50, 50, "middle"), (50, 99, "north"), (95, 95, "north-east"), (2, 45, "west")]
)
def test_the_part_of_the_place_has_a_name(x, y, where):
    assert words.sector(x, y, (100.0, 100.0)) == where


def test_words_say_what_where_when_and_how_sure():
    base = {"class": "trench", "status": "appeared", "absent_until": "2024-09-19T02:00:00Z", "zone": None}
    trenches = [
        {**base, "first_seen": "2024-10-05T02:00:00Z", "where": "north", "confidence": 0.9},
        {**base, "first_seen": "2024-10-18T02:00:00Z", "where": "south", "confidence": 0.7},
    ]
    (said,) = words.found(trenches, {"zones": []}, "place")
    assert said["text"] == (
        "2 trenches appeared (north 1, south 1): first seen 2024-10-05 to 2024-10-18, "
        "last seen without 2024-09-19; confidence 0.70 to 0.90."
    )
    assert words.found([], {}, "place")[0]["text"].startswith("Nothing")


def test_words_say_what_could_not_be_seen():
    scenes = [
        {"id": f"s{day}", "datetime": f"2024-09-{day:02d}T02:00:00Z", "used": day != 5, "reason": "obscured: 0%"}
        for day in (1, 5, 9, 25)
    ]
    statuses = {"s1": "clear", "s5": "obscured", "s9": "partial", "s25": "clear"}
    text = " ".join(words.unseen(scenes, statuses, 0.031, 2.0))
    assert "1 of 4 looks could not be used (obscured): 2024-09-05." in text
    assert "1 of 4 looks show part of the place: 2024-09-09." in text
    assert "24 days, 2024-09-01 to 2024-09-25" in text
    assert "3.1% of the place (0.062 km²)" in text


def test_nothing_in_the_data_can_end_its_block():
    text = island("data", {"title": HOSTILE + "\u2028<!--"})
    inside = text.removeprefix('<script type="application/json" id="data">').removesuffix("</script>")
    assert not set(inside) & set("<>&\u2028")
    assert json.loads(inside)["title"] == HOSTILE + "\u2028<!--"


def test_the_page_holds_no_address_and_allows_only_its_own_code(folder):
    page = (folder / "report.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    title = re.search(r"<title>(.*?)</title>", page)[1]
    assert html.unescape(title).startswith(HOSTILE)
    assert "<" not in title
    outside = re.sub(r"<(script|style|title).*?</\1>", "", page, flags=re.S)
    assert not re.search(r"(src|href)=[\"'](?!#)|onerror", outside)


def test_the_page_is_made_again_from_the_folder_alone_byte_for_byte(folder, tmp_path):
    before = (folder / "report.html").read_bytes()
    assert write_page(folder).read_bytes() == before
    write_place(tmp_path / "again", results_of())
    assert (tmp_path / "again/report.html").read_bytes() == before


def test_the_data_tells_each_look_change_and_count(folder):
    data = data_of((folder / "report.html").read_text())
    assert data["place"]["title"] == HOSTILE
    assert [item["status"] for item in data["looks"]][:5] == ["clear", "clear", "partial", "clear", "obscured"]
    assert data["looks"][4]["hidden"][0]["kind"] == "unused"
    assert not data["looks"][4]["tiles"]
    assert data["changes"][0]["states"] == "apaauaaaauaa"
    assert {which for item in data["changes"] for which in item["chips"]} == {"box", "before", "after"}
    assert data["looks"][1]["normalization"]["gain"] == [1.02]
    piers = {series["zone"] for series in data["activity"]}
    assert piers == {"place", "pier-1", "pier-2"}
    assert all(row[1] is None for series in data["activity"] for row in series["rows"] if row[0] == 4)


def test_a_folder_without_imagery_still_gives_a_page(folder, tmp_path):
    results = results_of()
    write_place(tmp_path / "out", results)
    for path in (tmp_path / "out/report").rglob("*.webp"):
        path.unlink()
    (tmp_path / "out/report/imagery.json").unlink()
    (tmp_path / "out/zones.geojson").unlink()
    data = data_of(write_page(tmp_path / "out").read_text())
    assert len(data["changes"]) == 6
    assert data["changes"][0]["chips"] is None


def test_a_folder_that_is_none_of_ours_is_refused(tmp_path):
    with pytest.raises(DataError, match="no output folder"):
        write_page(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(DataError, match="needed a JSON object"):
        write_page(tmp_path)


def test_dates_of_one_unit_share_a_stretch_and_others_say_that_they_do_not(tmp_path):
    results = results_of()
    plain = sources_of(results)

    def mixed(row, which, grid):
        raster = plain.chip(row, which, grid)
        return replace(raster, unit="dn") if raster is not None and which == "after" else raster

    (tmp_path / "x").mkdir()
    write_imagery(tmp_path / "x", results, replace(plain, chip=mixed), WriteParams())
    found = json.loads((tmp_path / "x/report/imagery.json").read_text())["chips"]
    assert {chip[which]["alike"] for chip in found.values() for which in ("before", "after")} == {False}


def test_looks_are_shown_in_the_light_of_the_baseline(tmp_path):
    """A look twice as bright, whose gain is known, becomes the same picture; without a gain it has its own stretch."""
    results = results_of()
    gain = {"bands": ["blue", "green", "red"], "gain": [0.5] * 3, "offset": [0.0] * 3, "n_pixels": 9, "reason": None}
    known = [{**scene, "normalization": gain if scene["id"] == "s1" else None} for scene in results.scene_records]
    results = replace(results, scene_records=tuple(known), provenance={"reference": "s0"})
    plain = sources_of(results)

    def bright(name, grid):
        raster = plain.look("s0", grid)
        return raster.with_data(raster.data * {"s0": 1.0, "s1": 2.0}.get(name, 3.0))

    (tmp_path / "x").mkdir()
    write_imagery(tmp_path / "x", results, replace(plain, look=bright), WriteParams())
    looks = json.loads((tmp_path / "x/report/imagery.json").read_text())["looks"]
    assert [looks[name]["normalized"] for name in ("s0", "s1", "s2")] == [True, True, False]
    shown = [np.asarray(Image.open(tmp_path / f"x/report/looks/000{i}.webp"), float) for i in range(2)]
    assert np.abs(shown[0] - shown[1]).mean() < 2


def test_the_most_confident_changes_have_chips_and_the_others_the_scenes_that_show_them(tmp_path):
    results = results_of()
    (tmp_path / "x").mkdir()
    write_imagery(tmp_path / "x", results, sources_of(results), WriteParams(max_chips=2))
    found = json.loads((tmp_path / "x/report/imagery.json").read_text())["chips"]
    best = results.changes.sort_values("confidence", ascending=False)["id"].head(2)
    assert set(found) == set(results.changes["id"])
    assert {name for name, chip in found.items() if chip["after"]["tiles"]} == set(best)
    for row in results.changes.to_dict("records"):
        for which in ("before", "after"):
            assert found[row["id"]][which]["scene_id"] == chip_scene(row, which, results.scene_records)["id"]


def test_chips_keep_the_sensors_pixels_for_as_many_changes_as_the_page_has_room_for(tmp_path, caplog):
    results = results_of(4, 120)
    (tmp_path / "x").mkdir()
    with caplog.at_level(logging.INFO):
        write_imagery(tmp_path / "x", results, sources_of(results), WriteParams(report_mb=1.0, chip_context_m=60.0))
    found = json.loads((tmp_path / "x/report/imagery.json").read_text())["chips"]
    shown = [pair for pair in found.values() if pair["after"]["tiles"]]
    assert 5 < len(shown) < 120
    assert {pair[which]["px_m"] for pair in shown for which in ("before", "after")} == {2.0}
    assert f"{120 - len(shown)} less confident changes have no chips of their own" in caplog.text


def test_the_vendored_library_is_what_its_digests_say_and_has_its_licence():
    sums = (STATIC / "leaflet/SHA256SUMS").read_text().split("\n")
    assert [line.split()[1] for line in sums if line] == ["LICENSE", "leaflet.css", "leaflet.js"]
    for line in filter(None, sums):
        digest, name = line.split()
        assert hashlib.sha256((STATIC / "leaflet" / name).read_bytes()).hexdigest() == digest

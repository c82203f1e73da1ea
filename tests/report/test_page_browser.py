"""The page in a real browser, from disk: it loads, slides, filters, moves, is reviewed, and takes titles for text."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace

import pytest
from page_place import HOSTILE, results_of, write_place

from changedetect.core.run import WriteParams
from changedetect.report.page.assemble import write_page

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install playwright)")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return write_place(tmp_path_factory.mktemp("page") / "out", results_of()).resolve().as_uri()


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, address):
    """Opens the page; afterwards nothing may have been complained of."""
    opened = []

    def go(fragment="", at=address, **context):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | context)
        page = context.new_page()
        said = []
        page.on("console", lambda message: said.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda asked: said.append(asked.url) if asked.url.startswith("http") else None)
        page.goto(at + fragment)
        page.wait_for_selector("html[data-whole]", timeout=20_000)
        opened.append((context, said))
        return page

    yield go
    for context, said in opened:
        context.close()
        assert said == []


def shown_rows(page) -> list[str]:
    return page.eval_on_selector_all("#table tr[data-change]", "rows => rows.map(row => row.dataset.change)")


def view_of(page) -> list[float]:
    return page.evaluate("(({lat, lng}) => [lat, lng, report.map.getZoom()])(report.map.getCenter())")


def wait_for(page, script: str) -> None:
    # by a function of the driver's own: the page's policy lets no text become code
    for _ in range(100):
        if page.evaluate(script):
            return
        page.wait_for_timeout(20)
    pytest.fail(script)


def test_it_loads_with_both_dates_and_says_simulated(visit):
    page = visit()
    for side in ("before", "after"):
        images = f".leaflet-{side}-pane img"
        assert page.locator(images).count() == 1
        wait_for(page, f"document.querySelector('{images}').naturalWidth > 100")
    assert page.locator("h1 .simulated").inner_text() == "SIMULATED"
    assert "not verified" in page.locator(".where").inner_text()
    assert page.locator("#headline li").count() >= 3
    assert page.locator(".side-name.left").inner_text().startswith("Before 2023-09-01 02:00 UTC")
    words = page.locator("body").inner_text()
    assert "[object" not in words
    assert not {"null", "undefined", "NaN"} & set(words.split())


def test_hostile_titles_stay_text(visit):
    page = visit()
    assert page.locator("h1 bdi").text_content() == HOSTILE
    assert page.title().startswith(HOSTILE[:30])
    assert page.evaluate("window.stolen === undefined")
    assert page.locator("main img:not(.tile)").count() == 0
    assert page.locator("h1 bdi").get_attribute("dir") == "auto"


def test_code_that_is_not_the_pages_own_does_not_run(chromium, address):
    page = chromium.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(address)
    page.evaluate("""() => {
        const intruder = document.createElement('div');
        intruder.setAttribute('onclick', 'window.stolen = 1');
        document.body.append(intruder);
        intruder.click();
    }""")
    assert page.evaluate("window.stolen === undefined")
    assert "Content Security Policy" in said[0]
    page.close()


def test_the_slider_uncovers_one_date_and_covers_the_other(visit):
    page = visit()
    clip = "getComputedStyle(document.querySelector('.leaflet-before-pane')).clipPath"
    middle = page.evaluate(clip)
    page.locator("#swipe").focus()
    for _ in range(3):
        page.keyboard.press("PageDown")
    moved = page.evaluate(clip)
    assert moved != middle
    box = page.locator("#map").bounding_box()
    page.mouse.move(*centre_of(page, ".grip"))
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 300, steps=3)
    page.mouse.up()
    assert page.locator("#swipe").input_value() == "900"
    assert page.evaluate(clip) not in (middle, moved)


def centre_of(page, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_dates_step_through_all_looks_and_hatch_what_is_not_seen(visit):
    page = visit()
    page.select_option("#look-after", "1")
    page.click("button[aria-label='After: one look later']")
    assert page.locator("#look-after").input_value() == "2"
    assert page.locator("path.hatch-cloud").count() == 1
    page.select_option("#look-after", "4")
    assert page.locator("path.hatch-unused").count() == 1
    assert page.locator(".leaflet-after-pane img").count() == 0
    page.uncheck("#show-hidden")
    assert page.locator("path.hatch-unused").count() == 0


def test_filters_filter_table_map_timeline_and_export(visit):
    page = visit()
    assert len(shown_rows(page)) == 6
    page.uncheck("input[name=class][value=vessel]")
    assert [name.split("-")[0] for name in shown_rows(page)] == ["hut"]
    assert page.locator(".row.thing").count() == 1
    assert len(json.loads(page.evaluate("report.asGeojson()"))["features"]) == 1
    page.click("text=Reset")
    page.select_option("#filter-zone", "pier-2")
    assert all("pier-2" in text for text in page.locator("#table td.cell-where").all_inner_texts())
    page.click("text=Reset")
    page.fill("#filter-words", "edge_of_image")
    assert len(shown_rows(page)) == 1
    page.fill("#filter-words", "")
    page.fill("#filter-to", "2023-09-04")
    assert len(shown_rows(page)) == 1
    page.fill("#filter-to", "")
    page.locator("#filter-confidence").fill("70")
    assert len(shown_rows(page)) == 2
    assert page.locator(".shown-count").inner_text() == "2 of 6 shown"


def test_the_table_sorts_and_opens_chips_at_native_resolution(visit):
    page = visit()
    by_confidence = shown_rows(page)
    page.click("#table th[data-key=first_seen] button")
    assert shown_rows(page) != by_confidence
    assert page.locator("#table th[data-key=first_seen]").get_attribute("aria-sort") == "ascending"
    page.locator("#table .toggle").first.click()
    chips = page.locator("#table .opened .chip")
    assert chips.count() == 2
    image = chips.nth(1).locator("image")
    assert float(image.get_attribute("width")) % 2 == 0  # metres, whole pixels of 2 m
    caption = chips.nth(1).inner_text()
    for words in ("After", "UTC", "SIMULATED sat, 2 m", "elevation 40°", "9° off nadir, azimuth 100°"):
        assert words in caption
    assert chips.nth(1).locator("text.chip-scale").inner_html() == "20 m"


def test_a_click_on_the_timeline_moves_the_map(visit):
    page = visit()
    before = view_of(page)
    row = page.locator(".row.thing").nth(3)
    row.locator("svg").click()
    assert page.evaluate("report.state.selected") == row.get_attribute("data-change")
    after = view_of(page)
    assert after != before
    change = page.evaluate("report.change(report.state.selected).centre")
    assert after[:2] == pytest.approx(change, abs=15)
    look = page.evaluate("report.state.after")
    page.locator(".row.looks svg").click(position={"x": 20, "y": 9})
    assert page.evaluate("report.state.after") != look
    page.locator(".timeline").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("report.state.after") == 1


def test_the_calendar_leads_to_the_day_and_the_pier(visit):
    page = visit()
    assert page.locator(".calendar").count() == 3
    page.locator(".calendar").nth(1).locator(".day-cell", has=page.locator("text")).first.click()
    assert page.evaluate("report.data.changes.some(c => c.zone === 'pier-1' && c.states[report.state.after] === 'p')")
    assert view_of(page)[2] > -1.5
    chosen = page.evaluate("report.state.after")
    assert page.locator(".calendar").nth(1).locator(".day-cell.now").get_attribute("data-look") == str(chosen)
    page.locator(".calendar .scroll").first.focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("report.state.after") == chosen - 1


def test_review_by_keyboard_is_kept_and_exported(visit, tmp_path):
    page = visit()
    page.fill("#reviewer", "Ann <b>")
    page.locator("h1").click()
    for key in ("k", "k", "k", "k", "k", "k", "a", "j", "r", "n"):
        page.keyboard.press(key)
    page.keyboard.type("a jetty, not a ship")
    page.keyboard.press("Escape")
    with page.expect_download() as waiting:
        page.click("#export-review")
    waiting.value.save_as(tmp_path / "review.json")
    exported = json.loads((tmp_path / "review.json").read_text())
    assert (exported["aoi"], exported["simulated"], len(exported["digest"])) == ("place", True, 64)
    first, second = exported["reviews"]
    assert (first["verdict"], second["verdict"], second["note"]) == ("accept", "reject", "a jetty, not a ship")
    assert second["who"] == "Ann <b>"
    assert second["when"].endswith("Z")
    assert [first["id"], second["id"]] == shown_rows(page)[:2]
    page.reload()
    page.wait_for_selector("html[data-whole]")
    assert page.locator("#table td.cell-review").all_inner_texts()[:2] == ["accept", "reject"]
    page.select_option("#filter-review", "reject")
    assert shown_rows(page) == [second["id"]]
    kept = json.loads(page.evaluate("report.asGeojson()"))["features"][0]["properties"]["review"]
    assert kept[0]["note"] == "a jetty, not a ship"


def test_csv_has_a_line_per_change_shown_and_no_formulas(visit):
    page = visit()
    rows = list(csv.DictReader(io.StringIO(page.evaluate("report.asCsv()"))))
    assert [row["id"] for row in rows] == page.evaluate("report.features().map(f => f.properties.id)")
    lon, lat = float(rows[0]["longitude"]), float(rows[0]["latitude"])
    ring = page.evaluate("report.features()[0].geometry.coordinates[0]")
    assert min(x for x, _ in ring) <= lon <= max(x for x, _ in ring)
    assert min(y for _, y in ring) <= lat <= max(y for _, y in ring)


def test_a_link_leads_to_its_object(visit):
    page = visit("#change=vessel-0000000002&look=s3")
    assert (
        page.locator(".leaflet-after-pane img").count() == 1
    )  # read after the scripts ran, unlike what is shown first
    assert page.evaluate("report.data.first.after !== 3 && report.state.after === 3")
    assert page.evaluate("report.state.selected") == "vessel-0000000002"
    assert page.evaluate("report.linkTo(report.change('hut-0000000003'))").split("#")[1].startswith("change=hut-")


def test_outlines_on_the_map_are_reached_by_tab_and_chosen_by_enter(visit):
    page = visit()
    page.check("#show-others")
    page.locator("#map").focus()
    page.keyboard.press("Tab")
    active = "document.activeElement"
    first = page.evaluate(f"{active}.dataset.change")
    assert first == page.evaluate("report.listed()[0].id")  # the surest first
    page.keyboard.press("Tab")
    second = page.evaluate(f"{active}.dataset.change")
    assert second == page.evaluate("report.listed()[1].id")
    assert page.evaluate(f"getComputedStyle({active}).stroke") == "rgb(255, 255, 255)"
    assert page.evaluate(f"{active}.getAttribute('aria-label')").startswith(("vessel ", "hut "))
    page.keyboard.press("Enter")
    assert page.evaluate("report.state.selected") == second
    assert page.evaluate(f"{active}.dataset.change") == second  # drawn anew, and still in focus
    assert page.evaluate(f"{active}.getAttribute('aria-pressed')") == "true"
    page.evaluate("report.map.setView([5000, 5000], 0, {animate: false})")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(
        "report.map.getBounds().contains(L.latLng(report.change(document.activeElement.dataset.change).centre))"
    )


def test_coordinates_under_the_cursor_are_those_of_the_place(visit):
    page = visit()
    page.evaluate("report.map.setView(report.data.changes[0].centre, 0, {animate: false})")
    told = page.locator(".position").inner_text()
    lon, lat = page.evaluate("report.data.changes[0].lonlat")
    assert told == f"{lat:.5f}° N, {lon:.5f}° E"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephone_needs_no_sideways_scrolling(visit, scheme):
    page = visit(viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in ground[4:-1].split(",")) < 200) == (scheme == "dark")


def test_it_prints_whole_tables_on_narrow_paper(visit, season, tmp_path):
    page = visit(at=season.resolve().as_uri())
    page.pdf(path=tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert len(shown_rows(page)) == 100
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 1000})  # what A4 leaves between its margins
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert len(shown_rows(page)) == page.locator(".row.thing").count() == 200
    assert "null" not in page.locator("body").inner_text().split()
    assert page.locator("#table thead").is_visible()
    assert not page.locator(".filters").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 688
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert len(shown_rows(page)) == 100


def test_a_page_on_which_nothing_was_found_says_so(visit, tmp_path):
    address = write_place(tmp_path / "out", results_of(3, 0)).resolve().as_uri()
    page = visit()
    page.goto(address)
    page.wait_for_selector("html[data-whole]")
    assert "Nothing was found" in page.locator("#table").inner_text()
    assert page.locator(".row.looks").count() == 1
    page.keyboard.press("j")
    assert json.loads(page.evaluate("report.asGeojson()"))["features"] == []


def test_real_scenes_are_not_called_simulated_and_missing_imagery_is_told(visit, tmp_path):
    folder = tmp_path / "out"
    written = write_place(folder, replace(results_of(3, 2), simulated=False))
    shutil.rmtree(folder / "report")
    write_page(folder)
    page = visit()
    page.goto(written.resolve().as_uri())
    page.wait_for_selector("html[data-whole]")
    words = page.locator("body").inner_text()
    assert "SIMULATED" not in words
    assert "holds no imagery for this page" in words
    assert not {"null", "undefined", "NaN"} & set(words.split())
    assert page.locator("#chosen .chip").count() == 0


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    """A page of many looks and changes, with pictures coarser than the sensor's and chips of a few changes alone."""
    params = WriteParams(score=False, max_chips=20, report_px=128)
    return write_place(tmp_path_factory.mktemp("season") / "out", results_of(72, 200, "Season"), params)


def test_a_season_of_many_looks_and_changes_is_ready_in_time(visit, season):
    page = visit(at=season.resolve().as_uri())
    ready, whole = (int(page.locator("html").get_attribute(f"data-{name}")) for name in ("ready", "whole"))
    assert ready < 3000
    assert ready <= whole
    assert page.locator(".row.thing").count() == 40


def test_a_change_without_chips_is_cut_from_the_pictures_of_the_looks_and_says_so(visit, season):
    page = visit(at=season.resolve().as_uri())
    own, cut = (
        page.evaluate(f"report.data.changes.find(c => {sign} c.chips.after.tiles.length).id") for sign in ("", "!")
    )
    page.evaluate("name => report.select(name)", own)
    assert "Pixels as large as the sensor's. Same stretch on both" in page.locator("#chosen .detail").inner_text()
    page.evaluate("name => report.select(name)", cut)
    chip = page.locator("#chosen .chip").nth(1)
    assert "Shown coarser: 4 m per pixel" in chip.inner_text()
    assert "Cut from the pictures of the map" in page.locator("#chosen .detail").inner_text()
    assert chip.locator("image").count() == 1
    assert chip.locator("image").get_attribute("href") == page.locator(".leaflet-after-pane img").get_attribute("src")

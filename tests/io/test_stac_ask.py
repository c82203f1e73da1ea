"""Items of a real STAC API (rustac's), of static catalogues, collections of items and single items."""

import json
import time
from pathlib import Path

import pytest
from http_files import serving
from shapely.geometry import box, mapping
from stac_places import AREA, RUSTAC, api, collection

from changedetect.errors import ConfigError, DataError, MissingError
from changedetect.io.stac.ask import Question, find_items
from changedetect.io.stac.block import StacBlock, read_span
from changedetect.io.stac.params import FetchParams

HASTY = FetchParams(tries=3, wait_s=0.02, timeout_s=2.0)
FAR = box(0, 0, 1, 1)


def item(name, when="2024-09-01T02:20:30Z", area=AREA, into="sentinel-2-l2a", **properties):
    return {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [], "id": name, "collection": into, "links": [],
        "geometry": mapping(area), "bbox": list(area.bounds), "properties": {"datetime": when, **properties},
        "assets": {"red": {"href": "./B04.tif"}, "scl": {"href": "https://example.org/SCL.tif"}},
    }  # fmt: skip


MANY = [item(f"i{n:02}", f"2024-09-{n:02}T02:20:30Z") for n in range(1, 26)]
OTHERS = [item("far", area=FAR), item("late", "2024-11-01T00:00:00Z"), item("top", into="sentinel-2-l1c")]


def ask(stac, base=Path(), area=AREA, params=HASTY, **keys):
    block = StacBlock(str(stac), **keys)
    items = find_items(Question(block, area, read_span(block.datetime, "scenes")), base, params)
    return sorted(found.id for found in items)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    if RUSTAC is None:
        pytest.skip("needs rustac: pip install rustac")
    with api(tmp_path_factory.mktemp("api"), MANY + OTHERS) as (url, _):
        yield url


def test_an_api_is_searched_by_place_time_and_collection(address):
    wanted = [f"i{n:02}" for n in range(10, 21)]
    assert ask(address, collections=("sentinel-2-l2a",), datetime="2024-09-10/2024-09-20") == wanted
    assert ask(address, collections=("sentinel-2-l1c",)) == ["top"]
    assert ask(address, collections=("sentinel-2-l2a", "sentinel-2-l1c"), datetime="2024-11") == ["late"]
    assert ask(address, collections=("sentinel-2-l2a",), area=FAR) == ["far"]


def test_an_answer_in_pages_is_read_whole(address, monkeypatch):
    monkeypatch.setattr("changedetect.io.stac.ask._PAGE", 7)
    assert len(ask(address, collections=("sentinel-2-l2a",), datetime="2024-09")) == 25


def test_one_collection_of_an_api_is_its_address(address):
    assert ask(f"{address}collections/sentinel-2-l1c") == ["top"]


def test_an_api_without_collections_or_with_wrong_ones_says_which_there_are(address):
    with pytest.raises(ConfigError, match=r"say which; found none; needed sentinel-2-l1c, sentinel-2-l2a"):
        ask(address)
    with pytest.raises(ConfigError, match=r"no such collection; found sentinel-2; needed sentinel-2-l1c, sentinel"):
        ask(address, collections=("sentinel-2",))


def test_more_than_the_limit_is_an_error(address):
    with pytest.raises(ConfigError, match=r"more items than `limit`; found over 10"):
        ask(address, collections=("sentinel-2-l2a",), limit=10)


def static(root):
    """Write a catalogue as makers write them: a root, a collection here and one far away, items below."""

    def write(path, plain):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(plain))

    def link(rel, href):
        return {"rel": rel, "href": href}

    def part(name, items, area):
        extent = {"spatial": {"bbox": [list(area.bounds)]},
                  "temporal": {"interval": [["2024-09-01T00:00:00Z", "2024-12-01T00:00:00Z"]]}}  # fmt: skip
        links = [link("item", f"./{one['id']}/{one['id']}.json") for one in items] + [link("root", "../catalog.json")]
        write(f"{name}/collection.json", {"type": "Collection", "id": name, "stac_version": "1.0.0", "license": "x",
              "description": "", "extent": extent, "links": links})  # fmt: skip
        for one in items:
            write(f"{name}/{one['id']}/{one['id']}.json", one)

    part("here", [*MANY[:3], OTHERS[1]], AREA)
    part("elsewhere", [OTHERS[0]], FAR)
    children = [link("child", "./here/collection.json"), link("child", "./elsewhere/collection.json"),
                link("child", "./catalog.json")]  # fmt: skip
    write("catalog.json", {"type": "Catalog", "id": "c", "stac_version": "1.0.0", "description": "", "links": children})
    write("items.json", collection(MANY[:2] + OTHERS))
    return root


@pytest.mark.parametrize("form", ["folder", "http"])
def test_a_static_catalogue_is_walked_past_what_lies_elsewhere(tmp_path, form):
    static(tmp_path)
    with serving(tmp_path) as server:
        base = tmp_path if form == "folder" else server.url
        assert ask(f"{base}/catalog.json", datetime="2024-09") == ["i01", "i02", "i03"]
        assert ask(f"{base}/here/collection.json", datetime="2024-11") == ["late"]
        assert ask(f"{base}/items.json", datetime="2024-09/2024-10", collections=("sentinel-2-l2a",)) == ["i01", "i02"]
        assert ask(f"{base}/here/i02/i02.json") == ["i02"]
        assert ask(f"{base}/catalog.json", datetime="2025") == []
        assert not any("far" in path for path, _ in server.asked)


def test_a_path_is_relative_to_the_aoi_file_and_assets_to_the_item(tmp_path):
    static(tmp_path)
    question = Question(StacBlock("here/i02/i02.json"), AREA, (None, None))
    (found,) = find_items(question, tmp_path, HASTY)
    assert found.assets["red"].href == str(tmp_path / "here/i02/B04.tif")
    assert found.assets["scl"].href == "https://example.org/SCL.tif"


def test_what_is_no_stac_is_said(tmp_path):
    (tmp_path / "a.json").write_text('{"type": "Topology"}')
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.json").write_text('{"type": "Feature", "id": "x"}')
    for name, sentence in (("a", "is not STAC; found type 'Topology'"), ("b", "is not JSON"),
                           ("c", "is not a STAC item that can be read"), ("d", "cannot be read")):  # fmt: skip
        with pytest.raises(DataError, match=sentence):
            ask(tmp_path / f"{name}.json")


def test_answers_that_fail_are_asked_for_again(tmp_path):
    static(tmp_path)
    with serving(tmp_path) as server:
        faults = {1: 503, 2: "cut"}
        server.spoil = lambda path, n: faults.get(n)
        assert ask(f"{server.url}/items.json", datetime="2024-11") == ["late"]
        server.counts.clear()
        server.spoil = lambda path, n: (429, {"Retry-After": "0.5"}) if n == 1 else None
        began = time.monotonic()
        assert ask(f"{server.url}/items.json", datetime="2024-11") == ["late"]
        assert time.monotonic() - began > 0.5
        server.spoil = lambda path, n: 429
        with pytest.raises(DataError, match=r"items.json: cannot be fetched; found HTTP 429.*\(asked 3 times\)"):
            ask(f"{server.url}/items.json?key=secret")
        server.spoil = lambda path, n: 401
        with pytest.raises(MissingError, match=r"HTTP 401.*needed a key or signature"):
            ask(f"{server.url}/items.json")
        url = server.url
    with pytest.raises(DataError, match=r"cannot be fetched.*try: the network connection"):
        ask(f"{url}/items.json", params=FetchParams(tries=1, timeout_s=1))


def test_headers_go_to_the_address_alone(tmp_path):
    static(tmp_path)
    with serving(tmp_path) as own, serving(tmp_path) as other:
        plain = {
            "type": "Catalog",
            "id": "c",
            "stac_version": "1.0.0",
            "description": "",
            "links": [
                {"rel": "item", "href": f"{base}/here/i0{n}/i0{n}.json"} for n, base in ((1, own.url), (2, other.url))
            ],
        }
        (tmp_path / "two.json").write_text(json.dumps(plain))
        assert ask(f"{own.url}/two.json", headers={"X-Key": "k"}) == ["i01", "i02"]
        assert all(seen.get("X-Key") == "k" for _, seen in own.headers_seen)
        assert [seen.get("X-Key") for _, seen in other.headers_seen] == [None]

"""Windows of images on a real HTTP server, whole or not at all, whatever the server does."""

import time

import numpy as np
import pytest
import rasterio
from http_files import serving
from stac_places import AREA, EPSG, GSD_M, SIDE, X0, Y0, lonlat_box, write_cog

from changedetect.errors import DataError, MissingError
from changedetect.io.stac.params import FetchParams
from changedetect.io.stac.windows import Part, as_gdal_headers, fetch_window, part_around

PATIENT = FetchParams(tries=4, wait_s=0.02, timeout_s=1.0)
HASTY = FetchParams(tries=2, wait_s=0.02, timeout_s=1.0)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A file whose bands say where each pixel lies, and one in JPEG 2000 that no TIFF reader knows."""
    root = tmp_path_factory.mktemp("served")
    rows, cols = np.mgrid[:SIDE, :SIDE]
    noise = np.random.default_rng(1).integers(1, 60_000, (SIDE, SIDE))
    write_cog(root / "where.tif", np.stack([rows + 1, cols + 1, noise]).astype(np.uint16))
    with rasterio.open(root / "where.tif") as src:
        data, transform = src.read()[2:], src.transform
    with rasterio.open(root / "where.jp2", "w", driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES", count=1,
                       width=SIDE, height=SIDE, dtype="uint16", crs=EPSG, transform=transform) as out:  # fmt: skip
        out.write(data)
    (root / "page.tif").write_text("<html>moved</html>")
    (root / "trap.tif").write_text('<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>')
    return root


@pytest.fixture
def server(tree):
    with serving(tree) as running:
        yield running


def test_a_window_holds_the_pixels_of_its_place_and_little_more_is_read(server, tree, tmp_path):
    part = fetch_window(f"{server.url}/where.tif", AREA, tmp_path / "w.tif", PATIENT)
    with rasterio.open(tmp_path / "w.tif") as window:
        rows, cols, _ = window.read()
        assert window.nodata == 0
        assert (rows[0, 0], cols[0, 0]) == (part.row + 1, part.col + 1)
        assert window.bounds.left == X0 + GSD_M * part.col
        assert window.bounds.top == Y0 - GSD_M * part.row
    reach = PATIENT.margin_m / GSD_M
    assert part.col <= 260 - reach, "the margin is there"
    assert part.col + part.cols >= 380 + reach
    assert part.cols < 380 - 260 + 2 * reach + 12, "and no more"
    assert server.sent < 0.6 * (tree / "where.tif").stat().st_size
    assert {path for path, _ in server.asked} == {"where.tif"}, "no file beside it is looked for"


def test_the_window_of_a_place_by_hand():
    transform = rasterio.Affine(GSD_M, 0, X0, 0, -GSD_M, Y0)
    part = part_around(lonlat_box(100, 200, 110, 220), 0.0, f"EPSG:{EPSG}", transform, (SIDE, SIDE))
    assert abs(part.col - 100) <= 1
    assert abs(part.row - 200) <= 1
    assert 10 <= part.cols <= 13
    assert 20 <= part.rows <= 23
    corner = part_around(lonlat_box(-50, -50, 5, 5), 0.0, f"EPSG:{EPSG}", transform, (SIDE, SIDE))
    assert (corner.row, corner.col) == (0, 0)
    assert part_around(lonlat_box(-90, 0, -50, 9), 100.0, f"EPSG:{EPSG}", transform, (SIDE, SIDE)) is None
    assert Part(0, 0, 1, 1) == Part(row=0, col=0, rows=1, cols=1)


def test_what_an_image_does_not_show_is_no_window(server, tmp_path):
    assert fetch_window(f"{server.url}/where.tif", lonlat_box(-900, 0, -800, 90), tmp_path / "w.tif", HASTY) is None
    assert list(tmp_path.iterdir()) == []


FAULTS = {
    "busy twice": lambda path, n: 503 if n <= 2 else None,
    "too many": lambda path, n: (429, {"Retry-After": "0"}) if n <= 3 else None,
    "bad gateway in the middle": lambda path, n: 502 if n in (2, 3) else None,
    "stands still once": lambda path, n: "slow" if n == 2 else None,
    "breaks off": lambda path, n: "cut" if n in (2, 3) else None,
}


@pytest.mark.parametrize(("fault", "name"), [*((fault, "where.tif") for fault in FAULTS), ("breaks off", "where.jp2")])
def test_what_passes_is_asked_again_and_the_pixels_are_the_same(server, tree, tmp_path, fault, name):
    server.spoil = FAULTS[fault]
    part = fetch_window(f"{server.url}/{name}", AREA, tmp_path / "w.tif", PATIENT)
    with rasterio.open(tmp_path / "w.tif") as window, rasterio.open(tree / name) as whole:
        there = whole.read(window=rasterio.windows.Window(part.col, part.row, part.cols, part.rows))
        assert np.array_equal(window.read(), there)
    assert [path.name for path in tmp_path.iterdir()] == ["w.tif"]


@pytest.mark.parametrize(
    ("fault", "sentence", "name"),
    [
        (503, r"where\.\w+: cannot be fetched; found HTTP 503 \(asked 2 times\); try: again later", "where.tif"),
        (429, r"HTTP 429", "where.tif"),
        ("cut", r"cannot be fetched; found (what came was broken|transfer closed)", "where.tif"),
        ("cut", r"cannot be fetched; found what came was broken.*`exclude: ", "where.jp2"),
        ("slow", r"cannot be fetched; found Operation too slow", "where.tif"),
    ],
)
def test_what_does_not_pass_is_one_error_and_leaves_nothing(server, tmp_path, fault, sentence, name):
    server.spoil = lambda path, n: fault if fault != "cut" or n > 1 else None
    began = time.monotonic()
    with pytest.raises(DataError, match=sentence) as met:
        fetch_window(f"{server.url}/{name}?sig=secret", AREA, tmp_path / "w.tif", HASTY)
    assert "secret" not in str(met.value)
    assert met.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gone.tif", "is not there or may not be read; found HTTP 404"),
        ("page.tif", "no GeoTIFF and no JPEG 2000"),
        ("trap.tif", "no GeoTIFF and no JPEG 2000"),
    ],
)
def test_what_will_never_come_is_said_at_once(server, tmp_path, name, sentence):
    with pytest.raises(MissingError, match=sentence):
        fetch_window(f"{server.url}/{name}", AREA, tmp_path / "w.tif", PATIENT)
    assert len([path for path, _ in server.asked if path == name]) <= 3
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_says_what_to_try(tree, tmp_path):
    with serving(tree) as gone:
        url = gone.url
    with pytest.raises(DataError, match=r"cannot be fetched; .*connect.*try: the network connection and the address"):
        fetch_window(f"{url}/where.tif", AREA, tmp_path / "w.tif", HASTY)


def test_headers_and_signature_are_sent_and_made_anew_at_each_try(server, tmp_path):
    server.spoil = lambda path, n: 503 if n <= 9 else None
    signed = []

    def sign(address):
        signed.append(f"{address}?sig={len(signed)}")
        return signed[-1]

    fetch_window(f"{server.url}/where.tif", AREA, tmp_path / "w.tif", PATIENT, sign=sign,
                 headers=as_gdal_headers({"X-Key": "a, b", "Other": "c"}))  # fmt: skip
    assert len(signed) > 1
    assert server.headers_seen[-1][1]["X-Key"] == "a, b"
    assert server.headers_seen[-1][1]["Other"] == "c"
    one = as_gdal_headers({"X-Key": "a, b"})
    fetch_window(f"{server.url}/where.tif", AREA, tmp_path / "w.tif", HASTY, headers=one)
    assert server.headers_seen[-1][1]["X-Key"] == "a, b"


def test_an_images_mask_scales_names_and_tags_come_along(tmp_path):
    root = tmp_path / "served"
    path = write_cog(root / "m.tif", np.full((2, 256, 256), 7, np.uint16), nodata=None)
    hidden = np.full((256, 256), 255, np.uint8)
    hidden[:9] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as out:
        out.write_mask(hidden)
        out.scales, out.descriptions = (0.1, 0.2), ("red", "nir")
        out.update_tags(ACQUISITIONDATETIME="2024-09-01")
    with serving(root) as server:
        fetch_window(f"{server.url}/m.tif", lonlat_box(0, 0, 60, 60), tmp_path / "w.tif", HASTY, tags={"SOURCE": "x"})
    with rasterio.open(tmp_path / "w.tif") as window:
        assert (window.scales, window.descriptions) == ((0.1, 0.2), ("red", "nir"))
        assert window.tags()["ACQUISITIONDATETIME"] == "2024-09-01"
        assert window.tags(ns="FETCHED") == {"SOURCE": "x"}
        assert not window.dataset_mask()[:9].any()
        assert window.dataset_mask()[9:].all()

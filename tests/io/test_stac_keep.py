"""What is fetched is kept within a bound and lent safely; masks of tiles become one; addresses are signed."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from http_files import serving
from pyproj import Transformer
from pystac import Asset, Item
from rasterio import Affine
from stac_places import AREA, EPSG, GSD_M, X0, Y0, lonlat_box, write_cog

from changedetect.errors import DataError, OutputError
from changedetect.io.sensors import load_sensors
from changedetect.io.stac.cache import cache_folder, key_of, lending, prune
from changedetect.io.stac.merge import merge_masks
from changedetect.io.stac.params import FetchParams
from changedetect.io.stac.sign import Signer, gdal_name
from changedetect.io.stac.version import version_of, version_of_address

HASTY = FetchParams(tries=2, wait_s=0.02, timeout_s=2.0)


def kept(folder, sizes):
    """Files of so many bytes, the first used the longest ago."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, size in enumerate(sizes):
        path = folder / f"w{i}.tif"
        path.write_bytes(b"x" * size)
        os.utime(path, (1000 + i, 1000 + i))
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_not_used_for_the_longest_goes_first(tmp_path):
    folder = kept(tmp_path, [10, 20, 30])
    assert prune(folder, 60) == 0
    assert prune(folder, 59) == 1
    assert names(folder) == ["w1.tif", "w2.tif"]
    assert prune(folder, 0) == 2
    assert names(folder) == []


def test_a_part_that_is_being_written_is_let_be(tmp_path):
    (tmp_path / "a.1-2.part").write_bytes(b"xx")
    assert prune(tmp_path, 0) == 0
    os.utime(tmp_path / "a.1-2.part", (1, 1))
    assert prune(tmp_path, 0) == 1


def test_what_is_lent_outlives_its_being_thrown_out(tmp_path):
    params = FetchParams(cache_dir=str(tmp_path), cache_gb=0)
    with lending(params) as loan:
        assert loan.lend("k", "S2B 1", "B04.tif") is None
        loan.place_of("k").write_bytes(b"pixels")
        own = loan.lend("k", "S2B/../1", "B04.tif")
        assert own.endswith("B04.tif")
        assert prune(loan.kept, 0) == 1
        assert Path(own).read_bytes() == b"pixels"
        assert str(tmp_path / "lent") in os.path.realpath(own), "a name from elsewhere leads nowhere else"
    assert not Path(own).exists()


def test_lending_keeps_what_fits_and_forgets_what_killed_runs_left(tmp_path):
    params = FetchParams(cache_dir=str(tmp_path))
    stale = tmp_path / "lent/1-old"
    stale.mkdir(parents=True)
    os.utime(stale, (1, 1))
    with lending(params) as loan:
        loan.place_of("k").write_bytes(b"pixels")
        before = time.time()
        assert loan.lend("k", "a", "b.tif")
        assert loan.place_of("k").stat().st_mtime >= before - 5, "used now"
    assert names(tmp_path / "lent") == []
    assert names(tmp_path / "windows") == ["k.tif"]


def test_where_nothing_can_be_kept_is_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match=r"what is fetched cannot be kept.*CHANGEDETECT_CACHE"),
        lending(FetchParams(cache_dir=str(tmp_path / "file"))),
    ):
        pytest.fail("not reached")


def test_the_environment_says_where(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.delenv("CHANGEDETECT_CACHE", raising=False)
    assert str(cache_folder(FetchParams())) == "/x/changedetect"
    monkeypatch.setenv("CHANGEDETECT_CACHE", str(tmp_path))
    assert cache_folder(FetchParams()) == tmp_path
    assert str(cache_folder(FetchParams(cache_dir="/y"))) == "/y"


def test_another_version_place_or_margin_is_another_window():
    keys = {key_of("a", "1", AREA, 9), key_of("a", "2", AREA, 9), key_of("b", "1", AREA, 9),
            key_of("a", "1", lonlat_box(0, 0, 9, 9), 9), key_of("a", "1", AREA, 10)}  # fmt: skip
    assert len(keys) == 5
    assert key_of("a", "1", AREA, 9) == key_of("a", "1", AREA, 9.0)


def test_the_version_of_an_image_by_catalogue_and_by_server(tmp_path):
    asset = Asset("x.tif", extra_fields={"file:checksum": "1220ab"})
    item = Item("i", None, None, None, {"start_datetime": "2024-01-01T00:00:00Z", "end_datetime":
                "2024-01-02T00:00:00Z", "updated": "2024-02-01T00:00:00Z"})  # fmt: skip
    assert version_of(item, asset) == "file:checksum=1220ab"
    assert version_of(item, Asset("x.tif")) == "updated=2024-02-01T00:00:00Z"
    item.properties = {}
    assert version_of(item, Asset("x.tif")) == ""
    (tmp_path / "x.tif").write_bytes(b"x")
    with serving(tmp_path) as server:
        first, other = (version_of_address(f"{server.url}/x.tif", {}, HASTY) for _ in range(2))
        assert first != other, "a server that says nothing: fetched anew"
        server.spoil = lambda path, n: (200, {"ETag": '"7"'})
        assert version_of_address(f"{server.url}/x.tif", {}, HASTY) == '"7"'


def mask(path, numbers, col0, crs=EPSG):
    transform = Affine(2 * GSD_M, 0, X0 + GSD_M * col0, 0, -2 * GSD_M, Y0)
    return str(write_cog(path, np.asarray(numbers, np.uint8), transform, nodata=None, crs=crs))


def test_masks_of_tiles_say_together_what_each_says_where_it_shows_something(tmp_path):
    scl = load_sensors().mask("scl")
    west = mask(tmp_path / "w.tif", [[4, 4, 0, 0], [8, 4, 4, 0]], 0)
    east = mask(tmp_path / "e.tif", [[5, 5, 9, 9], [5, 5, 5, 5]], 4)
    with rasterio.open(merge_masks([west, east], scl, tmp_path / "m.tif")) as merged:
        assert merged.read(1).tolist() == [[4, 4, 5, 5, 9, 9], [8, 4, 4, 5, 5, 5]]
        assert (merged.bounds.left, merged.bounds.top) == (X0, Y0)
    with rasterio.open(merge_masks([east, west], scl, tmp_path / "n.tif")) as merged:
        assert merged.read(1).tolist() == [[4, 4, 5, 5, 9, 9], [8, 4, 5, 5, 5, 5]], "earlier tiles win"
    far = mask(tmp_path / "f.tif", [[6, 6], [6, 6]], 12)
    with rasterio.open(merge_masks([west, far], scl, tmp_path / "o.tif")) as merged:
        assert merged.read(1).tolist() == [[4, 4, 0, 0, 0, 0, 6, 6], [8, 4, 4, 0, 0, 0, 6, 6]], "unseen stays unseen"
    assert merge_masks([west, west], scl, tmp_path / "p.tif") == west


def test_masks_of_two_zones_are_brought_together(tmp_path):
    scl = load_sensors().mask("scl")
    west = mask(tmp_path / "w.tif", np.full((50, 50), 4), 0)
    x, y = Transformer.from_crs(EPSG, 32653, always_xy=True).transform(X0 + 500.0, Y0)
    place = Affine(2 * GSD_M, 0, x, 0, -2 * GSD_M, y)
    east = write_cog(tmp_path / "e.tif", np.full((60, 60), 8, np.uint8), place, nodata=None, crs=32653)
    with rasterio.open(merge_masks([west, str(east)], scl, tmp_path / "m.tif")) as merged:
        numbers = merged.read(1)
        assert merged.crs.to_epsg() == EPSG
        assert (numbers == 4).sum() == 2500
        assert (numbers == 8).sum() > 300


def test_addresses_of_the_planetary_computer_are_signed_by_a_token_asked_once(tmp_path, monkeypatch):
    blob = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/52/T/FP/B04.tif"
    with serving(tmp_path) as server:
        monkeypatch.setenv("PC_SDK_SAS_URL", f"{server.url}/token")
        server.made["token/sentinel2l2a01/sentinel2-l2"] = b'{"msft:expiry": "2099-01-01T00:00:00Z", "token": "sig=1"}'
        signer = Signer("auto", HASTY)
        assert signer.sign(blob) == f"{blob}?sig=1"
        assert signer.sign(blob.replace("B04", "B08")).endswith("B08.tif?sig=1")
        assert len(server.asked) == 1
        assert signer.sign(f"{blob}?sig=own") == f"{blob}?sig=own"
        assert signer.sign("https://sentinel-cogs.s3.amazonaws.com/a.tif").endswith("a.tif")
        assert signer.sign(blob.replace("sentinel2l2a01", "ai4edatasetspublicassets")).endswith(".tif")
        assert Signer("none", HASTY).sign(blob) == blob
        server.made["token/sentinel2l2a01/sentinel2-l2"] = b'{"msft:expiry": "2000-01-01T00:00:00Z", "token": "sig=2"}'
        late = Signer("auto", HASTY)
        assert late.sign(blob) == late.sign(blob) == f"{blob}?sig=2"
        assert len(server.asked) == 3, "an ended token is renewed"
        server.spoil = lambda path, n: 503
        with pytest.raises(DataError, match=r"token/sentinel2l2a01/sentinel2-l2: cannot be fetched; found HTTP 503"):
            Signer("auto", HASTY).sign(blob)


def test_buckets_go_by_gdals_names():
    assert gdal_name("s3://bucket/a/b.tif") == "/vsis3/bucket/a/b.tif"
    assert gdal_name("gs://bucket/b.tif") == "/vsigs/bucket/b.tif"
    assert gdal_name("https://x/b.tif") == "/vsicurl/https://x/b.tif"

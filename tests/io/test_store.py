"""The store: whole results or none, found by content."""

from __future__ import annotations

import os

import numpy as np
import pytest

from changedetect.errors import OutputError
from changedetect.io.store import digest, digest_sources, open_store


def test_what_was_kept_comes_back_as_it_was(tmp_path):
    arrays = {"score": np.array([[1.5, np.nan]], np.float32), "quality": np.array([[0, 3]], np.uint16)}
    record = {"a": [1, 0.1, None, "ü"], "nan": float("nan")}
    open_store(tmp_path).put("look", "k", record, arrays)
    told, back = open_store(tmp_path).get("look", "k")
    assert told["a"] == record["a"]
    assert np.isnan(told["nan"])
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_nothing_kept_is_none(tmp_path):
    assert open_store(tmp_path).get("look", "k") is None


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a whole archive", None])
def test_a_damaged_result_is_as_none(tmp_path, damage):
    store = open_store(tmp_path)
    store.put("look", "k", {"a": 1}, {"x": np.zeros(2000)})
    (path,) = tmp_path.glob("look-*.npz")
    path.write_bytes(path.read_bytes()[:300] if damage is None else damage)
    assert store.get("look", "k") is None


def test_pruning_keeps_what_was_asked_for(tmp_path):
    store = open_store(tmp_path)
    for key in "abc":
        store.put("look", key, key)
    (tmp_path / "look-d.npz.0000.part").write_bytes(b"half")
    later = open_store(tmp_path)
    later.get("look", "a")
    later.put("look", "e", 1)
    later.save()
    assert later.prune() == 3  # b, c and the half
    assert sorted(path.name for path in tmp_path.iterdir()) == ["look-a.npz", "look-e.npz", "state.json"]


def test_a_file_is_read_again_only_when_it_changed(tmp_path):
    file = tmp_path / "scene.tif"
    file.write_bytes(b"one")
    store = open_store(tmp_path / "state")
    first = store.hash_file(file)
    store.save()
    again = open_store(tmp_path / "state")
    stat = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert again.hash_file(file) == first  # as by size and time nothing changed
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert again.hash_file(file) != first


def test_files_that_are_gone_are_forgotten(tmp_path):
    file = tmp_path / "scene.tif"
    file.write_bytes(b"one")
    store = open_store(tmp_path / "state")
    store.hash_file(file)
    file.unlink()
    store.save()
    assert open_store(tmp_path / "state").files == {}


def test_a_store_of_another_version_is_refused(tmp_path):
    (tmp_path / "state.json").write_text('{"schema": 99}')
    with pytest.raises(OutputError, match=r"another version.*schema 99.*needed schema 1"):
        open_store(tmp_path)


def test_an_index_that_cannot_be_read_begins_anew(tmp_path):
    (tmp_path / "state.json").write_text('{"schema": 1, "fi')
    assert open_store(tmp_path).files == {}


def test_digests_tell_apart_what_differs(tmp_path):
    assert digest(1, "a") == digest(1, "a")
    assert (
        len({digest(1, "a"), digest(1, "b"), digest("1", "a"), digest([1, "a"]), digest(0.1 + 0.2), digest(0.3)}) == 6
    )
    (tmp_path / "a.py").write_text("x = 1")
    one = digest_sources(tmp_path)
    (tmp_path / "a.py").write_text("x = 2")
    assert digest_sources(tmp_path) != one

"""Lanczos by rows and columns, and by a map for each sample, are one kernel; blocks end in no slivers."""

import numpy as np
import pytest

from changedetect.core.quality import Quality
from changedetect.io.read import _cut_length
from changedetect.io.resample import remap


@pytest.mark.parametrize("away", [(0.3, 0.71), (0.0, 0.5), (-6.2, 4.4)], ids=["inside", "one axis", "past the rim"])
def test_one_shift_for_all_is_what_a_map_of_it_says(away):
    """A step that is the same for all samples goes by rows and columns; spread over two dimensions it does not."""
    rng = np.random.default_rng(3)
    data, bits = rng.random((2, 60, 70), np.float32), np.zeros((60, 70), np.uint16)
    bits[20, 33] = np.uint16(Quality.NODATA)
    row, col = np.arange(56.0)[:, None] + 2 + away[0], np.arange(66.0)[None] + 2 + away[1]
    quick, quality = remap(data, bits, col, row, "lanczos")
    rows, cols = (np.ascontiguousarray(np.broadcast_to(at, (56, 66))) for at in (row, col))
    slow, same = remap(data, bits, cols, rows, "lanczos")
    np.testing.assert_array_equal(quality, same)
    np.testing.assert_allclose(quick, slow, atol=2e-6)
    assert not np.array_equal(quick, slow), "two ways were taken"


def test_blocks_end_in_no_slivers():
    assert [s.stop - s.start for s in _cut_length(530, 512)] == [530]
    assert [s.stop - s.start for s in _cut_length(1153, 512)] == [512, 512, 129]
    assert [(s.start, s.stop) for s in _cut_length(7, 512)] == [(0, 7)]

import numpy as np
import pytest
from affine import Affine

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.steps.baseline import BaselineParams, fit_baseline
from changedetect.steps.structure import StructureParams, baseline_structure, to_structure

GRID = Grid("EPSG:32652", Affine(0.5, 0, 500_000, 0, -0.5, 4_800_000), (200, 220))
PARAMS = StructureParams()


def ground(seed=1):
    """Smooth fields with texture: reflectance in three bands."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:200, :220]
    fields = 0.12 + 0.04 * np.sin(rows / 40) + 0.03 * np.cos(cols / 55)
    plane = fields + 0.01 * rng.normal(size=fields.shape)
    return np.stack([plane * 0.8, plane, plane * 1.1]).astype(np.float32)


def raster(data, unit="reflectance", quality=None):
    return Raster.make(data, GRID, ("blue", "green", "red"), unit, quality)


def stretched(data):
    """The same as a picture: cut off, with a gamma, in 8 bit."""
    low, high = np.percentile(data, (1, 99.5))
    return np.round(255 * np.clip((data - low) / (high - low), 0, 1) ** 0.7)


def test_a_picture_and_its_measured_numbers_have_one_structure():
    measured, picture = raster(ground()), raster(stretched(ground()), "display")
    one, other = to_structure(measured, PARAMS), to_structure(picture, PARAMS)
    assert (one.unit, one.bands) == ("structure", ("pan",))
    assert np.corrcoef(one.data.ravel(), other.data.ravel())[0, 1] > 0.99
    assert np.abs(one.data - other.data).mean() < 0.02, "where contrast spreads by 0.14"
    assert one.data.std() > 0.1


def test_gain_and_offset_do_not_matter():
    one, other = to_structure(raster(ground()), PARAMS), to_structure(raster(40 * ground() + 7, "display"), PARAMS)
    np.testing.assert_allclose(one.data, other.data, atol=2e-3)


def test_something_new_stands_out_and_hardly_hides_its_surroundings():
    after = ground()
    after[:, 90:110, 100:116] += 0.15
    difference = to_structure(raster(after), PARAMS).data[0] - to_structure(raster(ground()), PARAMS).data[0]
    assert difference[92:108, 102:114].min() > 0.3
    assert np.abs(difference[:25, :25]).max() < 1e-5, "farther than half a window"
    assert np.median(np.abs(difference[80:120, 80:140])) < 0.15


def test_what_is_not_seen_is_in_no_window():
    hidden = np.zeros(GRID.shape, np.uint16)
    hidden[:40] = Quality.CLOUD
    cloudy = ground()
    cloudy[:, :40] = 0.9
    found = to_structure(raster(cloudy, quality=hidden), PARAMS)
    assert not found.data[:, :40].any()
    assert np.abs(found.data[0, 100:] - to_structure(raster(ground()), PARAMS).data[0, 100:]).max() < 1e-3
    assert found.quality is not None


def test_even_ground_is_not_blown_up():
    flat = np.full((3, 200, 220), 0.1, np.float32)
    assert to_structure(raster(flat), PARAMS).data == pytest.approx(1.0)


def test_a_baseline_and_its_anchor():
    anchor = raster(ground())
    baseline, alike = baseline_structure(fit_baseline([anchor], BaselineParams()), anchor, PARAMS)
    assert (baseline.unit, baseline.bands, alike.unit) == ("structure", ("pan",), "structure")
    np.testing.assert_allclose(baseline.centre, alike.data, atol=1e-5)
    assert not baseline.spread.any()

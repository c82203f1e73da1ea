import numpy as np
import pytest
from affine import Affine
from rasters import UTM, X0, Y0, make_scene, write_raster

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.core.scene import MaskSource
from changedetect.errors import ConfigError, DataError
from changedetect.io.files import read_header
from changedetect.io.masks import fits, read_mask
from changedetect.io.place import place_of
from changedetect.io.sensors import MaskKind, MaskRule, load_sensors

GRID = Grid(UTM, Affine(10, 0, X0, 0, -10, Y0), (40, 40))
TRANSFORM = Affine(10, 0, X0, 0, -10, Y0)


def bits_of(tmp_path, numbers, kind, transform=TRANSFORM, edge_px=0, grid=GRID):
    path = write_raster(tmp_path / "m.tif", np.asarray(numbers), UTM, transform)
    kinds = load_sensors().masks
    meaning = kinds[kind] if isinstance(kind, str) else kind
    return read_mask(MaskSource(path), meaning, grid, None, place_of(read_header(path)), edge_px)


def where(bits, flag):
    return (bits & np.uint16(flag)) != 0


def test_rules_by_value_bit_and_difference():
    numbers = np.array([0, 1, 2, 3, 8])
    assert fits(numbers, MaskRule(values=(1, 8), quality="cloud")).tolist() == [False, True, False, False, True]
    assert fits(numbers, MaskRule(bit=1, quality="cloud")).tolist() == [False, False, True, True, False]
    assert fits(numbers, MaskRule(other_than=0, quality="cloud")).tolist() == [False, True, True, True, True]


def test_scene_classification(tmp_path):
    numbers = np.full((40, 40), 4, np.uint8)
    numbers[0, 0], numbers[0, 39], numbers[39, 0], numbers[20, 20], numbers[39, 39] = 0, 6, 11, 9, 10
    bits = bits_of(tmp_path, numbers, "scl")
    assert bits[0, 0] == Quality.NODATA
    assert bits[0, 39] == Quality.WATER
    assert bits[39, 0] == Quality.SNOW
    assert bits[39, 39] == Quality.CLOUD
    rows, cols = np.nonzero(where(bits[:39, :39], Quality.CLOUD))
    away = np.hypot(rows - 20, cols - 20)
    assert away.max() <= 10.01, "clouds are grown by 100 m"
    assert away.size > 300


def test_udm2(tmp_path):
    numbers = np.zeros((8, 40, 40), np.uint8)
    numbers[0] = 1
    numbers[7, 0, 0] = 1
    numbers[2, 5, 5], numbers[4, 6, 6], numbers[1, 7, 7], numbers[7, 9, 9] = 1, 1, 1, 2
    bits = bits_of(tmp_path, numbers, "udm2")
    assert bits[0, 0] == Quality.NODATA
    assert (bits[5, 5], bits[6, 6], bits[7, 7]) == (Quality.SHADOW, Quality.HAZE, Quality.SNOW)
    assert bits[9, 9] == 0


def test_landsat_bits(tmp_path):
    numbers = np.full((40, 40), 1 << 6, np.uint16)
    numbers[0, 0], numbers[20, 20], numbers[0, 39] = 1, 1 << 3, 1 << 7
    bits = bits_of(tmp_path, numbers, "qa_pixel")
    assert (bits[0, 0], bits[0, 39]) == (Quality.NODATA, Quality.WATER)
    assert where(bits, Quality.CLOUD).sum() > 100


def test_edges_around_unusable(tmp_path):
    numbers = np.zeros((40, 40), np.uint8)
    numbers[20, 20] = 1
    bits = bits_of(tmp_path, numbers, "nonzero", edge_px=2)
    assert where(bits, Quality.MASKED).sum() == 1
    assert where(bits, Quality.EDGE).sum() == 12


def test_a_finer_mask_marks_the_whole_pixel(tmp_path):
    numbers = np.zeros((160, 160), np.uint8)
    numbers[81, 83] = 255
    bits = bits_of(tmp_path, numbers, "nonzero", TRANSFORM @ Affine.scale(0.25))
    assert where(bits, Quality.MASKED)[20, 20]
    assert where(bits, Quality.MASKED).sum() <= 4


def test_a_coarser_mask_is_nearest(tmp_path):
    numbers = np.zeros((20, 20), np.uint8)
    numbers[3, 4] = 1
    bits = bits_of(tmp_path, numbers, "nonzero", TRANSFORM @ Affine.scale(2))
    assert np.argwhere(where(bits, Quality.MASKED)).tolist() == [[6, 8], [6, 9], [7, 8], [7, 9]]


def test_outside_the_mask_is_not_usable(tmp_path):
    bits = bits_of(tmp_path, np.zeros((40, 20), np.uint8), "nonzero")
    assert not where(bits, Quality.MASKED)[:, :20].any()
    assert where(bits, Quality.MASKED)[:, 21:].all()


def test_a_mask_without_place_lies_as_its_image(tmp_path):
    image = place_of(read_header(write_raster(tmp_path / "a.tif", np.ones((40, 40), np.uint8), UTM, TRANSFORM)))
    numbers = np.zeros((40, 40), np.uint8)
    numbers[3, 4] = 1
    for name, shape in (("same.png", (40, 40)), ("other.png", (40, 30))):
        write_png(tmp_path / name, numbers[: shape[0], : shape[1]])
    kind = load_sensors().masks["nonzero"]
    bits = read_mask(MaskSource(str(tmp_path / "same.png")), kind, GRID, None, image, 0)
    assert np.argwhere(where(bits, Quality.MASKED)).tolist() == [[3, 4]]
    with pytest.raises(DataError, match="mask has no place on the map and not the size of its scene"):
        read_mask(MaskSource(str(tmp_path / "other.png")), kind, GRID, None, image, 0)


def write_png(path, numbers):
    import cv2

    assert cv2.imwrite(str(path), numbers)


def test_a_mask_with_too_few_bands_is_refused(tmp_path):
    with pytest.raises(DataError, match="mask has too few bands; found 1; needed 8"):
        bits_of(tmp_path, np.zeros((40, 40), np.uint8), "udm2")


def test_blocks_of_a_grown_mask_fit_together(tmp_path):
    rng = np.random.default_rng(5)
    numbers = np.where(rng.random((40, 40)) < 0.01, 9, 4).astype(np.uint8)
    whole = bits_of(tmp_path, numbers, "scl", edge_px=2)
    assert 0 < where(whole, Quality.CLOUD).mean() < 1
    for rows, cols in GRID.blocks(17):
        part = bits_of(tmp_path, numbers, "scl", edge_px=2, grid=GRID.crop(rows, cols))
        inner = (slice(rows.start, rows.stop), slice(cols.start, cols.stop))
        np.testing.assert_array_equal(part, whole[inner])


def test_a_rule_must_say_one_thing():
    with pytest.raises(ValueError, match="exactly one of"):
        MaskKind(rules=({"quality": "cloud", "bit": 1, "values": [2]},))


def test_an_unknown_kind_is_refused(tmp_path):
    from changedetect.io.read import read

    path = write_raster(tmp_path / "a.tif", np.ones((40, 40), np.uint8), UTM, TRANSFORM)
    scene = make_scene(path, ("red",), masks=(MaskSource(path, "clouds"),))
    with pytest.raises(ConfigError, match="no such mask kind; found clouds; needed one of nonzero"):
        read(scene, GRID)

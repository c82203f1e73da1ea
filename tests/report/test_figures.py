"""Figures of notebooks and documentation: what is drawn is what is there, and each says what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from affine import Affine

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.report import images
from changedetect.report.figures import caption, draw_overlay, draw_photo, draw_score, draw_timeline, frame, join_panels

GRID = Grid("EPSG:32652", Affine(2.0, 0, 500_000, 0, -2.0, 4_900_000), (40, 40))


@dataclass(frozen=True)
class Seen:
    acquired: datetime = datetime(2024, 10, 5, 2, 20, tzinfo=UTC)
    sensor: str | None = "planetscope-8b"
    gsd_m: float = 3.0


def raster(values, bands=("red", "green", "blue"), quality=None) -> Raster:
    data = np.broadcast_to(np.asarray(values, np.float32), (len(bands), *GRID.shape))
    return Raster.make(data, GRID, bands, "reflectance", quality)


def test_a_caption_names_place_time_sensor_and_pixel():
    said = "rason, 2024-10-05 02:20 UTC, planetscope-8b, 3 m"
    assert caption("rason", Seen()) == said
    assert caption("rason", {"datetime": "2024-10-05T02:20:00Z", "sensor": "planetscope-8b", "gsd_m": 3.0}) == said
    assert caption("rason", Seen(sensor=None)) == "rason, 2024-10-05 02:20 UTC, 3 m"


def test_a_score_is_orange_where_brighter_blue_where_darker_white_where_equal_and_grey_where_unseen():
    values = np.zeros(GRID.shape, np.float32)
    values[:10, :10], values[:10, 20:30] = 20.0, -20.0
    quality = np.zeros(GRID.shape, np.uint16)
    quality[:10, 30:] = Quality.CLOUD
    view = np.asarray(draw_score(raster(values, ("score",), quality), limit_sigma=10.0, side_px=80))
    red, _, blue = (int(value) for value in view[4, 4])
    assert red > blue + 100
    red, _, blue = (int(value) for value in view[4, 44])
    assert blue > red + 100
    assert tuple(view[4, 30]) == (255, 255, 255)
    assert len(set(view[4, 70])) > 1
    assert tuple(view[4, 70]) == (120, 120, 130)


def test_equal_scenes_overlay_in_grey_and_a_shift_has_fringes():
    rng = np.random.default_rng(1)
    values = rng.uniform(0.1, 0.5, GRID.shape).astype(np.float32)
    same = np.asarray(draw_overlay(raster(values), raster(values), side_px=40)).astype(int)
    assert np.abs(same[:20, ..., 0] - same[:20, ..., 1]).max() == 0
    moved = np.asarray(draw_overlay(raster(values), raster(np.roll(values, 1, axis=1)), side_px=40)).astype(int)
    assert np.abs(moved[:20, ..., 0] - moved[:20, ..., 1]).max() > 50


def test_a_photo_has_its_scale_bar_and_the_same_stretch_where_asked():
    dark, bright = raster(0.1), raster(0.4)
    stretch = ((0.0, 0.5),) * 3
    first, second = (np.asarray(draw_photo(image, stretch, side_px=120)) for image in (dark, bright))
    assert first[5, 60, 0] == pytest.approx(51, abs=1)
    assert second[5, 60, 0] == pytest.approx(204, abs=1)
    assert (first[-16:, :60] == 255).any(), "the bar"


@pytest.mark.parametrize(("simulated", "word"), [(True, images.WARNING), (False, images.GREY)])
def test_every_panel_says_whether_it_is_simulated(simulated, word):
    view = draw_photo(raster(0.2), ((0.0, 1.0),) * 3, side_px=200)
    panel = frame(view, "before", "rason, 2024", simulated=simulated)
    assert panel.size == (200, 200 + 70)
    assert (np.asarray(panel)[:28] == word).all(axis=-1).any()


def test_panels_are_laid_out_in_rows():
    panel = frame(draw_photo(raster(0.2), ((0.0, 1.0),) * 3, side_px=100), "a", "b", simulated=True)
    assert join_panels([panel] * 3, per_row=2).size == (210, 2 * panel.height + 10)
    assert join_panels([panel]).size == panel.size


def activity(count, status="clear") -> pd.DataFrame:
    days = pd.to_datetime(["2024-01-01", "2024-01-05", "2024-01-09"], utc=True)
    return pd.DataFrame(
        {
            "datetime": days,
            "zone": "pier-1",
            "class": "vessel",
            "count": [0, count, 0],
            "status": ["clear", status, "clear"],
        }
    ).astype({"count": "Int64"})


def drawn_at_middle(table) -> np.ndarray:
    picture = np.asarray(draw_timeline(table, "vessel", "t", simulated=True, width_px=400))
    middle = (96 + 8 + 400 - 14) // 2
    return picture[36:100, middle - 3 : middle + 4].reshape(-1, 3)


def has(pixels: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((pixels == colour).all(axis=-1).any())


def test_a_timeline_tells_seen_from_partly_seen_from_unseen():
    clear, partly, unseen = (0, 114, 178), (150, 200, 230), (200, 200, 205)
    assert has(drawn_at_middle(activity(2)), clear)
    assert has(drawn_at_middle(activity(2, "partial")), partly)
    hidden = drawn_at_middle(activity(pd.NA, "obscured"))
    assert has(hidden, unseen)
    assert not has(hidden, clear)
    bars = [(drawn_at_middle(activity(n)) == clear).all(axis=-1).sum() for n in (0, 2)]
    assert bars[0] < bars[1], "nothing seen has no bar"

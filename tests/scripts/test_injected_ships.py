"""Ships planted in real water: where they lie, what truth says of them, and what is drawn."""

import json
from dataclasses import replace

import injected_ships as script
import numpy as np
import pytest
import rasterio
from affine import Affine
from board.berths import Background, Stay, another_pass, colours_of, draw_ship, hull_shape, place_berths, send_ships
from rasterio.features import geometry_mask
from shapely import affinity
from shapely.geometry import Point


def _lake(gsd_m=5.0):
    """A round lake amid bright ground, on two dates."""
    rng = np.random.default_rng(4)
    row, col = np.mgrid[:300, :320]
    water = np.hypot(row - 150, col - 160) < 120
    level = np.where(water, np.array([60, 60, 50, 20.0])[:, None, None], np.array([90, 100, 110, 150.0])[:, None, None])
    dates = {year: (level + rng.normal(0, 2, level.shape)).astype(np.float32) for year in ("2010", "2015")}
    return Background(dates, gsd_m, "EPSG:32614", 400_000.0, 5_200_000.0, (80.0, 190.0), False)


def test_ships_lie_on_water_of_all_dates_and_alongside_their_pier():
    ground, rng = _lake(), np.random.default_rng(1)
    piers, berths = place_berths(ground, rng, {"pier": 2, "anchor": 2})
    send_ships(ground, berths, range(3, 11), rng)
    assert len(piers) == 2
    assert [berth.zone for berth in berths].count("pier-1") == 2
    water = ground.always_water()
    for berth in berths:
        assert berth.stays
        assert all(3 <= stay.first <= stay.last < 11 for stay in berth.stays)
        assert all(b.first > a.last for a, b in zip(berth.stays, berth.stays[1:], strict=False))
        for stay in berth.stays:
            on = geometry_mask([stay.hull], water.shape, Affine.identity(), invert=True)
            assert water[on].all()
            if berth.zone.startswith("pier"):
                gap_m = min(pier.distance(stay.hull) for pier in piers) * ground.gsd_m
                assert gap_m == pytest.approx(2.0, abs=0.3)  # whatever its beam


def test_a_planted_ship_covers_its_outline_and_nothing_else():
    ground = _lake()
    _, berths = place_berths(ground, np.random.default_rng(1), {"anchor": 1})
    image = ground.dates["2010"]
    hull = hull_shape(100 / 5, 16 / 5)
    at = berths[0].middle
    placed = Stay(0, 0, 100.0, 16.0, hull, "pale", True)
    placed = replace(placed, hull=affinity.translate(affinity.rotate(hull, berths[0].heading_deg, origin=(0, 0)), *at))
    drawn = image.copy()
    draw_ship(drawn, placed, berths[0], 1 / 5, colours_of(image), np.random.default_rng(2))
    changed = np.abs(drawn - image).max(axis=0) > 5
    row, col = np.nonzero(changed)
    assert max(placed.hull.distance(Point(c + 0.5, r + 0.5)) for r, c in zip(row, col, strict=True)) < 2.5
    bright = (drawn - image)[3] > 0.5 * np.median((drawn - image)[3][changed])
    assert bright.sum() == pytest.approx(placed.hull.area, rel=0.35)
    assert (drawn - image)[:, changed].mean() > 0


def test_another_pass_tells_its_shift():
    image = _lake().dates["2010"]
    seen, (dx, dy) = another_pass(image, np.random.default_rng(3))
    water = image[3] < 80
    row, col = (values.mean() for values in np.nonzero(water))
    row_seen, col_seen = (values.mean() for values in np.nonzero(seen[3] < 80))
    assert col - col_seen == pytest.approx(dx, abs=0.5)
    assert row - row_seen == pytest.approx(dy, abs=0.5)


@pytest.mark.parametrize("quiet", [False, True])
def test_truth_counts_each_ship_on_each_look(tmp_path, monkeypatch, quiet):
    monkeypatch.setattr(script, "read_background", lambda name, real: _lake())
    path, berths, looks = script.write_case("naip", 2, tmp_path, tmp_path, quiet)
    truth = json.loads((tmp_path / "truth.geojson").read_text())
    assert bool(truth["features"]) is not quiet
    whole = [row["count"] for row in truth["activity"] if row["zone"] == "naip-2"]
    there = [sum(s.first <= k <= s.last for b in berths for s in b.stays) for k in range(len(looks))]
    assert whole == there
    assert whole[: script.BASELINE] == [0] * script.BASELINE
    assert path.is_file()
    assert looks[0] == looks[1] != looks[script.BASELINE]
    with rasterio.open(tmp_path / "scenes" / "look-04.tif") as scene:
        assert scene.descriptions == ("blue", "green", "red", "nir")
        assert rasterio.enums.ColorInterp.alpha not in scene.colorinterp


def test_it_says_where_imagery_is_absent(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["injected_ships.py", "--real", str(tmp_path / "none")])
    with pytest.raises(SystemExit, match="no real imagery at"):
        script.main()

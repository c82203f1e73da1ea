"""A place worked in sheets: what one sheet finds, whoever works on them and in whatever order."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from shapely.geometry import shape

from changedetect.gather import RunOptions
from changedetect.pipeline import run, simulate_to

ROOT = Path(__file__).parents[1]
PLAIN = ("write.report=false", "write.imagery=false", "write.max_quicklooks=0", "register.part_px=512")
IN_SHEETS = (*PLAIN, "grid.sheet_px=440", "grid.sheet_margin_m=32", "register.max_refine_px=250000")
TABLES = ("changes.geojson", "detections.geojson", "activity.csv")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ground")
    path = simulate_to(ROOT / "aoi" / "sergeyevka.yaml", folder / "scenes", ("simulate.size_m=240", "simulate.seed=11"))
    block = yaml.safe_load(path.read_text())
    block["scenes"] = [block["scenes"][0], block["scenes"][-1]]
    path.write_text(yaml.safe_dump(block))
    return path


@pytest.fixture(scope="module")
def sheets(scenes):
    """The place in four sheets, on two threads."""
    out = scenes.parent.parent / "sheets"
    run(scenes, RunOptions(out=out, sets=IN_SHEETS, workers=2))
    return out


@pytest.fixture(scope="module")
def one_sheet(scenes):
    """The same, whole."""
    out = scenes.parent.parent / "whole"
    run(scenes, RunOptions(out=out, sets=PLAIN))
    return out


def told(folder):
    features = json.loads((folder / "changes.geojson").read_text())["features"]
    return [(f["properties"]["class"], f["properties"]["status"], shape(f["geometry"])) for f in features]


def test_sheets_find_what_one_sheet_finds(one_sheet, sheets):
    whole, parts = told(one_sheet), told(sheets)
    assert len(whole) >= 4
    for kind, status, outline in whole:
        same = [other for k, s, other in parts if (k, s) == (kind, status)]
        shared = max((outline.intersection(o).area / outline.union(o).area for o in same), default=0.0)
        assert shared > 0.6, (kind, status, outline.centroid)
    assert len(parts) <= len(whole) + 1


def test_the_score_has_no_gaps_between_sheets(one_sheet, sheets):
    (path,) = (sheets / "score").glob("*.tif")
    with rasterio.open(path) as parts, rasterio.open(one_sheet / "score" / path.name) as whole:
        known, expected = (np.isfinite(score.read(1)) for score in (parts, whole))
    assert expected.any()
    # the two warps differ by hundredths of a pixel, so rims of cloud do by single pixels
    assert (known == expected).mean() > 0.998


def test_threads_order_and_blocks_change_no_byte(scenes, sheets, tmp_path, monkeypatch):
    monkeypatch.setattr("changedetect.examine._SCORED_PX", 257)
    run(scenes, RunOptions(out=tmp_path / "serial", sets=IN_SHEETS, workers=1))
    for name in TABLES:
        assert (tmp_path / "serial" / name).read_bytes() == (sheets / name).read_bytes()

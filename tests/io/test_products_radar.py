"""Radar products. Names of GRD and of RTC on the Planetary Computer: sertit/eoreader, stactools-packages/sentinel1,
planetary-computer-tasks (gamma0, linear, nodata -32768). HyP3's name (…RTC10_G_gpuned…: gamma0, power), the tracks of
absolute orbits, and the keys of Umbra's METADATA.json and Capella's extended JSON: general knowledge, to be confirmed
on files; Umbra's STAC keys sar:observation_direction, sat:orbit_state by the STAC extensions. Names of Umbra and
Capella, that their pixels are relative amplitude: sertit/eoreader, reesehammer/umbra-py."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from delivered import pixels, text

from changedetect.errors import NotYetError
from changedetect.io.find import find_scenes

GRD = "S1A_IW_GRDH_1SDV_20240901T213000_20240901T213025_055473_06C4F1"
POWER = np.linspace(1e-3, 0.4, 12 * 14, dtype=np.float32).reshape(1, 12, 14)


def one(base, files="."):
    (scene,) = find_scenes({"files": files}, base)
    return scene


def test_terrain_corrected_sentinel1_of_a_catalogue(tmp_path):
    for pol in ("vv", "vh"):
        path = tmp_path / f"{GRD}_rtc" / "measurement" / f"iw-{pol}.rtc.tiff"
        pixels(path, 1, POWER, dtype="float32", nodata=-32768)
    scene = one(tmp_path)
    assert (scene.id, scene.sensor, scene.unit, scene.bands) == (f"{GRD}_rtc", "sentinel-1-rtc", "sigma0", ("vv", "vh"))
    assert scene.acquired == datetime(2024, 9, 1, 21, 30, tzinfo=UTC)
    assert scene.relative_orbit == (55473 - 73) % 175 + 1 == 101
    assert scene.look_side == "right"


def test_an_item_knows_the_orbit_better(tmp_path):
    folder = tmp_path / f"{GRD}_rtc"
    pixels(folder / "iw-vv.rtc.tiff", 1, POWER, dtype="float32")
    properties = {"datetime": "2024-09-01T21:30:12.5Z", "sat:relative_orbit": 61, "sat:orbit_state": "ascending"}
    text(folder / "item.json", json.dumps({"type": "Feature", "properties": properties}))
    assert (one(tmp_path).relative_orbit, one(tmp_path).orbit_state) == (61, "ascending")


@pytest.mark.parametrize(("letter", "unit"), [("p", "sigma0"), ("a", "amplitude"), ("d", "db")])
def test_hyp3_says_its_scale_in_the_name(tmp_path, letter, unit):
    for pol in ("VV", "VH"):
        pixels(tmp_path / f"S1A_IW_20240901T213000_DVP_RTC10_G_g{letter}uned_FD6A_{pol}.tif", 1, POWER, dtype="float32")
    scene = one(tmp_path)
    assert (scene.unit, scene.bands, scene.relative_orbit) == (unit, ("vv", "vh"), None)


def test_decibel_is_recognised(tmp_path):
    pixels(tmp_path / f"{GRD}_rtc_vv.tif", 1, 10 * np.log10(POWER), dtype="float32")
    assert one(tmp_path).unit == "db"


def test_what_is_not_terrain_corrected_is_refused(tmp_path):
    pixels(tmp_path / f"{GRD}_1A2B.SAFE" / "measurement" / "s1a-iw-grd-vv-20240901t213000-001.tiff", 1, 300)
    with pytest.raises(NotYetError, match=r"Sentinel-1 GRD and SLC are not read: .* try: the RTC product"):
        one(tmp_path)


UMBRA = "2024-09-01-03-12-45_UMBRA-05"


@pytest.mark.parametrize("form", ["stac", "metadata"])
def test_umbra_by_either_metadata(tmp_path, form):
    pixels(tmp_path / f"{UMBRA}_GEC.tif", 1, 90, 0.35, dtype="uint8")
    if form == "stac":
        told = {"datetime": "2024-09-01T03:12:45Z", "sar:observation_direction": "left", "sar:polarizations": ["VV"],
                "sat:orbit_state": "descending", "view:off_nadir": 41.0}  # fmt: skip
        text(tmp_path / f"{UMBRA}.stac.v2.json", json.dumps({"type": "Feature", "properties": told}))
    else:
        collect = {"startAtUTC": "2024-09-01T03:12:45.123Z", "observationDirection": "LEFT", "polarizations": ["VV"],
                   "satelliteTrack": "DESCENDING", "angleGrazingDegrees": 49.0}  # fmt: skip
        text(tmp_path / f"{UMBRA}_METADATA.json", json.dumps({"version": "1.0.0", "collects": [collect]}))
    scene = one(tmp_path)
    assert (scene.sensor, scene.unit, scene.bands) == ("umbra-gec", "amplitude", ("vv",))
    assert (scene.look_side, scene.orbit_state, scene.off_nadir_deg) == ("left", "descending", 41.0)
    assert scene.acquired == datetime(2024, 9, 1, 3, 12, 45, tzinfo=UTC)
    assert any("geocoded to the ellipsoid" in caution for caution in scene.cautions)


@pytest.mark.parametrize("kind", ["GEO", "GEC"])
def test_capella(tmp_path, kind):
    name = f"CAPELLA_C06_SP_{kind}_HH_20240901031245_20240901031310"
    pixels(tmp_path / f"{name}.tif", 1, 900, 0.35)
    collect = {"start_timestamp": "2024-09-01T03:12:45.5Z", "radar": {"pointing": "right"},
               "state": {"direction": "ascending"}, "image": {"center_pixel": {"incidence_angle": 37.5}}}  # fmt: skip
    text(tmp_path / f"{name}_extended.json", json.dumps({"collect": collect}))
    scene = one(tmp_path)
    assert (scene.sensor, scene.unit, scene.bands) == (f"capella-{kind.lower()}", "amplitude", ("hh",))
    assert (scene.look_side, scene.orbit_state, scene.off_nadir_deg) == ("right", "ascending", 37.5)
    assert bool(scene.cautions) == (kind == "GEC")


def test_capella_in_slant_range_is_refused(tmp_path):
    pixels(tmp_path / "CAPELLA_C06_SP_SLC_HH_20240901031245_20240901031310.tif", 1, 900, 0.35)
    with pytest.raises(NotYetError, match="not on a map grid; found SLC; needed GEO"):
        one(tmp_path)

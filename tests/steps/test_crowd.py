"""Crowds: parts, periods and counts, on people drawn one by one."""

import cv2
import numpy as np
import pytest
from presence_kit import grid, outlines, pair
from shapely.geometry import MultiPoint

from changedetect.steps.classify.crowd import CrowdParams, propose
from changedetect.steps.classify.ranks import lattice_density

PARAMS = CrowdParams()
PAN = ("pan",)
FINE_M = 0.1


def drawn(n: int, spacing_m, gsd_m: float, *, ordered: bool = True, sun_deg: float = 35.0, seed: int = 0):
    """People of 0.5 x 0.32 m with shadows on paved ground: (before, after, outline)."""
    rng = np.random.default_rng(seed)
    factor = round(gsd_m / FINE_M)
    side = 46.0 // gsd_m
    px = int(side) * factor
    ground = np.full((px, px), 0.2, np.float32)
    columns = round(np.sqrt(n * spacing_m[1] / spacing_m[0]))
    place = np.stack([np.arange(n) % columns * spacing_m[0], np.arange(n) // columns * spacing_m[1]], axis=1)
    if not ordered:
        place = rng.uniform(0, place.max(axis=0) + spacing_m, (n, 2))
    turn = np.radians(25.0)
    place = (place - place.mean(axis=0) + rng.normal(0, 0.06, (n, 2))) @ [
        [np.cos(turn), np.sin(turn)],
        [-np.sin(turn), np.cos(turn)],
    ] + 23.0
    image, shade = ground.copy(), np.zeros((px, px), np.uint8)
    reach = 1.7 / np.tan(np.radians(sun_deg)) * np.array([-0.35, -0.94])
    for x, y in place:
        ends = [tuple(round(v / FINE_M * 16) for v in end) for end in ((x, y), (x + reach[0], y + reach[1]))]
        cv2.line(shade, *ends, 1, 4, shift=4)
    image[shade > 0] *= 0.32
    for x, y in place:
        centre = tuple(round(v / FINE_M * 16) for v in (x, y))
        cv2.ellipse(image, centre, (40, 26), 25, 0, 360, float(rng.uniform(0.05, 0.12)), -1, shift=4)

    def sensed(scene):
        blurred = cv2.GaussianBlur(scene, (0, 0), 0.55 * factor)
        small = cv2.resize(blurred, (int(side), int(side)), interpolation=cv2.INTER_AREA)
        return (small + rng.normal(0, 0.002, small.shape))[None].astype(np.float32)

    top = int(side) * gsd_m
    outline = MultiPoint([(x, top - y) for x, y in place]).convex_hull.buffer(1.0)
    return sensed(ground), sensed(image), outline


def judged(before, after, outline, gsd_m):
    on = grid(gsd_m, before.shape[1])
    return propose(outlines(outline), *pair(on, before, after, PAN), PARAMS).iloc[0]


@pytest.mark.parametrize(("n", "spacing_m"), [(250, (1.0, 1.2)), (400, (1.0, 1.2)), (250, (1.2, 1.4))])
def test_a_formation_is_counted_by_its_ranks_at_30_cm(n, spacing_m):
    row = judged(*drawn(n, spacing_m, 0.3), 0.3)
    assert row["confidence"] > 0.9
    assert row["count"] == pytest.approx(n, rel=0.15)
    assert row["count_low"] <= n <= row["count_high"]
    assert row["flags"] == ()


@pytest.mark.parametrize("gsd_m", [0.3, 0.5])
def test_a_disordered_crowd_is_counted_by_the_ground_it_takes_with_a_wide_interval(gsd_m):
    row = judged(*drawn(250, (1.2, 1.3), gsd_m, ordered=False), gsd_m)
    assert row["confidence"] > 0.6
    assert row["flags"] == ("count_from_ground",)
    assert row["count_low"] <= 250 <= row["count_high"]
    assert row["count_high"] > 1.8 * row["count_low"]


def test_a_smooth_patch_is_no_crowd():
    before, _, outline = drawn(1, (1.0, 1.0), 0.5)
    rng = np.random.default_rng(3)
    tarp = outline.buffer(8.0)
    after = before.copy()
    on = grid(0.5, before.shape[1])
    x, y = on.pixel_centres()
    inside = (np.abs(x - 23) < 8)[None, :] & (np.abs(y - 23) < 8)[:, None]
    after[0][inside] = 0.08 + rng.normal(0, 0.002, int(inside.sum()))
    assert judged(before, after, tarp, 0.5)["confidence"] < 0.2


def test_three_metre_pixels_show_no_people():
    before = np.full((1, 20, 20), 0.2, np.float32)
    after = before.copy()
    after[0, 5:12, 5:12] = 0.1
    on = grid(3.0, 20)
    outline = MultiPoint([(15, 24), (36, 45)]).envelope
    assert propose(outlines(outline), *pair(on, before, after, PAN), PARAMS).iloc[0]["confidence"] == 0


def test_a_few_people_are_too_few():
    row = judged(*drawn(4, (1.0, 1.0), 0.3), 0.3)
    assert row["confidence"] == 0


def test_what_brightens_and_what_is_a_strip_is_no_crowd():
    before, after, outline = drawn(250, (1.0, 1.2), 0.3)
    assert judged(after, before, outline, 0.3)["confidence"] == 0
    before, after, outline = drawn(60, (1.0, 1.0), 0.3)
    strip = outline.intersection(outline.centroid.buffer(1.2).envelope)
    assert judged(before, after, strip, 0.3)["confidence"] == 0


def peaks_of(*found):
    """Frequencies and powers of (period in metres, direction in degrees, root of power)."""
    angles = np.radians([turn for _, turn, _ in found])
    frequencies = (
        np.stack([np.cos(angles), np.sin(angles)], axis=1) / np.array([period for period, _, _ in found])[:, None]
    )
    return frequencies, np.array([power for _, _, power in found], float)


def test_a_strong_harmonic_of_open_ranks_does_not_double_the_count():
    found = peaks_of((1.27, 14, 16.2), (0.82, 104, 12.2), (1.64, 104, 9.2))
    assert lattice_density(*found, 0.3, PARAMS) == pytest.approx(1 / (1.27 * 1.64), rel=0.02)


def test_the_diagonals_of_square_ranks_do_not_double_the_count():
    found = peaks_of((0.86, 149, 20.8), (0.86, 59, 11.9), (1.21, 104, 10.1), (1.21, 14, 5.4))
    assert lattice_density(*found, 0.3, PARAMS) == pytest.approx(1 / 1.21**2, rel=0.05)


def test_a_pattern_with_one_period_alone_is_no_formation():
    assert lattice_density(*peaks_of((1.2, 14, 20.0), (0.6, 14, 9.0)), 0.3, PARAMS) == 0.0


def test_weak_peaks_are_no_formation():
    assert lattice_density(*peaks_of((1.2, 14, 7.0), (1.0, 104, 6.0)), 0.3, PARAMS) == 0.0

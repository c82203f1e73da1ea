"""Registration against simulated truth: the ground is evaluated where the displacement puts it, never interpolated."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from register_scenes import BANDS, cloud_mask, error_px, ground, make_grid, render, smooth_noise, true_u, with_quality

from changedetect.core.raster import Raster
from changedetect.steps.register import RegisterParams, estimate_shift, prepare_reference
from changedetect.steps.register.features import make_features, measure_scale, to_image

SIDE = 256
GRID = make_grid(SIDE)


def constant(row, col):
    return lambda y, x: (row + 0 * y, col + 0 * x)


def wave(y, x):
    return np.sin(2 * np.pi * x / 300), np.cos(2 * np.pi * (y + 0.5 * x) / 330)


def rotation(y, x):
    return 0.3 + 0.001 * (x - 40), -0.001 * (y - 40)


@pytest.fixture(scope="module")
def reference():
    return render(GRID, noise_seed=1)


def register(moving, reference, **settings):
    return estimate_shift(moving, reference, RegisterParams(**settings))


@pytest.mark.parametrize(
    ("displacement", "median_px", "p95_px"),
    [
        pytest.param(constant(0, 0), 0.02, 0.04, id="none"),
        pytest.param(constant(0.37, -0.61), 0.02, 0.05, id="sub-pixel shift"),
        pytest.param(constant(12.3, -7.8), 0.03, 0.05, id="14 px shift"),
        pytest.param(wave, 0.06, 0.15, id="warp of 1 px"),
        pytest.param(rotation, 0.02, 0.05, id="rotation of 1 mrad"),
    ],
)
def test_known_displacement_is_recovered_within_its_ce90(reference, displacement, median_px, p95_px):
    warp = register(render(GRID, displacement, noise_seed=2), reference)
    assert warp.status == "ok"
    error = error_px(warp, true_u(GRID, displacement))
    assert np.median(error) < median_px
    assert np.quantile(error, 0.95) < p95_px
    assert np.mean(error <= warp.ce90_m / GRID.gsd_m) >= 0.9
    assert warp.n_tie_points >= 20
    assert 0 < warp.rmse_m < 0.2


def test_a_constant_shift_comes_out_flat_and_a_wave_as_a_field(reference):
    flat = register(render(GRID, constant(12.3, -7.8), noise_seed=2), reference).displacement_px(GRID)
    assert np.ptp(flat[0]) < 0.06
    assert np.ptp(flat[1]) < 0.06
    assert register(render(GRID, wave, noise_seed=2), reference).model == "field"


def test_half_under_cloud_is_recovered_within_its_ce90(reference):
    cloud = cloud_mask(GRID, 0.5)
    warp = register(with_quality(render(GRID, rotation, noise_seed=2), cloud), reference)
    error = error_px(warp, true_u(GRID, rotation))
    assert warp.diagnostics["valid_share"] == pytest.approx(0.5, abs=0.01)
    assert np.quantile(error, 0.95) < 0.15
    assert np.mean(error <= warp.ce90_m / GRID.gsd_m) >= 0.9


def test_bright_pixels_under_the_mask_do_not_matter(reference):
    cloud = cloud_mask(GRID, 0.4)
    moving = render(GRID, rotation, noise_seed=2)
    white = moving.data.copy()
    white[:, cloud] = np.random.default_rng(0).normal(0.8, 0.3, (4, int(cloud.sum())))
    warps = [register(with_quality(moving.with_data(data), cloud), reference) for data in (moving.data, white)]
    assert warps[0].coefficients == warps[1].coefficients


def coloured(light_move, noise_seed):
    """Ground that does not move, each band with a texture of its own, under light and shade that do."""
    y, x = np.indices((192, 192), np.float64)
    light = 1 + 0.4 * smooth_noise(y - light_move[0], x - light_move[1], 3.5, 31)
    own = [0.2 + 0.08 * smooth_noise(y, x, 3, 40 + k) for k in range(4)]
    noise = np.random.default_rng(noise_seed).normal(0, 0.002, (4, 192, 192))
    return Raster.make(np.stack(own) * light + noise, make_grid(192), BANDS, "reflectance")


def test_light_that_moved_hardly_pulls_the_ground_along():
    # weighing each band alone, the answer lies halfway: 0.4 px; what all bands share is told from what they do not
    warp = register(coloured((0.8, 0.4), 1), coloured((0.0, 0.0), 2))
    assert np.hypot(warp.dx_m, warp.dy_m) / GRID.gsd_m < 0.15


def test_broad_texture_that_changed_hardly_disturbs_the_fine_one_that_stayed(reference):
    y, x = np.indices(GRID.shape, np.float64)

    def grown(raster, seed):
        crops = [1 + 0.9 * smooth_noise(y, x, 9, seed + k) for k in range(4)]
        return raster.with_data((raster.data * np.stack(crops)).astype(np.float32))

    warp = register(grown(render(GRID, wave, noise_seed=2), 60), grown(reference, 70))
    assert np.quantile(error_px(warp, true_u(GRID, wave)), 0.95) < 0.2


def test_a_short_warp_on_a_small_grid_is_followed():
    grid = make_grid(160)
    short = lambda y, x: (0.3 * np.sin(2 * np.pi * (x + 0.4 * y) / 70), 0.2 * np.cos(2 * np.pi * y / 80))  # noqa: E731
    warp = register(render(grid, short, noise_seed=2), render(grid, noise_seed=1))
    assert warp.model == "field"
    error = error_px(warp, true_u(grid, short))
    assert np.quantile(error, 0.95) < 0.15
    assert np.mean(error <= warp.ce90_m / grid.gsd_m) >= 0.85


def test_the_map_of_sigma_grows_where_nothing_can_be_matched():
    def look(displacement, noise_seed):
        y, x = np.indices(GRID.shape, np.float64) + 0.5
        v, w = displacement(y, x)
        sea = x + w > 128 + 12 * np.sin((y + v) / 9)
        water = 0.02 + np.random.default_rng(noise_seed).normal(0, 0.003, (4, *GRID.shape))
        land = render(GRID, displacement, noise_seed=noise_seed)
        return land.with_data(np.where(sea, water, land.data).astype(np.float32)), sea

    (reference, sea), (moving, _) = look(constant(0, 0), 1), look(wave, 2)
    warp = register(moving, reference)
    sigma = np.array(warp.diagnostics["sigma_map_px"])
    assert sigma.shape == (8, 8)
    assert np.median(sigma[:, :3]) < 1.2 * warp.ce90_m / GRID.gsd_m / 2.146
    assert sigma[:, 6:].min() > 2 * np.median(sigma[:, :3])
    error = np.hypot(*(warp.displacement_px(GRID) - true_u(GRID, wave)))
    said = np.kron(sigma, np.ones((32, 32))) * 2.146
    assert np.mean((error <= said)[sea]) > 0.85 > 0.5 > np.mean((error <= warp.ce90_m / GRID.gsd_m)[sea])


def test_season_gain_and_haze_cost_little(reference):
    moving = render(GRID, rotation, season=0.7, gain=1.4, offset=0.06, noise_seed=2)
    warp = register(moving, reference)
    error = error_px(warp, true_u(GRID, rotation))
    assert np.quantile(error, 0.95) < 0.12
    assert np.mean(error <= warp.ce90_m / GRID.gsd_m) >= 0.9


def test_swapped_roles_give_the_inverse(reference):
    moving = render(GRID, wave, noise_seed=2)
    forth, back = register(moving, reference), register(reference, moving)
    # at the grid's centre u changes by at most 2 % per px, so the inverse is the negative but for that
    assert forth.dx_m == pytest.approx(-back.dx_m, abs=0.05 * GRID.gsd_m)
    assert forth.dy_m == pytest.approx(-back.dy_m, abs=0.05 * GRID.gsd_m)


def test_scenes_without_a_common_band_are_matched_by_their_means(reference):
    moving = render(GRID, constant(2.4, 1.3), noise_seed=2)
    pan = Raster.make(moving.data[:3].mean(axis=0, keepdims=True), GRID, ("pan",), "dn")
    warp = register(pan, reference.select(("green", "red")))
    assert np.quantile(error_px(warp, true_u(GRID, constant(2.4, 1.3))), 0.95) < 0.08


def test_a_level_looked_at_in_blocks_only_is_still_recovered():
    # full resolution below a coarse level, part of it refined: the line a 10,000 px scene takes
    grid = make_grid(640)
    slow = lambda y, x: (np.sin(2 * np.pi * x / 900) + 3.3, 0.002 * y)  # noqa: E731
    moving, ref = render(grid, slow, noise_seed=2), render(grid, noise_seed=1)
    warp = register(moving, ref, coarse_side_px=128, sample_px=250_000)
    assert warp.diagnostics["coarse_factor"] == 5
    assert warp.diagnostics["sampled_share"] < 0.65
    error = error_px(warp, true_u(grid, slow))
    assert np.quantile(error, 0.95) < 0.2
    assert np.mean(error <= warp.ce90_m / grid.gsd_m) >= 0.9


def test_same_input_twice_gives_the_same_warp(reference):
    moving = render(GRID, rotation, noise_seed=2)
    assert register(moving, reference) == register(moving, reference)


def test_a_reference_made_ready_once_serves_every_scene_on_any_thread(reference):
    scenes = [render(GRID, move, noise_seed=2) for move in (rotation, wave, constant(12.3, -7.8))]
    ready = prepare_reference(reference, reference.bands, RegisterParams())
    alone = [register(scene, reference) for scene in scenes]
    with ThreadPoolExecutor(3) as pool:
        shared = list(pool.map(lambda scene: register(scene, ready), scenes * 2))
    assert shared == alone * 2


def test_a_reference_made_ready_survives_the_way_to_another_process(reference):
    ready = prepare_reference(reference, reference.bands, RegisterParams())
    moving = render(GRID, rotation, noise_seed=2)
    sent = pickle.loads(pickle.dumps(ready))  # noqa: S301
    assert register(moving, sent) == register(moving, reference)


def test_features_do_not_depend_on_where_memory_lies(reference):
    # some OpenCV kernels round their last bit by the alignment of their buffers
    image = to_image(reference, reference.bands, reference.valid)
    scale = measure_scale(image)
    rng, held, seen = np.random.default_rng(0), [], set()
    for _ in range(20):
        held.append(np.empty(int(rng.integers(1, 60_000)), np.uint8))
        seen.add(make_features(image, scale, RegisterParams()).planes.tobytes())
    assert len(seen) == 1


def test_negative_and_huge_numbers_are_units_like_any_other(reference):
    moving = render(GRID, constant(1.2, -0.7), noise_seed=2)
    in_db = Raster.make(10 * np.log10(np.maximum(moving.data, 1e-3)), GRID, moving.bands, "sigma0")
    base = Raster.make(10 * np.log10(np.maximum(reference.data, 1e-3)), GRID, moving.bands, "sigma0")
    for scale in (1.0, 1e4):
        warp = register(in_db.with_data(in_db.data * scale), base)
        assert np.median(error_px(warp, true_u(GRID, constant(1.2, -0.7)))) < 0.05


def test_ground_is_not_periodic():
    # guards the truth itself: a repeating texture would make every shift test ambiguous
    y, x = np.indices((64, 64)) + 0.5
    assert abs(np.corrcoef(ground(y, x)[2].ravel(), ground(y + 64, x)[2].ravel())[0, 1]) < 0.5

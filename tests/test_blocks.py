import os
import signal

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from threadpoolctl import threadpool_info, threadpool_limits

from changedetect.blocks import Runner, map_blocks, open_runner
from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.errors import GridError, UsageError

GRID = Grid.from_bounds("EPSG:32652", (0, 0, 90, 70), 1.0)


def noise(grid=GRID):
    return Raster.make(np.random.default_rng(1).normal(size=(2, *grid.shape)), grid, ("a", "b"), "dn")


def smooth(raster):
    """Box mean of 7 pixels that knows nothing beyond its window; exact more than 3 pixels from its edge."""
    return raster.with_data(uniform_filter(raster.data.astype(np.float64), (0, 7, 7), mode="constant"))


@pytest.mark.parametrize("runner", [Runner(), Runner(workers=2)], ids=["serial", "threads"])
@pytest.mark.parametrize("block_px", [8, 33, 64, 1000])
def test_any_block_size_gives_the_same_bytes(runner, block_px):
    raster = noise()
    whole = smooth(raster)
    stitched = map_blocks(smooth, [raster], 4, runner, block_px)
    np.testing.assert_allclose(stitched.data, whole.data, atol=1e-6)
    assert stitched.grid == GRID
    assert stitched.bands == ("a", "b")


def test_a_halo_that_is_too_small_shows():
    raster = noise()
    assert np.abs(map_blocks(smooth, [raster], 0, block_px=16).data - smooth(raster).data).max() > 0.05


def test_several_rasters_must_share_a_grid():
    raster = noise()
    total = map_blocks(lambda a, b: a.with_data(a.data + b.data), [raster, raster], 0, block_px=20)
    np.testing.assert_array_equal(total.data, 2 * raster.data)
    with pytest.raises(GridError, match="map_blocks: grids differ"):
        map_blocks(lambda a, b: a, [raster, noise(GRID.pad(1))], 0)


@pytest.mark.parametrize("runner", [Runner(), Runner(workers=3)])
def test_map_keeps_the_order(runner):
    assert list(runner.map(lambda x: x * x, list(range(20)))) == [x * x for x in range(20)]


def test_runs_on_an_existing_dask_cluster():
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        open_runner(scheduler=cluster.scheduler_address) as runner,
    ):
        raster = noise()
        np.testing.assert_array_equal(
            map_blocks(smooth, [raster], 4, runner, 40).data, map_blocks(smooth, [raster], 4, Runner(), 40).data
        )


def die_once(item):
    """Return the square of a number; the first process to meet 3 dies of it."""
    number, marker = item
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_processes_of_its_own_and_one_that_dies(tmp_path):
    with open_runner(2, "processes") as runner:
        assert list(runner.map(die_once, [(n, tmp_path / "died") for n in range(20)])) == [n * n for n in range(20)]
    assert (tmp_path / "died").exists()


def test_refusals(monkeypatch):
    monkeypatch.setattr("changedetect.blocks._ANSWER_S", 0.5)
    with pytest.raises(UsageError, match="--workers: needs at least one worker; found 0"), open_runner(workers=0):
        pass
    with pytest.raises(UsageError, match="no Dask scheduler answers there"), open_runner(scheduler="tcp://127.0.0.1:9"):
        pass


def test_work_keeps_to_one_blas_thread_and_gives_them_back():
    def blas_threads(_=None):
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(2), open_runner(workers=2) as runner:
        assert list(runner.map(blas_threads, [0, 1])) == [{1}, {1}]
    with threadpool_limits(2):
        before = blas_threads()
        with open_runner(workers=2):
            pass
        assert blas_threads() == before

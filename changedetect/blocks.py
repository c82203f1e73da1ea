"""Run a block-local function over a grid with a halo: serially, on threads or on a Dask cluster.

The one place that knows Dask. The same function gives the same bytes however it is run.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from changedetect.core.raster import Raster
from changedetect.errors import UsageError

if TYPE_CHECKING:
    from changedetect.core.grid import Grid

T = TypeVar("T")
R = TypeVar("R")

BLOCK_PX = 512
PROCESSES = "processes"
"""Instead of the address of a cluster: one of this machine's own, a process for each worker."""
_ANSWER_S = 10.0
_RETRIES = 3
"""How often work is given to another process of a cluster after one of them died."""


@dataclass(frozen=True, slots=True)
class Runner:
    """How independent pieces of work are run."""

    workers: int = 1
    """Threads; 1 runs serially."""
    client: Any = None
    """A `distributed.Client` of an existing cluster, or None."""

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Yield `function(item)` in the order of `items`; at most a few results wait in memory."""
        if self.client is not None:
            yield from self._on_cluster(function, items)
        elif self.workers == 1 or len(items) < 2:
            yield from map(function, items)
        else:
            yield from self._on_threads(function, items)

    def _on_threads(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        # Dask would start everything at once, or in lots that wait for their slowest.
        pool = ThreadPoolExecutor(self.workers)
        try:
            ahead: deque[Future[R]] = deque()
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) > 2 * self.workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _on_cluster(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        # The function goes once to each worker, not once with each item; a worker that dies loses its own work alone.
        shared = self.client.scatter(function, broadcast=True, hash=False)
        waiting: deque[Any] = deque()
        most = 4 * max(1, sum(self.client.nthreads().values()))
        for item in items:
            waiting.append(self.client.submit(_call, shared, item, pure=False, retries=_RETRIES))
            if len(waiting) > most:
                yield _taken(waiting.popleft())
        while waiting:
            yield _taken(waiting.popleft())


def _taken(future: Any) -> Any:
    result = future.result()
    future.release()
    return result


def _call(function: Callable[[T], R], item: T) -> R:
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        return function(item)


def core_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_runner(workers: int | None = None, scheduler: str | None = None) -> Iterator[Runner]:
    """Yield a `Runner`: threads (default: one per core), as many processes, or a Dask cluster at `scheduler`.

    Raises
    ------
    UsageError
        Fewer than one worker, or no scheduler answers at the address.
    """
    if workers is not None and workers < 1:
        raise UsageError("needs at least one worker", where="--workers", found=workers)
    count = workers or core_count()
    # Scenes and blocks are the unit of parallel work; threads of OpenCV's and BLAS' own would only get in each other's
    # way (registration took 5 to 8 times the processor time), and sums in another order end in other bits.
    cv2.setNumThreads(1)
    # Rasterio silences this about its own in-memory rasters, but by a filter that threads take from each other.
    warnings.filterwarnings("ignore", message="Dataset has no geotransform")
    if scheduler is None:
        with threadpool_limits(1):
            yield Runner(workers=count)
        return
    with _cluster_client(scheduler, count) as client:
        yield Runner(workers=count, client=client)


@contextmanager
def _cluster_client(scheduler: str, count: int) -> Iterator[Any]:
    """Yield a client of the cluster at an address, or of `count` processes started here and ended after."""
    import dask
    from distributed import Client, LocalCluster

    if scheduler == PROCESSES:
        # Dask has its workers give memory back at once, which costs as much again as the work: pages are cleared anew.
        spawn = "distributed.nanny.pre-spawn-environ"
        environ = {name: value for name, value in dask.config.get(spawn).items() if not name.startswith("MALLOC_")}
        with (
            dask.config.set({spawn: environ}),
            LocalCluster(count, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL) as own,
            Client(own, set_as_default=False) as client,
        ):
            yield client
        return
    try:
        client = Client(scheduler, timeout=_ANSWER_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise UsageError(
            "no Dask scheduler answers there",
            where="--scheduler",
            found=f"{scheduler} ({type(error).__name__})",
            needed=f"an address like tcp://127.0.0.1:8786, or {PROCESSES!r} for processes of this machine",
        ) from None
    try:
        yield client
    finally:
        client.close()


def map_blocks(
    function: Callable[..., Raster],
    rasters: Sequence[Any],
    halo_px: int,
    runner: Runner | None = None,
    block_px: int = BLOCK_PX,
) -> Raster:
    """Return `function(*blocks)` stitched over the whole grid.

    Parameters
    ----------
    function : callable
        Takes the same window of each raster, returns a Raster on that window whose values more than
        `halo_px` from the window's edge do not depend on where the window ends.
    rasters : sequence
        Objects with `.grid` and `.crop(rows, cols)`, all on one grid.
    halo_px : int
        Reach of `function` in pixels.
    block_px : int
        Side of a block without its halo.
    """
    grid: Grid = rasters[0].grid
    for raster in rasters[1:]:
        grid.require_same(raster.grid, "map_blocks")
    windows = list(grid.blocks(block_px))

    def one(window: tuple[slice, slice]) -> Raster:
        rows, cols = window
        around = tuple(
            slice(max(s.start - halo_px, 0), min(s.stop + halo_px, n)) for s, n in zip(window, grid.shape, strict=True)
        )
        result = function(*(raster.crop(*around) for raster in rasters))
        top, left = rows.start - around[0].start, cols.start - around[1].start
        return result.crop(slice(top, top + rows.stop - rows.start), slice(left, left + cols.stop - cols.start))

    return _stitch(grid, windows, (runner or Runner()).map(one, windows))


def _stitch(grid: Grid, windows: Sequence[tuple[slice, slice]], parts: Iterator[Raster]) -> Raster:
    data: np.ndarray[Any, Any] | None = None
    quality = np.zeros(grid.shape, np.uint16)
    first: Raster | None = None
    for (rows, cols), part in zip(windows, parts, strict=True):
        if data is None:
            first, data = part, np.empty((part.data.shape[0], *grid.shape), np.float32)
        data[:, rows, cols] = part.data
        quality[rows, cols] = part.quality
    if data is None or first is None:
        raise UsageError("a grid without blocks cannot be stitched")
    return Raster(data, quality, grid, first.bands, first.unit)

"""Describe at the finer resolution what was found at the coarser one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.core.results import Baseline
from changedetect.errors import GridError


def spread_to(
    grid: Grid, labels: NDArray[np.int32], score: Raster, baseline: Baseline
) -> tuple[NDArray[np.int32], Raster, Baseline]:
    """Return labels, score and baseline of a coarse grid on a finer one, each pixel over the ground it covers.

    A coarse-to-fine pair is compared where both can be seen, at the coarser pixel size; measuring then works on the
    fine scene's own pixels, so that outlines and sizes are as sharp as the scene that shows them.

    Parameters
    ----------
    grid : Grid
        The finer grid, of the same reference system, whose ground the coarse one covers.
    labels : ndarray of int32, (row, col)
    score : Raster
    baseline : Baseline

    Raises
    ------
    GridError
        The fine grid is of another reference system, or reaches beyond the coarse one.
    """
    rows, cols = _nearest(score.grid, grid)
    quality = np.ascontiguousarray(score.quality[rows][:, cols])
    fine_score = Raster.make(score.data[:, rows][:, :, cols], grid, score.bands, score.unit, quality)
    fine_baseline = replace(
        baseline,
        centre=np.ascontiguousarray(baseline.centre[:, rows][:, :, cols]),
        spread=np.ascontiguousarray(baseline.spread[:, rows][:, :, cols]),
        looks=np.ascontiguousarray(baseline.looks[rows][:, cols]),
        grid=grid,
    )
    return np.ascontiguousarray(labels[rows][:, cols]), fine_score, fine_baseline


def _nearest(coarse: Grid, fine: Grid) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the coarse row of each fine row and the coarse column of each fine column."""
    inside = np.array(fine.bounds) - np.array(coarse.bounds)
    if fine.crs != coarse.crs or min(inside[:2]) < -1e-6 or max(inside[2:]) > 1e-6:
        raise GridError("the finer grid reaches beyond the coarser one", found=fine.bounds, needed=coarse.bounds)
    x, y = fine.pixel_centres()
    cols = np.floor((x - coarse.transform.c) / coarse.gsd_m).astype(np.intp)
    rows = np.floor((coarse.transform.f - y) / coarse.gsd_m).astype(np.intp)
    return rows, cols

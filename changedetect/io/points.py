"""Points: an image without a place, such as a screenshot, laid on the map by control points."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from changedetect.errors import ConfigError, DataError
from changedetect.io.place import WGS84, transform_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.io.assemble import Draft

LOG = logging.getLogger(__name__)

FEWEST = 4
"""Three points fit exactly, whatever is wrong with them; a fourth tells how well."""

_WORST_RATIO = 20.0
"""Longest over shortest extent of the points: on a line they say nothing of what lies beside it."""


@dataclass(frozen=True, slots=True)
class Placing:
    """An affine map from pixels to metres, and how well the points fit it."""

    crs: str
    transform: tuple[float, ...]
    """Six numbers, corner convention."""
    rmse_m: float
    """Root mean square distance of the points from where the map puts them."""
    left_out_m: float
    """The same, each point predicted from the others: what a place between the points must expect."""
    n_points: int


def place_by_points(draft: Draft, points: Path | Sequence[Sequence[float]]) -> Draft:
    """Return the draft of an image laid on the map by control points, flagged as approximate.

    Parameters
    ----------
    draft : Draft
        One image file; its `crs` is that of the points, WGS 84 longitude and latitude where it gives none.
    points : path or sequence
        A QGIS .points file, or rows of (map x, map y, column, row), pixels from the top left corner, rows downward.

    Raises
    ------
    ConfigError
        More than one image, or points that cannot be read.
    DataError
        Too few points, points on a line, or points that do not fit one another.
    """
    if len(draft.paths) != 1:
        raise ConfigError("`gcps` place one image file", where=draft.where, found=f"{len(draft.paths)} under `path`")
    rows, crs = _read_points(points) if isinstance(points, Path) else (points, None)
    placing = fit_points(np.asarray(rows, np.float64).reshape(-1, 4), draft.crs or crs or WGS84, draft.where)
    LOG.info("%s: placed by %d points, RMSE %.3g m", draft.where, placing.n_points, placing.rmse_m)
    caution = (
        f"approximate, not measured: placed by hand on {placing.n_points} control points "
        f"(RMSE {placing.rmse_m:.2f} m, {placing.left_out_m:.2f} m with each point left out)"
    )
    return replace(
        draft,
        crs=placing.crs,
        transforms={draft.paths[0]: placing.transform},
        is_by_hand=True,
        cautions=(*draft.cautions, caution),
    )


def fit_points(points: NDArray[np.float64], crs: str, where: str) -> Placing:
    """Return the affine map that fits control points best, in metres of their UTM zone.

    `points` is (point, 4) float64: map x, map y in `crs`, column, row in pixels (corner convention).
    """
    n = len(points)
    if n < FEWEST:
        raise DataError("too few control points", where=where, found=n,
                        needed=f"{FEWEST} or more, spread over the image (three prove nothing)")  # fmt: skip
    if not np.isfinite(points).all():
        raise DataError("a control point is not a number", where=where)
    lon, lat = transform_points(crs, WGS84, points[:, 0], points[:, 1])
    if not (np.isfinite(lon).all() and np.isfinite(lat).all() and np.abs(lat).max() <= 90):
        raise DataError("control points lie nowhere on Earth", where=where, found=crs,
                        hint="`crs:` of the map coordinates")  # fmt: skip
    utm = _utm(lon, lat)
    x, y = transform_points(crs, utm, points[:, 0], points[:, 1])
    pixels, ground = points[:, 2:], np.column_stack([x, y])
    spread = np.linalg.svd(pixels - pixels.mean(axis=0), compute_uv=False)
    if spread[-1] * _WORST_RATIO < spread[0]:
        raise DataError("the control points lie on a line", where=where, hint="add points beside it")
    fit = _affine(pixels, ground)
    errors = np.linalg.norm(_apply(fit, pixels) - ground, axis=1)
    left_out = [
        np.linalg.norm(_apply(_affine(*_without(i, pixels, ground)), pixels[i : i + 1]) - ground[i]) for i in range(n)
    ]
    (a, d), (b, e), (c, f) = fit
    rmse = math.sqrt(float((errors**2).sum()) / max(n - 3, 1))
    size_m = float(np.hypot(*np.ptp(ground, axis=0)))
    if not rmse < 0.05 * size_m:
        worst = int(np.argmax(errors)) + 1
        raise DataError(
            "the control points do not fit one another",
            where=where,
            found=f"RMSE {rmse:.3g} m over {size_m:.3g} m",
            needed="5 % of their extent or less",
            hint=f"look at point {worst} first; pixels are column, then row downward",
        )
    return Placing(utm, (a, b, c, d, e, f), rmse, float(np.sqrt(np.mean(np.square(left_out)))), n)


def _utm(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> str:
    zone = int((float(np.median(lon)) + 180) % 360 // 6) + 1
    return f"EPSG:{32600 + zone if float(np.median(lat)) >= 0 else 32700 + zone}"


def _affine(pixels: NDArray[np.float64], ground: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (3, 2) least-squares map from (col, row, 1) to (x, y)."""
    design = np.column_stack([pixels, np.ones(len(pixels))])
    return np.asarray(np.linalg.lstsq(design, ground, rcond=None)[0])


def _apply(fit: NDArray[np.float64], pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([pixels, np.ones(len(pixels))]) @ fit


def _without(i: int, pixels: NDArray[np.float64], ground: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    keep = np.arange(len(pixels)) != i
    return pixels[keep], ground[keep]


def _read_points(path: Path) -> tuple[list[list[float]], str | None]:
    """Return rows of (map x, map y, column, row) of a QGIS .points file, and the reference system it names.

    QGIS counts rows upward: its sourceY (pixelY) is negative below the image's top edge. Disabled points are left out.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(
            "control points cannot be read", where=str(path), found=getattr(err, "strerror", None)
        ) from err
    crs = None
    for line in lines:
        if line.startswith("#CRS:"):
            crs = line.removeprefix("#CRS:").strip() or None
    table = csv.DictReader(line for line in lines if line.strip() and not line.startswith("#"))
    rows = []
    for row in table:
        try:
            x, y = float(row["mapX"]), float(row["mapY"])
            col = float(row["sourceX"] if "sourceX" in row else row["pixelX"])
            up = float(row["sourceY"] if "sourceY" in row else row["pixelY"])
            enabled = float(row.get("enable") or 1) != 0
        except (KeyError, TypeError, ValueError) as err:
            raise ConfigError("is not a QGIS .points file", where=str(path), found=str(err)[:80],
                              needed="mapX, mapY, sourceX (or pixelX), sourceY, enable") from err  # fmt: skip
        if enabled:
            rows.append([x, y, col, -up])
    return rows, crs

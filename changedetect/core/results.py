"""What the estimators return: small, frozen, JSON-able; they go to run.json as they are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from changedetect.core.quality import is_valid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import geopandas as gpd
    from numpy.typing import NDArray

    from changedetect.core.grid import Grid

RegistrationStatus = Literal["reference", "ok", "abstained"]


@dataclass(frozen=True, slots=True)
class Warp:
    """Where the reference's pixels lie in a moving scene: q in the reference is at q + u(q) in the moving one.

    The displacement u is a uniform cubic B-spline over `grid` (a constant or affine u is exactly representable).
    """

    status: RegistrationStatus
    reason: str | None = None
    """Why registration abstained; None otherwise."""
    dx_m: float = 0.0
    """Shift applied to the moving scene at the grid's centre, metres east (that is, -u_x in metres)."""
    dy_m: float = 0.0
    """Metres north (that is, +u_row in metres, rows running south)."""
    rmse_m: float | None = None
    """Root mean square residual of the inlying tie points, metres."""
    ce90_m: float | None = None
    """Radius that holds 90 % of the true errors, as estimated from held-out tie points, metres."""
    n_tie_points: int = 0
    model: str = "identity"
    """identity, shift, affine or field."""
    grid: Grid | None = None
    """Grid on which u was estimated; None for the identity."""
    coefficients: tuple[tuple[tuple[float, ...], ...], ...] = ()
    """(2, n+3, m+3) B-spline coefficients (u_row, then u_col) in pixels of `grid`; n x m equal intervals span it."""
    diagnostics: dict[str, Any] = field(default_factory=dict)
    """Peak strength, inlier share and the like, for run.json; `sigma_map_px`: how exact u is where (8 x 8 cells)."""

    @property
    def usable(self) -> bool:
        """Whether a scene with this warp may be differenced."""
        return self.status != "abstained"

    def displacement_px(self, grid: Grid) -> NDArray[np.float32]:
        """Return u at the pixel centres of `grid`, (2, row, col) float32: (u_row, u_col) in pixels of `grid`."""
        rows, cols = grid.shape
        if self.grid is None or not self.coefficients:
            return np.zeros((2, rows, cols), np.float32)
        x, y = grid.pixel_centres()
        col = (x - self.grid.transform.c) / self.grid.gsd_m / self.grid.shape[1]
        row = (self.grid.transform.f - y) / self.grid.gsd_m / self.grid.shape[0]
        coefficients = np.asarray(self.coefficients, np.float64)
        by_row = bspline_basis(row, coefficients.shape[1] - 3)
        by_col = bspline_basis(col, coefficients.shape[2] - 3)
        scale = self.grid.gsd_m / grid.gsd_m
        field_px = np.einsum("ri,kij,cj->krc", by_row, coefficients, by_col, optimize=True)
        return np.asarray(field_px * scale, np.float32)


def bspline_basis(position: NDArray[np.float64], intervals: int) -> NDArray[np.float64]:
    """Return uniform cubic B-spline weights, (n, intervals + 3) float64, for positions in [0, 1] (clamped).

    References
    ----------
    de Boor, A Practical Guide to Splines, 1978.
    """
    t = np.clip(np.asarray(position, np.float64), 0.0, 1.0) * intervals
    cell = np.minimum(t.astype(np.int64), intervals - 1)
    u = t - cell
    weights = np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], axis=1) / 6.0
    basis = np.zeros((t.size, intervals + 3))
    for k in range(4):
        basis[np.arange(t.size), cell + k] += weights[:, k]
    return basis


@dataclass(frozen=True, slots=True)
class Gain:
    """Relative radiometric normalisation: reference = gain * value + offset, per band."""

    bands: tuple[str, ...]
    gain: tuple[float, ...]
    offset: tuple[float, ...]
    """In the raster's unit."""
    n_pixels: int = 0
    """Stable pixels it was fitted on."""
    reason: str | None = None
    """Why the identity was returned instead of a fit; None otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """What the place looked like before: per pixel and band a centre and a spread."""

    centre: NDArray[np.float32]
    """(band, row, col), in the raster's unit."""
    spread: NDArray[np.float32]
    """(band, row, col) robust standard deviation over the baseline's looks; 0 where fewer than 3 looks."""
    looks: NDArray[np.uint16]
    """(row, col) number of clear looks; 0 means unknown."""
    grid: Grid
    bands: tuple[str, ...]
    unit: str

    def __post_init__(self) -> None:
        for array in (self.centre, self.spread, self.looks):
            array.setflags(write=False)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """True where at least one clear look exists, (row, col)."""
        return np.asarray(self.looks > 0)

    def crop(self, rows: slice, cols: slice) -> Baseline:
        """Return the part of the baseline in a row and column slice."""
        return replace(
            self,
            centre=self.centre[:, rows, cols],
            spread=self.spread[:, rows, cols],
            looks=self.looks[rows, cols],
            grid=self.grid.crop(rows, cols),
        )

    def select(self, names: Sequence[str]) -> Baseline:
        """Return the baseline with only the named bands, in that order."""
        if tuple(names) == self.bands:
            return self
        index = [self.bands.index(name) for name in names]
        return replace(self, centre=self.centre[index], spread=self.spread[index], bands=tuple(names))

    def band(self, name: str) -> NDArray[np.float32]:
        """Return the centre of one band, (row, col)."""
        return np.asarray(self.centre[self.bands.index(name)])


@dataclass(frozen=True, slots=True)
class Noise:
    """The scoring model of one scene against its baseline: what change is expected where nothing changed."""

    bands: tuple[str, ...]
    model: dict[str, Any] = field(default_factory=dict)
    """Coefficients, JSON-able; made and read by `steps.score` alone."""
    threshold_sigma: float = 0.0
    """Strength an object needs to be told; raised where `detect.max_false_alarms_per_km2` asks for it."""
    false_alarms_per_km2: float | None = None
    """Objects that the scene's own background is expected to put above that; None if it cannot be told."""
    sigma_contrast: float | None = None
    """Grey difference that is one sigma in half of the pixels, as a share of the brightness of ordinary ground; None
    where the score is not of brightness."""

    @property
    def least_contrast(self) -> float | None:
        """Grey difference that an object needs to be told, as a share of the brightness of ordinary ground."""
        return None if self.sigma_contrast is None else self.threshold_sigma * self.sigma_contrast


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One scene as seen on a grid: what was clear and how strongly each place differs from the baseline."""

    scene_id: str
    acquired: datetime
    quality: NDArray[np.uint16]
    """(row, col) quality bits."""
    score: NDArray[np.float32] | None
    """(row, col) signed sigma, NaN where unseen; None for a look that was not differenced."""
    grid: Grid
    used: bool = True
    reason: str | None = None
    """Why it was not used; None otherwise."""
    untold: tuple[str, ...] = ()
    """Classes that its pixels are too coarse to tell: that none was found there says nothing."""

    @property
    def valid(self) -> NDArray[np.bool_]:
        """True where the look shows the place, (row, col); nothing if the look was not used."""
        return is_valid(self.quality) if self.used else np.zeros(self.grid.shape, bool)


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """One scene after the local steps: what was seen, and what differs there."""

    look: Look
    detections: gpd.GeoDataFrame
    """`tables.DETECTION_COLUMNS`, not yet linked."""
    noise: Noise | None = None
    gain: Gain | None = None

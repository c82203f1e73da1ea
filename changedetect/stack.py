"""The stack: a registered series, and the sheets and baselines it is compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from shapely.geometry.base import BaseGeometry

from changedetect.blocks import Runner
from changedetect.config import Config
from changedetect.core.aoi import Aoi
from changedetect.core.geometry import to_crs
from changedetect.core.grid import Grid
from changedetect.core.kept import Kept
from changedetect.core.raster import Raster
from changedetect.core.results import Baseline, Warp
from changedetect.core.scene import Scene
from changedetect.core.sheets import Sheet, plan_sheets
from changedetect.core.times import solar_day, to_iso
from changedetect.errors import DataError, NothingToDoError, RegistrationError
from changedetect.members import Member, choose_reference, compared_bands, leave_out, read_member, register_members
from changedetect.steps.baseline import fit_baseline
from changedetect.steps.classify import ClassifyParams, why_too_coarse
from changedetect.steps.clipping import clip_alike, shared_range, shown_range, through_gain
from changedetect.steps.normalize import apply_gain, estimate_gain
from changedetect.steps.plan import GridParams

_BYTES_PER_BAND = 40.0
"""What comparing holds of each pixel and band of a sheet, in floats and masks; measured."""
_SHEET_BYTES = 5e8
"""A sheet is made smaller where the baseline's looks would fill more than this."""
_LEAST_SHEET_PX = 512
_SHARE_PX = 2048
"""What is clear of a larger scene is told from coarser pixels."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One scene on one sheet."""

    member: Member
    sheet: Sheet

    @property
    def scene(self) -> Scene:
        """The scene."""
        return self.member.scene


@dataclass(frozen=True, slots=True)
class Stack:
    """A registered series."""

    grid: Grid
    members: tuple[Member, ...]
    reference: Member
    sheets: dict[int, tuple[Sheet, ...]]
    """By factor of the grid scenes are compared on: the parts it is worked in."""


def choose_grids(members: Sequence[Member]) -> tuple[Member, ...]:
    """Return members with the grid each is compared on: the coarser of its own and that of the baseline that suits it.

    Only baseline scenes that could be registered count: a fine one under cloud leaves the coarse one to compare with.
    """
    usable = sorted({member.factor for member in members if member.is_baseline and member.reason is None})
    return tuple(replace(m, compared=min(max(m.factor, other) for other in usable)) for m in members)


def plan_parts(members: Sequence[Member], grid: Grid, factor: int, params: GridParams) -> tuple[Sheet, ...]:
    """Return the sheets on which the scenes that are compared at `factor` are worked, smaller the more is held of each.

    What decides is the settings and the scenes alone, never the machine: other sheets are other results.
    """
    here = [m for m in members if m.compared == factor and m.reason is None]
    finest = min((m.factor for m in here), default=factor)
    looks = max(1, sum(m.is_baseline for m in members if m.reason is None))
    bands = max((len(compared_bands(m.scene)) for m in here), default=1)
    most_px = math.sqrt(_SHEET_BYTES / (looks * 2 * 4 * bands))
    whole = grid.coarsen(factor)
    margin_px = max(math.ceil(params.sheet_margin_m / whole.gsd_m), params.sheet_margin_min_px)
    # scenes much finer than what they are compared on are read on their own pixels too
    side_px = min(params.sheet_px * finest / factor, most_px)
    return plan_sheets(whole, max(int(side_px), min(params.sheet_px, _LEAST_SHEET_PX), 3 * margin_px), margin_px)


def require_memory(members: Sequence[Member], grid: Grid, config: Config, workers: int, available_bytes: float) -> None:
    """Raise `DataError` unless what the workers hold of their sheets should fit in memory; no pixel is read."""
    largest, bands, needed = estimate_memory(members, grid, config, workers)
    if needed > available_bytes:
        raise DataError(
            "the job would not fit in memory",
            found=f"{needed / 1e9:.1f} GB for {workers} workers on {largest / 1e6:.1f} million pixels of {bands} bands",
            needed=f"at most {available_bytes / 1e9:.1f} GB",
            hint="--workers 1, or a smaller --set grid.sheet_px",
        )


def estimate_memory(members: Sequence[Member], grid: Grid, config: Config, workers: int) -> tuple[int, int, float]:
    """Return the pixels of the largest sheet, the most bands, and the bytes that workers hold of such sheets."""
    factors = sorted({member.compared for member in members})
    sheets = [sheet for factor in factors for sheet in plan_parts(members, grid, factor, config.grid)]
    largest = max(sheet.grid.shape[0] * sheet.grid.shape[1] for sheet in sheets)
    bands = max(len(compared_bands(member.scene)) for member in members)
    return largest, bands, largest * _BYTES_PER_BAND * bands * (0.6 + workers)


def leave_out_coarse(
    members: Sequence[Member], grid: Grid, targets: Sequence[str], params: ClassifyParams
) -> list[Member]:
    """Return the members, those after the baseline whose pixels tell none of the targets left out with the reason."""
    reasons = [None if m.is_baseline else why_too_coarse(grid.gsd_m * m.factor, targets, params) for m in members]
    return [m if reason is None else leave_out(m, reason) for m, reason in zip(members, reasons, strict=True)]


def build_stack(members: Sequence[Member], grid: Grid, config: Config, runner: Runner) -> Stack:
    """Return the series registered to one reference scene, with the sheets of each grid that is compared on.

    Raises
    ------
    DataError
        No other scene has a band in common with the reference.
    RegistrationError
        No scene after the baseline could be registered.
    """
    reference = choose_reference(members, grid, config, runner)
    registered = choose_grids(register_members(members, reference, grid, config, runner))
    reference = next(m for m in registered if m.scene.id == reference.scene.id)
    require_usable(registered)
    factors = sorted({m.compared for m in registered if m.reason is None})
    return Stack(grid, registered, reference, {k: plan_parts(registered, grid, k, config.grid) for k in factors})


def require_usable(members: Sequence[Member]) -> None:
    """Raise, saying why, unless some scene after the baseline can be compared."""
    after = [m for m in members if not m.is_baseline]
    if not after or any(m.reason is None for m in after):
        return
    reasons = sorted({m.reason for m in after if m.reason})
    no_match = all("no band in common" in reason or reason.startswith("not comparable") for reason in reasons)
    unseen = all(reason.startswith(("obscured", "too coarse")) for reason in reasons)
    kind = DataError if no_match else NothingToDoError if unseen else RegistrationError
    stated = [m.warp.diagnostics["ce90_px"] for m in after if m.warp and "ce90_px" in m.warp.diagnostics]
    needed_px = math.ceil(2 * min(stated)) / 2 if stated and any("CE90" in reason for reason in reasons) else None
    hint = f"--set register.max_ce90_px={needed_px:g} compares them less sharply" if needed_px else ""
    if all(reason.startswith("too coarse") for reason in reasons):
        hint = "finer scenes, or `targets: [other]`, which outlines what changed without naming it"
    raise kind(
        "no scene after the baseline can be compared",
        found=f"{len(after)} scenes: {'; '.join(reasons[:3])}",
        hint=hint,
    )


@dataclass(frozen=True, slots=True)
class Before:
    """What the scenes of a sheet are compared with."""

    baseline: Baseline
    anchor: Raster
    """The raster whose radiometry the baseline has."""
    quality: Mapping[str, NDArray[np.uint16]]
    """Of the baseline's scenes that were read in all their bands, by id."""
    shown: NDArray[np.float64]
    """(2, band), the black and the white at which pictures among them were clipped; infinite where none was."""

    def shown_of(self, bands: Sequence[str]) -> NDArray[np.float64]:
        """Return what was shown in some of the baseline's bands, (2, band)."""
        return self.shown[:, [self.baseline.bands.index(band) for band in bands]]


class Befores:
    """Baselines of sheets, each built by whoever needs it first; only the latest are kept."""

    def __init__(self, members: Sequence[Member], config: Config, keep: int = 3) -> None:
        self.members, self._config, self._keep = tuple(members), config, keep
        self._kept: Kept[tuple[int, Grid], Before] = Kept(partial(_before, self.members, config), keep)

    def __reduce__(self) -> tuple[Any, ...]:
        return Befores, (self.members, self._config, self._keep)

    def of(self, factor: int, grid: Grid) -> Before:
        """Return the baseline of the scenes compared at `factor`, on a part of that grid."""
        return self._kept.of((factor, grid))

    def quality_of(self, scene_id: str, factor: int, grid: Grid) -> NDArray[np.uint16] | None:
        """Return the quality of a baseline's scene, if it is at hand without building that baseline here."""
        before = self._kept.at_hand((factor, grid))
        return None if before is None else before.quality.get(scene_id)


def _before(members: Sequence[Member], config: Config, key: tuple[int, Grid]) -> Before:
    return build_baseline(members, *key, config)


def build_baseline(members: Sequence[Member], factor: int, grid: Grid, config: Config) -> Before:
    """Return the baseline on a grid, from the baseline scenes of its own resolution or, failing those, finer ones."""
    usable = [m for m in members if m.is_baseline and m.reason is None and m.factor <= factor]
    same = [m for m in usable if m.factor == factor] or usable
    bands = [b for b in compared_bands(same[0].scene) if all(b in m.scene.bands for m in same)]
    rasters = [read_member(m, grid, config, bands) for m in same]
    anchor = rasters[int(np.argmax([r.clear_fraction for r in rasters]))]
    alike, ranges = zip(*(_brought_to(anchor, raster, config) for raster in rasters), strict=True)
    shown = shared_range(ranges)
    quality = {
        m.scene.id: r.quality
        for m, r in zip(same, rasters, strict=True)
        if m.compared == factor and tuple(bands) == compared_bands(m.scene)
    }
    return Before(fit_baseline(clip_alike(alike, shown), config.baseline), anchor, quality, shown)


def _brought_to(anchor: Raster, raster: Raster, config: Config) -> tuple[Raster, NDArray[np.float64]]:
    """Return a raster in the anchor's radiometry, and what it could show of it."""
    shown = shown_range(raster)
    if raster is anchor:
        return raster, shown
    gain = estimate_gain(raster, anchor, config.normalize)
    return apply_gain(raster, gain), through_gain(shown, gain, raster.bands)


def list_members(
    members: Sequence[Member],
    aoi: Aoi,
    grid: Grid,
    config: Config,
    runner: Runner,
    left_out: Sequence[tuple[Scene, str]] = (),
) -> list[dict[str, Any]]:
    """Return one row per scene: what it is, how much of the AOI it shows, its shift, and whether it can be used.

    Scenes that are left out, each with its reason, are listed among the others.
    """
    reference = choose_reference(members, grid, config, runner)
    registered = register_members(members, reference, grid, config, runner)
    area = to_crs(aoi.geometry, grid.crs)
    clear = runner.map(partial(_clear_share_of, area=area, grid=grid, config=config), list(members))
    rows = [_row(member, fraction) for member, fraction in zip(registered, clear, strict=True)]
    rows += [_row(leave_out(Member(scene, False, 1, 1), reason), None) for scene, reason in left_out]
    return sorted(rows, key=lambda row: (row["datetime"], row["id"]))


def _clear_share_of(member: Member, area: BaseGeometry, grid: Grid, config: Config) -> float:
    coarser = max(1, max(grid.shape) // (member.factor * _SHARE_PX))
    raster = read_member(member, grid.coarsen(member.factor * coarser), config)
    inside = geometry_mask([area], raster.grid.shape, raster.grid.transform, invert=True)
    seen_m2 = float((raster.valid & inside).sum()) * raster.grid.gsd_m**2
    return float(min(1.0, seen_m2 / area.area))


def _row(member: Member, clear_fraction: float | None) -> dict[str, Any]:
    scene, warp = member.scene, member.warp or Warp("reference")
    return {
        "id": scene.id,
        "datetime": to_iso(scene.acquired),
        "local_day": solar_day(scene.acquired, scene.footprint.centroid.x).isoformat(),
        "sensor": scene.sensor,
        "gsd_m": scene.gsd_m or None,
        "sun_elevation_deg": scene.sun_elevation_deg,
        "clear_fraction": None if clear_fraction is None else round(clear_fraction, 4),
        "dx_m": warp.dx_m if warp.usable else None,
        "dy_m": warp.dy_m if warp.usable else None,
        "ce90_m": warp.ce90_m,
        "usable": member.reason is None,
        "reason": member.reason,
        "baseline": member.is_baseline,
        "cautions": list(scene.cautions),
    }

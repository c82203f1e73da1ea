"""The stack: a series' scenes registered to one reference and read on the grids they are compared on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import Any

import numpy as np
from rasterio.features import geometry_mask
from shapely.geometry.base import BaseGeometry

from changedetect.blocks import Runner
from changedetect.config import Config, sensors
from changedetect.core.aoi import Aoi
from changedetect.core.comparable import is_radar, why_not_compared
from changedetect.core.geometry import to_crs
from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.core.results import Baseline, Warp
from changedetect.core.scene import Scene
from changedetect.core.times import to_iso
from changedetect.errors import ChangeDetectError, DataError, NothingToDoError, RegistrationError
from changedetect.io.read import read
from changedetect.steps.baseline import fit_baseline
from changedetect.steps.mask import buffer_mask
from changedetect.steps.normalize import apply_gain, estimate_gain
from changedetect.steps.register import Reference, estimate_shift, prepare_reference

COMPARED_BANDS = ("coastal", "blue", "green", "red", "rededge", "nir", "swir16", "swir22", "pan", "gray", "vv", "vh")
"""Bands that are differenced, where both scenes have them."""

COARSER = 1.5
"""A scene this many times coarser than the grid is compared on a grid of its own."""

MIN_CLEAR = 0.02
"""Below this clear share of the grid a scene shows nothing that could be registered."""

_BYTES_PER_BAND, _BYTES_PER_LOOK = 40.0, 8.0


@dataclass(frozen=True, slots=True)
class Member:
    """A scene of a series with its place in it."""

    scene: Scene
    is_baseline: bool
    factor: int
    """Pixel size of its own grid over that of the base grid."""
    compared: int
    """Factor of the grid it is compared on: the coarser of its own and the baseline's."""
    warp: Warp | None = None
    reason: str | None = None
    """Why it is not used, None while it is."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A registered series."""

    grid: Grid
    members: tuple[Member, ...]
    reference: Member
    baselines: dict[int, tuple[Baseline, Raster]]
    """By factor: the baseline and the reference raster whose radiometry it has."""


def plan_members(scenes: Sequence[Scene], grid: Grid, is_baseline: Sequence[bool]) -> list[Member]:
    """Return each scene with its place in the series; until registered, its own grid is the one it is compared on."""
    factors = [_factor(scene, grid) for scene in scenes]
    return [Member(scene, base, k, k) for scene, k, base in zip(scenes, factors, is_baseline, strict=True)]


def choose_grids(members: Sequence[Member]) -> tuple[Member, ...]:
    """Return members with the grid each is compared on: the coarser of its own and that of the baseline that suits it.

    Only baseline scenes that could be registered count: a fine one under cloud leaves the coarse one to compare with.
    """
    usable = sorted({member.factor for member in members if member.is_baseline and member.reason is None})
    return tuple(replace(m, compared=min(max(m.factor, other) for other in usable)) for m in members)


def _factor(scene: Scene, grid: Grid) -> int:
    ratio = scene.gsd_m / grid.gsd_m
    return max(1, round(ratio)) if ratio > COARSER else 1


def read_member(member: Member, grid: Grid, config: Config, bands: Sequence[str] | None = None) -> Raster:
    """Return a member's pixels on `grid`, resampled once, its warp included, and kept away from clouds."""
    wanted = bands or compared_bands(member.scene)
    raster = read(member.scene, grid, wanted, warp=member.warp, params=config.read, sensors=sensors())
    return buffer_mask(raster, config.mask)


def compared_bands(scene: Scene) -> tuple[str, ...]:
    """Return the bands of a scene that are differenced, in the order of `COMPARED_BANDS`; else all it has."""
    known = tuple(band for band in COMPARED_BANDS if band in scene.bands)
    return known or scene.bands


def require_memory(members: Sequence[Member], grid: Grid, workers: int, available_bytes: float) -> None:
    """Raise `DataError` unless the job should fit: what workers and baselines hold, and what is kept of looks.

    The numbers are measured: 0.39 GB per million pixels of 4 bands with 2 workers.
    """
    rows, cols = grid.shape
    bands = max(len(compared_bands(member.scene)) for member in members)
    needed = rows * cols * (_BYTES_PER_BAND * bands * (0.6 + workers) + _BYTES_PER_LOOK * len(members))
    if needed > available_bytes:
        fits_m = grid.gsd_m * (needed / available_bytes) ** 0.5
        raise DataError(
            "the job would not fit in memory",
            found=f"{needed / 1e9:.1f} GB for {rows} x {cols} pixels of {grid.gsd_m:g} m in {bands} bands",
            needed=f"at most {available_bytes / 1e9:.1f} GB",
            hint=f"a smaller geometry, --workers 1, or --set grid.gsd_m={fits_m:.2g}",
        )


def choose_reference(members: Sequence[Member], grid: Grid, config: Config, runner: Runner) -> Member:
    """Return the baseline's scene that everything is registered to: tied to the ground, the finest, the clearest.

    Raises
    ------
    NothingToDoError
        Nothing of the AOI is clear on any baseline scene.
    """
    candidates = [member for member in members if member.is_baseline]
    clear = list(runner.map(partial(_clear_fraction, grid=grid, config=config), candidates))
    if max(clear) < MIN_CLEAR:
        raise NothingToDoError(
            "nothing of the AOI is clear on any baseline scene",
            found=f"at most {max(clear):.0%} clear on {len(candidates)} scenes",
            hint="a later baseline.until, or scenes with less cloud",
        )
    return best_reference(candidates, clear)


def best_reference(candidates: Sequence[Member], clear: Sequence[float]) -> Member:
    """Return the candidate, of those at least half as clear as the clearest, that the others are best registered to.

    Optical before radar, tied to the ground before not: radar would leave all optical scenes out, and what nothing ties
    down would pull them off the ground. Then the finest, the clearest, the first.
    """

    def rank(pair: tuple[Member, float]) -> tuple[bool, bool, int, float, Any]:
        member, share = pair
        return is_radar(member.scene), not member.scene.is_placed, member.factor, -share, member.scene.acquired

    usable = [pair for pair in zip(candidates, clear, strict=True) if pair[1] >= max(clear) / 2]
    return min(usable, key=rank)[0]


def _clear_fraction(member: Member, grid: Grid, config: Config) -> float:
    return read_member(member, grid.coarsen(member.factor), config).clear_fraction


Pairing = tuple[int, tuple[str, ...]]
"""Factor of the grid on which a scene is matched to the reference, and the bands they share."""


def pair_with(member: Member, reference: Member) -> Pairing:
    """Return on which grid and in which bands a scene is matched to the reference; no bands if they share none."""
    common = tuple(band for band in compared_bands(reference.scene) if band in member.scene.bands)
    return max(member.factor, reference.factor), common


def prepare_references(
    members: Sequence[Member], reference: Member, grid: Grid, config: Config
) -> dict[Pairing, Reference]:
    """Return the reference made ready for every grid and set of bands that the other scenes need, read once each."""
    others = [member for member in members if member.scene.id != reference.scene.id]
    needed = sorted({pair_with(member, reference) for member in others})
    still, sharp = replace(reference, warp=None), _sharpened(config)
    return {
        (factor, bands): prepare_reference(
            read_member(still, grid.coarsen(factor), sharp, bands), bands, config.register
        )
        for factor, bands in needed
        if bands
    }


def register_member(
    member: Member, reference: Member, grid: Grid, config: Config, prepared: Mapping[Pairing, Reference]
) -> Member:
    """Return the member with its warp to the reference, or with the reason why it has none."""
    if member.scene.id == reference.scene.id:
        return replace(member, warp=Warp("reference"))
    reason = why_not_compared(member.scene, reference.scene) or _why_not_baseline(member, reference)
    if reason is not None:
        return _unused(member, reason)
    factor, common = pair_with(member, reference)
    if not common:
        found, needed = ", ".join(member.scene.bands), ", ".join(compared_bands(reference.scene))
        return _unused(member, f"no band in common with the reference ({found} against {needed})")
    moving = read_member(member, grid.coarsen(factor), _sharpened(config), common)
    if moving.clear_fraction < MIN_CLEAR:
        return _unused(member, f"obscured: {moving.clear_fraction:.0%} of the area is clear")
    warp = estimate_shift(moving, prepared[factor, common], config.register)
    return replace(member, warp=warp, reason=None if warp.usable else f"registration abstained: {warp.reason}")


def _why_not_baseline(member: Member, reference: Member) -> str | None:
    """Return why a baseline scene cannot be averaged with the reference: its numbers mean something else."""
    if not member.is_baseline or member.scene.unit == reference.scene.unit or is_radar(member.scene):
        return None
    return f"left out of the baseline: its numbers are {member.scene.unit}, the reference's {reference.scene.unit}"


def _sharpened(config: Config) -> Config:
    """Return the settings with which scenes are read to be registered.

    A cubic kernel pulls fine texture towards whole pixels, by up to .06 px of the whole scene; one of eight taps less.
    """
    return replace(config, read=replace(config.read, resampling="lanczos"))


def _unused(member: Member, reason: str) -> Member:
    return replace(member, warp=Warp("abstained", reason=reason), reason=reason)


def register_members(
    members: Sequence[Member], reference: Member, grid: Grid, config: Config, runner: Runner
) -> list[Member]:
    """Return every member with its warp to the reference, or with the reason why it has none."""
    prepared = prepare_references(members, reference, grid, config)
    work = partial(register_member, reference=reference, grid=grid, config=config, prepared=prepared)
    return list(runner.map(work, list(members)))


def build_stack(members: Sequence[Member], grid: Grid, config: Config, runner: Runner) -> Stack:
    """Return the series registered to one reference scene, with a baseline for each grid that is compared on.

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
    baselines = {k: build_baseline(registered, k, grid.coarsen(k), config) for k in factors}
    return Stack(grid, registered, reference, baselines)


def require_usable(members: Sequence[Member]) -> None:
    """Raise, saying why, unless some scene after the baseline can be compared."""
    after = [m for m in members if not m.is_baseline]
    if not after or any(m.reason is None for m in after):
        return
    reasons = sorted({m.reason for m in after if m.reason})
    kind: type[ChangeDetectError] = RegistrationError
    if all("no band in common" in reason or reason.startswith("not comparable") for reason in reasons):
        kind = DataError
    elif all(reason.startswith("obscured") for reason in reasons):
        kind = NothingToDoError
    stated = [m.warp.diagnostics["ce90_px"] for m in after if m.warp and "ce90_px" in m.warp.diagnostics]
    inexact = bool(stated) and any("CE90" in reason for reason in reasons)
    raise kind(
        "no scene after the baseline can be compared",
        found=f"{len(after)} scenes: {'; '.join(reasons[:3])}",
        hint=f"--set register.max_ce90_px={ceil(2 * min(stated)) / 2:g} compares them less sharply" if inexact else "",
    )


def build_baseline(members: Sequence[Member], factor: int, grid: Grid, config: Config) -> tuple[Baseline, Raster]:
    """Return the baseline on a grid, from the baseline scenes of its own resolution or, failing those, finer ones."""
    usable = [m for m in members if m.is_baseline and m.reason is None and m.factor <= factor]
    same = [m for m in usable if m.factor == factor] or usable
    bands = [b for b in compared_bands(same[0].scene) if all(b in m.scene.bands for m in same)]
    rasters = [read_member(m, grid, config, bands) for m in same]
    anchor = rasters[int(np.argmax([r.clear_fraction for r in rasters]))]
    alike = [r if r is anchor else apply_gain(r, estimate_gain(r, anchor, config.normalize)) for r in rasters]
    return fit_baseline(alike, config.baseline), anchor


def list_members(
    members: Sequence[Member], aoi: Aoi, grid: Grid, config: Config, runner: Runner
) -> list[dict[str, Any]]:
    """Return one row per scene: what it is, how much of the AOI it shows, its shift, and whether it can be used."""
    reference = choose_reference(members, grid, config, runner)
    registered = register_members(members, reference, grid, config, runner)
    area = to_crs(aoi.geometry, grid.crs)
    clear = runner.map(partial(_clear_share_of, area=area, grid=grid, config=config), list(members))
    return [_row(member, fraction) for member, fraction in zip(registered, clear, strict=True)]


def _clear_share_of(member: Member, area: BaseGeometry, grid: Grid, config: Config) -> float:
    raster = read_member(member, grid.coarsen(member.factor), config)
    inside = geometry_mask([area], raster.grid.shape, raster.grid.transform, invert=True)
    seen_m2 = float((raster.valid & inside).sum()) * raster.grid.gsd_m**2
    return float(min(1.0, seen_m2 / area.area))


def _row(member: Member, clear_fraction: float) -> dict[str, Any]:
    scene, warp = member.scene, member.warp or Warp("reference")
    return {
        "id": scene.id,
        "datetime": to_iso(scene.acquired),
        "sensor": scene.sensor,
        "gsd_m": scene.gsd_m,
        "sun_elevation_deg": scene.sun_elevation_deg,
        "clear_fraction": round(clear_fraction, 4),
        "dx_m": warp.dx_m if warp.usable else None,
        "dy_m": warp.dy_m if warp.usable else None,
        "ce90_m": warp.ce90_m,
        "usable": member.reason is None,
        "reason": member.reason,
        "baseline": member.is_baseline,
        "cautions": list(scene.cautions),
    }

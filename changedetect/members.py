"""Members of a series: scenes read on its grid, and registered to the one that all are registered to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from changedetect.blocks import Runner
from changedetect.config import Config, sensors
from changedetect.core.comparable import COMPARED_BANDS, is_radar, why_not_compared
from changedetect.core.grid import Grid
from changedetect.core.kept import Kept
from changedetect.core.raster import Raster
from changedetect.core.results import Warp
from changedetect.core.scene import Scene
from changedetect.errors import NothingToDoError
from changedetect.io.read import read
from changedetect.steps.explain import View, lean_px
from changedetect.steps.mask import buffer_mask
from changedetect.steps.register import (
    Reference,
    estimate_shift,
    join_warps,
    part_params,
    prepare_reference,
    sample_parts,
)

COARSER = 1.5
"""A scene this many times coarser than the grid is compared on a grid of its own."""

_LENT_PX = 5_000_000
"""Scenes of more pixels are not kept for their windows."""

MIN_CLEAR = 0.02
"""Below this clear share of the grid a scene shows nothing that could be registered."""


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


def plan_members(scenes: Sequence[Scene], grid: Grid, is_baseline: Sequence[bool]) -> list[Member]:
    """Return each scene with its place in the series; until registered, its own grid is the one it is compared on."""
    factors = [_factor(scene, grid) for scene in scenes]
    return [Member(scene, base, k, k) for scene, k, base in zip(scenes, factors, is_baseline, strict=True)]


def _factor(scene: Scene, grid: Grid) -> int:
    ratio = scene.gsd_m / grid.gsd_m
    return max(1, round(ratio)) if ratio > COARSER else 1


def read_member(member: Member, grid: Grid, config: Config, bands: Sequence[str] | None = None) -> Raster:
    """Return a member's pixels on `grid`, resampled once, its warp included, and kept away from clouds."""
    wanted = bands or compared_bands(member.scene)
    return buffer_mask(_read_unbuffered(member, grid, config, wanted), config.mask)


def _read_unbuffered(member: Member, grid: Grid, config: Config, bands: Sequence[str]) -> Raster:
    return read(member.scene, grid, bands, warp=member.warp, params=config.read, sensors=sensors())


class Windows:
    """Members' pixels for pictures, as `read_member` returns them: a scene shown whole lends its pixels to its windows.

    Scenes are kept when they are asked for whole, the latest of them, unless they are large.
    """

    def __init__(self, members: Sequence[Member], grid: Grid, config: Config, keep: int = 3) -> None:
        self._grid, self._config = grid, config
        self._members = {member.scene.id: member for member in members}
        self._kept: Kept[tuple[str, tuple[str, ...]], Raster] = Kept(self._read_whole, keep)

    def of(self, member: Member, grid: Grid, bands: Sequence[str] | None = None) -> Raster:
        """Return a member's pixels on `grid`, resampled once, and kept away from clouds."""
        whole, key = self._grid.coarsen(member.factor), (member.scene.id, tuple(bands or compared_bands(member.scene)))
        raster = None
        if whole.shape[0] * whole.shape[1] <= _LENT_PX and whole.contains(grid):
            raster = self._kept.of(key) if grid.shape == whole.shape else self._kept.at_hand(key)
        if raster is None:
            return read_member(member, grid, self._config, bands)
        row, col = whole.offset_of(grid)
        part = raster.crop(slice(row, row + grid.shape[0]), slice(col, col + grid.shape[1]))
        return buffer_mask(replace(part, grid=grid), self._config.mask)

    def _read_whole(self, key: tuple[str, tuple[str, ...]]) -> Raster:
        member = self._members[key[0]]
        return _read_unbuffered(member, self._grid.coarsen(member.factor), self._config, key[1])


def compared_bands(scene: Scene) -> tuple[str, ...]:
    """Return the bands of a scene that are differenced, in the order of `COMPARED_BANDS`; else all it has."""
    known = tuple(band for band in COMPARED_BANDS if band in scene.bands)
    return known or scene.bands


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
    """Return the clear share of a scene, of large ones on the parts that are registered."""
    parts = sample_parts(grid.coarsen(member.factor), config.register)
    first = compared_bands(member.scene)[:1]  # what is clear is the same in all bands, but for gaps in single ones
    return float(np.mean([read_member(member, part, config, first).clear_fraction for part in parts]))


Pairing = tuple[int, tuple[str, ...]]
"""Factor of the grid on which a scene is matched to the reference, and the bands they share."""


def pair_with(member: Member, reference: Member) -> Pairing:
    """Return on which grid and in which bands a scene is matched to the reference; no bands if they share none."""
    common = tuple(band for band in compared_bands(reference.scene) if band in member.scene.bands)
    return max(member.factor, reference.factor), common


class References:
    """The reference made ready to be matched to, on each part and in each pairing a scene needs, read once each."""

    def __init__(self, members: Sequence[Member], reference: Member, config: Config, parts: int = 3) -> None:
        self._inputs = members, reference, config, parts
        others = [member for member in members if member.scene.id != reference.scene.id]
        self.pairings = sorted(pairing for pairing in {pair_with(m, reference) for m in others} if pairing[1])
        keep = parts * max(1, len(self.pairings))
        self._kept: Kept[tuple[Grid, Pairing], Reference] = Kept(partial(_prepare, reference, config), keep)

    def __reduce__(self) -> tuple[Any, ...]:
        return References, self._inputs

    def of(self, grid: Grid, pairing: Pairing) -> Reference:
        """Return the reference on a part of the grid."""
        return self._kept.of((grid, pairing))

    def make_ready(self, grid: Grid) -> None:
        """Make all that will be asked for on a part of the grid."""
        for pairing in self.pairings:
            self.of(grid, pairing)


def _prepare(reference: Member, config: Config, key: tuple[Grid, Pairing]) -> Reference:
    grid, (factor, bands) = key
    raster = read_member(replace(reference, warp=None), grid.coarsen(factor), _sharpened(config), bands)
    return prepare_reference(raster, bands, config.register)


def register_member(piece: tuple[Grid, Member], reference: Member, config: Config, references: References) -> Member:
    """Return the member with its warp to the reference on a part of the grid, or with the reason why it has none."""
    grid, member = piece
    if member.reason is not None:
        return member
    if member.scene.id == reference.scene.id:
        references.make_ready(grid)  # while the first of the others is read
        return replace(member, warp=Warp("reference"))
    reason = why_not_compared(member.scene, reference.scene) or _why_not_baseline(member, reference)
    if reason is not None:
        return leave_out(member, reason)
    factor, common = pair_with(member, reference)
    if not common:
        found, needed = ", ".join(member.scene.bands), ", ".join(compared_bands(reference.scene))
        return leave_out(member, f"no band in common with the reference ({found} against {needed})")
    moving = read_member(member, grid.coarsen(factor), _sharpened(config), common)
    if moving.clear_fraction < MIN_CLEAR:
        return leave_out(member, f"obscured: {moving.clear_fraction:.0%} of the area is clear")
    leaning = lean_px(View.of(member.scene), View.of(reference.scene), moving.grid.gsd_m)
    warp = estimate_shift(moving, references.of(grid, (factor, common)), config.register, leaning)
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


def leave_out(member: Member, reason: str) -> Member:
    """Return the member with the reason why it is not used."""
    return replace(member, warp=Warp("abstained", reason=reason), reason=reason)


def register_members(
    members: Sequence[Member], reference: Member, grid: Grid, config: Config, runner: Runner
) -> list[Member]:
    """Return every member with its warp to the reference, or with the reason why it has none.

    On a large grid parts of it are registered, and joined.
    """
    parts = sample_parts(grid, config.register)
    local = replace(config, register=part_params(config.register)) if len(parts) > 1 else config
    references = References(members, reference, local, parts=runner.workers + 1)
    work = partial(register_member, reference=reference, config=local, references=references)
    done = list(runner.map(work, [(part, member) for part in parts for member in members]))
    if len(parts) == 1:
        return done
    return [_joined(done[k :: len(members)], parts, grid, config) for k in range(len(members))]


def _joined(of_member: Sequence[Member], parts: Sequence[Grid], grid: Grid, config: Config) -> Member:
    """Return a member whose warp is that of its parts."""
    first = of_member[0]
    if all(m.warp is None or m.warp.status == "reference" for m in of_member):
        return first
    warps = [m.warp if m.warp is not None else Warp("abstained", m.reason) for m in of_member]
    warp = join_warps(warps, parts, grid, config.register)
    if warp.usable:
        return replace(first, warp=warp, reason=None)
    same = {m.reason for m in of_member}
    # what holds of every part, such as bands that are not shared, is the whole's reason in the same words
    reason = first.reason if len(same) == 1 else f"registration abstained: {warp.reason}"
    return replace(first, warp=warp, reason=reason)

"""Make the pictures of the documentation again, from simulated scenes: python scripts/docs_pictures.py [PART...].

Parts are ground, airfield, parade and port; without a part all are made, in a few minutes. Each picture is one panel,
narrow enough for a telephone, that says place, date, sensor, scale and SIMULATED.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image
from shapely.geometry.base import BaseGeometry

from changedetect import pipeline
from changedetect.blocks import open_runner
from changedetect.config import Config
from changedetect.core.grid import Grid
from changedetect.core.progress import SilentProgress
from changedetect.core.raster import Raster
from changedetect.core.run import RunResults
from changedetect.examine import compare_scene
from changedetect.gather import RunOptions, gathered, load_place
from changedetect.members import Member, read_member
from changedetect.provenance import Stopwatch
from changedetect.report import figures, images
from changedetect.report.quicklooks import chip_scene
from changedetect.stack import Stack, build_baseline

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"

PARTS = {
    "ground": (
        *("registration-before", "registration-after"),
        *("normalisation-reference", "normalisation-delivered", "normalisation-applied"),
        *("score-before", "score-after", "score"),
        *("detection-score", "detection-outlines"),
        *("linking-1", "linking-2", "linking-3", "linking-4"),
        *("class-trench", "class-hut", "class-equipment"),
    ),
    "airfield": ("class-aircraft",),
    "parade": ("class-crowd",),
    "port": ("class-vessel", "counting-timeline", "counting-clear", "counting-cloud"),
}
"""The pictures of each part."""

Pictures = Iterator[tuple[str, Image.Image]]

_CALIBRATION = ("simulate.gain_spread=0.3", "simulate.shift_px=4")
"""Worse than usual, so that the eye can see what is put right."""


@dataclass(frozen=True)
class Told:
    """A run with what lies between its scenes and its outputs."""

    name: str
    stack: Stack
    config: Config
    results: RunResults

    def member(self, scene_id: str) -> Member:
        """Return a scene of the run."""
        return next(member for member in self.stack.members if member.scene.id == scene_id)

    def frame(self, view: Image.Image, title: str, member: Member) -> Image.Image:
        """Return a panel of a scene."""
        return figures.frame(view, title, figures.caption(self.name, member.scene), simulated=member.scene.simulated)


@contextmanager
def told(aoi: str, *sets: str) -> Iterator[Told]:
    """Run a shipped place, smaller, without writing its outputs."""
    options = RunOptions(sets=sets)
    place, config = load_place(ROOT / "aoi" / f"{aoi}.yaml", options)
    watch = Stopwatch(SilentProgress())
    with open_runner(1, None) as runner, gathered(place, options, watch.progress) as series:
        stack = pipeline.register_series(series, config, runner, watch)
        zones = pipeline.project_zones(series.aoi, stack.grid.crs)
        examined = pipeline.examine_series(stack, series.aoi, zones, config, runner, watch)
        yield Told(place.name, stack, config, pipeline.tell_story(series, stack, examined, zones, config, watch))


def window(run: Told, around: BaseGeometry, side_m: float) -> Grid:
    """Return a square of the run's grid around something."""
    grid, half = run.stack.grid, side_m / 2
    x, y = around.centroid.x, around.centroid.y
    left, bottom, right, top = grid.bounds
    x, y = min(max(x, left + half), right - half), min(max(y, bottom + half), top - half)
    return Grid.from_bounds(grid.crs, (x - half, y - half, x + half, y + half), grid.gsd_m)


def look(run: Told, member: Member, grid: Grid, *, warped: bool = True) -> Raster:
    """Return a scene on a window, as delivered where it is not to be `warped`."""
    return read_member(member if warped else replace(member, warp=None), grid, run.config)


def cut(raster: Raster, grid: Grid) -> Raster:
    """Return the part of a raster that a window shows."""
    row, col = raster.grid.offset_of(grid)
    return raster.crop(slice(row, row + grid.shape[0]), slice(col, col + grid.shape[1]))


def ground() -> Pictures:
    """Yield how a training ground is compared."""
    with told("sergeyevka", "simulate.seed=101", "simulate.size_m=260", "simulate.n_scenes=4", *_CALIBRATION) as run:
        changes = run.results.changes
        trench = changes[changes["class"] == "trench"].sort_values("confidence").iloc[-1]
        after = run.member(chip_scene(trench, "after", run.results.scene_records)["id"])
        reference = run.stack.reference
        yield from _registration(run, reference, after)
        yield from _comparison(run, reference, after, window(run, trench["geometry"], 120.0))
        yield from _linking(run, trench)
        for kind in ("trench", "hut", "equipment"):
            yield f"class-{kind}", _one_of(run, kind, 70.0)


def _registration(run: Told, reference: Member, after: Member) -> Pictures:
    grid = window(run, run.stack.grid.extent, 110.0)
    before = look(run, reference, grid)
    shift = (after.warp.dx_m**2 + after.warp.dy_m**2) ** 0.5
    said = f"{figures.caption(run.name, reference.scene)} in red, {after.scene.acquired:%Y-%m-%d} in cyan"
    for name, title, warped in (
        ("registration-before", f"as delivered: {shift:.1f} m off", False),
        ("registration-after", f"registered: CE90 {after.warp.ce90_m:.2f} m", True),
    ):
        view = figures.draw_overlay(before, look(run, after, grid, warped=warped))
        yield name, figures.frame(view, title, said, simulated=True)


def _comparison(run: Told, reference: Member, after: Member, grid: Grid) -> Pictures:
    before = build_baseline(run.stack.members, after.compared, run.stack.grid, run.config)
    pair = compare_scene(after, run.stack.grid, before, run.config)
    before, delivered, alike = look(run, reference, grid), look(run, after, grid), cut(pair.raster, grid)
    stretch = images.common_stretch([before], images.shown_bands([before]))
    photo = figures.draw_photo
    yield "normalisation-reference", run.frame(photo(before, stretch), "the reference", reference)
    yield "normalisation-delivered", run.frame(photo(delivered, stretch), "later, as delivered", after)
    yield "normalisation-applied", run.frame(photo(alike, stretch), "later, normalised", after)
    yield "score-before", run.frame(photo(before, stretch), "before", reference)
    yield "score-after", run.frame(photo(alike, stretch), "after", after)
    score = cut(pair.score, grid)
    yield "score", run.frame(figures.draw_score(score), "change in sigma", after)
    detections = run.results.detections
    here = detections[(detections["scene_id"] == after.scene.id) & detections.intersects(grid.extent)]
    outlines = list(zip(here.geometry, here["class"], strict=True))
    strong = figures.draw_score(score, limit_sigma=2 * run.config.detect.seed_sigma)
    for shape, kind in outlines:
        images.draw_outline(strong, shape, grid, images.CLASS_COLOURS[kind], 2)
    yield "detection-score", run.frame(strong, "what is strong enough", after)
    yield "detection-outlines", run.frame(photo(alike, stretch, outlines), "cut out and named", after)


def _linking(run: Told, change: Mapping[str, Any]) -> Pictures:
    states = {pd.Timestamp(time): state for time, state in change["looks"]}
    grid = window(run, change["geometry"], 80.0)
    for number, member in enumerate(run.stack.members, start=1):
        raster = look(run, member, grid)
        state = states.get(pd.Timestamp(member.scene.acquired), "baseline")
        outlines = [(change["geometry"], change["class"])] if state == "present" else []
        yield (
            f"linking-{number}",
            run.frame(figures.draw_photo(raster, None, outlines), f"look {number}: {state}", member),
        )


def airfield() -> Pictures:
    """Yield an aircraft."""
    with told("sunan", "simulate.n_scenes=3") as run:
        yield "class-aircraft", _one_of(run, "aircraft", 240.0)


def parade() -> Pictures:
    """Yield people in formation."""
    with told("khabarovsk", "simulate.n_scenes=3") as run:
        yield "class-crowd", _one_of(run, "crowd", 90.0)


def _one_of(run: Told, kind: str, side_m: float) -> Image.Image:
    found = run.results.changes[run.results.changes["class"] == kind]
    change = found.sort_values(["confidence", "area_m2"]).iloc[-1]
    member = run.member(chip_scene(change, "after", run.results.scene_records)["id"])
    grid = window(run, change["geometry"], side_m).coarsen(1)
    raster = look(run, member, grid)
    count = "" if pd.isna(change["count"]) or change["count"] == 1 else f" x {change['count']}"
    sizes = f"{change['length_m']:.0f} x {change['width_m']:.0f} m"
    view = figures.draw_photo(raster, None, [(change["geometry"], kind)])
    return run.frame(view, f"{kind}{count}, {sizes}", member)


def port() -> Pictures:
    """Yield how ships at piers are counted."""
    with told("rason", "simulate.n_scenes=30", "simulate.n_days=6") as run:
        yield "class-vessel", _one_of(run, "vessel", 420.0)
        activity = run.results.activity
        piers = activity[activity["zone"] != run.name]
        title = f"{run.name}: ships per look at each pier"
        yield "counting-timeline", figures.draw_timeline(piers, "vessel", title, simulated=True, width_px=480)
        ships = piers[piers["class"] == "vessel"]
        clear = ships[(ships["status"] == "clear") & (ships["count"] > 0)].iloc[0]
        hidden = ships[(ships["status"] != "clear") & (ships["clear_fraction"] < 0.8)].sort_values("clear_fraction")
        zones = pipeline.project_zones(run.results.aoi, run.stack.grid.crs).set_index("name").geometry
        for name, row in (("counting-clear", clear), ("counting-cloud", hidden.iloc[0])):
            member = run.member(row["scene_id"])
            raster = look(run, member, window(run, zones[row["zone"]], 700.0))
            seen = f"{row['clear_fraction']:.0%} seen"
            count = "unknown" if pd.isna(row["count"]) else f"{row['count']} ship{'' if row['count'] == 1 else 's'}"
            view = figures.draw_photo(raster, None, [(zones[row["zone"]], "other")])
            yield name, run.frame(view, f"{row['zone']}: {count}, {seen}", member)


def save(name: str, picture: Image.Image, folder: Path = FOLDER) -> Path:
    """Write a picture, small enough for a page of many."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.webp"
    picture.save(path, quality=82, method=6)
    return path


if __name__ == "__main__":
    makers = {"ground": ground, "airfield": airfield, "parade": parade, "port": port}
    wanted = sys.argv[1:] or list(makers)
    if unknown := [part for part in wanted if part not in makers]:
        sys.exit(f"no such part: {', '.join(unknown)}; there are {', '.join(makers)}")
    for part in wanted:
        for name, picture in makers[part]():
            path = save(name, picture)
            print(f"{path.relative_to(ROOT)}  {path.stat().st_size // 1000} kB")

"""What is written beside the tables: pictures of the changes, the page that shows all, and a simulation's truth."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from changedetect.config import Config
from changedetect.core.comparable import colours_of
from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.core.run import RunResults
from changedetect.errors import DataError
from changedetect.gather import Series
from changedetect.io.whole import whole_file
from changedetect.io.write_geojson import write_geojson
from changedetect.io.write_json import write_json
from changedetect.members import Member, Windows
from changedetect.report.overview import draw_overview, overview_grid, overview_scene
from changedetect.report.page.assemble import write_page
from changedetect.report.page.imagery import Sources, write_imagery
from changedetect.report.page.outputs import load_outputs, read_json
from changedetect.report.quicklooks import Which, chip_grid, chip_scene, draw_quicklooks
from changedetect.report.review import (
    Merged,
    ReviewFile,
    collect_reviews,
    load_review,
    merge_reviews,
    to_review_file,
)
from changedetect.stack import Stack

logger = logging.getLogger(__name__)

KEPT_REVIEWS = "review.json"
"""In an output folder: reviews of changes that are no longer found."""


class Remade(NamedTuple):
    """What making the report again did."""

    page: Path
    merged: Merged | None
    """None without a review."""


def picture_writers(stack: Stack, results: RunResults, config: Config, windows: Windows) -> list[Callable[[Path], Any]]:
    """Return the writers of pictures, none of which needs another's: the longest first, for threads to share."""
    members = {member.scene.id: member for member in stack.members}
    writers = [_write_imagery] if config.write.report else []
    writers += [_write_overview, _write_quicklooks]
    return [partial(write, members=members, windows=windows, results=results, config=config) for write in writers]


def extra_writers(series: Series, config: Config) -> list[Callable[[Path], Any]]:
    """Return the writers of the page that shows the pictures and, for simulated scenes, of what was planted."""
    writers: list[Callable[[Path], Any]] = [write_page] if config.write.report else []
    if series.truth is not None:
        writers.append(partial(_copy_truth, series.truth))
    return writers


def _write_quicklooks(
    folder: Path, members: Mapping[str, Member], windows: Windows, results: RunResults, config: Config
) -> None:
    bands = colours_of(member.scene for member in members.values())

    def window(change: Mapping[str, Any], which: Which) -> Raster | None:
        record = chip_scene(change, which, results.scene_records)
        if record is None:
            return None
        return windows.of(members[record["id"]], chip_grid(change, results.grid, config.write), bands)

    draw_quicklooks(folder, results, window, config.write)


def _write_overview(
    folder: Path, members: Mapping[str, Member], windows: Windows, results: RunResults, config: Config
) -> None:
    record = overview_scene(results)
    if record is not None:
        member = members[record["id"]]
        image = windows.of(member, overview_grid(results, config.write), colours_of([member.scene]))
        draw_overview(folder, results, image, config.write)


def _write_imagery(
    folder: Path, members: Mapping[str, Member], windows: Windows, results: RunResults, config: Config
) -> None:
    def look(scene_id: str, grid: Grid) -> Raster:
        return windows.of(members[scene_id], grid, colours_of([members[scene_id].scene]))

    def chip(change: Mapping[str, Any], which: Which, grid: Grid) -> Raster | None:
        record = chip_scene(change, which, results.scene_records)
        if record is None:
            return None
        member = members[record["id"]]
        return windows.of(member, grid.coarsen(member.factor), colours_of([member.scene]))

    angles = {name: member.scene.view_azimuth_deg for name, member in members.items()}
    write_imagery(folder, results, Sources(look, chip, angles), config.write)


def _copy_truth(truth: Path, folder: Path) -> None:
    shutil.copyfile(truth, folder / truth.name)


def remake_report(out_dir: str | Path, review: str | Path | None = None) -> Remade:
    """Make report.html again from an output folder alone, first merging a review.json into changes.geojson.

    Raises
    ------
    DataError
        The folder holds no outputs, or the review is none or is of another place.
    """
    merged = None if review is None else _merge_into(Path(out_dir), load_review(review), str(review))
    return Remade(write_page(out_dir), merged)


def carry_reviews(fresh: Path, earlier: Path, aoi: str) -> None:
    """Bring the reviews of an earlier output folder into one that is to replace it: what people said is not lost.

    Those whose change these results no longer have are kept in `fresh`/review.json, and come back with the change.
    """
    if not (earlier / "changes.geojson").exists():
        return
    reviews = collect_reviews(read_json(earlier / "changes.geojson").get("features") or [])
    kept = earlier / KEPT_REVIEWS
    if kept.exists():
        reviews += load_review(kept).reviews
    if not reviews:
        return
    changes = read_json(fresh / "changes.geojson")
    merged = merge_reviews(changes.pop("features"), reviews)
    changes.pop("type")
    write_geojson(fresh / "changes.geojson", merged.features, **changes)
    lost = [(name, review) for name, review in reviews if name in merged.strangers]
    if lost:
        logger.warning("%d reviews are of changes that are no longer found; kept in %s", len(lost), KEPT_REVIEWS)
        write_json(fresh / KEPT_REVIEWS, to_review_file(aoi, lost))


def _merge_into(folder: Path, review: ReviewFile, where: str) -> Merged:
    outputs = load_outputs(folder)
    place = outputs.run["aoi"]["name"]
    if review.aoi != place:
        raise DataError("is a review of another place", where=where, found=review.aoi, needed=place)
    merged = merge_reviews(outputs.features, review.reviews)
    if merged.strangers:
        logger.warning("%s: no such change here, left out: %s", where, ", ".join(merged.strangers))
    members = {key: value for key, value in outputs.changes.items() if key not in ("type", "features")}
    with whole_file(folder / "changes.geojson", hint="") as fresh:
        write_geojson(fresh, merged.features, **members)
    return merged

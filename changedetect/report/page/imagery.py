"""What the page shows of the scenes: one picture per look, two chips per change, and what is hidden where."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from changedetect.core.geometry import to_crs
from changedetect.core.grid import Grid
from changedetect.core.raster import Raster
from changedetect.report import images
from changedetect.report.overview import overview_grid
from changedetect.report.page import weigh
from changedetect.report.page.hidden import never_seen, outline_hidden
from changedetect.report.quicklooks import Which, chip_grid, chip_scene

if TYPE_CHECKING:
    from changedetect.core.run import RunResults, WriteParams

FOLDER = "report"
"""Beside the outputs: what report.html is made from, so that it can be made again without the scenes."""

INDEX = "imagery.json"

logger = logging.getLogger(__name__)

SIDES: tuple[Which, Which] = ("before", "after")

SAMPLED_LOOKS = 6
"""Looks of one kind, spread over time, whose pixels set the stretch of all of them."""

_SAMPLE_PX = 1500
"""Longer side up to which a sampled look is read as it will be shown, so that it is read once."""

_TYPICAL = 0.5
"""Share of the sampled looks that are darker than what is shown in full."""

Light = dict[str, tuple[float, float]]
"""Gain and offset by band; none: as it is."""

Read = Callable[[str, Grid], Raster]
"""Returns the pixels of a scene, by id, on a grid; registered."""

ChipRead = Callable[[Mapping[str, Any], Which, Grid], Raster | None]
"""Returns the pixels of a change before or after on about that grid, not finer than the scene; None without one."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where pixels come from."""

    look: Read
    chip: ChipRead
    angles: Mapping[str, float | None]
    """View azimuth of each scene, degrees, which run.json does not tell."""


def write_imagery(folder: Path, results: RunResults, sources: Sources, params: WriteParams) -> None:
    """Write `folder`/report: pictures within the bytes of a page, and `imagery.json`, which says what they are."""
    tables = sum(path.stat().st_size for path in folder.glob("*.geojson"))
    budget = weigh.Budget.of(params.report_mb, tables)
    target = folder / FOLDER
    for name in ("looks", "chips"):
        (target / name).mkdir(parents=True, exist_ok=True)
    chips = _write_chips(target, results, sources.chip, budget.chips, params)
    spent = sum(path.stat().st_size for path in (target / "chips").iterdir())
    looks = _write_looks(target, results, sources.look, budget.looks + budget.chips - spent, params)
    baseline = frozenset(record["id"] for record in results.scene_records if record.get("baseline"))
    area = to_crs(results.aoi.geometry, results.grid.crs)
    index = {
        "bounds": _rounded(overview_grid(results, params).bounds),
        "never_seen_fraction": never_seen(results.looks, baseline, area, results.grid),
        "view_azimuth_deg": dict(sources.angles),
        "stretch": images.STRETCH_NOTE,
        "looks": looks,
        "chips": chips,
    }
    (target / INDEX).write_text(json.dumps(index, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _write_looks(
    target: Path, results: RunResults, read: Read, most_bytes: int, params: WriteParams
) -> dict[str, dict[str, Any]]:
    """Write one picture per look that was used; return by scene what was written and what is hidden."""
    shown = [record for record in results.scene_records if record["used"]]
    share = most_bytes / max(len(shown), 1)
    place = overview_grid(results, params)
    fine = Grid.from_bounds(place.crs, place.bounds, results.grid.gsd_m)
    longest = min(weigh.longest_px(fine.shape, share), params.report_px)
    grids = {record["id"]: _at_most(fine, longest, record["gsd_m"]) for record in shown}
    lights = _lights(shown, results.provenance.get("reference"))
    samples = _samples(shown, read, grids)
    stretches = _stretches([_lit(raster, lights[name]) for name, raster in samples.items() if name in lights])
    found: dict[str, dict[str, Any]] = {}
    for number, look in enumerate(results.looks):
        found[look.scene_id] = {"tiles": [], "hidden": outline_hidden(look)}
        if not look.used:
            continue
        grid = grids[look.scene_id]
        sample = samples.pop(look.scene_id, None)
        raster = sample if sample is not None and sample.grid == grid else read(look.scene_id, grid)
        bands, light = images.shown_bands([raster]), lights.get(look.scene_id)
        stretch = None
        if light is not None and set(bands) <= set(light or bands):
            raster, stretch = _lit(raster, light), stretches.get(bands)
        stretch = stretch or images.common_stretch([raster], bands)
        picture = images.to_picture(raster, bands, stretch, raster.grid.shape[::-1])
        tiles = weigh.encode(picture, share)
        found[look.scene_id] |= {
            "bands": list(bands),
            "normalized": light is not None,
            "px_m": _px_m(raster.grid, tiles),
            "tiles": _write_tiles(target, f"looks/{number:04d}", tiles, raster.grid),
        }
    return found


def _at_most(grid: Grid, longest_px: int, gsd_m: float) -> Grid:
    """Return the grid coarsened by whole factors to a number of pixels, and not much finer than the scene."""
    factor = max(1, math.ceil(max(grid.shape) / longest_px), math.floor(gsd_m / grid.gsd_m + 1e-9))
    return grid.coarsen(factor)


def _samples(records: Sequence[Mapping[str, Any]], read: Read, grids: Mapping[str, Grid]) -> dict[str, Raster]:
    """Return some looks of each sensor, spread over time: as they will be shown, or coarser where they are large."""
    by_sensor: dict[tuple[Any, Any], list[str]] = {}
    for record in records:
        by_sensor.setdefault((record["sensor"], record["gsd_m"]), []).append(record["id"])
    chosen = [name for names in by_sensor.values() for name in names[:: math.ceil(len(names) / SAMPLED_LOOKS)]]
    return {name: read(name, grids[name].coarsen(math.ceil(max(grids[name].shape) / _SAMPLE_PX))) for name in chosen}


def _lights(records: Sequence[Mapping[str, Any]], reference: str | None) -> dict[str, Light]:
    """Return the gain and offset of each band that bring a look to the light of the baseline, where they are known.

    Shown in one light, looks under haze, snow light and low sun compare with each other; the reference has it already.
    """
    lights: dict[str, Light] = {}
    for record in records:
        fit = record.get("normalization")
        if fit is not None and fit["reason"] is None:
            lights[record["id"]] = dict(zip(fit["bands"], zip(fit["gain"], fit["offset"], strict=True), strict=True))
        elif record["id"] == reference:
            lights[record["id"]] = {}
    return lights


def _lit(raster: Raster, light: Light) -> Raster:
    shades = [light.get(band, (1.0, 0.0)) for band in raster.bands]
    gain, offset = (np.asarray(values, np.float32)[:, None, None] for values in zip(*shades, strict=True))
    return raster.with_data(raster.data * gain + offset)


def _stretches(samples: Iterable[Raster]) -> dict[tuple[str, ...], images.Stretch]:
    """Return one stretch for all looks that show the same bands in one light."""
    kinds: dict[tuple[str, ...], list[Raster]] = {}
    for raster in samples:
        kinds.setdefault(images.shown_bands([raster]), []).append(raster)
    return {bands: _typical_stretch(rasters, bands) for bands, rasters in kinds.items()}


def _typical_stretch(rasters: Sequence[Raster], bands: Sequence[str]) -> images.Stretch:
    """Return the stretch of the looks that are not under snow, which would leave the others in the dark."""
    each = np.asarray([images.common_stretch([raster], bands) for raster in rasters])
    return tuple((float(low), float(high)) for low, high in np.quantile(each, _TYPICAL, axis=0, method="lower"))


def _write_chips(
    target: Path, results: RunResults, read: ChipRead, most_bytes: int, params: WriteParams
) -> dict[str, dict[str, Any]]:
    """Write chips before and after of the most confident changes, as many as find room; return what they show.

    None is made coarser to let another in. The others have the scenes that show them and no tiles: the page cuts theirs
    from the pictures of the looks.
    """
    changes = results.changes.sort_values(["confidence", "id"], ascending=[False, True], kind="stable")
    most = min(len(changes), params.max_chips)
    left_bytes = float(most_bytes)
    found: dict[str, dict[str, Any]] = {}
    for number, change in enumerate(changes.to_dict("records")):
        grid = chip_grid(change, results.grid, params)
        scenes = {which: chip_scene(change, which, results.scene_records) for which in SIDES}
        told = {which: {"scene_id": scene["id"], "tiles": []} for which, scene in scenes.items() if scene}
        enough = weigh.NATIVE_BYTES_PER_PX * grid.shape[0] * grid.shape[1]
        if number < most and left_bytes < 2 * enough:
            most = number
            logger.info(
                "%d less confident changes have no chips of their own in the report: it is full", len(changes) - most
            )
        pair = {which: raster for which in told if number < most and (raster := read(change, which, grid)) is not None}
        share = max(enough, left_bytes / (2 * max(most - number, 1)))
        for which, raster in pair.items():
            name = f"chips/{number:04d}-{which}"
            told[which] |= _chip(target, name, raster, pair.values(), share)
            left_bytes -= sum((target / tile["file"]).stat().st_size for tile in told[which]["tiles"])
        found[str(change["id"])] = {"bounds": _rounded(grid.bounds)} | told
    return found


def _chip(target: Path, name: str, raster: Raster, pair: Iterable[Raster], most_bytes: float) -> dict[str, Any]:
    alike = [other for other in pair if other.unit == raster.unit]
    bands = images.shown_bands(alike)
    if not bands:
        alike, bands = [raster], images.shown_bands([raster])
    picture = images.to_picture(raster, bands, images.common_stretch(alike, bands), raster.grid.shape[::-1])
    # noisy pixels take more; what is spent is taken from what is left
    tries = (weigh.encode(picture, times * most_bytes, exact=times == 1) for times in (1, 2, 4, 8))
    tiles = next((tiles for tiles in tries if tiles and tiles[0].coarser == 1), [])
    return {
        "tiles": _write_tiles(target, name, tiles, raster.grid),
        "bands": list(bands),
        "alike": len(alike) == len(list(pair)),
        "px_m": _px_m(raster.grid, tiles),
    }


def _px_m(grid: Grid, tiles: Sequence[weigh.Tile]) -> float | None:
    """Return how large the pixels of a picture are on the ground; None where nothing of it was kept."""
    return round(grid.gsd_m * tiles[0].coarser, 3) if tiles else None


def _write_tiles(target: Path, name: str, tiles: Sequence[weigh.Tile], grid: Grid) -> list[dict[str, Any]]:
    """Write tiles; return each file with its bounds (left, bottom, right, top) in metres of the grid."""
    left, bottom, right, top = grid.bounds
    width, height = right - left, top - bottom
    written = []
    for number, tile in enumerate(tiles):
        file = f"{name}-{number}.webp" if len(tiles) > 1 else f"{name}.webp"
        (target / file).write_bytes(tile.data)
        x0, y0, x1, y1 = tile.box
        bounds = (left + x0 * width, top - y1 * height, left + x1 * width, top - y0 * height)
        written.append({"file": file, "bounds": _rounded(bounds)})
    return written


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 3) for value in values]

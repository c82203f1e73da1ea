"""A made-up port with everything the report has to show, written in a second: no simulation, no registration."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import geopandas as gpd
import numpy as np
from affine import Affine
from shapely.geometry import Polygon, box

from changedetect.core.aoi import Aoi, Location, Zone
from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.core.results import Look
from changedetect.core.run import RunResults, WriteParams
from changedetect.core.tables import (
    ACTIVITY_COLUMNS,
    CHANGE_COLUMNS,
    DETECTION_COLUMNS,
    geo_table,
    table,
)
from changedetect.io.write import write_outputs
from changedetect.report.page.assemble import write_page
from changedetect.report.page.imagery import Sources, write_imagery
from changedetect.report.quicklooks import chip_scene

GRID = Grid("EPSG:32652", Affine(2, 0, 720000, 0, -2, 4680000), (150, 200))
START = datetime(2023, 9, 1, 2, 0, tzinfo=UTC)

HOSTILE = (
    '<script>window.stolen = 1</script> "it\'s" </script><img src=x onerror=alert(1)> \u202egnp.exe {{data}} &amp;'
)
"""A title as a joker writes it: markup, quotes, a right-to-left mark, a mark of the page's own template."""

SHIP = Polygon([(x, y) for x, y in ((720100, 4679900), (720160, 4679900), (720160, 4679888), (720100, 4679888))])


def times(n: int) -> list[datetime]:
    """A look every other day."""
    return [START + timedelta(days=2 * i) for i in range(n)]


def pixels(grid: Grid, seed: int, bands=("blue", "green", "red")) -> Raster:
    """Soft ground that differs from look to look."""
    rng = np.random.default_rng(seed)
    data = 0.1 + 0.02 * seed % 0.1 + 0.02 * rng.normal(size=(len(bands), *grid.shape))
    return Raster.make(data, grid, bands, "reflectance")


def look(index: int, time: datetime) -> Look:
    """Every third look is half cloudy, every fifth is not used."""
    quality = np.zeros(GRID.shape, np.uint16)
    if index % 3 == 2:
        quality[:, :100] = Quality.CLOUD
    used = index % 5 != 4
    return Look(f"s{index}", time, quality, None, GRID, used, None if used else "obscured: 0% of the area is clear")


def record(item: Look, index: int) -> dict:
    status = "reference" if index == 0 else "ok" if item.used else "abstained"
    shift = {"dx_m": 0.4, "dy_m": -0.2, "rmse_m": 0.1, "ce90_m": 0.3, "n_tie_points": 120, "reason": item.reason}
    gain = {"bands": ["red"], "gain": [1.02], "offset": [0.001], "n_pixels": 900, "reason": None}
    return {
        "id": item.scene_id,
        "datetime": f"{item.acquired:%Y-%m-%dT%H:%M:%SZ}",
        "sensor": "sat",
        "gsd_m": 2.0,
        "clear_fraction": float(item.valid.mean()),
        "used": item.used,
        "reason": item.reason,
        "registration": {"status": status, **shift},
        "sun_azimuth_deg": 150.0,
        "sun_elevation_deg": 40.0,
        "off_nadir_deg": 9.0,
        "baseline": index == 0,
        "noise": {"bands": ["red"], "threshold_sigma": 5.0, "false_alarms_per_km2": 0.5} if item.used else None,
        "normalization": gain if item.used and index else None,
    }


def change(number: int, looks: tuple[Look, ...]) -> dict:
    """A ship, seen on one look, gone by the next clear one; every fourth object is a hut that stays."""
    used = [i for i, item in enumerate(looks) if item.used]
    first = used[1 + number % (len(used) - 2)]
    hut = number % 4 == 3
    states = ["unclear" if not item.used else "absent" for item in looks]
    for i in range(first, len(looks) if hut else first + 1):
        states[i] = "present" if looks[i].used else "unclear"
    after = [i for i in used if i > first]
    seen = [i for i, state in enumerate(states) if state == "present"]
    shift = 14.0 * (number % 9)
    return dict.fromkeys(CHANGE_COLUMNS) | {
        "id": f"{'hut' if hut else 'vessel'}-{number:010x}",
        "aoi": "place",
        "zone": None if hut else f"pier-{1 + number % 2}",
        "class": "hut" if hut else "vessel",
        "status": "appeared",
        "absent_until": looks[max(i for i in used if i < first)].acquired,
        "first_seen": looks[first].acquired,
        "last_seen": looks[seen[-1]].acquired,
        "gone_by": None if hut else looks[after[0]].acquired,
        "n_seen": len(seen),
        "n_clear": len(seen),
        "count": 1,
        "looks": [(item.acquired, state) for item, state in zip(looks, states, strict=True)],
        "score": 12.0 + number,
        "confidence": 0.5 + 0.45 * (number % 10) / 9,
        "area_m2": 720.0,
        "length_m": 60.0,
        "width_m": 12.0,
        "orientation_deg": 90.0,
        "flags": ("edge_of_image",) if number == 2 else (),
        "geometry": gpd.GeoSeries([SHIP]).translate(shift % 60, -shift).iloc[0],
    }


def activity(looks: tuple[Look, ...], changes: list[dict]) -> list[dict]:
    rows = []
    for item in looks:
        clear = float(item.valid.mean())
        for zone, kind in (("place", "vessel"), ("place", "hut"), ("pier-1", "vessel"), ("pier-2", "vessel")):
            there = sum(
                (item.acquired, "present") in row["looks"] and row["class"] == kind and zone in ("place", row["zone"])
                for row in changes
            )
            status = "obscured" if clear < 0.05 else "clear" if clear > 0.95 else "partial"
            row = dict.fromkeys(ACTIVITY_COLUMNS) | {"datetime": item.acquired, "aoi": "place", "zone": zone}
            counted = {"count": None if status == "obscured" else there, "area_m2": 720.0 * there}
            row |= {"class": kind, "status": status, "clear_fraction": clear, "scene_id": item.scene_id, **counted}
            rows.append(row)
    return rows


def results_of(n_looks: int = 12, n_changes: int = 6, title: str = HOSTILE) -> RunResults:
    """A port of two piers, its title not to be trusted."""
    looks = tuple(look(i, time) for i, time in enumerate(times(n_looks)))
    changes = [change(i, looks) for i in range(n_changes)]
    area, piers = (gpd.GeoSeries([shape], crs=GRID.crs).to_crs(4326).iloc[0] for shape in (
        GRID.extent.buffer(-10), box(720080, 4679800, 720250, 4679950)))  # fmt: skip
    zones = tuple(Zone(f"pier-{k}", piers, ("vessel",)) for k in (1, 2))
    headline = f"ships on 3 of 4 clear days ({n_looks} looks, {2 * n_looks - 1} days)"
    entry = {"zone": "place", "class": "vessel", "headline": headline, "n_changes": n_changes}
    return RunResults(
        aoi=Aoi("place", title, Location(title, 150.0), area, ("vessel", "hut"), None, zones),
        grid=GRID,
        changes=geo_table(changes, CHANGE_COLUMNS, GRID.crs),
        detections=geo_table([], DETECTION_COLUMNS, GRID.crs),
        activity=table(activity(looks, changes), ACTIVITY_COLUMNS),
        summary={"headline": [headline], "zones": [entry]},
        looks=looks,
        scene_records=tuple(record(item, i) for i, item in enumerate(looks)),
        provenance={"settings": {"detect": {"seed_sigma": 5.0}}, "inputs": [{"path": title, "sha256": "0" * 64}]},
        simulated=True,
    )


def sources_of(results: RunResults) -> Sources:
    numbers = {item.scene_id: i for i, item in enumerate(results.looks)}

    def chip(row, which, grid):
        found = chip_scene(row, which, results.scene_records)
        return None if found is None else pixels(grid, numbers[found["id"]])

    return Sources(lambda name, grid: pixels(grid, numbers[name]), chip, dict.fromkeys(numbers, 100.0))


def write_place(folder: Path, results: RunResults, params: WriteParams | None = None) -> Path:
    """Write outputs with a report, as a run does; return the page."""
    params = params or WriteParams(score=False)

    def imagery(fresh: Path) -> None:
        write_imagery(fresh, results, sources_of(results), params)

    write_outputs(folder, results, (), params, extras=[imagery, write_page])
    return folder / "report.html"

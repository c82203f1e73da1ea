"""Measure the registration: simulated pairs of known displacement, pairs that cannot be registered, and real pairs.

    python scripts/registration_cases.py [--seeds 1-8] [--cache DIR] [--real ../shared/real] [SET or real pair...]

`cases()` names the sets, `run_case(name, seed)` measures one pair; a table per set is printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.warp import transform_bounds
from registration_patterns import PATTERNS, Case, north_up
from shapely.geometry import box

from changedetect.core.grid import Grid
from changedetect.core.quality import Quality
from changedetect.core.raster import Raster
from changedetect.core.results import Warp
from changedetect.core.scene import Asset, MaskSource, Scene
from changedetect.io.aoi_file import load_aoi
from changedetect.io.read import ReadParams, read
from changedetect.simulate import SimulatedScene, SimulateParams, simulate
from changedetect.simulate.atmosphere import apply_sky, make_product_mask, make_sky
from changedetect.simulate.plan import Plan, make_frame
from changedetect.simulate.render import render_look
from changedetect.simulate.sensor import find_displacement
from changedetect.simulate.terrain import WATER
from changedetect.steps.mask import MaskParams, buffer_mask
from changedetect.steps.register import RegisterParams, estimate_shift

ROOT = Path(__file__).parents[1]
SHARP = ReadParams(resampling="lanczos")
"""As a run reads what it registers."""
EDGE_PX = 8
"""Ground nearer to the edge than this is not judged: it may lie outside the moving scene."""
WRONG_LOCK_PX = 1.0
SHIFT_LIMIT_PX, MIN_LAND = 45, 0.01


@dataclass(frozen=True)
class Setup:
    """How a pair is simulated."""

    scenario: str = "training-ground"
    size_px: int = 768
    gsd_m: float = 0.5
    dates: tuple[str, str] = ("2024-09-08", "2024-10-05")
    shift_px: float = 3.0
    rotation_mrad: float = 0.2
    warp_px: float = 0.6
    cloud: float = 0.0
    masked: bool = False
    snow: float = 0.0
    coarser: int = 1
    """The moving scene's pixel in pixels of the reference; both are matched on the coarser grid."""
    mixes: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """Weights of blue, green, red, nir in the only band of the reference and of the moving scene."""
    unrelated: bool = False
    """The reference shows another place."""
    world: str = "steppe"


_LATE, _WINTER = ("2024-07-20", "2024-10-28"), ("2024-10-20", "2024-12-10")
_PAN, _INFRARED = (0.3, 0.35, 0.35, 0.0), (0.0, 0.15, 0.25, 0.6)

SETUPS = {
    "shift-3": Setup(size_px=1024),
    "shift-40": Setup(size_px=1024, shift_px=40.0, rotation_mrad=1.0, warp_px=1.0),
    "cloud-25": Setup(cloud=0.25),
    "cloud-60": Setup(cloud=0.6),
    "cloud-60-masked": Setup(cloud=0.6, masked=True),
    "season": Setup(dates=_LATE, shift_px=40.0, rotation_mrad=1.0, warp_px=1.0),
    "bands": Setup(mixes=(_PAN, _INFRARED)),
    "bands-season": Setup(mixes=(_PAN, _INFRARED), dates=_LATE),
    "port-3m": Setup("port-season", 500, 3.0),
    "port-3m-season": Setup("port-season", 500, 3.0, dates=_LATE),
    "port-3m-cloud-50": Setup("port-season", 500, 3.0, cloud=0.5, masked=True),
    "port-10m": Setup("port-season", 500, 10.0),
    "3m-on-half": Setup("huts-renovated", 256, 0.5, coarser=6),
    "3m-on-half-small": Setup("huts-renovated", 128, 0.5, coarser=6),
    "snow-45": Setup(dates=_WINTER, snow=0.45),
    "snow-75": Setup(dates=_WINTER, snow=0.75),
    "snow-95": Setup(dates=_WINTER, snow=0.95),
    "unrelated": Setup(size_px=512, unrelated=True),
    "unrelated-10m": Setup("port-season", 400, 10.0, unrelated=True),
    "cloud-90": Setup(cloud=0.9),
    "cloud-90-masked": Setup(cloud=0.9, masked=True),
}
"""Simulated sets of the first world; `farmland-` before a name gives the same in the second one."""


def cases() -> tuple[str, ...]:
    """Return the names of all sets that are simulated or made here."""
    return (*SETUPS, *PATTERNS)


def make_case(name: str, seed: int) -> Case:
    """Return the pair of a set and seed."""
    if name in PATTERNS:
        return PATTERNS[name](seed)
    if name.startswith("farmland-"):
        return _simulate_pair(replace(SETUPS[name.removeprefix("farmland-")], world="farmland"), seed)
    return _simulate_pair(SETUPS[name], seed)


def run_case(
    name: str, seed: int, params: RegisterParams | None = None, cache: Path | None = None
) -> dict[str, object]:
    """Return how one pair was registered: status, reason, error and CE90 in px, coverage of the CE90, CPU seconds."""
    case = _cached(name, seed, cache)
    began = time.process_time()
    warp = estimate_shift(case.moving, case.reference, params or RegisterParams())
    return {"set": name, "seed": seed, "cpu_s": time.process_time() - began, **judge(case, warp)}


def judge(case: Case, warp: Warp) -> dict[str, object]:
    """Return status, reason, CE90 and, where there is a truth and an answer, the error over the judged ground."""
    ce90_px = None if warp.ce90_m is None else warp.ce90_m / case.reference.grid.gsd_m
    out: dict[str, object] = {"status": warp.status, "reason": warp.reason, "ce90_px": ce90_px, "wrong_lock": False}
    if warp.status != "ok":
        return out
    if case.truth is None:
        return {**out, "wrong_lock": True}
    error = np.hypot(*(warp.displacement_px(case.reference.grid) - case.truth))[case.land]
    if error.size == 0:
        return out
    median = float(np.median(error))
    return {
        **out,
        "median_px": median,
        "p95_px": float(np.quantile(error, 0.95)),
        "off_1px": float(np.mean(error > WRONG_LOCK_PX)),
        "coverage": float(np.mean(error <= ce90_px)) if ce90_px is not None else 0.0,
        "wrong_lock": median > WRONG_LOCK_PX,
    }


def _cached(name: str, seed: int, folder: Path | None) -> Case:
    if folder is None:
        return make_case(name, seed)
    path = folder / f"{name}-{seed}.npz"
    if not path.exists():
        case = make_case(name, seed)
        both = {"moving": case.moving, "reference": case.reference}
        arrays = {f"{k}_data": np.round(r.data).astype(np.float32) for k, r in both.items()}
        arrays |= {f"{k}_quality": r.quality for k, r in both.items()}
        grid = case.reference.grid
        np.savez(
            path,
            **arrays,
            truth=np.zeros(0) if case.truth is None else case.truth,
            land=case.land,
            bands=case.reference.bands,
            grid=np.array([grid.gsd_m, grid.transform.c, grid.transform.f]),
            crs=grid.crs,
        )
    with np.load(path) as z:
        gsd_m, left, top = z["grid"]
        grid = Grid(str(z["crs"]), north_up(left, top, gsd_m), z["land"].shape)
        bands = tuple(map(str, z["bands"]))
        moving, still = (Raster(z[f"{k}_data"], z[f"{k}_quality"], grid, bands, "dn") for k in ("moving", "reference"))
        return Case(moving, still, z["truth"] if z["truth"].size else None, z["land"])


def _simulate_pair(setup: Setup, seed: int) -> Case:
    scenes = _simulate(setup, seed)
    gsd_m = setup.gsd_m * setup.coarser
    left, bottom, right, top = scenes[0].grid.bounds
    inner = 10 * setup.gsd_m
    centre = ((left + right) / 2, (bottom + top) / 2)
    half = min(setup.size_px * gsd_m, right - left - 2 * inner) / 2
    grid = Grid.from_bounds(
        scenes[0].grid.crs, (centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half), gsd_m
    )
    sky_rng = np.random.default_rng([seed, 77])
    moving, hidden = _read_scene(scenes[1], grid, setup, sky_rng, cloudy=True)
    first = _simulate(setup, seed + 20_000)[0] if setup.unrelated else scenes[0]
    if setup.unrelated:
        first = replace(first, grid=_moved_onto(first.grid, scenes[0].grid))
    reference, _ = _read_scene(first, grid, setup, sky_rng, cloudy=False)
    if setup.mixes:
        reference, moving = (_mix(r, mix) for r, mix in zip((reference, moving), setup.mixes, strict=True))
    truth = None if setup.unrelated else scenes[1].true_displacement_px(grid)
    land = ~hidden & ~_water(scenes[0], grid) & (moving.quality & Quality.NODATA == 0)
    land[:EDGE_PX] = land[-EDGE_PX:] = False
    land[:, :EDGE_PX] = land[:, -EDGE_PX:] = False
    return Case(moving, reference, truth, land)


def _moved_onto(grid: Grid, other: Grid) -> Grid:
    return replace(grid, transform=other.transform)


def _simulate(setup: Setup, seed: int) -> tuple[SimulatedScene, SimulatedScene]:
    """Return the two scenes of a pair, clear skies, snow and pixel size as asked."""
    more = {"world": setup.world} if setup.world != "steppe" else {}
    if setup.scenario == "port-season":
        more["n_days"] = 0
    params = SimulateParams(
        setup.scenario,
        seed=seed,
        size_m=setup.size_px * setup.gsd_m * setup.coarser,
        gsd_m=setup.gsd_m,
        start=setup.dates[0],
        end=setup.dates[1],
        n_scenes=2,
        shift_px=setup.shift_px,
        rotation_mrad=setup.rotation_mrad,
        warp_px=setup.warp_px,
        cloud=0.0,
        **more,
    )
    scenes = simulate(load_aoi(ROOT / "aoi" / "sergeyevka.yaml"), params).scenes
    first, second = scenes[0], scenes[-1]
    if (setup.snow > 0.0 or setup.coarser > 1) and setup.world == "steppe":
        plan, site, filled, _, k = second.draw.args  # the story is kept, one look of it is changed
        plan.looks[k] = replace(plan.looks[k], snow=setup.snow, gsd_m=setup.gsd_m * setup.coarser)
        changed = make_frame(site, filled, plan.looks[k], k)
        draw = partial(render_look, plan, site, filled, changed, k)
        displace = partial(find_displacement, changed.pointing, second.displace.args[1])
        second = replace(second, grid=changed.grid, gsd_m=plan.looks[k].gsd_m, draw=draw, displace=displace)
    return first, second


def _read_scene(
    scene: SimulatedScene, grid: Grid, setup: Setup, rng: np.random.Generator, cloudy: bool
) -> tuple[Raster, np.ndarray]:
    """Return a scene on the grid as a run would read it, and where cloud truly hides it."""
    numbers, mask, transform, crs = scene.render()
    hidden = np.zeros(numbers.shape[1:], bool)
    sky = make_sky(
        rng, scene.grid.shape, scene.gsd_m, setup.cloud * cloudy, (scene.sun_azimuth_deg, scene.sun_elevation_deg)
    )
    image = np.ascontiguousarray(numbers.transpose(1, 2, 0)).astype(np.float32) * 1e-4
    image = apply_sky(image, sky, 0.12 if cloudy else 0.04, rng)
    noise = rng.normal(0, 8, image.shape)
    numbers = np.clip(np.rint(image * 1e4 + noise), 1, 65535).astype(np.uint16).transpose(2, 0, 1)
    if cloudy and setup.cloud > 0:
        mask = make_product_mask(sky, scene.grid.shape, rng)
        hidden = _hidden(sky, scene.grid.shape)
    with tempfile.TemporaryDirectory() as folder:
        path, mask_path = Path(folder) / "scene.tif", Path(folder) / "mask.tif"
        profile = {
            "driver": "GTiff",
            "height": mask.shape[0],
            "width": mask.shape[1],
            "transform": transform,
            "crs": crs,
        }
        with rasterio.open(path, "w", count=4, dtype="uint16", nodata=0, **profile) as file:
            file.write(numbers)
        with rasterio.open(mask_path, "w", count=1, dtype="uint8", **profile) as file:
            file.write(mask, 1)
        assets = tuple(Asset(band, (str(path),), k) for k, band in enumerate(scene.bands, 1))
        masks = (MaskSource(str(mask_path)),) if setup.masked else ()
        record = Scene(scene.id, scene.acquired, assets, scene.gsd_m, box(131, 43, 133, 45), masks=masks)
        raster = buffer_mask(read(record, grid, params=SHARP), MaskParams())
    return raster, _onto(hidden, scene.grid, grid)


def _hidden(sky, shape: tuple[int, int]) -> np.ndarray:
    thickness, shadow = sky.at("thickness", shape), sky.at("shadow", shape)
    return (thickness > 0.25) | (shadow > 0.45)


def _onto(flags: np.ndarray, own: Grid, grid: Grid) -> np.ndarray:
    x, y = grid.pixel_centres()
    x, y = np.meshgrid(x, y) if np.ndim(x) == 1 else (x, y)
    col = ((x - own.transform.c) / own.gsd_m - 0.5).astype(np.float32)
    row = ((own.transform.f - y) / own.gsd_m - 0.5).astype(np.float32)
    return cv2.remap(flags.astype(np.uint8), col, row, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE) > 0


def _water(scene: SimulatedScene, grid: Grid) -> np.ndarray:
    plan, site = scene.draw.args[:2]
    if not isinstance(plan, Plan):
        return np.zeros(grid.shape, bool)
    x, y = grid.pixel_centres()
    x, y = np.meshgrid(x, y) if np.ndim(x) == 1 else (x, y)
    points = np.stack([x.ravel() - site.left, site.top - y.ravel()], 1)
    return (plan.terrain.cover_at(points) == WATER).reshape(grid.shape)


def _mix(raster: Raster, weights: tuple[float, ...]) -> Raster:
    data = np.tensordot(np.asarray(weights, np.float32), raster.data, axes=1)[None]
    return Raster(np.ascontiguousarray(data), raster.quality.copy(), raster.grid, ("pan",), raster.unit)


def run_real(name: str, real: Path, params: RegisterParams | None = None) -> dict[str, object]:
    """Return how a real pair closes: |there and back| in px (median, 90 %), the CE90 of both ways and their shift."""
    grid, scenes = _REAL[name](real)
    rasters = [read(scene, grid, params=SHARP) for scene in scenes]
    began = time.process_time()
    there, back = (estimate_shift(b, a, params or RegisterParams()) for a, b in (rasters, rasters[::-1]))
    out: dict[str, object] = {"set": name, "status": there.status, "reason": there.reason, "back": back.status}
    out["cpu_s"] = (time.process_time() - began) / 2
    if not (there.usable and back.usable):
        return out
    u, v = there.displacement_px(grid), back.displacement_px(grid)
    row, col = np.indices(grid.shape, np.float32)
    v_there = np.stack([cv2.remap(plane, col + u[1], row + u[0], cv2.INTER_LINEAR) for plane in v])
    miss = np.hypot(*(u + v_there))[EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]
    out |= {"shift_rows_px": float(np.median(u[0])), "shift_cols_px": float(np.median(u[1]))}
    out |= {"closure_px": float(np.median(miss)), "closure_p90_px": float(np.quantile(miss, 0.9))}
    return {
        **out,
        "ce90_px": float(there.ce90_m or 0) / grid.gsd_m,
        "back_ce90_px": float(back.ce90_m or 0) / grid.gsd_m,
    }


def _real_scene(name: str, assets: Iterable[tuple[str, tuple[Path, ...], int]], gsd_m: float) -> Scene:
    files = tuple(Asset(band, tuple(map(str, paths)), index) for band, paths, index in assets)
    return Scene(name, datetime(2020, 1, 1, tzinfo=UTC), files, gsd_m, box(-180, -90, 180, 90))


def _naip(year: int, real: Path) -> tuple[Grid, list[Scene]]:
    folder = real / "naip-timeseries"
    paths = [next(folder.glob(f"*_{y}*.tif")) for y in (2012, year)]
    with rasterio.open(paths[0]) as file:
        grid = Grid.from_bounds(file.crs.to_string(), file.bounds, 1.0)
    grid = grid.crop(*(slice(n // 2 - 500, n // 2 + 500) for n in grid.shape))
    bands = ("red", "green", "blue", "nir")
    return grid, [_real_scene(p.stem, [(b, (p,), k) for k, b in enumerate(bands, 1)], 1.0) for p in paths]


def _joplin(real: Path) -> tuple[Grid, list[Scene]]:
    grid = Grid.from_bounds("EPSG:26915", (366900.0, 4103600.0, 367500.0, 4104200.0), 0.6)
    scenes = []
    for part in ("pre", "post"):
        tiles = tuple(sorted((real / "xview2-joplin" / "input" / part).glob("*.tif")))
        scenes.append(_real_scene(part, [(b, tiles, k) for k, b in enumerate(("red", "green", "blue"), 1)], 0.6))
    return grid, scenes


def _city(city: str, real: Path) -> tuple[Grid, list[Scene]]:
    folder = real / "oscd-sentinel2" / "Images" / city
    bands = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08"}
    scenes = []
    for date in ("imgs_1", "imgs_2"):
        files = [(band, (next((folder / date).glob(f"*_{code}.tif")),), 1) for band, code in bands.items()]
        scenes.append(_real_scene(date, files, 10.0))
    with rasterio.open(next((folder / "imgs_1").glob("*_B04.tif"))) as file:
        west, _, east, north = file.bounds
        zone = 32600 + int(((west + east) / 2 + 180) // 6) + 1 + (100 if north < 0 else 0)
        grid = Grid.from_bounds(f"EPSG:{zone}", transform_bounds(file.crs, f"EPSG:{zone}", *file.bounds), 10.0)
    return grid, scenes


CITIES = ("saclay_e", "aguasclaras", "mumbai", "paris", "rennes")
_REAL = {
    **{city: partial(_city, city) for city in CITIES},
    "naip-2017": partial(_naip, 2017),
    "naip-2020": partial(_naip, 2020),
    "joplin": _joplin,
}


def real_cases() -> tuple[str, ...]:
    """Return the names of the real pairs."""
    return tuple(_REAL)


def summarize(rows: Iterable[dict[str, object]]) -> str:
    """Return a line of a set: medians over its seeds, the worst seed, and what was answered."""
    rows = list(rows)
    answered = [r for r in rows if "median_px" in r]
    wrong = sum(bool(r["wrong_lock"]) for r in rows)
    cpu = np.median([r["cpu_s"] for r in rows])
    head = f"{rows[0]['set']:22s} ok {sum(r['status'] == 'ok' for r in rows):2d}/{len(rows):2d} wrong {wrong}"
    if not answered:
        return f"{head} {'':74s} cpu {cpu:4.1f}"
    med, p95, ce90, cover = (
        np.array([float(r[k]) for r in answered]) for k in ("median_px", "p95_px", "ce90_px", "coverage")
    )
    return (
        f"{head} med {np.median(med):.3f} ({med.max():.3f}) p95 {np.median(p95):.3f} ({p95.max():.3f})"
        f" CE90 {np.median(ce90):.3f} [{ce90.min():.2f} {ce90.max():.2f}]"
        f" cover {np.mean(cover):.3f}, >=.8 in {np.mean(cover >= 0.8):.2f} cpu {cpu:4.1f}"
    )


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def main() -> None:
    """Print a line per set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=list(cases()))
    parser.add_argument("--seeds", type=_seeds, default=_seeds("1-4"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--real", type=Path, default=ROOT.parent / "shared" / "real")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    for name in [name for name in arguments.sets if name in _REAL]:
        sys.stdout.write(", ".join(_show(k, v) for k, v in run_real(name, arguments.real).items()) + "\n")
        sys.stdout.flush()
    for name in [name for name in arguments.sets if name not in _REAL]:
        rows = [run_case(name, seed, cache=arguments.cache) for seed in arguments.seeds]
        sys.stdout.write(summarize(rows) + "\n")
        for row in rows if arguments.verbose else ():
            sys.stdout.write("    " + ", ".join(_show(k, v) for k, v in row.items() if k != "set") + "\n")
        sys.stdout.flush()


def _show(key: str, value: object) -> str:
    return f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"


if __name__ == "__main__":
    main()

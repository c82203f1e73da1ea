"""Real pairs with masks, one setting for all of them, and real series in which nothing is to be found."""

from __future__ import annotations

import json
from math import hypot
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import yaml
from rasterio.features import rasterize
from rasterio.warp import transform

from board.baselines import METHODS, to_polygons
from board.figures import MISSED, NOT_AVAILABLE, REACHED, Row, judge_rate, judge_value, show_rate
from board.jobs import NotAvailableError
from board.simulated import FAST, prepared_pair
from changedetect import pipeline
from changedetect.errors import RegistrationError
from changedetect.gather import RunOptions

CITIES = ("aguasclaras", "mumbai", "paris", "rennes", "saclay_e")
LEVIR = tuple(
    f"levir-{stem}"
    for stem in (
        *("test_102_0512_0000", "test_121_0768_0256", "test_2_0000_0000", "test_2_0000_0512"),
        *("test_55_0256_0000", "test_77_0512_0256", "test_7_0256_0512", "train_36_0512_0512", "train_386_0512_0768"),
        *("train_412_0512_0768", "val_27_0000_0256"),
    )
)
CASES = (*CITIES, "taizhou", "szada", *LEVIR, "naip-invented")
INVENTED = ("trench", "hut", "vessel")
SACLAY_PX = (-1.00, 0.05)
"""The data set's own measurement: pixels of the first date, east and north, to apply to the second."""


def run(case: str, seed: int, folder: Path) -> dict[str, Any]:  # noqa: ARG001 - real scenes know no seed
    """Return pixels right and wrong of the product and of the plain methods on a real pair."""
    import real_cases as real

    if not real.REAL.is_dir():
        raise NotAvailableError(f"no real imagery at {real.REAL}")
    name = case.removesuffix("-invented")
    if name not in real.CASES:
        raise NotAvailableError(f"scripts/real_cases.py has no case {name}")
    aoi = real.write_case(name, folder)
    if case.endswith("-invented"):
        _ask_for(aoi, INVENTED)
    truth = real.truth_mask(name)
    try:
        report = pipeline.run(aoi, RunOptions(out=folder / "run", workers=1, sets=FAST))
    except RegistrationError as error:
        # Nothing is said of the pair: no pixel right, none wrong.
        empty = gpd.GeoDataFrame(geometry=[], crs=4326)
        pixels = {} if truth is None else {"pixels": _count_pixels(empty, truth)}
        return {"n": 0, "classes": [], "unseen": str(error), "area_km2": 0.0, "shift_error_px": None, **pixels}
    record = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    rows, cols = report.results.grid.shape
    found = gpd.read_file(folder / "run" / "changes.geojson")
    result: dict[str, Any] = {
        "n": len(found),
        "classes": [str(kind) for kind in found.get("class", [])],
        "area_km2": rows * cols * report.results.grid.gsd_m**2 / 1e6,
        "registration": record["scenes"][-1]["registration"],
        "used": [bool(scene["used"]) for scene in record["scenes"]],
    }
    if case == "saclay_e":
        result["shift_error_px"] = _saclay_error(result["registration"], real.REAL)
    if truth is not None:
        result["pixels"] = _count_pixels(_counted(found), truth)
        pair = prepared_pair(aoi)
        least = float(record["settings"]["detect"]["min_area_m2"])
        for method, detect in METHODS.items() if pair else ():
            changed = detect(pair.before, pair.after, pair.valid, pair.gsd_m)
            polygons = to_polygons(changed, pair.transform, pair.crs, least)
            result.setdefault("plain", {})[method] = _count_pixels(polygons, truth)
    return result


def rows(_line: str, records: dict[str, list[dict[str, Any]]]) -> list[Row]:
    """Return one row per bar on real imagery."""
    results = {case: part[0]["result"] for case, part in records.items() if part and "result" in part[0]}
    empty = [case for case in LEVIR if case in results and results[case]["pixels"]["true"] == 0]
    full = [case for case in LEVIR if case in results and case not in empty]
    return [
        _f1_row("OSCD, mean F1 of five cities", CITIES, results, 0.42),
        _f1_row("Taizhou, F1", ("taizhou",), results, 0.95),
        _f1_row("LEVIR, mean F1 of crops with change", full, results, 0.55, enough=len(LEVIR) - 1),
        _flagged_row(empty, results),
        _f1_row("Szada/1, F1", ("szada",), results, 0.50),
        _invented_row(results.get("naip-invented")),
        _shift_row(results.get("saclay_e")),
    ]


def f1_of(pixels: dict[str, int]) -> float:
    """Return the F1 of counted pixels."""
    return 2 * pixels["hit"] / max(pixels["said"] + pixels["true"], 1)


def _f1_row(what: str, cases: Any, results: dict[str, Any], bar: float, enough: int = 1) -> Row:
    have = [case for case in cases if case in results]
    if not have or len(have) < len(cases):
        return Row("real", what, f">= {bar}", f"{len(have)} of {len(cases)} cases", NOT_AVAILABLE)
    mean = float(np.mean([f1_of(results[case]["pixels"]) for case in have]))
    compared = [results[case]["plain"] for case in have if "plain" in results[case]]
    plain = {m: float(np.mean([f1_of(part[m]) for part in compared])) if compared else float("nan") for m in METHODS}
    each = ", ".join(
        f"{case.removeprefix('levir-')} {f1_of(results[case]['pixels']):.2f}"
        + (" (not compared)" if "unseen" in results[case] else "")
        for case in have
    )
    shown = f"{mean:.3f} ({each})" if len(have) > 1 else f"{mean:.3f} ({_show_pr(results[have[0]]['pixels'])})"
    verdict = judge_value(mean, bar, len(have), enough, least=True)
    values = {"f1": mean, "plain": plain, "cases": {case: results[case]["pixels"] for case in have}}
    return Row(
        "real",
        what,
        f">= {bar}",
        shown,
        verdict,
        len(have),
        f"{plain['cva']:.3f}",
        f"{plain['irmad']:.3f}",
        0.0,
        values,
    )


def _show_pr(pixels: dict[str, int]) -> str:
    return f"P {pixels['hit'] / max(pixels['said'], 1):.2f}, R {pixels['hit'] / max(pixels['true'], 1):.2f}"


def _flagged_row(empty: list[str], results: dict[str, Any]) -> Row:
    what, bar = "LEVIR, empty crop flagged", "<= 3 %"
    if not empty:
        return Row("real", what, bar, "no empty crop", NOT_AVAILABLE)
    pixels = [results[case]["pixels"] for case in empty]
    plain = {name: [results[case].get("plain", {}).get(name) for case in empty] for name in METHODS}
    flagged = max(part["said"] / part["labelled"] for part in pixels)
    shown = {
        name: f"{max(part['said'] / part['labelled'] for part in parts):.1%}" if all(parts) else ""
        for name, parts in plain.items()
    }
    verdict = REACHED if flagged <= 0.03 else MISSED
    return Row(
        "real",
        what,
        bar,
        f"{flagged:.1%}",
        verdict,
        len(empty),
        shown["cva"],
        shown["irmad"],
        0.0,
        {"flagged": flagged},
    )


def _invented_row(result: dict[str, Any] | None) -> Row:
    what, bar = "NAIP dates: trenches, huts, vessels invented", "none, <= 0.05 per km2"
    if result is None:
        return Row("real", what, bar, "-", NOT_AVAILABLE)
    shown = f"{result['n']}: {show_rate(result['n'], result['area_km2'], 3)}"
    verdict = REACHED if result["n"] == 0 else MISSED
    if result["n"] == 0 and judge_rate(0, result["area_km2"], 0.05) != REACHED:
        shown += ", too little ground to bound the rate"
    return Row("real", what, bar, shown, verdict, 1, values={"n": result["n"], "area_km2": result["area_km2"]})


def _shift_row(result: dict[str, Any] | None) -> Row:
    what, bar = "saclay_e, error of the shift", "<= 0.15 px"
    if result is None:
        return Row("real", what, bar, "-", NOT_AVAILABLE)
    error = result["shift_error_px"]
    shown = "abstained" if error is None else f"{error:.3f} px"
    verdict = MISSED if error is None or error > 0.15 else REACHED
    return Row("real", what, bar, shown, verdict, 1, values={"error_px": error})


def _saclay_error(found: dict[str, Any], folder: Path) -> float | None:
    if found["status"] != "ok":
        return None
    with rasterio.open(next((folder / "oscd-sentinel2/Images/saclay_e/imgs_1").glob("*_B04.tif"))) as src:
        lon, lat = src.lnglat()
        xs, ys = transform(src.crs, "EPSG:32631", [lon, lon + src.res[0], lon], [lat, lat, lat + src.res[1]])
    east, north = found["dx_m"] / (xs[1] - xs[0]), found["dy_m"] / (ys[2] - ys[0])
    return hypot(east - SACLAY_PX[0], north - SACLAY_PX[1])


def _count_pixels(found: gpd.GeoDataFrame, truth: tuple[Any, Any, Any, Any]) -> dict[str, int]:
    """Return labelled pixels in all, truly changed, called changed, and both."""
    changed, labelled, place, crs = truth
    drawn = np.zeros(changed.shape, bool)
    if len(found):
        drawn = rasterize(found.to_crs(crs).geometry, changed.shape, transform=place).astype(bool)
    said, true = drawn & labelled, changed & labelled
    return {
        "labelled": int(labelled.sum()),
        "true": int(true.sum()),
        "said": int(said.sum()),
        "hit": int((said & true).sum()),
    }


def _counted(found: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the changes that count: not those the outputs themselves explain by shadow or lean."""
    flags = found["flags"] if "flags" in found else [()] * len(found)
    return found[["explained_by" not in str(value) for value in flags]]


def _ask_for(aoi: Path, targets: tuple[str, ...]) -> None:
    block = yaml.safe_load(aoi.read_text(encoding="utf-8"))
    block["targets"] = list(targets)
    aoi.write_text(yaml.safe_dump(block, sort_keys=False), encoding="utf-8")

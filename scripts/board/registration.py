"""Registration of pairs whose displacement is known, beside the plain whole-image phase correlation."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from skimage.registration import phase_cross_correlation

from board.jobs import NotAvailableError

SETS = (
    *("shift-3", "shift-40", "cloud-25", "cloud-60", "season", "bands", "port-3m", "port-10m", "3m-on-half"),
    *("farmland-shift-3", "farmland-shift-40", "farmland-season"),
)
SNOW = ("snow-45", "snow-75", "snow-95")
HOPELESS = (
    *("unrelated", "unrelated-10m", "water", "cloud-90", "cloud-90-masked"),
    *("furrows", "orchard", "parade-lines", "one-road", "fixed-pattern"),
)


def run(case: str, seed: int, folder: Path) -> dict[str, Any]:  # noqa: ARG001 - nothing is written
    """Return how one pair was registered, and the error of phase correlation on the same pixels."""
    import registration_cases as pairs

    from changedetect.steps.register import RegisterParams, estimate_shift

    if case.startswith("farmland-") and not _has_worlds():
        raise NotAvailableError("no simulated world farmland")
    pair = pairs.make_case(case, seed)
    began = time.process_time()
    warp = estimate_shift(pair.moving, pair.reference, RegisterParams())
    result: dict[str, Any] = {"register_cpu_s": round(time.process_time() - began, 2), **pairs.judge(pair, warp)}
    if pair.truth is not None and pair.land.any():
        result["plain"] = _phase_correlation(pair.moving.data, pair.reference.data, pair.truth, pair.land)
    return result


def _phase_correlation(moving: np.ndarray, still: np.ndarray, truth: np.ndarray, land: np.ndarray) -> dict[str, float]:
    shift, _, _ = phase_cross_correlation(
        np.nan_to_num(still.mean(0)), np.nan_to_num(moving.mean(0)), upsample_factor=50
    )
    error = np.hypot(truth[0] + shift[0], truth[1] + shift[1])[land]
    return {"median_px": float(np.median(error)), "p95_px": float(np.quantile(error, 0.95))}


def _has_worlds() -> bool:
    import dataclasses

    from changedetect.simulate import SimulateParams

    return "world" in {field.name for field in dataclasses.fields(SimulateParams)}

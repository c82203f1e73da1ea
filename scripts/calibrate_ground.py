"""State how sure trenches, huts and equipment are as often as it is so, from runs of the scoreboard on dev seeds.

    python scripts/scoreboard.py ground quiet --seeds dev --out DIR
    python scripts/calibrate_ground.py DIR/results... [--write]

The forest's own knots come from candidates before anything explained them away; what is told at last is right more
often. Prints, per decile of what is stated, how often it was right, and the error before and after with every other
file held out; --write puts the knots that say so into the shipped forest. What is told stays the same: chances up to
the least one that is told are left as they are.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression

from changedetect.steps.classify import ground
from changedetect.steps.classify.forest import load_forest, pack

SHIPPED = Path(ground.__file__).with_name("ground.npz")
PRIOR = 60.0
"""Changes that each decile is believed to have had as stated: simulated places are not the next one."""
SUREST = 0.985
"""Simulated scenes prove no more than this of real ones."""


def read_deciles(folders: list[Path]) -> list[list[dict[str, Any]]]:
    """Return the deciles of confidence of every result under some folders."""
    files = sorted(path for folder in folders for path in folder.rglob("*.json"))
    told = [json.loads(path.read_text(encoding="utf-8"))["result"]["evaluation"]["confidence"] for path in files]
    return [part["deciles"] for part in told if part]


def add_up(parts: list[list[dict[str, Any]]]) -> np.ndarray:
    """Return (decile, 3): number, sum of what was stated, number right; only deciles with any."""
    total = np.sum([[[d["n"], d["sum_confidence"], d["right"]] for d in part] for part in parts], axis=0)
    return np.asarray(total[total[:, 0] > 0], float)


def fit(total: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what is stated and what should be, rising, the same up to `least`."""
    n, stated, right = total[:, 0], total[:, 1] / total[:, 0], total[:, 2]
    should = (right + PRIOR * stated) / (n + PRIOR)
    told = stated > least
    curve = IsotonicRegression(y_min=least, y_max=SUREST).fit(stated[told], should[told], sample_weight=n[told] + PRIOR)
    at = np.concatenate([[0.0, least], stated[told], [1.0]])
    return at, np.concatenate([[0.0, least], curve.predict(stated[told]), [max(SUREST, float(stated.max()))]])


def error(total: np.ndarray, curve: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the mean distance between what is said and how often it is right, over deciles weighted by number."""
    n, stated, right = total[:, 0], total[:, 1] / total[:, 0], total[:, 2]
    return float(np.sum(np.abs(np.interp(stated, *curve) * n - right)) / n.sum())


def main() -> None:
    """Fit, report, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    parts, least = read_deciles(args.results), ground.GroundParams().min_chance
    as_is = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    for fitted, held in ((parts[::2], parts[1::2]), (parts[1::2], parts[::2])):
        curve, total = fit(add_up(fitted), least), add_up(held)
        print(f"held out, {int(total[:, 0].sum())} changes: {error(total, as_is):.3f}, then {error(total, curve):.3f}")
    total = add_up(parts)
    curve = fit(total, least)
    for (n, stated, right), should in zip(total, np.interp(total[:, 1] / total[:, 0], *curve), strict=True):
        print(f"{stated / n:.3f} said, {right / n:.3f} right ({int(n)}): {should:.3f} from now on")
    if args.write:
        forest = load_forest("ground")
        knots = np.stack([forest.knots[0], np.interp(forest.knots[1], *curve)]).astype(np.float32)
        np.savez_compressed(SHIPPED, **pack(replace(forest, knots=knots)))
        print(f"{SHIPPED}: {knots[1].round(3).tolist()}")


if __name__ == "__main__":
    main()

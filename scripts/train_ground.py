"""Learn what trenches, huts and equipment look like, from tables of simulated candidates, and ship it as data.

    python scripts/ground_tables.py --cache DIR --seeds 100 160
    python scripts/train_ground.py --cache DIR [--write] [--report across]

Prints, on series held out whole (five folds by seed) or with a whole simulator held out (--report across), how many
true objects are named at least in part, how many of the named are true, how many of the class they are called, and how
far confidence is from how often it is right. --write saves the forest grown on all tables.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.isotonic import IsotonicRegression

from changedetect.steps.classify import ground
from changedetect.steps.classify.forest import Forest, class_shares, pack
from changedetect.steps.classify.learned import CLASSES, FEATURES, RULES, as_values

SHIPPED = Path(ground.__file__).with_name("ground.npz")
TREES, LEAF, NODES, SEED = 160, 4, 60, 20241018
COPIES, JITTER = 2, 0.06
"""Noisy copies of each candidate, and their noise: relative, by feature and candidate."""
SUREST = 0.985
"""Simulated scenes prove no more than this of real ones."""
KEPT = 0.5
"""Confidence from which a candidate is told, in the report."""


@dataclass(frozen=True)
class Table:
    """Candidates of all series."""

    values: np.ndarray
    """(row, feature)."""
    truth: np.ndarray
    """(row,) number of the class."""
    group: np.ndarray
    """(row,) seed; series of one seed are held out together."""
    world: np.ndarray
    rules: np.ndarray
    """(row, class) confidence of the rules."""
    rows: list[dict[str, Any]]
    looks: list[dict[str, Any]]

    def take(self, keep: np.ndarray) -> Table:
        """Return the part of the table where `keep` holds."""
        rows = [r for r, k in zip(self.rows, keep, strict=True) if k]
        seen = {(r["series"], r["scene"], r["bands"]) for r in rows}
        looks = [look for look in self.looks if (look["series"], look["scene"], look["bands"]) in seen]
        parts = (getattr(self, n)[keep] for n in ("values", "truth", "group", "world", "rules"))
        return Table(*parts, rows, looks)


def read_tables(cache: Path) -> Table:
    """Return all tables of a folder as one."""
    params = ground.GroundParams()
    values, truth, group, world, rules, rows, looks = [], [], [], [], [], [], []
    for path in sorted((cache / "tables").glob("*.json")):
        made = json.loads(path.read_text(encoding="utf-8"))
        looks.extend({**look, "series": path.stem, "classes": made["classes"]} for look in made["looks"])
        for row in made["rows"]:
            described = ground.describe(row, params)
            if described is None:
                continue
            values.append(described)
            truth.append(CLASSES.index(row["truth"]) if row["truth"] in CLASSES else 0)
            group.append(made["job"]["seed"])
            world.append(made["job"]["world"])
            rules.append([0.0, *(ground.rule_confidence(row, name, params) for name in RULES)])
            rows.append({**row, "series": path.stem})
    return Table(as_values(values), np.array(truth), np.array(group), np.array(world), np.array(rules), rows, looks)


def grow(table: Table, seed: int = SEED) -> Forest:
    """Return a forest grown on a table, its confidence not yet calibrated."""
    rng = np.random.default_rng(seed)
    values = np.concatenate([table.values, *(_jittered(table.values, rng) for _ in range(COPIES))])
    truth = np.tile(table.truth, 1 + COPIES)
    weight = np.tile(_weights(table), 1 + COPIES)
    trees = RandomForestClassifier(
        TREES, min_samples_leaf=LEAF * (1 + COPIES), max_leaf_nodes=NODES, max_features=0.25, random_state=seed
    )
    trees.fit(values, truth, weight)
    return as_forest(trees)


def _jittered(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    spread = np.minimum(np.abs(values), np.quantile(np.abs(values), 0.9, axis=0))
    return (values + JITTER * (spread + 0.02) * rng.standard_normal(values.shape)).astype(np.float32)


def _weights(table: Table) -> np.ndarray:
    """Return weights: the classes count alike within a factor, doubtful candidates less."""
    count = np.bincount(table.truth, minlength=len(CLASSES)).astype(float)
    weight = np.sqrt(count.max() / np.maximum(count, 1.0))[table.truth]
    fewer = np.array([0.5 if row["bands"] != "all" else 1.0 for row in table.rows])
    # A scrap of an object is no example of it.
    scrap = np.array([0.3 if row["truth"] != "none" and row["covered"] < 0.15 else 1.0 for row in table.rows])
    return weight * fewer * scrap * np.sqrt(_by_world(table))


def as_forest(trees: RandomForestClassifier) -> Forest:
    """Return the arrays of fitted trees."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("feature", "threshold", "left", "right", "share")}
    roots, start = [], 0
    for estimator in trees.estimators_:
        tree = estimator.tree_
        leaf = tree.children_left < 0
        share = np.zeros((tree.node_count, len(CLASSES)))
        share[:, trees.classes_.astype(int)] = tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True)
        parts["feature"].append(np.where(leaf, -1, tree.feature))
        # scikit-learn asks float32 <= float64; the next lower float32 answers alike.
        lower = tree.threshold.astype(np.float32)
        above = lower.astype(np.float64) > tree.threshold
        parts["threshold"].append(np.where(above, np.nextafter(lower, np.float32(-np.inf)), lower))
        parts["left"].append(np.where(leaf, 0, tree.children_left + start))
        parts["right"].append(np.where(leaf, 0, tree.children_right + start))
        parts["share"].append(share)
        roots.append(start)
        start += tree.node_count
    joined = {name: np.concatenate(parts[name]) for name in parts}
    return Forest(
        CLASSES,
        FEATURES,
        np.array(roots, np.int32),
        joined["feature"].astype(np.int16),
        joined["threshold"].astype(np.float32),
        joined["left"].astype(np.int32),
        joined["right"].astype(np.int32),
        joined["share"].astype(np.float32),
        np.array([[0.0, 1.0], [0.0, 1.0]], np.float32),
    )


def hold_out(table: Table, across: bool) -> np.ndarray:
    """Return the shares (row, class) that forests give which did not see a row's series, or its simulator."""
    shares = np.zeros((len(table.truth), len(CLASSES)))
    folds = table.world if across else table.group % 5
    for fold in np.unique(folds):
        rest = folds != fold
        if rest.any():
            shares[~rest] = class_shares(grow(table.take(rest)), table.values[~rest])
    return shares


def fit_knots(shares: np.ndarray, table: Table) -> np.ndarray:
    """Return (2, knot): how often the likeliest named class is right, by its share; rising, and never quite sure.

    Every simulator counts alike, however many of its series there are: the next place is like neither.
    """
    truth = table.truth
    said = 1 + shares[:, 1:].argmax(axis=1)
    share = shares[np.arange(len(said)), said]
    right = (said == truth).astype(float)
    fitted = IsotonicRegression(y_min=0.0, y_max=SUREST, out_of_bounds="clip").fit(
        share, right, sample_weight=_by_world(table)
    )
    at = np.linspace(0.0, 1.0, 21)
    wide = np.array([fitted.predict(np.clip(at + d, 0, 1)) for d in np.linspace(-0.05, 0.05, 11)]).mean(axis=0)
    return np.stack([at, wide]).astype(np.float32)


def _by_world(table: Table) -> np.ndarray:
    """Return weights with which every simulator counts alike, mean 1."""
    worlds, number = np.unique(table.world, return_inverse=True)
    return (len(table.world) / len(worlds) / np.bincount(number))[number]


def report(name: str, table: Table, confidence: np.ndarray) -> dict[str, float]:
    """Print and return how good confidences (row, class) are."""
    said, sure = 1 + confidence[:, 1:].argmax(axis=1), confidence[:, 1:].max(axis=1)
    told = sure >= KEPT
    true = table.truth > 0
    found: dict[tuple[Any, ...], float] = {}
    right: dict[tuple[Any, ...], int] = {}
    for row, k, t in zip(table.rows, said, told, strict=True):
        if t and row["truth"] != "none":
            key = (row["series"], row["scene"], row["bands"], row["object"])
            found[key] = found.get(key, 0.0) + row["covered"]
            if row["covered"] >= 0.1:
                right.setdefault(key, int(CLASSES[k] == row["truth"]))
    possible = {
        (look["series"], look["scene"], look["bands"], i)
        for look in table.looks
        for i in look["there"]
        if look["classes"][i] in CLASSES
    }
    reachable: dict[tuple[Any, ...], float] = {}
    for row in table.rows:
        if row["truth"] != "none":
            key = (row["series"], row["scene"], row["bands"], row["object"])
            reachable[key] = reachable.get(key, 0.0) + row["covered"]
    hit = {key for key, covered in found.items() if covered >= 0.3}
    can = {key for key, covered in reachable.items() if covered >= 0.3}
    figures = {
        "recall": len(hit & possible) / max(len(possible), 1),
        "of_detected": len(hit & can) / max(len(can), 1),
        "precision": float((told & true).sum() / max(told.sum(), 1)),
        "class": float(np.mean([right.get(k, 0) for k in hit])) if hit else 0.0,
        "false_per_km2": float((told & ~true).sum() / max(sum(look["km2"] for look in table.looks), 1e-9)),
        "reliability": reliability(sure[sure >= 0.05], (said == table.truth)[sure >= 0.05]),
    }
    print(f"{name:34}", " ".join(f"{k} {v:.3f}" for k, v in figures.items()), f"n {len(possible)}")
    return figures


def reliability(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the mean distance between confidence and share right, over ten bins of confidence weighted by number."""
    bins = np.minimum((10 * confidence).astype(int), 9)
    gaps = [abs(confidence[bins == b].mean() - right[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)]
    return float(np.sum(gaps) / max(len(confidence), 1))


def main() -> None:
    """Train, report, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--report", choices=("within", "across"), default="within")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    table = read_tables(args.cache)
    print(len(table.truth), "candidates:", dict(zip(CLASSES, np.bincount(table.truth, minlength=4), strict=False)))
    shares = hold_out(table, args.report == "across")
    knots = fit_knots(shares, table)
    report("rules", table, table.rules)
    report("forest", table, shares)
    calibrated = np.interp(shares, *knots)
    for name in ("all", *np.unique(table.world), *BANDS, *GSDS):
        part = table.take(_part(table, name))
        report(f"forest, calibrated, {name}", part, calibrated[_part(table, name)])
        report(f"rules, {name}", part, part.rules)
    if args.write:
        forest = replace(grow(table), knots=knots)
        np.savez_compressed(SHIPPED, **pack(forest))
        print(f"{SHIPPED}: {SHIPPED.stat().st_size / 1e3:.0f} kB")


BANDS = ("rgb", "one")
GSDS = ("0.3", "0.5", "1.0", "3.0")


def _part(table: Table, name: str) -> np.ndarray:
    if name == "all":
        return np.ones(len(table.truth), bool)
    if name in BANDS:
        return np.array([row["bands"] == name for row in table.rows])
    if name in GSDS:
        return np.array([abs(row["gsd_m"] - float(name)) < 0.05 for row in table.rows])
    return table.world == name


if __name__ == "__main__":
    main()

"""Learn which compact things of a few pixels are huts, from simulated pairs at 3 m, and ship it as data.

    python scripts/train_compact.py --cache DIR --seeds 100 112     # makes tables of candidates, about 20 s a pair
    python scripts/train_compact.py --cache DIR [--write]

Pairs: huts between a 3 m and a 0.5 m scene, quiet ones and training grounds at 3 m, of both worlds. Two forests are
grown: with the outline that a finer date shows (`compact_outline.npz`) and without (`compact.npz`). Printed is what
each says of seeds that it was not grown on (four folds): huts told and false ones, by share of the trees.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from board.lines import cross_story, quiet_story
from board.simulated import Story, write_story
from sklearn.ensemble import RandomForestClassifier
from sklearn.isotonic import IsotonicRegression
from train_ground import SUREST, as_forest

from changedetect import pipeline
from changedetect.core.progress import SilentProgress
from changedetect.errors import ChangeDetectError
from changedetect.examine import compare_scene
from changedetect.gather import RunOptions, gathered, load_place
from changedetect.members import read_member
from changedetect.provenance import Stopwatch
from changedetect.stack import build_baseline
from changedetect.steps.classify import compact
from changedetect.steps.classify.forest import Forest, pack
from changedetect.steps.describe import spread_to
from changedetect.steps.detect import detect
from changedetect.steps.measure import measure
from changedetect.steps.normalize import apply_gain

FOLDER = Path(compact.__file__).parent
TREES, LEAF, TRIED, FOLDS, SEED = 120, 3, 0.35, 4, 20241018
TOLERANCE_M = 4.5
"""As evaluation has it at 3 m: a candidate lies on an object if 30 % of it is this near."""
SCRAP = 0.15
"""A candidate that covers less than this share of a hut is no example of one."""
WORLDS, ORDERS = ("steppe", "farmland"), ("coarse-fine", "fine-coarse")


def stories(seed: int) -> dict[str, Story]:
    """Return the pairs of a seed by name."""
    found = {f"cross_{w}_{order}": cross_story(f"{w}-{order}", seed) for w in WORLDS for order in ORDERS}
    for world in WORLDS:
        quiet = quiet_story(f"{world}-3m", seed)
        planted = tuple((dict(quiet.simulate) | {"planted": True}).items())
        found |= {f"quiet_{world}": quiet, f"train_{world}": dataclasses.replace(quiet, simulate=planted)}
    return found


def make_table(story: Story, seed: int) -> pd.DataFrame:
    """Return the compact candidates of a pair: features, and the true object they lie on; empty if not registered."""
    with tempfile.TemporaryDirectory() as name:
        aoi = write_story(story, seed, Path(name))
        options = RunOptions(workers=1)
        place, config = load_place(aoi, options)
        with pipeline.open_runner(1, None) as runner, gathered(place, options) as series:
            try:
                stack = pipeline.register_series(series, config, runner, Stopwatch(SilentProgress()))
            except ChangeDetectError:
                return pd.DataFrame()
            member = [m for m in stack.members if not m.is_baseline][-1]
            grid = stack.grid.coarsen(member.compared)
            pair = compare_scene(member, grid, build_baseline(stack.members, member.compared, grid, config), config)
            labels = detect(pair.score, pair.baseline, pair.raster, config.detect)
            raster, score, baseline = pair.raster, pair.score, pair.baseline
            sharp = pipeline.sharper_before(member, pair, stack.grid, stack.reference.scene, config)
            if member.factor < member.compared:
                fine = stack.grid.coarsen(member.factor)
                sharp = raster = apply_gain(read_member(member, fine, config, raster.bands), pair.gain)
                labels, score, baseline = spread_to(fine, labels, score, baseline)
            told = {"scene_id": member.scene.id, "acquired": member.scene.acquired}
            found = measure(labels, score, raster, baseline, params=config.measure, **told)
            found = found[[f["compact_sigma"] > 0 for f in found["features"]]].reset_index(drop=True)
            if sharp is not None:
                found = compact.add_outlines(found, sharp)
            truth = _truth(Path(name) / "truth.geojson", stack.reference.scene.id, grid.crs)
        rows = compact.describe_compact(found.to_dict("records"), raster, baseline)
    names = compact.FEATURES + (compact.OUTLINE if sharp is not None else ())
    known = [row is not None and len(row) == len(names) for row in rows]
    table = pd.DataFrame([row for row, k in zip(rows, known, strict=True) if k], columns=names)
    return table.assign(**_objects(found[known], truth))


def _truth(path: Path, reference: str, crs: str) -> gpd.GeoDataFrame:
    """Return true objects in the frame of the reference scene."""
    truth = gpd.read_file(path).to_crs(crs)
    shifts = {row["scene_id"]: row for row in json.loads(path.read_text(encoding="utf-8"))["registration"]}
    return truth.set_geometry(truth.geometry.translate(-shifts[reference]["dx_m"], -shifts[reference]["dy_m"]))


def _objects(found: gpd.GeoDataFrame, truth: gpd.GeoDataFrame) -> dict[str, list[object]]:
    """Return the class and number of the object each candidate lies on ("" and -1: none), and how much it covers."""
    columns: dict[str, list[object]] = {"truth": [], "object": [], "covered": []}
    for shape in found.geometry:
        best = ("", -1, 0.0)
        for i, item in enumerate(truth.geometry):
            covered = shape.intersection(item).area / item.area
            if shape.intersection(item.buffer(TOLERANCE_M)).area >= 0.3 * shape.area and covered >= best[2]:
                best = (truth["class"].iloc[i], i, covered)
        for name, value in zip(columns, best, strict=True):
            columns[name].append(value)
    return columns


def read_tables(cache: Path) -> pd.DataFrame:
    """Return all tables of a folder as one."""
    parts = []
    for path in sorted(cache.glob("*.csv")):
        if path.stat().st_size < 10:  # not registered
            continue
        line, world, *_, seed = path.stem.split("_")
        parts.append(
            pd.read_csv(path, keep_default_na=False).assign(line=line, world=world, seed=int(seed), pair=path.stem)
        )
    return pd.concat(parts, ignore_index=True)


def grow(table: pd.DataFrame, names: list[str]) -> Forest:
    """Return a forest: worlds count alike, huts more than their number."""
    hut, weight = (table["truth"] == "hut").to_numpy(), np.ones(len(table))
    for world in WORLDS:
        here = (table["world"] == world).to_numpy()
        weight[here & hut] = np.sqrt((here & ~hut).sum() / max((here & hut).sum(), 1))
        weight[here] *= len(table) / max(weight[here].sum(), 1e-9)
    trees = RandomForestClassifier(TREES, min_samples_leaf=LEAF, max_features=TRIED, random_state=SEED)
    trees.fit(table[names].to_numpy(np.float32), hut.astype(int), weight)
    forest = as_forest(trees)
    share = np.ascontiguousarray(forest.share[:, : len(compact.CLASSES)])
    return dataclasses.replace(forest, classes=compact.CLASSES, features=tuple(names), share=share)


def hold_out(table: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Return the share of trees for a hut, (row,), of forests that did not see a row's seed."""
    shares = np.zeros(len(table))
    for fold in range(FOLDS):
        apart = (table["seed"] % 100 % FOLDS == fold).to_numpy()
        if apart.any():
            values = table.loc[apart, names].to_numpy(np.float32)
            shares[apart] = compact.class_shares(grow(table[~apart], names), values)[:, 1]
    return shares


def fit_knots(shares: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return (2, knot): how often it is a hut, by the share of the trees; rising, and never quite sure."""
    fitted = IsotonicRegression(y_min=0.0, y_max=SUREST, out_of_bounds="clip").fit(shares, right.astype(float))
    at = np.linspace(0.0, 1.0, 21)
    wide = np.mean([fitted.predict(np.clip(at + d, 0, 1)) for d in np.linspace(-0.05, 0.05, 11)], axis=0)
    return np.stack([at, wide]).astype(np.float32)


def report(table: pd.DataFrame, shares: np.ndarray) -> None:
    """Print huts told and false ones at several shares, by kind of pair."""
    for (line, world), part in table.groupby(["line", "world"]):
        cells = []
        for least in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
            said = part[shares[part.index] >= least]
            huts = said[said["truth"] == "hut"].groupby(["pair", "object"])["covered"].sum()
            cells.append(f"{least}: {int((huts >= 0.3).sum())} huts, {int((said['truth'] == '').sum())} false")
        print(f"{line} {world}, {part['pair'].nunique()} pairs;", "; ".join(cells))


def main() -> None:
    """Make tables, or train, report and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs=2)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    for seed in range(*args.seeds) if args.seeds else ():
        for name, story in stories(seed).items():
            path = args.cache / f"{name}_{seed}.csv"
            if not path.is_file():
                make_table(story, seed).to_csv(path, index=False)
    table = read_tables(args.cache)
    table = table[(table["truth"] != "hut") | (table["covered"] >= SCRAP)].reset_index(drop=True)
    plain, sharp = list(compact.FEATURES), list(compact.FEATURES + compact.OUTLINE)
    outlined = table[table["line"] == "cross"].reset_index(drop=True)
    for name, part, names in (("compact", table, plain), ("compact_outline", outlined, sharp)):
        shares = hold_out(part, names)
        print(f"{name}: {len(part)} candidates, {(part['truth'] == 'hut').sum()} on huts")
        report(part, shares)
        if args.write:
            forest = dataclasses.replace(grow(part, names), knots=fit_knots(shares, part["truth"] == "hut"))
            np.savez_compressed(FOLDER / f"{name}.npz", **pack(forest))


if __name__ == "__main__":
    main()

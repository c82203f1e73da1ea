"""A forest of decision trees as plain arrays: shipped as data, evaluated with numpy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Trees laid end to end; a node goes left where its feature is at most its threshold."""

    classes: tuple[str, ...]
    features: tuple[str, ...]
    roots: NDArray[np.int32]
    """(tree,) first node."""
    feature: NDArray[np.int16]
    """(node,) column that is asked; negative in a leaf."""
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    """(node,) next node; the right one follows where the answer is no."""
    right: NDArray[np.int32]
    share: NDArray[np.float32]
    """(node, class) share of each class in a leaf."""
    knots: NDArray[np.float32]
    """(2, knot): what the trees say, and how often it is so."""


@cache
def load_forest(name: str) -> Forest:
    """Return the forest shipped under a name in this package."""
    with as_file(files(__package__) / f"{name}.npz") as path:
        return read_forest(path)


def read_forest(path: Path) -> Forest:
    """Return the forest of a file that `pack` arrays were saved in."""
    with np.load(path, allow_pickle=False) as held:
        return unpack({name: held[name] for name in held.files})


def pack(forest: Forest) -> dict[str, NDArray[np.generic]]:
    """Return a forest as plain arrays."""
    return {
        "classes": np.array(forest.classes),
        "features": np.array(forest.features),
        "roots": forest.roots,
        "feature": forest.feature,
        "threshold": forest.threshold,
        "left": forest.left,
        "right": forest.right,
        # Only leaves are asked.
        "leaf_share": forest.share[forest.feature < 0],
        "knots": forest.knots,
    }


def unpack(arrays: Mapping[str, NDArray[np.generic]]) -> Forest:
    """Return the forest of plain arrays."""
    feature = np.asarray(arrays["feature"], np.int16)
    leaves = np.asarray(arrays["leaf_share"], np.float32)
    share = np.zeros((feature.size, leaves.shape[1]), np.float32)
    share[feature < 0] = leaves
    return Forest(
        classes=tuple(str(name) for name in arrays["classes"]),
        features=tuple(str(name) for name in arrays["features"]),
        roots=np.asarray(arrays["roots"], np.int32),
        feature=feature,
        threshold=np.asarray(arrays["threshold"], np.float32),
        left=np.asarray(arrays["left"], np.int32),
        right=np.asarray(arrays["right"], np.int32),
        share=share,
        knots=np.asarray(arrays["knots"], np.float32),
    )


def class_shares(forest: Forest, values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean share of each class over the trees, (row, class), for `values` (row, feature).

    References
    ----------
    Breiman, Random Forests, Machine Learning, 2001. doi:10.1023/A:1010933404324
    """
    rows = np.arange(len(values))[:, None]
    node = np.broadcast_to(forest.roots, (len(values), forest.roots.size)).copy()
    while True:
        asked = forest.feature[node]
        inner = asked >= 0
        if not inner.any():
            break
        below = values[rows, np.maximum(asked, 0)] <= forest.threshold[node]
        node = np.where(inner, np.where(below, forest.left[node], forest.right[node]), node)
    return np.asarray(forest.share[node].astype(np.float64).mean(axis=1))


def calibrate(forest: Forest, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how often it is so where the trees say `share`, from scenes they were not grown on."""
    return np.asarray(np.interp(share, forest.knots[0], forest.knots[1]))

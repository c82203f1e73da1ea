"""Shape of one object: rotated rectangle, skeleton, widths."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Mask = NDArray[np.bool_]

_SMOOTH_PX = 3
"""Steps on either side over which a line is smoothed before its length is taken."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """The smallest rotated rectangle around an object, in pixels."""

    length_px: float
    width_px: float
    orientation_deg: float
    """Of the longer side, 0 to 180 clockwise from north (up)."""


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The line along the middle of an object, in pixels."""

    total_px: float
    """All branches together."""
    longest_px: float
    """The longest way through it, to the object's ends."""
    inner_width_px: float
    """Diameter of the largest disc inside."""
    line: Mask


def fit_rectangle(mask: Mask) -> Rectangle:
    """Return the smallest rotated rectangle around the mask's pixels.

    A rectangle around pixel centres is one pixel short along the axes and less so across them.
    """
    rows, cols = np.nonzero(mask)
    points = np.stack([cols, rows], axis=1).astype(np.float32)
    (_, sides, _) = box = cv2.minAreaRect(points)
    corners = cv2.boxPoints(box)
    edges = np.diff(corners[:3], axis=0)
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    if max(sides) == 0:
        return Rectangle(1.0, 1.0, 0.0)
    longer = edges[int(np.argmax(lengths))]
    angle = math.atan2(float(longer[0]), float(-longer[1]))
    pixel = 1.0 / (abs(math.cos(angle)) + abs(math.sin(angle)))
    orientation = math.degrees(angle) % 180.0
    return Rectangle(
        float(max(lengths)) + pixel, float(min(lengths)) + pixel, orientation if orientation < 180 else 0.0
    )


def even_sides(mask: Mask, rectangle: Rectangle) -> tuple[float, float]:
    """Return length and width in pixels of the even rectangle with the mask's second moments along its sides.

    The smallest rectangle around a mask is drawn by its outermost pixels, and so too long by the roughness of its
    edge; moments weigh all pixels alike. A rectangle of side a has variance a^2 / 12.
    """
    rows, cols = np.nonzero(mask)
    angle = math.radians(rectangle.orientation_deg)
    along = cols * math.sin(angle) - rows * math.cos(angle)
    across = cols * math.cos(angle) + rows * math.sin(angle)
    # A pixel is itself a square of variance 1 / 12.
    sides = [math.sqrt(12.0 * float(values.var()) + 1.0) for values in (along, across)]
    return min(sides[0], rectangle.length_px), min(sides[1], rectangle.width_px)


def trace_skeleton(mask: Mask) -> Skeleton:
    """Return the skeleton of a mask, with lengths along the smoothed lines."""
    from scipy.sparse.csgraph import dijkstra  # both are slow to import: only where they are used
    from skimage.morphology import skeletonize

    padded = np.pad(mask, 1)
    depth = cv2.distanceTransform(padded.astype(np.uint8), cv2.DIST_L2, 5)
    line = np.asarray(skeletonize(padded), np.bool_)  # type: ignore[no-untyped-call]
    rows, cols = np.nonzero(line)
    inner = float(2 * depth.max() - 1)
    if rows.size < 2:
        return Skeleton(1.0, max(inner, 1.0), inner, line[1:-1, 1:-1])
    graph = _pixel_graph(line, rows, cols)
    total = float(graph.sum()) / 2
    reach = dijkstra(graph, indices=0)
    reach[~np.isfinite(reach)] = -1
    start = int(np.argmax(reach))
    reach, before = dijkstra(graph, indices=start, return_predecessors=True)
    reach[~np.isfinite(reach)] = -1
    end = int(np.argmax(reach))
    way = _smooth_length(*_follow(before, end, rows, cols))
    # The skeleton stops short of both ends by about the depth there.
    ends = float(depth[rows[start], cols[start]] + depth[rows[end], cols[end]])
    straighter = way / max(float(reach[end]), 1.0)
    return Skeleton(total * straighter + ends, way + ends, inner, line[1:-1, 1:-1])


def _follow(
    before: NDArray[np.int32], end: int, rows: NDArray[np.intp], cols: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rows and columns of the way to `end`, by each pixel's predecessor."""
    at, way = end, []
    while at >= 0:
        way.append(at)
        at = int(before[at])
    return rows[way].astype(np.float64), cols[way].astype(np.float64)


def _smooth_length(rows: NDArray[np.float64], cols: NDArray[np.float64]) -> float:
    """Return the length of a way over pixels; whole steps alone would make a slanting line up to 8 % too long."""
    half = min(_SMOOTH_PX, (rows.size - 1) // 2)
    if half < 1:
        return float(np.hypot(np.diff(rows), np.diff(cols)).sum())
    kernel = np.ones(2 * half + 1) / (2 * half + 1)
    # Mirrored in the end points, so that these stay where they are.
    padded = [np.pad(v, half, mode="reflect", reflect_type="odd") for v in (rows, cols)]
    smooth = [np.convolve(v, kernel, mode="valid") for v in padded]
    return float(np.hypot(np.diff(smooth[0]), np.diff(smooth[1])).sum())


def _pixel_graph(line: Mask, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> csr_matrix:
    """Return the symmetric graph of neighbouring skeleton pixels; a diagonal only where no straight way exists."""
    from scipy.sparse import csr_matrix  # scipy is slow to import: only where it is used

    index = np.full(line.shape, -1, np.int64)
    index[rows, cols] = np.arange(rows.size)
    starts, ends, weights = [], [], []
    for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1)):
        other = index[np.clip(rows + dr, 0, line.shape[0] - 1), np.clip(cols + dc, 0, line.shape[1] - 1)]
        linked = other >= 0
        if dr and dc:
            linked &= ~(line[rows + dr * 0, cols + dc] | line[rows + dr, cols])
        starts.append(np.flatnonzero(linked))
        ends.append(other[linked])
        weights.append(np.full(int(linked.sum()), math.hypot(dr, dc)))
    start, end = np.concatenate(starts + ends), np.concatenate(ends + starts)
    weight = np.concatenate(weights + weights)
    order = np.lexsort((end, start))
    first = np.searchsorted(start[order], np.arange(rows.size + 1))
    return csr_matrix((weight[order], end[order], first), shape=(rows.size, rows.size))


def disc(diameter_px: float) -> NDArray[np.uint8]:
    """Return a disc-shaped structuring element of about that diameter."""
    radius = max(0, round((diameter_px - 1) / 2))
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(x * x + y * y <= radius * radius + 0.5, np.uint8)


def thick_share(mask: Mask, diameter_px: float) -> float:
    """Return the share of the mask that an opening with a disc keeps."""
    kept = cv2.morphologyEx(np.pad(mask, 1).astype(np.uint8), cv2.MORPH_OPEN, disc(diameter_px))
    return float(kept.sum()) / max(int(mask.sum()), 1)

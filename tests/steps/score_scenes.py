"""A small made-up place seen twice, for the tests of score, detect, measure and classify."""

from __future__ import annotations

import cv2
import numpy as np
from affine import Affine

from changedetect.core.grid import Grid
from changedetect.core.raster import Raster

BANDS = ("blue", "green", "red", "nir")
SOIL = np.array([0.09, 0.12, 0.16, 0.24], np.float32)
GRASS = np.array([0.04, 0.08, 0.06, 0.34], np.float32)
NOISE = 0.003


def make_grid(side: int = 256, gsd_m: float = 0.5) -> Grid:
    return Grid("EPSG:32652", Affine(gsd_m, 0.0, 480_000.0, 0.0, -gsd_m, 4_800_000.0), (side, side))


def ground(side: int = 256, seed: int = 1) -> np.ndarray:
    """Return a textured mix of soil and grass, (4, side, side) float32 reflectance."""
    rng = np.random.default_rng(seed)
    cover = cv2.GaussianBlur(rng.standard_normal((side, side)).astype(np.float32), (0, 0), 18)
    cover = 1 / (1 + np.exp(-12 * cover / cover.std() / 3))
    fine = cv2.GaussianBlur(rng.standard_normal((side, side)).astype(np.float32), (0, 0), 1.5)
    texture = 1 + 0.06 * fine / fine.std()
    return (SOIL[:, None, None] * (1 - cover) + GRASS[:, None, None] * cover) * texture


def shot(values: np.ndarray, seed: int, gsd_m: float = 0.5, unit: str = "reflectance", **options) -> Raster:
    """Return the place as a sensor sees it: blurred, with noise."""
    rng = np.random.default_rng(seed)
    blurred = np.stack([cv2.GaussianBlur(plane, (0, 0), 0.7) for plane in values.astype(np.float32)])
    noisy = blurred + NOISE * rng.standard_normal(values.shape).astype(np.float32)
    bands = options.get("bands", BANDS[: len(values)])
    return Raster.make(
        noisy * options.get("factor", 1.0), make_grid(values.shape[1], gsd_m), bands, unit, options.get("quality")
    )


def paint(values: np.ndarray, box: tuple[int, int, int, int], colour: np.ndarray | float) -> np.ndarray:
    """Return a copy with rows r0..r1 and columns c0..c1 in a colour (or times a factor)."""
    r0, r1, c0, c1 = box
    result = values.copy()
    part = result[:, r0:r1, c0:c1]
    result[:, r0:r1, c0:c1] = part * colour if np.isscalar(colour) else np.asarray(colour, np.float32)[:, None, None]
    return result


def paint_turned(
    values: np.ndarray, centre: tuple[float, float], size: tuple[float, float], angle_deg: float, colour
) -> np.ndarray:
    """Return a copy with a rectangle of (length, width) px whose length points `angle_deg` clockwise from north."""
    rows, cols = np.mgrid[: values.shape[1], : values.shape[2]] + 0.5
    dy, dx = -(rows - centre[0]), cols - centre[1]
    a = np.deg2rad(angle_deg)
    along, across = dx * np.sin(a) + dy * np.cos(a), dx * np.cos(a) - dy * np.sin(a)
    inside = (np.abs(along) <= size[0] / 2) & (np.abs(across) <= size[1] / 2)
    result = values.copy()
    result[:, inside] = np.asarray(colour, np.float32)[:, None]
    return result


ROOF = np.array([0.28, 0.30, 0.32, 0.36], np.float32)

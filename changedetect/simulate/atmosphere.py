"""What lies between the ground and the sensor: haze, cloud and its shadow; and snow and ice on the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.simulate.terrain import WATER, make_fractal

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLOUD_COLOUR = (0.62, 0.61, 0.60, 0.58)
HAZE_COLOUR = (0.16, 0.13, 0.105, 0.075)
SNOW_COLOUR = (0.74, 0.74, 0.73, 0.66)
ICE_COLOUR = (0.34, 0.36, 0.35, 0.27)
HIDDEN_THICKNESS = 0.25
"""Cloud hides more than a quarter of the ground's light: counted as not seen."""
HIDDEN_SHADOW = 0.45
LATTICE_PX = 4
"""Clouds are drawn on a lattice of every fourth pixel: they have no finer detail that matters."""


@dataclass(frozen=True, slots=True, eq=False)
class Sky:
    """Cloud over a scene's grid, on a coarse lattice that covers it."""

    thickness: NDArray[np.float32]
    """0 (clear) to 1 (opaque), (row, col)."""
    shadow: NDArray[np.float32]
    """0 to 1: share of direct light lost."""

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """True where the ground cannot be judged, on the lattice."""
        return (self.thickness > HIDDEN_THICKNESS) | (self.shadow > HIDDEN_SHADOW)

    def at(self, name: str, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return `thickness` or `shadow` on the full grid."""
        values: NDArray[np.float32] = getattr(self, name)
        rows, cols = values.shape
        full = cv2.resize(values, (cols * LATTICE_PX, rows * LATTICE_PX), interpolation=cv2.INTER_LINEAR)
        return np.clip(full[: shape[0], : shape[1]], 0.0, 1.0)


def make_sky(
    rng: np.random.Generator,
    shape: tuple[int, int],
    gsd_m: float,
    fraction: float,
    sun_deg: tuple[float, float],
    base_m: float = 0.0,
) -> Sky:
    """Return fractal cloud over a share `fraction` of a scene, and its shadow away from the sun."""
    lattice = (math.ceil(shape[0] / LATTICE_PX) + 1, math.ceil(shape[1] / LATTICE_PX) + 1)
    step_m = gsd_m * LATTICE_PX
    if fraction <= 0.0:
        nothing = np.zeros(lattice, np.float32)
        return Sky(nothing, nothing)
    size_m = max(shape) * gsd_m
    # low cloud over a small scene throws its shadow onto the scene; over a large one the usual kilometre does
    base_m = base_m or min(900.0, 0.22 * size_m)
    reach = base_m / math.tan(math.radians(max(sun_deg[1], 8.0)))
    d_col = reach * math.sin(math.radians(sun_deg[0])) / step_m
    d_row = -reach * math.cos(math.radians(sun_deg[0])) / step_m
    pad = math.ceil(max(abs(d_col), abs(d_row))) + 1
    padded = (lattice[0] + 2 * pad, lattice[1] + 2 * pad)
    noise = make_fractal(rng, padded, max(max(padded) * 0.45, 4.0), 1.0, 1.0)
    inner = noise[pad : pad + lattice[0], pad : pad + lattice[1]]
    level = float(inner.min()) - 0.6 if fraction >= 0.97 else float(np.quantile(inner, 1.0 - fraction))
    # the quantile puts the limit of "hidden" where the asked share of the scene is hidden by cloud itself
    width = 0.55
    thick = np.clip((noise - level) / width + HIDDEN_THICKNESS, 0.0, 1.0).astype(np.float32)
    move = np.array([[1, 0, -d_col], [0, 1, -d_row]], np.float32)
    shade = cv2.warpAffine(thick, move, (padded[1], padded[0]), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    crop = (slice(pad, pad + lattice[0]), slice(pad, pad + lattice[1]))
    return Sky(np.ascontiguousarray(thick[crop]), np.ascontiguousarray(shade[crop]))


def add_thin_cloud(sky: Sky, rng: np.random.Generator, thickness: float) -> Sky:
    """Return the sky with streaks of cloud of up to `thickness`: too thin to hide anything or to cast a shadow."""
    noise = make_fractal(rng, sky.thickness.shape, max(sky.thickness.shape) * 0.4, 2.0, 0.9)
    noise = (noise - noise.mean()) / max(float(noise.std()), 1e-6)
    veil = np.clip(0.45 + 0.45 * noise, 0.0, 1.0) * min(thickness, 0.9 * HIDDEN_THICKNESS)
    return Sky(np.maximum(sky.thickness, veil.astype(np.float32)), sky.shadow)


def apply_sky(image: NDArray[np.float32], sky: Sky, haze: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the image (row, col, band) seen through haze (0 to 1, slowly varying) and cloud, in place."""
    shape = image.shape[:2]
    if sky.thickness.any():
        thickness, shadow = sky.at("thickness", shape), sky.at("shadow", shape)
        light = 1.0 - 0.62 * shadow * (1.0 - thickness)
        image *= light[..., None]
        billow = 1.0 + 0.10 * make_fractal(rng, shape, 48, 2.0, 0.6)
        veil = np.asarray(CLOUD_COLOUR, np.float32) * (0.85 + 0.35 * thickness * billow)[..., None].astype(np.float32)
        image += (veil - image) * thickness[..., None]
    if haze > 0.0:
        lattice = (max(shape[0] // 16, 3), max(shape[1] // 16, 3))
        slow = make_fractal(rng, lattice, max(lattice), max(lattice) / 4, 1.0)
        wide = cv2.resize(slow, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
        depth = np.clip(haze * (1.0 + 0.35 * wide), 0.0, 0.9).astype(np.float32)
        image += (np.asarray(HAZE_COLOUR, np.float32) * 2.0 - image) * (0.5 * depth)[..., None]
    return image


def make_product_mask(sky: Sky, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a mask as products give it, (row, col) uint8: 0 clear, 1 cloud, 2 shadow; it misses some of the rims."""
    mask = np.zeros(shape, np.uint8)
    if not sky.thickness.any():
        return mask
    thickness, shadow = sky.at("thickness", shape), sky.at("shadow", shape)
    coarse = np.clip(0.09 * make_fractal(rng, (shape[0] // 4 + 1, shape[1] // 4 + 1), 8, 1.0, 0.5), -0.1, 0.1)
    wobble = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    mask[shadow > HIDDEN_SHADOW + wobble] = 2
    mask[thickness > HIDDEN_THICKNESS + 0.04 + wobble] = 1
    return mask


def lay_snow(
    reflectance: NDArray[np.float32],
    cover: NDArray[np.uint8],
    drift: NDArray[np.float32],
    fractions: tuple[float, float],
) -> None:
    """Lay snow on land and ice on water, each over a share (snow, ice) of it, patchy by `drift`, in place."""
    water = cover == WATER
    for share, place, colour in ((fractions[0], ~water, SNOW_COLOUR), (fractions[1], water, ICE_COLOUR)):
        if share <= 0.0 or not place.any():
            continue
        level = np.quantile(drift[::8, ::8], 1.0 - min(share, 0.999))
        depth = np.clip((drift - level) / 1.2 + 0.4, 0.0, 0.9).astype(np.float32) * place
        reflectance += (np.asarray(colour, np.float32) - reflectance) * depth[..., None]

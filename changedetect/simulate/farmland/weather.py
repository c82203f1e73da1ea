"""Weather: cloud and its shadow, veils and haze above; snow and frost below."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from changedetect.simulate.farmland.covers import SNOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.simulate.farmland.place import Place

HIDDEN_CLOUD = 0.3
"""Opacity from which the ground counts as not seen."""
HIDDEN_SHADE = 0.5
_STEP_PX = 5
_CLOUD: tuple[float, ...] = (0.66, 0.66, 0.65, 0.64)
_AIR: tuple[float, ...] = (0.105, 0.072, 0.048, 0.022)
"""Light that a thick haze scatters towards the sensor."""


@dataclass(frozen=True, slots=True)
class Weather:
    """The weather of a look; every share runs from 0 to 1."""

    cloud: float = 0.0
    """Share of the scene under cumulus."""
    veil: float = 0.0
    """Opacity of streaks of thin high cloud."""
    haze: float = 0.1
    wet: float = 0.0
    snow: float = 0.0
    frost: float = 0.0
    masked: bool = True
    """Whether the product's mask knows of the veil."""


@dataclass(frozen=True, slots=True, eq=False)
class Sky:
    """Opacity of cloud and of its shadow over a scene, on every fifth pixel."""

    cloud: NDArray[np.float32]
    shade: NDArray[np.float32]
    veil: NDArray[np.float32]
    left: float
    top: float
    step_m: float

    def hides(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether the ground at map positions cannot be judged."""
        col, row = (x - self.left) / self.step_m - 0.5, (self.top - y) / self.step_m - 0.5
        cloud, shade = (
            map_coordinates(layer, [row, col], order=1, mode="nearest") for layer in (self.cloud, self.shade)
        )
        return np.asarray((cloud > HIDDEN_CLOUD) | (shade > HIDDEN_SHADE))

    def spread(self, layer: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return a layer on the full grid."""
        full = cv2.resize(layer, (layer.shape[1] * _STEP_PX, layer.shape[0] * _STEP_PX), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(full[: shape[0], : shape[1]])


def make_sky(
    rng: np.random.Generator,
    grid: tuple[tuple[int, int], float, float, float],
    weather: Weather,
    sun_deg: tuple[float, float],
) -> Sky:
    """Return heaped clouds, their shadows and veils over a grid (shape, gsd_m, left, top)."""
    shape, gsd_m, left, top = grid
    rows, cols = (math.ceil(n / _STEP_PX) + 1 for n in shape)
    step_m = gsd_m * _STEP_PX
    clear = np.zeros((rows, cols), np.float32)
    veil = _draw_veil(rng, (rows, cols), step_m, weather.veil) if weather.veil > 0 else clear
    if weather.cloud <= 0:
        return Sky(clear, clear, veil, left, top, step_m)
    extent_m = max(rows, cols) * step_m
    base_m = min(float(rng.uniform(500, 1100)), 0.35 * extent_m)
    reach = base_m / math.tan(math.radians(max(sun_deg[1], 10.0))) / step_m
    d_col, d_row = -reach * math.sin(math.radians(sun_deg[0])), reach * math.cos(math.radians(sun_deg[0]))
    pad = math.ceil(reach) + 1
    heap = _heap(rng, (rows + 2 * pad, cols + 2 * pad), extent_m / step_m)
    inner = (slice(pad, pad + rows), slice(pad, pad + cols))
    level = float(np.quantile(heap[inner], 1.0 - min(weather.cloud, 0.995)))
    spread = max(0.12 * float(heap.std()), 1e-6)
    opaque = np.clip(HIDDEN_CLOUD + (heap - level) / spread * 0.5, 0.0, 1.0).astype(np.float32)
    move = np.array([[1, 0, d_col], [0, 1, d_row]], np.float32)
    shade = cv2.warpAffine(opaque, move, opaque.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Sky(np.ascontiguousarray(opaque[inner]), np.ascontiguousarray(shade[inner]), veil, left, top, step_m)


def _heap(rng: np.random.Generator, shape: tuple[int, int], extent: float) -> NDArray[np.float32]:
    """Return a field of heaps upon heaps: balls of falling size thrown about larger ones, edges torn by folding."""
    field = np.zeros(shape, np.float32)
    count = int(14 * shape[0] * shape[1] / extent**2) + 4
    centres = rng.uniform(0, 1, (count, 2)) * shape
    for row, col in centres:
        radius = extent * float(rng.lognormal(-2.6, 0.35))
        for _ in range(7):
            r, c = row + rng.normal(0, 0.8 * radius), col + rng.normal(0, 1.1 * radius)
            size = radius * float(rng.uniform(0.3, 0.8))
            cut = tuple(slice(max(int(v - 3 * size), 0), max(int(v + 3 * size) + 1, 0)) for v in (r, c))
            rr = np.arange(shape[0], dtype=np.float32)[cut[0], None] - np.float32(r)
            cc = np.arange(shape[1], dtype=np.float32)[None, cut[1]] - np.float32(c)
            field[cut] += np.exp(-(rr**2 + cc**2) / np.float32(2 * size**2))
    fold = 0.03 * extent
    bend = []
    for _ in range(2):
        noise = rng.standard_normal(shape).astype(np.float32)
        smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), max(0.012 * extent, 0.8)), np.float32)
        bend.append(smooth * np.float32(0.35 * fold / max(float(smooth.std()), 1e-9)))
    col, row = (np.arange(n, dtype=np.float32) for n in (shape[1], shape[0]))
    at = (col[None, :] + bend[0], row[:, None] + bend[1])
    torn = cv2.remap(field, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    low = cv2.resize(rng.standard_normal((4, 4)).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(torn + 0.15 * low, np.float32)


def _draw_veil(rng: np.random.Generator, shape: tuple[int, int], step_m: float, opacity: float) -> NDArray[np.float32]:
    """Return streaks of cirrus, some hundred metres wide and kilometres long: waves of random length and strength."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32) * np.float32(step_m)
    along = float(rng.uniform(0, math.pi))
    total = np.zeros(shape, np.float32)
    for wide_m in np.exp(rng.uniform(math.log(160), math.log(1500), 7)):
        turn = along + float(rng.normal(0, 0.12))
        wave = 2 * math.pi / float(wide_m)
        across = x * np.float32(wave * math.cos(turn)) + y * np.float32(wave * math.sin(turn))
        bend = np.sin((y * math.cos(turn) - x * math.sin(turn)) * np.float32(wave / 5) + rng.uniform(0, 6.28))
        total += np.float32(wide_m**0.4) * np.sin(across + np.float32(0.8) * bend + rng.uniform(0, 6.28))
    total /= np.float32(max(float(np.abs(total).max()), 1e-6))
    return np.asarray((0.55 + 0.45 * total) * min(opacity, 0.95 * HIDDEN_CLOUD), np.float32)


def look_through(image: NDArray[np.float32], sky: Sky, haze: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the image (row, col, band) as seen from above the weather, in place."""
    shape = image.shape[:2]
    if sky.cloud.any():
        shade, cloud = sky.spread(sky.shade, shape), sky.spread(sky.cloud, shape)
        lost = np.asarray((0.52, 0.58, 0.63, 0.70), np.float32)
        image *= 1.0 - shade[..., None] * lost
        top = np.asarray(_CLOUD, np.float32) * (0.75 + 0.4 * cloud)[..., None]
        image += (top - image) * np.clip(cloud * 1.15, 0.0, 1.0)[..., None]
    if sky.veil.any():
        veil = sky.spread(sky.veil, shape)[..., None]
        image += (np.asarray((0.60, 0.59, 0.58, 0.55), np.float32) - image) * veil
    tilt = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :] * np.float32(rng.uniform(-0.15, 0.15))
    tilt = tilt + np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None] * np.float32(rng.uniform(-0.15, 0.15))
    depth = (np.float32(haze) * (1.0 + tilt))[..., None]
    # each band loses light over the slant path and gains what the air scatters
    air = np.asarray(_AIR, np.float32)
    image *= 1.0 - depth * air * 3.0
    image += depth * air
    return image


def draw_mask(sky: Sky, weather: Weather, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a product's mask, (row, col) uint8: 0 clear, 1 cloud, 2 shadow; made on coarse cells: rims are off."""
    veiled = weather.masked and sky.veil.any()
    if not sky.cloud.any() and not veiled:
        return np.zeros(shape, np.uint8)
    bias = float(rng.uniform(-0.06, 0.04))
    labels = np.zeros(sky.cloud.shape, np.uint8)
    labels[sky.shade > HIDDEN_SHADE + bias] = 2
    labels[sky.cloud > HIDDEN_CLOUD + bias] = 1
    if veiled:
        labels[(sky.veil > 0.2) & (labels == 0)] = 1
    full = labels.repeat(_STEP_PX, axis=0).repeat(_STEP_PX, axis=1)
    return np.ascontiguousarray(full[: shape[0], : shape[1]])


def lay_snow(
    colour: NDArray[np.float32],
    shade: NDArray[np.float32],
    hollows: tuple[NDArray[np.float32], NDArray[np.float32]],
    cold: tuple[float, float, float],
    place: Place,
) -> None:
    """Lay snow (share of open ground, 0 to 1) and frost on the ground, in place; `cold` is (snow, frost, drift).

    Snow lies longest in the shade and in hollows; frost is left only in the shade.
    """
    snow, frost, drift = cold
    if snow <= 0.0 and frost <= 0.0:
        return
    long_shade = cv2.GaussianBlur(shade, (0, 0), max(0.8 / place.cell_m, 0.5))
    if snow > 0.0:
        fine, broad = hollows
        angle = 2 * math.pi * drift
        lie = np.float32(0.35 * math.cos(angle)) * fine + np.float32(0.35 * math.sin(angle)) * fine[::-1]
        lie += np.float32(0.8) * broad + np.float32(1.3) * long_shade
        level = float(np.quantile(lie[::7, ::7], 1.0 - min(snow, 0.98)))
        depth = np.clip(0.5 + (lie - level) / 0.9, 0.0, 0.93)[..., None]
        colour += (np.asarray(SNOW, np.float32) - colour) * depth
    if frost > 0.0:
        white = (np.float32(0.35 * frost) * np.clip(long_shade, 0.0, 1.0))[..., None]
        colour += (np.asarray((0.24, 0.25, 0.25, 0.27), np.float32) - colour) * white

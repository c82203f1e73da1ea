"""From farmland to pixels: what is there on a date, the light on it, the lean of it, the camera and the air."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.simulate.farmland.covers import N_VARIANTS, SPRUCE, day_number, leaf_tables
from changedetect.simulate.farmland.ground import paint_ground, strips, tabulate_fields
from changedetect.simulate.farmland.sensor import gather_light, read_out
from changedetect.simulate.farmland.solids import World, draw_solids
from changedetect.simulate.farmland.sun import face_sun, find_lean, find_shade
from changedetect.simulate.farmland.trees import BARE
from changedetect.simulate.farmland.weather import draw_mask, lay_snow, look_through

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.grid import Grid
    from changedetect.simulate.farmland.ground import Ground
    from changedetect.simulate.farmland.mosaic import Mosaic
    from changedetect.simulate.farmland.place import Place
    from changedetect.simulate.farmland.sensor import Aim
    from changedetect.simulate.farmland.solids import Solid
    from changedetect.simulate.farmland.stories import Look
    from changedetect.simulate.farmland.trees import Trees
    from changedetect.simulate.farmland.weather import Sky
    from changedetect.simulate.params import SimulateParams


@dataclass(frozen=True, slots=True, eq=False)
class Farmland:
    """Everything of a simulation that does not depend on the look."""

    place: Place
    params: SimulateParams
    mosaic: Mosaic
    ground: Ground
    trees: Trees
    solids: list[Solid]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """How one look sees the place."""

    look: Look
    index: int
    grid: Grid
    aim: Aim
    sun_deg: tuple[float, float]
    off_nadir_deg: float
    view_azimuth_deg: float
    sky: Sky


_SKY_LIGHT = (0.50, 0.42, 0.35, 0.28)
"""Share of the light left in full shadow under a clear sky, by band."""
_WALL = (0.17, 0.185, 0.19, 0.22)


def render_view(world: Farmland, view: View) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Return digital numbers (band, row, col) and the product's mask (row, col) of one look."""
    params, weather = world.params, view.look.weather
    rng = np.random.default_rng([params.seed, 9201, view.index])
    light = draw_light(world, view, rng)
    smear = float(rng.uniform(0.15, 0.6))
    lens = float(rng.uniform(0.22, 0.38))
    image = gather_light(light, world.place, view.grid, view.aim, (smear, lens, 0.1))
    del light
    image = look_through(image, view.sky, weather.haze, rng)
    mask = draw_mask(view.sky, weather, view.grid.shape, rng)
    return read_out(image, rng, params.gain_spread, params.noise), mask


def draw_light(world: Farmland, view: View, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the light the world sends to the sensor, as reflectance (row, col, band) in world cells."""
    place, weather, moment = world.place, view.look.weather, view.look.acquired
    day = day_number(moment, place.lat_deg)
    table = tabulate_fields(world.mosaic, day, view.sun_deg, world.params.seed)
    colour, height = paint_ground(place, world.ground, table, weather.wet, float(rng.uniform(0, 2 * math.pi)))
    scene = World(colour, height, np.zeros_like(height), np.zeros_like(height), place)
    draw_solids(scene, world.solids, moment)
    crowns, stops = leaf_tables(day, world.params.seed)
    solid_height = scene.height.copy()
    drift = float(rng.random())
    if weather.snow > 0 or weather.frost > 0:  # it falls through bare crowns, and off them first
        top = np.maximum(solid_height, world.trees.height * np.float32(0.9))
        shade = find_shade(solid_height, top, place.cell_m, view.sun_deg)
        hollows = (world.ground.drain, world.ground.broad[1])
        lay_snow(scene.colour, shade, hollows, (weather.snow, weather.frost, drift), place)
    _draw_crowns(scene, world, crowns, stops)
    shade = _cast_shadows(scene, world, solid_height, stops, view.sun_deg)
    _shine(scene, shade, view, weather.haze)
    return _lean(scene, solid_height, view)


def _draw_crowns(scene: World, world: Farmland, crowns: NDArray[np.float32], stops: NDArray[np.float32]) -> None:
    """Draw the crowns over everything, as dense as their leaves are; bare ones let the ground show."""
    trees, fine = world.trees, world.ground.fine[0]
    for rows in strips(len(scene.height)):
        cols = np.flatnonzero((trees.kind[rows] != BARE).any(axis=0))
        if cols.size == 0:
            continue
        cut = (rows, slice(int(cols[0]), int(cols[-1]) + 1))
        kind = trees.kind[cut]
        crowned = kind != BARE
        index = np.where(crowned, kind, 0)
        dense = stops[index] * trees.cover[cut] * crowned
        dense *= np.clip(1.0 + 0.10 * fine[cut], 0.3, 1.1) if world.place.cell_m < 0.8 else 1.0
        leaf = crowns[index] * np.clip(1.0 + 0.13 * fine[cut], 0.4, 1.8)[..., None]
        target = scene.colour[cut]
        target += (leaf - target) * np.clip(dense, 0.0, 1.0)[..., None]
        top = trees.height[cut]
        above = crowned & (top > scene.height[cut]) & (trees.cover[cut] > 0.3)
        scene.height[cut][above] = top[above]
        slope_y, slope_x = np.gradient(cv2.GaussianBlur(top, (0, 0), 0.8), world.place.cell_m)
        weight = 0.5 * stops[index]
        scene.slope_x[cut][above] = np.clip(weight * slope_x, -0.8, 0.8)[above]
        scene.slope_y[cut][above] = np.clip(weight * slope_y, -0.8, 0.8)[above]


def _cast_shadows(
    scene: World,
    world: Farmland,
    solid_height: NDArray[np.float32],
    stops: NDArray[np.float32],
    sun_deg: tuple[float, float],
) -> NDArray[np.float32]:
    """Return the share of direct light that is kept off each cell: solids stop it, crowns what their leaves do."""
    trees, cell = world.trees, world.place.cell_m
    shade = find_shade(scene.height, solid_height, cell, sun_deg)
    evergreen = trees.kind // N_VARIANTS == SPRUCE
    leafy = float(stops[: SPRUCE * N_VARIANTS].mean())
    for chosen, stop in ((evergreen, 0.94), (~evergreen, leafy)):
        if chosen.any():
            blocker = np.where(chosen & (trees.kind != BARE), trees.height, 0.0).astype(np.float32)
            np.maximum(shade, stop * find_shade(scene.height, blocker, cell, sun_deg), out=shade)
    return shade


def _shine(scene: World, shade: NDArray[np.float32], view: View, haze: float) -> None:
    """Let the sun and the sky shine on the scene, in place."""
    # more haze, more light from all sides; a low sun leaves more to the sky
    soft = 0.12 * haze + 0.05 * max(0.0, (40.0 - view.sun_deg[1]) / 20.0)
    sky = np.asarray(_SKY_LIGHT, np.float32) + np.float32(soft)
    turned = math.cos(math.radians(view.view_azimuth_deg - view.sun_deg[0]))
    # seen with the sun behind the sensor the ground is brighter: it hides its own shadows
    glance = np.float32(1.0 + 0.10 * math.sin(math.radians(view.off_nadir_deg)) * turned * 2.0)
    for rows in strips(len(scene.height)):
        direct = face_sun(scene.slope_x[rows], scene.slope_y[rows], view.sun_deg)
        direct *= 1.0 - shade[rows]
        sunk = np.where(scene.height[rows] < -0.2, np.float32(0.72), np.float32(1.0))  # a pit sees little of the sky
        scene.colour[rows] *= glance * (sky * sunk[..., None] + (1.0 - sky) * direct[..., None])


def _lean(scene: World, solid_height: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    """Return the lit scene with everything tall leaning away from the sensor."""
    lean = find_lean(scene.height, scene.place.cell_m, view.off_nadir_deg, view.view_azimuth_deg)
    if lean is None:
        return scene.colour
    col, row, side = lean
    seen = cv2.remap(scene.colour, col, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    faces = math.cos(math.radians(view.view_azimuth_deg - view.sun_deg[0]))
    lit = 0.45 + 0.55 * max(0.0, faces) / max(math.tan(math.radians(view.sun_deg[1])), 0.5)
    places = np.nonzero(side)
    at = tuple(np.clip(np.rint(axis[places]).astype(int), 0, len(side) - 1) for axis in (row, col))
    built = solid_height[at] > 0.5
    wall = np.asarray(_WALL, np.float32) * np.float32(lit)
    seen[places] = np.where(built[:, None], 0.6 * wall + 0.4 * seen[places] * 0.7, seen[places] * np.float32(0.75))
    return np.asarray(seen)

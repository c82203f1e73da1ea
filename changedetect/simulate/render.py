"""From a plan to pixels: ground, objects, light, sensor and sky of one look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from changedetect.simulate.atmosphere import apply_sky, lay_snow, make_product_mask
from changedetect.simulate.light import illuminate
from changedetect.simulate.objects import Canvas, draw_items
from changedetect.simulate.sensor import measure_dn, sample_world
from changedetect.simulate.terrain import WATER, ground_reflectance, row_strips

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.simulate.params import SimulateParams
    from changedetect.simulate.plan import Frame, LookPlan, Plan, Site


def draw_world(plan: Plan, look: LookPlan, sun_deg: tuple[float, float], seed: list[int]) -> NDArray[np.float32]:
    """Return reflectance of the lit world at one look, (row, col, band) float32 in world pixels."""
    terrain = plan.terrain
    reflectance = ground_reflectance(terrain, look.acquired.timetuple().tm_yday, look.wet)
    if look.glint > 0.0:
        _add_glint(reflectance, plan, look.glint, np.random.default_rng([*seed, 1]))
    if (look.snow > 0.0 or look.ice > 0.0) and terrain.drift is not None:
        lay_snow(reflectance, terrain.cover, terrain.drift, (look.snow, look.ice))
    canvas = Canvas(terrain, reflectance, terrain.height.copy(), plan.stamps)
    draw_items(canvas, (item for item in plan.items if item.present_at(look.acquired)))
    return illuminate(canvas.reflectance, canvas.height, terrain.pixel_m, sun_deg)


def _add_glint(reflectance: NDArray[np.float32], plan: Plan, glint: float, rng: np.random.Generator) -> None:
    """Brighten the water by mirrored light, in waves that differ from look to look."""
    terrain = plan.terrain
    if terrain.drift is None:
        return
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    waves = np.ascontiguousarray(np.rot90(terrain.drift[::-1] if mirrored else terrain.drift, turns))
    for rows in row_strips(len(reflectance)):
        amount = np.float32(glint) * np.maximum(1.0 + np.float32(0.3) * waves[rows], 0.0)
        reflectance[rows] += (amount * (terrain.cover[rows] == WATER))[..., None]


def render_look(
    plan: Plan, site: Site, params: SimulateParams, frame: Frame, index: int
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Return digital numbers (band, row, col) and the product's mask (row, col) of one look."""
    look = plan.looks[index]
    rng = np.random.default_rng([params.seed, 202, index])
    if float(frame.sky.thickness.min()) >= 1.0:  # nothing of the ground gets through
        image = np.zeros((*frame.grid.shape, 4), np.float32)
    else:
        world = draw_world(plan, look, frame.sun_deg, [params.seed, 303, index])
        place = (site.left - site.margin_m, site.top + site.margin_m, site.pixel_m)
        image = sample_world(world, place, frame.grid, frame.pointing)
        del world
    image = apply_sky(image, frame.sky, look.haze * params.cloud, rng)
    mask = make_product_mask(frame.sky, frame.grid.shape, rng)
    return measure_dn(image, rng, params.gain_spread, params.noise), mask

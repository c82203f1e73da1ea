"""What grows on farmland, what is done to it, and what colour that is: blue, green, red, near infrared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from numpy.typing import NDArray

Spectrum = tuple[float, float, float, float]


def dye(colour: Iterable[float], factors: Iterable[float]) -> Spectrum:
    """Return a colour with each band multiplied by a factor."""
    blue, green, red, nir = (float(c * f) for c, f in zip(colour, factors, strict=True))
    return blue, green, red, nir


@dataclass(frozen=True, slots=True)
class Cover:
    """One state of a field."""

    colour: Spectrum
    later: Spectrum
    """What it turns into after `days`."""
    days: float
    row_m: float
    """Distance of the rows, passes or swaths that show."""
    row_depth: float
    """Relative contrast of the rows."""
    grain: float
    """Relative contrast of clods, tufts and stones of half a metre."""
    patch: float
    """Relative contrast of patches of tens of metres."""
    height_m: float = 0.0
    relief: float = 0.0
    """How much the rows' contrast depends on the sun's side: 1 for furrows."""


COVERS = {
    "cereal": Cover((0.040, 0.082, 0.058, 0.36), (0.085, 0.125, 0.155, 0.30), 40, 3.0, 0.03, 0.05, 0.08, 0.7),
    "stubble": Cover((0.115, 0.155, 0.205, 0.285), (0.080, 0.120, 0.140, 0.285), 60, 6.0, 0.10, 0.06, 0.09, 0.1),
    "ploughed": Cover((0.048, 0.066, 0.088, 0.125), (0.078, 0.106, 0.138, 0.190), 9, 2.6, 0.11, 0.12, 0.12, 0.0, 1.0),
    "harrowed": Cover((0.080, 0.108, 0.142, 0.195), (0.098, 0.130, 0.170, 0.225), 7, 4.0, 0.05, 0.06, 0.12, 0.0, 0.5),
    "sprouting": Cover((0.075, 0.105, 0.128, 0.215), (0.045, 0.085, 0.065, 0.330), 32, 3.0, 0.04, 0.05, 0.13),
    "meadow": Cover((0.034, 0.072, 0.048, 0.37), (0.052, 0.086, 0.086, 0.27), 75, 9.0, 0.008, 0.09, 0.13, 0.25),
    "mown": Cover((0.062, 0.112, 0.092, 0.310), (0.040, 0.084, 0.058, 0.350), 24, 7.0, 0.09, 0.05, 0.08),
    "fallow": Cover((0.052, 0.084, 0.082, 0.275), (0.070, 0.098, 0.118, 0.225), 70, 11.0, 0.02, 0.14, 0.17, 0.4),
    "maize": Cover((0.036, 0.068, 0.050, 0.340), (0.082, 0.110, 0.128, 0.235), 35, 3.0, 0.03, 0.09, 0.06, 2.2),
    "maize-stubble": Cover((0.105, 0.136, 0.168, 0.235), (0.085, 0.112, 0.142, 0.205), 40, 3.0, 0.12, 0.09, 0.08),
    "beet": Cover((0.030, 0.075, 0.036, 0.440), (0.036, 0.078, 0.050, 0.390), 50, 3.0, 0.025, 0.07, 0.09, 0.4),
    "lifted": Cover((0.058, 0.080, 0.104, 0.160), (0.075, 0.102, 0.130, 0.190), 14, 3.0, 0.10, 0.13, 0.12),
    "pasture": Cover((0.040, 0.078, 0.058, 0.320), (0.060, 0.092, 0.094, 0.245), 70, 12.0, 0.0, 0.10, 0.16, 0.1),
    "wood-floor": Cover((0.030, 0.047, 0.040, 0.190), (0.058, 0.072, 0.088, 0.185), 55, 9.0, 0.0, 0.16, 0.12),
}
"""Autumn values; `later` is reached `days` after the state began."""

# what a field is at first and what is done to it: (state, first day of the year it can begin, last day)
STORIES: tuple[tuple[tuple[str, float, float], ...], ...] = (
    (("stubble", 205, 225), ("ploughed", 246, 300), ("harrowed", 262, 318), ("sprouting", 280, 330)),
    (("stubble", 205, 225), ("harrowed", 240, 275), ("sprouting", 258, 300)),
    (("stubble", 200, 222),),
    (("maize", 170, 175), ("maize-stubble", 258, 305), ("ploughed", 275, 335)),
    (("maize", 170, 175), ("maize-stubble", 262, 310)),
    (("beet", 170, 175), ("lifted", 262, 318)),
    (("beet", 170, 175),),
    (("meadow", 180, 185), ("mown", 240, 290)),
    (("meadow", 195, 210),),
    (("mown", 210, 240), ("mown", 255, 300)),
    (("pasture", 170, 190),),
    (("fallow", 170, 190),),
    (("cereal", 215, 220), ("stubble", 232, 262)),
    (("ploughed", 225, 246), ("harrowed", 250, 285), ("sprouting", 268, 312)),
)

# what the first state of a story came from: (state, first day it can begin, last day)
EARLIER: dict[str, tuple[tuple[str, float, float], ...]] = {
    "stubble": (("sprouting", 55, 70), ("cereal", 136, 150)),
    "ploughed": (("sprouting", 55, 70), ("cereal", 132, 144), ("stubble", 194, 210)),
    "cereal": (("harrowed", 78, 96), ("sprouting", 104, 122)),
    "maize": (("ploughed", 64, 92), ("harrowed", 104, 122), ("sprouting", 128, 144)),
    "beet": (("ploughed", 60, 80), ("harrowed", 92, 108), ("sprouting", 116, 130)),
    "meadow": (("meadow", 50, 70), ("mown", 134, 166)),
    "mown": (("meadow", 50, 70), ("mown", 138, 160), ("meadow", 176, 186)),
    "pasture": (("pasture", 50, 60),),
    "fallow": (("fallow", 50, 60),),
}


def day_number(moment: datetime, lat_deg: float) -> float:
    """Return the day of the year as the fields count it: half a year on in the south."""
    day = moment.timetuple().tm_yday + moment.hour / 24.0
    return (day + (0.0 if lat_deg >= 0 else 182.5)) % 365.0


def age_colour(cover: Cover, age_days: float) -> NDArray[np.float64]:
    """Return the reflectance (4,) of a state `age_days` after it began."""
    share = 1.0 - np.exp(-1.6 * max(age_days, 0.0) / cover.days)
    return np.asarray(np.asarray(cover.colour) * (1.0 - share) + np.asarray(cover.later) * share)


# (in leaf, turning, bare) colours of a crown; days on which half the leaves have turned, are down
# and, the spring before, are out
OAK, POPLAR, BIRCH, FRUIT, SPRUCE, SHRUB = range(6)
_LEAVES: tuple[tuple[Spectrum, Spectrum, Spectrum, float, float, float], ...] = (
    ((0.024, 0.052, 0.032, 0.36), (0.045, 0.068, 0.095, 0.28), (0.062, 0.074, 0.088, 0.165), 294, 314, 124),
    ((0.028, 0.064, 0.038, 0.40), (0.052, 0.118, 0.125, 0.36), (0.070, 0.082, 0.094, 0.175), 278, 298, 116),
    ((0.028, 0.066, 0.040, 0.38), (0.050, 0.125, 0.140, 0.35), (0.078, 0.088, 0.100, 0.180), 274, 292, 108),
    ((0.030, 0.062, 0.042, 0.34), (0.045, 0.078, 0.090, 0.28), (0.064, 0.078, 0.092, 0.180), 290, 308, 112),
    ((0.020, 0.036, 0.026, 0.25), (0.020, 0.036, 0.026, 0.25), (0.020, 0.036, 0.026, 0.25), 900, 990, -99),
    ((0.030, 0.058, 0.044, 0.32), (0.050, 0.072, 0.090, 0.26), (0.062, 0.076, 0.092, 0.180), 288, 306, 110),
)
N_SPECIES = len(_LEAVES)
N_VARIANTS = 8
"""Trees of one species differ by up to nine days and a fifth in lightness."""


def leaf_tables(day: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return crown colour (k, 4) and share of light a crown stops (k,) by species * N_VARIANTS + variant."""
    rng = np.random.default_rng([seed, 77])
    late = rng.uniform(-9, 9, (N_SPECIES, N_VARIANTS))
    shade = rng.uniform(0.82, 1.18, (N_SPECIES, N_VARIANTS))
    colour = np.empty((N_SPECIES * N_VARIANTS, 4), np.float32)
    density = np.empty(N_SPECIES * N_VARIANTS, np.float32)
    for species, (green, turning, bare, turns, falls, opens) in enumerate(_LEAVES):
        for k in range(N_VARIANTS):
            turned = 1.0 / (1.0 + np.exp(-(day - turns - late[species, k]) / 5.0))
            fallen = 1.0 / (1.0 + np.exp(-(day - falls - late[species, k]) / 4.0))
            fallen = max(fallen, 1.0 / (1.0 + np.exp((day - opens - 0.6 * late[species, k]) / 4.0)))
            leafy = np.asarray(green) * (1 - turned) + np.asarray(turning) * turned
            index = species * N_VARIANTS + k
            colour[index] = shade[species, k] * (leafy * (1 - fallen) + np.asarray(bare) * fallen)
            density[index] = 0.94 * (1 - fallen) + 0.42 * fallen
    return colour, density


TARMAC: Spectrum = (0.078, 0.086, 0.092, 0.108)
GRAVEL: Spectrum = (0.145, 0.175, 0.205, 0.250)
EARTH_TRACK: Spectrum = (0.098, 0.128, 0.165, 0.225)
VERGE: Spectrum = (0.044, 0.082, 0.062, 0.300)
YARD: Spectrum = (0.108, 0.126, 0.140, 0.172)
ROOFS: tuple[Spectrum, ...] = (
    (0.070, 0.085, 0.165, 0.240),
    (0.085, 0.095, 0.130, 0.180),
    (0.175, 0.185, 0.190, 0.205),
    (0.120, 0.128, 0.132, 0.150),
    (0.055, 0.060, 0.064, 0.080),
    (0.300, 0.310, 0.310, 0.330),
    (0.070, 0.105, 0.080, 0.150),
)
"""Red tile, brown tile, fibre cement, old zinc, dark slate, bright sheet, green paint."""
PAINTS: tuple[Spectrum, ...] = (
    (0.42, 0.44, 0.45, 0.48),
    (0.20, 0.21, 0.21, 0.23),
    (0.030, 0.032, 0.034, 0.045),
    (0.045, 0.040, 0.180, 0.230),
    (0.160, 0.085, 0.050, 0.110),
    (0.060, 0.110, 0.070, 0.160),
)
"""Of cars and farm machines."""
DRAB: tuple[Spectrum, ...] = (
    (0.046, 0.060, 0.058, 0.110),
    (0.062, 0.078, 0.080, 0.150),
    (0.095, 0.115, 0.128, 0.190),
    (0.040, 0.050, 0.046, 0.070),
)
"""Of army vehicles and canvas."""
SUBSOIL: tuple[Spectrum, ...] = (
    (0.115, 0.155, 0.215, 0.300),
    (0.150, 0.195, 0.250, 0.330),
    (0.090, 0.118, 0.158, 0.230),
)
"""Yellow loam, chalky, brown."""
SNOW: Spectrum = (0.78, 0.79, 0.77, 0.70)

"""Settings of the simulator; None means the scenario's own value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Scenario = Literal["training-ground", "huts-renovated", "port-season", "parade-ground", "airfield"]

SCENARIO_NAMES = ("training-ground", "huts-renovated", "port-season", "parade-ground", "airfield")


@dataclass(frozen=True, slots=True)
class SimulateParams:
    """What to simulate, how large, and how badly it is seen."""

    scenario: Scenario
    """Which story is told; each follows what was reported of one kind of place."""
    world: Literal["steppe", "farmland"] = "steppe"
    """Which generator draws it: open steppe, or a mosaic of worked fields that shares no code with the first. Farmland
    tells training-ground and huts-renovated; what is tuned on one world can be asked of the other."""
    seed: Annotated[int, Field(ge=0)] = 7
    """The same seed gives the same bytes."""
    size_m: Annotated[float, Field(ge=48.0, le=6000.0)] | None = None
    """Side of the simulated square; the default of each scenario is the smallest that holds its story."""
    gsd_m: Annotated[float, Field(ge=0.2, le=10.0)] | None = None
    """Pixel size of the (finest) sensor."""
    start: str | None = None
    """First date (YYYY-MM-DD, UTC) of the series, where another time of year is wanted."""
    end: str | None = None
    """Last date (YYYY-MM-DD, UTC)."""
    n_scenes: Annotated[int, Field(ge=2, le=400)] | None = None
    """Number of scenes, spread evenly over the scenario's own dates."""
    n_days: Annotated[int, Field(ge=0, le=200)] | None = None
    """port-season: days with a ship in sight at a look."""
    people: Annotated[int, Field(ge=0, le=3000)] | None = None
    """parade-ground: people standing in formation."""
    n_piers: Annotated[int, Field(ge=1, le=4)] = 3
    """port-season: piers where the area of interest names no zones."""
    shift_px: Annotated[float, Field(ge=0.0, le=100.0)] | None = None
    """Largest shift of a scene, pixels; 3 at 0.5 m and 2 at 3 m are common for orthorectified products."""
    rotation_mrad: Annotated[float, Field(ge=0.0, le=5.0)] = 0.2
    """Largest rotation of a scene."""
    warp_px: Annotated[float, Field(ge=0.0, le=5.0)] = 0.6
    """Largest smooth local warp, pixels: what terrain and attitude errors leave."""
    gain_spread: Annotated[float, Field(ge=0.0, le=0.5)] = 0.08
    """Largest relative error of calibration per band."""
    noise: Annotated[float, Field(ge=0.0, le=10.0)] = 1.0
    """Multiple of the usual shot and read noise; 0 gives noise-free scenes."""
    cloud: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    """Multiple of the scenario's cloud and haze; 0 gives clear skies."""
    planted: bool = True
    """False plants no truth at all: every detection is then a false alarm."""

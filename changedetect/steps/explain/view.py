"""Where the sun and the sensor stood, and what that does to things of a height."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from changedetect.core.scene import Scene

Step = tuple[float, float]
"""(row, col) per metre of height, metres on the ground: south and east."""

_LOWEST_SUN_DEG = 5.0


@dataclass(frozen=True, slots=True)
class View:
    """Angles of one date in degrees, azimuths clockwise from north; None where unknown."""

    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    view_azimuth_deg: float | None = None
    off_nadir_deg: float | None = None

    @classmethod
    def of(cls, scene: Scene) -> View:
        """Return the angles of a scene."""
        return cls(scene.sun_azimuth_deg, scene.sun_elevation_deg, scene.view_azimuth_deg, scene.off_nadir_deg)

    @property
    def shadow(self) -> Step | None:
        """Where the shadow of something a metre tall ends, from its foot; None if the sun is unknown."""
        if self.sun_azimuth_deg is None or self.sun_elevation_deg is None:
            return None
        length = 1.0 / math.tan(math.radians(max(self.sun_elevation_deg, _LOWEST_SUN_DEG)))
        azimuth = math.radians(self.sun_azimuth_deg)
        return length * math.cos(azimuth), -length * math.sin(azimuth)

    @property
    def lean(self) -> Step | None:
        """Where something a metre tall seems to stand, from its foot: away from the sensor; None if unknown.

        `view_azimuth_deg` is the direction from the place to the sensor.
        """
        if self.view_azimuth_deg is None or self.off_nadir_deg is None:
            return None
        length = math.tan(math.radians(self.off_nadir_deg))
        azimuth = math.radians(self.view_azimuth_deg)
        return length * math.cos(azimuth), -length * math.sin(azimuth)


def differ(after: Step | None, before: Step | None) -> Step | None:
    """Return how far something a metre tall moves from one date to the next; None if either is unknown."""
    if after is None or before is None:
        return None
    return after[0] - before[0], after[1] - before[1]


def lean_px(after: View, before: View, gsd_m: float) -> Step | None:
    """Return by how many pixels something a metre tall moves from one view to the other; None if one is unknown."""
    step = differ(after.lean, before.lean)
    return None if step is None else (step[0] / gsd_m, step[1] / gsd_m)

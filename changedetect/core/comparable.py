"""Comparable: which scenes may be compared with which, by what their metadata say of sensor and geometry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from changedetect.core.scene import Scene

RADAR_UNITS = ("sigma0", "amplitude", "db")
"""Units of radar scenes: linear power, amplitude (its root), decibel."""

PICTURE = "display"
"""Unit of pictures: stretched 8-bit numbers, which tell structure and no radiometry."""

COMPARED_BANDS = ("coastal", "blue", "green", "red", "rededge", "nir", "swir16", "swir22", "pan", "gray", "vv", "vh")
"""Bands that are differenced, where both scenes have them."""

_SAME_INCIDENCE_DEG = 10.0
"""Backscatter of ground, and the length of layover and shadow, change visibly beyond this."""


def why_not_compared(scene: Scene, reference: Scene) -> str | None:
    """Return why a scene cannot be compared with the reference whatever its pixels say; None if it can.

    Radar: layover, shadow and double bounce turn with the direction of looking, so that everything that is tall would
    differ between two tracks. Calibrated radar needs the same relative orbit, radar of one's own tasking the same side
    of flight, the same direction of flight where known, and incidences within 10 degrees.
    """
    if is_radar(scene) != is_radar(reference):
        return "not comparable: radar and optical images show different things"
    if not is_radar(scene):
        return None
    if scene.sensor != reference.sensor:
        return f"not comparable: radar of another kind ({scene.sensor} against {reference.sensor})"
    if scene.unit == "amplitude":
        return _other_look(scene, reference)
    if scene.relative_orbit is None or reference.relative_orbit is None:
        return "not comparable: the relative orbit of the radar is not known (`relative_orbit:` of the scene gives it)"
    if scene.relative_orbit != reference.relative_orbit:
        tracks = f"{scene.relative_orbit} against {reference.relative_orbit}"
        return f"not comparable: radar of another relative orbit ({tracks})"
    return None


def _other_look(scene: Scene, reference: Scene) -> str | None:
    if scene.look_side is None or reference.look_side is None:
        return "not comparable: the look side of the radar is not known (`look_side:` of the scene gives it)"
    if scene.look_side != reference.look_side:
        return f"not comparable: radar looking to the other side ({scene.look_side} against {reference.look_side})"
    if None not in (scene.orbit_state, reference.orbit_state) and scene.orbit_state != reference.orbit_state:
        return f"not comparable: radar in the other direction of flight ({scene.orbit_state})"
    incidences = (scene.off_nadir_deg, reference.off_nadir_deg)
    if incidences[0] is not None and incidences[1] is not None:
        apart = abs(incidences[0] - incidences[1])
        if apart > _SAME_INCIDENCE_DEG:
            return f"not comparable: radar at another incidence ({apart:.0f} degrees apart)"
    return None


def is_radar(scene: Scene) -> bool:
    """Return whether a scene is radar."""
    return scene.unit in RADAR_UNITS


def is_structure_only(scene: Scene, reference: Scene) -> bool:
    """Return whether two scenes can be compared by structure alone: a stretched picture against measured numbers."""
    return (scene.unit == PICTURE) != (reference.unit == PICTURE)


def colours_of(scenes: Iterable[Scene]) -> tuple[str, ...] | None:
    """Return red, green and blue where every scene has them, else None: what is not shown need not be read."""
    colours = ("red", "green", "blue")
    return colours if all(set(colours) <= set(scene.bands) for scene in scenes) else None

"""What was learned of trenches, huts and equipment: features of a candidate to calibrated chances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MEASURED = (
    *("rect_length_m", "rect_width_m", "fill", "path_m", "mean_width_m", "inner_width_m", "elongation", "aspect"),
    *("thickness", "hull_fill", "roundness", "branches", "sharpness"),
    *("mean_sigma", "high_sigma", "free_sigma", "free_share", "colour_fraction", "brighter_share"),
    *("ring_sigma", "over_ring", "light", "bright_fraction", "dark_fraction", "shadow_fraction", "lit_fraction"),
    *("visible_change", "dark_before", "dark_after", "light_before", "light_after", "level_before", "level_after"),
    *("contrast_before", "contrast_after", "edges_before", "edges_after"),
    *("nir_change", "red_blue_change", "ndvi_before", "ndvi_change", "texture_before", "texture_after"),
    *("change_spread", "evenness", "rim_dark", "rim_bright", "middle_change"),
    *("slot_depth", "slot_fraction", "slot_extent", "row_peaks", "row_spacing_m"),
    *("local_sigma", "local_mean", "local_ring", "local_over_ring", "local_clutter"),
    *("local_contrast", "local_bright", "local_dark", "patch_sigma", "edge_gain", "kept_sigma"),
    *("near_count", "like_count", "near_gap_m"),
)
"""Features as `measure` and `group` name them."""
RULES = ("trench", "hut", "equipment")
DERIVED = (
    *("group_parts", "area_m2", "gsd_m", "width_px", "modified", "disappeared", "own_darkness"),
    *(f"{name}_margin" for name in RULES),
)
EXPLAINED = ("moved_shadow", "shift_gain", "lean_gain", "casts")
"""What light, view or misregistration explain of it; 0 where their angles are not known."""
FEATURES = MEASURED + DERIVED + EXPLAINED
CLASSES = ("none", *RULES)


def describe_row(row: Mapping[str, Any], margins: Mapping[str, Sequence[float]], darkness: float) -> list[float] | None:
    """Return the values of `FEATURES` of one candidate; None where it was not measured in full.

    `margins`: of each rule, in units of its softness.
    """
    f = row["features"]
    if not set(MEASURED) <= set(f):
        return None
    derived = {
        "group_parts": f.get("group_parts", 0.0),
        "area_m2": row["area_m2"],
        "gsd_m": row["gsd_m"],
        "width_px": f["inner_width_m"] / row["gsd_m"],
        "modified": float(row["status"] == "modified"),
        "disappeared": float(row["status"] == "disappeared"),
        "own_darkness": darkness,
    }
    worst = {f"{name}_margin": float(np.clip(min(margins[name]), -6.0, 6.0)) for name in RULES}
    derived |= worst
    explained = [float(f.get(name, 0.0)) for name in EXPLAINED]
    return [float(f[name]) for name in MEASURED] + [float(derived[name]) for name in DERIVED] + explained


def as_values(rows: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """Return described rows as (row, feature) float32, finite."""
    values = np.asarray(rows, np.float32).reshape(len(rows), len(FEATURES))
    return np.nan_to_num(values, nan=0.0, posinf=1e6, neginf=-1e6)

"""Register: where the reference's pixels lie in a moving scene, how exactly, or why that cannot be told."""

from changedetect.steps.register.estimate import estimate_shift
from changedetect.steps.register.params import RegisterParams
from changedetect.steps.register.parts import join_warps, part_params, sample_parts
from changedetect.steps.register.prepare import Reference, prepare_reference

__all__ = [
    "Reference",
    "RegisterParams",
    "estimate_shift",
    "join_warps",
    "part_params",
    "prepare_reference",
    "sample_parts",
]

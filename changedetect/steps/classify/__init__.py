"""Classify: what each detection may be, by named rules, only where a zone asks for that class."""

from changedetect.steps.classify.dispatch import (
    ClassifyParams,
    classify,
    coarsest_gsd_m,
    untold_classes,
    wanted_classes,
    why_too_coarse,
    worth_measuring,
)
from changedetect.steps.classify.ground import GroundParams
from changedetect.steps.classify.group import group_parts

__all__ = [
    "ClassifyParams",
    "GroundParams",
    "classify",
    "coarsest_gsd_m",
    "group_parts",
    "untold_classes",
    "wanted_classes",
    "why_too_coarse",
    "worth_measuring",
]

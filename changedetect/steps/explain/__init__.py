"""Explain: which differences are no change of the ground but light, view or misregistration, told by geometry."""

from changedetect.steps.explain.flags import EXPLAINED_FLAGS, explain
from changedetect.steps.explain.params import ExplainParams
from changedetect.steps.explain.trim import trim_shadows
from changedetect.steps.explain.view import View, lean_px

__all__ = ["EXPLAINED_FLAGS", "ExplainParams", "View", "explain", "lean_px", "trim_shadows"]

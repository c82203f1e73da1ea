"""Register: where the reference's pixels lie in a moving scene, how exactly, or why that cannot be told."""

from changedetect.steps.register.estimate import estimate_shift
from changedetect.steps.register.params import RegisterParams

__all__ = ["RegisterParams", "estimate_shift"]

"""Detect: cut the score into labelled objects."""

from changedetect.steps.detect.cut import detect
from changedetect.steps.detect.params import DetectParams
from changedetect.steps.detect.tail import expected_false_alarms

__all__ = ["DetectParams", "detect", "expected_false_alarms"]

"""Measure: what each labelled object is like, in metres, degrees and sigma."""

from changedetect.steps.measure.params import MeasureParams
from changedetect.steps.measure.table import measure

__all__ = ["MeasureParams", "measure"]

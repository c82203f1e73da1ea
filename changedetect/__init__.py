"""Dated, classed, measured changes between satellite scenes of a place, and how sure they are."""

__version__ = "0.1.0"

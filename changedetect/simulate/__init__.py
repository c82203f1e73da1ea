"""Simulated scenes with truth: physically sensible, deterministic by seed, and marked as simulated everywhere."""

from changedetect.simulate.params import SimulateParams
from changedetect.simulate.simulation import SimulatedScene, Simulation, simulate

__all__ = ["SimulateParams", "SimulatedScene", "Simulation", "simulate"]

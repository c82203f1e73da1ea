"""A second world, farmland, that shares nothing with the first but the form of its results.

What is tuned on one world is asked of the other: a mosaic of ploughed, harvested, mown and sown fields, hedges and
trees that lose their leaves, farms, traffic, wet and snowy ground, shadows from heights, and tall things that lean.
"""

from changedetect.simulate.farmland.simulation import simulate_farmland

__all__ = ["simulate_farmland"]

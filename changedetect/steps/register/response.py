"""How much too long Gauss-Newton steps are on a pair, told from what its last move changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from changedetect.steps.register.field import Field, Ties

_LONG_PX = 0.05
"""A last step that is mostly shorter is what noise asks for, and is taken as it is."""
_MOST_GAIN = 2.5


def step_gain(last: tuple[Field, Ties] | None, now: tuple[Field, Ties]) -> float:
    """Return how many times too long the step is that is measured now; 1 where it is short, or none was before.

    Parameters
    ----------
    last, now
        The field from which a step was measured, and the ties that it leads to.

    Notes
    -----
    A step is s = G e of what is still to go, e: G is less than 1 where robust weights favour what agrees already, and
    up to 2 on texture as fine as the pixels, whose slope is underrated, and no longer shared when it is off by a
    fraction of a pixel: there steps go to and fro. After a move m the second step is shorter by G m, whatever noise
    both share: a secant step, which costs nothing.
    """
    if last is None:
        return 1.0
    _, old, new = np.intersect1d(last[1].position @ [1.0, 1j], now[1].position @ [1.0, 1j], return_indices=True)
    place = now[1].position[new]
    before, after = last[0].at_points(place), now[0].at_points(place)
    step, moved = now[1].value[new] - after, after - before
    known = np.trace(now[1].info[new], axis1=1, axis2=2)
    weight = known / (known + np.median(known))
    if not len(new) or np.median(np.hypot(*step.T)) < _LONG_PX:
        return 1.0
    shorter = last[1].value[old] - before - step
    gain = (weight @ (moved * shorter).sum(axis=1)) / max(float(weight @ (moved**2).sum(axis=1)), 1e-9)
    return float(np.clip(gain, 1.0, _MOST_GAIN))


def rescaled(ties: Ties, field: Field, gain: float) -> Ties:
    """Return ties whose step from the field is divided by its gain."""
    here = field.at_points(ties.position)
    return replace(ties, value=here + (ties.value - here) / gain)

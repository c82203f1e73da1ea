"""Learn the colour of shadow from the ground that shadows grew over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from changedetect.steps.score import predict
from changedetect.steps.score.shadows import DarkGround, Shadows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.steps.score.params import ScoreParams
    from changedetect.steps.score.state import ScoreModel

_BOX = np.ones((3, 3), np.uint8)
_DEEP = 0.7
"""Shadow keeps less than this of the light where it stands out most: penumbrae keep more."""
_VISIBLE = 0.9
"""And less than this in the visible: haze fills shadows with blue, but withering crowns keep or gain it."""
_LEAST, _MOST = 0.1, 0.97


def learn_shadow(
    dark: DarkGround,
    matched: predict.Pair,
    planes: list[NDArray[np.float32]],
    shadows: Shadows,
    model: ScoreModel,
    params: ScoreParams,
) -> ScoreModel:
    """Return the model with the share of light that is left in shadow, per band.

    The sky that lights shadows differs with haze, height and sun; it is read where ground near old shadows became dark.
    Cores only: the edges of shadows hold half of the sun. With too few such pixels, or no agreement, nothing is
    learned, and shadow counts as grey.
    """
    bands = matched.bands
    if len(bands) < 2:
        return model
    lights = [predict.lit(plane, path, params) for plane, path in zip(planes, model.path, strict=True)]
    seen = [now - np.float32(path) for now, path in zip(matched.after, model.path, strict=True)]
    deep = predict.darkness_plane(seen, bands) < np.float32(_DEEP) * predict.darkness_plane(lights, matched.bands)
    deep &= _fell(seen, lights, predict.visible_indices(bands))
    grew = (dark.after > 0) & ~(cv2.dilate(dark.before, _BOX) > 0) & shadows.near & matched.valid & deep
    core = cv2.erode(grew.astype(np.uint8), _BOX) > 0
    if core.sum() < params.min_shadow_pixels:
        return model
    left = np.stack([now[core] / light[core] for now, light in zip(seen, lights, strict=True)])
    low, middle, high = np.quantile(left, (0.25, 0.5, 0.75), axis=1)
    if (high - low).max() > params.max_shadow_scatter or middle.min() < _LEAST or middle.max() > _MOST:
        return model
    return replace(model, shadow=tuple(float(value) for value in middle))


def _fell(after: list[NDArray[np.float32]], lights: list[NDArray[np.float32]], chosen: list[int]) -> NDArray[np.bool_]:
    now, then = (np.sum([planes[k] for k in chosen], axis=0) for planes in (after, lights))
    return np.asarray(now < np.float32(_VISIBLE) * then)

"""Evidence against "nothing happened": whitened residuals, with a common change of light as an allowed explanation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from changedetect.steps.score.params import ScoreParams
    from changedetect.steps.score.state import ScoreModel

    Values = NDArray[np.float32]


ROWS = 32
"""Rows that are weighed at a time."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Per pixel: squared evidence with and without light as an explanation, and the relative change of light."""

    all_squared: Values
    free_squared: Values
    light: Values


@dataclass(frozen=True, slots=True)
class LightAxis:
    """What a change of light does to whitened residuals; the same for every way in which nothing may have happened."""

    sigmas: Sequence[Values]
    """Standard deviation of each band."""
    direction: list[Values]
    """Whitened residual of light doubled."""
    squared: Values
    """Its squared length."""


def light_axis(
    lights: Sequence[Values], sigmas: Sequence[Values], was_dark: NDArray[np.bool_], model: ScoreModel
) -> LightAxis:
    """Return what a change of light does, given the light on each pixel and the standard deviations of residuals.

    Light comes back to what `was_dark`; elsewhere it is lost. The sky that lights a shadow is blue, so that not all
    bands lose and gain alike.
    """
    tinted = [q / s for q, s in zip(lights, sigmas, strict=True)]
    if model.shadow:
        for value, lost, gained in zip(tinted, *_tints(model.shadow), strict=True):
            value *= np.where(was_dark, gained, lost)
    direction = _whiten(tinted, model.whitening)
    return LightAxis(sigmas, direction, _dot(direction, direction))


def weigh(residuals: Sequence[Values], axis: LightAxis, model: ScoreModel, params: ScoreParams) -> Evidence:
    """Return the evidence of residuals given their standard deviations and what light does.

    Notes
    -----
    With y = W(r / sigma) and l = W(q / sigma): the light's relative change is t = y.l / l.l, and what it leaves is
    |y - t l|^2, divided by how much a change of light scales the noise itself and by the sky light's error per band.
    """
    y = _whiten([r / s for r, s in zip(residuals, axis.sigmas, strict=True)], model.whitening)
    yy, yl, ll = _dot(y, y), _dot(y, axis.direction), axis.squared
    light = yl / np.maximum(ll, np.float32(1e-12))
    clipped = np.clip(light, *_range_of_light(model.shadow, params))
    left = np.maximum(yy - 2 * clipped * yl + clipped * clipped * ll, np.float32(0))
    noise = np.maximum(np.float32(0.5), (1 + (1 + clipped) ** 2) * np.float32(0.5))
    sky = 1 + np.float32(params.sky_light**2 / len(y)) * clipped * clipped * ll
    squared = np.asarray(yy * np.float32(model.scale_all**2), np.float32)
    free = np.asarray(left / (noise * sky) * np.float32(model.scale_free**2), np.float32)
    return Evidence(squared, np.minimum(free, squared), np.asarray(light, np.float32))


def weigh_rows(
    residuals: Sequence[Values],
    sigmas: Sequence[Values],
    lights: Sequence[Values],
    was_dark: NDArray[np.bool_],
    settings: tuple[ScoreModel, ScoreParams],
) -> Evidence:
    """Return `weigh` of planes (row, col), some rows at a time: so they stay in the processor's cache."""
    whole = Evidence(*(np.empty(was_dark.shape, np.float32) for _ in range(3)))
    for top in range(0, was_dark.shape[0], ROWS):
        rows = slice(top, top + ROWS)
        axis = light_axis([q[rows] for q in lights], [s[rows] for s in sigmas], was_dark[rows], settings[0])
        found = weigh([r[rows] for r in residuals], axis, *settings)
        whole.all_squared[rows], whole.free_squared[rows] = found.all_squared, found.free_squared
        whole.light[rows] = found.light
    return whole


def sigma_contrast(sigmas: Sequence[Values], brightness: float, model: ScoreModel) -> float:
    """Return the grey difference, as a share of `brightness`, that is one sigma in half of the pixels."""
    whitened = _whiten([np.float32(brightness) / sigma for sigma in sigmas], model.whitening)
    return 1 / max(float(np.median(np.sqrt(_dot(whitened, whitened)))) * model.scale_all, 1e-9)


def _tints(shadow: Sequence[float]) -> tuple[list[np.float32], list[np.float32]]:
    """Return how much each band loses to a shadow, and gains from its leaving, against the mean of the bands."""
    lost = 1 - np.asarray(shadow)
    gained = 1 / np.asarray(shadow) - 1
    return [np.float32(v) for v in lost / lost.mean()], [np.float32(v) for v in gained / gained.mean()]


def _range_of_light(shadow: Sequence[float], params: ScoreParams) -> tuple[np.float32, np.float32]:
    """Return the deepest shadow and the strongest return of light that are believed."""
    if not shadow:
        return np.float32(params.darkest_light), np.float32(params.brightest_light)
    left = np.asarray(shadow)
    darkest = -min(float(np.mean(1 - left)) * params.shadow_margin, 0.95)
    return np.float32(darkest), np.float32(np.mean(1 / left - 1) * params.shadow_margin)


def to_sigma(squared: Values, degrees: int) -> Values:
    """Return a chi-square of `degrees` freedom as sigmas of one degree, so thresholds mean the same for any sensor."""
    return np.asarray(np.sqrt(np.maximum(squared - np.float32(max(degrees - 1, 0)), np.float32(0))), np.float32)


def _whiten(values: Sequence[Values], whitening: Sequence[Sequence[float]]) -> list[Values]:
    # Written out: a matrix product may round the edges of its tiles differently from block to block.
    result = []
    for weights in whitening:
        total = values[0] * np.float32(weights[0])
        for value, weight in zip(values[1:], weights[1:], strict=True):
            if weight:
                total += value * np.float32(weight)
        result.append(total)
    return result


def _dot(left: Sequence[Values], right: Sequence[Values]) -> Values:
    total = left[0] * right[0]
    for a, b in zip(left[1:], right[1:], strict=True):
        total += a * b
    return total

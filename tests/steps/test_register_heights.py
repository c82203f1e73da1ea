"""Things that stand above the ground: told from a warp of it, and left out of it."""

import numpy as np
import pytest

from changedetect.steps.register.field import STIFF_PENALTY, Ties, fit_field
from changedetect.steps.register.heights import Lean, fit_ground, stand_on_ground

INTERVALS = (12, 12)
SIDE = 20
TOWARDS = np.array([0.6, -0.8])


def lattice():
    at = (np.arange(SIDE) + 0.5) / SIDE
    return np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).reshape(-1, 2)


def gentle(position):
    """A warp of half a pixel, one wave across the scene."""
    row, col = position.T
    return 0.5 * np.stack([np.sin(2 * np.pi * row + 1.0), np.cos(2 * np.pi * col)], axis=1)


def short(position):
    """A warp of half a pixel, four waves across the scene."""
    row, col = position.T
    return 0.5 * np.stack([np.sin(7 * np.pi * row + 1.0), np.cos(7 * np.pi * col + 2 * row)], axis=1)


def woods(position):
    """Where woods stand: four sharply bounded patches of 6 x 6 ties, a third of the scene."""
    row, col = (position * SIDE).astype(int).T
    return (row % 10 > 3) & (col % 10 < 6)


def make_ties(warp, lean_px=0.0, noise_px=0.03, seed=0):
    position = lattice()
    rng = np.random.default_rng(seed)
    tall = woods(position) * rng.uniform(0.6, 1.4, len(position)) * lean_px
    value = warp(position) + tall[:, None] * TOWARDS + rng.normal(0, noise_px, position.shape)
    k = np.arange(len(position))
    group = (k // SIDE // 2) * SIDE + k % SIDE // 2
    return Ties(position, value, np.tile(np.eye(2) / noise_px**2, (len(position), 1, 1)), group)


def errors(field, warp):
    return np.hypot(*(field.at_points(lattice()) - warp(lattice())).T)


@pytest.mark.parametrize("lean_px", [1.0, 2.5])
def test_woods_that_lean_do_not_bend_the_ground(lean_px):
    ties = make_ties(gentle, lean_px)
    bent = fit_field(ties, INTERVALS)
    fit, lean = fit_ground(ties, INTERVALS, bent)
    assert lean is not None
    assert np.dot(lean.towards, TOWARDS) > 0.9
    assert 0.55 < lean.share < 0.8
    assert np.quantile(errors(bent.field, gentle), 0.9) > 0.5 * lean_px
    assert np.quantile(errors(fit.field, gentle), 0.9) < 0.25 * lean_px


@pytest.mark.parametrize("warp", [gentle, short])
@pytest.mark.parametrize("noise_px", [0.03, 0.2])
def test_a_warp_is_not_taken_for_heights(warp, noise_px):
    ties = make_ties(warp, noise_px=noise_px)
    bent = fit_field(ties, INTERVALS)
    fit, lean = fit_ground(ties, INTERVALS, bent)
    assert lean is None
    assert fit is bent


def test_what_is_height_is_taken_off_and_counts_less_along_the_lean_alone():
    position = np.array([[0.2, 0.2], [0.8, 0.8]])
    ties = Ties(position, np.array([[0.0, 2.0], [0.0, 0.0]]), np.tile(np.eye(2) / 0.01, (2, 1, 1)), np.arange(2))
    lean = Lean((0.0, 1.0), share=0.7, mean_px=1.0, variance=1.0, own_px=0.05)
    standing = stand_on_ground(ties, np.zeros((2, 2)), lean)
    # the covariance of a tie on the ground is 0.1**2 + 0.05**2; the tall one is 2 px off along the lean
    assert standing.value[0] == pytest.approx([0.0, 0.0], abs=0.15)
    assert standing.value[1] == pytest.approx([0.0, 0.0], abs=0.05)
    assert standing.info[:, 0, 0] == pytest.approx([80.0, 80.0], rel=1e-3)
    assert standing.info[0, 1, 1] < 0.7 * standing.info[1, 1, 1]


def test_the_stiff_penalty_is_among_those_tried():
    ties = make_ties(gentle)
    assert STIFF_PENALTY in {trial.penalty for trial in fit_field(ties, INTERVALS).trials}

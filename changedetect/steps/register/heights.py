"""Things that stand above the ground: views from two sides move them all one way, which is no warp of the ground."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from changedetect.steps.register.canopy import canopy_at, map_canopy, merge_canopies
from changedetect.steps.register.field import AFFINE, STIFF_PENALTY, Field, Fit, Ties, Trial, fit_field, fit_like

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from changedetect.core.raster import Raster

GROUND_PENALTIES = (AFFINE, 1e3, STIFF_PENALTY, 1.0)
_COARSE = Field(np.zeros((2, 9, 9)), STIFF_PENALTY / 2.0**4)
"""As stiff on half as many intervals, where it costs a tenth."""
_LEANS_PX = np.concatenate([[0.0], np.geomspace(0.1, 6.4, 13)])
_ANGLES = 16
_HINT, _ONE_SIDED = 0.04, 0.1
"""Log likelihood per tie by which things lean to one side rather than the other, as they are and with scale and field
fitted to each: fitted, .13-.46 where woods and crops stand, at most .08 where the ground itself is warped."""
_WARP_SHARE, _ACROSS_SHARE = 0.25, 0.4
"""Where a bent field leaves less than a quarter of the stiff one's typical error along d, or .4 of its loss across d,
it describes a warp: heights move nothing across (.48-.97 where woods stand, .04-.33 where only the ground is warped
and ties are exact)."""
_STUDENT = 4.0
_ROUNDS = 2
_MIN_TIES = 40
_EPS = 1e-8
_TALL_M, _LEAST_LEAN_PX = 15.0, 0.3
"""Views that move the top of a tree by less than .3 px bend no field."""
_LEAST_CANOPY, _UNDER_CROWNS = 0.03, 0.5
"""Share of the ties under crowns, and of a tie's ground, from which on woods could be taken for the ground."""
_MEAN_M, _MOST_MEAN_PX = 4.0, 3.0
"""Height that things above the ground are first taken for."""
_CROWNS = 3000.0
"""Factor of the variance of ties under crowns along the lean: hundreds of them must not outweigh the ground beside."""


@dataclass(frozen=True, slots=True)
class Lean:
    """How things above the ground are displaced, as ties see it."""

    towards: tuple[float, float]
    """Unit vector (row, col)."""
    share: float = 0.7
    """Share of the ties that see the ground."""
    mean_px: float = 0.7
    """Mean displacement of the others."""
    variance: float = 1.0
    """Factor of the inverse information that makes it a covariance, px2."""
    own_px: float = 0.05
    """Error per axis of a tie, however much it knows: shadows, crops and cars move too."""


@dataclass(frozen=True, slots=True, eq=False)
class Tall:
    """What is known of things above the ground before they are matched."""

    step_px: tuple[float, float]
    """(row, col) px of the full grid by which the views move something a metre tall."""
    canopy: NDArray[np.float32]
    """Share of cells of the grid under crowns, see `map_canopy`."""

    @property
    def towards(self) -> tuple[float, float]:
        """Unit vector (row, col)."""
        return self.step_px[0] / self._per_m, self.step_px[1] / self._per_m

    @property
    def mean_px(self) -> float:
        """What things above the ground are first taken to lean by."""
        return min(self._per_m * _MEAN_M, _MOST_MEAN_PX)

    @property
    def _per_m(self) -> float:
        return float(np.hypot(*self.step_px))

    def over(self, ties: Ties) -> NDArray[np.bool_]:
        """Return which ties lie under crowns, (n,)."""
        return np.asarray(canopy_at(self.canopy, ties.position) > _UNDER_CROWNS)


def see_tall(moving: Raster, canopy: NDArray[np.float32] | None, step_px: tuple[float, float] | None) -> Tall | None:
    """Return what is known of things above the ground, given the reference's canopy and the views (see `Tall`).

    None where nothing is known, and where the views are so alike that no tree leans visibly.
    """
    if step_px is None or float(np.hypot(*step_px)) * _TALL_M < _LEAST_LEAN_PX:
        return None
    either = merge_canopies(map_canopy(moving), canopy)
    return None if either is None else Tall(step_px, either)


def fit_ground(ties: Ties, intervals: tuple[int, int], fit: Fit, known: Lean | None = None) -> tuple[Fit, Lean | None]:
    """Return the fit to the ground and how what stands on it leans; the given fit and None where nothing shows it.

    A tie measures u + h d: d is common to the scene (the difference of the two views), h >= 0 grows with height. With
    a stiff field for u, d is the direction in which the ties' residuals are most one-sided; each tie then says how
    much of its residual is height, and as much as that is uncertain it counts less along d. Across d it counts fully.
    A warp leans to both sides, and a bent field explains it. A lean `known` from the step before needs no proof but
    that nothing speaks for the opposite one.
    """
    stiff = next((trial for trial in fit.trials if trial.penalty == STIFF_PENALTY), None)
    if stiff is None or len(ties) < _MIN_TIES:
        return fit, None
    one, other = _find_leans(ties, stiff)
    ahead = _likelihood(ties, stiff.held_out, one) - _likelihood(ties, stiff.held_out, other)
    if (known is None and ahead < _HINT) or _is_warp(ties, fit, stiff, one):
        return fit, None
    ground, lean = _settle(ties, one)
    u, against = ground.at_points(ties.position), _settle(ties, other)
    ahead = _likelihood(ties, u, lean) - _likelihood(ties, against[0].at_points(ties.position), against[1])
    if ahead < (_ONE_SIDED if known is None else 0.0):
        return fit, None
    return fit_field(stand_on_ground(ties, u, lean), intervals, GROUND_PENALTIES), lean


def trust_less(ties: Ties, tall: Tall) -> Ties:
    """Return ties of which those under crowns tell hardly anything along the way that things lean."""
    under = tall.over(ties)
    if not under.any():
        return ties
    ridge = 1e-6 * float(np.trace(ties.info.mean(axis=0))) + _EPS
    inverse, _ = _invert(ties.info + ridge * np.eye(2))
    d = np.asarray(tall.towards)
    along = np.where(under, _CROWNS * np.einsum("i,nij,j->n", d, inverse, d), 0.0)
    return replace(ties, info=_invert(inverse + along[:, None, None] * np.outer(d, d))[0])


def fit_seen_ground(ties: Ties, intervals: tuple[int, int], fit: Fit, tall: Tall) -> tuple[Fit, Lean | None]:
    """Return the fit to the ground where the views tell which way things lean; the given fit and None if nothing does.

    That way is no longer to be found, nor need it be proved against the opposite one: a wood that the edge of the
    scene cuts off, which a bent field follows as if it were the ground, leans to both sides of it.
    """
    stiff = next((trial for trial in fit.trials if trial.penalty == STIFF_PENALTY), None)
    if stiff is None or len(ties) < _MIN_TIES or tall.over(ties).mean() < _LEAST_CANOPY:
        return fit, None
    lean = replace(_fit_scale(*_whiten(ties, stiff.held_out)), towards=tall.towards, mean_px=tall.mean_px)
    if _is_warp(ties, fit, stiff, lean):
        return fit, None
    ground, lean = _settle(ties, lean)
    return fit_field(stand_on_ground(ties, ground.at_points(ties.position), lean), intervals, GROUND_PENALTIES), lean


def _settle(ties: Ties, lean: Lean) -> tuple[Field, Lean]:
    """Return a stiff ground and the lean, fitted to each other in turn."""
    ground = fit_like(ties, _COARSE)
    for _ in range(_ROUNDS):
        lean = _adapt(lean, *_whiten(ties, ground.at_points(ties.position)))
        ground = fit_like(stand_on_ground(ties, ground.at_points(ties.position), lean), ground)
    return ground, lean


def _find_leans(ties: Ties, stiff: Trial) -> tuple[Lean, Lean]:
    """Return the likeliest lean in the residuals of the stiff field, and the opposite one."""
    residual, inverse = _whiten(ties, stiff.held_out)
    lean = _fit_scale(residual, inverse)
    angles = 2.0 * np.pi * np.arange(_ANGLES) / _ANGLES
    leans = [replace(lean, towards=(float(np.sin(a)), float(np.cos(a)))) for a in angles]
    likely = [float(np.mean(_weigh_leans(residual, inverse, one)[1])) for one in leans]
    best = int(np.argmax(likely))
    return leans[best], leans[(best + _ANGLES // 2) % _ANGLES]


def _likelihood(ties: Ties, u: NDArray[np.float64], lean: Lean) -> float:
    return float(np.mean(_weigh_leans(*_whiten(ties, u), lean)[1]))


def stand_on_ground(ties: Ties, ground: NDArray[np.float64], lean: Lean) -> Ties:
    """Return the ties less what of them is height, given u of the ground at them, (n, 2) px."""
    residual, inverse = _whiten(ties, ground)
    post, _ = _weigh_leans(residual, inverse, lean)
    height = _LEANS_PX @ post
    spread = np.maximum(_LEANS_PX**2 @ post - height**2, 0.0)
    d = np.asarray(lean.towards)
    covariance = _covariance(inverse, lean) + spread[:, None, None] * np.outer(d, d)
    return replace(ties, value=ties.value - height[:, None] * d, info=_invert(covariance)[0])


def _is_warp(ties: Ties, fit: Fit, stiff: Trial, lean: Lean) -> bool:
    """Return whether a bent field explains what the stiff one misses along the lean, or much of it across."""
    d = np.asarray(lean.towards)
    along = [float(np.median(np.abs(trial.miss_px @ d))) for trial in (*fit.trials, stiff)]
    if min(along) < _WARP_SHARE * along[-1]:
        return True
    n = np.array([-d[1], d[0]])
    scale = np.sqrt(np.einsum("i,nij,j->n", n, _whiten(ties, ties.value)[1], n))
    across = [np.abs(trial.miss_px @ n) / scale for trial in (*fit.trials, stiff)]
    limit = 8.0 / 0.6745 * min(float(np.median(miss)) for miss in across)
    loss = [float(np.mean(np.minimum(miss, limit) ** 2)) for miss in across]
    return min(loss) < _ACROSS_SHARE * loss[-1]


def _whiten(ties: Ties, u: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the residuals to u (n, 2) and the inverse information (n, 2, 2)."""
    ridge = 1e-6 * float(np.trace(ties.info.mean(axis=0)))
    return ties.value - u, _invert(ties.info + (ridge + _EPS) * np.eye(2))[0]


def _invert(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the inverses and the determinants of symmetric matrices (n, 2, 2)."""
    a, b, d = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 1]
    determinant = a * d - b * b
    return np.stack([d, -b, -b, a], axis=1).reshape(-1, 2, 2) / determinant[:, None, None], determinant


def _covariance(inverse: NDArray[np.float64], lean: Lean) -> NDArray[np.float64]:
    return lean.variance * inverse + (lean.own_px**2 + _EPS) * np.eye(2)


def _fit_scale(residual: NDArray[np.float64], inverse: NDArray[np.float64]) -> Lean:
    """Return the variance and the ties' own error that make the residuals, none of them height, most likely."""
    known, axes = np.linalg.eigh(inverse)
    missed = np.einsum("nij,ni->nj", axes, residual) ** 2
    middle = max(float(np.median((missed / known).sum(axis=1))) / 1.386, _EPS)

    def likelihood(lean: Lean) -> float:
        variance = lean.variance * known + lean.own_px**2 + _EPS
        size = (missed / variance).sum(axis=1)
        return float(np.mean(-0.5 * np.log(variance.prod(axis=1)) - (_STUDENT + 2.0) / 2.0 * np.log1p(size / _STUDENT)))

    tried = [
        Lean((0.0, 0.0), variance=middle * share, own_px=own)
        for share in (0.03, 0.1, 0.2, 0.4, 0.7, 1.0, 1.4)
        for own in (0.02, 0.04, 0.07, 0.12, 0.2, 0.33)
    ]
    return max(tried, key=likelihood)


def _weigh_leans(
    residual: NDArray[np.float64], inverse: NDArray[np.float64], lean: Lean
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how likely each of `_LEANS_PX` is (lean, n), and the log likelihood of the ties (n,)."""
    covariance = _covariance(inverse, lean)
    (precision, determinant), d = _invert(covariance), np.asarray(lean.towards)
    own = np.einsum("ni,nij,nj->n", residual, precision, residual)
    cross, along = np.einsum("ni,nij,j->n", residual, precision, d), np.einsum("i,nij,j->n", d, precision, d)
    h = _LEANS_PX[:, None]
    size = np.maximum(own - 2.0 * h * cross + h**2 * along, 0.0)
    width = np.gradient(_LEANS_PX[1:])
    tall = np.exp(-_LEANS_PX[1:] / lean.mean_px) * width
    prior = np.concatenate([[lean.share], (1.0 - lean.share) * tall / tall.sum()])
    density = prior[:, None] * (1.0 + size / _STUDENT) ** (-(_STUDENT + 2.0) / 2.0)
    total: NDArray[np.float64] = density.sum(axis=0)
    likely: NDArray[np.float64] = np.log(total) - 0.5 * np.log(determinant)
    return density / total, likely


def _adapt(lean: Lean, residual: NDArray[np.float64], inverse: NDArray[np.float64]) -> Lean:
    """Return the lean with scale, share and mean that suit the residuals better."""
    tried = [
        replace(lean, variance=lean.variance * share, own_px=max(lean.own_px * own, 0.015))
        for share in (0.5, 0.7, 1.0, 1.4)
        for own in (0.5, 0.7, 1.0, 1.4)
    ]
    best = max(tried, key=lambda one: float(_weigh_leans(residual, inverse, one)[1].mean()))
    post, _ = _weigh_leans(residual, inverse, best)
    on_ground = float(post[0].mean())
    mean_px = float((_LEANS_PX @ post).sum() / max(float((1.0 - post[0]).sum()), _EPS))
    return replace(best, share=min(max(on_ground, 0.05), 0.995), mean_px=min(max(mean_px, 0.1), _MOST_MEAN_PX))

"""A few runs -> the best setting: each next run where it is expected to gain most.

The first settings are spread over the space; then each is the one of largest expected improvement
(Jones et al. 1998) over the best mean so far, under a Gaussian process that expects a horizon, and
on average over all its parameters that the scores allow (Snoek et al. 2012, section 3.2). Scores
are noisy, so that the answer is the setting that is surely good, not the luckiest run. A setting is
run again where its expected improvement, by what is still not known of its true score, is larger
than that of every new one that is tried. That counts a run as if it told the true score; what there
is still to gain (`Proposal.expected_gain`), by which a search stops, counts its noise.
Source of the stop: Frazier, Powell and Dayanik 2009; Frazier and Powell 2010.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, qmc

from horizon_st.errors import UserError
from horizon_st.horizon.gaussian_process import HorizonProcess
from horizon_st.horizon.space import SearchSpace

Array = NDArray[np.float64]

NUM_FIRST = 5
"""Settings that are spread over the space before there is a surface to go by."""
_LOG2_SPREAD, _LATTICE, _LONGEST_SIDE = 8, 128, 9
_NEAR, _NUM_CENTERS, _PER_CENTER = 0.1, 3, 20
_NEARER, _NUM_BETTER, _PER_BETTER = 0.08, 6, 12
_NUM_ASKED, _RUNS_ASKED = 64, 3
"""Of the best candidates, how much so many runs of one can gain: as many as a study has seeds. One
alone may seem worth nothing under noise where several are worth a lot (Frazier and Powell 2010)."""
_EVERY = 5
"""Of the 128 draws of the surface's parameters: expected improvement is averaged over 26."""
_OWN_SHARE = 0.25
"""Of what a setting's own scores differ from the surface: what is taken for its own merit, which no
smooth surface shows, rather than for noise."""
_CAUTION = 0.75
"""Standard deviations that a setting's mean is lowered by when the best is chosen."""
_LEAST_FALL = 0.05
"""By what share of the worst score a run without one counts as worse, at least."""


@dataclass(frozen=True)
class ScoredSetting:
    """One run: what was set, and its score; NaN where it has none, as of a run that diverged."""

    setting: dict[str, float]
    score: float


@dataclass(frozen=True)
class Proposal:
    """What to run next.

    Attributes:
        setting: to run.
        expected_gain: by how much the true score of the best setting is expected to rise by three
            more runs, with their noise, of whichever other setting promises most; infinite while
            fewer than 2D + 1 settings have a score, the least that can show slope and curvature
            along each of D dimensions.
    """

    setting: dict[str, float]
    expected_gain: float


@dataclass(frozen=True)
class HorizonResult:
    """What a search found.

    Attributes:
        best: of the settings that were run, the one whose estimated score, less a part of its
            standard deviation, is highest: surely good rather than lucky.
        best_score: the estimate: the surrogate's mean there, corrected a little towards the mean of
            the setting's own scores.
        best_deviation: its standard deviation.
        trials: all runs in their order.
        surrogate: the surface that was fitted to them, over the unit cube of the space.
        space: that was searched.
    """

    best: dict[str, float]
    best_score: float
    best_deviation: float
    trials: list[ScoredSetting]
    surrogate: HorizonProcess
    space: SearchSpace

    def horizon_level(self, tolerance: float) -> float:
        """The predicted score from which on a setting lies on the horizon.

        The best setting's, too, is what the surface predicts, without the share of its own runs'
        luck that `best_score` has.

        Args:
            tolerance: how far below the best one's, in units of the score.
        """
        mean, _ = self.surrogate.predict(self.space.to_unit(self.best)[None])
        return float(mean[0]) - tolerance

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict; a run without a score has null."""
        direction = self.surrogate.direction
        trials = [asdict(trial) for trial in self.trials]
        for trial in trials:
            trial["score"] = trial["score"] if math.isfinite(trial["score"]) else None
        return {
            "best": self.best,
            "best_score": self.best_score,
            "best_deviation": self.best_deviation,
            "space": {name: list(bounds) for name, bounds in self.space.bounds.items()},
            "trials": trials,
            "surrogate": {
                "noise": self.surrogate.noise,
                "direction": dict(zip(self.space.names, map(float, direction), strict=True)),
            },
        }


def find_horizon(
    evaluate: Callable[[dict[str, float]], float],
    space: SearchSpace,
    num_trials: int,
    seed: int,
    *,
    tolerance: float | None = None,
) -> HorizonResult:
    """The best setting of a space after some runs.

    Args:
        evaluate: trains and scores a setting; higher is better; may be noisy. A score that is not
            finite counts as worse than all others.
        space: what may be set.
        num_trials: runs, at least 1.
        seed: of the settings that are tried.
        tolerance: gain, in units of the score, that is not worth a run: the search ends as soon as
            `Proposal.expected_gain` is less. None makes all runs.

    Raises:
        UserError: there are no runs to make, the tolerance is not a positive number, or no run had
            a score.
    """
    if num_trials < 1:
        raise UserError(
            "num_trials", expected="at least 1", found=num_trials, remedy="16 often suffice."
        )
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise UserError(
            "tolerance",
            expected="a positive number, in units of the score",
            found=tolerance,
            remedy="Leave it out to make all runs.",
        )
    trials: list[ScoredSetting] = []
    while len(trials) < num_trials:
        proposal = next_run(trials, space, seed)
        if tolerance is not None and proposal.expected_gain < tolerance:
            break
        trials.append(ScoredSetting(proposal.setting, float(evaluate(proposal.setting))))
    return conclude(trials, space)


def propose(trials: Sequence[ScoredSetting], space: SearchSpace, seed: int) -> dict[str, float]:
    """The setting to run next, given those that were; the same for the same runs and seed."""
    return next_run(trials, space, seed).setting


def next_run(
    trials: Sequence[ScoredSetting],
    space: SearchSpace,
    seed: int,
    *,
    pending: Sequence[dict[str, float]] = (),
) -> Proposal:
    """What to run next, and what it is expected to gain; the same for the same runs and seed.

    Args:
        trials: that have ended.
        space: what may be set.
        seed: of the search.
        pending: settings that other workers are running. They count as if they had scored what is
            expected of them (the Kriging believer of Ginsbourger et al. 2010).
    """
    number = len(trials) + len(pending)
    scored = any(math.isfinite(trial.score) for trial in trials)
    if number < NUM_FIRST or not scored:
        return Proposal(space.from_unit(_first_points(space, seed, number + 1)[number]), math.inf)
    points, scores = _as_arrays(trials, space)
    surface = HorizonProcess(points, scores)
    if pending:
        believed = np.array([space.to_unit(setting) for setting in pending])
        points = np.concatenate([points, believed])
        scores = np.concatenate([scores, surface.predict(believed)[0]])
        surface = HorizonProcess(points, scores)
    point, gain = _most_promising(surface, points, np.random.default_rng((seed, number)))
    with_score = points[: len(trials)][np.isfinite([trial.score for trial in trials])]
    can_tell = len(np.unique(with_score, axis=0)) > 2 * points.shape[1]
    return Proposal(space.from_unit(point), gain if can_tell else math.inf)


def conclude(
    trials: Sequence[ScoredSetting],
    space: SearchSpace,
    *,
    may_be_best: Sequence[bool] | None = None,
) -> HorizonResult:
    """What some runs say.

    Args:
        trials: the runs.
        space: that was searched.
        may_be_best: of each run, whether its setting may be the answer; all may by default.

    Raises:
        UserError: none of them has a score.
    """
    if not any(math.isfinite(trial.score) for trial in trials):
        raise UserError(
            "evaluate",
            expected="a finite score of at least one setting",
            found="none",
            remedy="If all runs diverged, lower the learning rate or the bounds of the space.",
        )
    points, scores = _as_arrays(trials, space)
    surface = HorizonProcess(points, scores)
    mean, deviation = surface.predict(points)
    has_score = np.isfinite([trial.score for trial in trials])
    if may_be_best is not None:
        has_score &= np.array(may_be_best)
    estimate = mean + _OWN_SHARE * (_own_means(points, scores) - mean)
    best = int(np.argmax(np.where(has_score, estimate - _CAUTION * deviation, -np.inf)))
    return HorizonResult(
        best=dict(trials[best].setting),
        best_score=float(estimate[best]),
        best_deviation=float(deviation[best]),
        trials=[*trials],
        surrogate=surface,
        space=space,
    )


def expected_improvement(mean: Array, deviation: Array, best: float | Array) -> Array:
    """E[max(f − best, 0)] of normal f. Source: Jones et al. 1998, eq. 15."""
    z = (mean - best) / deviation
    gain: Array = deviation * (z * norm.cdf(z) + norm.pdf(z))
    return gain


def _most_promising(
    surface: HorizonProcess, points: Array, rng: np.random.Generator
) -> tuple[Array, float]:
    """The point of largest expected improvement over the best, and what there is to gain.

    Expected improvement takes a run for the truth, and the best for known: under noise it hardly
    falls. What there is to gain is therefore by how much noisy runs of a point may change the
    answer (the knowledge gradient of Frazier et al. 2009, of that point and the best so far).
    """
    d = points.shape[1]
    best = surface.predict_each(points, every=_EVERY)[0].max(axis=1, keepdims=True)
    by_mean = np.argsort(-surface.predict(points)[0])

    def gains(candidates: Array) -> Array:
        mean, deviation = surface.predict_each(candidates, every=_EVERY)
        gain: Array = expected_improvement(mean, deviation, best).mean(axis=0)
        return gain

    near = _around(points[by_mean[:_NUM_CENTERS]], _PER_CENTER, _NEAR, rng)
    candidates = np.concatenate([_spread(d), near, np.unique(points, axis=0)])
    gain = gains(candidates)
    better = candidates[np.argsort(-gain)[:_NUM_BETTER]]
    nearer = _around(better, _PER_BETTER, _NEARER, rng)
    candidates, gain = np.concatenate([candidates, nearer]), np.append(gain, gains(nearer))
    asked = candidates[np.argsort(-gain)[:_NUM_ASKED]]
    told = surface.told_by_runs(points[by_mean[0]], asked, _RUNS_ASKED)
    return candidates[np.argmax(gain)], float(expected_improvement(*told, 0.0).mean(axis=0).max())


def _as_arrays(trials: Sequence[ScoredSetting], space: SearchSpace) -> tuple[Array, Array]:
    """Points and scores; a run without a score is clearly below the worst.

    By as much as scores differ; where they hardly do, by a share of the worst, or by 1 if it is 0.
    """
    points = np.array([space.to_unit(trial.setting) for trial in trials])
    scores = np.array([trial.score for trial in trials], dtype=float)
    finite = scores[np.isfinite(scores)]
    fall = max(np.std(finite), _LEAST_FALL * abs(finite.min())) or 1.0
    return points, np.where(np.isfinite(scores), scores, finite.min() - fall)


def _own_means(points: Array, scores: Array) -> Array:
    """Of each run, the mean score of all runs of its setting."""
    _, setting, counts = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    sums = np.bincount(setting.ravel(), weights=scores)
    means: Array = (sums / counts)[setting.ravel()]
    return means


def _first_points(space: SearchSpace, seed: int, at_least: int) -> Array:
    """The centre, and points spread over the cube."""
    d = len(space.names)
    number = max(NUM_FIRST, at_least) - 1
    spread = qmc.LatinHypercube(d, rng=np.random.default_rng(seed), optimization="random-cd")
    return np.concatenate([np.full((1, d), 0.5), spread.random(number)])


@functools.cache
def _spread(num_dimensions: int) -> Array:
    """Points all over the cube: a low-discrepancy sequence, and a lattice with the corners."""
    d = num_dimensions
    sequence: Array = qmc.Sobol(d, rng=np.random.default_rng(0)).random_base2(_LOG2_SPREAD)
    sides = [side for side in range(2, _LONGEST_SIDE + 1) if side**d <= _LATTICE]
    if not sides:
        return sequence
    axes = [np.linspace(0, 1, sides[-1])] * d
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    return np.concatenate([sequence, lattice])


def _around(centers: Array, per_center: int, deviation: float, rng: np.random.Generator) -> Array:
    """Points around some, within the cube."""
    repeated = centers.repeat(per_center, axis=0)
    points: Array = np.clip(repeated + rng.normal(0, deviation, repeated.shape), 0, 1)
    return points

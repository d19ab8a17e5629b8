"""A few runs -> the best setting: each next run where it is expected to gain most.

The first settings are spread over the space; then each is the one of largest expected improvement
(Jones et al. 1998) over the best mean so far, under a Gaussian process that expects a horizon.
Scores are noisy, so that the best setting is the one of the highest mean, not of the luckiest run;
a setting may be run again where that teaches more than a new one.
"""

from __future__ import annotations

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
_LOG2_SPREAD, _PER_SIDE, _NUM_NEAR = 8, 4, 60
_NEAR, _NUM_CENTERS = 0.1, 3


@dataclass(frozen=True)
class ScoredSetting:
    """One run: what was set, and its score; NaN where it has none, as of a run that diverged."""

    setting: dict[str, float]
    score: float


@dataclass(frozen=True)
class HorizonResult:
    """What a search found.

    Attributes:
        best: the setting with the highest mean score of those that were run.
        best_score: this mean.
        best_deviation: its standard deviation, under the surrogate.
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
) -> HorizonResult:
    """The best setting of a space after some runs.

    Args:
        evaluate: trains and scores a setting; higher is better; may be noisy. A score that is not
            finite counts as worse than all others.
        space: what may be set.
        num_trials: runs, at least 1.
        seed: of the settings that are tried.

    Raises:
        UserError: there are no runs to make, or none had a score.
    """
    if num_trials < 1:
        raise UserError(
            "num_trials", expected="at least 1", found=num_trials, remedy="16 often suffice."
        )
    trials: list[ScoredSetting] = []
    for _ in range(num_trials):
        setting = propose(trials, space, seed)
        trials.append(ScoredSetting(setting, float(evaluate(setting))))
    return conclude(trials, space)


def propose(trials: Sequence[ScoredSetting], space: SearchSpace, seed: int) -> dict[str, float]:
    """The setting to run next, given those that were; the same for the same runs and seed."""
    scored = [trial for trial in trials if math.isfinite(trial.score)]
    if len(trials) < NUM_FIRST or not scored:
        return space.from_unit(_first_points(space, seed, len(trials) + 1)[len(trials)])
    points, scores = _as_arrays(trials, space)
    surface = HorizonProcess(points, scores)
    mean, _ = surface.predict(points)
    rng = np.random.default_rng((seed, len(trials)))
    candidates = np.concatenate([_spread(space), _near(points[np.argsort(-mean)], rng), points])
    gain = expected_improvement(*surface.predict(candidates), float(mean.max()))
    return space.from_unit(candidates[np.argmax(gain)])


def conclude(trials: Sequence[ScoredSetting], space: SearchSpace) -> HorizonResult:
    """What some runs say.

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
    best = int(np.argmax(np.where(has_score, mean, -np.inf)))
    return HorizonResult(
        best=dict(trials[best].setting),
        best_score=float(mean[best]),
        best_deviation=float(deviation[best]),
        trials=[*trials],
        surrogate=surface,
        space=space,
    )


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """E[max(f − best, 0)] of normal f. Source: Jones et al. 1998, eq. 15."""
    z = (mean - best) / deviation
    gain: Array = deviation * (z * norm.cdf(z) + norm.pdf(z))
    return gain


def _as_arrays(trials: Sequence[ScoredSetting], space: SearchSpace) -> tuple[Array, Array]:
    """Points and scores; a run without a score is as much below the worst as scores differ."""
    points = np.array([space.to_unit(trial.setting) for trial in trials])
    scores = np.array([trial.score for trial in trials], dtype=float)
    finite = scores[np.isfinite(scores)]
    worst = float(finite.min() - np.std(finite)) if len(finite) else 0.0
    return points, np.where(np.isfinite(scores), scores, worst)


def _first_points(space: SearchSpace, seed: int, at_least: int) -> Array:
    """The centre, and points spread over the cube."""
    d = len(space.names)
    number = max(NUM_FIRST, at_least) - 1
    spread = qmc.LatinHypercube(d, rng=np.random.default_rng(seed), optimization="random-cd")
    return np.concatenate([np.full((1, d), 0.5), spread.random(number)])


def _spread(space: SearchSpace) -> Array:
    """Points all over the cube: a low-discrepancy sequence, and a lattice with the corners."""
    d = len(space.names)
    sequence: Array = qmc.Sobol(d, rng=np.random.default_rng(0)).random_base2(_LOG2_SPREAD)
    if _PER_SIDE**d > sequence.size:
        return sequence
    axes = [np.linspace(0, 1, _PER_SIDE)] * d
    lattice: Array = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    both: Array = np.concatenate([sequence, lattice])
    return both


def _near(best_first: Array, rng: np.random.Generator) -> Array:
    """Points around the best ones."""
    centers = best_first[:_NUM_CENTERS].repeat(_NUM_NEAR // _NUM_CENTERS, axis=0)
    return np.clip(centers + rng.normal(0, _NEAR, centers.shape), 0, 1)

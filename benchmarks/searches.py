"""The searches that benchmarks/finder.py counts the runs of, and the rules for their answers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import optuna
from surfaces import grid_points

from horizon_st.horizon import SearchSpace
from horizon_st.horizon.finder import ScoredSetting, conclude, propose

Evaluate = Callable[[dict[str, float]], float]
Search = Callable[[Evaluate, SearchSpace, int, int], list[ScoredSetting]]

BEST_RUN, BEST_MEAN = "best run", "best mean"


def ours(evaluate: Evaluate, space: SearchSpace, num_runs: int, seed: int) -> list[ScoredSetting]:
    """What `find_horizon` runs."""
    trials: list[ScoredSetting] = []
    for _ in range(num_runs):
        setting = propose(trials, space, seed)
        trials.append(ScoredSetting(setting, evaluate(setting)))
    return trials


def by_optuna(make_sampler: Callable[..., optuna.samplers.BaseSampler]) -> Search:
    """What one of Optuna's samplers runs."""

    def search(
        evaluate: Evaluate, space: SearchSpace, num_runs: int, seed: int
    ) -> list[ScoredSetting]:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = make_sampler(seed=seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        trials = []
        for _ in range(num_runs):
            trial = study.ask()
            setting = {name: trial.suggest_float(name, *at) for name, at in space.bounds.items()}
            score = evaluate(setting)
            has_score = bool(np.isfinite(score))
            state = optuna.trial.TrialState.COMPLETE if has_score else optuna.trial.TrialState.FAIL
            study.tell(trial, score if has_score else None, state=state)
            trials.append(ScoredSetting(setting, score))
        return trials

    return search


def grid(evaluate: Evaluate, space: SearchSpace, num_runs: int, seed: int) -> list[ScoredSetting]:
    """All of the grid in random order, whatever `num_runs` is."""
    order = np.random.default_rng(seed).permutation(grid_points(len(space.names)))
    settings = map(space.from_unit, order)
    return [ScoredSetting(setting, evaluate(setting)) for setting in settings]


def _highest(trials: Sequence[ScoredSetting], _: SearchSpace) -> dict[str, float]:
    scores = np.array([trial.score for trial in trials])
    return trials[int(np.argmax(np.where(np.isfinite(scores), scores, -np.inf)))].setting


def _concluded(trials: Sequence[ScoredSetting], space: SearchSpace) -> dict[str, float]:
    if not any(np.isfinite(trial.score) for trial in trials):
        return trials[0].setting
    return conclude(trials, space).best


RULES = {BEST_RUN: _highest, BEST_MEAN: _concluded}
SEARCHES: dict[str, tuple[Search, tuple[str, ...]]] = {
    "find_horizon": (ours, (BEST_MEAN,)),
    "Optuna, GP": (by_optuna(optuna.samplers.GPSampler), (BEST_RUN, BEST_MEAN)),
    "Optuna, TPE": (by_optuna(optuna.samplers.TPESampler), (BEST_RUN, BEST_MEAN)),
    "random": (by_optuna(optuna.samplers.RandomSampler), (BEST_RUN,)),
    "grid of 4 per weight": (grid, (BEST_RUN,)),
}

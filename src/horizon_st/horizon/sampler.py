"""`find_horizon` behind Optuna's interfaces, so that its databases and dashboard serve a search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from horizon_st.horizon.finder import NUM_FIRST, ScoredSetting, conclude, propose
from horizon_st.horizon.learning_curves import Curve, forecast
from horizon_st.horizon.space import SearchSpace

_DIGITS = 3
"""Of a proposal, relative to the width of its bounds: what a person would type."""
_CONFIDENCE = 0.95


class HorizonSampler(BaseSampler):
    """Each trial where `propose` puts it, given all others of the study, running ones included.

    A running trial counts as if it had scored what the surface predicts, so that workers do not
    crowd (Ginsbourger et al. 2010, "kriging believer"), and a pruned one as its forecast.

    Args:
        space: the parameters; what else an objective asks for is drawn at random.
        seed: of the proposals.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.space = space
        self.seed = seed
        self._others = RandomSampler(seed)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The box of the space."""
        return {
            name: FloatDistribution(low, high) for name, (low, high) in self.space.bounds.items()
        }

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, float]:
        """The setting to run next."""
        others = [
            other
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number and search_space.keys() <= other.params.keys()
        ]
        return rounded(propose(with_beliefs(others, self.space), self.space, self.seed), self.space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A random value of a parameter that is not in the space."""
        return self._others.sample_independent(study, trial, param_name, param_distribution)


class CannotWinPruner(BasePruner):
    """Stops a run whose forecast ends below the best setting, as surely as the others tell.

    Successive halving stops a fixed share at fixed times; here early scores of overfitting and of
    strongly regularised runs rank them the wrong way round, which a forecast from ended runs knows.

    Args:
        space: of the search.
        confidence: of the bound of the forecast.
    """

    def __init__(self, space: SearchSpace, confidence: float = _CONFIDENCE) -> None:
        self.space = space
        self.confidence = confidence

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether to stop the trial now."""
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        expected = forecast(trial.intermediate_values, [curve_of(other) for other in others])
        if expected is None:
            return False
        best = conclude(with_beliefs(others, self.space), self.space).best_score
        return expected.upper(self.confidence) < best


def with_beliefs(trials: Sequence[FrozenTrial], space: SearchSpace) -> list[ScoredSetting]:
    """Settings with their scores, or with what is believed of those that have none yet."""
    curves = [curve_of(trial) for trial in trials]
    found = [ScoredSetting(_setting_of(trial, space), _score_of(trial, curves)) for trial in trials]
    is_open = [trial.state in (TrialState.RUNNING, TrialState.WAITING) for trial in trials]
    known = [scored for scored, waits in zip(found, is_open, strict=True) if not waits]
    if len(found) < NUM_FIRST or not any(math.isfinite(scored.score) for scored in known):
        return found
    surface = conclude(known, space).surrogate
    return [
        ScoredSetting(
            scored.setting,
            float(surface.predict(space.to_unit(scored.setting)[None])[0][0])
            if waits
            else scored.score,
        )
        for scored, waits in zip(found, is_open, strict=True)
    ]


def rounded(setting: dict[str, float], space: SearchSpace) -> dict[str, float]:
    """The setting with the digits that matter, within the bounds."""
    found = {}
    for name, (low, high) in space.bounds.items():
        digits = _DIGITS - math.ceil(math.log10(high - low))
        found[name] = min(max(round(setting[name], digits), low), high)
    return found


def curve_of(trial: FrozenTrial) -> Curve:
    """The dev scores of a trial by update."""
    is_whole = trial.state == TrialState.COMPLETE
    return Curve(trial.intermediate_values, trial.value if is_whole else None)


def _setting_of(trial: FrozenTrial, space: SearchSpace) -> dict[str, float]:
    return {name: float(trial.params[name]) for name in space.names}


def _score_of(trial: FrozenTrial, curves: Sequence[Curve]) -> float:
    """NaN of a trial that diverged or still runs."""
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return trial.value
    if trial.state == TrialState.PRUNED:
        expected = forecast(trial.intermediate_values, curves)
        return math.nan if expected is None else expected.mean
    return math.nan

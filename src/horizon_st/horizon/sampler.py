"""`find_horizon` behind Optuna's interfaces, so that its databases and dashboard serve a search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from horizon_st.errors import UserError
from horizon_st.horizon.finder import Proposal, ScoredSetting, conclude, next_run
from horizon_st.horizon.learning_curves import Curve, forecast
from horizon_st.horizon.space import SearchSpace

_DIGITS = 3
"""Of a proposal, relative to the width of its bounds: what a person would type."""
_CONFIDENCE = 0.99
"""Of a forecast, which is asked for after every validation."""


class HorizonSampler(BaseSampler):
    """Each trial where `next_run` puts it, given all others of the study.

    A trial that runs counts as expected, so that workers do not crowd, and one that was pruned as
    its forecast.

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
        _check_direction(study)
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        return self.next_run(others).setting

    def next_run(self, trials: Sequence[FrozenTrial]) -> Proposal:
        """The setting to run next, with the digits that matter, and what it is expected to gain."""
        running = [t for t in _whole(trials, self.space) if not t.state.is_finished()]
        pending = [_setting_of(trial, self.space) for trial in running]
        found = next_run(scored(trials, self.space), self.space, self.seed, pending=pending)
        return replace(found, setting=rounded(found.setting, self.space))

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
        _check_direction(study)
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        expected = forecast(trial.intermediate_values, [curve_of(other) for other in others])
        if expected is None or not expected.is_sure:
            return False
        return (
            expected.upper(self.confidence)
            < conclude(scored(others, self.space), self.space).best_score
        )


def _check_direction(study: optuna.Study) -> None:
    if study.direction != StudyDirection.MAXIMIZE:
        raise UserError(
            "direction",
            expected="a study that maximises",
            found=study.direction.name.lower(),
            remedy='Call create_study(direction="maximize"), with the negative of a loss.',
        )


def scored(trials: Sequence[FrozenTrial], space: SearchSpace) -> list[ScoredSetting]:
    """Those that have ended, with their scores, or with the forecast of those that were stopped.

    A trial without its setting, whose worker died while it asked, is no run.
    """
    curves = [curve_of(trial) for trial in trials]
    return [
        ScoredSetting(_setting_of(trial, space), _score_of(trial, curves))
        for trial in _whole(trials, space)
        if trial.state.is_finished()
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


def _whole(trials: Sequence[FrozenTrial], space: SearchSpace) -> list[FrozenTrial]:
    """Those that have a value of every name of the space."""
    return [trial for trial in trials if space.bounds.keys() <= trial.params.keys()]


def _setting_of(trial: FrozenTrial, space: SearchSpace) -> dict[str, float]:
    return {name: float(trial.params[name]) for name in space.names}


def _score_of(trial: FrozenTrial, curves: Sequence[Curve]) -> float:
    """NaN of a trial that diverged."""
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return trial.value
    if trial.state == TrialState.PRUNED:
        expected = forecast(trial.intermediate_values, curves)
        return math.nan if expected is None else expected.mean
    return math.nan

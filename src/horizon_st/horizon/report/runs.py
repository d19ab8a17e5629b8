"""The results of a study -> its runs as the pictures need them: weights, scores, surface, forms."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from horizon_st.horizon.analyses import Analysis
from horizon_st.horizon.comparison import FittedForm, compare_forms
from horizon_st.horizon.finder import HorizonResult, ScoredSetting, conclude
from horizon_st.horizon.outcome import outcome
from horizon_st.horizon.results import TrialResult
from horizon_st.horizon.space import SearchSpace
from horizon_st.horizon.values import is_number, labels, short_name, shown

_NUM_RESAMPLES = 100
MT_WEIGHT, CONSISTENCY, RDROP = "mt_weight", "consistency_weight", "rdrop_weight"


class Runs:
    """The runs of a study, numbered from 1 in their order.

    Args:
        analysis: of its results.
    """

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.results = analysis.results
        self.study = analysis.study
        self.metric = analysis.study.metric
        self.trials = analysis.results.trials
        self.is_search = analysis.study.analysis.kind == "search"
        self.scored = [trial for trial in self.trials if self.metric in trial.scores]
        self.keys = self.study.varied_keys
        """That some arm sets, whether or not it made a difference."""
        self.labels = labels(self.keys)
        """Of the keys, for tables and figures."""
        self.varied = [
            key
            for key in self.keys
            if len({shown(self._values(trial).get(key)) for trial in self.scored}) > 1
        ]
        self.weights = [
            key
            for key in self.varied
            if all(is_number(self._values(trial).get(key)) for trial in self.scored)
        ]
        """Keys whose values are numbers, and differ between runs."""

    @cached_property
    def scores(self) -> list[float]:
        """Of `scored`; in a study less what a seed adds to all arms."""
        if self.is_search:
            return [trial.scores[self.metric] for trial in self.scored]
        adjusted = self.analysis.means.without_seeds(self.results.scores)
        return [adjusted[trial.arm, trial.seed] for trial in self.scored]

    @property
    def settings(self) -> list[dict[str, float]]:
        """The weights of `scored`."""
        return [self.setting_of(trial) for trial in self.scored]

    @property
    def num_settings(self) -> int:
        """How many of them differ."""
        return len({tuple(setting.values()) for setting in self.settings})

    @property
    def not_numbers(self) -> list[str]:
        """Keys that runs differ in, and that are no numbers: weights alone cannot tell these."""
        return [short_name(key) for key in self.varied if key not in self.weights]

    @cached_property
    def found(self) -> HorizonResult:
        """The best setting, and the surface over the weights; needs a weight that varies."""
        if self.is_search:
            return outcome(self.results)
        means = self.analysis.mean_of
        ends = {
            key: (min(values), max(values))
            for key in self.weights
            for values in [[setting[key] for setting in self.settings]]
        }
        setting_of = self._setting_of_arm
        points = [ScoredSetting(setting_of[arm], mean) for arm, mean in means.items()]
        space = SearchSpace(**ends)
        found = conclude(points, space)
        best = setting_of[self.best]  # of a study, where every arm was run as often as others
        mean, deviation = found.surrogate.predict(space.to_unit(best)[None])
        return replace(
            found, best=best, best_score=float(mean[0]), best_deviation=float(deviation[0])
        )

    @cached_property
    def forms(self) -> list[FittedForm]:
        """Of the total regularisation, the best first; needs four different settings.

        Those of a study are fitted to the means of its arms, whose noise the seeds tell.
        """
        less = [key for key in self.weights if short_name(key) == MT_WEIGHT]
        settings, scores, noise = self.settings, self.scores, None
        if not self.is_search:
            means = self.analysis.means
            settings, scores = [*self._setting_of_arm.values()], [*self.analysis.mean_of.values()]
            noise = means.noise / math.sqrt(len(self.scored) / len(scores))
        return compare_forms(
            settings,
            scores,
            noise=noise if noise and math.isfinite(noise) else None,
            less_is_more=less,
            num_resamples=_NUM_RESAMPLES,
        )

    @property
    def linear(self) -> FittedForm:
        """The paper's form."""
        return self.form("linear")

    def form(self, name: str) -> FittedForm:
        """One of `forms`."""
        return next(form for form in self.forms if form.name == name)

    @cached_property
    def best(self) -> str:
        """The arm of the answer: of a search what it found, of a study the highest mean."""
        if not self.is_search:
            return max(self.analysis.mean_of, key=self.analysis.mean_of.__getitem__)
        settings = self.results.settings
        return next(arm for arm, values in settings.items() if values == self.found.best)

    @property
    def best_run(self) -> TrialResult:
        """The first run of this arm."""
        return next(trial for trial in self.scored if trial.arm == self.best)

    @property
    def _setting_of_arm(self) -> dict[str, dict[str, float]]:
        """In the order of the means."""
        found = {trial.arm: self.setting_of(trial) for trial in self.scored}
        return {arm: found[arm] for arm in self.analysis.mean_of}

    def setting_of(self, trial: TrialResult) -> dict[str, float]:
        """The weights of a run."""
        return {key: float(self._values(trial)[key]) for key in self.weights}

    def value_of(self, trial: TrialResult, key: str) -> Any:
        """What the recipe of a run has for a key that the study varies."""
        return self._values(trial)[key]

    def least_turned_up(self, key: str) -> float:
        """The value at which a weight regularises least in any run."""
        values = [setting[key] for setting in self.settings]
        return max(values) if short_name(key) == MT_WEIGHT else min(values)

    def weight(self, name: str) -> str | None:
        """The key of a weight, whatever its sections; None if it does not vary."""
        return next((key for key in self.weights if short_name(key) == name), None)

    def number_of(self, trial: TrialResult) -> int:
        """As the table of runs numbers them."""
        return self.trials.index(trial) + 1

    def described(self, trial: TrialResult) -> str:
        """A run in a line, for where the mouse rests on it."""
        values = self._values(trial)
        said = ", ".join(f"{self.labels[key]} {_brief(values.get(key))}" for key in self.keys)
        score = trial.scores.get(self.metric, math.nan)
        return f"run {self.number_of(trial)}, {said}: {self.metric} {score:.2f}"

    def grid(self) -> tuple[list[str], list[TrialResult]] | None:
        """Keys of which the study has all combinations, at least two, and the runs of these.

        Where the arms as a whole are no grid, those are taken that have the most frequent values
        of some keys, as few of them as possible. None if that makes none either.
        """
        keys = [key for key in self.varied if all(key in self._values(t) for t in self.scored)]
        for num_fixed in range(len(keys) - 1):
            for fixed in itertools.combinations(keys, num_fixed):
                runs = self._at_usual_values(fixed)
                left = [key for key in keys if len(self._levels(key, runs)) > 1]
                combinations = {tuple(shown(self._values(t)[key]) for key in keys) for t in runs}
                full = math.prod(len(self._levels(key, runs)) for key in left)
                if len(left) > 1 and len(combinations) == full:
                    return left, runs
        return None

    def _at_usual_values(self, keys: Sequence[str]) -> list[TrialResult]:
        runs = self.scored
        for key in keys:
            usual = Counter(shown(self._values(t)[key]) for t in self.scored).most_common(1)[0][0]
            runs = [trial for trial in runs if shown(self._values(trial)[key]) == usual]
        return runs

    def _levels(self, key: str, runs: Sequence[TrialResult]) -> set[str]:
        return {shown(self._values(trial)[key]) for trial in runs}

    def _values(self, trial: TrialResult) -> dict[str, Any]:
        return self.results.settings[trial.arm]


def _brief(value: Any) -> str:
    return f"{value:.3g}" if is_number(value) else shown(value)

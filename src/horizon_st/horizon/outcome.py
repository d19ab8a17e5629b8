"""The results of a search -> the best setting, and what its runs say about the others."""

from __future__ import annotations

import math

from horizon_st.horizon.finder import HorizonResult, ScoredSetting, conclude
from horizon_st.horizon.learning_curves import Curve, forecast
from horizon_st.horizon.results import StudyResults, TrialResult


def outcome(results: StudyResults) -> HorizonResult:
    """What the runs of a search say; those that were stopped count as forecast.

    Raises:
        UserError: none of them has a score.
    """
    metric = results.study.metric
    curves = [_curve_of(trial, metric) for trial in results.trials]
    found = []
    for trial, curve in zip(results.trials, curves, strict=True):
        score = math.nan if curve.final is None else curve.final
        if trial.stopped_at is not None:
            expected = forecast(curve.by_step, curves)
            score = math.nan if expected is None else expected.mean
        found.append(ScoredSetting(results.settings[trial.arm], score))
    return conclude(found, results.study.search_space)


def _curve_of(trial: TrialResult, metric: str) -> Curve:
    by_step = {int(entry["step"]): entry["bleu"] for entry in trial.dev_history if "bleu" in entry}
    return Curve(by_step, trial.scores.get(metric))

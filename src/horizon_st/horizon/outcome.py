"""The results of a search -> the best setting, and what its runs say about the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from horizon_st.horizon.contour import PassCosts, Predict, Setting, horizon_set, lattice
from horizon_st.horizon.finder import HorizonResult, ScoredSetting, conclude
from horizon_st.horizon.learning_curves import Curve, forecast
from horizon_st.horizon.results import StudyResults, TrialResult
from horizon_st.horizon.space import DEFAULT_BOUNDS
from horizon_st.horizon.statistics import CONFIDENCE
from horizon_st.horizon.values import short_name


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
    has_ended = [trial.stopped_at is None for trial in results.trials]
    return conclude(found, results.study.search_space, may_be_best=has_ended)


def describe_outcome(results: StudyResults) -> str:
    """The best setting, its score and what the surface expects; a cheaper one about as good."""
    study, found = results.study, outcome(results)
    best = next(arm for arm, values in results.settings.items() if values == found.best)
    own = {t.seed: t.scores[study.metric] for t in results.trials if t.arm == best and t.scores}
    scores = ", ".join(f"{score:.2f}" for score in own.values())
    seeds = f"seed{'s' * (len(own) > 1)} {', '.join(map(str, own))}"
    mean, deviation = found.surrogate.predict(found.space.to_unit(found.best)[None])
    half = float(norm.ppf((1 + CONFIDENCE) / 2)) * float(deviation[0])
    low, high = float(mean[0]) - half, float(mean[0]) + half
    said = (
        f"Best of {len(results.trials)} runs is “{best}”, with {seeds}: {study.metric} {scores} on "
        f"the dev set. The surface fitted to all runs expects {float(mean[0]):.2f} there "
        f"({low:.2f} to {high:.2f}: a 95 % interval of the surface, which leaves out what another "
        "seed would shift, and that the best of many is picked for its luck, too)."
    )
    if results.winner_scores:
        said += f" On the test set it has {results.winner_scores[study.metric]:.2f}."
    if not DEFAULT_BOUNDS.keys() <= {short_name(key) for key in found.space.names}:
        return said  # what the other weights cost, the recipe knows alone
    candidates = [*lattice(found.space), found.best]
    about_as_good = horizon_set(_cautious(found), candidates, study.analysis.tolerance)
    cheapest, price = about_as_good.cheapest, PassCosts()
    share = price(cheapest) / price(found.best)
    if share < 1:
        here = found.space.to_unit(found.best)
        gain, deviation = found.surrogate.gain_over(here, found.space.to_unit(cheapest)[None])
        lost = max(-float(gain[0]), 0.0)
        setting = ", ".join(f"{short_name(key)} {value:.3g}" for key, value in cheapest.items())
        said += (
            f" An update with {setting} costs {share:.0%} of it (counting whole "
            "passes, two of speech for R-drop in every update), and is "
            f"predicted to lose {lost:.2f} (standard deviation {float(deviation[0]):.2f})."
        )
    return said


def _cautious(found: HorizonResult) -> Predict:
    """What the surface predicts, less a standard deviation: it promises little far from runs."""

    def predict(settings: Sequence[Setting]) -> NDArray[np.float64]:
        mean, deviation = found.surrogate.predict(
            np.array([found.space.to_unit(setting) for setting in settings])
        )
        return mean - deviation

    return predict


def _curve_of(trial: TrialResult, metric: str) -> Curve:
    by_step = {int(entry["step"]): entry["bleu"] for entry in trial.dev_history if "bleu" in entry}
    return Curve(by_step, trial.scores.get(metric))

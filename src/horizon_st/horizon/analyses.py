"""The results of a study -> what they say about its claim, with the evidence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from horizon_st.errors import UserError
from horizon_st.horizon.arms import ArmRow, row_of
from horizon_st.horizon.outcome import describe_outcome
from horizon_st.horizon.results import StudyResults
from horizon_st.horizon.statistics import CONFIDENCE, BlockedMeans, Estimate
from horizon_st.horizon.surrogate import SingleIndex, fit_single_index
from horizon_st.horizon.values import is_number, short_name, shown

Answer = Literal["holds", "does not hold", "not decided", "found"]
_MT_WEIGHT = "objective.mt_weight"
_NO_BASELINE = "There is no baseline to compare with."
_LEAST_EXPLAINED = 0.8
"""Share of the differences between arms that one curve must explain to be called a good picture."""


@dataclass(frozen=True)
class Verdict:
    """What a study says about its claim, and the figures that say so."""

    answer: Answer
    evidence: str


class Analysis:
    """The means, the table and the verdict of a study.

    Args:
        results: with at least one score.

    Raises:
        UserError: there is none.
    """

    def __init__(self, results: StudyResults) -> None:
        if not results.scores:
            raise UserError(
                results.study.name,
                expected="at least one run with a score",
                found="none",
                remedy="Run `horizon-st search` first; if all runs diverged, lower the rates; if "
                "they ran out of memory, lower data.max_batch_s.",
            )
        self.results = results
        self.study = results.study
        self.means = BlockedMeans(results.scores)
        self.mean_of = {arm: self.means.mean(arm).value for arm in self.means.arms}

    def rows(self) -> list[ArmRow]:
        """The table: every arm of which a run has ended, in the order of the study."""
        baseline = self.study.baseline
        against = {}
        if baseline in self.mean_of:
            others = [arm for arm in self.mean_of if arm != baseline]
            against = self.means.against(baseline, others)
        ended = {trial.arm for trial in self.results.trials}
        names = [arm for arm in self.results.settings if arm in ended]
        return [row_of(self.results, arm, against.get(arm)) for arm in names]

    def verdict(self) -> Verdict:
        """The answer, by the rule of the study's kind of analysis; see `docs/studies.md`."""
        return {
            "comparison": self._compare,
            "equivalence": self._equal,
            "order": self._order,
            "peak": self._peak,
            "saturation": self._saturation,
            "horizon": self._horizon,
            "search": lambda: Verdict("found", describe_outcome(self.results)),
        }[self.study.analysis.kind]()

    def value_of(self, arm: str, key: str) -> Any:
        """What the recipe of an arm has for a key that the study varies."""
        return self.results.settings[arm][key]

    def best_of_each(self, key: str, arms: Sequence[str]) -> dict[str, str]:
        """The best of some arms for each value of a key, by the dev set where all have dev BLEU."""
        scores = self._dev_means() or self.mean_of
        best: dict[str, str] = {}
        for arm in arms:
            value = shown(self.value_of(arm, key))
            if value not in best or scores[arm] > scores[best[value]]:
                best[value] = arm
        return best

    def is_chosen_on_test(self, key: str, arms: Sequence[str]) -> bool:
        """Whether the best of each value had to be chosen by the very scores that are compared."""
        values = [shown(self.value_of(arm, key)) for arm in arms]
        return self._dev_means() is None and len({*values}) < len(values)

    def single_index(self) -> tuple[SingleIndex, dict[str, float]]:
        """The curve of total regularisation through the means of all arms, and R of each arm."""
        settings = {arm: self._turned_up(arm) for arm in self.mean_of}
        fitted = fit_single_index([*settings.values()], [*self.mean_of.values()])
        return fitted, {arm: fitted.total(setting) for arm, setting in settings.items()}

    def _dev_means(self) -> dict[str, float] | None:
        found = {(t.arm, t.seed): t.dev.get("bleu") for t in self.results.trials if t.scores}
        if None in found.values():
            return None
        means = BlockedMeans({at: value for at, value in found.items() if value is not None})
        return {arm: means.mean(arm).value for arm in means.arms}

    def _compare(self) -> Verdict:
        baseline, beside = self.study.baseline, self.study.analysis.beside
        if baseline not in self.mean_of:
            return Verdict("not decided", _NO_BASELINE)
        others = [arm for arm in self.mean_of if arm not in (baseline, *beside)]
        return self._any_better(baseline, others, f"“{baseline}”")

    def _equal(self) -> Verdict:
        baseline, beside = self.study.baseline, self.study.analysis.beside
        if baseline not in self.mean_of:
            return Verdict("not decided", _NO_BASELINE)
        others = [arm for arm in self.mean_of if arm not in (baseline, *beside)]
        needed = [arm.name for arm in self.study.all_arms if arm.name not in beside]
        missing = [arm for arm in needed if arm not in self.mean_of]
        if missing:
            return Verdict("not decided", f"No scores for {', '.join(missing)}.")
        against = self.means.against(baseline, others)
        if not against:
            return Verdict("not decided", f"There is nothing beside “{baseline}”.")
        worst = min(against, key=lambda arm: against[arm].low)
        evidence = f"Least sure is “{worst}” against “{baseline}”: {_said(against[worst])}."
        tolerance = self.study.analysis.tolerance
        if against[worst].low > -tolerance:
            return Verdict("holds", evidence)
        if any(found.high < -tolerance for found in against.values()):
            return Verdict("does not hold", evidence)
        return Verdict("not decided", evidence)

    def _peak(self) -> Verdict:
        analysis = self.study.analysis
        assert analysis.key is not None
        assert analysis.at is not None
        at = shown(analysis.at)
        arms = [*self.mean_of]
        best = self.best_of_each(analysis.key, arms)
        if at not in best:
            return Verdict("not decided", f"No run has {short_name(analysis.key)} {at}.")
        others = [arm for value, arm in best.items() if value != at]
        found = self._any_better(best[at], others, f"{short_name(analysis.key)} {at}")
        return self._unless_chosen_on_test(found, analysis.key, arms)

    def _any_better(self, reference: str, others: list[str], called: str) -> Verdict:
        """Whether one of some arms beats a reference, or none does by as much as matters."""
        against = self.means.against(reference, others)
        if not against:
            return Verdict("not decided", f"There is nothing beside {called} yet.")
        best = max(against, key=lambda arm: against[arm].value)
        tolerance = self.study.analysis.tolerance
        evidence = f"“{best}” against {called}: {_said(against[best])}."
        if against[best].value > 0 and against[best].is_significant:
            return Verdict("holds", evidence)
        if all(estimate.high < tolerance for estimate in against.values()):
            evidence += f" No arm gains as much as {tolerance:g}: all intervals end below."
            return Verdict("does not hold", evidence)
        return Verdict("not decided", evidence)

    def _order(self) -> Verdict:
        analysis = self.study.analysis
        assert analysis.key is not None
        arms = [arm for arm in self.mean_of if arm != self.study.baseline]
        best = self.best_of_each(analysis.key, arms)
        order = [value for value in analysis.ranked if value in best]
        steps = [
            (better, worse, self.means.contrast({best[better]: 1.0, best[worse]: -1.0}))
            for better, worse in itertools.pairwise(order)
        ]
        said = [f"{better} against {worse} {_said(step)}" for better, worse, step in steps]
        evidence = "Each at its best: " + "; ".join(said) + "."
        is_whole = len(order) == len(analysis.order)
        found = Verdict("not decided", evidence)
        if any(step.value < 0 and step.is_significant for _, _, step in steps):
            found = Verdict("does not hold", evidence)
        elif is_whole and all(step.value > 0 and step.is_significant for _, _, step in steps):
            found = Verdict("holds", evidence)
        return self._unless_chosen_on_test(found, analysis.key, arms)

    def _unless_chosen_on_test(self, found: Verdict, key: str, arms: Sequence[str]) -> Verdict:
        """Not decided where what decides was also what chose the arms: the best of more is luckier.

        A value with fewer arms than another is at a disadvantage then, so that neither answer is
        safe.
        """
        if found.answer == "not decided" or not self.is_chosen_on_test(key, arms):
            return found
        reason = " But the best of each was chosen by the scores that are compared here."
        return Verdict("not decided", found.evidence + reason)

    def _saturation(self) -> Verdict:
        none, (one, other, both) = self.study.baseline, self.study.analysis.parts
        assert none is not None
        missing = [arm for arm in (none, one, other, both) if arm not in self.mean_of]
        if missing:
            return Verdict("not decided", f"No scores yet for {', '.join(missing)}.")
        gains = {arm: self.mean_of[arm] - self.mean_of[none] for arm in (one, other, both)}
        beyond = self.means.contrast({both: 1.0, one: -1.0, other: -1.0, none: 1.0})
        stronger = max((one, other), key=lambda arm: self.mean_of[arm])
        added = self.means.contrast({both: 1.0, stronger: -1.0})
        evidence = (
            f"“{one}” gains {gains[one]:+.2f}, “{other}” {gains[other]:+.2f}, “{both}” "
            f"{gains[both]:+.2f}: {_said(beyond)} beyond the sum. “{both}” against “{stronger}”: "
            f"{_said(added)}."
        )
        if beyond.value < 0 and beyond.is_significant:
            return Verdict("holds", evidence)
        if beyond.low > -self.study.analysis.tolerance:
            return Verdict("does not hold", evidence)
        return Verdict("not decided", evidence)

    def _horizon(self) -> Verdict:
        arms = [*self.mean_of]
        if not self.means.noise > 0:
            return Verdict("not decided", "Each arm needs runs with several seeds that differ.")
        p_any = self.means.p_of_any_difference()
        curve, totals = self.single_index()
        num_free = len(arms) - curve.num_parameters
        if num_free < 1:
            return Verdict("not decided", f"{len(arms)} arms are too few for the curve.")
        if p_any > 1 - CONFIDENCE:
            return Verdict("not decided", f"The arms do not differ beyond noise (p {_p(p_any)}).")
        y = np.array([*self.mean_of.values()])
        residuals = y - curve.score_at(np.array([totals[arm] for arm in arms]))
        explained = 1 - float(residuals @ residuals) / float(((y - y.mean()) ** 2).sum())
        num_runs = np.array([sum(a == arm for a, _ in self.results.scores) for arm in arms])
        misfit = float((num_runs * residuals**2).sum()) / num_free / self.means.noise**2
        p_misfit = float(stats.f.sf(misfit, num_free, self.means.num_free))
        best = max(arms, key=lambda arm: self.mean_of[arm])
        most = max(arms, key=lambda arm: totals[arm])
        least = min(arms, key=lambda arm: totals[arm])
        # The best is the largest of all means, so that its lead must outdo what luck gives that.
        rise, fall = (
            None if totals[best] == totals[end] else self.means.best_against(best, end)
            for end in (least, most)
        )
        evidence = (
            f"One curve explains {explained:.0%} of the differences between arms (misfit beyond "
            f"noise: p {_p(p_misfit)}). {_ends_said(best, rise, fall)}"
        )
        is_between = all(end is not None and end.is_significant for end in (rise, fall))
        fits, explains = p_misfit > 1 - CONFIDENCE, explained >= _LEAST_EXPLAINED
        if is_between and fits and explains:
            return Verdict("holds", evidence)
        if not fits and not explains:
            return Verdict("does not hold", evidence)
        return Verdict("not decided", evidence)

    def _turned_up(self, arm: str) -> dict[str, float]:
        """How far each varied regulariser is turned up: less text loss is more of it."""
        settings = self.results.settings
        keys = [
            key
            for key in self.study.varied_keys
            if all(is_number(settings[name][key]) for name in self.mean_of)
        ]
        highest = {key: max(settings[name][key] for name in self.mean_of) for key in keys}
        values = settings[arm]
        return {
            key: float(highest[key] - values[key] if key == _MT_WEIGHT else values[key])
            for key in keys
        }


def _said(estimate: Estimate) -> str:
    if math.isnan(estimate.p_value):
        return f"{estimate.value:+.2f}"
    interval = f"{estimate.low:+.2f} to {estimate.high:+.2f}"
    return f"{estimate.value:+.2f} ({interval}, p {_p(estimate.p_value)})"


def _ends_said(best: str, rise: Estimate | None, fall: Estimate | None) -> str:
    """What the best arm leads both ends of the curve by; None of an end where it stands itself."""
    if rise is None and fall is None:
        return (
            f"The curve does not tell “{best}”, the best, from arms that are regularised otherwise."
        )
    if fall is None:
        assert rise is not None
        return (
            f"The best, “{best}”, leads the least regularised by {_said(rise)} and is itself the "
            "most regularised: no fall was reached."
        )
    if rise is None:
        return (
            f"The best, “{best}”, is itself the least regularised: no rise was seen. It leads the "
            f"most regularised by {_said(fall)}."
        )
    return (
        f"The best, “{best}”, leads the least regularised by {_said(rise)} and the most "
        f"regularised by {_said(fall)}."
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"

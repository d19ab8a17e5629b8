"""Scores of arms over seeds -> means, intervals and tests.

Every arm is trained with the same seeds, and a seed fixes data order, first weights and (with
pre-training) the model to start from, so it is a block of the design: score = arm + seed + noise,
with noise of the same variance in all arms. Three seeds of ten arms then give 18 degrees of freedom
instead of 2. Source: the randomised complete block design, e.g. Montgomery, Design and Analysis of
Experiments, chapter 4; several comparisons with one baseline by Holm (1979).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.tools.sm_exceptions import SingularMatrixWarning

CONFIDENCE = 0.95
Scores = Mapping[tuple[str, int], float]
"""By arm and seed."""


@dataclass(frozen=True)
class Estimate:
    """A mean or a difference with its 95 % interval and the p-value of its being 0.

    Without degrees of freedom, as with one seed, interval and p-value are NaN.
    """

    value: float
    low: float
    high: float
    p_value: float

    @property
    def is_significant(self) -> bool:
        """Whether the 5 % level is reached; never without degrees of freedom."""
        return self.p_value < 1 - CONFIDENCE


class BlockedMeans:
    """The fit of score = arm + seed + noise by least squares; runs may be missing.

    Args:
        scores: at least one.
    """

    def __init__(self, scores: Scores) -> None:
        self.arms = list(dict.fromkeys(arm for arm, _ in scores))
        self._seeds = sorted({seed for _, seed in scores})
        self._plain = {
            arm: float(np.mean([value for (name, _), value in scores.items() if name == arm]))
            for arm in self.arms
        }
        design = np.array([self._row({arm: 1.0}, seed) for arm, seed in scores])
        with warnings.catch_warnings():
            # Missing runs can make it so; what cannot be told then, `contrast` finds out.
            warnings.simplefilter("ignore", SingularMatrixWarning)
            self._fit = sm.OLS(np.array([*scores.values()]), design).fit()
        self._into_design = np.linalg.pinv(design) @ design
        self.num_free = int(self._fit.df_resid)
        """Degrees of freedom of the noise."""
        self.noise = math.sqrt(self._fit.scale) if self.num_free > 0 else math.nan
        """Standard deviation of a run's score around arm + seed."""

    def without_seeds(self, scores: Scores) -> dict[tuple[str, int], float]:
        """The scores less what their seed adds to all arms."""
        return {
            (arm, seed): float(score - self._seed_effect(seed))
            for (arm, seed), score in scores.items()
        }

    def _seed_effect(self, seed: int) -> float:
        row = np.array(self._row({}, seed))
        return float(row @ self._fit.params)

    def contrast(self, weights: Mapping[str, float]) -> Estimate:
        """A weighted sum of arm means, over all seeds; weights that sum to 0 make a difference.

        Where so many runs are missing that arms have no seed in common, not even by way of others,
        it is that of the plain means, without an interval.
        """
        row = np.array(self._row(weights, None))
        if not np.allclose(row @ self._into_design, row, atol=1e-6):
            value = sum(weight * self._plain[arm] for arm, weight in weights.items())
            return Estimate(value, math.nan, math.nan, math.nan)
        value = float(row @ self._fit.params)
        if self.num_free <= 0:
            return Estimate(value, math.nan, math.nan, math.nan)
        test = self._fit.t_test(row)
        low, high = np.ravel(test.conf_int(alpha=1 - CONFIDENCE))
        return Estimate(value, float(low), float(high), float(np.ravel(test.pvalue)[0]))

    def mean(self, arm: str) -> Estimate:
        """The mean of an arm; its interval leaves out what seeds share, to compare arms by."""
        return self.contrast({arm: 1.0})

    def against(self, baseline: str, others: Sequence[str]) -> dict[str, Estimate]:
        """Each other arm minus the baseline; p-values are Holm's, intervals of each alone.

        Over those that have one: an arm without a seed in common with the others is not tested.
        """
        found = {arm: self.contrast({arm: 1.0, baseline: -1.0}) for arm in others}
        tested = [arm for arm, estimate in found.items() if not math.isnan(estimate.p_value)]
        if tested:
            adjusted = multipletests([found[arm].p_value for arm in tested], method="holm")[1]
            for arm, p_value in zip(tested, adjusted, strict=True):
                found[arm] = replace(found[arm], p_value=float(p_value))
        return found

    def best_against(self, better: str, worse: str) -> Estimate:
        """A difference of arms that were picked for their scores; the p-value is Tukey's.

        It holds for the largest of all differences between any two arms.

        Args:
            better: an arm.
            worse: another one.
        """
        assert better != worse, "an arm does not differ from itself"
        found = self.contrast({better: 1.0, worse: -1.0})
        if math.isnan(found.p_value):
            return found
        error = (
            (found.high - found.low) / 2 / float(stats.t.ppf((1 + CONFIDENCE) / 2, self.num_free))
        )
        if error == 0:
            return found
        ranges = math.sqrt(2) * abs(found.value) / error
        p_value = stats.studentized_range.sf(ranges, len(self.arms), self.num_free)
        return Estimate(found.value, found.low, found.high, float(p_value))

    def p_of_any_difference(self) -> float:
        """The p-value of all arms being alike: the F test of the arms beside the seeds."""
        if self.num_free <= 0 or len(self.arms) < 2:
            return math.nan
        first, *others = self.arms
        rows = np.array([self._row({arm: 1.0, first: -1.0}, None) for arm in others])
        return float(self._fit.f_test(rows).pvalue)

    def _row(self, weights: Mapping[str, float], seed: int | None) -> list[float]:
        """Arms have a column each; the last seed is minus the sum of the others."""
        columns = [float(weights.get(arm, 0.0)) for arm in self.arms]
        *others, last = self._seeds
        for other in others:
            columns.append(0.0 if seed is None else float(seed == other) - float(seed == last))
        return columns

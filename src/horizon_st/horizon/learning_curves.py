"""Partial learning curves -> what a run will score in the end, with its uncertainty.

A line through the runs that have ended, from the score at some update to the last score, as sure
as these runs make it. Where early scores do not surely tell about the last ones it is not sure, so
that nobody has to say how much of a run must be waited for. To stop runs that will hardly win is
the idea of Domhan et al. 2015, with their models of curves replaced by the runs of the same search.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

_SURELY = 0.975
LEAST_RUNS = 5
"""That must have ended before another one is judged by them."""


@dataclass(frozen=True)
class Curve:
    """The scores of a run on the dev set by update, and the last one if it has ended."""

    by_step: Mapping[int, float]
    final: float | None


@dataclass(frozen=True)
class Forecast:
    """Of a run's last score.

    Attributes:
        mean: of the forecast.
        deviation: of a new run around it, the line's own uncertainty included.
        num_free: degrees of freedom of the deviation.
        is_sure: whether runs that were better at this update surely ended better, by a one-sided
            test of the slope at 2.5 %.
    """

    mean: float
    deviation: float
    num_free: int
    is_sure: bool

    def upper(self, confidence: float) -> float:
        """The bound that the last score stays below with this probability."""
        return self.mean + self.deviation * float(stats.t.ppf(confidence, self.num_free))


def forecast(by_step: Mapping[int, float], others: Sequence[Curve]) -> Forecast | None:
    """What a run will score in the end, from its newest score; None where too few others tell.

    The line does not fall: nobody expects runs that were better to end worse. Where its slope is
    not sure, the mean remains the best guess of a run that was stopped, but is no reason to stop.

    Source: the prediction interval of a simple regression, e.g. Draper and Smith 1998, section 3.1.

    Args:
        by_step: its scores so far.
        others: runs with the same updates between validations.
    """
    if not by_step:
        return None
    step = max(by_step)
    pairs = [
        (curve.by_step[step], curve.final)
        for curve in others
        if curve.final is not None and step in curve.by_step
    ]
    n = len(pairs)
    if n < LEAST_RUNS:
        return None
    x, y = np.array(pairs, dtype=float).T
    spread = float(((x - x.mean()) ** 2).sum()) or math.inf  # equal scores have no slope
    slope = max(float((x - x.mean()) @ (y - y.mean())) / spread, 0.0)
    off = by_step[step] - float(x.mean())
    residuals = y - y.mean() - slope * (x - x.mean())
    noise = math.sqrt(float(residuals @ residuals) / (n - 2))
    is_sure = slope > noise / math.sqrt(spread) * float(stats.t.ppf(_SURELY, n - 2))
    leverage = 1 + 1 / n + off**2 / spread
    return Forecast(float(y.mean()) + slope * off, noise * math.sqrt(leverage), n - 2, is_sure)

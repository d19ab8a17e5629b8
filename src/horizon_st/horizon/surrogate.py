"""Scores as one curve of a total regularisation: the paper's picture, fitted.

score = g(R) with R = Σ wᵢ·xᵢ, all wᵢ ≥ 0, where xᵢ is how far a regulariser is turned up. The scale
of R is free, so that the horizon, where g is highest, is put at R = 1. Source: Jung and Lee 2025
(arXiv 2509.09701), section 4.2; the form of g is ours: a parabola that may fall faster on one side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

_NUM_STARTS = 30
_MOST_EVALUATIONS = 100
"""Of a start: on scores without a curve a fit creeps on and on, and none gets better by it."""


@dataclass(frozen=True)
class SingleIndex:
    """A fitted curve.

    Attributes:
        weights: of each regulariser in R.
        top: the score at the horizon.
        rise: how fast the score falls off below it, per squared unit of R.
        fall: likewise above it.
    """

    weights: dict[str, float]
    top: float
    rise: float
    fall: float

    @property
    def num_parameters(self) -> int:
        """That were fitted."""
        return len(self.weights) + 3

    def total(self, setting: Mapping[str, float]) -> float:
        """R of a setting: 1 on the horizon, less below it."""
        return sum(weight * setting[name] for name, weight in self.weights.items())

    def score_at(self, total: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """The curve at R."""
        return curve(np.asarray(total, dtype=float), self.top, self.rise, self.fall)


def fit_single_index(
    settings: Sequence[Mapping[str, float]], scores: Sequence[float]
) -> SingleIndex:
    """The curve of least squares through the scores of some settings.

    Args:
        settings: how far each regulariser is turned up, at least 0; the same names in all.
        scores: one each.
    """
    names = [*settings[0]]
    x = np.array([[setting[name] for name in names] for setting in settings], dtype=float)
    y = np.asarray(scores, dtype=float)
    spread = max(float(np.ptp(y)), 1e-9)
    largest = np.maximum(x.max(axis=0), 1e-12)
    scaled = x / largest

    def residuals(p: NDArray[np.float64]) -> NDArray[np.float64]:
        off: NDArray[np.float64] = curve(scaled @ p[3:], p[0], p[1], p[2]) - y
        return off

    def slopes(p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of each residual over each parameter: without them, fits take twice as long."""
        total = scaled @ p[3:]
        below, above = np.minimum(total - 1, 0), np.maximum(total - 1, 0)
        along = -2 * (p[1] * below + p[2] * above)
        return np.column_stack(
            [np.ones_like(total), -(below**2), -(above**2), along[:, None] * scaled]
        )

    rng = np.random.default_rng(0)
    low, high = [-np.inf, 0.0, 0.0, *([0.0] * len(names))], np.inf
    best = None
    for _ in range(_NUM_STARTS):
        start = [y.max(), spread, spread, *(rng.uniform(0.05, 1.5, len(names)))]
        found = least_squares(
            residuals, start, jac=slopes, bounds=(low, high), max_nfev=_MOST_EVALUATIONS
        )
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None
    weights = best.x[3:] / largest
    return SingleIndex(dict(zip(names, map(float, weights), strict=True)), *map(float, best.x[:3]))


def curve(total: NDArray[np.float64], top: float, rise: float, fall: float) -> NDArray[np.float64]:
    """A score that rises until R = 1 and falls past it, each by its own parabola."""
    below, above = np.minimum(total - 1, 0), np.maximum(total - 1, 0)
    scores: NDArray[np.float64] = top - rise * below**2 - fall * above**2
    return scores

"""Forms that the score may have as a function of the weights, each fitted to the same runs.

`linear`: score = g(R), R = Σ wᵢ·xᵢ, the paper's picture (Jung and Lee 2025, section 4.2).
`interacting`: g(R), R = Σ wᵢ·(1 − exp(−c·xᵢ))/c + Σ vᵢⱼ·xᵢ·xⱼ: each saturates, and pairs overlap.
`quadratic`: a response surface of second order (Box and Wilson 1951), without any R.
`process`: a Gaussian process, which assumes nothing but smoothness.
`mean`: the same everywhere: what a form has to beat before it says anything.
g rises to the horizon, at R = 1, and falls past it (`surrogate.curve`).

Legend: N runs, D regularisers, x how far each is turned up, as a share of the most in any run.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, least_squares

from horizon_st.horizon.gaussian_process import HorizonProcess
from horizon_st.horizon.surrogate import curve

Array = NDArray[np.float64]

NUM_STARTS = 12
_NUM_FIRST, _NUM_KEPT = 12, 2
"""Evaluations of every start, and how many of the starts are followed further."""
_NUM_EVALUATIONS, _NUM_NEAR = 100, 25
_LARGEST_WEIGHT = 20.0
"""The horizon is looked for no nearer to 0 than a twentieth of what runs span."""
_LEAST_SATURATION, _MOST_SATURATION = 1e-3, 10.0


@dataclass(frozen=True)
class Fit:
    """A form with its parameters.

    Attributes:
        predict: score [N] at x [N, D].
        parameters: that were fitted; None where they are averaged over.
        weights: [D], of each regulariser in R, at small x; None for a form without R.
        noise: standard deviation of a run around it, where the form itself estimates one.
        total: R [N] at x [N, D]; None for a form without R.
    """

    predict: Callable[[Array], Array]
    parameters: Array | None = None
    weights: Array | None = None
    noise: float | None = None
    total: Callable[[Array], Array] | None = None


@dataclass(frozen=True)
class Scale:
    """How settings become shares of the most that any run was turned up."""

    highest: dict[str, float]
    reach: dict[str, float]
    less_is_more: frozenset[str]

    @classmethod
    def fitting(
        cls, settings: Sequence[Mapping[str, float]], less_is_more: Collection[str]
    ) -> Scale:
        """From the least to the most of some runs; of `less_is_more` the least regularises most."""
        highest = {name: max(s[name] for s in settings) for name in settings[0]}
        lowest = {name: min(s[name] for s in settings) for name in settings[0]}
        reach = {
            name: highest[name] - lowest[name] if name in less_is_more else highest[name]
            for name in highest
        }
        reach = {name: value if value > 0 else 1.0 for name, value in reach.items()}
        return cls(highest, reach, frozenset(less_is_more))

    def of(self, settings: Sequence[Mapping[str, float]]) -> Array:
        """[N, D]."""
        return np.array([[self._one(name, s[name]) for name in self.highest] for s in settings])

    def _one(self, name: str, value: float) -> float:
        turned_up = self.highest[name] - value if name in self.less_is_more else value
        return turned_up / self.reach[name]


class Form(ABC):
    """A way for the score to depend on the weights."""

    name: str

    @abstractmethod
    def fit(
        self, x: Array, y: Array, near: Fit | None = None, *, num_starts: int = NUM_STARTS
    ) -> Fit:
        """Through scores y [N] at x [N, D]; from a fit to similar scores, if there is one.

        Forms that are not fitted step by step read neither that nor the number of starts.
        """


class IndexForm(Form):
    """One curve of the total regularisation.

    Args:
        interacting: regularisers saturate, and their pairs have a weight.
    """

    def __init__(self, *, interacting: bool) -> None:
        self.name = "interacting" if interacting else "linear"
        self._interacting = interacting

    def fit(
        self, x: Array, y: Array, near: Fit | None = None, *, num_starts: int = NUM_STARTS
    ) -> Fit:
        """By least squares, from many starts, or from the nearby fit alone."""
        d = x.shape[1]
        num_pairs = math.comb(d, 2)
        low = np.array([-np.inf, *([0.0] * (2 + d))])
        high = np.array([*([np.inf] * 3), *([_LARGEST_WEIGHT] * d)])
        if self._interacting:
            low = np.append(low, [_LEAST_SATURATION, *([-np.inf] * num_pairs)])
            high = np.append(high, [_MOST_SATURATION, *([np.inf] * num_pairs)])

        def residuals(p: Array) -> Array:
            off: Array = curve(self._total(x, p), p[0], p[1], p[2]) - y
            return off

        def slopes(p: Array) -> Array:
            return self._slopes(x, p)

        def descended(start: Array, most: int) -> OptimizeResult:
            inside = np.clip(start, low + 1e-9, high - 1e-9)
            return least_squares(residuals, inside, slopes, bounds=(low, high), max_nfev=most)

        if near is not None and near.parameters is not None:
            found = [descended(near.parameters, _NUM_NEAR)]
        else:
            rng = np.random.default_rng(0)
            starts = [self._start(y, d, rng) for _ in range(num_starts)]
            first = [descended(start, _NUM_FIRST) for start in starts]
            first.sort(key=lambda result: float(result.cost))
            found = [descended(result.x, _NUM_EVALUATIONS) for result in first[:_NUM_KEPT]]
        p: Array = min(found, key=lambda result: float(result.cost)).x
        return Fit(
            lambda at: curve(self._total(at, p), p[0], p[1], p[2]),
            p,
            p[3 : 3 + d],
            total=lambda at: self._total(at, p),
        )

    def _start(self, y: Array, d: int, rng: np.random.Generator) -> Array:
        spread = max(float(np.ptp(y)), 1e-9)
        start = np.array([y.max(), spread, spread, *rng.uniform(0.05, 1.5, d)])
        if not self._interacting:
            return start
        return np.concatenate([start, rng.uniform(0.05, 2, 1), rng.normal(0, 0.2, math.comb(d, 2))])

    def _slopes(self, x: Array, p: Array) -> Array:
        """[N, parameters]: of the score by each parameter."""
        d = x.shape[1]
        off = self._total(x, p) - 1
        below, above = np.minimum(off, 0), np.maximum(off, 0)
        by_total = -2 * (p[1] * below + p[2] * above)
        by_shape = [np.ones_like(off), -(below**2), -(above**2)]
        features = [*(self._saturated(x, p[3 + d]) if self._interacting else x).T]
        if self._interacting:
            by_saturation = (x * np.exp(-p[3 + d] * x) - np.stack(features, axis=1)) / p[3 + d]
            features += [by_saturation @ p[3 : 3 + d], *_pairs(x).T]
        return np.stack([*by_shape, *(by_total * feature for feature in features)], axis=1)

    def _saturated(self, x: Array, saturation: float) -> Array:
        saturated: Array = -np.expm1(-saturation * x) / saturation
        return saturated

    def _total(self, x: Array, p: Array) -> Array:
        d = x.shape[1]
        weights, rest = p[3 : 3 + d], p[3 + d :]
        if not self._interacting:
            linear: Array = x @ weights
            return linear
        saturation, overlaps = rest[0], rest[1:]
        features: Array = np.concatenate([self._saturated(x, saturation), _pairs(x)], axis=1)
        total: Array = features @ np.append(weights, overlaps)
        return total


class QuadraticForm(Form):
    """A response surface of second order."""

    name = "quadratic"

    def fit(
        self, x: Array, y: Array, near: Fit | None = None, *, num_starts: int = NUM_STARTS
    ) -> Fit:
        """By least squares; the smallest coefficients where runs are too few for all."""
        p = np.linalg.lstsq(self._design(x), y)[0].astype(np.float64)
        return Fit(lambda at: self._design(at) @ p, p)

    def _design(self, x: Array) -> Array:
        return np.concatenate([np.ones((len(x), 1)), x, x**2, _pairs(x)], axis=1)


class ProcessForm(Form):
    """The surface of the search."""

    name = "process"

    def fit(
        self, x: Array, y: Array, near: Fit | None = None, *, num_starts: int = NUM_STARTS
    ) -> Fit:
        """The posterior mean."""
        surface = HorizonProcess(x, y)
        return Fit(lambda at: surface.predict(at)[0], noise=surface.noise)


class MeanForm(Form):
    """No weight makes a difference."""

    name = "mean"

    def fit(
        self, x: Array, y: Array, near: Fit | None = None, *, num_starts: int = NUM_STARTS
    ) -> Fit:
        """The mean of the scores."""
        mean = float(y.mean())
        return Fit(lambda at: np.full(len(at), mean), np.array([mean]))


FORMS: tuple[Form, ...] = (
    IndexForm(interacting=False),
    IndexForm(interacting=True),
    QuadraticForm(),
    ProcessForm(),
    MeanForm(),
)


def _pairs(x: Array) -> Array:
    """[N, D·(D−1)/2]: the products of all pairs of columns."""
    pairs = [x[:, i] * x[:, j] for i, j in itertools.combinations(range(x.shape[1]), 2)]
    return np.stack(pairs, axis=1) if pairs else np.empty((len(x), 0))

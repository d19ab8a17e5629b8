"""Prior and likelihood -> draws from the posterior, by annealed sequential Monte Carlo.

Draws from the prior move to the posterior in steps, in each of which the likelihood counts a little
more: the draws are weighted and resampled, then moved by random-walk Metropolis steps as wide as
they are spread. It needs no gradients and no starting point, finds several peaks, and works on all
draws at once. Source: Del Moral, Doucet and Jasra 2006, section 3; Neal 2001.

Legend: S draws, P parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LogLikelihood = Callable[[Array], Array]

_MOVES, _LAST_MOVES = 3, 6
_KEPT = 0.5
"""Share of the draws that weights may be worth in a step: fewer would be copies of few."""
_REACH = 5.0
"""Draws stay within so many deviations of the prior."""
_BISECTIONS = 30


@dataclass(frozen=True)
class NormalPrior:
    """Independent normal parameters.

    Attributes:
        center: [P].
        spread: [P], standard deviations.
        num_signed: of the first so many parameters, only the sign that they share is arbitrary:
            flipping all of them changes neither prior nor likelihood.
    """

    center: Array
    spread: Array
    num_signed: int = 0

    def draw(self, number: int, rng: np.random.Generator) -> Array:
        """[S, P]."""
        size = (number, len(self.center))
        return self.within_reach(self.center + self.spread * rng.normal(size=size))

    def log_density(self, draws: Array) -> Array:
        """[S, P] -> [S], up to a constant."""
        density: Array = -0.5 * (((draws - self.center) / self.spread) ** 2).sum(axis=-1)
        return density

    def within_reach(self, draws: Array) -> Array:
        """What lies far out, moved nearer."""
        reach = _REACH * self.spread
        return np.clip(draws, self.center - reach, self.center + reach)


def sample_posterior(
    prior: NormalPrior, log_likelihood: LogLikelihood, number: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draws [S, P] from the posterior, and its logarithm [S] at each, up to a constant."""
    draws = prior.draw(number, rng)
    likelihood = log_likelihood(draws)
    power = 0.0
    while power < 1:
        step = _largest_step(likelihood, 1 - power)
        power = 1.0 if step >= 1 - power else power + step
        chosen = _resampled(step * likelihood, rng)
        draws, likelihood = draws[chosen], likelihood[chosen]
        _give_one_sign(draws, power * likelihood + prior.log_density(draws), prior.num_signed)
        num_moves = _LAST_MOVES if power == 1 else _MOVES
        _move(draws, likelihood, prior, log_likelihood, power, num_moves, rng)
    return draws, likelihood + prior.log_density(draws)


def _largest_step(likelihood: Array, most: float) -> float:
    """How much more the likelihood may count before the weights are worth too few draws."""
    relative = likelihood - likelihood.max()

    def is_fine(step: float) -> bool:
        weights = np.exp(step * relative)
        return bool(weights.sum() ** 2 >= _KEPT * len(weights) * (weights**2).sum())

    if is_fine(most):
        return most
    low, high = 0.0, most
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_fine(middle) else (low, middle)
    return high


def _resampled(log_weights: Array, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices in proportion to the weights, by systematic resampling."""
    weights = np.exp(log_weights - log_weights.max())
    number = len(weights)
    places = (np.arange(number) + rng.random()) / number
    return np.minimum(np.searchsorted(np.cumsum(weights / weights.sum()), places), number - 1)


def _give_one_sign(draws: Array, log_posterior: Array, num_signed: int) -> None:
    """Turns mirrored draws round, in place, so that the draws form one cloud and not two."""
    if num_signed:
        signed = draws[:, :num_signed]
        draws[signed @ signed[np.argmax(log_posterior)] < 0, :num_signed] *= -1


def _move(
    draws: Array,
    likelihood: Array,
    prior: NormalPrior,
    log_likelihood: LogLikelihood,
    power: float,
    num_moves: int,
    rng: np.random.Generator,
) -> None:
    """Metropolis steps of all draws, in place, of several widths around the best one."""
    number, num_parameters = draws.shape
    covariance = np.cov(draws.T).reshape(num_parameters, num_parameters)
    shape = np.linalg.cholesky(covariance + 1e-6 * np.diag(prior.spread**2))
    for _ in range(num_moves):
        width = 2.38 / math.sqrt(num_parameters) * np.exp(rng.normal(-0.3, 0.6, (number, 1)))
        proposed = prior.within_reach(draws + width * (rng.normal(size=draws.shape) @ shape.T))
        proposed_likelihood = log_likelihood(proposed)
        gain = power * (proposed_likelihood - likelihood)
        gain += prior.log_density(proposed) - prior.log_density(draws)
        is_taken = np.log(rng.random(number)) < gain
        draws[is_taken] = proposed[is_taken]
        likelihood[is_taken] = proposed_likelihood[is_taken]

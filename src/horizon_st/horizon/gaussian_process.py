"""Noisy scores -> a surface with its uncertainty: a Gaussian process that expects a horizon.

The kernel is a sum of three: a constant, one of the total regularisation R = w·x alone (the paper's
picture, in which settings of equal R score equally), and one of all dimensions (what that picture
misses). Weights, lengths and noise are not fitted but averaged over: a dozen runs seldom tell them
apart, and the best guess of them would be too sure of itself.
Source: Rasmussen and Williams 2006, chapters 2 and 5.

Legend: N settings with a score, M others, D dimensions, S draws of the parameters.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from horizon_st.horizon.annealing import NormalPrior, sample_posterior

Array = NDArray[np.float64]

NUM_DRAWS = 128
_JITTER = 2e-6
_CONSTANT_VARIANCE = 1.0
_LEAST_NOISE = 1e-3
_PRIORS = {
    "direction": (0.0, 1.5),
    "log_lengths": (math.log(0.7), 0.5),
    "log_index_variance": (0.0, 1.0),
    "log_variance": (math.log(0.3), 1.0),
    "log_noise_variance": (-2.5, 2.0),
}
"""Centre and deviation of each, for points in the unit cube and scores of variance 1.

The direction is w over the length along R.
"""
_CORNER = 1e12


class HorizonProcess:
    """The posterior over scores, given some.

    Args:
        points: [N, D], in the unit cube.
        scores: [N].
        noise: standard deviation of a score, where it is known; estimated otherwise.
        seed: of the draws of the parameters.
    """

    def __init__(
        self, points: Array, scores: Array, *, noise: float | None = None, seed: int = 0
    ) -> None:
        self._points = np.asarray(points, dtype=float)
        self._shift = float(np.mean(scores))
        self._scale = max(float(np.std(scores)), 1e-6)
        self._known_noise = None if noise is None else max(noise / self._scale, _LEAST_NOISE)
        self._values = (np.asarray(scores, dtype=float) - self._shift) / self._scale
        prior = _prior(self._points.shape[1], with_noise=noise is None)
        rng = np.random.default_rng(seed)
        self._draws, posterior = sample_posterior(prior, self._likelihood, NUM_DRAWS, rng)
        self._most_likely = int(np.argmax(posterior))
        self._inverse = np.linalg.inv(self._covariance(self._draws))
        self._alpha = self._inverse @ self._values

    @property
    def noise(self) -> float:
        """Standard deviation of a score around the surface."""
        return math.sqrt(float(self._noise_variance(self._draws).mean())) * self._scale

    @property
    def direction(self) -> Array:
        """[D], of length 1: how much each dimension adds to the total regularisation.

        Or takes from it: the surface is the same for both signs of the whole.
        """
        direction = self._draws[self._most_likely, : self._points.shape[1]]
        found: Array = direction / np.linalg.norm(direction)
        return found

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the surface, without the noise of a run, at [M, D]."""
        means, deviations = self.predict_each(points)
        variance = (deviations**2).mean(axis=0) + means.var(axis=0)
        return means.mean(axis=0), np.sqrt(variance)

    def predict_each(self, points: Array, *, every: int = 1) -> tuple[Array, Array]:
        """Like `predict`, [S, M] under each draw of the parameters, or every so-manyth."""
        draws = self._draws[::every]
        across = _kernel(draws, points, self._points)
        mean = (across @ self._alpha[::every, :, None])[..., 0]
        explained = ((across @ self._inverse[::every]) * across).sum(axis=-1)
        before = _variance(draws, self._points.shape[1])
        deviation = np.sqrt(np.maximum(before - explained, 1e-12))
        return self._shift + self._scale * mean, self._scale * deviation

    def gain_over(self, reference: Array, points: Array) -> tuple[Array, Array]:
        """By how much the surface at [M, D] exceeds that at [D]: mean and standard deviation [M].

        Surer than two predictions apart, since what lies near shares what is not known.
        """
        at = reference[None]
        across = _kernel(self._draws, points, self._points)
        across = across - _kernel(self._draws, at, self._points)
        means = self._scale * (across @ self._alpha[:, :, None])[..., 0]
        explained = ((across @ self._inverse) * across).sum(axis=-1)
        alone = _variance(self._draws, len(reference))
        before = 2 * (alone - _kernel(self._draws, points, at)[..., 0])
        variances = self._scale**2 * np.maximum(before - explained, 0.0)
        return means.mean(axis=0), np.sqrt(variances.mean(axis=0) + means.var(axis=0))

    def told_by_runs(self, reference: Array, points: Array, num_runs: int) -> tuple[Array, Array]:
        """What some runs of a point, with their noise, tell of by how much it exceeds another.

        Args:
            reference: [D], the other.
            points: [M, D], of which one is run.
            num_runs: of it, n.

        Returns:
            The mean [S, M] of the difference before the runs, and the standard deviation [S, M] of
            what that mean becomes by them: cov(f(x), f(x) − f(r)) / sqrt(var f(x) + noise² / n).
        """
        at = reference[None]
        across = _kernel(self._draws, points, self._points)
        of_difference = across - _kernel(self._draws, at, self._points)
        mean = (of_difference @ self._alpha[:, :, None])[..., 0]
        explaining = across @ self._inverse
        alone = _variance(self._draws, len(reference))
        variance = np.maximum(alone - (explaining * across).sum(axis=-1), 1e-12)
        covariance = alone - _kernel(self._draws, points, at)[..., 0]
        covariance -= (explaining * of_difference).sum(axis=-1)
        noise = self._noise_variance(self._draws)[:, None] / num_runs
        told = np.abs(covariance) / np.sqrt(variance + noise)
        return self._scale * mean, self._scale * np.maximum(told, 1e-12)

    def _noise_variance(self, draws: Array) -> Array:
        if self._known_noise is not None:
            return np.full(len(draws), self._known_noise**2)
        noise: Array = np.exp(draws[:, -1])
        return noise

    def _covariance(self, draws: Array) -> Array:
        """[S, N, N], of the scores."""
        covariance = _kernel(draws, self._points, self._points)
        diagonal = np.arange(len(self._points))
        covariance[:, diagonal, diagonal] += self._noise_variance(draws)[:, None] + _JITTER
        return covariance

    def _likelihood(self, draws: Array) -> Array:
        """[S], the logarithm of the scores' density, up to a constant.

        Bordered by the scores, a covariance K = LLᵀ has a factor whose last row is L⁻¹y: one call
        for all draws gives determinant and misfit. The corner only has to be large enough.
        """
        number = len(self._points)
        bordered = np.full((len(draws), number + 1, number + 1), _CORNER)
        bordered[:, :-1, :-1] = self._covariance(draws)
        bordered[:, -1, :-1] = bordered[:, :-1, -1] = self._values
        factor = np.linalg.cholesky(bordered)
        misfit = 0.5 * (factor[:, -1, :-1] ** 2).sum(axis=-1)
        volume = np.log(np.diagonal(factor, axis1=1, axis2=2)[:, :-1]).sum(axis=-1)
        likelihood: Array = -misfit - volume
        return likelihood


def _prior(num_dimensions: int, *, with_noise: bool) -> NormalPrior:
    counts = [num_dimensions, num_dimensions, 1, 1, 1]
    centers, spreads = zip(*_PRIORS.values(), strict=True)
    last = None if with_noise else -1
    center, spread = (np.repeat(values, counts)[:last] for values in (centers, spreads))
    return NormalPrior(center, spread, num_signed=num_dimensions)


def _unpack(draws: Array, num_dimensions: int) -> tuple[Array, Array, Array, Array]:
    """Direction and lengths [S, D]; variances along R and of all dimensions [S, 1]."""
    d = num_dimensions
    return (
        draws[:, :d],
        np.exp(draws[:, d : 2 * d]),
        np.exp(draws[:, 2 * d : 2 * d + 1]),
        np.exp(draws[:, 2 * d + 1 : 2 * d + 2]),
    )


def _variance(draws: Array, num_dimensions: int) -> Array:
    """[S, 1], of the surface anywhere before there are scores."""
    _, _, index_variance, variance = _unpack(draws, num_dimensions)
    return index_variance + variance + _CONSTANT_VARIANCE


def _kernel(draws: Array, left: Array, right: Array) -> Array:
    """[S, M, N]: squared exponential along R, Matérn 5/2 in all dimensions, and a constant."""
    direction, lengths, index_variance, variance = _unpack(draws, left.shape[1])
    steps = (direction @ left.T)[:, :, None] - (direction @ right.T)[:, None, :]
    by_index = index_variance[..., None] * np.exp(-0.5 * steps**2)
    a, b = left / lengths[:, None, :], right / lengths[:, None, :]
    squared = (a**2).sum(-1)[:, :, None] + (b**2).sum(-1)[:, None, :] - 2 * a @ b.transpose(0, 2, 1)
    distance = np.sqrt(5 * np.maximum(squared, 0))
    matern = variance[..., None] * (1 + distance + distance**2 / 3) * np.exp(-distance)
    kernel: Array = by_index + matern + _CONSTANT_VARIANCE
    return kernel

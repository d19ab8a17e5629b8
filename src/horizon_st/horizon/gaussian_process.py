"""Noisy scores -> a surface with its uncertainty: a Gaussian process that expects a horizon.

The kernel is a sum of two: one of the total regularisation R = w·x alone (the paper's picture, in
which settings of equal R score equally), and one of all dimensions (what that picture misses).
Weights, lengths and noise are those of the largest posterior under weak priors.
Source: Rasmussen and Williams 2006, chapters 2 and 5.

Legend: N settings with a score, M others, D dimensions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

Array = NDArray[np.float64]

_JITTER = 1e-8
_REACH = 6.0
"""Of the search for parameters, around the centres of their priors."""
_PRIORS = {
    "direction": (0.0, 1.0),
    "log_lengths": (math.log(0.7), 0.5),
    "log_index_length": (math.log(0.7), 0.7),
    "log_index_variance": (0.0, 1.0),
    "log_variance": (math.log(0.3), 1.0),
    "log_noise_variance": (-4.0, 1.5),
}
"""Centre and deviation of each, for points in the unit cube and scores of variance 1."""


@dataclass(frozen=True)
class _Parameters:
    """What is fitted."""

    direction: Array
    index_length: float
    index_variance: float
    lengths: Array
    variance: float
    noise_variance: float


class HorizonProcess:
    """The posterior over scores, given some.

    Args:
        points: [N, D], in the unit cube.
        scores: [N].
        noise: standard deviation of a score, where it is known; estimated otherwise.
    """

    def __init__(self, points: Array, scores: Array, *, noise: float | None = None) -> None:
        self._points = np.asarray(points, dtype=float)
        self._shift = float(np.mean(scores))
        self._scale = max(float(np.std(scores)), 1e-6)
        self._known_noise = None if noise is None else max(noise / self._scale, 1e-3)
        self._values = (np.asarray(scores, dtype=float) - self._shift) / self._scale
        d = self._points.shape[1]
        counts = (d, d, 1, 1, 1, 1)
        centers, spreads = zip(*_PRIORS.values(), strict=True)
        self._center, self._spread = np.repeat(centers, counts), np.repeat(spreads, counts)
        self._parameters = self._unpack(self._fit())
        covariance = self._kernel(self._points, self._points, self._parameters)
        covariance[np.diag_indices_from(covariance)] += self._parameters.noise_variance + _JITTER
        self._factor = cho_factor(covariance, lower=True)
        self._alpha = cho_solve(self._factor, self._values)

    @property
    def noise(self) -> float:
        """Standard deviation of a score around the surface."""
        return math.sqrt(self._parameters.noise_variance) * self._scale

    @property
    def direction(self) -> Array:
        """[D], of length 1: how much each dimension adds to the total regularisation."""
        direction: Array = self._parameters.direction / np.linalg.norm(self._parameters.direction)
        return direction

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the surface, without the noise of a run, at [M, D]."""
        across = self._kernel(points, self._points, self._parameters)
        mean = across @ self._alpha
        explained = np.einsum("mn,nm->m", across, cho_solve(self._factor, across.T))
        before = self._parameters.index_variance + self._parameters.variance
        deviation = np.sqrt(np.maximum(before - explained, 1e-12))
        return self._shift + self._scale * mean, self._scale * deviation

    def _unpack(self, theta: Array) -> _Parameters:
        d = self._points.shape[1]
        noise = theta[2 * d + 3] if self._known_noise is None else 2 * math.log(self._known_noise)
        return _Parameters(
            direction=theta[:d],
            index_length=math.exp(theta[2 * d]),
            index_variance=math.exp(theta[2 * d + 1]),
            lengths=np.exp(theta[d : 2 * d]),
            variance=math.exp(theta[2 * d + 2]),
            noise_variance=math.exp(noise),
        )

    def _kernel(self, left: Array, right: Array, p: _Parameters) -> Array:
        index = (left @ p.direction)[:, None] - (right @ p.direction)[None, :]
        by_index = p.index_variance * np.exp(-0.5 * (index / p.index_length) ** 2)
        steps = (left[:, None, :] - right[None, :, :]) / p.lengths
        distance = np.sqrt(np.maximum((steps**2).sum(-1), 1e-18)) * math.sqrt(5)
        matern = (1 + distance + distance**2 / 3) * np.exp(-distance)
        kernel: Array = by_index + p.variance * matern
        return kernel

    def _fit(self) -> Array:
        """The parameters of the largest posterior, from several starts."""
        d = self._points.shape[1]
        rng = np.random.default_rng(0)
        directions = [np.array([-1.0] + [1.0] * (d - 1)), np.ones(d), rng.normal(size=d)]
        found = []
        for direction in directions:
            start = self._center.copy()
            start[:d] = direction
            bounds = [*zip(self._center - _REACH, self._center + _REACH, strict=True)]
            bounds[:d] = [(-_REACH, _REACH)] * d
            found.append(
                minimize(
                    self._loss, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60}
                )
            )
        best: Array = min(found, key=lambda result: float(result.fun)).x
        return best

    def _loss(self, theta: Array) -> float:
        """Minus the logarithm of the posterior, up to a constant."""
        p = self._unpack(theta)
        covariance = self._kernel(self._points, self._points, p)
        covariance[np.diag_indices_from(covariance)] += p.noise_variance + _JITTER
        factor = cho_factor(covariance, lower=True)
        misfit = 0.5 * float(self._values @ cho_solve(factor, self._values))
        volume = float(np.log(np.diag(factor[0])).sum())
        prior = 0.5 * float((((theta - self._center) / self._spread) ** 2).sum())
        return misfit + volume + prior

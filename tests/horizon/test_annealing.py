"""Draws from posteriors that are known in closed form, and the surface against brute force."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from horizon_st.horizon.annealing import NormalPrior, sample_posterior
from horizon_st.horizon.gaussian_process import NUM_DRAWS, HorizonProcess

WIDE = NormalPrior(np.zeros(2), np.full(2, 3.0))


def test_draws_of_a_normal_posterior_have_its_mean_and_covariance():
    precision = np.array([[40.0, 30.0], [30.0, 40.0]])
    at = np.array([2.0, -1.0])

    def log_likelihood(draws):
        off = draws - at
        return -0.5 * ((off @ precision) * off).sum(axis=1)

    covariance = np.linalg.inv(precision + np.eye(2) / 9)
    mean = covariance @ precision @ at
    draws, posterior = sample_posterior(WIDE, log_likelihood, 4000, np.random.default_rng(0))
    assert draws.mean(axis=0) == pytest.approx(mean, abs=0.03)
    assert np.cov(draws.T) == pytest.approx(covariance, abs=0.1 * covariance[0, 0])
    expected = multivariate_normal(mean, covariance).logpdf(draws)
    assert posterior - posterior[0] == pytest.approx(expected - expected[0])


def test_both_of_two_peaks_keep_their_share():
    def log_likelihood(draws):
        heights = [-50 * ((draws - at) ** 2).sum(axis=1) for at in (np.ones(2), -np.ones(2))]
        return np.logaddexp(heights[0] + math.log(3), heights[1])

    draws, _ = sample_posterior(WIDE, log_likelihood, 4000, np.random.default_rng(1))
    assert np.mean(draws[:, 0] > 0) == pytest.approx(0.75, abs=0.06)


def test_mirrored_draws_form_one_cloud():
    prior = NormalPrior(np.zeros(2), np.ones(2), num_signed=1)

    def log_likelihood(draws):
        return -50 * (draws[:, 0] ** 2 - 1) ** 2 - 50 * (draws[:, 1] - 1) ** 2

    draws, _ = sample_posterior(prior, log_likelihood, 500, np.random.default_rng(2))
    assert abs(np.sign(draws[:, 0]).mean()) > 0.95
    assert (draws[:, 1] > 0).all()


class TestSurface:
    points = np.random.default_rng(3).random((9, 2))
    scores = 20 + np.sin(4 * points[:, 0]) + points[:, 1]
    others = np.random.default_rng(4).random((5, 2))

    def kernel(self, draw, left, right):
        """Entry by entry, from the book's formulas."""
        d = left.shape[1]
        result = np.empty((len(left), len(right)))
        for i, a in enumerate(left):
            for j, b in enumerate(right):
                index = float(draw[:d] @ (a - b))
                r = math.dist(a / np.exp(draw[d : 2 * d]), b / np.exp(draw[d : 2 * d]))
                matern = (1 + math.sqrt(5) * r + 5 / 3 * r**2) * math.exp(-math.sqrt(5) * r)
                by_index = math.exp(draw[2 * d]) * math.exp(-(index**2) / 2)
                result[i, j] = 1 + by_index + math.exp(draw[2 * d + 1]) * matern
        return result

    def test_likelihood_is_that_of_a_normal_vector(self):
        surface = HorizonProcess(self.points, self.scores)
        values = (self.scores - self.scores.mean()) / self.scores.std()
        draws = surface._draws[:6]
        expected = [
            multivariate_normal(
                cov=self.kernel(draw, self.points, self.points)
                + (math.exp(draw[-1]) + 2e-6) * np.eye(9)
            ).logpdf(values)
            for draw in draws
        ]
        constant = 4.5 * math.log(2 * math.pi)
        assert surface._likelihood(draws) - constant == pytest.approx(expected, abs=1e-6)

    def test_prediction_is_the_conditional_normal(self):
        surface = HorizonProcess(self.points, self.scores, noise=0.1)
        means, deviations = surface.predict_each(self.others)
        scale = self.scores.std()
        values = (self.scores - self.scores.mean()) / scale
        for k in range(0, NUM_DRAWS, 32):
            draw = surface._draws[k]
            within = self.kernel(draw, self.points, self.points)
            within += ((0.1 / scale) ** 2 + 2e-6) * np.eye(9)
            across = self.kernel(draw, self.others, self.points)
            weights = np.linalg.solve(within, across.T)
            between = self.kernel(draw, self.others, self.others) - across @ weights
            mean = self.scores.mean() + scale * (weights.T @ values)
            assert means[k] == pytest.approx(mean, abs=1e-4)
            assert deviations[k] == pytest.approx(scale * np.sqrt(np.diag(between)), abs=1e-4)

    @pytest.mark.parametrize("num_runs", [1, 3])
    def test_runs_tell_what_another_score_would_change(self, num_runs):
        """By brute force: the process with one more score, which is the mean of these runs."""
        surface = HorizonProcess(self.points, self.scores, noise=0.4)
        reference, at = self.others[0], self.others[1:]
        means, told = surface.told_by_runs(reference, at, num_runs)
        scale = self.scores.std()
        values = (self.scores - self.scores.mean()) / scale
        for k in range(0, NUM_DRAWS, 32):
            draw = surface._draws[k]

            def covariance(points, draw=draw):
                noise = np.full(len(points), (0.4 / scale) ** 2 + 2e-6)
                noise[len(self.points) :] /= num_runs
                return self.kernel(draw, points, points) + np.diag(noise)

            def difference(point, points, values, draw=draw, covariance=covariance):
                within = covariance(points)
                across = self.kernel(draw, np.array([point, reference]), points)
                above, below = across @ np.linalg.solve(within, values)
                return scale * (above - below)

            for j, point in enumerate(at):
                before = difference(point, self.points, values)
                assert means[k, j] == pytest.approx(before, abs=1e-4)
                more = np.concatenate([self.points, point[None]])
                within = covariance(more)
                explained = np.linalg.solve(within[:-1, :-1], within[:-1, -1])
                height = explained @ values
                spread = math.sqrt(within[-1, -1] - explained @ within[:-1, -1])
                after = difference(point, more, np.append(values, height + spread))
                assert told[k, j] == pytest.approx(abs(after - before), abs=1e-4)

    def test_the_mixture_has_the_moments_of_its_parts(self):
        surface = HorizonProcess(self.points, self.scores)
        means, deviations = surface.predict_each(self.others)
        rng = np.random.default_rng(0)
        draws = rng.normal(means, deviations, (4000, *means.shape)).reshape(-1, 5)
        mean, deviation = surface.predict(self.others)
        assert mean == pytest.approx(draws.mean(axis=0), abs=0.01)
        assert deviation == pytest.approx(draws.std(axis=0), rel=0.02)

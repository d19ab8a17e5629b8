"""The curve of total regularisation against scores made by a known one."""

import itertools

import numpy as np
import pytest

from horizon_st.horizon.surrogate import SingleIndex, fit_single_index

SETTINGS = [
    {"a": a, "b": b, "c": c} for a, b, c in itertools.product((0, 0.5, 1), (0, 1, 5), (0, 3, 10))
]
TRUTH = SingleIndex({"a": 0.4, "b": 0.15, "c": 0.1}, top=30.0, rise=8.0, fall=2.0)


def test_weights_horizon_and_slopes_are_found_again():
    scores = [float(TRUTH.score_at(TRUTH.total(setting))) for setting in SETTINGS]
    found = fit_single_index(SETTINGS, scores)
    assert found.weights == pytest.approx(TRUTH.weights, rel=1e-3)
    assert (found.top, found.rise, found.fall) == pytest.approx((30.0, 8.0, 2.0), rel=1e-3)


def test_noise_of_a_seed_moves_them_little():
    rng = np.random.default_rng(0)
    scores = [float(TRUTH.score_at(TRUTH.total(s))) + rng.normal(0, 0.2) for s in SETTINGS]
    found = fit_single_index(SETTINGS, scores)
    assert found.weights == pytest.approx(TRUTH.weights, rel=0.2)
    assert found.top == pytest.approx(30.0, abs=0.3)


def test_a_regulariser_without_influence_has_no_weight():
    scores = [float(TRUTH.score_at(0.15 * s["b"] + 0.1 * s["c"])) for s in SETTINGS]
    found = fit_single_index(SETTINGS, scores)
    assert found.weights["a"] == pytest.approx(0.0, abs=1e-3)


def test_the_score_is_highest_at_the_horizon_and_each_side_has_its_slope():
    assert TRUTH.score_at(1.0) == 30.0
    assert TRUTH.score_at(0.5) == pytest.approx(30 - 8 * 0.25)
    assert TRUTH.score_at(1.5) == pytest.approx(30 - 2 * 0.25)
    assert TRUTH.total({"a": 1, "b": 2, "c": 3}) == pytest.approx(0.4 + 0.3 + 0.3)

"""Forecasts from partial learning curves, against a regression that is not ours."""

import numpy as np
import pytest
import statsmodels.api as sm

from horizon_st.horizon.learning_curves import LEAST_RUNS, Curve, forecast


def curves_of(pairs, step=100):
    return [Curve({50: 0.0, step: early}, final) for early, final in pairs]


@pytest.fixture
def pairs():
    rng = np.random.default_rng(3)
    early = rng.uniform(10, 20, 9)
    return [*zip(early, 5 + 1.5 * early + rng.normal(0, 0.7, 9), strict=True)]


def test_mean_and_bound_are_those_of_a_regression(pairs):
    early, final = np.array(pairs).T
    fitted = sm.OLS(final, sm.add_constant(early)).fit()
    expected = fitted.get_prediction([[1.0, 12.5]]).summary_frame(alpha=0.1)
    found = forecast({50: 3.0, 100: 12.5}, curves_of(pairs))
    assert found.mean == pytest.approx(expected["mean"][0])
    assert found.upper(0.95) == pytest.approx(expected["obs_ci_upper"][0])


def test_runs_that_have_not_ended_or_lack_the_update_tell_nothing(pairs):
    more = [Curve({100: 1.0}, None), Curve({50: 1.0}, 99.0)]
    assert forecast({100: 12.0}, curves_of(pairs) + more) == forecast({100: 12.0}, curves_of(pairs))


def test_early_scores_that_say_nothing_hardly_ever_give_a_sure_forecast():
    rng = np.random.default_rng(0)
    number = 0
    for _ in range(400):
        early, final = rng.normal(10, 2, 12), rng.normal(30, 2, 12)
        found = forecast({100: 7.0}, curves_of([*zip(early, final, strict=True)]))
        number += found.is_sure
    assert 0 < number < 0.05 * 400


def test_early_scores_that_rank_runs_the_wrong_way_round_tell_their_mean_alone():
    pairs = [(10.0 + i, 40.0 - i + 0.1 * (-1) ** i) for i in range(9)]
    found = forecast({100: 7.0}, curves_of(pairs))
    assert not found.is_sure
    assert found.mean == pytest.approx(np.mean([final for _, final in pairs]))


def test_equal_early_scores_tell_the_mean_alone():
    found = forecast({100: 4.0}, curves_of([(7.0, float(f)) for f in range(6)]))
    assert (found.mean, found.is_sure) == (2.5, False)


def test_too_few_runs_give_no_forecast(pairs):
    assert forecast({100: 12.0}, curves_of(pairs[: LEAST_RUNS - 1])) is None
    assert forecast({100: 12.0}, curves_of(pairs[:LEAST_RUNS])) is not None
    assert forecast({}, curves_of(pairs)) is None

"""Lag: the values of SimulEval, and what the paper says of an ideal wait-k translator."""

import pytest

from horizon_st.inference.latency import average_lagging, length_adaptive_average_lagging

# Computed by ALScorer and LAALScorer of SimulEval 1.1.4.
SIMULEVAL = [
    ([1.0, 1.0, 2.5, 4.0, 4.0, 4.0], 4.0, 5, 0.925, 1.125),
    ([2.0, 2.0, 2.0], 5.0, 6, 7 / 6, 7 / 6),
    ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 7.0, 7.0, 7.0], 7.0, 4, -1.25, 1.9),
]


@pytest.mark.parametrize(("delays_s", "source_s", "num_words", "lag_s", "adaptive_s"), SIMULEVAL)
def test_lags_are_those_of_simuleval(delays_s, source_s, num_words, lag_s, adaptive_s):
    assert average_lagging(delays_s, source_s, num_words) == pytest.approx(lag_s)
    assert length_adaptive_average_lagging(delays_s, source_s, num_words) == pytest.approx(
        adaptive_s
    )


@pytest.mark.parametrize("k", [1, 3, 7])
def test_a_translator_that_waits_for_k_words_lags_by_k_words(k):
    num_words, word_s = 10, 0.4
    delays_s = [min(k + number, num_words) * word_s for number in range(num_words)]
    lag_s = average_lagging(delays_s, num_words * word_s, num_words)
    assert lag_s == pytest.approx(k * word_s)


def test_output_that_is_too_long_lowers_the_lag_but_not_the_adaptive_one():
    delays_s, longer_s = [1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 2.0, 2.0, 3.0]
    assert average_lagging(longer_s, 3.0, 3) < average_lagging(delays_s, 3.0, 3)
    adaptive_s = length_adaptive_average_lagging(longer_s, 3.0, 3)
    assert adaptive_s > average_lagging(longer_s, 3.0, 3)


@pytest.mark.parametrize(("delays_s", "num_words"), [([], 3), ([1.0], 0)])
def test_no_words_have_no_lag(delays_s, num_words):
    with pytest.raises(ValueError, match="no words"):
        average_lagging(delays_s, 3.0, num_words)

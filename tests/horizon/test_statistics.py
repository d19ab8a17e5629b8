"""The blocked means against SciPy's tests and statsmodels' formula."""

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats

from horizon_st.horizon.statistics import BlockedMeans

RNG = np.random.default_rng(3)
SEEDS = range(1, 6)


def draw(*arms):
    block = {seed: RNG.normal(0, 3) for seed in SEEDS}
    return {
        (arm, seed): 20 + index + block[seed] + RNG.normal()
        for index, arm in enumerate(arms)
        for seed in SEEDS
    }


def of_arm(scores, arm):
    return np.array([value for (name, _), value in scores.items() if name == arm])


def test_two_arms_are_compared_as_the_paired_t_test_does():
    scores = draw("a", "b")
    found = BlockedMeans(scores).contrast({"b": 1.0, "a": -1.0})
    expected = stats.ttest_rel(of_arm(scores, "b"), of_arm(scores, "a"))
    interval = expected.confidence_interval(0.95)
    assert found.value == pytest.approx((of_arm(scores, "b") - of_arm(scores, "a")).mean())
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_missing_runs_are_estimated_as_a_linear_model_does():
    scores = draw("a", "b", "c")
    del scores["a", 2], scores["c", 5]
    means = BlockedMeans(scores)
    table = pd.DataFrame(
        [(arm, seed, value) for (arm, seed), value in scores.items()],
        columns=["arm", "seed", "score"],
    )
    fitted = smf.ols("score ~ C(arm) + C(seed, Sum)", table).fit()
    found = means.contrast({"c": 1.0, "a": -1.0})
    assert found.value == pytest.approx(fitted.params["C(arm)[T.c]"])
    assert found.p_value == pytest.approx(fitted.pvalues["C(arm)[T.c]"])
    assert means.mean("a").value == pytest.approx(fitted.params["Intercept"])
    assert means.noise == pytest.approx(math.sqrt(fitted.scale))
    assert means.num_free == 13 - 3 - 4


def test_the_mean_of_an_arm_is_over_its_seeds():
    scores = draw("a", "b")
    assert BlockedMeans(scores).mean("b").value == pytest.approx(of_arm(scores, "b").mean())


def test_comparisons_with_a_baseline_are_holms():
    scores = draw("a", "b", "c", "d")
    means = BlockedMeans(scores)
    alone = {arm: means.contrast({arm: 1.0, "a": -1.0}).p_value for arm in "bcd"}
    smallest, middle, largest = sorted(alone, key=alone.get)
    expected = [3 * alone[smallest]]
    expected.append(max(expected[-1], 2 * alone[middle]))
    expected.append(max(expected[-1], alone[largest]))
    found = means.against("a", ["b", "c", "d"])
    assert [found[arm].p_value for arm in (smallest, middle, largest)] == pytest.approx(
        [min(1.0, p) for p in expected]
    )
    assert found["b"].low == means.contrast({"b": 1.0, "a": -1.0}).low


def test_an_arm_that_cannot_be_tested_does_not_spare_the_others_holms_correction():
    scores = draw("a", "b", "c", "d")
    whole = BlockedMeans(scores).against("a", ["b", "c", "d"])
    apart = BlockedMeans(scores | {("e", 98): 1.0, ("f", 98): 2.0})
    found = apart.against("a", ["b", "c", "d", "e"])
    assert math.isnan(found["e"].p_value)
    assert [found[arm].p_value for arm in "bcd"] == pytest.approx(
        [whole[arm].p_value for arm in "bcd"]
    )


def test_arms_without_a_seed_in_common_have_no_interval():
    scores = {(a, s): 20.0 + 2 * (a in "cd") + 9 * (s > 2) + 0.1 * s for a, s in [
        ("a", 1), ("a", 2), ("b", 1), ("b", 2), ("c", 3), ("c", 4), ("d", 3), ("d", 4),
    ]}  # fmt: skip
    means = BlockedMeans(scores)
    apart = means.contrast({"c": 1.0, "a": -1.0})
    assert math.isnan(apart.p_value)
    assert apart.value == pytest.approx(of_arm(scores, "c").mean() - of_arm(scores, "a").mean())
    assert not math.isnan(means.contrast({"b": 1.0, "a": -1.0}).p_value)


def test_the_largest_of_many_differences_is_tukeys():
    rng = np.random.default_rng(4)
    samples = [rng.normal(i / 3, 1, 8) for i in range(4)]
    scores = {(str(a), s): x for a, y in enumerate(samples) for s, x in enumerate(y)}
    centred = {(a, s): x - np.mean([scores[b, s] for b in "0123"]) for (a, s), x in scores.items()}
    means = BlockedMeans(centred)
    found = means.best_against("3", "0")
    residual = math.sqrt(means._fit.scale / 8)
    q = abs(found.value) / residual
    assert found.p_value == pytest.approx(stats.studentized_range.sf(q, 4, 21))
    assert found.p_value > means.contrast({"3": 1.0, "0": -1.0}).p_value


def test_an_arm_is_not_compared_with_itself():
    with pytest.raises(AssertionError, match="does not differ from itself"):
        BlockedMeans(draw("a", "b")).best_against("a", "a")


def test_whether_arms_differ_is_the_f_test_of_the_block_design():
    scores = draw("a", "b", "c")
    table = pd.DataFrame(
        [(arm, seed, value) for (arm, seed), value in scores.items()],
        columns=["arm", "seed", "score"],
    )
    fitted = smf.ols("score ~ C(arm) + C(seed)", table).fit()
    expected = sm.stats.anova_lm(fitted, typ=2).loc["C(arm)", "PR(>F)"]
    assert BlockedMeans(scores).p_of_any_difference() == pytest.approx(expected)


def test_one_seed_has_means_but_no_intervals():
    scores = {("a", 1): 3.0, ("b", 1): 5.0}
    found = BlockedMeans(scores).against("a", ["b"])["b"]
    assert found.value == pytest.approx(2.0)
    assert math.isnan(found.low)
    assert math.isnan(found.p_value)
    assert not found.is_significant


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    num_held = 0
    for _ in range(400):
        block = rng.normal(0, 5, 3)
        scores = {
            (arm, seed): block[seed] + shift + rng.normal()
            for arm, shift in (("a", 0.0), ("b", 1.0), ("c", 4.0))
            for seed in range(3)
        }
        found = BlockedMeans(scores).contrast({"b": 1.0, "a": -1.0})
        num_held += found.low < 1.0 < found.high
    assert 0.92 <= num_held / 400 <= 0.98

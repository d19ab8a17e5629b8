"""Verdicts on made-up studies whose truth is known."""

import functools
import itertools
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from horizon_st.errors import UserError
from horizon_st.horizon.analyses import Analysis
from horizon_st.horizon.results import StudyResults
from horizon_st.horizon.study import STUDIES, load_study
from horizon_st.horizon.trials import arm_recipe
from horizon_st.horizon.values import shown

ORDER = {"kind": "order", "key": "objective.tap", "order": ["softmax", "logits", "encoder"]}


def verdict(results):
    return Analysis(results).verdict()


@pytest.mark.parametrize(
    ("better", "noise", "answer"),
    [(3.0, 0.2, "holds"), (-1.0, 0.1, "does not hold"), (0.5, 2.0, "not decided")],
)
def test_comparison(make_results, better, noise, answer):
    truth = {"none": 20.0, "new": 20.0 + better, "other": 19.0}
    found = verdict(make_results(truth, noise=noise, baseline="none"))
    assert found.answer == answer
    assert "“new” against “none”" in found.evidence


@pytest.mark.parametrize(
    ("other", "noise", "answer"),
    [
        (20.1, 0.1, "holds"),
        (19.6, 0.1, "holds"),
        (18.0, 0.1, "does not hold"),
        (19.5, 5.0, "not decided"),
    ],
)
def test_equivalence(make_results, other, noise, answer):
    truth = {"exact": 20.0, "cheap": other, "cheaper": 20.0}
    analysis = {"kind": "equivalence"}
    results = make_results(truth, noise=noise, baseline="exact", analysis=analysis)
    assert verdict(results).answer == answer


@pytest.mark.parametrize(
    ("kind", "beside", "answer"),
    [
        ("comparison", [], "holds"),
        ("comparison", ["good"], "does not hold"),
        ("equivalence", [], "does not hold"),
        ("equivalence", ["bad"], "holds"),
    ],
)
def test_arms_beside_the_question_do_not_decide(make_results, kind, beside, answer):
    truth = {"none": 20.0, "same": 20.0, "good": 25.0, "bad": 15.0}
    analysis = {"kind": kind, "beside": beside}
    results = make_results(truth, noise=0.1, baseline="none", analysis=analysis)
    assert verdict(results).answer == answer
    assert {row.name for row in Analysis(results).rows()} == {*truth}


def test_comparison_without_a_baseline_decides_nothing(make_results):
    for kind in ("comparison", "equivalence"):
        results = make_results({"a": 1.0, "b": 5.0}, analysis={"kind": kind})
        assert verdict(results).answer == "not decided"


@pytest.mark.parametrize(
    ("scores", "answer"),
    [
        ([18, 24, 25, 24, 22], "holds"),
        ([18, 19, 20, 21, 22], "does not hold"),
        ([21.9, 22.0, 22.4, 22.2, 22.0], "not decided"),
    ],
)
def test_peak(make_results, scores, answer):
    weights = [0.0, 0.1, 0.25, 0.5, 1.0]
    noise = 0.2 if answer != "not decided" else 1.5
    truth = {f"mt_weight {w:g}": float(s) for w, s in zip(weights, scores, strict=True)}
    settings = {f"mt_weight {w:g}": {"objective.mt_weight": w} for w in weights}
    analysis = {"kind": "peak", "key": "objective.mt_weight", "at": 1.0}
    found = verdict(make_results(truth, settings, noise=noise, analysis=analysis))
    assert found.answer == answer


def taps(best, weights=(0.1, 1, 10)):
    """Each tap is best at a weight of its own; `best` says how good."""
    settings, truth = {}, {}
    for index, (tap, top) in enumerate(best.items()):
        for place, weight in enumerate(weights):
            arm = f"{tap} {weight}"
            settings[arm] = {"objective.tap": tap, "objective.consistency_weight": weight}
            truth[arm] = top - 4.0 * abs(place - index % len(weights))
    return truth, settings


@pytest.mark.parametrize(
    ("best", "noise", "answer"),
    [
        ({"softmax": 30.0, "logits": 28.0, "encoder": 26.0}, 0.2, "holds"),
        ({"softmax": 28.0, "logits": 30.0, "encoder": 26.0}, 0.2, "does not hold"),
        ({"softmax": 28.4, "logits": 28.2, "encoder": 28.0}, 1.0, "not decided"),
        ({"softmax": 30.0, "logits": 28.0}, 0.2, "not decided"),
    ],
)
def test_order_of_values_each_at_its_best(make_results, best, noise, answer):
    truth, settings = taps(best)
    results = make_results(truth, settings, noise=noise, dev_truth=truth, analysis=ORDER)
    assert verdict(results).answer == answer


PEAK = {"kind": "peak", "key": "objective.mt_weight", "at": 1.0}


@pytest.mark.parametrize(
    ("best", "answer"),
    [
        ({"softmax": 30.0, "logits": 28.0, "encoder": 26.0}, "holds"),
        ({"softmax": 26.0, "logits": 28.0, "encoder": 30.0}, "does not hold"),
    ],
)
def test_what_was_chosen_by_the_scores_that_are_compared_is_not_decided(make_results, best, answer):
    truth, settings = taps(best)
    assert verdict(make_results(truth, settings, dev_truth=truth, analysis=ORDER)).answer == answer
    found = verdict(make_results(truth, settings, analysis=ORDER))
    assert found.answer == "not decided"
    assert "chosen by the scores that are compared" in found.evidence
    places = {"softmax": 0.5, "logits": 0.1, "encoder": 1.0}
    for values in settings.values():
        values["objective.mt_weight"] = places[values.pop("objective.tap")]
    assert verdict(make_results(truth, settings, dev_truth=truth, analysis=PEAK)).answer == answer
    assert verdict(make_results(truth, settings, analysis=PEAK)).answer == "not decided"


def settings_of_arms(study):
    """As the shipped studies vary them, the recipe's values where an arm sets none."""
    settings = {}
    for arm in study.all_arms:
        recipe = arm_recipe(study, arm, seed=1)
        settings[arm.name] = {
            key: functools.reduce(getattr, key.split("."), recipe) for key in study.varied_keys
        }
    return settings


def as_claimed(study, settings):
    """Scores of the arms by which the claim is true: of each value the first arm is best."""
    analysis, outside = study.analysis, {study.baseline, *study.analysis.beside}
    if analysis.kind == "saturation":
        one, other, both = analysis.parts
        gains = {one: 3.0, other: 4.0, both: 4.5}
        return {arm: 20.0 + gains.get(arm, 0.0) for arm in settings}
    if analysis.kind == "comparison":
        return {arm: 20.0 if arm in outside else 23.0 for arm in settings}
    if analysis.kind == "equivalence":
        return {arm: 15.0 if arm in analysis.beside else 20.0 for arm in settings}
    if analysis.kind == "peak":
        return {arm: 30 - 20 * (v[analysis.key] - 0.4) ** 2 for arm, v in settings.items()}
    if analysis.kind == "horizon":
        totals = {
            arm: 0.6 * (1 - v["objective.mt_weight"])
            + 0.15 * v["objective.consistency_weight"]
            + 0.08 * v["objective.rdrop_weight"]
            + 2 * v["model.text_model.dropout"]
            for arm, v in settings.items()
        }
        return {arm: 30 - 12 * (total - 1.2) ** 2 for arm, total in totals.items()}
    scores, of_value = dict.fromkeys(settings, 10.0), Counter()
    for arm in [*settings][len(study.arms) :]:  # those of the grid
        value = shown(settings[arm][analysis.key])
        if value in analysis.ranked:
            scores[arm] = 30 - 3.0 * analysis.ranked.index(value) - 4.0 * of_value[value]
            of_value[value] += 1
    return scores


@pytest.mark.parametrize("name", sorted(path.stem for path in STUDIES.glob("*.yaml")))
def test_a_shipped_study_holds_where_its_claim_is_true(make_results, name):
    study = load_study(name)
    settings = settings_of_arms(study)
    truth = as_claimed(study, settings)
    made = make_results(truth, settings, noise=0.05, dev_truth=truth)
    assert verdict(replace(made, study=study)).answer == "holds"


def test_the_baseline_is_none_of_the_values_in_order(make_results):
    """It has the default of the key, and would stand for it where that is better."""
    best = {"softmax": 26.0, "logits": 28.0, "encoder": 24.0}
    truth, settings = taps(best)
    truth["none"] = 35.0
    settings["none"] = {"objective.tap": "softmax", "objective.consistency_weight": 0}
    results = make_results(
        truth, settings, noise=0.1, dev_truth=truth, baseline="none", analysis=ORDER
    )
    assert verdict(results).answer == "does not hold"


def test_the_best_of_each_is_chosen_on_the_dev_set(make_results):
    truth, settings = taps({"softmax": 30.0, "logits": 28.0, "encoder": 26.0})
    chosen = {"softmax 10", "logits 10", "encoder 0.1"}
    dev = {arm: 50.0 if arm in chosen else 20.0 for arm in truth}
    results = make_results(truth, settings, dev_truth=dev, analysis=ORDER)
    assert set(Analysis(results).best_of_each("objective.tap", [*truth]).values()) == chosen
    without = make_results(truth, settings, analysis=ORDER)
    assert set(Analysis(without).best_of_each("objective.tap", [*truth]).values()) == {
        "softmax 0.1",
        "logits 1",
        "encoder 10",
    }


@pytest.mark.parametrize(
    ("both", "noise", "answer"),
    [(24.0, 0.2, "holds"), (27.0, 0.1, "does not hold"), (26.6, 1.5, "not decided")],
)
def test_saturation(make_results, both, noise, answer):
    truth = {"none": 20.0, "CR": 23.0, "RD": 24.0, "both": both}
    analysis = {"kind": "saturation", "parts": ["CR", "RD", "both"]}
    found = verdict(make_results(truth, noise=noise, baseline="none", analysis=analysis))
    assert found.answer == answer
    assert "beyond the sum" in found.evidence


def grid(score):
    settings, truth = {}, {}
    for mt, cr, rd in itertools.product((1.0, 0.5, 0.1), (0.0, 1.0, 5.0), (0.0, 3.0, 10.0)):
        arm = f"{mt} {cr} {rd}"
        settings[arm] = {
            "objective.mt_weight": mt,
            "objective.consistency_weight": cr,
            "objective.rdrop_weight": rd,
        }
        truth[arm] = score(1 - mt, cr, rd)
    return truth, settings


def on_one_curve(mt, cr, rd):
    return 30.0 - 6.0 * (0.4 * mt + 0.2 * cr + 0.1 * rd - 1.0) ** 2


def test_one_curve_that_falls_is_a_horizon(make_results):
    results = make_results(*grid(on_one_curve), analysis={"kind": "horizon"})
    assert verdict(results).answer == "holds"
    curve, totals = Analysis(results).single_index()
    assert totals["1.0 0.0 0.0"] == 0
    assert curve.weights["objective.consistency_weight"] == pytest.approx(0.2, rel=0.1)


def test_regularisers_that_do_not_share_a_curve_are_no_horizon(make_results):
    results = make_results(
        *grid(lambda mt, cr, rd: 20 + 8 * np.sin(9 * mt + 2 * cr + 5 * rd)),
        analysis={"kind": "horizon"},
    )
    assert verdict(results).answer == "does not hold"


def test_a_curve_that_only_rises_is_not_decided(make_results):
    results = make_results(
        *grid(lambda mt, cr, rd: 20 + 0.4 * mt + 0.2 * cr + 0.1 * rd),
        noise=0.05,
        analysis={"kind": "horizon"},
    )
    assert verdict(results).answer == "not decided"


def arms_of_two_weights(score, consistency_weights):
    settings = {
        f"{cr} {rd}": {"objective.consistency_weight": cr, "objective.rdrop_weight": rd}
        for cr in consistency_weights
        for rd in (0.0, 2.0, 5.0)
    }
    return {arm: score(*values.values()) for arm, values in settings.items()}, settings


def test_a_curve_that_only_falls_is_not_decided(make_results):
    """All arms lie past its top, which nobody has seen quality rise to."""
    truth, settings = arms_of_two_weights(
        lambda cr, rd: 30.0 - 3.0 * (0.3 * cr + 0.2 * rd - 1) ** 2, (4.0, 6.0, 9.0)
    )
    found = verdict(make_results(truth, settings, noise=0.05, analysis={"kind": "horizon"}))
    assert "explains 100%" in found.evidence
    assert "no rise was seen" in found.evidence
    assert found.answer == "not decided"


def test_a_curve_that_explains_little_does_not_hold_for_want_of_runs(make_results):
    """With few noisy runs its misfit is not significant, though every arm lies off it."""
    rng = np.random.default_rng(122)
    truth, settings = arms_of_two_weights(
        lambda cr, rd: 30 - 3 * (0.25 * cr + 0.2 * rd - 0.7) ** 2 + rng.normal(0, 2.2),
        (0.0, 1.0, 4.0),
    )
    results = make_results(truth, settings, analysis={"kind": "horizon"})
    for trial in results.trials:
        trial.scores["BLEU"] = truth[trial.arm] + rng.normal(0, 1.5)
    found = verdict(results)
    explained, p_misfit = re.search(r"explains (\d+)%.*noise: p ([\d.]+)", found.evidence).groups()
    assert int(explained) < 80
    assert float(p_misfit) > 0.05
    assert found.answer == "not decided"


@pytest.mark.parametrize(
    ("sign", "said", "not_said"),
    [
        (1, "is itself the most regularised: no fall was reached", "and the most regularised by"),
        (-1, "is itself the least regularised: no rise was seen", "leads the least regularised"),
    ],
)
def test_the_best_at_an_end_of_the_curve_is_said_to_be_there(make_results, sign, said, not_said):
    truth, settings = grid(lambda mt, cr, rd: 20 + sign * (0.4 * mt + 0.2 * cr + 0.1 * rd))
    found = verdict(make_results(truth, settings, noise=0.01, analysis={"kind": "horizon"}))
    best = max(truth, key=truth.get)
    assert f"The best, “{best}”, " in found.evidence
    assert said in found.evidence
    assert not_said not in found.evidence
    assert not re.search(r"by -\d", found.evidence)


def test_flat_scores_are_seldom_a_horizon(make_results, monkeypatch):
    """The best of 27 equal arms is the best by luck."""
    truth, settings = grid(lambda mt, cr, rd: 25.0)
    answers = []
    for seed in range(20):
        results = make_results(truth, settings, analysis={"kind": "horizon"})
        rng = np.random.default_rng(seed)
        for trial in results.trials:
            trial.scores["BLEU"] = 25 + rng.normal()
        answers.append(verdict(results).answer)
    assert answers.count("not decided") >= 18


def test_equal_scores_and_one_seed_decide_nothing(make_results):
    truth, settings = grid(lambda mt, cr, rd: 0.0)
    results = make_results(truth, settings, analysis={"kind": "horizon"})
    for trial in results.trials:
        trial.scores["BLEU"] = 0.0
    assert verdict(results).answer == "not decided"
    alone = make_results(truth, settings, seeds=(1,), analysis={"kind": "horizon"})
    assert "several seeds" in verdict(alone).evidence


def test_a_key_that_is_a_number_in_some_arms_alone_is_no_regulariser(make_results):
    truth, settings = grid(on_one_curve)
    for index, values in enumerate(settings.values()):
        values["model.text_model.dropout"] = None if index % 2 else 0.3
    results = make_results(truth, settings, analysis={"kind": "horizon"})
    assert "model.text_model.dropout" not in Analysis(results).single_index()[0].weights


def test_an_arm_of_which_all_runs_diverged_stands_in_the_table(make_results):
    truth = {"exact": 20.0, "cheap": 20.1, "bold": 0.0}
    analysis = {"kind": "equivalence"}
    results = make_results(truth, noise=0.1, baseline="exact", analysis=analysis)
    for trial in results.trials:
        if trial.arm == "bold":
            trial.scores.clear()
    *_, bold = Analysis(results).rows()
    assert (bold.name, bold.num_runs, bold.num_diverged) == ("bold", 0, 3)
    found = verdict(results)
    assert (found.answer, found.evidence) == ("not decided", "No scores for bold.")


def test_few_arms_are_no_curve(make_results):
    found = verdict(make_results({"a": 1.0, "b": 2.0}, analysis={"kind": "horizon"}))
    assert found.answer == "not decided"
    assert "too few" in found.evidence


def test_the_table_has_every_arm(make_results):
    results = make_results({"none": 20.0, "new": 25.0}, noise=0.1, baseline="none")
    results.trials[0].scores.clear()
    results.trials[0].failure = "diverged"
    results.trials[-1].scores.clear()
    results.trials[-1].failure, results.trials[-1].is_out_of_memory = "too large", True
    none, new = Analysis(results).rows()
    assert (none.num_runs, none.num_diverged, none.difference) == (2, 1, None)
    assert (new.num_runs, new.num_diverged, new.num_out_of_memory) == (2, 0, 1)
    assert new.difference is not None
    assert new.difference.value == pytest.approx(5.0, abs=0.5)
    scores = [t.scores["BLEU"] for t in results.trials if t.arm == "new" and t.scores]
    assert (new.lowest, new.highest) == (min(scores), max(scores))
    assert new.text_score == pytest.approx(np.mean(scores) + 30)
    assert new.minutes == pytest.approx(1.0)


def test_a_study_without_scores_is_refused(make_results):
    results = make_results({"a": 1.0})
    empty = StudyResults(results.study, results.settings, [])
    with pytest.raises(UserError, match="made_up: expected at least one run with a score"):
        Analysis(empty)

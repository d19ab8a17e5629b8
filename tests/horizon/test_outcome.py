"""What a search says in the end, of made-up runs whose best setting is known."""

import re
from dataclasses import replace

import pytest

from horizon_st.horizon.analyses import Analysis
from horizon_st.horizon.figures import draw
from horizon_st.horizon.outcome import outcome
from horizon_st.horizon.questions import AnalysisConfig
from horizon_st.horizon.results import StudyResults, TrialResult
from horizon_st.horizon.study import StudyConfig


@pytest.fixture
def make_searched():
    """A function: score of (mt_weight, rdrop_weight) -> the results of a search over a grid."""

    def make(score, stopped=()):
        study = StudyConfig(
            name="found",
            claim="The weights that suit it best.",
            recipe="telephone",
            space=[
                "objective.mt_weight=[0, 1]",
                "objective.rdrop_weight=[0, 6]",
                "objective.consistency_weight=[0.5, 1.5]",
            ],
            num_trials=12,
            analysis=AnalysisConfig(kind="search", tolerance=0.5),
        )
        settings, trials = {}, []
        for mt in (0.0, 0.5, 1.0):
            for rd in (0.0, 2.0, 4.0, 6.0):
                arm = f"mt_weight {mt:g}, rdrop_weight {rd:g}"
                settings[arm] = {
                    "objective.mt_weight": mt,
                    "objective.rdrop_weight": rd,
                    "objective.consistency_weight": 1.0,
                }
                history = [{"step": 9.0, "bleu": score(mt, rd) - 10}]
                trial = TrialResult(arm, 1, dev_history=history, wall_s=60.0)
                if (mt, rd) in stopped:
                    trial.stopped_at = 9
                else:
                    trial.scores = {"BLEU": score(mt, rd)}
                trials.append(trial)
        return StudyResults(study, settings, trials, winner_scores={"BLEU": 33.3, "chrF2": 50.0})

    return make


def test_the_best_setting_its_test_score_and_what_a_cheaper_one_loses(make_searched):
    # An R-drop of 4 is best, by so little that a run without it is about as good.
    results = make_searched(lambda mt, rd: 30 - 8 * (mt - 0.5) ** 2 - 0.01 * (rd - 4) ** 2)
    evidence = Analysis(results).verdict().evidence
    run = "Best of 12 runs is “mt_weight 0.5, rdrop_weight 4”, with seed 1: BLEU 30.00 on the dev "
    assert run in evidence
    found = outcome(results)
    mean, deviation = found.surrogate.predict(found.space.to_unit(found.best)[None])
    low, high = mean[0] - 1.96 * deviation[0], mean[0] + 1.96 * deviation[0]
    assert f"expects {mean[0]:.2f} there ({low:.2f} to {high:.2f}: a 95 % interval" in evidence
    assert "On the test set it has 33.30." in evidence
    found = re.search(
        r"mt_weight (\S+), rdrop_weight (\S+), \S+ \S+ costs (\d+)% .* lose (\S+) \(", evidence
    )
    mt, rd, share, lost = map(float, found.groups())
    assert rd == 0
    assert mt == pytest.approx(0.5, abs=0.25)
    assert share == pytest.approx(100 * 1.35 / 2.35, abs=0.5)
    assert lost <= 0.5


def test_the_scores_of_all_seeds_of_the_best_are_named(make_searched):
    results = make_searched(lambda mt, rd: 30 - 8 * (mt - 0.5) ** 2 - 0.3 * (rd - 4) ** 2)
    best = next(t for t in results.trials if t.arm == "mt_weight 0.5, rdrop_weight 4")
    results.trials.append(replace(best, seed=7, scores={"BLEU": 29.5}))
    assert "with seeds 1, 7: BLEU 30.00, 29.50 on" in Analysis(results).verdict().evidence


def test_nothing_cheaper_is_named_where_it_would_lose_more(make_searched):
    results = make_searched(lambda mt, rd: 30 - 8 * (mt - 0.5) ** 2 - 0.3 * (rd - 4) ** 2)
    assert "costs" not in Analysis(results).verdict().evidence


def test_a_setting_that_was_never_run_to_its_end_is_not_the_answer(make_searched):
    def score(mt, rd):
        return 30 - 8 * (mt - 0.5) ** 2 - 0.3 * (rd - 4) ** 2

    best = {"objective.mt_weight": 0.5, "objective.rdrop_weight": 4.0}
    assert best.items() <= outcome(make_searched(score)).best.items()
    found = outcome(make_searched(score, stopped={(0.5, 4.0)}))
    assert not best.items() <= found.best.items()


def test_costs_are_left_out_where_the_space_lacks_a_weight(make_searched):
    results = make_searched(lambda mt, rd: 30 - 8 * (mt - 0.5) ** 2 - 0.01 * (rd - 4) ** 2)
    results.study.space = results.study.space[:2]
    for setting in results.settings.values():
        del setting["objective.consistency_weight"]
    assert "costs" not in Analysis(results).verdict().evidence


def test_stopped_runs_count_as_their_forecast(make_searched):
    def score(mt, rd):
        return 30 - 8 * (mt - 0.5) ** 2 - 0.3 * (rd - 4) ** 2

    results = make_searched(score, stopped={(0.0, 0.0), (1.0, 0.0)})
    by_setting = {tuple(t.setting.values()): t.score for t in outcome(results).trials}
    assert by_setting[0.0, 0.0, 1.0] == pytest.approx(score(0.0, 0.0), abs=0.01)
    row = next(r for r in Analysis(results).rows() if r.name == "mt_weight 0, rdrop_weight 0")
    assert (row.num_runs, row.num_stopped, row.num_diverged) == (0, 1, 0)


def test_a_stopped_run_does_not_become_the_worst_by_runs_that_take_its_forecast_back(
    make_searched,
):
    """The other early scores tell nothing of the last ones: it counts as their mean, at most."""
    results = make_searched(lambda mt, rd: 30 - 8 * (mt - 0.5) ** 2, stopped={(0.5, 4.0)})
    ended = [trial for trial in results.trials if trial.scores]
    early = [12.0, 15.0, 11.0, 14.0, 13.0, 15.0, 12.0, 14.0, 13.0, 11.0, 15.0]
    for trial, score in zip(ended, early, strict=True):
        trial.dev_history[0]["bleu"] = score
    found = {tuple(t.setting.values()): t.score for t in outcome(results).trials}
    scores = [trial.scores["BLEU"] for trial in ended]
    assert min(scores) < found[0.5, 4.0, 1.0] <= max(scores)


def test_the_picture_has_a_slice_for_each_pair_and_all_runs(make_searched):
    results = make_searched(lambda mt, rd: 30 - 8 * (mt - 0.5) ** 2 - 0.3 * (rd - 4) ** 2)
    panel, *others, _ = draw(Analysis(results)).axes
    assert len(others) == 2
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("α_t", "α_rd")
    dots = [
        tuple(each.get_offsets()[0]) for each in panel.collections if len(each.get_offsets()) == 1
    ]
    assert {(0.5, 4.0), (1.0, 6.0)} <= {*dots}

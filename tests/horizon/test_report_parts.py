"""The report of made-up searches and grids: numbers against outside references, and the page."""

import base64
import gzip
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import dukpy
import numpy as np
import pytest
from matplotlib.contour import ContourSet
from playwright.sync_api import expect, sync_playwright
from scipy.optimize import check_grad

from horizon_st.horizon.analyses import Analysis
from horizon_st.horizon.comparison import compare_forms
from horizon_st.horizon.drawing import NARROW, WIDE
from horizon_st.horizon.forms import IndexForm, MeanForm
from horizon_st.horizon.questions import AnalysisConfig
from horizon_st.horizon.report import PAGE_FILE, write_page
from horizon_st.horizon.report.collapse import collapse, draw_collapse
from horizon_st.horizon.report.costs import cost_points, draw_costs, pareto_front
from horizon_st.horizon.report.curves import draw_curves
from horizon_st.horizon.report.interactions import (
    effects_of_grid,
    effects_of_surface,
    interactions,
    shares_of,
)
from horizon_st.horizon.report.page import parts_of
from horizon_st.horizon.report.runs import Runs
from horizon_st.horizon.report.saturation import if_added_up, lines_of_grid, saturation
from horizon_st.horizon.report.sides import sides
from horizon_st.horizon.report.space import body_of, turning
from horizon_st.horizon.report.tables import forms_table, runs_table
from horizon_st.horizon.results import StudyResults, TrialResult
from horizon_st.horizon.slices import Slices
from horizon_st.horizon.study import StudyConfig
from horizon_st.horizon.surrogate import curve
from horizon_st.horizon.trials import _thinned
from horizon_st.horizon.values import labels

MT, CR, RD = (f"objective.{name}_weight" for name in ("mt", "consistency", "rdrop"))
REPORT = Path(__file__).parents[2] / "src" / "horizon_st" / "horizon" / "report"


def true_score(mt, cr, rd):
    """On one curve of R = 0.6·(1 − α_t) + 0.08·α_cr + 0.05·α_rd."""
    off = 0.6 * (1 - mt) + 0.08 * cr + 0.05 * rd - 1
    return 30 - 12 * min(off, 0) ** 2 - 7 * max(off, 0) ** 2


@pytest.fixture(scope="module")
def searched():
    """A search of 18 runs whose curve is known; one was stopped, one diverged."""
    rng = np.random.default_rng(5)
    study = StudyConfig(
        name="found",
        claim="The weights that suit it best.",
        recipe="telephone",
        space=[f"{MT}=[0, 1]", f"{CR}=[0, 10]", f"{RD}=[0, 10]"],
        num_trials=18,
        analysis=AnalysisConfig(kind="search", tolerance=0.5),
    )
    settings, trials = {}, []
    for number in range(18):
        mt, cr, rd = rng.uniform(0, 1), rng.uniform(0, 10), rng.uniform(0, 10)
        arm = f"mt_weight {mt:g}, consistency_weight {cr:g}, rdrop_weight {rd:g}"
        settings[arm] = {MT: mt, CR: cr, RD: rd}
        score = true_score(mt, cr, rd) + rng.normal(0, 0.05)
        trial = TrialResult(
            arm,
            1,
            scores={"BLEU": score, "chrF2": score + 20},
            dev={"loss": 2.0, "bleu": score},
            dev_history=[{"step": at, "loss": 2.0, "bleu": score - 600 / at} for at in (300, 600)],
            train_history=[
                {"step": at, "ce_speech": 500 / at, "rdrop": number / at, "learning_rate": 1.0}
                for at in (50, 100, 600)
            ],
            steps=600,
            wall_s=60.0 * (10 + number % 7),
        )
        trials.append(trial)
    trials[3] = TrialResult(trials[3].arm, 1, dev_history=trials[3].dev_history, stopped_at=300)
    trials[4] = TrialResult(trials[4].arm, 1, failure="The loss is no number any more.")
    signatures = {"BLEU": "nrefs:1|tok:13a", "chrF2": "nrefs:1|nc:6"}
    hardware = [{"processor": "a processor", "accelerator": None}]
    results = StudyResults(study, settings, trials, signatures, {}, hardware)
    return replace(results, best_recipe="objective:\n  mt_weight: 0.5 # <best>\n")


@pytest.fixture(scope="module")
def runs(searched):
    return Runs(Analysis(searched))


@pytest.fixture
def grid(make_results):
    """Three weights, all combinations, three seeds; consistency and R-drop overlap."""
    values = [(mt, cr, rd) for mt in (0.0, 1.0) for cr in (0.0, 2.0, 6.0) for rd in (0.0, 5.0)]
    settings = {f"{mt} {cr} {rd}": {MT: mt, CR: cr, RD: rd} for mt, cr, rd in values}
    truth = {
        arm: 20 - 2 * s[MT] + s[CR] + s[RD] - 0.15 * s[CR] * s[RD] for arm, s in settings.items()
    }
    return Runs(Analysis(make_results(truth, settings)))


def drawn_points(figure, markers="o*"):
    """Every point that is drawn with one of these markers."""
    return [
        (float(x), float(y))
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() in tuple(markers)
        for x, y in zip(*line.get_data(), strict=True)
    ]


def test_scores_are_drawn_over_the_true_total(runs):
    totals = [0.6 * (1 - s[MT]) + 0.08 * s[CR] + 0.05 * s[RD] for s in runs.settings]
    points = drawn_points(draw_collapse(runs, WIDE))
    highest = max(s[MT] for s in runs.settings)  # R counts from the least regularised run
    horizon = 1 - 0.6 * (1 - highest)
    for total, score in zip(totals, runs.scores, strict=True):
        wanted = (total - 0.6 * (1 - highest)) / horizon
        found = [x for x, y in points if y == score]
        assert found
        assert found[0] == pytest.approx(wanted, abs=0.05)


def with_truth(searched, truth, *, noise, seed=8, number=18):
    """The first of the runs that have scores, with those of another truth."""
    rng = np.random.default_rng(seed)
    trials = [
        replace(trial, scores={"BLEU": truth(*setting.values()) + noise * rng.normal()})
        for trial in searched.trials
        for setting in [searched.settings[trial.arm]]
        if trial.scores
    ]
    runs = Runs(Analysis(replace(searched, trials=trials[:number])))
    runs.forms = compare_forms(  # without the forms that take long
        runs.settings,
        runs.scores,
        forms=(IndexForm(interacting=False), MeanForm()),
        less_is_more=[MT],
        num_resamples=30,
    )
    return runs


def test_a_rise_and_a_fall_are_said_where_they_are_seen_alone(searched, runs):
    said = collapse(runs).sentence
    for verb, end in (("rises", min), ("falls", max)):
        found = re.search(rf"the fitted curve {verb} by ([\d.]+) \(([\d.]+) to", said)
        at = end(runs.linear.totals(runs.settings))
        top, there = runs.linear.over_total(np.array([1.0, at]))
        assert float(found[1]) == pytest.approx(top - there, abs=0.01)
        assert 0 < float(found[2]) < top - there

    def level(mt, cr, rd):
        return 30 - 12 * min(0.6 * (1 - mt) + 0.08 * cr + 0.05 * rd - 1, 0) ** 2

    said = collapse(with_truth(searched, level, noise=0.02)).sentence
    assert "Before the horizon the fitted curve rises by" in said
    assert "Past the horizon the fitted curve falls by" not in said

    def rising(mt, cr, rd):
        return 20 + 0.6 * (1 - mt) + 0.08 * cr + 0.05 * rd

    said = collapse(with_truth(searched, rising, noise=0.0)).sentence
    assert "Past the horizon there is no setting: whether quality falls there is not known" in said


@pytest.mark.parametrize("seed", [1, 3, 4, 6])
def test_neither_is_said_on_pure_noise(searched, seed):
    runs = with_truth(searched, lambda *_: 30, noise=1.0, seed=seed, number=12)
    assert not re.search("horizon the fitted curve (rises|falls)", collapse(runs).sentence)


def test_weights_of_the_total_have_intervals_around_the_truth(runs):
    highest = max(s[MT] for s in runs.settings)
    horizon = 1 - 0.6 * (1 - highest)
    for key, truth in {MT: 0.6, CR: 0.08, RD: 0.05}.items():
        found = runs.linear.weights[key]
        assert found.low <= truth / horizon * 1.02
        assert found.high >= truth / horizon * 0.98
        assert f"{found.value:.2g}"[:3] in collapse(runs).html


@pytest.mark.parametrize("interacting", [False, True])
def test_slopes_of_a_form_are_those_of_its_curve(interacting):
    rng = np.random.default_rng(2)
    x, form = rng.random((9, 3)), IndexForm(interacting=interacting)
    p = np.array([30, 8, 5, 0.5, 0.9, 0.4, *([0.7, 0.1, -0.2, 0.3] if interacting else [])])
    for row in range(len(x)):
        off = check_grad(
            lambda q, row=row: curve(form._total(x, q), q[0], q[1], q[2])[row],
            lambda q, row=row: form._slopes(x, q)[row],
            p,
        )
        assert off < 1e-5


def test_shares_of_a_full_grid_are_those_of_statsmodels():
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    scores = np.random.default_rng(3).normal(size=(3, 4, 2))
    rows = [(*map(str, at), value) for at, value in np.ndenumerate(scores) for at in [at]]
    table = pd.DataFrame(rows, columns=["a", "b", "c", "score"])
    squares = anova_lm(ols("score ~ a * b * c - a:b:c", table).fit(), typ=1)["sum_sq"]
    found = shares_of(scores)
    total = ((scores - scores.mean()) ** 2).sum()
    for places, share in found.items():
        name = ":".join("abc"[place] for place in places)
        assert share == pytest.approx(squares[name] / total)


def test_shares_of_known_surfaces():
    x, y = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5), indexing="ij")
    assert shares_of(x) == pytest.approx({(0,): 1, (1,): 0, (0, 1): 0})
    assert shares_of(x * y) == pytest.approx({(0,): 0, (1,): 0, (0, 1): 1})


def test_effects_of_a_grid_are_those_of_a_balanced_table_by_hand(grid):
    """Sums of squares of a balanced design are those of its marginal means."""
    effects = {effect.keys: effect for effect in effects_of_grid(grid)}
    assert {*effects} == {(MT,), (CR,), (RD,), (MT, CR), (MT, RD), (CR, RD), ()}
    assert [e.name for e in effects_of_grid(grid)][-2:] == ["higher interactions", "chance"]
    scores = np.array([t.scores["BLEU"] for t in grid.scored]).reshape(2, 3, 2, 3)
    centered = scores - scores.mean(axis=(0, 1, 2), keepdims=True)  # without the seeds
    by_hand = shares_of(centered.mean(axis=3))
    total = (centered**2).sum()
    squares = {
        places: share * (centered.mean(axis=3) ** 2).sum() * 3 for places, share in by_hand.items()
    }
    keys = (MT, CR, RD)
    for places, square in squares.items():
        assert effects[tuple(keys[p] for p in places)].share == pytest.approx(square / total)
    assert effects[CR, RD].p_value < 1e-6
    assert effects[MT, RD].p_value > 0.01
    assert sum(effect.share for effect in effects_of_grid(grid)) == pytest.approx(1)


def test_what_three_weights_do_together_is_not_called_chance(make_results):
    """Beside a small effect of one weight alone, which chance is small enough to show."""
    settings = {
        f"{mt} {cr} {rd}": {MT: mt, CR: cr, RD: rd}
        for mt, cr, rd in itertools.product((0.0, 1.0), (0.0, 2.0), (0.0, 5.0))
    }
    truth = {
        arm: 20 + 0.5 * s[MT] + 5 * (-1) ** sum(value > 0 for value in s.values())
        for arm, s in settings.items()
    }
    made = make_results(truth, settings, noise=0.2)
    effects = {e.name: e for e in effects_of_grid(Runs(Analysis(made)))}
    assert effects["higher interactions"].share > 0.9
    assert effects["higher interactions"].p_value < 1e-6
    assert effects["chance"].share < 0.05
    assert effects["α_t"].p_value < 0.01
    one_seed = replace(made, trials=[trial for trial in made.trials if trial.seed == 1])
    part = interactions(Runs(Analysis(one_seed)))
    assert "What is left (grey) is chance and higher interactions." in part.sentence
    assert "<th scope=row>chance</th>" not in part.html


def test_effects_without_higher_ones_are_tested_as_statsmodels_does(make_results):
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    settings = {f"{cr} {rd}": {CR: cr, RD: rd} for cr in (0.0, 2.0) for rd in (0.0, 5.0)}
    made = make_results(dict(zip(settings, (20.0, 21.0, 20.5, 22.0), strict=True)), settings)
    rows = [settings[t.arm] | {"seed": t.seed, "score": t.scores["BLEU"]} for t in made.trials]
    table = pd.DataFrame(rows).rename(columns={CR: "a", RD: "b"})
    wanted = anova_lm(ols("score ~ C(a) * C(b) + C(seed)", table).fit(), typ=2)["PR(>F)"]
    *effects, chance = effects_of_grid(Runs(Analysis(made)))
    for effect, name in zip(effects, ("C(a)", "C(b)", "C(a):C(b)"), strict=True):
        assert effect.p_value == pytest.approx(wanted[name])
    assert chance.name == "chance"


def test_what_no_pair_does_has_a_small_share_of_the_surface(make_results):
    settings = {f"{a} {b}": {MT: a, RD: b} for a in (0.0, 0.5, 1.0) for b in (0.0, 2.0, 4.0, 8.0)}
    truth = {arm: 20 - 5 * s[MT] for arm, s in settings.items()}
    shares = {
        effect.keys: effect.share
        for effect in effects_of_surface(Runs(Analysis(make_results(truth, settings, noise=0.01))))
    }
    assert shares[(MT,)] > 0.95
    assert shares[(MT, RD)] < 0.02


def test_arms_beside_a_grid_are_left_out_of_its_analysis(make_results):
    """As in the study of saturation, with an arm that has three passes."""
    settings = {
        f"{cr} {rd}": {CR: cr, RD: rd, "objective.rdrop_passes": 2}
        for cr in (0.0, 1.0)
        for rd in (0.0, 3.0)
    }
    settings["three"] = {CR: 0.0, RD: 3.0, "objective.rdrop_passes": 3}
    truth = {"0.0 0.0": 20.0, "1.0 0.0": 23.0, "0.0 3.0": 24.0, "1.0 3.0": 24.5, "three": 9.0}
    found = Runs(Analysis(make_results(truth, settings, noise=0.01)))
    keys, trials = found.grid()
    assert keys == [CR, RD]
    assert {trial.arm for trial in trials} == {*settings} - {"three"}
    weak, strong = lines_of_grid(found, CR, RD)
    assert np.diff(weak.scores) == pytest.approx([3.0], abs=0.1)
    assert np.diff(strong.scores) == pytest.approx([0.5], abs=0.1)
    assert np.diff(if_added_up([weak, strong])) == pytest.approx([3.0], abs=0.1)
    assert interactions(found).draw is not None


def test_lines_of_a_grid_are_its_means(grid):
    weak, strong = lines_of_grid(grid, CR, RD)
    best = max(grid.analysis.mean_of, key=grid.analysis.mean_of.get)
    mt = best.split()[0]
    for line in (weak, strong):
        wanted = [grid.analysis.mean_of[f"{mt} {cr} {line.rdrop}"] for cr in (0.0, 2.0, 6.0)]
        assert line.scores == pytest.approx(wanted)
        assert all(
            low < mean < high
            for low, mean, high in zip(line.low, line.scores, line.high, strict=True)
        )


def test_the_front_is_what_nothing_beats():
    rng = np.random.default_rng(4)
    points = [(float(c), float(s)) for c, s in rng.integers(0, 12, (60, 2))]
    front = pareto_front(points)
    for place, (cost, score) in enumerate(points):
        is_beaten = any((c <= cost and s > score) or (c < cost and s >= score) for c, s in points)
        assert (points[place] in [points[p] for p in front]) == (not is_beaten)
    assert pareto_front([(2, 5), (1, 3), (3, 5), (4, 9), (1, 2)]) == [1, 0, 3]


def test_costs_are_minutes_and_means(grid, runs):
    assert {cost for cost, _ in cost_points(grid).values()} == {1.0}
    drawn = drawn_points(draw_costs(runs, WIDE))
    for trial in runs.scored:
        assert (trial.wall_s / 60, trial.scores["BLEU"]) in drawn


def test_learning_curves_are_those_of_the_records(runs):
    figure = draw_curves(runs, WIDE)
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    assert [*panels] == ["dev BLEU", "dev loss per token", "cross-entropy, speech", "R-drop"]
    curves = [[*map(tuple, zip(*line.get_data(), strict=True))] for line in panels["R-drop"].lines]
    assert [(50, 9 / 50), (100, 9 / 100), (600, 9 / 600)] in curves
    assert len(curves) == 16  # neither the run that diverged nor the one that was stopped
    assert panels["R-drop"].get_yscale() == "log"


def test_the_body_is_where_the_surface_is_near_the_best(runs):
    body = body_of(runs)
    data = turning(runs, body)
    sheet, markers, best = data["traces"]
    places = [
        dict(zip((MT, CR, RD), at, strict=True))
        for at in zip(sheet["x"], sheet["y"], sheet["z"], strict=True)
    ]
    points = np.array([runs.found.space.to_unit(place) for place in places[::97]])
    wanted = runs.found.surrogate.predict(points)[0]
    assert sheet["value"][::97] == pytest.approx(wanted, abs=0.02)
    at_best = runs.found.surrogate.predict(runs.found.space.to_unit(runs.found.best)[None])[0]
    assert sheet["isomin"] == pytest.approx(at_best[0] - 0.5)
    assert markers["marker"]["color"] == pytest.approx(runs.scores, rel=1e-3)
    assert best["x"] == pytest.approx([runs.found.best[MT]], rel=1e-3)


def test_the_drawn_horizon_does_not_move_with_the_luck_of_the_best_run(searched):
    """Its estimate lies above the surface that is drawn; the line belongs to the surface."""
    found = Runs(Analysis(searched)).found
    at_best = found.surrogate.predict(found.space.to_unit(found.best)[None])[0][0]
    lucky = replace(found, best_score=at_best + 0.4)
    lines = [
        level
        for axes in Slices(lucky, "BLEU", 0.5).draw().axes
        for drawn in axes.collections
        if isinstance(drawn, ContourSet)
        for level in drawn.levels
    ]
    assert lines == pytest.approx([at_best - 0.5] * 3)
    runs = Runs(Analysis(searched))
    runs.found = lucky
    assert body_of(runs).level == pytest.approx(at_best - 0.5)


def test_the_forms_are_ranked_and_the_true_one_explains_the_runs(runs):
    part = forms_table(runs)
    errors = [form.error for form in runs.forms]
    assert errors == sorted(errors)
    assert runs.linear.error < 0.3
    assert part.sentence.startswith("On these runs the regularisers simply add up")
    for form in runs.forms:
        assert f"{form.error:.2f}" in part.html
    assert part.html.index(runs.forms[0].name + ":") < part.html.index(runs.forms[-1].name + ":")


def test_a_form_whose_rivals_could_not_be_fitted_does_not_win(searched):
    """Twelve runs on one curve of R: the forms that could contradict it have ten parameters."""
    trials = [trial for trial in searched.trials if trial.scores][:12]
    part = forms_table(Runs(Analysis(replace(searched, trials=trials))))
    assert part.sentence.startswith("On these runs “linear” predicts settings")
    assert "too few runs for “interacting”, “quadratic”" in part.sentence
    assert "simply add up" not in part.sentence


def test_a_form_that_is_hardly_better_does_not_win(runs):
    forms = {form.name: form for form in runs.forms}
    linear, mean = forms["linear"], forms["mean"]
    by_one_fold = linear._missed + np.eye(len(linear._missed))[0]
    close = forms | {"interacting": replace(forms["interacting"], _missed=by_one_fold)}
    for changed, doubt in (
        (close, "not better than “interacting” by a standard error"),
        (forms | {"mean": replace(mean, aic=linear.aic)}, "by AIC the mean is the better one"),
    ):
        again = Runs(runs.analysis)
        again.forms = [*changed.values()]
        said = forms_table(again).sentence
        assert doubt in said
        assert "simply add up" not in said


@pytest.mark.parametrize("num_runs", [10, 11])
def test_no_form_wins_on_pure_noise(searched, num_runs):
    """As many runs as the larger forms have parameters: they fit all of it, and know nothing."""
    rng = np.random.default_rng(7)
    trials = [
        replace(trial, scores={"BLEU": 30 + rng.normal()})
        for trial in searched.trials
        if trial.scores
    ][:num_runs]
    part = forms_table(Runs(Analysis(replace(searched, trials=trials))))
    assert part.sentence.startswith("On these runs no form says clearly more")
    assert part.html.count("too few runs") == 4  # error and AIC of two forms


def test_the_side_by_the_curves_stands_beside_that_of_the_surface(searched):
    trials = [replace(searched.trials[0], side_by_curves="over-regularised")]
    runs = Runs(Analysis(replace(searched, trials=[*trials, *searched.trials[1:]])))
    first, second, *_ = re.findall(r"<tr><th scope=row>run \d+</th>(.*?)</tr>", sides(runs).html)
    assert re.findall("<td[^>]*>(.*?)</td>", first)[3] == "over-regularised"
    assert re.findall("<td[^>]*>(.*?)</td>", second)[3] == ""


def test_settings_far_from_the_true_curve_lie_on_its_sides(searched):
    # A run that diverged counts as the worst score, and this one is a neighbour of the best.
    trials = [trial for trial in searched.trials if not trial.failure]
    runs = Runs(Analysis(replace(searched, trials=trials)))
    rows = re.findall(r"<tr><th scope=row>run (\d+)</th>(.*?)</tr>", sides(runs).html)
    said = {number: re.findall("<td[^>]*>(.*?)</td>", cells)[2] for number, cells in rows}
    num_checked = 0
    for trial, setting in zip(runs.scored, runs.settings, strict=True):
        total = 0.6 * (1 - setting[MT]) + 0.08 * setting[CR] + 0.05 * setting[RD]
        if abs(total - 1) > 0.35:
            side = "under-regularised" if total < 1 else "over-regularised"
            assert said[str(runs.number_of(trial))] == side, setting
            num_checked += 1
    assert num_checked >= 5
    assert "on the horizon" in said.values()


def test_too_few_runs_leave_pictures_out_and_say_what_is_needed(searched):
    settings = dict([*searched.settings.items()][:3])
    few = replace(searched, settings=settings, trials=searched.trials[:3], best_recipe="")
    parts = {part.name: part for part in parts_of(Analysis(few))}
    for name in ("collapse", "space", "saturation", "interactions", "forms", "sides"):
        assert re.search(r"[Nn]eeds runs with \d+ different settings", parts[name].needed), name
        assert parts[name].draw is None
    assert "same command" in parts["recipe"].needed
    assert parts["cost"].draw is not None


def test_arms_that_differ_in_names_have_no_pictures_over_weights(make_results):
    settings = {f"{tap} {rd}": {"objective.tap": tap, RD: rd} for tap in "ab" for rd in (0.0, 1.0)}
    found = Runs(Analysis(make_results(dict.fromkeys(settings, 20.0), settings)))
    assert "differ in tap" in collapse(found).needed
    assert saturation(found).needed
    assert interactions(found).draw is not None  # an analysis of variance needs no numbers


def test_a_long_history_is_thinned_and_keeps_both_ends():
    history = [{"step": float(at), "ce_speech": 1 / at} for at in range(1, 1001)]
    found = _thinned(history)
    assert len(found) == 60
    assert (found[0], found[-1]) == (history[0], {"step": 1000.0, "ce_speech": 0.001})
    steps = np.diff([entry["step"] for entry in found])
    assert steps.max() - steps.min() <= 1
    assert _thinned(history[:3]) == [
        {"step": 1, "ce_speech": 1},
        {"step": 2, "ce_speech": 0.5},
        {"step": 3, "ce_speech": 0.3333},
    ]
    assert _thinned([]) == []


def test_phones_get_figures_of_one_column(runs):
    for draw in (draw_collapse, draw_curves):
        wide, narrow = draw(runs, WIDE), draw(runs, NARROW)
        columns = [
            len({round(a.get_subplotspec().get_position(f).x0, 2) for a in f.axes[:2]})
            for f in (wide, narrow)
        ]
        assert columns == [2, 1]


class Page(HTMLParser):
    """Tags, what they refer to, ids, and what stands within headings."""

    def __init__(self):
        super().__init__()
        self.links, self.ids, self.pictures, self.headings, self.tag = [], [], [], [], ""

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tag = tag
        self.links += [
            found[key] for key in ("src", "href", "xlink:href", "action", "srcset") if key in found
        ]
        self.ids += [found["id"]] if "id" in found else []
        self.pictures += [found] if tag == "svg" else []

    def handle_data(self, data):
        if self.tag in ("h1", "h2") and data.strip():
            self.headings.append(data)
            self.tag = ""


@pytest.fixture(scope="module")
def page(searched, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return write_page([searched], folder)


def test_the_page_is_whole_in_itself_and_small(page):
    text = page.read_text(encoding="utf-8")
    parsed = Page()
    parsed.feed(text)
    outside = [link for link in parsed.links if not link.startswith(("#", "data:image/png"))]
    assert outside == []
    without_library = re.sub(r"<script type=text/plain.*?</script>", "", text, flags=re.DOTALL)
    assert {*re.findall(r"https?://[^\s\"'<>]+", without_library)} <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert page.stat().st_size < 6e6
    assert len(parsed.ids) == len({*parsed.ids})
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= {*parsed.ids}
    assert all(
        picture["role"] == "img" and len(picture["aria-label"]) > 40 for picture in parsed.pictures
    )
    assert len(parsed.pictures) == 2 * 7
    assert len(parsed.headings) == 12
    assert "&lt;best&gt;" in text  # the recipe
    names = {file.name for file in page.parent.iterdir()}
    for part in ("collapse", "slices", "space", "saturation", "interactions", "curves", "cost"):
        assert {f"found-{part}.svg", f"found-{part}.png"} < names


def test_the_library_of_the_page_unpacks_to_plotly(page):
    from plotly.offline import get_plotlyjs

    text = page.read_text(encoding="utf-8")
    packed = re.search(r"id=plotly>([^<]+)<", text)[1]
    assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()
    data = json.loads(re.search(r"class=turning>([^<]+)<", text)[1])
    assert data["axes"] == ["α_t", "α_cr", "α_rd"]


@pytest.mark.parametrize(
    ("values", "is_down", "wanted"),
    [
        (["10", "9", "1e1", "-3"], False, ["-3", "9", "10", "1e1"]),
        (["10", "9", "100"], True, ["100", "10", "9"]),
        (["", "2", "", "1"], False, ["1", "2", "", ""]),
        (["", "2", "", "1"], True, ["2", "1", "", ""]),
        (["complete", "diverged", "Complete"], True, ["diverged", "complete", "Complete"]),
    ],
)
def test_rows_are_sorted_as_numbers_or_as_text_with_empty_cells_last(values, is_down, wanted):
    code = (REPORT / "sorting.js").read_text(encoding="utf-8")
    order = dukpy.evaljs(
        [code, "sortedOrder(dukpy.values, dukpy.down)"], values=values, down=is_down
    )
    assert [values[place] for place in order] == wanted


def test_the_table_has_every_run_with_signatures(runs):
    part = runs_table(runs)
    assert part.html.count("<tr") == 1 + len(runs.trials)
    assert part.html.count("<tr class=best") == 1
    for signature in runs.results.signatures.values():
        assert signature in part.html
    for trial in runs.scored:
        assert f'data-value="{trial.scores["BLEU"]}"' in part.html
    assert "stopped early" in part.html
    assert "diverged" in part.html


def headings_of(part):
    return re.findall(r"<button type=button>([^<]+)</button></th>", part.html)


def test_keys_of_one_name_have_a_column_each_and_listed_arms_have_theirs(make_results):
    text, speech = "model.text_model.dropout", "model.speech_encoder.dropout"
    settings = {
        name: {text: 0.1 + at, speech: 0.2 + at} for at, name in enumerate(["js_high", "kl, low"])
    }
    made = make_results(dict.fromkeys(settings, 20.0), settings)
    part = runs_table(Runs(Analysis(made)))
    assert headings_of(part)[1:4] == ["arm", "text model dropout", "speech encoder dropout"]
    assert '<td data-value="0.1">0.1</td><td data-value="0.2">0.2</td>' in part.html


def test_arms_that_are_called_after_their_values_have_no_column(runs):
    assert headings_of(runs_table(runs))[:4] == ["run", "α_t", "α_cr", "α_rd"]


def test_labels_are_as_short_as_keys_can_be_told_apart_by():
    keys = ["objective.mt_weight", "stages.st.max_steps", "stages.mt.max_steps", "seed", "a.seed"]
    assert [*labels(keys).values()] == ["α_t", "st max steps", "mt max steps", "seed", "a seed"]


BROWSER = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)

PRESS = """
<script>
addEventListener("load", () => {
  const press = (name) => [...document.querySelectorAll("th button")]
    .find((button) => button.textContent === name).click();
  const cells = (column) => [...document.querySelectorAll(".sortable tbody tr")]
    .filter((row) => !row.hidden).map((row) => row.cells[column].textContent);
  const found = {};
  press("BLEU");
  found.rising = cells(5);
  press("BLEU");
  found.falling = cells(5);
  const input = document.querySelector("input[type=search]");
  input.value = "stopped";
  input.dispatchEvent(new Event("input"));
  found.filtered = cells(0);
  found.status = document.querySelector("[role=status]").textContent;
  document.title = JSON.stringify(found);
  document.documentElement.append(Object.assign(document.createElement("pre"), {
    id: "found", textContent: JSON.stringify(found) }));
});
</script>
"""


@pytest.mark.skipif(
    BROWSER is None, reason="no browser on this machine; the order is tested without one"
)
def test_a_browser_sorts_and_filters(page, runs, tmp_path):
    path = tmp_path / PAGE_FILE
    path.write_text(page.read_text(encoding="utf-8") + PRESS, encoding="utf-8")
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
        f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000", path.as_uri(),
    ]  # fmt: skip
    shown = subprocess.run(command, check=True, capture_output=True, timeout=600).stdout.decode()
    found = json.loads(re.search(r'<pre id="found">(.*?)</pre>', shown, re.DOTALL)[1])
    wanted = [f"{score:.2f}" for score in sorted(runs.scores)]
    assert found["rising"] == [*wanted, "", ""]
    assert found["falling"] == [*wanted[::-1], "", ""]
    assert found["filtered"] == ["4"]
    assert found["status"] == "1 of 18 runs"


WEBGL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


@pytest.mark.skipif(BROWSER is None, reason="no browser on this machine")
@pytest.mark.parametrize("has_webgl", [True, False])
def test_a_picture_turns_in_a_browser_or_stands_still_without_webgl_and_in_print(page, has_webgl):
    arguments = ["--no-sandbox", *WEBGL] if has_webgl else ["--no-sandbox", "--disable-3d-apis"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=arguments)
        shown = browser.new_page()
        shown.goto(page.as_uri())
        figure = shown.locator("figure:has(.turn)")
        figure.scroll_into_view_if_needed()
        turning, still = figure.locator(".turn"), figure.locator(".still.wide")
        if has_webgl:
            expect(turning.locator("canvas").first).to_be_visible(timeout=60_000)
            expect(still).to_be_hidden(timeout=60_000)
        else:
            shown.wait_for_timeout(3000)
            expect(turning).to_be_hidden()
            expect(still).to_be_visible()
            assert "WebGL" not in figure.inner_text()
        shown.emulate_media(media="print")
        expect(turning).to_be_hidden()
        expect(still).to_be_visible()
        assert still.bounding_box()["height"] > 100
        browser.close()

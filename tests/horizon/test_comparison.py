"""Forms of the score, compared on scores made by a known one; and the horizon drawn from them."""

import itertools
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from horizon_st.errors import UserError
from horizon_st.horizon import SearchSpace
from horizon_st.horizon.comparison import compare_forms, least_settings
from horizon_st.horizon.contour import PassCosts, horizon_set, lattice
from horizon_st.horizon.forms import IndexForm, MeanForm, QuadraticForm
from horizon_st.objective.objective import ObjectiveConfig

SETTINGS = [
    {"mt_weight": a, "consistency_weight": b, "rdrop_weight": c}
    for a, b, c in itertools.product((0, 0.5, 1), (0, 1, 5), (0, 3, 10))
]
NOISE = 0.2
LINEAR = IndexForm(interacting=False)


def by_linear(s):
    total = 0.4 * (1 - s["mt_weight"]) + 0.15 * s["consistency_weight"] + 0.1 * s["rdrop_weight"]
    return 30 - (8 if total < 1 else 2) * (total - 1) ** 2


def by_interacting(s):
    cr, rd = s["consistency_weight"], s["rdrop_weight"]
    total = 0.6 * (1 - s["mt_weight"]) + 0.9 * (1 - math.exp(-0.5 * cr)) + 0.15 * rd
    total -= 0.02 * cr * rd
    return 30 - (8 if total < 1 else 2) * (total - 1) ** 2


def by_quadratic(s):
    a, b, c = s.values()
    return 30 - 10 * ((a - 0.5) ** 2 + 0.01 * (b - 2) ** 2 + 0.005 * (c - 3) ** 2)


def compared(truth, seed=0, **options):
    rng = np.random.default_rng(seed)
    scores = [truth(s) + NOISE * rng.normal() for s in SETTINGS]
    forms = compare_forms(
        SETTINGS, scores, less_is_more=["mt_weight"], **{"num_resamples": 2, **options}
    )
    return {form.name: form for form in forms}


@pytest.fixture(scope="module")
def of_linear():
    return compared(by_linear, num_resamples=40)


def test_scores_of_one_curve_are_told_to_be_so(of_linear):
    assert next(iter(of_linear)) == "linear"
    assert of_linear["linear"].aic == min(f.aic for f in of_linear.values() if f.aic is not None)
    assert of_linear["linear"].error < 1.5 * NOISE
    assert of_linear["linear"].noise == pytest.approx(NOISE, rel=0.4)
    assert of_linear["linear"].num_parameters == 6


def test_weights_of_the_curve_lie_in_their_intervals(of_linear):
    truth = {"mt_weight": 0.4, "consistency_weight": 0.15, "rdrop_weight": 0.1}
    for name, weight in of_linear["linear"].weights.items():
        assert weight.low <= weight.value <= weight.high
        assert weight.value == pytest.approx(truth[name], rel=0.15)
        assert weight.high - weight.low < 0.3 * weight.value
    assert not of_linear["quadratic"].weights
    assert not of_linear["process"].weights


def test_intervals_are_as_wide_as_theory_says():
    """The inverse of Fisher's information, from derivatives of the curve at the true parameters."""
    x = np.linspace(0, 1, 30)
    true = np.array([20.0, 5.0, 2.0, 2.0])  # top, rise, fall, weight

    def scores_at(p):
        off = p[3] * x - 1
        return p[0] - np.where(off < 0, p[1], p[2]) * off**2

    steps = 1e-5 * np.eye(4)
    jacobian = np.array([(scores_at(true + s) - scores_at(true - s)) / 2e-5 for s in steps]).T
    deviation = NOISE * math.sqrt(np.linalg.inv(jacobian.T @ jacobian)[3, 3])
    scores = scores_at(true) + np.random.default_rng(4).normal(0, NOISE, 30)
    [found] = compare_forms([{"a": v} for v in x], scores, forms=[LINEAR], noise=NOISE)
    weight = found.weights["a"]
    assert abs(weight.value - 2) < 3 * deviation
    assert weight.high - weight.low == pytest.approx(2 * 1.96 * deviation, rel=0.35)


@pytest.mark.parametrize(
    ("truth", "name"), [(by_interacting, "interacting"), (by_quadratic, "quadratic")]
)
def test_other_truths_are_told_too(truth, name):
    found = compared(truth, noise=NOISE)
    assert next(iter(found)) == name
    assert found[name].aic == min(form.aic for form in found.values() if form.aic is not None)
    assert found[name].error < 0.85 * found["linear"].error


def test_quadratic_is_least_squares():
    rng = np.random.default_rng(0)
    x, y = rng.random((25, 2)), rng.normal(size=25)
    design = np.stack([np.ones(25), *x.T, *(x**2).T, x[:, 0] * x[:, 1]], axis=1)
    fit = QuadraticForm().fit(x, y)
    assert fit.predict(x) == pytest.approx(sm.OLS(y, design).fit().fittedvalues)


def test_criterion_is_akaikes():
    """Of known noise, up to the same constant in all forms; and corrected for few runs else."""
    rng = np.random.default_rng(1)
    x = rng.random((40, 2)) * 3
    settings = [{"a": a, "b": b} for a, b in x]
    scores = rng.normal(size=40)
    design = np.stack([np.ones(40), *x.T, *(x**2).T, x[:, 0] * x[:, 1]], axis=1)
    fit = sm.OLS(scores, design).fit()
    [known] = compare_forms(settings, scores, forms=[QuadraticForm()], noise=0.7)
    assert known.aic == pytest.approx(fit.ssr / 0.49 + 12)
    [plain] = compare_forms(settings, scores, forms=[QuadraticForm()])
    likelihood = fit.llf + 20 * (math.log(2 * math.pi) + 1)
    assert plain.aic == pytest.approx(-2 * likelihood + 14 + 2 * 7 * 8 / 32)


def test_repeats_tell_the_noise():
    rng = np.random.default_rng(2)
    settings = [s for s in SETTINGS[::3] for _ in range(8)]
    scores = [by_linear(s) + 0.5 * rng.normal() for s in settings]
    found = compare_forms(
        settings,
        scores,
        forms=[LINEAR, QuadraticForm()],
        less_is_more=["mt_weight"],
        num_resamples=2,
    )
    assert {form.noise for form in found} == {found[0].noise}
    assert found[0].noise == pytest.approx(0.5, rel=0.2)


def test_a_lucky_repeat_does_not_make_weights_sure():
    """Two runs of one setting whose scores happen to be equal, among runs with noise."""
    rng = np.random.default_rng(3)
    settings = [{"a": a} for a in np.linspace(0, 1, 14)]
    scores = [20 - 8 * (2 * s["a"] - 1) ** 2 + 0.5 * rng.normal() for s in settings]
    [plain] = compare_forms(settings, scores, forms=[LINEAR], num_resamples=60)
    again = [*settings, settings[3]], [*scores, scores[3] + 1e-6]
    [lucky] = compare_forms(*again, forms=[LINEAR], num_resamples=60)
    widths = [form.weights["a"].high - form.weights["a"].low for form in (plain, lucky)]
    assert widths[1] > 0.5 * widths[0]
    assert lucky.noise > 0.2


def test_few_runs_make_intervals_as_wide_as_students():
    settings = [{"a": a} for a in np.linspace(0, 1, 8)]
    scores = 20 - 8 * (2 * np.linspace(0, 1, 8) - 1) ** 2
    scores = scores + np.random.default_rng(5).normal(0, 0.05, 8)
    given = {"forms": [LINEAR], "num_resamples": 400}
    [estimated] = compare_forms(settings, scores, **given)
    [known] = compare_forms(settings, scores, noise=estimated.noise, **given)
    widths = [form.weights["a"].high - form.weights["a"].low for form in (estimated, known)]
    ratio = stats.t.ppf(0.975, 8 - 4) / stats.norm.ppf(0.975)
    assert widths[0] / widths[1] == pytest.approx(ratio, rel=0.15)


def test_repeats_are_left_out_together():
    """Else the others would give each away: at a setting far from the rest nobody can know."""
    settings = [{"a": a} for a in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1.0, 1.0, 1.0)]
    scores = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, -50.0, -50.0, -50.0]
    for form in compare_forms(settings, scores, noise=0.1, num_resamples=2):
        assert form.error > 10


@pytest.mark.parametrize("num_runs", [7, 9, 10])
def test_pure_noise_is_explained_by_no_form(num_runs):
    """As few runs as a form has parameters fit it exactly; what was left out they must not know."""
    rng = np.random.default_rng(3)
    settings = [dict(zip("abc", point, strict=True)) for point in rng.random((num_runs, 3))]
    scores = rng.normal(size=num_runs)
    found = compare_forms(settings, scores, num_resamples=2)
    errors = {form.name: form.error for form in found}
    assert {name for name, error in errors.items() if error is not None} >= {"process", "mean"}
    assert (errors["linear"] is None) == (num_runs < least_settings(6) == 10)
    assert errors["interacting"] is errors["quadratic"] is None
    assert all(error > 0.8 * np.std(scores) for error in errors.values() if error is not None)
    assert not any(form.weights for form in found if form.error is None)


def test_the_mean_is_what_a_form_has_to_beat():
    settings = [{"a": a} for a in np.linspace(0, 1, 8)]
    scores = np.arange(8.0)
    [mean] = compare_forms(settings, scores, forms=[MeanForm()])
    left_out = [scores[i] - np.delete(scores, i).mean() for i in range(8)]
    assert mean.error == pytest.approx(np.sqrt(np.mean(np.square(left_out))))


@pytest.mark.parametrize(("number", "least"), [(1, 5), (6, 10), (13, 18)])
def test_a_form_needs_a_fold_that_leaves_more_than_it_fits(number, least):
    """Up to 16 settings a fold is one of them; of 17 and 18, two."""
    assert least_settings(number) == least


def test_too_few_runs_for_a_form_show():
    found = {
        f.name: f
        for f in compare_forms(
            SETTINGS[:9:2], [1.0, 2.0, 1.5, 3.0, 2.0], noise=0.1, num_resamples=2
        )
    }
    assert found["interacting"].aic == math.inf


def test_repeats_do_not_make_up_for_settings():
    """Five settings of two weights, each run four times: a fold leaves four to six parameters."""
    rng = np.random.default_rng(0)
    settings = [{"a": float(a), "b": float(b)} for a, b in ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1))]
    scores = rng.normal(size=20)
    quadratic = next(f for f in compare_forms(settings * 4, scores) if f.name == "quadratic")
    assert (quadratic.error, quadratic.aic) == (None, math.inf)


def test_a_form_is_clearly_better_by_a_standard_error_of_its_lead():
    """Against the paired t statistic of scipy, which divides by that standard error."""
    rng = np.random.default_rng(3)
    settings = [{"a": float(a)} for a in range(9)]
    found = {f.name: f for f in compare_forms(settings, rng.normal(size=9), num_resamples=2)}
    linear, mean = found["linear"], found["mean"]
    answers = set()
    for _ in range(20):
        one, other = rng.exponential(size=(2, 9))
        t = stats.ttest_rel(other, one).statistic
        better = replace(linear, _missed=one).is_clearly_better_than(replace(mean, _missed=other))
        assert better == (t > 1)
        answers.add(better)
    assert answers == {True, False}
    assert not linear.is_clearly_better_than(replace(mean, _missed=None))


def test_scores_that_are_none_are_refused():
    with pytest.raises(UserError, match="scores: expected finite numbers"):
        compare_forms(SETTINGS, [math.nan] * 27)
    with pytest.raises(UserError, match="settings: expected at least four different ones"):
        compare_forms([SETTINGS[0]] * 9, [1.0] * 9)


def test_index_form_of_one_regulariser_has_no_pairs():
    x = np.linspace(0, 1, 12)[:, None]
    fit = IndexForm(interacting=True).fit(x, -((x[:, 0] - 0.4) ** 2))
    assert fit.predict(x) == pytest.approx(-((x[:, 0] - 0.4) ** 2), abs=0.01)


class TestHorizon:
    space = SearchSpace()

    def test_it_holds_what_is_within_the_tolerance(self):
        found = horizon_set(
            lambda settings: np.array([by_linear(s) for s in settings]), lattice(self.space), 0.3
        )
        inside = [s for s in lattice(self.space) if by_linear(s) >= max(found.scores) - 0.3]
        assert len(found.settings) == len(inside) > 20
        assert all(setting in found.settings for setting in inside)
        assert found.scores == sorted(found.scores, reverse=True)

    def test_the_cheapest_saves_a_speech_pass(self, of_linear):
        found = horizon_set(of_linear["linear"].predict, lattice(self.space), 0.3)
        assert found.cheapest["rdrop_weight"] == 0
        assert by_linear(found.cheapest) >= 30 - 0.3 - 2 * NOISE
        assert 0 <= found.lost <= 0.3
        assert found.saved == pytest.approx(1 - min(found.costs) / found.costs[0])

    def test_another_cost_another_choice(self):
        found = horizon_set(
            lambda settings: np.zeros(len(settings)),
            lattice(self.space),
            0.0,
            cost=lambda setting: 11 - setting["rdrop_weight"],
        )
        assert found.cheapest["rdrop_weight"] == 10

    @pytest.mark.parametrize(
        ("mt", "cr", "rd", "cost"),
        [(0, 0, 0, 1), (1, 0, 0, 1.5), (0, 2, 0, 1.5), (0.5, 1, 3, 2.5), (0, 0, 1, 2)],
    )
    def test_weights_of_zero_need_no_pass(self, mt, cr, rd, cost):
        setting = {"mt_weight": mt, "objective.consistency_weight": cr, "rdrop_weight": rd}
        assert PassCosts(text_pass=0.5)(setting) == cost

    @pytest.mark.parametrize(
        ("more", "cost"),
        [
            ({"rdrop_passes": 3}, 3.5),
            ({"objective.rdrop_every_steps": 2}, 2.0),
            ({"rdrop_passes": 3, "rdrop_every_steps": 2}, 2.5),
            ({"mt_rdrop_weight": 1}, 3.0),
            ({"mt_rdrop_weight": 1, "mt_weight": 0.0, "consistency_weight": 0.0}, 2.0),
        ],
    )
    def test_what_a_setting_says_of_rdrop_counts(self, more, cost):
        setting = {"mt_weight": 0.5, "consistency_weight": 1.0, "rdrop_weight": 3.0}
        assert PassCosts(text_pass=0.5)(setting | more) == cost

    @pytest.mark.parametrize(
        ("setting", "cost"),
        [({}, 1.5), ({"mt_rdrop_weight": 1}, 2.0), ({"consistency_weight": 0.0}, 1.5)],
    )
    def test_what_a_setting_does_not_name_is_as_in_a_recipe(self, setting, cost):
        recipe = asdict(ObjectiveConfig())
        assert PassCosts(text_pass=0.5)(recipe | setting) == cost
        assert PassCosts(text_pass=0.5)(setting) == cost

    def test_nothing_to_choose_from_is_refused(self):
        with pytest.raises(UserError, match="expected candidates, and a tolerance of at least 0"):
            horizon_set(lambda _: np.empty(0), [], 0.1)
        with pytest.raises(UserError, match="horizon_set"):
            horizon_set(lambda s: np.zeros(len(s)), lattice(self.space), -1.0)

    @pytest.mark.parametrize("d", [1, 3, 5])
    def test_a_lattice_has_the_faces(self, d):
        space = SearchSpace(**{f"x{i}": (0.0, 2.0) for i in range(d)})
        points = lattice(space)
        assert len(points) <= 2000
        assert dict.fromkeys(space.names, 0.0) in points
        assert dict.fromkeys(space.names, 2.0) in points

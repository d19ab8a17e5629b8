"""The search for the best setting on surfaces whose best is known."""

import itertools
import json
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from horizon_st.errors import UserError
from horizon_st.horizon import SearchSpace, find_horizon
from horizon_st.horizon.finder import (
    NUM_FIRST,
    ScoredSetting,
    conclude,
    expected_improvement,
    next_run,
    propose,
)
from horizon_st.horizon.gaussian_process import HorizonProcess

SPACE = SearchSpace()
GRID = [
    dict(zip(SPACE.names, values, strict=True))
    for values in itertools.product(*(np.linspace(*SPACE.bounds[n], 4) for n in SPACE.names))
]


def ridge(setting):
    total = (1 - setting["mt_weight"]) + 0.1 * setting["consistency_weight"]
    return 30 - 8 * (total + 0.2 * setting["rdrop_weight"] - 1.4) ** 2


def corner(setting):
    u = SPACE.to_unit(setting)
    return 25 - 3 * (u[0] + (1 - u[1]) + (1 - u[2]))


def flat(setting):
    return 20.0


def test_the_usual_space_is_the_papers():
    assert SPACE.bounds == {
        "mt_weight": (0.0, 1.0),
        "consistency_weight": (0.0, 10.0),
        "rdrop_weight": (0.0, 10.0),
    }
    assert SearchSpace(mt_weight=(0.0, 1.0)).names == ["mt_weight"]


def test_settings_and_points_are_the_same_thing():
    setting = {"mt_weight": 0.25, "consistency_weight": 5.0, "rdrop_weight": 0.0}
    assert SPACE.to_unit(setting).tolist() == [0.25, 0.5, 0.0]
    assert SPACE.from_unit(np.array([0.25, 0.5, 0.0])) == setting
    assert SearchSpace(a=(2.0, 4.0)).from_unit(np.array([0.5])) == {"a": 3.0}


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf), (math.nan, 1.0)])
def test_bounds_that_are_none_are_refused(bounds):
    with pytest.raises(UserError, match=r"SearchSpace\(a=\.\.\.\): expected two finite numbers"):
        SearchSpace(a=bounds)


@pytest.mark.parametrize("setting", [{"a": 3.0}, {"b": 0.5}, {}, {"a": 0.5, "b": 0.5}])
def test_settings_outside_of_the_space_are_refused(setting):
    with pytest.raises(UserError, match="setting: expected values"):
        SearchSpace(a=(0.0, 1.0)).to_unit(setting)


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("surface", [ridge, corner, flat])
def test_the_best_is_within_a_hundredth_after_16_runs(surface, noise):
    rng = np.random.default_rng(5)
    found = find_horizon(lambda s: surface(s) + noise * rng.normal(), SPACE, 16, 1)
    assert surface(found.best) >= 0.99 * max(map(surface, GRID))
    assert len(found.trials) == 16
    assert abs(found.best_score - surface(found.best)) < max(4 * found.best_deviation, 0.05)


@pytest.mark.parametrize("num_dimensions", [1, 2, 5])
def test_spaces_of_any_number_of_dimensions(num_dimensions):
    space = SearchSpace(**{f"x{i}": (-1.0, 3.0) for i in range(num_dimensions)})
    found = find_horizon(lambda s: -sum((v - 1) ** 2 for v in s.values()), space, 9, 0)
    assert found.best == pytest.approx(dict.fromkeys(space.names, 1.0), abs=0.3)
    for trial in found.trials:
        space.to_unit(trial.setting)  # refuses what lies outside


def test_the_same_seed_gives_the_same_search():
    def trials(seed):
        return find_horizon(ridge, SPACE, 8, seed).trials

    assert trials(3) == trials(3)
    assert trials(3) != trials(4)


def test_a_search_can_go_on_from_the_runs_that_were_made():
    whole = find_horizon(ridge, SPACE, 9, 2)
    for number in (0, 3, NUM_FIRST, 8):
        assert propose(whole.trials[:number], SPACE, 2) == whole.trials[number].setting
    assert conclude(whole.trials, SPACE).best == whole.best


def test_runs_that_diverge_are_avoided():
    def half_diverges(setting):
        return math.nan if setting["rdrop_weight"] > 5 else ridge(setting)

    found = find_horizon(half_diverges, SPACE, 16, 0)
    assert ridge(found.best) >= 0.99 * 30
    later = [trial for trial in found.trials[NUM_FIRST:] if math.isnan(trial.score)]
    assert len(later) <= 4
    text = json.dumps(found.to_json(), allow_nan=False)
    assert json.loads(text)["trials"][0]["setting"] == found.trials[0].setting


@pytest.mark.parametrize("top", [30.0, 0.0, -3.0])
def test_few_scores_among_runs_that_diverge_end_no_search(top):
    """The first settings hold the centre, so that exactly one of them has a score."""

    def mostly_diverges(setting):
        off = np.abs(SPACE.to_unit(setting) - 0.5).max()
        return top - off if off < 0.1 else math.nan

    found = find_horizon(mostly_diverges, SPACE, 12, 3, tolerance=0.05)
    scores = [trial.score for trial in found.trials]
    assert np.isfinite(scores[:NUM_FIRST]).sum() == 1
    assert len(scores) == 12
    assert mostly_diverges(found.best) > top - 0.1


@pytest.mark.parametrize("scores", [[20.0], [20.0, 20.0, 20.0], [0.0, 0.0], [20.0, 20.001]])
def test_a_run_that_diverged_counts_as_worse_than_all_others(scores):
    settings = [{"a": a} for a in np.linspace(0.0, 1.0, len(scores) + 2)]
    trials = [*map(ScoredSetting, settings, [*scores, math.nan, -math.inf])]
    surface = conclude(trials, SearchSpace(a=(0.0, 1.0))).surrogate
    mean, _ = surface.predict(np.array([[0.0], [1.0]]))
    assert mean[1] < min(scores) - 0.3 * max(0.05 * min(scores), 1e-3)


def test_what_can_be_gained_is_told_from_three_settings_on():
    """However many runs of them there are."""
    space = SearchSpace(a=(0.0, 1.0))
    trials = [ScoredSetting({"a": a}, a) for a in (0.0, 0.5, 0.0, 0.5, 0.0)]
    trials += [ScoredSetting({"a": a}, math.nan) for a in (0.8, 0.9)]
    assert next_run(trials, space, 0).expected_gain == math.inf
    trials.append(ScoredSetting({"a": 0.3}, 0.3))
    assert next_run(trials, space, 0).expected_gain < 1


def test_a_search_in_which_all_runs_diverge_says_so():
    with pytest.raises(UserError, match="expected a finite score of at least one setting"):
        find_horizon(lambda _: math.nan, SPACE, 7, 0)


def test_a_search_needs_runs():
    with pytest.raises(UserError, match="num_trials: expected at least 1"):
        find_horizon(ridge, SPACE, 0, 0)


def test_the_best_is_not_the_luckiest_run():
    """One lucky score on a poor setting does not outweigh its neighbours."""
    trials = [
        ScoredSetting({"a": a}, 10 - (a - 0.5) ** 2 * 20 + (4.0 if a == 0.9 else 0.0))
        for a in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.9, 0.92)
    ]
    assert max(trials, key=lambda trial: trial.score).setting == {"a": 0.9}
    assert conclude(trials, SearchSpace(a=(0.0, 1.0))).best["a"] <= 0.7


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (1.0, 0.5), (-2.0, 3.0)])
def test_expected_improvement_is_the_integral(mean, deviation):
    expected, _ = quad(lambda f: (f - 0.7) * norm.pdf(f, mean, deviation), 0.7, 30)
    found = expected_improvement(np.array([mean]), np.array([deviation]), 0.7)
    assert found == pytest.approx([expected], rel=1e-6)


@pytest.mark.parametrize("surface", [ridge, corner, flat])
def test_a_search_stops_where_no_run_is_worth_it(surface):
    found = find_horizon(surface, SPACE, 30, 1, tolerance=0.25)
    assert NUM_FIRST <= len(found.trials) < 30
    assert surface(found.best) >= 0.99 * max(map(surface, GRID))
    assert next_run(found.trials, SPACE, 1).expected_gain < 0.25
    assert next_run(found.trials[:-1], SPACE, 1).expected_gain >= 0.25


def test_it_stops_no_sooner_with_a_smaller_tolerance():
    numbers = [len(find_horizon(ridge, SPACE, 16, 2, tolerance=t).trials) for t in (2.0, 0.5, 0.01)]
    assert numbers == sorted(numbers)
    assert numbers[0] < numbers[-1]


def test_a_search_stops_under_noise_that_hides_what_is_left_to_gain():
    """Half a point per run, ten times the tolerance; by expected improvement alone, 16 runs."""

    def score(setting):
        return 30 - 24 * (0.5 * setting["a"] + 0.5 * setting["b"] - 0.4) ** 2

    space, numbers = SearchSpace(a=(0.0, 1.0), b=(0.0, 1.0)), []
    for seed in range(3):
        rng = np.random.default_rng(seed)

        def evaluate(setting, rng=rng):
            return score(setting) + 0.5 * rng.normal()

        found = find_horizon(evaluate, space, 24, seed, tolerance=0.05)
        numbers.append(len(found.trials))
        assert score(found.best) > 29
    assert np.median(numbers) < 15


def test_a_noisy_setting_within_the_space_may_be_run_again():
    rng = np.random.default_rng(2)
    space = SearchSpace(a=(0.0, 1.0))
    found = find_horizon(lambda s: -4 * (s["a"] - 0.4) ** 2 + 0.8 * rng.normal(), space, 12, 2)
    settings = [trial.setting["a"] for trial in found.trials]
    again = {a for a in settings if settings.count(a) > 1}
    assert again
    assert all(0.1 < a < 0.9 for a in again)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, math.nan, math.inf])
def test_a_tolerance_is_a_positive_number(tolerance):
    with pytest.raises(UserError, match="tolerance: expected a positive number"):
        find_horizon(ridge, SPACE, 9, 0, tolerance=tolerance)


def test_workers_do_not_run_the_same():
    """What others are running counts, also among the first settings."""
    trials = find_horizon(ridge, SPACE, 8, 2).trials
    for ended in (trials[:1], trials):
        pending = []
        for _ in range(3):
            pending.append(next_run(ended, SPACE, 2, pending=pending).setting)
        points = np.array([SPACE.to_unit(setting) for setting in pending])
        steps = np.linalg.norm(points[:, None] - points[None], axis=-1)[np.triu_indices(3, 1)]
        assert (steps > 1e-3).all()
        assert next_run(ended, SPACE, 2, pending=pending[:2]).setting == pending[2]
    alone = next_run(trials, SPACE, 2).expected_gain
    assert next_run(trials, SPACE, 2, pending=pending).expected_gain < 0.8 * alone


def test_repeats_count_by_their_mean():
    """Of two settings that look alike to the surface, the one that was good three times is best."""
    space = SearchSpace(a=(0.0, 1.0))
    scores = {0.2: [1.0, 3.0, 1.0], 0.4: [2.5, 2.4, 2.6], 0.6: [2.0], 0.8: [1.0], 0.0: [0.0]}
    trials = [ScoredSetting({"a": a}, s) for a, found in scores.items() for s in found]
    found = conclude(trials, space)
    assert found.best == {"a": 0.4}
    alone = conclude([trials[i] for i in (1, 4, 6, 7, 8)], space)
    assert alone.best == {"a": 0.2}
    assert found.best_deviation < alone.best_deviation


class TestProcess:
    points = np.random.default_rng(1).random((18, 3))

    def test_it_passes_through_scores_without_noise(self):
        scores = np.sin(3 * self.points.sum(axis=1))
        surface = HorizonProcess(self.points, scores, noise=0.0)
        mean, deviation = surface.predict(self.points)
        assert mean == pytest.approx(scores, abs=0.01)
        assert (deviation < 0.05).all()

    def test_it_knows_the_direction_of_a_ridge(self):
        truth = np.array([-0.8, 0.5, 0.33])
        scores = 20 - 5 * (self.points @ truth - 0.1) ** 2
        found = HorizonProcess(self.points, scores).direction
        assert abs(found @ truth) / np.linalg.norm(truth) > 0.98

    def test_it_estimates_the_noise(self):
        rng = np.random.default_rng(2)
        points = rng.random((60, 2))
        scores = 10 * points[:, 0] + rng.normal(0, 0.7, 60)
        assert HorizonProcess(points, scores).noise == pytest.approx(0.7, rel=0.3)

    def test_intervals_hold_what_was_left_out(self):
        rng = np.random.default_rng(3)
        held = 0
        for _ in range(30):
            weights, at = rng.normal(size=3), rng.random(3)
            surface = HorizonProcess(self.points, np.cos(2 * (self.points @ weights)))
            mean, deviation = surface.predict(at[None])
            held += abs(mean[0] - np.cos(2 * (at @ weights))) < 2 * deviation[0] + 0.01
        assert held >= 24

    def test_equal_scores_are_no_error(self):
        mean, _ = HorizonProcess(self.points, np.full(18, 7.0)).predict(self.points)
        assert mean == pytest.approx(np.full(18, 7.0))

    def test_one_score_is_enough(self):
        mean, deviation = HorizonProcess(self.points[:1], np.array([5.0])).predict(self.points)
        assert mean == pytest.approx(np.full(18, 5.0), abs=1e-3)
        assert np.isfinite(deviation).all()

    def test_scores_of_any_size_give_the_same_picture(self):
        scores = np.sin(3 * self.points[:, 0])
        small, large = (HorizonProcess(self.points, c + f * scores) for c, f in ((0, 1), (50, 9)))
        mean, deviation = small.predict(np.full((1, 3), 0.4))
        assert large.predict(np.full((1, 3), 0.4))[0] == pytest.approx(50 + 9 * mean)
        assert large.predict(np.full((1, 3), 0.4))[1] == pytest.approx(9 * deviation, rel=0.01)

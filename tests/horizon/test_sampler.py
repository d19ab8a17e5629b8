"""`find_horizon` as a sampler and a pruner of Optuna."""

import math

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from horizon_st.errors import UserError
from horizon_st.horizon.finder import ScoredSetting, find_horizon, propose
from horizon_st.horizon.sampler import CannotWinPruner, HorizonSampler, rounded, scored
from horizon_st.horizon.space import SearchSpace

SPACE = SearchSpace(a=(0.0, 1.0), b=(0.0, 10.0))


def hill(setting):
    return 30 - 8 * (setting["a"] + setting["b"] / 10 - 0.9) ** 2


def new_study(**keys):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize", sampler=HorizonSampler(SPACE, seed=1), **keys)


def objective(trial):
    return hill({name: trial.suggest_float(name, *SPACE.bounds[name]) for name in SPACE.names})


def test_a_study_of_optuna_makes_the_runs_that_find_horizon_makes():
    study = new_study()
    study.optimize(objective, n_trials=7)
    trials = []
    for _ in range(7):
        setting = rounded(propose(trials, SPACE, 1), SPACE)
        trials.append(ScoredSetting(setting, hill(setting)))
    assert [trial.params for trial in study.trials] == [trial.setting for trial in trials]


def test_it_finds_what_find_horizon_finds():
    study = new_study()
    study.optimize(objective, n_trials=12)
    assert study.best_value == pytest.approx(find_horizon(hill, SPACE, 12, 1).best_score, abs=0.3)
    assert study.best_value > 29.7


def test_parameters_outside_the_space_are_drawn_at_random():
    study = new_study()
    study.optimize(lambda trial: objective(trial) + trial.suggest_int("layers", 1, 6), n_trials=8)
    layers = [trial.params["layers"] for trial in study.trials]
    assert 2 < len({*layers}) <= 6


def test_running_trials_keep_others_away():
    study = new_study()
    study.optimize(objective, n_trials=8)
    asked = [study.ask() for _ in range(3)]
    settings = [tuple(t.suggest_float(n, *SPACE.bounds[n]) for n in SPACE.names) for t in asked]
    assert len({*settings}) == 3
    alone = new_study()
    alone.add_trials(study.get_trials(states=(TrialState.COMPLETE,)))
    assert objective_of(alone.ask()) == settings[0]


def objective_of(trial):
    return tuple(trial.suggest_float(name, *SPACE.bounds[name]) for name in SPACE.names)


def test_proposals_have_the_digits_that_matter_and_stay_within_bounds():
    space = SearchSpace(a=(0.0, 1.0), b=(0.0, 250.0), c=(1e-5, 3e-4), d=(0.123456, 0.9))
    found = rounded({"a": 0.123456, "b": 123.456, "c": 1.23456e-4, "d": 0.123457}, space)
    assert found == {"a": 0.123, "b": 123.0, "c": 1.23e-4, "d": 0.123456}


def finished(a, by_step, value=None, state=TrialState.COMPLETE):
    return create_trial(
        state=state,
        params={"a": a, "b": 5.0},
        distributions={n: optuna.distributions.FloatDistribution(*SPACE.bounds[n]) for n in "ab"},
        intermediate_values=by_step,
        value=value,
    )


def ended(number=8):
    """Runs whose score at 100 is 10 below their last one, but for a little."""
    return [finished(i / 10, {100: 15.0 + i + 0.1 * (-1) ** i}, 25.0 + i) for i in range(number)]


def test_a_stopped_run_counts_as_its_forecast_and_one_that_diverged_as_nothing():
    stopped = finished(0.9, {100: 12.0}, state=TrialState.PRUNED)
    failed = finished(1.0, {}, state=TrialState.FAIL)
    found = scored([*ended(), stopped, failed], SPACE)
    assert found[-2].score == pytest.approx(22, abs=0.3)
    assert math.isnan(found[-1].score)


@pytest.mark.parametrize(("score", "is_stopped"), [(12.0, True), (21.9, False), (30.0, False)])
def test_only_runs_that_can_hardly_win_are_stopped(score, is_stopped):
    study = new_study(pruner=CannotWinPruner(SPACE))
    study.add_trials(ended())
    trial = study.ask()
    objective_of(trial)
    trial.report(score, 100)
    assert trial.should_prune() == is_stopped


@pytest.mark.parametrize(
    "left", [{}, {"a": 0.5}], ids=["without parameters", "with one of two parameters"]
)
def test_what_a_worker_left_that_died_while_it_asked_is_no_run(left):
    """Neither the next setting nor whether a run is stopped depends on it."""
    boxes = {n: optuna.distributions.FloatDistribution(*SPACE.bounds[n]) for n in left}
    dead = create_trial(state=TrialState.FAIL, params=left, distributions=boxes)
    assert scored([dead, *ended()], SPACE) == scored(ended(), SPACE)
    asked, stopped = [], []
    for trials in (ended(), [dead, *ended()]):
        study = new_study(pruner=CannotWinPruner(SPACE))
        study.add_trials(trials)
        trial = study.ask()
        asked.append(objective_of(trial))
        trial.report(12.0, 100)
        stopped.append(trial.should_prune())
    assert asked[0] == asked[1]
    assert stopped == [True, True]


def test_nothing_is_stopped_before_others_have_ended():
    study = new_study(pruner=CannotWinPruner(SPACE))
    study.add_trials(ended(4))
    trial = study.ask()
    objective_of(trial)
    trial.report(-50.0, 100)
    assert not trial.should_prune()


def test_a_study_that_minimises_is_refused():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=HorizonSampler(SPACE, seed=1))
    with pytest.raises(UserError, match="a study that maximises, found minimize"):
        objective_of(study.ask())

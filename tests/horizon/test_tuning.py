"""Searches in a space over the corpus of tones: asked, shared, resumed, stopped, told."""

import contextlib
import io
import json
import os
import re
import signal
import threading
import time
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import optuna
import psutil
import pytest
import torch
from optuna.trial import TrialState
from rich.console import Console
from typer.testing import CliRunner

from horizon_st.cli import app
from horizon_st.config import load_config
from horizon_st.errors import UserError
from horizon_st.horizon.analyses import Analysis
from horizon_st.horizon.finder import Proposal
from horizon_st.horizon.outcome import outcome
from horizon_st.horizon.questions import AnalysisConfig
from horizon_st.horizon.report import write_page
from horizon_st.horizon.report.text import cost
from horizon_st.horizon.results import read_results
from horizon_st.horizon.search import run_study
from horizon_st.horizon.searcher import Searcher
from horizon_st.horizon.trial_run import run_trial
from horizon_st.horizon.trials import TRIAL_FILE
from horizon_st.horizon.tuning import Search, result_of
from horizon_st.training.recipe import Recipe

SPACE = ["objective.mt_weight=[0, 1]", "objective.rdrop_weight=[0, 6]"]
PLAIN = {"plain": ["objective.mt_weight=1", "objective.rdrop_weight=0"]}


@pytest.fixture(scope="module")
def make_search(make_study):
    """A function: runs, and keys of the study -> a study with a space."""

    def make(num_trials, arms=(), **keys):
        kind = AnalysisConfig(kind="search")
        keys = {"seeds": [1], "space": SPACE, "num_trials": num_trials, "analysis": kind} | keys
        return make_study(dict(arms), **keys)

    return make


def run(study, folder, **keys):
    return run_study(study, folder, Console(file=io.StringIO()), **{"num_workers": 2, **keys})


def trials_in(storage):
    return optuna.load_study(study_name=None, storage=storage).get_trials()


class Heard:
    def __init__(self):
        self.lines = []

    def advance_to(self, *args):
        pass

    def say(self, line):
        self.lines.append(line)


@pytest.fixture(scope="module")
def finished(make_search, corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    study = make_search(4, PLAIN, test=str(corpus / "dev.jsonl"))
    return study, folder, run(study, folder)


def test_all_runs_are_made_and_none_twice(finished):
    study, folder, results = finished
    trials = trials_in(f"sqlite:///{folder}/small/optuna.db")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 4
    assert trials[0].params == {"objective.mt_weight": 1, "objective.rdrop_weight": 0}
    assert [trial.scores["BLEU"] for trial in results.trials] == [t.value for t in trials]
    assert [results.settings[trial.arm] for trial in results.trials] == [t.params for t in trials]
    assert results.trials[0].arm == "plain"
    assert len([*(folder / "runs").glob(f"*/{TRIAL_FILE}")]) == 4
    times = {path: path.stat().st_mtime_ns for path in folder.glob(f"runs/*/{TRIAL_FILE}")}
    assert run(study, folder).trials == results.trials
    assert times == {path: path.stat().st_mtime_ns for path in folder.glob(f"runs/*/{TRIAL_FILE}")}


def test_more_trials_go_on_with_the_same_search(finished):
    study, folder, results = finished
    more = run(replace(study, num_trials=5), folder, num_workers=1)
    assert more.trials[:4] == results.trials
    assert len(more.trials) == 5


def test_the_best_setting_is_a_recipe_and_is_scored_on_the_test_set(finished):
    study, folder, results = finished
    recipe = load_config(Recipe, folder / "small" / "best.yaml")
    found = outcome(results).best
    best = next(trial for trial in results.trials if results.settings[trial.arm] == found)
    assert results.winner_scores["BLEU"] == best.scores["BLEU"]  # the test set is the dev set
    assert results.best_recipe == (folder / "small" / "best.yaml").read_text(encoding="utf-8")
    assert recipe.objective.mt_weight == found["objective.mt_weight"]
    assert recipe.objective.rdrop_weight == found["objective.rdrop_weight"]
    assert recipe.stages.st.metric == "bleu"
    assert recipe.name == load_config(Recipe, Path(study.recipe)).name


def test_the_page_says_what_was_found(finished, tmp_path):
    _, folder, _ = finished
    results = read_results(folder / "small" / "results.json")
    verdict = Analysis(results).verdict()
    assert verdict.answer == "found"
    assert f"Best of {len(results.trials)} runs" in verdict.evidence
    assert f"{results.winner_scores['BLEU']:.2f}" in verdict.evidence
    page = write_page([results], tmp_path).read_text(encoding="utf-8")
    assert "plain" in page
    assert "<svg" in page


def test_another_recipe_under_the_same_name_is_refused(finished):
    study, folder, _ = finished
    changed = replace(study, set=["objective.consistency_weight=9"])
    with pytest.raises(UserError, match="expected a search of the same recipe, data and space"):
        run(changed, folder)


def test_a_storage_that_cannot_be_used_is_named(make_search, tmp_path):
    with pytest.raises(UserError, match=r"nosuch://place: expected the URL of a database"):
        run(make_search(1), tmp_path, storage="nosuch://place")


def test_a_killed_worker_loses_no_trial(make_search, tmp_path):
    study, journal = make_search(3), str(tmp_path / "trials.log")

    def kill_at_second():
        while not [*tmp_path.glob(f"runs/*/{TRIAL_FILE}")] or not unfinished(tmp_path):
            time.sleep(0.01)
        for child in active_children():
            if child.name.startswith("worker"):
                os.kill(child.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill_at_second)
    thread.start()
    with pytest.raises(UserError, match="killed by signal 9"):
        run(study, tmp_path, num_workers=1, storage=journal)
    thread.join()
    lost = unfinished(tmp_path)
    results = run(study, tmp_path, num_workers=1, storage=journal)
    assert len(lost) == 1
    assert not unfinished(tmp_path)
    assert len(results.scores) == 3
    assert len([*(tmp_path / "runs").glob(f"*/{TRIAL_FILE}")]) == 3


def test_the_other_worker_takes_over_what_a_killed_one_was_running(make_search, tmp_path):
    """From its checkpoint: the history in that is marked, as in no run from the start."""
    study, said = make_search(3, set=["stages.st.max_steps=20"]), io.StringIO()
    marked, is_over = {}, threading.Event()

    def stop_mark_and_kill():
        while not is_over.wait(0.005):
            for progress in tmp_path.glob("runs/*/run/stages/st/checkpoints/step-*/progress.json"):
                run_dir = progress.parents[5]
                owner = holder_of(run_dir.with_suffix(".lock"))
                if owner is None:
                    continue
                os.kill(owner, signal.SIGSTOP)
                try:
                    newest = max(progress.parents[1].glob("step-*/progress.json"))
                    content = json.loads(newest.read_text(encoding="utf-8"))
                    content["dev_history"][0]["loss"] = MARK
                    newest.write_text(json.dumps(content), encoding="utf-8")
                    marked[run_dir.name] = owner
                finally:
                    os.kill(owner, signal.SIGKILL)
                return

    thread = threading.Thread(target=stop_mark_and_kill)
    thread.start()
    try:
        results = run_study(study, tmp_path, Console(file=said), num_workers=2)
    finally:
        is_over.set()
        thread.join()
    assert re.search(
        r"worker [12]: a process killed by signal 9, .*The others go on", said.getvalue()
    )
    trials = trials_in(f"sqlite:///{tmp_path}/small/optuna.db")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    assert len(results.scores) == len([*tmp_path.glob(f"runs/*/{TRIAL_FILE}")]) == 3
    assert [t.dev_history[0]["loss"] for t in results.trials].count(MARK) == 1
    [key] = marked
    taken_over = json.loads((tmp_path / "runs" / key / TRIAL_FILE).read_text())["result"]
    assert taken_over["dev_history"][0]["loss"] == MARK


MARK = 12345.0


def holder_of(lock):
    """The worker that has this file open."""
    for child in active_children():
        if child.name.startswith("worker"):
            with contextlib.suppress(psutil.Error):
                if str(lock) in {file.path for file in psutil.Process(child.pid).open_files()}:
                    return child.pid
    return None


def unfinished(folder):
    return [p for p in (folder / "runs").glob("*/") if not (p / TRIAL_FILE).is_file()]


def search_of(study, folder, **keys):
    (folder / study.name).mkdir(exist_ok=True)
    url = f"sqlite:///{folder / study.name}/optuna.db"
    return Search(study, folder, (), url, **{"stops_early": True, **keys})


def test_a_setting_that_is_asked_for_again_gets_the_next_seed(make_search, tmp_path):
    search = search_of(make_search(9, seeds=[3, 8]), tmp_path)
    opened = search.open()
    for _ in range(3):
        opened.enqueue_trial({"objective.mt_weight": 0.5, "objective.rdrop_weight": 2.0})
    for _ in range(4):
        search.ask(opened)
    repeated = [trial for _, trial in search.trials()][:3]
    assert [trial.seed for trial in repeated] == [3, 8, 9]
    assert len({trial.key for trial in repeated}) == 3
    assert len({trial.arm for trial in repeated}) == 1


def test_a_run_that_can_hardly_win_is_stopped_and_removed(make_search, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "horizon_st.horizon.sampler.CannotWinPruner.prune",
        lambda self, study, trial: trial.number == 1,
    )
    search, heard = search_of(make_search(2), tmp_path), Heard()
    Searcher(0, search)(heard)
    (kept, kept_trial), (stopped, trial) = search.trials()
    assert [kept.state, stopped.state] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert [*stopped.intermediate_values] == [2]
    assert not trial.folder.exists()
    result = result_of(stopped, trial)
    assert (result.stopped_at, result.scores) == (2, {})
    saved = read_results(tmp_path / "small" / "results.json")  # written by the worker, as it goes
    assert saved.trials == [kept_trial.result, result]
    assert result.wall_s > 0
    seconds = kept_trial.result.wall_s + result.wall_s
    assert f"2 runs, {seconds / 60:.0f} minutes" in cost(saved)
    assert "stopped at update 2" in heard.lines[1]


def test_a_search_ends_where_no_run_is_expected_to_gain(make_search, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "horizon_st.horizon.sampler.HorizonSampler.next_run",
        lambda self, trials: Proposal(
            {"objective.mt_weight": 0.5, "objective.rdrop_weight": 1.0}, 0.2 if not trials else 0.1
        ),
    )
    search = search_of(make_search(9, least_gain=0.15), tmp_path)
    Searcher(0, search)(Heard())
    assert len(search.trials()) == 1


def test_a_setting_that_the_recipe_refuses_counts_and_the_search_goes_on(make_search, tmp_path):
    # The recipe cannot have several R-drop passes without R-drop, which the finder asks for.
    proposals = iter([0.0, 2.0])
    study = make_search(
        2, space=["objective.rdrop_weight=[0, 6]"], set=["objective.rdrop_passes=3"]
    )
    search = search_of(study, tmp_path)
    opened = search.open()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "horizon_st.horizon.sampler.HorizonSampler.next_run",
            lambda self, trials: Proposal({"objective.rdrop_weight": next(proposals)}, 1.0),
        )
        assert [search.ask(opened), search.ask(opened)] == [1, None]
    refused, asked = opened.get_trials()
    assert refused.state == TrialState.FAIL
    assert "rdrop_passes" in refused.user_attrs["refused"]
    assert [frozen.number for frozen, _ in search.trials()] == [asked.number]


def test_arms_are_run_once_even_if_the_first_start_failed(make_search, tmp_path):
    study = make_search(3, PLAIN)
    with pytest.raises(UserError, match="nowhere"):
        search_of(replace(study, set=["data.train=nowhere.jsonl"]), tmp_path).open()
    for _ in range(2):
        opened = search_of(study, tmp_path).open()
    assert len(opened.get_trials()) == 1


def test_an_arm_that_was_being_asked_for_is_asked_for_again(make_search, tmp_path):
    search = search_of(make_search(3, PLAIN), tmp_path)
    opened = search.open()
    opened.ask()  # and its worker dies before it has the parameters
    assert search.running(opened) == []
    number = search.ask(opened)
    assert search.running(opened) == [number]
    ((_, trial),) = search.trials()
    assert trial.arm == "plain"


def test_a_trial_that_was_told_meanwhile_is_not_run_again(make_search, tmp_path):
    search = search_of(make_search(1), tmp_path)
    opened = search.open()
    number = search.ask(opened)
    opened.tell(number, state=TrialState.PRUNED)
    assert not Searcher(0, search)._run(opened, number, Heard())
    assert not (tmp_path / "runs").exists()


def test_one_storage_for_two_folders_is_refused(make_search, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    url = f"sqlite:///{tmp_path}/shared.db"
    replace(search_of(make_search(1), tmp_path / "a"), storage=url).open()
    with pytest.raises(UserError, match="expected a search of the same folder"):
        replace(search_of(make_search(1), tmp_path / "b"), storage=url).open()


def test_a_run_that_diverges_counts_and_the_search_goes_on(make_search, tmp_path):
    space = ["stages.st.learning_rate=[1e17, 1e18]"]
    study = make_search(2, space=space, set=["stages.st.clip_norm=0"])
    search, heard = search_of(study, tmp_path), Heard()
    Searcher(0, search)(heard)
    assert [frozen.state for frozen, _ in search.trials()] == [TrialState.FAIL] * 2
    assert all("expected a finite loss" in line for line in heard.lines)
    assert all(result_of(*each).wall_s > 0 for each in search.trials())


def test_a_run_that_exceeds_the_memory_counts_and_the_search_goes_on(
    make_search, tmp_path, monkeypatch
):
    def run_out(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("horizon_st.horizon.trial_run.run_recipe", run_out)
    search, heard = search_of(make_search(2), tmp_path), Heard()
    Searcher(0, search)(heard)
    assert [frozen.state for frozen, _ in search.trials()] == [TrialState.FAIL] * 2
    assert all(result_of(*each).is_out_of_memory for each in search.trials())
    expected = (
        r"expected a run that fits the memory of the accelerator, found OutOfMemoryError: CUDA"
    )
    assert all(re.search(expected, line) for line in heard.lines)


def test_a_worker_stays_while_another_has_just_taken_the_last_trial(
    make_search, tmp_path, monkeypatch
):
    looks = iter([[], [0], [], []])  # the last was taken between the first look and the question
    naps = []
    monkeypatch.setattr(Search, "open", lambda self: None)
    monkeypatch.setattr(Search, "running", lambda self, opened: next(looks))
    monkeypatch.setattr(Search, "ask", lambda self, opened: None)
    monkeypatch.setattr("horizon_st.horizon.searcher.time.sleep", naps.append)
    Searcher(0, search_of(make_search(1), tmp_path))(Heard())
    assert len(naps) == 1
    assert next(looks, "none left") == "none left"


def test_a_score_that_was_not_told_yet_may_be_the_best(make_search, tmp_path):
    search = search_of(make_search(1), tmp_path)
    search.ask(search.open())
    ((frozen, trial),) = search.trials()
    assert run_trial(trial, "worker 1", Heard())
    assert frozen.state == TrialState.RUNNING
    assert search.finish(search.write_results()) == {}
    best = load_config(Recipe, tmp_path / "small" / "best.yaml")
    assert best.objective.rdrop_weight == frozen.params["objective.rdrop_weight"]


def test_the_command_searches_around_a_recipe(make_study, tmp_path):
    recipe = make_study({"a": []}).recipe
    command = ["search", recipe, "--trials", "1", "--workers", "1", "--out", str(tmp_path)]
    found = CliRunner().invoke(app, [*command, "seeds=[1]", "name=mine"])
    assert found.exit_code == 0, found.output
    assert "Found. Best of 1 runs is" in found.output.replace("\n", " ")
    study = read_results(tmp_path / "mine" / "results.json").study
    assert study.space[0] == "objective.mt_weight=[0.0, 1.0]"


def test_bounds_and_kind_belong_together(make_search, make_study):
    with pytest.raises(UserError, match=r"space: expected with analysis\.kind search"):
        make_study({"a": []}, space=SPACE, num_trials=3)
    with pytest.raises(UserError, match=r"space: expected with analysis\.kind search"):
        make_search(0)
    with pytest.raises(UserError, match=r"before_st: expected nothing with kind search"):
        make_search(1, before_st=["objective.mt_rdrop_weight=0"])
    with pytest.raises(UserError, match=r"section\.key=\[low, high\]"):
        make_search(1, space=["objective.mt_weight=[0, 1, 2]"]).search_space.names  # noqa: B018
    with pytest.raises(UserError, match="expected values within"):
        make_search(1, {"a": ["objective.mt_weight=2", "objective.rdrop_weight=0"]})

"""Studies over the corpus of tones: what is run, shared, resumed, and what comes out."""

import io
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from horizon_st.cli import app
from horizon_st.config import dump_config
from horizon_st.data.corpora.telephone import build_corpus
from horizon_st.decoding.evaluation import read_evaluation
from horizon_st.errors import UserError
from horizon_st.horizon.questions import AnalysisConfig
from horizon_st.horizon.results import read_results
from horizon_st.horizon.run_diagnosis import diagnose_run
from horizon_st.horizon.search import Worker, run_study
from horizon_st.horizon.study import ArmConfig, StudyConfig
from horizon_st.horizon.trials import TRIAL_FILE, arm_recipe, plan_trials, pretraining_of
from horizon_st.training.stages import run_recipe


class Silent:
    def update(self, *args):
        pass


ARMS = {
    "plain": ["objective.rdrop_weight=0", "objective.consistency_weight=0"],
    "RD": ["objective.rdrop_weight=2", "objective.consistency_weight=0"],
}


def run(study, folder, *, num_workers=2):
    return run_study(study, folder, Console(file=io.StringIO()), num_workers=num_workers)


def run_folders(folder):
    return sorted(path.parent for path in (folder / "runs").glob(f"*/{TRIAL_FILE}"))


@pytest.fixture(scope="module")
def finished(make_study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    study = make_study(ARMS, baseline="plain")
    return study, folder, run(study, folder)


def test_every_arm_is_run_with_every_seed_and_scored(finished):
    study, folder, results = finished
    assert set(results.scores) == {(arm, seed) for arm in ARMS for seed in (1, 2)}
    assert results.settings == {
        "plain": {"objective.rdrop_weight": 0.0, "objective.consistency_weight": 0.0},
        "RD": {"objective.rdrop_weight": 2.0, "objective.consistency_weight": 0.0},
    }
    for trial in plan_trials(study, folder):
        scored = {m: read_evaluation(trial.folder / f"test_{m}") for m in ("speech", "text")}
        found = trial.result.scores
        assert found["BLEU"] == scored["speech"].value_of("BLEU")
        assert found["text_chrF2"] == scored["text"].value_of("chrF2")
        assert [entry["step"] for entry in trial.result.dev_history] == [2, 4]
        assert trial.result.steps == 4
        assert "rdrop" in trial.result.train_figures or trial.arm == "plain"
        record = json.loads((trial.folder / "run" / "record.json").read_text(encoding="utf-8"))
        diagnosis = diagnose_run(record)
        assert trial.result.side_by_curves == (diagnosis.side if diagnosis else None)
        assert trial.result.train_history[-1] == pytest.approx(trial.result.train_figures, rel=1e-3)
    assert results.signatures["BLEU"].startswith("nrefs:1")
    assert results.versions["torch"]
    assert len(results.hardware) == 1


def test_results_are_written(finished):
    study, folder, results = finished
    saved = read_results(folder / "small" / "results.json")
    assert saved.study == study
    assert saved.trials == results.trials


def test_recipes_may_load_data_in_processes_of_their_own(make_study, tmp_path):
    study = make_study({"a": ["data.num_workers=1"]}, seeds=[1])
    assert len(run(study, tmp_path, num_workers=1).scores) == 1


def test_a_moved_folder_and_other_paths_of_the_data_change_nothing(
    make_study, corpus, tmp_path, monkeypatch
):
    study = make_study(ARMS, seeds=[1])
    before = run(study, tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    for name in ("train", "dev", "text_pairs"):
        (tmp_path / f"{name}.jsonl").write_bytes((corpus / f"{name}.jsonl").read_bytes())
    for audio in corpus.glob("*.wav"):
        (tmp_path / audio.name).symlink_to(audio)
    paths = [f"data.{name}={tmp_path / name}.jsonl" for name in ("train", "dev", "text_pairs")]
    moved = make_study(ARMS | {"more": ["objective.rdrop_weight=9"]}, seeds=[1], set=paths)
    after = run(moved, tmp_path / "new")
    assert after.trials[:2] == before.trials
    assert len([*(tmp_path / "new" / "pretraining").glob("*/model")]) == 1


def test_a_tokenizer_of_ones_own_is_brought_along_by_the_pretraining(
    make_study, make_recipe, tmp_path
):
    recipe = make_recipe("stages.mt_external.max_steps=0", "stages.st.max_steps=4")
    folder = run_recipe(recipe, tmp_path / "first", Silent())
    plain = ["data.vocab_size=1000", f"data.tokenizer={folder}"]
    study = make_study({"a": plain}, seeds=[1])
    assert len(run(study, tmp_path / "search", num_workers=1).scores) == 1


def test_data_that_is_not_there_is_named(make_study, tmp_path):
    study = make_study({"a": []}, test=str(tmp_path / "nowhere.jsonl"))
    with pytest.raises(UserError, match=r"nowhere\.jsonl: expected a manifest, .*no such file"):
        run(study, tmp_path / "search")


def test_values_that_no_arm_has_are_refused_before_anything_runs(make_study, tmp_path):
    def asked(**analysis):
        arms = {"a": ["objective.mt_weight=1.0"], "b": ["objective.mt_weight=0.5"]}
        return make_study(arms, analysis=AnalysisConfig(key="objective.mt_weight", **analysis))

    plan_trials(asked(kind="order", order=["1.0", "0.5"]), tmp_path)
    plan_trials(asked(kind="peak", at=1), tmp_path)
    for wrong in ({"kind": "order", "order": ["1", "0.6"]}, {"kind": "peak", "at": 0.6}):
        with pytest.raises(UserError, match=r"analysis: expected one of 1, 0\.5, found 0\.6"):
            plan_trials(asked(**wrong), tmp_path)


def test_results_of_what_had_ended_are_there_when_a_run_fails(make_study, tmp_path):
    arms = {"good": ARMS["plain"], "bad": ["data.max_batch_s=0.2"]}
    with pytest.raises(UserError, match="max_batch_s"):
        run(make_study(arms, seeds=[1]), tmp_path, num_workers=1)
    assert [*read_results(tmp_path / "small" / "results.json").scores] == [("good", 1)]


def test_arms_of_a_seed_share_their_pretraining(finished):
    study, folder, _ = finished
    assert len([*(folder / "pretraining").glob("*/model")]) == len(study.seeds)


def test_a_trial_is_what_the_recipe_gives_when_it_is_run_whole(finished, tmp_path):
    study, folder, _ = finished

    trial = next(t for t in plan_trials(study, folder) if (t.arm, t.seed) == ("RD", 2))
    pretrained = pretraining_of(trial.recipe)
    initial = run_recipe(pretrained, tmp_path / "before", Silent())
    off = replace(trial.recipe.stages.mt_in_domain, max_steps=0)
    recipe = replace(
        trial.recipe,
        initial_model=str(initial),
        stages=replace(trial.recipe.stages, mt_in_domain=off),
    )
    run_recipe(recipe, tmp_path / "run", Silent())
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert trial.result.dev == record["stages"][-1]["final"]


def test_nothing_is_run_twice(finished):
    study, folder, results = finished
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    again = run(study, folder)
    assert again.trials == results.trials
    changed = [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and times.get(path) != path.stat().st_mtime_ns and path.suffix != ".lock"
    ]
    assert changed == ["results.json"]


def test_another_study_takes_over_what_is_there(finished, make_study):
    _, folder, results = finished
    before = run_folders(folder)
    arms = {"none": ARMS["plain"], "more": ["objective.rdrop_weight=4", ARMS["RD"][1]]}
    other = run(make_study(arms, seeds=[1]), folder)
    assert len(run_folders(folder)) == len(before) + 1
    assert other.scores["none", 1] == results.scores["plain", 1]


def test_checkpoints_are_removed_and_the_model_is_kept(finished):
    _, folder, _ = finished
    for trial in run_folders(folder):
        assert (trial / "run" / "model" / "model.safetensors").is_file()
        assert not (trial / "run" / "stages").exists()


def test_keys_know_the_content_of_files_but_not_their_place(finished, corpus, tmp_path):
    study, folder, _ = finished
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("train", "dev", "text_pairs"):
        (moved / f"{name}.jsonl").write_bytes((corpus / f"{name}.jsonl").read_bytes())
    data = tuple(f"data.{name}={moved / name}.jsonl" for name in ("train", "dev", "text_pairs"))
    keys = [trial.key for trial in plan_trials(study, folder)]
    assert [trial.key for trial in plan_trials(study, folder, data)] == keys
    lines = (moved / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (moved / "train.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
    assert not {trial.key for trial in plan_trials(study, folder, data)} & {*keys}


def test_pretraining_depends_on_what_its_stages_read_alone(make_study):
    study = make_study(ARMS)

    def pretraining(*settings):
        return pretraining_of(arm_recipe(study, ArmConfig("a", list(settings)), seed=1))

    plain = pretraining()
    assert pretraining("objective.rdrop_weight=5", "objective.tap=logits") == plain
    assert pretraining("stages.st.max_steps=9") == plain
    for changed in (
        "objective.label_smoothing=0",
        "objective.mt_rdrop_weight=1",
        "objective.ctc_weight=0",
        "model.text_model.dropout=0.3",
        "stages.mt_in_domain.max_steps=5",
    ):
        assert pretraining(changed) != plain
    assert pretraining("stages.mt_in_domain.max_steps=0") is None


def test_what_arms_vary_can_be_held_fixed_before_st(make_study, tmp_path):
    arms = {"none": [], "text": ["objective.mt_rdrop_weight=3"]}
    free = plan_trials(make_study(arms, seeds=[1]), tmp_path)
    held_back = make_study(arms, seeds=[1], before_st=["objective.mt_rdrop_weight=0"])
    held = plan_trials(held_back, tmp_path)
    assert free[0].pretraining != free[1].pretraining
    assert held[0].pretraining == held[1].pretraining == free[0].pretraining
    assert [trial.recipe.objective.mt_rdrop_weight for trial in held] == [0, 3]
    assert held[0].key == free[0].key
    assert held[1].key not in {free[1].key, held[0].key}


def test_equal_arms_are_refused(make_study, tmp_path):
    study = make_study({"a": [], "b": ["objective.rdrop_weight=1.0"]})
    with pytest.raises(UserError, match=r"a, seed 1 and b, seed 1, which are the same"):
        plan_trials(study, tmp_path)


def test_a_run_that_diverges_has_a_failure_and_the_others_go_on(make_study, tmp_path):
    bold = ["stages.st.learning_rate=1e18", "stages.st.clip_norm=0"]
    results = run(make_study({"bold": bold, "plain": ARMS["plain"]}, seeds=[1]), tmp_path)
    failures = {trial.arm: trial.failure for trial in results.trials}
    assert "expected a finite loss" in failures["bold"]
    assert next(trial for trial in results.trials if trial.arm == "bold").wall_s > 0
    assert failures["plain"] is None
    assert [*results.scores] == [("plain", 1)]


def test_a_run_that_exceeds_the_memory_is_a_result_and_the_others_go_on(
    make_study, tmp_path, monkeypatch
):
    class Heard:
        def say(self, line):
            pass

    def run_out(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("horizon_st.horizon.trial_run.run_recipe", run_out)
    study = make_study(ARMS, seeds=[1])
    trials = plan_trials(study, tmp_path)
    (tmp_path / study.name).mkdir()
    Worker(0, study, trials, trials)(Heard())
    saved = read_results(tmp_path / study.name / "results.json")  # written as they end
    assert [trial.arm for trial in saved.trials] == ["plain", "RD"]
    assert all(trial.is_out_of_memory and not trial.scores for trial in saved.trials)
    expected = r"plain, seed 1: expected a run that fits the memory .*Tried to allocate 2\.00 GiB"
    assert re.match(expected, saved.trials[0].failure)


def test_a_mistake_ends_the_search(make_study, tmp_path):
    study = make_study({"a": ["data.max_batch_s=0.2"]}, seeds=[1])
    with pytest.raises(UserError, match=r"data\.max_batch_s"):
        run(study, tmp_path)
    assert multiprocessing.active_children() == []


def test_a_killed_worker_loses_its_trial_alone_and_the_same_command_goes_on(make_study, tmp_path):
    study = make_study(ARMS | {"CR": ["objective.rdrop_weight=0"]}, seeds=[3])

    def kill_after_first():
        while not run_folders(tmp_path):
            time.sleep(0.01)
        for child in multiprocessing.active_children():
            if child.name.startswith("worker"):
                os.kill(child.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill_after_first)
    thread.start()
    with pytest.raises(UserError, match=r"expected the worker 1 run to end well, .* signal 9"):
        run(study, tmp_path, num_workers=1)
    thread.join()
    before = {path: (path / TRIAL_FILE).stat().st_mtime_ns for path in run_folders(tmp_path)}
    assert 1 <= len(before) < 3
    results = run(study, tmp_path)
    assert len(results.scores) == 3
    for path, written in before.items():
        assert (path / TRIAL_FILE).stat().st_mtime_ns == written


def test_two_searches_in_one_folder_share_the_trials(make_study, tmp_path):
    study = make_study(ARMS)
    path = tmp_path / "mine.yaml"
    path.write_text(dump_config(study), encoding="utf-8")
    command = [sys.executable, "-m", "horizon_st", "search", path, "--workers", "1"]
    searches = [
        subprocess.Popen([*command, "--out", tmp_path], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    shown = [search.communicate()[0] for search in searches]
    assert [search.returncode for search in searches] == [0, 0], shown
    assert len(run_folders(tmp_path)) == 4
    ended = [
        line for text in shown for line in text.splitlines() if re.match(r".*, seed \d:", line)
    ]
    assert len({line.partition(":")[0] for line in ended}) == len(ended) == 4
    assert len(read_results(tmp_path / "small" / "results.json").scores) == 4
    records = [json.loads(p.read_text()) for p in tmp_path.glob("runs/*/run/record.json")]
    assert len({record["run_id"] for record in records}) == 4


def test_the_command_runs_a_file_and_writes_the_page(finished, tmp_path):
    study, folder, _ = finished
    path = tmp_path / "mine.yaml"
    path.write_text(dump_config(study), encoding="utf-8")
    done = CliRunner().invoke(app, ["search", str(path), "seeds=[1]", "--out", str(folder)])
    assert done.exit_code == 0, done.output
    assert "0 of 2 runs to do" in done.output
    assert "More is better." in done.output
    assert (folder / "small" / "report.html").is_file()


def test_the_embedded_corpus_is_built_and_its_test_set_scored(make_study, tmp_path, monkeypatch):
    few = [
        *(f"stages.{stage}.{key}=1" for stage in ("mt_external", "st") for key in FEW),
        "decoding.beam_size=1",
        "decoding.max_tokens=3",
        "data.max_batch_s=40",
        "stages.st.metric=loss",
    ]
    sizes = {"num_train": 24, "num_dev": 6, "num_test": 40, "num_text_pairs": 400}
    monkeypatch.setattr("horizon_st.horizon.search.build_corpus", partial(build_corpus, **sizes))
    study = StudyConfig(
        name="embedded",
        claim="A is B.",
        recipe="telephone",
        embedded_corpus="fr",
        seeds=[1],
        set=few,
        arms=[ArmConfig("a", [])],
        analysis=AnalysisConfig(),
    )
    results = run(study, tmp_path, num_workers=1)
    [trial] = results.trials
    assert "BLEU" in trial.scores
    [folder] = run_folders(tmp_path)
    assert len(read_evaluation(folder / "test_speech").sentences) == 40
    assert Path(results.study.test) == tmp_path / "corpus_fr" / "test.jsonl"


FEW = ("max_steps", "warmup_steps", "validate_every_steps")

"""A run that is stopped anywhere and started again ends with the weights of one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest
import torch

from horizon_st.config import dump_config
from horizon_st.data.shar_writing import write_shar
from horizon_st.data.text_pairs import read_text_pairs, write_text_pairs
from horizon_st.training import checkpoint, parts, stages


class Killed(BaseException):
    """Ends a run from inside; nothing in the code catches it."""


class KillAt:
    """A reporter that ends the run after a given update of a stage."""

    def __init__(self, stage, step):
        self.at = (stage, step)

    def update(self, stage, step, max_steps, figures):
        if (stage, step) == self.at:
            raise Killed


def weights_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in [folder / "model", *(folder / "stages").glob("*/model")]
        for path in path.glob("*.safetensors")
    }


def untimed(folder):
    """The record without what differs from run to run."""
    record = json.loads((folder / "record.json").read_text())
    for key in ("wall_s", "peak_memory_mb", "run_id"):
        assert record.pop(key)
    for stage in record["stages"]:
        wall_s, data_wait_s = stage.pop("wall_s"), stage.pop("data_wait_s")
        assert 0 < data_wait_s < wall_s
    return record


def assert_same(folder, undisturbed):
    assert weights_of(folder) == weights_of(undisturbed)
    assert len(weights_of(folder)) == 4
    assert untimed(folder) == untimed(undisturbed)
    assert not [*folder.rglob(".partial-*")]


def test_kills_at_many_updates(train, undisturbed, tmp_path):
    kills = [
        ("mt_external", 1),
        ("mt_external", 3),
        ("mt_external", 4),
        ("mt_in_domain", 1),
        ("mt_in_domain", 3),
        ("st", 1),
        ("st", 2),
        ("st", 3),
        ("st", 5),
        ("st", 6),
        ("st", 7),
    ]
    for kill in kills:
        with pytest.raises(Killed):
            train(tmp_path, reporter=KillAt(*kill))
    train(tmp_path)
    assert_same(tmp_path, undisturbed)


def test_kills_of_a_run_on_shards_and_mapped_pairs(train, corpus, tmp_path):
    for split in ("train", "dev"):
        write_shar(corpus / f"{split}.jsonl", tmp_path / split, shard_size=2)
    pairs = read_text_pairs(corpus / "text_pairs.jsonl")
    write_text_pairs(tmp_path / "pairs.arrow", pairs)
    overrides = (
        *(f"data.{split}={tmp_path / split}" for split in ("train", "dev")),
        f"data.text_pairs={tmp_path / 'pairs.arrow'}",
        "data.shar_buffer=4",
    )
    undisturbed = train(tmp_path / "undisturbed", *overrides)
    for kill in [("mt_external", 3), ("mt_in_domain", 1), ("st", 1), ("st", 3), ("st", 6)]:
        with pytest.raises(Killed):
            train(tmp_path / "killed", *overrides, reporter=KillAt(*kill))
    train(tmp_path / "killed", *overrides)
    assert_same(tmp_path / "killed", undisturbed)


def test_kills_of_a_run_with_two_optimisers_and_moving_weights(train, undisturbed, tmp_path):
    muon = tuple(f"stages.{name}.optimizer=muon" for name in ("mt_external", "mt_in_domain", "st"))
    muon += ("objective.adaptive.every_steps=2",)
    whole = train(tmp_path / "undisturbed", *muon)
    assert weights_of(whole) != weights_of(undisturbed)
    for kill in [("mt_external", 3), ("st", 1), ("st", 5)]:
        with pytest.raises(Killed):
            train(tmp_path / "killed", *muon, reporter=KillAt(*kill))
    train(tmp_path / "killed", *muon)
    assert_same(tmp_path / "killed", whole)


def test_a_run_goes_on_with_other_keys_that_change_no_result(train, undisturbed, tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, reporter=KillAt("mt_in_domain", 3))
    others = ("data.num_workers=1", "data.cache_gb=0", "trackers=[]")
    with pytest.raises(Killed):
        train(tmp_path, *others, reporter=KillAt("st", 5))
    train(tmp_path)
    assert_same(tmp_path, undisturbed)


@pytest.mark.parametrize("kill", [("mt_external", 1), ("mt_in_domain", 3)])
def test_a_run_goes_on_with_the_vocabulary_that_it_began_with(
    train, undisturbed, tmp_path, monkeypatch, kill
):
    """Versions differ in what they make of the same text."""
    with pytest.raises(Killed):
        train(tmp_path, reporter=KillAt(*kill))
    monkeypatch.setattr(parts, "train_tokenizer", None)
    train(tmp_path)
    assert_same(tmp_path, undisturbed)
    [text] = {path.read_text(encoding="utf-8") for path in tmp_path.rglob("tokenizer.json")}
    assert text == (undisturbed / "model" / "tokenizer.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_kills_beside_each_rename(train, undisturbed, tmp_path, monkeypatch, moment):
    """Renames end checkpoints, stages and the run: the moments that decide what a restart finds."""
    numbers = {"calls": 0, "kill_at": 1}

    def killing(whole):
        def rename(partial, final):
            numbers["calls"] += 1
            if moment == "after":
                whole(partial, final)
            if numbers["calls"] == numbers["kill_at"]:
                raise Killed
            if moment == "before":
                whole(partial, final)

        return rename

    monkeypatch.setattr(checkpoint, "rename_whole", killing(checkpoint.rename_whole))
    monkeypatch.setattr(stages, "rename_whole", killing(stages.rename_whole))
    num_starts = 0
    while True:
        num_starts += 1
        # Without a step forward a killed rename would be tried for ever.
        numbers.update(calls=0, kill_at=1 if moment == "after" else num_starts % 2 + 1)
        try:
            train(tmp_path)
        except Killed:
            continue
        break
    assert num_starts > 8
    assert_same(tmp_path, undisturbed)


def test_checkpoints_of_a_finished_stage_are_not_needed(train, undisturbed, tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, reporter=KillAt("st", 3))
    for name in ("mt_external", "mt_in_domain"):
        shutil.rmtree(tmp_path / "stages" / name / "checkpoints")

    class LastStageOnly:
        def update(self, stage, step, max_steps, figures):
            assert stage == "st"

    train(tmp_path, reporter=LastStageOnly())
    assert_same(tmp_path, undisturbed)


def test_a_finished_run_is_left_alone(train, undisturbed):
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*.safetensors")}
    before_record = untimed(undisturbed)

    class Unexpected:
        def update(self, *arguments):
            raise AssertionError("nothing is left to train")

    train(undisturbed, reporter=Unexpected())
    assert {p: p.stat().st_mtime_ns for p in undisturbed.rglob("*.safetensors")} == before
    assert untimed(undisturbed) == before_record


def test_kill_by_the_system(make_recipe, train, undisturbed, tmp_path):
    """A real SIGKILL, while the last stage trains and a checkpoint has been written."""
    (tmp_path / "recipe.yaml").write_text(dump_config(make_recipe()))
    program = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from horizon_st.config import load_config
        from horizon_st.training.stages import Recipe, run_recipe

        class Slow:
            def update(self, stage, step, max_steps, figures):
                print(stage, step, flush=True)
                if (stage, step) == ("st", 5):
                    time.sleep(600)

        run_recipe(load_config(Recipe, Path(sys.argv[1])), Path(sys.argv[2]), Slow())
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "recipe.yaml"), str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    with process:
        for line in process.stdout:
            if line.split() == ["st", "5"]:
                break
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    newest = sorted((tmp_path / "run/stages/st/checkpoints").glob("step-*"))[-1]
    assert newest.name == "step-00000004"
    train(tmp_path / "run")
    assert_same(tmp_path / "run", undisturbed)

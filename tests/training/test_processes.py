"""Two processes give the losses and weights of one process on the same global batches."""

import json
import os
import re
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from safetensors.numpy import load_file

from horizon_st.config import dump_config

SETTINGS = (
    "model.text_model.dropout=0",
    "objective.external_mt_weight=0",
    "objective.rdrop_weight=0",
    "data.max_batch_utterances=4",
    "data.max_batch_tokens=28",
    "stages.mt_in_domain.max_steps=0",
    *("model.speech_encoder.layers=1", "model.speech_encoder.d_model=16"),
    *("model.speech_encoder.ffn_dim=16", "model.speech_encoder.num_heads=2"),
    "model.speech_encoder.dropout=0",
    "model.ctc.position=speech_encoder",
    "model.ctc.unit=character",
    "stages.asr.max_steps=2",
    "stages.asr.average=1",
    "stages.st.metric=loss",
    "stages.st.freeze_speech_encoder_steps=3",
    "stages.st.clip_norm=1",
)
PROGRAM = """
    import faulthandler
    import sys
    from pathlib import Path
    from horizon_st.config import load_config
    from horizon_st.errors import UserError
    from horizon_st.training.stages import Recipe, run_recipe

    faulthandler.dump_traceback_later(90, exit=True)

    class Counting:
        num_calls = 0

        def update(self, stage, step, max_steps, figures):
            self.num_calls += 1

    for recipe, folder in zip(*[map(Path, sys.argv[1:])] * 2):
        reporter = Counting()
        try:
            run_recipe(load_config(Recipe, recipe), folder, reporter)
        except UserError as error:
            sys.stdout.write(f"UserError {error}\\n")
        sys.stdout.write(f"updates seen {reporter.num_calls}\\n")
"""


@pytest.fixture(scope="module")
def pair(make_recipe, train, tmp_path_factory):
    """Folders of runs by (processes, accumulation), and what two processes printed.

    After their two runs the processes try to train another recipe in the folder of the first.
    """
    folder = tmp_path_factory.mktemp("processes")
    runs, arguments = {}, []
    for accumulation in (1, 2):
        of_two, of_one = (
            [f"stages.{name}.accumulation={number}" for name in ("mt_external", "asr", "st")]
            for number in (accumulation, 2 * accumulation)
        )
        runs[1, accumulation] = train(folder / f"one{accumulation}", *SETTINGS, *of_one)
        runs[2, accumulation] = folder / f"two{accumulation}"
        recipe = folder / f"two{accumulation}.yaml"
        recipe.write_text(dump_config(make_recipe(*SETTINGS, *of_two)), encoding="utf-8")
        arguments += [recipe, runs[2, accumulation]]
    other = folder / "other.yaml"
    other.write_text(dump_config(make_recipe(*SETTINGS, "seed=5")), encoding="utf-8")
    return runs, _launch(folder, [*arguments, other, runs[2, 1]])


def _launch(folder, arguments):
    program = folder / "program.py"
    program.write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # With ACCELERATE_USE_CPU, --multi_gpu means several processes.
    launch = ["--multi_gpu", "--num_processes", "2", "--main_process_port", str(port)]
    finished = _accelerate(*launch, str(program), *map(str, arguments), ACCELERATE_USE_CPU="true")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def _accelerate(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        check=False,
    )


@pytest.mark.parametrize("accumulation", [1, 2])
def test_losses_and_weights_agree(pair, accumulation):
    runs, _ = pair
    one, two = (
        json.loads((runs[number, accumulation] / "record.json").read_text()) for number in (1, 2)
    )
    assert (one["num_processes"], two["num_processes"]) == (1, 2)
    for stage_one, stage_two in zip(one["stages"], two["stages"], strict=True):
        for kind in ("train_history", "dev_history"):
            assert len(stage_one[kind]) == len(stage_two[kind]) > 0
            for at_one, at_two in zip(stage_one[kind], stage_two[kind], strict=True):
                assert at_two == pytest.approx(at_one, rel=1e-4)
        assert stage_two["final"] == pytest.approx(stage_one["final"], rel=1e-4)
    weights_one, weights_two = (
        load_file(runs[number, accumulation] / "model" / "model.safetensors") for number in (1, 2)
    )
    assert weights_one.keys() == weights_two.keys()
    for name, value in weights_one.items():
        if name.endswith("k_proj.bias"):
            continue  # Softmax cancels it: its gradient is rounding, which Adam blows up.
        # As a whole: of a single element the gradient may be little more than rounding as well.
        difference = np.linalg.norm(weights_two[name] - value)
        assert difference <= 1e-4 * np.linalg.norm(value), name


def test_only_the_main_process_reports(pair):
    _, printed = pair
    counts = [line for line in printed.splitlines() if line.startswith("updates")]
    assert sorted(counts) == ["updates seen 0"] * 4 + ["updates seen 13"] * 2


def test_all_processes_raise_the_same_error(pair):
    _, printed = pair
    errors = [line for line in printed.splitlines() if line.startswith("UserError")]
    assert len(errors) == 2
    assert errors[0] == errors[1]
    assert "a run with seed 1 instead of 5" in errors[0]


def test_a_launcher_that_starts_one_process_of_two_is_refused(make_recipe, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_config(make_recipe(*SETTINGS)), encoding="utf-8")
    finished = _accelerate(
        *("--cpu", "--num_processes", "2", "-m", "horizon_st", "train", str(recipe)),
        *("--out", str(tmp_path / "run")),
    )
    assert finished.returncode != 0
    assert re.search(
        r"accelerate launch --cpu: expected the several processes.*found one.*--multi_gpu",
        finished.stderr,
    )
    assert not (tmp_path / "run" / "model").exists()

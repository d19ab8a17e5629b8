"""The command line from outside: its commands, its errors, its speed."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

from horizon_st.cli import app, main
from horizon_st.config import describe_config
from horizon_st.data.manifest import read_manifest
from horizon_st.errors import UserError
from horizon_st.training.stages import Recipe

COMMANDS = [
    "demo",
    "prepare",
    "validate",
    "new",
    "shard",
    "train",
    "keys",
    "evaluate",
    "compare",
    "search",
    "report",
    "translate",
    "serve",
    "export",
    "push",
]


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """A function: arguments -> the one message of a command that ends with status 2."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["horizon-st", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        [line] = shown.err.strip().splitlines()
        return line

    return run


def test_help_lists_the_commands():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    registered = [command.callback.__name__ for command in app.registered_commands]
    registered += [group.name for group in app.registered_groups]
    shown = re.findall(r"^\W*(\w+) {2,}\S", result.output.split("Commands")[1], re.MULTILINE)
    assert sorted(shown) == sorted(registered)
    assert shown == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(app, [command, "-h"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_keys_stand_whole_on_a_narrow_terminal():
    result = CliRunner().invoke(app, ["keys"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    shown = re.findall(r"^([\w.]+):", result.output, re.MULTILINE)
    assert shown == [row[0] for row in describe_config(Recipe)]


def test_keys_of_a_section():
    result = CliRunner().invoke(app, ["keys", "stages.st."])
    shown = re.findall(r"^([\w.]+):", result.output, re.MULTILINE)
    assert shown
    assert all(key.startswith("stages.st.") for key in shown)


def test_keys_of_an_unknown_section():
    with pytest.raises(UserError, match=r"objektive: expected the beginning of a key.*Leave it"):
        CliRunner().invoke(app, ["keys", "objektive"], catch_exceptions=False)


@pytest.mark.parametrize("part", ["announcements", "recorded"])
def test_prepare_writes_a_corpus_and_its_counts(part, tmp_path):
    out = tmp_path / "corpus"
    result = CliRunner().invoke(
        app, ["prepare", "telephone", str(out), "--target", "it", "--part", part]
    )
    assert result.exit_code == 0, result.output
    description = json.loads((out / "corpus.json").read_text(encoding="utf-8"))
    assert (description["part"], description["parameters"]["target"]) == (part, "it")
    for split in ("train", "dev", "test"):
        durations = [cut.duration for cut in read_manifest(out / f"{split}.jsonl")]
        hours = f"{sum(durations) / 3600:.2f}"
        assert re.search(rf"{split}\W+{len(durations)}\W+{re.escape(hours)}\W", result.output)
    num_pairs = len((out / "text_pairs.jsonl").read_text(encoding="utf-8").splitlines())
    assert (f"{num_pairs} text pairs" in result.output) == (part == "announcements")


def test_prepare_knows_the_names_of_corpora():
    result = CliRunner().invoke(app, ["prepare", "telefone", "out"])
    assert result.exit_code == 2
    assert "No such command 'telefone'" in result.output


def test_a_missing_recipe_is_one_message_and_status_2(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "horizon_st", "train", "telefone"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert re.fullmatch(
        r"Error: telefone: expected a YAML file, or the name of a shipped recipe \(.*\), "
        r"found no such file\. Check the path\.\n",
        result.stderr,
    )
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_in_a_recipe_is_one_message_and_status_2(refused, tmp_path):
    recipe = tmp_path / "my.yaml"
    recipe.write_text("name: x\nobjective:\n  rdrop_wieght: 3\n", encoding="utf-8")
    assert re.fullmatch(
        r"Error: .*my\.yaml: objective\.rdrop_wieght: expected one of the known keys \(.*\), "
        r"found unknown key 'rdrop_wieght'\. Did you mean 'rdrop_weight'\?",
        refused("train", recipe),
    )


def test_a_mistake_in_an_override_is_shown_with_its_brackets(refused, tmp_path):
    recipe = tmp_path / "my.yaml"
    recipe.write_text("name: x\ndata: {train: a, dev: b}\n", encoding="utf-8")
    assert refused("train", recipe, "data.augment.speeds=[bold]") == (
        "Error: override 'data.augment.speeds=[bold]': data.augment.speeds[0]: expected float, "
        "found bold. Correct the value; `horizon-st keys` lists every key with its type."
    )


def test_too_little_memory_is_one_message_that_names_the_keys(tmp_path, monkeypatch):
    def exceed(*_arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("horizon_st.training.stages.run_recipe", exceed)
    recipe = tmp_path / "my.yaml"
    recipe.write_text("name: x\ndata: {train: a, dev: b}\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["train", str(recipe)])
    assert isinstance(result.exception, UserError)
    assert re.fullmatch(
        r"runs/x: expected a run that fits the memory of the accelerator, found OutOfMemoryError: "
        r"CUDA out of memory\. Tried .*\. Lower data\.max_batch_s .* raise the stage's "
        r"accumulation .* another --out .*",
        str(result.exception),
    )


def test_of_several_processes_one_shows_the_error(tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    launch += ["--master_port", "0", "-m", "horizon_st", "train", "telefone"]
    result = subprocess.run(
        launch, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False, timeout=600
    )
    assert result.returncode != 0
    assert result.stderr.count("Error: telefone: expected") == 1


def test_an_error_of_another_process_alone_is_shown(refused, monkeypatch):
    monkeypatch.setattr("horizon_st.cli.is_main", False)
    monkeypatch.setattr("horizon_st.cli._WAIT_FOR_MAIN_S", 0.0)
    assert refused("train", "telefone").startswith("Error: telefone: expected")


@pytest.mark.parametrize(("rank", "is_silent"), [("0", False), ("1", True)])
def test_of_several_processes_one_prints(rank, is_silent):
    result = subprocess.run(
        [sys.executable, "-m", "horizon_st", "keys"],
        capture_output=True,
        encoding="utf-8",
        check=True,
        env=os.environ | {"RANK": rank},
    )
    assert (result.stdout == "") == is_silent


PROBE = (
    "import sys, {module}; print(sorted({{'torch', 'lhotse', 'transformers'}} & set(sys.modules)))"
)


@pytest.mark.parametrize("module", ["horizon_st", "horizon_st.cli"])
def test_importing_does_not_import_torch(module):
    program = PROBE.format(module=module)
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_help_does_not_import_torch():
    program = (
        "import sys, horizon_st.cli as cli; sys.argv = ['horizon-st', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'lhotse', 'transformers'} & set(sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "translate" in result.stdout


def test_keys_show_lists_in_brackets():
    page = CliRunner().invoke(app, ["keys"]).output
    assert "trackers: [tensorboard]  list[str]\n" in page

"""The command line from outside: its commands, its errors, its speed."""

import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from horizon_st.cli import app, main
from horizon_st.training.stages import Recipe


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
    listed = {command.callback.__name__ for command in app.registered_commands}
    assert listed == {"demo", "train", "keys", "evaluate", "compare", "translate"}
    shown = re.findall(r"^\W*(\w+) {2,}\S", result.output.split("Commands")[1], re.MULTILINE)
    assert shown == ["demo", "train", "keys", "evaluate", "compare", "translate"]


@pytest.mark.parametrize("command", ["demo", "train", "keys", "evaluate", "compare", "translate"])
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(app, [command, "-h"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_keys_lists_every_section():
    result = CliRunner().invoke(app, ["keys"], env={"COLUMNS": "300"})
    assert result.exit_code == 0
    for section in Recipe.__dataclass_fields__:
        assert section in result.output


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

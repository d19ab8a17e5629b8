"""The files for containers, which no test builds: linted, and true to the command."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from horizon_st.cli import app

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def instructions():
    """(INSTRUCTION, arguments) of the Dockerfile, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def test_hadolint_finds_nothing():
    lint = shutil.which("hadolint", path=Path(sys.executable).parent)
    result = subprocess.run([lint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (result.stdout, result.returncode) == ("", 0)


def test_the_image_copies_what_is_there_and_starts_the_command_as_nobody_special(instructions):
    copied = [word for name, words in instructions if name == "COPY" for word in words.split()[:-1]]
    assert copied
    assert all((ROOT / one).exists() for one in copied)
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{one}" for one in copied} <= {*allowed}
    last = dict(instructions)
    assert last["USER"] not in {"root", "0"}
    assert yaml.safe_load(last["ENTRYPOINT"]) == ["horizon-st", "serve"]
    options = [word for word in yaml.safe_load(last["CMD"]) if word.startswith("--")]
    shown = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).output
    assert all(re.search(rf"{option}\b", shown) for option in options)
    assert last["VOLUME"] == yaml.safe_load(last["CMD"])[0]
    assert "/healthz" in last["HEALTHCHECK"]


def test_compose_mounts_the_model_where_the_image_looks_for_it(instructions):
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    [service] = compose["services"].values()
    [volume] = service["volumes"]
    assert volume["type"] == "bind"
    assert volume["source"].startswith("${MODEL:?")
    assert (volume["target"], volume["read_only"]) == (dict(instructions)["VOLUME"], True)
    [port] = service["ports"]
    assert port.endswith(f":{dict(instructions)['EXPOSE']}")

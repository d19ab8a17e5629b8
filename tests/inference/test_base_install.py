"""Translating needs nothing that only an extra brings."""

import tomllib
from pathlib import Path

import soundfile
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def test_without_extras_a_file_is_translated(
    model_folder, speech, tmp_path, modules_beyond, run_without
):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    absent = modules_beyond([Requirement(x).name for x in project["dependencies"]], "horizon-st")
    assert {"fastapi", "gradio", "onnx", "pytest", "srt"} < set(absent)
    soundfile.write(tmp_path / "talk.wav", speech(4), 16_000)
    command = ("translate", model_folder, tmp_path / "talk.wav", "--beam-size", "1")
    result = run_without(absent, *command)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()

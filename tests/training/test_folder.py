"""One writer and one recipe per run folder, and nothing half-written stays."""

import subprocess
import sys

import pytest
import yaml

from horizon_st.errors import UserError
from horizon_st.training.devices import accelerated
from horizon_st.training.folder import run_folder


@pytest.fixture
def open_folder(make_recipe):
    """A function: (folder, overrides) -> None, after the folder was opened and closed."""

    def enter(folder, *overrides):
        recipe = make_recipe(*overrides)
        with accelerated(recipe, folder) as accelerator, run_folder(folder, recipe, accelerator):
            assert (folder / "recipe.yaml").is_file()

    return enter


@pytest.mark.parametrize(
    "trained", ["stages/st/checkpoints/step-00000002", "stages/st/model/config.json", "model"]
)
def test_another_recipe_is_refused_by_its_first_key(open_folder, tmp_path, trained):
    open_folder(tmp_path)
    (tmp_path / trained).mkdir(parents=True)
    open_folder(tmp_path)
    with pytest.raises(
        UserError,
        match=r"a run with stages\.st\.learning_rate 0\.01 instead of 0\.02\. Choose another --out",
    ):
        open_folder(tmp_path, "stages.st.learning_rate=2e-2")


def test_a_key_that_the_project_did_not_have_stood_at_its_default(open_folder, tmp_path):
    open_folder(tmp_path)
    (tmp_path / "model").mkdir()
    path = tmp_path / "recipe.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    del content["model"]["ctc"], content["objective"]["rdrop_from"]
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    open_folder(tmp_path)
    message = r"a run with model\.ctc\.unit 'piece' instead of 'character'"
    with pytest.raises(UserError, match=message):
        open_folder(tmp_path, "model.ctc.unit=character")


REMEDY = r"\. Remove this file if the recipe is still .*; or choose another --out\."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected the recipe of the run in this folder, found an empty file"),
        (b"- 1\n", r"expected the recipe of the run in this folder, found \[1\]"),
        (b"seed: [1\n", "expected YAML, found .* line 2"),
        (b"\xff\xfe", "expected UTF-8, found"),
    ],
)
def test_a_damaged_recipe_names_file_and_remedy(open_folder, tmp_path, content, message):
    open_folder(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "recipe.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"recipe\.yaml: " + message + ".*" + REMEDY):
        open_folder(tmp_path)
    (tmp_path / "recipe.yaml").unlink()
    open_folder(tmp_path)


def test_a_lock_that_cannot_be_written_is_named(open_folder, tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(UserError, match=r"\.lock: expected a file that can be written, found IsAD"):
        open_folder(tmp_path)


def test_a_corrected_recipe_takes_the_place_of_one_that_trained_nothing(open_folder, tmp_path):
    open_folder(tmp_path)
    (tmp_path / "stages/st/checkpoints/.partial-step-00000002").mkdir(parents=True)
    (tmp_path / "record.json").write_text("{}")
    open_folder(tmp_path, "seed=5")
    assert "seed: 5" in (tmp_path / "recipe.yaml").read_text().splitlines()
    assert not (tmp_path / "record.json").exists()


def test_a_second_writer_is_refused(open_folder, tmp_path):
    program = (
        "import fcntl, sys\n"
        "lock = open(sys.argv[1], 'w')\n"
        "fcntl.lockf(lock, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=r"found a lock held by another process\. Wait for it"):
            open_folder(tmp_path)
        holder.kill()
    open_folder(tmp_path)


def test_leftovers_of_a_kill_are_removed(open_folder, tmp_path):
    left = tmp_path / "stages" / "st" / "checkpoints" / ".partial-step-00000002"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    (tmp_path / ".partial-record.json").write_text("{")
    kept = left.with_name("step-00000001")
    kept.mkdir()
    open_folder(tmp_path)
    assert not [*tmp_path.rglob(".partial-*")]
    assert kept.is_dir()


def test_a_file_in_the_way_is_named(open_folder, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match=r"out: expected a folder that can be written, found FileE"):
        open_folder(tmp_path / "out")

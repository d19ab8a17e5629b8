"""Checkpoints are whole or absent, the right ones are kept, and averages are means."""

import json
import shutil

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.numpy import load_file
from torch import nn

from horizon_st.errors import UserError
from horizon_st.training.checkpoint import Checkpoints, Progress


class Counter(nn.Module):
    """One weight and one buffer of integers."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))


@pytest.fixture
def save(tmp_path):
    """A function: (losses, limits) -> Checkpoints after a save per loss, and an accelerator."""

    def run(losses, *, keep_newest=2, keep_best=1, higher_is_better=False):
        accelerator = Accelerator(cpu=True)
        module = accelerator.prepare(Counter())
        checkpoints = Checkpoints(
            tmp_path / "checkpoints",
            keep_newest=keep_newest,
            keep_best=keep_best,
            metric="loss",
            higher_is_better=higher_is_better,
        )
        progress = Progress()
        generator = np.random.default_rng(0)
        for step, loss in enumerate(losses, start=1):
            progress.step = step
            progress.dev_history.append({"step": step, "loss": loss})
            with torch.no_grad():
                module.weight.copy_(torch.from_numpy(generator.normal(size=3)))
                module.count.fill_(step)
            checkpoints.save(accelerator, progress)
        return checkpoints, accelerator

    return run


def steps_of(checkpoints):
    return [int(path.name.removeprefix("step-")) for path in sorted(checkpoints.folder.iterdir())]


@pytest.mark.parametrize(
    ("losses", "limits", "kept"),
    [
        ([5, 4, 3, 2, 1], {"keep_newest": 2, "keep_best": 1}, [4, 5]),
        ([5, 1, 3, 2, 4], {"keep_newest": 2, "keep_best": 1}, [2, 4, 5]),
        ([5, 1, 3, 2, 4], {"keep_newest": 1, "keep_best": 3}, [2, 3, 4, 5]),
        ([5, 1, 3, 1, 4], {"keep_newest": 1, "keep_best": 1}, [2, 5]),
        ([1, 5, 3, 2, 4], {"keep_newest": 1, "keep_best": 1, "higher_is_better": True}, [2, 5]),
        ([1, 2, 3], {"keep_newest": 9, "keep_best": 0}, [1, 2, 3]),
    ],
)
def test_newest_and_best_are_kept(save, losses, limits, kept):
    checkpoints, _ = save(losses, **limits)
    assert steps_of(checkpoints) == kept


@pytest.mark.parametrize(("select", "steps"), [("last", [3, 4, 5]), ("best", [2, 4, 3])])
def test_average_is_the_mean_of_the_chosen(save, select, steps):
    checkpoints, _ = save([5, 1, 3, 2, 4], keep_newest=5, keep_best=3)
    assert sorted(checkpoints.choose(3, select)) == sorted(steps)
    folders = [checkpoints.folder / f"step-{step:08d}" for step in steps]
    weights = [load_file(folder / "model.safetensors")["weight"] for folder in folders]
    average = checkpoints.average(checkpoints.choose(3, select))
    expected = np.mean(np.array(weights, dtype=np.float64), axis=0).astype(np.float32)
    np.testing.assert_array_equal(average["weight"].numpy(), expected)
    assert average["weight"].dtype == torch.float32
    assert average["count"] == {"last": 5, "best": 2}[select]


def test_average_of_fewer_than_asked_for(save):
    checkpoints, _ = save([2, 1], keep_newest=5)
    weights = [
        load_file(path / "model.safetensors")["weight"] for path in checkpoints.folder.iterdir()
    ]
    expected = np.mean(np.array(weights, dtype=np.float64), axis=0).astype(np.float32)
    chosen = checkpoints.choose(4, "last")
    assert chosen == [2, 1]
    np.testing.assert_array_equal(checkpoints.average(chosen)["weight"].numpy(), expected)


def test_half_written_checkpoints_are_no_checkpoints(save):
    checkpoints, accelerator = save([2, 1], keep_newest=5)
    partial = checkpoints.folder / ".partial-step-00000003"
    shutil.copytree(checkpoints.folder / "step-00000002", partial)
    assert checkpoints.load_newest(accelerator).step == 2


def test_random_states_come_back(save):
    checkpoints, accelerator = save([1])
    expected = torch.rand(3)
    torch.manual_seed(99)
    checkpoints.load_newest(accelerator)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", ["model.safetensors", "random_states_0.pkl", "progress.json"])
@pytest.mark.parametrize("damage", ["truncated", "garbage"])
def test_a_damaged_checkpoint_names_folder_and_remedy(save, name, damage):
    checkpoints, accelerator = save([2, 1])
    path = checkpoints.folder / "step-00000002" / name
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"\x00garbage")
    with pytest.raises(
        UserError,
        match=r"step-00000002: expected a readable checkpoint, found .* Remove",
    ):
        checkpoints.load_newest(accelerator)
    shutil.rmtree(path.parent)
    assert checkpoints.load_newest(accelerator).step == 1


def test_damaged_weights_are_not_averaged(save):
    checkpoints, _ = save([2, 1])
    (checkpoints.folder / "step-00000001" / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="step-00000001: expected a readable checkpoint"):
        checkpoints.average([2, 1])


def test_a_checkpoint_of_two_processes_is_refused(save):
    checkpoints, accelerator = save([1])
    folder = checkpoints.folder / "step-00000001"
    shutil.copy(folder / "random_states_0.pkl", folder / "random_states_1.pkl")
    with pytest.raises(
        UserError, match=r"a checkpoint of 1 processes.*found one of 2.*--num_processes 2"
    ):
        checkpoints.load_newest(accelerator)


def test_progress_survives_json(save):
    checkpoints, accelerator = save([2, 1])
    loaded = checkpoints.load_newest(accelerator)
    assert loaded.dev_history == [{"step": 1, "loss": 2}, {"step": 2, "loss": 1}]
    stored = json.loads((checkpoints.folder / "step-00000002" / "progress.json").read_text())
    assert Progress.from_dict(stored) == loaded


@pytest.mark.parametrize("num_bytes", [10, 300, 1000])
def test_a_full_disk_is_named_and_costs_only_what_is_being_written(
    save, file_size_limit, num_bytes
):
    checkpoints, accelerator = save([2, 1])
    written = {path.name: path.stat().st_size for path in checkpoints.folder.glob("*-00000002/*")}
    assert written["model.safetensors"] < 300 < 1000 < max(written.values())
    with (
        file_size_limit(num_bytes),
        pytest.raises(
            UserError,
            match=r"step-00000003: expected a folder .* with room for it, found \S+: .*Make room",
        ),
    ):
        checkpoints.save(accelerator, Progress(step=3))
    assert checkpoints.load_newest(accelerator).step == 2


def test_what_says_nothing_of_the_disk_is_no_full_disk(save, monkeypatch):
    checkpoints, accelerator = save([2, 1])

    def fail(_):
        raise RuntimeError("the other process has ended")

    monkeypatch.setattr(accelerator, "save_state", fail)
    with pytest.raises(RuntimeError, match="other process"):
        checkpoints.save(accelerator, Progress(step=3))


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, torch.AcceleratorError])
def test_what_the_device_lacks_is_no_damage(save, monkeypatch, kind):
    checkpoints, accelerator = save([2, 1])

    def fail(*_args, **_options):
        raise kind("CUDA out of memory")

    monkeypatch.setattr(accelerator, "load_state", fail)
    with pytest.raises(kind, match="out of memory"):
        checkpoints.load_newest(accelerator)
    monkeypatch.setattr(accelerator, "save_state", fail)
    with pytest.raises(kind, match="out of memory"):
        checkpoints.save(accelerator, Progress(step=3))
    monkeypatch.setattr("horizon_st.training.checkpoint.load_file", fail)
    with pytest.raises(kind, match="out of memory"):
        checkpoints.average([2, 1])

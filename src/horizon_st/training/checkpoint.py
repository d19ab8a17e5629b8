"""Checkpoints: written whole or not at all, the newest and the best kept, weights averaged."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.utils import load as load_pickle
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from horizon_st.data.files import partial_of
from horizon_st.data.sampling import Position
from horizon_st.errors import UserError, reason_of
from horizon_st.objective.adaptive import Agreement

_PROGRESS_FILE = "progress.json"
_WEIGHTS_FILE = "model.safetensors"
_RANDOM_FILE = "random_states_{}.pkl"
_PREFIX = "step-"
_NAME = _PREFIX + "{:08d}"
_UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, EOFError,
    SafetensorError, pickle.UnpicklingError,
)  # fmt: skip
_OF_THE_DEVICE = (torch.OutOfMemoryError, torch.AcceleratorError)
"""RuntimeErrors that say nothing about the file that is read."""
_TORCH_WRITER = "inline_container"
"""In the text of the RuntimeErrors that PyTorch raises for what it cannot write."""


@dataclass
class Progress:
    """Where a stage stands; with the weights and random states, all that resuming needs.

    Attributes:
        step: optimiser updates done.
        speech: position in the stream of triples.
        text: position in the stream of text pairs.
        num_without_gain: validations since the best one.
        wall_s: seconds spent training so far, over all interruptions.
        data_wait_s: those of them in which the main process waited for batches.
        train_history: one dictionary of training figures per logged step.
        dev_history: one dictionary of dev figures per validation.
        weights: of the objective, where they move (`objective.adaptive`).
        agreement: of each term that has such a weight.
    """

    step: int = 0
    speech: Position = field(default_factory=Position)
    text: Position = field(default_factory=Position)
    num_without_gain: int = 0
    wall_s: float = 0.0
    data_wait_s: float = 0.0
    train_history: list[dict[str, float]] = field(default_factory=list)
    dev_history: list[dict[str, float]] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    agreement: dict[str, Agreement] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Progress:
        """The progress that `asdict` wrote."""
        kept = {name: Agreement(**means) for name, means in values.get("agreement", {}).items()}
        streams = {name: Position(**values[name]) for name in ("speech", "text")}
        return cls(**values | streams | {"agreement": kept})


class Checkpoints:
    """The checkpoints of one stage, one folder each, in a place that all processes see.

    Args:
        folder: where they lie.
        keep_newest: how many of the newest to keep.
        keep_best: how many of the best to keep besides.
        metric: the key of `dev_history` that ranks them.
        higher_is_better: the direction of the metric.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep_newest: int,
        keep_best: int,
        metric: str,
        higher_is_better: bool,
    ) -> None:
        self.folder = folder
        self.keep_newest = keep_newest
        self.keep_best = keep_best
        self.metric = metric
        self.higher_is_better = higher_is_better

    def save(self, accelerator: Accelerator, progress: Progress) -> None:
        """Writes a checkpoint beside the others, then renames it: a kill leaves no half of one.

        Raises:
            UserError: it cannot be written.
        """
        final = self.folder / _NAME.format(progress.step)
        partial = partial_of(final)
        if accelerator.is_main_process:
            with writing(final):
                partial.mkdir(parents=True)
        accelerator.wait_for_everyone()
        with writing(final):
            accelerator.save_state(str(partial))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            text = json.dumps(asdict(progress))
            with writing(final):
                (partial / _PROGRESS_FILE).write_text(text, encoding="utf-8")
                rename_whole(partial, final)
            self._prune()
        accelerator.wait_for_everyone()

    def load_newest(self, accelerator: Accelerator) -> Progress:
        """Restores model, optimiser, schedule and random states; a fresh Progress if there is none.

        Raises:
            UserError: the newest checkpoint cannot be read, or other processes wrote it.
        """
        found = self._all()
        if not found:
            return Progress()
        newest = found[-1]
        num_then = len([*newest.glob(_RANDOM_FILE.format("*"))])
        if num_then != accelerator.num_processes:
            raise UserError(
                str(newest),
                expected=f"a checkpoint of {accelerator.num_processes} processes, as many as now",
                found=f"one of {num_then}",
                remedy=f"Continue with --num_processes {num_then}, or choose another --out.",
            )
        with _reading(newest):
            accelerator.load_state(str(newest))
            # accelerate goes on without random states that it cannot read.
            states = load_pickle(newest / _RANDOM_FILE.format(accelerator.process_index))
            if not torch.equal(states["torch_manual_seed"], torch.get_rng_state()):
                raise ValueError("random states that cannot be restored")
        return _read_progress(newest)

    def choose(self, number: int, select: Literal["last", "best"]) -> list[int]:
        """The steps of the last or the best `number` checkpoints, or of all if there are fewer.

        Raises:
            UserError: one of them cannot be read.
        """
        ranked = self._best_first() if select == "best" else self._all()[::-1]
        return [int(folder.name.removeprefix(_PREFIX)) for folder in ranked[:number]]

    def average(self, steps: Sequence[int]) -> dict[str, Tensor]:
        """The mean of the weights of the checkpoints of these steps.

        What is not a floating-point number comes from the first of them.

        Source: checkpoint averaging as in Vaswani et al. 2017, section 6.1.

        Raises:
            UserError: one of them cannot be read.
        """
        chosen = [self.folder / _NAME.format(step) for step in steps]
        assert chosen, "a stage saves at its end"
        first = _read_weights(chosen[0])
        total = {name: value.double() for name, value in first.items() if value.is_floating_point()}
        for folder in chosen[1:]:
            weights = _read_weights(folder)
            for name, value in total.items():
                value += weights[name]
        return first | {
            name: (value / len(chosen)).to(first[name].dtype) for name, value in total.items()
        }

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob(f"{_PREFIX}*"))

    def _best_first(self) -> list[Path]:
        """All checkpoints, best first; ties go to the earlier one."""
        sign = -1 if self.higher_is_better else 1
        scores = {
            folder: sign * _read_progress(folder).dev_history[-1][self.metric]
            for folder in self._all()
        }
        return sorted(scores, key=lambda folder: scores[folder])

    def _prune(self) -> None:
        kept = {*self._all()[-self.keep_newest :], *self._best_first()[: self.keep_best]}
        for folder in self._all():
            if folder not in kept:
                # Renamed first, so that a kill never leaves half a checkpoint under its name.
                shutil.rmtree(folder.rename(partial_of(folder)))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """A context in which a file that cannot be written is a message that says what to do.

    Raises:
        UserError: in place of what the libraries that write weights raise then.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if isinstance(error, RuntimeError) and _TORCH_WRITER not in str(error):
            raise
        raise UserError(
            str(folder),
            expected="a folder that can be written, on a disk with room for it",
            found=reason_of(error),
            remedy="Make room, then give the same command again to continue.",
        ) from error


def rename_whole(partial: Path, final: Path) -> None:
    """Gives a complete folder its name, after its files have reached the disk."""
    for path in [*partial.rglob("*"), partial]:
        _flush(path)
    partial.rename(final)
    _flush(final.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_progress(folder: Path) -> Progress:
    with _reading(folder):
        text = (folder / _PROGRESS_FILE).read_text(encoding="utf-8")
        return Progress.from_dict(json.loads(text))


def _read_weights(folder: Path) -> dict[str, Tensor]:
    with _reading(folder):
        return load_file(folder / _WEIGHTS_FILE)


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """A context in which what goes wrong is the checkpoint's fault, unless it is the device's."""
    try:
        yield
    except _OF_THE_DEVICE:
        raise
    except _UNREADABLE as error:
        raise UserError(
            str(folder),
            expected="a readable checkpoint",
            found=reason_of(error),
            remedy="Remove this folder to continue from the checkpoint before it.",
        ) from error

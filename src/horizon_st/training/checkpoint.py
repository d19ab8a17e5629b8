"""Checkpoints: written whole or not at all, the newest and the best kept, weights averaged."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from horizon_st.data.sampling import Position
from horizon_st.errors import UserError

_PROGRESS_FILE = "progress.json"
_WEIGHTS_FILE = "model.safetensors"
_PREFIX = "step-"


@dataclass
class Progress:
    """Where a stage stands; with the weights and random states, all that resuming needs.

    Attributes:
        step: optimiser updates done.
        speech: position in the stream of triples.
        text: position in the stream of text pairs.
        num_without_gain: validations since the best one.
        wall_s: seconds spent training so far, over all interruptions.
        train_history: one dictionary of training figures per logged step.
        dev_history: one dictionary of dev figures per validation.
    """

    step: int = 0
    speech: Position = field(default_factory=Position)
    text: Position = field(default_factory=Position)
    num_without_gain: int = 0
    wall_s: float = 0.0
    train_history: list[dict[str, float]] = field(default_factory=list)
    dev_history: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Progress:
        """The progress that `asdict` wrote."""
        return cls(
            **values | {"speech": Position(**values["speech"]), "text": Position(**values["text"])}
        )


class Checkpoints:
    """The checkpoints of one stage, one folder each.

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
        """Writes a checkpoint beside the others, then renames it: a kill leaves no half of one."""
        final = self.folder / f"{_PREFIX}{progress.step:08d}"
        partial = self.folder / f".partial-{final.name}"
        if accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(partial))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            write_atomically(partial / _PROGRESS_FILE, json.dumps(asdict(progress)))
            _flush(partial)
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
            self._prune()
        accelerator.wait_for_everyone()

    def load_newest(self, accelerator: Accelerator) -> Progress:
        """Restores model, optimiser, schedule and random states; a fresh Progress if there is none.

        Raises:
            UserError: the newest checkpoint cannot be read.
        """
        found = self._all()
        if not found:
            return Progress()
        newest = found[-1]
        try:
            accelerator.load_state(str(newest))
            return Progress.from_dict(json.loads((newest / _PROGRESS_FILE).read_text()))
        except (OSError, ValueError, KeyError, RuntimeError, EOFError, SafetensorError) as error:
            raise UserError(
                str(newest),
                expected="a readable checkpoint",
                found=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
                remedy="Remove this folder to continue from the checkpoint before it.",
            ) from error

    def average(self, number: int, select: Literal["last", "best"]) -> dict[str, Tensor]:
        """The mean of the weights of the last or the best `number` checkpoints.

        Source: checkpoint averaging as in Vaswani et al. 2017, section 6.1.
        """
        ranked = self._best_first() if select == "best" else self._all()[::-1]
        chosen = ranked[:number]
        assert chosen, "a stage saves at its end"
        total: dict[str, Tensor] = {}
        dtypes: dict[str, torch.dtype] = {}
        for folder in chosen:
            for name, value in load_file(folder / _WEIGHTS_FILE).items():
                dtypes[name] = value.dtype
                wide = value.double() if value.is_floating_point() else value
                total[name] = total[name] + wide if name in total else wide
        return {
            name: (value / len(chosen)).to(dtypes[name]) if value.is_floating_point() else value
            for name, value in total.items()
        }

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob(f"{_PREFIX}*"))

    def _best_first(self) -> list[Path]:
        """Checkpoints that were validated, best first; ties go to the earlier one."""
        scored = []
        for folder in self._all():
            history = json.loads((folder / _PROGRESS_FILE).read_text())["dev_history"]
            step = int(folder.name.removeprefix(_PREFIX))
            if history and history[-1]["step"] == step:
                scored.append((history[-1][self.metric], folder))
        sign = -1 if self.higher_is_better else 1
        return [folder for _, folder in sorted(scored, key=lambda item: sign * item[0])]

    def _prune(self) -> None:
        kept = {*self._all()[-self.keep_newest :], *self._best_first()[: self.keep_best]}
        for folder in self._all():
            if folder not in kept:
                # Renamed first, so that a kill never leaves half a checkpoint under its name.
                doomed = folder.rename(folder.with_name(f".partial-{folder.name}"))
                shutil.rmtree(doomed)


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Writes a safetensors file."""
    save_file(weights, path, metadata={"format": "pt"})


def write_atomically(path: Path, text: str) -> None:
    """Replaces a text file in one step: a reader sees the old or the new content, never a part."""
    partial = path.with_name(f".partial-{path.name}")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())

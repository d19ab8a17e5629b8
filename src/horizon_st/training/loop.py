"""The training loop of one stage: batches -> updates, validations and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import get_scheduler

from horizon_st.data.sampling import BatchStream
from horizon_st.errors import UserError
from horizon_st.training.checkpoint import Checkpoints, Progress
from horizon_st.training.step import MicroBatch, TrainingStep

_SCHEDULERS = {
    "inverse_sqrt": "inverse_sqrt",
    "cosine": "cosine",
    "constant": "constant_with_warmup",
}


@dataclass
class StageConfig:
    """One stage of training: how long, how fast, when to look and what to keep."""

    max_steps: int = field(
        default=10_000, metadata={"help": "optimiser updates; 0 skips the stage"}
    )
    learning_rate: float = field(default=1e-4, metadata={"help": "the highest"})
    schedule: Literal["inverse_sqrt", "cosine", "constant"] = field(
        default="inverse_sqrt", metadata={"help": "after the warm-up"}
    )
    warmup_steps: int = field(default=4000, metadata={"help": "linear rise from 0"})
    weight_decay: float = field(default=1e-4, metadata={"help": "decoupled (AdamW)"})
    beta2: float = field(default=0.98, metadata={"help": "Adam's; beta1 is 0.9"})
    clip_norm: float = field(default=10.0, metadata={"help": "gradient norm; 0 switches it off"})
    accumulation: int = field(default=1, metadata={"help": "micro-batches per update and process"})
    validate_every_steps: int = field(default=1000, metadata={"help": "validation and checkpoint"})
    metric: Literal["bleu", "loss"] = field(
        default="loss", metadata={"help": "dev figure that ranks checkpoints and stops training"}
    )
    patience: int = field(
        default=0, metadata={"help": "validations without gain before stopping; 0 never stops"}
    )
    keep_newest: int = field(default=10, metadata={"help": "checkpoints"})
    keep_best: int = field(default=1, metadata={"help": "checkpoints, besides the newest"})
    average: int = field(default=10, metadata={"help": "checkpoints averaged at the end"})
    average_of: Literal["last", "best"] = field(default="last", metadata={"help": "which"})
    log_every_steps: int = field(default=50, metadata={"help": "of training figures"})

    def __post_init__(self) -> None:
        kept = self.keep_newest if self.average_of == "last" else self.keep_best
        if self.average > kept:
            name = "keep_newest" if self.average_of == "last" else "keep_best"
            raise UserError(
                "stage.average",
                expected=f"at most {name}, since only kept checkpoints can be averaged",
                found=f"average {self.average} with {name} {kept}",
                remedy=f"Set {name} to {self.average}.",
            )
        for name in ("accumulation", "validate_every_steps", "log_every_steps", "average"):
            if getattr(self, name) < 1:
                raise UserError(
                    f"stage.{name}",
                    expected="at least 1",
                    found=getattr(self, name),
                    remedy="Set max_steps to 0 to skip the stage.",
                )
        if self.learning_rate <= 0:
            raise UserError(
                "stage.learning_rate",
                expected="a positive number",
                found=self.learning_rate,
                remedy="1e-4 is usual for ST, 7e-4 for MT from scratch.",
            )


class Reporter(Protocol):
    """Shows where training stands."""

    def update(self, stage: str, step: int, max_steps: int, figures: dict[str, float]) -> None:
        """Called after every update, with the newest figures."""


@dataclass
class Streams:
    """The batches of a stage; at least one of the two."""

    speech: BatchStream | None
    text: BatchStream | None

    def __post_init__(self) -> None:
        self._endless_text = self.text.endless() if self.text is not None else iter(())

    def steps_of_epoch(self, accumulation: int) -> Iterator[list[MicroBatch]]:
        """Groups of micro-batches, one group per update; the last group of an epoch may be smaller.

        With both streams, speech sets the epochs and each micro-batch also gets the next text
        pairs.
        """
        if self.speech is None:
            assert self.text is not None, "a stage has data"
            micros = (MicroBatch(text=batch) for batch in self.text.rest_of_epoch())
        elif self.text is None:
            micros = (MicroBatch(speech=batch) for batch in self.speech.rest_of_epoch())
        else:
            pairs = zip(self.speech.rest_of_epoch(), self._endless_text, strict=False)
            micros = (MicroBatch(speech, text) for speech, text in pairs)
        while group := list(islice(micros, accumulation)):
            yield group


class Loop:
    """Trains one stage from its newest checkpoint, or from the start, to its end.

    Collaborators:
        step: model and objective.
        streams: training batches.
        validate: the dev figures of the current weights; must contain the stage's metric.
        checkpoints: where the stage's state lies.
        accelerator: devices, precision, processes, trackers.
        reporter: shows progress.
        on_validation: called with the progress after each validation and checkpoint.
    """

    def __init__(
        self,
        name: str,
        config: StageConfig,
        *,
        step: TrainingStep,
        streams: Streams,
        validate: Callable[[], dict[str, float]],
        checkpoints: Checkpoints,
        accelerator: Accelerator,
        reporter: Reporter,
        on_validation: Callable[[Progress], None],
    ) -> None:
        self.name = name
        self.config = config
        self.streams = streams
        self.validate = validate
        self.checkpoints = checkpoints
        self.accelerator = accelerator
        self.reporter = reporter
        self.on_validation = on_validation
        trained = [parameter for parameter in step.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            trained,
            lr=config.learning_rate,
            betas=(0.9, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )
        scheduler = get_scheduler(
            _SCHEDULERS[config.schedule], optimizer, config.warmup_steps, config.max_steps
        )
        self.step, self.optimizer, self.scheduler = accelerator.prepare(step, optimizer, scheduler)
        self.progress = Progress()
        self._sums: dict[str, Tensor] = {}
        self._figures: dict[str, float] = {}

    @property
    def stopped_early(self) -> bool:
        """Whether patience has run out."""
        patience = self.config.patience
        return patience > 0 and self.progress.num_without_gain >= patience

    def run(self) -> Progress:
        """The progress at the end of the stage."""
        self.progress = self.checkpoints.load_newest(self.accelerator)
        for stream, position in (
            (self.streams.speech, self.progress.speech),
            (self.streams.text, self.progress.text),
        ):
            if stream is not None:
                stream.position = position
        started = time.monotonic() - self.progress.wall_s
        self.step.train()
        while not self._is_finished():
            for micros in self.streams.steps_of_epoch(self.config.accumulation):
                self._update(micros)
                self.progress.wall_s = time.monotonic() - started
                if self._is_due(self.config.validate_every_steps):
                    self._validate_and_save()
                if self._is_finished():
                    break
        return self.progress

    def _is_finished(self) -> bool:
        return self.progress.step >= self.config.max_steps or self.stopped_early

    def _is_due(self, every_steps: int) -> bool:
        """Validation steps log too, so that a resumed run writes the same figures."""
        step, config = self.progress.step, self.config
        return 0 in (step % every_steps, step % config.validate_every_steps) or (
            step == config.max_steps
        )

    def _update(self, micros: list[MicroBatch]) -> None:
        accelerator = self.accelerator
        own = torch.tensor([micro.num_tokens for micro in micros]).sum(dim=0)
        counts = accelerator.reduce(own.to(accelerator.device), "sum")
        for index, micro in enumerate(micros):
            is_last = index == len(micros) - 1
            with nullcontext() if is_last else accelerator.no_sync(self.step):
                loss, sums = self.step(micro.to(accelerator.device), *counts.clamp_min(1))
                # Distributed training averages gradients over processes; the objective is a sum.
                accelerator.backward(loss * accelerator.num_processes)
            for name, value in sums.items():
                self._sums[name] = self._sums.get(name, 0.0) + value.double()
        norm = accelerator.clip_grad_norm_(
            self.step.parameters(), self.config.clip_norm or math.inf
        )
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad()
        self.progress.step += 1
        for name, count in zip(("speech", "text"), counts, strict=True):
            key = f"tokens_{name}"
            self._sums[key] = self._sums.get(key, 0) + count.double()
        if self._is_due(self.config.log_every_steps) or self.progress.step == 1:
            self._log(float(norm))
        self.reporter.update(self.name, self.progress.step, self.config.max_steps, self._figures)

    def _log(self, norm: float) -> None:
        """Each term per target token since the last time, over all processes."""
        names = sorted(name for name in self._sums if not name.startswith("tokens_"))
        local = torch.stack([self._sums[name] for name in names])
        totals = dict(zip(names, self.accelerator.reduce(local, "sum").tolist(), strict=True))
        counts = {name: float(self._sums[f"tokens_{name}"]) for name in ("speech", "text")}
        entry = {
            name: total / counts["text" if name == "external_mt" else "speech"]
            for name, total in totals.items()
        }
        entry["learning_rate"] = self.scheduler.get_last_lr()[0]
        entry["gradient_norm"] = norm
        if not all(math.isfinite(entry[name]) for name in names):
            raise UserError(
                f"stage {self.name}, step {self.progress.step}",
                expected="a finite loss",
                found=", ".join(f"{name} {entry[name]}" for name in names),
                remedy="Lower learning_rate, set clip_norm, or train with precision fp32; "
                "the newest checkpoint is intact.",
            )
        self._sums = {}
        self._record("train", self.progress.train_history, entry)

    def _validate_and_save(self) -> None:
        before = [entry[self.config.metric] for entry in self.progress.dev_history]
        found = self.validate()
        self.step.train()
        sign = 1 if self.config.metric == "bleu" else -1
        is_gain = not before or sign * found[self.config.metric] > max(sign * b for b in before)
        self.progress.num_without_gain = 0 if is_gain else self.progress.num_without_gain + 1
        self._record("dev", self.progress.dev_history, found)
        for stream, name in ((self.streams.speech, "speech"), (self.streams.text, "text")):
            if stream is not None:
                setattr(self.progress, name, stream.position)
        self.checkpoints.save(self.accelerator, self.progress)
        self.on_validation(self.progress)

    def _record(self, kind: str, history: list[dict[str, float]], entry: dict[str, float]) -> None:
        history.append({"step": self.progress.step, **entry})
        shown = {f"{kind}_{name}": value for name, value in entry.items()}
        self._figures = self._figures | shown
        self.accelerator.log(
            {f"{self.name}/{name}": value for name, value in shown.items()},
            step=self.progress.step,
        )

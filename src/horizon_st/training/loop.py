"""The training loop of one stage: batches -> updates, validations and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import get_scheduler

from horizon_st.data.sampling import BatchStream
from horizon_st.errors import UserError
from horizon_st.objective.token_terms import PAIR_TERMS
from horizon_st.training.adaptation import Adaptation
from horizon_st.training.checkpoint import Checkpoints, Progress
from horizon_st.training.optimizers import make_optimizers
from horizon_st.training.recipe import StageConfig
from horizon_st.training.step import MicroBatch

_SCHEDULERS = {
    "inverse_sqrt": "inverse_sqrt",
    "cosine": "cosine",
    "constant": "constant_with_warmup",
}


class DivergedError(UserError):
    """Losses are no numbers any more: the settings are too bold for this data."""


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

    @property
    def epoch_of_speech(self) -> int:
        """The current one, from 0; 0 in stages without speech."""
        return self.speech.position.epoch if self.speech is not None else 0

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
            speech = self.speech.rest_of_epoch()
            pairs = zip(speech, self._endless_text, strict=False)
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
        first_step: where the stage begins on the trackers' axis, which counts on over the stages.
        adaptation: moves the weights of the objective, if they move.
    """

    def __init__(
        self,
        name: str,
        config: StageConfig,
        *,
        step: nn.Module,
        streams: Streams,
        validate: Callable[[], dict[str, float]],
        checkpoints: Checkpoints,
        accelerator: Accelerator,
        reporter: Reporter,
        on_validation: Callable[[Progress], None],
        first_step: int = 0,
        adaptation: Adaptation | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.streams = streams
        self.validate = validate
        self.checkpoints = checkpoints
        self.accelerator = accelerator
        self.reporter = reporter
        self.on_validation = on_validation
        self.first_step = first_step
        self.adaptation = adaptation
        optimizers = make_optimizers(step, config)
        schedulers = [
            get_scheduler(_SCHEDULERS[config.schedule], each, config.warmup_steps, config.max_steps)
            for each in optimizers
        ]
        self.step, *prepared = accelerator.prepare(step, *optimizers, *schedulers)
        self.optimizers = prepared[: len(optimizers)]
        self.schedulers = prepared[len(optimizers) :]
        self.progress = Progress()
        self._sums: dict[str, Tensor] = {}
        self._num_tokens: dict[str, Tensor] = {}
        self._figures: dict[str, float] = {}
        self._started = 0.0

    @property
    def stopped_early(self) -> bool:
        """Whether patience has run out before the last step."""
        return self._has_lost_patience() and self.progress.step < self.config.max_steps

    def run(self) -> Progress:
        """The progress at the end of the stage."""
        self.progress = self.checkpoints.load_newest(self.accelerator)
        for stream, position in (
            (self.streams.speech, self.progress.speech),
            (self.streams.text, self.progress.text),
        ):
            if stream is not None:
                stream.position = replace(position)
        for kind, history in (
            ("train", self.progress.train_history),
            ("dev", self.progress.dev_history),
        ):
            self._show(kind, history[-1] if history else {})
        if self.adaptation is not None:
            self.adaptation.resume(self.progress)
        self._started = time.monotonic() - self.progress.wall_s
        self.step.train()
        while not self._is_finished():
            for micros in self._steps_of_epoch():
                self._update(micros)
                if self._is_due(self.config.validate_every_steps):
                    self._validate_and_save()
                if self._is_finished():
                    break
        return self.progress

    def _steps_of_epoch(self) -> Iterator[list[MicroBatch]]:
        """Those of the streams; how long they let the loop wait goes into the progress."""
        steps = self.streams.steps_of_epoch(self.config.accumulation)
        while True:
            started = time.monotonic()
            micros = next(steps, None)
            self.progress.data_wait_s += time.monotonic() - started
            if micros is None:
                return
            yield micros

    def _is_finished(self) -> bool:
        return self.progress.step >= self.config.max_steps or self._has_lost_patience()

    def _has_lost_patience(self) -> bool:
        return 0 < self.config.patience <= self.progress.num_without_gain

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
        is_frozen = self.progress.step < self.config.freeze_speech_encoder_steps
        if self.adaptation is not None:
            self.adaptation.before_update(
                self.progress,
                micros[0].to(accelerator.device),
                self.optimizers,
                epoch=self.streams.epoch_of_speech,
                train_speech_encoder=not is_frozen,
            )
        names: set[str] = set()
        for index, micro in enumerate(micros):
            is_last = index == len(micros) - 1
            with nullcontext() if is_last else accelerator.no_sync(self.step):
                loss, sums = self.step(
                    micro.to(accelerator.device),
                    *counts.clamp_min(1),
                    update=self.progress.step,
                    epoch=self.streams.epoch_of_speech,
                    train_speech_encoder=not is_frozen,
                )
                # Distributed training averages gradients over processes; the objective is a sum.
                accelerator.backward(loss * accelerator.num_processes)
            for name, value in sums.items():
                self._sums[name] = self._sums.get(name, 0.0) + value.double()
            names |= sums.keys()
        norm = accelerator.clip_grad_norm_(
            self.step.parameters(), self.config.clip_norm or math.inf
        )
        learning_rate = self.schedulers[0].get_last_lr()[0]
        for optimizer, scheduler in zip(self.optimizers, self.schedulers, strict=True):
            optimizer.step()
            if not optimizer.step_was_skipped:
                scheduler.step()
            optimizer.zero_grad()
        self.progress.step += 1
        num_speech_tokens, num_text_tokens = counts.double()
        for name in names:
            count = num_text_tokens if name in PAIR_TERMS else num_speech_tokens
            self._num_tokens[name] = self._num_tokens.get(name, 0.0) + count
        if self._is_due(self.config.log_every_steps) or self.progress.step == 1:
            self._log(learning_rate, float(norm))
        if accelerator.is_main_process:
            step, last = self.progress.step, self.config.max_steps
            self.reporter.update(self.name, step, last, self._figures)

    def _log(self, learning_rate: float, norm: float) -> None:
        """Terms per target token and the share CTC aligned, since then, over all processes.

        A term counts the tokens of the updates that had it: CTC may begin within the window.
        """
        names = sorted(self._sums)
        local = torch.stack([self._sums[name] for name in names])
        totals = dict(zip(names, self.accelerator.reduce(local, "sum").tolist(), strict=True))
        num_tokens = torch.stack([self._num_tokens[name] for name in names]).tolist()
        counts = dict(zip(names, num_tokens, strict=True))
        num_transcripts = totals.pop("ctc_transcripts", 0.0)
        num_aligned = totals.pop("ctc_aligned", 0.0)
        entry = {name: total / counts[name] for name, total in totals.items()}
        if num_transcripts > 0:
            entry["ctc_aligned"] = num_aligned / num_transcripts
        self._check_finite(entry)
        entry["learning_rate"] = learning_rate
        entry |= self.progress.weights
        entry |= {f"{name}_agreement": x.mean for name, x in self.progress.agreement.items()}
        if math.isfinite(norm):  # fp16 skips updates until its loss scale fits
            entry["gradient_norm"] = norm
        self._sums, self._num_tokens = {}, {}
        self._record("train", self.progress.train_history, entry)

    def _validate_and_save(self) -> None:
        before = [entry[self.config.metric] for entry in self.progress.dev_history]
        found = self.validate()
        self._check_finite(found)
        self.step.train()
        sign = 1 if self.config.metric == "bleu" else -1
        is_gain = not before or sign * found[self.config.metric] > max(sign * b for b in before)
        self.progress.num_without_gain = 0 if is_gain else self.progress.num_without_gain + 1
        self._record("dev", self.progress.dev_history, found)
        for stream, name in ((self.streams.speech, "speech"), (self.streams.text, "text")):
            if stream is not None:
                setattr(self.progress, name, replace(stream.position))
        self.progress.wall_s = time.monotonic() - self._started
        self.checkpoints.save(self.accelerator, self.progress)
        self.on_validation(self.progress)

    def _check_finite(self, figures: dict[str, float]) -> None:
        if not all(math.isfinite(value) for value in figures.values()):
            raise DivergedError(
                f"stage {self.name}, step {self.progress.step}",
                expected="a finite loss",
                found=", ".join(f"{name} {value}" for name, value in figures.items()),
                remedy="Lower learning_rate, set clip_norm, or train with precision fp32, in "
                "another folder; the newest checkpoint here is from before.",
            )

    def _record(self, kind: str, history: list[dict[str, float]], entry: dict[str, float]) -> None:
        history.append({"step": self.progress.step, **entry})
        self._show(kind, entry)
        self.accelerator.log(
            {f"{self.name}/{kind}_{name}": value for name, value in entry.items()},
            step=self.first_step + self.progress.step,
        )

    def _show(self, kind: str, entry: dict[str, float]) -> None:
        shown = {f"{kind}_{name}": value for name, value in entry.items() if name != "step"}
        self._figures = self._figures | shown

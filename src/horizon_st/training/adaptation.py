"""Moves the weights of the objective while it is trained, by the loss of held-out utterances."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor

from horizon_st.data.audio import Cut
from horizon_st.errors import UserError
from horizon_st.model.passes import run_passes
from horizon_st.objective.adaptive import ADAPTED, Agreement
from horizon_st.objective.objective import validation_loss
from horizon_st.training.checkpoint import Progress
from horizon_st.training.dev_batches import DevBatches
from horizon_st.training.dropout import FastDropout
from horizon_st.training.step import MicroBatch, TrainingStep

Gradients = Sequence[Tensor | None]


class Adaptation:
    """The moves of one stage.

    Args:
        step: whose objective is changed.
        held_out: utterances that nothing else measures, over and over.
        accelerator: precision and processes.
    """

    def __init__(self, step: TrainingStep, held_out: DevBatches, accelerator: Accelerator) -> None:
        self._step = step
        self._config = step.objective.adaptive
        self._accelerator = accelerator
        self._held_out = itertools.cycle([batch for _, batch in held_out])
        self._parameters = [p for p in step.parameters() if p.requires_grad]

    def resume(self, progress: Progress) -> None:
        """Puts the weights where the progress has them, and the next held-out batch in its turn."""
        self._step.objective = self._step.objective.weighted(progress.weights)
        num_moves = -(-progress.step // self._config.every_steps)
        for _ in range(num_moves):
            next(self._held_out)

    def before_update(
        self,
        progress: Progress,
        micro: MicroBatch,
        optimizers: Sequence[torch.optim.Optimizer],
        *,
        epoch: int,
        train_speech_encoder: bool,
    ) -> None:
        """Moves the weights if it is time to, and notes them in the progress.

        Args:
            progress: of the stage.
            micro: of the update that comes, with speech.
            optimizers: that will make it.
            epoch: of the speech, from 0.
            train_speech_encoder: whether gradients reach it.
        """
        if progress.step % self._config.every_steps:
            return
        held_out = self._held_out_gradients()
        assert micro.speech is not None, "stage st has speech"
        with self._accelerator.autocast(), FastDropout():
            report = self._step.speech_report(
                micro.speech, self._step.objective, epoch, train_speech_encoder
            )
        scales = scales_of(self._parameters, optimizers)
        names = [name for name in ADAPTED if name in report.terms and report.weights[name]]
        found = []
        for name in names:
            term, _ = report.terms[name]
            gradients = torch.autograd.grad(
                term, self._parameters, retain_graph=True, allow_unused=True
            )
            found.append(cosine(held_out, gradients, scales))
        shared = self._accelerator.reduce(torch.stack(found), "mean").tolist()
        for name, value in zip(names, shared, strict=True):
            agreement = Agreement.after(progress.agreement.get(name), value, self._config.memory)
            weight = ADAPTED[name]
            before = getattr(self._step.objective, weight)
            progress.agreement[name] = agreement
            progress.weights[weight] = self._config.moved(weight, before, agreement)
        self._step.objective = self._step.objective.weighted(progress.weights)

    def _held_out_gradients(self) -> Gradients:
        """Of the plain cross-entropy of speech, without dropout."""
        translator = self._step.translator
        batch = next(self._held_out).to(self._accelerator.device)
        was_training = translator.training
        translator.eval()
        try:
            with self._accelerator.autocast():
                [speech], _ = run_passes(
                    translator,
                    speech=batch.speech,
                    speech_lengths=batch.speech_lengths,
                    transcript=batch.transcript,
                    target=batch.target,
                    num_speech=1,
                    num_text=0,
                )
            loss, _ = validation_loss(speech, batch.target, pad_id=translator.config.pad_token_id)
            return torch.autograd.grad(loss, self._parameters, allow_unused=True)
        finally:
            translator.train(was_training)


def split_dev(cuts: Sequence[Cut], share: float) -> tuple[list[Cut], list[Cut]]:
    """The utterances that are measured, and those that the weights follow, by a hash of their ids.

    Raises:
        UserError: one of the two would be empty.
    """
    by_hash = sorted(cuts, key=lambda cut: hashlib.sha256(cut.id.encode()).digest())
    number = round(share * len(by_hash))
    if not 0 < number < len(by_hash):
        raise UserError(
            "objective.adaptive.share_of_dev",
            expected=f"a share that parts the {len(by_hash)} dev utterances",
            found=share,
            remedy="Half of a larger dev set will do.",
        )
    return by_hash[number:], by_hash[:number]


def scales_of(
    parameters: Sequence[Tensor], optimizers: Sequence[torch.optim.Optimizer]
) -> list[Tensor | float]:
    """What an optimiser multiplies each gradient by before the learning rate, as far as it knows.

    AdamW by one over the root of its second moment; Muon makes a matrix' update equally large
    whatever its gradient, which one over the root mean square of its momentum stands for. 1 before
    the first update.
    """
    states = {
        id(parameter): state for each in optimizers for parameter, state in each.state.items()
    }

    def scale(parameter: Tensor) -> Tensor | float:
        state = states.get(id(parameter), {})
        if "exp_avg_sq" in state:
            adam: Tensor = 1 / (state["exp_avg_sq"].sqrt() + 1e-8)
            return adam
        if "momentum_buffer" in state:
            return 1 / (float(state["momentum_buffer"].square().mean().sqrt()) + 1e-8)
        return 1.0

    return [scale(parameter) for parameter in parameters]


def cosine(left: Gradients, right: Gradients, scales: Sequence[Tensor | float]) -> Tensor:
    """Of two gradients, in the metric of the scales; 0 where one is 0."""

    def product(a: Gradients, b: Gradients) -> Tensor:
        parts = [
            (x.float() * y.float() * scale).sum()
            for x, y, scale in zip(a, b, scales, strict=True)
            if x is not None and y is not None
        ]
        return torch.stack(parts).sum() if parts else torch.zeros(())

    lengths = product(left, left) * product(right, right)
    return product(left, right) / lengths.sqrt().clamp_min(1e-12)

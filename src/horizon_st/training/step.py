"""The module that a training process runs: model and objective in one forward call.

One call per micro-batch keeps distributed gradient synchronisation simple, however many passes
the objective asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from horizon_st.data.collate import Batch
from horizon_st.model.limits import check_batch
from horizon_st.model.outputs import PassOutput
from horizon_st.model.passes import run_passes
from horizon_st.model.translator import SpeechTranslatorModel
from horizon_st.objective.objective import (
    LossReport,
    ObjectiveConfig,
    compute_objective,
    external_objective,
)
from horizon_st.objective.passes import CtcInput, plan_external_passes, plan_passes
from horizon_st.objective.terms import ctc_states_needed
from horizon_st.training.dropout import FastDropout


@dataclass
class MicroBatch:
    """What one forward call sees: speech, text pairs, or both."""

    speech: Batch | None = None
    text: Batch | None = None

    @property
    def num_tokens(self) -> tuple[int, int]:
        """Target tokens of the speech batch and of the text batch."""
        return (
            self.speech.num_target_tokens if self.speech else 0,
            self.text.num_target_tokens if self.text else 0,
        )

    def to(self, device: torch.device) -> MicroBatch:
        """The same on a device."""
        return MicroBatch(
            self.speech.to(device) if self.speech else None,
            self.text.to(device) if self.text else None,
        )


class TrainingStep(nn.Module):
    """The weighted loss of a micro-batch, per target token of the whole step.

    Args:
        translator: the model that is trained.
        objective: terms and weights.
    """

    def __init__(self, translator: SpeechTranslatorModel, objective: ObjectiveConfig) -> None:
        super().__init__()
        self.translator = translator
        self.objective = objective

    def forward(
        self,
        micro: MicroBatch,
        num_speech_tokens: Tensor,
        num_text_tokens: Tensor,
        *,
        update: int = 0,
        epoch: int = 0,
        train_speech_encoder: bool = True,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and each term's detached sum over its tokens.

        Beside CTC's stand the number of transcripts and of those that it could align.

        Args:
            micro: the batches.
            num_speech_tokens: target tokens of all speech batches of the step, over micro-batches
                and processes; the denominator of every term of the objective.
            num_text_tokens: the same for the text pairs, the denominator of their cross-entropy.
            update: number of the step in its stage, from 0.
            epoch: of the speech, from 0.
            train_speech_encoder: whether gradients reach it; if not, CTC on it is left out, while
                its dropout stays.
        """
        reports: list[tuple[LossReport, Tensor]] = []
        objective = self.objective.of_update(update)
        with FastDropout():
            if micro.speech is not None:
                report = self.speech_report(micro.speech, objective, epoch, train_speech_encoder)
                reports.append((report, num_speech_tokens))
            if micro.text is not None:
                reports.append((self._text_report(micro.text, objective), num_text_tokens))
        loss = torch.stack([report.total(count) for report, count in reports]).sum()
        sums = {name: value for report, _ in reports for name, value in report.sums().items()}
        if micro.speech is not None and "ctc" in sums:
            sums |= alignment_counts(self.translator, micro.speech, reports[0][0].terms["ctc"][1])
        return loss, sums

    def speech_report(
        self, batch: Batch, objective: ObjectiveConfig, epoch: int, train_speech_encoder: bool
    ) -> LossReport:
        """The terms of a speech batch under an objective."""
        has_own_ctc = self.translator.config.ctc_position == "speech_encoder"
        if has_own_ctc and not train_speech_encoder:
            objective = objective.weighted({"ctc_weight": 0.0})
        plan = plan_passes(objective)
        check_batch(self.translator, batch, num_speech=plan.speech, num_text=plan.text)
        speech, text = run_passes(
            self.translator,
            speech=batch.speech,
            speech_lengths=batch.speech_lengths,
            transcript=batch.transcript,
            target=batch.target,
            num_speech=plan.speech,
            num_text=plan.text,
            share_speech_encoder=plan.share_speech_encoder,
            train_speech_encoder=train_speech_encoder,
            ctc=plan.ctc,
            gold_share=objective.gold_share(epoch),
        )
        return compute_objective(
            objective,
            speech,
            text,
            batch.target,
            batch.transcript,
            pad_id=self.translator.config.pad_token_id,
            ctc=self._ctc_input(speech, batch) if plan.ctc else None,
        )

    def _ctc_input(self, speech: Sequence[PassOutput], batch: Batch) -> CtcInput:
        scores = [
            (p.ctc_logits, p.ctc_mask)
            for p in speech
            if p.ctc_logits is not None and p.ctc_mask is not None
        ]
        return CtcInput(scores, batch.ctc_targets, self.translator.ctc_blank)

    def _text_report(self, batch: Batch, objective: ObjectiveConfig) -> LossReport:
        plan = plan_external_passes(objective)
        check_batch(self.translator, batch, num_speech=plan.speech, num_text=plan.text)
        _, text = run_passes(
            self.translator,
            speech=None,
            speech_lengths=None,
            transcript=batch.transcript,
            target=batch.target,
            num_speech=plan.speech,
            num_text=plan.text,
        )
        return external_objective(
            objective, text, batch.target, pad_id=self.translator.config.pad_token_id
        )


def alignment_counts(
    translator: SpeechTranslatorModel, batch: Batch, num_aligned: Tensor | int
) -> dict[str, Tensor]:
    """The transcripts of a batch, and those of them that CTC could align."""
    needed = ctc_states_needed(batch.ctc_targets, blank=translator.ctc_blank)
    return {"ctc_transcripts": (needed > 0).sum(), "ctc_aligned": torch.as_tensor(num_aligned)}

"""The objective as research code computes it: one full pass after the other, for comparison.

Each pass runs the whole model on its own, every term computes its own softmax over the whole
[B, L, V] tensors, padding included, and dropout and attention are those of PyTorch. Values and
gradients are those of the project's own step; only cost differs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from horizon_st.data.collate import Batch
from horizon_st.model.translator import SpeechTranslatorModel
from horizon_st.objective.configuration import ObjectiveConfig


class PlainSchedule(nn.Module):
    """The weighted loss of a batch by separate passes over speech, speech again, and text.

    Args:
        translator: the model.
        objective: weights; the tap is the softmax, CTC is not computed.
    """

    def __init__(self, translator: SpeechTranslatorModel, objective: ObjectiveConfig) -> None:
        super().__init__()
        self.translator = translator
        self.objective = objective

    def forward(self, batch: Batch) -> Tensor:
        """The loss per target token."""
        objective = self.objective
        num_speech = 2 if objective.rdrop_weight > 0 else 1
        speech = [self._logits(batch, "speech") for _ in range(num_speech)]
        loss = torch.stack([self._cross_entropy(x, batch) for x in speech]).mean()
        if objective.mt_weight > 0 or objective.consistency_weight > 0:
            text = self._logits(batch, "text")
            loss = loss + objective.mt_weight * self._cross_entropy(text, batch)
        if objective.consistency_weight > 0:
            distances = torch.stack([self._distance(x, text, batch) for x in speech])
            loss = loss + objective.consistency_weight * distances.mean()
        if objective.rdrop_weight > 0:
            loss = loss + objective.rdrop_weight * self._distance(*speech, batch)
        return loss / batch.num_target_tokens

    def _logits(self, batch: Batch, modality: str) -> Tensor:
        prefixes = self.translator.shift_right(batch.target)
        if modality == "speech":
            output = self.translator(
                speech=batch.speech,
                speech_lengths=batch.speech_lengths,
                decoder_input_ids=prefixes,
                use_cache=False,
            )
        else:
            output = self.translator(
                input_ids=batch.transcript, decoder_input_ids=prefixes, use_cache=False
            )
        logits: Tensor = output.logits
        return logits

    def _cross_entropy(self, logits: Tensor, batch: Batch) -> Tensor:
        log_p = functional.log_softmax(logits.float(), dim=-1)
        smoothing = self.objective.label_smoothing
        other = smoothing / (logits.shape[-1] - 1)
        of_target = -log_p.gather(-1, batch.target[..., None]).squeeze(-1)
        per_token = (1 - smoothing - other) * of_target - other * log_p.sum(dim=-1)
        return per_token.masked_fill(self._is_padding(batch), 0.0).sum()

    def _distance(self, first: Tensor, second: Tensor, batch: Batch) -> Tensor:
        log_p = functional.log_softmax(first.float(), dim=-1)
        log_q = functional.log_softmax(second.float(), dim=-1)
        p, q = (functional.softmax(x.float(), dim=-1) for x in (first, second))
        both = functional.kl_div(log_p, q, reduction="none") + functional.kl_div(
            log_q, p, reduction="none"
        )
        return both.masked_fill(self._is_padding(batch)[..., None], 0.0).sum() / 2

    def _is_padding(self, batch: Batch) -> Tensor:
        padding: Tensor = batch.target == self.translator.config.pad_token_id
        return padding

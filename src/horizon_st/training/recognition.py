"""The ASR stage: CTC alone, which trains the speech encoder by itself before translation.

A decoder that learns from a speech encoder that knows nothing yet becomes a language model; and
passes through a decoder cost time.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from accelerate import Accelerator
from lhotse.cut import MonoCut
from rapidfuzz.distance import Levenshtein
from torch import Tensor, nn

from horizon_st.data.collate import Batch, Collator, FeatureCache
from horizon_st.data.manifest import transcript_of
from horizon_st.model.limits import check_batch
from horizon_st.model.outputs import Spelling
from horizon_st.model.translator import SpeechTranslatorModel
from horizon_st.objective.terms import connectionist_temporal
from horizon_st.training.dropout import FastDropout
from horizon_st.training.parts import Parts
from horizon_st.training.recipe import Recipe
from horizon_st.training.step import MicroBatch, alignment_counts


class RecognitionStep(nn.Module):
    """The CTC loss of a micro-batch, per target token of the whole step.

    Args:
        translator: a model with a CTC head on its speech encoder.
    """

    def __init__(self, translator: SpeechTranslatorModel) -> None:
        super().__init__()
        self.translator = translator

    def forward(
        self, micro: MicroBatch, num_speech_tokens: Tensor, num_text_tokens: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and the figures of CTC, as `TrainingStep` gives them."""
        assert micro.speech is not None
        with FastDropout():
            spelling = _spell(self.translator, micro.speech)
        nll, num_aligned = _ctc(self.translator, spelling, micro.speech)
        counts = alignment_counts(self.translator, micro.speech, num_aligned)
        return nll / num_speech_tokens, {"ctc": nll.detach(), **counts}


class RecognitionValidation:
    """Measures how well the speech encoder spells the dev set; each process takes its share.

    Args:
        parts: the model, in whatever mode, which is put back, and what belongs to it.
        cuts: the dev set; those with a transcript are used.
        features: the encoder's input of a cut.
        recipe: gives the batch size of decoding.
        accelerator: device and processes.
    """

    def __init__(
        self,
        parts: Parts,
        cuts: list[MonoCut],
        features: FeatureCache,
        recipe: Recipe,
        accelerator: Accelerator,
    ) -> None:
        usable = [cut for cut in cuts if transcript_of(cut) is not None]
        by_length = sorted(usable, key=lambda cut: cut.duration)
        self._cuts = by_length[accelerator.process_index :: accelerator.num_processes]
        self._translator = parts.translator
        self._collate = Collator(features, parts.tokenizer, speller=parts.speller)
        self._batch_size = recipe.decoding.batch_size
        self._accelerator = accelerator

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        """`loss`, CTC per unit that is spelt, and the `unit_error_rate` of the best path.

        The rate is that of edits to the units, characters or pieces, as in a character error rate.
        """
        was_training = self._translator.training
        self._translator.eval()
        device = self._accelerator.device
        totals = torch.zeros(3, dtype=torch.float64, device=device)
        for batch in self._batches():
            on_device = batch.to(device)
            with self._accelerator.autocast():
                spelling = _spell(self._translator, on_device)
            nll, _ = _ctc(self._translator, spelling, on_device)
            num_edits, num_units = self._edits(spelling, batch)
            totals += torch.tensor([float(nll), num_edits, num_units], device=device)
        self._translator.train(was_training)
        nll, num_edits, num_units = self._accelerator.reduce(totals, "sum").tolist()
        return {"loss": nll / num_units, "unit_error_rate": num_edits / num_units}

    def _edits(self, spelling: Spelling, batch: Batch) -> tuple[int, int]:
        """Insertions, deletions and substitutions in the batch, and its units."""
        blank = self._translator.ctc_blank
        num_edits = num_units = 0
        best = spelling.logits.argmax(dim=-1).cpu()
        for path, length, units in zip(
            best, spelling.mask.sum(dim=1).tolist(), batch.spelt, strict=True
        ):
            found = [u for u in torch.unique_consecutive(path[:length]).tolist() if u != blank]
            expected = units[units != blank].tolist()[:-1]  # without the end, which has no state
            num_edits += Levenshtein.distance(found, expected)
            num_units += len(expected)
        return num_edits, num_units

    def _batches(self) -> Iterator[Batch]:
        for start in range(0, len(self._cuts), self._batch_size):
            yield self._collate(self._cuts[start : start + self._batch_size])


def _spell(translator: SpeechTranslatorModel, batch: Batch) -> Spelling:
    assert batch.speech is not None
    assert batch.speech_lengths is not None
    check_batch(translator, batch, num_speech=1, num_text=0)
    return translator.spell(batch.speech, batch.speech_lengths)


def _ctc(
    translator: SpeechTranslatorModel, spelling: Spelling, batch: Batch
) -> tuple[Tensor, Tensor]:
    """Negative log-likelihoods, summed over the transcripts that could be aligned; their number."""
    nll, count = connectionist_temporal(
        spelling.logits, spelling.mask, batch.spelt, blank=translator.ctc_blank
    )
    return nll, torch.as_tensor(count)

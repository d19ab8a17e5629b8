"""The ASR stage: CTC alone, which trains the speech encoder by itself before translation.

A decoder that learns from a speech encoder that knows nothing yet becomes a language model; and
passes through a decoder cost time.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from lhotse.cut import MonoCut
from rapidfuzz.distance import Levenshtein
from torch import Tensor, nn

from horizon_st.data.collate import Batch, Collator, FeatureCache
from horizon_st.data.manifest import transcript_of
from horizon_st.model.limits import check_batch
from horizon_st.model.outputs import CtcOutput
from horizon_st.model.translator import SpeechTranslatorModel
from horizon_st.objective.terms import connectionist_temporal, is_alignable
from horizon_st.training.dev_batches import DevBatches, measuring
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
        self,
        micro: MicroBatch,
        num_speech_tokens: Tensor,
        num_text_tokens: Tensor,
        *,
        update: int = 0,
        epoch: int = 0,
        train_speech_encoder: bool = True,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and the figures of CTC, as `TrainingStep` gives them.

        Neither the numbers of update and epoch nor the freezing of stage `st` means anything here.
        """
        assert micro.speech is not None
        with FastDropout():
            output = _ctc_output(self.translator, micro.speech)
        nll, num_aligned = _ctc(self.translator, output, micro.speech)
        counts = alignment_counts(self.translator, micro.speech, num_aligned)
        return nll / num_speech_tokens, {"ctc": nll.detach(), **counts}


class RecognitionValidation:
    """Measures how well the speech encoder recognises the dev set; each process takes its share.

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
        self._translator = parts.translator
        self._characters = parts.character_tokenizer
        self._batches = DevBatches(
            cuts,
            Collator(features, parts.tokenizer, character_tokenizer=parts.character_tokenizer),
            recipe.decoding.batch_size,
            accelerator,
            needs_transcript=True,
        )
        self._accelerator = accelerator

    def __call__(self) -> dict[str, float]:
        """`loss` and `character_error_rate`, or `piece_error_rate`, of the most likely path.

        The loss is CTC per character or piece of the transcripts that are short enough to be
        aligned. The rate is that of edits to the characters or pieces of all transcripts; a
        character that the model does not know is an error.
        """
        device = self._accelerator.device
        totals = torch.zeros(4, dtype=torch.float64, device=device)
        with measuring(self._translator):
            for cuts, batch in self._batches:
                totals += totals.new_tensor(self._totals(cuts, batch.to(device)))
        nll, num_aligned, num_edits, num_units = self._accelerator.reduce(totals, "sum").tolist()
        unit = "piece" if self._characters is None else "character"
        return {"loss": nll / num_aligned, f"{unit}_error_rate": num_edits / num_units}

    def _totals(self, cuts: list[MonoCut], batch: Batch) -> tuple[float, int, int, int]:
        """CTC of a batch, the units that it aligned, edits, and all units."""
        with self._accelerator.autocast():
            output = _ctc_output(self._translator, batch)
        nll, _ = _ctc(self._translator, output, batch)
        num_aligned = self._num_aligned_units(output, batch)
        return float(nll), num_aligned, *self._edits(output, batch, cuts)

    def _num_aligned_units(self, output: CtcOutput, batch: Batch) -> int:
        blank = self._translator.ctc_blank
        is_aligned = is_alignable(batch.ctc_targets, output.mask.sum(dim=1), blank=blank)
        num_units = (batch.ctc_targets != blank).sum(dim=1) - 1  # without the end
        return int(num_units[is_aligned].sum())

    def _edits(self, output: CtcOutput, batch: Batch, cuts: list[MonoCut]) -> tuple[int, int]:
        """Insertions, deletions and substitutions in the batch, and its units."""
        blank = self._translator.ctc_blank
        num_edits = num_units = 0
        best = output.logits.argmax(dim=-1).cpu()
        references = self._references(batch, cuts)
        for path, length, expected in zip(
            best, output.mask.sum(dim=1).tolist(), references, strict=True
        ):
            found = [u for u in torch.unique_consecutive(path[:length]).tolist() if u != blank]
            num_edits += Levenshtein.distance(found, expected)
            num_units += len(expected)
        return num_edits, num_units

    def _references(self, batch: Batch, cuts: list[MonoCut]) -> list[list[int]]:
        if self._characters is not None:
            return [self._characters.encode(transcript_of(cut) or "") for cut in cuts]
        blank = self._translator.ctc_blank
        return [row[row != blank].tolist()[:-1] for row in batch.transcript.cpu()]


def _ctc_output(translator: SpeechTranslatorModel, batch: Batch) -> CtcOutput:
    assert batch.speech is not None
    assert batch.speech_lengths is not None
    check_batch(translator, batch, num_speech=1, num_text=0)
    return translator.ctc_output(batch.speech, batch.speech_lengths)


def _ctc(
    translator: SpeechTranslatorModel, output: CtcOutput, batch: Batch
) -> tuple[Tensor, Tensor]:
    """Negative log-likelihoods, summed over the transcripts that could be aligned; their number."""
    nll, count = connectionist_temporal(
        output.logits, output.mask, batch.ctc_targets, blank=translator.ctc_blank
    )
    return nll, torch.as_tensor(count)

"""The dev figures of a stage: loss of one deterministic pass and, if asked for, BLEU."""

from __future__ import annotations

import math

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from lhotse.cut import MonoCut
from transformers import PreTrainedTokenizerBase

from horizon_st.data.collate import Collator, FeatureCache
from horizon_st.data.manifest import translation_of
from horizon_st.decoding.configuration import DecodingConfig
from horizon_st.decoding.generate import Modality, translate
from horizon_st.decoding.scoring import score
from horizon_st.model.limits import check_batch
from horizon_st.model.passes import run_passes
from horizon_st.model.translator import SpeechTranslatorModel
from horizon_st.objective.objective import validation_loss
from horizon_st.training.dev_batches import DevBatches, measuring


class Validation:
    """Measures the current weights on the dev set; each process takes its share.

    Args:
        translator: the model, in whatever mode; its mode is put back.
        tokenizer: of the model.
        cuts: the dev set; without speech passes, those with a transcript.
        features: the encoder's input of a cut.
        decoding: the search for BLEU, and its tokeniser.
        accelerator: device and processes.
        modality: which path of the model is measured.
        with_bleu: whether to decode.
    """

    def __init__(
        self,
        translator: SpeechTranslatorModel,
        tokenizer: PreTrainedTokenizerBase,
        cuts: list[MonoCut],
        features: FeatureCache,
        decoding: DecodingConfig,
        accelerator: Accelerator,
        *,
        modality: Modality,
        with_bleu: bool,
    ) -> None:
        self._batches = DevBatches(
            cuts,
            Collator(features, tokenizer),
            decoding.batch_size,
            accelerator,
            needs_transcript=modality == "text",
        )
        self._translator = translator
        self._tokenizer = tokenizer
        self._decoding = decoding
        self._accelerator = accelerator
        self._modality = modality
        self._with_bleu = with_bleu

    def __call__(self) -> dict[str, float]:
        """`loss` per target token, without label smoothing, and `bleu` (0 to 100) if asked for.

        A model whose loss is not finite has no scores to search with, and gets no `bleu`.
        """
        with measuring(self._translator):
            figures = {"loss": self._loss()}
            if self._with_bleu and math.isfinite(figures["loss"]):
                figures["bleu"] = self._bleu()
        return figures

    def _loss(self) -> float:
        total = torch.zeros(2, dtype=torch.float64, device=self._accelerator.device)
        num_speech = int(self._modality == "speech")
        for _, batch in self._batches:
            check_batch(self._translator, batch, num_speech=num_speech, num_text=1 - num_speech)
            on_device = batch.to(self._accelerator.device)
            with self._accelerator.autocast():
                speech, text = run_passes(
                    self._translator,
                    speech=on_device.speech,
                    speech_lengths=on_device.speech_lengths,
                    transcript=on_device.transcript,
                    target=on_device.target,
                    num_speech=num_speech,
                    num_text=1 - num_speech,
                )
            [output] = speech or text
            term = validation_loss(
                output, on_device.target, pad_id=self._translator.config.pad_token_id
            )
            total += torch.stack([torch.as_tensor(part, device=total.device) for part in term])
        loss, count = self._accelerator.reduce(total, "sum").tolist()
        return float(loss / count)

    def _bleu(self) -> float:
        hypotheses = translate(
            self._translator,
            self._tokenizer,
            (batch for _, batch in self._batches),
            self._decoding,
            modality=self._modality,
        )
        references = {cut.id: translation_of(cut) for cut in self._batches.cuts}
        pairs = gather_object([(h.text, references[h.id]) for h in hypotheses])
        texts, targets = zip(*pairs, strict=True)
        scores = score(texts, targets, tokenize=self._decoding.tokenize)
        return scores.metrics["BLEU"].value


class ValidationOfBoth:
    """Measures the speech path, and beside it what the text path still knows.

    Args:
        speech: measures the speech path.
        text: measures the text path.
    """

    def __init__(self, speech: Validation, text: Validation) -> None:
        self._speech = speech
        self._text = text

    def __call__(self) -> dict[str, float]:
        """The figures of the speech path, and those of the text path with ``text_`` before them."""
        of_text = {f"text_{name}": value for name, value in self._text().items()}
        return self._speech() | of_text

"""A trained model run by PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from horizon_st.data.collate import make_batch
from horizon_st.data.mono import Samples
from horizon_st.decoding.configuration import DecodingConfig, Hypothesis
from horizon_st.decoding.generate import check_precision, translate
from horizon_st.decoding.trained import TrainedModel
from horizon_st.inference.runtime import Runtime
from horizon_st.model.configuration import SpeechTranslatorConfig
from horizon_st.model.limits import can_take


class PyTorchRuntime(Runtime):
    """Runs a trained model on the device that it is on.

    Args:
        trained: the model with its tokenizer and front end.
    """

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained
        self.folder = trained.folder
        self._decoding = Lock()
        config = trained.model.config
        assert isinstance(config, SpeechTranslatorConfig)
        self.longest_training_s = config.longest_training_s
        self.end_id = trained.tokenizer.eos_token_id

    def check(self, config: DecodingConfig) -> None:
        """Nothing, when the device has the precision of the search."""
        check_precision(config, self.trained.model.device)

    def can_take(self, num_samples: int) -> bool:
        """Whether an utterance of so many samples is short enough for the model."""
        return can_take(self.trained.model, self.trained.frontend.length_of(num_samples))

    def decode(
        self,
        samples: Sequence[Samples],
        config: DecodingConfig,
        prefixes: Sequence[Sequence[int]] | None = None,
    ) -> list[Hypothesis]:
        """The translations of utterances, as one batch."""
        model, tokenizer = self.trained.model, self.trained.tokenizer
        ids = [str(number) for number in range(len(samples))]
        speech = [self.trained.frontend(recording) for recording in samples]
        batch = make_batch(ids, tokenizer, [""] * len(ids), [""] * len(ids), speech)
        begins = None if prefixes is None else dict(zip(ids, prefixes, strict=True))
        with self._decoding:
            return translate(model, tokenizer, [batch], config, prefixes=begins)

    def text_of(self, tokens: Sequence[int]) -> str:
        """The text of a translation, or of the beginning of one."""
        return str(self.trained.tokenizer.decode([*tokens], skip_special_tokens=True)).strip()

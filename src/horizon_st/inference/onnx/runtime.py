"""An exported model run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from tokenizers import Tokenizer

from horizon_st.data.mono import SAMPLING_RATE, Samples
from horizon_st.decoding.configuration import DecodingConfig, Hypothesis
from horizon_st.decoding.model_folder import COPY_AGAIN
from horizon_st.errors import UserError, reason_of
from horizon_st.inference.onnx.folder import TOKENIZER_FILE, unusable
from horizon_st.inference.onnx.frontend import make_frontend
from horizon_st.inference.onnx.model import ExportedModel
from horizon_st.inference.runtime import Runtime


class OnnxRuntime(Runtime):
    """Runs an exported model on the processor, without PyTorch.

    Args:
        model: the export.

    Raises:
        UserError: the settings, the arrays or the tokenizer are damaged.
    """

    def __init__(self, model: ExportedModel) -> None:
        self.model = model
        self.folder = model.folder
        self.longest_training_s = model.settings.longest_training_s
        try:
            self.end_id = model.settings.rules.end[0]
            self.frontend = make_frontend(model.settings.frontend, model.arrays)
        except (TypeError, LookupError) as error:
            raise unusable(model.folder, error) from error
        self._decoding = Lock()
        path = model.folder / TOKENIZER_FILE
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises nothing more special
            raise UserError(
                str(path), expected="a tokenizer", found=reason_of(error), remedy=COPY_AGAIN
            ) from error

    @classmethod
    def load(cls, folder: Path, num_threads: int | None = None) -> OnnxRuntime:
        """The model in a folder that `horizon-st export` wrote.

        Args:
            folder: of the export.
            num_threads: that compute it; all cores that this process may use by default.

        Raises:
            UserError: the folder is incomplete or damaged.
        """
        return cls(ExportedModel(folder, num_threads))

    def check(self, config: DecodingConfig) -> None:
        """Nothing, when the search asks for no other precision than what was exported."""
        if config.precision != "fp32":
            raise UserError(
                "decoding.precision",
                expected="fp32 for an exported model",
                found=config.precision,
                remedy="Leave it out; `horizon-st export --quantize int8` makes a faster one.",
            )

    def can_take(self, num_samples: int) -> bool:
        """Whether an utterance of so many samples is short enough for the model."""
        most = self.model.settings.most_samples
        return most is None or num_samples <= most

    def decode(
        self,
        samples: Sequence[Samples],
        config: DecodingConfig,
        prefixes: Sequence[Sequence[int]] | None = None,
    ) -> list[Hypothesis]:
        """The translations of utterances, as one batch."""
        for recording in samples:
            self._check_length(len(recording))
        features = [self.frontend(recording) for recording in samples]
        with self._decoding:
            found = self.model.search(self.model.encode_speech(features), config, prefixes)
        return [
            Hypothesis(
                str(number),
                self.text_of(one.tokens),
                one.log_probability / len(one.tokens),
                one.tokens,
            )
            for number, one in enumerate(found)
        ]

    def text_of(self, tokens: Sequence[int]) -> str:
        """The text of a translation, or of the beginning of one."""
        return str(self._tokenizer.decode([*tokens], skip_special_tokens=True)).strip()

    def _check_length(self, num_samples: int) -> None:
        most = self.model.settings.most_samples
        if not self.can_take(num_samples):
            assert most is not None
            raise UserError(
                "speech",
                expected=f"at most {most / SAMPLING_RATE:.2f} s, what the exported model can take",
                found=f"{num_samples / SAMPLING_RATE:.2f} s",
                remedy="Let long recordings be cut, or split them.",
            )

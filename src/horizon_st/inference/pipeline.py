"""A trained model as something to translate recordings with, from Python or the command line."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from horizon_st.data.audio import SAMPLING_RATE, Samples, load_audio, to_model_rate
from horizon_st.data.collate import Batch, make_batch
from horizon_st.decoding.generate import DecodingConfig, translate
from horizon_st.decoding.trained import TrainedModel, load_trained_model
from horizon_st.errors import UserError
from horizon_st.model.configuration import SpeechTranslatorConfig

_FAR_LONGER = 2.0
"""So many times the longest training utterance, nobody knows what a model does."""

Audio = str | Path | np.ndarray[Any, Any]
"""A file, or samples `[N]` or `[channels, N]` at full scale 1."""


class LongRecordingWarning(UserWarning):
    """A recording is far longer than what the model was trained on."""


@dataclass(frozen=True)
class Translation:
    """The translation of one recording.

    Attributes:
        source: the file's path, or "array".
        score: mean natural log probability per token, for ranking and filtering.
        duration_s: of the recording.
    """

    text: str
    source: str
    score: float
    duration_s: float


class SpeechTranslator:
    """Translates short recordings (of about the length of the training utterances).

    Args:
        trained: the model with its tokenizer and front end; see `from_pretrained`.
        config: the search.
    """

    def __init__(self, trained: TrainedModel, config: DecodingConfig | None = None) -> None:
        self.trained = trained
        self.config = config or DecodingConfig()

    @classmethod
    def from_pretrained(
        cls,
        folder_or_hub_id: str | Path,
        *,
        config: DecodingConfig | None = None,
        device: str | None = None,
    ) -> SpeechTranslator:
        """A translator from a model folder or the id of a model on the Hugging Face hub.

        Raises:
            UserError: there is no such model, it is incomplete, or its weights cannot be read.
        """
        return cls(load_trained_model(folder_or_hub_id, device=device), config)

    @overload
    def translate(  # type: ignore[overload-overlap]  # a str is also a Sequence
        self, audio: Audio, *, sampling_rate: int | None = None
    ) -> Translation: ...

    @overload
    def translate(
        self, audio: Sequence[Audio], *, sampling_rate: int | None = None
    ) -> list[Translation]: ...

    def translate(
        self, audio: Audio | Sequence[Audio], *, sampling_rate: int | None = None
    ) -> Translation | list[Translation]:
        """The translation of a recording, or of each recording of a list, in its order.

        A recording of more than twice the length of the longest training utterance is translated
        after a LongRecordingWarning, if the model knows that length.

        Args:
            audio: files of any rate and channel count, or arrays of samples `[N]` or
                `[channels, N]`, floats at full scale 1 or integers at their own.
            sampling_rate: of the arrays in Hz; files carry their own.

        Raises:
            UserError: a file is missing or unreadable, an array has no samples, an unusable shape
                or no sampling rate, or the device lacks the precision of the search.
        """
        if isinstance(audio, str | Path | np.ndarray):
            return next(self._translate_all([audio], sampling_rate))
        return list(self._translate_all(audio, sampling_rate))

    def _translate_all(
        self, recordings: Sequence[Audio], sampling_rate: int | None
    ) -> Iterator[Translation]:
        size = self.config.batch_size
        for start in range(0, len(recordings), size):
            chosen = recordings[start : start + size]
            samples = [_read(recording, sampling_rate) for recording in chosen]
            for recording, read in zip(chosen, samples, strict=True):
                self._check_length(_name_of(recording), len(read) / SAMPLING_RATE)
            hypotheses = translate(
                self.trained.model, self.trained.tokenizer, [self._batch(samples)], self.config
            )
            for recording, read, hypothesis in zip(chosen, samples, hypotheses, strict=True):
                duration_s = len(read) / SAMPLING_RATE
                yield Translation(
                    hypothesis.text, _name_of(recording), hypothesis.score, duration_s
                )

    def _check_length(self, name: str, duration_s: float) -> None:
        config = self.trained.model.config
        assert isinstance(config, SpeechTranslatorConfig)
        longest_s = config.longest_training_s
        if longest_s is not None and duration_s > _FAR_LONGER * longest_s:
            warnings.warn(
                f"{name}: {duration_s:.1f} s long, but the model was trained on utterances of at "
                f"most {longest_s:.1f} s; the translation may be wrong or leave most of it out. "
                "Cut long recordings into utterances.",
                LongRecordingWarning,
                stacklevel=4,  # whoever called `translate`
            )

    def _batch(self, samples: list[Samples]) -> Batch:
        ids = [str(number) for number in range(len(samples))]
        speech = [self.trained.frontend(recording) for recording in samples]
        return make_batch(ids, self.trained.tokenizer, [""] * len(ids), [""] * len(ids), speech)


def translate_files(
    model: str | Path,
    files: Sequence[Path],
    *,
    config: DecodingConfig | None = None,
    device: str | None = None,
) -> Iterator[Translation]:
    """The translations of files in their order, each as soon as it is there.

    Every file is looked for before the model is loaded.

    Raises:
        UserError: a file is missing or unreadable, or the model cannot be loaded.
    """
    for file in files:
        if not file.is_file():
            raise UserError(
                str(file), expected="an audio file", found="no such file", remedy="Check the path."
            )
    translator = SpeechTranslator.from_pretrained(model, config=config, device=device)
    for file in files:
        yield translator.translate(file)


def _name_of(recording: Audio) -> str:
    return "array" if isinstance(recording, np.ndarray) else str(recording)


def _read(recording: Audio, sampling_rate: int | None) -> Samples:
    if not isinstance(recording, np.ndarray):
        return load_audio(recording)
    if sampling_rate is None or sampling_rate < 1:
        raise UserError(
            "sampling_rate",
            expected="the rate of the array in Hz",
            found=sampling_rate,
            remedy=f"Pass sampling_rate, for example {SAMPLING_RATE}.",
        )
    if recording.ndim not in (1, 2) or (
        recording.ndim == 2 and len(recording) > recording.shape[1]
    ):
        raise UserError(
            "audio array",
            expected="shape [N] or [channels, N]",
            found=f"shape {list(recording.shape)}",
            remedy="Transpose arrays whose channels come last.",
        )
    if np.issubdtype(recording.dtype, np.signedinteger):
        recording = recording / -float(np.iinfo(recording.dtype).min)
    if not np.issubdtype(recording.dtype, np.floating):
        raise UserError(
            "audio array",
            expected="floats at full scale 1, or signed integers",
            found=f"values of type {recording.dtype}",
            remedy="Convert it to float32 between -1 and 1.",
        )
    return to_model_rate(recording, sampling_rate, name="audio array")

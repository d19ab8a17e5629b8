"""16 kHz samples -> what the speech encoder reads."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from lhotse import Fbank, FbankConfig
from torch import Tensor
from transformers import SequenceFeatureExtractor
from transformers.feature_extraction_utils import FeatureExtractionMixin

from horizon_st.data.audio import SAMPLING_RATE, Samples

SHIFT_SAMPLES = SAMPLING_RATE // 100
"""From one frame of filterbanks to the next."""


class FilterbankFrontend(SequenceFeatureExtractor):
    """Kaldi-style log-mel filterbanks, each bin with mean 0 and variance 1 over the utterance.

    It is stored beside the model (`save_pretrained` -> ``preprocessor_config.json``).

    Args:
        feature_size: number of mel bins F.
        high_hz: upper edge of the highest bin; 3800 for telephone speech.
    """

    model_input_names = ["speech"]

    def __init__(self, feature_size: int = 80, high_hz: float = 7600.0, **kwargs: Any) -> None:
        kwargs.setdefault("sampling_rate", SAMPLING_RATE)
        kwargs.setdefault("padding_value", 0.0)
        super().__init__(feature_size=feature_size, **kwargs)
        self.high_hz = high_hz

    @cached_property
    def _extractor(self) -> Fbank:
        return Fbank(
            FbankConfig(
                sampling_rate=SAMPLING_RATE,
                num_filters=self.feature_size,
                high_freq=self.high_hz,
                dither=0.0,
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON-ready settings, without the extractor that is built from them."""
        settings: dict[str, Any] = super().to_dict()
        settings.pop("_extractor", None)
        return settings

    def __call__(self, samples: Samples) -> Float[Tensor, "T F"]:
        """Normalised filterbanks of one utterance, 100 frames per second."""
        features = torch.as_tensor(self._extractor.extract(samples, SAMPLING_RATE))
        deviation = features.std(dim=0, correction=0).clamp_min(1e-5)
        return (features - features.mean(dim=0)) / deviation

    @property
    def window_and_filters(self) -> tuple[Float[Tensor, " W"], Float[Tensor, "K F"]]:
        """By what each frame is multiplied, and the mel bins' weights of K frequencies."""
        extractor = self._extractor.extractor
        return extractor.wav2win._window, extractor._fb

    def length_of(self, num_samples: int) -> int:
        """The frames that so many samples give."""
        return (num_samples + SHIFT_SAMPLES // 2) // SHIFT_SAMPLES


class PretrainedFrontend:
    """The input that a pretrained speech encoder was trained on, by its own feature extractor.

    Waveform models (HuBERT, wav2vec 2.0, WavLM, data2vec) get `[N]`, Whisper log-mel `[T, F]`.
    """

    def __init__(self, extractor: Any) -> None:
        self.extractor = extractor

    def __call__(self, samples: Samples) -> Float[Tensor, " N"] | Float[Tensor, "T F"]:
        """The encoder's input for one utterance."""
        if "input_features" in self.extractor.model_input_names:
            mel = self.extractor(
                samples, sampling_rate=SAMPLING_RATE, padding=False, return_tensors="np"
            ).input_features[0]
            return torch.from_numpy(np.ascontiguousarray(mel.T))
        values = self.extractor(samples, sampling_rate=SAMPLING_RATE, return_tensors="np")
        return torch.from_numpy(values.input_values[0])

    def length_of(self, num_samples: int) -> int:
        """The frames or samples that so many samples give."""
        if "input_features" in self.extractor.model_input_names:
            return num_samples // int(self.extractor.hop_length)
        return num_samples

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes ``preprocessor_config.json``."""
        self.extractor.save_pretrained(folder)


Frontend = FilterbankFrontend | PretrainedFrontend


def load_frontend(folder_or_hub_id: str | Path) -> Frontend:
    """The front end stored beside a model.

    Raises:
        OSError: there is none.
        ValueError: it does not say what it is.
    """
    # Not above: importing it registers the class above, which has to be there by then.
    from transformers import AutoFeatureExtractor

    settings, _ = FeatureExtractionMixin.get_feature_extractor_dict(str(folder_or_hub_id))
    if settings.get("feature_extractor_type") == FilterbankFrontend.__name__:
        filterbank: FilterbankFrontend = FilterbankFrontend.from_pretrained(str(folder_or_hub_id))
        return filterbank
    found = AutoFeatureExtractor.from_pretrained(str(folder_or_hub_id))
    if isinstance(found, FilterbankFrontend):  # by the model's type alone, with default settings
        raise ValueError("there is no feature_extractor_type")
    return PretrainedFrontend(found)

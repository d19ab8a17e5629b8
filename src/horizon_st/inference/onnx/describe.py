"""A trained model -> what translating needs beside its graphs: front end, rules, limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    PreTrainedConfig,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

from horizon_st.data.frontend import SHIFT_SAMPLES, FilterbankFrontend, Frontend
from horizon_st.data.mono import SAMPLING_RATE
from horizon_st.decoding.trained import TrainedModel, weights_fingerprint
from horizon_st.errors import UserError
from horizon_st.inference.onnx.folder import ExportSettings
from horizon_st.inference.onnx.search import TokenRules
from horizon_st.inference.segmenter import LONGEST_CUT_S
from horizon_st.model.configuration import SpeechTranslatorConfig
from horizon_st.model.limits import can_take
from horizon_st.model.translator import SpeechTranslatorModel
from horizon_st.versions import package_versions

Arrays = dict[str, np.ndarray[Any, Any]]

_NO_EFFECT = {
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "encoder_no_repeat_ngram_size": 0,
    "sequence_bias": None,
    "exponential_decay_length_penalty": None,
    "guidance_scale": 1.0,
    "renormalize_logits": False,
    "remove_invalid_values": False,
    "num_beam_groups": 1,
    "watermarking_config": None,
}
"""Settings of generation that the search of an export does not know, as they do nothing."""

_GRAIN_SAMPLES = SAMPLING_RATE // 100


def describe(trained: TrainedModel) -> tuple[ExportSettings, Arrays]:
    """The settings of an export in 32-bit floats, and the arrays of its front end.

    Raises:
        UserError: the front end or a setting of generation cannot be exported.
    """
    model = trained.model
    config = model.config
    assert isinstance(config, SpeechTranslatorConfig)
    frontend, arrays = describe_frontend(trained.frontend)
    max_positions = _max_positions(model)
    settings = ExportSettings(
        source=weights_fingerprint(trained.folder),
        quantized=None,
        versions=package_versions(),
        frontend=frontend,
        rules=_describe_rules(trained),
        pad=model.config.pad_token_id,
        max_positions=max_positions,
        most_samples=_most_samples(trained, max_positions),
        longest_training_s=config.longest_training_s,
    )
    return settings, arrays


def describe_frontend(frontend: Frontend) -> tuple[dict[str, Any], Arrays]:
    """What `make_frontend` needs to make the same one.

    Raises:
        UserError: it cannot.
    """
    if isinstance(frontend, FilterbankFrontend):
        window, filters = frontend.window_and_filters
        settings: dict[str, Any] = {"type": "filterbanks", "hop": SHIFT_SAMPLES}
        return settings, {"window": window.numpy(), "filters": filters.numpy()}
    extractor = frontend.extractor
    if isinstance(extractor, Wav2Vec2FeatureExtractor):
        return {"type": "waveform", "normalise": bool(extractor.do_normalize)}, {}
    if isinstance(extractor, WhisperFeatureExtractor):
        hann = torch.hann_window(extractor.n_fft).numpy()
        mel = extractor.mel_filters.astype(np.float32)
        settings = {"type": "whisper", "hop": int(extractor.hop_length)}
        return settings, {"window": hann, "filters": mel}
    raise UserError(
        "front end",
        expected="filterbanks, or the feature extractor of wav2vec 2.0 or Whisper",
        found=type(extractor).__name__,
        remedy="Translate with PyTorch.",
    )


def _describe_rules(trained: TrainedModel) -> TokenRules:
    settings = trained.model.generation_config
    assert isinstance(settings, GenerationConfig)
    unknown = {
        name: value
        for name, nothing in _NO_EFFECT.items()
        if (value := getattr(settings, name, None)) not in (None, nothing)
    }
    bad_words = settings.bad_words_ids or []
    if any(len(word) > 1 for word in bad_words):
        unknown["bad_words_ids"] = bad_words
    for name, value in unknown.items():
        raise UserError(
            f"generation_config.json: {name}",
            expected="nothing, for an export",
            found=value,
            remedy="Remove it from the model's generation_config.json, or translate with PyTorch.",
        )
    start = settings.decoder_start_token_id
    end = settings.eos_token_id
    ends = [end] if isinstance(end, int) else [*end]
    # What ends a sentence of the tokenizer comes first.
    ends.sort(key=lambda token: token != trained.tokenizer.eos_token_id)
    return TokenRules(
        start=trained.model.config.decoder_start_token_id if start is None else start,
        end=ends,
        never=[*(word[0] for word in bad_words), *(settings.suppress_tokens or [])],
        never_first=settings.begin_suppress_tokens or [],
        first=settings.forced_bos_token_id,
    )


def _max_positions(model: SpeechTranslatorModel) -> int | None:
    text: PreTrainedConfig = model.config.get_text_config()
    # Its table grows with what it reads, which a graph cannot.
    is_growing = text.model_type == "m2m_100"
    return text.max_position_embeddings if is_growing else model.max_positions


def _most_samples(trained: TrainedModel, max_positions: int | None) -> int | None:
    """The longest utterance, to a hundredth of a second, that the graphs can take."""

    def fits(num_grains: int) -> bool:
        length = trained.frontend.length_of(num_grains * _GRAIN_SAMPLES)
        num_states = int(trained.model.num_states(torch.tensor([length])))
        return can_take(trained.model, length) and num_states <= (max_positions or math.inf)

    least, most = 1, int(LONGEST_CUT_S * SAMPLING_RATE) // _GRAIN_SAMPLES
    if fits(most):
        return None
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if fits(middle) else (least, middle - 1)
    return least * _GRAIN_SAMPLES

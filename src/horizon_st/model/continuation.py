"""A trained model and the model section of the recipe that trains it on."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from transformers import PreTrainedConfig

from horizon_st.errors import UserError
from horizon_st.model.configuration import ModelConfig, SpeechTranslatorConfig
from horizon_st.model.filterbank_encoder import CONVOLUTION_KERNEL
from horizon_st.model.pretrained_encoder import (
    MASK_EMBEDDING,
    SPEECH_TYPES,
    reads_waveforms,
    set_masks,
)
from horizon_st.model.speech_encoder import SpeechEncoderConfig, SpeechTraining
from horizon_st.model.text_dropout import set_dropout
from horizon_st.model.translator import SpeechTranslatorModel

_TEXT_KEYS = {
    "encoder_layers": "encoder_layers",
    "decoder_layers": "decoder_layers",
    "d_model": "d_model",
    "ffn_dim": "encoder_ffn_dim",
    "num_heads": "encoder_attention_heads",
}
_SPEECH_KEYS = {
    "d_model": "d_model",
    "ffn_dim": "encoder_ffn_dim",
    "num_heads": "encoder_attention_heads",
    "convolution_kernel": CONVOLUTION_KERNEL,
}
_T5_KEYS = {
    "encoder_layers": "num_layers",
    "decoder_layers": "num_decoder_layers",
    "d_model": "d_model",
    "ffn_dim": "d_ff",
    "num_heads": "num_heads",
}


def continue_model(
    model: SpeechTranslatorModel, section: ModelConfig, *, uses_ctc: bool = True
) -> SpeechTranslatorModel:
    """The model to train on: the same weights, trained as the recipe's model section says.

    What it gives of dropout, freezing and masks applies; the rest stays as in the model. A part of
    the section that gives a shape has to give that of the model; with a pretrained text model in
    it, the text model's is left alone.

    Args:
        model: the initial one.
        section: of the recipe.
        uses_ctc: whether the CTC head counts.

    Raises:
        UserError: names a key of the section that does not fit the model.
    """
    wanted, default = _shape_of_section(section), _shape_of_section(ModelConfig())
    given = {_part_of(key) for key, value in wanted.items() if value != default.get(key)}
    if not uses_ctc:
        given.discard("ctc")
    found = _shape_of_model(_config_of(model))
    _check_shape({key: x for key, x in wanted.items() if _part_of(key) in given}, found)
    return _with_training(model, section)


def _part_of(key: str) -> str:
    return key.partition(".")[0]


def _shape_of_section(section: ModelConfig) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "speech_encoder.pretrained": section.speech_encoder.pretrained is not None,
        "speech_encoder.num_mel_bins": section.speech_encoder.num_mel_bins,
        "speech_encoder.layers": section.speech_encoder.layers,
        "subsampler.kernel_sizes": list(section.subsampler.kernel_sizes),
        "subsampler.mid_channels": section.subsampler.mid_channels,
        "ctc.position": section.ctc.position,
        "ctc.unit": section.ctc.unit,
    }
    if section.speech_encoder.layers > 0:
        for key in _SPEECH_KEYS:
            shape[f"speech_encoder.{key}"] = getattr(section.speech_encoder, key)
    if section.text_model.pretrained is None:
        for key in ("architecture", *_TEXT_KEYS):
            shape[f"text_model.{key}"] = getattr(section.text_model, key)
    return shape


def _shape_of_model(config: SpeechTranslatorConfig) -> dict[str, Any]:
    text: PreTrainedConfig = config.get_text_config()
    keys = _T5_KEYS if text.model_type in ("t5", "mt5") else _TEXT_KEYS
    speech = config.speech_config
    assert not isinstance(speech, dict)
    is_fresh = _is_fresh(speech)
    fresh = {
        f"speech_encoder.{key}": getattr(speech, name, 0) if is_fresh else None
        for key, name in _SPEECH_KEYS.items()
    }
    return fresh | {
        "speech_encoder.pretrained": speech is not None and not is_fresh,
        "speech_encoder.num_mel_bins": config.num_mel_bins,
        "speech_encoder.layers": getattr(speech, "encoder_layers", 0) if is_fresh else 0,
        "subsampler.kernel_sizes": list(config.kernel_sizes),
        "subsampler.mid_channels": config.mid_channels,
        "ctc.position": config.ctc_position,
        "ctc.unit": "piece" if config.ctc_characters is None else "character",
        "text_model.architecture": text.model_type,
        **{f"text_model.{key}": getattr(text, name) for key, name in keys.items()},
    }


def _is_fresh(speech: PreTrainedConfig | dict[str, Any] | None) -> bool:
    """Whether it is a Transformer over filterbanks."""
    return isinstance(speech, PreTrainedConfig) and speech.model_type not in SPEECH_TYPES


def _check_shape(wanted: dict[str, Any], found: dict[str, Any]) -> None:
    for key, value in wanted.items():
        if value == found[key]:
            continue
        is_encoder = key == "speech_encoder.pretrained"
        raise UserError(
            f"model.{key}",
            expected=(f"{'one' if found[key] else 'none'}" if is_encoder else f"{found[key]!r}")
            + ", as in initial_model",
            found=("one" if value else "none") if is_encoder else value,
            remedy="Give the model section that initial_model was trained with, leave the section "
            "out to take everything from it, or remove initial_model.",
        )


def _with_training(model: SpeechTranslatorModel, section: ModelConfig) -> SpeechTranslatorModel:
    """The model, or, since modules copy such settings, one built anew with its weights."""
    config = copy.deepcopy(_config_of(model))
    has_changed = (
        set_dropout(config.get_text_config(), section.text_model),
        _set_speech_dropout(config.speech_config, section.speech_encoder.dropout),
        _set_speech_training(config, section.speech_encoder),
    )
    if not any(has_changed):
        return model
    changed = SpeechTranslatorModel(config)
    missing, unexpected = changed.load_state_dict(model.state_dict(), strict=False)
    others = [name for name in (*missing, *unexpected) if not name.endswith(MASK_EMBEDDING)]
    assert not others, f"another shape in {others}"
    changed.generation_config = model.generation_config
    changed.train(model.training)
    return changed


def _set_speech_dropout(
    speech: PreTrainedConfig | dict[str, Any] | None, dropout: float | None
) -> bool:
    """Whether the dropout of a fresh Transformer over filterbanks has changed."""
    if dropout is None:
        return False
    if not _is_fresh(speech):
        raise UserError(
            "model.speech_encoder.dropout",
            expected="nothing, since the speech encoder of initial_model has no fresh layers",
            found=dropout,
            remedy="Remove it.",
        )
    assert isinstance(speech, PreTrainedConfig)
    has_changed: bool = speech.dropout != dropout
    speech.dropout = dropout
    return has_changed


def _set_speech_training(config: SpeechTranslatorConfig, section: SpeechEncoderConfig) -> bool:
    """Whether what of the speech encoder is trained, and what it masks, has changed."""
    speech = config.speech_config
    assert not isinstance(speech, dict)
    if section.freeze and speech is None:
        raise UserError(
            "model.speech_encoder.freeze",
            expected="false, since the speech encoder of initial_model, filterbanks as they are, "
            "has no weights",
            found=section.freeze,
            remedy="Remove it.",
        )
    before = SpeechTraining(config.freeze_speech_encoder, config.freeze_feature_encoder)
    if speech is not None and reads_waveforms(speech):
        before = replace(
            before,
            mask_time_prob=speech.mask_time_prob,
            mask_time_length_frames=speech.mask_time_length,
        )
    training = section.training(before, reads_waveforms=reads_waveforms(speech))
    config.freeze_speech_encoder = training.freeze
    config.freeze_feature_encoder = training.freeze_feature_encoder
    if speech is not None and reads_waveforms(speech):
        set_masks(speech, training)
    return training != before


def _config_of(model: SpeechTranslatorModel) -> SpeechTranslatorConfig:
    assert isinstance(model.config, SpeechTranslatorConfig)
    return model.config

"""Pretrained sub-models, from a folder or the hub."""

from __future__ import annotations

from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSeq2SeqLM,
    PreTrainedConfig,
    PreTrainedModel,
)

from horizon_st.errors import UserError
from horizon_st.model.configuration import TextModelConfig
from horizon_st.model.pretrained_encoder import (
    MASK_EMBEDDING,
    SPEECH_TYPES,
    reads_waveforms,
    set_masks,
)
from horizon_st.model.speech_encoder import SpeechEncoderConfig
from horizon_st.model.text_dropout import set_dropout
from horizon_st.model.translator import TEXT_TYPES

_MAY_BE_NEW = (MASK_EMBEDDING, "final_logits_bias")
"""Weights that published models may lack: a learnt mask, and a bias that is then 0."""


def pretrained_speech_model(config: SpeechEncoderConfig) -> PreTrainedModel | None:
    """The one that the section names, if any.

    Raises:
        UserError: it cannot be had, is of another type, or cannot be trained as the section says.
    """
    if config.pretrained is None:
        return None
    place = "model.speech_encoder.pretrained"
    hf_config = load_config(config.pretrained, place, SPEECH_TYPES)
    prepare_for_training(hf_config, config)
    # Of Whisper only the encoder is used; a mask embedding that no one has trained yet may be new.
    used = "encoder." if hf_config.model_type == "whisper" else ""
    return _load_weights(AutoModel, config.pretrained, place, used, config=hf_config)


def prepare_for_training(hf_config: PreTrainedConfig, section: SpeechEncoderConfig) -> None:
    """Switches layer drop of a speech model off, and sets the masks of the section.

    Raises:
        UserError: it cannot be trained as the section says.
    """
    training = section.training(reads_waveforms=reads_waveforms(hf_config))
    if reads_waveforms(hf_config):
        hf_config.layerdrop = 0.0
        set_masks(hf_config, training)
    else:
        hf_config.encoder_layerdrop = 0.0


def pretrained_text_model(source: str, section: TextModelConfig) -> PreTrainedModel:
    """The one of a folder or hub id, with the dropout of the section.

    Raises:
        UserError: it cannot be had, or is of another type.
    """
    place = "model.text_model.pretrained"
    hf_config = load_config(source, place, TEXT_TYPES)
    set_dropout(hf_config, section)
    return _load_weights(AutoModelForSeq2SeqLM, source, place, config=hf_config)


def load_config(source: str, place: str, known_types: tuple[str, ...]) -> PreTrainedConfig:
    """The config of a folder or hub id.

    Args:
        source: the folder or id.
        place: the recipe's key that names it, for messages.
        known_types: that the model may have.

    Raises:
        UserError: it cannot be had, or is of another type.
    """
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(source)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _unavailable(source, place, error) from error
    if config.model_type not in known_types:
        raise UserError(
            place,
            expected="a model of type " + ", ".join(known_types),
            found=f"{source} of type {config.model_type}",
            remedy="Choose a model of one of these types.",
        )
    return config


def _load_weights(
    auto: Any, source: str, place: str, used: str = "", **options: Any
) -> PreTrainedModel:
    """The model with all weights whose names start with `used` from its files."""
    model: PreTrainedModel
    try:
        model, report = auto.from_pretrained(
            source, dtype=torch.float32, output_loading_info=True, **options
        )
    except OSError as error:
        raise _unavailable(source, place, error) from error
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise UserError(
            place,
            expected="weights that fit config.json",
            found=f"{source} ({type(error).__name__}: {_one_line(error)})",
            remedy="Fetch it again: a file is truncated or from another model.",
        ) from error
    missing = sorted(
        name
        for name in report["missing_keys"]
        if name.startswith(used) and not name.endswith(_MAY_BE_NEW)
    )
    if missing:
        raise UserError(
            place,
            expected="all weights that config.json describes",
            found=f"{source} without {len(missing)} of them, the first is {missing[0]}",
            remedy="Fetch it again, or choose a complete model.",
        )
    return model


def _unavailable(source: str, place: str, error: Exception) -> UserError:
    return UserError(
        place,
        expected="a folder with a saved model, or the id of a model on the Hugging Face hub that "
        "can be reached or is in the cache (HF_HOME)",
        found=f"{source} ({_one_line(error)})",
        remedy=f"On a connected machine run `hf download {source} --local-dir DIR`, copy DIR here "
        f"and set {place} to it; or copy the cache and set HF_HOME.",
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def check_vocabulary(
    source: str, config: PreTrainedConfig, vocab_size: int, pad_id: int, eos_id: int
) -> None:
    """Nothing, if a tokenizer of so many symbols belongs to the text model of the config.

    Raises:
        UserError: it does not.
    """
    found = {"pad": pad_id, "eos": eos_id}
    expected = {"pad": config.pad_token_id, "eos": config.eos_token_id}
    if vocab_size > config.vocab_size or found != expected:
        raise UserError(
            "tokenizer",
            expected=f"the vocabulary of {source} ({config.vocab_size} symbols, {expected})",
            found=f"{vocab_size} symbols, {found}",
            remedy="Use the tokenizer that belongs to model.text_model.pretrained.",
        )

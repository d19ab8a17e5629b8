"""A recipe's model section -> SpeechTranslatorModel, fresh or from pretrained parts."""

from __future__ import annotations

import math
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSeq2SeqLM,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from horizon_st.errors import UserError
from horizon_st.model.configuration import (
    FRESH_DROPOUTS,
    ModelConfig,
    SpeechTranslatorConfig,
    TextModelConfig,
)
from horizon_st.model.filterbank_encoder import FilterbankTransformer, fresh_speech_config
from horizon_st.model.pretrained_encoder import SPEECH_TYPES, make_speech_encoder
from horizon_st.model.speech_encoder import SpeechEncoderConfig
from horizon_st.model.text_dropout import set_dropout
from horizon_st.model.translator import TEXT_TYPES, SpeechTranslatorModel

_MAY_BE_NEW = ("masked_spec_embed", "final_logits_bias")
"""Weights that published models may lack: a learnt mask, and a bias that is then 0."""


def build_translator(
    config: ModelConfig,
    *,
    vocab_size: int,
    pad_id: int,
    bos_id: int | None,
    eos_id: int,
    ctc: bool = False,
    ctc_characters: str | None = None,
) -> SpeechTranslatorModel:
    """The model that a recipe describes, with the weights of its pretrained parts.

    Args:
        config: the recipe's model section.
        vocab_size: size of the tokenizer's vocabulary, with the ids of its special tokens.
        pad_id: padding, and the blank of CTC.
        bos_id: begin of sentence, if the tokenizer has one.
        eos_id: end of sentence; a fresh text model starts decoding with it.
        ctc: whether the objective needs a CTC head.
        ctc_characters: its units; None for those of the vocabulary.

    Raises:
        UserError: pretrained weights cannot be had, or do not fit the tokenizer.
    """
    speech_model = _pretrained_speech_model(config.speech_encoder)
    speech_config = None if speech_model is None else speech_model.config
    if config.speech_encoder.layers > 0:
        speech_config = fresh_speech_config(config.speech_encoder)
    if config.text_model.pretrained is None:
        text_model = None
        text_config = fresh_text_config(
            config.text_model, vocab_size=vocab_size, pad_id=pad_id, bos_id=bos_id, eos_id=eos_id
        )
    else:
        text_model = _pretrained_text_model(config.text_model.pretrained, config.text_model)
        text_config = text_model.config
        _check_vocabulary(config.text_model.pretrained, text_config, vocab_size, pad_id, eos_id)
    model = SpeechTranslatorModel(
        translator_config(
            config, text_config, speech_config, ctc=ctc, ctc_characters=ctc_characters
        )
    )
    if isinstance(model.speech_encoder, FilterbankTransformer):
        initialise(model.speech_encoder.model)
    if speech_model is not None:
        model.speech_encoder = make_speech_encoder(
            speech_model.config,
            num_mel_bins=config.speech_encoder.num_mel_bins,
            frozen=config.speech_encoder.freeze,
            freeze_feature_encoder=config.speech_encoder.freeze_feature_encoder,
            model=speech_model,
        )
    if text_model is None:
        initialise(model.text_model)
        model.generation_config = GenerationConfig(
            decoder_start_token_id=eos_id,
            bos_token_id=bos_id,
            eos_token_id=eos_id,
            pad_token_id=pad_id,
        )
    else:
        model.text_model = text_model
        model.generation_config = text_model.generation_config
    return model


def translator_config(
    config: ModelConfig,
    text_config: PreTrainedConfig,
    speech_config: PreTrainedConfig | None,
    *,
    ctc: bool = False,
    ctc_characters: str | None = None,
) -> SpeechTranslatorConfig:
    """The config of a whole translator around the configs of its sub-models."""
    start_id = text_config.decoder_start_token_id
    return SpeechTranslatorConfig(
        speech_config=speech_config,
        text_config=text_config,
        num_mel_bins=config.speech_encoder.num_mel_bins,
        freeze_speech_encoder=config.speech_encoder.freeze,
        freeze_feature_encoder=config.speech_encoder.freeze_feature_encoder,
        kernel_sizes=list(config.subsampler.kernel_sizes),
        mid_channels=config.subsampler.mid_channels,
        ctc=ctc,
        ctc_position=config.ctc.position,
        ctc_characters=ctc_characters,
        pad_token_id=text_config.pad_token_id,
        bos_token_id=text_config.bos_token_id,
        eos_token_id=text_config.eos_token_id,
        decoder_start_token_id=text_config.eos_token_id if start_id is None else start_id,
    )


def fresh_text_config(
    config: TextModelConfig, *, vocab_size: int, pad_id: int, bos_id: int | None, eos_id: int
) -> PreTrainedConfig:
    """The transformers config of a text model of the asked shape; decoding starts with eos."""
    shared = {
        "vocab_size": vocab_size,
        "pad_token_id": pad_id,
        "bos_token_id": bos_id,
        "eos_token_id": eos_id,
        "decoder_start_token_id": eos_id,
        "d_model": config.d_model,
    }
    dropouts = FRESH_DROPOUTS | config.dropouts
    if config.architecture == "t5":
        return AutoConfig.for_model(
            "t5",
            **shared,
            num_layers=config.encoder_layers,
            num_decoder_layers=config.decoder_layers,
            num_heads=config.num_heads,
            d_kv=config.d_model // config.num_heads,
            d_ff=config.ffn_dim,
            dropout_rate=dropouts["dropout"],
            feed_forward_proj=config.activation,
        )
    return AutoConfig.for_model(
        config.architecture,
        **shared,
        forced_eos_token_id=None,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        encoder_ffn_dim=config.ffn_dim,
        decoder_ffn_dim=config.ffn_dim,
        encoder_attention_heads=config.num_heads,
        decoder_attention_heads=config.num_heads,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
        **dropouts,
        activation_function=config.activation,
        max_position_embeddings=config.max_positions,
        scale_embedding=True,
    )


@torch.no_grad()
def initialise(model: PreTrainedModel) -> None:
    """Set the weights of a fresh text model or speech encoder as fairseq's Transformer does.

    Linear layers Xavier-uniform with bias 0, embeddings normal with deviation d_model ** -0.5.
    transformers would draw everything with deviation 0.02, with which small models learn slower.
    T5 keeps its own scheme, which its unscaled attention needs.
    """
    if model.config.model_type == "t5":
        return
    output_layer = model.get_output_embeddings()
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not output_layer:
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding) and module.weight.requires_grad:
            nn.init.normal_(module.weight, std=1 / math.sqrt(module.embedding_dim))
            if module.padding_idx is not None:
                module.weight[module.padding_idx].zero_()


def _pretrained_speech_model(config: SpeechEncoderConfig) -> PreTrainedModel | None:
    if config.pretrained is None:
        return None
    place = "model.speech_encoder.pretrained"
    hf_config = _load_config(config.pretrained, place, SPEECH_TYPES)
    if hf_config.model_type == "whisper":
        if config.mask_time_prob > 0:
            raise UserError(
                "model.speech_encoder.mask_time_prob",
                expected="0 with Whisper, whose encoder does not mask",
                found=config.mask_time_prob,
                remedy="Set it to 0.",
            )
        hf_config.encoder_layerdrop = 0.0
    else:
        hf_config.layerdrop = 0.0
        hf_config.apply_spec_augment = config.mask_time_prob > 0
        hf_config.mask_time_prob = config.mask_time_prob
        hf_config.mask_time_length = config.mask_time_length_frames
        hf_config.mask_feature_prob = 0.0
    # Of Whisper only the encoder is used; a mask embedding that no one has trained yet may be new.
    used = "encoder." if hf_config.model_type == "whisper" else ""
    return _load_weights(AutoModel, config.pretrained, place, used, config=hf_config)


def _pretrained_text_model(source: str, section: TextModelConfig) -> PreTrainedModel:
    place = "model.text_model.pretrained"
    hf_config = _load_config(source, place, TEXT_TYPES)
    set_dropout(hf_config, section)
    return _load_weights(AutoModelForSeq2SeqLM, source, place, config=hf_config)


def _load_config(source: str, place: str, known_types: tuple[str, ...]) -> PreTrainedConfig:
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


def _check_vocabulary(
    source: str, config: PreTrainedConfig, vocab_size: int, pad_id: int, eos_id: int
) -> None:
    found = {"pad": pad_id, "eos": eos_id}
    expected = {"pad": config.pad_token_id, "eos": config.eos_token_id}
    if vocab_size > config.vocab_size or found != expected:
        raise UserError(
            "tokenizer",
            expected=f"the vocabulary of {source} ({config.vocab_size} symbols, {expected})",
            found=f"{vocab_size} symbols, {found}",
            remedy="Use the tokenizer that belongs to model.text_model.pretrained.",
        )

"""A recipe's model section -> SpeechTranslatorModel, fresh or from pretrained parts."""

from __future__ import annotations

import math

import torch
from torch import nn
from transformers import AutoConfig, GenerationConfig, PreTrainedConfig, PreTrainedModel

from horizon_st.model.configuration import (
    FRESH_DROPOUTS,
    ModelConfig,
    SpeechTranslatorConfig,
    TextModelConfig,
)
from horizon_st.model.filterbank_encoder import FilterbankTransformer, fresh_speech_config
from horizon_st.model.pretrained_encoder import make_speech_encoder, reads_waveforms
from horizon_st.model.pretrained_parts import (
    check_vocabulary,
    pretrained_speech_model,
    pretrained_text_model,
)
from horizon_st.model.translator import SpeechTranslatorModel


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
    speech_model = pretrained_speech_model(config.speech_encoder)
    speech_config = None if speech_model is None else speech_model.config
    if config.speech_encoder.layers > 0:
        speech_config = fresh_speech_config(config.speech_encoder)
    if config.text_model.pretrained is None:
        text_model = None
        text_config = fresh_text_config(
            config.text_model, vocab_size=vocab_size, pad_id=pad_id, bos_id=bos_id, eos_id=eos_id
        )
    else:
        text_model = pretrained_text_model(config.text_model.pretrained, config.text_model)
        text_config = text_model.config
        check_vocabulary(config.text_model.pretrained, text_config, vocab_size, pad_id, eos_id)
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
            frozen=model.config.freeze_speech_encoder,
            freeze_feature_encoder=model.config.freeze_feature_encoder,
            model=speech_model,
        )
    if text_model is None:
        initialise(model.text_model)
        special = {"bos_token_id": bos_id, "eos_token_id": eos_id, "pad_token_id": pad_id}
        model.generation_config = GenerationConfig(decoder_start_token_id=eos_id, **special)
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
    training = config.speech_encoder.training(reads_waveforms=reads_waveforms(speech_config))
    return SpeechTranslatorConfig(
        speech_config=speech_config,
        text_config=text_config,
        num_mel_bins=config.speech_encoder.num_mel_bins,
        freeze_speech_encoder=training.freeze,
        freeze_feature_encoder=training.freeze_feature_encoder,
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

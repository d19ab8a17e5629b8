"""What a saved model knows about itself, and the configuration of a fresh text model."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any, Literal, Optional, get_args

from transformers import AutoConfig, PreTrainedConfig
from transformers.activations import ACT2FN

from horizon_st.errors import UserError
from horizon_st.model.speech_encoder import SpeechEncoderConfig
from horizon_st.model.subsampler import SubsamplerConfig

Architecture = Literal["bart", "marian", "mbart", "m2m_100", "t5"]
_COUNTS = ("encoder_layers", "decoder_layers", "d_model", "ffn_dim", "num_heads", "max_positions")


@dataclass
class TextModelConfig:
    """The shared encoder-decoder: a fresh one of this shape, or a pretrained one."""

    pretrained: Optional[str] = field(  # noqa: UP045 - OmegaConf documents Optional
        default=None,
        metadata={
            "help": "Folder or hub id of a Marian, BART, mBART, M2M-100, NLLB or T5 model to start "
            "from; the shape below is then ignored."
        },
    )
    architecture: Architecture = field(
        default="bart",
        metadata={
            "help": "bart: post-norm, layer-normed embedding, learned positions. marian: "
            "post-norm, sinusoids. m2m_100: pre-norm, sinusoids. mbart: pre-norm, learned "
            "positions. t5: pre-norm, relative positions."
        },
    )
    encoder_layers: int = field(default=6, metadata={"help": "Layers of the shared encoder."})
    decoder_layers: int = field(default=6, metadata={"help": "Layers of the shared decoder."})
    d_model: int = field(default=512, metadata={"help": "Width of the states."})
    ffn_dim: int = field(default=2048, metadata={"help": "Width inside the feed-forward layers."})
    num_heads: int = field(default=8, metadata={"help": "Attention heads."})
    dropout: float = field(default=0.1, metadata={"help": "Dropout of embeddings and sublayers."})
    attention_dropout: float = field(
        default=0.0, metadata={"help": "Dropout of attention weights."}
    )
    activation_dropout: float = field(
        default=0.0, metadata={"help": "Dropout inside the feed-forward layers."}
    )
    activation: str = field(
        default="relu", metadata={"help": "Activation of the feed-forward layers."}
    )
    max_positions: int = field(
        default=1024,
        metadata={"help": "Most tokens, and most subsampled speech frames, of one sequence."},
    )

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        if self.architecture not in get_args(Architecture):
            choices = get_args(Architecture)
            nearest = difflib.get_close_matches(self.architecture, choices, n=1, cutoff=0.0)[0]
            raise UserError(
                "model.text_model.architecture",
                expected="one of " + ", ".join(choices),
                found=self.architecture,
                remedy=f"Did you mean {nearest}?",
            )
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise UserError(
                    f"model.text_model.{name}",
                    expected="at least 1",
                    found=getattr(self, name),
                    remedy=f"The default is {type(self).__dataclass_fields__[name].default}.",
                )
        if self.d_model % (2 * self.num_heads):
            raise UserError(
                "model.text_model.d_model",
                expected=f"a multiple of twice the {self.num_heads} heads",
                found=self.d_model,
                remedy="Change d_model or num_heads.",
            )
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(
                    f"model.text_model.{name}",
                    expected="a probability of at least 0 and below 1",
                    found=getattr(self, name),
                    remedy="0.1 is usual; 0.3 suits a few hours of data.",
                )
        self._check_activation()
        if self.architecture == "t5" and (self.attention_dropout or self.activation_dropout):
            raise UserError(
                "model.text_model.attention_dropout and activation_dropout",
                expected="0 with architecture: t5, whose one dropout acts everywhere",
                found=f"{self.attention_dropout} and {self.activation_dropout}",
                remedy="Set both to 0 and use dropout.",
            )

    def _check_activation(self) -> None:
        gate = "gated-" if self.architecture == "t5" else ""
        if self.activation.removeprefix(gate) not in ACT2FN:
            known = sorted(ACT2FN)
            nearest = difflib.get_close_matches(self.activation, known, n=1, cutoff=0.0)[0]
            raise UserError(
                "model.text_model.activation",
                expected="one of " + ", ".join(known),
                found=self.activation,
                remedy=f"Did you mean {nearest}?",
            )


@dataclass
class ModelConfig:
    """All parts of the model; the vocabulary comes from the tokenizer."""

    speech_encoder: SpeechEncoderConfig = field(
        default_factory=SpeechEncoderConfig, metadata={"help": "Before the subsampler."}
    )
    subsampler: SubsamplerConfig = field(
        default_factory=SubsamplerConfig, metadata={"help": "Strided convolutions."}
    )
    text_model: TextModelConfig = field(
        default_factory=TextModelConfig, metadata={"help": "Shared encoder-decoder."}
    )


class SpeechTranslatorConfig(PreTrainedConfig):
    """Everything that rebuilds the model: sub-models by their transformers configs.

    Args:
        speech_config: config of the pretrained speech encoder, or None for filterbanks.
        text_config: config of the encoder-decoder.
        num_mel_bins: width of the filterbanks.
        freeze_speech_encoder: whether the speech encoder is never trained.
        freeze_feature_encoder: whether its convolutions are never trained.
        kernel_sizes: of the subsampler.
        mid_channels: of the subsampler.
        ctc: whether a linear CTC head reads the encoder states of speech; its blank is the pad id.
    """

    model_type = "horizon_st"
    sub_configs = {"speech_config": AutoConfig, "text_config": AutoConfig}

    speech_config: dict[str, Any] | PreTrainedConfig | None = None
    text_config: dict[str, Any] | PreTrainedConfig | None = None
    num_mel_bins: int = 80
    freeze_speech_encoder: bool = False
    freeze_feature_encoder: bool = True
    kernel_sizes: list[int] | tuple[int, ...] = (5, 5)
    mid_channels: int = 1024
    ctc: bool = False
    is_encoder_decoder: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    decoder_start_token_id: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Turn nested dictionaries, as read from JSON, into configs."""
        self.speech_config = _as_config(self.speech_config)
        self.text_config = _as_config(self.text_config)
        super().__post_init__(**kwargs)


AutoConfig.register(SpeechTranslatorConfig.model_type, SpeechTranslatorConfig)


def _as_config(value: dict[str, Any] | PreTrainedConfig | None) -> PreTrainedConfig | None:
    if not isinstance(value, dict):
        return value
    values = dict(value)
    config: PreTrainedConfig = AutoConfig.for_model(values.pop("model_type"), **values)
    return config

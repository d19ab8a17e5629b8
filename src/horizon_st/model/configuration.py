"""What a saved model knows about itself, and the configuration of a fresh text model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Optional, get_args

from transformers import AutoConfig, PreTrainedConfig
from transformers.activations import ACT2FN

from horizon_st.errors import UserError, check_choice
from horizon_st.model.speech_encoder import SpeechEncoderConfig
from horizon_st.model.subsampler import SubsamplerConfig

Architecture = Literal["bart", "marian", "mbart", "m2m_100", "t5"]
CtcPosition = Literal["shared_encoder", "speech_encoder"]
CtcUnit = Literal["piece", "character"]
FRESH_DROPOUTS = {"dropout": 0.1, "attention_dropout": 0.0, "activation_dropout": 0.0}
"""Of a fresh text model, where the recipe gives none."""
_COUNTS = ("encoder_layers", "decoder_layers", "d_model", "ffn_dim", "num_heads", "max_positions")


@dataclass
class TextModelConfig:
    """The shared encoder-decoder: a fresh one of this shape, or a pretrained one."""

    pretrained: Optional[str] = field(  # noqa: UP045 - OmegaConf documents Optional
        default=None,
        metadata={
            "help": "Folder or hub id of a Marian, BART, mBART, M2M-100, NLLB or T5 model to start "
            "from; of what stands below, only dropout then acts, and only what is given."
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
    dropout: Optional[float] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "Dropout of embeddings and sublayers. null: 0.1; that of the model where "
            "training starts from one (pretrained, initial_model)."
        },
    )
    attention_dropout: Optional[float] = field(  # noqa: UP045
        default=None,
        metadata={"help": "Dropout of attention weights. null: 0; that of the model likewise."},
    )
    activation_dropout: Optional[float] = field(  # noqa: UP045
        default=None,
        metadata={
            "help": "Dropout inside the feed-forward layers. null: 0; that of the model likewise."
        },
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
        check_choice("model.text_model.architecture", self.architecture, get_args(Architecture))
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
        for name, value in self.dropouts.items():
            if not 0 <= value < 1:
                raise UserError(
                    f"model.text_model.{name}",
                    expected="a probability of at least 0 and below 1",
                    found=value,
                    remedy="0.1 is usual; 0.3 suits a few hours of data.",
                )
        gate = "gated-" if self.architecture == "t5" else ""
        activation = self.activation.removeprefix(gate)
        check_choice("model.text_model.activation", activation, sorted(ACT2FN))
        if self.architecture == "t5" and (self.attention_dropout or self.activation_dropout):
            raise UserError(
                "model.text_model.attention_dropout and activation_dropout",
                expected="0 with architecture: t5, whose one dropout acts everywhere",
                found=f"{self.attention_dropout or 0} and {self.activation_dropout or 0}",
                remedy="Remove both and use dropout.",
            )

    @property
    def dropouts(self) -> dict[str, float]:
        """The dropout values that are given, by key."""
        values = {name: getattr(self, name) for name in FRESH_DROPOUTS}
        return {name: value for name, value in values.items() if value is not None}


@dataclass
class CtcConfig:
    """The linear layer that CTC trains to give the transcript, if the objective has CTC."""

    position: CtcPosition = field(
        default="shared_encoder",
        metadata={
            "help": "Whose states it reads: shared_encoder, or speech_encoder, at the higher frame "
            "rate before the subsampler, which leaves the shared encoder to translation."
        },
    )
    unit: CtcUnit = field(
        default="piece",
        metadata={
            "help": "What it gives: piece of the vocabulary, or character, which is learnt from "
            "less data but needs a state for each."
        },
    )

    def __post_init__(self) -> None:
        check_choice("model.ctc.position", self.position, get_args(CtcPosition))
        check_choice("model.ctc.unit", self.unit, get_args(CtcUnit))


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
    share_encoder: bool = field(
        default=True,
        metadata={
            "help": "Whether speech and text share the encoder of the text model. If not, each has "
            "its own from stage st on: speech then starts with a copy. The decoder is shared."
        },
    )
    ctc: CtcConfig = field(default_factory=CtcConfig, metadata={"help": "CTC head."})

    def check_fresh(self) -> None:
        """Nothing, if a model can be built of it alone; an initial model brings what is left out.

        Raises:
            UserError: a key is not read, or CTC has no speech encoder to stand on.
        """
        self.speech_encoder.check_fresh()
        has_states = self.speech_encoder.pretrained is not None or self.speech_encoder.layers > 0
        if self.ctc.position == "speech_encoder" and not has_states:
            raise UserError(
                "model.ctc.position",
                expected="shared_encoder for filterbanks without layers of their own",
                found=self.ctc.position,
                remedy="Set model.speech_encoder.layers above 0, or position: shared_encoder.",
            )
        if self.ctc.position == "speech_encoder" and self.speech_encoder.freeze:
            raise UserError(
                "model.ctc.position",
                expected="shared_encoder with a frozen speech encoder, which learns nothing from "
                "CTC",
                found=self.ctc.position,
                remedy="Set model.speech_encoder.freeze to false, or position: shared_encoder.",
            )


class SpeechTranslatorConfig(PreTrainedConfig):
    """Everything that rebuilds the model: sub-models by their transformers configs.

    Args:
        speech_config: config of the speech encoder, or None for filterbanks as they are.
        text_config: config of the encoder-decoder.
        num_mel_bins: width of the filterbanks.
        freeze_speech_encoder: whether the speech encoder is never trained.
        freeze_feature_encoder: whether its convolutions are never trained.
        kernel_sizes: of the subsampler.
        mid_channels: of the subsampler.
        share_encoder: whether speech passes the encoder of the text model, or one of its own.
        ctc: whether there is a linear CTC head on states of speech.
        ctc_position: whose states it reads, "shared_encoder" or "speech_encoder".
        ctc_characters: its units; None where they are those of the vocabulary.
        longest_training_s: of the utterances that the model has learnt to translate, in seconds;
            None where that is not known.
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
    share_encoder: bool = True
    ctc: bool = False
    ctc_position: str = "shared_encoder"
    ctc_characters: str | None = None
    longest_training_s: float | None = None
    is_encoder_decoder: bool = True
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    decoder_start_token_id: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Turn nested dictionaries, as read from JSON, into configs.

        The model is imported with it, and so registered before `transformers` looks for the model
        of a configuration.
        """
        import horizon_st.model.translator  # noqa: F401 - which needs this class

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
